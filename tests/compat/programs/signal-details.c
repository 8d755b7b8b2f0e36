/* SPDX-License-Identifier: BSD-2-Clause */
/* Siginfo of all senders, queues, alternate stacks, nested handlers, restarts. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static volatile int n, code, val, onstack;
static char alt[65536];
static void h(int s, siginfo_t *i, void *u)
{
	char c;
	n++;
	code = i->si_code;
	val = i->si_value.sival_int;
	onstack = &c >= alt && &c < alt + sizeof(alt);
}
static void set(int s, int fl)
{
	struct sigaction a = {.sa_sigaction = h, .sa_flags = SA_SIGINFO | fl};
	sigaction(s, &a, 0);
}
static void *th(void *a)
{
	sigset_t m;
	sigfillset(&m);
	pthread_sigmask(SIG_UNBLOCK, &m, 0);
	for (;;)
		pause();
}
int main(void)
{
	sigset_t m, old, pend;
	union sigval v = {.sival_int = 77};
	siginfo_t si;
	struct timespec t = {0, 50000000};
	setvbuf(stdout, 0, _IONBF, 0);
	set(SIGUSR1, 0);
	set(SIGRTMIN + 1, 0);
	set(SIGCHLD, SA_RESTART);
	kill(getpid(), SIGUSR1);
	printf("kill %d %d\n", n, code);
	raise(SIGUSR1);
	printf("raise %d %d\n", n, code);
	sigqueue(getpid(), SIGUSR1, v);
	printf("queue %d %d %d\n", n, code, val);
	sigemptyset(&m);
	sigaddset(&m, SIGUSR1);
	sigaddset(&m, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &m, &old);
	for (int i = 0; i < 5; i++) {
		kill(getpid(), SIGUSR1);
		v.sival_int = i;
		sigqueue(getpid(), SIGRTMIN + 1, v);
	}
	sigpending(&pend);
	printf("pending %d %d n %d\n", sigismember(&pend, SIGUSR1), sigismember(&pend, SIGRTMIN + 1), n);
	printf("%d", sigwaitinfo(&m, &si));
	printf(" %d\n", si.si_code);
	for (int i = 0; i < 5; i++) {
		int r = sigtimedwait(&m, &si, &t);
		printf("rt %d %d\n", r - SIGRTMIN, si.si_value.sival_int);
	}
	printf("none %d %d\n", sigtimedwait(&m, &si, &t), errno);
	sigprocmask(SIG_SETMASK, &old, 0);
	stack_t ss = {.ss_sp = alt, .ss_size = sizeof(alt)};
	sigaltstack(&ss, 0);
	set(SIGUSR2, SA_ONSTACK);
	raise(SIGUSR2);
	printf("alt %d\n", onstack);
	sigaltstack(0, &ss);
	printf("flags %d\n", ss.ss_flags);
	timer_t id;
	struct sigevent ev = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value = {5}};
	struct itimerspec it = {{0, 10000000}, {0, 10000000}};
	n = 0;
	timer_create(CLOCK_MONOTONIC, &ev, &id);
	timer_settime(id, 0, &it, 0);
	while (n < 3)
		pause();
	printf("timer %d %d\n", code, val);
	timer_delete(id);
	sigemptyset(&m);
	sigaddset(&m, SIGUSR2);
	sigprocmask(SIG_BLOCK, &m, 0);
	int fd = signalfd(-1, &m, SFD_NONBLOCK);
	struct signalfd_siginfo fi;
	printf("sfd %d\n", (int)read(fd, &fi, sizeof(fi)));
	kill(getpid(), SIGUSR2);
	struct pollfd p = {fd, POLLIN};
	printf("poll %d\n", poll(&p, 1, 1000));
	printf("%d", (int)read(fd, &fi, sizeof(fi)));
	printf(" %d %d\n", fi.ssi_signo, fi.ssi_pid == getpid());
	int pp[2];
	pipe(pp);
	pid_t c = fork();
	if (!c) {
		usleep(200000);
		kill(getppid(), SIGUSR1);
		usleep(200000);
		write(pp[1], "x", 1);
		_exit(0);
	}
	char b;
	errno = 0;
	int r = read(pp[0], &b, 1);
	printf("eintr %d %d\n", r, errno);
	set(SIGUSR1, SA_RESTART);
	c = fork();
	if (!c) {
		usleep(100000);
		kill(getppid(), SIGUSR1);
		usleep(200000);
		write(pp[1], "y", 1);
		_exit(0);
	}
	r = read(pp[0], &b, 1);
	r = read(pp[0], &b, 1);
	printf("restart %d %c\n", r, b);
	while (wait(0) > 0 || errno == EINTR)
		;
	pthread_t th1;
	sigfillset(&m);
	pthread_sigmask(SIG_BLOCK, &m, 0);
	pthread_create(&th1, 0, th, 0);
	n = 0;
	usleep(50000);
	kill(getpid(), SIGUSR1);
	usleep(200000);
	printf("other thread %d\n", n);
	pthread_kill(th1, SIGUSR2);
	usleep(200000);
	printf("directed %d code %d\n", n, code);
	return 0;
}
