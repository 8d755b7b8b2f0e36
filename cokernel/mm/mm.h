/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program's address space: areas (VMAs) in a tree, pages on demand, 2 MiB at a
 * time where an area covers them. Frames that the proxy may map stay in
 * quarantine after they were unmapped until the host has zapped them there
 * (abi/call.h). All functions take mm->lock themselves.
 */
#ifndef COKERNEL_MM_MM_H
#define COKERNEL_MM_MM_H

#include "abi/call.h"
#include "abi/debug.h"
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/paging.h"
#include "cokernel/lib/list.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/tree.h"
#include "cokernel/lib/types.h"
#include "cokernel/mm/filecache.h"
#include "cokernel/mm/policy.h"
#include "cokernel/sched/mutex.h"

/* Protection; Linux's PROT_* values. */
#define MM_READ  1u
#define MM_WRITE 2u
#define MM_EXEC  4u

/* mm_map() flags */
#define MM_FIXED      1u    /* at this address, replacing what is there */
#define MM_NOREPLACE  2u    /* with MM_FIXED: -EEXIST instead */
#define MM_NOHUGE     4u
#define MM_POPULATE   8u
/* Of areas that share Linux's memory: */
#define MM_SYSV      16u    /* attached by shmat */
#define MM_UNNAMED   32u    /* has no file that a fault ahead would change */
/* Of any area: */
#define MM_DONTFORK   64u   /* a child does not get it */
#define MM_WIPEONFORK 128u  /* a child gets it empty */
#define MM_LOCKED     256u  /* counts for RLIMIT_MEMLOCK */
#define MM_STACK      512u  /* made at its full size: counts for no limit */
#define MM_DONTDUMP  2048u  /* not for a core file */
#define MM_LOW       1024u  /* of mm_map() only: below 2 GiB */

/* A file of the host's that areas of this address space show (file.c). */
struct mapped_file {
	struct tree_node node;      /* in mm->files; key: the host's number for it */
	uint32_t areas;             /* and others that use it */
	struct list idle;           /* in mm->idle_files: no area is left */
	struct file_version version;
};

/* Pages that every program may have mapped as they are; they live for ever. */
struct fixed_pages {
	uint32_t count;
	paddr_t frame[];
};

/* What an area is; the same in all its pieces. */
struct area {
	uint32_t prot;
	uint32_t flags;             /* MM_NOHUGE */
	struct mapped_file *file;   /* private pages come from it; NULL: they are fresh */
	const struct fixed_pages *fixed;    /* not NULL: these, never written to */
	uint64_t offset;            /* of the area's start in the file, or the fixed pages */
	uint64_t data_end;          /* the file's bytes count up to this offset */
	struct policy policy;       /* POLICY_DEFAULT: the thread's */
	uint64_t share;             /* not 0: Linux's memory, granted page by page (share.c);
	                               another number for each mapping */
	uint64_t identity[2];       /* whose memory: device and inode, known from the first grant on */
};

struct vma {
	struct tree_node node;      /* key: start */
	uint64_t start, end;
	struct area a;
	uint64_t next_fetch;        /* where the last piece of the file ended */
	uint32_t fetch_pages;       /* how large it was */
};

/* A piece of a file under way, with the otr_fetch of the same place. */
struct fetch {
	struct page *block;         /* NULL: free */
	uint32_t pages;
	uint32_t number;            /* of the file */
	struct file_version version;
	uint64_t va, offset;
};

struct mm {
	struct spinlock lock;
	paddr_t root;
	struct tree vmas;
	uint64_t mmap_top;          /* new mappings lie below */
	uint64_t mmap_next;         /* where the next search starts */
	uint64_t kept_table;        /* address of an empty span whose table stayed; 0 */
	uint64_t brk_start, brk;
	uint64_t mapped_bytes;      /* sum of the areas, the stack's apart */
	uint64_t data_bytes;        /* of them private and writable */
	uint64_t locked_bytes;      /* of them locked */
	uint64_t limit_as, limit_data;  /* of the first two; RLIMIT_AS, RLIMIT_DATA */
	bool lock_future;           /* new areas are locked */
	uint64_t resident_pages;
	bool moving;                /* mm_evacuate() has pages under way */
	struct cpumask cpus;        /* where it is in CR3; any CPU, atomic */

	uint64_t id;                /* never used again */
	uint32_t context;           /* whose it is, for mm_ask_zap() */
	uint64_t zap_asked;         /* the host was asked for zaps below this */
	struct otr_ctx_private *zaps;   /* NULL: no proxy, nothing to wait for */
	uint64_t zap_tail;          /* our own copy */
	uint64_t overflow_start, overflow_end;  /* waits for room in the ring */
	struct list quarantine;     /* pages; tag: the zap that must be done */
	uint64_t quarantine_pages;
	struct list shared_quarantine;  /* struct parked_page: frames that others map too */
	uint32_t lent_count;        /* vfork children that run in it: nothing is freed */

