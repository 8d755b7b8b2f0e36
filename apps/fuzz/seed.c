/* SPDX-License-Identifier: BSD-2-Clause */
/* A seed: what its calls play in, its threads, its end. */
#include "apps/fuzz/fuzz.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct worker *workers[MAX_THREADS];
atomic_int all_there;

void restore(void);
asm("restore: mov $15, %eax\n\tsyscall");

static void handle(int sig, void (*handler)(int, siginfo_t *, void *))
{
	struct { void (*handler)(int, siginfo_t *, void *); uint64_t flags; void *restorer; uint64_t mask; } sa = {
		handler, SA_SIGINFO | SA_ONSTACK | SA_NODEFER | 0x04000000 /* SA_RESTORER */, restore, 0 };

	/* Also those that glibc keeps for itself. */
	CALL(SYS_rt_sigaction, (uint64_t)sig, (uintptr_t)&sa, 0, 8);
}

static void cannot_begin(const char *what)
{
	fprintf(stderr, "fuzz: %s: %s\n", what, strerror(errno));
	_exit(4);
}

static void prepare_process(uint64_t seed)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
	int fd, pair[2];

	if (mmap((void *)ARENA, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		cannot_begin("the arena");
	mprotect((void *)READ_ONLY, 4096, PROT_READ);
	mprotect((void *)(READ_ONLY + 4096), 4096, PROT_NONE);
	mmap((void *)SHARED, 0x10000, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	fd = open("a", O_RDWR | O_CREAT, 0600);
	if (ftruncate(fd, 6000) == 0)
		mmap((void *)FILE_MAP, 4 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
	for (uint32_t i = 0; i < thread_count; i += 2)
		munmap((void *)(SCRATCH(i) + SCRATCH_BYTES), 4096);
	mkdir("dir", 0700);
	open(".", O_RDONLY | O_DIRECTORY);
	if (pipe2(pair, O_NONBLOCK) || pipe(pair) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		cannot_begin("its pipes");
	/* One of which nobody else has the other end. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair))
		cannot_begin("its sockets");
	write(pair[1], "left behind", 11);
	close(pair[1]);
	eventfd(1, 0);
	epoll_create1(0);
	timerfd_create(CLOCK_MONOTONIC, 0);
	memfd_create("fuzz", 0);
	open("/dev/zero", O_RDWR);
	/* All others but SIGTERM and SIGCHLD, or nothing would live for long. */
	for (int sig = 1; sig <= 64; sig++)
		if (sig != SIGTERM && sig != SIGCHLD && sig != SIGCONT)
			handle(sig, poke);
	for (uint32_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		handle(faults[i], fault);
	for (uint32_t i = 0; i < thread_count; i++) {
		uint8_t *home = mmap(0, 2 * HOME_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (home == MAP_FAILED)
			cannot_begin("a thread's memory");
		workers[i] = (struct worker *)(((uintptr_t)home + HOME_BYTES - 1) & ~(HOME_BYTES - 1));
		*workers[i] = (struct worker){ .magic = MAGIC, .number = i, .random = mix(seed * MAX_THREADS + i), .tid = -1 };
	}
}

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* One seed: starts the threads, gets those out that hang in a call, ends. */
void run_seed(uint64_t seed)
{
	uint32_t seen[MAX_THREADS] = { 0 }, ended;
	uint64_t end = now_ms() + limit_ms;
	int pid_ = getpid();

	prepare_process(seed);
	for (uint32_t i = 0; i < thread_count; i++) {
		pthread_t t;
		pthread_attr_t attr;

		pthread_attr_init(&attr);
		pthread_attr_setstacksize(&attr, 128 << 10);
		if (pthread_create(&t, &attr, thread_main, workers[i]))
			cannot_begin("a thread");
	}
	/* A thread that played already could set limits that keep the next from starting. */
	atomic_store(&all_there, 1);
	do {
		usleep(10000);
		ended = 0;
		for (uint32_t i = 0; i < thread_count; i++) {
			uint32_t calls = atomic_load(&workers[i]->calls);
			int32_t tid = atomic_load(&workers[i]->tid);

			ended += tid == 0;
			if (tid > 0 && calls == seen[i])
				CALL(SYS_tgkill, (uint64_t)pid_, (uint64_t)tid, rnd(workers[i], 4) ? SIGUSR1 : 40);
			seen[i] = calls;
		}
	} while (ended < thread_count && now_ms() < end);
	_exit(0);
}
