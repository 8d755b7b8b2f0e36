/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of descriptors share; main.c says what they are. */
#ifndef APPS_FILES_H
#define APPS_FILES_H

#include <errno.h>
#include <fcntl.h>
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
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BIG (1u << 20)
extern char big[BIG], seen[BIG];        /* big: random bytes */
/* The compiler need not know. */
extern void *volatile nowhere, *volatile worse;

/* Result and error of a call. */
#define SHOW(call) do { \
	errno = 0; \
	long r_ = (long)(call); \
	printf("%s = %ld %s\n", #call, r_, r_ < 0 ? strerror(errno) : ""); \
} while (0)

void nap(long ms);
long now_ms(void);
/* 1500 ms have passed since then, and not that time once more from late in it. */
bool in_time(long from);
void make(int p[2], int flags);         /* a pipe */
void both_closed(int p[2]);
void pair(int s[2], int flags);         /* of sockets: socket.c */
int bytes_in(int s, unsigned long request); /* SIOCINQ, SIOCOUTQ; -1: none */
int wait_for(pid_t pid);                /* its status */
/* Reads exactly n bytes; the sum tells what they were. */
unsigned long take(int fd, size_t n);

/* Signals that were handled, since whoever is interested set it, and the last. */
extern atomic_int handled;
extern siginfo_t last;
void handle(int n, int flags);

int event_make(unsigned initial, int flags);
void event_add(int e, uint64_t n);      /* prints what happened */
void event_take(int e);

/* Something that another thread does in a while. */
struct later {
	enum { WRITE, CLOSE, READ, ADD, TAKE, REMOTE, KILL } what;
	int fd, wait_ms;            /* 0: 60 */
	pthread_t whom, thread;
};
void later(struct later *l);
void done(struct later *l);

/* What poll and select say about it, at once: poll.c. */
void ask(const char *when, int fd);

void pipe_errors(void);
void pipe_capacity(void);
void pipe_ends(void);
void pipe_numbers(void);
void pipe_flags(void);
void pipe_atomicity(void);
void pipe_flow(void);
void pipe_tree(void);
void pipe_signals(void);
void pipe_deaths(void);
void pipe_kills(void);
void pipe_closing(void);
void pipe_exec(void);
void pipe_memory(void);
void pipe_remote(void);
void pipe_rights(void);
void pipe_moving(void);
void poll_states(void);
void poll_errors(void);
void poll_times(void);
void poll_waiting(void);
void poll_signals(void);
void poll_many(void);
void poll_torture(void);
void events(void);
void poll_mixed(void);
void epoll_states(void);
void epoll_errors(void);
void epoll_waiting(void);
void epoll_fork(void);
void epoll_remote(void);
void epoll_torture(void);
void socket_errors(void);
void socket_capacity(void);
void socket_ends(void);
void socket_polls(void);
void socket_waits(void);
void socket_remote(void);
void socket_flow(void);
void socket_parted(void);
void fds_taken(void);
void timer_states(void);
void timer_waits(void);
void timer_remote(void);
void timer_clock(void);

#endif
