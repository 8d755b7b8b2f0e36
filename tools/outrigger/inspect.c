/* SPDX-License-Identifier: BSD-2-Clause */
/* outrigger inspect: all that sysfs tells about one partition. */
#include <dirent.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/outrigger/command.h"

struct inspect_args {
	struct words words;
	bool json;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct inspect_args *a = state->input;

	if (key == 'j') {
		a->json = true;
		return 0;
	}
	return command_words(key, arg, state, &a->words);
}

static struct json_object *value_of(const char *text)
{
	char *end;
	unsigned long long n;

	errno = 0;
	n = strtoull(text, &end, 10);
	/* "0770" is a mode, not a number */
	if (*text >= '0' && *text <= '9' && !*end && !errno && (*text != '0' || !text[1]))
		return json_object_new_uint64(n);
	return json_object_new_string(text);
}

/* What device_add() puts into every folder. */
static int ours(const struct dirent *d)
{
	return d->d_name[0] != '.' && strcmp(d->d_name, "uevent") && strcmp(d->d_name, "power") &&
	       strcmp(d->d_name, "subsystem");
}

static int cpu_order(const struct dirent **a, const struct dirent **b)
{
	return strverscmp((*a)->d_name, (*b)->d_name);
}

static int read_folder(struct outrigger *o, const char *name, const char *below, struct json_object *to)
{
	char path[600], file[300], text[4096];
	struct dirent **list;
	int n, i, ret = 0;

	snprintf(path, sizeof(path), OUTRIGGER_SYSFS "/%s/%s", name, below);
	n = scandir(path, &list, ours, cpu_order);
	if (n < 0)
		return outrigger_fail(o, -errno, "there is no partition %s", name);
	for (i = 0; i < n; i++) {
		snprintf(file, sizeof(file), "%s%.255s", below, list[i]->d_name);
		if (!ret && list[i]->d_type == DT_DIR && !*below) {
			struct json_object *sub = json_object_new_object();

			json_object_object_add(to, list[i]->d_name, sub);
			strcat(file, "/");
			ret = read_folder(o, name, file, sub);
		} else if (!ret && list[i]->d_type == DT_REG) {
			ret = outrigger_value(o, name, file, text, sizeof(text));
			if (!ret)
				json_object_object_add(to, list[i]->d_name, value_of(text));
		}
		free(list[i]);
	}
	free(list);
	return ret;
}

static void print(struct json_object *from, const char *indent)
{
	json_object_object_foreach(from, key, value) {
		if (json_object_is_type(value, json_type_object)) {
			printf("%s%s:\n", indent, key);
			print(value, "    ");
		} else {
			const char *text = json_object_get_string(value), *end;

			/* values of several lines below each other */
			printf("%s%-16s", indent, key);
			while ((end = strchr(text, '\n'))) {
				printf(" %.*s\n%s%-16s", (int)(end - text), text, indent, "");
				text = end + 1;
			}
			printf(" %s\n", text);
		}
	}
}

int command_inspect(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "as JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "NAME",
		.doc = "Shows everything about a partition.",
	};
	struct inspect_args a = { .words = { .least = 1, .most = 1 } };
	struct outrigger o = { .fd = -1 };
	struct json_object *all = json_object_new_object();
	const char *name;
	char state[32];
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	name = a.words.word[0];
	json_object_object_add(all, "name", json_object_new_string(name));
	ret = outrigger_value(&o, name, "state", state, sizeof(state));
	if (!ret)
		ret = read_folder(&o, name, "", all);
	if (!ret && a.json)
		puts(json_object_to_json_string_ext(all, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	else if (!ret)
		print(all, "");
	json_object_put(all);
	return ret ? command_fail(&o) : 0;
}
