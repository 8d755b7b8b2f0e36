/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Delegated calls and the context of a program that makes them.
 *
 * A context is one co-kernel process with its proxy. The host gives it pages of
 * OTR_AREA_CONTEXTS: one private page (host module and co-kernel), one mailbox
 * page and one or more slot pages (also mapped by the proxy, so a user program
 * can write anything there: the co-kernel treats them as user memory).
 *
 * A slot belongs to one co-kernel thread and its twin, a thread of the proxy.
 * Its whole protocol is one word:
 *   POSTED         set by the caller, cleared by the twin when the result is in
 *   WORKER_SLEEPS  set by the host while the twin sleeps in OTR_IOC_WAIT
 *   CALLER_SLEEPS  set by the caller before it blocks
 * Caller:  write nr, arg, zap_seq; old = xchg(state, POSTED);
 *          old & WORKER_SLEEPS: set the bit in WAKE_C2H, ring.
 *          Spin for a bounded time until !POSTED; then cmpxchg(POSTED,
 *          POSTED|CALLER_SLEEPS) and block; the result is in arg[0].
 * Twin:    spin for a bounded time until POSTED; then OTR_IOC_WAIT, in which the
 *          host does cmpxchg(0, WORKER_SLEEPS) and sleeps until POSTED.
 *          Execute; write arg[0]; old = xchg(state, 0); old & CALLER_SLEEPS:
 *          OTR_IOC_KICK, in which the host sets the bit in WAKE_H2C and rings.
 * The model is tests/model/slot.pml.
 */
#ifndef ABI_CALL_H
#define ABI_CALL_H

#include "abi/types.h"

#define OTR_SLOT_POSTED         1u
#define OTR_SLOT_WORKER_SLEEPS  2u
#define OTR_SLOT_CALLER_SLEEPS  4u

struct otr_slot {
	uint32_t state;             /* both; OTR_SLOT_* */
	uint32_t nr;                /* co-kernel; Linux call number or OTR_CALL_* */
	uint64_t arg[6];            /* co-kernel; arg[0] is the result on return (proxy) */
	uint64_t zap_seq;           /* co-kernel; apply zaps below this before the call */
	uint32_t tid;               /* host; the twin's tid, 0: no twin waits here */
	uint32_t cpu;               /* co-kernel; index of the CPU to ring for a sleeping caller */
	/* A signal that the twin received and the program has a handler for. */
	uint32_t sig_pending;       /* proxy: 1 when the rest is in; co-kernel: 0, taken */
	uint32_t sig_number;
	uint32_t sig_code;          /* siginfo: si_code, si_errno, the rest as it lies */
	uint32_t sig_errno;
	uint64_t sig_fields[3];
	uint32_t sig_done;          /* co-kernel, before POSTED: signals it had taken from this
	                               slot; if the twin has forwarded more, it does not make the
	                               call and answers -OTR_NOT_MADE */
	uint32_t reserved[3];
};
OTR_ASSERT_SIZE(struct otr_slot, 128);
OTR_ASSERT_AT(struct otr_slot, sig_pending, 72);
#define OTR_SLOTS_PER_PAGE 32u
/* Slot number of a partition = page number in OTR_AREA_CONTEXTS * 32 + place;
 * it is the bit in the wake bitmaps. */

/* Numbers of otr_slot.nr that are not Linux calls: requests to the proxy. */
#define OTR_CALL_BASE    0x40000000u
#define OTR_CALL_FILL    (OTR_CALL_BASE + 0) /* build the program's first stack */
#define OTR_CALL_EXEC    (OTR_CALL_BASE + 1) /* arg path, argv, envp, directory, AT_* flags: describe
                                               it in the mailbox */
#define OTR_CALL_TWINS   (OTR_CALL_BASE + 2) /* arg0 count: make that many more twins; result: made */
#define OTR_CALL_EXIT    (OTR_CALL_BASE + 3) /* this thread is over: the twin returns to the pool */
#define OTR_CALL_FORK    (OTR_CALL_BASE + 4) /* arg0 a token: fork the proxy; the child attaches and starts
                                               with the token in its mailbox; result: pid */
