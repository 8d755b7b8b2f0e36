/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The `outrigger` command: administers partitions through liboutrigger. One
 * function a subcommand; the table at the end is the list.
 */
#include "tools/outrigger/command.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct args {
	char *word[8];
	int count;
	unsigned int flags;
	unsigned int timeout_ms;
	unsigned int kind;
	unsigned int log_level;
	const char *image;
	const char *append;
	const char *cpus;
	const char *memory;
	bool follow;
	bool console;
};

static int fail(struct outrigger *o)
{
	fprintf(stderr, "outrigger: %s\n", o->error);
	return 1;
}

static int usage_error(const char *text)
{
	fprintf(stderr, "outrigger: %s; see outrigger --help\n", text);
	return 2;
}

/* Calls fn for each CPU of a list such as 2-3,5. */
static int each_cpu(struct outrigger *o, const char *name, const char *list, unsigned int flags,
		    int (*fn)(struct outrigger *, const char *, unsigned int, unsigned int))
{
	const char *at = list;
	char *end;
	int ret;

	while (*at) {
		unsigned long first = strtoul(at, &end, 10), last = first;

		if (end == at)
			return outrigger_fail(o, -EINVAL, "%s is not a list of CPUs", list);
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		for (; first <= last; first++) {
			ret = fn(o, name, (unsigned int)first, flags);
			if (ret)
				return ret;
		}
		if (*end && *end != ',')
			return outrigger_fail(o, -EINVAL, "%s is not a list of CPUs", list);
		at = *end ? end + 1 : end;
	}
	return 0;
}

/* SIZE[@NODE], e.g. 512M@1. */
static int parse_memory(struct outrigger *o, const char *text, struct outrigger_memory *m)
{
	char *end;

	m->node = -1;
	m->bytes = strtoull(text, &end, 0);
	switch (*end) {
	case 'K': case 'k': m->bytes <<= 10; end++; break;
	case 'M': case 'm': m->bytes <<= 20; end++; break;
	case 'G': case 'g': m->bytes <<= 30; end++; break;
	}
	if (*end == '@')
		m->node = (int)strtol(end + 1, &end, 10);
	if (end == text || *end)
		return outrigger_fail(o, -EINVAL, "%s is not a size; write for example 512M or 2G@1", text);
	return 0;
}

static int memory(struct outrigger *o, const char *name, const char *text, const struct args *a,
		  int (*fn)(struct outrigger *, const char *, struct outrigger_memory *))
{
	struct outrigger_memory m = { .kind = a->kind, .flags = a->flags & OTR_DRY_RUN };
	int ret = parse_memory(o, text, &m);

	return ret ? ret : fn(o, name, &m);
}

static int do_create(struct outrigger *o, const struct args *a)
{
	struct outrigger_owner owner = { .uid = getuid(), .gid = getgid(), .mode = 0770 };
	const char *name = a->word[0];
	char why[sizeof(o->error)];
	int ret = outrigger_create(o, name, &owner, a->flags & OTR_DRY_RUN);

	if (ret || (a->flags & OTR_DRY_RUN))
		return ret;
	if (a->cpus)
		ret = each_cpu(o, name, a->cpus, a->flags, outrigger_cpu_add);
	if (!ret && a->memory)
		ret = memory(o, name, a->memory, a, outrigger_memory_add);
	if (ret) {
		memcpy(why, o->error, sizeof(why));
		outrigger_destroy(o, name, 0);
		memcpy(o->error, why, sizeof(why));
	}
	return ret;
}

static int load(struct outrigger *o, const struct args *a)
{
	struct outrigger_image img;
	int ret = outrigger_image_read(o, a->image, &img);

	if (ret)
		return ret;
	ret = outrigger_load(o, a->word[0], &img, a->append ? a->append : "", a->log_level);
	outrigger_image_free(&img);
	return ret;
}

static int do_load(struct outrigger *o, const struct args *a)
{
	return a->image ? load(o, a) : outrigger_fail(o, -EINVAL, "load needs --image");
}

static int do_boot(struct outrigger *o, const struct args *a)
{
	int ret = a->image ? load(o, a) : 0;

	return ret ? ret : outrigger_boot(o, a->word[0], a->flags & OTR_DRY_RUN);
}

static int do_shutdown(struct outrigger *o, const struct args *a)
{
	return outrigger_shutdown(o, a->word[0], a->timeout_ms, a->flags & OTR_DRY_RUN);
}

static int do_kill(struct outrigger *o, const struct args *a)
{
	return outrigger_kill(o, a->word[0], a->flags & OTR_DRY_RUN);
}

static int do_destroy(struct outrigger *o, const struct args *a)
{
	return outrigger_destroy(o, a->word[0], a->flags);
}

static int do_cpu(struct outrigger *o, const struct args *a)
{
	bool add = !strcmp(a->word[0], "add");

	if (a->count != 3 || (!add && strcmp(a->word[0], "remove")))
		return outrigger_fail(o, -EINVAL, "usage: outrigger cpu add|remove NAME LIST");
	return each_cpu(o, a->word[1], a->word[2], a->flags,
			add ? outrigger_cpu_add : outrigger_cpu_remove);
}

static int do_memory(struct outrigger *o, const struct args *a)
{
	bool add = !strcmp(a->word[0], "add");

	if (a->count != 3 || (!add && strcmp(a->word[0], "remove")))
		return outrigger_fail(o, -EINVAL, "usage: outrigger memory add|remove NAME SIZE[@NODE]");
	return memory(o, a->word[1], a->word[2], a,
		      add ? outrigger_memory_add : outrigger_memory_remove);
}

