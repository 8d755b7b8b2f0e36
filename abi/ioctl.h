/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The host module's device nodes.
 *   /dev/outrigger       administration; root only by default (mode 0600)
 *   /dev/outrigger-run   running programs; mode 0666, each partition's own
 *                        owner, group and mode decide (x permission to run,
 *                        r permission to read its log)
 * Every struct starts with `size`, its own size in bytes; the module refuses a
 * size it does not know (-EINVAL) and reserved fields that are not 0. The
 * number is _IOWR('O', nr, struct). Pointers travel as uint64_t.
 *
 * A refusal carries a sentence: `message` points to a buffer of message_bytes
 * (may be 0) that receives what was refused, why and the remedy.
 *
 * State and counters are in sysfs: /sys/class/outrigger/NAME/ (see docs/abi.md).
 */
#ifndef ABI_IOCTL_H
#define ABI_IOCTL_H

#include "abi/types.h"

#define OTR_DEV_ADMIN "/dev/outrigger"
#define OTR_DEV_RUN   "/dev/outrigger-run"

/* States of a partition, as in sysfs `state` (names in lower case). */
#define OTR_PART_CREATED   0u
#define OTR_PART_LOADED    1u
#define OTR_PART_BOOTING   2u
#define OTR_PART_RUNNING   3u
#define OTR_PART_STOPPING  4u
#define OTR_PART_STOPPED   5u
#define OTR_PART_CRASHED   6u

/* Head of every request. */
struct otr_req {
	uint32_t size;              /* of the whole struct */
	uint32_t message_bytes;
	uint64_t message;           /* char *, may be 0 */
};
OTR_ASSERT_SIZE(struct otr_req, 16);

#define OTR_DRY_RUN (1u << 0)       /* flags: check everything, change nothing */
#define OTR_FORCE   (1u << 1)       /* flags: destroy a live partition; split cores */

struct otr_ioc_version {
	struct otr_req req;
	uint32_t abi_version;       /* out */
	uint32_t reserved;
	char     module_version[32];/* out */
};
OTR_ASSERT_SIZE(struct otr_ioc_version, 56);

/* Makes an empty partition. */
struct otr_ioc_create {
	struct otr_req req;
	char     name[OTR_NAME_SIZE]; /* [A-Za-z0-9][A-Za-z0-9_.-]*, terminated by 0 */
	uint32_t flags;             /* OTR_DRY_RUN */
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;              /* of 0770: r read the log, x run programs */
	uint64_t reserved[2];
};
OTR_ASSERT_SIZE(struct otr_ioc_create, 80);

/* Names a partition; for destroy, shutdown, kill, boot. */
struct otr_ioc_name {
	struct otr_req req;
	char     name[OTR_NAME_SIZE];
	uint32_t flags;             /* OTR_DRY_RUN, OTR_FORCE */
	uint32_t timeout_ms;        /* shutdown, 0: the default of 10 s */
	uint64_t reserved[2];
};
OTR_ASSERT_SIZE(struct otr_ioc_name, 72);

struct otr_ioc_cpu {
	struct otr_req req;
	char     name[OTR_NAME_SIZE];
	uint32_t flags;             /* OTR_DRY_RUN, OTR_FORCE */
	uint32_t cpu;               /* Linux's number */
	uint64_t reserved[2];
};
OTR_ASSERT_SIZE(struct otr_ioc_cpu, 72);

/* How memory is taken. */
#define OTR_MEM_ANY    0u   /* whole blocks where that fits, else contiguous pages */
#define OTR_MEM_BLOCK  1u   /* whole memory blocks, hot-removed */
#define OTR_MEM_CONTIG 2u   /* contiguous pages, allocated */

struct otr_ioc_memory {
	struct otr_req req;
	char     name[OTR_NAME_SIZE];
	uint32_t flags;             /* OTR_DRY_RUN */
	int32_t  node;              /* -1: any */
	uint32_t kind;              /* OTR_MEM_* */
	uint32_t reserved0;
	uint64_t bytes;             /* in: wanted (multiple of 2 MiB); out: taken, or could be taken */
	uint64_t reserved[2];
};
OTR_ASSERT_SIZE(struct otr_ioc_memory, 88);

