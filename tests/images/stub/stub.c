/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stub image's kernel part. CPU 0 answers messages, all CPUs answer pings;
 * words on the command line make it misbehave (see stub_main and message).
 */
#include "tests/images/stub/stub.h"

#define DOORBELL_VECTOR 0x40
#define STATUS(field) __atomic_load_n(&(field), __ATOMIC_ACQUIRE)
#define PUBLISH(field, v) __atomic_store_n(&(field), (v), __ATOMIC_RELEASE)

struct otr_boot *stub_boot;
struct otr_status *stub_status;
static struct otr_cpu_status *cpu_status;
static struct otr_cpu_control *cpu_control;
static struct otr_cpu_regs *cpu_regs;
static struct otr_ring *h2c, *c2h;
static struct otr_bytes *log_ring;
static struct otr_wake *wake_h2c;
static struct otr_doorbell *doorbell;
static volatile uint32_t *lapic;
static uint32_t apic_of[STUB_CPUS];
static uint32_t park_index[STUB_CPUS];
static uint32_t parking;             /* all of them */
static uint32_t rx_head, tx_tail;
static uint64_t free_at, free_end;
static uint64_t lapic_tables[3][512] __attribute__((aligned(4096)));

void *memset(void *to, int c, uint64_t n);
void *memcpy(void *to, const void *from, uint64_t n);
void *memset(void *to, int c, uint64_t n)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(c) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, uint64_t n)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

/* ---- Memory and log ---- */

void *stub_direct(uint64_t phys)
{
	return (void *)(uintptr_t)(stub_boot->direct_base + phys);
}

void *stub_area(uint32_t type)
{
	struct otr_boot_area *a = (void *)((uint8_t *)stub_boot + stub_boot->area_offset);

	for (uint32_t i = 0; i < stub_boot->area_count; i++)
		if (a[i].type == type)
			return stub_direct(a[i].phys);
	return 0;
}

uint64_t stub_page(void)
{
	uint64_t page = free_at;

	if (free_end - free_at < OTR_PAGE_SIZE)
		return 0;
	free_at += OTR_PAGE_SIZE;
	memset(stub_direct(page), 0, OTR_PAGE_SIZE);
	return page;
}

uint64_t stub_pages_2m(void)
{
	uint64_t page = (free_end - (2u << 20)) & ~((2ull << 20) - 1);

	if (page < free_at)
		return 0;
	free_end = page;
	return page;
}

static void log_byte(char c)
{
	uint64_t head = log_ring->head;

	log_ring->data[head % log_ring->bytes] = (uint8_t)c;
	PUBLISH(log_ring->head, head + 1);
}

void stub_log(const char *text)
{
	while (*text)
		log_byte(*text++);
}

void stub_log_number(const char *text, uint64_t value)
{
	char digits[17];

	for (int i = 15; i >= 0; i--, value >>= 4)
		digits[i] = "0123456789abcdef"[value & 15];
	digits[16] = 0;
	stub_log(text);
	stub_log(digits);
	stub_log("\n");
}

int stub_option(const char *word)
{
	const char *at = (const char *)stub_boot + stub_boot->cmdline_offset;

	while (*at) {
		const char *w = word;

		while (*w && *at == *w) {
			at++;
			w++;
		}
		if (!*w && (!*at || *at == ' '))
			return 1;
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
	}
	return 0;
}

/* ---- Local APIC ---- */

static uint64_t image_phys(const void *virt)
{
	return stub_boot->image_phys + ((uint64_t)(uintptr_t)virt - stub_boot->image_virt);
}

/* Maps the xAPIC's page at -4 KiB, below tables of our own. */
static void lapic_map(void)
{
	uint64_t cr3, *root;

	__asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
	root = stub_direct(cr3 & ~0xfffull);
	/* the image's own third-level table serves entry 511 of the root */
	uint64_t *pdpt = stub_direct(root[511] & 0xffffffffff000ull);
	lapic_tables[0][511] = image_phys(lapic_tables[1]) | 3;
	lapic_tables[1][511] = (stub_boot->lapic_phys & ~0xfffull) | 0x13 | 1ull << 63;
	pdpt[511] = image_phys(lapic_tables[0]) | 3;
	lapic = (volatile uint32_t *)(uintptr_t)0xfffffffffffff000ull;
}

static int x2apic(void)
{
	return stub_boot->flags & OTR_BOOT_X2APIC;
}

static void lapic_write(uint32_t offset, uint32_t v)
{
	if (x2apic())
		stub_wrmsr(0x800 + (offset >> 4), v);
	else
		lapic[offset / 4] = v;
}

