/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets of which not all are local, and what is given away meanwhile. */
#include "apps/files/files.h"

void poll_mixed(void)
{
	int p[2], e, s, null = open("/dev/null", O_RDWR);
	struct later l, k;
	long from;

	make(p, O_NONBLOCK);
	e = event_make(40, 0);
	s = event_make(2, EFD_SEMAPHORE | EFD_NONBLOCK);
	SHOW(write(p[1], "kept", 4));
	SHOW(poll((struct pollfd[]){ { p[0], POLLIN, 0 }, { e, POLLIN, 0 }, { s, POLLIN, 0 }, { null, POLLIN, 0 } },
		  4, -1));
	SHOW(read(p[0], seen, 8));
	printf("%.4s\n", seen);
	event_take(e);
	event_take(s);
	event_take(s);
	event_take(s);
	ask("Linux's now", p[1]);
	both_closed(p);
	close(e);
	/* It is given away while a thread waits for it. */
	make(p, O_NONBLOCK);
	l = (struct later){ .what = REMOTE, .fd = p[0], .wait_ms = 1400 };
	later(&l);
	from = now_ms();
	SHOW(poll(&(struct pollfd){ p[0], POLLIN, 0 }, 1, 1500));
	done(&l);
	/* The time goes on from where it was. */
	printf("%s\n", in_time(from) ? "in time" : "at another time");
	both_closed(p);
	/* So does the call: a handler that runs then ends it. */
	handle(SIGUSR1, SA_RESTART);
	make(p, O_NONBLOCK);
	l = (struct later){ .what = REMOTE, .fd = p[0] };
	k = (struct later){ .what = KILL, .wait_ms = 300 };
	later(&l);
	later(&k);
	SHOW(poll(&(struct pollfd){ p[0], POLLIN, 0 }, 1, 5000));
	done(&l);
	done(&k);
	both_closed(p);
	e = event_make(0, 0);
	l = (struct later){ .what = REMOTE, .fd = e };
	later(&l);
	SHOW(ppoll(&(struct pollfd){ e, POLLIN, 0 }, 1, &(struct timespec){ 0, 200000000 }, NULL));
	done(&l);
	event_add(e, 4);
	event_take(e);
	/* And while one reads. */
	close(e);
	e = event_make(0, 0);
	l = (struct later){ .what = REMOTE, .fd = e };
	later(&l);
	fflush(stdout);
	if (!fork()) {
		uint64_t n = 21;

		nap(200);
		_exit(write(e, &n, sizeof(n)) != sizeof(n));
	}
	event_take(e);
	done(&l);
	wait(NULL);
	close(e);
	close(s);
	close(null);
}
