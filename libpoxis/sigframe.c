/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame on the user stack while a handler runs, as Linux lays it out for
 * x86-64: programs, unwinders and debuggers know it (uapi/asm/sigcontext.h,
 * asm/ucontext.h).
 */
#include "cokernel/arch/x86_64/cpu.h"
#include "cokernel/arch/x86_64/fpu.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/sched/thread.h"
#include "libpoxis/signal.h"
#include "libpoxis/user.h"

#define SA_ONSTACK 0x08000000ul
#define SS_ONSTACK 1u
#define SS_DISABLE 2u
#define SS_AUTODISARM (1u << 31)
#define RED_ZONE 128u           /* System V ABI, 3.2.2 */

#define UC_FP_XSTATE         1u
#define UC_SIGCONTEXT_SS     2u
#define UC_STRICT_RESTORE_SS 4u

#define FP_XSTATE_MAGIC1 0x46505853u
#define FP_XSTATE_MAGIC2 0x46505845u
#define FXSAVE_SW_BYTES  464u   /* software-reserved bytes of the legacy area */
#define XSAVE_HEADER     512u

struct sigcontext {
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15;
	uint64_t rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t err, trapno, oldmask, cr2;
	uint64_t fpstate;
	uint64_t reserved[8];
};
_Static_assert(sizeof(struct sigcontext) == 256, "Linux's layout");

struct ucontext {
	uint64_t flags, link;
	uint64_t stack[3];          /* sp, flags, size */
	struct sigcontext mc;
	uint64_t sigmask;
};

struct frame {
	uint64_t restorer;
	struct ucontext uc;
	struct signal_info info;
	uint64_t info_rest[10];     /* siginfo_t is 128 bytes */
};
_Static_assert(sizeof(struct frame) == 8 + 304 + 128, "Linux's layout");

struct fp_software {
	uint32_t magic1, extended_bytes;
	uint64_t features;
	uint32_t state_bytes, padding[7];
};

static bool on_altstack(const struct thread *t, uint64_t sp)
{
	return t->altstack[2] && sp > t->altstack[0] && sp - t->altstack[0] <= t->altstack[2];
}

static int save_fpu(struct thread *t, uint64_t at)
{
	struct fp_software sw = {
		.magic1 = FP_XSTATE_MAGIC1, .extended_bytes = cpu_features.xsave_bytes + 4,
		.features = cpu_features.xcr0, .state_bytes = cpu_features.xsave_bytes,
	};
	uint32_t magic2 = FP_XSTATE_MAGIC2;

	fpu_save(t);
	if (user_write(at, t->fpu, cpu_features.xsave_bytes))
		return -EFAULT;
	if (!cpu_features.xsave)
		return 0;
	if (user_write(at + FXSAVE_SW_BYTES, &sw, sizeof(sw)) ||
	    user_write(at + cpu_features.xsave_bytes, &magic2, sizeof(magic2)))
		return -EFAULT;
	return 0;
}

int sigframe_push(struct thread *t, struct regs *r, const struct signal_info *info,
		  const struct signal_action *a, uint64_t mask)
{
	uint64_t sp = r->rsp - RED_ZONE, fp;
	bool alt = a->flags & SA_ONSTACK && t->altstack[2] && !(t->altstack[1] & SS_DISABLE);
	struct frame f;

	if (alt && !on_altstack(t, r->rsp))
		sp = t->altstack[0] + t->altstack[2];
	else if (t->altstack[2] && on_altstack(t, r->rsp) && !on_altstack(t, sp - 4096))
		return -EFAULT;         /* the alternate stack is full */
	fp = ALIGN_DOWN(sp - cpu_features.xsave_bytes - 4, 64ul);
	sp = ALIGN_DOWN(fp - sizeof(f), 16ul) - 8;
	if (sp >= OTR_USER_END || save_fpu(t, fp))
		return -EFAULT;
	f = (struct frame){
		.restorer = a->restorer,
		.uc.flags = (cpu_features.xsave ? UC_FP_XSTATE : 0) | UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS,
		.uc.stack = { t->altstack[0],
			      t->altstack[2] ? (on_altstack(t, r->rsp) ? SS_ONSTACK : 0) : SS_DISABLE,
			      t->altstack[2] },
		.uc.mc = {
			r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15,
			r->rdi, r->rsi, r->rbp, r->rbx, r->rdx, r->rax, r->rcx, r->rsp, r->rip, r->rflags,
			.cs = SEL_USER_CS, .ss = SEL_USER_DS,
			.err = r->vector < 32 ? r->error : 0, .trapno = r->vector < 32 ? r->vector : 0,
			.oldmask = mask, .cr2 = r->vector == 14 ? info->fields[0] : 0, .fpstate = fp,
		},
		.uc.sigmask = mask,
		.info = *info,
	};
	if (user_write(sp, &f, sizeof(f)))
		return -EFAULT;
	if (t->altstack[1] & SS_AUTODISARM)
		t->altstack[0] = t->altstack[2] = 0, t->altstack[1] = SS_DISABLE;
	r->rdi = (uint64_t)(uint32_t)info->number;
	r->rsi = sp + offsetof(struct frame, info);
	r->rdx = sp + offsetof(struct frame, uc);
	r->rax = 0;
	r->rsp = sp;
	r->rip = a->handler;
	r->rflags &= ~(RFLAGS_DF | RFLAGS_TF);
	return 0;
}

