/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls every ioctl of the module wrongly and says what was not refused as it
 * should be. Run as root; drops to nobody for the unprivileged part. Needs a
 * running partition named by the argument, which it leaves as it was.
 */
#include "abi/call.h"
#include "abi/ioctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;
static const char *partition;

static void want(const char *what, long ret, int err)
{
	if (ret == -1 && errno == err)
		return;
	printf("%s: wanted %s, got %ld (%s)\n", what, strerror(err), ret, ret < 0 ? strerror(errno) : "success");
	failures++;
}

static void right(const char *what, bool so)
{
	if (so)
		return;
	printf("%s: not so (%s)\n", what, strerror(errno));
	failures++;
}

static const struct {
	unsigned int nr;
	unsigned int bytes;
	bool admin, run;
} known[] = {
	{ 0, sizeof(struct otr_ioc_version), true, true },
	{ 1, sizeof(struct otr_ioc_create), true, false },
	{ 2, sizeof(struct otr_ioc_name), true, false },
	{ 3, sizeof(struct otr_ioc_cpu), true, false },
	{ 4, sizeof(struct otr_ioc_cpu), true, false },
	{ 5, sizeof(struct otr_ioc_memory), true, false },
	{ 6, sizeof(struct otr_ioc_memory), true, false },
	{ 7, sizeof(struct otr_ioc_load), true, false },
	{ 8, sizeof(struct otr_ioc_name), true, false },
	{ 9, sizeof(struct otr_ioc_name), true, false },
	{ 10, sizeof(struct otr_ioc_name), true, false },
	{ 11, sizeof(struct otr_ioc_log), true, true },
	{ 12, sizeof(struct otr_ioc_peek), true, false },
	{ 13, sizeof(struct otr_ioc_test), true, false },
	{ 32, sizeof(struct otr_ioc_attach), false, true },
	{ 33, sizeof(struct otr_ioc_twin), false, true },
	{ 34, sizeof(struct otr_ioc_slot), false, true },
	{ 35, sizeof(struct otr_ioc_wait), false, true },
	{ 36, sizeof(struct otr_ioc_slot), false, true },
	{ 37, sizeof(struct otr_ioc_slot), false, true },
	{ 38, sizeof(struct otr_ioc_slot), false, true },
	{ 39, sizeof(struct otr_ioc_slot), false, true },
	{ 40, sizeof(struct otr_ioc_file), false, true },
	{ 41, sizeof(struct otr_ioc_slot), false, true },
	{ 42, sizeof(struct otr_ioc_inherit), false, true },
	{ 43, sizeof(struct otr_ioc_grant), false, true },
	{ 44, sizeof(struct otr_ioc_file_name), false, true },
	{ 45, sizeof(struct otr_ioc_die), false, true },
	{ 46, sizeof(struct otr_ioc_debug_attach), false, true },
	{ 47, sizeof(struct otr_ioc_debug), false, true },
	{ 48, sizeof(struct otr_ioc_cloexec), false, true },
	{ 49, sizeof(struct otr_ioc_pair), false, true },
	{ 50, sizeof(struct otr_ioc_of), false, true },
};

static unsigned long number(unsigned int nr, unsigned int bytes)
{
	return 0xc0000000ul | bytes << 16 | 'O' << 8 | nr;
}

/* Sizes, pointers and nodes of every number. */
static void decoding(int fd, bool admin)
{
	unsigned char buffer[512];
	char what[64];

	for (unsigned int nr = 0; nr < 256; nr++) {
		size_t k;

		for (k = 0; k < sizeof(known) / sizeof(known[0]) && known[k].nr != nr; k++)
			;
		snprintf(what, sizeof(what), "%s number %u", admin ? "admin" : "run", nr);
		memset(buffer, 0, sizeof(buffer));
		if (k == sizeof(known) / sizeof(known[0])) {
			want(what, ioctl(fd, number(nr, 64), buffer), ENOTTY);
			continue;
		}
		if (!(admin ? known[k].admin : known[k].run)) {
			want(what, ioctl(fd, number(nr, known[k].bytes), buffer), ENOTTY);
			continue;
		}
		want(what, ioctl(fd, number(nr, known[k].bytes - 8), buffer), EINVAL);
		want(what, ioctl(fd, number(nr, known[k].bytes + 8), buffer), EINVAL);
		want(what, ioctl(fd, number(nr, known[k].bytes), buffer), EINVAL);	/* size 0 */
		want(what, ioctl(fd, number(nr, known[k].bytes), NULL), EFAULT);
		want(what, ioctl(fd, number(nr, known[k].bytes), (void *)0xffff888000000000ul), EFAULT);
	}
}

