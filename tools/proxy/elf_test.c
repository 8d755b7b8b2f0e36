/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/elf.h"

#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/call.h"

#define CODE 0x400000ul
#define DATA 0x402000ul

/* A file of 16 KiB: header, program headers, code at 4 KiB, data at 8 KiB. */
struct file {
	Elf64_Ehdr h;
	Elf64_Phdr p[70];
	char interpreter[32];
	size_t bytes;
};

static void good(struct file *f)
{
	memset(f, 0, sizeof(*f));
	memcpy(f->h.e_ident, ELFMAG, SELFMAG);
	f->h.e_ident[EI_CLASS] = ELFCLASS64;
	f->h.e_ident[EI_DATA] = ELFDATA2LSB;
	f->h.e_type = ET_EXEC;
	f->h.e_machine = EM_X86_64;
	f->h.e_phoff = sizeof(f->h);
	f->h.e_phentsize = sizeof(Elf64_Phdr);
	f->h.e_phnum = 2;
	f->h.e_entry = CODE + 0x1010;
	f->p[0] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 0, .p_vaddr = CODE,
		.p_filesz = 0x1800, .p_memsz = 0x1800, .p_align = 4096,
	};
	f->p[1] = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_flags = PF_R | PF_W, .p_offset = 0x2000, .p_vaddr = DATA,
		.p_filesz = 0x100, .p_memsz = 0x5000, .p_align = 4096,
	};
	f->bytes = 0x4000;
}

static int try(const struct file *f, struct elf_file *e, char *error)
{
	struct outrigger o = { .fd = -1 };
	int fd = memfd_create("elf", 0), ret;

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)f->bytes), 0);
	assert_true(pwrite(fd, &f->h, f->bytes < sizeof(f->h) ? f->bytes : sizeof(f->h), 0) > 0);
	if (f->bytes >= 0x2000)
		assert_true(pwrite(fd, f->p, sizeof(f->p), sizeof(f->h)) > 0);
	if (f->bytes >= 0x4000)
		assert_true(pwrite(fd, f->interpreter, sizeof(f->interpreter), 0x3000) > 0);
	ret = elf_read(&o, fd, "prog", e);
	close(fd);
	strcpy(error, o.error);
	return ret;
}

/* Refused, with a sentence that names the file and contains `why`. */
static void refused(const struct file *f, const char *why)
{
	struct elf_file e;
	char error[512] = "";

	assert_int_equal(try(f, &e, error), -ENOEXEC);
	assert_non_null(strstr(error, "prog "));
	if (!strstr(error, why))
		fail_msg("'%s' does not say '%s'", error, why);
	assert_null(strchr(error, '\n'));
}

static void test_good(void **state)
{
	struct elf_file e;
	struct file f;
	char error[512];

	good(&f);
	assert_int_equal(try(&f, &e, error), 0);
	assert_false(e.pie);
	assert_int_equal(e.segment_count, 2);
	assert_int_equal(e.low, CODE);
	assert_int_equal(e.high, DATA + 0x5000);
	assert_int_equal(e.header_addr, CODE + sizeof(f.h));
	assert_int_equal(e.header_count, 2);
	assert_int_equal(e.segment[0].prot, OTR_PROT_READ | OTR_PROT_EXEC);
	assert_int_equal(e.segment[1].prot, OTR_PROT_READ | OTR_PROT_WRITE);
	assert_int_equal(e.interpreter[0], 0);
}

static void test_interpreter(void **state)
{
	struct elf_file e;
	struct file f;
	char error[512];

	good(&f);
	f.h.e_type = ET_DYN;
	f.h.e_phnum = 3;
	f.p[2] = (Elf64_Phdr){ .p_type = PT_INTERP, .p_offset = 0x3000, .p_filesz = 15 };
	strcpy(f.interpreter, "/lib64/ld.so.2");
	assert_int_equal(try(&f, &e, error), 0);
	assert_true(e.pie);
	assert_string_equal(e.interpreter, "/lib64/ld.so.2");

	f.interpreter[14] = 'x';        /* does not end */
	refused(&f, "dynamic loader");
	f.p[2].p_filesz = 1 << 20;
	refused(&f, "dynamic loader");
	f.p[2].p_filesz = 15;
	f.p[2].p_offset = 0x3ff8;
	refused(&f, "truncated");
}

