/* SPDX-License-Identifier: BSD-2-Clause */
/* Where gdb is waited for. */
#ifndef GDB_LISTEN_H
#define GDB_LISTEN_H

#include "loader/outrigger.h"

/* A listening socket: "PORT" or "HOST:PORT" is TCP, on this machine's own address unless
 * HOST says otherwise; what has a '/' is the path of a Unix socket for this user alone.
 * The name to give gdb in `target` (port 0 is a free one). -errno. */
int gdb_listen(struct outrigger *o, const char *address, char *target, size_t bytes);
/* The first connection; the socket, and the path, go. -errno; -ESRCH when `over` (or -1)
 * becomes readable first. */
int gdb_accept(int listener, const char *address, int over);

#endif
