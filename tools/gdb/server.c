/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/server.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/gdb/registers.h"
#include "tools/gdb/rsp.h"
#include "tools/gdb/signals.h"

#define DATA_MOST (RSP_MOST / 2 - 64)   /* bytes of memory in a packet */
#define LIST_MOST (RSP_MOST - 64)
#define GDB_SIGINT 2u
#define GDB_SIGTRAP 5u
#define START_LOOKS 1000
#define START_LOOK_US 10000

struct server {
	struct target *t;
	int in, out;
	bool started;           /* not attached */
	bool no_ack;
	bool multiprocess;      /* gdb wants pPID.TID */
	bool swbreak, execs;    /* gdb understands these reasons */
	bool running;
	bool over;              /* the connection has done its work */
	bool broken;
	uint32_t general, cont; /* tids of Hg and Hc; 0: any */
	uint32_t last;          /* tid of the last stop */
	uint32_t stepped;       /* tid that gdb wanted to step */
	uint32_t listed;        /* tid up to which qfThreadInfo went */
	bool exited;
	uint32_t status;
	char stop[PATH_MAX * 2 + 128];  /* the last stop, for `?` */
	char frame[RSP_MOST];   /* the last packet sent */
	size_t frame_bytes;
	struct rsp rsp;
};

/* ---- Sending ---- */

static void send_all(struct server *s, const char *data, size_t bytes)
{
	while (bytes && !s->broken) {
		ssize_t n = write(s->out, data, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			s->broken = true;
			return;
		}
		data += n;
		bytes -= (size_t)n;
	}
}

static void reply_bytes(struct server *s, const void *data, size_t bytes)
{
	s->frame_bytes = rsp_frame(data, bytes, s->frame);
	if (!s->frame_bytes)
		s->frame_bytes = rsp_frame("E07", 3, s->frame);         /* too long: E2BIG */
	send_all(s, s->frame, s->frame_bytes);
}

static void reply(struct server *s, const char *text)
{
	reply_bytes(s, text, strlen(text));
}

static void reply_error(struct server *s, int err)
{
	char text[8];

	snprintf(text, sizeof(text), "E%02x", err < 0 && err > -256 ? -err : EIO);
	reply(s, text);
}

static void reply_result(struct server *s, int err)
{
	if (err)
		reply_error(s, err);
	else
		reply(s, "OK");
}

static void put_thread(const struct server *s, char *to, size_t bytes, uint32_t tid)
{
	if (s->multiprocess)
		snprintf(to, bytes, "p%x.%x", s->t->pid, tid);
	else
		snprintf(to, bytes, "%x", tid);
}

/* ---- Stops ---- */

static void put_exit(struct server *s)
{
	int status = (int)s->status;
	char process[32] = "";

	if (s->multiprocess)
		snprintf(process, sizeof(process), ";process:%x", s->t->pid);
	if (WIFSIGNALED(status))
		snprintf(s->stop, sizeof(s->stop), "X%02x%s", signal_to_gdb((uint32_t)WTERMSIG(status)), process);
	else
		snprintf(s->stop, sizeof(s->stop), "W%02x%s", WEXITSTATUS(status), process);
}

static void put_register(const struct otr_thread_state *t, unsigned int n, char *to, size_t room)
{
	uint8_t value[REGISTER_BYTES_MOST];
	char hex[2 * REGISTER_BYTES_MOST + 1];

	rsp_put_hex(hex, value, register_get(t, n, value));
	snprintf(to, room, "%02x:%s;", n, hex);
}

static void put_stop(struct server *s, const struct target_thread *h, uint32_t signal)
{
	char thread[40], path[PATH_MAX], hex[PATH_MAX * 2 + 1], reason[PATH_MAX * 2 + 16] = "", regs[3][48];

	put_thread(s, thread, sizeof(thread), h->s.tid);
	if (h->s.signal == SIGTRAP && h->s.code == OTR_CODE_BREAK && s->swbreak)
		strcpy(reason, "swbreak:;");
	if (h->s.signal == SIGTRAP && h->s.code == OTR_CODE_EXEC)
		s->t->break_count = 0;  /* they went with the memory */
	if (h->s.signal == SIGTRAP && h->s.code == OTR_CODE_EXEC && s->execs &&
	    target_exe(s->t, path, sizeof(path))) {
		rsp_put_hex(hex, path, strlen(path));
		snprintf(reason, sizeof(reason), "exec:%s;", hex);
	}
	put_register(&h->s, REGISTER_RBP, regs[0], sizeof(regs[0]));
	put_register(&h->s, REGISTER_RSP, regs[1], sizeof(regs[1]));
	put_register(&h->s, REGISTER_RIP, regs[2], sizeof(regs[2]));
	snprintf(s->stop, sizeof(s->stop), "T%02x%sthread:%s;%s%s%s", signal, reason, thread, regs[0], regs[1],
		 regs[2]);
	s->general = s->last = h->s.tid;
	s->cont = 0;
}

