/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A proxy for the stub image's make-believe process: attaches to the partition
 * named by its argument, executes the calls of stub_calls.h, and ends with the
 * process's exit status. With a second argument "hang" it attaches, starts, and
 * sleeps until SIGUSR1.
 */
#include "abi/call.h"
#include "abi/ioctl.h"
#include "tests/images/stub/stub_calls.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

static int fd;
static int pipes[2];
static char message[256];

static int call(unsigned long nr, struct otr_req *req, uint32_t bytes, const char *what)
{
	int ret;

	req->size = bytes;
	req->message = (uintptr_t)message;
	req->message_bytes = sizeof(message);
	message[0] = 0;
	ret = ioctl(fd, nr, req);
	if (ret < 0)
		fprintf(stderr, "ctx_probe: %s: %s (%s)\n", what, strerror(errno), message);
	return ret;
}
#define CALL(nr, r) call(nr, &(r)->req, sizeof(*(r)), #nr)

static void *map(uint64_t at, uint64_t bytes, uint64_t offset)
{
	void *p = mmap((void *)(uintptr_t)at, bytes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | (at ? MAP_FIXED_NOREPLACE : 0), fd, (off_t)offset);

	if (p == MAP_FAILED) {
		perror("ctx_probe: mmap");
		exit(125);
	}
	return p;
}

static int64_t execute(const struct otr_slot *s)
{
	volatile uint64_t *at = (uint64_t *)(uintptr_t)s->arg[0];
	struct iovec v = { .iov_base = (void *)(uintptr_t)s->arg[0], .iov_len = 4096 };
	uint64_t word[512];

	switch (s->nr) {
	case STUB_CALL_ADD:
		return s->arg[0] + s->arg[1] == s->arg[2] ? 0 : -EINVAL;
	case STUB_CALL_MEMORY:
		if (*at != s->arg[1])
			return (int64_t)*at + 1;
		*at = s->arg[2];
		return 0;
	case STUB_CALL_READ:
		return *at == s->arg[1] ? 0 : (int64_t)*at + 1;
	case STUB_CALL_PIN:
		return vmsplice(pipes[1], &v, 1, 0) == 4096 ? 0 : -errno;
	case STUB_CALL_UNPIN:
		if (read(pipes[0], word, 4096) != 4096)
			return -errno;
		return !s->arg[0] || word[0] == s->arg[0] ? 0 : (int64_t)word[0] + 1;
	case STUB_CALL_FAULT:
		return write(pipes[1], (void *)(uintptr_t)s->arg[0], 8) == -1 && errno == EFAULT ? 0 : -EIO;
	}
	return -ENOSYS;
}

static void wake(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	struct otr_ioc_attach a = { 0 };
	struct otr_ioc_twin t = { 0 };
	struct otr_ioc_slot s = { 0 };
	struct otr_slot *page, *slot;
	int ret;

	if (argc < 2 || pipe(pipes) || signal(SIGUSR1, wake) == SIG_ERR)
		return 125;
	fd = open(OTR_DEV_RUN, O_RDWR | O_CLOEXEC);
	snprintf(a.name, sizeof(a.name), "%s", argv[1]);
	if (fd < 0 || CALL(OTR_IOC_ATTACH, &a))
		return 125;
	map(OTR_USER_START, OTR_USER_END - OTR_USER_START, OTR_USER_START);
	map(0, 4096, OTR_MMAP_PAGE(a.mailbox_page));
	page = map(0, 4096, OTR_MMAP_PAGE(a.slot_page));
	if (CALL(OTR_IOC_TWIN, &t))
		return 125;
	slot = &page[t.slot % OTR_SLOTS_PER_PAGE];
	if (CALL(OTR_IOC_START, &s))
		return 125;
	if (argc > 2)
		pause();            /* SIGUSR1 ends it */
	for (;;) {
		struct otr_ioc_wait w = { .slot = t.slot };

		ret = CALL(OTR_IOC_WAIT, &w);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return 125;
		if (ret == 1) {
			printf("ctx_probe: program over, status %#x\n", w.status);
			return w.status & 0x7f ? 128 + (w.status & 0x7f) : w.status >> 8 & 0xff;
		}
		slot->arg[0] = (uint64_t)execute(slot);
		if (__atomic_exchange_n(&slot->state, 0, __ATOMIC_SEQ_CST) & OTR_SLOT_CALLER_SLEEPS) {
			s.slot = t.slot;
			if (CALL(OTR_IOC_KICK, &s))
				return 125;
		}
	}
}
