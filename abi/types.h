/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Fixed-width types and layout asserts for the structures that two worlds
 * share. Every other header in abi/ includes this one and nothing else.
 */
#ifndef ABI_TYPES_H
#define ABI_TYPES_H

#ifdef __KERNEL__
#include <linux/stddef.h>
#include <linux/types.h>
#else
#include <stddef.h>
#include <stdint.h>
#endif

#define OTR_ASSERT_SIZE(type, bytes) \
	_Static_assert(sizeof(type) == (bytes), #type " has a wrong size")
#define OTR_ASSERT_AT(type, field, at) \
	_Static_assert(offsetof(type, field) == (at), #type "." #field " moved")

/* Version of everything in abi/. Any change of a layout or a meaning bumps it;
 * host module, co-kernel and command refuse a peer of another version. */
#define OTR_ABI_VERSION 6u

#define OTR_PAGE_SIZE 4096u
#define OTR_LINE_SIZE 64u
#define OTR_NAME_SIZE 32u   /* partition name, terminating 0 included */

#endif
