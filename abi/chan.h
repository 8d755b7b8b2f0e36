/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Channels between host and co-kernel: message rings, byte rings, wake bitmaps.
 *
 * Message ring: one producer, one consumer. Indices run freely and wrap at
 * 2^32; used = tail - head. Each side keeps a private copy of its own index and
 * of the entry count, and treats the peer's index as untrusted: used > count
 * means a broken peer. Entries are written before tail is release-stored.
 */
#ifndef ABI_CHAN_H
#define ABI_CHAN_H

#include "abi/types.h"

struct otr_msg {
	uint16_t type;              /* OTR_MSG_* */
	uint16_t flags;             /* 0 */
	uint32_t cookie;            /* of a request; its OTR_MSG_REPLY repeats it */
	uint64_t arg[7];
};
OTR_ASSERT_SIZE(struct otr_msg, 64);

struct otr_ring {
	uint32_t tail;              /* written by the producer */
	uint32_t reserved0[15];
	uint32_t head;              /* written by the consumer */
	uint32_t reserved1[15];
	uint32_t count;             /* entries, a power of two; host, before boot */
	uint32_t reserved2[15];
	struct otr_msg entry[];
};
OTR_ASSERT_SIZE(struct otr_ring, 192);

/*
 * Byte ring (log, console, input). The producer never waits: head counts all
 * bytes ever written, data[head % bytes] is the next place, old bytes are
 * overwritten. A reader keeps its own position; head - position > bytes means
 * that the difference was lost.
 */
struct otr_bytes {
	uint64_t head;              /* release-stored by the producer */
	uint64_t bytes;             /* capacity, a power of two; host, before boot */
	uint64_t reserved[6];
	uint8_t  data[];
};
OTR_ASSERT_SIZE(struct otr_bytes, 64);

/*
 * Wake bitmap: one bit a slot (see call.h). The sender sets the bit, then
 * exchanges `any` with 1 and rings the doorbell if it was 0; the receiver
 * exchanges `any` with 0 before it exchanges the words with 0.
 * WAKE_H2C: bit set by the host when a caller sleeps on a call that is done.
 * WAKE_C2H: bit set by the co-kernel when it posted to a sleeping worker.
 */
struct otr_wake {
	uint32_t any;
	uint32_t messages;          /* 1: the message ring has something as well */
	uint32_t reserved[14];
	uint64_t word[];            /* slot capacity / 64 */
};
OTR_ASSERT_SIZE(struct otr_wake, 64);

/* ---- Host to co-kernel. Each is answered by one OTR_MSG_REPLY. ---- */
#define OTR_MSG_NOP          1u
#define OTR_MSG_SHUTDOWN     2u  /* end all programs, park all CPUs */
#define OTR_MSG_MEM_ADD      3u  /* arg0 start, arg1 bytes, arg2 node */
#define OTR_MSG_MEM_REMOVE   4u  /* arg0 start, arg1 bytes; -EBUSY if it cannot be emptied */
#define OTR_MSG_CPU_ADD      5u  /* arg0 index, arg1 APIC id, arg2 node, arg3 Linux CPU;
                                    answered when it may be started */
#define OTR_MSG_CPU_REMOVE   6u  /* arg0 index; answered when it is PARKED */
#define OTR_MSG_PROC_CREATE  7u  /* arg0 context id, arg1 private page, arg2 mailbox page,
                                    arg3 first slot page (page numbers in AREA_CONTEXTS),
                                    arg4 pid | (uint64_t)uid << 32.
                                    Reply arg1: physical address of the root page table */
#define OTR_MSG_PROC_START   8u  /* arg0 context id: exec what its mailbox describes */
#define OTR_MSG_PROC_KILL    9u  /* arg0 context id, arg1 signal: end it; PROC_EXIT follows */
#define OTR_MSG_PROC_REAP   10u  /* arg0 context id, after PROC_EXIT: no mapping or pin is
                                    left in Linux, free everything */
#define OTR_MSG_PROC_STOP   11u  /* arg0 context id: stop all its threads */
#define OTR_MSG_PROC_CONT   12u  /* arg0 context id */
#define OTR_MSG_PROC_FAULT  13u  /* arg0 context id, arg1 address, arg2 1 for a write: make
                                    the page present (and private and writable) or -EFAULT.
                                    Reply arg1: 0, or 1 + the otr_fetch to be done first; then
                                    ask again */
#define OTR_MSG_PROC_SLOTS  14u  /* arg0 context id, arg1 page number: one more slot page */
#define OTR_MSG_PROC_TWIN   15u  /* arg0 context id, arg1 slot, arg2 tid: a twin waits there */
#define OTR_MSG_GRANT       17u  /* arg0 context id, arg1 address, arg2 pages, of which
                                    otr_ctx_private.grant names the frames: it may use them for
                                    these addresses until they are revoked. arg3 device, arg4
                                    inode, arg5 page in it: what the first one is, the same for
                                    everybody who maps it */
#define OTR_MSG_REVOKE      18u  /* arg0 context id, arg1 start, arg2 end: grants there end; the
                                    answer says that nothing uses them any more */
#define OTR_MSG_DEBUG       19u  /* arg0 context id, arg1 OTR_DEBUG_* (debug.h), arg2 page number in
                                    AREA_CONTEXTS for data, arg3 to arg5 its arguments. Reply
                                    arg1: its result */
#define OTR_MSG_TEST        16u  /* arg0 OTR_TEST_*: misbehave, for the tests */

/* ---- Co-kernel to host ---- */
#define OTR_MSG_REPLY       64u  /* cookie of the request, arg0 0 or -errno, arg1.. results */
#define OTR_MSG_PROC_EXIT   65u  /* arg0 context id, arg1 wait status as in Linux's wait(2);
                                    no thread of it will run again */
#define OTR_MSG_ZAP         66u  /* arg0 context id: frames are scarce, apply its zaps now */
#define OTR_MSG_PROC_RUN    67u  /* arg0 context id: entered user mode the first time */
#define OTR_MSG_DEBUG_EVENT 68u  /* arg0 context id: a thread stopped for the debugger */

/* OTR_MSG_TEST; the co-kernel obeys only with "test" on its command line. */
#define OTR_TEST_PANIC        1u
#define OTR_TEST_STACK        2u  /* overflow a kernel stack */
#define OTR_TEST_WILD         3u  /* follow a wild pointer */
#define OTR_TEST_JUMP_DATA    4u  /* jump into data */
#define OTR_TEST_HANG         5u  /* spin with interrupts off */

#endif
