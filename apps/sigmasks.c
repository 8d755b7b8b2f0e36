/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a signal that is blocked for a while does, as programs see it; prints the same on
 * Linux and on a co-kernel, which tells Linux of such a mask late.
 *
 *   sigmasks PART...       late threads others actions exec waits suspend death
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static _Atomic int handled, handler_tid, handler_code;
static _Atomic int *shared;     /* with children; set to 0 by each part */
static sigset_t usr1, usr2, none;

static int gettid_(void) { return (int)syscall(SYS_gettid); }

static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	atomic_store(&handler_tid, gettid_());
	atomic_store(&handler_code, info->si_code);
	atomic_fetch_add(&handled, 1);
}

static void handle(int sig, int flags)
{
	struct sigaction a = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };

	sigaction(sig, &a, NULL);
	atomic_store(&handled, 0);
}

static void action(int sig, void (*how)(int))
{
	struct sigaction a = { .sa_handler = how };

	sigaction(sig, &a, NULL);
}

static void send(int tid, int sig)
{
	if (syscall(SYS_tgkill, getpid(), tid, sig))
		printf("tgkill: %s\n", strerror(errno));
}

static int is_pending(int sig)
{
	sigset_t set;

	sigpending(&set);
	return sigismember(&set, sig);
}

static int is_blocked(int sig)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, sig);
}

/* Without a system call, so that nothing tells Linux. */
static void spin_until(_Atomic int *at, int value)
{
	while (atomic_load(at) != value)
		__builtin_ia32_pause();
}

/* Blocks SIGUSR1 and has waited for it with a mask of its own: here the two masks differ. */
static void make_late(void)
{
	handle(SIGUSR1, 0);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	send(gettid_(), SIGUSR1);
	sigsuspend(&none);
	if (atomic_load(&handled) != 1 || !is_blocked(SIGUSR1))
		printf("late: %d handled\n", atomic_load(&handled));
	atomic_store(&handled, 0);
}

/* A child that sends the parent a signal and says so in memory. */
static pid_t sender(int sig, int say)
{
	pid_t child = fork();

	if (!child) {
		spin_until(shared, say - 1);
		kill(getppid(), sig);
		usleep(20000);
		atomic_store(shared, say);
		_exit(0);
	}
	return child;
}

static int take(int sig, siginfo_t *info, long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	memset(info, 0, sizeof(*info));
	/* The library's shows SI_TKILL as SI_USER. */
	return (int)syscall(SYS_rt_sigtimedwait, &set, info, &t, 8);
}

/* ---- From another process, while the thread computes ---- */

static void late(void)
{
	siginfo_t info;
	pid_t child;
	int got;

	atomic_store(shared, 0);
	make_late();
	child = sender(SIGUSR1, 2);
	make_late();
	atomic_store(shared, 1);
	spin_until(shared, 2);
	printf("late: handled %d, pending %d\n", atomic_load(&handled), is_pending(SIGUSR1));
	got = take(SIGUSR1, &info, 1000);
	printf("late: took %d, code %d, sender %d, then pending %d\n", got, info.si_code, info.si_pid == child,
	       is_pending(SIGUSR1));
	waitpid(child, NULL, 0);

	/* And let in again. */
	atomic_store(shared, 0);
	child = sender(SIGUSR1, 2);
	make_late();
	atomic_store(shared, 1);
	spin_until(shared, 2);
	printf("late: handled %d before", atomic_load(&handled));
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	printf(", %d after\n", atomic_load(&handled));
	waitpid(child, NULL, 0);

	/* One without a handler waits all the same. */
	atomic_store(shared, 0);
	action(SIGUSR2, SIG_DFL);
	child = sender(SIGUSR2, 2);
	make_late();
	sigprocmask(SIG_BLOCK, &usr2, NULL);
	atomic_store(shared, 1);
	spin_until(shared, 2);
	printf("late: without a handler pending %d", is_pending(SIGUSR2));
	printf(", took %d\n", take(SIGUSR2, &info, 1000));
	sigprocmask(SIG_UNBLOCK, &usr2, NULL);
	waitpid(child, NULL, 0);

	/* A child that is forked with such a mask blocks it, too. */
	make_late();
	child = fork();
	if (!child) {
		raise(SIGUSR1);
		printf("late: in a child handled %d, pending %d, blocked %d\n", atomic_load(&handled),
		       is_pending(SIGUSR1), is_blocked(SIGUSR1));
		sigprocmask(SIG_UNBLOCK, &usr1, NULL);
		printf("late: and then %d\n", atomic_load(&handled));
		exit(0);
	}
	waitpid(child, NULL, 0);
	printf("late: in the parent handled %d, pending %d\n", atomic_load(&handled), is_pending(SIGUSR1));
}

/* ---- From a thread ---- */

