// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of partitions: taken, listed, given back. How it leaves Linux and
 * returns is in memory_block.c and memory_contig.c; both hand over lists of
 * chunks. Memory is zeroed here before it changes owner, in both directions.
 */
#include <linux/delay.h>
#include <linux/list_sort.h>
#include <linux/memory.h>
#include <linux/sched.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "outrigger.h"

#define UNPIN_TIMEOUT_MS 5000

DEFINE_MUTEX(otr_memory_lock);

void otr_memory_zero(u64 phys, u64 bytes)
{
	u64 done, n;

	for (done = 0; done < bytes; done += n) {
		n = min_t(u64, bytes - done, OTR_MIB2);
		memset(__va(phys + done), 0, n);
		cond_resched();
	}
}

/* Whether [phys, phys + bytes) belongs to the partition; any context. */
bool otr_memory_owns(struct otr_partition *p, u64 phys, u64 bytes, u32 *kind)
{
	struct otr_spans *s;
	bool owns = false;
	u32 i;

	rcu_read_lock();
	s = rcu_dereference(p->spans);
	for (i = 0; s && i < s->count; i++) {
		if (phys < s->span[i].start || phys >= s->span[i].end)
			continue;
		owns = bytes <= s->span[i].end - phys;
		if (kind)
			*kind = s->span[i].kind;
		break;
	}
	rcu_read_unlock();
	return owns;
}

static int chunk_order(void *unused, const struct list_head *a, const struct list_head *b)
{
	const struct otr_chunk *x = list_entry(a, struct otr_chunk, link);
	const struct otr_chunk *y = list_entry(b, struct otr_chunk, link);

	return x->start < y->start ? -1 : x->start > y->start;
}

