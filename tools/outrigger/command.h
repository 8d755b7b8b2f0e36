/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the `outrigger` command share. A subcommand is a function
 * that parses its own arguments (argv[0] is "outrigger NAME") and returns the
 * exit status: 0, 1 for a refusal, 2 for wrong usage.
 */
#ifndef OUTRIGGER_COMMAND_H
#define OUTRIGGER_COMMAND_H

#include <argp.h>

#include "loader/outrigger.h"
#include "tools/outrigger/usage.h"

int command_run(int argc, char **argv);                         /* run.c */
int command_create(int argc, char **argv);                      /* create.c */
int command_load(int argc, char **argv);                        /* control.c */
int command_boot(int argc, char **argv);
int command_shutdown(int argc, char **argv);
int command_kill(int argc, char **argv);
int command_destroy(int argc, char **argv);
int command_test(int argc, char **argv);
int command_cpu(int argc, char **argv);                         /* resource.c */
int command_memory(int argc, char **argv);
int command_list(int argc, char **argv);                        /* list.c */
int command_inspect(int argc, char **argv);                     /* inspect.c */
int command_ps(int argc, char **argv);                          /* ps.c */
int command_top(int argc, char **argv);                         /* top.c */
int command_log(int argc, char **argv);                         /* log.c */
int command_console(int argc, char **argv);
int command_dump(int argc, char **argv);                        /* dump.c */
int command_gdb(int argc, char **argv);                         /* gdb.c */
int command_check(int argc, char **argv);                       /* check.c */

/* main.c. Prints o->error and returns 1, the exit status. */
int command_fail(const struct outrigger *o);
/* Opens the administration node: 0, or the exit status. */
int command_open(struct outrigger *o);

/* The path of a file beside this program (NAME relative to its folder): false if
 * there is none. */
bool command_beside(const char *name, char *to, size_t bytes);

/* Words that are no options. */
struct words {
	const char *word[8];
	int count;
	int least, most;
};
/* For a parser's default branch: takes arguments into w, complains about too
 * many or too few. */
error_t command_words(int key, char *arg, struct argp_state *state, struct words *w);

#endif
