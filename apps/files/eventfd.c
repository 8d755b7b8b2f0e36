/* SPDX-License-Identifier: BSD-2-Clause */
/* eventfds. */
#include "apps/files/files.h"

void events(void)
{
	int e = event_make(5, EFD_NONBLOCK), s = event_make(3, EFD_NONBLOCK | EFD_SEMAPHORE | EFD_CLOEXEC), d;
	struct later l;
	uint64_t v[2] = { 7, 9 };
	struct iovec vec[2] = { { &v[0], 4 }, { (char *)&v[0] + 4, 4 } };
	int bytes = -1;
	pid_t pid;

	event_take(e);
	event_take(e);
	for (int i = 0; i < 4; i++)
		event_take(s);
	event_add(e, 0);
	event_add(e, UINT64_MAX);
	event_add(e, UINT64_MAX - 1);
	event_add(e, 1);
	event_add(e, 0);
	event_take(e);
	SHOW(read(e, v, 4));
	SHOW(write(e, v, 4));
	SHOW(write(e, nowhere, 8));
	SHOW(read(e, v, 0));
	event_add(e, 6);
	SHOW(read(e, nowhere, 8));
	event_take(e);
	event_add(e, 6);
	SHOW(read(e, v, 16));
	printf("%llu\n", (unsigned long long)v[0]);
	SHOW(ioctl(e, FIONREAD, &bytes));
	SHOW(fcntl(s, F_GETFD));
	SHOW(fcntl(e, F_GETFL) & O_NONBLOCK);
	SHOW(pread(e, v, 8, 0));
	SHOW(eventfd(0, 2));
	d = dup(e);
	event_add(d, 11);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		event_add(d, 31);
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	event_take(e);
	fcntl(e, F_SETFL, 0);
	l = (struct later){ .what = ADD, .fd = d };
	later(&l);
	event_take(e);
	done(&l);
	event_add(e, UINT64_MAX - 1);
	l = (struct later){ .what = TAKE, .fd = d };
	later(&l);
	event_add(e, 3);
	done(&l);
	event_take(e);
	/* A vector, which is Linux's, and so is it from now on. */
	event_add(e, 77);
	SHOW(readv(e, vec, 2));
	printf("%llu\n", (unsigned long long)v[0]);
	event_add(d, 78);
	event_take(e);
	close(d);
	close(e);
	close(s);
}
