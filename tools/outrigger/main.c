/* SPDX-License-Identifier: BSD-2-Clause */
/* The `outrigger` command: finds the subcommand; the table is the list. */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/outrigger/command.h"

struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *args;
	const char *what;
};

static const struct command commands[] = {
	{ "check", command_check, "[--json]", "is this machine ready? what is missing, and the remedy" },
	{ "create", command_create, "NAME --cpus LIST|N --memory SIZE[@NODE][,...]", "make a partition" },
	{ "load", command_load, "NAME [--image FILE] [--append ARGS]", "load an image for later" },
	{ "boot", command_boot, "NAME [--image FILE] [--append ARGS]", "boot an image on it" },
	{ "run", command_run, "NAME [-e VAR=VALUE] [--] PROGRAM [ARG...]", "run a program in it" },
	{ "gdb", command_gdb, "[NAME] PID [-- GDB-ARG...]", "debug a program in one" },
	{ "list", command_list, "[--json]", "all partitions" },
	{ "inspect", command_inspect, "NAME [--json]", "everything about one" },
	{ "ps", command_ps, "[NAME] [--json]", "programs in partitions" },
	{ "top", command_top, "[NAME]", "what their CPUs do, again and again" },
	{ "log", command_log, "[-f] NAME", "the co-kernel's log" },
	{ "console", command_console, "NAME", "the co-kernel's console" },
	{ "cpu", command_cpu, "add|remove NAME LIST", "move CPUs, live too" },
	{ "memory", command_memory, "add|remove NAME SIZE[@NODE]", "move memory, live too" },
	{ "shutdown", command_shutdown, "NAME [--timeout S]", "end its programs, stop it in order" },
	{ "kill", command_kill, "NAME", "stop it at once" },
	{ "destroy", command_destroy, "NAME [--force]", "give everything back to Linux" },
	{ "dump", command_dump, "NAME FILE", "write its memory as a core file for gdb" },
	{ "test", command_test, "NAME NUMBER", NULL },
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

int command_fail(const struct outrigger *o)
{
	fflush(stdout);
	fprintf(stderr, "outrigger: %s\n", o->error);
	return 1;
}

int command_open(struct outrigger *o)
{
	o->fd = -1;
	return outrigger_open(o, true) ? command_fail(o) : 0;
}

bool command_beside(const char *name, char *to, size_t bytes)
{
	char exe[512], *slash;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	exe[n > 0 ? n : 0] = 0;
	slash = strrchr(exe, '/');
	if (slash)
		*slash = 0;
	snprintf(to, bytes, "%s/%s", exe, name);
	return !access(to, R_OK);
}

error_t command_words(int key, char *arg, struct argp_state *state, struct words *w)
{
	switch (key) {
	case ARGP_KEY_ARG:
		if (w->count == w->most)
			command_usage(state, "'%s' is one argument too many", arg);
		w->word[w->count++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (w->count < w->least)
			command_usage(state, "an argument is missing");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static void help(FILE *to)
{
	size_t i;

	fprintf(to, "usage: outrigger COMMAND [ARG...]\n\n");
	for (i = 0; i < COMMANDS; i++)
		if (commands[i].what)
			fprintf(to, "  %-8s %-48s %s\n", commands[i].name, commands[i].args, commands[i].what);
	fprintf(to, "\noutrigger COMMAND --help tells more; changes take --dry-run, listings --json.\n");
}

int main(int argc, char **argv)
{
	char name[64];
	size_t i;

	setlocale(LC_ALL, "");
	argp_err_exit_status = 2;
	if (argc < 2) {
		help(stderr);
		return 2;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help(stdout);
		return 0;
	}
	for (i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		snprintf(name, sizeof(name), "outrigger %s", argv[1]);
		argv[1] = name;
		return commands[i].fn(argc - 1, argv + 1);
	}
	fprintf(stderr, "outrigger: there is no command '%s'; see outrigger --help\n", argv[1]);
	return 2;
}
