/* SPDX-License-Identifier: BSD-2-Clause */
/* What the stub image's C and assembler share. */
#ifndef STUB_LIMITS_H
#define STUB_LIMITS_H

#define STUB_CPUS 64
#define STUB_STACK_SHIFT 13
#define STUB_ABI_VERSION 6

#endif
