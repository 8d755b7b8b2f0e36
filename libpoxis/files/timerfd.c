/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Timers behind descriptors, as Linux's fs/timerfd.c has them: one that has expired stands
 * still until it is read, or set, and what it would have expired meanwhile is counted then.
 * So its state is a time, whether that was reached, and an interval. The Linux timer behind
 * a local one is not armed; given that time, it counts the same from there on.
 *
 * Absolute times of CLOCK_REALTIME, which may be set, and the clocks of alarms are Linux's.
 */
#include "cokernel/core/clock.h"
#include "cokernel/lib/errno.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/sched/mutex.h"
#include "cokernel/sched/timer.h"
#include "libpoxis/dispatch.h"
#include "libpoxis/files/files.h"
#include "libpoxis/files/local.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"
#include "libpoxis/user.h"

#define NS_PER_SEC 1000000000ll
#define SEC_MOST 4000000000ll   /* more is Linux's */

enum { NR_TIMERFD_CREATE = 283 };
/* linux/time.h, linux/timerfd.h */
enum {
	CLOCK_REALTIME = 0, CLOCK_MONOTONIC = 1, CLOCK_BOOTTIME = 7, TFD_NONBLOCK = 04000, TFD_CLOEXEC = 02000000,
	TFD_TIMER_ABSTIME = 1, TFD_TIMER_CANCEL_ON_SET = 2,
};

struct timespec { int64_t sec, nsec; };
struct itimerspec { struct timespec interval, value; };

struct timerfd {
	struct local local;
	struct local_end end;
	int clock;                  /* that counts; times relative to CLOCK_REALTIME are CLOCK_MONOTONIC's */
	bool realtime;              /* Linux's timer is of CLOCK_REALTIME */
	struct mutex ctl;           /* whoever starts or stops the timer; before local.lock */
	struct timer timer;
	/* local.lock; which the timer's function takes under its own: nobody starts or stops it here */
	bool armed;                 /* at_ns and interval_ns hold */
	bool expired;               /* at at_ns, and was not read since */
	bool started;               /* the timer runs for at_ns */
	uint64_t at_ns;             /* of the clock; the first expiry that was not read */
	uint64_t due_ns;            /* the same of clock_uptime_ns(), as the clock stood when that was set */
	uint64_t interval_ns;       /* 0: one shot */
	struct list readers;        /* struct local_waiter */
};

static const struct local_ops timerfd_ops;

static struct timerfd *to_timerfd(const struct local *o)
{
	return container_of(o, struct timerfd, local);
}

/* False: while Linux's clocks are not the TSC's, they are not known here. */
static bool now_of(const struct timerfd *f, uint64_t *ns)
{
	struct clock_time t;

	if (clock_read(f->clock, &t) || t.sec < 0)
		return false;
	*ns = (uint64_t)t.sec * NS_PER_SEC + (uint64_t)t.nsec;
	return true;
}

/* ---- Expiry ---- */

/* The lock is held. */
static void expire(struct timerfd *f)
{
	f->expired = true;
	local_wake_first(&f->readers);
	local_tell(&f->local, POLLIN);
}

static void on_timer(struct timer *t)
{
	struct timerfd *f = container_of(t, struct timerfd, timer);

	spin_lock(&f->local.lock);
	/* While it moves, too, as it may stay. */
	if (f->started && f->local.state != LOCAL_IS_REMOTE)
		expire(f);
	f->started = false;
	spin_unlock(&f->local.lock);
}

/* The next expiry, given what the clock says now. The lock is held. */
static void expect(struct timerfd *f, uint64_t at_ns, uint64_t now)
{
	f->at_ns = at_ns;
	f->due_ns = clock_uptime_ns() + (at_ns > now ? at_ns - now : 0);
}

/* After any change of its state, without the lock: the timer runs if it is to. */
static void run(struct timerfd *f)
{
	uint64_t due;
	bool starts;

	mutex_lock(&f->ctl);
	/* Its function may be under way, even if it has expired. */
	timer_cancel(&f->timer);
	spin_lock(&f->local.lock);
	f->started = f->armed && !f->expired && f->local.state != LOCAL_IS_REMOTE;
	due = f->due_ns;
	starts = f->started && due > clock_uptime_ns();
	if (f->started && !starts) {
		f->started = false;
		expire(f);
	}
	spin_unlock(&f->local.lock);
	if (starts)
		timer_start(&f->timer, due);
	mutex_unlock(&f->ctl);
}

/* How often it has expired, of one that has; the lock is held. */
static uint64_t times(const struct timerfd *f, uint64_t now)
{
	/* It may have been woken a little early, when its clock is being slewed. */
	return f->interval_ns && now > f->at_ns ? (now - f->at_ns) / f->interval_ns + 1 : 1;
}

/* ---- What it is as an object ---- */

