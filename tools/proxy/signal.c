/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Signals. The proxy's threads receive them, with the program's masks; default
 * and ignoring actions are Linux's own. For what the program handles, Linux runs
 * forward() in a twin, which leaves the signal in the twin's slot and rings the
 * co-kernel.
 *
 * A signal may come just before a twin enters a blocking call, which would then
 * sleep although the program's handler must run first. call_linux() therefore
 * compares, next to its syscall instruction, the signals forwarded with those
 * that the co-kernel had taken when it posted the call; forward() sends a thread
 * that it finds between the two back with -OTR_NOT_MADE. A call that Linux would
 * restart after the handler ends with -OTR_AGAIN: the co-kernel makes it again
 * after the program's handler, or answers EINTR, as the handler's flags say.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "tools/proxy/proxy.h"

#define SIGNALS 64
#define SYSCALL_BYTES 2u
#define FREE_STEP_NS 50000l
#define FREE_STEPS 4000
#define KERNEL_SA_RESTORER 0x04000000ul

/* A handler that finds the thread from call_begin to call_syscall sends it to
 * call_abort or call_again; nothing is on the stack there. */
__asm__(".pushsection .text\n"
	".globl call_linux\n"
	".hidden call_linux, call_begin, call_syscall, call_abort, call_again, signal_restorer\n"
	".type call_linux, @function\n"
	"call_linux:\n"
	"	mov %rsi, %rax\n"
	"	mov %rdi, %r11\n"
	"	mov 0(%r11), %rdi\n"
	"	mov 8(%r11), %rsi\n"
	"	mov 24(%r11), %r10\n"
	"	mov 32(%r11), %r8\n"
	"	mov 40(%r11), %r9\n"
	"call_begin:\n"
	"	cmp %ecx, (%rdx)\n"
	"	jne call_abort\n"
	"	mov 16(%r11), %rdx\n"
	"call_syscall:\n"
	"	syscall\n"
	"	ret\n"
	"call_abort:\n"
	"	mov $-514, %rax\n"     /* -OTR_NOT_MADE */
	"	ret\n"
	"call_again:\n"
	"	mov $-512, %rax\n"     /* -OTR_AGAIN */
	"	ret\n"
	".size call_linux, . - call_linux\n"
	".type signal_restorer, @function\n"
	"signal_restorer:\n"
	"	mov $15, %eax\n"       /* rt_sigreturn */
	"	syscall\n"
	".size signal_restorer, . - signal_restorer\n"
	".popsection\n");
#define HIDDEN __attribute__((visibility("hidden")))
extern HIDDEN const char call_begin[], call_syscall[], call_abort[], call_again[];
HIDDEN void signal_restorer(void);
_Static_assert(OTR_AGAIN == 512 && OTR_NOT_MADE == 514, "call_linux has them as numbers");

/* What the kernel calls struct sigaction. */
struct kernel_action {
	uint64_t handler, flags, restorer, mask;
};

static long set_mask(uint64_t mask)
{
	return raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&mask, 0, sizeof(mask), 0, 0);
}

uint64_t signal_block_all(void)
{
	uint64_t all = ~0ull, old = 0;

	raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, (uintptr_t)&all, (uintptr_t)&old, sizeof(all), 0, 0);
	return old;
}

void signal_restore(uint64_t mask)
{
	set_mask(mask);
}

/* `forward` receives one signal at a time. SA_RESTART always: leave_call() sees the
 * restart and lets the co-kernel decide. */
static long set_action(uint64_t number, uint64_t handler, uint64_t flags)
{
	bool caught = handler != (uintptr_t)SIG_DFL && handler != (uintptr_t)SIG_IGN;
	struct kernel_action a = {
		.handler = handler, .restorer = (uintptr_t)signal_restorer, .mask = caught ? ~0ull : 0,
		.flags = KERNEL_SA_RESTORER | (flags & (SA_NOCLDSTOP | SA_NOCLDWAIT)) |
			 (caught ? SA_SIGINFO | SA_RESTART : 0),
	};

	return raw_syscall(SYS_rt_sigaction, number, (uintptr_t)&a, 0, sizeof(a.mask), 0, 0);
}

/* ---- Receiving ---- */

static uint32_t pending(const struct otr_slot *s)
{
	return __atomic_load_n(&s->sig_pending, __ATOMIC_ACQUIRE);
}

