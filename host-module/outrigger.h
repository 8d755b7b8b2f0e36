/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The host module's own structures and the functions its files offer each
 * other.
 *
 * Lock order, outermost first:
 *   partition.op_lock      one administrative operation at a time
 *   otr_memory_lock        memory moves between Linux and partitions (memory.c)
 *   partition.cpu_lock     starting and stopping of its CPUs
 *   otr_start_lock         the borrowed start-up page (cpu.c)
 *   partition.shared_lock  the shared region exists (read) or changes (write)
 *   partition.ctx_lock     list of contexts
 *   context.zap_lock       read: faults insert frames; write: zaps remove them
 *   context.files_lock     numbers of files; taken alone, a parent's before its child's
 *   context.grant_lock     grants of Linux's memory; inside Linux's locks on mappings and pages
 *   partition.version_mutex  giving versions to files; Linux's locks on marks are inside
 *   partition.pair_lock    pairs of sockets; with nothing of ours inside
 *   spin locks: partition.state_lock, .req_lock, .tx_lock, .slot_lock, .bell_lock, .ring_lock,
 *               .version_lock (inside Linux's locks on inodes and marks);
 *               otr_cpu_owner_lock, otr_clock_lock. None is taken inside another,
 *               except tx_lock inside req_lock.
 * otr_list_lock (names) is taken alone, to look up and to link.
 */
#ifndef OUTRIGGER_H
#define OUTRIGGER_H

#undef pr_fmt
#define pr_fmt(fmt) "outrigger: " fmt

#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/device.h>
#include <linux/ioport.h>
#include <linux/irqreturn.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/memremap.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/uidgid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "abi/boot.h"
#include "abi/call.h"
#include "abi/chan.h"
#include "abi/ioctl.h"
#include "abi/status.h"

#include "compat.h"

#define OTR_MIB2 (2ull << 20)
#define OTR_RING_COUNT 512u
#define OTR_LOG_BYTES (256u << 10)
#define OTR_CONSOLE_BYTES (64u << 10)
#define OTR_INPUT_BYTES (4u << 10)
#define OTR_CPU_LIMIT_MAX 1024u
#define OTR_VERSIONS 4096u       /* files of a partition that have one, at a time */
#define OTR_BOOT_TIMEOUT_MS 10000
#define OTR_REQUEST_TIMEOUT_MS 10000

/* The sentence that a refusal carries to the caller. */
struct otr_note {
	char text[256];
};
int otr_refuse(struct otr_note *note, int err, const char *fmt, ...)
	__printf(3, 4);

/* ---- CPUs (cpu.c) ---- */

struct otr_cpu {
	struct list_head link;       /* partition.cpus; op_lock and cpu_lock */
	u32 index;                   /* place in the boot header's table */
	u32 linux_cpu;
	u32 apic_id;
	int node;
	u64 hwp_request;
	struct kobject *kobj;        /* its folder in sysfs */
	bool started;                /* cpu_lock; read without by the pinger */
	u32 ping;                    /* watchdog only */
	bool ping_open;              /* watchdog only: not yet answered */
	u32 ping_age;                /* watchdog only: its ticks since the ping */
	u32 nmi;                     /* watchdog only */
	u32 nmi_seen_age;            /* watchdog only: ping_age when the NMI was answered */
};

/* ---- Memory (memory.c) ---- */

/* One piece of memory, taken and given back as a whole. */
struct otr_chunk {
	struct list_head link;       /* partition.chunks, ascending; op_lock */
	u64 start;
	u64 bytes;
	int node;
	u32 kind;                    /* OTR_MEM_BLOCK or OTR_MEM_CONTIG */
	bool leaving;                /* no longer counted as owned */
	bool announced;              /* the running co-kernel knows it */
	char name[48];               /* in /proc/iomem */
	struct resource res;
	struct dev_pagemap pgmap;    /* OTR_MEM_BLOCK */
};

/* What the partition owns, merged and ascending; replaced as a whole. */
struct otr_span {
	u64 start;
	u64 end;
	int node;
	u32 kind;
};
struct otr_spans {
	struct rcu_head rcu;
	u32 count;
	struct otr_span span[];
};

/* ---- Shared region (boot.c) ---- */

/* Host's own pointers and sizes; nothing of it is read back from the region. */
struct otr_shared {
	u64 phys;
	u64 bytes;
	u32 cpu_limit;
	u32 ctx_pages;
	struct otr_boot *boot;
	struct otr_status *status;
	struct otr_cpu_status *cpu_status;
	struct otr_cpu_control *cpu_control;
	struct otr_cpu_regs *cpu_regs;
	struct otr_clock *clock;
	struct otr_ring *h2c;
	struct otr_ring *c2h;
	struct otr_bytes *log;
	struct otr_bytes *console;
	struct otr_bytes *input;
	struct otr_wake *wake_h2c;
	struct otr_wake *wake_c2h;
	void *contexts;
	u64 contexts_phys;
	struct otr_doorbell *doorbell;
	u32 *versions;
	u64 root_phys;               /* initial page table */
	u64 entry;
	u64 boot_virt;
};

struct otr_image {
	u32 segment_count;
	u32 log_level;
	u64 entry;
	u64 virt;                    /* lowest address */
	u64 bytes;                   /* of the whole image in memory */
	char *cmdline;
	u32 cmdline_bytes;
	struct otr_image_segment segment[OTR_IMAGE_SEGMENTS]; /* data: kernel pointers */
};

/* ---- Partition (partition.c) ---- */

struct otr_slot_page;

struct otr_partition {
	struct device dev;           /* holds the reference count */
	char name[OTR_NAME_SIZE];
	struct list_head link;       /* otr_list_lock */
	kuid_t uid;
	kgid_t gid;
	u32 mode;

	struct mutex op_lock;
	struct list_head chunks;
	struct otr_spans __rcu *spans; /* written under op_lock */
	struct otr_image *image;
	bool gone;                   /* destroyed; whoever waited for op_lock gives up */

	struct mutex cpu_lock;
	struct list_head cpus;       /* changed under cpu_lock and ring_lock */
	spinlock_t ring_lock;        /* whoever rings a CPU looks it up under it */

	spinlock_t state_lock;
	u32 state;                   /* OTR_PART_* */
	char reason[320];
	wait_queue_head_t state_wait;
	struct work_struct crash_work;
	struct work_struct event_work;

	struct rw_semaphore shared_lock;
	bool shared_valid;
	u64 tsc_load;                /* TSC at the start of the last boot */
	struct otr_shared sh;        /* written under op_lock and shared_lock */

	/* Channels (chan.c) */
	spinlock_t tx_lock;
	u32 tx_tail;
	u32 rx_head;                 /* message thread only */
	spinlock_t req_lock;
	struct list_head requests;
	u32 next_cookie;
	bool chan_open;              /* req_lock */

	/* Doorbell (doorbell.c) */
	unsigned int virq;
	char irq_name[48];
	bool bell_live;              /* bell_lock: sh.doorbell may be written */
	raw_spinlock_t bell_lock;
	u64 bell_count;
	u32 bell_second;             /* in this second */
	u32 bell_spurious;           /* of them, announcing nothing */
	u64 send_count;
	u32 message_count;           /* in this second */
	u32 useless_count;           /* of them, that nobody waited for */

	/* Clock (clock.c), otr_clock_lock */
	struct list_head clock_link;

	/* Watchdog */
	struct delayed_work watchdog;
	u32 watchdog_phase;

	/* Contexts (ctx.c) */
	struct mutex ctx_lock;
	struct list_head contexts;
	unsigned long *ctx_page_map; /* pages of AREA_CONTEXTS in use; ctx_lock */
	u32 next_context;
	atomic_t ctx_count;
	wait_queue_head_t ctx_wait;  /* a context went away */
	spinlock_t slot_lock;
	struct otr_slot_page **slot_page; /* by page number; slot_lock */
	u32 slot_page_end;           /* above the highest in use; slot_lock */

	/* Versions of files (version.c) */
	struct mutex version_mutex;
	struct fsnotify_group *version_group; /* version_mutex; between setup and teardown */
	spinlock_t version_lock;
	struct list_head versions;   /* version_lock */
	u32 last_version;            /* version_lock */
	DECLARE_BITMAP(version_map, OTR_VERSIONS); /* slots in use; version_lock */

	/* Pairs of sockets (ctx_pair.c), pair_lock */
	struct mutex pair_lock;
	struct xarray pairs;         /* by either file's address */
	u32 pair_count;
	u32 pair_sweep;              /* so many: look for those of no use */
};

#define otr_pr(level, p, fmt, ...) \
	pr_##level("%s: " fmt, (p)->name, ##__VA_ARGS__)

extern struct workqueue_struct *otr_wq;
extern struct class otr_class;

/* partition.c. Every operation checks everything, then acts, or undoes. */
int otr_partition_create(const struct otr_ioc_create *req, struct otr_note *note);
int otr_partition_destroy(struct otr_partition *p, u32 flags, struct otr_note *note);
int otr_partition_shutdown(struct otr_partition *p, u32 flags, u32 timeout_ms,
			   struct otr_note *note);
int otr_partition_kill(struct otr_partition *p, u32 flags, struct otr_note *note);
struct otr_partition *otr_partition_get(const char *name);
void otr_partition_put(struct otr_partition *p);
int otr_partition_lock(struct otr_partition *p, struct otr_note *note);
void otr_partition_unlock(struct otr_partition *p);
bool otr_state_move(struct otr_partition *p, u32 from_mask, u32 to, const char *reason);
u32 otr_state(struct otr_partition *p);
const char *otr_state_name(u32 state);
void otr_state_reason(struct otr_partition *p, char *to, size_t bytes);
/* Any context, interrupts included: the partition is broken, and why. */
void otr_crash(struct otr_partition *p, const char *fmt, ...) __printf(2, 3);
void otr_crash_status(struct otr_partition *p);
/* Stops CPUs and everything that looks at the shared region. op_lock held. */
void otr_partition_quiet(struct otr_partition *p);
int otr_partition_may(struct otr_partition *p, u32 bits);
/* The partition that the caller's request names, with a reference, if the caller may
 * run programs there; 0 or -errno. name: from user space, OTR_NAME_SIZE bytes. */
int otr_partition_get_to_run(const char *name, struct otr_partition **to, struct otr_note *note);
int otr_partition_count(void);
void otr_partitions_stop_all(const char *why);
void otr_partitions_each(void (*fn)(struct otr_partition *p));

#define OTR_IN(state) (1u << (state))
#define OTR_LIVE (OTR_IN(OTR_PART_BOOTING) | OTR_IN(OTR_PART_RUNNING) | OTR_IN(OTR_PART_STOPPING))
#define OTR_ANY 0xffu

/* cpu.c */
int otr_cpu_init(void);
void otr_cpu_fini(void);
int otr_cpu_add(struct otr_partition *p, u32 cpu, u32 flags, struct otr_note *note);
int otr_cpu_remove(struct otr_partition *p, u32 cpu, u32 flags, struct otr_note *note);
int otr_cpu_return(struct otr_partition *p, struct otr_cpu *c);
int otr_cpu_start(struct otr_partition *p, struct otr_cpu *c, struct otr_note *note);
void otr_cpu_stop_all(struct otr_partition *p, bool save_regs);
struct otr_cpu *otr_cpu_by_index(struct otr_partition *p, u32 index);
u64 otr_cpu_low_page(void);
void otr_ipi(u32 apic_id, u32 icr_low);
void otr_cpu_ring(struct otr_partition *p, struct otr_cpu *c);

/* trampoline.S */
extern const u8 otr_trampoline_start[], otr_trampoline_end[];
extern const u8 otr_trampoline_data[];

/* memory.c, memory_block.c, memory_contig.c */
extern struct mutex otr_memory_lock;
int otr_memory_add(struct otr_partition *p, struct otr_ioc_memory *req, struct otr_note *note);
int otr_memory_remove(struct otr_partition *p, struct otr_ioc_memory *req, struct otr_note *note);
int otr_memory_return_all(struct otr_partition *p, struct otr_note *note);
void otr_memory_zero(u64 phys, u64 bytes);
bool otr_memory_near(struct otr_partition *p, int node);
bool otr_memory_owns(struct otr_partition *p, u64 phys, u64 bytes, u32 *kind);
void otr_chunk_name(struct otr_chunk *c, struct otr_partition *p);
int otr_block_take(struct otr_partition *p, int node, u64 bytes, u64 *taken,
		   struct list_head *to, bool dry);
int otr_block_return(struct otr_chunk *c);
int otr_contig_take(struct otr_partition *p, int node, u64 bytes, u64 *taken,
		    struct list_head *to, bool dry);
int otr_contig_return(struct otr_chunk *c);

/* image.c */
int otr_image_load(struct otr_partition *p, const struct otr_ioc_load *req,
		   struct otr_note *note);
void otr_image_free(struct otr_image *img);

/* boot.c, layout.c, pgtable.c */
int otr_boot(struct otr_partition *p, u32 flags, struct otr_note *note);
int otr_layout(struct otr_partition *p, struct otr_note *note);
struct otr_tables {
	u64 phys;
	u64 used;
	u64 limit;
};
#define OTR_PTE_P  1ull
#define OTR_PTE_W  2ull
#define OTR_PTE_U  4ull
#define OTR_PTE_AD 0x60ull
#define OTR_PTE_PS 0x80ull
#define OTR_PTE_GRANT (1ull << 52)  /* the co-kernel's own mark: Linux's frame, see ctx_share.c */
#define OTR_PTE_NX (1ull << 63)
#define OTR_PTE_ADDR 0x000ffffffffff000ull
int otr_tables_map(struct otr_tables *t, u64 virt, u64 phys, u64 bytes, u64 flags);

/* doorbell.c */
int otr_doorbell_init(void);
void otr_doorbell_fini(void);
int otr_doorbell_open(struct otr_partition *p);
void otr_doorbell_close(struct otr_partition *p);

/* chan.c */
struct otr_request {
	struct list_head link;
	u32 cookie;
	int err;
	struct completion done;
	struct otr_msg reply;
};
void otr_chan_open(struct otr_partition *p);
void otr_chan_close(struct otr_partition *p);
int otr_request(struct otr_partition *p, struct otr_msg *msg, struct otr_msg *reply,
		u32 timeout_ms, bool killable);
bool otr_chan_pending(struct otr_partition *p);
void otr_chan_receive(struct otr_partition *p);
void otr_wake_send(struct otr_partition *p, u32 slot, u32 cpu_index);
int otr_log_read(struct otr_partition *p, struct otr_ioc_log *req, struct otr_note *note);
int otr_peek(struct otr_partition *p, const struct otr_ioc_peek *req, struct otr_note *note);

/* clock.c */
int otr_clock_init(void);
void otr_clock_fini(void);
void otr_clock_open(struct otr_partition *p);
void otr_clock_close(struct otr_partition *p);
bool otr_clock_is_tsc(void);

/* watchdog.c */
void otr_watchdog_work(struct work_struct *work);
void otr_watchdog_start(struct otr_partition *p);
void otr_watchdog_stop(struct otr_partition *p);

/* power.c */
int otr_power_init(void);
void otr_power_fini(void);

/* sysfs.c */
int otr_sysfs_init(void);
void otr_sysfs_fini(void);
void otr_sysfs_cpu_add(struct otr_partition *p, struct otr_cpu *c);
void otr_sysfs_cpu_remove(struct otr_cpu *c);
void otr_sysfs_changed(struct otr_partition *p);

/* version.c */
void otr_versions_init(struct otr_partition *p);
int otr_versions_setup(struct otr_partition *p);
void otr_versions_teardown(struct otr_partition *p);
void otr_version_get(struct otr_partition *p, struct file *file, u32 *slot, u32 *number);

/* chardev.c */
int otr_chardev_init(void);
void otr_chardev_fini(void);

/* ctx.c */
struct otr_file;
struct vm_area_struct;
struct file;
int otr_ctx_init(void);
void otr_ctx_fini(void);
int otr_ctx_open(struct file *file);
void otr_ctx_close(struct file *file);
int otr_ctx_mmap(struct file *file, struct vm_area_struct *vma);
int otr_ctx_attach(struct file *file, struct otr_ioc_attach *req, struct otr_note *note);
int otr_ctx_twin(struct file *file, struct otr_ioc_twin *req, struct otr_note *note);
int otr_ctx_start(struct file *file, struct otr_note *note);
int otr_ctx_wait(struct file *file, struct otr_ioc_wait *req, struct otr_note *note);
int otr_ctx_kick(struct file *file, u32 slot, struct otr_note *note);
int otr_ctx_zap(struct file *file, struct otr_note *note);
int otr_ctx_file(struct file *file, struct otr_ioc_file *req, struct otr_note *note);
int otr_ctx_inherit(struct file *file, struct otr_ioc_inherit *req, struct otr_note *note);
int otr_ctx_fetch(struct file *file, u32 index, struct otr_note *note);
int otr_next_cloexec(u32 from);
int otr_ctx_file_name(struct file *file, struct otr_ioc_file_name *req, struct otr_note *note);
bool otr_ctx_debug_event(struct otr_partition *p, u32 id);
int otr_debug_attach(struct file *file, struct otr_ioc_debug_attach *req, struct otr_note *note);
int otr_debug(struct file *file, struct otr_ioc_debug *req, struct otr_note *note);
__poll_t otr_debug_poll(struct file *file, struct poll_table_struct *table);
int otr_ctx_die(struct file *file, const struct otr_ioc_die *req, struct otr_note *note);
int otr_ctx_pair(struct file *file, struct otr_ioc_pair *req, struct otr_note *note);
int otr_ctx_of(struct file *file, struct otr_ioc_of *req, struct otr_note *note);
void otr_pairs_init(struct otr_partition *p);
int otr_ctx_grant(struct file *file, struct otr_ioc_grant *req, struct otr_note *note);
int otr_ctx_stop(struct file *file, bool stop, struct otr_note *note);
void otr_ctx_exit(struct otr_partition *p, u32 id, u32 status);
bool otr_ctx_zap_hint(struct otr_partition *p, u32 id);
void otr_ctx_wakes(struct otr_partition *p);
void otr_ctx_crashed(struct otr_partition *p);
void otr_ctx_poll(struct otr_partition *p);
int otr_ctx_setup(struct otr_partition *p);
int otr_ctx_teardown(struct otr_partition *p, u32 timeout_ms);
int otr_ctx_unmap_range(struct otr_partition *p, u64 phys, u64 bytes);

#endif
