/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maps DIRECTORY: mappings of files and shared memory, the same on both kernels:
 * prints what programs see, line by line.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

static sigjmp_buf back;
static volatile int caught, code;
static volatile uintptr_t where;

static void handler(int number, siginfo_t *info, void *context)
{
	caught = number;
	code = info->si_code;
	where = (uintptr_t)info->si_addr;
	siglongjmp(back, 1);
}

/* Touches a byte: what came of it, in a word. */
static const char *touch(volatile char *at, int write)
{
	static char text[64];

	caught = 0;
	if (!sigsetjmp(back, 1)) {
		if (write)
			*at = 'w';
		else
			(void)*at;
		return "fine";
	}
	snprintf(text, sizeof(text), "signal %d code %d%s", caught, code,
		 where == (uintptr_t)at ? "" : " at another address");
	return text;
}

static char directory[4000];

static int make_file(const char *name, size_t bytes)
{
	char path[4096], *text = malloc(bytes + 17);
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	for (size_t i = 0; i < bytes; i += 16)
		sprintf(text + i, "%15zu\n", i);
	if (write(fd, text, bytes) != (ssize_t)bytes)
		perror("write");
	free(text);
	return fd;
}

static void *map(size_t bytes, int prot, int flags, int fd, off_t offset)
{
	void *p = mmap(NULL, bytes, prot, flags, fd, offset);

	if (p == MAP_FAILED) {
		printf("mmap: %s\n", strerror(errno));
		exit(1);
	}
	return p;
}

static uint32_t sum(const char *p, size_t bytes)
{
	uint32_t s = 0;

	for (size_t i = 0; i < bytes; i++)
		s = s * 31 + (unsigned char)p[i];
	return s;
}

static void private_file(void)
{
	const size_t bytes = 300 * PAGE + 100;
	int fd = make_file("private", bytes), dup_fd, null;
	char *p = map(302 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), text[17] = "";
	char *q;

	/* Changed before the first touch: seen. */
	printf("pwrite %zd\n", pwrite(fd, "changed", 7, 200 * PAGE));
	printf("private: %08x, tail %d %d\n", sum(p, bytes), p[bytes - 1], p[bytes]);
	printf("changed: %.7s\n", p + 200 * PAGE);
	p[5] = 'X';
	printf("pread %zd: ", pread(fd, text, 16, 0));
	printf("%.16s", text);
	printf("behind the end: %s\n", touch(p + 301 * PAGE, 0));
	printf("in the last page: %s\n", touch(p + 300 * PAGE + 4000, 1));
	dup_fd = dup(fd);
	close(fd);
	q = map(2 * PAGE, PROT_READ, MAP_PRIVATE, dup_fd, 100 * PAGE);
	close(dup_fd);
	printf("offset: %.15s, write: %s\n", q, touch(q, 1));
	printf("mprotect %d, ", mprotect(q, PAGE, PROT_READ | PROT_WRITE));
	printf("write: %s\n", touch(q, 1));
	printf("dropped %d: ", madvise(q, PAGE, MADV_DONTNEED));
	printf("%.15s\n", q);
	/* Linux finds pages that the program did not touch. */
	null = open("/dev/null", O_WRONLY);
	printf("write of untouched pages: %zd\n", write(null, p + 64 * PAGE, 100 * PAGE));
	munmap(q, 2 * PAGE);
	q = mremap(p, 302 * PAGE, 400 * PAGE, MREMAP_MAYMOVE);
	printf("moved: %c %.15s\n", q[5], q + 299 * PAGE);
	munmap(q, 400 * PAGE);
	close(null);
}

/* Changes a file at `offset` by its path, as another program would. */
static void change(const char *path, const char *text, off_t offset)
{
	int fd = open(path, O_WRONLY), status;
	pid_t pid = fork();

	if (!pid)
		_exit(pwrite(fd, text, strlen(text), offset) != (ssize_t)strlen(text));
	close(fd);
	waitpid(pid, &status, 0);
	if (status)
		printf("pwrite failed\n");
}