static uint32_t poll(const struct local_end *e)
{
	return to_timerfd(e->object)->expired ? POLLIN : 0;
}

static void stop(struct local *o)
{
	local_wake_all(&to_timerfd(o)->readers);
}

static int64_t timerfd_read(struct local_end *e, struct user_memory *to)
{
	struct timerfd *f = to_timerfd(e->object);
	uint64_t n = 0, now;
	int64_t ret = 0;
	bool again = false;

	if (to->left < sizeof(n))
		return -EINVAL;
	spin_lock(&f->local.lock);
	for (;;) {
		if (unlikely(f->local.state != LOCAL_IS_HERE)) {
			ret = LOCAL_REMOTE;
			break;
		}
		if (f->expired && unlikely(!now_of(f, &now))) {
			ret = LOCAL_CROWDED;
			break;
		}
		if (f->expired) {
			n = times(f, now);
			f->expired = false;
			expect(f, f->at_ns + n * f->interval_ns, now);
			again = f->armed = f->interval_ns;
			break;
		}
		ret = local_may_wait(e, true);
		if (ret)
			break;
		local_wait(&f->local, &f->readers);
	}
	if (f->expired)
		local_wake_first(&f->readers);
	spin_unlock(&f->local.lock);
	if (again)
		run(f);
	return ret ? ret : user_memory_tell(to, n);
}

static int64_t timerfd_write(struct local_end *e, struct user_memory *from, bool *broken)
{
	(void)e;
	(void)from;
	*broken = false;
	return -EINVAL;
}

/* Again after any failure: it is the same time. */
static int64_t push(struct thread *t, struct local *o, int fd, bool writes)
{
	struct timerfd *f = to_timerfd(o);
	int64_t ret;

	(void)writes;
	if (!f->armed)
		return 0;
	o->begun = true;
	ret = slot_call(t->slot, OTR_CALL_TIMERFD_SET, (uint64_t[6]){
		(uint64_t)fd, MAX(f->at_ns, 1ul), f->interval_ns, f->realtime });
	local_last_call(t);
	return ret > 0 ? -EIO : ret;
}

static void drain(struct local *o)
{
	(void)o;
}

static void forget(struct local *o)
{
	struct timerfd *f = to_timerfd(o);

	mutex_lock(&f->ctl);
	timer_cancel(&f->timer);
	mutex_unlock(&f->ctl);
}

/* Only who has the end starts it. */
static void close_end(struct local_end *e)
{
	forget(e->object);
}

static const struct local_ops timerfd_ops = {
	.name = "a timer", .read = timerfd_read, .write = timerfd_write, .poll = poll, .stop = stop,
	.push = push, .drain = drain, .forget = forget, .close = close_end,
};

/* ---- Making ---- */

static struct timerfd *timerfd_create(int clock, bool nonblock)
{
	struct timerfd *f = kmem_zalloc(sizeof(*f));
	uint64_t now;

	if (!f)
		return NULL;
	f->realtime = clock == CLOCK_REALTIME;
	f->clock = f->realtime ? CLOCK_MONOTONIC : clock;
	if (!now_of(f, &now)) {
		kmem_free(f);
		return NULL;
	}
	local_init(&f->local, &timerfd_ops, 1);
	f->end = (struct local_end){ .object = &f->local, .refs = 1, .modes = LOCAL_READS | LOCAL_WRITES,
				     .nonblock = nonblock };
	f->timer.fn = on_timer;
	list_init(&f->readers);
	return f;
}

int64_t sys_timerfd_create(struct regs *r)
{
	uint32_t clock = (uint32_t)r->rdi, flags = (uint32_t)r->rsi;
	struct thread *t = current_thread();
	struct files *f = &t->process->files;
	struct timerfd *tf = NULL;
	struct local_end *old;
	int64_t ret;

	if ((clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC || clock == CLOCK_BOOTTIME) &&
	    !(flags & ~(uint32_t)(TFD_NONBLOCK | TFD_CLOEXEC)) && !load_relaxed(&f->table.estranged))
		tf = timerfd_create((int)clock, flags & TFD_NONBLOCK);
	if (!tf)
		return dispatch_delegate(r);
	mutex_lock(&f->mutex);
	ret = dispatch_linux(t, NR_TIMERFD_CREATE, (uint64_t[6]){ clock, flags });
	old = &tf->end;
	/* Else it stays Linux's alone. */
	if (ret >= 0 && !f->table.estranged && !files_room(f, (uint32_t)ret & INT32_MAX))
		/* An old one's close was lost: execve has closed it, and its table is about to be told. */
		old = files_set(f, (uint32_t)ret & INT32_MAX, &tf->end, flags & TFD_CLOEXEC);
	mutex_unlock(&f->mutex);
	if (old)
		local_end_put(old);
	return ret;
}

