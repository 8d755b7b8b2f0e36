/* SPDX-License-Identifier: BSD-2-Clause */
/* Core files of this process's own memory, read back; names from patterns. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/procfs.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "abi/call.h"
#include "tools/proxy/core_file.h"
#include "tools/proxy/core_name.h"

#define PAGE ((size_t)OTR_PAGE_SIZE)

/* ---- Names ---- */

static const struct core_facts facts = {
	.comm = "../a/b", .exe = "/usr/bin/prog", .host = "box", .pid = 12, .tid = 13, .signal = 11,
	.uid = 5, .gid = 6, .cpu = 2, .time = 1234567890, .limit = UINT64_MAX,
};

static void expect_name(const char *pattern, const char *name)
{
	char to[128];

	assert_int_equal(core_name(pattern, &facts, to, sizeof(to)), 0);
	assert_string_equal(to, name);
}

static void names(void **state)
{
	struct core_facts with_pid = facts;
	char to[16];

	expect_name("core", "core");
	expect_name("/var/%p.%i.%s.%u.%g.%C", "/var/12.13.11.5.6.2");
	expect_name("%e|%f|%E|%h", "..!a!b|prog|!usr!bin!prog|box");
	expect_name("100%%%t%q%", "100%1234567890");
	expect_name("%c", "18446744073709551615");
	expect_name("|/lib/helper %p", "core.12");
	expect_name("", "");
	assert_int_equal(core_name("0123456789abcdef", &facts, to, sizeof(to)), -ENAMETOOLONG);
	assert_int_equal(core_name("0123456789abcde", &facts, to, sizeof(to)), 0);
	with_pid.uses_pid = 1;
	assert_int_equal(core_name("core", &with_pid, to, sizeof(to)), 0);
	assert_string_equal(to, "core.12");
	assert_int_equal(core_name("%p", &with_pid, to, sizeof(to)), 0);
	assert_string_equal(to, "12");
	assert_int_equal(core_name("0123456789abcde", &with_pid, to, sizeof(to)), -ENAMETOOLONG);
	with_pid.comm = "..";
	assert_int_equal(core_name("%e", &with_pid, to, sizeof(to)), 0);
	assert_string_equal(to, "!..12");
	with_pid.comm = "";
	assert_int_equal(core_name("%e", &with_pid, to, sizeof(to)), 0);
	assert_string_equal(to, "!.12");
}

/* ---- Files ---- */

struct fixture {
	char *memory;               /* 8 pages: text, data, anonymous (0 and 2 of 3 there), none, secret, unreadable */
	struct otr_thread_state thread[2];
	struct otr_area area[16];
	struct core_image c;
	char path[32];
	unsigned char *file;
	size_t bytes;
};

static struct otr_area area(const struct fixture *f, size_t from, size_t to, uint32_t prot, uint32_t flags,
				 uint32_t file)
{
	return (struct otr_area){
		.start = (uintptr_t)f->memory + from * PAGE, .end = (uintptr_t)f->memory + to * PAGE, .prot = prot,
		.flags = flags, .file = file,
	};
}

