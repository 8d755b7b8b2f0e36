/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A make-believe process: enough of the PROC messages to exercise contexts. Its
 * address space:
 *   HUGE   a 2 MiB page, writable
 *   SMALL  2 MiB of 4 KiB pages that appear at the first fault, read-only until
 *          a fault for a write replaces them by a copy
 * PROC_START makes it post the calls of `script` from its first slot, one after
 * the other; tests/tools/ctx_probe.c executes them. Then it exits with status
 * 7 << 8, or with 1 << 8 if a call returned something else than 0.
 */
#include "tests/images/stub/stub.h"
#include "tests/images/stub/stub_calls.h"

#define CONTEXTS 8
#define P 1ull
#define W 2ull
#define U 4ull
#define PS 0x80ull
#define ADDR 0xffffffffff000ull
#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, v) __atomic_store_n(&(x), (v), __ATOMIC_RELEASE)

struct proc {
	uint64_t id;
	uint64_t root;
	struct otr_ctx_private *priv;
	struct otr_slot *slot;
	uint64_t slot_number;
	uint64_t zap_tail;
	uint32_t step;               /* of the script, + 1; 0: not started */
	uint32_t waiting;            /* a call is posted */
	uint32_t bad;
	uint32_t exited;
};
static struct proc procs[CONTEXTS];

static const struct step {
	uint32_t nr;
	uint32_t zap;                /* first unmap SMALL and give it other pages */
	uint64_t arg[3];
} script[] = {
	{ STUB_CALL_ADD, 0, { 40, 2, 42 } },
	{ STUB_CALL_MEMORY, 0, { STUB_HUGE + 8, 0x1111, 0x2222 } },
	{ STUB_CALL_MEMORY, 0, { STUB_HUGE + 8, 0x2222, 0x3333 } },
	{ STUB_CALL_READ, 0, { STUB_SMALL + 4096, 0, 0 } },
	{ STUB_CALL_MEMORY, 0, { STUB_SMALL + 4096, 0, 0x4444 } },
	{ STUB_CALL_READ, 0, { STUB_SMALL + 4096, 0x4444, 0 } },
	{ STUB_CALL_READ, 1, { STUB_SMALL + 4096, 0, 0 } },
	{ STUB_CALL_MEMORY, 0, { STUB_SMALL + 4096, 0, 0x5555 } },
	{ STUB_CALL_PIN, 0, { STUB_SMALL + 4096, 0, 0 } },
	{ STUB_CALL_READ, 1, { STUB_SMALL + 4096, 0, 0 } },
	{ STUB_CALL_UNPIN, 0, { 0x5555, 0, 0 } },
	{ STUB_CALL_PIN, 0, { STUB_HUGE, 0, 0 } },
	{ STUB_CALL_UNPIN, 0, { 0, 0, 0 } },
	{ STUB_CALL_FAULT, 0, { STUB_NOWHERE, 0, 0 } },
};
#define STEPS (sizeof(script) / sizeof(script[0]))

static struct proc *find(uint64_t id)
{
	for (int i = 0; i < CONTEXTS; i++)
		if (procs[i].root && procs[i].id == id)
			return &procs[i];
	return 0;
}

/* The entry of a 4 KiB page, tables made on the way. */
static uint64_t *entry_of(struct proc *p, uint64_t va, int level)
{
	uint64_t *table = stub_direct(p->root);

	for (int l = 3; l > level; l--) {
		uint64_t *e = &table[va >> (12 + 9 * l) & 511];

		if (!(*e & P))
			*e = stub_page() | P | W | U;
		table = stub_direct(*e & ADDR);
	}
	return &table[va >> (12 + 9 * level) & 511];
}

static uint64_t create(const struct otr_msg *m, struct otr_msg *reply)
{
	uint8_t *contexts = stub_area(OTR_AREA_CONTEXTS);
	uint64_t huge = stub_pages_2m();
	struct proc *p = 0;

	for (int i = 0; i < CONTEXTS && !p; i++)
		if (!procs[i].root)
			p = &procs[i];
	if (!p || !huge)
		return (uint64_t)-12;
	*p = (struct proc){
		.id = m->arg[0], .root = stub_page(),
		.priv = (void *)(contexts + m->arg[1] * OTR_PAGE_SIZE),
		.slot = (void *)(contexts + m->arg[3] * OTR_PAGE_SIZE),
		.slot_number = m->arg[3] * OTR_SLOTS_PER_PAGE,
	};
	*(uint64_t *)stub_direct(huge + 8) = 0x1111;
	*entry_of(p, STUB_HUGE, 1) = huge | P | W | U | PS;
	reply->arg[1] = stub_option("lie-root") ? 0x1000 : p->root;
	if (stub_option("lie-table"))
		*(uint64_t *)stub_direct(p->root) = 0xfffffff000ull | P | W | U;
	if (stub_option("lie-loop"))
		*entry_of(p, STUB_HUGE, 3) = p->root | P | W | U;
	if (stub_option("lie-frame"))
		*entry_of(p, STUB_HUGE, 1) = 0 | P | W | U | PS;
	stub_log("stub: process\n");
	return 0;
}

