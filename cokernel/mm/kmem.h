/* SPDX-License-Identifier: BSD-2-Clause */
/* Small kernel objects: size classes over whole pages. For set-up paths; the
 * fast paths allocate nothing. */
#ifndef COKERNEL_MM_KMEM_H
#define COKERNEL_MM_KMEM_H

#include "cokernel/lib/types.h"

/* Aligned to 64 bytes from 64 bytes on, to 16 below; NULL when memory is out. */
void *kmem_alloc(size_t bytes);
void *kmem_zalloc(size_t bytes);
void kmem_free(void *p);        /* NULL is fine */

#endif
