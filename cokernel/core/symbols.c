/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/core/symbols.h"

struct symbol {
	uint64_t at;
	uint64_t name;              /* offset into symbol_names */
};

extern const struct symbol symbol_table[];
extern const uint64_t symbol_count;
extern const char symbol_names[];
extern const char text_start[], text_end[];

const char *symbol_find(uint64_t at, uint64_t *offset)
{
	uint64_t low = 0, high = symbol_count;

	if (at < (uint64_t)text_start || at >= (uint64_t)text_end || !high)
		return NULL;
	while (high - low > 1) {
		uint64_t mid = (low + high) / 2;

		if (symbol_table[mid].at <= at)
			low = mid;
		else
			high = mid;
	}
	if (symbol_table[low].at > at)
		return NULL;
	*offset = at - symbol_table[low].at;
	return symbol_names + symbol_table[low].name;
}
