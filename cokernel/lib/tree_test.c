/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/lib/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#define N 2000

static struct tree_node nodes[N];

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Walks in both directions and compares with a sorted array. */
static void check_against(const struct tree *t, uint64_t *keys, size_t count)
{
	struct tree_node *n = tree_first(t);
	size_t i;

	qsort(keys, count, sizeof(*keys), compare);
	for (i = 0; i < count; i++, n = tree_next(n)) {
		assert_non_null(n);
		assert_int_equal(n->key, keys[i]);
	}
	assert_null(n);
	n = tree_last(t);
	for (i = count; i-- > 0; n = tree_prev(n)) {
		assert_non_null(n);
		assert_int_equal(n->key, keys[i]);
	}
	assert_null(n);
}

static void test_random_operations(void **state)
{
	struct tree t = { 0 };
	uint64_t keys[N];
	size_t count, round, i;

	srand(1);
	for (round = 0; round < 20; round++) {
		for (i = 0; i < N; i++)
			if (!nodes[i].linked && rand() % 2)
				tree_insert(&t, &nodes[i], (uint64_t)rand() % 500);
			else if (nodes[i].linked && rand() % 2)
				tree_remove(&t, &nodes[i]);
		for (i = count = 0; i < N; i++)
			if (nodes[i].linked)
				keys[count++] = nodes[i].key;
		check_against(&t, keys, count);
		for (i = 0; i < 100 && count; i++) {
			uint64_t k = (uint64_t)rand() % 520;
			struct tree_node *f = tree_floor(&t, k), *c = tree_ceiling(&t, k);

			assert_int_equal(f == NULL, keys[0] > k);
			assert_int_equal(c == NULL, keys[count - 1] < k);
			if (f) {
				assert_true(f->key <= k);
				assert_true(!tree_next(f) || tree_next(f)->key > k);
			}
			if (c) {
				assert_true(c->key >= k);
				assert_true(!tree_prev(c) || tree_prev(c)->key < k);
			}
		}
	}
}

static void test_equal_keys_keep_order(void **state)
{
	struct tree t = { 0 };
	static struct tree_node n[50];
	struct tree_node *at;
	size_t i;

	for (i = 0; i < 50; i++)
		tree_insert(&t, &n[i], 7);
	for (at = tree_first(&t), i = 0; i < 50; i++, at = tree_next(at))
		assert_ptr_equal(at, &n[i]);
	tree_remove(&t, &n[3]);
	tree_remove(&t, &n[3]);     /* twice is harmless */
	assert_ptr_equal(tree_next(&n[2]), &n[4]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operations),
		cmocka_unit_test(test_equal_keys_keep_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
