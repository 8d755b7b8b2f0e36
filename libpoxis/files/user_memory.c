/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/lib/errno.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/files/local.h"
#include "libpoxis/user.h"

int user_memory_copy(struct user_memory m, char *at, uint64_t bytes, bool to_program)
{
	while (bytes) {
		uint64_t n = MIN(bytes, m.v->bytes - m.done);
		uaddr_t user = m.v->base + m.done;

		if (n && (to_program ? user_write_locked(user, at, n) : user_read_locked(at, user, n)))
			return -EFAULT;
		at += n;
		bytes -= n;
		user_memory_advance(&m, n);
		if (!n && !m.count)
			return -EFAULT;
	}
	return 0;
}

/* Makes a page writable without changing it. */
static int touch(uaddr_t at, bool write)
{
	uint32_t word, seen;

	at &= ~3ull;
	if (user_read(&word, at, sizeof(word)))
		return -EFAULT;
	if (!write)
		return 0;
	seen = word;
	return user_cas32((uint32_t *)at, &seen, word) ? -EFAULT : 0;
}

int user_memory_bring_in(struct user_memory m, uint64_t bytes, bool write)
{
	while (bytes) {
		uint64_t n = MIN(bytes, m.v->bytes - m.done);
		uaddr_t user = m.v->base + m.done;

		if (thread_killed(current_thread()) || (n && !user_range_ok(user, n)))
			return -EFAULT;
		for (uint64_t page = ALIGN_DOWN(user, PAGE_SIZE); n && page < user + n; page += PAGE_SIZE)
			if (touch(MAX(page, user), write))
				return -EFAULT;
		bytes -= n;
		user_memory_advance(&m, n);
		if (!n && !m.count)
			return -EFAULT;
	}
	return 0;
}

int user_memory_read(struct user_memory *m, char *to, uint64_t bytes)
{
	while (bytes) {
		uint64_t n = MIN(bytes, m->v->bytes - m->done);

		if (n && user_read(to, m->v->base + m->done, n))
			return -EFAULT;
		to += n;
		bytes -= n;
		user_memory_advance(m, n);
		if (!n && !m->count)
			return -EFAULT;
	}
	return 0;
}

int64_t user_memory_tell(struct user_memory *m, uint64_t number)
{
	if (user_write(m->v->base, &number, sizeof(number)))
		return -EFAULT;
	m->left -= sizeof(number);
	return sizeof(number);
}
