/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pipes from all sides: prints what happened, the same on Linux and on a co-kernel.
 * Usage: pipes [TEST...]; all without arguments.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char big[1 << 20], seen[1 << 20];
/* The compiler need not know. */
static void *volatile nowhere = (void *)16, *volatile worse = (void *)-1;
static volatile int minus_one = -1, too_many = 1025;

/* Result and error of a call. */
#define SHOW(call) do { \
	errno = 0; \
	long r_ = (long)(call); \
	printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerror(errno) : ""); \
} while (0)

static void fill(void)
{
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(big); i++) {
		x = x * 1664525 + 1013904223;
		big[i] = (char)(x >> 24);
	}
}

static void nap(long ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

static void make(int p[2], int flags)
{
	if (pipe2(p, flags)) {
		perror("pipe2");
		exit(1);
	}
}

static void both_closed(int p[2])
{
	close(p[0]);
	close(p[1]);
}

static int wait_for(pid_t pid)
{
	int status = -1;

	waitpid(pid, &status, 0);
	return status;
}

/* Reads exactly n bytes; the sum tells what they were. */
static unsigned long take(int fd, size_t n)
{
	unsigned long sum = 0;

	while (n) {
		ssize_t got = read(fd, seen, n < sizeof(seen) ? n : sizeof(seen));

		if (got <= 0)
			break;
		for (ssize_t i = 0; i < got; i++)
			sum = sum * 31 + (unsigned char)seen[i];
		n -= (size_t)got;
	}
	return n ? n : sum;
}

static int handled;
static siginfo_t last;

static void on_signal(int n, siginfo_t *info, void *context)
{
	handled++;
	last = *info;
}

static void handle(int n, int flags)
{
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

	sigaction(n, &a, NULL);
}

/* ---- Errors ---- */

static void errors(void)
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

static void capacity(void)
{
	static const size_t sizes[] = { 1, 100, 1000, 2048, 3000, 4095, 4096, 4097, 5000, 10000, 65535, 65536, 70000 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		fill_with(sizes[i]);
}

/* ---- Ends ---- */

static void ends(void)
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

static void numbers(void)
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

static void flags(void)
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

/* ---- Many writers: what is at most PIPE_BUF stays together ---- */

struct record { uint32_t writer, number, bytes, check; };

static void write_records(int fd, uint32_t me, uint32_t count)
{
	char buffer[4096];

	for (uint32_t i = 0; i < count; i++) {
		uint32_t bytes = 16 + (me * 977 + i * 131) % 4081;
		struct record r = { me, i, bytes, me ^ i ^ bytes };

		memset(buffer, (int)(me + i), bytes);
		memcpy(buffer, &r, sizeof(r));
		if (write(fd, buffer, bytes) != (ssize_t)bytes)
			_exit(9);
	}
}

static bool all_of(int fd, char *to, size_t n)
{
	while (n) {
		ssize_t got = read(fd, to, n);

		if (got <= 0)
			return false;
		to += got;
		n -= (size_t)got;
	}
	return true;
}

static void *record_thread(void *arg)
{
	int *a = arg;

	write_records(a[0], (uint32_t)a[1], 300);
	return NULL;
}

static void atomicity(void)
{
	enum { CHILDREN = 4, THREADS = 3, COUNT = 300 };
	uint32_t next[CHILDREN + THREADS] = { 0 }, got = 0, bad = 0;
	pthread_t t[THREADS];
	int p[2], args[THREADS][2];
	struct record r;

	make(p, 0);
	for (uint32_t i = 0; i < CHILDREN; i++)
		if (!fork()) {
			write_records(p[1], i, COUNT);
			_exit(0);
		}
	for (int i = 0; i < THREADS; i++) {
		args[i][0] = p[1];
		args[i][1] = CHILDREN + i;
		pthread_create(&t[i], NULL, record_thread, args[i]);
	}
	while (got < (CHILDREN + THREADS) * COUNT && all_of(p[0], (char *)&r, sizeof(r))) {
		if (r.check != (r.writer ^ r.number ^ r.bytes) || r.writer >= CHILDREN + THREADS ||
		    r.bytes > 4096 || !all_of(p[0], seen, r.bytes - sizeof(r))) {
			bad++;
			break;
		}
		bad += r.number != next[r.writer]++;
		for (uint32_t i = 0; i < r.bytes - sizeof(r); i++)
			bad += (unsigned char)seen[i] != (unsigned char)(r.writer + r.number);
		got++;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < CHILDREN; i++)
		wait_for(-1);
	printf("%u records, %u bad\n", got, bad);
	both_closed(p);
}

/* ---- Much through a little ---- */

static void flow(void)
{
	static const size_t sizes[][2] = { { 1, 7 }, { 4096, 4096 }, { 70000, 3000 }, { 100000, 1 << 20 }, { 1 << 20, 65536 } };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t all = sizes[i][0] < 10 ? 20000 : sizeof(big), sent = 0, at = 0;
		int p[2];
		pid_t pid;

		make(p, 0);
		fflush(stdout);
		pid = fork();
		if (!pid) {
			close(p[0]);
			while (sent < all) {
				size_t n = all - sent < sizes[i][0] ? all - sent : sizes[i][0];

				if (write(p[1], big + sent, n) != (ssize_t)n)
					_exit(1);
				sent += n;
			}
			_exit(0);
		}
		close(p[1]);
		for (;;) {
			ssize_t n = read(p[0], seen + at, sizes[i][1] < sizeof(seen) - at ? sizes[i][1] : sizeof(seen) - at);

			if (n <= 0)
				break;
			at += (size_t)n;
		}
		printf("%zu by %zu: %zu bytes, %s, status %d\n", sizes[i][0], sizes[i][1], at,
		       memcmp(big, seen, at) ? "wrong" : "right", wait_for(pid));
		close(p[0]);
	}
}

/* A tree of processes, each of which writes when its children have. */
static void tree_of(int fd, int depth, int name)
{
	int p[2];
	char c;

	make(p, 0);
	for (int i = 0; i < 2 && depth; i++)
		if (!fork()) {
			close(p[0]);
			tree_of(p[1], depth - 1, name * 2 + i);
			_exit(0);
		}
	close(p[1]);
	name = 0;
	while (read(p[0], &c, 1) == 1)
		name++;
	close(p[0]);
	while (depth && wait(NULL) > 0)
		;
	for (int i = 0; i <= name; i++)
		write(fd, "n", 1);
}

static void tree(void)
{
	int p[2], n = 0;
	char c;

	make(p, 0);
	fflush(stdout);
	if (!fork()) {
		close(p[0]);
		tree_of(p[1], 4, 1);
		_exit(0);
	}
	close(p[1]);
	while (read(p[0], &c, 1) == 1)
		n++;
	printf("%d processes\n", n);
	close(p[0]);
	wait_for(-1);
}

/* ---- Signals and deaths ---- */

static void *kick(void *arg)
{
	for (int i = 0; i < 3; i++) {
		nap(100);
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
	}
	nap(100);
	return NULL;
}

static void signals(void)
{
	pthread_t me = pthread_self(), t;
	int p[2];
	pid_t pid;

	make(p, 0);
	handled = 0;
	handle(SIGUSR1, 0);
	pthread_create(&t, NULL, kick, &me);
	SHOW(read(p[0], seen, 1));
	SHOW(write(p[1], big, 100000));
	pthread_join(t, NULL);
	printf("signals %d\n", handled);
	SHOW(take(p[0], 65536));
	handle(SIGUSR1, SA_RESTART);
	handled = 0;
	pthread_create(&t, NULL, kick, &me);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		nap(800);
		write(p[1], "late", 4);
		_exit(0);
	}
	SHOW(read(p[0], seen, 10));
	printf("signals %d\n", handled);
	pthread_join(t, NULL);
	wait_for(pid);
	both_closed(p);
}

