/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Contexts: one co-kernel process with its proxy.
 *   ctx.c       attach, exit, release
 *   ctx_call.c  twins, slots, wait, kick, start, stop
 *   ctx_vm.c    the unified address space: mappings and faults
 *   ctx_zap.c   removal of translations, and what Linux still pins
 *   ctx_file.c  files that the program maps
 *   ctx_share.c memory of Linux's that it shares
 *   ctx_pair.c  pairs of sockets that the co-kernel serves
 *   ctx_debug.c a debugger
 */
#ifndef OUTRIGGER_CTX_H
#define OUTRIGGER_CTX_H

#include <linux/mmu_notifier.h>

#include "abi/debug.h"
#include "outrigger.h"

#define OTR_CTX_SLOT_PAGES 128u      /* 4096 threads */
#define OTR_FAULT_TIMEOUT_MS 5000

/* A slot's twin; slot_lock of the partition. */
struct otr_twin {
	wait_queue_head_t wait;
	struct task_struct *task;    /* only compared */
	bool used;
};

struct otr_slot_page {
	struct otr_context *ctx;
	u32 page;
	struct otr_slot *slot;       /* in the partition's memory */
	struct otr_twin twin[OTR_SLOTS_PER_PAGE];
};

/* Frames that Linux had mapped and may still have pinned. */
struct otr_pin {
	struct list_head link;
	u64 start;                   /* address of the first frame */
	u64 pfn;
	u32 count;
};

struct otr_context {
	struct kref ref;
	struct list_head link;       /* partition.contexts; ctx_lock */
	struct otr_partition *p;     /* with a reference */
	struct inode *inode;         /* with a reference; its mapping has the VMAs */
	u32 id;
	pid_t tgid;                  /* as the proxy itself sees it */
	struct pid *pid;             /* of the proxy's thread group */
	bool killed_too;             /* OTR_ATTACH_KILL */

	/* Taken for reading by whoever touches the partition's memory through this
	 * context; written once, by the release. */
	struct rw_semaphore life;
	bool detached;               /* life */

	/* Set once each, read anywhere. */
	bool exited;                 /* PROC_EXIT came, or the partition is gone */
	u32 status;                  /* wait status, valid with exited */
	bool dead;                   /* the partition is gone */
	bool closing;                /* released, or about to be */
	unsigned long release_flag;
	wait_queue_head_t wait;      /* exited, dead, closing */
	struct work_struct release_work;

	struct work_struct stop_work;
	bool stop_wanted;
	bool stop_sent;              /* stop_work only */

	u64 root_phys;               /* program's page table, checked to be owned */
	struct otr_ctx_private *priv;
	u32 private_page;
	u32 mailbox_page;
	struct mutex twin_lock;      /* more slot pages, one at a time */
	u32 slot_pages;              /* only grows until the release */
	struct otr_slot_page *slots[OTR_CTX_SLOT_PAGES];

	/* Files; see ctx_file.c */
	struct mutex files_lock;
	struct xarray files;         /* by number: struct file */
	struct xarray file_numbers;  /* by struct file's address: number */
	u32 next_file;
	wait_queue_head_t fetch_wait;

	/* Grants; see ctx_share.c */
	struct mutex mirror_lock;
	bool mirrored;               /* mirror_lock: the notifier is in */
	struct mmu_interval_notifier mirror;
	struct mutex grant_lock;
	struct xarray grants;        /* by page number: pfn; grant_lock */

	/* A debugger; see ctx_debug.c */
	struct mutex debug_lock;
	bool debugged;               /* debug_lock; by one file */
	bool has_debug_page;         /* debug_lock; until the release */
	u32 debug_page;
	bool debug_event;            /* something stopped; any context */

	/* Zaps; see ctx_zap.c */
	struct rw_semaphore zap_lock;
	struct xarray frames;        /* by page number: pfn << 1 | huge */
	u64 zap_applied;             /* written under zap_lock */
	u64 zap_acked;
	struct list_head zap_pins[OTR_ZAP_COUNT];
	struct list_head last_pins;  /* of the release */
	struct list_head orphans;    /* replaced without a zap; orphan_lock */
	spinlock_t orphan_lock;
	struct delayed_work zap_work;
};

static inline bool otr_ctx_over(struct otr_context *c)
{
	return READ_ONCE(c->exited) || READ_ONCE(c->closing);
}

struct otr_file {
	struct mutex lock;           /* attach once */
	struct inode *inode;
	struct otr_context *ctx;
	struct otr_context *debugs;  /* with a reference; then ctx is NULL */
};

/* ctx.c. The file's context with `life` held for reading, or an error. */
struct otr_context *otr_ctx_enter(struct file *file, struct otr_note *note);
void otr_ctx_leave(struct otr_context *c);
void otr_ctx_get(struct otr_context *c);
void otr_ctx_put(struct otr_context *c);
void otr_ctx_begin_release(struct otr_context *c);
bool otr_ctx_kill(struct otr_context *c);
struct otr_context *otr_ctx_of_pid(struct otr_partition *p, struct pid *pid);
int otr_ctx_page_alloc(struct otr_partition *p, u32 *page);
void otr_ctx_page_free(struct otr_partition *p, u32 page);
void *otr_ctx_page(struct otr_partition *p, u32 page);

/* ctx_call.c */
struct otr_slot_page *otr_slots_alloc(struct otr_context *c, struct otr_note *note);
void otr_slots_free(struct otr_context *c);
void otr_slots_wake(struct otr_context *c);
void otr_ctx_stop_work(struct work_struct *work);

/* ctx_vm.c */
bool otr_ctx_user_page(struct otr_context *c, u32 page);

/* ctx_file.c */
void otr_files_init(struct otr_context *c);
void otr_files_fini(struct otr_context *c);
int otr_fetch_run(struct otr_context *c, u32 index);

/* ctx_share.c */
void otr_share_init(struct otr_context *c);
void otr_share_end(struct otr_context *c);
void otr_share_fini(struct otr_context *c);

/* ctx_pair.c */
void otr_pairs_end(struct otr_partition *p);

/* ctx_debug.c */
void otr_debug_close(struct otr_file *f);

/* ctx_zap.c */
void otr_zap_init(struct otr_context *c);
int otr_zap_record(struct otr_context *c, u64 addr, u64 pfn, bool huge);
void otr_zap_apply(struct otr_context *c);
void otr_zap_one(struct otr_context *c, u64 start, u64 bytes);
bool otr_zap_everything(struct otr_context *c);
int otr_zap_phys(struct otr_context *c, u64 phys, u64 bytes);
void otr_zap_fini(struct otr_context *c);
bool otr_page_pinned(struct page *page);

#endif
