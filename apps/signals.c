/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signal handlers in all the ways that programs use them; prints the same on
 * Linux and on a co-kernel.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static volatile sig_atomic_t count, last, last_code, nested, most_nested;
static volatile uintptr_t last_addr;
static volatile int last_value, order[8];
static sigjmp_buf back;
static int pipes[2];
static atomic_int stop;

static void on_signal(int sig, siginfo_t *info, void *uc)
{
	last = sig;
	last_code = info->si_code;
	last_value = info->si_value.sival_int;
	if (count < 8)
		order[count] = info->si_value.sival_int;
	count++;
}

static void install(int sig, void (*fn)(int, siginfo_t *, void *), int flags)
{
	struct sigaction a = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	sigemptyset(&a.sa_mask);
	if (sigaction(sig, &a, NULL))
		printf("sigaction(%d): %s\n", sig, strerror(errno));
	count = 0;
}

static void on_fault(int sig, siginfo_t *info, void *uc)
{
	last = sig;
	last_code = info->si_code;
	last_addr = (uintptr_t)info->si_addr;
	siglongjmp(back, 1);
}

/* Steps over a two-byte instruction and leaves a value in rax. */
static void on_opcode(int sig, siginfo_t *info, void *uc)
{
	ucontext_t *u = uc;

	u->uc_mcontext.gregs[REG_RIP] += 2;
	u->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void on_nested(int sig, siginfo_t *info, void *uc)
{
	nested++;
	if (nested > most_nested)
		most_nested = nested;
	count++;
	if (count < 4)
		raise(sig);
	nested--;
}

static void plain(void)
{
	union sigval v;
	sigset_t set, pending;
	int i;

	install(SIGUSR1, on_signal, 0);
	raise(SIGUSR1);
	printf("raise: %d, signal %d, code %d\n", (int)count, (int)last, (int)last_code);
	kill(getpid(), SIGUSR1);
	printf("kill: %d, code %d\n", (int)count, (int)last_code);
	install(SIGRTMIN + 1, on_signal, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (i = 0; i < 5; i++) {
		v.sival_int = 100 + i;
		sigqueue(getpid(), SIGRTMIN + 1, v);
	}
	sigpending(&pending);
	printf("queued: %d delivered, pending %d\n", (int)count, sigismember(&pending, SIGRTMIN + 1));
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	printf("unblocked: %d delivered, %d %d %d %d %d\n", (int)count, order[0], order[1], order[2],
	       order[3], order[4]);
	install(SIGUSR2, on_nested, SA_NODEFER);
	raise(SIGUSR2);
	printf("SA_NODEFER: %d calls, %d deep\n", (int)count, (int)most_nested);
	most_nested = 0;
	install(SIGUSR2, on_nested, 0);
	raise(SIGUSR2);
	printf("deferred: %d calls, %d deep\n", (int)count, (int)most_nested);
	install(SIGUSR1, on_signal, SA_RESETHAND);
	raise(SIGUSR1);
	struct sigaction old;
	sigaction(SIGUSR1, NULL, &old);
	printf("SA_RESETHAND: %d, now default %d\n", (int)count, old.sa_handler == SIG_DFL);
	install(SIGPIPE, on_signal, 0);
	pipe(pipes);
	close(pipes[0]);
	i = (int)write(pipes[1], "x", 1);
	printf("SIGPIPE: %d, write %d %s\n", (int)count, i, strerrorname_np(errno));
	close(pipes[1]);
}

static volatile char *volatile wild = (volatile char *)0x10;

static void faults(void)
{
	char *page = mmap(NULL, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	volatile int zero = 0;
	stack_t alt = { .ss_sp = malloc(65536), .ss_size = 65536 }, now;
	long rax;

	install(SIGSEGV, on_fault, SA_ONSTACK);
	install(SIGFPE, on_fault, 0);
	if (!sigsetjmp(back, 1))
		*wild = 1;
	printf("unmapped: signal %d code %d address %#lx\n", (int)last, (int)last_code, (long)last_addr);
	if (!sigsetjmp(back, 1))
		page[4097] = 1;
	printf("read-only: signal %d code %d offset %ld\n", (int)last, (int)last_code,
	       (long)(last_addr - (uintptr_t)page));
	if (!sigsetjmp(back, 1))
		printf("%d\n", 100 / zero);
	printf("divide: signal %d code %d address %d\n", (int)last, (int)last_code, last_addr != 0);
	sigaltstack(&alt, NULL);
	if (!sigsetjmp(back, 1))
		*wild = 1;
	sigaltstack(NULL, &now);
	printf("on the alternate stack: signal %d, flags now %d\n", (int)last, now.ss_flags);
	install(SIGILL, on_opcode, 0);
	__asm__ volatile("ud2" : "=a"(rax));
	printf("edited context: %ld\n", rax);
	double d = 1.5, e = 2.25;
	install(SIGUSR1, on_signal, 0);
	__asm__ volatile("" : "+x"(d), "+x"(e));
	raise(SIGUSR1);
	printf("vector registers: %.3f\n", d * e);
}

static void *poker(void *arg)
{
	pthread_t main_thread = *(pthread_t *)arg;

	usleep(100000);
	pthread_kill(main_thread, SIGUSR1);
	usleep(100000);
	if (write(pipes[1], "d", 1) != 1)
		printf("write failed\n");
	return NULL;
}

static void interrupted_calls(void)
{
	pthread_t self = pthread_self(), t;
	struct timespec nap = { 0, 300000000 }, left = { 0, 0 };
	char c;
	long n;
	int restart;

	pipe(pipes);
	for (restart = 0; restart < 2; restart++) {
		install(SIGUSR1, on_signal, restart ? SA_RESTART : 0);
		pthread_create(&t, NULL, poker, &self);
		errno = 0;
		n = read(pipes[0], &c, 1);
		printf("read, SA_RESTART %d: %ld %s, %d handled\n", restart, n, n < 0 ? strerrorname_np(errno) : "-",
		       (int)count);
		pthread_join(t, NULL);
		if (n < 0)
			n = read(pipes[0], &c, 1);
	}
	install(SIGUSR1, on_signal, SA_RESTART);
	pthread_create(&t, NULL, poker, &self);
	n = nanosleep(&nap, &left);
	printf("nanosleep: %ld %s, left %d, %d handled\n", n, strerrorname_np(errno), left.tv_nsec > 50000000, (int)count);
	pthread_join(t, NULL);
	install(SIGUSR1, on_signal, SA_RESTART);
	pthread_create(&t, NULL, poker, &self);
	read(pipes[0], &c, 1);
	struct pollfd pf = { .fd = -1 };
	n = poll(&pf, 1, 2000);
	printf("poll: %ld %s, %d handled\n", n, n < 0 ? strerrorname_np(errno) : "-", (int)count);
	pthread_join(t, NULL);
	read(pipes[0], &c, 1);
	/* sigsuspend and ppoll with a mask of their own. */
	sigset_t block, none, old;
	sigemptyset(&none);
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &old);
	install(SIGUSR1, on_signal, 0);
	raise(SIGUSR1);
	printf("blocked: %d handled\n", (int)count);
	n = sigsuspend(&none);
	printf("sigsuspend: %ld %s, %d handled\n", n, strerrorname_np(errno), (int)count);
	raise(SIGUSR1);
	n = ppoll(&pf, 1, &nap, &none);
	printf("ppoll: %ld %s, %d handled\n", n, strerrorname_np(errno), (int)count);
	sigprocmask(SIG_SETMASK, NULL, &block);
	printf("still blocked: %d\n", sigismember(&block, SIGUSR1));
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(pipes[0]);
	close(pipes[1]);
}

static void *computing(void *arg)
{
	volatile unsigned long n = 0;

	while (!atomic_load(&stop))
		n++;
	return NULL;
}

static void threads_and_timers(void)
{
	struct itimerval it = { { 0, 20000 }, { 0, 20000 } }, off = { { 0, 0 }, { 0, 0 } };
	pthread_t t;
	int i;

	install(SIGUSR1, on_signal, SA_RESTART);
	pthread_create(&t, NULL, computing, NULL);
	for (i = 1; i <= 20; i++) {
		pthread_kill(t, SIGUSR1);
		for (int k = 0; k < 2000 && count < i; k++)
			usleep(1000);
	}
	printf("to a computing thread: %d\n", (int)count);
	atomic_store(&stop, 1);
	pthread_join(t, NULL);
	install(SIGALRM, on_signal, SA_RESTART);
	setitimer(ITIMER_REAL, &it, NULL);
	while (count < 10)
		;
	setitimer(ITIMER_REAL, &off, NULL);
	printf("timer: 10 ticks in a computing loop\n");
	for (i = 0; i < 2000; i++)
		raise(SIGUSR1);
	printf("2000 times: code %d\n", (int)last_code);
}

static volatile pid_t sender;
static volatile uid_t sender_user;

static void on_sent(int sig, siginfo_t *info, void *uc)
{
	(void)sig;
	(void)uc;
	sender = info->si_pid;
	sender_user = info->si_uid;
}

/* Who a signal to oneself says it is from, also after the user has changed. */
static void senders(void)
{
	sigset_t set;
	int status;
	pid_t pid;

	install(SIGUSR1, on_sent, 0);
	raise(SIGUSR1);
	printf("raised by itself: %d, by its user: %d\n", sender == getpid(), sender_user == getuid());
	pid = fork();
	if (!pid) {
		sender = 0;
		raise(SIGUSR1);
		if (sender != getpid())
			_exit(1);
		if (setresuid(1234, 1234, 1234))
			_exit(2);
		raise(SIGUSR1);
		_exit(sender_user == 1234 ? 0 : 3);
	}
	waitpid(pid, &status, 0);
	printf("in a child that becomes another user: %d\n", status);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sender = 0;
	raise(SIGUSR1);
	sigpending(&set);
	printf("blocked: pending %d, sender %d", sigismember(&set, SIGUSR1), (int)sender);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	printf(", then %d\n", sender == getpid());
	printf("no such signal: %d, no such thread: %d\n", (int)syscall(SYS_tgkill, getpid(), gettid(), 65),
	       (int)syscall(SYS_tgkill, 1, gettid(), SIGUSR1));
	signal(SIGUSR1, SIG_IGN);
	sender = 0;
	raise(SIGUSR1);
	printf("ignored: %d\n", (int)sender);
}

int main(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	plain();
	faults();
	interrupted_calls();
	threads_and_timers();
	senders();
	signal(SIGTERM, SIG_DFL);
	raise(SIGTERM);
	return 0;
}
