/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that looks at what is the proxy's and not its own; for
 * tests/vm/outrigger-run.bats. Prints a line for each thing, 0 if all is well.
 *   self            its name, its descriptors
 *   self where      addresses, for randomisation
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DESCRIPTORS 33000   /* hidden ones lie below */

static int failed;

static void expect(const char *what, long value, long wanted)
{
	if (value == wanted)
		return;
	printf("%s: %ld instead of %ld\n", what, value, wanted);
	failed = 1;
}

static long raw(long nr, const void *a, void *b, long c)
{
	return syscall(nr, a, b, c) < 0 ? -errno : 0;
}

static void exe(void)
{
	char text[4096];
	void *bad = (void *)(uintptr_t)8;
	ssize_t n = readlink("/proc/self/exe", text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	printf("exe %s\n", text);
	expect("a short buffer", readlink("/proc/self/exe", text, 4), 4);
	expect("a bad buffer", raw(SYS_readlink, "/proc/self/exe", bad, 100), -EFAULT);
	expect("a bad path", raw(SYS_readlink, bad, text, 100), -EFAULT);
}

static void cmdline(void)
{
	char text[4096];
	int fd = open("/proc/self/cmdline", O_RDONLY);
	ssize_t n = read(fd, text, sizeof(text)), i;

	close(fd);
	for (i = 0; i < n - 1; i++)
		if (!text[i])
			text[i] = ' ';
	printf("cmdline %.*s\n", (int)(n > 0 ? n - 1 : 0), text);
	fd = open("/proc/self/comm", O_RDONLY);
	n = read(fd, text, sizeof(text));
	close(fd);
	printf("comm %.*s", (int)n, text);
}

static void descriptors(void)
{
	int i, open_count = 0;

	for (i = 3; i < DESCRIPTORS; i++)
		open_count += fcntl(i, F_GETFD) >= 0;
	printf("descriptors %d, the next %d\n", open_count, dup(0));
	for (i = 3; i < DESCRIPTORS; i++)
		close(i);
	expect("close_range", syscall(SYS_close_range, 3, ~0u, 0), 0);
	for (i = 10; i < DESCRIPTORS; i += i < 1000 || i > 32700 ? 1 : 500)
		if (dup2(0, i) == i)
			close(i);
	expect("a call after all that", write(1, "alive\n", 6), 6);
}

static void where(void)
{
	int local;

	printf("code %p heap %p stack %p map %p random %p\n", (void *)(uintptr_t)where, sbrk(0), (void *)&local,
	       mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	       (void *)getauxval(AT_RANDOM));
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc == 2 && !strcmp(argv[1], "where")) {
		where();
		return 0;
	}
	exe();
	cmdline();
	descriptors();
	expect("AT_SECURE", (long)getauxval(AT_SECURE), 0);
	expect("AT_PAGESZ", (long)getauxval(AT_PAGESZ), 4096);
	expect("AT_PHENT", (long)getauxval(AT_PHENT), sizeof(Elf64_Phdr));
	expect("AT_EXECFN", strcmp((const char *)getauxval(AT_EXECFN), argv[0]), 0);
	return failed;
}