static void deaths(void)
{
	int p[2], ready[2];
	pid_t pid;
	char c;

	/* The writer dies in a full pipe. */
	make(p, 0);
	make(ready, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		write(ready[1], "r", 1);
		write(p[1], big, sizeof(big));
		_exit(0);
	}
	close(p[1]);
	read(ready[0], &c, 1);
	nap(200);
	kill(pid, SIGKILL);
	printf("status %d\n", wait_for(pid));
	SHOW(take(p[0], 65536));
	SHOW(read(p[0], seen, 1));
	close(p[0]);
	/* The reader dies in an empty one, another takes over. */
	make(p, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		write(ready[1], "r", 1);
		read(p[0], seen, 1);
		_exit(0);
	}
	read(ready[0], &c, 1);
	nap(200);
	kill(pid, SIGKILL);
	printf("status %d\n", wait_for(pid));
	SHOW(write(p[1], "abc", 3));
	SHOW(read(p[0], seen, 10));
	/* The last reader dies: whoever waits to write learns it. */
	pid = fork();
	if (!pid) {
		close(p[1]);
		write(ready[1], "r", 1);
		nap(60000);
	}
	close(p[0]);
	read(ready[0], &c, 1);
	signal(SIGPIPE, SIG_IGN);
	if (!fork()) {
		nap(300);
		kill(pid, SIGKILL);
		_exit(0);
	}
	SHOW(write(p[1], big, sizeof(big)));
	SHOW(write(p[1], big, 10));
	signal(SIGPIPE, SIG_DFL);
	wait_for(pid);
	wait_for(-1);
	close(p[1]);
	both_closed(ready);
}