#define CALL(fd, nr, r) ((r)->req.size = sizeof(*(r)), ioctl(fd, nr, r))

static void fields(int fd)
{
	struct otr_ioc_name n;
	struct otr_ioc_create c;
	struct otr_ioc_cpu u;
	struct otr_ioc_memory m;
	struct otr_ioc_peek p;
	struct otr_ioc_log l;
	char data[64];

	memset(&n, 'a', sizeof(n));
	n.req = (struct otr_req){ 0 };
	n.flags = 0;
	n.reserved[0] = n.reserved[1] = 0;
	want("a name that does not end", CALL(fd, OTR_IOC_BOOT, &n), ENAMETOOLONG);
	memset(&n, 0, sizeof(n));
	strcpy(n.name, "nobody-has-this-name");
	want("an unknown name", CALL(fd, OTR_IOC_DESTROY, &n), ENOENT);
	strcpy(n.name, partition);
	n.reserved[1] = 1;
	want("a reserved field", CALL(fd, OTR_IOC_KILL, &n), EINVAL);
	n.reserved[1] = 0;
	n.flags = 0x80;
	want("an unknown flag", CALL(fd, OTR_IOC_SHUTDOWN, &n), EINVAL);
	n.flags = 0;
	want("destroying a live partition", CALL(fd, OTR_IOC_DESTROY, &n), EBUSY);
	want("booting it twice", CALL(fd, OTR_IOC_BOOT, &n), EBUSY);

	memset(&c, 0, sizeof(c));
	want("an empty name", CALL(fd, OTR_IOC_CREATE, &c), EINVAL);
	strcpy(c.name, "../x");
	want("a name with a slash", CALL(fd, OTR_IOC_CREATE, &c), EINVAL);
	strcpy(c.name, partition);
	want("a name twice", CALL(fd, OTR_IOC_CREATE, &c), EEXIST);
	strcpy(c.name, "other");
	c.mode = 07777;
	want("a mode with more bits", CALL(fd, OTR_IOC_CREATE, &c), EINVAL);
	c.mode = 0;
	c.uid = ~0u;
	want("no such user", CALL(fd, OTR_IOC_CREATE, &c), EINVAL);

	memset(&u, 0, sizeof(u));
	strcpy(u.name, partition);
	want("CPU 0", CALL(fd, OTR_IOC_CPU_ADD, &u), EINVAL);
	u.cpu = 4000000;
	want("a CPU that does not exist", CALL(fd, OTR_IOC_CPU_ADD, &u), ENXIO);
	want("a CPU that is not its own", CALL(fd, OTR_IOC_CPU_REMOVE, &u), ENOENT);
	u.cpu = ~0u;
	want("the last CPU number", CALL(fd, OTR_IOC_CPU_ADD, &u), ENXIO);

	memset(&m, 0, sizeof(m));
	strcpy(m.name, partition);
	m.node = -1;
	want("no memory", CALL(fd, OTR_IOC_MEM_ADD, &m), EINVAL);
	m.bytes = 4096;
	want("4 KiB", CALL(fd, OTR_IOC_MEM_ADD, &m), EINVAL);
	m.bytes = 2 << 20;
	m.kind = OTR_MEM_BLOCK;
	want("2 MiB in blocks", CALL(fd, OTR_IOC_MEM_ADD, &m), EINVAL);
	m.kind = 9;
	want("an unknown way", CALL(fd, OTR_IOC_MEM_ADD, &m), EINVAL);
	m.kind = 0;
	m.node = 77;
	want("an unknown node", CALL(fd, OTR_IOC_MEM_ADD, &m), EINVAL);
	m.node = -1;
	m.flags = OTR_DRY_RUN;
	m.bytes = 1ull << 50;
	want("1 PiB", CALL(fd, OTR_IOC_MEM_ADD, &m), ENOMEM);
	m.reserved0 = 1;
	want("a reserved field", CALL(fd, OTR_IOC_MEM_ADD, &m), EINVAL);

	memset(&p, 0, sizeof(p));
	strcpy(p.name, partition);
	p.bytes = 8;
	p.data = (uintptr_t)data;
	want("a look at memory of Linux", CALL(fd, OTR_IOC_PEEK, &p), EFAULT);
	p.phys = ~0ull - 4;
	want("a look across the end", CALL(fd, OTR_IOC_PEEK, &p), EFAULT);

	memset(&l, 0, sizeof(l));
	strcpy(l.name, partition);
	l.which = 7;
	want("log 7", CALL(fd, OTR_IOC_LOG, &l), EINVAL);
	l.which = 0;
	l.data_bytes = 4096;
	want("a log to nowhere", CALL(fd, OTR_IOC_LOG, &l), EFAULT);
}

