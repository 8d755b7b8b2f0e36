/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/outrigger/parse.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct outrigger o = { .fd = -1 };

static void test_cpus(void **state)
{
	static const char *const bad[] = {
		"", ",", "-", "a", "1-", "-1", "3-1", "1,,2", "1 ,2", " 1", "+1", "1-2-3", "4096",
		"99999999999999999999", "1;2", "1,2x", "0x1",
	};
	struct cpu_set_list s;
	size_t i;

	assert_int_equal(parse_cpus(&o, "2-3,5", &s), 0);
	assert_int_equal(cpus_count(&s), 3);
	assert_true(cpus_has(&s, 2) && cpus_has(&s, 3) && cpus_has(&s, 5));
	assert_int_equal(parse_cpus(&o, "7,", &s), 0);
	assert_int_equal(cpus_count(&s), 1);
	assert_int_equal(parse_cpus(&o, "1,1,1-2", &s), 0);
	assert_int_equal(cpus_count(&s), 2);
	assert_int_equal(parse_cpus(&o, "4095", &s), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o.error[0] = 0;
		if (parse_cpus(&o, bad[i], &s) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
		assert_non_null(strstr(o.error, "list of CPUs"));
	}
	assert_true(parse_is_count("3"));
	assert_false(parse_is_count("3,"));
	assert_false(parse_is_count("3-4"));
	assert_false(parse_is_count(""));
}

static void test_size(void **state)
{
	static const char *const bad[] = {
		"", "M", "-1M", "1.5G", "512", "3M", "1", "0", "0G", "512MB", "20000000000G", "512M ",
		"512M@", "512M@1", "99999999999999999999999999G",
	};
	uint64_t bytes;
	size_t i;

	assert_int_equal(parse_size(&o, "512M", &bytes), 0);
	assert_true(bytes == 512ull << 20);
	assert_int_equal(parse_size(&o, "2g", &bytes), 0);
	assert_true(bytes == 2ull << 30);
	assert_int_equal(parse_size(&o, "2GiB", &bytes), 0);
	assert_true(bytes == 2ull << 30);
	assert_int_equal(parse_size(&o, "4096K", &bytes), 0);
	assert_int_equal(parse_size(&o, "2097152", &bytes), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (parse_size(&o, bad[i], &bytes) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
}

static void test_memory(void **state)
{
	struct memory_list m;

	assert_int_equal(parse_memory(&o, "512M", &m), 0);
	assert_int_equal(m.count, 1);
	assert_int_equal(m.item[0].node, -1);
	assert_int_equal(parse_memory(&o, "512M@1,1G@0,512M@1", &m), 0);
	assert_int_equal(m.count, 2);
	assert_true(m.item[0].bytes == 1ull << 30 && m.item[0].node == 1);
	assert_true(m.item[1].bytes == 1ull << 30 && m.item[1].node == 0);
	assert_int_equal(parse_memory(&o, "512M,", &m), -EINVAL);
	assert_int_equal(parse_memory(&o, "512M@x", &m), -EINVAL);
	assert_int_equal(parse_memory(&o, "512M@-1", &m), -EINVAL);
	assert_int_equal(parse_memory(&o, "512M@1 ,2M", &m), -EINVAL);
}

static void test_others(void **state)
{
	unsigned int v;
	char text[32];
	uid_t uid;

	assert_int_equal(parse_mode(&o, "750", &v), 0);
	assert_int_equal(v, 0750);
	assert_int_equal(parse_mode(&o, "777", &v), -EINVAL);
	assert_int_equal(parse_mode(&o, "", &v), -EINVAL);
	assert_int_equal(parse_mode(&o, "u=r", &v), -EINVAL);
	assert_int_equal(parse_seconds(&o, "2.5", &v), 0);
	assert_int_equal(v, 2500);
	assert_int_equal(parse_seconds(&o, "-1", &v), -EINVAL);
	assert_int_equal(parse_seconds(&o, "nan", &v), -EINVAL);
	assert_int_equal(parse_seconds(&o, "1e99", &v), -EINVAL);
	assert_int_equal(parse_kind(&o, "contig", &v), 0);
	assert_int_equal(v, OTR_MEM_CONTIG);
	assert_int_equal(parse_kind(&o, "blocks", &v), -EINVAL);
	assert_int_equal(parse_user(&o, "root", &uid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(parse_user(&o, "12345", &uid), 0);
	assert_int_equal(uid, 12345);
	assert_int_equal(parse_user(&o, "no such user", &uid), -EINVAL);
	assert_string_equal(format_bytes(512ull << 20, text, sizeof(text)), "512M");
	assert_string_equal(format_bytes(3ull << 29, text, sizeof(text)), "1.5G");
	assert_string_equal(format_bytes(100, text, sizeof(text)), "100");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cpus),
		cmocka_unit_test(test_size),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
