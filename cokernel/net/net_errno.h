/* SPDX-License-Identifier: BSD-2-Clause */
/* The error numbers the stack reports, with Linux's values (include/uapi/asm-generic/errno.h). */
#ifndef NET_ERRNO_H
#define NET_ERRNO_H

enum net_errno {
    NET_EAGAIN = 11,
    NET_ENOMEM = 12,
    NET_EACCES = 13,
    NET_EBUSY = 16,
    NET_EEXIST = 17,
    NET_EINVAL = 22,
    NET_ENOSPC = 28,
    NET_EPIPE = 32,
    NET_ENONET = 64,
    NET_EPROTO = 71,
    NET_EDESTADDRREQ = 89,
    NET_EMSGSIZE = 90,
    NET_ENOPROTOOPT = 92,
    NET_EOPNOTSUPP = 95,
    NET_EADDRINUSE = 98,
    NET_EADDRNOTAVAIL = 99,
    NET_ENETUNREACH = 101,
    NET_ECONNABORTED = 103,
    NET_ECONNRESET = 104,
    NET_ENOBUFS = 105,
    NET_EISCONN = 106,
    NET_ENOTCONN = 107,
    NET_ETIMEDOUT = 110,
    NET_ECONNREFUSED = 111,
    NET_EHOSTDOWN = 112,
    NET_EHOSTUNREACH = 113,
    NET_EALREADY = 114,
    NET_EINPROGRESS = 115,
};

#endif
