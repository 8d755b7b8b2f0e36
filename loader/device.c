/* SPDX-License-Identifier: BSD-2-Clause */
/* The module's ioctls, one function each. */
#include "loader/outrigger.h"

#include <errno.h>
#include <string.h>

#define CALL(o, nr, request, what) outrigger_call(o, nr, &(request)->req, sizeof(*(request)), what)

static int put_name(struct outrigger *o, char *to, const char *name)
{
	if (strlen(name) >= OTR_NAME_SIZE)
		return outrigger_fail(o, -ENAMETOOLONG, "the name %s is too long; %u characters are allowed",
				      name, OTR_NAME_SIZE - 1);
	memset(to, 0, OTR_NAME_SIZE);
	memcpy(to, name, strlen(name));
	return 0;
}

int outrigger_open(struct outrigger *o, bool admin)
{
	int ret;

	if (!admin)
		return outrigger_open_run(o);
	ret = outrigger_open_path(o, OTR_DEV_ADMIN);
	if (ret != -ENOENT)
		return ret;
	ret = outrigger_module_load(o);
	return ret ? ret : outrigger_open_path(o, OTR_DEV_ADMIN);
}

int outrigger_create(struct outrigger *o, const char *name, const struct outrigger_owner *owner,
		     unsigned int flags)
{
	struct otr_ioc_create c = {
		.flags = flags, .uid = owner->uid, .gid = owner->gid, .mode = owner->mode,
	};
	int ret = put_name(o, c.name, name);

	return ret ? ret : CALL(o, OTR_IOC_CREATE, &c, name);
}

static int by_name(struct outrigger *o, unsigned long nr, const char *name, unsigned int timeout_ms,
		   unsigned int flags)
{
	struct otr_ioc_name n = { .flags = flags, .timeout_ms = timeout_ms };
	int ret = put_name(o, n.name, name);

	return ret ? ret : CALL(o, nr, &n, name);
}

int outrigger_destroy(struct outrigger *o, const char *name, unsigned int flags)
{
	return by_name(o, OTR_IOC_DESTROY, name, 0, flags);
}

int outrigger_boot(struct outrigger *o, const char *name, unsigned int flags)
{
	return by_name(o, OTR_IOC_BOOT, name, 0, flags);
}

int outrigger_shutdown(struct outrigger *o, const char *name, unsigned int timeout_ms,
		       unsigned int flags)
{
	return by_name(o, OTR_IOC_SHUTDOWN, name, timeout_ms, flags);
}

int outrigger_kill(struct outrigger *o, const char *name, unsigned int flags)
{
	return by_name(o, OTR_IOC_KILL, name, 0, flags);
}

static int cpu(struct outrigger *o, unsigned long nr, const char *name, unsigned int number,
	       unsigned int flags)
{
	struct otr_ioc_cpu c = { .flags = flags, .cpu = number };
	int ret = put_name(o, c.name, name);

	return ret ? ret : CALL(o, nr, &c, name);
}

int outrigger_cpu_add(struct outrigger *o, const char *name, unsigned int number, unsigned int flags)
{
	return cpu(o, OTR_IOC_CPU_ADD, name, number, flags);
}

int outrigger_cpu_remove(struct outrigger *o, const char *name, unsigned int number,
			 unsigned int flags)
{
	return cpu(o, OTR_IOC_CPU_REMOVE, name, number, flags);
}

static int memory(struct outrigger *o, unsigned long nr, const char *name,
		  struct outrigger_memory *m)
{
	struct otr_ioc_memory r = {
		.flags = m->flags, .node = m->node, .kind = m->kind, .bytes = m->bytes,
	};
	int ret = put_name(o, r.name, name);

	if (ret)
		return ret;
	ret = CALL(o, nr, &r, name);
	m->bytes = r.bytes;
	return ret;
}

int outrigger_memory_add(struct outrigger *o, const char *name, struct outrigger_memory *m)
{
	return memory(o, OTR_IOC_MEM_ADD, name, m);
}

int outrigger_memory_remove(struct outrigger *o, const char *name, struct outrigger_memory *m)
{
	return memory(o, OTR_IOC_MEM_REMOVE, name, m);
}

ssize_t outrigger_log(struct outrigger *o, const char *name, unsigned int which,
		      uint64_t *position, uint64_t *lost, void *to, size_t bytes)
{
	struct otr_ioc_log l = {
		.which = which, .position = *position, .data = (uintptr_t)to,
		.data_bytes = bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes,
	};
	int ret = put_name(o, l.name, name);

	if (!ret)
		ret = CALL(o, OTR_IOC_LOG, &l, name);
	if (ret)
		return ret;
	*position = l.position;
	*lost += l.lost_bytes;
	return l.data_bytes;
}

int outrigger_peek(struct outrigger *o, const char *name, uint64_t phys, void *to, size_t bytes)
{
	struct otr_ioc_peek p = { .phys = phys, .bytes = bytes, .data = (uintptr_t)to };
	int ret = put_name(o, p.name, name);

	return ret ? ret : CALL(o, OTR_IOC_PEEK, &p, name);
}

int outrigger_test(struct outrigger *o, const char *name, unsigned int test)
{
	struct otr_ioc_test t = { .test = test };
	int ret = put_name(o, t.name, name);

	return ret ? ret : CALL(o, OTR_IOC_TEST, &t, name);
}

int outrigger_load(struct outrigger *o, const char *name, const struct outrigger_image *img,
		   const char *cmdline, unsigned int log_level)
{
	struct otr_ioc_load l = {
		.abi_version = img->abi_version, .segment_count = img->segment_count,
		.segments = (uintptr_t)img->segment, .entry = img->entry,
		.cmdline = (uintptr_t)cmdline, .log_level = log_level,
		.cmdline_bytes = cmdline ? (uint32_t)strlen(cmdline) + 1 : 0,
	};
	int ret = put_name(o, l.name, name);

	return ret ? ret : CALL(o, OTR_IOC_LOAD, &l, name);
}
