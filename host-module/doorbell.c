// SPDX-License-Identifier: GPL-2.0
/*
 * The co-kernel's doorbell to Linux: one real Linux interrupt a partition, from
 * our own domain under x86_vector_domain. Its address and vector are published
 * in otr_doorbell under a sequence number whenever Linux moves it.
 *
 * The co-kernel can ring as often as it likes; rings that announce nothing are
 * counted, and a flood of them crashes the partition.
 */
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <linux/irqdomain.h>
#include <asm/apic.h>
#include <asm/hw_irq.h>
#include <asm/irqdomain.h>

#include "outrigger.h"

/* Rings between two looks of the watchdog (at most 1 s apart). */
#define SPURIOUS_MAX 20000           /* that announce nothing */
#define RINGS_MAX 1000000            /* all */

static struct irq_domain *domain;
static struct fwnode_handle *fwnode;

/* ---- Publishing ---- */

static void publish(struct otr_partition *p, struct irq_data *data)
{
	struct irq_cfg *cfg = irqd_cfg(data->parent_data);
	struct otr_doorbell *d;
	unsigned long flags;
	u32 seq;

	raw_spin_lock_irqsave(&p->bell_lock, flags);
	if (!p->bell_live)
		goto unlock;
	d = p->sh.doorbell;
	seq = READ_ONCE(d->seq) | 1;
	WRITE_ONCE(d->seq, seq);
	smp_wmb();	/* seq odd before the fields; pairs with the co-kernel's reads */
	/* Not through the MSI message: it has no room for x2APIC's logical ids. */
	WRITE_ONCE(d->dest, cfg->dest_apicid);
	WRITE_ONCE(d->icr_low, APIC_DM_FIXED | cfg->vector |
			       (apic->dest_mode_logical ? APIC_DEST_LOGICAL : 0));
	WRITE_ONCE(d->enabled, 1);
	smp_wmb();	/* the fields before seq even */
	WRITE_ONCE(d->seq, seq + 1);
unlock:
	raw_spin_unlock_irqrestore(&p->bell_lock, flags);
}

static int set_affinity(struct irq_data *data, const struct cpumask *mask, bool force)
{
	int ret = irq_chip_set_affinity_parent(data, mask, force);

	if (ret >= 0)
		publish(irq_data_get_irq_chip_data(data), data);
	return ret;
}

static struct irq_chip doorbell_chip = {
	.name = "Outrigger",
	.irq_ack = irq_chip_ack_parent,
	.irq_set_affinity = set_affinity,
	.irq_retrigger = irq_chip_retrigger_hierarchy,
	.flags = IRQCHIP_SKIP_SET_WAKE,
};

/* ---- Domain ---- */

static int domain_alloc(struct irq_domain *d, unsigned int virq, unsigned int count, void *arg)
{
	struct irq_alloc_info info = { .mask = NULL };
	int ret;

	if (count != 1)
		return -EINVAL;
	ret = irq_domain_alloc_irqs_parent(d, virq, count, &info);
	if (ret < 0)
		return ret;
	irq_domain_set_info(d, virq, virq, &doorbell_chip, arg, handle_edge_irq, NULL, "edge");
	return 0;
}

static const struct irq_domain_ops domain_ops = {
	.alloc = domain_alloc,
	.free = irq_domain_free_irqs_common,
};

/* ---- Handling ---- */

static void flooded(struct otr_partition *p, int irq, u32 rings)
{
	disable_irq_nosync(irq);	/* the co-kernel rings on until it is stopped */
	otr_crash(p, "protocol error: %u doorbells within a second%s", rings,
		  rings == SPURIOUS_MAX ? " that announced nothing" : "");
}

static irqreturn_t doorbell_hard(int irq, void *arg)
{
	struct otr_partition *p = arg;
	bool found = false;

	p->bell_count++;
	if (READ_ONCE(p->sh.wake_c2h->any) && xchg(&p->sh.wake_c2h->any, 0)) {
		otr_ctx_wakes(p);
		found = true;
	}
	if (READ_ONCE(p->sh.status->state) != OTR_CK_RUNNING)
		otr_crash_status(p);
	if (++p->bell_second == RINGS_MAX)
		flooded(p, irq, RINGS_MAX);
	if (otr_chan_pending(p))
		return IRQ_WAKE_THREAD;
	if (!found && ++p->bell_spurious == SPURIOUS_MAX)
		flooded(p, irq, SPURIOUS_MAX);
	return IRQ_HANDLED;
}

static irqreturn_t doorbell_thread(int irq, void *arg)
{
	otr_chan_receive(arg);
	return IRQ_HANDLED;
}

/* ---- Per partition ---- */

int otr_doorbell_open(struct otr_partition *p)
{
	int virq, ret;

	p->bell_spurious = 0;
	p->bell_second = 0;
	virq = irq_domain_alloc_irqs(domain, 1, NUMA_NO_NODE, p);
	if (virq < 0)
		return virq;
	ret = request_threaded_irq(virq, doorbell_hard, doorbell_thread, IRQF_NO_SUSPEND,
				   p->irq_name, p);
	if (ret) {
		irq_dispose_mapping(virq);
		return ret;
	}
	p->virq = virq;
	raw_spin_lock_irq(&p->bell_lock);
	p->bell_live = true;
	raw_spin_unlock_irq(&p->bell_lock);
	publish(p, irq_domain_get_irq_data(domain, virq));
	return 0;
}

/* Afterwards no handler runs and nothing is written into the shared region. */
void otr_doorbell_close(struct otr_partition *p)
{
	raw_spin_lock_irq(&p->bell_lock);
	if (p->bell_live)
		WRITE_ONCE(p->sh.doorbell->enabled, 0);
	p->bell_live = false;
	raw_spin_unlock_irq(&p->bell_lock);
	if (!p->virq)
		return;
	free_irq(p->virq, p);
	irq_dispose_mapping(p->virq);
	p->virq = 0;
}

int otr_doorbell_init(void)
{
	fwnode = irq_domain_alloc_named_fwnode("Outrigger");
	if (!fwnode)
		return -ENOMEM;
	domain = irq_domain_create_hierarchy(x86_vector_domain, 0, 0, fwnode, &domain_ops, NULL);
	if (!domain) {
		irq_domain_free_fwnode(fwnode);
		return -ENOMEM;
	}
	return 0;
}

void otr_doorbell_fini(void)
{
	irq_domain_remove(domain);
	irq_domain_free_fwnode(fwnode);
}
