/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers behind descriptors. */
#include "apps/files/files.h"

#include <sys/timerfd.h>

static const int clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME };

static int timer_make(int clock, int flags)
{
	int t = timerfd_create(clock, flags);

	if (t < 0) {
		perror("timerfd_create");
		exit(1);
	}
	return t;
}

static struct itimerspec in_ms(long value, long interval)
{
	return (struct itimerspec){
		.it_value = { value / 1000, value % 1000 * 1000000 },
		.it_interval = { interval / 1000, interval % 1000 * 1000000 },
	};
}

static int set(int t, long value, long interval)
{
	struct itimerspec v = in_ms(value, interval);

	return timerfd_settime(t, 0, &v, NULL);
}

/* At a time that is so far away, or passed so long ago. */
static int set_absolute(int t, int clock, long value, long interval, int flags)
{
	struct itimerspec v = in_ms(0, interval);
	struct timespec now;

	clock_gettime(clock, &now);
	value += now.tv_sec * 1000 + now.tv_nsec / 1000000;
	v.it_value = in_ms(value, 0).it_value;
	return timerfd_settime(t, flags | TFD_TIMER_ABSTIME, &v, NULL);
}

/* What is left lies in (low, high] ms, both 0: nothing is. */
static void left(const char *when, int t, long low, long high)
{
	struct itimerspec v;
	long ns = 0;

	/* Of one that is due and whose interrupt is late nothing is left for a moment. */
	for (int tries = high ? 100 : 1; tries && !ns; tries--) {
		if (timerfd_gettime(t, &v)) {
			printf("%s: %s\n", when, strerror(errno));
			return;
		}
		ns = v.it_value.tv_sec * 1000000000 + v.it_value.tv_nsec;
		if (high && !ns)
			nap(1);
	}
	printf("%s: %s, interval %ld.%09ld\n", when,
	       high ? (ns > low * 1000000 && ns <= high * 1000000 ? "as expected" : "otherwise") : ns ? "some" : "none",
	       (long)v.it_interval.tv_sec, v.it_interval.tv_nsec);
}

/* It has expired at least `least` times, and not many more. */
static void expired(const char *when, int t, uint64_t least)
{
	uint64_t n = 0;
	ssize_t r;

	errno = 0;
	r = read(t, &n, sizeof(n));
	printf("%s: %zd %s %s\n", when, r, r < 0 ? strerror(errno) : "",
	       r < 0 ? "" : n < least ? "too few" : n > least * 30 + 300 ? "too many" : "as expected");
}

