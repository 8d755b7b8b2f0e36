/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program to look into with gdb; for tests/vm/core.bats and gdb.bats.
 *   debuggee crash    writes to address 16 in crash_here()
 *   debuggee abort    calls abort()
 *   debuggee raise N  ends by signal N
 *   debuggee count    counts in tick() until `stop` is not 0, prints what it was given
 *   debuggee fork     the same, and a child and an exec'd program after it
 * Three more threads wait in functions of their own: for a lock, in read(), and in a
 * loop that never leaves user mode.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

volatile int stop;              /* a debugger sets it */
volatile long ticks;
volatile long spins;
char greeting[32] = "hello";
volatile int got_signal;
char *secret;                   /* kept out of core files */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t ready;
static int pipe_fds[2];

#define SEEN static __attribute__((noinline, noclone))

SEEN void wait_for_lock(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
}

SEEN void wait_for_input(void)
{
	char byte;

	if (read(pipe_fds[0], &byte, 1) < 0)
		perror("read");
}

SEEN void spin_forever(void)
{
	while (!stop)
		spins++;
}

SEEN int tick(int n)
{
	ticks += n;
	return n + 1;
}

SEEN void crash_here(volatile int *where)
{
	*where = 1;
}

static void *thread(void *how)
{
	pthread_barrier_wait(&ready);
	((void (*)(void))how)();
	return NULL;
}

static void handler(int number)
{
	got_signal = number;
}

static void count(void)
{
	int n = 1;

	while (!stop) {
		n = tick(n) & 0xff;
		usleep(1000);
	}
	printf("stop %d greeting %s signal %d\n", stop, greeting, got_signal);
}

int main(int argc, char **argv)
{
	void (*how[3])(void) = { wait_for_lock, wait_for_input, spin_forever };
	pthread_t t[3];
	int i, status;

	if (argc < 2)
		return 2;
	signal(SIGUSR1, handler);
	secret = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(secret, "not for a core file");
	madvise(secret, 4096, MADV_DONTDUMP);
	pthread_barrier_init(&ready, NULL, 4);
	if (pipe(pipe_fds))
		return 1;
	pthread_mutex_lock(&lock);
	for (i = 0; i < 3; i++)
		pthread_create(&t[i], NULL, thread, (void *)how[i]);
	pthread_barrier_wait(&ready);
	while (!spins)
		;
	usleep(50000);
	printf("ready %d\n", (int)getpid());
	fflush(stdout);
	if (!strcmp(argv[1], "crash"))
		crash_here((volatile int *)16);
	if (!strcmp(argv[1], "abort"))
		abort();
	if (!strcmp(argv[1], "raise") && argc > 2)
		raise(atoi(argv[2]));
	count();
	pthread_mutex_unlock(&lock);
	if (write(pipe_fds[1], "", 1) != 1)
		return 1;
	for (i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	if (!strcmp(argv[1], "fork")) {
		fflush(stdout);
		if (!fork()) {
			tick(1);
			_exit(3);
		}
		wait(&status);
		printf("child %#x\n", status);
		fflush(stdout);
		execl("/bin/echo", "echo", "replaced", NULL);
	}
	return 7;
}