/* ---- Close while another thread waits ---- */

static int shared[2];

static void *reader(void *arg)
{
	char c;
	ssize_t n = read(shared[0], &c, 1);

	return (void *)(n == 1 ? (intptr_t)c : -1);
}

static void closing(void)
{
	pthread_t t;
	void *c;

	make(shared, 0);
	pthread_create(&t, NULL, reader, NULL);
	nap(200);
	close(shared[0]);
	SHOW(write(shared[1], "k", 1));
	pthread_join(t, &c);
	printf("read %d\n", (int)(intptr_t)c);
	close(shared[1]);
	make(shared, 0);
	pthread_create(&t, NULL, reader, NULL);
	nap(200);
	close(shared[1]);
	pthread_join(t, &c);
	printf("read %d\n", (int)(intptr_t)c);
	close(shared[0]);
}

/* ---- exec: what stays and what goes ---- */

static void exec_(void)
{
	int p[2], q[2];

	make(p, 0);
	make(q, O_CLOEXEC);
	write(p[1], "before ", 7);
	fflush(stdout);
	if (!fork()) {
		dup2(p[1], 1);
		execl("/bin/sh", "sh", "-c", "echo one; echo two | tr a-z A-Z; exec echo three", NULL);
		_exit(127);
	}
	close(p[1]);
	close(q[1]);
	SHOW(read(q[0], seen, 10));
	while (read(p[0], seen, 1) == 1)
		putchar(*seen);
	wait_for(-1);
	close(p[0]);
	close(q[0]);
}

/* ---- What only Linux can do: with bytes inside ---- */

static void send_fd(int s, int fd)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 }, c = 'd';
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	*h = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(h), &fd, sizeof(fd));
	SHOW(sendmsg(s, &m, 0));
}

