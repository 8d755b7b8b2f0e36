/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program that is started for gdb: a process beside the proxy, and no child of the
 * program's, becomes its debugger before it runs its first instruction.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/gdb/listen.h"
#include "tools/gdb/server.h"
#include "tools/proxy/proxy.h"

/* Terminal and pipes are the program's: [first, last] lead nowhere. */
static void let_go(int first, int last)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), i;

	for (i = first; null >= 0 && i <= last; i++)
		dup2(null, i);
	if (null > last)
		close(null);
}

/* Says 0 or the refusal's sentence through `ready`, then waits for gdb. */
static _Noreturn void server(struct proxy *p, const char *address, pid_t pid, int ready)
{
	struct outrigger o = { .fd = -1 };
	char target[300];
	struct target t;
	int listener, fd;

	setsid();
	/* Their files keep the program's context. */
	hide_close_all();
	listener = gdb_listen(&o, address, target, sizeof(target));
	if (listener >= 0 && target_attach(&t, p->partition, (uint32_t)pid)) {
		memcpy(o.error, t.o.error, sizeof(o.error));
		listener = -1;
	}
	if (listener < 0) {
		if (write(ready, o.error, strlen(o.error)) < 0)
			_exit(1);
		_exit(1);
	}
	fprintf(stderr, "outrigger: in gdb: target remote %s\n", target);
	close(ready);
	let_go(STDIN_FILENO, STDERR_FILENO);
	fd = gdb_accept(listener, address, t.o.fd);
	if (fd >= 0)
		gdb_serve(&t, fd, fd, true);
	_exit(0);
}

int debug_start(struct proxy *p, const char *address)
{
	char path[128], refusal[sizeof(p->o.error)];
	const char *run = getenv("XDG_RUNTIME_DIR");
	pid_t pid = getpid(), child;
	size_t n = 0;
	ssize_t got;
	int ready[2];

	if (!address) {
		snprintf(path, sizeof(path), "%.80s/outrigger-%d.gdb", run && *run == '/' ? run : "/tmp", pid);
		address = path;
	}
	if (pipe2(ready, O_CLOEXEC))
		return outrigger_fail(&p->o, -errno, "a pipe to the server for gdb: %s", strerror(errno));
	child = fork();
	if (!child) {
		close(ready[0]);
		if (!fork())
			server(p, address, pid, ready[1]);
		_exit(0);
	}
	close(ready[1]);
	if (child > 0)
		waitpid(child, NULL, 0);
	/* Silence is consent: it has attached. */
	while (child > 0 && n < sizeof(refusal) - 1 && (got = read(ready[0], refusal + n, sizeof(refusal) - 1 - n)) > 0)
		n += (size_t)got;
	close(ready[0]);
	if (child < 0)
		return outrigger_fail(&p->o, -EAGAIN, "no process for gdb's server");
	refusal[n] = 0;
	return n ? outrigger_fail(&p->o, -EPERM, "%s", refusal) : 0;
}
