/* SPDX-License-Identifier: BSD-2-Clause */
/* Wrong usage, complained of alike by the command and by what `outrigger run` becomes. */
#ifndef OUTRIGGER_USAGE_H
#define OUTRIGGER_USAGE_H

#include <argp.h>

/* Complains in one line, and ends with argp_err_exit_status. */
_Noreturn void command_usage(const struct argp_state *state, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