static void send_ipi(uint32_t dest, uint32_t low)
{
	if (x2apic()) {
		__asm__ volatile("mfence; lfence" : : : "memory");
		stub_wrmsr(0x830, (uint64_t)dest << 32 | low);
		return;
	}
	while (lapic[0x300 / 4] & 1u << 12)
		__asm__ volatile("pause");
	lapic[0x310 / 4] = dest << 24;
	lapic[0x300 / 4] = low;
}

void stub_ring_host(void)
{
	uint32_t seq, dest, low, enabled;

	do {
		seq = STATUS(doorbell->seq);
		enabled = doorbell->enabled;
		dest = doorbell->dest;
		low = doorbell->icr_low;
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while ((seq & 1) || seq != doorbell->seq);
	if (enabled)
		send_ipi(dest, low);
}

/* ---- Ends ---- */

static uint64_t my_index(void)
{
	uint64_t sp;

	__asm__ volatile("mov %%rsp, %0" : "=r"(sp));
	extern uint8_t stub_stacks[];
	return (sp - 1 - (uint64_t)(uintptr_t)stub_stacks) >> STUB_STACK_SHIFT;
}

static void halt(uint32_t state)
{
	PUBLISH(cpu_status[my_index()].state, state);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void stub_panic(const char *why)
{
	unsigned int i;

	for (i = 0; why[i] && i < sizeof(stub_status->reason) - 1; i++)
		stub_status->reason[i] = why[i];
	stub_status->panic_cpu = (uint32_t)my_index();
	PUBLISH(stub_status->state, OTR_CK_PANIC);
	stub_log(why);
	stub_log("\n");
	stub_ring_host();
	halt(OTR_CPU_STOPPED);
}

/* ---- Interrupts ---- */

void stub_idt_fill(void)
{
	for (int i = 0; i < 256; i++) {
		uint64_t to = (uint64_t)(uintptr_t)stub_vectors + (uint64_t)i * 16;

		stub_idt[2 * i] = (to & 0xffff) | 8ull << 16 | 0x8e00ull << 32 |
				  (to >> 16 & 0xffff) << 48;
		stub_idt[2 * i + 1] = to >> 32;
	}
}

void stub_interrupt(uint64_t vector, uint64_t rip)
{
	uint64_t i = my_index();

	if (vector == 2) {
		if (cpu_control[i].stop) {
			cpu_regs[i].gpr[16] = rip;
			cpu_regs[i].valid = 1;
			halt(OTR_CPU_STOPPED);
		}
		cpu_status[i].foreign_count++;
		PUBLISH(cpu_status[i].nmi_ack, STATUS(cpu_control[i].nmi));
		return;
	}
	if (vector < 32) {
		stub_log_number("exception ", vector);
		stub_log_number("at ", rip);
		stub_panic("exception");
	}
	if (vector == DOORBELL_VECTOR) {
		cpu_status[i].doorbell_count++;
		PUBLISH(cpu_status[i].ping_ack, STATUS(cpu_control[i].ping));
	} else {
		cpu_status[i].foreign_count++;
	}
	lapic_write(0xb0, 0);
}

/* ---- Messages (CPU 0) ---- */

void stub_send(const struct otr_msg *msg)
{
	while (tx_tail - STATUS(c2h->head) >= c2h->count)
		__asm__ volatile("pause");
	c2h->entry[tx_tail % c2h->count] = *msg;
	PUBLISH(c2h->tail, ++tx_tail);
	stub_ring_host();
}

static void poke(uint32_t index)
{
	send_ipi(apic_of[index], DOORBELL_VECTOR);
}

/* Some milliseconds, so that who was poked gets on between two interrupts. */
static void wait_a_moment(void)
{
	uint64_t end = __builtin_ia32_rdtsc() + stub_boot->tsc_khz * 5;

	while (__builtin_ia32_rdtsc() < end)
		__asm__ volatile("pause");
}

static void shut_down(void)
{
	PUBLISH(parking, 1);
	for (uint32_t i = 1; i < STUB_CPUS && i < stub_boot->cpu_limit; i++)
		while (STATUS(cpu_status[i].state) == OTR_CPU_ONLINE) {
			poke(i);
			wait_a_moment();
		}
	PUBLISH(stub_status->state, OTR_CK_STOPPED);
	halt(OTR_CPU_PARKED);
}

static uint64_t park_one(uint64_t index)
{
	if (index == 0 || index >= STUB_CPUS)
		return (uint64_t)-16;
	PUBLISH(park_index[index], 1);
	while (STATUS(cpu_status[index].state) == OTR_CPU_ONLINE) {
		poke((uint32_t)index);
		wait_a_moment();
	}
	PUBLISH(park_index[index], 0);
	return 0;
}

static uint64_t misbehave(uint64_t how)
{
	if (how == OTR_TEST_PANIC)
		stub_panic("asked to panic");
	if (how == OTR_TEST_WILD)
		*(volatile int *)0x123456789000 = 1;
	if (how == OTR_TEST_HANG)
		for (;;)
			__asm__ volatile("cli; pause");
	return ENOSYS_NEG;
}

static uint64_t message(const struct otr_msg *m, struct otr_msg *reply)
{
	switch (m->type) {
	case OTR_MSG_NOP:
	case OTR_MSG_MEM_ADD:
		return 0;
	case OTR_MSG_MEM_REMOVE:
		return stub_option("keep-memory") ? (uint64_t)-16 : 0;
	case OTR_MSG_CPU_ADD:
		if (m->arg[0] >= STUB_CPUS)
			return (uint64_t)-28;
		apic_of[m->arg[0]] = (uint32_t)m->arg[1];
		return 0;
	case OTR_MSG_CPU_REMOVE:
		return park_one(m->arg[0]);
	case OTR_MSG_TEST:
		return misbehave(m->arg[0]);
	case OTR_MSG_SHUTDOWN:
		return stub_option("stay") ? (uint64_t)-16 : 0;
	}
	return proc_message(m, reply);
}

static void receive(void)
{
	while (rx_head != STATUS(h2c->tail)) {
		struct otr_msg m = h2c->entry[rx_head % h2c->count];
		struct otr_msg reply = { .type = OTR_MSG_REPLY, .cookie = m.cookie };

		PUBLISH(h2c->head, ++rx_head);
		reply.arg[0] = message(&m, &reply);
		stub_send(&reply);
		if (m.type == OTR_MSG_SHUTDOWN && !reply.arg[0])
			shut_down();
	}
}

/* ---- Start ---- */

static void find_areas(void)
{
	uint32_t limit = stub_boot->cpu_limit;

	stub_status = stub_area(OTR_AREA_STATUS);
	cpu_status = (void *)(stub_status + 1);
	cpu_control = (void *)(cpu_status + limit);
	cpu_regs = (void *)(cpu_control + limit);
	h2c = stub_area(OTR_AREA_H2C);
	c2h = stub_area(OTR_AREA_C2H);
	log_ring = stub_area(OTR_AREA_LOG);
	wake_h2c = stub_area(OTR_AREA_WAKE_H2C);
	doorbell = stub_area(OTR_AREA_DOORBELL);
}

static void boot_cpu(void)
{
	struct otr_boot_cpu *c = (void *)((uint8_t *)stub_boot + stub_boot->cpu_offset);
	struct otr_boot_range *r = (void *)((uint8_t *)stub_boot + stub_boot->range_offset);

	for (uint32_t i = 0; i < stub_boot->cpu_count && i < STUB_CPUS; i++)
		apic_of[i] = c[i].apic_id;
	free_at = stub_boot->free_phys;
	free_end = r[0].start + r[0].bytes;
	stub_status->tsc_entry = __builtin_ia32_rdtsc();
	stub_status->version = stub_option("old-abi") ? 0 : OTR_ABI_VERSION;
	stub_status->doorbell_vector = DOORBELL_VECTOR;
	PUBLISH(stub_status->magic, OTR_STATUS_MAGIC);
	if (!x2apic())
		lapic_map();
	if (stub_option("refuse")) {
		memcpy(stub_status->reason, "told to refuse", 15);
		PUBLISH(stub_status->state, OTR_CK_REFUSED);
		halt(OTR_CPU_STOPPED);
	}
	if (stub_option("silent"))
		for (PUBLISH(stub_status->state, OTR_CK_BOOTING);;)
			__asm__ volatile("pause");
	stub_log("stub: up\n");
	stub_log_number("stub: CPUs ", stub_boot->cpu_count);
}

void stub_main(struct otr_boot *boot, uint64_t index)
{
	if (index == 0) {
		stub_boot = boot;
		find_areas();
		boot_cpu();
	}
	lapic_write(0xf0, 0x1ff);
	lapic_write(0x80, 0);
	PUBLISH(cpu_status[index].state, OTR_CPU_ONLINE);
	if (index == 0) {
		stub_status->tsc_running = __builtin_ia32_rdtsc();
		PUBLISH(stub_status->state, OTR_CK_RUNNING);
		if (stub_option("panic"))
			stub_panic("told to panic");
	}
	for (;;) {
		if (index && (STATUS(parking) || STATUS(park_index[index])))
			halt(OTR_CPU_PARKED);
		if (index == 0) {
			wake_h2c->messages = 0;
			__atomic_exchange_n(&wake_h2c->any, 0, __ATOMIC_SEQ_CST);
			receive();
			proc_poll();
			if (cpu_status[0].doorbell_count)
				hostile_begin();
		}
		__asm__ volatile("sti; hlt; cli" : : : "memory");
	}
}
