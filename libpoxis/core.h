/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Death by a signal. Where its default action dumps core, the thread that dies
 * describes the program to the proxy, which writes the file (OTR_CALL_CORE).
 */
#ifndef LIBPOXIS_CORE_H
#define LIBPOXIS_CORE_H

#include "cokernel/lib/types.h"

struct signal_info;
struct thread;

/* Whether the signal's default action is to dump core. */
bool core_is_dumped(int number);
/* Ends the program of t, the calling thread, by that signal. Sleeps; returns on the
 * way out of the kernel, to die. */
void core_die(struct thread *t, const struct signal_info *info);

#endif