void timer_states(void)
{
	struct itimerspec v = { .it_value = { 0, 1000000000 } }, old;
	struct timespec zero = { 0, 0 };
	uint64_t n;

	SHOW(timerfd_create(77, 0));
	SHOW(timerfd_create(CLOCK_MONOTONIC, 1));
	SHOW(timerfd_settime(0, 0, &v, NULL));
	for (size_t i = 0; i < 3; i++) {
		int t = timer_make(clocks[i], TFD_NONBLOCK | TFD_CLOEXEC), e = event_make(0, 0);

		printf("clock %zu\n", i);
		SHOW(fcntl(t, F_GETFD));
		SHOW(fcntl(t, F_GETFL));
		SHOW(timerfd_settime(t, 0, &v, NULL));
		SHOW(timerfd_settime(t, 64, &v, NULL));
		SHOW(timerfd_settime(t, 0, nowhere, NULL));
		SHOW(timerfd_gettime(t, nowhere));
		SHOW(timerfd_gettime(e, &old));
		SHOW(write(t, &n, 8));
		SHOW(read(t, &n, 4));
		SHOW(lseek(t, 0, SEEK_CUR));
		left("new", t, 0, 0);
		ask("new", t);
		expired("new", t, 0);
		SHOW(set(t, 0, 7000));
		left("interval only", t, 0, 0);
		SHOW(set(t, 100000, 0));
		left("far", t, 90000, 100000);
		expired("far", t, 0);
		old = in_ms(0, 0);
		SHOW(timerfd_settime(t, 0, &(struct itimerspec){ .it_value = zero }, &old));
		printf("old %d\n", old.it_value.tv_sec >= 90);
		left("off", t, 0, 0);
		SHOW(set(t, 20, 0));
		nap(60);
		ask("once", t);
		left("once", t, 0, 0);
		SHOW(read(t, nowhere, 8));
		SHOW(set(t, 1, 0));
		nap(40);
		SHOW(read(t, &n, 8));
		printf("%d\n", (int)n);
		expired("and no more", t, 0);
		SHOW(set(t, 10, 5));
		nap(100);
		left("every 5 ms", t, 0, 5);
		expired("every 5 ms", t, 15);
		nap(30);
		expired("again", t, 3);
		SHOW(set(t, 10, 100000));
		nap(50);
		left("long after short", t, 90000, 100000);
		SHOW(set(t, 50000, 0));
		expired("set anew", t, 0);
		SHOW(set_absolute(t, clocks[i], 300, 0, 0));
		left("absolute", t, 0, 300);
		nap(350);
		SHOW(read(t, &n, 8));
		printf("%d\n", (int)n);
		SHOW(set_absolute(t, clocks[i], -1000, 100, 0));
		nap(20);
		expired("long ago", t, 10);
		left("long ago", t, 0, 100);
		SHOW(set_absolute(t, clocks[i], 50000, 0, TFD_TIMER_CANCEL_ON_SET));
		left("cancelled on set", t, 40000, 50000);
		close(t);
		close(e);
	}
}

/* ---- Waiting ---- */

static int shared;

static void *reader(void *arg)
{
	uint64_t n = 0;

	return (void *)(read(shared, &n, 8) == 8 ? (uintptr_t)n : 99);
}

static void *setter(void *arg)
{
	nap(50);
	set(shared, 20, 0);
	return arg;
}

void timer_waits(void)
{
	struct epoll_event v = { .events = EPOLLIN | EPOLLET };
	int t = timer_make(CLOCK_MONOTONIC, 0), p[2], e = epoll_create1(0), count = 0;
	struct pollfd set_of[2];
	pthread_t other;
	uint64_t n, sum = 0;
	void *got;
	long from = now_ms();

	SHOW(set(t, 50, 0));
	SHOW(read(t, &n, 8));
	printf("%d in time %d\n", (int)n, now_ms() - from >= 50);
	make(p, 0);
	set_of[0] = (struct pollfd){ t, POLLIN, 0 };
	set_of[1] = (struct pollfd){ p[0], POLLIN, 0 };
	from = now_ms();
	SHOW(set(t, 50, 0));
	SHOW(poll(set_of, 2, 20000));
	printf("%#x %#x in time %d\n", (unsigned)set_of[0].revents, (unsigned)set_of[1].revents, now_ms() - from >= 50);
	SHOW(epoll_ctl(e, EPOLL_CTL_ADD, t, &v));
	SHOW(epoll_wait(e, &v, 1, 0));
	SHOW(epoll_wait(e, &v, 1, 0));
	SHOW(read(t, &n, 8));
	SHOW(set(t, 1, 3));
	for (int i = 0; i < 50; i++) {
		count += epoll_wait(e, &v, 1, 20000);
		if (read(t, &n, 8) == 8)
			sum += n;
	}
	printf("%d events, enough %d\n", count, sum >= 50);
	set(t, 0, 0);
	/* Armed by another thread while it waits, read by one of two. */
	shared = t;
	pthread_create(&other, NULL, setter, NULL);
	SHOW(read(t, &n, 8));
	printf("%d\n", (int)n);
	pthread_join(other, NULL);
	pthread_create(&other, NULL, reader, NULL);
	nap(50);
	fflush(stdout);
	if (!fork()) {
		/* It is the parent's, too. */
		set(t, 10, 0);
		_exit(0);
	}
	wait_for(-1);
	pthread_join(other, &got);
	printf("%d\n", (int)(uintptr_t)got);
	both_closed(p);
	close(e);
	close(t);
	/* Many at once, and none is lost. */
	enum { MANY = 30 };
	struct pollfd all[MANY];
	int left_over = MANY;

	for (int i = 0; i < MANY; i++) {
		all[i] = (struct pollfd){ timer_make(clocks[i % 3], TFD_NONBLOCK), POLLIN, 0 };
		set(all[i].fd, 10 + 7 * (MANY - i), 0);
	}
	while (left_over && poll(all, MANY, 20000) > 0)
		for (int i = 0; i < MANY; i++)
			if (all[i].revents && read(all[i].fd, &n, 8) == 8 && n == 1) {
				close(all[i].fd);
				all[i].fd = -1;
				left_over--;
			}
	printf("%d left\n", left_over);
}

