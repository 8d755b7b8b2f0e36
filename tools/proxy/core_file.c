/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/core_file.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "abi/call.h"

#define PAGE ((uint64_t)OTR_PAGE_SIZE)
#define PIECE (256u << 10)          /* read at once */
#define FX_BYTES 512u               /* of FXSAVE's format (SDM 1, 10.5.1) */
#define FX_SOFTWARE 464u            /* free for software: Linux puts XCR0 there for gdb */
#define FX_FCW_DEFAULT 0x37f
#define FX_XMM 160u
#define XSAVE_BV 512u               /* XSTATE_BV: what the rest of it has (SDM 1, 13.4.2) */

/* ---- A growing buffer; an error sticks ---- */

struct buffer {
	char *data;
	size_t bytes, room;
	bool failed;
};

static void put(struct buffer *b, const void *from, size_t bytes)
{
	if (b->failed)
		return;
	if (b->bytes + bytes > b->room) {
		size_t room = (b->bytes + bytes) * 2 + 4096;
		char *bigger = realloc(b->data, room);

		if (!bigger) {
			b->failed = true;
			return;
		}
		b->data = bigger;
		b->room = room;
	}
	if (bytes)
		memcpy(b->data + b->bytes, from, bytes);
	b->bytes += bytes;
}

static void align4(struct buffer *b)
{
	put(b, "\0\0\0", -b->bytes & 3);
}

/* ---- Notes ---- */

static void note(struct buffer *b, const char *owner, uint32_t type, const void *data, size_t bytes)
{
	Elf64_Nhdr n = { .n_namesz = (uint32_t)strlen(owner) + 1, .n_descsz = (uint32_t)bytes, .n_type = type };

	put(b, &n, sizeof(n));
	put(b, owner, n.n_namesz);
	align4(b);
	put(b, data, bytes);
	align4(b);
}

static void put_status(struct buffer *b, const struct core_image *c, const struct otr_thread_state *t)
{
	struct elf_prstatus s = {
		.pr_info = { (int)c->thread->signal, c->thread->code, c->thread->error },
		.pr_cursig = (short)c->thread->signal, .pr_sighold = t->sigmask, .pr_pid = (pid_t)t->tid,
		.pr_ppid = c->ppid, .pr_pgrp = c->pgrp, .pr_sid = c->sid, .pr_fpvalid = 1,
		.pr_utime = { (long)(t->run_ns / 1000000000u), (long)(t->run_ns % 1000000000u / 1000) },
	};

	_Static_assert(sizeof(s.pr_reg) == sizeof(t->regs), "Linux's user_regs_struct");
	memcpy(&s.pr_reg, &t->regs, sizeof(s.pr_reg));
	note(b, "CORE", NT_PRSTATUS, &s, sizeof(s));
}

static void put_info(struct buffer *b, const struct core_image *c)
{
	struct elf_prpsinfo i = {
		.pr_sname = 'R', .pr_uid = c->uid, .pr_gid = c->gid, .pr_pid = c->pid, .pr_ppid = c->ppid,
		.pr_pgrp = c->pgrp, .pr_sid = c->sid,
	};

	strncpy(i.pr_fname, c->comm, sizeof(i.pr_fname) - 1);
	strncpy(i.pr_psargs, c->args, sizeof(i.pr_psargs) - 1);
	note(b, "CORE", NT_PRPSINFO, &i, sizeof(i));
}

static void put_siginfo(struct buffer *b, const struct otr_thread_state *t)
{
	int32_t info[32] = { (int32_t)t->signal, t->error, t->code };

	memcpy(info + 4, t->fields, sizeof(t->fields));
	note(b, "CORE", NT_SIGINFO, info, sizeof(info));
}

static const char *name_of(const struct core_image *c, uint32_t number)
{
	size_t i;

	for (i = 0; i < c->file_count; i++)
		if (c->file[i].number == number)
			return c->file[i].path;
	return NULL;
}

static bool is_named(const struct core_image *c, const struct otr_area *a)
{
	return !(a->flags & OTR_AREA_PRESENT) && a->file && name_of(c, a->file);
}