	struct tree files;          /* struct mapped_file */
	struct list idle_files;     /* of them: the host is to be told */
	struct fetch fetch[OTR_FETCH_COUNT];
	/* Has the host do a fetch, for the current thread: 0, or -EINTR when that
	 * is being killed. Set once; sleeps. */
	int (*run_fetch)(struct mm *mm, uint32_t index);
	/* The same for grants of `pages` pages from va on. */
	int (*run_grant)(struct mm *mm, uint64_t va, uint32_t pages, bool write);
	bool shares;                /* some area is, or was, shared with Linux */
	struct mutex linux_lock;    /* changes that Linux takes part in; before `lock` */
};

/* Asks the host to apply all zaps now, once for each state of the ring. */
void mm_ask_zap(struct mm *mm);

struct mm *mm_create(struct otr_ctx_private *zaps);
/* The host has reaped the program: its private page is another's from now on. A
 * vfork child may still run in it, without reads of files that were not begun. */
void mm_detach(struct mm *mm);
/* Frees everything; no thread runs on it and the proxy has no mapping left. */
void mm_destroy(struct mm *mm);
/* Gives `to`, which is fresh, all that `from` maps; `from` is freed. */
void mm_adopt(struct mm *to, struct mm *from);
/* Loads it on the calling CPU. */
void mm_switch(struct mm *mm);
/* Unloads whatever is loaded on the calling CPU. */
void mm_leave(void);

/* Address or -errno. addr is a hint unless MM_FIXED. */
int64_t mm_map(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t prot, uint32_t flags);
int mm_unmap(struct mm *mm, uint64_t addr, uint64_t bytes);
int mm_protect(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t prot);
/* The same for any area; a file in it has a reference of the caller's, which it keeps. */
int64_t mm_map_area(struct mm *mm, uint64_t addr, uint64_t bytes, const struct area *a, uint32_t flags);
/* mremap(2) with Linux's flags (MAYMOVE 1, FIXED 2, DONTUNMAP 4). */
int64_t mm_remap(struct mm *mm, uint64_t old, uint64_t old_bytes, uint64_t new_bytes,
		 uint32_t flags, uint64_t new_addr);
/* Drops the pages; the area stays and reads zero. -ENOMEM where nothing is mapped. */
int mm_discard(struct mm *mm, uint64_t addr, uint64_t bytes);
/* Clears and sets MM_* of all areas in a range; -ENOMEM, when all is done, if
 * areas do not cover it. */
int mm_change_flags(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t clear, uint32_t set);
/* Of a range, what is locked already and what is mapped at all. */
void mm_measure(struct mm *mm, uint64_t addr, uint64_t bytes, uint64_t *locked, uint64_t *mapped);
/* Whether some area of the range has one of the flags, or is a file's. */
bool mm_any(struct mm *mm, uint64_t addr, uint64_t bytes, uint32_t flags, bool file);
/* mincore(2) for `pages` pages from addr on: a byte each, 1 if the page is there. */
void mm_present(struct mm *mm, uint64_t addr, uint32_t pages, uint8_t *to);
/* Where the area's new pages come from; -ENOMEM as above. */
int mm_set_policy(struct mm *mm, uint64_t addr, uint64_t bytes, const struct policy *policy);
/* -EFAULT: nothing is mapped there. */
int mm_get_policy(struct mm *mm, uint64_t va, struct policy *policy);
/* The node of the frame at va; -EFAULT if there is none of the partition's. */
int mm_node_of(struct mm *mm, uint64_t va);
/* -ENOMEM unless areas cover all of it. */
int mm_covered(struct mm *mm, uint64_t addr, uint64_t bytes);
/* brk(2): the new break, or the old one if it cannot be had. */
uint64_t mm_brk(struct mm *mm, uint64_t addr);
/* share.c. The host grants `count` pages at addr (abi/call.h). -ENOMEM, -EINVAL. */
int mm_grant(struct mm *mm, uint64_t addr, uint64_t count, const uint64_t identity[2]);
/* Nothing uses grants in [start, end) when it returns. */
void mm_revoke(struct mm *mm, uint64_t start, uint64_t end);
/* The first piece of [*start, *end) that shares Linux's memory, if there is one. */
bool mm_next_shared(struct mm *mm, uint64_t *start, uint64_t *end);
/* The end of what one shmat() attached at `start`. */
bool mm_shared_extent(struct mm *mm, uint64_t start, uint64_t *end);
/* What names the memory at va to everybody who maps it: this address space and va,
 * or, for shared memory that was touched, device, inode and place in it. */
void mm_memory_key(struct mm *mm, uint64_t va, uint64_t key[3]);
/* Makes `child`, which is empty, a copy: all frames shared until one side writes.
 * *seq: the parent's zaps below it must be applied before either goes on. */
