/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Costs of single operations, the same program on Linux and on a co-kernel:
 *   bench OPERATION [SAMPLES [FILE]]
 * prints one line of JSON: {"op":..., "samples":n, "min":t, "p50":t, "p99":t,
 * "mean":t}, in TSC ticks for one operation. Under `-icount shift=0` a tick is
 * one instruction of the machine, whichever CPU executes it.
 *
 *   null        a trivial call (getpid by number)
 *   yield       sched_yield with nothing else to run
 *   clock       clock_gettime(CLOCK_MONOTONIC) by number
 *   vdso        the same through libc
 *   fork        fork, _exit, wait
 *   exec        fork, execv of /bin/true, wait
 *   python      the same with python3 -c pass
 *   sqlite      the same with sqlite3: 2,000 rows into a new file, summed up
 *   gcc         the same with gcc -O1 -c of a small file
 *   loops       the same with python3 and a few loops over lists and dictionaries
 *   pread       4 KiB from FILE at offset 0
 *   write       1 byte to /dev/null
 *   pread-busy, write-busy   the same while another thread of the program
 *               computes on the same CPU
 *   pread-N     N threads at once; a sample is one call of one thread
 *   touch       first write to a page of a fresh 64 MiB mapping
 *   mmap        mmap + munmap of 64 KiB, untouched
 *   mmap-4k, mmap-1g   mmap, a write to each page, munmap, of 4 KiB and of 1 GiB
 *   thread      pthread_create + join
 *   futex       a wake-up of another thread and back (ping-pong)
 *   mutex       lock, sched_yield, unlock, against another thread that does the same
 *   switch      sched_yield to another thread on the same CPU and back
 *   signal      a signal to the thread itself, its handler, and back
 *   signals     a signal to another thread, which waits with sigsuspend(), and one from there
 *   pthread-kill the same by the library's call, which blocks all signals meanwhile
 *   pipe-rw     1 byte into a pipe and out again, by one thread
 *   pipe        1 byte to another thread through a pipe and back through another
 *   pipe-fork   the same with another process
 *   socketpair  1 byte to another thread through a pair of sockets and back
 *   socket-rw   1 byte into a pair of sockets and out again, by one thread
 *   eventfd     a number into an eventfd and out again, by one thread
 *   poll-pipe   poll of two pipes, one of which has a byte
 *   epoll       a number into one of two eventfds, epoll_wait for it, and out again
 *   loop        1,000,000 additions (the same machine code on both)
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int file, null_file;
static char buffer[64][4096] __attribute__((aligned(4096)));
static atomic_int stop, word, begun;

static uint64_t ticks(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc" : "=a"(lo), "=d"(hi) : : "memory");
	return (uint64_t)hi << 32 | lo;
}

static void op_null(void) { syscall(SYS_getpid); }
static void op_yield(void) { sched_yield(); }
static void op_clock(void) { struct timespec t; syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &t); }
static void op_pread(void) { if (pread(file, buffer[0], 4096, 0) < 0) exit(3); }
static void op_write(void) { if (write(null_file, buffer[0], 1) != 1) exit(3); }

static void op_mmap(void)
{
	void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	munmap(p, 65536);
}

static void touch_all(size_t bytes)
{
	char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		exit(3);
	for (size_t at = 0; at < bytes; at += 4096)
		p[at] = 1;
	munmap(p, bytes);
}

static void op_mmap_4k(void) { touch_all(4096); }
static void op_mmap_1g(void) { touch_all(1ul << 30); }

static void handler(int nr) { (void)nr; }

static void op_signal(void)
{
	if (raise(SIGUSR1))
		exit(3);
}

static pthread_t players[2];
static pid_t player_tids[2];
static bool by_library;
static _Atomic int signalled[2];
static sigset_t all_in;

static void on_play(int nr)
{
	(void)nr;
	atomic_store(&signalled[pthread_equal(pthread_self(), players[1])], 1);
}

static void await_signal(int player)
{
	while (!atomic_exchange(&signalled[player], 0))
		sigsuspend(&all_in);
}

