/* SPDX-License-Identifier: BSD-2-Clause */
/* outrigger log and console. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tools/outrigger/command.h"

#define POLL_US 100000

struct log_args {
	struct words words;
	bool follow, raw;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct log_args *a = state->input;

	switch (key) {
	case 'f': a->follow = true; return 0;
	case 'r': a->raw = true; return 0;
	}
	return command_words(key, arg, state, &a->words);
}

/* Prints text without the "<6>" at the start of each line; *column is the
 * place in the line that went before. */
static void print(const char *text, size_t n, bool raw, int *skip)
{
	size_t i;

	if (raw) {
		fwrite(text, 1, n, stdout);
		return;
	}
	for (i = 0; i < n; i++) {
		/* 1: at the start of a line, 2: behind its '<' */
		if (*skip == 1 && text[i] == '<') {
			*skip = 2;
		} else if (*skip == 2) {
			if (text[i] == '>')
				*skip = 0;
		} else {
			*skip = text[i] == '\n';
			putchar(text[i]);
		}
	}
}

static int show(struct outrigger *o, const char *name, unsigned int which, const struct log_args *a)
{
	static char buffer[65536];
	uint64_t position = 0, lost = 0;
	bool raw = a->raw || which == OTR_LOG_CONSOLE;
	int skip = 1;
	ssize_t n;

	for (;;) {
		n = outrigger_log(o, name, which, &position, &lost, buffer, sizeof(buffer));
		if (n < 0)
			return (int)n;
		if (lost) {
			fflush(stdout);
			fprintf(stderr, "outrigger: %llu bytes were overwritten before they could be read\n",
				(unsigned long long)lost);
		}
		lost = 0;
		print(buffer, (size_t)n, raw, &skip);
		if (fflush(stdout))
			return outrigger_fail(o, -1, "standard output is gone");
		if (!n && !a->follow)
			return 0;
		if (!n)
			usleep(POLL_US);
	}
}

static int command(int argc, char **argv, const struct argp *argp, struct log_args *a, unsigned int which)
{
	struct outrigger o = { .fd = -1 };
	int ret;

	argp_parse(argp, argc, argv, 0, NULL, a);
	ret = outrigger_open(&o, false);
	if (!ret)
		ret = show(&o, a->words.word[0], which, a);
	outrigger_close(&o);
	return ret ? command_fail(&o) : 0;
}

int command_log(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "follow", 'f', NULL, 0, "go on as the log grows", 0 },
		{ "raw", 'r', NULL, 0, "with the level of each line, as <6>", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "NAME",
		.doc = "Shows what the co-kernel of a partition has logged since its boot.",
	};
	struct log_args a = { .words = { .least = 1, .most = 1 } };

	return command(argc, argv, &argp, &a, OTR_LOG_KERNEL);
}

int command_console(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse, .args_doc = "NAME",
		.doc = "Shows the console of a partition's co-kernel, until Ctrl-C.",
	};
	struct log_args a = { .words = { .least = 1, .most = 1 }, .follow = true };

	return command(argc, argv, &argp, &a, OTR_LOG_CONSOLE);
}