/* Images, offered to a partition that does not run. */
static void image(int fd, const char *what, const char *name, struct otr_image_segment *s,
		  uint32_t count, uint64_t entry, int err)
{
	struct otr_ioc_load l = {
		.abi_version = OTR_ABI_VERSION, .segment_count = count,
		.segments = (uintptr_t)s, .entry = entry,
	};

	strcpy(l.name, name);
	want(what, CALL(fd, OTR_IOC_LOAD, &l), err);
}

static void images(int fd)
{
	static char code[8192];
	const uint64_t base = 0xffffffff80000000ull;
	struct otr_ioc_create c = { .name = "abuse" };
	struct otr_ioc_name n = { .name = "abuse" };
	const struct otr_image_segment good = {
		.virt = base, .mem_bytes = 8192, .file_bytes = 8192, .data = (uintptr_t)code,
		.flags = OTR_SEG_EXEC,
	};
	struct otr_image_segment s[OTR_IMAGE_SEGMENTS + 1];

	if (CALL(fd, OTR_IOC_CREATE, &c)) {
		perror("create");
		failures++;
		return;
	}
	want("a boot without image", CALL(fd, OTR_IOC_BOOT, &n), ENOEXEC);
#define RESET() do { for (size_t i = 0; i < OTR_IMAGE_SEGMENTS + 1; i++) s[i] = good; } while (0)
	RESET();
	image(fd, "no segment", "abuse", s, 0, base, ENOEXEC);
	image(fd, "too many segments", "abuse", s, OTR_IMAGE_SEGMENTS + 1, base, ENOEXEC);
	image(fd, "4 billion segments", "abuse", s, ~0u, base, ENOEXEC);
	image(fd, "a segment table nowhere", "abuse", (void *)16, 1, base, EFAULT);
	image(fd, "overlapping segments", "abuse", s, 2, base, ENOEXEC);
	image(fd, "an entry outside", "abuse", s, 1, base + 8192, ENOEXEC);
	s[0].virt = 0x400000;
	image(fd, "a low segment", "abuse", s, 1, 0x400000, ENOEXEC);
	RESET();
	s[0].virt = base + 1;
	image(fd, "an unaligned segment", "abuse", s, 1, base + 1, ENOEXEC);
	RESET();
	s[0].flags = OTR_SEG_EXEC | OTR_SEG_WRITE;
	image(fd, "a writable and executable segment", "abuse", s, 1, base, ENOEXEC);
	RESET();
	s[0].mem_bytes = 4096;
	image(fd, "more file than memory", "abuse", s, 1, base, ENOEXEC);
	RESET();
	s[0].mem_bytes = ~0ull;
	image(fd, "endless memory", "abuse", s, 1, base, ENOEXEC);
	RESET();
	s[0].virt = ~0ull - 4095;
	image(fd, "a segment across the end", "abuse", s, 1, ~0ull - 4095, ENOEXEC);
	RESET();
	s[0].data = 16;
	image(fd, "data nowhere", "abuse", s, 1, base, EFAULT);
	RESET();
	s[0].reserved = 1;
	image(fd, "a reserved field", "abuse", s, 1, base, EINVAL);
	RESET();
	s[1].virt = base + (1ull << 30);
	image(fd, "an image of 1 GiB", "abuse", s, 2, base, EFBIG);
	RESET();
	s[0].flags = 0;
	image(fd, "an entry in data", "abuse", s, 1, base, ENOEXEC);
	struct otr_ioc_load l = { .name = "abuse", .abi_version = 99, .segment_count = 1 };
	want("another ABI version", CALL(fd, OTR_IOC_LOAD, &l), EPROTO);
	l.abi_version = OTR_ABI_VERSION;
	l.log_level = 8;
	want("log level 8", CALL(fd, OTR_IOC_LOAD, &l), EINVAL);
	if (CALL(fd, OTR_IOC_DESTROY, &n)) {
		perror("destroy");
		failures++;
	}
}