#define OTR_CALL_SIGACTION (OTR_CALL_BASE + 5) /* arg0 signal, arg1 OTR_SIG_*, arg2 SA_* flags,
                                               arg3 sa_mask: what Linux is to do with it */
#define OTR_CALL_SIGMASK (OTR_CALL_BASE + 6) /* arg0: the thread's mask, 64 bits */
#define OTR_CALL_TRACED  (OTR_CALL_BASE + 7) /* arg0 result, arg1 ns it took, arg2 0: ported, 1: delegated,
                                               2: refused, arg3 its number: a call is over */
#define OTR_CALL_TRACE   (OTR_CALL_BASE + 0x10000) /* + number of a call that begins; its arguments */
#define OTR_CALL_FACTS (OTR_CALL_BASE + 8) /* the mailbox has (more) facts; answer to -OTR_NEED_FACTS */
#define OTR_NEED_FACTS 513  /* a result: the call goes on when the mailbox has facts */
#define OTR_CALL_FILE    (OTR_CALL_BASE + 9) /* arg0 a descriptor or OTR_FILE_*, arg1 OTR_PROT_*; arg2 to
                                               arg5: files to close first (0: none). Result: its number
                                               for OTR_CALL_FETCH; 0: it reads as zeroes (/dev/zero) */
#define OTR_CALL_FETCH   (OTR_CALL_BASE + 10) /* arg0: which of otr_ctx_private.fetch is to be done */
#define OTR_CALL_SHARE   (OTR_CALL_BASE + 11) /* arg0 address, arg1 bytes, arg2 PROT_*, arg3 MAP_*, arg4
                                               descriptor, arg5 offset: the proxy makes this shared
                                               mapping at the address */
#define OTR_CALL_UNSHARE (OTR_CALL_BASE + 12) /* arg0 address, arg1 bytes: the program's own memory again */
#define OTR_CALL_GRANT   (OTR_CALL_BASE + 13) /* arg0 address, arg1 pages that must come, arg2 1 to write:
                                               OTR_IOC_GRANT */
#define OTR_CALL_SHMAT   (OTR_CALL_BASE + 14) /* arg0 id, arg1 address, arg2 SHM_*: attach there;
                                               address 0: the segment's size */
#define OTR_CALL_REMAP   (OTR_CALL_BASE + 15) /* arg0 old address, arg1 old bytes, arg2 bytes, arg3
                                               address: mremap of a shared mapping */
#define OTR_CALL_LIMIT   (OTR_CALL_BASE + 16) /* arg0 RLIMIT_AS, _DATA, _MEMLOCK or _CPU: the soft limit, or
                                               with arg1 1 the hard one; INT64_MAX: there is none, or the
                                               caller may pass it */
#define OTR_CALL_CORE    (OTR_CALL_BASE + 17) /* the program dies: arg0 OTR_CORE_*, what the mailbox, as a
                                               page of abi/debug.h, has; arg1 the signal */
#define OTR_CALL_RAISE   (OTR_CALL_BASE + 18) /* arg0 a signal for the program that the kernel sends, arg1
                                               OTR_RAISE_*. Result: 0 */
#define OTR_CALL_PIPE    (OTR_CALL_BASE + 19) /* arg0 flags of pipe2; result: the first descriptor, and << 32
                                               the second. arg1 on return: the inode, 0: the co-kernel must
                                               leave this pipe to Linux */
#define OTR_CALL_PIPE_FILL (OTR_CALL_BASE + 20) /* arg0 a descriptor of a pipe, arg1 1: it is for writing,
                                               arg2 the bytes that are in the pipe, arg3 bytes, at most
                                               OTR_PIPE_PIECE, where the mailbox has facts.area: write them
                                               to it, unless they are in it too. Result: arg3 */
#define OTR_PIPE_PIECE 1024u    /* of which four make a page of the pipe */
#define OTR_CALL_EVENTFD_FILL (OTR_CALL_BASE + 21) /* arg0 a descriptor of an eventfd, arg1 what to add to
                                              it, unless it is not 0 any more. Result: 0 */
