/* SPDX-License-Identifier: BSD-2-Clause */
/* What each fuzz target defines, for libFuzzer and for replay.c. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
extern const char fuzz_corpus[]; /* its folder in the tree */

#endif