static int do_log(struct outrigger *o, const struct args *a)
{
	uint64_t position = 0, lost = 0;
	static char buffer[65536];
	ssize_t n;

	for (;;) {
		n = outrigger_log(o, a->word[0], a->console ? OTR_LOG_CONSOLE : OTR_LOG_KERNEL,
				  &position, &lost, buffer, sizeof(buffer));
		if (n < 0)
			return (int)n;
		if (lost)
			fprintf(stderr, "outrigger: %llu bytes were overwritten before they could be read\n",
				(unsigned long long)lost);
		lost = 0;
		fwrite(buffer, 1, (size_t)n, stdout);
		fflush(stdout);
		if (!n && !a->follow)
			return 0;
		if (!n)
			usleep(100000);
	}
}

static int do_list(struct outrigger *o, const struct args *a)
{
	static const char *const file[] = { "state", "cpus", "memory", "reason" };
	char **names, value[512];
	int n = outrigger_names(o, &names), ret = 0;
	size_t f;

	if (n < 0)
		return n;
	for (int i = 0; i < n && !ret; i++) {
		printf("%s", names[i]);
		for (f = 0; f < sizeof(file) / sizeof(file[0]) && !ret; f++) {
			ret = outrigger_value(o, names[i], file[f], value, sizeof(value));
			printf("\t%s", ret ? "" : value);
		}
		printf("\n");
	}
	outrigger_names_free(names);
	return ret;
}

static int do_test(struct outrigger *o, const struct args *a)
{
	if (a->count != 2)
		return outrigger_fail(o, -EINVAL, "usage: outrigger test NAME NUMBER");
	return outrigger_test(o, a->word[0], (unsigned int)atoi(a->word[1]));
}

static const struct {
	const char *name;
	int (*fn)(struct outrigger *, const struct args *);
	int words;                   /* at least */
	bool admin;
	bool device;
} commands[] = {
	{ "create", do_create, 1, true, true },
	{ "load", do_load, 1, true, true },
	{ "boot", do_boot, 1, true, true },
	{ "shutdown", do_shutdown, 1, true, true },
	{ "kill", do_kill, 1, true, true },
	{ "destroy", do_destroy, 1, true, true },
	{ "cpu", do_cpu, 3, true, true },
	{ "memory", do_memory, 3, true, true },
	{ "log", do_log, 1, false, true },
	{ "list", do_list, 0, false, false },
	{ "test", do_test, 2, true, true },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'c': a->cpus = arg; return 0;
	case 'm': a->memory = arg; return 0;
	case 'i': a->image = arg; return 0;
	case 'a': a->append = arg; return 0;
	case 't': a->timeout_ms = (unsigned int)(strtod(arg, NULL) * 1000); return 0;
	case 'l': a->log_level = (unsigned int)atoi(arg); return 0;
	case 'n': a->flags |= OTR_DRY_RUN; return 0;
	case 'F': a->flags |= OTR_FORCE; return 0;
	case 'f': a->follow = true; return 0;
	case 'C': a->console = true; return 0;
	case 'k':
		a->kind = !strcmp(arg, "block") ? OTR_MEM_BLOCK :
			  !strcmp(arg, "contig") ? OTR_MEM_CONTIG : OTR_MEM_ANY;
		return 0;
	case ARGP_KEY_ARG:
		if (a->count >= 8)
			return ARGP_ERR_UNKNOWN;
		a->word[a->count++] = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp_option options[] = {
	{ "cpus", 'c', "LIST", 0, "CPUs for create", 0 },
	{ "memory", 'm', "SIZE[@NODE]", 0, "memory for create", 0 },
	{ "kind", 'k', "any|block|contig", 0, "how memory is taken", 0 },
	{ "image", 'i', "FILE", 0, "image to load", 0 },
	{ "append", 'a', "ARGS", 0, "command line of the image", 0 },
	{ "log-level", 'l', "0-7", 0, "log level of the image", 0 },
	{ "timeout", 't', "S", 0, "how long a shutdown may take", 0 },
	{ "dry-run", 'n', NULL, 0, "check, but change nothing", 0 },
	{ "force", 'F', NULL, 0, "destroy a live partition; split cores", 0 },
	{ "follow", 'f', NULL, 0, "go on as the log grows", 0 },
	{ "console", 'C', NULL, 0, "the console instead of the log", 0 },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "COMMAND [ARG...]",
		.doc = "Administers partitions of this machine.",
	};
	struct args a = { .log_level = 6 };
	struct outrigger o = { .fd = -1 };
	int ret;

	if (argc > 1 && !strcmp(argv[1], "run"))
		return command_run(argc - 1, argv + 1);
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (!a.count)
		return usage_error("a command is missing");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(a.word[0], commands[i].name))
			continue;
		memmove(a.word, a.word + 1, sizeof(a.word) - sizeof(a.word[0]));
		if (--a.count < commands[i].words)
			return usage_error("an argument is missing");
		ret = commands[i].device ? outrigger_open(&o, commands[i].admin) : 0;
		if (!ret)
			ret = commands[i].fn(&o, &a);
		outrigger_close(&o);
		return ret ? fail(&o) : 0;
	}
	return usage_error("there is no such command");
}
