/* SPDX-License-Identifier: BSD-2-Clause */
/* A listing, printed as a table (libsmartcols) or as JSON (json-c): an array of
 * objects, one a row, with the columns' keys. */
#ifndef OUTRIGGER_TABLE_H
#define OUTRIGGER_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct column {
	const char *key;            /* in JSON */
	const char *title;          /* in the table */
	bool right;                 /* aligned; for numbers */
};

struct table;

/* NULL when out of memory. */
struct table *table_new(const struct column *columns, unsigned int count);
void table_row(struct table *t);
/* Cells of the last row; each column at most once. A cell never set is empty,
 * null in JSON. */
void table_text(struct table *t, unsigned int column, const char *text);
void table_number(struct table *t, unsigned int column, uint64_t value);
/* Bytes: short in the table, exact in JSON. */
void table_bytes(struct table *t, unsigned int column, uint64_t bytes);
/* Prints and frees it: the exit status. */
int table_print(struct table *t, bool json);

#endif