/* count, page size, then start, end and page offset of each, then the names. */
static void put_files(struct buffer *b, const struct core_image *c)
{
	struct buffer d = { 0 };
	uint64_t head[2] = { 0, PAGE };
	size_t i;

	put(&d, head, sizeof(head));
	for (i = 0; i < c->area_count; i++) {
		const struct otr_area *a = &c->area[i];
		uint64_t row[3] = { a->start, a->end, a->offset / PAGE };

		if (!is_named(c, a))
			continue;
		put(&d, row, sizeof(row));
		head[0]++;
	}
	for (i = 0; i < c->area_count; i++)
		if (is_named(c, &c->area[i]))
			put(&d, name_of(c, c->area[i].file), strlen(name_of(c, c->area[i].file)) + 1);
	b->failed |= d.failed;
	if (!d.failed && head[0]) {
		memcpy(d.data, head, sizeof(head));
		note(b, "CORE", NT_FILE, d.data, d.bytes);
	}
	free(d.data);
}

/* What XSTATE_BV says is initial is not in the legacy area. */
static void put_fpu(struct buffer *b, const struct otr_thread_state *t)
{
	uint32_t bytes = t->fpu_bytes < OTR_THREAD_FPU ? t->fpu_bytes : OTR_THREAD_FPU;
	uint8_t legacy[FX_BYTES], x[OTR_THREAD_FPU];
	uint64_t has = 3;

	if (bytes < FX_BYTES)
		return;
	memcpy(x, t->fpu, sizeof(x));
	memcpy(legacy, x, sizeof(legacy));
	if (t->xcr0 && bytes >= XSAVE_BV + sizeof(has))
		memcpy(&has, x + XSAVE_BV, sizeof(has));
	if (!(has & 1)) {
		memset(legacy, 0, 24);
		memset(legacy + 32, 0, FX_XMM - 32);
		legacy[0] = FX_FCW_DEFAULT & 0xff;
		legacy[1] = FX_FCW_DEFAULT >> 8;
	}
	if (!(has & 2))
		memset(legacy + FX_XMM, 0, 256);
	memset(legacy + FX_SOFTWARE, 0, FX_BYTES - FX_SOFTWARE);
	note(b, "CORE", NT_FPREGSET, legacy, sizeof(legacy));
	if (!t->xcr0)
		return;
	memset(x + FX_SOFTWARE, 0, FX_BYTES - FX_SOFTWARE);
	memcpy(x + FX_SOFTWARE, &t->xcr0, sizeof(t->xcr0));
	note(b, "LINUX", NT_X86_XSTATE, x, bytes);
}

/* In Linux's order: what is the program's stands between the first thread's. */
static void put_notes(struct buffer *b, const struct core_image *c)
{
	size_t i;

	for (i = 0; i < c->thread_count; i++) {
		put_status(b, c, &c->thread[i]);
		if (!i) {
			put_info(b, c);
			put_siginfo(b, c->thread);
			note(b, "CORE", NT_AUXV, c->auxv, c->auxv_words * sizeof(*c->auxv));
			put_files(b, c);
		}
		put_fpu(b, &c->thread[i]);
	}
}

/* ---- Segments ---- */

struct segment {
	Elf64_Phdr h;
	size_t first, end;          /* of c->area: what is written of it; none: all of it */
	bool resident;              /* of it only what Linux has in memory */
};

static void add(struct buffer *list, const struct otr_area *a, uint64_t start, uint64_t end,
		const struct segment *how, bool contents)
{
	struct segment s = *how;

	if (start >= end)
		return;
	s.h = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_vaddr = start, .p_memsz = end - start, .p_align = PAGE,
		.p_filesz = contents ? end - start : 0,
		.p_flags = (a->prot & OTR_PROT_READ ? PF_R : 0) | (a->prot & OTR_PROT_WRITE ? PF_W : 0) |
			   (a->prot & OTR_PROT_EXEC ? PF_X : 0),
	};
	put(list, &s, sizeof(s));
}

