// SPDX-License-Identifier: GPL-2.0
/*
 * The first way to memory: whole memory blocks, hot-removed from Linux and
 * registered again as device memory, so that they have struct pages and a
 * write-back mapping but no allocator. Called by memory.c under otr_memory_lock.
 */
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/memory.h>
#include <linux/memory_hotplug.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/set_memory.h>
#include <linux/slab.h>

#include "outrigger.h"

#define OFFLINE_TIMEOUT_MS 15000
#define AUTO_ONLINE "/sys/devices/system/memory/auto_online_blocks"
/* Pages that look unmovable may just be on their way to a list. */
#define ODD_PAGES_MAX 256

/* ---- Removing ---- */

/* offline_and_remove_memory() migrates until it succeeds or a signal is
 * pending; a thread of its own can be given that signal after a bound. */
struct offline_job {
	u64 start;
	u64 bytes;
	int ret;
	struct completion done;
};

static int offline_thread(void *arg)
{
	struct offline_job *job = arg;

	allow_signal(SIGUSR1);
	job->ret = offline_and_remove_memory(job->start, job->bytes);
	complete(&job->done);
	return 0;
}

static int offline_bounded(u64 start, u64 bytes)
{
	struct offline_job job = { .start = start, .bytes = bytes };
	struct task_struct *t;

	init_completion(&job.done);
	t = kthread_create(offline_thread, &job, "otr_offline");
	if (IS_ERR(t))
		return PTR_ERR(t);
	get_task_struct(t);
	wake_up_process(t);
	if (wait_for_completion_killable_timeout(&job.done,
			msecs_to_jiffies(OFFLINE_TIMEOUT_MS)) <= 0) {
		send_sig(SIGUSR1, t, 1);
		wait_for_completion(&job.done);
	}
	put_task_struct(t);
	return job.ret;
}

/* Whether Linux maps the block with a page of 1 GiB that reaches beyond it. */
static bool in_large_mapping(u64 start, u64 bytes)
{
	unsigned int level = PG_LEVEL_NONE;

	if (IS_ALIGNED(start, PUD_SIZE) && IS_ALIGNED(bytes, PUD_SIZE))
		return false;
	return lookup_address((unsigned long)__va(start), &level) && level == PG_LEVEL_1G;
}

/* remove_pud_table() takes such a mapping for a page table that lies in the first page of the
 * 1 GiB: it frees that page and unmaps all of it, the part that stays with Linux as well. Split
 * before, there is a page table. What splits it is another cache type for one page, which must be
 * ours meanwhile; any page of the block will do. */
static int split_mapping(u64 start, u64 bytes)
{
	unsigned long pfn = PHYS_PFN(start), end = PHYS_PFN(start + bytes);
	int ret = -EBUSY;

	for (; pfn < end && in_large_mapping(start, bytes); pfn += pageblock_nr_pages) {
		unsigned long at = (unsigned long)__va(PFN_PHYS(pfn));

		if (fatal_signal_pending(current))
			return -EINTR;
		if (alloc_contig_range(pfn, pfn + 1, MIGRATE_MOVABLE, GFP_KERNEL | __GFP_NOWARN))
			continue;
		ret = set_memory_uc(at, 1);
		if (!ret)
			ret = set_memory_wb(at, 1);
		free_contig_range(pfn, 1);
		if (ret)
			return ret;
	}
	return in_large_mapping(start, bytes) ? ret ? ret : -EBUSY : 0;
}

/* Linux cannot take a block out of the middle of a System RAM resource that has
 * children above the block: release_mem_region_adjustable() leaves them with the
 * lower part, warns, and the resource stays wrong. Such children are the kernel's
 * own image and the crash kernel's reservation. */
struct ram {
	u64 start, end;              /* the block */
	u64 ram_start, ram_end;      /* the resource that it is in */
};

static int find_ram(struct resource *res, void *arg)
{
	struct ram *r = arg;

	if (res->start > r->start || res->end < r->end - 1)
		return 0;
	r->ram_start = res->start;
	r->ram_end = res->end + 1;
	return 1;
}

