/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WATCH_STACK (64u << 10)
/* How long the twins have to see for themselves that the program is over. */
#define WATCH_GRACE_MS 300

/* ---- The end ---- */

/* Of several threads that see the end only the first goes on. */
static void end_once(struct proxy *p)
{
	if (!atomic_exchange(&p->ending, true))
		return;
	for (;;)
		pause();
}

/* The core file is there, and was not Linux's to write. */
static void die_dumped(struct proxy *p, int status)
{
	struct otr_ioc_die d = { .req.size = sizeof(d), .status = (uint32_t)status };

	ioctl(p->o.fd, OTR_IOC_DIE, &d);
}

static _Noreturn void die_of(int sig)
{
	struct rlimit none = { 0 };
	struct sigaction dfl = { .sa_handler = SIG_DFL };
	sigset_t set;

	/* A core of the proxy would not be the program's. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	sigaction(sig, &dfl, NULL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	raise(sig);
	_exit(128 + sig);
}

/* A program that was killed because its partition ended is told so. */
static void explain(struct proxy *p)
{
	char state[32], reason[400] = "";
	struct outrigger o = { .fd = -1 };

	if (outrigger_value(&o, p->partition, "state", state, sizeof(state)) || !strcmp(state, "running"))
		return;
	outrigger_value(&o, p->partition, "reason", reason, sizeof(reason));
	fprintf(stderr, "outrigger: the program was killed: partition %s is %s%s%s\n", p->partition,
		state, *reason ? ": " : "", reason);
}

void proxy_end(struct proxy *p, uint32_t wait_status)
{
	int status = (int)wait_status;

	end_once(p);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		explain(p);
	if (!atomic_load(&p->filled) && WIFSIGNALED(status)) {
		fprintf(stderr, "outrigger: the co-kernel of %s could not start %s; see outrigger log %s\n",
			p->partition, p->program.path, p->partition);
		_exit(126);
	}
	trace_end(status);
	if (WIFSIGNALED(status) && WCOREDUMP(status))
		die_dumped(p, status);
	if (WIFSIGNALED(status))
		die_of(WTERMSIG(status));
	_exit(WEXITSTATUS(status));
}

void proxy_fail(struct proxy *p, int status)
{
	end_once(p);
	fprintf(stderr, "outrigger: %s\n", p->o.error);
	_exit(status);
}

/* Every twin may be in a call that blocks when the partition ends, and so none
 * would hear of it: this thread watches the partition's state, and says why. */
static void *watch(void *arg)
{
	struct proxy *p = arg;
	struct pollfd f = { .fd = p->state_fd, .events = POLLPRI };
	char state[32];
	ssize_t n;

	for (;;) {
		n = pread(p->state_fd, state, sizeof(state) - 1, 0);
		if (n < 0 || (n > 0 && strncmp(state, "running", 7) && strncmp(state, "stopping", 8)))
			break;
		poll(&f, 1, -1);
	}
	usleep(WATCH_GRACE_MS * 1000);
	proxy_end(p, SIGKILL);
}

static int start_watch(struct proxy *p)
{
	char path[128];
	pthread_attr_t attr;
	uint64_t mask;
	pthread_t t;
	int ret;

	snprintf(path, sizeof(path), OUTRIGGER_SYSFS "/%s/state", p->partition);
	p->state_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (p->state_fd < 0)
		return outrigger_fail(&p->o, -errno, "%s: %s", path, strerror(errno));
	p->state_fd = hide_fd(p->state_fd);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, WATCH_STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	mask = signal_block_all();
	ret = pthread_create(&t, &attr, watch, p);
	signal_restore(mask);
	pthread_attr_destroy(&attr);
	return ret ? outrigger_fail(&p->o, -ret, "the proxy's watching thread: %s", strerror(ret)) : 0;
}

/* ---- The beginning ---- */

static int attach(struct proxy *p, uint32_t flags)
{
	struct otr_ioc_attach a = {
		.req = { sizeof(a), sizeof(p->o.error), (uintptr_t)p->o.error }, .flags = flags,
	};
	int ret;

	if (strlen(p->partition) >= sizeof(a.name))
		return outrigger_fail(&p->o, -ENAMETOOLONG, "there is no partition %s", p->partition);
	strcpy(a.name, p->partition);
	p->o.error[0] = 0;
	if (ioctl(p->o.fd, OTR_IOC_ATTACH, &a) < 0)
		return p->o.error[0] ? -errno :
		       outrigger_fail(&p->o, -errno, "%s: %s", p->partition, strerror(errno));
	ret = share_attach(p);
	if (ret)
		return outrigger_fail(&p->o, ret,
				      "the program's addresses (64 KiB to 32 TiB) cannot be mapped: %s%s", strerror(-ret),
				      ret == -ENOMEM ? "; is there a limit on address space (ulimit -v)?" : "");
	p->mailbox = mmap(NULL, OTR_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, p->o.fd,
			  (off_t)OTR_MMAP_PAGE(a.mailbox_page));
	if (p->mailbox == MAP_FAILED)
		return outrigger_fail(&p->o, -errno, "the mailbox cannot be mapped: %s", strerror(errno));
	return 0;
}

static int start(struct proxy *p, const struct otr_exec *exec)
{
	struct otr_ioc_slot s = {
		.req = { sizeof(s), sizeof(p->o.error), (uintptr_t)p->o.error },
	};

	memcpy(&p->mailbox->exec, exec, sizeof(p->mailbox->exec));
	p->o.error[0] = 0;
	if (ioctl(p->o.fd, OTR_IOC_START, &s) < 0)
		return p->o.error[0] ? -errno :
		       outrigger_fail(&p->o, -errno, "the co-kernel of %s refused to start the program: %s",
				      p->partition, strerror(errno));
	return 0;
}

/* More than one CPU is open to us: whoever posts does not need ours. */
static bool may_spin(void)
{
	cpu_set_t set;

	return sysconf(_SC_NPROCESSORS_ONLN) > 1 &&
	       (sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) > 1);
}