static int main_tid;

static void *thread_sends(void *arg)
{
	spin_until(arg, 1);
	send(main_tid, SIGUSR1);
	atomic_store((_Atomic int *)arg, 2);
	return NULL;
}

/* It comes while this thread, to which it is blocked, computes. */
static void from_thread(void)
{
	_Atomic int turn = 0;
	pthread_t t;

	main_tid = gettid_();
	pthread_create(&t, NULL, thread_sends, &turn);
	make_late();
	atomic_store(&turn, 1);
	spin_until(&turn, 2);
	if (atomic_load(&handled))
		printf("handled a blocked one\n");
}

static void threads(void)
{
	siginfo_t info;
	int fd, got;

	for (int i = 0; i < 20; i++) {
		from_thread();
		if (atomic_load(&handled) || !is_pending(SIGUSR1))
			printf("threads: handled %d, pending %d\n", atomic_load(&handled), is_pending(SIGUSR1));
		got = take(SIGUSR1, &info, 1000);
		if (got != SIGUSR1 || info.si_code != SI_TKILL || info.si_pid != getpid() || info.si_uid != getuid())
			printf("threads: took %d, code %d\n", got, info.si_code);
		if (is_pending(SIGUSR1))
			printf("threads: still pending\n");
	}
	printf("threads: taken\n");

	/* One in a descriptor. */
	for (int i = 0; i < 5; i++) {
		struct signalfd_siginfo s = { 0 };
		struct pollfd p = { .events = POLLIN };
		from_thread();
		p.fd = fd = signalfd(-1, &usr1, SFD_NONBLOCK);
		got = poll(&p, 1, 1000);
		if (got != 1 || read(fd, &s, sizeof(s)) != sizeof(s) || s.ssi_signo != SIGUSR1 || s.ssi_code != SI_TKILL)
			printf("threads: descriptor %d, signal %u, code %d\n", got, s.ssi_signo, s.ssi_code);
		close(fd);
	}
	printf("threads: read\n");

	/* To what is not there; and let in again. */
	if (!syscall(SYS_tgkill, getpid(), 1 << 22, SIGUSR1) || errno != ESRCH)
		printf("threads: a thread that is not there: %s\n", strerror(errno));
	if (!syscall(SYS_tgkill, getpid(), gettid_(), 65) || errno != EINVAL)
		printf("threads: a signal that is not there: %s\n", strerror(errno));
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	from_thread();
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	printf("threads: handled %d, code %d\n", atomic_load(&handled), atomic_load(&handler_code));
}

/* ---- For the whole program, of which another thread takes it ---- */

static _Atomic int waits;

static void *takes(void *arg)
{
	siginfo_t info;

	(void)arg;
	atomic_store(&waits, gettid_());
	printf("others: took %d\n", take(SIGUSR1, &info, 10000));
	atomic_store(&waits, 0);
	return NULL;
}

/* In a call of Linux, which the signal ends. */
static void *sleeps(void *arg)
{
	int fd = signalfd(-1, &none, 0);
	struct signalfd_siginfo info;
	ssize_t got;

	(void)arg;
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	atomic_store(&waits, gettid_());
	got = read(fd, &info, sizeof(info));
	printf("others: read %zd, %s, handled %d, by the other %d\n", got, strerror(errno), atomic_load(&handled),
	       atomic_load(&handler_tid) == atomic_load(&waits));
	close(fd);
	atomic_store(&waits, 0);
	return NULL;
}

static void *handles(void *arg)
{
	(void)arg;
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	atomic_store(&waits, gettid_());
	for (int i = 0; i < 1000 && !atomic_load(&handled); i++)
		usleep(10000);
	printf("others: handled %d, by the other %d\n", atomic_load(&handled),
	       atomic_load(&handler_tid) == atomic_load(&waits));
	atomic_store(&waits, 0);
	return NULL;
}

static void others(void)
{
	void *(*const how[])(void *) = { takes, handles, sleeps };

	for (int i = 0; i < 9; i++) {
		pthread_t t;
		pid_t child;

		atomic_store(shared, 0);
		atomic_store(&waits, 0);
		make_late();
		child = sender(SIGUSR1, 2);
		pthread_create(&t, NULL, how[i % 3], NULL);
		while (!atomic_load(&waits))
			sched_yield();
		usleep(50000);
		make_late();
		atomic_store(shared, 1);
		spin_until(&waits, 0);
		pthread_join(t, NULL);
		waitpid(child, NULL, 0);
		printf("others: then pending %d, blocked %d\n", is_pending(SIGUSR1), is_blocked(SIGUSR1));
	}
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
}

/* ---- Handlers that are taken away ---- */

