// SPDX-License-Identifier: GPL-2.0
/*
 * outrigger.ko: start and end of the module.
 */
#include "outrigger.h"

static int __init outrigger_init(void)
{
	int ret = -ENOMEM;

	otr_wq = alloc_workqueue("outrigger", WQ_UNBOUND | WQ_HIGHPRI, 0);
	if (!otr_wq)
		return ret;
	ret = otr_cpu_init();
	if (ret)
		goto free_wq;
	ret = otr_doorbell_init();
	if (ret)
		goto fini_cpu;
	ret = otr_clock_init();
	if (ret)
		goto fini_doorbell;
	ret = otr_sysfs_init();
	if (ret)
		goto fini_clock;
	ret = otr_ctx_init();
	if (ret)
		goto fini_sysfs;
	ret = otr_power_init();
	if (ret)
		goto fini_ctx;
	ret = otr_chardev_init();
	if (ret)
		goto fini_power;
	return 0;

fini_power:
	otr_power_fini();
fini_ctx:
	otr_ctx_fini();
fini_sysfs:
	otr_sysfs_fini();
fini_clock:
	otr_clock_fini();
fini_doorbell:
	otr_doorbell_fini();
fini_cpu:
	otr_cpu_fini();
free_wq:
	destroy_workqueue(otr_wq);
	return ret;
}

/* Partitions and open files hold references, so nothing is alive here. */
static void __exit outrigger_exit(void)
{
	otr_chardev_fini();
	otr_power_fini();
	otr_ctx_fini();
	otr_sysfs_fini();
	otr_clock_fini();
	otr_doorbell_fini();
	otr_cpu_fini();
	rcu_barrier();
	destroy_workqueue(otr_wq);
}

module_init(outrigger_init);
module_exit(outrigger_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The Outrigger authors");
MODULE_DESCRIPTION("Partitions a running Linux and boots co-kernels beside it");
MODULE_VERSION("0.1");
