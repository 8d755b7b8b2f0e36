/* SPDX-License-Identifier: BSD-2-Clause */
/* The co-kernel's log: a byte ring that the host reads, or the serial port when
 * there is no host. May be called in any context but NMI. */
#ifndef COKERNEL_CORE_LOG_H
#define COKERNEL_CORE_LOG_H

#include "cokernel/lib/types.h"

enum { LOG_EMERG, LOG_ALERT, LOG_CRIT, LOG_ERR, LOG_WARNING, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

void log_init(void);
/* One line; level and time stamp are added in front, a newline behind. */
void log_line(int level, const char *fmt, ...) printf_(2, 3);
/* From here on the lock is not waited for: the holder may be dead. */
void log_break_lock(void);

#define log_err(...)  log_line(LOG_ERR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

noreturn_ void panic(const char *fmt, ...) printf_(1, 2);
struct regs;
noreturn_ void panic_regs(const struct regs *r, const char *fmt, ...) printf_(2, 3);
#define assert_kernel(x) do { if (unlikely(!(x))) panic("%s:%d: %s does not hold", __FILE__, __LINE__, #x); } while (0)

#endif