static void send_signal(int player)
{
	if (by_library ? pthread_kill(players[player], SIGUSR1) :
			 (int)syscall(SYS_tgkill, player_tids[0], player_tids[player], SIGUSR1))
		exit(3);
}

static void op_signals(void)
{
	send_signal(1);
	await_signal(0);
}

static void *signal_ponger(void *arg)
{
	players[1] = pthread_self();
	player_tids[1] = (pid_t)syscall(SYS_gettid);
	atomic_store(&begun, 1);
	for (;;) {
		await_signal(1);
		if (atomic_load(&stop))
			return arg;
		send_signal(0);
	}
}

static void block_signals(void)
{
	sigset_t usr1;

	sigemptyset(&all_in);
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	signal(SIGUSR1, on_play);
	players[0] = pthread_self();
	player_tids[0] = getpid();
}

static void run(char **argv)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		if (argv)
			execv(argv[0], argv);
		_exit(argv ? 127 : 0);
	}
	if (waitpid(pid, &status, 0) != pid || status)
		exit(3);
}

static void op_fork(void) { run(NULL); }
static void op_exec(void) { run((char *[]){ "/bin/true", NULL }); }
static void op_python(void) { run((char *[]){ "/usr/bin/python3", "-c", "pass", NULL }); }
static void op_loops(void)
{
	run((char *[]){ "/usr/bin/python3", "-c",
		"d = {}\n"
		"for i in range(30000): d[i % 997] = d.get(i % 997, 0) + i * i\n"
		"l = sorted(str(v) for v in d.values())\n"
		"assert len(''.join(l)) > 5000", NULL });
}

static void op_sqlite(void)
{
	run((char *[]){ "/bin/sh", "-c",
		">/dev/shm/bench.db; sqlite3 /dev/shm/bench.db 'create table t(a integer, b text); "
		"with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) "
		"insert into t select i, hex(i * i) from n; create index u on t(b); "
		"select sum(a), count(distinct b) from t;' >/dev/null", NULL });
}

static void op_gcc(void)
{
	run((char *[]){ "/bin/sh", "-c",
		"echo 'int f(int n) { int s = 0; for (int i = 0; i < n; i++) s += i * n; return s; }' | "
		"gcc -O1 -x cpp-output -c -o /dev/shm/bench.o -", NULL });
}

static void op_vdso(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); }

static void *nothing(void *arg) { return arg; }

static void op_thread(void)
{
	pthread_t t;

	if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL))
		exit(3);
}

static void op_loop(void)
{
	uint64_t n = 1000000;

	__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
}

static char *fresh;
static size_t fresh_at;

