/* SPDX-License-Identifier: BSD-2-Clause */
/* What single calls on a pipe answer, and how much goes in. */
#include "apps/files/files.h"

/* The compiler need not know. */
static volatile int minus_one = -1, too_many = 1025;

/* ---- Errors ---- */

void pipe_errors(void)
{
	int p[2];
	struct iovec v[3] = { { big, 10 }, { NULL, 0 }, { big + 10, 5 } };

	make(p, O_NONBLOCK);
	SHOW(read(p[0], seen, 10));
	SHOW(read(p[0], seen, 0));
	SHOW(write(p[1], big, 0));
	SHOW(read(p[1], seen, 1));
	SHOW(write(p[0], big, 1));
	SHOW(write(p[1], nowhere, 10));
	SHOW(read(p[0], seen, 10));
	SHOW(write(p[1], big, 100));
	SHOW(read(p[0], nowhere, 10));
	SHOW(read(p[0], seen, 10));
	SHOW(write(p[1], worse, 1));
	SHOW(writev(p[1], v, 3));
	SHOW(writev(p[1], v, 0));
	SHOW(writev(p[1], v, minus_one));
	SHOW(writev(p[1], v, too_many));
	SHOW(readv(p[0], v, 3));
	v[1].iov_len = (size_t)-1;
	SHOW(writev(p[1], v, 3));
	SHOW(lseek(p[0], 0, SEEK_CUR));
	SHOW(pread(p[0], seen, 1, 0));
	SHOW(syscall(SYS_read, 0xffff00000000ull | (unsigned)p[0], seen, 4));
	SHOW(isatty(p[0]));
	SHOW(fcntl(p[0], F_GETFL));
	SHOW(fcntl(p[1], F_GETFL));
	SHOW(fcntl(p[1], F_GETFD));
	SHOW(fsync(p[1]));
	both_closed(p);
	SHOW(read(p[0], seen, 1));
	SHOW(write(p[1], seen, 1));
	SHOW(pipe2(p, 1));
	SHOW(syscall(SYS_pipe2, 16, 0));
	make(p, 0);
	/* The numbers of the pipe that could not be told are free again. */
	printf("numbers %d %d\n", p[0] > 2, p[1] - p[0]);
	both_closed(p);
}

/* ---- How much goes in ---- */

static void fill_with(size_t each)
{
	int p[2];
	long n = 0, calls = 0, r;

	make(p, O_NONBLOCK);
	while ((r = write(p[1], big, each)) > 0) {
		n += r;
		calls++;
	}
	printf("%zu at once: %ld bytes in %ld calls, %s\n", each, n, calls, strerror(errno));
	SHOW(read(p[0], seen, 100));
	SHOW(write(p[1], big, each));
	SHOW(read(p[0], seen, 4096));
	SHOW(write(p[1], big, each));
	SHOW(ioctl(p[0], FIONREAD, &r));
	r = 0;
	ioctl(p[1], FIONREAD, &r);
	printf("%d bytes, sum %lu\n", (int)r, take(p[0], (size_t)(int)r));
	both_closed(p);
}

