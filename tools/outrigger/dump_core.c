/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/outrigger/dump.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#define PIECE (2ull << 20)      /* as much as one PEEK reads */

/* One NT_PRSTATUS note of a core file: "CORE" padded to 8 bytes. */
struct note {
	Elf64_Nhdr h;
	char name[8];
	struct elf_prstatus status;
} __attribute__((packed));
_Static_assert(sizeof(((struct elf_prstatus *)0)->pr_reg) == sizeof(((struct otr_cpu_regs *)0)->gpr),
	       "the registers are in Linux's order");

static int put(struct dump *d, int fd, const void *from, size_t bytes, uint64_t offset)
{
	while (bytes) {
		ssize_t n = pwrite(fd, from, bytes, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return outrigger_fail(d->o, n ? -errno : -EIO, "writing the dump: %s", strerror(n ? errno : EIO));
		from = (const char *)from + n;
		bytes -= (size_t)n;
		offset += (uint64_t)n;
	}
	return 0;
}

static bool all_zero(const uint64_t *p, size_t bytes)
{
	return !p[0] && !memcmp(p, p + 1, bytes - 8);
}

static int put_memory(struct dump *d, int fd)
{
	uint64_t *buffer = malloc(PIECE);
	uint32_t i;
	int ret = 0;

	if (!buffer)
		return outrigger_fail(d->o, -ENOMEM, "out of memory");
	for (i = 0; i < d->range_count && !ret; i++) {
		const struct dump_range *r = &d->range[i];
		uint64_t at, n;

		for (at = r->start; at < r->end && !ret; at += n) {
			n = r->end - at < PIECE ? r->end - at : PIECE;
			ret = outrigger_peek(d->o, d->name, at, buffer, n);
			/* zeroes stay a hole in the file */
			if (!ret && !all_zero(buffer, n))
				ret = put(d, fd, buffer, n, r->offset + (at - r->start));
		}
	}
	free(buffer);
	return ret;
}

static int put_notes(struct dump *d, int fd, uint64_t offset)
{
	uint32_t i;
	int ret = 0;

	for (i = 0; i < d->cpu_count && !ret; i++) {
		struct note n = {
			.h = { .n_namesz = 5, .n_descsz = sizeof(n.status), .n_type = NT_PRSTATUS },
			.name = "CORE",
		};

		n.status.pr_pid = (pid_t)d->cpu[i].index + 1;
		memcpy(&n.status.pr_reg, d->cpu[i].regs.gpr, sizeof(n.status.pr_reg));
		ret = put(d, fd, &n, sizeof(n), offset + i * sizeof(n));
	}
	return ret;
}

static int put_headers(struct dump *d, int fd, uint64_t notes_at)
{
	Elf64_Ehdr h = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_CORE, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
		.e_phoff = sizeof(h), .e_ehsize = sizeof(h), .e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = (Elf64_Half)(d->run_count + 1),
	};
	Elf64_Phdr p = {
		.p_type = PT_NOTE, .p_offset = notes_at, .p_filesz = d->cpu_count * sizeof(struct note),
		.p_align = 4,
	};
	int ret = put(d, fd, &h, sizeof(h), 0);
	uint32_t i;

	if (!ret)
		ret = put(d, fd, &p, sizeof(p), sizeof(h));
	for (i = 0; i < d->run_count && !ret; i++) {
		const struct dump_run *m = &d->run[i];
		const struct dump_range *r = dump_owned(d, m->phys, m->bytes);

		p = (Elf64_Phdr){
			.p_type = PT_LOAD, .p_flags = m->flags, .p_vaddr = m->virt, .p_paddr = m->phys,
			.p_offset = r->offset + (m->phys - r->start),
			.p_filesz = m->bytes, .p_memsz = m->bytes, .p_align = OTR_PAGE_SIZE,
		};
		ret = put(d, fd, &p, sizeof(p), sizeof(h) + (i + 1ul) * sizeof(p));
	}
	return ret;
}

int dump_core(struct dump *d, int fd)
{
	uint64_t notes_at = sizeof(Elf64_Ehdr) + (d->run_count + 1ul) * sizeof(Elf64_Phdr);
	uint64_t at = notes_at + d->cpu_count * sizeof(struct note);
	uint32_t i;
	int ret;

	at = (at + OTR_PAGE_SIZE - 1) & ~(uint64_t)(OTR_PAGE_SIZE - 1);
	for (i = 0; i < d->range_count; i++) {
		d->range[i].offset = at;
		at += d->range[i].end - d->range[i].start;
	}
	if (ftruncate(fd, (off_t)at))
		return outrigger_fail(d->o, -errno, "a dump of %llu MiB: %s", (unsigned long long)at >> 20, strerror(errno));
	ret = put_headers(d, fd, notes_at);
	if (!ret)
		ret = put_notes(d, fd, notes_at);
	return ret ? ret : put_memory(d, fd);
}
