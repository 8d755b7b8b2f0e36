// SPDX-License-Identifier: GPL-2.0
/*
 * Zaps: the co-kernel has removed translations and wants its frames back. Each
 * is applied (Linux's mappings of the range removed) before any call that was
 * posted after it runs, and acknowledged, in order, when Linux holds no pin on
 * a frame that was mapped there.
 *
 * `frames` remembers what faults inserted. Faults hold zap_lock for reading
 * from their look at the co-kernel's page table to the insertion, so no stale
 * frame can slip in behind a zap. After unmap_mapping_range() no new pin can
 * start through the old translation (its TLB flush also waits for lockless
 * get_user_pages), so one look at the reference counts decides.
 */
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "ctx.h"

#define RECHECK_MS 10
#define HUGE_PAGES 512u

/* A partition's page has one reference of its own, and one for each mapping if
 * it is an ordinary page. Any more is a pin. */
bool otr_page_pinned(struct page *page)
{
	return page_ref_count(page) - otr_page_maps(page) > 1;
}

static bool frames_pinned(u64 pfn, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		if (otr_page_pinned(pfn_to_page(pfn + i)))
			return true;
	return false;
}

static struct otr_pin *new_pin(u64 start, u64 pfn, u32 count)
{
	struct otr_pin *pin = kmalloc(sizeof(*pin), GFP_KERNEL | __GFP_NOFAIL);

	pin->start = start;
	pin->pfn = pfn;
	pin->count = count;
	return pin;
}

/* Drops the pins that have ended; true if none is left. */
static bool pins_done(struct list_head *pins)
{
	struct otr_pin *pin, *next;

	list_for_each_entry_safe(pin, next, pins, link) {
		if (frames_pinned(pin->pfn, pin->count))
			continue;
		list_del(&pin->link);
		kfree(pin);
	}
	return list_empty(pins);
}

/* Faults add orphans side by side; whoever else looks at them holds zap_lock for
 * writing. */
static void add_orphan(struct otr_context *c, u64 addr, u64 pfn, u32 count)
{
	struct otr_pin *pin = new_pin(addr, pfn, count);

	spin_lock(&c->orphan_lock);
	list_add(&pin->link, &c->orphans);
	spin_unlock(&c->orphan_lock);
}

static void adopt_orphans(struct otr_context *c, u64 start, u64 end, struct list_head *to)
{
	struct otr_pin *pin, *next;

	list_for_each_entry_safe(pin, next, &c->orphans, link)
		if (pin->start < end && pin->start + PFN_PHYS(pin->count) > start)
			list_move(&pin->link, to);
}

/* ---- What faults inserted ---- */

/* zap_lock held for reading. Remembers a frame before it is inserted; one that
 * it replaces is kept in mind if Linux still has it pinned. */
int otr_zap_record(struct otr_context *c, u64 addr, u64 pfn, bool huge)
{
	void *value = xa_mk_value(pfn << 1 | huge), *old;
	u64 was;

	old = xa_load(&c->frames, addr >> PAGE_SHIFT);
	if (old == value)
		return 0;
	old = xa_store(&c->frames, addr >> PAGE_SHIFT, value, GFP_KERNEL);
	if (xa_is_err(old))
		return xa_err(old);
	if (!old || old == value)
		return 0;
	was = xa_to_value(old);
	if (was >> 1 == pfn || !frames_pinned(was >> 1, was & 1 ? HUGE_PAGES : 1))
		return 0;
	add_orphan(c, addr, was >> 1, was & 1 ? HUGE_PAGES : 1);
	return 0;
}

/* zap_lock held for writing. Unmaps [start, end) and lists what is pinned. */
static void unmap(struct otr_context *c, u64 start, u64 end, struct list_head *pins)
{
	unsigned long key = ALIGN_DOWN(start, PMD_SIZE) >> PAGE_SHIFT;
	unsigned long last = (end - 1) >> PAGE_SHIFT;
	u64 value, from, to, addr;
	bool unmapped = false;
	void *entry;

	xa_for_each_range(&c->frames, key, entry, key, last) {
		value = xa_to_value(entry);
		addr = (u64)key << PAGE_SHIFT;
		from = max(addr, start);
		to = min(addr + (value & 1 ? PMD_SIZE : PAGE_SIZE), end);
		if (from >= to)
			continue;
		if (!unmapped) {
			unmap_mapping_range(c->inode->i_mapping, start, end - start, 1);
			unmapped = true;
		}
		if (frames_pinned((value >> 1) + ((from - addr) >> PAGE_SHIFT),
				  (to - from) >> PAGE_SHIFT))
			list_add(&new_pin(from, (value >> 1) + ((from - addr) >> PAGE_SHIFT),
					  (to - from) >> PAGE_SHIFT)->link, pins);
		/* A huge frame stays known while a part of it is not zapped. */
		if (from == addr && to == addr + (value & 1 ? PMD_SIZE : PAGE_SIZE))
			xa_erase(&c->frames, key);
		cond_resched();
	}
}

/* ---- Zaps of the ring ---- */

static bool take_entry(struct otr_context *c, u64 seq, struct otr_zap *z)
{
	struct otr_zap *from = &c->priv->zap[seq % OTR_ZAP_COUNT];

	z->start = READ_ONCE(from->start);
	z->end = READ_ONCE(from->end);
	if (IS_ALIGNED(z->start | z->end, PAGE_SIZE) && z->start < z->end &&
	    z->end <= OTR_USER_END)
		return true;
	otr_crash(c->p, "protocol error: program %u zaps [%#llx, %#llx)", c->id, z->start, z->end);
	return false;
}

