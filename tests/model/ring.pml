/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The message ring (abi/chan.h) with free-running indices that wrap, here modulo
 * 8 with 4 entries: no entry is lost, doubled, torn or out of order, full and
 * empty are told apart across the wrap.
 */
#define COUNT 4
#define WRAP 8
#define MESSAGES 12

byte entry[COUNT];
byte head, tail;                /* shared, written by one side each */

active proctype producer()
{
	byte mine = 0, n = 0;

	do
	:: n < MESSAGES ->
		(((mine + WRAP - head) % WRAP) < COUNT);        /* not full */
		entry[mine % COUNT] = 255;                      /* half written */
		entry[mine % COUNT] = n;
		mine = (mine + 1) % WRAP;
		tail = mine;                                    /* release */
		n++
	:: n == MESSAGES -> break
	od
}

active proctype consumer()
{
	byte mine = 0, n = 0;

	do
	:: n < MESSAGES ->
		(tail != mine);
		assert(((tail + WRAP - mine) % WRAP) <= COUNT);
		assert(entry[mine % COUNT] == n);
		mine = (mine + 1) % WRAP;
		head = mine;                                    /* release */
		n++
	:: n == MESSAGES -> break
	od
}