/* As fcntl() says it, one descriptor after another; the file itself is one. */
static void cloexec(int fd)
{
	struct otr_ioc_cloexec c = { 0 };
	int closed = open("/dev/null", O_RDONLY | O_CLOEXEC), stays = open("/dev/null", O_RDONLY);
	int high = fcntl(stays, F_DUPFD_CLOEXEC, 700), i, want_fd = -1;

	close(closed);  /* leaves its bit behind */
	for (c.from = 0; want_fd < 1000; c.from = (uint32_t)want_fd + 1) {
		for (i = (int)c.from; i < 1000 && fcntl(i, F_GETFD) != FD_CLOEXEC; i++)
			;
		want_fd = i;
		right("the next to close", !CALL(fd, OTR_IOC_CLOEXEC, &c));
		right("that next one", c.fd == (i < 1000 ? i : -1));
	}
	right("high enough", high == 700);
	c.from = UINT32_MAX;
	right("behind the last", !CALL(fd, OTR_IOC_CLOEXEC, &c));
	right("nothing there", c.fd == -1);
	close(high);
	close(stays);
}

static void both(const int s[2])
{
	close(s[0]);
	close(s[1]);
}

static long pair(int fd, uint32_t op, int end, struct otr_ioc_pair more)
{
	more.op = op;
	more.fd = end;
	return CALL(fd, OTR_IOC_PAIR, &more);
}

static void make_pair(int s[2], int type)
{
	if (socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, s))
		exit(2);
}

static int sockets_in_use(void)
{
	FILE *f = fopen("/proc/net/sockstat", "r");
	int n = -1;

	if (!f || fscanf(f, "sockets: used %d", &n) != 1)
		exit(2);
	fclose(f);
	return n;
}

#define PAIR(...) (struct otr_ioc_pair){ __VA_ARGS__ }
#define SENDS(s, had, n) PAIR(.side = (s), .there = (had), .bytes = (n), .data = (uintptr_t)"hello")