/* Pages that are not there are the file's, where gdb finds them: no contents. */
static void add_parts(struct buffer *list, const struct core_image *c, size_t i, size_t end)
{
	const struct otr_area *a = &c->area[i];
	const struct segment all = { .first = 0 };
	uint64_t at = a->start;

	for (i++; i < end; i++) {
		add(list, a, at, c->area[i].start, &all, false);
		add(list, a, c->area[i].start, c->area[i].end, &all, true);
		at = c->area[i].end;
	}
	add(list, a, at, a->end, &all, false);
}

/* Area i, whose present parts lie behind it up to `end`. */
static void add_area(struct buffer *list, const struct core_image *c, size_t i, size_t end)
{
	const struct otr_area *a = &c->area[i];
	struct segment how = { .first = i + 1, .end = end };
	uint64_t header = a->start;
	bool wanted;

	if (a->flags & OTR_AREA_DONTDUMP || !(a->prot & OTR_PROT_READ)) {
		add(list, a, a->start, a->end, &how, false);
	} else if (a->flags & OTR_AREA_FIXED) {
		add(list, a, a->start, a->end, &how, a->prot & OTR_PROT_EXEC);
	} else if (a->flags & OTR_AREA_SHARED) {
		how.resident = true;
		wanted = c->filter & (a->flags & OTR_AREA_NAMED ? CORE_FILE_SHARED : CORE_ANON_SHARED);
		add(list, a, a->start, a->end, &how, wanted);
	} else if (!a->file) {
		add(list, a, a->start, a->end, &how, c->filter & CORE_ANON_PRIVATE);
	} else if (c->filter & CORE_FILE_PRIVATE || (c->filter & CORE_ANON_PRIVATE && !(a->prot & OTR_PROT_EXEC))) {
		/* Linux knows what was written to; here, what may have been. */
		add_parts(list, c, i, end);
	} else {
		how = (struct segment){ .first = 0 };
		if (c->filter & CORE_ELF_HEADERS && !a->offset)
			header += PAGE;
		add(list, a, a->start, header, &how, true);
		add(list, a, header, a->end, &how, false);
	}
}

static void add_areas(struct buffer *list, const struct core_image *c)
{
	size_t i, end;

	for (i = 0; i < c->area_count; i = end) {
		for (end = i + 1; end < c->area_count && c->area[end].flags & OTR_AREA_PRESENT; end++)
			;
		if (!(c->area[i].flags & OTR_AREA_PRESENT))
			add_area(list, c, i, end);
	}
}

/* ---- Writing ---- */

struct output {
	int fd;
	uint64_t left;              /* of the limit */
	int error;
};

static void write_piece(struct output *o, const char *from, size_t bytes, uint64_t at)
{
	while (bytes && o->left && !o->error) {
		ssize_t done = pwrite(o->fd, from, bytes < o->left ? bytes : o->left, (off_t)at);

		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			o->error = done ? -errno : -EIO;
			return;
		}
		o->left -= (uint64_t)done;
		from += done;
		at += (uint64_t)done;
		bytes -= (size_t)done;
	}
}

static bool is_zero(const char *from, size_t bytes)
{
	return !*from && !memcmp(from, from + 1, bytes - 1);
}

/* What cannot be read stays a hole, and so do pages of zeroes: of 2 MiB of memory
 * that a program has, it may have touched one. */
static void write_at(struct output *o, const void *from, uint64_t bytes, uint64_t at)
{
	static char copy[PIECE];
	size_t i, n, step;

	while (bytes && o->left && !o->error) {
		struct iovec local = { copy, bytes < PIECE ? bytes : PIECE }, remote = { (void *)(uintptr_t)from, local.iov_len };
		ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

		n = got > 0 ? (size_t)got : PAGE - ((uintptr_t)from & (PAGE - 1));
		if (n > bytes)
			n = bytes;
		for (i = 0; got > 0 && i < n; i += step) {
			step = n - i < PAGE ? n - i : PAGE;
			if (!is_zero(copy + i, step))
				write_piece(o, copy + i, step, at + i);
		}
		from = (const char *)from + n;
		at += n;
		bytes -= n;
	}
}