#define OTR_CALL_EPOLL_ADD (OTR_CALL_BASE + 22) /* arg0 a descriptor of an epoll, arg1 one to watch, arg2 and
                                              arg3 the event, as epoll_ctl has it, unless it is watched
                                              already. Result: 0 */
#define OTR_CALL_SOCKETPAIR (OTR_CALL_BASE + 23) /* arg0 SOCK_* flags: a pair of AF_UNIX and SOCK_STREAM; result
                                              as OTR_CALL_PIPE's. arg1 on return: SO_SNDBUF and << 32 what
                                              Linux counts for a message of one byte, and the module keeps
                                              the pair; 0: it is Linux's */
#define OTR_CALL_SOCKET_PIECE (OTR_CALL_BASE + 24) /* the mailbox has, where facts.area is, arg1 bytes, at most
                                              OTR_PIPE_PIECE, of a message for OTR_CALL_SOCKET_FILL, from
                                              its byte arg0 on. Result: 0 */
#define OTR_CALL_SOCKET_FILL (OTR_CALL_BASE + 25) /* arg0 either end of a pair that is kept, arg1 the end that
                                              sends: 0, 1; arg2 the bytes that the other has had of it, arg3
                                              bytes of a message, at most OTR_SOCKET_MESSAGE: send what it has
                                              not got of them. Result: 0 */
#define OTR_SOCKET_MESSAGE 36544u
#define OTR_CALL_SOCKET_LET_GO (OTR_CALL_BASE + 27) /* arg0 either end, arg1 as OTR_PAIR_LET_GO's `shut`: it is
                                              Linux's. Result: 0, again and again */
#define OTR_CALL_PIDFD (OTR_CALL_BASE + 28) /* arg0 a descriptor of a process. Result: of which context of the
                                              partition, 0: of none */
#define OTR_CALL_TIMERFD_SET (OTR_CALL_BASE + 26) /* arg0 a descriptor of a timer, arg1 a time of its clock and
                                              arg2 an interval, in ns, arg3 1: the time is one of
                                              CLOCK_MONOTONIC, the timer of CLOCK_REALTIME: set it so.
                                              Result: 0 */
#define OTR_RAISE_PROCESS 0u    /* it is blocked in this thread */
#define OTR_RAISE_THREAD  1u    /* this thread takes it */
#define OTR_RAISE_SELF    2u    /* so it does, and Linux would name the program as the sender */
#define OTR_RAISE_TIMER   3u    /* arg0 is a timer of timer_create instead, which expires now */
#define OTR_RAISE_BACK    4u    /* as it was forwarded, to this thread: arg2 its code and, above 32 bits, errno,
                                   arg3 to arg5 as sig_fields */
#define OTR_RAISE_BACK_PROCESS 5u   /* the same, to any thread */
#define OTR_CORE_BEGIN  0u  /* nothing yet; result 1: a core file is wanted */
#define OTR_CORE_THREAD 1u  /* a struct otr_thread_state; the one that dies comes first */
#define OTR_CORE_AREA   2u  /* a struct otr_core_areas, ascending */
#define OTR_CORE_END    3u  /* that was all; result 1: the file is written */
#define OTR_FILE_EXE         (~0ull)        /* the program that is being started */
#define OTR_FILE_INTERPRETER (~0ull - 1)    /* its dynamic loader */
#define OTR_FILE_NONE        (~0ull - 2)    /* only close */
#define OTR_AGAIN 512       /* a result: a signal ended the call, which Linux would make again after a
                               handler with SA_RESTART */
#define OTR_NOT_MADE 514    /* a result: not begun, a signal was on its way; to be made in any case */
#define OTR_SIG_DEFAULT 0u
#define OTR_SIG_IGNORE  1u
#define OTR_SIG_CATCH   2u  /* the program has a handler */

/* Program addresses: [OTR_USER_START, OTR_USER_END). */
#define OTR_USER_START 0x10000ull
#define OTR_USER_END   0x200000000000ull  /* 32 TiB */

/*
 * Private page. Zaps: the co-kernel has removed translations of [start, end)
 * and keeps the frames in quarantine until zap_head passes the entry. An entry
 * below zap_tail does not change; while the ring is full the co-kernel gathers
 * later ranges on its own side, sends OTR_MSG_ZAP, and posts no call before they
 * are in.
 */
