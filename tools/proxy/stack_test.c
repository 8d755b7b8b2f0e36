/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/stack.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define TOP 0x1fff00000000ul
#define LIMIT (1ul << 20)

static char *const argv[] = { "prog", "", "two words", NULL };
static char *const envp[] = { "A=1", "B=", NULL };

static struct stack_input input(void)
{
	return (struct stack_input){
		.argv = argv, .envp = envp, .execfn = "/bin/prog", .random = { 1, 2, 3 },
		.header_addr = 0x400040, .header_count = 9, .entry = 0x401000,
	};
}

static const void *at(const struct stack *s, uint64_t addr)
{
	assert_in_range(addr, s->sp, TOP - 1);
	return s->data + (addr - s->sp);
}

static uint64_t aux(const uint64_t *v, uint64_t type)
{
	for (; v[0] != AT_NULL; v += 2)
		if (v[0] == type)
			return v[1];
	return UINT64_MAX;
}

static void test_layout(void **state)
{
	struct outrigger o = { .fd = -1 };
	struct stack_input in = input();
	struct stack s;
	const uint64_t *w;

	assert_int_equal(stack_build(&o, &in, TOP, LIMIT, &s), 0);
	assert_int_equal(s.sp % 16, 0);
	assert_int_equal(s.sp + s.bytes, TOP);
	w = (const uint64_t *)s.data;
	assert_int_equal(w[0], 3);
	assert_string_equal(at(&s, w[1]), "prog");
	assert_string_equal(at(&s, w[2]), "");
	assert_string_equal(at(&s, w[3]), "two words");
	assert_int_equal(w[4], 0);
	assert_string_equal(at(&s, w[5]), "A=1");
	assert_string_equal(at(&s, w[6]), "B=");
	assert_int_equal(w[7], 0);
	/* one string after the other, as setproctitle() wants it */
	assert_int_equal(w[2], w[1] + 5);
	assert_int_equal(w[5], w[3] + 10);
	assert_int_equal(w[6], w[5] + 4);

	w += 8;
	assert_int_equal(aux(w, AT_PHDR), 0x400040);
	assert_int_equal(aux(w, AT_PHNUM), 9);
	assert_int_equal(aux(w, AT_PHENT), sizeof(Elf64_Phdr));
	assert_int_equal(aux(w, AT_ENTRY), 0x401000);
	assert_int_equal(aux(w, AT_PAGESZ), 4096);
	assert_int_equal(aux(w, AT_UID), getuid());
	assert_int_equal(aux(w, AT_SECURE), 0);
	assert_int_equal(aux(w, AT_SYSINFO_EHDR), UINT64_MAX);
	assert_string_equal(at(&s, aux(w, AT_EXECFN)), "/bin/prog");
	assert_string_equal(at(&s, aux(w, AT_PLATFORM)), "x86_64");
	assert_memory_equal(at(&s, aux(w, AT_RANDOM)), in.random, 16);
	free(s.data);
}

/* The stack pointer is told before it is known whether there is a vDSO. */
static void test_vdso_moves_nothing(void **state)
{
	struct outrigger o = { .fd = -1 };
	struct stack_input in = input();
	struct stack a, b;

	assert_int_equal(stack_build(&o, &in, TOP, LIMIT, &a), 0);
	in.vdso = 0x7000;
	assert_int_equal(stack_build(&o, &in, TOP, LIMIT, &b), 0);
	assert_int_equal(a.sp, b.sp);
	assert_int_equal(aux((const uint64_t *)b.data + 8, AT_SYSINFO_EHDR), 0x7000);
	free(a.data);
	free(b.data);
}

static void test_sizes(void **state)
{
	struct outrigger o = { .fd = -1 };
	struct stack_input in = input();
	char *const none[] = { NULL };
	char word[64];
	char *const one[] = { word, NULL };
	struct stack s;
	size_t n;

	in.envp = none;
	for (n = 0; n < sizeof(word); n++) {
		memset(word, 'x', n);
		word[n] = 0;
		in.argv = one;
		assert_int_equal(stack_build(&o, &in, TOP, LIMIT, &s), 0);
		assert_int_equal(s.sp % 16, 0);
		assert_string_equal(at(&s, ((uint64_t *)s.data)[1]), word);
		free(s.data);
	}
	in.argv = none;
	assert_int_equal(stack_build(&o, &in, TOP, LIMIT, &s), 0);
	free(s.data);
}

static void test_too_big(void **state)
{
	struct outrigger o = { .fd = -1 };
	struct stack_input in = input();
	struct stack s;

	assert_int_equal(stack_build(&o, &in, TOP, 100, &s), -E2BIG);
	assert_non_null(strstr(o.error, "arguments"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout),
		cmocka_unit_test(test_vdso_moves_nothing),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_too_big),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
