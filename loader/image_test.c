/* SPDX-License-Identifier: BSD-2-Clause */
#include "loader/outrigger.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BASE 0xffffffff80200000ull

/* A file of 16 KiB: headers, a note at 1 KiB, text at 4 KiB, data at 8 KiB. */
struct file {
	Elf64_Ehdr h;
	Elf64_Phdr p[80];
	size_t bytes;
	uint32_t version;
};

static void good(struct file *f)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->h.e_ident, ELFMAG, SELFMAG);
	f->h.e_ident[EI_CLASS] = ELFCLASS64;
	f->h.e_ident[EI_DATA] = ELFDATA2LSB;
	f->h.e_ident[EI_VERSION] = EV_CURRENT;
	f->h.e_type = ET_EXEC;
	f->h.e_machine = EM_X86_64;
	f->h.e_version = EV_CURRENT;
	f->h.e_phoff = sizeof(f->h);
	f->h.e_ehsize = sizeof(f->h);
	f->h.e_phentsize = sizeof(Elf64_Phdr);
	f->h.e_phnum = 3;
	f->h.e_entry = BASE + 16;
	f->p[0] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 0x1000, .p_vaddr = BASE,
		.p_filesz = 0x1000, .p_memsz = 0x1000, .p_align = 4096,
	};
	f->p[1] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 0x2000, .p_vaddr = BASE + 0x1000,
		.p_filesz = 0x100, .p_memsz = 0x5000, .p_align = 4096,
	};
	f->p[2] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = 0x3000, .p_filesz = 28, .p_align = 4 };
	f->bytes = 0x4000;
	f->version = OTR_ABI_VERSION;
}

static int try(const struct file *f, struct outrigger_image *img, char *error)
{
	struct {
		Elf64_Nhdr h;
		char name[12];
		uint32_t version;
	} note = { { 10, 4, 1 }, "Outrigger", f->version };
	char path[] = "/tmp/image_test.XXXXXX";
	struct outrigger o = { .fd = -1 };
	char *all = calloc(1, 0x4000);
	int fd = mkstemp(path), ret;

	assert_true(fd >= 0);
	memcpy(all, &f->h, sizeof(f->h));
	memcpy(all + sizeof(f->h), f->p, 0x1000 - sizeof(f->h));
	memcpy(all + 0x3000, &note, sizeof(note));
	assert_int_equal(write(fd, all, f->bytes), f->bytes);
	ret = outrigger_image_read(&o, path, img);
	close(fd);
	unlink(path);
	free(all);
	strcpy(error, o.error);
	return ret;
}

static void refused(const struct file *f, const char *why)
{
	struct outrigger_image img;
	char error[512] = "";

	assert_true(try(f, &img, error) < 0);
	assert_non_null(strstr(error, "/tmp/image_test."));
	if (!strstr(error, why))
		fail_msg("'%s' does not say '%s'", error, why);
}

static void test_good(void **state)
{
	struct outrigger_image img;
	char error[512];
	struct file f;

	good(&f);
	if (try(&f, &img, error))
		fail_msg("%s", error);
	assert_int_equal(img.segment_count, 2);
	assert_int_equal(img.abi_version, OTR_ABI_VERSION);
	assert_true(img.entry == BASE + 16);
	assert_int_equal(img.segment[0].flags, OTR_SEG_EXEC);
	assert_int_equal(img.segment[1].flags, OTR_SEG_WRITE);
	assert_int_equal(img.segment[1].file_bytes, 0x100);
	assert_true(img.segment[0].data == (uintptr_t)img.file + 0x1000);
	outrigger_image_free(&img);
}

static void test_not_an_image(void **state)
{
	struct file f;

	good(&f);
	f.h.e_ident[0] = 0;
	refused(&f, "not an ELF image");
	good(&f);
	f.bytes = 0;
	refused(&f, "not an ELF image");
	good(&f);
	f.h.e_machine = EM_AARCH64;
	refused(&f, "another machine");
	good(&f);
	f.h.e_ident[EI_CLASS] = ELFCLASS32;
	refused(&f, "");
	good(&f);
	f.h.e_type = ET_DYN;
	refused(&f, "fixed address");
	good(&f);
	f.p[0].p_type = f.p[1].p_type = PT_NULL;
	refused(&f, "nothing to load");
}

static void test_truncated(void **state)
{
	struct file f;

	good(&f);
	f.bytes = 0x2080;
	refused(&f, "truncated");
	good(&f);
	f.h.e_phoff = 0x3ff0;
	refused(&f, "");
	good(&f);
	f.h.e_phnum = 70;
	refused(&f, "program headers");
}

static void test_absurd_segments(void **state)
{
	struct file f;

	good(&f);
	f.p[0].p_filesz = 0x2000;
	refused(&f, "lies about its size");
	good(&f);
	f.p[1].p_offset = UINT64_MAX - 8;
	refused(&f, "truncated");
	good(&f);
	f.p[1].p_memsz = UINT64_MAX;
	refused(&f, "at most");
	good(&f);
	f.p[0].p_vaddr = 0x400000;
	refused(&f, "top 2 GiB");
	good(&f);
	f.p[0].p_vaddr += 8;
	refused(&f, "page aligned");
	good(&f);
	f.p[0].p_flags |= PF_W;
	refused(&f, "writable and executable");
}

static void test_abi_version(void **state)
{
	struct file f;

	good(&f);
	f.h.e_phnum = 2;
	refused(&f, "note");
	good(&f);
	f.version = OTR_ABI_VERSION + 1;
	refused(&f, "built for ABI version");
	good(&f);
	f.p[2].p_filesz = 8;
	refused(&f, "note");
	good(&f);
	f.p[2].p_offset = UINT64_MAX;
	refused(&f, "note");
}

static void test_noise(void **state)
{
	struct outrigger_image img;
	char error[512];
	struct file f;
	int i, n;

	srandom(1);
	for (i = 0; i < 3000; i++) {
		good(&f);
		for (n = 1 + (int)(random() % 4); n; n--) {
			size_t at = (size_t)random() % (sizeof(f.h) + 3 * sizeof(f.p[0]));

			((unsigned char *)&f)[at] = (unsigned char)random();
		}
		if (!try(&f, &img, error)) {
			assert_true(img.segment_count <= OTR_IMAGE_SEGMENTS);
			outrigger_image_free(&img);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_not_an_image),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_absurd_segments),
		cmocka_unit_test(test_abi_version),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
