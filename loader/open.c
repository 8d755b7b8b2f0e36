/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program needs to talk to a module that is loaded; no library but libc. */
#include "loader/outrigger.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int outrigger_call(struct outrigger *o, unsigned long nr, struct otr_req *req, uint32_t bytes,
		   const char *what)
{
	char message[256] = "";
	int err;

	req->size = bytes;
	req->message = (uintptr_t)message;
	req->message_bytes = sizeof(message);
	if (ioctl(o->fd, nr, req) >= 0)
		return 0;
	err = errno;
	message[sizeof(message) - 1] = 0;
	if (message[0])
		return outrigger_fail(o, -err, "%s", message);
	return outrigger_fail(o, -err, "%s: %s", what, strerror(err));
}

static int check_version(struct outrigger *o)
{
	struct otr_ioc_version v = { 0 };
	int ret = outrigger_call(o, OTR_IOC_VERSION, &v.req, sizeof(v), "the module's version");

	if (ret)
		return ret;
	if (v.abi_version != OTR_ABI_VERSION)
		return outrigger_fail(o, -EPROTO,
				      "the loaded module speaks ABI version %u, this program %u; load the module that belongs to it",
				      v.abi_version, OTR_ABI_VERSION);
	return 0;
}

int outrigger_open_path(struct outrigger *o, const char *path)
{
	int ret;

	o->error[0] = 0;
	o->fd = open(path, O_RDWR | O_CLOEXEC);
	if (o->fd < 0)
		return outrigger_fail(o, -errno, "%s: %s%s", path, strerror(errno),
				      errno == ENOENT ? "; load the module: modprobe outrigger" :
				      errno == EACCES ? "; administration needs root" : "");
	ret = check_version(o);
	if (ret)
		outrigger_close(o);
	return ret;
}

int outrigger_open_run(struct outrigger *o)
{
	return outrigger_open_path(o, OTR_DEV_RUN);
}

void outrigger_close(struct outrigger *o)
{
	if (o->fd >= 0)
		close(o->fd);
	o->fd = -1;
}