static void *defaults(void *arg)
{
	spin_until(arg, 1);
	action(SIGUSR1, SIG_DFL);
	send(main_tid, SIGUSR1);
	usleep(50000);
	atomic_store((_Atomic int *)arg, 2);
	return NULL;
}

static void actions(void)
{
	_Atomic int turn = 0;
	pthread_t t;
	pid_t child;
	int status;

	from_thread();
	action(SIGUSR1, SIG_IGN);
	printf("actions: ignored, pending %d\n", is_pending(SIGUSR1));

	child = fork();
	if (!child) {
		from_thread();
		action(SIGUSR1, SIG_DFL);
		printf("actions: default, pending %d\n", is_pending(SIGUSR1));
		sigprocmask(SIG_UNBLOCK, &usr1, NULL);
		printf("actions: lived\n");
		exit(0);
	}
	waitpid(child, &status, 0);
	printf("actions: ended with %#x\n", status);

	/* By another thread, while this one computes: it is blocked, so nobody dies. */
	for (int i = 0; i < 3; i++) {
		main_tid = gettid_();
		atomic_store(&turn, 0);
		pthread_create(&t, NULL, defaults, &turn);
		make_late();
		atomic_store(&turn, 1);
		spin_until(&turn, 2);
		printf("actions: changed meanwhile, pending %d\n", is_pending(SIGUSR1));
		handle(SIGUSR1, 0);
		sigprocmask(SIG_UNBLOCK, &usr1, NULL);
		printf("actions: handled %d\n", atomic_load(&handled));
		pthread_join(t, NULL);
	}

	/* A handler for once; blocked afterwards, its default action waits. */
	child = fork();
	if (!child) {
		handle(SIGUSR1, SA_RESETHAND);
		sigprocmask(SIG_BLOCK, &usr1, NULL);
		send(gettid_(), SIGUSR1);
		sigsuspend(&none);
		send(gettid_(), SIGUSR1);
		printf("actions: once, handled %d, pending %d\n", atomic_load(&handled), is_pending(SIGUSR1));
		sigprocmask(SIG_UNBLOCK, &usr1, NULL);
		exit(0);
	}
	waitpid(child, &status, 0);
	printf("actions: ended with %#x\n", status);
}

/* ---- Through execve ---- */

static void exec_again(void)
{
	execl("/proc/self/exe", "sigmasks", "after-exec", (char *)NULL);
	_exit(1);
}

static void on_exec(int sig)
{
	send(gettid_(), sig);
	exec_again();
}

static void exec_pending(void)
{
	int status;

	for (int i = 0; i < 2; i++) {
		pid_t child = fork();

		if (!child) {
			if (i) {        /* blocked by its own handler */
				action(SIGUSR1, on_exec);
				send(gettid_(), SIGUSR1);
			}
			from_thread();
			exec_again();
		}
		waitpid(child, &status, 0);
		printf("exec: ended with %#x\n", status);
	}
}

static void after_exec(void)
{
	siginfo_t info;
	int got, pending = is_pending(SIGUSR1), blocked = is_blocked(SIGUSR1);

	got = take(SIGUSR1, &info, 0);
	printf("exec: pending %d, blocked %d, took %d, code %d\n", pending, blocked, got, info.si_code);
}

/* ---- Calls that wait with a mask of their own, by turns ---- */

static void *pings(void *arg)
{
	(void)arg;
	while (atomic_load(&waits) != -1) {
		if (atomic_load(&waits) == 1) {
			atomic_store(&waits, 2);
			send(main_tid, SIGUSR1);
		}
		sched_yield();
	}
	return NULL;
}

static void call_masked(void)
{
	static const char *const name[] = { "sigsuspend", "ppoll", "pselect", "epoll_pwait", "ppoll of Linux" };
	struct timespec t = { 10, 0 };
	int ends[2], epoll = epoll_create1(0), fd, counts[5] = { 0 };
	struct epoll_event e = { .events = EPOLLIN };
	struct pollfd p = { .events = POLLIN };
	pthread_t thread;

	main_tid = gettid_();
	pipe(ends);
	fd = signalfd(-1, &none, 0);
	epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &e);
	handle(SIGUSR1, SA_RESTART);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	atomic_store(&waits, 0);
	pthread_create(&thread, NULL, pings, NULL);
	for (int i = 0; i < 100; i++) {
		fd_set set;
		int got;

		atomic_store(&waits, 1);
		p.fd = i % 5 == 4 ? fd : ends[0];
		FD_ZERO(&set);
		FD_SET(ends[0], &set);
		switch (i % 5) {
		case 0: got = sigsuspend(&none); break;
		case 1: case 4: got = ppoll(&p, 1, &t, &none); break;
		case 2: got = pselect(ends[0] + 1, &set, NULL, NULL, &t, &none); break;
		default: got = epoll_pwait(epoll, &e, 1, 10000, &none); break;
		}
		counts[i % 5] += got == -1 && errno == EINTR && atomic_load(&handled) == i + 1 && is_blocked(SIGUSR1) &&
				 !is_pending(SIGUSR1);
	}
	atomic_store(&waits, -1);
	pthread_join(thread, NULL);
	for (int i = 0; i < 5; i++)
		printf("waits: %s %d\n", name[i], counts[i]);

	/* From another process, to the whole program. */
	for (int i = 0; i < 6; i++) {
		pid_t child = fork();
		int got;

		if (!child) {
			usleep(i % 2 ? 0 : 50000);
			kill(getppid(), SIGUSR1);
			_exit(0);
		}
		atomic_store(&handled, 0);
		p.fd = fd;
		got = i < 4 ? ppoll(&p, 1, &t, &none) : sigsuspend(&none);
		printf("waits: %d, %s, handled %d, pending %d\n", got, strerror(errno), atomic_load(&handled),
		       is_pending(SIGUSR1));
		waitpid(child, NULL, 0);
	}
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
}

