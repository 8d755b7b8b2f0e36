/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct otr_area areas[] = {
	{ .start = 0x400000, .end = 0x401000, .prot = OTR_PROT_READ | OTR_PROT_EXEC },
	{ .start = 0x500000, .end = 0x521000, .prot = OTR_PROT_READ | OTR_PROT_WRITE },
	{ .start = 0x10000000000, .end = 0x10000002000, .prot = 0 },
	{ .start = 0x10000100000, .end = 0x10000102000, .prot = OTR_PROT_READ, .file = 3, .offset = 0x5000 },
	{ .start = 0x10000102000, .end = 0x10000103000, .prot = OTR_PROT_READ, .file = 4, .offset = 0x7000 },
	{ .start = 0x10000201000, .end = 0x10000202000, .prot = OTR_PROT_WRITE, .flags = OTR_AREA_SHARED },
	{ .start = 0x10000300000, .end = 0x10000301000, .prot = OTR_PROT_READ, .flags = OTR_AREA_SHARED },
	{ .start = 0x10000400000, .end = 0x10000401000, .prot = OTR_PROT_READ, .flags = OTR_AREA_SHARED },
	{ .start = 0x1ffffff00000, .end = 0x200000000000 - 0x1000, .prot = OTR_PROT_READ | OTR_PROT_WRITE },
};

static struct fact_mapped mapped[] = {
	{ .number = 3, .major = 8, .minor = 0x11, .inode = 77, .path = (char *)"/lib/libx.so (deleted)" },
};

/* What Linux says of the proxy: its own mapping, a file's, and memory without a name. */
static const char proxy_maps[] =
	"00010000-10000200000 rw-s 00010000 00:06 5                 /dev/outrigger-run\n"
	"10000200000-10000203000 rw-s 00009000 fe:01 99             /dev/shm/a b\n"
	"10000203000-10000300000 rw-s 10000203000 00:06 5           /dev/outrigger-run\n"
	"10000300000-10000301000 r--s 00000000 00:01 12 \n"
	"10000301000-200000000000 rw-s 10000301000 00:06 5          /dev/outrigger-run\n";

static struct facts facts = {
	.f = { .memory_bytes = 512 << 20, .memory_free_bytes = 100 << 20, .mapped_bytes = 8 << 20,
	       .resident_bytes = 3 << 20, .run_ns = 250000000, .brk_start = 0x500000, .brk = 0x520000,
	       .thread_count = 7, .cpu_count = 3, .cpus = { 0x23, 1ull << 63 } },
	.area = areas, .area_count = sizeof(areas) / sizeof(areas[0]), .mapped = mapped, .mapped_count = 1,
};

static struct program program = {
	.path = "/bin/prog",
	.exe = { .fd = -1, .elf = { .segment_count = 1,
				    .segment = { { 0x400010, 0x400f00, 0x1010, 0xef0, 5 } } } },
	.interpreter = { .fd = -1 },
	.exec = { .stack_start = 0x1ffffff00000, .stack_end = 0x1ffffffff000, .sp = 0x1fffffffe000 },
};

static void expect(enum fact_file file, const char *was, const char *wanted)
{
	char *text = fact_text(file, &facts, &program, 0, was);

	assert_string_equal(text, wanted);
	free(text);
}

static void files(void **state)
{
	assert_int_equal(fact_file_of("/proc/12/maps", 12), FACT_MAPS);
	assert_int_equal(fact_file_of("/proc/12/maps", 13), FACT_NONE);
	assert_int_equal(fact_file_of("/proc/12/task/14/stat", 12), FACT_STAT);
	assert_int_equal(fact_file_of("/proc/12/task/14/maps/x", 12), FACT_NONE);
	assert_int_equal(fact_file_of("/proc/stat", 12), FACT_NONE);
	assert_int_equal(fact_file_of("/tmp/proc/cpuinfo", 12), FACT_NONE);
	assert_int_equal(fact_file_of("/proc/cpuinfo", 12), FACT_CPUINFO);
	assert_int_equal(fact_file_of("/proc/12/", 12), FACT_NONE);
	assert_int_equal(fact_directory_of("/proc/12/fd", 12), 'f');
	assert_int_equal(fact_directory_of("/proc/12/task", 12), 't');
	assert_int_equal(fact_directory_of("/proc/12/task/12/fd", 12), 'f');
	assert_int_equal(fact_directory_of("/proc/13/fd", 12), 0);
}