/* The stop to tell of: the thread that was to step, else one after another. */
static struct target_thread *choose(struct server *s)
{
	struct target_thread *found = NULL, *h;
	size_t i;

	for (i = 0; i < s->t->count; i++) {
		h = &s->t->thread[i];
		if (!h->s.signal || h->reported)
			continue;
		if (h->s.tid == s->stepped)
			return h;
		if (!found || (found->s.tid <= s->last && h->s.tid > s->last))
			found = h;
	}
	return found;
}

static void ended(struct server *s, uint32_t status)
{
	s->exited = true;
	s->running = false;
	s->status = status;
	put_exit(s);
}

/* Holds the program and says why; by: gdb's signal where it only was to stop. */
static void stopped(struct server *s, uint32_t by)
{
	struct target_thread *h = NULL;
	uint32_t status;
	int ret = target_stop(s->t);

	if (ret || !s->t->count) {
		/* A program that is being ended has no threads to show. */
		struct pollfd f = { .fd = s->t->o.fd, .events = POLLIN };

		while (target_event(s->t, &status) != 2)
			if (poll(&f, 1, 10000) <= 0) {
				status = SIGKILL;
				break;
			}
		ended(s, status);
		return;
	}
	s->running = false;
	/* What has stopped by now is seen: no event of it is still to come. */
	target_event(s->t, &status);
	h = choose(s);
	if (h) {
		h->reported = true;
		put_stop(s, h, h->s.signal == SIGTRAP ? GDB_SIGTRAP : signal_to_gdb(h->s.signal));
		return;
	}
	h = target_find(s->t, s->last);
	put_stop(s, h ? h : &s->t->thread[0], by);
}

static void tell_stop(struct server *s)
{
	reply(s, s->stop);
	s->over |= s->exited;
}

/* ---- Going on ---- */

/* Signals that gdb does not know of yet come first; what were only traps will come
 * again, or not, by themselves. */
static bool tell_pending(struct server *s)
{
	struct target_thread *h;
	size_t i;

	for (i = 0; i < s->t->count; i++) {
		h = &s->t->thread[i];
		if (h->s.signal && !h->reported && h->planned && h->how != OTR_RESUME_HOLD &&
		    (h->s.signal != SIGTRAP || h->s.code == OTR_CODE_EXEC)) {
			h->reported = true;
			put_stop(s, h, signal_to_gdb(h->s.signal));
			tell_stop(s);
			return true;
		}
	}
	return false;
}

static void go(struct server *s, bool others)
{
	int ret;

	if (tell_pending(s))
		return;
	s->running = true;
	ret = target_resume(s->t, others);
	if (ret < 0 && ret != -ESRCH) {
		s->running = false;
		reply_error(s, ret);
	} else if (ret) {
		stopped(s, GDB_SIGTRAP);
		tell_stop(s);
	}
}

static void plan(struct target_thread *h, uint32_t how, uint32_t signal)
{
	if (h->planned)
		return;
	h->planned = true;
	h->how = how;
	/* A trap of ours is no signal of the program's. */
	h->signal = signal;
}

static void unplan(struct server *s)
{
	size_t i;

	for (i = 0; i < s->t->count; i++)
		s->t->thread[i].planned = false;
	s->stepped = 0;
}

/* The thread that a step without a name is for. */
static struct target_thread *current(struct server *s, uint32_t wanted)
{
	struct target_thread *h = target_find(s->t, wanted ? wanted : s->last);

	return h ? h : s->t->count ? &s->t->thread[0] : NULL;
}