static void test_not_a_program(void **state)
{
	struct file f;

	good(&f);
	f.h.e_ident[0] = 'M';
	refused(&f, "neither an ELF program");
	good(&f);
	f.h.e_ident[EI_CLASS] = ELFCLASS32;
	refused(&f, "32-bit");
	good(&f);
	f.h.e_machine = EM_AARCH64;
	refused(&f, "another machine");
	good(&f);
	f.h.e_ident[EI_DATA] = ELFDATA2MSB;
	refused(&f, "another machine");
	good(&f);
	f.h.e_type = ET_REL;
	refused(&f, "not a program");
	good(&f);
	f.h.e_type = ET_DYN;
	f.h.e_entry = 0;
	f.p[0].p_vaddr = 0x1000;
	f.p[0].p_offset = 0x1000;
	refused(&f, "shared library");
}

static void test_truncated(void **state)
{
	struct file f;

	good(&f);
	f.bytes = 1;
	refused(&f, "neither");
	f.bytes = 20;
	refused(&f, "truncated");
	f.bytes = sizeof(f.h);
	refused(&f, "truncated");
	f.bytes = 0x2000;
	refused(&f, "truncated");
	f.bytes = 0x2080;
	refused(&f, "truncated");
	good(&f);
	f.h.e_phoff = UINT64_MAX - 8;
	refused(&f, "truncated");
	good(&f);
	f.h.e_phoff = f.bytes - sizeof(Elf64_Phdr);
	refused(&f, "truncated");
}

static void test_headers(void **state)
{
	struct file f;

	good(&f);
	f.h.e_phnum = 0;
	refused(&f, "program headers");
	good(&f);
	f.h.e_phnum = 0xffff;
	refused(&f, "program headers");
	good(&f);
	f.h.e_phentsize = 32;
	refused(&f, "program headers");
	good(&f);
	f.p[0].p_type = f.p[1].p_type = PT_NOTE;
	refused(&f, "nothing to load");
}

static void test_absurd_segments(void **state)
{
	struct file f;
	int i;

	good(&f);
	f.p[1].p_vaddr = CODE + 0x1000;         /* bytes 0x1000-0x17ff belong to both */
	refused(&f, "overlaps");
	good(&f);
	f.p[1].p_vaddr = 0x200000;
	refused(&f, "out of order");
	good(&f);
	f.p[1].p_filesz = 0x6000;
	refused(&f, "more bytes in the file");
	good(&f);
	f.p[1].p_offset = UINT64_MAX & ~0xffful;
	refused(&f, "truncated");
	good(&f);
	f.p[1].p_vaddr += 8;
	refused(&f, "does not match");
	good(&f);
	f.p[1].p_memsz = UINT64_MAX - 0x1000;
	refused(&f, "programs live");
	good(&f);
	f.p[1].p_memsz = OTR_USER_END;
	refused(&f, "programs live");
	good(&f);
	f.p[0].p_vaddr = 0;
	refused(&f, "programs live");
	good(&f);
	f.p[1].p_memsz = 2ul << 40;
	refused(&f, "spans");
	good(&f);
	f.h.e_entry = DATA;
	refused(&f, "entry point");
	good(&f);
	f.h.e_phnum = 40;
	for (i = 0; i < 40; i++) {
		f.p[i] = f.p[0];
		f.p[i].p_vaddr = CODE + 0x2000ul * (unsigned int)i;
	}
	refused(&f, "more than");
}

/* Two segments may meet within a page. */
static void test_shared_page(void **state)
{
	struct elf_file e;
	struct file f;
	char error[512];

	good(&f);
	f.p[1].p_vaddr = CODE + 0x1800;
	f.p[1].p_offset = 0x1800;
	assert_int_equal(try(&f, &e, error), 0);
	assert_int_equal(e.segment_count, 2);
}

/* Nothing that a header can say may crash the reader. */
static void test_noise(void **state)
{
	struct elf_file e;
	struct file f;
	char error[512];
	int i, n;

	srandom(1);
	for (i = 0; i < 20000; i++) {
		good(&f);
		for (n = 1 + (int)(random() % 4); n; n--) {
			size_t at = (size_t)random() % (sizeof(f.h) + 3 * sizeof(f.p[0]));

			((unsigned char *)&f)[at] = (unsigned char)random();
		}
		try(&f, &e, error);
		assert_true(e.segment_count <= ELF_SEGMENTS);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_interpreter),
		cmocka_unit_test(test_not_a_program),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_absurd_segments),
		cmocka_unit_test(test_shared_page),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
