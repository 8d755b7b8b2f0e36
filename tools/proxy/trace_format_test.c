/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tools/proxy/trace_format.h"

#define BAD 0xdead000ul

static const char *const list[] = { "/bin/echo", "a b", NULL };
static const char *const vars[] = { "A=1", "B=2", "C=3", NULL };

static size_t read_here(uint64_t at, void *to, size_t bytes)
{
	if ((at >= (uintptr_t)list && at < (uintptr_t)(list + 3)) ||
	    (at >= (uintptr_t)vars && at < (uintptr_t)(vars + 4))) {
		memcpy(to, (const void *)at, bytes);
		return bytes;
	}
	if (at == BAD || at == UINT64_MAX)
		return 0;
	/* As process_vm_readv() at the end of what is mapped: short. */
	if (bytes > strlen((const char *)at) + 1)
		bytes = strlen((const char *)at) + 1;
	memcpy(to, (const void *)at, bytes);
	return bytes;
}

static char *line(uint32_t nr, const uint64_t arg[6], int64_t result)
{
	static char text[2048];
	struct trace_args a;
	uint32_t i;

	trace_format_enter(&a, nr, arg, read_here);
	trace_format_leave(&a, nr, arg, result, read_here);
	strcpy(text, trace_call_name(nr));
	strcat(text, "(");
	for (i = 0; i < a.count; i++) {
		strcat(text, i ? ", " : "");
		strcat(text, a.text[i]);
	}
	strcat(text, ") = ");
	trace_format_result(text + strlen(text), 256, nr, result);
	return text;
}
#define LINE(nr, result, ...) line(nr, (uint64_t[6]){ __VA_ARGS__ }, result)
#define S(text) (uint64_t)(uintptr_t)(text)

static void as_strace_writes_it(void **state)
{
	assert_string_equal(LINE(SYS_openat, 3, (uint64_t)AT_FDCWD, S("/etc/hosts"), O_RDONLY | O_CLOEXEC, 077),
			    "openat(AT_FDCWD, \"/etc/hosts\", O_RDONLY|O_CLOEXEC) = 3");
	assert_string_equal(LINE(SYS_openat, -ENOENT, 5, S("x"), O_WRONLY | O_CREAT | O_TRUNC, 0644),
			    "openat(5, \"x\", O_WRONLY|O_CREAT|O_TRUNC, 0644) = -1 ENOENT (No such file or directory)");
	assert_string_equal(LINE(SYS_mmap, 0x10000000, 0, 4096, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, (uint64_t)-1, 0),
			    "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x10000000");
	assert_string_equal(LINE(SYS_kill, 0, (uint64_t)-5, 15), "kill(-5, SIGTERM) = 0");
	assert_string_equal(LINE(SYS_getpid, 17, 1, 2, 3), "getpid() = 17");
}

static void buffers(void **state)
{
	assert_string_equal(LINE(SYS_write, 4, 1, S("a\n\"\001"), 4), "write(1, \"a\\n\\\"\\001\", 4) = 4");
	assert_string_equal(LINE(SYS_read, 2, 0, S("ok, and more"), 100), "read(0, \"ok\", 100) = 2");
	assert_string_equal(LINE(SYS_read, 0, 0, S("x"), 100), "read(0, \"\", 100) = 0");
	assert_string_equal(LINE(SYS_read, -EFAULT, 0, BAD, 100),
			    "read(0, 0xdead000, 100) = -1 EFAULT (Bad address)");
	assert_string_equal(LINE(SYS_write, -EFAULT, 1, BAD, 5), "write(1, 0xdead000, 5) = -1 EFAULT (Bad address)");
	assert_string_equal(LINE(SYS_write, 40, 1, S("0123456789012345678901234567890123456789"), 40),
			    "write(1, \"01234567890123456789012345678901\"..., 40) = 40");
	assert_string_equal(LINE(SYS_chdir, -EFAULT, 0), "chdir(NULL) = -1 EFAULT (Bad address)");
}

static void lists(void **state)
{
	char expected[128];

	snprintf(expected, sizeof(expected), "execve(\"/bin/echo\", [\"/bin/echo\", \"a b\"], %p /* 3 vars */) = 0",
		 (const void *)vars);
	assert_string_equal(LINE(SYS_execve, 0, S(list[0]), S(list), S(vars)), expected);
	assert_string_equal(LINE(SYS_execve, -EFAULT, S("x"), BAD, 0),
			    "execve(\"x\", [], NULL) = -1 EFAULT (Bad address)");
}

/* The longest that a string can become fits. */
static void all_escaped(void **state)
{
	char data[64];

	memset(data, 0x80, sizeof(data));
	data[63] = 0;
	assert_int_equal(strlen(LINE(SYS_chdir, 0, S(data))), strlen("chdir() = 0") + 32 * 4 + 5);
}

static void every_row(void **state)
{
	static const uint64_t full[6] = { UINT64_MAX, BAD, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX };
	uint32_t nr;

	for (nr = 0; nr < TRACE_CALLS; nr++)
		if (trace_call_name(nr)) {
			line(nr, full, -512);
			line(nr, (uint64_t[6]){ 0 }, INT64_MIN);
		}
	assert_null(trace_call_name(TRACE_CALLS));
	assert_null(trace_call_name(UINT32_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_strace_writes_it), cmocka_unit_test(buffers), cmocka_unit_test(lists),
		cmocka_unit_test(all_escaped), cmocka_unit_test(every_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