/* One of "c", "C05", "s", "S05", "t", with ":THREAD". False: it is something else. */
static bool plan_action(struct server *s, const char **at, bool *others)
{
	char action = **at;
	int64_t pid = 0, tid = -1;
	uint64_t number = 0;
	uint32_t signal, how;
	struct target_thread *h;
	size_t i;

	if (!action || !strchr("cCsSt", action))
		return false;
	(*at)++;
	if ((action == 'C' || action == 'S') && !rsp_hex(at, &number))
		return false;
	if (rsp_char(at, ':') && !rsp_thread(at, &pid, &tid))
		return false;
	signal = signal_from_gdb(number);
	how = action == 't' ? OTR_RESUME_HOLD : action == 's' || action == 'S' ? OTR_RESUME_STEP : OTR_RESUME_GO;
	if (tid > 0) {
		h = target_find(s->t, tid);
		if (!h)
			return true;
		plan(h, how, signal);
		if (how == OTR_RESUME_STEP && !s->stepped)
			s->stepped = h->s.tid;
		return true;
	}
	/* To all that have nothing yet; a signal is for one of them. */
	h = current(s, s->cont);
	if (h && (how == OTR_RESUME_STEP || signal)) {
		plan(h, how, signal);
		if (how == OTR_RESUME_STEP)
			s->stepped = h->s.tid;
		how = OTR_RESUME_GO;
	}
	for (i = 0; i < s->t->count; i++)
		plan(&s->t->thread[i], how, 0);
	*others |= how == OTR_RESUME_GO;
	return true;
}

static void cmd_vcont(struct server *s, const char *at)
{
	bool others = false;

	unplan(s);
	while (rsp_char(&at, ';'))
		if (!plan_action(s, &at, &others)) {
			reply_error(s, -EINVAL);
			return;
		}
	if (*at) {
		reply_error(s, -EINVAL);
		return;
	}
	go(s, others);
}

/* c, s, C, S of old, for the thread of Hc. An address to go on at is not taken. */
static void cmd_old(struct server *s, const char *at)
{
	bool others = false;

	unplan(s);
	if (!plan_action(s, &at, &others) || *at)
		reply_error(s, -EINVAL);
	else
		go(s, others);
}

/* ---- Registers and memory ---- */

static void cmd_get_all(struct server *s)
{
	struct target_thread *h = current(s, s->general);
	uint8_t value[REGISTERS_BYTES_MOST];
	char hex[2 * REGISTERS_BYTES_MOST + 1];
	size_t n = 0;
	unsigned int i;

	if (!h) {
		reply_error(s, -ESRCH);
		return;
	}
	for (i = 0; i < registers_count(&h->s); i++)
		n += register_get(&h->s, i, value + n);
	rsp_put_hex(hex, value, n);
	reply(s, hex);
}

static void changed(struct target_thread *h, unsigned int n)
{
	h->changed_regs |= register_part(n) == OTR_SET_REGS;
	h->changed_fpu |= register_part(n) == OTR_SET_FPU;
}

/* What waits in a call cannot be told so now: its registers would be lost. */
static bool may_set(struct server *s, const struct target_thread *h)
{
	if (h && h->s.where == OTR_THREAD_HELD)
		return true;
	reply_error(s, h ? -EBUSY : -ESRCH);
	return false;
}

static void cmd_set_all(struct server *s, const char *at)
{
	struct target_thread *h = current(s, s->general);
	uint8_t value[REGISTER_BYTES_MOST];
	struct otr_thread_state new;
	unsigned int i;

	if (!may_set(s, h))
		return;
	new = h->s;
	for (i = 0; i < registers_count(&new); i++)
		if (!rsp_bytes(&at, value, register_get(&new, i, value)) || !register_set(&new, i, value)) {
			reply_error(s, -EINVAL);
			return;
		}
	if (*at) {
		reply_error(s, -EINVAL);
		return;
	}
	h->s = new;
	h->changed_regs = h->changed_fpu = true;
	reply(s, "OK");
}

static void cmd_get(struct server *s, const char *at)
{
	struct target_thread *h = current(s, s->general);
	uint8_t value[REGISTER_BYTES_MOST];
	char hex[2 * REGISTER_BYTES_MOST + 1];
	uint64_t n;

	if (!h || !rsp_hex(&at, &n) || *at || n >= registers_count(&h->s)) {
		reply_error(s, -EINVAL);
		return;
	}
	rsp_put_hex(hex, value, register_get(&h->s, (unsigned int)n, value));
	reply(s, hex);
}