static void op_touch(void)
{
	if (!fresh || fresh_at == 64ul << 20) {
		if (fresh)
			munmap(fresh, 64ul << 20);
		fresh = mmap(NULL, 64ul << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		fresh_at = 0;
	}
	fresh[fresh_at] = 1;
	fresh_at += 4096;
}

static void futex(int op, int value)
{
	syscall(SYS_futex, &word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void await(int value)
{
	int seen;

	while ((seen = atomic_load(&word)) != value)
		futex(FUTEX_WAIT, seen);
}

static void *ponger(void *arg)
{
	atomic_store(&begun, 1);
	for (;;) {
		await(1);
		if (atomic_load(&stop))
			return arg;
		atomic_store(&word, 0);
		futex(FUTEX_WAKE, 1);
	}
}

static void op_futex(void)
{
	atomic_store(&word, 1);
	futex(FUTEX_WAKE, 1);
	await(0);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void op_mutex(void)
{
	pthread_mutex_lock(&mutex);
	sched_yield();
	pthread_mutex_unlock(&mutex);
}

static void *locker(void *arg)
{
	atomic_store(&begun, 1);
	while (!atomic_load(&stop))
		op_mutex();
	return arg;
}

static void *yielder(void *arg)
{
	atomic_store(&begun, 1);
	while (!atomic_load(&stop))
		sched_yield();
	return arg;
}

static int there[2], back[2];

/* Sends back what it gets; until there is nobody. */
static void *pipe_ponger(void *arg)
{
	char c;

	atomic_store(&begun, 1);
	while (read(there[0], &c, 1) == 1 && !atomic_load(&stop))
		if (write(back[1], &c, 1) != 1)
			exit(3);
	return arg;
}

static void op_pipe(void)
{
	char c = 'c';

	if (write(there[1], &c, 1) != 1 || read(back[0], &c, 1) != 1)
		exit(3);
}

static void op_pipe_rw(void)
{
	char c = 'c';

	if (write(there[1], &c, 1) != 1 || read(there[0], &c, 1) != 1)
		exit(3);
}

/* As if it were two pipes. */
static int make_pair(void)
{
	int s[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, s))
		return -1;
	there[1] = back[0] = s[0];
	there[0] = back[1] = s[1];
	return 0;
}

static int event;

static void op_eventfd(void)
{
	uint64_t n = 1;

	if (write(event, &n, sizeof(n)) != sizeof(n) || read(event, &n, sizeof(n)) != sizeof(n))
		exit(3);
}

static void op_poll_pipe(void)
{
	struct pollfd p[2] = { { there[0], POLLIN, 0 }, { back[0], POLLIN, 0 } };

	if (poll(p, 2, -1) != 1)
		exit(3);
}

static int epoll;

static void make_set(void)
{
	struct epoll_event v = { .events = EPOLLIN };
	int idle = eventfd(0, 0);

	event = eventfd(0, 0);
	epoll = epoll_create1(0);
	if (event < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, event, &v) || epoll_ctl(epoll, EPOLL_CTL_ADD, idle, &v))
		exit(3);
}

static void op_epoll(void)
{
	struct epoll_event v;
	uint64_t n = 1;

	if (write(event, &n, sizeof(n)) != sizeof(n) || epoll_wait(epoll, &v, 1, -1) != 1 ||
	    read(event, &n, sizeof(n)) != sizeof(n))
		exit(3);
}

/* Computes until it is told to stop; keeps to the caller's CPU. */
static void *burner(void *arg)
{
	atomic_store(&begun, 1);
	while (!atomic_load(&stop))
		op_loop();
	return arg;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void sample(void (*op)(void), uint64_t *t, int n)
{
	for (int i = 0; i < n / 10 + (n > 4 ? 2 : 1); i++)
		op();
	for (int i = 0; i < n; i++) {
		uint64_t from = ticks();

		op();
		t[i] = ticks() - from;
	}
}

static void report(const char *name, uint64_t *t, int n)
{
	double sum = 0;

	qsort(t, (size_t)n, sizeof(*t), compare);
	for (int i = 0; i < n; i++)
		sum += (double)t[i];
	printf("{\"op\":\"%s\",\"samples\":%d,\"min\":%lu,\"p50\":%lu,\"p99\":%lu,\"mean\":%.0f}\n",
	       name, n, t[0], t[n / 2], t[(size_t)n * 99 / 100], sum / n);
}

struct many { int index, n; uint64_t *t; pthread_barrier_t *start; };

static void *many_reads(void *arg)
{
	struct many *m = arg;

	pthread_barrier_wait(m->start);
	for (int i = 0; i < m->n; i++) {
		uint64_t from = ticks();

		if (pread(file, buffer[m->index], 4096, 0) < 0)
			exit(3);
		m->t[i] = ticks() - from;
	}
	return NULL;
}

static void concurrent(uint64_t *t, int n, int threads)
{
	pthread_t id[64];
	struct many m[64];
	pthread_barrier_t start;

	pthread_barrier_init(&start, NULL, (unsigned)threads);
	for (int i = 0; i < threads; i++) {
		m[i] = (struct many){ i, n / threads, t + i * (n / threads), &start };
		if (pthread_create(&id[i], NULL, many_reads, &m[i]))
			exit(3);
	}
	for (int i = 0; i < threads; i++)
		pthread_join(id[i], NULL);
}

static void pin_here(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
	/* `other` runs in another thread meanwhile, on the same CPU but for the ping-pong. */
	static const struct { const char *name; void (*op)(void); void *(*other)(void *); } ops[] = {
		{ "null", op_null, NULL }, { "yield", op_yield, NULL }, { "clock", op_clock, NULL },
		{ "pread", op_pread, NULL }, { "write", op_write, NULL }, { "touch", op_touch, NULL },
		{ "mmap", op_mmap, NULL }, { "mmap-4k", op_mmap_4k, NULL }, { "mmap-1g", op_mmap_1g, NULL },
		{ "thread", op_thread, NULL }, { "fork", op_fork, NULL }, { "exec", op_exec, NULL },
		{ "python", op_python, NULL }, { "loops", op_loops, NULL }, { "sqlite", op_sqlite, NULL },
		{ "gcc", op_gcc, NULL }, { "vdso", op_vdso, NULL }, { "loop", op_loop, NULL },
		{ "signal", op_signal, NULL }, { "signals", op_signals, signal_ponger },
		{ "pthread-kill", op_signals, signal_ponger }, { "futex", op_futex, ponger }, { "mutex", op_mutex, locker },
		{ "switch", op_yield, yielder }, { "pread-busy", op_pread, burner },
		{ "write-busy", op_write, burner },
		{ "eventfd", op_eventfd, NULL }, { "poll-pipe", op_poll_pipe, NULL },
		{ "epoll", op_epoll, NULL },
		{ "pipe-rw", op_pipe_rw, NULL }, { "pipe", op_pipe, pipe_ponger }, { "pipe-fork", op_pipe, NULL },
		{ "socket-rw", op_pipe_rw, NULL }, { "socketpair", op_pipe, pipe_ponger },
	};
	const char *name = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 1000, threads;
	uint64_t *t = n > 0 ? calloc((size_t)n, sizeof(*t)) : NULL;
	pthread_t other;

	if (!t) {
		fprintf(stderr, "usage: bench OPERATION [SAMPLES [FILE]]\n");
		return 2;
	}
	file = open(argc > 3 ? argv[3] : argv[0], O_RDONLY);
	null_file = open("/dev/null", O_WRONLY);
	if (file < 0 || null_file < 0)
		return 2;
	memset(t, 0, (size_t)n * sizeof(*t));
	memset(buffer, 0, sizeof(buffer));
	if (sscanf(name, "pread-%d", &threads) == 1 && threads > 0 && threads <= 64) {
		concurrent(t, n, threads);
		report(name, t, n / threads * threads);
		return 0;
	}
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		pid_t child = 0;

		if (strcmp(name, ops[i].name))
			continue;
		signal(SIGUSR1, handler);
		by_library = !strcmp(name, "pthread-kill");
		if (ops[i].other == signal_ponger)
			block_signals();
		else if (ops[i].other && ops[i].other != ponger && ops[i].other != pipe_ponger)
			pin_here();
		if (strstr(name, "pipe") && (pipe(there) || pipe(back)))
			return 3;
		if (!strncmp(name, "socket", 6) && make_pair())
			return 3;
		if (!strcmp(name, "eventfd") && (event = eventfd(0, 0)) < 0)
			return 3;
		if (!strcmp(name, "epoll"))
			make_set();
		if (!strcmp(name, "poll-pipe") && write(there[1], "", 1) != 1)
			return 3;
		if (!strcmp(name, "pipe-fork") && !(child = fork())) {
			close(there[1]);
			pipe_ponger(NULL);
			_exit(0);
		}
		if (ops[i].other && pthread_create(&other, NULL, ops[i].other, NULL))
			return 3;
		while (ops[i].other && !atomic_load(&begun))
			sched_yield();
		sample(ops[i].op, t, n);
		if (ops[i].other) {
			atomic_store(&stop, 1);
			atomic_store(&word, 1);
			futex(FUTEX_WAKE, 1);
			if (ops[i].other == signal_ponger)
				pthread_kill(other, SIGUSR1);
			if (ops[i].other == pipe_ponger && write(there[1], "", 1) != 1)
				return 3;
			pthread_join(other, NULL);
		}
		if (child > 0) {
			close(there[1]);
			waitpid(child, NULL, 0);
		}
		report(name, t, n);
		return 0;
	}
	fprintf(stderr, "bench: no operation %s\n", name);
	return 2;
}