static int receive_fd(int s)
{
	char space[CMSG_SPACE(sizeof(int))], c;
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	int fd = -1;

	SHOW(recvmsg(s, &m, 0));
	if (CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* A pipe with n bytes, of which the first 10 have been read. */
static void loaded(int p[2], size_t n)
{
	make(p, 0);
	if (write(p[1], big, n) != (ssize_t)n || read(p[0], seen, 10) != 10)
		printf("could not load\n");
}

/* They are all there, and it goes on. */
static void unload(int p[2], size_t n)
{
	unsigned long sum = 0;

	for (size_t i = 10; i < n; i++)
		sum = sum * 31 + (unsigned char)big[i];
	printf("%s\n", take(p[0], n - 10) == sum ? "right" : "wrong");
	SHOW(write(p[1], "more", 4));
	SHOW(read(p[0], seen, 10));
	close(p[1]);
	SHOW(read(p[0], seen, 10));
	close(p[0]);
}

static void remote(void)
{
	static const size_t sizes[] = { 11, 1000, 5000, 65536 };
	struct epoll_event event = { .events = EPOLLIN };
	int p[2], s[2], e, fd, n;
	fd_set set, other;
	char link[40];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		printf("with %zu bytes\n", sizes[i]);
		loaded(p, sizes[i]);
		/* Beside something that is Linux's in any case. */
		SHOW(poll((struct pollfd[]){ { p[0], POLLIN, 0 }, { p[1], POLLOUT, 0 }, { 0, 0, 0 } }, 3, 0));
		unload(p, sizes[i]);
		loaded(p, sizes[i]);
		FD_ZERO(&set);
		FD_SET(p[0], &set);
		FD_ZERO(&other);
		FD_SET(0, &other);
		SHOW(select(p[0] + 1, &set, NULL, &other, NULL));
		unload(p, sizes[i]);
		loaded(p, sizes[i]);
		e = epoll_create1(0);
		SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &event));
		SHOW(epoll_wait(e, &event, 1, 0));
		unload(p, sizes[i]);
		close(e);
		loaded(p, sizes[i]);
		socketpair(AF_UNIX, SOCK_STREAM, 0, s);
		send_fd(s[0], p[0]);
		fd = receive_fd(s[1]);
		close(p[0]);
		p[0] = fd;
		unload(p, sizes[i]);
		both_closed(s);
		/* By its name in /proc: only the end that reads, too. */
		loaded(p, sizes[i]);
		snprintf(link, sizeof(link), "/proc/self/fd/%d", p[0]);
		fd = open(link, O_RDONLY);
		close(p[0]);
		p[0] = fd;
		unload(p, sizes[i]);
		loaded(p, sizes[i]);
		fd = open("/dev/null", O_WRONLY);
		n = fcntl(p[0], F_SETFL, O_NONBLOCK);
		SHOW(splice(p[0], NULL, fd, NULL, 1, 0));
		n = fcntl(p[0], F_SETFL, 0);
		close(fd);
		printf("%d, ", n);
		printf("%s\n", take(p[0], sizes[i] - 11) != sizes[i] - 11 || sizes[i] == 11 ? "read" : "short");
		both_closed(p);
		loaded(p, sizes[i]);
		SHOW(fcntl(p[1], F_SETPIPE_SZ, 1 << 17));
		unload(p, sizes[i]);
	}
}

/* A child that gives up its user still has what its parent's pipe holds; and so has one
 * that opens it by its parent's number. */
static void rights(void)
{
	int p[2], q[2];
	char link[60];
	pid_t pid, me = getpid();

	loaded(p, 5000);
	make(q, 0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		SHOW(setresuid(65534, 65534, 65534));
		close(p[1]);
		SHOW(poll((struct pollfd[]){ { p[0], POLLIN, 0 }, { 0, 0, 0 } }, 2, 0));
		SHOW(read(p[0], seen, 4000));
		printf("%s\n", memcmp(seen, big + 10, 4000) ? "wrong" : "right");
		make(q, 0);
		SHOW(write(q[1], big, 100));
		SHOW(poll((struct pollfd[]){ { q[0], POLLIN, 0 }, { 0, 0, 0 } }, 2, 0));
		SHOW(read(q[0], seen, 4000));
		fflush(stdout);
		_exit(0);
	}
	wait_for(pid);
	SHOW(read(p[0], seen, 4000));
	both_closed(p);
	both_closed(q);

	loaded(p, 5000);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int fd;

		both_closed(p);
		snprintf(link, sizeof(link), "/proc/%d/fd/%d", (int)me, p[0]);
		fd = open(link, O_RDONLY);
		SHOW(read(fd, seen, 4000));
		printf("%s\n", memcmp(seen, big + 10, 4000) ? "wrong" : "right");
		fflush(stdout);
		_exit(0);
	}
	wait_for(pid);
	SHOW(read(p[0], seen, 4000));
	both_closed(p);
}

