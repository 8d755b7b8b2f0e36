/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/target.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "abi/ioctl.h"
#include "tools/gdb/registers.h"

#define SETTLE_STEP_NS 500000l
#define SETTLE_STEPS 6000
#define STACK_WORDS (1u << 20)  /* of arguments and environment */

static long request(struct target *t, uint32_t op, uint64_t arg0, uint64_t arg1, void *data, uint64_t *out)
{
	struct otr_ioc_debug d = {
		.req.size = sizeof(d), .op = op, .arg = { arg0, arg1 }, .data = (uintptr_t)data,
	};

	if (ioctl(t->o.fd, OTR_IOC_DEBUG, &d) < 0)
		return -errno;
	if (out)
		*out = d.arg[0];
	return (long)d.result;
}

int target_attach(struct target *t, const char *partition, uint32_t pid)
{
	struct otr_ioc_debug_attach a = {
		.req = { sizeof(a), sizeof(t->o.error), (uintptr_t)t->o.error }, .pid = pid,
	};
	int ret;

	memset(t, 0, sizeof(*t));
	t->o.fd = -1;
	t->pid = pid;
	if (strlen(partition) >= sizeof(a.name))
		return outrigger_fail(&t->o, -ENAMETOOLONG, "there is no partition %s", partition);
	strcpy(a.name, partition);
	ret = outrigger_open_run(&t->o);
	if (ret)
		return ret;
	fcntl(t->o.fd, F_SETFD, FD_CLOEXEC);
	t->o.error[0] = 0;
	if (ioctl(t->o.fd, OTR_IOC_DEBUG_ATTACH, &a) < 0) {
		ret = t->o.error[0] ? -errno : outrigger_fail(&t->o, -errno, "process %u: %s", pid, strerror(errno));
		outrigger_close(&t->o);
	}
	return ret;
}

void target_detach(struct target *t)
{
	if (t->o.fd >= 0) {
		target_stop(t);
		outrigger_close(&t->o);
	}
	t->o.fd = -1;
	free(t->thread);
	t->thread = NULL;
	t->count = 0;
}

/* ---- Threads ---- */

static int look(struct target *t)
{
	uint64_t tid = 0;
	size_t room = 0;
	long ret;

	free(t->thread);
	t->thread = NULL;
	t->count = 0;
	for (;;) {
		if (t->count == room) {
			struct target_thread *bigger = realloc(t->thread, (room * 2 + 8) * sizeof(*bigger));

			if (!bigger)
				return -ENOMEM;
			t->thread = bigger;
			room = room * 2 + 8;
		}
		memset(&t->thread[t->count], 0, sizeof(*t->thread));
		ret = request(t, OTR_DEBUG_THREAD, tid, 0, &t->thread[t->count].s, NULL);
		if (ret <= 0)
			return (int)ret;
		tid = (uint64_t)ret;
		registers_complete(&t->thread[t->count++].s);
	}
}

int target_stop(struct target *t)
{
	struct timespec step = { .tv_nsec = SETTLE_STEP_NS };
	long ret = 0;
	int i;

	for (i = 0; i < SETTLE_STEPS && !ret; i++) {
		if (i)
			nanosleep(&step, NULL);
		ret = request(t, OTR_DEBUG_HOLD, 0, 0, NULL, NULL);
	}
	if (ret < 0)
		return (int)ret;
	return look(t);
}

struct target_thread *target_find(struct target *t, int64_t tid)
{
	size_t i;

	for (i = 0; i < t->count; i++)
		if (t->thread[i].s.tid == tid)
			return &t->thread[i];
	return NULL;
}

static int put_registers(struct target *t)
{
	size_t i;
	long ret;

	for (i = 0; i < t->count; i++) {
		struct target_thread *h = &t->thread[i];
		uint32_t what = (h->changed_regs ? OTR_SET_REGS : 0) | (h->changed_fpu ? OTR_SET_FPU : 0);

		if (!what)
			continue;
		ret = request(t, OTR_DEBUG_SET, h->s.tid, what, &h->s, NULL);
		if (ret < 0 && ret != -ESRCH)
			return (int)ret;
	}
	return 0;
}

int target_resume(struct target *t, bool others)
{
	struct otr_debug_resume *q = calloc(1, sizeof(*q));
	long ret = q ? put_registers(t) : -ENOMEM;
	size_t i;

	for (i = 0; i < t->count && !ret; i++) {
		struct target_thread *h = &t->thread[i];

		/* One that a signal stopped must be named to go on. */
		if (!h->planned && !(others && h->s.signal))
			continue;
		if (q->count == OTR_RESUME_THREADS) {
			ret = -E2BIG;
			break;
		}
		q->thread[q->count].tid = h->s.tid;
		q->thread[q->count].how = h->planned ? h->how : OTR_RESUME_GO;
		q->thread[q->count++].signal = h->planned ? h->signal : 0;
	}
	if (!ret) {
		q->others = others ? OTR_RESUME_GO : OTR_RESUME_HOLD;
		ret = request(t, OTR_DEBUG_RESUME, 0, 0, q, NULL);
	}
	free(q);
	return (int)ret;
}

