/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of files, kept for the next program that maps them and shared between those
 * that do. A page is known by the version of its file and its place in it. Versions are
 * given by the host (OTR_AREA_VERSIONS), end when somebody may write to the file, and
 * never come again, so a page of one that has ended is found by nobody and goes when
 * its memory is wanted. Nobody writes to a page of the cache: programs have it marked
 * for copying, however few they are.
 */
#ifndef COKERNEL_MM_FILECACHE_H
#define COKERNEL_MM_FILECACHE_H

#include "cokernel/mm/phys.h"

/* Pages that are found together: a piece of a file, aligned to its size. */
#define FILECACHE_PIECE 16u

/* A file's version, and the place where the host says that it has ended. */
struct file_version {
	uint32_t slot;
	uint32_t number;            /* 0: none; the file's pages are not kept */
};

void filecache_init(void);
/* The host vouches for it: what was read since it was given is what the file contains. */
bool filecache_is_current(const struct file_version *v);
/* The pages of the piece that `index` (in pages) lies in, each with a reference for the
 * caller; NULL for those that are not there. False: the one of `index` is not, and there
 * are no references. */
bool filecache_get(const struct file_version *v, uint64_t index, struct page *piece[FILECACHE_PIECE]);
/* Keeps a page, of order 0 and not in the cache, with a reference of its own. False: it is
 * there already, there is no room, or its memory is to be given back. */
bool filecache_add(const struct file_version *v, uint64_t index, struct page *p);
/* Drops what lies in [start, end). */
void filecache_evict(paddr_t start, paddr_t end);
/* Frees up to `most` pages that no program maps: how many. */
uint64_t filecache_reclaim(uint64_t most);
/* What the cache holds. Nearly all of it is free for whoever needs it. */
uint64_t filecache_bytes(void);

#endif
