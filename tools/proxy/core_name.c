/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/core_name.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define PIPED "core.%p"

/* What a program calls itself must not lead elsewhere: as Linux's cn_esc_corename(). */
static void escape(char *s)
{
	if (!*s)
		s[1] = 0;
	if (!*s || !strcmp(s, ".") || !strcmp(s, ".."))
		*s = '!';
	for (; *s; s++)
		if (*s == '/')
			*s = '!';
}

static void expand(char letter, const struct core_facts *f, char *to, size_t bytes)
{
	const char *slash = strrchr(f->exe, '/');

	switch (letter) {
	case '%': snprintf(to, bytes, "%%"); break;
	case 'p': case 'P': snprintf(to, bytes, "%d", f->pid); break;
	case 'i': case 'I': snprintf(to, bytes, "%d", f->tid); break;
	case 'u': snprintf(to, bytes, "%u", f->uid); break;
	case 'g': snprintf(to, bytes, "%u", f->gid); break;
	case 'd': snprintf(to, bytes, "1"); break;      /* others leave no core file */
	case 's': snprintf(to, bytes, "%d", f->signal); break;
	case 't': snprintf(to, bytes, "%" PRId64, f->time); break;
	case 'c': snprintf(to, bytes, "%" PRIu64, f->limit); break;
	case 'C': snprintf(to, bytes, "%u", f->cpu); break;
	case 'h': snprintf(to, bytes, "%s", f->host); break;
	case 'e': snprintf(to, bytes, "%s", f->comm); break;
	case 'f': snprintf(to, bytes, "%s", slash ? slash + 1 : f->exe); break;
	case 'E': snprintf(to, bytes, "%s", f->exe); break;
	default: *to = 0;       /* Linux drops what it does not know */
	}
	if (letter && strchr("hefE", letter))
		escape(to);
}

int core_name(const char *pattern, const struct core_facts *f, char *to, size_t bytes)
{
	bool pid = false;
	char piece[256];
	size_t used = 0, n;

	if (*pattern == '|')
		pattern = PIPED;
	for (; *pattern; pattern++) {
		if (*pattern == '%') {
			if (!*++pattern)
				break;
			pid |= *pattern == 'p';
			expand(*pattern, f, piece, sizeof(piece));
		} else {
			piece[0] = *pattern;
			piece[1] = 0;
		}
		n = strlen(piece);
		if (used + n >= bytes)
			return -ENAMETOOLONG;
		memcpy(to + used, piece, n);
		used += n;
	}
	to[used] = 0;
	if (!pid && f->uses_pid) {
		n = (size_t)snprintf(piece, sizeof(piece), ".%d", f->pid);
		if (used + n >= bytes)
			return -ENAMETOOLONG;
		memcpy(to + used, piece, n + 1);
	}
	return 0;
}