/* The move while others read and write. */
static void *writer_thread(void *arg)
{
	for (size_t at = 0; at < sizeof(big); ) {
		size_t n = 1 + at * 7 % 9000, left = sizeof(big) - at;
		ssize_t r = write(shared[1], big + at, n < left ? n : left);

		if (r < 0)
			return arg;
		at += (size_t)r;
	}
	close(shared[1]);
	return NULL;
}

static void moving(void)
{
	for (int round = 0; round < 5; round++) {
		pthread_t t;
		pid_t pid;
		size_t at = 0;
		int status;

		make(shared, 0);
		fflush(stdout);
		pid = fork();
		if (!pid) {
			close(shared[1]);
			nap(20 * round);
			poll((struct pollfd[]){ { shared[0], POLLIN, 0 }, { 0, 0, 0 } }, 2, 0);
			_exit(0);
		}
		pthread_create(&t, NULL, writer_thread, NULL);
		for (;;) {
			ssize_t n = read(shared[0], seen + at, 1 + at % 5000 < sizeof(seen) - at ? 1 + at % 5000 : sizeof(seen) - at);

			if (n <= 0)
				break;
			at += (size_t)n;
		}
		pthread_join(t, NULL);
		status = wait_for(pid);
		printf("%zu bytes, %s, %d\n", at, memcmp(big, seen, sizeof(big)) ? "wrong" : "right", status);
		close(shared[0]);
	}
}

/* ---- Memory that is not there yet ---- */

static void memory(void)
{
	char *from = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *to = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct iovec v[2];
	int p[2];

	make(p, 0);
	memset(from, 'f', 100);
	SHOW(write(p[1], from + 50, 60000));
	SHOW(read(p[0], to + 4000, 60000));
	printf("%d\n", memcmp(from + 50, to + 4000, 60000));
	mprotect(to + 8192, 4096, PROT_READ);
	SHOW(write(p[1], big, 20000));
	SHOW(read(p[0], to + 4096, 20000));
	SHOW(read(p[0], to + 12288, 20000));
	munmap(from + 8192, 4096);
	SHOW(write(p[1], from, 20000));
	SHOW(read(p[0], seen, 20000));
	v[0] = (struct iovec){ from, 100 };
	v[1] = (struct iovec){ from + 8192, 100 };
	SHOW(writev(p[1], v, 2));
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	SHOW(read(p[0], seen, 20000));
	both_closed(p);
	munmap(from, 1 << 20);
	munmap(to, 1 << 20);
}

int main(int argc, char **argv)
{
	static const struct { const char *name; void (*test)(void); } tests[] = {
		{ "errors", errors }, { "capacity", capacity }, { "ends", ends }, { "numbers", numbers },
		{ "flags", flags }, { "atomicity", atomicity }, { "flow", flow }, { "tree", tree },
		{ "signals", signals }, { "deaths", deaths }, { "closing", closing }, { "exec", exec_ },
		{ "remote", remote }, { "rights", rights }, { "moving", moving }, { "memory", memory },
	};

	fill();
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
		bool wanted = argc < 2;

		for (int a = 1; a < argc; a++)
			wanted |= !strcmp(argv[a], tests[i].name);
		if (!wanted)
			continue;
		printf("-- %s\n", tests[i].name);
		tests[i].test();
		fflush(stdout);
	}
	return 0;
}
