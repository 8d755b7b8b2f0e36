/* SPDX-License-Identifier: BSD-2-Clause */
/* Dies in a chosen way: fault null|write|exec|divide|opcode|trap|stack|abort|
 * kernel|noncanonical, or exits with a number: fault exit N. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char data[16] = { (char)0xc3 };

static int deeper(volatile char *above);
static int (*volatile again)(volatile char *above) = deeper;

static int deeper(volatile char *above)
{
	volatile char here[4096];

	here[0] = *above;
	return again(here) + here[0];
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	volatile int zero = 0;
	volatile int *volatile bad = (volatile int *)8;
	char c = 0;

	if (!strcmp(how, "exit"))
		return argc > 2 ? atoi(argv[2]) : 0;
	if (!strcmp(how, "null"))
		return *bad;
	if (!strcmp(how, "write"))
		*(volatile char *)(void *)main = 1;
	if (!strcmp(how, "exec"))
		((void (*)(void))(void *)data)();
	if (!strcmp(how, "divide"))
		return 100 / zero;
	if (!strcmp(how, "opcode"))
		__asm__ volatile("ud2");
	if (!strcmp(how, "trap"))
		__asm__ volatile("int3");
	if (!strcmp(how, "stack"))
		return deeper(&c);
	if (!strcmp(how, "abort"))
		abort();
	if (!strcmp(how, "kernel"))
		return *(volatile int *)0xffffffff80200000ul;
	if (!strcmp(how, "noncanonical"))
		return *(volatile int *)0x8000000000000000ul;
	fprintf(stderr, "fault: unknown way\n");
	return 2;
}
