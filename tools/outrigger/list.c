/* SPDX-License-Identifier: BSD-2-Clause */
/* outrigger list: a line a partition. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/outrigger/command.h"
#include "tools/outrigger/table.h"

enum { NAME, STATE, CPUS, MEMORY, FREE, PROGRAMS, REASON, COLUMNS };

static const struct column columns[COLUMNS] = {
	[NAME] = { "name", "NAME", false },
	[STATE] = { "state", "STATE", false },
	[CPUS] = { "cpus", "CPUS", false },
	[MEMORY] = { "memory_bytes", "MEMORY", true },
	[FREE] = { "free_bytes", "FREE", true },
	[PROGRAMS] = { "programs", "PROGRAMS", true },
	[REASON] = { "reason", "REASON", false },
};

struct list_args {
	struct words words;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct list_args *a = state->input;

	if (key == 'j') {
		a->json = true;
		return 0;
	}
	return command_words(key, arg, state, &a->words);
}

static int row(struct outrigger *o, struct table *t, const char *name)
{
	char state[32], cpus[256], reason[400];
	uint64_t memory, left, programs;
	int ret = outrigger_value(o, name, "state", state, sizeof(state));

	ret = ret ? ret : outrigger_value(o, name, "cpus", cpus, sizeof(cpus));
	ret = ret ? ret : outrigger_value(o, name, "reason", reason, sizeof(reason));
	ret = ret ? ret : outrigger_number(o, name, "memory", &memory);
	ret = ret ? ret : outrigger_number(o, name, "memory_free", &left);
	ret = ret ? ret : outrigger_number(o, name, "contexts", &programs);
	if (ret)
		return ret;
	table_row(t);
	table_text(t, NAME, name);
	table_text(t, STATE, state);
	table_text(t, CPUS, cpus);
	table_bytes(t, MEMORY, memory);
	if (!strcmp(state, "running"))
		table_bytes(t, FREE, left);
	table_number(t, PROGRAMS, programs);
	table_text(t, REASON, reason);
	return 0;
}

int command_list(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "as JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .doc = "Lists all partitions.",
	};
	struct list_args a = { 0 };
	struct outrigger o = { .fd = -1 };
	struct table *t;
	char **names;
	int n, i, ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	n = outrigger_names(&o, &names);
	if (n < 0)
		return command_fail(&o);
	t = table_new(columns, COLUMNS);
	for (i = 0; t && i < n; i++) {
		ret = row(&o, t, names[i]);
		if (ret && ret != -ENOENT && ret != -ENODEV)  /* destroyed meanwhile */
			fprintf(stderr, "outrigger: %s\n", o.error);
	}
	outrigger_names_free(names);
	return table_print(t, a.json);
}
