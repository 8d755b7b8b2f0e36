/* SPDX-License-Identifier: BSD-2-Clause */
/* gdb's remote protocol, spoken for one program over one connection. */
#ifndef GDB_SERVER_H
#define GDB_SERVER_H

#include <stdbool.h>

#include "tools/gdb/target.h"

/* Serves until gdb detaches, kills the program, goes away, or the program is over. The
 * program, which is attached, goes on then. started: it was started for gdb, which may
 * kill it when it quits. 0, or 1 if the connection broke. */
int gdb_serve(struct target *t, int in, int out, bool started);

#endif
