/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers of timer_create on CPU time, and RLIMIT_CPU. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile int got, code, value, sender;

static void handler(int n, siginfo_t *i, void *u)
{
	got++;
	code = i->si_code;
	value = i->si_value.sival_int;
	sender = gettid();
}

static long long now_ms(clockid_t c)
{
	struct timespec t;

	clock_gettime(c, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static void burn_ms(int ms)
{
	long long end = now_ms(CLOCK_THREAD_CPUTIME_ID) + ms;

	while (now_ms(CLOCK_THREAD_CPUTIME_ID) < end)
		for (volatile int i = 0; i < 10000; i++)
			;
}

/* Until `count` signals came, or far too much time went. */
static int burn_until(int count)
{
	for (int i = 0; got < count && i < 500; i++)
		burn_ms(20);
	return got >= count;
}

static struct itimerspec spec(int ms, int interval_ms)
{
	return (struct itimerspec){
		.it_value = { ms / 1000, ms % 1000 * 1000000 },
		.it_interval = { interval_ms / 1000, interval_ms % 1000 * 1000000 },
	};
}

static int set(timer_t t, int flags, int ms, int interval_ms)
{
	struct itimerspec s = spec(ms, interval_ms);

	got = 0;
	return timer_settime(t, flags, &s, NULL) ? errno : 0;
}

static timer_t make(clockid_t c, int notify, int v)
{
	struct sigevent e = { .sigev_notify = notify, .sigev_signo = SIGUSR1, .sigev_value.sival_int = v };
	timer_t t = 0;

	if (notify == SIGEV_THREAD_ID)
		e._sigev_un._tid = gettid();
	if (timer_create(c, &e, &t))
		printf("timer_create: %s\n", strerror(errno));
	return t;
}

static int ms_left(timer_t t)
{
	struct itimerspec s;

	return timer_gettime(t, &s) ? -errno : (int)(s.it_value.tv_sec * 1000 + (s.it_value.tv_nsec + 999999) / 1000000);
}

static void *burner(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	burn_ms(*(int *)arg);
	return NULL;
}

static void beside(int ms)
{
	pthread_t t;

	pthread_create(&t, NULL, burner, &ms);
	pthread_join(t, NULL);
}

static void show(const char *what, long n)
{
	printf("%s %ld ", what, n);
}

static void timers(void)
{
	clockid_t clock[] = { CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID, 0, 0 };
	timer_t t;

	clock_getcpuclockid(getpid(), &clock[2]);
	pthread_getcpuclockid(pthread_self(), &clock[3]);
	for (int i = 0; i < 4; i++) {
		struct itimerspec s;

		t = make(clock[i], SIGEV_SIGNAL, 40 + i);
		show("left", ms_left(t));
		show("set", set(t, 0, 50, 30));
		show("came", burn_until(3));
		show("timer", code == SI_TIMER);
		show("value", value);
		show("overrun", timer_getoverrun(t) >= 0);
		timer_gettime(t, &s);
		show("interval", s.it_interval.tv_nsec / 1000000);
		s = spec(0, 0);
		timer_settime(t, 0, &s, &s);
		show("was", s.it_interval.tv_nsec / 1000000);
		show("left", ms_left(t));
		got = 0;
		burn_ms(100);
		show("then", got);
		show("once", set(t, 0, 40, 0));
		usleep(300000);
		show("asleep", got);
		burn_until(1);
		burn_ms(100);
		show("awake", got);
		set(t, TIMER_ABSTIME, 1, 0);
		show("past", burn_until(1));
		set(t, TIMER_ABSTIME, (int)now_ms(clock[i]) + 100, 0);
		show("later", got);
		show("", burn_until(1));
		show("deleted", timer_delete(t));
		show("", ms_left(t) == -EINVAL);
		printf("\n");
	}
	/* Another thread's time is not this one's, but the program's. */
	t = make(CLOCK_THREAD_CPUTIME_ID, SIGEV_THREAD_ID, 7);
	set(t, 0, 150, 0);
	beside(400);
	show("other's", got);
	show("own", burn_until(1));
	show("here", sender == gettid());
	timer_delete(t);
	t = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, 7);
	set(t, 0, 150, 0);
	beside(400);
	show("program's", got);
	set(t, 0, 100000, 0);
	printf("left %d\n", ms_left(t) > 99000 && ms_left(t) <= 100000);
	show("bad", set(t, 0, -5, 0));
	show("", set(t, 0, 5, -5));
	printf(" %d\n", timer_settime(t, 0, NULL, NULL) ? errno : 0);
	timer_delete(t);
	t = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_NONE, 0);
	set(t, 0, 50, 0);
	burn_ms(200);
	printf("none %d %d\n", got, ms_left(t));
	timer_delete(t);
	/* Blocked, it waits, once. */
	sigset_t s;
	siginfo_t info;
	struct timespec zero = { 0 };

	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	sigprocmask(SIG_BLOCK, &s, NULL);
	t = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, 9);
	set(t, 0, 20, 0);
	burn_ms(300);
	show("waits", sigtimedwait(&s, &info, &zero));
	show("timer", info.si_code == SI_TIMER);
	show("value", info.si_value.sival_int);
	printf(" %d\n", sigtimedwait(&s, &info, &zero));
	sigprocmask(SIG_UNBLOCK, &s, NULL);
	timer_delete(t);
}