int proxy_reattach(struct proxy *p, uint64_t token, struct twin **first)
{
	static struct twin twin;    /* of the child that this process is now */
	struct otr_exec fork = { .version = OTR_ABI_VERSION, .fork_token = token, .flags = trace_flags() };
	struct otr_ioc_inherit from = { .req.size = sizeof(from) };
	int ret;

	trace_before_close();
	/* The parent's context stays open until its files are ours. */
	from.fd = hide_release(p->o.fd);
	hide_close_all();
	trace_after_close();
	/* A thread that watches the partition is made once, by the first: the module
	 * ends its children. */
	p->state_fd = -1;
	p->page_count = 0;
	p->twins = NULL;
	atomic_store(&p->zaps, 0);
	ret = outrigger_open_run(&p->o);
	if (!ret) {
		p->o.fd = hide_fd(p->o.fd);
		ret = attach(p, OTR_ATTACH_KILL);
	}
	if (!ret && ioctl(p->o.fd, OTR_IOC_INHERIT, &from) < 0)
		ret = outrigger_fail(&p->o, -errno, "the parent's files: %s", strerror(errno));
	close(from.fd);
	if (!ret)
		ret = serve_join(p, &p->o, &twin);
	if (!ret) {
		*first = &twin;
		ret = start(p, &fork);
	}
	return ret;
}

int proxy_run(struct outrigger *o, const struct proxy_options *how, char **argv, char **envp)
{
	static struct proxy proxy;  /* outlives this function: other threads use it */
	struct proxy *p = &proxy;
	static struct twin main_twin;
	int ret;

	p->partition = how->partition;
	p->state_fd = -1;
	p->spins = may_spin();
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	limits_init();
	signal_init();
	ret = program_open(o, &p->program, argv, envp);
	if (ret)
		return ret == -ENOENT ? 127 : 126;
	ret = trace_start(&p->o, &how->trace);
	if (!ret)
		ret = outrigger_open_run(&p->o);
	if (!ret) {
		p->o.fd = hide_fd(p->o.fd);
		ret = attach(p, 0);
	}
	if (!ret && how->debug)
		ret = debug_start(p, how->gdb);
	if (!ret)
		ret = serve_join(p, &p->o, &main_twin);
	if (!ret)
		ret = start_watch(p);
	if (!ret) {
		title_set(&p->program);
		signal_describe(&p->program.exec);
		signal_catch_cores();
		p->program.exec.flags = trace_flags();
		ret = start(p, &p->program.exec);
	}
	if (ret) {
		memcpy(o->error, p->o.error, sizeof(o->error));
		program_close(&p->program);
		return 125;
	}
	serve(&main_twin);
}