/* ---- sigsuspend and pause ---- */

static void on_usr2(int sig)
{
	(void)sig;
	/* Within a handler, whose mask comes back. */
	send(gettid_(), SIGUSR1);
	printf("suspend: in a handler blocked %d %d", is_blocked(SIGUSR1), is_blocked(SIGUSR2));
	sigsuspend(&usr2);
	printf(", then %d %d\n", is_blocked(SIGUSR1), is_blocked(SIGUSR2));
}

static void suspend(void)
{
	struct timespec a, b;
	struct sigaction nested = { .sa_handler = on_usr2, .sa_mask = usr1 };
	pid_t child;
	int ret;

	handle(SIGUSR1, SA_RESTART);
	action(SIGUSR2, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		if (i)
			sigprocmask(SIG_BLOCK, &usr1, NULL);
		atomic_store(&handled, 0);
		clock_gettime(CLOCK_MONOTONIC, &a);
		child = fork();
		if (!child) {
			usleep(200000);
			kill(getppid(), SIGUSR2);       /* ignored: it goes on waiting */
			kill(getppid(), SIGCONT);
			usleep(200000);
			kill(getppid(), SIGUSR1);
			_exit(0);
		}
		ret = i ? sigsuspend(&none) : pause();
		clock_gettime(CLOCK_MONOTONIC, &b);
		printf("suspend: %d, %s, handled %d, blocked %d, long enough %d\n", ret, strerror(errno),
		       atomic_load(&handled), is_blocked(SIGUSR1),
		       (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 >= 350);
		waitpid(child, NULL, 0);
	}
	sigprocmask(SIG_UNBLOCK, &usr1, NULL);
	sigaction(SIGUSR2, &nested, NULL);
	send(gettid_(), SIGUSR2);
	printf("suspend: handled %d, blocked %d %d\n", atomic_load(&handled), is_blocked(SIGUSR1), is_blocked(SIGUSR2));
	if (!syscall(SYS_rt_sigsuspend, &none, 4) || errno != EINVAL)
		printf("suspend: a size of 4: %s\n", strerror(errno));
	if (!syscall(SYS_rt_sigsuspend, 8, 8) || errno != EFAULT)
		printf("suspend: at 8: %s\n", strerror(errno));
}

/* ---- Killed while it waits ---- */

static void death(void)
{
	static const int by[] = { SIGKILL, SIGTERM, SIGUSR2, SIGQUIT };

	action(SIGUSR2, SIG_DFL);
	for (unsigned i = 0; i < sizeof(by) / sizeof(by[0]); i++) {
		pid_t child = fork();
		int status = 0;

		if (!child) {
			make_late();
			if (i % 2)
				pause();
			for (;;)
				sigsuspend(i == 2 ? &usr1 : &none);
		}
		usleep(100000);
		kill(child, by[i]);
		waitpid(child, &status, 0);
		printf("death: %d\n", WTERMSIG(status));
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} part[] = {
		{ "late", late }, { "threads", threads }, { "others", others }, { "actions", actions },
		{ "exec", exec_pending }, { "after-exec", after_exec }, { "waits", call_masked },
		{ "suspend", suspend }, { "death", death },
	};

	setvbuf(stdout, NULL, _IONBF, 0);
	sigemptyset(&none);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigemptyset(&usr2);
	sigaddset(&usr2, SIGUSR2);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 1; i < argc; i++) {
		unsigned n = 0;

		while (n < sizeof(part) / sizeof(part[0]) && strcmp(part[n].name, argv[i]))
			n++;
		if (n == sizeof(part) / sizeof(part[0])) {
			fprintf(stderr, "sigmasks: no part %s\n", argv[i]);
			return 2;
		}
		part[n].run();
	}
	return 0;
}
