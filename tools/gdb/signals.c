/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/signals.h"

#include <signal.h>

/* Linux's below 32; 0: gdb has none. */
static const uint8_t low[32] = {
	[SIGHUP] = 1, [SIGINT] = 2, [SIGQUIT] = 3, [SIGILL] = 4, [SIGTRAP] = 5, [SIGABRT] = 6, [SIGFPE] = 8,
	[SIGKILL] = 9, [SIGBUS] = 10, [SIGSEGV] = 11, [SIGSYS] = 12, [SIGPIPE] = 13, [SIGALRM] = 14,
	[SIGTERM] = 15, [SIGURG] = 16, [SIGSTOP] = 17, [SIGTSTP] = 18, [SIGCONT] = 19, [SIGCHLD] = 20,
	[SIGTTIN] = 21, [SIGTTOU] = 22, [SIGIO] = 23, [SIGXCPU] = 24, [SIGXFSZ] = 25, [SIGVTALRM] = 26,
	[SIGPROF] = 27, [SIGWINCH] = 28, [SIGUSR1] = 30, [SIGUSR2] = 31, [SIGPWR] = 32,
};

/* Real-time signals: 33 to 63 are 45 to 75, 32 and 64 came later. */
uint32_t signal_to_gdb(uint32_t n)
{
	if (n < 32)
		return low[n] || !n ? low[n] : SIGNAL_UNKNOWN;
	return n == 32 ? 77 : n == 64 ? 78 : n < 64 ? n + 12 : SIGNAL_UNKNOWN;
}

uint32_t signal_from_gdb(uint64_t n)
{
	uint32_t i;

	for (i = 1; i <= 64; i++)
		if (n && n != SIGNAL_UNKNOWN && signal_to_gdb(i) == n)
			return i;
	return 0;
}