/* The slot still holds another signal: this one goes back into Linux's queue,
 * and no more are let in until serve() finds the slot free. */
static void hold(struct twin *t, int number, siginfo_t *info, ucontext_t *uc)
{
	raw_syscall(SYS_rt_tgsigqueueinfo, (uint64_t)getpid(), (uint64_t)gettid(), (uint64_t)number,
		    (uintptr_t)info, 0, 0);
	t->held = true;
	memset(&uc->uc_sigmask, 0xff, sizeof(uint64_t));
}

/* Out of the way between check and syscall, or before a restart. */
static void leave_call(ucontext_t *uc)
{
	greg_t *r = uc->uc_mcontext.gregs;
	uint64_t ip = (uint64_t)r[REG_RIP];

	/* Only where the syscall instruction was executed does rcx hold where it
	 * returns to: Linux has moved ip back to it. */
	if (ip == (uintptr_t)call_syscall && (uint64_t)r[REG_RCX] == ip + SYSCALL_BYTES)
		r[REG_RIP] = (greg_t)(uintptr_t)call_again;
	else if (ip >= (uintptr_t)call_begin && ip <= (uintptr_t)call_syscall)
		r[REG_RIP] = (greg_t)(uintptr_t)call_abort;
}

/* The co-kernel empties the slot as soon as it is rung. A program must not go on
 * before its signal is on its way, so this waits, but not for ever: the
 * co-kernel leaves a signal here when a thread has too many. */
static bool wait_free(struct twin *t)
{
	struct timespec step = { .tv_nsec = FREE_STEP_NS };
	int i;

	for (i = 0; pending(t->shared); i++) {
		if (i == FREE_STEPS)
			return false;
		serve_kick(t);
		raw_syscall(SYS_nanosleep, (uintptr_t)&step, 0, 0, 0, 0, 0);
	}
	return true;
}

