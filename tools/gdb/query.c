/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/session.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tools/gdb/registers.h"
#include "tools/gdb/signals.h"

/* ---- Threads ---- */

void cmd_thread(struct server *s, const char *at)
{
	char what = *at ? *at++ : 0;
	int64_t pid, tid;

	if ((what != 'g' && what != 'c') || !rsp_thread(&at, &pid, &tid) || *at) {
		reply_error(s, -EINVAL);
		return;
	}
	if (tid > 0 && !target_find(s->t, tid)) {
		reply_error(s, -ESRCH);
		return;
	}
	*(what == 'g' ? &s->general : &s->cont) = tid > 0 ? (uint32_t)tid : 0;
	reply(s, "OK");
}

void cmd_alive(struct server *s, const char *at)
{
	int64_t pid, tid;

	if (!rsp_thread(&at, &pid, &tid) || *at)
		reply_error(s, -EINVAL);
	else
		reply_result(s, target_find(s->t, tid) ? 0 : -ESRCH);
}

static void cmd_list(struct server *s, bool first)
{
	char text[LIST_MOST];
	size_t n = 0, i;

	if (first)
		s->listed = 0;
	for (i = 0; i < s->t->count && n + 40 < sizeof(text); i++) {
		if (s->t->thread[i].s.tid <= s->listed)
			continue;
		text[n] = n ? ',' : 'm';
		put_thread(s, text + n + 1, sizeof(text) - n - 1, s->t->thread[i].s.tid);
		n += strlen(text + n);
		s->listed = s->t->thread[i].s.tid;
	}
	reply(s, n ? text : "l");
}

static void cmd_extra(struct server *s, const char *at)
{
	int64_t pid, tid;
	struct target_thread *h = rsp_thread(&at, &pid, &tid) ? target_find(s->t, tid) : NULL;
	const char *what;
	char hex[64];

	if (!h) {
		reply_error(s, -ESRCH);
		return;
	}
	what = h->s.where == OTR_THREAD_HELD ? "held" : h->s.where == OTR_THREAD_IN_CALL ? "in a call" : "runs";
	rsp_put_hex(hex, what, strlen(what));
	reply(s, hex);
}

/* ---- Queries ---- */

static void cmd_supported(struct server *s, const char *at)
{
	char text[256];

	s->multiprocess = strstr(at, "multiprocess+");
	s->swbreak = strstr(at, "swbreak+");
	s->execs = strstr(at, "exec-events+");
	snprintf(text, sizeof(text), "PacketSize=%x;QStartNoAckMode+;QPassSignals+;vContSupported+;"
		 "qXfer:features:read+;qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:siginfo:read+%s%s%s",
		 RSP_MOST - 1, s->multiprocess ? ";multiprocess+" : "", s->swbreak ? ";swbreak+" : "",
		 s->execs ? ";exec-events+" : "");
	reply(s, text);
}

/* The wanted piece of an object, 'm' if more follows. */
static void reply_piece(struct server *s, const void *object, size_t bytes, uint64_t from, uint64_t most)
{
	char text[RSP_MOST];

	if (from > bytes) {
		reply_error(s, -EINVAL);
		return;
	}
	if (most > DATA_MOST)
		most = DATA_MOST;
	if (most > bytes - from)
		most = bytes - from;
	text[0] = from + most < bytes ? 'm' : 'l';
	memcpy(text + 1, (const char *)object + from, most);
	reply_bytes(s, text, most + 1);
}

static void cmd_xfer(struct server *s, const char *at)
{
	char object[32], annex[64], path[PATH_MAX] = "";
	uint64_t from, most, auxv[128];
	int32_t info[32];
	struct target_thread *h = thread_for(s, s->general);
	int n = 0;

	if (sscanf(at, "%31[a-z0-9-]:read:%n", object, &n) != 1 || !n) {
		reply(s, "");
		return;
	}
	at += n;
	n = (int)strcspn(at, ":");
	if ((size_t)n >= sizeof(annex) || at[n] != ':') {
		reply_error(s, -EINVAL);
		return;
	}
	memcpy(annex, at, (size_t)n);
	annex[n] = 0;
	at += n + 1;
	if (!take_range(&at, &from, &most) || *at || !h) {
		reply_error(s, h ? -EINVAL : -ESRCH);
		return;
	}
	if (!strcmp(object, "features") && !strcmp(annex, "target.xml")) {
		reply_piece(s, registers_xml(&h->s), strlen(registers_xml(&h->s)), from, most);
	} else if (!strcmp(object, "auxv")) {
		reply_piece(s, auxv, target_auxv(s->t, auxv, sizeof(auxv)), from, most);
	} else if (!strcmp(object, "exec-file")) {
		target_exe(s->t, path, sizeof(path));
		reply_piece(s, path, strlen(path), from, most);
	} else if (!strcmp(object, "siginfo") && h->s.signal) {
		memset(info, 0, sizeof(info));
		info[0] = (int32_t)h->s.signal;
		info[1] = h->s.error;
		/* Our own codes are traps of Linux's, too. */
		info[2] = h->s.code == OTR_CODE_BREAK ? 0x80 : h->s.code == OTR_CODE_EXEC ? 0 : h->s.code;
		memcpy(info + 4, h->s.fields, sizeof(h->s.fields));
		reply_piece(s, info, sizeof(info), from, most);
	} else {
		reply_error(s, 0);
	}
}

static void cmd_pass(struct server *s, const char *at)
{
	uint64_t mask = 0, number;
	uint32_t n;

	while (*at) {
		if (!rsp_hex(&at, &number) || (*at && !rsp_char(&at, ';'))) {
			reply_error(s, -EINVAL);
			return;
		}
		n = signal_from_gdb(number);
		if (n)
			mask |= 1ull << (n - 1);
	}
	reply_result(s, target_pass(s->t, mask));
}

bool take_word(const char **at, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*at, word, n))
		return false;
	*at += n;
	return true;
}

void cmd_query(struct server *s, const char *at)
{
	char text[48] = "QC";

	if (take_word(&at, "qSupported"))
		cmd_supported(s, at);
	else if (take_word(&at, "qXfer:"))
		cmd_xfer(s, at);
	else if (!strcmp(at, "qC")) {
		put_thread(s, text + 2, sizeof(text) - 2, s->last);
		reply(s, text);
	} else if (!strcmp(at, "qfThreadInfo") || !strcmp(at, "qsThreadInfo"))
		cmd_list(s, at[1] == 'f');
	else if (take_word(&at, "qThreadExtraInfo,"))
		cmd_extra(s, at);
	else if (take_word(&at, "qAttached"))
		reply(s, s->started ? "0" : "1");
	else if (!strcmp(at, "QStartNoAckMode")) {
		reply(s, "OK");
		s->no_ack = true;
	} else if (take_word(&at, "QPassSignals:"))
		cmd_pass(s, at);
	else
		reply(s, "");
}