/* What the program has at `at` becomes the vector state; so changed that xrstor
 * cannot fault. Read elsewhere first: reading may sleep, and whoever runs then
 * saves and restores t->fpu. What cannot be read leaves the initial state, as in
 * Linux. */
static int load_fpu(struct thread *t, uint64_t at)
{
	char *state = kmem_alloc(cpu_features.xsave_bytes);
	int err = state ? user_read(state, at, cpu_features.xsave_bytes) : -ENOMEM;

	fpu_save(t);                /* owns t->fpu from here on */
	if (err) {
		fpu_reset(t->fpu);
	} else {
		memcpy(t->fpu, state, cpu_features.xsave_bytes);
		*(uint32_t *)((char *)t->fpu + 24) &= 0xffff;   /* MXCSR: reserved bits fault */
	}
	if (!err && cpu_features.xsave) {
		struct fp_software *sw = (void *)((char *)t->fpu + FXSAVE_SW_BYTES);
		uint64_t *header = (void *)((char *)t->fpu + XSAVE_HEADER);

		/* A frame without extended state restores x87 and SSE. */
		header[0] = sw->magic1 == FP_XSTATE_MAGIC1 ? header[0] & cpu_features.xcr0 : 3;
		memset(header + 1, 0, 56);
	}
	this_cpu()->fpu_owner = NULL;
	t->fpu_cpu = NULL;
	fpu_restore(t);
	kmem_free(state);
	return err ? -EFAULT : 0;
}

int sigframe_pop(struct thread *t, struct regs *r, uint64_t *mask)
{
	/* User-changeable flags (Linux's FIX_EFLAGS). */
	const uint64_t flags = 0x40dd5 | RFLAGS_DF | RFLAGS_TF;
	struct sigcontext *m;
	struct ucontext uc;

	if (user_read(&uc, r->rsp - 8 + offsetof(struct frame, uc), sizeof(uc)))
		return -EFAULT;
	m = &uc.mc;
	*mask = uc.sigmask;
	if (m->rip >= OTR_USER_END)
		return -EFAULT;
	if (m->fpstate && (m->fpstate & 63 || load_fpu(t, m->fpstate)))
		return -EFAULT;
	*r = (struct regs){
		.r15 = m->r15, .r14 = m->r14, .r13 = m->r13, .r12 = m->r12, .rbp = m->rbp,
		.rbx = m->rbx, .r11 = m->r11, .r10 = m->r10, .r9 = m->r9, .r8 = m->r8,
		.rax = m->rax, .rcx = m->rcx, .rdx = m->rdx, .rsi = m->rsi, .rdi = m->rdi,
		.vector = r->vector, .error = r->error, .rip = m->rip, .cs = SEL_USER_CS,
		.rflags = (r->rflags & ~flags) | (m->rflags & flags) | RFLAGS_IF | RFLAGS_FIX,
		.rsp = m->rsp, .ss = SEL_USER_DS,
	};
	t->altstack[0] = uc.stack[0];
	t->altstack[1] = uc.stack[1] & (SS_DISABLE | SS_AUTODISARM);
	t->altstack[2] = uc.stack[1] & SS_DISABLE ? 0 : uc.stack[2];
	return 0;
}
