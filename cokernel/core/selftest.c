/* SPDX-License-Identifier: BSD-2-Clause */
/* Tests that need ring 0, run by the image alone under PVH in about a second. */
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/clock.h"
#include "cokernel/core/log.h"
#include "cokernel/core/start.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/kvm.h"
#include "cokernel/mm/mm.h"
#include "cokernel/mm/phys.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/user.h"

static int failures;

#define CHECK(x) do { if (!(x)) { failures++; log_err("selftest %s:%d: %s", __func__, __LINE__, #x); } } while (0)

static void test_phys(void)
{
	uint64_t before = phys_free_bytes();
	static struct page *p[2000];
	uint32_t n = 0;

	for (uint32_t i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = page_alloc(i % 7 == 0 ? ORDER_LARGE : i % 4);
		if (!p[i])
			break;
		memset(page_to_virt(p[i]), (int)i, PAGE_SIZE);
		n++;
	}
	CHECK(n > 20);
	for (uint32_t i = 0; i < n; i++) {
		CHECK(*(uint8_t *)page_to_virt(p[i]) == (uint8_t)i);
		page_put(p[i]);
	}
	CHECK(phys_free_bytes() == before);
}

static void test_kmem(void)
{
	static void *p[500];

	for (int round = 0; round < 3; round++) {
		for (uint32_t i = 0; i < ARRAY_SIZE(p); i++) {
			size_t bytes = 1 + (i * 37u + (uint32_t)round * 11u) % 5000;

			p[i] = kmem_alloc(bytes);
			CHECK(p[i]);
			memset(p[i], (int)i, bytes);
		}
		for (uint32_t i = 0; i < ARRAY_SIZE(p); i++) {
			CHECK(*(uint8_t *)p[i] == (uint8_t)i);
			kmem_free(p[i]);
		}
	}
}

/* Forks that treat the two halves of a large page differently. */
static void test_fork(struct mm *mm)
{
	uint64_t value = 42, got, seq;
	int64_t a = mm_map(mm, 0, LARGE_SIZE, MM_READ | MM_WRITE, 0);
	uint64_t half = (uint64_t)a + LARGE_SIZE / 2;

	for (int i = 0; i < 4; i++) {
		struct mm *child = mm_create(NULL);

		mm_discard(mm, (uint64_t)a, LARGE_SIZE);
		CHECK(!user_write((uint64_t)a, &value, 8) && !user_write(half, &value, 8));
		CHECK(!mm_change_flags(mm, half, LARGE_SIZE / 2, MM_LOCKED | MM_WIPEONFORK | MM_DONTFORK,
				       i == 1 ? MM_WIPEONFORK : i == 2 ? MM_DONTFORK : MM_LOCKED));
		CHECK(!mm_fork(mm, child, &seq));
		current_thread()->mm = child;
		mm_switch(child);
		CHECK(!user_read(&got, (uint64_t)a, 8) && got == 42);
		CHECK(i == 2 ? user_read(&got, half, 8) == -EFAULT :
		      !user_read(&got, half, 8) && got == (i == 1 ? 0 : 42));
		current_thread()->mm = mm;
		mm_switch(mm);
		mm_destroy(child);
		CHECK(!user_read(&got, half, 8) && got == 42);
	}
	CHECK(!mm_unmap(mm, (uint64_t)a, LARGE_SIZE));
}