/* In a context: pairs of sockets that the module keeps. */
static void pairs(int fd)
{
	int s[2], q[2], d[2], p[2], before;
	char in[16];

	make_pair(s, SOCK_STREAM);
	make_pair(q, SOCK_STREAM);
	make_pair(d, SOCK_DGRAM);
	if (pipe(p))
		exit(2);
	want("an unknown request", pair(fd, 3, s[0], PAIR(0)), EINVAL);
	want("keeping with a field too many", pair(fd, OTR_PAIR_KEEP, s[0], PAIR(.peer = s[1], .shut = 1)), EINVAL);
	want("a reserved field", pair(fd, OTR_PAIR_KEEP, s[0], PAIR(.peer = s[1], .reserved = 1)), EINVAL);
	want("keeping nothing", pair(fd, OTR_PAIR_KEEP, -1, PAIR(.peer = s[1])), EBADF);
	want("keeping half a pair", pair(fd, OTR_PAIR_KEEP, s[0], PAIR(.peer = 999)), EBADF);
	want("keeping a pipe", pair(fd, OTR_PAIR_KEEP, p[0], PAIR(.peer = p[1])), EINVAL);
	want("keeping other sockets", pair(fd, OTR_PAIR_KEEP, d[0], PAIR(.peer = d[1])), EINVAL);
	want("keeping two halves", pair(fd, OTR_PAIR_KEEP, s[0], PAIR(.peer = q[1])), EINVAL);
	want("keeping one end twice", pair(fd, OTR_PAIR_KEEP, s[0], PAIR(.peer = s[0])), EINVAL);
	want("sending into what is not kept", pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 0, 5)), ENOENT);
	right("forgetting what is not kept", !pair(fd, OTR_PAIR_LET_GO, s[0], PAIR(0)));

	right("keeping", !pair(fd, OTR_PAIR_KEEP, s[0], PAIR(.peer = s[1])));
	want("keeping again", pair(fd, OTR_PAIR_KEEP, s[1], PAIR(.peer = s[0])), EBUSY);
	want("sending nothing", pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 0, 0)), EINVAL);
	want("sending too much", pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 0, OTR_SOCKET_MESSAGE + 1)), EINVAL);
	want("sending from a third end", pair(fd, OTR_PAIR_SEND, s[0], SENDS(2, 0, 5)), EINVAL);
	want("sending behind too much", pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 1u << 31, 5)), EINVAL);
	want("sending from nowhere", pair(fd, OTR_PAIR_SEND, s[0], PAIR(.bytes = 5)), EFAULT);
	right("sending to the peer", !pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 0, 5)));
	right("sending to oneself", !pair(fd, OTR_PAIR_SEND, s[0], SENDS(1, 0, 3)));
	right("sending it again", !pair(fd, OTR_PAIR_SEND, s[1], SENDS(0, 0, 5)));
	want("sending behind what is not there", pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 6, 5)), EIO);
	want("sending what is not all", pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 0, 4)), EIO);
	right("sending the rest", !pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 2, 5)));
	right("all that", recv(s[1], in, sizeof(in), 0) == 7 && !memcmp(in, "hellolo", 7));
	want("which is all", recv(s[1], in, sizeof(in), 0), EAGAIN);
	if (!setreuid(1, (uid_t)-1)) {
		want("sending as another user", pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 0, 5)), EPERM);
		want("forgetting as another user", pair(fd, OTR_PAIR_LET_GO, s[0], PAIR(0)), EPERM);
		right("the user again", !setreuid(0, (uid_t)-1));
	}
	close(s[0]);
	want("a closed end is not closed", recv(s[1], in, sizeof(in), 0), EAGAIN);
	right("forgetting", !pair(fd, OTR_PAIR_LET_GO, s[1], PAIR(0)));
	want("it was closed with bytes unread", recv(s[1], in, sizeof(in), 0), ECONNRESET);
	right("and then is the end", recv(s[1], in, sizeof(in), 0) == 0);
	right("forgetting again", !pair(fd, OTR_PAIR_LET_GO, s[1], PAIR(0)));

	close(s[1]);
	make_pair(s, SOCK_STREAM);
	if (!setreuid(1, (uid_t)-1)) {
		right("another user's keeping", !pair(fd, OTR_PAIR_KEEP, s[0], PAIR(.peer = s[1])));
		right("root again", !setreuid(0, (uid_t)-1));
		right("sending as root", !pair(fd, OTR_PAIR_SEND, s[0], SENDS(0, 0, 5)));
		right("forgetting as root", !pair(fd, OTR_PAIR_LET_GO, s[1], PAIR(0)));
	}
	both(s);
	right("keeping another", !pair(fd, OTR_PAIR_KEEP, q[0], PAIR(.peer = q[1])));
	want("a fourth way to shut down", pair(fd, OTR_PAIR_LET_GO, q[1], PAIR(.shut = 4)), EINVAL);
	right("forgetting and shutting down", !pair(fd, OTR_PAIR_LET_GO, q[1], PAIR(.shut = 2)));
	right("end 0 is", recv(q[1], in, sizeof(in), 0) == 0 && send(q[1], in, 1, MSG_NOSIGNAL) == 1);
	want("and sends no more", send(q[0], in, 1, MSG_NOSIGNAL), EPIPE);

	before = sockets_in_use();
	for (int i = 0; i < 2000; i++) {
		make_pair(s, SOCK_STREAM);
		if (pair(fd, OTR_PAIR_KEEP, s[0], PAIR(.peer = s[1])))
			right("keeping many", false);
		both(s);
	}
	right("those of no use are dropped", sockets_in_use() < before + 300);
	both(q);
	both(d);
	both(p);
}

