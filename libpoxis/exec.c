/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The start of a program: the proxy has read the ELF file and described the
 * result in the mailbox; here the areas are made, the proxy fills them through
 * the shared address space (OTR_CALL_FILL), and user mode begins.
 */
#include "cokernel/arch/x86_64/trap.h"
#include "cokernel/arch/x86_64/x86.h"
#include "cokernel/core/boot.h"
#include "cokernel/core/log.h"
#include "cokernel/ipc/host.h"
#include "cokernel/lib/atomic.h"
#include "cokernel/lib/errno.h"
#include "cokernel/lib/string.h"
#include "cokernel/mm/kmem.h"
#include "cokernel/mm/mm.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"

static bool in_user(uint64_t start, uint64_t end)
{
	return start >= OTR_USER_START && end <= OTR_USER_END && start < end &&
	       !((start | end) & (PAGE_SIZE - 1));
}

/* The proxy runs with the user's rights and may be hostile. */
static int check(const struct otr_exec *e)
{
	if (e->version != OTR_ABI_VERSION || !e->segment_count || e->segment_count > OTR_EXEC_SEGMENTS)
		return -EINVAL;
	for (uint32_t i = 0; i < e->segment_count; i++)
		if (!in_user(e->segment[i].start, e->segment[i].end) || e->segment[i].prot & ~7u ||
		    e->segment[i].reserved)
			return -EINVAL;
	if (!in_user(e->stack_start, e->stack_end) || e->sp <= e->stack_start ||
	    e->sp > e->stack_end || e->sp & 15)
		return -EINVAL;
	if (e->entry < OTR_USER_START || e->entry >= OTR_USER_END ||
	    e->brk < OTR_USER_START || e->brk >= OTR_USER_END || e->brk & (PAGE_SIZE - 1) ||
	    e->mmap_top < OTR_USER_START || e->mmap_top > OTR_USER_END || e->mmap_top & (PAGE_SIZE - 1))
		return -EINVAL;
	return 0;
}

/* All segments writable for now; overlap is refused by mm_map(). */
static int make_areas(struct mm *mm, const struct otr_exec *e)
{
	int64_t at;

	mm->mmap_top = OTR_USER_END;
	for (uint32_t i = 0; i < e->segment_count; i++) {
		at = mm_map(mm, e->segment[i].start, e->segment[i].end - e->segment[i].start,
			    MM_READ | MM_WRITE, MM_FIXED | MM_NOREPLACE);
		if (at < 0)
			return (int)at;
	}
	at = mm_map(mm, e->stack_start, e->stack_end - e->stack_start, MM_READ | MM_WRITE,
		    MM_FIXED | MM_NOREPLACE | MM_NOHUGE);
	if (at < 0)
		return (int)at;
	mm->brk_start = mm->brk = e->brk;
	mm->mmap_top = e->mmap_top;
	return 0;
}

static int protect(struct mm *mm, const struct otr_exec *e)
{
	for (uint32_t i = 0; i < e->segment_count; i++) {
		int err = mm_protect(mm, e->segment[i].start, e->segment[i].end - e->segment[i].start,
				     e->segment[i].prot);

		if (err)
			return err;
	}
	return 0;
}

int exec_load(struct thread *t, struct regs *r, bool first)
{
	struct process *p = t->process;
	struct otr_exec *e = kmem_alloc(sizeof(*e));
	int64_t err;

	if (!e)
		return -ENOMEM;
	memcpy(e, &p->mailbox->exec, sizeof(*e));
	err = check(e);
	if (!err)
		err = make_areas(p->mm, e);
	if (err)
		goto out;
	str_copy(p->comm, e->comm, sizeof(p->comm));
	p->mailbox->vdso = 0;
	if (first) {
		t->slot->twin_mask = t->sigmask = e->sigmask;
		for (uint32_t i = 0; i < SIGNALS; i++)
			p->action[i] = (struct signal_action){ .handler = e->ignored >> i & 1 };
	}
	err = slot_call(t->slot, OTR_CALL_FILL, (uint64_t[6]){ 0 });
	if (!err)
		err = protect(p->mm, e);
	if (err)
		goto out;
	*r = (struct regs){
		.rip = e->entry, .rsp = e->sp, .cs = SEL_USER_CS, .ss = SEL_USER_DS,
		.rflags = RFLAGS_IF | RFLAGS_FIX, .vector = REGS_VECTOR_SYSCALL,
	};
out:
	kmem_free(e);
	return (int)err;
}

void exec_main(void *arg)
{
	struct thread *t = current_thread();
	struct regs *r = thread_regs(t);
	struct otr_status *s = boot_status();
	int err = exec_load(t, r, true);

	if (err) {
		if (err != -EINTR)
			log_info("context %u: exec failed (%d)", t->process->context, err);
		process_kill(t->process, SIGSEGV);
		process_thread_exit();
	}
	trap_user_return(r);
	if (!s->tsc_first_user)
		s->tsc_first_user = rdtsc();
	host_send3(OTR_MSG_PROC_RUN, t->process->context, 0, 0);
	enter_user(r);
}