void pipe_capacity(void)
{
	static const size_t sizes[] = { 1, 100, 1000, 2048, 3000, 4095, 4096, 4097, 5000, 10000, 65535, 65536, 70000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		fill_with(sizes[i]);
}

/* ---- Ends ---- */

void pipe_ends(void)
{
	int p[2], d;

	make(p, 0);
	write(p[1], "abc", 3);
	d = dup(p[1]);
	close(p[1]);
	SHOW(read(p[0], seen, 2));
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	SHOW(read(p[0], seen, 2));
	SHOW(read(p[0], seen, 2));
	close(d);
	SHOW(read(p[0], seen, 2));
	close(p[0]);

	make(p, O_CLOEXEC);
	handle(SIGPIPE, 0);
	handled = 0;
	close(p[0]);
	SHOW(write(p[1], "x", 1));
	SHOW(write(p[1], "", 0));
	printf("signals %d, number %d code %d, from me %d\n", handled, last.si_signo, last.si_code,
	       last.si_pid == getpid());
	signal(SIGPIPE, SIG_IGN);
	SHOW(write(p[1], "x", 1));
	close(p[1]);
	signal(SIGPIPE, SIG_DFL);
	fflush(stdout);
	if (!(d = fork())) {
		make(p, 0);
		close(p[0]);
		write(p[1], "x", 1);
		_exit(0);
	}
	d = wait_for(d);
	printf("killed by %d\n", WIFSIGNALED(d) ? WTERMSIG(d) : -1);
}

/* ---- Numbers ---- */

void pipe_numbers(void)
{
	int p[2], q[2], n;

	make(p, 0);
	make(q, 0);
	n = dup2(p[1], 100);
	SHOW(fcntl(n, F_GETFD));
	SHOW(dup2(n, n));
	SHOW(dup3(n, n, 0));
	SHOW(dup3(p[1], 101, O_CLOEXEC) - 101);
	SHOW(fcntl(101, F_GETFD));
	SHOW(fcntl(p[1], F_DUPFD, 200));
	SHOW(fcntl(p[1], F_DUPFD_CLOEXEC, 300));
	SHOW(dup2(p[1], -1));
	SHOW(dup2(999, p[1]));
	write(p[1], "1", 1);
	write(100, "2", 1);
	write(101, "3", 1);
	write(200, "4", 1);
	write(300, "5", 1);
	/* One pipe in the place of another. */
	dup2(q[1], p[1]);
	write(p[1], "q", 1);
	SHOW(read(p[0], seen, 10));
	printf("%.5s\n", seen);
	SHOW(read(q[0], seen, 10));
	/* A file in its place. */
	n = open("/dev/null", O_RDWR);
	dup2(n, p[1]);
	SHOW(write(p[1], "zz", 2));
	dup2(n, q[0]);
	SHOW(read(q[0], seen, 10));
	close(n);
	/* And the other way. */
	dup2(200, q[0]);
	SHOW(write(q[0], "6", 1));
	SHOW(read(p[0], seen, 10));
	SHOW(close_range(200, 400, 0));
	SHOW(write(200, "x", 1));
	close(100);
	close(q[0]);
	/* 101 is the last writer. */
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	SHOW(read(p[0], seen, 10));
	SHOW(close_range(101, 101, CLOSE_RANGE_CLOEXEC));
	SHOW(read(p[0], seen, 10));
	SHOW(close_range(101, 101, 0));
	SHOW(read(p[0], seen, 10));
	both_closed(p);
	both_closed(q);
	for (int i = 0; i < 3000; i++) {
		make(p, 0);
		if (p[0] > 50 || write(p[1], &i, 4) != 4 || read(p[0], &n, 4) != 4 || n != i)
			printf("wrong at %d\n", i);
		both_closed(p);
	}
}

/* ---- O_NONBLOCK belongs to what dup and fork share ---- */

void pipe_flags(void)
{
	int p[2], d, on = 1;

	make(p, 0);
	d = dup(p[0]);
	SHOW(fcntl(d, F_SETFL, O_NONBLOCK));
	SHOW(read(p[0], seen, 1));
	SHOW(fcntl(p[1], F_GETFL));
	fflush(stdout);
	if (!fork()) {
		fcntl(p[0], F_SETFL, 0);
		_exit(0);
	}
	wait_for(-1);
	SHOW(fcntl(d, F_GETFL));
	SHOW(ioctl(d, FIONBIO, &on));
	SHOW(read(p[0], seen, 1));
	SHOW(fcntl(p[0], F_GETFL));
	SHOW(ioctl(p[0], FIOCLEX));
	SHOW(fcntl(p[0], F_GETFD));
	SHOW(fcntl(d, F_GETFD));
	SHOW(fcntl(p[0], F_GETPIPE_SZ));
	both_closed(p);
	close(d);
}