static void forward(int number, siginfo_t *info, void *context)
{
	struct twin *t = proxy_twin;
	struct otr_slot *s = t ? t->shared : NULL;

	/* A fault of the proxy's own: the default action, when it faults again. */
	if (!s || ((number == SIGSEGV || number == SIGBUS || number == SIGILL || number == SIGFPE) &&
		   info->si_code > 0)) {
		/* A core file of the proxy would pass for the program's. */
		raw_syscall(SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
		set_action((uint64_t)number, (uintptr_t)SIG_DFL, 0);
		return;
	}
	if (!wait_free(t)) {
		hold(t, number, info, context);
		leave_call(context);
		return;
	}
	s->sig_number = (uint32_t)number;
	s->sig_code = (uint32_t)info->si_code;
	s->sig_errno = (uint32_t)info->si_errno;
	memcpy(s->sig_fields, (const char *)info + 16, sizeof(s->sig_fields));
	t->forwarded++;
	__atomic_store_n(&s->sig_pending, 1, __ATOMIC_RELEASE);
	serve_kick(t);
	leave_call(context);
}

bool signal_held(struct twin *t)
{
	struct timespec ms = { .tv_nsec = 1000000 };

	if (!t->held)
		return false;
	if (pending(t->shared)) {
		nanosleep(&ms, NULL);
		return true;
	}
	t->held = false;
	set_mask(t->mask);      /* what was held comes in here */
	return t->held;
}

/* ---- What the program wants ---- */

/* What all signals do, so that execve need not ask for each. */
static _Atomic uint64_t caught, ignored;

static void note(_Atomic uint64_t *set, uint64_t number, bool in)
{
	if (in)
		atomic_fetch_or(set, 1ull << (number - 1));
	else
		atomic_fetch_and(set, ~(1ull << (number - 1)));
}

void signal_init(void)
{
	struct kernel_action a;
	uint64_t i;

	for (i = 1; i <= SIGNALS; i++)
		if (!raw_syscall(SYS_rt_sigaction, i, 0, (uintptr_t)&a, sizeof(a.mask), 0, 0))
			note(&ignored, i, a.handler == (uintptr_t)SIG_IGN);
}

/* The default action of these writes a core file, which the co-kernel must see to. */
static bool dumps_core(uint64_t number)
{
	static const uint64_t core = 1u << SIGQUIT | 1u << SIGILL | 1u << SIGTRAP | 1u << SIGABRT | 1u << SIGBUS |
				     1u << SIGFPE | 1u << SIGSEGV | 1u << SIGXCPU | 1u << SIGXFSZ | 1u << SIGSYS;

	return number < 32 && core >> number & 1;
}

long signal_action(uint64_t number, uint64_t how, uint64_t flags)
{
	uint64_t handler = how == OTR_SIG_IGNORE ? (uintptr_t)SIG_IGN : (uintptr_t)SIG_DFL;
	long ret;

	if (how == OTR_SIG_CATCH || (how == OTR_SIG_DEFAULT && dumps_core(number)))
		handler = (uintptr_t)forward;
	ret = set_action(number, handler, flags);
	if (!ret) {
		note(&caught, number, how == OTR_SIG_CATCH);
		note(&ignored, number, how == OTR_SIG_IGNORE);
	}
	return ret;
}

void signal_catch_cores(void)
{
	uint64_t i;

	for (i = 1; i < 32; i++)
		if (dumps_core(i) && !(atomic_load(&ignored) >> (i - 1) & 1))
			signal_action(i, OTR_SIG_DEFAULT, 0);
}

long signal_mask(struct twin *t, uint64_t mask)
{
	__atomic_store_n(&t->mask, mask, __ATOMIC_RELAXED);
	return t->held ? 0 : set_mask(mask);
}

/* What forward() had. To the process it goes with all that is known of it from the first
 * thread only, where the kernel, or another process, sent it. */
static long give_back(const uint64_t a[6], uint64_t pid, uint64_t tid)
{
	siginfo_t info = { .si_signo = (int)a[0], .si_code = (int)(uint32_t)a[2], .si_errno = (int)(a[2] >> 32) };
	long ret;

	memcpy((char *)&info + 16, a + 3, sizeof(((struct otr_slot *)0)->sig_fields));
	if (a[1] == OTR_RAISE_BACK)
		return raw_syscall(SYS_rt_tgsigqueueinfo, pid, tid, a[0], (uintptr_t)&info, 0, 0);
	ret = raw_syscall(SYS_rt_sigqueueinfo, pid, a[0], (uintptr_t)&info, 0, 0, 0);
	return ret == -EPERM ? raw_syscall(SYS_kill, pid, a[0], 0, 0, 0, 0) : ret;
}

long signal_raise(const uint64_t a[6])
{
	static const struct itimerspec soon = { .it_value.tv_nsec = 1 };
	uint64_t number = a[0], how = a[1];
	siginfo_t info = { .si_signo = (int)number, .si_code = SI_KERNEL };
	uint64_t pid = (uint64_t)raw_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0);
	uint64_t tid = (uint64_t)raw_syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);

	if (how == OTR_RAISE_TIMER)
		return raw_syscall(SYS_timer_settime, number, 0, (uintptr_t)&soon, 0, 0, 0);
	if (number < 1 || number > SIGNALS)
		return -EINVAL;
	if (how == OTR_RAISE_BACK || how == OTR_RAISE_BACK_PROCESS)
		return give_back(a, pid, tid);
	if (how == OTR_RAISE_SELF) {
		info.si_code = SI_USER;
		info.si_pid = (pid_t)pid;
		info.si_uid = (uid_t)raw_syscall(SYS_getuid, 0, 0, 0, 0, 0, 0);
		return raw_syscall(SYS_rt_tgsigqueueinfo, pid, tid, number, (uintptr_t)&info, 0, 0);
	}
	/* In the kernel's name the first thread alone may signal the process, and the
	 * others themselves. */
	if (pid == tid)
		return raw_syscall(SYS_rt_sigqueueinfo, pid, number, (uintptr_t)&info, 0, 0, 0);
	if (how == OTR_RAISE_THREAD)
		return raw_syscall(SYS_rt_tgsigqueueinfo, pid, tid, number, (uintptr_t)&info, 0, 0);
	return raw_syscall(SYS_kill, pid, number, 0, 0, 0, 0);
}

void signal_default_handlers(void)
{
	uint64_t set = atomic_load(&caught);

	for (; set; set &= set - 1)
		signal_action((uint64_t)__builtin_ctzll(set) + 1, OTR_SIG_DEFAULT, 0);
}

void signal_describe(struct otr_exec *x)
{
	raw_syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, (uintptr_t)&x->sigmask, sizeof(x->sigmask), 0, 0);
	x->ignored = atomic_load(&ignored);
}