/* ---- Setting and asking ---- */

static bool is_valid(const struct timespec *t)
{
	return t->sec >= 0 && t->nsec >= 0 && t->nsec < NS_PER_SEC;
}

static uint64_t to_ns(const struct timespec *t)
{
	return (uint64_t)(t->sec * NS_PER_SEC + t->nsec);
}

static struct timespec to_timespec(uint64_t ns)
{
	return (struct timespec){ (int64_t)(ns / NS_PER_SEC), (int64_t)(ns % NS_PER_SEC) };
}

/* What is left until it expires next. The lock is held. */
static struct itimerspec value_of(const struct timerfd *f, uint64_t now)
{
	uint64_t next = f->at_ns + (f->expired ? times(f, now) * f->interval_ns : 0);

	return (struct itimerspec){ to_timespec(f->interval_ns), to_timespec(f->armed && next > now ? next - now : 0) };
}

/* With `new`: sets it; to *old what it was. 0, LOCAL_REMOTE, LOCAL_CROWDED. */
static int64_t exchange(struct timerfd *f, bool absolute, const struct itimerspec *new, struct itimerspec *old)
{
	int64_t ret = 0;
	uint64_t now;

	if (!now_of(f, &now))
		return LOCAL_CROWDED;
	spin_lock(&f->local.lock);
	if (f->local.state != LOCAL_IS_HERE)
		ret = LOCAL_REMOTE;
	else
		*old = value_of(f, now);
	if (!ret && new) {
		uint64_t value = to_ns(&new->value);

		f->armed = value;
		f->expired = f->started = false;
		f->interval_ns = to_ns(&new->interval);
		expect(f, absolute ? value : now + value, now);
	}
	spin_unlock(&f->local.lock);
	if (!ret && new)
		run(f);
	return ret;
}

/* The same for a call, *linux_does: which is Linux's. */
static int64_t set_or_get(struct regs *r, struct local_end *e, const struct itimerspec *new,
			  struct itimerspec *old, bool *linux_does)
{
	struct thread *t = current_thread();
	int64_t ret;

	*linux_does = false;
	for (;;) {
		ret = exchange(to_timerfd(e->object), r->rsi & TFD_TIMER_ABSTIME, new, old);
		if (ret != LOCAL_REMOTE && ret != LOCAL_CROWDED)
			return ret;
		ret = ret == LOCAL_CROWDED ? local_make_remote(t, e->object, -1) : local_settle(t, e->object);
		if (ret)
			return ret;
		if (local_is_remote(e->object)) {
			*linux_does = files_is(&t->process->files, r->rdi, e);
			return *linux_does ? 0 : -EBADF;
		}
	}
}

static bool find(const struct regs *r, struct files_use *use)
{
	struct files *f = &current_thread()->process->files;

	if (!files_any(f) || !files_get(f, r->rdi, use))
		return false;
	if (use->end->object->ops == &timerfd_ops)
		return true;
	files_put(use);
	return false;
}

/* Linux's alone: what changes with the setting of its clock, and very long times. */
static bool only_linux(const struct timerfd *f, uint32_t flags, const struct itimerspec *new)
{
	return (flags && f->realtime) || flags & TFD_TIMER_CANCEL_ON_SET ||
	       new->value.sec > SEC_MOST || new->interval.sec > SEC_MOST;
}

int64_t sys_timerfd_settime(struct regs *r)
{
	struct itimerspec new, old = { 0 };
	struct files_use use;
	bool linux_does;
	int64_t ret;

	if (!find(r, &use))
		return dispatch_delegate(r);
	if (user_read(&new, r->rdx, sizeof(new)))
		ret = -EFAULT;
	else if ((uint32_t)r->rsi & ~(uint32_t)(TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET) ||
		 !is_valid(&new.value) || !is_valid(&new.interval))
		ret = -EINVAL;
	else if (only_linux(to_timerfd(use.end->object), (uint32_t)r->rsi, &new))
		ret = local_by_linux(r, use.end);
	else {
		ret = set_or_get(r, use.end, &new, &old, &linux_does);
		if (linux_does)
			ret = dispatch_delegate(r);
		else if (!ret && r->r10)
			ret = user_write(r->r10, &old, sizeof(old));
	}
	files_put(&use);
	return ret;
}

int64_t sys_timerfd_gettime(struct regs *r)
{
	struct itimerspec now = { 0 };
	struct files_use use;
	bool linux_does;
	int64_t ret;

	if (!find(r, &use))
		return dispatch_delegate(r);
	ret = set_or_get(r, use.end, NULL, &now, &linux_does);
	if (linux_does)
		ret = dispatch_delegate(r);
	else if (!ret)
		ret = user_write(r->rsi, &now, sizeof(now));
	files_put(&use);
	return ret;
}
