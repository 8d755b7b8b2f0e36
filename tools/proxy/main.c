/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What `outrigger run` executes: becomes the proxy of a program in a partition. A
 * static program of its own, because each fork of the program copies the proxy's
 * address space and each exit takes it down: the fewer mappings the better.
 */
#include <argp.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/outrigger/usage.h"
#include "tools/proxy/proxy.h"

#define OWN_FAILURE 125

struct run_args {
	char **program;             /* the rest of argv */
	struct proxy_options how;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct run_args *a = state->input;

	switch (key) {
	case 'e':
		if (arg[0] == '=' || !strchr(arg, '='))
			command_usage(state, "-e %s is not VAR=VALUE", arg);
		if (putenv(arg))
			argp_failure(state, OWN_FAILURE, 0, "out of memory");
		return 0;
	case 't':
		a->how.trace.lines = true;
		return 0;
	case 's':
		a->how.trace.summary = true;
		return 0;
	case 'j':
		a->how.trace.json = true;
		return 0;
	case 'g':
		a->how.debug = true;
		a->how.gdb = arg;
		return 0;
	case 'o':
		a->how.trace.output = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (!a->how.partition) {
			a->how.partition = arg;
			return 0;
		}
		/* The program's own options are not ours. */
		a->program = state->argv + state->next - 1;
		state->next = state->argc;
		return 0;
	case ARGP_KEY_END:
		if (!a->program)
			command_usage(state, a->how.partition ? "the program to run is missing" :
				      "the partition's name and the program to run are missing");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

int main(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "env", 'e', "VAR=VALUE", 0, "set a variable in the program's environment; repeatable", 0 },
		{ "gdb", 'g', "ADDRESS", OPTION_ARG_OPTIONAL, "let it wait for gdb before its first instruction: at "
		  "a Unix socket (a path; one is made) or a TCP port ([HOST:]PORT)", 0 },
		{ "trace", 't', 0, 0, "write each system call of the program as strace does, and where it "
		  "was done", 0 },
		{ "summary", 's', 0, 0, "write a table of its system calls when it has ended", 0 },
		{ "output", 'o', "FILE", 0, "where these two go; standard error otherwise", 0 },
		{ "json", 'j', 0, 0, "write them as JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "NAME [--] PROGRAM [ARG...]",
		.doc = "Runs a program in a running partition, as this process: terminal, "
		       "directory, environment, signals and exit status are as if it ran here."
		       "\vExit status: the program's own; 125 for failures of outrigger, 126 for a "
		       "program that cannot be run, 127 for one that does not exist.",
	};
	struct outrigger o = { .fd = -1 };
	struct run_args a = { 0 };
	int ret;

	setlocale(LC_ALL, "");
	argp_err_exit_status = OWN_FAILURE;
	argp_parse(&argp, argc, argv, ARGP_IN_ORDER, NULL, &a);
	ret = proxy_run(&o, &a.how, a.program, environ);
	fprintf(stderr, "outrigger: %s\n", o.error);
	return ret;
}