static void cmd_set(struct server *s, const char *at)
{
	struct target_thread *h = current(s, s->general);
	uint8_t value[REGISTER_BYTES_MOST];
	uint64_t n;

	if (!may_set(s, h))
		return;
	if (!rsp_hex(&at, &n) || n >= registers_count(&h->s) || !rsp_char(&at, '=') ||
	    !rsp_bytes(&at, value, register_get(&h->s, (unsigned int)n, value)) || *at) {
		reply_error(s, -EINVAL);
		return;
	}
	register_set(&h->s, (unsigned int)n, value);
	changed(h, (unsigned int)n);
	reply(s, "OK");
}

static bool range(const char **at, uint64_t *addr, uint64_t *bytes)
{
	return rsp_hex(at, addr) && rsp_char(at, ',') && rsp_hex(at, bytes);
}

static void cmd_read(struct server *s, const char *at)
{
	uint64_t addr, bytes;
	uint8_t data[DATA_MOST];
	char hex[2 * DATA_MOST + 1];
	size_t n;

	if (!range(&at, &addr, &bytes) || *at) {
		reply_error(s, -EINVAL);
		return;
	}
	n = target_read(s->t, addr, data, bytes < sizeof(data) ? bytes : sizeof(data));
	if (!n && bytes) {
		reply_error(s, -EFAULT);
		return;
	}
	rsp_put_hex(hex, data, n);
	reply(s, hex);
}

/* M: as digits, X: as bytes. */
static void cmd_write(struct server *s, const char *at, bool binary)
{
	const char *end = s->rsp.packet + s->rsp.packet_bytes;
	uint64_t addr, bytes;
	uint8_t data[DATA_MOST];

	if (!range(&at, &addr, &bytes) || !rsp_char(&at, ':') || bytes > (binary ? RSP_MOST : sizeof(data)) ||
	    (binary ? (uint64_t)(end - at) != bytes : !rsp_bytes(&at, data, bytes) || *at)) {
		reply_error(s, -EINVAL);
		return;
	}
	reply_result(s, target_write(s->t, addr, binary ? (const void *)at : data, bytes) == bytes ? 0 : -EFAULT);
}

/* Z0,ADDR,KIND: conditions and commands are gdb's to do. */
static void cmd_break(struct server *s, const char *at, bool insert)
{
	uint64_t type, addr, kind;

	if (!rsp_hex(&at, &type) || !rsp_char(&at, ',') || !range(&at, &addr, &kind)) {
		reply_error(s, -EINVAL);
		return;
	}
	if (type)
		reply(s, "");   /* hardware's: gdb does without */
	else
		reply_result(s, insert ? target_break(s->t, addr) : target_unbreak(s->t, addr));
}

/* ---- Threads ---- */

static void cmd_thread(struct server *s, const char *at)
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

static void cmd_alive(struct server *s, const char *at)
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
	struct target_thread *h = current(s, s->general);
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
	if (!range(&at, &from, &most) || *at || !h) {
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

static bool after(const char **at, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*at, word, n))
		return false;
	*at += n;
	return true;
}

static void cmd_query(struct server *s, const char *at)
{
	char text[48] = "QC";

	if (after(&at, "qSupported"))
		cmd_supported(s, at);
	else if (after(&at, "qXfer:"))
		cmd_xfer(s, at);
	else if (!strcmp(at, "qC")) {
		put_thread(s, text + 2, sizeof(text) - 2, s->last);
		reply(s, text);
	} else if (!strcmp(at, "qfThreadInfo") || !strcmp(at, "qsThreadInfo"))
		cmd_list(s, at[1] == 'f');
	else if (after(&at, "qThreadExtraInfo,"))
		cmd_extra(s, at);
	else if (after(&at, "qAttached"))
		reply(s, s->started ? "0" : "1");
	else if (!strcmp(at, "QStartNoAckMode")) {
		reply(s, "OK");
		s->no_ack = true;
	} else if (after(&at, "QPassSignals:"))
		cmd_pass(s, at);
	else
		reply(s, "");
}

/* ---- Ends ---- */

static void kill_program(struct server *s)
{
	struct pollfd f = { .fd = s->t->o.fd, .events = POLLIN };
	uint32_t status = SIGKILL;
	int ret = target_kill(s->t);

	while (!ret && target_event(s->t, &status) != 2 && poll(&f, 1, 10000) > 0)
		;
	s->over = true;
}

