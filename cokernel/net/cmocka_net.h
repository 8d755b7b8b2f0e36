/* SPDX-License-Identifier: BSD-2-Clause */
/* cmocka with the headers it wants before it. For *_test.c only. */
#ifndef NET_CMOCKA_NET_H
#define NET_CMOCKA_NET_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#endif
