/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads outrigger.ko with libkmod. */
#include "loader/outrigger.h"

#include <errno.h>
#include <libkmod.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MODULE_NAME "outrigger"

/* build/module/VERSION/outrigger.ko for a program in build/bin/. */
static bool built_path(char *to, size_t bytes)
{
	char exe[512], *slash;
	struct utsname u;
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0 || uname(&u))
		return false;
	exe[n] = 0;
	slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = 0;
	slash = strrchr(exe, '/');
	if (!slash)
		return false;
	*slash = 0;
	return snprintf(to, bytes, "%s/module/%s/outrigger.ko", exe, u.release) < (int)bytes &&
	       !access(to, R_OK);
}

static int insert_path(struct kmod_ctx *ctx, const char *path)
{
	struct kmod_module *m;
	int ret = kmod_module_new_from_path(ctx, path, &m);

	if (ret)
		return ret;
	ret = kmod_module_insert_module(m, 0, NULL);
	kmod_module_unref(m);
	return ret;
}

static int insert_installed(struct kmod_ctx *ctx)
{
	struct kmod_list *list = NULL, *l;
	int ret = kmod_module_new_from_lookup(ctx, MODULE_NAME, &list);

	if (!ret && !list)
		ret = -ENOENT;
	kmod_list_foreach(l, list) {
		struct kmod_module *m = kmod_module_get_module(l);

		ret = kmod_module_probe_insert_module(m, KMOD_PROBE_APPLY_BLACKLIST_ALIAS_ONLY,
						      NULL, NULL, NULL, NULL);
		kmod_module_unref(m);
	}
	kmod_module_unref_list(list);
	return ret;
}

static int explain(struct outrigger *o, int ret)
{
	struct utsname u;

	if (!ret || ret == -EEXIST)
		return 0;
	if (uname(&u))
		u.release[0] = 0;
	if (ret == -ENOENT)
		return outrigger_fail(o, ret, "there is no module outrigger for kernel %s; build and install it: make install",
				      u.release);
	if (ret == -EPERM)
		return outrigger_fail(o, ret, "the module outrigger cannot be loaded: it needs root, and a signed module under Secure Boot");
	return outrigger_fail(o, ret, "the module outrigger cannot be loaded: %s; see the kernel log",
			      strerror(-ret));
}

int outrigger_module_load(struct outrigger *o)
{
	const char *path = getenv("OUTRIGGER_MODULE");
	struct kmod_ctx *ctx = kmod_new(NULL, NULL);
	char built[1024];
	int ret;

	if (!ctx)
		return outrigger_fail(o, -ENOMEM, "libkmod does not start");
	if (path)
		ret = insert_path(ctx, path);
	else
		ret = insert_installed(ctx);
	if (!path && ret == -ENOENT && built_path(built, sizeof(built)))
		ret = insert_path(ctx, built);
	kmod_unref(ctx);
	return explain(o, ret);
}
