/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Packets of gdb's remote protocol ("Debugging with GDB", appendix E): what comes
 * over the wire is taken apart, and may be anything; what is sent is put together.
 */
#ifndef GDB_RSP_H
#define GDB_RSP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RSP_MOST 16384u         /* bytes of a packet, either way, escaped and framed */

enum rsp_event {
	RSP_NOTHING,            /* more has to come */
	RSP_PACKET,
	RSP_BROKEN,             /* a packet with a wrong checksum, or too long: to be asked for again */
	RSP_INTERRUPT,
	RSP_AGAIN,              /* the last packet is to be sent again */
};

struct rsp {
	char in[2 * RSP_MOST];
	size_t bytes;
	char packet[RSP_MOST + 1];      /* the last one, unescaped, with a terminating 0 */
	size_t packet_bytes;
	bool skipping;          /* the rest of a packet that is too long */
};

/* Where the next bytes from gdb go, and that they came. Room for at least one byte is
 * there whenever rsp_next() says that it has nothing. */
char *rsp_room(struct rsp *r, size_t *bytes);
void rsp_came(struct rsp *r, size_t bytes);
/* What they say, one thing at a time. */
enum rsp_event rsp_next(struct rsp *r);

/* Frames data: its length, or 0 if it does not fit RSP_MOST bytes. */
size_t rsp_frame(const void *data, size_t bytes, char to[RSP_MOST]);

/* A cursor over a packet. Each of these fails, and leaves the cursor somewhere, if what
 * is there is something else. */
bool rsp_hex(const char **at, uint64_t *value);                 /* 1 to 16 digits */
bool rsp_char(const char **at, char c);
bool rsp_bytes(const char **at, void *to, size_t bytes);        /* two digits a byte */
/* A thread: "TID", "pPID.TID" or "pPID"; -1 for all, 0 for any. pid 0: not said. */
bool rsp_thread(const char **at, int64_t *pid, int64_t *tid);
void rsp_put_hex(char *to, const void *from, size_t bytes);     /* with a terminating 0 */

#endif
