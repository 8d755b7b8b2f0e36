/* SPDX-License-Identifier: BSD-2-Clause */
/* What the module tells in /sys/class/outrigger. */
#include "loader/outrigger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int visible(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

int outrigger_names(struct outrigger *o, char ***names)
{
	struct dirent **list;
	char **to;
	int n = scandir(OUTRIGGER_SYSFS, &list, visible, alphasort), i;

	*names = NULL;
	if (n < 0 && errno == ENOENT)
		return 0;	/* no module, no partitions */
	if (n < 0)
		return outrigger_fail(o, -errno, OUTRIGGER_SYSFS ": %s", strerror(errno));
	to = calloc((size_t)n + 1, sizeof(*to));
	for (i = 0; i < n; i++) {
		if (to)
			to[i] = strdup(list[i]->d_name);
		free(list[i]);
	}
	free(list);
	*names = to;
	return to ? n : outrigger_fail(o, -ENOMEM, "out of memory");
}

void outrigger_names_free(char **names)
{
	char **n;

	for (n = names; n && *n; n++)
		free(*n);
	free(names);
}

int outrigger_value(struct outrigger *o, const char *name, const char *file, char *to, size_t bytes)
{
	char path[512];
	ssize_t n;
	int fd;

	if (strchr(name, '/') || name[0] == '.')
		return outrigger_fail(o, -EINVAL, "%s is not a partition's name", name);
	snprintf(path, sizeof(path), OUTRIGGER_SYSFS "/%s/%s", name, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return outrigger_fail(o, -ENOENT, "there is no partition %s", name);
	if (fd < 0)
		return outrigger_fail(o, -errno, "%s: %s", path, strerror(errno));
	n = read(fd, to, bytes - 1);
	close(fd);
	if (n < 0)
		return outrigger_fail(o, -errno, "%s: %s", path, strerror(errno));
	while (n > 0 && to[n - 1] == '\n')
		n--;
	to[n] = 0;
	return 0;
}

int outrigger_number(struct outrigger *o, const char *name, const char *file, uint64_t *value)
{
	char text[64], *end;
	int ret = outrigger_value(o, name, file, text, sizeof(text));

	if (ret)
		return ret;
	*value = strtoull(text, &end, 0);
	if (end == text || *end)
		return outrigger_fail(o, -EPROTO, "%s of %s is not a number", file, name);
	return 0;
}
