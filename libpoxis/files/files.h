/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptors that are served here. Numbers and the table are Linux's: each local
 * object has a Linux object behind its number, so that dup, close, exec and all
 * that only handles descriptors stays right by itself. Beside it a process has
 * this table, from numbers to ends of local objects (local.h); what only Linux can do
 * with one makes it Linux's for good, for everybody who has it (remote.c).
 */
#ifndef LIBPOXIS_FILES_FILES_H
#define LIBPOXIS_FILES_FILES_H

#include "cokernel/arch/x86_64/regs.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/spinlock.h"
#include "cokernel/lib/types.h"
#include "cokernel/sched/mutex.h"

struct local;
struct local_end;
struct process;
struct sys_row;
struct thread;

struct file_entry {
	struct local_end *end;      /* with a reference; NULL: Linux's alone */
	bool cloexec;
	bool changing;              /* Linux is asked: wait for the mutex and look again */
};

struct file_table {
	struct file_entry *entry;   /* by number; NULL: nothing was ever local */
	uint32_t size;              /* entries */
	uint32_t count;             /* that have an end */
	bool estranged;             /* may lack its parent's rights: nothing is local here */
};

/* In a process; all zeroes is an empty one. */
struct files {
	struct mutex mutex;         /* whoever changes numbers, in Linux and here; and fork */
	struct spinlock lock;       /* of the table, a leaf */
	struct file_table table;
	uint32_t changes;           /* of what a number is, as they begin and when they are made; lock */
};

/* What a call uses. */
struct files_use {
	struct local_end *end;
	bool counted;               /* with a reference: others could close it */
};

/* ---- table.c ---- */

/* Something may be local. */
static inline bool files_any(const struct files *f)
{
	return load_relaxed(&f->table.count);
}

/* What the current process has under this number and is still local, or on its way to
 * Linux; false: nothing, Linux knows. */
bool files_get(struct files *f, uint64_t fd, struct files_use *use);
void files_put(const struct files_use *use);
/* The end still has this number. */
bool files_is(struct files *f, uint64_t fd, const struct local_end *end);

/* What the number is in this process, whosever it is: an object with a reference, NULL if it is
 * Linux's; and files.changes. False: it is just being changed. */
bool files_look(struct files *f, uint64_t fd, struct local **object, uint32_t *changes);

/* The mutex is held for these. An end that goes in brings its reference along, one
 * that comes out too. */
int files_room(struct files *f, uint32_t fd);       /* -ENOMEM, -EINVAL: too high */
struct local_end *files_set(struct files *f, uint32_t fd, struct local_end *end, bool cloexec);
struct local_end *files_clear(struct files *f, uint32_t fd);
/* The end, without a reference, NULL; it stays while the mutex is held. */
struct local_end *files_peek(struct files *f, uint64_t fd);
/* What is local in [first, last] is being asked about, or no longer. */
void files_changing(struct files *f, uint64_t first, uint64_t last, bool changing);
void files_cloexec(struct files *f, uint64_t first, uint64_t last, bool cloexec);
void files_clear_range(struct files *f, uint64_t first, uint64_t last);

/* For fork, under the mutex from then on until Linux has forked. NULL in *copy: there
 * is nothing. -ENOMEM. */
int files_copy(struct files *f, struct file_table **copy);
void files_free_copy(struct file_table *copy);
/* p, which has no threads yet, has the copy's entries, whose memory is freed. */
void files_adopt(struct files *f, struct file_table *copy);
/* execve has closed these in Linux. */
void files_exec(struct files *f);
/* The process is over. */
void files_release(struct files *f);

/* ---- remote.c ---- */

/* Before a delegated call that is marked so in syscalls.def: 0, -ERESTART or -ENOMEM. */
int64_t files_before(struct thread *t, const struct sys_row *row, const uint64_t arg[6]);
/* After one whose result may be a new descriptor of anything: its result. */
int64_t files_opened(struct thread *t, int64_t result);
/* Everything local that the current process has becomes Linux's; 0 or as above. */
int64_t files_all_remote(struct thread *t);
/* And nothing will be local there again: the process may soon lack the rights or the
 * view by which an object is given to Linux. */
int64_t files_estrange(struct thread *t);

int64_t sys_pidfd_getfd(struct regs *r);

/* ---- calls.c ---- */

int64_t sys_read(struct regs *r);
int64_t sys_write(struct regs *r);
int64_t sys_readv(struct regs *r);
int64_t sys_writev(struct regs *r);
int64_t sys_pipe(struct regs *r);
int64_t sys_pipe2(struct regs *r);
int64_t sys_close(struct regs *r);
int64_t sys_close_range(struct regs *r);
int64_t sys_dup(struct regs *r);
int64_t sys_dup2(struct regs *r);
int64_t sys_dup3(struct regs *r);
int64_t sys_fcntl(struct regs *r);
int64_t sys_ioctl(struct regs *r);

/* ---- socket_calls.c ---- */

int64_t sys_socketpair(struct regs *r);
int64_t sys_sendto(struct regs *r);
int64_t sys_recvfrom(struct regs *r);
int64_t sys_sendmsg(struct regs *r);
int64_t sys_recvmsg(struct regs *r);
int64_t sys_shutdown(struct regs *r);
int64_t sys_getsockopt(struct regs *r);

/* ---- eventfd.c ---- */

int64_t sys_eventfd(struct regs *r);
int64_t sys_eventfd2(struct regs *r);

/* ---- timerfd.c ---- */

int64_t sys_timerfd_create(struct regs *r);
int64_t sys_timerfd_settime(struct regs *r);
int64_t sys_timerfd_gettime(struct regs *r);

/* ---- epoll_calls.c ---- */

int64_t sys_epoll_create(struct regs *r);
int64_t sys_epoll_create1(struct regs *r);
int64_t sys_epoll_ctl(struct regs *r);
int64_t sys_epoll_wait(struct regs *r);
int64_t sys_epoll_pwait(struct regs *r);
int64_t sys_epoll_pwait2(struct regs *r);

/* ---- poll.c ---- */

int64_t sys_poll(struct regs *r);
int64_t sys_ppoll(struct regs *r);
int64_t sys_select(struct regs *r);
int64_t sys_pselect6(struct regs *r);

#endif