static int set_up(void **state)
{
	static const uint64_t auxv[] = { AT_PAGESZ, 4096, AT_NULL, 0 };
	static struct core_file_name name = { 3, (char *)"/lib/x" };
	struct fixture *f = calloc(1, sizeof(*f));
	size_t i, n = 0;

	f->memory = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < 8; i++)
		memset(f->memory + i * PAGE, 'a' + (int)i, PAGE);
	mprotect(f->memory + 7 * PAGE, PAGE, PROT_NONE);
	f->area[n++] = area(f, 0, 1, OTR_PROT_READ | OTR_PROT_EXEC, 0, 3);
	f->area[n++] = area(f, 0, 1, 0, OTR_AREA_PRESENT, 0);
	f->area[n] = area(f, 1, 2, OTR_PROT_READ | OTR_PROT_WRITE, 0, 3);
	f->area[n++].offset = PAGE;
	f->area[n++] = area(f, 1, 2, 0, OTR_AREA_PRESENT, 0);
	f->area[n++] = area(f, 2, 5, OTR_PROT_READ | OTR_PROT_WRITE, 0, 0);
	f->area[n++] = area(f, 2, 3, 0, OTR_AREA_PRESENT, 0);
	f->area[n++] = area(f, 4, 5, 0, OTR_AREA_PRESENT, 0);
	f->area[n++] = area(f, 5, 6, 0, 0, 0);
	f->area[n++] = area(f, 6, 7, OTR_PROT_READ, OTR_AREA_DONTDUMP, 0);
	f->area[n++] = area(f, 6, 7, 0, OTR_AREA_PRESENT, 0);
	f->area[n++] = area(f, 7, 8, OTR_PROT_READ, 0, 0);
	f->area[n++] = area(f, 7, 8, 0, OTR_AREA_PRESENT, 0);
	for (i = 0; i < 2; i++) {
		f->thread[i].tid = 100 + (uint32_t)i;
		f->thread[i].regs.rip = 0x1000 + i;
		f->thread[i].fpu_bytes = 832;
		f->thread[i].xcr0 = 7;
		memset(f->thread[i].fpu, 0x55, 512);
		f->thread[i].fpu[512] = 2;      /* SSE is there, x87 initial */
	}
	f->thread[0].signal = 11;
	f->thread[0].code = 1;
	f->thread[0].fields[0] = 0x10;
	f->c = (struct core_image){
		.thread = f->thread, .thread_count = 2, .area = f->area, .area_count = n, .file = &name,
		.file_count = 1, .auxv = auxv, .auxv_words = 4, .filter = 0x33, .limit = UINT64_MAX, .pid = 100,
		.comm = "a name that is too long to fit", .args = "prog arg",
	};
	strcpy(f->path, "/tmp/core_file_XXXXXX");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	munmap(f->memory, 8 * PAGE);
	free(f->file);
	free(f);
	return 0;
}

static int make(struct fixture *f)
{
	int fd = mkstemp(f->path), ret;
	struct stat st;

	assert_true(fd >= 0);
	unlink(f->path);
	ret = core_file_write(&f->c, fd);
	assert_int_equal(fstat(fd, &st), 0);
	f->bytes = (size_t)st.st_size;
	f->file = calloc(1, f->bytes + 1);
	assert_int_equal(pread(fd, f->file, f->bytes, 0), (ssize_t)f->bytes);
	close(fd);
	return ret;
}

static const Elf64_Phdr *header(const struct fixture *f, size_t i)
{
	return (const Elf64_Phdr *)(const void *)(f->file + sizeof(Elf64_Ehdr)) + i;
}

static const Elf64_Phdr *load_at(const struct fixture *f, size_t page)
{
	const Elf64_Ehdr *e = (const void *)f->file;
	size_t i;

	for (i = 1; i < e->e_phnum; i++)
		if (header(f, i)->p_vaddr == (uintptr_t)f->memory + page * PAGE)
			return header(f, i);
	fail_msg("no segment at page %zu", page);
	return NULL;
}

/* A copy: what lies in a note is aligned to 4. Valid until the next call. */
static const void *find_note(const struct fixture *f, uint32_t type, int which, uint32_t *bytes)
{
	static uint64_t copy[512];
	const Elf64_Phdr *n = header(f, 0);
	size_t at = n->p_offset;

	while (at < n->p_offset + n->p_filesz) {
		const Elf64_Nhdr *h = (const void *)(f->file + at);
		size_t data = at + sizeof(*h) + ((h->n_namesz + 3) & ~3u);

		assert_true(data + h->n_descsz <= f->bytes);
		if (h->n_type == type && !which--) {
			*bytes = h->n_descsz;
			assert_true(h->n_descsz <= sizeof(copy));
			return memcpy(copy, f->file + data, h->n_descsz);
		}
		at = data + ((h->n_descsz + 3) & ~3u);
	}
	return NULL;
}

