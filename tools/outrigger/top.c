/* SPDX-License-Identifier: BSD-2-Clause */
/* outrigger top: what the CPUs of partitions do, a line a CPU, again and again. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/outrigger/command.h"
#include "tools/outrigger/parse.h"

#define ROWS 1024u

struct top_args {
	struct words words;
	unsigned int delay_ms;
	unsigned int rounds;        /* 0: for ever */
};

struct sample {
	char partition[40];
	unsigned int cpu;
	uint64_t idle_ns, syscalls, switches, timer, doorbell, foreign, pid;
};

struct round {
	uint64_t at_ns;
	unsigned int count;
	struct sample row[ROWS];
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct top_args *a = state->input;
	struct outrigger o = { .fd = -1 };
	char *end;

	switch (key) {
	case 'd':
		if (parse_seconds(&o, arg, &a->delay_ms))
			command_usage(state, "%s", o.error);
		return 0;
	case 'n':
		a->rounds = (unsigned int)strtoul(arg, &end, 10);
		if (*end || !a->rounds)
			command_usage(state, "'%s' is not a number of rounds", arg);
		return 0;
	}
	return command_words(key, arg, state, &a->words);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t number(const char *partition, unsigned int cpu, const char *file)
{
	struct outrigger o = { .fd = -1 };
	uint64_t v = 0;
	char path[64];

	snprintf(path, sizeof(path), "cpu%u/%s", cpu, file);
	return outrigger_number(&o, partition, path, &v) ? 0 : v;
}

static int is_cpu(const struct dirent *d)
{
	return !strncmp(d->d_name, "cpu", 3) && isdigit((unsigned char)d->d_name[3]);
}

static void sample_partition(struct round *r, const char *partition)
{
	struct dirent **list;
	char path[300];
	int n, i;

	snprintf(path, sizeof(path), OUTRIGGER_SYSFS "/%.200s", partition);
	n = scandir(path, &list, is_cpu, versionsort);
	for (i = 0; i < n; i++) {
		unsigned int cpu = (unsigned int)strtoul(list[i]->d_name + 3, NULL, 10);

		free(list[i]);
		if (r->count == ROWS)
			continue;
		r->row[r->count] = (struct sample){
			.cpu = cpu, .idle_ns = number(partition, cpu, "idle_ns"),
			.syscalls = number(partition, cpu, "syscalls"),
			.switches = number(partition, cpu, "switches"),
			.timer = number(partition, cpu, "timer"),
			.doorbell = number(partition, cpu, "doorbell"),
			.foreign = number(partition, cpu, "foreign"),
			.pid = number(partition, cpu, "pid"),
		};
		snprintf(r->row[r->count++].partition, sizeof(r->row[0].partition), "%.39s", partition);
	}
	if (n >= 0)
		free(list);
}

static void sample(struct round *r, const char *only)
{
	struct outrigger o = { .fd = -1 };
	char **names;
	int n = outrigger_names(&o, &names), i;

	r->at_ns = now_ns();
	r->count = 0;
	for (i = 0; i < n; i++)
		if (!only || !strcmp(only, names[i]))
			sample_partition(r, names[i]);
	outrigger_names_free(names);
}

static const struct sample *find(const struct round *r, const struct sample *s)
{
	unsigned int i;

	for (i = 0; i < r->count; i++)
		if (r->row[i].cpu == s->cpu && !strcmp(r->row[i].partition, s->partition))
			return &r->row[i];
	return s;
}

static double rate(uint64_t now, uint64_t then, double seconds)
{
	return now > then ? (double)(now - then) / seconds : 0;     /* less after a reboot */
}

static void print(const struct round *now, const struct round *then)
{
	double s = (double)(now->at_ns - then->at_ns) / 1e9;
	unsigned int i;

	if (isatty(STDOUT_FILENO))
		printf("\033[H\033[J");
	printf("%-16s %5s %6s %12s %10s %9s %11s %9s %8s\n", "PARTITION", "CPU", "BUSY%", "SYSCALLS/s",
	       "SWITCHES/s", "TIMER/s", "DOORBELLS/s", "FOREIGN/s", "PID");
	for (i = 0; i < now->count; i++) {
		const struct sample *n = &now->row[i], *t = find(then, n);
		double busy = 100 - rate(n->idle_ns, t->idle_ns, s) / 1e7;

		/* A CPU counts its idle time when it wakes up. */
		if (!n->pid && !t->pid && n->switches == t->switches)
			busy = 0;
		printf("%-16s %5u %6.1f %12.0f %10.0f %9.0f %11.0f %9.0f %8llu\n", n->partition, n->cpu,
		       busy < 0 ? 0 : busy, rate(n->syscalls, t->syscalls, s),
		       rate(n->switches, t->switches, s), rate(n->timer, t->timer, s),
		       rate(n->doorbell, t->doorbell, s), rate(n->foreign, t->foreign, s),
		       (unsigned long long)n->pid);
	}
	fflush(stdout);
}

int command_top(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "delay", 'd', "S", 0, "seconds between rounds (1)", 0 },
		{ "rounds", 'n', "N", 0, "end after so many (never)", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[NAME]",
		.doc = "Shows what the CPUs of all partitions, or of one, do: until Ctrl-C.",
	};
	struct top_args a = { .words = { .most = 1 }, .delay_ms = 1000 };
	struct round *r = calloc(2, sizeof(*r));
	struct outrigger o = { .fd = -1 };
	char state[32];
	unsigned int i;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.words.count && outrigger_value(&o, a.words.word[0], "state", state, sizeof(state))) {
		free(r);
		return command_fail(&o);
	}
	if (!r)
		return 1;
	sample(&r[1], a.words.word[0]);
	for (i = 0; !a.rounds || i < a.rounds; i++) {
		usleep(a.delay_ms * 1000);
		sample(&r[i & 1], a.words.word[0]);
		print(&r[i & 1], &r[~i & 1]);
	}
	free(r);
	return 0;
}
