/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Ordered trees keyed by a 64-bit number, links inside the objects: VMAs by
 * start, timers by deadline. A treap: expected depth 2 ln n, small code. Equal
 * keys are allowed and stand in order of insertion. No locks, no allocation.
 */
#ifndef COKERNEL_LIB_TREE_H
#define COKERNEL_LIB_TREE_H

#include "cokernel/lib/types.h"

struct tree_node {
	struct tree_node *left, *right, *parent;
	uint64_t key;
	uint32_t priority;
	bool linked;
};

struct tree {
	struct tree_node *root;
	uint32_t seed;              /* of the priorities; any value */
};

void tree_insert(struct tree *t, struct tree_node *n, uint64_t key);
void tree_remove(struct tree *t, struct tree_node *n);
struct tree_node *tree_first(const struct tree *t);
struct tree_node *tree_last(const struct tree *t);
struct tree_node *tree_next(const struct tree_node *n);
struct tree_node *tree_prev(const struct tree_node *n);
/* The last node with node->key <= key, or NULL. */
struct tree_node *tree_floor(const struct tree *t, uint64_t key);
/* The first node with node->key >= key, or NULL. */
struct tree_node *tree_ceiling(const struct tree *t, uint64_t key);

#endif
