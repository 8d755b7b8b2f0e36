/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "abi/call.h"

#define HEADERS_MAX (65536u / sizeof(Elf64_Phdr))   /* as Linux */
#define SPAN_MAX (1ull << 40)
#define ALIGN_MAX (1ull << 30)

struct reader {
	struct outrigger *o;
	const char *path;
	int fd;
	uint64_t bytes;             /* of the file */
};

#define refuse(r, fmt, ...) outrigger_fail((r)->o, -ENOEXEC, "%s " fmt, (r)->path, ##__VA_ARGS__)

static int read_at(const struct reader *r, void *to, size_t bytes, uint64_t offset, const char *what)
{
	ssize_t n;

	if (offset > r->bytes || bytes > r->bytes - offset)
		return refuse(r, "is truncated: its %s lie behind its end", what);
	n = pread(r->fd, to, bytes, (off_t)offset);
	if (n < 0)
		return outrigger_fail(r->o, -errno, "%s: %s", r->path, strerror(errno));
	return (size_t)n == bytes ? 0 : refuse(r, "shrank while it was read");
}

static int check_header(const struct reader *r, const Elf64_Ehdr *h)
{
	if (memcmp(h->e_ident, ELFMAG, SELFMAG))
		return refuse(r, "is neither an ELF program nor a script that begins with #!");
	if (h->e_ident[EI_CLASS] != ELFCLASS64)
		return refuse(r, "is a 32-bit program; only 64-bit ones run in a partition");
	if (h->e_ident[EI_DATA] != ELFDATA2LSB || h->e_machine != EM_X86_64)
		return refuse(r, "is a program for another machine than x86-64 (ELF machine %u)", h->e_machine);
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return refuse(r, "is an ELF file, but not a program (ELF type %u)", h->e_type);
	if (h->e_phentsize != sizeof(Elf64_Phdr) || !h->e_phnum || h->e_phnum > HEADERS_MAX)
		return refuse(r, "has no usable table of program headers (%u of %u bytes)",
			      h->e_phnum, h->e_phentsize);
	return 0;
}

static uint32_t prot_of(uint32_t flags)
{
	return (flags & PF_R ? OTR_PROT_READ : 0) | (flags & PF_W ? OTR_PROT_WRITE : 0) |
	       (flags & PF_X ? OTR_PROT_EXEC : 0);
}

static int add_segment(const struct reader *r, const Elf64_Phdr *p, struct elf_file *e)
{
	struct elf_segment *s = &e->segment[e->segment_count];
	uint64_t end;

	if (!p->p_memsz)
		return 0;
	if (e->segment_count == ELF_SEGMENTS)
		return refuse(r, "has more than %u segments to load", ELF_SEGMENTS);
	if (p->p_filesz > p->p_memsz)
		return refuse(r, "has a segment at %#lx with more bytes in the file than in memory", p->p_vaddr);
	if (p->p_offset > r->bytes || p->p_filesz > r->bytes - p->p_offset)
		return refuse(r, "is truncated: its segment at %#lx lies behind its end", p->p_vaddr);
	if ((p->p_vaddr ^ p->p_offset) & (OTR_PAGE_SIZE - 1))
		return refuse(r, "has a segment at %#lx that its file offset %#lx does not match", p->p_vaddr, p->p_offset);
	if (__builtin_add_overflow(p->p_vaddr, p->p_memsz, &end) || end > OTR_USER_END ||
	    (!e->pie && p->p_vaddr < OTR_USER_START))
		return refuse(r, "has a segment of %#lx bytes at %#lx; programs live from %#llx to %#llx",
			      p->p_memsz, p->p_vaddr, OTR_USER_START, OTR_USER_END);
	if (e->segment_count && p->p_vaddr < s[-1].end)
		return refuse(r, "has a segment at %#lx that overlaps the one before it, or is out of order", p->p_vaddr);
	if (p->p_align > e->align && p->p_align <= ALIGN_MAX && !(p->p_align & (p->p_align - 1)))
		e->align = p->p_align;
	*s = (struct elf_segment){
		.start = p->p_vaddr, .end = end, .offset = p->p_offset,
		.file_bytes = p->p_filesz, .prot = prot_of(p->p_flags),
	};
	e->segment_count++;
	return 0;
}