/* The image, already read from its ELF file by the caller; checked again here. */
#define OTR_SEG_WRITE (1u << 0)
#define OTR_SEG_EXEC  (1u << 1)
struct otr_image_segment {
	uint64_t virt;              /* 4 KiB aligned, in the top 2 GiB */
	uint64_t mem_bytes;
	uint64_t file_bytes;        /* <= mem_bytes; the rest is zero */
	uint64_t data;              /* const void *: file_bytes bytes */
	uint32_t flags;             /* OTR_SEG_*, not both */
	uint32_t reserved;
};
OTR_ASSERT_SIZE(struct otr_image_segment, 40);

#define OTR_IMAGE_SEGMENTS 16u
#define OTR_IMAGE_BYTES    (64ull << 20)
struct otr_ioc_load {
	struct otr_req req;
	char     name[OTR_NAME_SIZE];
	uint32_t abi_version;       /* that the image was built for (its ELF note) */
	uint32_t segment_count;     /* <= OTR_IMAGE_SEGMENTS */
	uint64_t segments;          /* const struct otr_image_segment * */
	uint64_t entry;             /* virtual, inside an executable segment */
	uint64_t cmdline;           /* const char *, terminated by 0, may be 0 */
	uint32_t cmdline_bytes;     /* with the 0; <= 4096 */
	uint32_t log_level;
	uint64_t reserved[2];
};
OTR_ASSERT_SIZE(struct otr_ioc_load, 104);

/* Reads the log or console from a position; never blocks. */
#define OTR_LOG_KERNEL  0u
#define OTR_LOG_CONSOLE 1u
struct otr_ioc_log {
	struct otr_req req;
	char     name[OTR_NAME_SIZE];
	uint32_t which;             /* OTR_LOG_* */
	uint32_t data_bytes;        /* in: room; out: bytes read */
	uint64_t position;          /* in: where to start; out: where to go on */
	uint64_t lost_bytes;        /* out: skipped because overwritten */
	uint64_t data;              /* char * */
	uint64_t reserved[2];
};
OTR_ASSERT_SIZE(struct otr_ioc_log, 96);

/* Reads partition memory for a dump; physical addresses that it owns. */
struct otr_ioc_peek {
	struct otr_req req;
	char     name[OTR_NAME_SIZE];
	uint64_t phys;
	uint64_t bytes;
	uint64_t data;              /* void * */
	uint64_t reserved[2];
};
OTR_ASSERT_SIZE(struct otr_ioc_peek, 88);

struct otr_ioc_test {
	struct otr_req req;
	char     name[OTR_NAME_SIZE];
	uint32_t test;              /* OTR_TEST_* of abi/chan.h */
	uint32_t reserved;
};
OTR_ASSERT_SIZE(struct otr_ioc_test, 56);

#define OTR_IOC(nr, type) (0xc0000000u | ((uint32_t)sizeof(type) << 16) | ('O' << 8) | (nr))
#define OTR_IOC_VERSION    OTR_IOC(0,  struct otr_ioc_version)  /* both nodes */
#define OTR_IOC_CREATE     OTR_IOC(1,  struct otr_ioc_create)
#define OTR_IOC_DESTROY    OTR_IOC(2,  struct otr_ioc_name)
#define OTR_IOC_CPU_ADD    OTR_IOC(3,  struct otr_ioc_cpu)
#define OTR_IOC_CPU_REMOVE OTR_IOC(4,  struct otr_ioc_cpu)
#define OTR_IOC_MEM_ADD    OTR_IOC(5,  struct otr_ioc_memory)
#define OTR_IOC_MEM_REMOVE OTR_IOC(6,  struct otr_ioc_memory)
#define OTR_IOC_LOAD       OTR_IOC(7,  struct otr_ioc_load)
#define OTR_IOC_BOOT       OTR_IOC(8,  struct otr_ioc_name)
#define OTR_IOC_SHUTDOWN   OTR_IOC(9,  struct otr_ioc_name)
#define OTR_IOC_KILL       OTR_IOC(10, struct otr_ioc_name)
#define OTR_IOC_LOG        OTR_IOC(11, struct otr_ioc_log)      /* both nodes */
#define OTR_IOC_PEEK       OTR_IOC(12, struct otr_ioc_peek)
#define OTR_IOC_TEST       OTR_IOC(13, struct otr_ioc_test)

/* ---- /dev/outrigger-run ---- */

/* Makes this open file a context in a running partition. Once per open file.
 * Then mmap(OTR_USER_START .. OTR_USER_END, MAP_SHARED | MAP_FIXED_NOREPLACE)
 * at file offset = address, and one page each at OTR_MMAP_PAGE(n) for the
 * mailbox (n = mailbox_page) and the slot pages. */