static void test_mm(void)
{
	uint64_t before = phys_free_bytes();
	struct mm *mm = mm_create(NULL);
	uint64_t value = 42, got = 0;
	int64_t a, b, c;

	mm_switch(mm);
	a = mm_map(mm, 0, 8 << 20, MM_READ | MM_WRITE, 0);
	CHECK(a > 0 && !(a & (LARGE_SIZE - 1)));
	current_thread()->mm = mm;
	CHECK(!user_write((uint64_t)a + 12345, &value, 8));
	CHECK(mm->resident_pages == 512);
	CHECK(!user_read(&got, (uint64_t)a + 12345, 8) && got == 42);
	/* A hole in the middle splits the large page and keeps the rest. */
	CHECK(!mm_unmap(mm, (uint64_t)a + PAGE_SIZE, PAGE_SIZE));
	CHECK(mm->resident_pages == 511);
	CHECK(user_write((uint64_t)a + PAGE_SIZE, &value, 8) == -EFAULT);
	CHECK(!user_read(&got, (uint64_t)a + 12345, 8) && got == 42);
	CHECK(!mm_protect(mm, (uint64_t)a, PAGE_SIZE, MM_READ));
	CHECK(user_write((uint64_t)a, &value, 8) == -EFAULT);
	CHECK(!mm_protect(mm, (uint64_t)a, PAGE_SIZE, 0));
	CHECK(user_read(&got, (uint64_t)a, 8) == -EFAULT);
	CHECK(!mm_protect(mm, (uint64_t)a, PAGE_SIZE, MM_READ | MM_WRITE));
	CHECK(!user_write((uint64_t)a, &value, 8));
	b = mm_remap(mm, (uint64_t)a + 2 * PAGE_SIZE, 2 * PAGE_SIZE, 16 * PAGE_SIZE, 1, 0);
	CHECK(b > 0 && b != a);
	CHECK(!user_read(&got, (uint64_t)b + 12345 - 2 * PAGE_SIZE, 8) && got == 42);
	c = mm_map(mm, (uint64_t)a, PAGE_SIZE, MM_READ, MM_FIXED | MM_NOREPLACE);
	CHECK(c == -EEXIST);
	CHECK(!mm_discard(mm, (uint64_t)a, PAGE_SIZE));
	CHECK(!user_read(&got, (uint64_t)a, 8) && got == 0);
	CHECK(user_read(&got, 0x20000000000000ull, 8) == -EFAULT);
	CHECK(user_read(&got, 0xdead0000ull, 8) == -EFAULT);
	/* A large page moves to where the table of a small one was. */
	for (int i = 0; i < 100; i++) {
		int64_t large = mm_map(mm, 0, LARGE_SIZE, MM_READ | MM_WRITE, 0), small, to;

		CHECK(large > 0 && !user_write((uint64_t)large, &value, 8));
		small = mm_map(mm, 0, PAGE_SIZE, MM_READ | MM_WRITE, 0);
		CHECK(small > 0 && !user_write((uint64_t)small, &value, 8));
		CHECK(!mm_unmap(mm, (uint64_t)small, PAGE_SIZE));
		to = mm_remap(mm, (uint64_t)large, LARGE_SIZE, LARGE_SIZE, 3, ALIGN_DOWN((uint64_t)small, LARGE_SIZE));
		got = 0;
		CHECK(to > 0 && !user_read(&got, (uint64_t)to, 8) && got == 42);
		CHECK(!mm_unmap(mm, (uint64_t)to, LARGE_SIZE));
	}
	test_fork(mm);
	current_thread()->mm = NULL;
	mm_leave();
	mm_destroy(mm);
	CHECK(phys_free_bytes() >= before - 64 * PAGE_SIZE);
}

static uint32_t steps;
static struct thread *ping, *pong;

static void bounce(void *arg)
{
	for (int i = 0; i < 1000; i++) {
		while (steps % 2 != (uint64_t)arg)
			thread_park();
		steps++;
		thread_unpark(arg ? ping : pong);
	}
	if (arg)
		steps += 10;
	thread_exit();
}

static void wait_ns(uint64_t ns)
{
	/* This is the idle thread: let others run by scheduling as it does. */
	uint64_t end = clock_uptime_ns() + ns;

	while (clock_uptime_ns() < end)
		sched_yield();
}

static bool slept;

static void sleeper(void *arg)
{
	uint64_t from = clock_uptime_ns();

	while (thread_park_until(from + 5000000) != -ETIMEDOUT)
		;
	slept = clock_uptime_ns() - from >= 5000000;
	thread_exit();
}

static void test_threads(void)
{
	ping = thread_create(bounce, NULL);
	pong = thread_create(bounce, (void *)1);
	thread_start(ping);
	thread_start(pong);
	wait_ns(50000000);
	CHECK(steps == 2010);
	thread_start(thread_create(sleeper, NULL));
	for (int i = 0; i < 50 && !slept; i++) {
		wait_ns(1000000);
		__asm__ volatile("sti; nop; nop; cli");
	}
	CHECK(slept);
}

extern char text_start[], rodata_end[];

/* No leaf is both writable and executable, and no frame with the kernel's code or
 * constants writable by any of its addresses. Counts the leaves of that image. */
static uint32_t check_rights(paddr_t table, int level)
{
	const uint64_t *t = phys_to_virt(table);
	uint64_t from = boot_info.image_phys + ((uint64_t)text_start - boot_info.image_virt);
	uint64_t to = boot_info.image_phys + ((uint64_t)rodata_end - boot_info.image_virt);
	uint32_t found = 0, bad = 0;

	for (uint32_t i = 0; i < 512; i++) {
		uint64_t at = t[i] & PTE_ADDR;

		if (!(t[i] & PTE_PRESENT))
			continue;
		if (level && !(t[i] & PTE_LARGE)) {
			found += check_rights(PADDR(at), level - 1);
			continue;
		}
		bad += t[i] & PTE_WRITE && !(t[i] & PTE_NX);
		if (at < to && at + (PAGE_SIZE << (9 * level)) > from) {
			bad += !!(t[i] & PTE_WRITE);
			found++;
		}
	}
	CHECK(!bad);
	return found;
}

static void test_rights(void)
{
	CHECK(check_rights(kernel_root, 3) >= 2);
}

int selftest_run(void)
{
	test_rights();
	test_phys();
	test_kmem();
	test_mm();
	test_threads();
	log_info("selftest: %d failures", failures);
	return failures;
}