static int read_interpreter(const struct reader *r, const Elf64_Phdr *p, struct elf_file *e)
{
	int ret;

	if (p->p_filesz < 2 || p->p_filesz > sizeof(e->interpreter) || e->interpreter[0])
		return refuse(r, "names its dynamic loader in a wrong way");
	ret = read_at(r, e->interpreter, p->p_filesz, p->p_offset, "dynamic loader's name");
	if (!ret && (e->interpreter[p->p_filesz - 1] || !e->interpreter[0]))
		ret = refuse(r, "names its dynamic loader in a wrong way");
	return ret;
}

static int read_headers(const struct reader *r, const Elf64_Ehdr *h, struct elf_file *e)
{
	Elf64_Phdr p[64];
	uint32_t i;
	int ret = 0;

	for (i = 0; i < h->e_phnum && !ret; i++) {
		uint32_t at = i % 64, some = h->e_phnum - i < 64 ? h->e_phnum - i : 64;

		if (!at)
			ret = read_at(r, p, some * sizeof(p[0]), h->e_phoff + i * sizeof(p[0]), "program headers");
		if (!ret && p[at].p_type == PT_LOAD)
			ret = add_segment(r, &p[at], e);
		else if (!ret && p[at].p_type == PT_INTERP)
			ret = read_interpreter(r, &p[at], e);
	}
	return ret;
}

static int finish(const struct reader *r, const Elf64_Ehdr *h, struct elf_file *e)
{
	bool entry_ok = false;
	uint32_t i;

	if (!e->segment_count)
		return refuse(r, "has nothing to load");
	e->low = e->segment[0].start & ~(uint64_t)(OTR_PAGE_SIZE - 1);
	e->high = (e->segment[e->segment_count - 1].end + OTR_PAGE_SIZE - 1) &
		  ~(uint64_t)(OTR_PAGE_SIZE - 1);
	if (e->high - e->low > SPAN_MAX)
		return refuse(r, "spans %#lx bytes of addresses; at most %#llx can be had", e->high - e->low, SPAN_MAX);
	for (i = 0; i < e->segment_count; i++) {
		const struct elf_segment *s = &e->segment[i];

		if (s->prot & OTR_PROT_EXEC && h->e_entry >= s->start && h->e_entry < s->end)
			entry_ok = true;
		if (h->e_phoff >= s->offset && h->e_phoff - s->offset < s->file_bytes)
			e->header_addr = h->e_phoff - s->offset + s->start;
	}
	e->entry = h->e_entry;
	e->header_count = h->e_phnum;
	if (!entry_ok)
		return refuse(r, "has its entry point %#lx outside of its code%s", h->e_entry,
			      e->pie && !h->e_entry ? "; is it a shared library?" : "");
	return 0;
}

int elf_read(struct outrigger *o, int fd, const char *path, struct elf_file *e)
{
	struct reader r = { .o = o, .path = path, .fd = fd };
	struct stat st;
	Elf64_Ehdr h;
	int ret;

	memset(e, 0, sizeof(*e));
	e->align = OTR_PAGE_SIZE;
	if (fstat(fd, &st))
		return outrigger_fail(o, -errno, "%s: %s", path, strerror(errno));
	r.bytes = (uint64_t)st.st_size;
	if (r.bytes < sizeof(h)) {
		memset(&h, 0, sizeof(h));
		if (pread(fd, h.e_ident, SELFMAG, 0) == SELFMAG && !memcmp(h.e_ident, ELFMAG, SELFMAG))
			return refuse(&r, "is truncated: it has %lu bytes", r.bytes);
		return refuse(&r, "is neither an ELF program nor a script that begins with #!");
	}
	ret = read_at(&r, &h, sizeof(h), 0, "ELF header");
	if (!ret)
		ret = check_header(&r, &h);
	if (ret)
		return ret;
	e->pie = h.e_type == ET_DYN;
	if (h.e_phoff > r.bytes)
		return refuse(&r, "is truncated: its program headers lie behind its end");
	ret = read_headers(&r, &h, e);
	return ret ? ret : finish(&r, &h, e);
}
