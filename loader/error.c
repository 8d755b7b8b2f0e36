/* SPDX-License-Identifier: BSD-2-Clause */
/* The one way in which liboutrigger's functions fail. */
#include "loader/outrigger.h"

#include <stdarg.h>
#include <stdio.h>

int outrigger_fail(struct outrigger *o, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(o->error, sizeof(o->error), fmt, ap);
	va_end(ap);
	return err;
}