static void write_resident(struct output *o, const Elf64_Phdr *h)
{
	uint64_t at, step;
	unsigned char there[512];

	for (at = 0; at < h->p_filesz; at += step) {
		uint64_t i, n;

		step = h->p_filesz - at < sizeof(there) * PAGE ? h->p_filesz - at : sizeof(there) * PAGE;
		n = (step + PAGE - 1) / PAGE;
		if (mincore((void *)(h->p_vaddr + at), step, there))
			continue;
		for (i = 0; i < n; i++)
			if (there[i] & 1)
				write_at(o, (void *)(h->p_vaddr + at + i * PAGE), PAGE, h->p_offset + at + i * PAGE);
	}
}

static void write_segment(struct output *o, const struct core_image *c, const struct segment *s)
{
	size_t i;

	if (!s->h.p_filesz)
		return;
	if (s->resident) {
		write_resident(o, &s->h);
		return;
	}
	if (!s->first) {
		write_at(o, (void *)s->h.p_vaddr, s->h.p_filesz, s->h.p_offset);
		return;
	}
	for (i = s->first; i < s->end; i++)
		write_at(o, (void *)c->area[i].start, c->area[i].end - c->area[i].start,
			 s->h.p_offset + (c->area[i].start - s->h.p_vaddr));
}

/* More than PN_XNUM - 1 headers are counted in a section header. */
static void put_head(struct buffer *b, const struct segment *s, size_t count, uint64_t notes, uint64_t notes_at)
{
	Elf64_Ehdr e = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT, .e_phoff = sizeof(e),
		.e_ehsize = sizeof(e), .e_phentsize = sizeof(Elf64_Phdr),
	};
	Elf64_Phdr n = { .p_type = PT_NOTE, .p_offset = notes_at, .p_filesz = notes, .p_align = 4 };
	Elf64_Shdr extra = { .sh_size = 1, .sh_info = (uint32_t)count + 1 };
	size_t i;

	e.e_phnum = count + 1 < PN_XNUM ? (uint16_t)(count + 1) : PN_XNUM;
	if (e.e_phnum == PN_XNUM) {
		e.e_shoff = notes_at - sizeof(extra);
		e.e_shentsize = sizeof(extra);
		e.e_shnum = 1;
	}
	put(b, &e, sizeof(e));
	put(b, &n, sizeof(n));
	for (i = 0; i < count; i++)
		put(b, &s[i].h, sizeof(s[i].h));
	put(b, &extra, sizeof(extra));
}

int core_file_write(const struct core_image *c, int fd)
{
	struct buffer notes = { 0 }, list = { 0 }, head = { 0 };
	struct output o = { .fd = fd, .left = c->limit };
	uint64_t notes_at, at;
	struct segment *s;
	size_t count, i;

	put_notes(&notes, c);
	add_areas(&list, c);
	s = (struct segment *)(void *)list.data;
	count = list.bytes / sizeof(*s);
	notes_at = sizeof(Elf64_Ehdr) + (count + 1) * sizeof(Elf64_Phdr) + sizeof(Elf64_Shdr);
	at = (notes_at + notes.bytes + PAGE - 1) & ~(PAGE - 1);
	for (i = 0; i < count; i++) {
		s[i].h.p_offset = at;
		at += s[i].h.p_filesz;
	}
	put_head(&head, s, count, notes.bytes, notes_at);
	o.error = notes.failed || list.failed || head.failed ? -ENOMEM : 0;
	if (!o.error) {
		write_at(&o, head.data, head.bytes, 0);
		write_at(&o, notes.data, notes.bytes, notes_at);
	}
	for (i = 0; i < count; i++)
		write_segment(&o, c, &s[i]);
	/* Holes at the end count, too. */
	if (!o.error && o.left && ftruncate(fd, (off_t)at))
		o.error = -errno;
	free(notes.data);
	free(list.data);
	free(head.data);
	return o.error;
}
