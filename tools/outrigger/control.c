/* SPDX-License-Identifier: BSD-2-Clause */
/* outrigger load, boot, shutdown, kill, destroy, test. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/outrigger/command.h"
#include "tools/outrigger/parse.h"

#define IMAGE_NAME "outrigger.elf"

struct control_args {
	struct words words;
	unsigned int flags;         /* OTR_DRY_RUN, OTR_FORCE */
	unsigned int timeout_ms;
	unsigned int log_level;
	const char *image;
	const char *append;
};

enum { OPT_DRY = 256, OPT_FORCE };

static const struct argp_option image_options[] = {
	{ "image", 'i', "FILE", 0, "the co-kernel (the installed one)", 0 },
	{ "append", 'a', "ARGS", 0, "its command line", 0 },
	{ "log-level", 'l', "0-7", 0, "what it logs, from 0 (emergencies) to 7 (everything); 6", 0 },
	{ "dry-run", OPT_DRY, NULL, 0, "check, but change nothing", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct control_args *a = state->input;
	struct outrigger o = { .fd = -1 };

	switch (key) {
	case 'i': a->image = arg; return 0;
	case 'a': a->append = arg; return 0;
	case 'l':
		if (strlen(arg) != 1 || *arg < '0' || *arg > '7')
			command_usage(state, "'%s' is not a log level from 0 to 7", arg);
		a->log_level = (unsigned int)(*arg - '0');
		return 0;
	case 't':
		if (parse_seconds(&o, arg, &a->timeout_ms))
			command_usage(state, "%s", o.error);
		return 0;
	case OPT_DRY: a->flags |= OTR_DRY_RUN; return 0;
	case OPT_FORCE: a->flags |= OTR_FORCE; return 0;
	}
	return command_words(key, arg, state, &a->words);
}

/* Parses, opens, calls, and turns the result into an exit status. */
static int control(int argc, char **argv, const struct argp *argp, struct control_args *a,
		   int (*fn)(struct outrigger *, const struct control_args *))
{
	struct outrigger o;
	int ret;

	a->log_level = 6;
	argp_parse(argp, argc, argv, 0, NULL, a);
	ret = command_open(&o);
	if (ret)
		return ret;
	ret = fn(&o, a);
	outrigger_close(&o);
	return ret ? command_fail(&o) : 0;
}

/* ---- Images ---- */

/* The image beside the program: ../lib/outrigger/ installed, ../ as built. */
static int default_image(struct outrigger *o, char *to, size_t bytes)
{
	if (command_beside("../lib/outrigger/" IMAGE_NAME, to, bytes) ||
	    command_beside("../" IMAGE_NAME, to, bytes))
		return 0;
	return outrigger_fail(o, -ENOENT, "there is no co-kernel image beside this program; name one with --image");
}

static int load(struct outrigger *o, const struct control_args *a)
{
	struct outrigger_image img;
	const char *image = a->image;
	char path[600];
	int ret = 0;

	if (!image) {
		ret = default_image(o, path, sizeof(path));
		image = path;
	}
	if (!ret)
		ret = outrigger_image_read(o, image, &img);
	if (ret)
		return ret;
	if (!(a->flags & OTR_DRY_RUN))
		ret = outrigger_load(o, a->words.word[0], &img, a->append ? a->append : "", a->log_level);
	outrigger_image_free(&img);
	return ret;
}

/* What a boot would be refused for, before an image is loaded for it. */
static int check_resources(struct outrigger *o, const char *name)
{
	char cpus[256];
	uint64_t memory;
	int ret = outrigger_value(o, name, "cpus", cpus, sizeof(cpus));

	if (!ret)
		ret = outrigger_number(o, name, "memory", &memory);
	if (ret)
		return ret;
	if (!*cpus)
		return outrigger_fail(o, -ENODEV, "%s has no CPU; add one: outrigger cpu add %s LIST", name, name);
	if (!memory)
		return outrigger_fail(o, -ENODEV, "%s has no memory; add some: outrigger memory add %s SIZE", name, name);
	return 0;
}

/* A partition that has an image keeps it, unless another is asked for. */
static int boot(struct outrigger *o, const struct control_args *a)
{
	const char *name = a->words.word[0];
	char state[32];
	bool fresh;
	int ret = outrigger_value(o, name, "state", state, sizeof(state));

	if (!ret)
		ret = check_resources(o, name);
	if (ret)
		return ret;
	fresh = !strcmp(state, "created");
	if (a->image || a->append || fresh)
		ret = load(o, a);
	/* What a dry run would load is not loaded: there is nothing more to ask. */
	if (ret || (fresh && a->flags & OTR_DRY_RUN))
		return ret;
	return outrigger_boot(o, name, a->flags & OTR_DRY_RUN);
}

int command_load(int argc, char **argv)
{
	static const struct argp argp = {
		.options = image_options, .parser = parse, .args_doc = "NAME",
		.doc = "Loads a co-kernel for the next boot of a partition.",
	};
	struct control_args a = { .words = { .least = 1, .most = 1 } };

	return control(argc, argv, &argp, &a, load);
}

int command_boot(int argc, char **argv)
{
	static const struct argp argp = {
		.options = image_options, .parser = parse, .args_doc = "NAME",
		.doc = "Boots a co-kernel on a partition; returns when it runs on all CPUs.",
	};
	struct control_args a = { .words = { .least = 1, .most = 1 } };

	return control(argc, argv, &argp, &a, boot);
}

/* ---- The end ---- */

static int shut_down(struct outrigger *o, const struct control_args *a)
{
	return outrigger_shutdown(o, a->words.word[0], a->timeout_ms, a->flags);
}

int command_shutdown(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "timeout", 't', "S", 0, "how long it may take before this fails (10)", 0 },
		{ "dry-run", OPT_DRY, NULL, 0, "check, but change nothing", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "NAME",
		.doc = "Ends all programs of a partition and stops its co-kernel in order.",
	};
	struct control_args a = { .words = { .least = 1, .most = 1 } };

	return control(argc, argv, &argp, &a, shut_down);
}

static int kill_(struct outrigger *o, const struct control_args *a)
{
	return outrigger_kill(o, a->words.word[0], a->flags);
}

int command_kill(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "dry-run", OPT_DRY, NULL, 0, "check, but change nothing", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "NAME",
		.doc = "Stops a partition's CPUs at once, without asking its co-kernel.",
	};
	struct control_args a = { .words = { .least = 1, .most = 1 } };

	return control(argc, argv, &argp, &a, kill_);
}

static int destroy(struct outrigger *o, const struct control_args *a)
{
	return outrigger_destroy(o, a->words.word[0], a->flags);
}

int command_destroy(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "force", OPT_FORCE, NULL, 0, "kill it first if it runs", 0 },
		{ "dry-run", OPT_DRY, NULL, 0, "check, but change nothing", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "NAME",
		.doc = "Gives all CPUs and memory of a partition back to Linux.",
	};
	struct control_args a = { .words = { .least = 1, .most = 1 } };

	return control(argc, argv, &argp, &a, destroy);
}

/* ---- For the tests ---- */

static int test(struct outrigger *o, const struct control_args *a)
{
	return outrigger_test(o, a->words.word[0], (unsigned int)strtoul(a->words.word[1], NULL, 0));
}

int command_test(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse, .args_doc = "NAME NUMBER",
		.doc = "Makes a co-kernel booted with --append test misbehave (OTR_TEST_* of abi/chan.h).",
	};
	struct control_args a = { .words = { .least = 2, .most = 2 } };

	return control(argc, argv, &argp, &a, test);
}