static void cmd_v(struct server *s, const char *at)
{
	if (!strcmp(at, "vCont?"))
		reply(s, "vCont;c;C;s;S;t");
	else if (after(&at, "vCont"))
		cmd_vcont(s, at);
	else if (after(&at, "vKill")) {
		kill_program(s);
		reply(s, "OK");
	} else
		reply(s, "");   /* vMustReplyEmpty, too */
}

static void command(struct server *s)
{
	const char *at = s->rsp.packet;

	switch (*at) {
	case '?': tell_stop(s); break;
	case 'g': cmd_get_all(s); break;
	case 'G': cmd_set_all(s, at + 1); break;
	case 'p': cmd_get(s, at + 1); break;
	case 'P': cmd_set(s, at + 1); break;
	case 'm': cmd_read(s, at + 1); break;
	case 'M': cmd_write(s, at + 1, false); break;
	case 'X': cmd_write(s, at + 1, true); break;
	case 'Z': cmd_break(s, at + 1, true); break;
	case 'z': cmd_break(s, at + 1, false); break;
	case 'H': cmd_thread(s, at + 1); break;
	case 'T': cmd_alive(s, at + 1); break;
	case 'c': case 'C': case 's': case 'S': cmd_old(s, at); break;
	case 'q': case 'Q': cmd_query(s, at); break;
	case 'v': cmd_v(s, at); break;
	case 'D':
		target_detach(s->t);
		s->over = true;
		reply(s, "OK");
		break;
	case 'k':
		kill_program(s);
		break;
	default: reply(s, "");
	}
}

/* ---- The loop ---- */

/* While it runs, only an interrupt is listened to; gdb sends nothing else. */
static void take(struct server *s)
{
	enum rsp_event e;

	while (!s->over && !s->broken && (e = rsp_next(&s->rsp)) != RSP_NOTHING) {
		if (e == RSP_INTERRUPT && s->running) {
			stopped(s, GDB_SIGINT);
			tell_stop(s);
		} else if (e == RSP_AGAIN && !s->no_ack) {
			send_all(s, s->frame, s->frame_bytes);
		} else if (e == RSP_PACKET || e == RSP_BROKEN) {
			if (!s->no_ack)
				send_all(s, e == RSP_PACKET ? "+" : "-", 1);
			if (e == RSP_PACKET && !s->running)
				command(s);
		}
	}
}

static void wait_for_more(struct server *s)
{
	struct pollfd f[2] = {
		{ .fd = s->in, .events = POLLIN }, { .fd = s->running ? s->t->o.fd : -1, .events = POLLIN },
	};
	uint32_t status = 0;
	size_t room;
	ssize_t n;
	char *to;

	if (poll(f, 2, -1) < 0)
		return;
	if (f[0].revents) {
		to = rsp_room(&s->rsp, &room);
		n = read(s->in, to, room);
		if (n > 0)
			rsp_came(&s->rsp, (size_t)n);
		else if (!n || errno != EINTR)
			s->broken = true;
		return;
	}
	if (!f[1].revents)
		return;
	switch (target_event(s->t, &status)) {
	case 1:
		stopped(s, GDB_SIGTRAP);
		tell_stop(s);
		break;
	case 2:
		ended(s, status);
		tell_stop(s);
		break;
	default:
		break;
	}
}

/* One that is being started comes to its first instruction, or to an end. */
static void wait_for_start(struct target *t)
{
	int i;

	for (i = 0; i < START_LOOKS && !target_stop(t) && (!t->count || t->thread[0].s.where != OTR_THREAD_HELD); i++)
		usleep(START_LOOK_US);
}

int gdb_serve(struct target *t, int in, int out, bool started)
{
	struct server *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return 1;
	*s = (struct server){ .t = t, .in = in, .out = out, .started = started };
	signal(SIGPIPE, SIG_IGN);
	if (started)
		wait_for_start(t);
	stopped(s, started ? GDB_SIGTRAP : 0);
	while (!s->over && !s->broken) {
		take(s);
		if (!s->over && !s->broken)
			wait_for_more(s);
	}
	/* As gdbserver: who started it ends it. */
	if (s->broken && started && !s->exited)
		target_kill(t);
	target_detach(t);
	ret = s->broken;
	free(s);
	return ret;
}
