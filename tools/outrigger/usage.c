/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/outrigger/usage.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void command_usage(const struct argp_state *state, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fprintf(stderr, "outrigger: ");
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, "; see %s --help\n", state->name);
	va_end(ap);
	exit(argp_err_exit_status);
}
