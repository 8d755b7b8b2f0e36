/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * liboutrigger: what a Linux program needs to administer partitions. Images are
 * read and checked here, ioctls wrapped, /sys read, the module loaded.
 *
 * Functions return 0 or a count, or -errno with a sentence in o->error (it has
 * no newline and names the thing, the reason and, where there is one, the
 * remedy). Not thread-safe for one struct outrigger.
 */
#ifndef LOADER_OUTRIGGER_H
#define LOADER_OUTRIGGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "abi/ioctl.h"

#define OUTRIGGER_SYSFS "/sys/class/outrigger"

struct outrigger {
	int fd;                      /* of the device node, -1: closed */
	char error[512];
};

/* ---- open.c: needs no other library ---- */

/* Opens a device node, OTR_DEV_RUN the second, and checks the module's ABI version. */
int outrigger_open_path(struct outrigger *o, const char *path);
int outrigger_open_run(struct outrigger *o);
void outrigger_close(struct outrigger *o);
/* Fills the request's head, calls, and turns a refusal into o->error. */
int outrigger_call(struct outrigger *o, unsigned long nr, struct otr_req *req, uint32_t bytes,
		   const char *what);

/* ---- device.c ---- */

/* Opens OTR_DEV_ADMIN (admin), loading the module if it is missing, or OTR_DEV_RUN. */
int outrigger_open(struct outrigger *o, bool admin);

struct outrigger_owner {
	uid_t uid;
	gid_t gid;
	unsigned int mode;
};
/* flags: OTR_DRY_RUN, OTR_FORCE of abi/ioctl.h. */
int outrigger_create(struct outrigger *o, const char *name, const struct outrigger_owner *owner,
		     unsigned int flags);
int outrigger_destroy(struct outrigger *o, const char *name, unsigned int flags);
int outrigger_boot(struct outrigger *o, const char *name, unsigned int flags);
int outrigger_shutdown(struct outrigger *o, const char *name, unsigned int timeout_ms,
		       unsigned int flags);
int outrigger_kill(struct outrigger *o, const char *name, unsigned int flags);
int outrigger_cpu_add(struct outrigger *o, const char *name, unsigned int cpu, unsigned int flags);
int outrigger_cpu_remove(struct outrigger *o, const char *name, unsigned int cpu,
			 unsigned int flags);

struct outrigger_memory {
	uint64_t bytes;              /* in: wanted; out: moved, or could be moved */
	int node;                    /* -1: any */
	unsigned int kind;           /* OTR_MEM_* */
	unsigned int flags;
};
int outrigger_memory_add(struct outrigger *o, const char *name, struct outrigger_memory *m);
int outrigger_memory_remove(struct outrigger *o, const char *name, struct outrigger_memory *m);

/* Bytes of the log or console from *position on, which moves; *lost counts what
 * was overwritten before it could be read. Never blocks; 0: nothing new. */
ssize_t outrigger_log(struct outrigger *o, const char *name, unsigned int which,
		      uint64_t *position, uint64_t *lost, void *to, size_t bytes);
int outrigger_peek(struct outrigger *o, const char *name, uint64_t phys, void *to, size_t bytes);
int outrigger_test(struct outrigger *o, const char *name, unsigned int test);

/* ---- image.c ---- */

struct outrigger_image {
	struct otr_image_segment segment[OTR_IMAGE_SEGMENTS];
	unsigned int segment_count;
	uint32_t abi_version;        /* of its ELF note */
	uint64_t entry;
	void *file;                  /* the whole file, mapped */
	size_t file_bytes;
};
/* Reads an image and refuses what is not one. */
int outrigger_image_read(struct outrigger *o, const char *path, struct outrigger_image *img);
void outrigger_image_free(struct outrigger_image *img);
int outrigger_load(struct outrigger *o, const char *name, const struct outrigger_image *img,
		   const char *cmdline, unsigned int log_level);

/* ---- sys.c ---- */

/* Names of all partitions, sorted; free with outrigger_names_free. */
int outrigger_names(struct outrigger *o, char ***names);
void outrigger_names_free(char **names);
/* One value of a partition, without its newline. */
int outrigger_value(struct outrigger *o, const char *name, const char *file, char *to, size_t bytes);
int outrigger_number(struct outrigger *o, const char *name, const char *file, uint64_t *value);

/* ---- module.c ---- */

/* Loads outrigger.ko unless it is there: $OUTRIGGER_MODULE if set, the installed
 * one, or the one built beside the running program. */
int outrigger_module_load(struct outrigger *o);

/* ---- error.c ---- */
int outrigger_fail(struct outrigger *o, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
