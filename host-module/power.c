// SPDX-License-Identifier: GPL-2.0
/*
 * What happens to partitions when Linux reboots, suspends or panics.
 */
#include <linux/notifier.h>
#include <linux/panic_notifier.h>
#include <linux/reboot.h>
#include <linux/suspend.h>
#include <asm/apic.h>

#include "outrigger.h"

static int on_reboot(struct notifier_block *nb, unsigned long action, void *unused)
{
	otr_partitions_stop_all("Linux goes down");
	return NOTIFY_DONE;
}

/* A co-kernel cannot be suspended: its CPUs and memory are not Linux's to save. */
static int on_suspend(struct notifier_block *nb, unsigned long action, void *unused)
{
	if (action != PM_SUSPEND_PREPARE && action != PM_HIBERNATION_PREPARE)
		return NOTIFY_DONE;
	if (!otr_partition_count())
		return NOTIFY_DONE;
	pr_err("suspend refused: destroy the partitions first\n");
	return notifier_from_errno(-EBUSY);
}

/* One CPU, interrupts off, nothing to be waited for: say what ran, and stop it. */
static void panic_one(struct otr_partition *p)
{
	struct otr_cpu *c;

	pr_emerg("partition %s was %s%s%s\n", p->name, otr_state_name(p->state),
		 p->reason[0] ? ": " : "", p->reason);
	list_for_each_entry(c, &p->cpus, link)
		if (c->started)
			otr_ipi(c->apic_id, APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT);
}

static int on_panic(struct notifier_block *nb, unsigned long action, void *unused)
{
	otr_partitions_each(panic_one);
	return NOTIFY_DONE;
}

static struct notifier_block reboot_nb = { .notifier_call = on_reboot };
static struct notifier_block suspend_nb = { .notifier_call = on_suspend };
static struct notifier_block panic_nb = { .notifier_call = on_panic };

int otr_power_init(void)
{
	int ret = register_reboot_notifier(&reboot_nb);

	if (ret)
		return ret;
	ret = register_pm_notifier(&suspend_nb);
	if (ret) {
		unregister_reboot_notifier(&reboot_nb);
		return ret;
	}
	atomic_notifier_chain_register(&panic_notifier_list, &panic_nb);
	return 0;
}

void otr_power_fini(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &panic_nb);
	unregister_pm_notifier(&suspend_nb);
	unregister_reboot_notifier(&reboot_nb);
}