static int child_above(struct resource *res, void *arg)
{
	struct ram *r = arg;

	return res->start >= r->end && res->start < r->ram_end;
}

static bool can_split(u64 start, u64 bytes)
{
	struct ram r = { .start = start, .end = start + bytes };
	u64 image = __pa(&boot_cpu_data);

	if (walk_iomem_res_desc(IORES_DESC_NONE, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY,
				0, -1, &r, find_ram) != 1)
		return false;
	if (r.ram_start == r.start || r.ram_end == r.end)
		return true;
	if (image >= r.end && image < r.ram_end)
		return false;
	return walk_iomem_res_desc(IORES_DESC_CRASH_KERNEL, IORESOURCE_SYSTEM_RAM | IORESOURCE_BUSY,
				   0, -1, &r, child_above) != 1;
}

/* Whether a block is whole, online, on the node, and looks movable. */
static bool block_fits(unsigned long pfn, unsigned long count, int node)
{
	unsigned long i, odd = 0;
	struct page *page;

	for (i = 0; i < count; i++) {
		if (!(i % PAGES_PER_SECTION)) {
			if (!pfn_to_online_page(pfn + i))
				return false;
			cond_resched();
		}
		page = pfn_to_page(pfn + i);
		if (page_to_nid(page) != node || PageReserved(page))
			return false;
		if (page_count(page) && !PageLRU(page) && ++odd > ODD_PAGES_MAX &&
		    page_zonenum(page) != ZONE_MOVABLE)
			return false;
	}
	return true;
}

static struct otr_chunk *take_block(struct otr_partition *p, u64 start, u64 bytes, int node)
{
	struct otr_chunk *c = kzalloc(sizeof(*c), GFP_KERNEL);
	void *mapped;
	int ret;

	if (!c)
		return ERR_PTR(-ENOMEM);
	ret = split_mapping(start, bytes);
	if (!ret)
		ret = offline_bounded(start, bytes);
	if (ret) {
		kfree(c);
		return ERR_PTR(ret);
	}
	c->start = start;
	c->bytes = bytes;
	c->node = node;
	c->kind = OTR_MEM_BLOCK;
	otr_chunk_name(c, p);
	c->res = (struct resource){
		.start = start, .end = start + bytes - 1, .name = c->name,
		.flags = IORESOURCE_MEM | IORESOURCE_BUSY,
	};
	ret = insert_resource(&iomem_resource, &c->res);
	if (ret)
		goto give_back;
	c->pgmap.type = MEMORY_DEVICE_GENERIC;
	c->pgmap.nr_range = 1;
	c->pgmap.range.start = start;
	c->pgmap.range.end = start + bytes - 1;
	mapped = memremap_pages(&c->pgmap, node);
	if (IS_ERR(mapped)) {
		ret = PTR_ERR(mapped);
		release_resource(&c->res);
		goto give_back;
	}
	return c;
give_back:
	otr_pr(err, p, "memory block at %#llx cannot be registered (error %d)\n", start, ret);
	if (add_memory(node, start, bytes, MHP_NONE))
		pr_err("memory at %#llx is lost until the next boot\n", start);
	kfree(c);
	return ERR_PTR(ret);
}

/* One block if it fits: 1 taken, 0 not, or -ENOMEM, -EINTR. */
static int try_block(struct otr_partition *p, unsigned long pfn, unsigned long count, int node,
		     struct list_head *to, bool dry)
{
	struct otr_chunk *c;

	if (fatal_signal_pending(current))
		return -EINTR;
	if (!block_fits(pfn, count, node) || !can_split(PFN_PHYS(pfn), PFN_PHYS(count)))
		return 0;
	if (dry)
		return 1;
	c = take_block(p, PFN_PHYS(pfn), PFN_PHYS(count), node);
	if (IS_ERR(c))
		return PTR_ERR(c) == -ENOMEM ? -ENOMEM : 0;	/* else try the next one */
	list_add(&c->link, to);
	return 1;
}

