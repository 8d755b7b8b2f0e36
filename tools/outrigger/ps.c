/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outrigger ps: the programs in partitions. A program is a Linux process, its
 * proxy, recognised by the state file of its partition that it watches. Of
 * other users' processes Linux shows that to root only.
 */
#include <ctype.h>
#include <dirent.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/outrigger/command.h"
#include "tools/outrigger/table.h"

enum { PARTITION, PID, USER, STATE, THREADS, CPUS, PROGRAM, COLUMNS };

static const struct column columns[COLUMNS] = {
	[PARTITION] = { "partition", "PARTITION", false },
	[PID] = { "pid", "PID", true },
	[USER] = { "user", "USER", false },
	[STATE] = { "state", "STATE", false },
	[THREADS] = { "twins", "TWINS", true },
	[CPUS] = { "cpus", "ON CPUS", false },
	[PROGRAM] = { "command", "COMMAND", false },
};

struct ps_args {
	struct words words;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct ps_args *a = state->input;

	if (key == 'j') {
		a->json = true;
		return 0;
	}
	return command_words(key, arg, state, &a->words);
}

/* The partition of which `link` is the state file. */
static bool partition_of(const char *link, char *name, size_t bytes)
{
	static const char before[] = "/outrigger/", after[] = "/state";
	const char *at = strstr(link, before), *end;

	if (!at || strncmp(link, "/sys/", 5))
		return false;
	at += sizeof(before) - 1;
	end = strchr(at, '/');
	if (!end || strcmp(end, after) || (size_t)(end - at) >= bytes)
		return false;
	snprintf(name, bytes, "%.*s", (int)(end - at), at);
	return true;
}

static bool is_proxy(const char *pid, char *name, size_t bytes)
{
	char path[PATH_MAX], link[PATH_MAX];
	struct dirent *e;
	bool found = false;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	d = opendir(path);
	while (d && !found && (e = readdir(d))) {
		snprintf(path, sizeof(path), "/proc/%.20s/fd/%.20s", pid, e->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = 0;
		found = partition_of(link, name, bytes);
	}
	if (d)
		closedir(d);
	return found;
}

static void command_line(const char *pid, char *to, size_t bytes)
{
	char path[64];
	size_t n = 0, i;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	f = fopen(path, "re");
	if (f) {
		n = fread(to, 1, bytes - 1, f);
		fclose(f);
	}
	to[n] = 0;
	for (i = 0; i + 1 < n; i++)
		if (!to[i])
			to[i] = ' ';
}

/* One field of /proc/PID/status. */
static void status_field(const char *pid, const char *field, char *to, size_t bytes)
{
	char path[64], line[256];
	size_t n = strlen(field);
	FILE *f;

	to[0] = 0;
	snprintf(path, sizeof(path), "/proc/%.20s/status", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, n) && line[n] == ':') {
			line[strcspn(line, "\n")] = 0;
			snprintf(to, bytes, "%s", line + n + 1 + strspn(line + n + 1, " \t"));
		}
	if (f)
		fclose(f);
}

/* Linux's numbers of the partition's CPUs that run it right now. */
static void running_on(const char *partition, unsigned long pid, char *to, size_t bytes)
{
	struct outrigger o = { .fd = -1 };
	struct dirent *e;
	char path[300];
	uint64_t now;
	size_t n = 0;
	DIR *d;

	to[0] = 0;
	snprintf(path, sizeof(path), OUTRIGGER_SYSFS "/%s", partition);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (strncmp(e->d_name, "cpu", 3) || !isdigit((unsigned char)e->d_name[3]))
			continue;
		snprintf(path, sizeof(path), "%.20s/pid", e->d_name);
		if (!outrigger_number(&o, partition, path, &now) && now == pid && n < bytes)
			n += (size_t)snprintf(to + n, bytes - n, "%s%s", n ? "," : "", e->d_name + 3);
	}
	if (d)
		closedir(d);
}

static void row(struct table *t, const char *pid, const char *partition)
{
	char text[4096], path[64];
	const struct passwd *pw;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%.20s", pid);
	if (stat(path, &st))
		return;
	table_row(t);
	table_text(t, PARTITION, partition);
	table_number(t, PID, strtoul(pid, NULL, 10));
	pw = getpwuid(st.st_uid);
	snprintf(text, sizeof(text), "%u", st.st_uid);
	table_text(t, USER, pw ? pw->pw_name : text);
	status_field(pid, "State", text, sizeof(text));
	table_text(t, STATE, text[0] == 'T' ? "stopped" : "running");
	status_field(pid, "Threads", text, sizeof(text));
	if (atoi(text) > 1)     /* one watches the partition */
		table_number(t, THREADS, (uint64_t)atoi(text) - 1);
	running_on(partition, strtoul(pid, NULL, 10), text, sizeof(text));
	table_text(t, CPUS, text);
	command_line(pid, text, sizeof(text));
	table_text(t, PROGRAM, text);
}

static int is_pid(const struct dirent *d)
{
	return isdigit((unsigned char)d->d_name[0]);
}

int command_ps(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "as JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[NAME]",
		.doc = "Lists the programs that run in partitions, or in one; other users' are shown to root.",
	};
	struct ps_args a = { .words = { .most = 1 } };
	struct outrigger o = { .fd = -1 };
	struct dirent **list;
	struct table *t;
	char name[64];
	int n, i;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.words.count && outrigger_value(&o, a.words.word[0], "state", name, sizeof(name)))
		return command_fail(&o);
	t = table_new(columns, COLUMNS);
	n = scandir("/proc", &list, is_pid, versionsort);
	for (i = 0; i < n; i++) {
		if (t && is_proxy(list[i]->d_name, name, sizeof(name)) &&
		    (!a.words.count || !strcmp(name, a.words.word[0])))
			row(t, list[i]->d_name, name);
		free(list[i]);
	}
	if (n >= 0)
		free(list);
	return table_print(t, a.json);
}