static void whose(int fd)
{
	struct otr_ioc_of of = { .pid = getpid() };

	right("whose a context is", !CALL(fd, OTR_IOC_OF, &of) && of.context);
	of.pid = getppid();
	right("of no program", !CALL(fd, OTR_IOC_OF, &of) && !of.context);
	of.pid = -1;
	right("of no process", !CALL(fd, OTR_IOC_OF, &of) && !of.context);
}

/* A file that is no context; mappings that are none. */
static void contexts(int fd)
{
	struct otr_ioc_slot s = { 0 };
	struct otr_ioc_wait w = { 0 };
	struct otr_ioc_twin t = { 0 };
	struct otr_ioc_attach a = { .name = "nobody-has-this-name" };
	struct otr_ioc_file_name f = { 0 };
	struct otr_ioc_die k = { 0 };
	struct otr_ioc_debug_attach d = { .name = "nobody-has-this-name" };
	struct otr_ioc_debug g = { .op = 1 };
	struct otr_ioc_pair p = { .fd = fd, .peer = fd };
	struct otr_ioc_of of = { .pid = 1 };

	want("wait without a context", CALL(fd, OTR_IOC_WAIT, &w), EINVAL);
	want("kick without a context", CALL(fd, OTR_IOC_KICK, &s), EINVAL);
	want("zap without a context", CALL(fd, OTR_IOC_ZAP, &s), EINVAL);
	want("start without a context", CALL(fd, OTR_IOC_START, &s), EINVAL);
	want("twin without a context", CALL(fd, OTR_IOC_TWIN, &t), EINVAL);
	want("a pair without a context", CALL(fd, OTR_IOC_PAIR, &p), EINVAL);
	want("whose without a context", CALL(fd, OTR_IOC_OF, &of), EINVAL);
	want("attach to nothing", CALL(fd, OTR_IOC_ATTACH, &a), ENOENT);
	a.flags = 2;
	want("attach with an unknown flag", CALL(fd, OTR_IOC_ATTACH, &a), EINVAL);
	a.flags = 0;
	want("a file's name without a context", CALL(fd, OTR_IOC_FILE_NAME, &f), EINVAL);
	cloexec(fd);
	want("dying of nothing", CALL(fd, OTR_IOC_DIE, &k), EINVAL);
	k.status = 9;
	want("dying without a context", CALL(fd, OTR_IOC_DIE, &k), EINVAL);
	k.status = 0x109;
	want("an exit status to die of", CALL(fd, OTR_IOC_DIE, &k), EINVAL);
	want("debugging nothing", CALL(fd, OTR_IOC_DEBUG, &g), EINVAL);
	want("debugging where nothing is", CALL(fd, OTR_IOC_DEBUG_ATTACH, &d), ENOENT);
	strcpy(d.name, partition);
	d.pid = (uint32_t)getpid();
	want("debugging what is no program", CALL(fd, OTR_IOC_DEBUG_ATTACH, &d), ESRCH);
	d.reserved = 1;
	want("a reserved field", CALL(fd, OTR_IOC_DEBUG_ATTACH, &d), EINVAL);
	memset(d.name, 'a', sizeof(d.name));
	d.reserved = 0;
	want("a name that does not end", CALL(fd, OTR_IOC_DEBUG_ATTACH, &d), ENAMETOOLONG);
	want("a mapping without a context",
	     mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? -1 : 0, EINVAL);

	strcpy(a.name, partition);
	if (CALL(fd, OTR_IOC_ATTACH, &a)) {
		perror("attach");
		failures++;
		return;
	}
	pairs(fd);
	whose(fd);
	want("attach twice", CALL(fd, OTR_IOC_ATTACH, &a), EBUSY);
	want("wait on no slot", CALL(fd, OTR_IOC_WAIT, &w), EINVAL);
	w.slot = ~0u;
	want("wait on the last slot number", CALL(fd, OTR_IOC_WAIT, &w), EINVAL);
	w.slot = a.slot_page * OTR_SLOTS_PER_PAGE;
	want("wait on a slot without being its twin", CALL(fd, OTR_IOC_WAIT, &w), EINVAL);
	s.slot = ~0u;
	want("kick a foreign slot", CALL(fd, OTR_IOC_KICK, &s), EINVAL);
	want("a mapping at another address than its offset",
	     mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, OTR_USER_START) == MAP_FAILED ? -1 : 0, EINVAL);
	want("a private mapping",
	     mmap((void *)OTR_USER_START, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd,
		  OTR_USER_START) == MAP_FAILED ? -1 : 0, EINVAL);
	want("a mapping of the private page",
	     mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd,
		  (off_t)OTR_MMAP_PAGE(a.mailbox_page - 1)) == MAP_FAILED ? -1 : 0, EACCES);
	want("a mapping of a page beyond the end",
	     mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, (off_t)OTR_MMAP_PAGE(1u << 30)) == MAP_FAILED ? -1 : 0,
	     EINVAL);
	void *at = mmap((void *)0x40000000, 1 << 21, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
			fd, 0x40000000);
	want("a mapping moved away from its offset",
	     mremap(at, 1 << 21, 1 << 21, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0x50000000) == MAP_FAILED ? -1 : 0,
	     EINVAL);
	if (!fork()) {
		failures = 0;
		want("a child's wait", CALL(fd, OTR_IOC_WAIT, &w), EPERM);
		_exit(failures);
	}
	int status;
	wait(&status);
	failures += status != 0;
}

