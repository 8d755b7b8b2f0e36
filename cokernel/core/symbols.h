/* SPDX-License-Identifier: BSD-2-Clause */
/* The image's own symbol table, for backtraces; made from the linked image by
 * cokernel/mksymbols and linked in by a second pass. */
#ifndef COKERNEL_CORE_SYMBOLS_H
#define COKERNEL_CORE_SYMBOLS_H

#include "cokernel/lib/types.h"

/* The function that `at` lies in and how far inside; NULL if none. */
const char *symbol_find(uint64_t at, uint64_t *offset);

#endif