static void areas_are_named(void **state)
{
	char *text = fact_text(FACT_MAPS, &facts, &program, 0, proxy_maps);

	assert_non_null(strstr(text, "00400000-00401000 r-xp 00001000 00:00 0 "));
	assert_non_null(strstr(text, " /bin/prog\n"));
	assert_non_null(strstr(text, "00500000-00521000 rw-p 00000000 00:00 0 "));
	assert_non_null(strstr(text, " [heap]\n"));
	assert_non_null(strstr(text, "10000000000-10000002000 ---p 00000000 00:00 0 \n"));
	assert_non_null(strstr(text, " [stack]\n"));
	assert_non_null(strstr(text, "10000100000-10000102000 r--p 00005000 08:11 77 "));
	assert_non_null(strstr(text, " /lib/libx.so (deleted)\n"));
	assert_non_null(strstr(text, "10000102000-10000103000 r--p 00000000 00:00 0 \n"));
	assert_non_null(strstr(text, "10000201000-10000202000 -w-s 0000a000 fe:01 99 "));
	assert_non_null(strstr(text, " /dev/shm/a b\n"));
	assert_non_null(strstr(text, "10000300000-10000301000 r--s 00000000 00:01 12 \n"));
	/* Only the device is there: not granted yet. */
	assert_non_null(strstr(text, "10000400000-10000401000 r--s 00000000 00:00 0 \n"));
	/* Names begin where Linux has them. */
	assert_int_equal(strchr(text, '/') - text, 73);
	free(text);
}

static void cpus(void **state)
{
	expect(FACT_CPU_LIST, "", "0-1,5,127\n");
	expect(FACT_CPUINFO, "processor\t: 9\nmodel\t: x\nsiblings\t: 64\n\nprocessor\t: 10\n\n",
	       "processor\t: 0\nmodel\t: x\nsiblings\t: 3\n\nprocessor\t: 1\nmodel\t: x\nsiblings\t: 3\n\n"
	       "processor\t: 5\nmodel\t: x\nsiblings\t: 3\n\nprocessor\t: 127\nmodel\t: x\nsiblings\t: 3\n\n");
	expect(FACT_CPUINFO, "", "\n\n\n\n");
}

static void numbers(void **state)
{
	expect(FACT_STATUS, "Name:\tx\nVmSize:\t 1 kB\nVmRSS:\t 2 kB\nThreads:\t99\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n",
	       "Name:\tx\nVmSize:\t    8192 kB\nVmRSS:\t    3072 kB\nThreads:\t7\n"
	       "Cpus_allowed:\t80000000,00000000,00000000,00000023\nCpus_allowed_list:\t0-1,5,127\n");
	expect(FACT_STAT, "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 14 15 16 17 18 19 99 21 22 1 2 25\n",
	       "12 (a) b) S 1 2 3 4 5 6 7 8 9 10 25 15 16 17 18 19 7 21 22 8388608 768 25\n");
	expect(FACT_STAT, "no brackets", "no brackets");
	expect(FACT_STATM, "1 2 3", "2048 768 0 0 0 2048 0\n");
	expect(FACT_MEMINFO, "MemTotal:       1 kB\nMemFree:  1 kB\nSwapTotal: 5 kB\nHugePages_Total:       0\n",
	       "MemTotal:         524288 kB\nMemFree:          102400 kB\nSwapTotal:             0 kB\nHugePages_Total:       0\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files),
		cmocka_unit_test(areas_are_named),
		cmocka_unit_test(cpus),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
