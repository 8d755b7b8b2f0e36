/* SPDX-License-Identifier: BSD-2-Clause */
/* Arguments: right ones, wrong ones, and such as lie on the border. No libc here: fuzz.h. */
#include "apps/fuzz/fuzz.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

uint64_t pointer(struct worker *w)
{
	uint64_t scratch = SCRATCH(w->number);

	switch (rnd(w, 40)) {
	case 0: return 0;
	case 1: return rnd(w, 0x10000);
	case 2: return scratch + SCRATCH_BYTES - rnd(w, 64);		/* runs off its end */
	case 3: return READ_ONLY + rnd(w, 4096);
	case 4: return READ_ONLY + 4096 - rnd(w, 32);
	case 5: return SHARED + rnd(w, 0x10000);
	case 6: return FILE_MAP + rnd(w, 4 * 4096);
	case 7: return 0x8000000000000000ul | rnd64(w);
	case 8: return 0xffff800000000000ul + (rnd(w, 1u << 20) << 21);
	case 9: return 0xffffffff80000000ul + rnd(w, 1u << 24);
	case 10: return (1ul << (rnd(w, 32) + 16)) - rnd(w, 32);	/* 32 TiB and 128 TiB among them */
	case 11: return rnd64(w);
	case 12: return (uintptr_t)&pointer + rnd(w, 65536);
	case 13: return ARENA + rnd(w, ARENA_BYTES);
	case 14: return -(uint64_t)rnd(w, 4096);
	case 15: return 0x800000000000ul - rnd(w, 3) * 4096 - rnd(w, 16);
	default: return scratch + (rnd(w, SCRATCH_BYTES - 1024) & (rnd(w, 8) ? ~7ul : ~0ul));
	}
}

uint64_t number(struct worker *w)
{
	switch (rnd(w, 12)) {
	case 0: return rnd64(w);
	case 1: return -(uint64_t)rnd(w, 8);
	case 2: return 1ul << rnd(w, 64);
	case 3: return (1ul << rnd(w, 64)) - 1;
	case 4: return rnd(w, 1u << 16);
	case 5: return rnd(w, 65) * 4096;
	default: return rnd(w, 40);
	}
}

static const char *const paths[] = {
	"a", "b", "c", "dir", "dir/a", ".", "..", "/", "", "/dev/null", "/dev/zero", "/dev/urandom", "/proc/self/maps",
	"/proc/self/fd", "/proc/self/mem", "/proc/self/exe", "/proc/self/status", "/proc/self/task", "/tmp",
	"/dev/shm/fuzz", "/etc/passwd", "/proc/meminfo", "/sys/devices/system/cpu/online", "/dev/outrigger-run",
	"a/b", "/proc/thread-self/stat", "/dev/tty", "/dev/full",
};

static uint64_t path(struct worker *w)
{
	if (!rnd(w, 8))
		return pointer(w);
	return (uintptr_t)paths[rnd(w, sizeof(paths) / sizeof(paths[0]))];
}

/* A time that is over soon, mostly. */
static uint64_t time_ptr(struct worker *w)
{
	uint64_t *t = (uint64_t *)(SCRATCH(w->number) + 0x100);

	if (!rnd(w, 6))
		return pointer(w);
	t[0] = rnd(w, 16) ? 0 : number(w);
	t[1] = rnd(w, 16) ? rnd(w, 3000000) : number(w);
	return (uintptr_t)t;
}

static uint64_t pid(struct worker *w)
{
	switch (rnd(w, 8)) {
	case 0: return 0;
	case 1: return (uint64_t)-1;
	case 2: return number(w);
	case 3: return (uint64_t)workers[rnd(w, thread_count)]->tid;
	default: return (uint64_t)CALL(rnd(w, 2) ? SYS_getpid : SYS_gettid);
	}
}

uint64_t argument(struct worker *w, char kind)
{
	if (!rnd(w, 24))
		kind = "vp"[rnd(w, 2)];
	switch (kind) {
	case 'f': return rnd(w, 10) ? rnd(w, 28) : number(w);
	case 'd': return rnd(w, 2) ? (uint64_t)AT_FDCWD : rnd(w, 28);
	case 's': return path(w);
	case 'p': return pointer(w);
	case 'a':
		if (!rnd(w, 12))
			return pointer(w) & (rnd(w, 2) ? ~4095ul : ~0ul);
		return ARENA + 0x100000ul + rnd(w, (ARENA_BYTES - 0x100000ul) >> 12) * 4096;
	case 'l': return rnd(w, 10) ? rnd(w, 600) * (rnd(w, 3) ? 4096 : 1) : number(w);
	case 'o': return rnd(w, 3) ? rnd(w, 64) * 4096 : number(w);
	case 'n': return rnd(w, 8) ? rnd(w, 20) : number(w);
	case 'b':
		switch (rnd(w, 4)) {
		case 0: return 0;
		case 1: return 1ul << rnd(w, 32);
		case 2: return 1ul << rnd(w, 24) | 1ul << rnd(w, 16);
		default: return rnd(w, 16);
		}
	case 'P': return rnd(w, 8) ? rnd(w, 8) : number(w);
	case 'M':
		return (rnd(w, 3) ? MAP_PRIVATE : MAP_SHARED) | (rnd(w, 2) ? MAP_ANONYMOUS : 0) |
		       (rnd(w, 2) ? MAP_FIXED : 0) | (rnd(w, 4) ? 0 : MAP_NORESERVE) | (rnd(w, 4) ? 0 : MAP_POPULATE) |
		       (rnd(w, 8) ? 0 : 1ul << rnd(w, 32));
	case 'A': return rnd(w, 2) ? rnd(w, 26) : (const uint8_t[]){ 4, 8, 9, 14, 22, 23 }[rnd(w, 6)];
	case 'g': return rnd(w, 6) ? (const uint8_t[]){ 0, SIGUSR1, SIGUSR2, SIGCHLD, SIGURG, 40, 64 }[rnd(w, 7)] : rnd(w, 66);
	case 'i': return pid(w);
	case 't': return time_ptr(w);
	case 'z': return rnd(w, 8) ? 8 : number(w);
	case 'm': return rnd(w, 4) ? 0700 : number(w);
	case 'u': return rnd(w, 4) ? (rnd(w, 2) ? SHARED : ARENA) + rnd(w, 4) * 4 : pointer(w);
	case 'O': return rnd(w, 8) ? rnd(w, 14) | (rnd(w, 2) ? FUTEX_PRIVATE_FLAG : 0) : number(w);
	case 'c': return rnd(w, 8) ? rnd(w, 12) : number(w);
	case 'y': return (const uint8_t[]){ AF_UNIX, AF_UNIX, AF_INET, AF_INET6, AF_NETLINK }[rnd(w, 5)];
	default: return rnd(w, 4) ? number(w) : pointer(w);
	}
}

/* Words that look like something: pointers, lengths, small numbers. */
void fill_scratch(struct worker *w)
{
	uint64_t *s = (uint64_t *)SCRATCH(w->number) + rnd(w, 16) * 32;

	for (uint32_t i = 0; i < 32; i++)
		s[i] = i % 2 ? (rnd(w, 4) ? rnd(w, 4096) : number(w)) : (rnd(w, 2) ? pointer(w) : number(w));
}
