/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/session.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tools/gdb/registers.h"
#include "tools/gdb/signals.h"

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

void server_ended(struct server *s, uint32_t status)
{
	s->exited = true;
	s->running = false;
	s->status = status;
	put_exit(s);
}

void server_stopped(struct server *s, uint32_t by)
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
		server_ended(s, status);
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

void tell_stop(struct server *s)
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
		server_stopped(s, GDB_SIGTRAP);
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

struct target_thread *thread_for(struct server *s, uint32_t wanted)
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
	h = thread_for(s, s->cont);
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

void cmd_vcont(struct server *s, const char *at)
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

void cmd_old(struct server *s, const char *at)
{
	bool others = false;

	unplan(s);
	if (!plan_action(s, &at, &others) || *at)
		reply_error(s, -EINVAL);
	else
		go(s, others);
}