/* A file that nobody writes to, mapped again and again; then somebody does. */
static void kept_file(void)
{
	const size_t bytes = 40 * PAGE + 300;
	char path[4096], *p, *q;
	int fd;

	close(make_file("kept", bytes));
	snprintf(path, sizeof(path), "%s/kept", directory);
	fd = open(path, O_RDONLY);
	p = map(41 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	printf("kept: %08x, tail %d\n", sum(p, bytes), p[bytes]);
	strcpy(p + 3 * PAGE, "my own");
	strcpy(p + bytes, "behind the end");
	q = map(41 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("again: %08x, tail %d, write: %s\n", sum(q, bytes), q[bytes], touch(q + 3 * PAGE, 1));
	mprotect(q + 5 * PAGE, PAGE, PROT_READ | PROT_WRITE);
	strcpy(q + 5 * PAGE, "its own");
	munmap(p, 41 * PAGE);
	p = map(10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 2 * PAGE);
	/* Written to before anything is read. */
	strcpy(p + PAGE + 8, "first");
	printf("from page 2: %.8s%.5s, %.15s, %s\n", p + PAGE, p + PAGE + 8, p + 3 * PAGE, q + 5 * PAGE);
	munmap(q, 41 * PAGE);
	munmap(p, 10 * PAGE);

	q = map(41 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("one page: %.15s\n", q);
	change(path, "changed once", 20 * PAGE);
	p = map(41 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("mapped before: %.15s, mapped after: %.15s\n", q + 20 * PAGE, p + 20 * PAGE);
	change(path, "changed twice", 33 * PAGE);
	printf("untouched: %.15s\n", q + 33 * PAGE);
	munmap(p, 41 * PAGE);
	p = map(41 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("all: %08x\n", sum(p, bytes));
	munmap(p, 41 * PAGE);
	munmap(q, 41 * PAGE);

	/* Nobody opens it for this. */
	p = map(41 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("truncate %d, ", truncate(path, 2 * PAGE + 10));
	printf("last page: %d %d, behind it: %s\n", p[2 * PAGE + 9], p[2 * PAGE + 10], touch(p + 3 * PAGE, 0));
	printf("truncate %d, ", truncate(path, bytes));
	printf("zeroes: %d %d\n", p[30 * PAGE], p[40 * PAGE + 299]);
	munmap(p, 41 * PAGE);
	close(fd);
	unlink(path);
	close(make_file("kept", 2 * PAGE));
	fd = open(path, O_RDONLY);
	p = map(2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("another file: %08x\n", sum(p, 2 * PAGE));
	close(fd);
}

/* Arguments in pages of a file that only Linux touches. */
static void untouched_arguments(void)
{
	int fd = make_file("arguments", 64 * PAGE), pair[2];
	char *p = map(64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), text[16];
	struct iovec v[2];
	struct msghdr m = { .msg_iov = v, .msg_iovlen = 2 };
	ssize_t sent, got;

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	v[0] = (struct iovec){ p + 20 * PAGE, 8 };
	v[1] = (struct iovec){ p + 40 * PAGE, 8 };
	sent = sendmsg(pair[0], &m, 0);
	got = read(pair[1], text, 16);
	printf("sendmsg %zd, read %zd: %.16s\n", sent, got, text);
	v[0] = (struct iovec){ p + 30 * PAGE, 8 };
	v[1] = (struct iovec){ p + 50 * PAGE, 8 };
	sent = write(pair[0], "0123456789abcdef", 16);
	got = recvmsg(pair[1], &m, 0);
	printf("recvmsg %zd: %.8s %.8s|%.7s\n", got, p + 30 * PAGE, p + 50 * PAGE, p + 50 * PAGE + 8);
	close(fd);
}

static void shared_file(void)
{
	int fd = make_file("shared", 20 * PAGE), status;
	char *p = map(20 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), text[8] = "", *q;
	struct stat st;
	pid_t pid;

	printf("shared: %08x\n", sum(p, 20 * PAGE));
	strcpy(p + PAGE, "mapped");
	printf("pread %zd: ", pread(fd, text, 7, PAGE));
	printf("%s\n", text);
	printf("pwrite %zd\n", pwrite(fd, "file", 5, 2 * PAGE));
	printf("seen: %s\n", p + 2 * PAGE);
	pid = fork();
	if (!pid) {
		strcpy(p + 3 * PAGE, "child");
		_exit(strcmp(p + PAGE, "mapped") != 0);
	}
	waitpid(pid, &status, 0);
	printf("child %d: %s\n", status, p + 3 * PAGE);
	printf("msync %d, fsync %d\n", msync(p, 20 * PAGE, MS_SYNC), fsync(fd));
	strcpy(p + PAGE, "again");
	printf("pread %zd: ", pread(fd, text, 5, PAGE));
	printf("%.5s\n", text);
	printf("ftruncate %d\n", ftruncate(fd, 2 * PAGE));
	printf("before the end: %s, behind it: ", touch(p + PAGE, 1));
	printf("%s\n", touch(p + 3 * PAGE, 0));
	printf("ftruncate %d, ", ftruncate(fd, 20 * PAGE));
	printf("again: %s, %d\n", touch(p + 3 * PAGE, 0), p[3 * PAGE]);
	printf("mprotect %d: ", mprotect(p, PAGE, PROT_READ));
	printf("%s\n", touch(p, 1));
	q = mremap(p, 20 * PAGE, 30 * PAGE, MREMAP_MAYMOVE);
	printf("moved: %.5s, %s\n", q + PAGE, touch(q + 25 * PAGE, 0));
	printf("read into it %zd: ", pread(fd, q + 5 * PAGE, 6, PAGE));
	printf("%.7s\n", q + 5 * PAGE);
	munmap(q, 30 * PAGE);
	printf("unmapped: %s\n", touch(q, 0));
	fstat(fd, &st);
	printf("size %ld\n", (long)st.st_size);
	close(fd);
}

static void anonymous(void)
{
	const size_t bytes = 1 << 20;
	char *p = map(bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	memset(p, 1, bytes);
	pid = fork();
	if (!pid) {
		memset(p + bytes / 2, 2, bytes / 2);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("anonymous: %d, %d %d\n", status, p[0], p[bytes - 1]);
	munmap(p, bytes);
}

static void memory_file(void)
{
	int fd = memfd_create("test", 0);
	char *p, text[8] = "";

	printf("ftruncate %d\n", ftruncate(fd, 4 * PAGE));
	p = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(p, "memfd");
	printf("memfd: %zd ", pread(fd, text, 6, 0));
	printf("%s\n", text);
	munmap(p, 4 * PAGE);
	p = map(4 * PAGE, PROT_WRITE, MAP_SHARED, fd, 0);
	printf("write only: %s, ", touch(p + PAGE, 1));
	printf("%d, ", mprotect(p, 4 * PAGE, PROT_READ));
	printf("%d, ", mprotect(p, 4 * PAGE, PROT_WRITE));
	printf("%s\n", touch(p + 2 * PAGE, 1));
	printf("read only: ");
	close(fd);
	fd = open("/proc/self/exe", O_RDONLY);
	printf("%d ", mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
	printf("%s\n", strerror(errno));
	close(fd);
	printf("closed: %d ", mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	printf("%s\n", strerror(errno));
	fd = open("/dev/zero", O_RDONLY);
	p = map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	printf("zero: %d %s\n", p[7], touch(p, 1));
	close(fd);
}

static void sysv(void)
{
	int id = shmget(IPC_PRIVATE, 10 * PAGE - 5, IPC_CREAT | 0600), status;
	char *p = shmat(id, NULL, 0), *q = shmat(id, NULL, SHM_RDONLY);
	struct shmid_ds ds;
	pid_t pid;

	strcpy(p, "sysv");
	printf("shm: %s, read only: %s\n", q, touch(q, 1));
	pid = fork();
	if (!pid) {
		strcpy(p + 9 * PAGE, "child");
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("child %d: %s\n", status, q + 9 * PAGE);
	shmctl(id, IPC_STAT, &ds);
	printf("attached %lu\n", (unsigned long)ds.shm_nattch);
	printf("shmdt %d: ", shmdt(p));
	printf("%s\n", touch(p, 0));
	printf("shmdt again %d ", shmdt(p));
	printf("%s\n", strerror(errno));
	shmctl(id, IPC_STAT, &ds);
	printf("attached %lu, remove %d\n", (unsigned long)ds.shm_nattch, shmctl(id, IPC_RMID, NULL));
	printf("still there: %s\n", q);
	shmdt(q);
}

static void advice(void)
{
	char *p = map(16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char present[16];
	int status, fd;
	pid_t pid;

	madvise(p, 16 * PAGE, MADV_NOHUGEPAGE);
	p[0] = p[3 * PAGE] = 1;
	printf("mincore %d: ", mincore(p, 5 * PAGE, present));
	printf("%d%d%d%d%d\n", present[0], present[1], present[2], present[3], present[4]);
	printf("populate %d: ", madvise(p, 16 * PAGE, MADV_POPULATE_WRITE));
	printf("mincore %d: ", mincore(p, 16 * PAGE, present));
	printf("%d\n", present[9] + present[15]);
	printf("dontneed %d: ", madvise(p, PAGE, MADV_DONTNEED));
	printf("%d\n", p[0]);
	memset(p, 7, 16 * PAGE);
	printf("dontfork %d, wipe %d\n", madvise(p, PAGE, MADV_DONTFORK), madvise(p + PAGE, PAGE, MADV_WIPEONFORK));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		printf("child: %s, ", touch(p, 0));
		printf("%d %d\n", p[PAGE], p[2 * PAGE]);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	munmap(p + 8 * PAGE, PAGE);
	printf("hole: %d ", madvise(p, 16 * PAGE, MADV_NORMAL));
	printf("%d, ", errno);
	printf("%d ", mincore(p, 16 * PAGE, present));
	printf("%d, ", errno);
	printf("%d ", msync(p, 16 * PAGE, MS_SYNC));
	printf("%d\n", errno);
	printf("unknown: %d ", madvise(p, PAGE, 99));
	printf("%s, unaligned: ", strerror(errno));
	printf("%d ", madvise(p + 1, PAGE, MADV_NORMAL));
	printf("%s\n", strerror(errno));
	printf("remove: %d ", madvise(p, PAGE, MADV_REMOVE));
	printf("%s\n", strerror(errno));
	printf("mlock %d, ", mlock(p, 2 * PAGE));
	printf("dontneed of locked %d, ", madvise(p, PAGE, MADV_DONTNEED));
	printf("munlock %d\n", munlock(p, 2 * PAGE));
	fd = make_file("advice", 8 * PAGE);
	p = map(10 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	printf("free of a file: %d ", madvise(p, PAGE, MADV_FREE));
	printf("%s, populate behind its end: ", strerror(errno));
	printf("%d ", madvise(p, 10 * PAGE, MADV_POPULATE_READ));
	printf("%s, write: ", strerror(errno));
	printf("%d ", madvise(p, PAGE, MADV_POPULATE_WRITE));
	printf("%s\n", strerror(errno));
	close(fd);
}

static void places(void)
{
	char *p = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0), *q;

	printf("32 bits: %d\n", (uintptr_t)p + 4 * PAGE <= 1ul << 31);
	p[0] = 5;
	q = mremap(p, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | 4 /* MREMAP_DONTUNMAP */, NULL);
	printf("dontunmap: %d, ", q != MAP_FAILED && q != p);
	printf("%d %d\n", *(volatile char *)q, *(volatile char *)p);
	q = mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	printf("noreplace: %d %d\n", q == MAP_FAILED, errno);
	printf("munmap nothing %d, ", munmap((void *)(7 * PAGE + 0x100000000), PAGE));
	printf("unaligned %d ", munmap(p + 1, PAGE));
	printf("%d\n", errno);
}

static void limits(void)
{
	struct rlimit r, old;
	char *p;

	getrlimit(RLIMIT_AS, &old);
	r = (struct rlimit){ 1ul << 28, old.rlim_max };
	printf("limit %d: ", setrlimit(RLIMIT_AS, &r));
	p = mmap(NULL, 1ul << 29, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("%d, ", p == MAP_FAILED ? errno : 0);
	r.rlim_cur = old.rlim_cur;
	printf("back %d: ", setrlimit(RLIMIT_AS, &r));
	p = mmap(NULL, 1ul << 29, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("%d\n", p == MAP_FAILED ? errno : 0);
	getrlimit(RLIMIT_DATA, &old);
	r = (struct rlimit){ 1ul << 26, old.rlim_max };
	printf("data %d: ", setrlimit(RLIMIT_DATA, &r));
	p = mmap(NULL, 1ul << 27, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	printf("%d, ", p == MAP_FAILED ? errno : 0);
	setrlimit(RLIMIT_DATA, &old);
	getrlimit(RLIMIT_DATA, &r);
	printf("%d\n", r.rlim_cur == old.rlim_cur);
}

static void policy(void)
{
	char *p = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned long mask[16], one = 1;
	int mode = -1;

	printf("policy %ld ", syscall(SYS_get_mempolicy, &mode, mask, 1024ul, 0, 0));
	printf("%d, ", mode);
	printf("mbind %ld, ", syscall(SYS_mbind, p, 2 * PAGE, 2, &one, 64ul, 0));
	printf("%ld ", syscall(SYS_get_mempolicy, &mode, mask, 1024ul, p, 2));
	printf("%d %lx, ", mode, mask[0]);
	printf("%ld ", syscall(SYS_get_mempolicy, &mode, NULL, 0ul, p, 3));
	printf("node %d, ", mode);
	printf("hole %ld, ", syscall(SYS_mbind, 0x12345000, PAGE, 2, &one, 64ul, 0));
	printf("none %ld ", syscall(SYS_set_mempolicy, 2, NULL, 0ul));
	printf("%d\n", errno);
	printf("interleave %ld, ", syscall(SYS_set_mempolicy, 3, &one, 64ul));
	p[3 * PAGE] = 1;
	printf("default %ld\n", syscall(SYS_set_mempolicy, 0, NULL, 0ul));
}

int main(int argc, char **argv)
{
	struct sigaction a = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };

	snprintf(directory, sizeof(directory), "%s", argc > 1 ? argv[1] : "/tmp");
	sigaction(SIGSEGV, &a, NULL);
	sigaction(SIGBUS, &a, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	private_file();
	kept_file();
	untouched_arguments();
	shared_file();
	anonymous();
	memory_file();
	sysv();
	advice();
	places();
	limits();
	policy();
	return 0;
}
