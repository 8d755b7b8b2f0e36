/* SPDX-License-Identifier: BSD-2-Clause */
/* printf-style formatting without libc. Knows %d %i %u %x %X %o %c %s %p %%,
 * the lengths hh h l ll z, width (also *), precision for strings (also *), and
 * the flags '-', '0' and '#'. Returns what the whole text would take. */
#ifndef COKERNEL_LIB_FORMAT_H
#define COKERNEL_LIB_FORMAT_H

#include "cokernel/lib/types.h"

#include <stdarg.h>

size_t format_v(char *to, size_t room, const char *fmt, va_list args);
size_t format(char *to, size_t room, const char *fmt, ...) printf_(3, 4);

#endif