/* zap_lock held for writing. */
static void acknowledge(struct otr_context *c)
{
	while (c->zap_acked != c->zap_applied &&
	       pins_done(&c->zap_pins[c->zap_acked % OTR_ZAP_COUNT]))
		c->zap_acked++;
	smp_store_release(&c->priv->zap_head, c->zap_acked);
	if (c->zap_acked != c->zap_applied && !READ_ONCE(c->closing))
		queue_delayed_work(otr_wq, &c->zap_work, msecs_to_jiffies(RECHECK_MS));
}

/* Applies every zap in the ring. The context is not detached. */
void otr_zap_apply(struct otr_context *c)
{
	u64 tail = smp_load_acquire(&c->priv->zap_tail);
	struct otr_zap z;

	if (tail == smp_load_acquire(&c->zap_applied))
		return;
	down_write(&c->zap_lock);
	tail = smp_load_acquire(&c->priv->zap_tail);
	if (tail - c->zap_acked > OTR_ZAP_COUNT) {
		otr_crash(c->p, "protocol error: program %u claims %llu zaps of %u", c->id,
			  tail - c->zap_acked, OTR_ZAP_COUNT);
		goto unlock;
	}
	while (c->zap_applied != tail && take_entry(c, c->zap_applied, &z)) {
		struct list_head *pins = &c->zap_pins[c->zap_applied % OTR_ZAP_COUNT];

		adopt_orphans(c, z.start, z.end, pins);
		unmap(c, z.start, z.end, pins);
		smp_store_release(&c->zap_applied, c->zap_applied + 1);
	}
	acknowledge(c);
unlock:
	up_write(&c->zap_lock);
}

/* Pins end without a word: look again. Also for OTR_MSG_ZAP. */
static void zap_work(struct work_struct *work)
{
	struct otr_context *c = container_of(work, struct otr_context, zap_work.work);

	if (READ_ONCE(c->closing))
		return;
	otr_zap_apply(c);
	down_write(&c->zap_lock);
	acknowledge(c);
	up_write(&c->zap_lock);
}

/* ---- Others ---- */

/* A fault found that Linux maps another frame than the co-kernel: drop it. */
void otr_zap_one(struct otr_context *c, u64 start, u64 bytes)
{
	unmap_mapping_range(c->inode->i_mapping, start, bytes, 1);
}

/* The context is detached: unmaps all there is; true when no pin is left. */
bool otr_zap_everything(struct otr_context *c)
{
	bool done;
	u32 i;

	down_write(&c->zap_lock);
	unmap_mapping_range(c->inode->i_mapping, 0, 0, 1);
	unmap(c, 0, OTR_USER_END, &c->last_pins);
	adopt_orphans(c, 0, OTR_USER_END, &c->last_pins);
	done = pins_done(&c->last_pins);
	for (i = 0; i < OTR_ZAP_COUNT; i++)
		done &= pins_done(&c->zap_pins[i]);
	up_write(&c->zap_lock);
	return done;
}

static bool pins_touch(struct list_head *pins, u64 pfn, u64 end)
{
	struct otr_pin *pin;

	pins_done(pins);
	list_for_each_entry(pin, pins, link)
		if (pin->pfn < end && pin->pfn + pin->count > pfn)
			return true;
	return false;
}

/* Memory leaves the partition, which no longer counts as its owner: unmaps
 * frames in it, which a co-kernel in order has zapped before. -EBUSY: pinned. */
int otr_zap_phys(struct otr_context *c, u64 phys, u64 bytes)
{
	u64 pfn = PHYS_PFN(phys), end = PHYS_PFN(phys + bytes), value, n;
	unsigned long key;
	void *entry;
	int ret = 0;
	u32 i;

	down_write(&c->zap_lock);
	xa_for_each(&c->frames, key, entry) {
		value = xa_to_value(entry);
		n = value & 1 ? HUGE_PAGES : 1;
		if (value >> 1 >= end || (value >> 1) + n <= pfn)
			continue;
		unmap_mapping_range(c->inode->i_mapping, (u64)key << PAGE_SHIFT, n << PAGE_SHIFT, 1);
		if (frames_pinned(value >> 1, n)) {
			ret = -EBUSY;
			break;
		}
		xa_erase(&c->frames, key);
	}
	for (i = 0; !ret && i < OTR_ZAP_COUNT; i++)
		if (pins_touch(&c->zap_pins[i], pfn, end))
			ret = -EBUSY;
	if (!ret && pins_touch(&c->orphans, pfn, end))
		ret = -EBUSY;
	up_write(&c->zap_lock);
	return ret;
}

void otr_zap_init(struct otr_context *c)
{
	u32 i;

	init_rwsem(&c->zap_lock);
	xa_init(&c->frames);
	for (i = 0; i < OTR_ZAP_COUNT; i++)
		INIT_LIST_HEAD(&c->zap_pins[i]);
	INIT_LIST_HEAD(&c->last_pins);
	INIT_LIST_HEAD(&c->orphans);
	spin_lock_init(&c->orphan_lock);
	INIT_DELAYED_WORK(&c->zap_work, zap_work);
}

void otr_zap_fini(struct otr_context *c)
{
	xa_destroy(&c->frames);
}
