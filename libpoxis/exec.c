/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The start of a program: the proxy has read the ELF file and described the
 * result in the mailbox; here the areas are made, whose pages come from the files
 * when they are touched, the proxy writes the stack's first contents through the
 * shared address space (OTR_CALL_FILL), and user mode begins.
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
#include "libpoxis/limits.h"
#include "libpoxis/mapfile.h"
#include "libpoxis/process.h"
#include "libpoxis/slot.h"
#include "libpoxis/vdso.h"

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
	for (uint32_t i = 0; i < e->segment_count; i++) {
		const struct otr_exec_segment *s = &e->segment[i];

		if (!in_user(s->start, s->end) || s->prot & ~7u || s->from > OTR_SEGMENT_INTERPRETER ||
		    s->offset & (PAGE_SIZE - 1) || s->offset + (s->end - s->start) < s->offset ||
		    (s->file_bytes != UINT64_MAX && s->file_bytes > s->end - s->start))
			return -EINVAL;
	}
	if (!in_user(e->stack_start, e->stack_end) || e->sp <= e->stack_start ||
	    e->sp > e->stack_end || e->sp & 15)
		return -EINVAL;
	if (e->entry < OTR_USER_START || e->entry >= OTR_USER_END ||
	    e->brk < OTR_USER_START || e->brk >= OTR_USER_END || e->brk & (PAGE_SIZE - 1) ||
	    e->mmap_top < OTR_USER_START || e->mmap_top > OTR_USER_END || e->mmap_top & (PAGE_SIZE - 1))
		return -EINVAL;
	return 0;
}

/* What a segment has of its file, and what follows. */
static int make_segment(struct mm *mm, const struct otr_exec_segment *s, struct mapped_file *file)
{
	uint64_t split = s->end;
	int64_t at = 0;
	struct area a = { .prot = s->prot, .file = file, .offset = s->offset, .data_end = UINT64_MAX };

	if (s->file_bytes != UINT64_MAX) {
		split = s->start + ALIGN_UP(s->file_bytes, PAGE_SIZE);
		a.data_end = s->offset + s->file_bytes;
	}
	if (s->from == OTR_SEGMENT_ZERO)
		split = s->start;
	if (split > s->start)
		at = mm_map_area(mm, s->start, split - s->start, &a, MM_FIXED | MM_NOREPLACE);
	if (at >= 0 && s->end > split)
		at = mm_map(mm, split, s->end - split, s->prot, MM_FIXED | MM_NOREPLACE);
	return at < 0 ? (int)at : 0;
}

/* Overlap is refused by mm_map(). */
static int make_areas(struct mm *mm, const struct otr_exec *e, struct mapped_file *file[3])
{
	int64_t at;

	mm->mmap_top = OTR_USER_END;
	mm->limit_as = mm->limit_data = UINT64_MAX;
	for (uint32_t i = 0; i < e->segment_count; i++) {
		at = make_segment(mm, &e->segment[i], file[e->segment[i].from]);
		if (at < 0)
			return (int)at;
	}
	at = mm_map_area(mm, e->stack_start, e->stack_end - e->stack_start,
			 &(struct area){ .prot = MM_READ | MM_WRITE, .flags = MM_NOHUGE | MM_STACK },
			 MM_FIXED | MM_NOREPLACE);
	if (at < 0)
		return (int)at;
	mm->brk_start = mm->brk = e->brk;
	mm->mmap_top = e->mmap_top;
	mm->limit_as = e->limit_as;
	mm->limit_data = e->limit_data;
	return 0;
}

/* Has the host hold the program's file and its loader's, and lets it forget those
 * of the program before. */
static int open_files(struct mm *mm, const struct otr_exec *e, struct mapped_file *file[3])
{
	static const uint64_t which[3] = { 0, OTR_FILE_EXE, OTR_FILE_INTERPRETER };
	int64_t number = 0;

	for (uint32_t i = 0; i < e->segment_count; i++) {
		uint32_t from = e->segment[i].from;

		if (from == OTR_SEGMENT_ZERO || file[from])
			continue;
		number = mapfile_open(mm, which[from], e->segment[i].prot);
		if (number <= 0)
			return number ? (int)number : -ENOEXEC;
		file[from] = mm_file_get(mm, (uint32_t)number);
		if (!file[from])
			return -ENOMEM;
	}
	mapfile_settle(mm);
	return 0;
}

static int load(struct mm *mm, const struct otr_exec *e)
{
	struct mapped_file *file[3] = { NULL };
	int err;

	mutex_lock(&mm->linux_lock);
	err = open_files(mm, e, file);
	if (!err)
		err = make_areas(mm, e, file);
	for (uint32_t i = 0; i < ARRAY_SIZE(file); i++)
		if (file[i])
			mm_file_put(mm, file[i]);
	mutex_unlock(&mm->linux_lock);
	/* The proxy is about to fill what the stack begins with. */
	if (!err)
		err = mm_populate(mm, e->sp, e->stack_end - e->sp, MM_WRITE);
	return err;
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
		err = load(p->mm, e);
	if (err)
		goto out;
	str_copy(p->comm, e->comm, sizeof(p->comm));
	p->sp_start = e->sp;
	p->mailbox->vdso = vdso_map(p->mm);
	if (first) {
		t->slot->twin_mask = t->slot->wanted_mask = t->sigmask = e->sigmask;
		for (uint32_t i = 0; i < SIGNALS; i++)
			p->action[i] = (struct signal_action){ .handler = e->ignored >> i & 1 };
	}
	err = slot_call(t->slot, OTR_CALL_FILL, (uint64_t[6]){ 0 });
	if (!err && first)
		err = limits_take_cpu();
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