struct otr_ioc_attach {
	struct otr_req req;
	char     name[OTR_NAME_SIZE];
	uint32_t context;           /* out */
	uint32_t mailbox_page;      /* out */
	uint32_t slot_page;         /* out; its 32 slots are the first */
	uint32_t flags;             /* OTR_ATTACH_KILL */
};
OTR_ASSERT_SIZE(struct otr_ioc_attach, 64);
#define OTR_ATTACH_KILL 1u      /* SIGKILL to the caller's process should the partition end */

#define OTR_MMAP_PAGES (1ull << 46)
#define OTR_MMAP_PAGE(n) (OTR_MMAP_PAGES + (uint64_t)(n) * OTR_PAGE_SIZE)

/* The calling thread becomes the twin of a free slot (flags 0), or the context
 * gets one more slot page first when none is free. */
struct otr_ioc_twin {
	struct otr_req req;
	uint32_t slot;              /* out: slot number of the partition */
	uint32_t page;              /* out: its slot page, map it if it is new */
};
OTR_ASSERT_SIZE(struct otr_ioc_twin, 24);

/* Waits until the calling twin's slot is posted, and applies the zaps that its
 * call needs. Returns 0 (posted), -EINTR (a signal was handled), or 1: the
 * program is over, status says how. timeout_ns bounds the wait. */
struct otr_ioc_wait {
	struct otr_req req;
	uint32_t slot;
	uint32_t status;            /* out, with 1: wait status as of wait(2) */
	uint64_t reserved;
};
OTR_ASSERT_SIZE(struct otr_ioc_wait, 32);

/* For kick (ring a sleeping caller), zap (apply zaps), start, stop, cont, fetch. */
struct otr_ioc_slot {
	struct otr_req req;
	uint32_t slot;              /* kick, fetch: which */
	uint32_t signal;            /* 0 */
};
OTR_ASSERT_SIZE(struct otr_ioc_slot, 24);

/* A file that the program maps: the module keeps it, under a number. */
struct otr_ioc_file {
	struct otr_req req;
	int32_t  fd;                /* -1: only close */
	uint32_t prot;              /* PROT_* that the mapping wants */
	uint32_t number;            /* out; 0: it reads as zeroes */
	uint32_t close[4];          /* numbers to forget first, 0: none */
	uint32_t reserved;
};
OTR_ASSERT_SIZE(struct otr_ioc_file, 48);

/* In a forked child, after ATTACH: takes over the files of the parent's context,
 * under their numbers. */
struct otr_ioc_inherit {
	struct otr_req req;
	int32_t  fd;                /* the parent's context */
	uint32_t reserved;
};
OTR_ASSERT_SIZE(struct otr_ioc_inherit, 24);

/* Grants pages of a shared mapping of Linux's at the program's addresses. */
struct otr_ioc_grant {
	struct otr_req req;
	uint64_t addr;              /* page aligned */
	uint32_t must;              /* pages that must come; more come if they are there */
	uint32_t write;             /* 1: to be written */
};
OTR_ASSERT_SIZE(struct otr_ioc_grant, 32);

/* A file that the program maps, by its name as its proxy sees it, and as Linux's
 * /proc/PID/maps has it. */
struct otr_ioc_file_name {
	struct otr_req req;
	uint32_t number;            /* as struct otr_ioc_file has it */
	uint32_t text_bytes;        /* in: room; out: length with the terminating 0 */
	uint64_t text;              /* char * */
	uint64_t inode;             /* out */
	uint32_t major, minor;      /* out: the device */
};
OTR_ASSERT_SIZE(struct otr_ioc_file_name, 48);

/* The caller's lowest open descriptor from `from` on that is closed by execve. */
struct otr_ioc_cloexec {
	struct otr_req req;
	uint32_t from;
	int32_t  fd;                /* out; -1: there is none */
};
OTR_ASSERT_SIZE(struct otr_ioc_cloexec, 24);

/* A pair of sockets, AF_UNIX and SOCK_STREAM, that the co-kernel serves: the module keeps
 * both files, so that a program with one end can give the pair to Linux. `fd` is an end;
 * the ends have the numbers 0 and 1. What a request does not use is 0.
 *   KEEP     fd is end 0, peer end 1, and nothing is in them
 *   SEND     from end `side` to the other, which has had `there` bytes before, and read
 *            none: those of `bytes` at `data` that it has not. -ENOENT: it is not kept,
 *            -EIO: something else is in it, -EAGAIN: it has no room
 *   LET_GO   shuts end 0 down, `shut` - 1 as shutdown(2) has it, unless that is 0; the
 *            module forgets the pair. 0 as well if it does not keep it
 * -EPERM: another user had it kept, and the caller is not root. */
