/* SPDX-License-Identifier: BSD-2-Clause */
/* What the stub's make-believe process asks of tests/tools/ctx_probe.c; each call
 * returns 0 if it went as it should. */
#ifndef STUB_CALLS_H
#define STUB_CALLS_H

#define STUB_HUGE    0x40000000ull
#define STUB_SMALL   0x40200000ull
#define STUB_NOWHERE 0x50000000ull

#define STUB_CALL_ADD    1u  /* arg0 + arg1 == arg2? */
#define STUB_CALL_MEMORY 2u  /* *arg0 == arg1? then *arg0 = arg2 */
#define STUB_CALL_READ   3u  /* *arg0 == arg1? */
#define STUB_CALL_PIN    4u  /* vmsplice the page at arg0 into a pipe */
#define STUB_CALL_UNPIN  5u  /* read the pipe; is its first word arg0? */
#define STUB_CALL_FAULT  6u  /* write(2) from arg0 must give EFAULT */

#endif
