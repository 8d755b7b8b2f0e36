/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outrigger gdb: gdb on a program in a partition. Without options it becomes gdb, which
 * starts the server as the other end of a pipe.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/gdb/listen.h"
#include "tools/gdb/server.h"
#include "tools/outrigger/command.h"

#define GDB_ARGS 64

struct gdb_args {
	struct words words;
	bool stdio;
	const char *listen;
	char **rest;                /* gdb's own arguments */
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct gdb_args *a = state->input;

	switch (key) {
	case 's':
		a->stdio = true;
		return 0;
	case 'l':
		a->listen = arg;
		return 0;
	case ARGP_KEY_ARG:
		/* All behind "--" is gdb's. */
		if (state->quoted && state->next > state->quoted) {
			a->rest = state->argv + state->next - 1;
			state->next = state->argc;
			return 0;
		}
		break;
	}
	return command_words(key, arg, state, &a->words);
}

/* The partition that has a program of this pid, for this user to see. */
static int find(struct outrigger *o, uint32_t pid, struct target *t)
{
	char **names, **n;
	int ret = outrigger_names(o, &names);

	if (ret < 0)
		return ret;
	ret = outrigger_fail(o, -ESRCH, "no partition has a program with the pid %u", pid);
	for (n = names; *n && ret == -ESRCH; n++) {
		int err = target_attach(t, *n, pid);

		if (err != -ESRCH && err != -EACCES && err != -ENODEV) {
			ret = err;
			memcpy(o->error, t->o.error, sizeof(o->error));
		}
	}
	outrigger_names_free(names);
	return ret;
}

static int become_gdb(const struct gdb_args *a, const char *name, const char *pid)
{
	char self[4096], remote[4400];
	char *argv[GDB_ARGS] = {
		(char *)"gdb", (char *)"-ex", (char *)"set can-use-hw-watchpoints 0", (char *)"-ex", remote,
	};
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int i = 5;

	if (n <= 0 || strpbrk(name ? name : "", " \t'\"\\$`|&;<>")) {
		fprintf(stderr, "outrigger: the server for gdb cannot be named\n");
		return 1;
	}
	self[n] = 0;
	snprintf(remote, sizeof(remote), "target remote | '%s' gdb --stdio %s %s", self, name ? name : "", pid);
	for (char **rest = a->rest; rest && *rest && i < GDB_ARGS - 1; rest++)
		argv[i++] = *rest;
	execvp("gdb", argv);
	fprintf(stderr, "outrigger: gdb: %s\n", strerror(errno));
	return 1;
}

int command_gdb(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "stdio", 's', NULL, 0, "speak gdb's remote protocol on standard input and output", 0 },
		{ "listen", 'l', "ADDRESS", 0, "wait for one gdb at a Unix socket (a path) or a TCP port of this "
		  "machine ([HOST:]PORT)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[NAME] PID [-- GDB-ARG...]",
		.doc = "Debugs the program whose process has this number: becomes gdb, attached to it, or its "
		       "server. The program goes on when gdb detaches or ends.",
	};
	struct gdb_args a = { .words = { .least = 1, .most = 2 } };
	struct outrigger o = { .fd = -1 };
	struct target t;
	const char *name, *number;
	char target[300], *end;
	unsigned long pid;
	int ret, fd = -1, in = STDIN_FILENO, out = STDOUT_FILENO;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	name = a.words.count == 2 ? a.words.word[0] : NULL;
	number = a.words.word[a.words.count - 1];
	pid = strtoul(number, &end, 10);
	if (!*number || *end || !pid || pid > INT32_MAX) {
		fprintf(stderr, "outrigger: '%s' is no process number; outrigger ps lists them\n", number);
		return 2;
	}
	if (!a.stdio && !a.listen)
		return become_gdb(&a, name, number);
	if (a.listen) {
		fd = gdb_listen(&o, a.listen, target, sizeof(target));
		if (fd < 0)
			return command_fail(&o);
		fprintf(stderr, "outrigger: in gdb: target remote %s\n", target);
		in = out = gdb_accept(fd, a.listen, -1);
		if (in < 0)
			return 1;
	}
	ret = name ? target_attach(&t, name, (uint32_t)pid) : find(&o, (uint32_t)pid, &t);
	if (ret)
		return command_fail(name ? &t.o : &o);
	return gdb_serve(&t, in, out, false);
}