/* ---- What only Linux can do ---- */

static void give_away(int t)
{
	SHOW(poll((struct pollfd[]){ { t, POLLIN, 0 }, { 0, 0, 0 } }, 2, 0) >= 0);
}

/* One that was set, and given to Linux when `passed` ms had passed. */
static int given(int clock, long value, long interval, long passed)
{
	int t = timer_make(clock, TFD_NONBLOCK);

	set(t, value, interval);
	if (passed)
		nap(passed);
	give_away(t);
	if (passed)
		nap(10);
	return t;
}

void timer_remote(void)
{
	struct later l;
	uint64_t n;

	for (size_t i = 0; i < 3; i++) {
		int t = timer_make(clocks[i], TFD_NONBLOCK);

		printf("clock %zu\n", i);
		give_away(t);
		left("not armed", t, 0, 0);
		close(t);
		t = given(clocks[i], 60000, 500, 0);
		left("armed", t, 50000, 60000);
		close(t);
		t = given(clocks[i], 10, 0, 40);
		expired("expired", t, 1);
		left("once", t, 0, 0);
		close(t);
		t = given(clocks[i], 10, 10, 100);
		expired("expired often", t, 8);
		left("goes on", t, 0, 10);
		close(t);
		t = timer_make(clocks[i], TFD_NONBLOCK);
		set(t, 10, 0);
		nap(40);
		SHOW(read(t, &n, 8));
		give_away(t);
		expired("read before", t, 0);
		close(t);
		/* While somebody waits. */
		t = timer_make(clocks[i], 0);
		set(t, 300, 0);
		l = (struct later){ .what = REMOTE, .fd = t };
		later(&l);
		expired("waited for", t, 1);
		done(&l);
		close(t);
	}
}

/* ---- While Linux's clock is not the TSC ---- */

/* False: there is no such clock. */
static bool use_clock(const char *name)
{
	int fd = open("/sys/devices/system/clocksource/clocksource0/current_clocksource", O_WRONLY);
	bool done = fd >= 0 && write(fd, name, strlen(name)) > 0;

	close(fd);
	nap(50);
	return done;
}

void timer_clock(void)
{
	int t = timer_make(CLOCK_MONOTONIC, 0), real = timer_make(CLOCK_REALTIME, 0), idle = timer_make(CLOCK_MONOTONIC, 0);
	uint64_t n;
	long from = now_ms();

	set(t, 30, 30);
	set(real, 700, 0);
	printf("another clock %d\n", use_clock("acpi_pm"));
	give_away(real);
	SHOW(read(real, &n, 8));
	printf("in time %d\n", now_ms() - from >= 699);
	read(t, &n, 8);
	from = now_ms();
	for (int i = 0; i < 8; i++)
		read(t, &n, 8);
	printf("not too fast %d\n", now_ms() - from >= 30 * 7 - 1);
	left("idle", idle, 0, 0);
	from = now_ms();
	SHOW(set(idle, 100, 0));
	SHOW(read(idle, &n, 8));
	printf("in time %d\n", now_ms() - from >= 99);
	printf("the clock again %d\n", use_clock("tsc"));
	close(t);
	close(real);
	close(idle);
}