static uint64_t fault(struct proc *p, uint64_t va, uint64_t write)
{
	uint64_t *e, page;

	if (va < STUB_SMALL || va >= STUB_SMALL + (2u << 20))
		return (uint64_t)-14;
	e = entry_of(p, va, 0);
	if (!(*e & P)) {
		*e = stub_page() | P | U | (write ? W : 0);
	} else if (write && !(*e & W)) {
		page = stub_page();
		__builtin_memcpy(stub_direct(page), stub_direct(*e & ADDR), OTR_PAGE_SIZE);
		STORE(*e, page | P | W | U);
	}
	return 0;
}

static void send_exit(struct proc *p, uint64_t status)
{
	struct otr_msg m = { .type = OTR_MSG_PROC_EXIT, .arg = { p->id, status } };

	if (p->exited)
		return;
	p->exited = 1;
	stub_send(&m);
}

uint64_t proc_message(const struct otr_msg *m, struct otr_msg *reply)
{
	struct proc *p = find(m->arg[0]);

	if (m->type == OTR_MSG_PROC_CREATE)
		return create(m, reply);
	if (!p)
		return (uint64_t)-3;
	switch (m->type) {
	case OTR_MSG_PROC_START:
		p->step = 1;
		return 0;
	case OTR_MSG_PROC_KILL:
		if (stub_option("unkillable"))
			return 0;
		send_exit(p, 9);
		return 0;
	case OTR_MSG_PROC_REAP:
		p->root = 0;
		return 0;
	case OTR_MSG_PROC_FAULT:
		return fault(p, m->arg[1], m->arg[2]);
	case OTR_MSG_PROC_STOP:
	case OTR_MSG_PROC_CONT:
		stub_log(m->type == OTR_MSG_PROC_STOP ? "stub: stop\n" : "stub: cont\n");
		return 0;
	case OTR_MSG_PROC_SLOTS:
	case OTR_MSG_PROC_TWIN:
		return 0;
	}
	return ENOSYS_NEG;
}

static void zap(struct proc *p, uint64_t start, uint64_t end)
{
	struct otr_zap *z = &p->priv->zap[p->zap_tail % OTR_ZAP_COUNT];

	for (uint64_t va = start; va < end; va += OTR_PAGE_SIZE)
		*entry_of(p, va, 0) = 0;
	z->start = stub_option("lie-zap") ? 1 : start;
	z->end = end;
	STORE(p->priv->zap_tail, ++p->zap_tail + (stub_option("lie-zap-tail") ? 1000 : 0));
}

static void post(struct proc *p, const struct step *s)
{
	struct otr_wake *wake = stub_area(OTR_AREA_WAKE_C2H);

	if (s->zap)
		zap(p, STUB_SMALL, STUB_SMALL + 16 * OTR_PAGE_SIZE);
	p->slot->nr = s->nr;
	for (int i = 0; i < 3; i++)
		p->slot->arg[i] = s->arg[i];
	p->slot->zap_seq = p->zap_tail;
	p->slot->cpu = 0;
	p->waiting = 1;
	if (__atomic_exchange_n(&p->slot->state, OTR_SLOT_POSTED, __ATOMIC_SEQ_CST) &
	    OTR_SLOT_WORKER_SLEEPS) {
		__atomic_fetch_or(&wake->word[p->slot_number / 64], 1ull << (p->slot_number % 64),
				  __ATOMIC_SEQ_CST);
		if (!__atomic_exchange_n(&wake->any, 1, __ATOMIC_SEQ_CST))
			stub_ring_host();
	}
}

/* Whether the posted call has returned; if not, the twin will kick us. */
static int returned(struct proc *p)
{
	uint32_t posted = OTR_SLOT_POSTED;

	if (__atomic_compare_exchange_n(&p->slot->state, &posted,
					OTR_SLOT_POSTED | OTR_SLOT_CALLER_SLEEPS, 0,
					__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return 0;
	return !(posted & OTR_SLOT_POSTED);
}

/* One process: takes a result, posts the next call. */
static void run(struct proc *p)
{
	const struct step *s;

	while (p->step && !p->exited) {
		if (p->waiting) {
			if (!returned(p))
				return;
			p->waiting = 0;
			if (p->slot->arg[0]) {
				stub_log_number("stub: call failed, step ", p->step);
				stub_log_number("stub: result ", p->slot->arg[0]);
				p->bad = 1;
			}
			p->step++;
		}
		if (p->step > STEPS) {
			/* all zaps acknowledged? looked at after each interrupt */
			if (LOAD(p->priv->zap_head) == p->zap_tail)
				send_exit(p, p->bad ? 1 << 8 : 7 << 8);
			return;
		}
		s = &script[p->step - 1];
		if (s->nr == STUB_CALL_UNPIN && s->arg[0] && LOAD(p->priv->zap_head) == p->zap_tail) {
			stub_log("stub: a pinned page was acknowledged\n");
			p->bad = 1;
		}
		post(p, s);
	}
}

void proc_poll(void)
{
	for (int i = 0; i < CONTEXTS; i++)
		if (procs[i].root)
			run(&procs[i]);
}
