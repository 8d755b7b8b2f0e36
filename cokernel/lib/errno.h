/* SPDX-License-Identifier: BSD-2-Clause */
/* Error numbers with Linux's values (asm-generic/errno*.h); functions return
 * them negated. */
#ifndef COKERNEL_LIB_ERRNO_H
#define COKERNEL_LIB_ERRNO_H

#ifdef OTR_HOSTED
#include <errno.h>
#else
#define EPERM 1
#define ENOENT 2
#define ESRCH 3
#define EINTR 4
#define EIO 5
#define ENXIO 6
#define E2BIG 7
#define ENOEXEC 8
#define EBADF 9
#define ECHILD 10
#define EAGAIN 11
#define ENOMEM 12
#define EACCES 13
#define EFAULT 14
#define EBUSY 16
#define EEXIST 17
#define ENODEV 19
#define EINVAL 22
#define ENOSPC 28
#define EPIPE 32
#define EDEADLK 35
#define ENOSYS 38
#define EPROTO 71
#define EOVERFLOW 75
#define EMSGSIZE 90
#define EOPNOTSUPP 95
#define ECONNRESET 104
#define ETIMEDOUT 110
#define EINPROGRESS 115
#endif

#endif
