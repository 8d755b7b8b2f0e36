/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/server.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/gdb/rsp.h"
#include "tools/gdb/session.h"

#define START_LOOKS 1000
#define START_LOOK_US 10000

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
	else if (take_word(&at, "vCont"))
		cmd_vcont(s, at);
	else if (take_word(&at, "vKill")) {
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
			server_stopped(s, GDB_SIGINT);
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
		server_stopped(s, GDB_SIGTRAP);
		tell_stop(s);
		break;
	case 2:
		server_ended(s, status);
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
	server_stopped(s, started ? GDB_SIGTRAP : 0);
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