#define OTR_PAIR_KEEP   0u
#define OTR_PAIR_SEND   1u
#define OTR_PAIR_LET_GO 2u
struct otr_ioc_pair {
	struct otr_req req;
	uint32_t op;                /* OTR_PAIR_* */
	int32_t  fd;
	int32_t  peer;
	uint32_t side;
	uint32_t shut;
	uint32_t bytes;             /* 1 .. OTR_SOCKET_MESSAGE of call.h */
	uint32_t there;
	uint32_t reserved;
	uint64_t data;              /* const char * */
};
OTR_ASSERT_SIZE(struct otr_ioc_pair, 56);

/* Which context of the caller's partition the process of a thread is the proxy of. */
struct otr_ioc_of {
	struct otr_req req;
	int32_t  pid;               /* as the caller sees it */
	uint32_t context;           /* out; 0: of none */
};
OTR_ASSERT_SIZE(struct otr_ioc_of, 24);

/* Ends the calling process, as a fatal signal would. Linux's own would not say that
 * a core was dumped when it was not Linux who did. */
struct otr_ioc_die {
	struct otr_req req;
	uint32_t status;            /* as of wait(2): a signal, and 0x80 with a core file */
	uint32_t reserved;
};
OTR_ASSERT_SIZE(struct otr_ioc_die, 24);

/* Makes this open file a debugger of the program whose proxy has this pid; its threads
 * are held. Who may: whose user id all of the proxy's are, or CAP_SYS_PTRACE. The
 * file can be polled: readable when OTR_DEBUG_EVENT has something. Closing it lets
 * the program go on. */
struct otr_ioc_debug_attach {
	struct otr_req req;
	char     name[OTR_NAME_SIZE];
	uint32_t pid;
	uint32_t reserved;
};
OTR_ASSERT_SIZE(struct otr_ioc_debug_attach, 56);

struct otr_ioc_debug {
	struct otr_req req;
	uint32_t op;                /* OTR_DEBUG_* of debug.h */
	uint32_t reserved;
	uint64_t arg[3];            /* in; arg[0] also out, see OTR_DEBUG_EVENT */
	uint64_t data;              /* void *: a page's worth, where the request has data; else 0 */
	uint64_t result;            /* out */
};
OTR_ASSERT_SIZE(struct otr_ioc_debug, 64);

#define OTR_IOC_ATTACH     OTR_IOC(32, struct otr_ioc_attach)
#define OTR_IOC_TWIN       OTR_IOC(33, struct otr_ioc_twin)
#define OTR_IOC_START      OTR_IOC(34, struct otr_ioc_slot)
#define OTR_IOC_WAIT       OTR_IOC(35, struct otr_ioc_wait)
#define OTR_IOC_KICK       OTR_IOC(36, struct otr_ioc_slot)
#define OTR_IOC_ZAP        OTR_IOC(37, struct otr_ioc_slot)
#define OTR_IOC_STOP       OTR_IOC(38, struct otr_ioc_slot)
#define OTR_IOC_CONT       OTR_IOC(39, struct otr_ioc_slot)
#define OTR_IOC_FILE       OTR_IOC(40, struct otr_ioc_file)
#define OTR_IOC_FETCH      OTR_IOC(41, struct otr_ioc_slot)
#define OTR_IOC_INHERIT    OTR_IOC(42, struct otr_ioc_inherit)
#define OTR_IOC_GRANT      OTR_IOC(43, struct otr_ioc_grant)
#define OTR_IOC_FILE_NAME  OTR_IOC(44, struct otr_ioc_file_name)
#define OTR_IOC_DIE        OTR_IOC(45, struct otr_ioc_die)
#define OTR_IOC_DEBUG_ATTACH OTR_IOC(46, struct otr_ioc_debug_attach)
#define OTR_IOC_DEBUG      OTR_IOC(47, struct otr_ioc_debug)
#define OTR_IOC_CLOEXEC    OTR_IOC(48, struct otr_ioc_cloexec)
#define OTR_IOC_PAIR       OTR_IOC(49, struct otr_ioc_pair)
#define OTR_IOC_OF         OTR_IOC(50, struct otr_ioc_of)

#endif