int mm_fork(struct mm *parent, struct mm *child, uint64_t *seq);
/* lend.c: `to`, whose proxy is another, refers to mm's tables; again after faults
 * that may have made new ones. */
void mm_lend(struct mm *mm, struct mm *to);
void mm_lend_sync(struct mm *mm, struct mm *to);
/* Empties `to` again: the zap to wait for before mm_lend_end(), after which mm may
 * free what its borrower's proxy had mapped. */
uint64_t mm_lend_take_back(struct mm *to);
void mm_lend_end(struct mm *mm);
/* As mm_zap_seq() for a call of a borrower: zaps of mm since *seen become one of
 * all in `to`. */
uint64_t mm_lend_zap_seq(struct mm *mm, struct mm *to, uint64_t *seen);
/* Pushes a zap of everything: the number to wait for with mm_zapped(). */
uint64_t mm_zap_all(struct mm *mm);
/* Empties it for exec. */
void mm_clear(struct mm *mm);

/* areas.c: the first `most` areas from *next on; their number. *next becomes the
 * start of the one behind, 0 at the end. */
uint32_t mm_areas(struct mm *mm, uint64_t *next, struct otr_area *to, uint32_t most);

/* The same for a core file, with the parts of them that have pages (abi/debug.h).
 * *next is opaque: OTR_USER_START first, 0 at the end. */
uint32_t mm_core_areas(struct mm *mm, uint64_t *next, struct otr_area *to, uint32_t most);

/* Makes the page of va usable for `access` (MM_READ, MM_WRITE or MM_EXEC).
 * -EFAULT: nothing is mapped; -EACCES: not this way; -ENXIO: behind the file's end;
 * -ENOMEM. The first may park while the page is being moved or read from its file,
 * -EINTR if the thread is killed meanwhile; the second answers -EAGAIN, or
 * -EINPROGRESS and the otr_fetch to be done first. */
int mm_fault(struct mm *mm, uint64_t va, uint32_t access);
int mm_fault_nowait(struct mm *mm, uint64_t va, uint32_t access, uint32_t *fetch);
/* In place of a fetch's number: the page is Linux's and has to be granted. */
#define MM_FETCH_GRANT UINT32_MAX
/* A vfork child runs in `mm`: its fetches go by the child's own proxy, over `via`,
 * the child's own address space. False: not this one, not now. */
bool mm_fetch_lend(struct mm *mm, uint32_t index, struct mm *via);
/* The end of it, for all: what is done goes back to `mm`. MM_RETURN_ALL waits while
 * the host is reading, false if the thread is killed meanwhile; with MM_RETURN_OVER the
 * host has detached the child, and reads nothing. */
enum mm_return { MM_RETURN_DONE, MM_RETURN_ALL, MM_RETURN_OVER };
bool mm_fetch_return(struct mm *mm, struct mm *via, enum mm_return how);
/* poke.c, for debuggers: one byte, whatever the program may do there. Private memory
 * only; a page that others have too is copied. -EFAULT; -EAGAIN: it has to be read by the
 * host first, or is being moved; -ENOMEM. */
int mm_poke(struct mm *mm, uint64_t va, uint8_t value, uint8_t *was);
/* -EFAULT also where no page is there yet. */
int mm_peek(struct mm *mm, uint64_t va, uint8_t *value);
/* file.c. The file of that number, with one more user; NULL without memory. It has the
 * version that the host has told last, if it has told one. */
struct mapped_file *mm_file_get(struct mm *mm, uint32_t number);
/* The same in the address space of a fork. */
struct mapped_file *mm_file_inherit(struct mm *child, const struct mapped_file *parent);
void mm_file_put(struct mm *mm, struct mapped_file *f);
/* Takes up to `most` numbers of files that nobody uses any more: how many. */
uint32_t mm_files_take_idle(struct mm *mm, uint32_t *number, uint32_t most);
/* Moves the program's pages out of [start, end), which no allocation uses any
 * more. -EBUSY: some are pinned or came back; -ENOMEM. */
int mm_evacuate(struct mm *mm, paddr_t start, paddr_t end);
/* The same for every page of [va, va + bytes); -EINTR if the thread is killed meanwhile. */
int mm_populate(struct mm *mm, uint64_t va, uint64_t bytes, uint32_t access);
/* All there is, as far as it can be had; for mlockall(). */
void mm_populate_all(struct mm *mm);
/* The number up to which zaps must be applied for a call made now; pushes what
 * waits for room first. */
uint64_t mm_zap_seq(struct mm *mm);
/* All zaps below seq are applied. */
bool mm_zapped(struct mm *mm, uint64_t seq);
/* Frees quarantined frames whose zaps are done; returns pages freed. */
uint64_t mm_collect(struct mm *mm);

#endif
