/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/outrigger/table.h"

#include <json-c/json.h>
#include <libsmartcols/libsmartcols.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/outrigger/parse.h"

struct table {
	const struct column *columns;
	unsigned int count;
	struct libscols_table *text;
	struct libscols_line *line;
	struct json_object *rows;
	struct json_object *row;
};

static void table_free(struct table *t)
{
	if (t->text)
		scols_unref_table(t->text);
	if (t->rows)
		json_object_put(t->rows);
	free(t);
}

struct table *table_new(const struct column *columns, unsigned int count)
{
	struct table *t = calloc(1, sizeof(*t));
	unsigned int i;

	if (!t)
		return NULL;
	t->columns = columns;
	t->count = count;
	t->text = scols_new_table();
	t->rows = json_object_new_array();
	if (!t->text || !t->rows) {
		table_free(t);
		return NULL;
	}
	for (i = 0; i < count; i++)
		scols_table_new_column(t->text, columns[i].title, 0,
				       columns[i].right ? SCOLS_FL_RIGHT : 0);
	return t;
}

void table_row(struct table *t)
{
	unsigned int i;

	t->line = scols_table_new_line(t->text, NULL);
	t->row = json_object_new_object();
	json_object_array_add(t->rows, t->row);
	for (i = 0; i < t->count; i++)
		json_object_object_add(t->row, t->columns[i].key, NULL);
}

void table_text(struct table *t, unsigned int column, const char *text)
{
	if (t->line)
		scols_line_set_data(t->line, column, text);
	json_object_object_add(t->row, t->columns[column].key, json_object_new_string(text));
}

static void both(struct table *t, unsigned int column, const char *text, uint64_t value)
{
	if (t->line)
		scols_line_set_data(t->line, column, text);
	json_object_object_add(t->row, t->columns[column].key, json_object_new_uint64(value));
}

void table_number(struct table *t, unsigned int column, uint64_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	both(t, column, text, value);
}

void table_bytes(struct table *t, unsigned int column, uint64_t bytes)
{
	char text[32];

	both(t, column, format_bytes(bytes, text, sizeof(text)), bytes);
}

int table_print(struct table *t, bool json)
{
	int ret = 0;

	if (!t) {
		fprintf(stderr, "outrigger: out of memory\n");
		return 1;
	}
	if (json)
		puts(json_object_to_json_string_ext(t->rows, JSON_C_TO_STRING_PRETTY |
						    JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (json_object_array_length(t->rows))
		ret = scols_print_table(t->text) != 0;
	table_free(t);
	return fflush(stdout) || ret ? 1 : 0;
}