/* Blocks of [start, end), from the top down or from the bottom up. */
static int take_between(struct otr_partition *p, unsigned long start, unsigned long end, bool down,
			int node, u64 bytes, u64 *taken, struct list_head *to, bool dry)
{
	unsigned long count = memory_block_size_bytes() >> PAGE_SHIFT, i, n;
	int ret;

	start = ALIGN(start, count);
	n = end > start ? (end - start) / count : 0;
	for (i = 0; i < n && *taken < bytes; i++) {
		ret = try_block(p, start + (down ? n - 1 - i : i) * count, count, node, to, dry);
		if (ret < 0)
			return ret;
		*taken += ret ? PFN_PHYS(count) : 0;
	}
	return 0;
}

/* One node: first what lies above 4 GiB, from the top down, then from the bottom
 * up (a block that cannot be split off otherwise), then the rest. */
static int take_on_node(struct otr_partition *p, int node, u64 bytes, u64 *taken,
			struct list_head *to, bool dry)
{
	unsigned long start = node_start_pfn(node), end = node_end_pfn(node);
	unsigned long high = clamp(PHYS_PFN(SZ_4G), start, end);
	int ret;

	ret = take_between(p, high, end, true, node, bytes, taken, to, dry);
	if (!ret && !dry)
		ret = take_between(p, high, end, false, node, bytes, taken, to, dry);
	if (!ret)
		ret = take_between(p, start, high, true, node, bytes, taken, to, dry);
	if (!ret && !dry)
		ret = take_between(p, start, high, false, node, bytes, taken, to, dry);
	return ret;
}

int otr_block_take(struct otr_partition *p, int node, u64 bytes, u64 *taken,
		   struct list_head *to, bool dry)
{
	int nid, far, ret = 0;

	if (node >= 0)
		return take_on_node(p, node, bytes, taken, to, dry);
	/* nodes of the partition's CPUs first */
	for (far = 0; far < 2; far++)
		for_each_node_state(nid, N_MEMORY)
			if (!ret && *taken < bytes && otr_memory_near(p, nid) == !far)
				ret = take_on_node(p, nid, bytes, taken, to, dry);
	return ret;
}

/* ---- Returning ---- */

struct sysfs_job {
	struct work_struct work;
	const char *path;
	const char *write;           /* 0: read only */
	char old[32];
	int ret;
};

/* In a kernel worker, whose root directory is the machine's. */
static void sysfs_work(struct work_struct *work)
{
	struct sysfs_job *job = container_of(work, struct sysfs_job, work);
	struct file *f = filp_open(job->path, O_RDWR, 0);
	loff_t pos = 0;
	ssize_t n;

	if (IS_ERR(f)) {
		job->ret = PTR_ERR(f);
		return;
	}
	n = kernel_read(f, job->old, sizeof(job->old) - 1, &pos);
	job->old[n > 0 ? n : 0] = 0;
	pos = 0;
	n = kernel_write(f, job->write, strlen(job->write), &pos);
	job->ret = n < 0 ? n : 0;
	filp_close(f, NULL);
}

static int sysfs_write(struct sysfs_job *job, const char *path, const char *what)
{
	job->path = path;
	job->write = what;
	INIT_WORK_ONSTACK(&job->work, sysfs_work);
	queue_work(otr_wq, &job->work);
	flush_work(&job->work);
	destroy_work_on_stack(&job->work);
	return job->ret;
}

int otr_block_return(struct otr_chunk *c)
{
	struct sysfs_job job, back;
	int ret, set;

	memunmap_pages(&c->pgmap);
	release_resource(&c->res);
	/* Comes back online and movable, whatever the machine's default. */
	set = sysfs_write(&job, AUTO_ONLINE, "online_movable");
	ret = add_memory(c->node, c->start, c->bytes, MHP_NONE);
	if (!set)
		sysfs_write(&back, AUTO_ONLINE, strim(job.old));
	if (ret)
		pr_err("memory at %#llx was not taken back by Linux (error %d) and is lost until the next boot\n",
		       c->start, ret);
	else if (!pfn_to_online_page(PHYS_PFN(c->start)))
		pr_warn("memory at %#llx is back but offline; echo online_movable > /sys/devices/system/memory/memory%llu/state\n",
			c->start, c->start / memory_block_size_bytes());
	return 0;
}