/* Publishes what the partition owns after a change of its chunks. */
static int spans_update(struct otr_partition *p)
{
	struct otr_spans *s, *old;
	struct otr_chunk *c;
	u32 count = 0;

	list_sort(NULL, &p->chunks, chunk_order);
	list_for_each_entry(c, &p->chunks, link)
		count++;
	s = kzalloc(struct_size(s, span, count), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	list_for_each_entry(c, &p->chunks, link) {
		struct otr_span *last = s->count ? &s->span[s->count - 1] : NULL;

		if (c->leaving)
			continue;
		if (last && last->end == c->start && last->node == c->node &&
		    last->kind == c->kind) {
			last->end += c->bytes;
			continue;
		}
		s->span[s->count++] = (struct otr_span){
			.start = c->start, .end = c->start + c->bytes,
			.node = c->node, .kind = c->kind,
		};
	}
	old = rcu_replace_pointer(p->spans, s, lockdep_is_held(&p->op_lock));
	if (old)
		kfree_rcu(old, rcu);
	return 0;
}

/* Whether one of the partition's CPUs is on the node. op_lock held. */
bool otr_memory_near(struct otr_partition *p, int node)
{
	struct otr_cpu *c;

	list_for_each_entry(c, &p->cpus, link)
		if (c->node == node)
			return true;
	return false;
}

void otr_chunk_name(struct otr_chunk *c, struct otr_partition *p)
{
	snprintf(c->name, sizeof(c->name), "Outrigger %s", p->name);
}

/* Pins that Linux still has on the memory (O_DIRECT, vmsplice) end by themselves. */
static int wait_unpinned(struct otr_chunk *c)
{
	unsigned long pfn = PHYS_PFN(c->start), end = PHYS_PFN(c->start + c->bytes);
	unsigned long stop = jiffies + msecs_to_jiffies(UNPIN_TIMEOUT_MS);

	for (; pfn < end; pfn++) {
		while (page_ref_count(pfn_to_page(pfn)) > 1) {
			if (time_after(jiffies, stop)) {
				pr_err("page %#lx is still in use by Linux\n", pfn);
				return -EBUSY;
			}
			msleep(20);
		}
	}
	return 0;
}

/* Frees c, unless it stays: then it is to be listed again. */
static int chunk_return(struct otr_chunk *c)
{
	int ret = wait_unpinned(c);

	if (ret)
		return ret;
	otr_memory_zero(c->start, c->bytes);
	ret = c->kind == OTR_MEM_BLOCK ? otr_block_return(c) : otr_contig_return(c);
	if (!ret)
		kfree(c);
	return ret;
}

static void return_list(struct list_head *list)
{
	struct otr_chunk *c, *next;

	list_for_each_entry_safe(c, next, list, link) {
		list_del(&c->link);
		if (chunk_return(c))
			pr_err("memory at %#llx is lost until the next boot\n", c->start);
	}
}

/* Takes by the asked way; *taken counts even when it is not enough. */
static int take(struct otr_partition *p, struct otr_ioc_memory *req, u64 *taken,
		struct list_head *list)
{
	bool dry = req->flags & OTR_DRY_RUN;
	u64 block = memory_block_size_bytes(), more = 0;
	int ret = 0;

	if (req->kind != OTR_MEM_CONTIG && req->bytes >= block)
		ret = otr_block_take(p, req->node, rounddown(req->bytes, block), taken, list, dry);
	if (ret || req->kind == OTR_MEM_BLOCK || *taken >= req->bytes)
		return ret;
	ret = otr_contig_take(p, req->node, req->bytes - *taken, &more, list, dry);
	*taken += more;
	return ret;
}

static int announce(struct otr_partition *p, struct otr_chunk *c)
{
	struct otr_msg msg = {
		.type = OTR_MSG_MEM_ADD,
		.arg = { c->start, c->bytes, c->node },
	};

	return otr_request(p, &msg, NULL, OTR_REQUEST_TIMEOUT_MS, true);
}

/* What Linux keeps in any case. */
#define LINUX_NEEDS (128ull << 20)

static int check_add(struct otr_ioc_memory *req, struct otr_note *note)
{
	u64 block = memory_block_size_bytes(), available, most;

	if (req->kind > OTR_MEM_CONTIG)
		return otr_refuse(note, -EINVAL, "unknown way %u to take memory", req->kind);
	if (!req->bytes || !IS_ALIGNED(req->bytes, OTR_MIB2))
		return otr_refuse(note, -EINVAL, "%llu bytes is not a multiple of 2 MiB", req->bytes);
	if (req->kind == OTR_MEM_BLOCK && !IS_ALIGNED(req->bytes, block))
		return otr_refuse(note, -EINVAL,
				  "%llu MiB is not a multiple of this machine's memory block, %llu MiB",
				  req->bytes >> 20, block >> 20);
	if (req->node < -1 || req->node >= MAX_NUMNODES ||
	    (req->node >= 0 && !node_online(req->node)))
		return otr_refuse(note, -EINVAL, "NUMA node %d does not exist", req->node);
	/* Finding out by taking would bring Linux's out-of-memory killer in. */
	available = PFN_PHYS((u64)max(si_mem_available(), 0l));
	most = available > LINUX_NEEDS ? rounddown(available - LINUX_NEEDS, OTR_MIB2) : 0;
	if (req->bytes > most)
		return otr_refuse(note, -ENOMEM,
				  "%llu MiB of memory wanted, but Linux can let go of %llu MiB at most: the rest is in use",
				  req->bytes >> 20, most >> 20);
	return 0;
}

/* op_lock held. */
int otr_memory_add(struct otr_partition *p, struct otr_ioc_memory *req, struct otr_note *note)
{
	struct otr_chunk *c, *next;
	u64 wanted = req->bytes, taken = 0;
	LIST_HEAD(list);
	int ret;

	ret = check_add(req, note);
	if (ret)
		return ret;
	mutex_lock(&otr_memory_lock);
	ret = take(p, req, &taken, &list);
	req->bytes = taken;
	if (!ret && taken < wanted)
		ret = otr_refuse(note, -ENOMEM,
				 "%llu MiB wanted, but Linux can let go of %llu MiB only%s",
				 wanted >> 20, taken >> 20,
				 req->node >= 0 ? " on that node" : "");
	if (ret) {
		return_list(&list);
		goto unlock;
	}
	if (req->flags & OTR_DRY_RUN)
		goto unlock;
	list_for_each_entry_safe(c, next, &list, link) {
		otr_memory_zero(c->start, c->bytes);
		list_move_tail(&c->link, &p->chunks);
	}
	ret = spans_update(p);
	if (ret)
		goto unlock;	/* still listed: destroy returns it */
	if (otr_state(p) != OTR_PART_RUNNING)
		goto unlock;
	mutex_unlock(&otr_memory_lock);
	/* A chunk that the co-kernel will not have stays with the partition and is
	 * used at its next boot. */
	list_for_each_entry(c, &p->chunks, link) {
		if (c->announced)
			continue;
		ret = announce(p, c);
		if (ret)
			return otr_refuse(note, ret, "the co-kernel refused the memory (error %d); it gets it at its next boot",
					  ret);
		c->announced = true;
	}
	return 0;
unlock:
	mutex_unlock(&otr_memory_lock);
	return ret;
}

/* Takes one chunk out of the running co-kernel and checks that it let go. */
static int leave_live(struct otr_partition *p, struct otr_chunk *c)
{
	struct otr_msg msg = {
		.type = OTR_MSG_MEM_REMOVE,
		.arg = { c->start, c->bytes },
	};
	int ret;

	if (!c->announced)
		return 0;
	ret = otr_request(p, &msg, NULL, OTR_REQUEST_TIMEOUT_MS, true);
	if (ret)
		return ret;
	c->announced = false;
	return 0;
}

/* A chunk stays after all although the co-kernel had let go of it. */
static void come_back(struct otr_partition *p, struct otr_chunk *c)
{
	if (otr_state(p) == OTR_PART_RUNNING && !announce(p, c))
		c->announced = true;
}

static int remove_chunk(struct otr_partition *p, struct otr_chunk *c)
{
	int ret;

	c->leaving = true;
	ret = spans_update(p);
	if (!ret) {
		synchronize_rcu();
		ret = otr_ctx_unmap_range(p, c->start, c->bytes);
	}
	if (ret) {
		c->leaving = false;
		spans_update(p);
		return ret;
	}
	list_del(&c->link);
	mutex_lock(&otr_memory_lock);
	ret = chunk_return(c);
	mutex_unlock(&otr_memory_lock);
	if (ret) {
		c->leaving = false;
		list_add_tail(&c->link, &p->chunks);
		spans_update(p);
	}
	return ret;
}

static bool may_leave(struct otr_partition *p, struct otr_chunk *c,
		      const struct otr_ioc_memory *req, bool running)
{
	if (req->node >= 0 && c->node != req->node)
		return false;
	if (req->kind != OTR_MEM_ANY && c->kind != req->kind)
		return false;
	return !running || p->sh.phys < c->start || p->sh.phys >= c->start + c->bytes;
}

/* op_lock held. Gives back whole chunks, the highest first, never more than
 * asked for and never the one with the shared region of a running partition. */
int otr_memory_remove(struct otr_partition *p, struct otr_ioc_memory *req, struct otr_note *note)
{
	bool running = otr_state(p) == OTR_PART_RUNNING;
	bool dry = req->flags & OTR_DRY_RUN;
	u64 wanted = req->bytes, smallest = U64_MAX, bytes;
	struct otr_chunk *c, *next;
	int ret, last = 0;

	if (!wanted || !IS_ALIGNED(wanted, OTR_MIB2))
		return otr_refuse(note, -EINVAL, "%llu bytes is not a multiple of 2 MiB", wanted);
	if (!running && !dry) {
		down_write(&p->shared_lock);
		p->shared_valid = false;	/* the old log goes with its memory */
		up_write(&p->shared_lock);
	}
	req->bytes = 0;
	list_for_each_entry_safe_reverse(c, next, &p->chunks, link) {
		bytes = c->bytes;
		if (!may_leave(p, c, req, running))
			continue;
		smallest = min(smallest, bytes);
		if (bytes > wanted - req->bytes)
			continue;
		ret = !dry && running ? leave_live(p, c) : 0;
		if (!ret && !dry) {
			ret = remove_chunk(p, c);
			if (ret && running)
				come_back(p, c);
		}
		if (ret)
			last = ret;
		else
			req->bytes += bytes;
		if (req->bytes == wanted)
			return 0;
	}
	if (last)
		return otr_refuse(note, last, "%llu of %llu MiB returned; the rest is in use (error %d)",
				  req->bytes >> 20, wanted >> 20, last);
	if (smallest != U64_MAX && smallest > wanted - req->bytes)
		return otr_refuse(note, -EINVAL, "%llu of %llu MiB returned; the smallest piece left is %llu MiB",
				  req->bytes >> 20, wanted >> 20, smallest >> 20);
	return otr_refuse(note, -ENOENT, "the partition could return only %llu of %llu MiB",
			  req->bytes >> 20, wanted >> 20);
}

/* op_lock held, all CPUs stopped, no context left. */
int otr_memory_return_all(struct otr_partition *p, struct otr_note *note)
{
	struct otr_chunk *c, *next;
	int ret = 0, err;

	mutex_lock(&otr_memory_lock);
	list_for_each_entry_safe(c, next, &p->chunks, link) {
		list_del(&c->link);
		err = chunk_return(c);
		if (err) {
			list_add(&c->link, &p->chunks);
			ret = otr_refuse(note, err, "memory at %#llx does not go back to Linux (error %d)",
					 c->start, err);
		}
	}
	mutex_unlock(&otr_memory_lock);
	spans_update(p);
	return ret;
}
