/* SPDX-License-Identifier: BSD-2-Clause */
/* Pipes across exec, and with memory that is not there yet. */
#include "apps/files/files.h"

/* ---- exec: what stays and what goes ---- */

void pipe_exec(void)
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

/* ---- Memory ---- */

void pipe_memory(void)
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
