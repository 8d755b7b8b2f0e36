/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The server's inside: one session with gdb. Who sends is reply.c, what a program's
 * stops are told as and how it goes on is stops.c, its registers and memory are
 * state.c, what is asked for by name is query.c; server.c has the loop.
 */
#ifndef GDB_SESSION_H
#define GDB_SESSION_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tools/gdb/rsp.h"
#include "tools/gdb/target.h"

#define DATA_MOST (RSP_MOST / 2 - 64)   /* bytes of memory in a packet */
#define LIST_MOST (RSP_MOST - 64)
#define GDB_SIGINT 2u
#define GDB_SIGTRAP 5u

struct server {
	struct target *t;
	int in, out;
	bool started;           /* not attached */
	bool no_ack;
	bool multiprocess;      /* gdb wants pPID.TID */
	bool swbreak, execs;    /* gdb understands these reasons */
	bool running;
	bool over;              /* the connection has done its work */
	bool broken;
	uint32_t general, cont; /* tids of Hg and Hc; 0: any */
	uint32_t last;          /* tid of the last stop */
	uint32_t stepped;       /* tid that gdb wanted to step */
	uint32_t listed;        /* tid up to which qfThreadInfo went */
	bool exited;
	uint32_t status;
	char stop[PATH_MAX * 2 + 128];  /* the last stop, for `?` */
	char frame[RSP_MOST];   /* the last packet sent */
	size_t frame_bytes;
	struct rsp rsp;
};

/* ---- reply.c ---- */

/* Sends as it is, until all is out or the connection broke. */
void send_all(struct server *s, const char *data, size_t bytes);
/* Sends a packet; it is kept for gdb to ask for again. */
void reply_bytes(struct server *s, const void *data, size_t bytes);
void reply(struct server *s, const char *text);
/* err: a negative errno. */
void reply_error(struct server *s, int err);
/* "OK", or the error. */
void reply_result(struct server *s, int err);
/* A thread's name as gdb wants it. */
void put_thread(const struct server *s, char *to, size_t bytes, uint32_t tid);

/* ---- stops.c ---- */

/* The program has ended with this status, as wait() gives it. */
void server_ended(struct server *s, uint32_t status);
/* Holds the program and says why; by: gdb's signal where it only was to stop. */
void server_stopped(struct server *s, uint32_t by);
/* Sends the last stop. */
void tell_stop(struct server *s);
/* The thread that a packet without a name is for; wanted: of Hg or Hc, 0 if none. */
struct target_thread *thread_for(struct server *s, uint32_t wanted);
/* vCont with its actions. */
void cmd_vcont(struct server *s, const char *at);
/* c, s, C, S of old, for the thread of Hc. An address to go on at is not taken. */
void cmd_old(struct server *s, const char *at);

/* ---- state.c: g, G, p, P, m, M and X, Z and z ---- */

void cmd_get_all(struct server *s);
void cmd_set_all(struct server *s, const char *at);
void cmd_get(struct server *s, const char *at);
void cmd_set(struct server *s, const char *at);
/* ADDR,BYTES */
bool take_range(const char **at, uint64_t *addr, uint64_t *bytes);
void cmd_read(struct server *s, const char *at);
void cmd_write(struct server *s, const char *at, bool binary);
void cmd_break(struct server *s, const char *at, bool insert);

/* ---- query.c: H, T, q and Q ---- */

/* Steps over a word, if it comes next. */
bool take_word(const char **at, const char *word);
void cmd_thread(struct server *s, const char *at);
void cmd_alive(struct server *s, const char *at);
void cmd_query(struct server *s, const char *at);

#endif
