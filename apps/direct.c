/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Buffers that Linux must pin: direct DEVICE writes and reads a block device with
 * O_DIRECT out of and into memory that was never touched before, large pages and
 * small ones, and splices pages into a pipe that outlives their mapping.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#define BYTES (4ul << 20)

static void die(const char *what)
{
	fprintf(stderr, "direct: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *fresh(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	return p;
}

static void fill(uint64_t *p, size_t bytes, uint64_t seed)
{
	for (size_t i = 0; i < bytes / 8; i++)
		p[i] = (seed += 0x9e3779b97f4a7c15ull) * (i + 1);
}

static void disk(const char *path, size_t bytes, uint64_t seed)
{
	int fd = open(path, O_RDWR | O_DIRECT);
	void *out = fresh(bytes), *in = fresh(bytes), *untouched = fresh(bytes);

	if (fd < 0)
		die(path);
	fill(out, bytes, seed);
	if (pwrite(fd, out, bytes, 0) != (ssize_t)bytes)
		die("pwrite");
	if (pread(fd, in, bytes, 0) != (ssize_t)bytes)
		die("pread");
	if (memcmp(in, out, bytes))
		die("other bytes came back");
	if (pwrite(fd, untouched, bytes, 0) != (ssize_t)bytes)
		die("pwrite of untouched memory");
	if (pread(fd, in, bytes, 0) != (ssize_t)bytes || memcmp(in, untouched, bytes))
		die("zeroes did not come back");
	if (pread(fd, (char *)in + 1, 512, 0) != -1 || errno != EINVAL)
		die("an unaligned buffer was taken");
	munmap(out, bytes);
	munmap(in, bytes);
	munmap(untouched, bytes);
	close(fd);
}

/* A page in a pipe keeps its contents although its mapping went and the memory
 * was given to somebody else. */
static void pinned_beyond_its_mapping(void)
{
	char *p = fresh(4096), *q, got[4096], want[4096];
	struct iovec iov = { p, 4096 };
	int fd[2];

	fill((uint64_t *)p, 4096, 7);
	memcpy(want, p, 4096);
	if (pipe(fd))
		die("pipe");
	if (vmsplice(fd[1], &iov, 1, 0) != 4096)
		die("vmsplice");
	munmap(p, 4096);
	for (int i = 0; i < 200; i++) {
		q = fresh(65536);
		memset(q, 0xee, 65536);
		munmap(q, 65536);
	}
	if (read(fd[0], got, 4096) != 4096)
		die("read");
	if (memcmp(got, want, 4096))
		die("the page in the pipe changed");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: direct DEVICE\n");
		return 2;
	}
	disk(argv[1], BYTES, 1);
	disk(argv[1], 65536, 2);
	pinned_beyond_its_mapping();
	printf("ok\n");
	return 0;
}