int target_event(struct target *t, uint32_t *status)
{
	uint64_t how = 0;
	long ret = request(t, OTR_DEBUG_EVENT, 0, 0, NULL, &how);

	*status = (uint32_t)how;
	return ret < 0 ? 0 : (int)ret;
}

int target_kill(struct target *t)
{
	return (int)request(t, OTR_DEBUG_KILL, 0, 0, NULL, NULL);
}

int target_pass(struct target *t, uint64_t signals)
{
	return (int)request(t, OTR_DEBUG_PASS, signals, 0, NULL, NULL);
}

/* ---- Memory ---- */

static size_t move(struct target *t, bool write, uint64_t at, void *here, size_t bytes)
{
	size_t done = 0;

	/* Page by page: what is there of a range counts. */
	while (done < bytes) {
		size_t n = OTR_PAGE_SIZE - (at + done) % OTR_PAGE_SIZE;
		struct iovec local, remote;
		ssize_t got;

		if (n > bytes - done)
			n = bytes - done;
		local = (struct iovec){ (char *)here + done, n };
		remote = (struct iovec){ (void *)(at + done), n };
		got = write ? process_vm_writev((pid_t)t->pid, &local, 1, &remote, 1, 0)
			    : process_vm_readv((pid_t)t->pid, &local, 1, &remote, 1, 0);
		if (got > 0)
			done += (size_t)got;
		if (got != (ssize_t)n)
			break;
	}
	return done;
}

size_t target_read(struct target *t, uint64_t at, void *to, size_t bytes)
{
	size_t n = move(t, false, at, to, bytes), i;

	for (i = 0; i < t->break_count; i++)
		if (t->brk[i].at >= at && t->brk[i].at - at < n)
			((uint8_t *)to)[t->brk[i].at - at] = t->brk[i].was;
	return n;
}

size_t target_write(struct target *t, uint64_t at, const void *from, size_t bytes)
{
	uint64_t lifted[OTR_DEBUG_BREAKS];
	size_t n, i, count = 0;

	for (i = t->break_count; i--;)
		if (t->brk[i].at >= at && t->brk[i].at - at < bytes) {
			lifted[count++] = t->brk[i].at;
			target_unbreak(t, t->brk[i].at);
		}
	n = move(t, true, at, (void *)(uintptr_t)from, bytes);
	while (count--)
		target_break(t, lifted[count]);
	return n;
}

int target_break(struct target *t, uint64_t at)
{
	uint8_t byte;
	long ret;
	int i;

	for (i = 0; i < 4; i++) {
		ret = request(t, OTR_DEBUG_BREAK, at, 0, NULL, NULL);
		if (ret != -EAGAIN || !move(t, false, at, &byte, 1))
			break;
	}
	if (ret == -EEXIST)
		return 0;
	if (ret < 0)
		return (int)ret;
	t->brk[t->break_count].at = at;
	t->brk[t->break_count++].was = (uint8_t)ret;
	return 0;
}

int target_unbreak(struct target *t, uint64_t at)
{
	long ret = request(t, OTR_DEBUG_UNBREAK, at, 0, NULL, NULL);
	size_t i;

	for (i = 0; i < t->break_count; i++)
		if (t->brk[i].at == at) {
			t->brk[i] = t->brk[--t->break_count];
			break;
		}
	return ret == -ENOENT ? 0 : (int)ret;
}

/* ---- What the program was started with ---- */

/* Behind arguments and environment, where its stack began. */
static uint64_t auxv_at(struct target *t)
{
	uint64_t word, at = t->count ? t->thread[0].s.sp_start + 8 : 0;
	int ends = 0, i;

	for (i = 0; at && i < (int)STACK_WORDS && ends < 2; i++, at += 8) {
		if (move(t, false, at, &word, 8) != 8)
			return 0;
		ends += !word;
	}
	return ends == 2 ? at : 0;
}

size_t target_auxv(struct target *t, void *to, size_t bytes)
{
	uint64_t at = auxv_at(t), *word = to;
	size_t n = 0;

	while (at && n + 16 <= bytes && move(t, false, at + n, (char *)to + n, 16) == 16) {
		n += 16;
		if (!word[n / 8 - 2])
			break;
	}
	return n;
}

bool target_exe(struct target *t, char *to, size_t bytes)
{
	uint64_t auxv[128], name = 0;
	size_t words = target_auxv(t, auxv, sizeof(auxv)) / 8, i, n;
	char path[PATH_MAX], full[PATH_MAX + 64], magic[SELFMAG] = "", *real;
	int fd;

	for (i = 0; i + 1 < words; i += 2)
		if (auxv[i] == AT_EXECFN)
			name = auxv[i + 1];
	n = name ? target_read(t, name, path, sizeof(path) - 1) : 0;
	path[n] = 0;
	if (!*path)
		return false;
	if (*path == '/')
		snprintf(full, sizeof(full), "%s", path);
	else
		snprintf(full, sizeof(full), "/proc/%u/cwd/%s", t->pid, path);
	real = realpath(full, NULL);
	fd = real ? open(real, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0 && read(fd, magic, SELFMAG) != SELFMAG)
		magic[0] = 0;
	if (fd >= 0)
		close(fd);
	if (real && strlen(real) < bytes)
		strcpy(to, real);
	else
		magic[0] = 0;
	free(real);
	return !memcmp(magic, ELFMAG, SELFMAG);
}
