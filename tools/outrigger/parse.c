/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/outrigger/parse.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <math.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB2 (2ull << 20)

unsigned int cpus_count(const struct cpu_set_list *s)
{
	unsigned int i, n = 0;

	for (i = 0; i < CPUS_MAX / 64; i++)
		n += (unsigned int)__builtin_popcountll(s->word[i]);
	return n;
}

bool parse_is_count(const char *text)
{
	return *text && strspn(text, "0123456789") == strlen(text);
}

/* Digits only: no sign, no space. */
static bool number(const char **at, unsigned long *value)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	errno = 0;
	*value = strtoul(*at, &end, 10);
	*at = end;
	return !errno;
}

static bool cpu_range(const char **at, struct cpu_set_list *s)
{
	unsigned long first, last;

	if (!number(at, &first))
		return false;
	last = first;
	if (**at == '-') {
		++*at;
		if (!number(at, &last))
			return false;
	}
	if (last < first || last >= CPUS_MAX)
		return false;
	for (; first <= last; first++)
		cpus_set(s, (unsigned int)first);
	return true;
}

int parse_cpus(struct outrigger *o, const char *text, struct cpu_set_list *s)
{
	const char *at = text;

	memset(s, 0, sizeof(*s));
	do {
		if (!cpu_range(&at, s))
			return outrigger_fail(o, -EINVAL, "'%s' is not a list of CPUs below %u; write for example 2-3,5", text, CPUS_MAX);
		if (*at && *at++ != ',')
			return outrigger_fail(o, -EINVAL, "'%s' is not a list of CPUs; write for example 2-3,5", text);
	} while (*at);
	return 0;
}

static int bad_size(struct outrigger *o, const char *text)
{
	return outrigger_fail(o, -EINVAL, "'%s' is not a size; write for example 512M or 2G@1", text);
}

/* Reads "2G" at *at. */
static int size(struct outrigger *o, const char *text, const char **at, uint64_t *bytes)
{
	static const char suffix[] = "KMGT";
	const char *s;
	unsigned long n;
	unsigned int shift = 0;

	if (!number(at, &n))
		return bad_size(o, text);
	s = **at ? strchr(suffix, toupper((unsigned char)**at)) : NULL;
	if (s) {
		shift = 10 * (unsigned int)(s - suffix + 1);
		++*at;
		if (!strncmp(*at, "iB", 2))
			*at += 2;
	}
	if (n > UINT64_MAX >> shift || !n)
		return outrigger_fail(o, -EINVAL, "'%s' is %s", text, n ? "more memory than there can be" : "no memory at all");
	*bytes = (uint64_t)n << shift;
	if (*bytes % MIB2)
		return outrigger_fail(o, -EINVAL, "'%s' is not a multiple of 2 MiB", text);
	return 0;
}

int parse_size(struct outrigger *o, const char *text, uint64_t *bytes)
{
	const char *at = text;
	int ret = size(o, text, &at, bytes);

	return !ret && *at ? bad_size(o, text) : ret;
}

static int add_memory(struct outrigger *o, const char *text, uint64_t bytes, int node, struct memory_list *m)
{
	unsigned int i;

	for (i = 0; i < m->count; i++)
		if (m->item[i].node == node) {
			m->item[i].bytes += bytes;
			return 0;
		}
	if (m->count == MEMORY_MAX)
		return outrigger_fail(o, -EINVAL, "'%s' names more than %u NUMA nodes", text, MEMORY_MAX);
	m->item[m->count].bytes = bytes;
	m->item[m->count++].node = node;
	return 0;
}

int parse_memory(struct outrigger *o, const char *text, struct memory_list *m)
{
	const char *at = text;
	unsigned long node;
	uint64_t bytes;
	int ret;

	m->count = 0;
	for (;;) {
		bool any = true;

		ret = size(o, text, &at, &bytes);
		if (ret)
			return ret;
		if (*at == '@') {
			at++;
			any = false;
			if (!number(&at, &node) || node > 1023)
				return bad_size(o, text);
		}
		ret = add_memory(o, text, bytes, any ? -1 : (int)node, m);
		if (ret || !*at)
			return ret;
		if (*at++ != ',')
			return bad_size(o, text);
	}
}

int parse_kind(struct outrigger *o, const char *text, unsigned int *kind)
{
	static const char *const names[] = { "any", "block", "contig" };
	unsigned int i;

	for (i = 0; i < 3; i++)
		if (!strcmp(text, names[i])) {
			*kind = i;
			return 0;
		}
	return outrigger_fail(o, -EINVAL, "memory is taken as 'any', 'block' or 'contig', not as '%s'", text);
}

int parse_user(struct outrigger *o, const char *text, uid_t *uid)
{
	const struct passwd *pw = getpwnam(text);
	const char *at = text;
	unsigned long n;

	if (!pw && (!number(&at, &n) || *at || n >= UINT32_MAX))
		return outrigger_fail(o, -EINVAL, "there is no user '%s'", text);
	*uid = pw ? pw->pw_uid : (uid_t)n;
	return 0;
}

int parse_group(struct outrigger *o, const char *text, gid_t *gid)
{
	const struct group *gr = getgrnam(text);
	const char *at = text;
	unsigned long n;

	if (!gr && (!number(&at, &n) || *at || n >= UINT32_MAX))
		return outrigger_fail(o, -EINVAL, "there is no group '%s'", text);
	*gid = gr ? gr->gr_gid : (gid_t)n;
	return 0;
}

int parse_mode(struct outrigger *o, const char *text, unsigned int *mode)
{
	char *end;
	unsigned long n = strtoul(text, &end, 8);

	if (!isdigit((unsigned char)*text) || *end || n & ~0770ul)
		return outrigger_fail(o, -EINVAL, "'%s' is not a mode; write for example 750: owner and group, 4 to read the log, 1 to run programs", text);
	*mode = (unsigned int)n;
	return 0;
}

int parse_seconds(struct outrigger *o, const char *text, unsigned int *ms)
{
	char *end;
	double s = strtod(text, &end);

	if (end == text || *end || !isfinite(s) || s <= 0 || s > 86400)
		return outrigger_fail(o, -EINVAL, "'%s' is not a time in seconds, up to a day", text);
	*ms = (unsigned int)(s * 1000);
	if (!*ms)
		*ms = 1;
	return 0;
}

const char *format_bytes(uint64_t bytes, char *to, size_t size_)
{
	static const char suffix[] = "BKMGT";
	double v = (double)bytes;
	int i = 0;

	while (v >= 1024 && i < 4) {
		v /= 1024;
		i++;
	}
	if (i == 0)
		snprintf(to, size_, "%llu", (unsigned long long)bytes);
	else
		snprintf(to, size_, v < 100 && v != (double)(long)v ? "%.1f%c" : "%.0f%c", v, suffix[i]);
	return to;
}