#define OTR_ZAP_COUNT 128u
struct otr_zap {
	uint64_t start;
	uint64_t end;
};

/*
 * Pages of a file, read by the host into frames of the partition that nobody
 * else uses meanwhile. The co-kernel writes a request and sets POSTED; a twin
 * that was told its number (OTR_CALL_FETCH), or a fault in the proxy that was
 * answered with it, has the host execute it: BUSY, then DONE. A request that
 * nobody has begun is taken back by POSTED to FREE. All of it lies where no
 * program can write.
 */
#define OTR_FETCH_COUNT  16u
#define OTR_FETCH_MOST   (1ull << 21)   /* bytes of one */
#define OTR_FETCH_FREE   0u
#define OTR_FETCH_POSTED 1u
#define OTR_FETCH_BUSY   2u
#define OTR_FETCH_DONE   3u
struct otr_fetch {
	uint32_t state;             /* both, by compare and exchange; OTR_FETCH_* */
	uint32_t file;              /* co-kernel; what OTR_CALL_FILE answered */
	uint64_t offset;            /* co-kernel; in the file, page aligned */
	uint64_t phys;              /* co-kernel; page aligned */
	uint64_t bytes;             /* co-kernel; multiple of the page size, at most OTR_FETCH_MOST */
	int64_t  result;            /* host; bytes read, less at the file's end, or -errno */
	uint64_t reserved;          /* 0 */
};
OTR_ASSERT_SIZE(struct otr_fetch, 48);

/*
 * Versions of files. As long as place `slot` of OTR_AREA_VERSIONS holds `version`,
 * nobody has been able to write to the file since it got that version, and what is
 * read of it is what it contains. Numbers are not given twice in the life of a
 * co-kernel (they would be after four thousand million). An entry tells of the file
 * that OTR_CALL_FILE answered last, at place number % OTR_VERSIONS_RECENT.
 */
#define OTR_VERSIONS_RECENT 16u
struct otr_file_version {
	uint32_t file;              /* host, 0 while the rest changes */
	uint32_t slot;              /* host */
	uint32_t version;           /* host; 0: it has none, its pages cannot be kept */
	uint32_t reserved;          /* 0 */
};
OTR_ASSERT_SIZE(struct otr_file_version, 16);

#define OTR_GRANT_COUNT 64u

struct otr_ctx_private {
	uint64_t zap_tail;          /* co-kernel, release */
	uint64_t reserved0[7];
	uint64_t zap_head;          /* host, release: all below are applied and unpinned */
	uint64_t reserved1[7];
	struct otr_zap zap[OTR_ZAP_COUNT]; /* co-kernel; entry seq % OTR_ZAP_COUNT */
	struct otr_fetch fetch[OTR_FETCH_COUNT];
	/* host, before OTR_MSG_GRANT: frames of Linux's, physical address and flags */
	uint64_t grant[OTR_GRANT_COUNT];
	struct otr_file_version version[OTR_VERSIONS_RECENT];
	uint64_t reserved2[48];
};
#define OTR_GRANT_VALID 1ull
#define OTR_GRANT_WRITE 2ull
OTR_ASSERT_SIZE(struct otr_ctx_private, 4096);

/* Mailbox page: what to exec. Written by the proxy before OTR_IOC_START or as
 * the answer to OTR_CALL_EXEC; copied once and checked by the co-kernel. */
#define OTR_EXEC_SEGMENTS 64u
#define OTR_SEGMENT_ZERO        0u  /* fresh memory */
#define OTR_SEGMENT_EXE         1u  /* of OTR_FILE_EXE */
#define OTR_SEGMENT_INTERPRETER 2u  /* of OTR_FILE_INTERPRETER */
#define OTR_PROT_READ  1u
#define OTR_PROT_WRITE 2u
#define OTR_PROT_EXEC  4u

