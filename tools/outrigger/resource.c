/* SPDX-License-Identifier: BSD-2-Clause */
/* outrigger cpu add|remove, memory add|remove. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/outrigger/command.h"
#include "tools/outrigger/topology.h"

struct resource_args {
	struct words words;         /* add|remove, NAME, LIST or SIZE */
	unsigned int kind;
	bool dry_run, force;
};

enum { OPT_KIND = 256, OPT_DRY, OPT_FORCE };

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct resource_args *a = state->input;
	struct outrigger o = { .fd = -1 };
	error_t ret;

	switch (key) {
	case OPT_KIND:
		if (parse_kind(&o, arg, &a->kind))
			command_usage(state, "%s", o.error);
		return 0;
	case OPT_DRY: a->dry_run = true; return 0;
	case OPT_FORCE: a->force = true; return 0;
	}
	ret = command_words(key, arg, state, &a->words);
	if (key == ARGP_KEY_END && strcmp(a->words.word[0], "add") && strcmp(a->words.word[0], "remove"))
		command_usage(state, "'%s' is neither add nor remove", a->words.word[0]);
	return ret;
}

/* ---- CPUs ---- */

typedef int (*cpu_fn)(struct outrigger *, const char *, unsigned int, unsigned int);

static int move_cpus(struct outrigger *o, const char *name, const struct cpu_set_list *cpus,
		     bool add, unsigned int flags, struct cpu_set_list *done)
{
	cpu_fn fn = add ? outrigger_cpu_add : outrigger_cpu_remove;
	char why[sizeof(o->error)];
	unsigned int cpu;
	int ret;

	memset(done, 0, sizeof(*done));
	for (cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (!cpus_has(cpus, cpu))
			continue;
		ret = fn(o, name, cpu, flags | (add ? OTR_FORCE : 0));
		if (ret) {
			memcpy(why, o->error, sizeof(why));
			return outrigger_fail(o, ret, "%s CPU %u: %.450s", add ? "adding" : "removing", cpu, why);
		}
		cpus_set(done, cpu);
	}
	return 0;
}

/* All or nothing: CPUs that were moved before one could not be go back. */
static int cpu(struct outrigger *o, const struct resource_args *a)
{
	bool add = !strcmp(a->words.word[0], "add");
	const char *name = a->words.word[1];
	struct cpu_set_list cpus, done, back;
	char why[sizeof(o->error)];
	int ret = parse_cpus(o, a->words.word[2], &cpus);

	if (!ret && add)
		ret = topology_whole_cores(o, &cpus, a->force);
	if (ret)
		return ret;
	/* First ask about all, so that little has to be undone. */
	ret = move_cpus(o, name, &cpus, add, OTR_DRY_RUN, &done);
	if (ret || a->dry_run)
		return ret;
	ret = move_cpus(o, name, &cpus, add, 0, &done);
	if (!ret)
		return 0;
	memcpy(why, o->error, sizeof(why));
	if (move_cpus(o, name, &done, !add, 0, &back))
		fprintf(stderr, "outrigger: going back failed too: %s\n", o->error);
	memcpy(o->error, why, sizeof(why));
	return ret;
}

int command_cpu(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "force", OPT_FORCE, NULL, 0, "allow to split the threads of a core", 0 },
		{ "dry-run", OPT_DRY, NULL, 0, "check, but change nothing", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "add|remove NAME LIST",
		.doc = "Moves CPUs between Linux and a partition, which may be running. LIST has Linux's CPU numbers, such as 2-3,5.",
	};
	struct resource_args a = { .words = { .least = 3, .most = 3 } };
	struct outrigger o;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	ret = command_open(&o);
	if (ret)
		return ret;
	ret = cpu(&o, &a);
	outrigger_close(&o);
	return ret ? command_fail(&o) : 0;
}

/* ---- Memory ---- */

/* Moves one item; what a removal did before it failed is undone. */
static int move_memory(struct outrigger *o, const char *name, bool add, uint64_t bytes, int node,
		       unsigned int kind, unsigned int flags)
{
	struct outrigger_memory m = { .bytes = bytes, .node = node, .kind = kind, .flags = flags };
	char why[sizeof(o->error)];
	int ret = add ? outrigger_memory_add(o, name, &m) : outrigger_memory_remove(o, name, &m);

	if (!ret || add || flags & OTR_DRY_RUN || !m.bytes)
		return ret;
	memcpy(why, o->error, sizeof(why));
	if (outrigger_memory_add(o, name, &m))
		fprintf(stderr, "outrigger: going back failed too: %s\n", o->error);
	memcpy(o->error, why, sizeof(why));
	return ret;
}

static int memory(struct outrigger *o, const struct resource_args *a)
{
	bool add = !strcmp(a->words.word[0], "add");
	const char *name = a->words.word[1];
	char why[sizeof(o->error)];
	struct memory_list m;
	unsigned int i, k;
	int ret = parse_memory(o, a->words.word[2], &m);

	if (!ret && add)
		ret = topology_memory_fits(o, &m);
	/* To ask first is cheap for a removal; an addition checks by doing. */
	for (i = 0; !ret && (a->dry_run || !add) && i < m.count; i++)
		ret = move_memory(o, name, add, m.item[i].bytes, m.item[i].node, a->kind, OTR_DRY_RUN);
	if (ret || a->dry_run)
		return ret;
	for (i = 0; !ret && i < m.count; i++)
		ret = move_memory(o, name, add, m.item[i].bytes, m.item[i].node, a->kind, 0);
	if (!ret)
		return 0;
	memcpy(why, o->error, sizeof(why));
	for (k = 0; k + 1 < i; k++)
		if (move_memory(o, name, !add, m.item[k].bytes, m.item[k].node, a->kind, 0))
			fprintf(stderr, "outrigger: going back failed too: %s\n", o->error);
	memcpy(o->error, why, sizeof(why));
	return ret;
}

int command_memory(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "kind", OPT_KIND, "any|block|contig", 0, "how memory is taken: whole memory blocks, contiguous pages, or what fits", 0 },
		{ "dry-run", OPT_DRY, NULL, 0, "check, but change nothing", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "add|remove NAME SIZE[@NODE][,...]",
		.doc = "Moves memory between Linux and a partition, which may be running.",
	};
	struct resource_args a = { .words = { .least = 3, .most = 3 } };
	struct outrigger o;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	ret = command_open(&o);
	if (ret)
		return ret;
	ret = memory(&o, &a);
	outrigger_close(&o);
	return ret ? command_fail(&o) : 0;
}
