/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outrigger create: all or nothing. Whatever fails, the partition goes away
 * again, everything is back with Linux, and the message names the step.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/outrigger/command.h"
#include "tools/outrigger/topology.h"

struct create_args {
	struct words words;
	struct outrigger_owner owner;
	const char *cpus;
	struct memory_list memory;
	unsigned int kind;
	bool dry_run, force;
};

enum { OPT_OWNER = 256, OPT_GROUP, OPT_MODE, OPT_KIND, OPT_DRY, OPT_FORCE };

static const struct argp_option options[] = {
	{ "cpus", 'c', "LIST|N", 0, "Linux's CPU numbers, such as 2-3,5 (one CPU: 3,), or how many; whole cores", 0 },
	{ "memory", 'm', "SIZE[@NODE][,...]", 0, "such as 512M or 2G@0,2G@1; multiples of 2 MiB", 0 },
	{ "kind", OPT_KIND, "any|block|contig", 0, "how memory is taken: whole memory blocks, contiguous pages, or what fits", 0 },
	{ "owner", OPT_OWNER, "USER", 0, "whose it is (you)", 0 },
	{ "group", OPT_GROUP, "GROUP", 0, "which group's it is (yours)", 0 },
	{ "mode", OPT_MODE, "MODE", 0, "what owner and group may: 4 read the log, 1 run programs (770)", 0 },
	{ "force", OPT_FORCE, NULL, 0, "allow to split the threads of a core", 0 },
	{ "dry-run", OPT_DRY, NULL, 0, "check, but change nothing", 0 },
	{ 0 },
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct create_args *a = state->input;
	struct outrigger o = { .fd = -1 };
	int ret = 0;

	switch (key) {
	case 'c': a->cpus = arg; break;
	case 'm': ret = parse_memory(&o, arg, &a->memory); break;
	case OPT_KIND: ret = parse_kind(&o, arg, &a->kind); break;
	case OPT_OWNER: ret = parse_user(&o, arg, &a->owner.uid); break;
	case OPT_GROUP: ret = parse_group(&o, arg, &a->owner.gid); break;
	case OPT_MODE: ret = parse_mode(&o, arg, &a->owner.mode); break;
	case OPT_DRY: a->dry_run = true; break;
	case OPT_FORCE: a->force = true; break;
	default: return command_words(key, arg, state, &a->words);
	}
	if (ret)
		command_usage(state, "%s", o.error);
	return 0;
}

static int choose(struct outrigger *o, const struct create_args *a, struct cpu_set_list *cpus)
{
	int ret;

	memset(cpus, 0, sizeof(*cpus));
	if (!a->cpus)
		return 0;
	if (parse_is_count(a->cpus)) {
		unsigned long n = strtoul(a->cpus, NULL, 10);

		return topology_choose(o, n > CPUS_MAX ? CPUS_MAX : (unsigned int)n,
				       a->memory.count ? a->memory.item[0].node : -1, a->force, cpus);
	}
	ret = parse_cpus(o, a->cpus, cpus);
	return ret ? ret : topology_whole_cores(o, cpus, a->force);
}

static int failed_step(struct outrigger *o, int err, const char *name, const char *step)
{
	char why[sizeof(o->error)];

	memcpy(why, o->error, sizeof(why));
	return outrigger_fail(o, err, "%s was not created: %s: %.350s", name, step, why);
}

/* Whole cores were checked already, here, where the whole list is known. */
static int give_cpus(struct outrigger *o, const char *name, const struct cpu_set_list *cpus,
		     unsigned int flags)
{
	unsigned int cpu;
	char step[40];
	int ret;

	for (cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (!cpus_has(cpus, cpu))
			continue;
		ret = outrigger_cpu_add(o, name, cpu, flags | OTR_FORCE);
		if (ret) {
			snprintf(step, sizeof(step), "taking CPU %u", cpu);
			return failed_step(o, ret, name, step);
		}
	}
	return 0;
}

static int give_memory(struct outrigger *o, const char *name, const struct create_args *a,
		       unsigned int flags)
{
	char step[80], bytes[32];
	unsigned int i;
	int ret;

	for (i = 0; i < a->memory.count; i++) {
		struct outrigger_memory m = {
			.bytes = a->memory.item[i].bytes, .node = a->memory.item[i].node,
			.kind = a->kind, .flags = flags,
		};

		ret = outrigger_memory_add(o, name, &m);
		if (ret) {
			format_bytes(a->memory.item[i].bytes, bytes, sizeof(bytes));
			if (m.node >= 0)
				snprintf(step, sizeof(step), "taking %s from NUMA node %d", bytes, m.node);
			else
				snprintf(step, sizeof(step), "taking %s of memory", bytes);
			return failed_step(o, ret, name, step);
		}
	}
	return 0;
}

/* Undoes; a failure of that is told beside the first one. */
static void undo(struct outrigger *o, const char *name)
{
	char why[sizeof(o->error)];

	memcpy(why, o->error, sizeof(why));
	if (outrigger_destroy(o, name, OTR_FORCE))
		fprintf(stderr, "outrigger: %s could not be undone: %s\n", name, o->error);
	memcpy(o->error, why, sizeof(why));
}

/* A dry run asks the module about each step on an empty partition, which goes
 * away again: only the module knows what can be had. */
static int create(struct outrigger *o, const struct create_args *a)
{
	const char *name = a->words.word[0];
	unsigned int flags = a->dry_run ? OTR_DRY_RUN : 0;
	struct cpu_set_list cpus;
	int ret = topology_memory_fits(o, &a->memory);

	if (!ret)
		ret = choose(o, a, &cpus);
	if (!ret)
		ret = outrigger_create(o, name, &a->owner, 0);
	if (ret)
		return ret;
	ret = give_cpus(o, name, &cpus, flags);
	if (!ret)
		ret = give_memory(o, name, a, flags);
	if (ret || a->dry_run)
		undo(o, name);
	return ret;
}

int command_create(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "NAME",
		.doc = "Makes a partition of CPUs and memory that Linux gives up.",
	};
	struct create_args a = {
		.words = { .least = 1, .most = 1 },
		.owner = { .uid = getuid(), .gid = getgid(), .mode = 0770 },
	};
	struct outrigger o;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	ret = command_open(&o);
	if (ret)
		return ret;
	ret = create(&o, &a);
	outrigger_close(&o);
	return ret ? command_fail(&o) : 0;
}
