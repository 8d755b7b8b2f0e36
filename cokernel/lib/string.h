/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory and string functions of the freestanding co-kernel; the compiler calls
 * the mem* ones by itself. Hosted builds use libc's. */
#ifndef COKERNEL_LIB_STRING_H
#define COKERNEL_LIB_STRING_H

#include "cokernel/lib/types.h"

#ifdef OTR_HOSTED
#include <string.h>
#else
void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t most);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t most);
#endif

/* Copies at most room-1 characters and always terminates. */
void str_copy(char *to, const char *from, size_t room);

#endif