/* Random requests: whatever they do, the partition and Linux stay. */
static void noise(int fd)
{
	unsigned char buffer[256];

	for (int i = 0; i < 20000; i++) {
		size_t k = (size_t)rand() % (sizeof(known) / sizeof(known[0]));
		struct otr_req *req = (void *)buffer;

		for (size_t b = 0; b < sizeof(buffer); b++)
			buffer[b] = (unsigned char)rand();
		req->size = known[k].bytes;
		ioctl(fd, number(known[k].nr, known[k].bytes), buffer);
	}
}

static void unprivileged(void)
{
	struct otr_ioc_attach a = { 0 };
	struct otr_ioc_log l = { 0 };
	int fd;

	if (setgid(65534) || setuid(65534))
		exit(125);
	want("nobody opens the admin node", open(OTR_DEV_ADMIN, O_RDWR), EACCES);
	fd = open(OTR_DEV_RUN, O_RDWR | O_CLOEXEC);
	strcpy(a.name, partition);
	want("nobody runs a program", CALL(fd, OTR_IOC_ATTACH, &a), EACCES);
	strcpy(l.name, partition);
	want("nobody reads the log", CALL(fd, OTR_IOC_LOG, &l), EACCES);
	noise(fd);
}

int main(int argc, char **argv)
{
	int admin = open(OTR_DEV_ADMIN, O_RDWR | O_CLOEXEC), status;
	int run = open(OTR_DEV_RUN, O_RDWR | O_CLOEXEC);

	if (argc != 2 || admin < 0 || run < 0)
		return 125;
	partition = argv[1];
	decoding(admin, true);
	decoding(run, false);
	fields(admin);
	images(admin);
	contexts(run);
	noise(admin);
	noise(run);
	fflush(stdout);
	if (!fork()) {
		failures = 0;
		unprivileged();
		fflush(stdout);
		_exit(failures != 0);
	}
	wait(&status);
	failures += status != 0;
	printf("%d wrong answers\n", failures);
	return failures != 0;
}