struct otr_exec_segment {
	uint64_t start;             /* page aligned */
	uint64_t end;               /* page aligned */
	uint32_t prot;              /* OTR_PROT_* */
	uint32_t from;              /* OTR_SEGMENT_* */
	uint64_t offset;            /* of `start` in the file, page aligned */
	uint64_t file_bytes;        /* from `start` on; what follows is zero. UINT64_MAX: the file
	                               as it goes on */
};
OTR_ASSERT_SIZE(struct otr_exec_segment, 40);

#define OTR_EXEC_TRACE 1ull     /* tell the twin of each call: OTR_CALL_TRACE, OTR_CALL_TRACED */
#define OTR_EXEC_COUNT 2ull     /* only when it is over, but of those that do not return */

struct otr_exec {
	uint32_t version;           /* OTR_ABI_VERSION */
	uint32_t segment_count;
	uint64_t entry;             /* first user instruction */
	uint64_t sp;                /* first user stack pointer */
	uint64_t brk;               /* start of the heap, page aligned */
	uint64_t stack_start;       /* [stack_start, stack_end): the stack's area */
	uint64_t stack_end;
	uint64_t mmap_top;          /* mappings are placed downwards from here */
	char     comm[16];
	uint64_t sigmask;           /* of the first thread */
	uint64_t ignored;           /* signals that are ignored, bit number - 1 */
	uint64_t fork_token;        /* not 0: no segments; a copy of the process that posted
	                               OTR_CALL_FORK with this token */
	uint64_t flags;             /* OTR_EXEC_* */
	uint64_t limit_as;          /* RLIMIT_AS and RLIMIT_DATA, which hold for the program and not */
	uint64_t limit_data;        /* for its proxy */
	uint64_t reserved;
	struct otr_exec_segment segment[OTR_EXEC_SEGMENTS];
};
/* An area of a program's memory, by the co-kernel. */
#define OTR_AREA_SHARED   1u    /* memory of Linux's, mapped by the proxy too */
#define OTR_AREA_NAMED    2u    /* with OTR_AREA_SHARED: of a file */
#define OTR_AREA_DONTDUMP 4u
#define OTR_AREA_FIXED    8u    /* the vDSO and its data */
#define OTR_AREA_PRESENT 16u    /* not an area: pages of the last one that are there */
struct otr_area {
	uint64_t start;
	uint64_t end;
	uint32_t prot;              /* OTR_PROT_* */
	uint32_t flags;             /* OTR_AREA_* */
	uint32_t file;              /* private pages come from this file; 0: they are fresh */
	uint32_t reserved;
	uint64_t offset;            /* of start in the file */
};
OTR_ASSERT_SIZE(struct otr_area, 40);

/* What a program reads about itself, for the files of /proc and /sys that the proxy
 * writes itself. Areas come in pieces, ascending, a piece a OTR_CALL_FACTS. */
#define OTR_FACTS_AREAS 28u
#define OTR_FACTS_CPU_WORDS 16u

struct otr_facts {
	uint64_t memory_bytes;      /* of the partition, for programs and kernel */
	uint64_t memory_free_bytes;
	uint64_t mapped_bytes;      /* of the program: areas, pages */
	uint64_t resident_bytes;
	uint64_t run_ns;            /* CPU time */
	uint64_t brk_start;
	uint64_t brk;
	uint32_t thread_count;
	uint32_t cpu_count;
	uint64_t cpus[OTR_FACTS_CPU_WORDS]; /* bit: index of a CPU that is there */
	uint32_t area_count;        /* in this piece */
	uint32_t more;              /* 1: another piece follows */
	struct otr_area area[OTR_FACTS_AREAS];
};
OTR_ASSERT_SIZE(struct otr_facts, 1320);

struct otr_ctx_mailbox {
	struct otr_exec exec;
	/* Written by the co-kernel before OTR_CALL_FILL, for the auxiliary vector. */
	uint64_t vdso;              /* AT_SYSINFO_EHDR, 0: none */
	struct otr_facts facts;     /* by the co-kernel before OTR_CALL_FACTS */
	uint64_t reserved[10];
};
OTR_ASSERT_SIZE(struct otr_exec, 2688);
OTR_ASSERT_SIZE(struct otr_ctx_mailbox, 4096);

#endif
