/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A twin serves the slot of its co-kernel thread; abi/call.h has the protocol.
 * A posted call is first looked for by spinning, as long as a doorbell and a
 * wake-up would take, then the thread sleeps in the module.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

#define SPIN_NS 30000    /* half of it, and the twin that a new thread wants sleeps already */
#define TWIN_STACK (64u << 10)
#define TWINS_AT_ONCE 64u

__thread struct twin *proxy_twin;

/* ---- Becoming a twin ---- */

/* Maps a page of slots once for all threads. */
static struct otr_slot *slots_of(struct proxy *p, struct outrigger *o, uint32_t page)
{
	struct otr_slot *s = NULL;
	uint32_t i;

	pthread_mutex_lock(&p->lock);
	for (i = 0; i < p->page_count && !s; i++)
		if (p->page[i] == page)
			s = p->slots[i];
	if (!s && p->page_count < PROXY_PAGES) {
		s = mmap(NULL, OTR_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, p->o.fd,
			 (off_t)OTR_MMAP_PAGE(page));
		if (s == MAP_FAILED) {
			outrigger_fail(o, -errno, "mapping a page of slots: %s", strerror(errno));
			s = NULL;
		} else {
			p->page[p->page_count] = page;
			p->slots[p->page_count++] = s;
		}
	}
	pthread_mutex_unlock(&p->lock);
	return s;
}

int serve_join(struct proxy *p, struct outrigger *o, struct twin *t)
{
	struct otr_ioc_twin r = {
		.req = { sizeof(r), sizeof(o->error), (uintptr_t)o->error },
	};
	struct otr_slot *s;

	o->error[0] = 0;
	if (ioctl(p->o.fd, OTR_IOC_TWIN, &r) < 0)
		return o->error[0] ? -errno : outrigger_fail(o, -errno, "a thread of the proxy was refused: %s",
							      strerror(errno));
	s = slots_of(p, o, r.page);
	if (!s)
		return -ENOMEM;
	*t = (struct twin){
		.p = p, .slot = r.slot, .shared = s + r.slot % OTR_SLOTS_PER_PAGE, .mask = ~0ull,
	};
	t->tid = gettid();
	pthread_mutex_lock(&p->lock);
	t->next = p->twins;
	p->twins = t;
	pthread_mutex_unlock(&p->lock);
	proxy_twin = t;
	return 0;
}

bool serve_is_thread(struct proxy *p, int tid)
{
	struct twin *t;
	bool found = tid == getpid();

	pthread_mutex_lock(&p->lock);
	for (t = p->twins; t && !found; t = t->next)
		found = t->tid == tid && __atomic_load_n(&t->mask, __ATOMIC_RELAXED) != ~0ull;
	pthread_mutex_unlock(&p->lock);
	return found;
}

struct twin_start {
	struct proxy *p;
	uint32_t waiting;           /* of p->lock: threads that have not said yet */
	uint32_t joined;
};

/* Starts with all signals blocked: the program's thread will say what it wants. */
static void *twin_main(void *arg)
{
	struct twin_start *start = arg;
	struct proxy *p = start->p;
	struct outrigger o = { .fd = -1 };
	struct twin me;
	int ret = serve_join(p, &o, &me);

	pthread_mutex_lock(&p->lock);
	start->waiting--;
	start->joined += !ret;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	if (!ret)
		serve(&me);
	return NULL;
}

int serve_add_twins(struct proxy *p, uint64_t count)
{
	struct twin_start start = { .p = p };
	uint64_t mask = signal_block_all(), i;
	pthread_attr_t attr;
	pthread_t t;

	if (count > TWINS_AT_ONCE)
		count = TWINS_AT_ONCE;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, TWIN_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&p->lock);
	for (i = 0; i < count; i++) {
		if (pthread_create(&t, &attr, twin_main, &start))
			break;
		start.waiting++;
	}
	while (start.waiting)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
	pthread_attr_destroy(&attr);
	signal_restore(mask);
	return start.joined ? (int)start.joined : -EAGAIN;
}

/* ---- Serving ---- */

static uint32_t load_state(const struct otr_slot *s)
{
	return __atomic_load_n(&s->state, __ATOMIC_ACQUIRE);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static bool spin(const struct otr_slot *s)
{
	int64_t end = now_ns() + SPIN_NS;
	int i;

	do {
		for (i = 0; i < 32; i++) {
			if (load_state(s) & OTR_SLOT_POSTED)
				return true;
			__builtin_ia32_pause();
		}
	} while (now_ns() < end);
	return false;
}

/* All zaps below seq are applied now. */
static void note_zaps(struct proxy *p, uint64_t seq)
{
	uint64_t old = atomic_load_explicit(&p->zaps, memory_order_relaxed);

	while (old < seq && !atomic_compare_exchange_weak(&p->zaps, &old, seq))
		;
}

/* Sleeps in the module until the slot is posted, which applies zaps too. */
static void wait_posted(struct twin *t)
{
	struct proxy *p = t->p;
	struct otr_ioc_wait w;
	long ret;

	do {
		w = (struct otr_ioc_wait){ .req.size = sizeof(w), .slot = t->slot };
		ret = raw_syscall(SYS_ioctl, (uint64_t)p->o.fd, OTR_IOC_WAIT, (uintptr_t)&w, 0, 0, 0);
		if (ret == 1)
			proxy_end(p, w.status);
	} while (ret == -EINTR && !t->held);
	if (ret < 0 && ret != -EINTR) {
		outrigger_fail(&p->o, (int)ret, "waiting for the program's calls: %s", strerror((int)-ret));
		proxy_fail(p, 125);
	}
	if (!ret)
		note_zaps(p, __atomic_load_n(&t->shared->zap_seq, __ATOMIC_RELAXED));
}

static long call_slot_number(const struct twin *t, uint32_t nr, uint32_t number)
{
	struct otr_ioc_slot r = { .req.size = sizeof(r), .slot = number };

	return raw_syscall(SYS_ioctl, (uint64_t)t->p->o.fd, nr, (uintptr_t)&r, 0, 0, 0);
}

static void call_slot(const struct twin *t, uint32_t nr)
{
	call_slot_number(t, nr, t->slot);
}

long serve_fetch(struct twin *t, uint32_t index)
{
	return call_slot_number(t, OTR_IOC_FETCH, index);
}

void serve_kick(struct twin *t)
{
	call_slot(t, OTR_IOC_KICK);
}

static void execute(struct twin *t)
{
	struct otr_slot *s = t->shared;
	uint64_t arg[6], seq = s->zap_seq;

	if (seq > atomic_load_explicit(&t->p->zaps, memory_order_acquire)) {
		call_slot(t, OTR_IOC_ZAP);
		note_zaps(t->p, seq);
	}
	memcpy(arg, s->arg, sizeof(arg));
	s->arg[0] = (uint64_t)call_execute(t, s->nr, arg, s->sig_done);
	if (__atomic_exchange_n(&s->state, 0, __ATOMIC_ACQ_REL) & OTR_SLOT_CALLER_SLEEPS)
		call_slot(t, OTR_IOC_KICK);
}

void serve(struct twin *t)
{
	for (;;) {
		if (!(t->p->spins && spin(t->shared)) && !signal_held(t))
			wait_posted(t);
		if (load_state(t->shared) & OTR_SLOT_POSTED)
			execute(t);
	}
}
