/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads a co-kernel's ELF image with libelf. The file may be anything: every
 * offset, size and count is checked before it is used.
 */
#include "loader/outrigger.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOTE_OWNER "Outrigger"
#define NOTE_ABI 1u
#define HEADERS_MAX 64u
#define IMAGE_BASE 0xffffffff80000000ull

static int map_file(struct outrigger *o, const char *path, struct outrigger_image *img)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;

	if (fd < 0)
		return outrigger_fail(o, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return outrigger_fail(o, -EINVAL, "%s is not a regular file", path);
	}
	if (st.st_size < (off_t)sizeof(Elf64_Ehdr) || st.st_size > (off_t)(1ll << 30)) {
		close(fd);
		return outrigger_fail(o, -ENOEXEC, "%s is not an ELF image: it has %lld bytes",
				      path, (long long)st.st_size);
	}
	img->file_bytes = (size_t)st.st_size;
	img->file = mmap(NULL, img->file_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	err = errno;
	close(fd);
	if (img->file == MAP_FAILED) {
		img->file = NULL;
		return outrigger_fail(o, -err, "%s: %s", path, strerror(err));
	}
	return 0;
}

static int check_header(struct outrigger *o, const char *path, Elf *elf, GElf_Ehdr *h, size_t *count)
{
	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, h))
		return outrigger_fail(o, -ENOEXEC, "%s is not an ELF image", path);
	if (gelf_getclass(elf) != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB ||
	    h->e_machine != EM_X86_64)
		return outrigger_fail(o, -ENOEXEC, "%s is an ELF file for another machine than x86-64", path);
	if (h->e_type != ET_EXEC)
		return outrigger_fail(o, -ENOEXEC, "%s is not an executable linked at a fixed address", path);
	if (elf_getphdrnum(elf, count) || *count == 0 || *count > HEADERS_MAX)
		return outrigger_fail(o, -ENOEXEC, "%s has no or too many program headers", path);
	return 0;
}

static bool inside(const struct outrigger_image *img, uint64_t offset, uint64_t bytes)
{
	return offset <= img->file_bytes && bytes <= img->file_bytes - offset;
}

static int add_segment(struct outrigger *o, const char *path, struct outrigger_image *img,
		       const GElf_Phdr *p)
{
	struct otr_image_segment *s = &img->segment[img->segment_count];
	uint64_t slack = p->p_vaddr & (OTR_PAGE_SIZE - 1);

	if (!p->p_memsz)
		return 0;
	if (img->segment_count == OTR_IMAGE_SEGMENTS)
		return outrigger_fail(o, -ENOEXEC, "%s has more than %u segments to load",
				      path, OTR_IMAGE_SEGMENTS);
	if (p->p_filesz > p->p_memsz || !inside(img, p->p_offset, p->p_filesz))
		return outrigger_fail(o, -ENOEXEC, "%s is truncated, or its segment at %#llx lies about its size",
				      path, (unsigned long long)p->p_vaddr);
	if (p->p_vaddr < IMAGE_BASE || p->p_memsz > OTR_IMAGE_BYTES || slack)
		return outrigger_fail(o, -ENOEXEC,
				      "%s has a segment at %#llx of %llu bytes; it must begin page aligned in the top 2 GiB and span at most %llu MiB",
				      path, (unsigned long long)p->p_vaddr,
				      (unsigned long long)p->p_memsz, OTR_IMAGE_BYTES >> 20);
	if ((p->p_flags & PF_W) && (p->p_flags & PF_X))
		return outrigger_fail(o, -ENOEXEC, "%s has a segment at %#llx that is writable and executable",
				      path, (unsigned long long)p->p_vaddr);
	*s = (struct otr_image_segment){
		.virt = p->p_vaddr, .mem_bytes = p->p_memsz, .file_bytes = p->p_filesz,
		.data = (uintptr_t)img->file + p->p_offset,
		.flags = (p->p_flags & PF_W ? OTR_SEG_WRITE : 0) |
			 (p->p_flags & PF_X ? OTR_SEG_EXEC : 0),
	};
	img->segment_count++;
	return 0;
}

/* Looks through a note segment for the ABI version. */
static void read_notes(struct outrigger_image *img, Elf *elf, const GElf_Phdr *p)
{
	Elf_Data *data;
	GElf_Nhdr n;
	size_t at = 0, next, name, desc;

	if (!inside(img, p->p_offset, p->p_filesz))
		return;
	data = elf_getdata_rawchunk(elf, (int64_t)p->p_offset, p->p_filesz,
				    p->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	if (!data)
		return;
	while ((next = gelf_getnote(data, at, &n, &name, &desc)) > 0) {
		const char *base = data->d_buf;

		if (n.n_type == NOTE_ABI && n.n_namesz == sizeof(NOTE_OWNER) &&
		    !memcmp(base + name, NOTE_OWNER, sizeof(NOTE_OWNER)) && n.n_descsz >= 4)
			memcpy(&img->abi_version, base + desc, 4);
		at = next;
	}
}

static int read_headers(struct outrigger *o, const char *path, Elf *elf, struct outrigger_image *img)
{
	GElf_Ehdr h;
	GElf_Phdr p;
	size_t count, i;
	int ret = check_header(o, path, elf, &h, &count);

	for (i = 0; !ret && i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &p))
			return outrigger_fail(o, -ENOEXEC, "%s is truncated: program header %zu is missing",
					      path, i);
		if (p.p_type == PT_LOAD)
			ret = add_segment(o, path, img, &p);
		else if (p.p_type == PT_NOTE)
			read_notes(img, elf, &p);
	}
	if (ret)
		return ret;
	img->entry = h.e_entry;
	if (!img->segment_count)
		return outrigger_fail(o, -ENOEXEC, "%s has nothing to load", path);
	if (!img->abi_version)
		return outrigger_fail(o, -ENOEXEC, "%s is no co-kernel image: its ELF note '%s' is missing",
				      path, NOTE_OWNER);
	if (img->abi_version != OTR_ABI_VERSION)
		return outrigger_fail(o, -EPROTO, "%s was built for ABI version %u, this program speaks %u",
				      path, img->abi_version, OTR_ABI_VERSION);
	return 0;
}

int outrigger_image_read(struct outrigger *o, const char *path, struct outrigger_image *img)
{
	Elf *elf;
	int ret;

	memset(img, 0, sizeof(*img));
	if (elf_version(EV_CURRENT) == EV_NONE)
		return outrigger_fail(o, -ENOSYS, "libelf is too old");
	ret = map_file(o, path, img);
	if (ret)
		return ret;
	elf = elf_memory(img->file, img->file_bytes);
	if (!elf) {
		outrigger_image_free(img);
		return outrigger_fail(o, -ENOEXEC, "%s is not an ELF image", path);
	}
	ret = read_headers(o, path, elf, img);
	elf_end(elf);
	if (ret)
		outrigger_image_free(img);
	return ret;
}

void outrigger_image_free(struct outrigger_image *img)
{
	if (img->file)
		munmap(img->file, img->file_bytes);
	img->file = NULL;
}