/* Neither a child nor another program has them. */
static void inherited(const char *me)
{
	timer_t a = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, 1), b = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, 1);
	char ids[2][20];
	int status;

	set(a, 0, 100000, 0);
	set(b, 0, 100000, 0);
	fflush(stdout);
	if (!fork()) {
		printf("child: %d %d\n", ms_left(a), ms_left(b));
		fflush(stdout);
		a = make(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, 1);
		b = make(CLOCK_MONOTONIC, SIGEV_SIGNAL, 1);
		set(a, 0, 200, 0);
		set(b, 0, 200, 0);
		snprintf(ids[0], sizeof(ids[0]), "%ld", (long)a);
		snprintf(ids[1], sizeof(ids[1]), "%ld", (long)b);
		execl(me, me, "left", ids[0], ids[1], NULL);
	}
	wait(&status);
	printf("status %d\n", status);
	printf("still %d %d\n", ms_left(a) > 0, ms_left(b) > 0);
	timer_delete(a);
	timer_delete(b);
}

static void limit(int soft, int hard, int how)
{
	struct rlimit r = { soft, hard };
	int status, made;

	fflush(stdout);
	if (!fork()) {
		if (how)
			signal(SIGXCPU, SIG_IGN);
		if (how == 2)
			sigaction(SIGXCPU, &(struct sigaction){ .sa_sigaction = handler, .sa_flags = SA_SIGINFO }, NULL);
		got = 0;
		setrlimit(RLIMIT_CPU, &r);
		if (how == 2) {
			made = burn_until(1);
			printf("handled %d %d %d\n", made, code == SI_KERNEL, now_ms(CLOCK_PROCESS_CPUTIME_ID) >= soft * 1000 - 20);
			fflush(stdout);
		}
		burn_ms(9000);
		_exit(0);
	}
	wait(&status);
	printf("limit %d %d: signal %d status %d\n", soft, hard, WTERMSIG(status), WEXITSTATUS(status));
}

int main(int count, char **arg)
{
	sigaction(SIGUSR1, &(struct sigaction){ .sa_sigaction = handler, .sa_flags = SA_SIGINFO }, NULL);
	if (count > 1 && !strcmp(arg[1], "burn"))
		burn_ms(9000);
	if (count > 1 && !strcmp(arg[1], "left")) {
		printf("exec: %d %d\n", ms_left((timer_t)atol(arg[2])), ms_left((timer_t)atol(arg[3])));
		burn_ms(500);
		return 0;
	}
	if (count > 1)
		return 0;
	timers();
	inherited(arg[0]);
	limit(1, 2, 1);
	limit(1, 2, 2);
	limit(1, 9, 0);
	limit(1, 1, 2);
	printf("timer of none %d\n", ms_left((timer_t)12345));
	return 0;
}