static void notes(void **state)
{
	struct fixture *f = *state;
	const struct elf_prstatus *s;
	const struct elf_prpsinfo *info;
	const unsigned char *x;
	const int32_t *sig;
	const uint64_t *files;
	uint64_t xcr0;
	uint32_t bytes;
	int i;

	assert_int_equal(make(f), 0);
	for (i = 0; i < 2; i++) {
		s = find_note(f, NT_PRSTATUS, i, &bytes);
		assert_non_null(s);
		assert_int_equal(bytes, sizeof(*s));
		assert_int_equal(s->pr_pid, 100 + i);
		assert_int_equal(s->pr_cursig, 11);
		assert_int_equal(s->pr_reg[16], 0x1000 + i);
		x = find_note(f, NT_FPREGSET, i, &bytes);
		assert_int_equal(bytes, 512);
		assert_int_equal(x[0] | x[1] << 8, 0x37f);      /* initial */
		assert_int_equal(x[160], 0x55);
		x = find_note(f, NT_X86_XSTATE, i, &bytes);
		assert_int_equal(bytes, 832);
		memcpy(&xcr0, x + 464, sizeof(xcr0));
		assert_int_equal(xcr0, 7);
	}
	info = find_note(f, NT_PRPSINFO, 0, &bytes);
	assert_string_equal(info->pr_fname, "a name that is ");
	assert_string_equal(info->pr_psargs, "prog arg");
	sig = find_note(f, NT_SIGINFO, 0, &bytes);
	assert_int_equal(bytes, 128);
	assert_int_equal(sig[0], 11);
	assert_int_equal(sig[2], 1);
	assert_int_equal(sig[4], 0x10);
	files = find_note(f, NT_FILE, 0, &bytes);
	assert_int_equal(files[0], 2);
	assert_int_equal(files[1], 4096);
	assert_int_equal(files[7], 1);          /* pages */
	assert_string_equal((const char *)(files + 8), "/lib/x");
	assert_non_null(find_note(f, NT_AUXV, 0, &bytes));
	assert_int_equal(bytes, 32);
}

static void memory(void **state)
{
	struct fixture *f = *state;
	const Elf64_Phdr *h;

	assert_int_equal(make(f), 0);
	assert_int_equal(load_at(f, 0)->p_filesz, PAGE);        /* the ELF header's page */
	h = load_at(f, 1);
	assert_int_equal(h->p_filesz, PAGE);
	assert_int_equal(f->file[h->p_offset], 'b');
	h = load_at(f, 2);
	assert_int_equal(h->p_filesz, 3 * PAGE);
	assert_int_equal(f->file[h->p_offset], 'c');
	assert_int_equal(f->file[h->p_offset + PAGE], 0);       /* not there: a hole */
	assert_int_equal(f->file[h->p_offset + 2 * PAGE], 'e');
	assert_int_equal(load_at(f, 5)->p_filesz, 0);           /* PROT_NONE */
	assert_int_equal(load_at(f, 6)->p_filesz, 0);           /* MADV_DONTDUMP */
	h = load_at(f, 7);                                      /* said to be readable, is not */
	assert_int_equal(h->p_filesz, PAGE);
	assert_int_equal(f->file[h->p_offset], 0);
}

static void filters(void **state)
{
	struct fixture *f = *state;

	f->c.filter = 0;
	assert_int_equal(make(f), 0);
	assert_int_equal(load_at(f, 1)->p_filesz, 0);
	assert_int_equal(load_at(f, 2)->p_filesz, 0);
}

static void parts_of_files(void **state)
{
	struct fixture *f = *state;

	f->c.filter = CORE_FILE_PRIVATE;
	f->area[4].file = 3;
	assert_int_equal(make(f), 0);
	assert_int_equal(load_at(f, 2)->p_filesz, PAGE);
	assert_int_equal(load_at(f, 3)->p_filesz, 0);
	assert_int_equal(load_at(f, 4)->p_filesz, PAGE);
}

static void limits(void **state)
{
	struct fixture *f = *state;

	/* Holes do not count: the file may be longer than what was written. */
	f->c.limit = 5000;
	assert_int_equal(make(f), 0);
	assert_true(load_at(f, 1)->p_offset >= f->bytes);
	free(f->file);
	strcpy(f->path, "/tmp/core_file_XXXXXX");
	f->c.limit = 100;
	assert_int_equal(make(f), 0);
	assert_int_equal(f->bytes, 100);
}

/* More segments than e_phnum can count. */
static void many(void **state)
{
	struct fixture *f = *state;
	enum { COUNT = 70000 };
	struct otr_area *list = calloc(COUNT, sizeof(*list));
	const Elf64_Ehdr *e;
	const Elf64_Shdr *s;
	size_t i;

	for (i = 0; i < COUNT; i++)
		list[i] = (struct otr_area){ .start = i * 2 * PAGE, .end = (i * 2 + 1) * PAGE };
	f->c.area = list;
	f->c.area_count = COUNT;
	assert_int_equal(make(f), 0);
	free(list);
	e = (const void *)f->file;
	assert_int_equal(e->e_phnum, PN_XNUM);
	s = (const void *)(f->file + e->e_shoff);
	assert_int_equal(s->sh_info, COUNT + 1);
	assert_int_equal(header(f, COUNT)->p_vaddr, (COUNT - 1) * 2 * PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test_setup_teardown(notes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(memory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(filters, set_up, tear_down),
		cmocka_unit_test_setup_teardown(parts_of_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
