/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define NAME_COLUMN 73          /* of /proc/PID/maps */
#define NS_PER_TICK 10000000u

/* ---- Names ---- */

enum fact_file fact_file_of(const char *name, int pid)
{
	static const struct { const char *name; enum fact_file file; } fixed[] = {
		{ "/proc/cpuinfo", FACT_CPUINFO }, { "/proc/meminfo", FACT_MEMINFO },
		{ "/sys/devices/system/cpu/online", FACT_CPU_LIST },
		{ "/sys/devices/system/cpu/present", FACT_CPU_LIST },
		{ "/sys/devices/system/cpu/possible", FACT_CPU_LIST },
	}, own[] = {
		{ "maps", FACT_MAPS }, { "status", FACT_STATUS }, { "stat", FACT_STAT }, { "statm", FACT_STATM },
	};
	int at = 0, id;
	size_t i;

	for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
		if (!strcmp(name, fixed[i].name))
			return fixed[i].file;
	if (sscanf(name, "/proc/%d/%n", &id, &at) != 1 || !at || id != pid)
		return FACT_NONE;
	name += at;
	at = 0;
	if (sscanf(name, "task/%d/%n", &id, &at) == 1 && at)
		name += at;
	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (!strcmp(name, own[i].name))
			return own[i].file;
	return FACT_NONE;
}

char fact_directory_of(const char *name, int pid)
{
	int at = 0, id;

	if (sscanf(name, "/proc/%d/%n", &id, &at) != 1 || !at || id != pid)
		return 0;
	name += at;
	at = 0;
	if (sscanf(name, "task/%d/%n", &id, &at) == 1 && at)
		name += at;
	return !strcmp(name, "fd") || !strcmp(name, "fdinfo") ? 'f' : !strcmp(name, "task") ? 't' : 0;
}

/* ---- maps ---- */

/* The segment of a file that an area lies in; NULL. */
static const struct elf_segment *segment_at(const struct loaded_file *l, uint64_t start)
{
	uint32_t i;

	for (i = 0; i < l->elf.segment_count; i++) {
		const struct elf_segment *s = &l->elf.segment[i];
		uint64_t from = (l->base + s->start) & ~(uint64_t)(OTR_PAGE_SIZE - 1);

		if (start >= from && start < l->base + s->start + s->file_bytes)
			return s;
	}
	return NULL;
}

/* A line's part behind the addresses. */
struct area_name {
	const char *text;
	uint64_t offset;
	uint32_t major, minor;
	uint64_t inode;
};

static bool name_of_program(const struct otr_area *a, const struct program *p, struct area_name *n)
{
	const struct loaded_file *file[] = { &p->exe, &p->interpreter };
	const char *path[] = { p->path, p->exe.elf.interpreter };
	struct stat st;
	int i;

	for (i = 0; i < 2; i++) {
		const struct elf_segment *s = segment_at(file[i], a->start);

		if (!s)
			continue;
		n->text = path[i];
		n->offset = (s->offset + (a->start - file[i]->base) - s->start) & ~(uint64_t)(OTR_PAGE_SIZE - 1);
		if (!stat(path[i], &st)) {
			n->major = major(st.st_dev);
			n->minor = minor(st.st_dev);
			n->inode = st.st_ino;
		}
		return true;
	}
	return false;
}

static bool name_of_mapped(const struct otr_area *a, const struct facts *f, struct area_name *n)
{
	size_t i;

	for (i = 0; a->file && i < f->mapped_count; i++) {
		const struct fact_mapped *m = &f->mapped[i];

		if (m->number != a->file)
			continue;
		*n = (struct area_name){ .text = m->path, .offset = a->offset, .major = m->major,
					 .minor = m->minor, .inode = m->inode };
		return true;
	}
	return false;
}

static struct area_name name_area(const struct otr_area *a, const struct facts *f, const struct program *p,
				  uint64_t vdso)
{
	struct area_name n = { .text = "" };

	if (name_of_program(a, p, &n) || name_of_mapped(a, f, &n))
		return n;
	if (a->end > p->exec.stack_start && a->start < p->exec.stack_end)
		n.text = "[stack]";
	else if (a->start < f->f.brk && a->end > f->f.brk_start)
		n.text = "[heap]";
	else if (vdso && a->start <= vdso && vdso < a->end)
		n.text = "[vdso]";
	return n;
}

/* Linux's line about shared memory, which the proxy maps at the same place; NULL. */
static const char *line_at(const char *linux_text, uint64_t start)
{
	const char *line, *end;
	uint64_t from, to;

	for (line = linux_text; *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		if (sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2 && from <= start && start < to)
			return line;
	}
	return NULL;
}

/* True if Linux's line told it all: the device's own mapping is not it. */
static bool print_shared(FILE *to, const struct otr_area *a, const char *linux_text)
{
	const char *line = line_at(linux_text, a->start);
	uint64_t start, offset;
	char device[32];
	unsigned long inode;
	int name = 0, column;

	if (!line || sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64 " %31s %lu %n", &start, &offset, device, &inode, &name) != 4 ||
	    !name || !strncmp(line + name, "/dev/outrigger", 14))
		return false;
	column = fprintf(to, "%08" PRIx64 "-%08" PRIx64 " %c%c%cs %08" PRIx64 " %s %lu ", a->start, a->end,
			 a->prot & OTR_PROT_READ ? 'r' : '-', a->prot & OTR_PROT_WRITE ? 'w' : '-',
			 a->prot & OTR_PROT_EXEC ? 'x' : '-', offset + (a->start - start), device, inode);
	if (line[name] && line[name - 1] != '\n')
		fprintf(to, "%*s%.*s", column < NAME_COLUMN ? NAME_COLUMN - column : 0, "",
			(int)strcspn(line + name, "\n"), line + name);
	fputc('\n', to);
	return true;
}

static void print_area(FILE *to, const struct otr_area *a, const struct area_name *n)
{
	int column = fprintf(to, "%08" PRIx64 "-%08" PRIx64 " %c%c%c%c %08" PRIx64 " %02x:%02x %" PRIu64 " ", a->start,
			     a->end, a->prot & OTR_PROT_READ ? 'r' : '-', a->prot & OTR_PROT_WRITE ? 'w' : '-',
			     a->prot & OTR_PROT_EXEC ? 'x' : '-', a->flags & OTR_AREA_SHARED ? 's' : 'p', n->offset,
			     n->major, n->minor, n->inode);

	if (*n->text)
		fprintf(to, "%*s%s", column < NAME_COLUMN ? NAME_COLUMN - column : 0, "", n->text);
	fputc('\n', to);
}

static void maps(FILE *to, const struct facts *f, const struct program *p, uint64_t vdso, const char *linux_text)
{
	struct area_name n;
	size_t i;

	for (i = 0; i < f->area_count; i++) {
		const struct otr_area *a = &f->area[i];

		if (a->flags & OTR_AREA_SHARED && print_shared(to, a, linux_text))
			continue;
		n = name_area(a, f, p, vdso);
		print_area(to, a, &n);
	}
}

/* ---- CPUs ---- */

static bool has_cpu(const struct otr_facts *f, uint32_t i)
{
	return i / 64 < OTR_FACTS_CPU_WORDS && f->cpus[i / 64] >> (i % 64) & 1;
}

/* "0-3,5", as Linux prints masks. */
static void cpu_list(FILE *to, const struct otr_facts *f)
{
	const char *comma = "";
	uint32_t i, end;

	for (i = 0; i < OTR_FACTS_CPU_WORDS * 64; i++) {
		if (!has_cpu(f, i))
			continue;
		for (end = i; has_cpu(f, end + 1); end++)
			;
		fprintf(to, end > i ? "%s%u-%u" : "%s%u", comma, i, end);
		comma = ",";
		i = end;
	}
}

static void cpu_mask(FILE *to, const struct otr_facts *f)
{
	int word = OTR_FACTS_CPU_WORDS * 2 - 1;
	bool first = true;

	for (; word >= 0; word--) {
		uint32_t bits = (uint32_t)(f->cpus[word / 2] >> (word % 2 * 32));

		if (first && !bits && word)
			continue;
		fprintf(to, first ? "%x" : ",%08x", bits);
		first = false;
	}
}

/* Whether a line is `key: ...`. */
static bool is_key(const char *line, const char *key)
{
	size_t n = strlen(key);

	return !strncmp(line, key, n) && strspn(line + n, " \t") < strlen(line + n) &&
	       line[n + strspn(line + n, " \t")] == ':';
}

/* Linux's first block for each CPU of the partition: they are of one kind. */
static void cpuinfo(FILE *to, const struct facts *f, const char *text)
{
	const char *end = strstr(text, "\n\n"), *line, *next;
	uint32_t i;

	end = end ? end + 1 : text + strlen(text);
	for (i = 0; i < OTR_FACTS_CPU_WORDS * 64; i++) {
		if (!has_cpu(&f->f, i))
			continue;
		for (line = text; line < end; line = next) {
			next = strchrnul(line, '\n');
			next += *next == '\n';
			if (is_key(line, "processor") || is_key(line, "core id") || is_key(line, "apicid") ||
			    is_key(line, "initial apicid"))
				fprintf(to, "%.*s: %u\n", (int)strcspn(line, ":"), line, i);
			else if (is_key(line, "siblings") || is_key(line, "cpu cores"))
				fprintf(to, "%.*s: %u\n", (int)strcspn(line, ":"), line, f->f.cpu_count);
			else
				fwrite(line, 1, (size_t)(next - line), to);
		}
		fputc('\n', to);
	}
}

/* ---- Numbers ---- */

/* Linux's lines, with what the partition knows better in their place. */
static void status(FILE *to, const struct facts *f, const char *text)
{
	const char *line, *next;

	for (line = text; *line; line = next) {
		next = strchrnul(line, '\n');
		next += *next == '\n';
		if (is_key(line, "Threads"))
			fprintf(to, "Threads:\t%u\n", f->f.thread_count);
		else if (is_key(line, "VmPeak") || is_key(line, "VmSize"))
			fprintf(to, "%.7s\t%8" PRIu64 " kB\n", line, f->f.mapped_bytes >> 10);
		else if (is_key(line, "VmHWM") || is_key(line, "VmRSS"))
			fprintf(to, "%.6s\t%8" PRIu64 " kB\n", line, f->f.resident_bytes >> 10);
		else if (is_key(line, "RssAnon"))
			fprintf(to, "RssAnon:\t%8" PRIu64 " kB\n", f->f.resident_bytes >> 10);
		else if (is_key(line, "RssFile") || is_key(line, "RssShmem"))
			fprintf(to, "%.*s\t%8u kB\n", (int)strcspn(line, "\t"), line, 0u);
		else if (is_key(line, "Cpus_allowed_list")) {
			fputs("Cpus_allowed_list:\t", to);
			cpu_list(to, &f->f);
			fputc('\n', to);
		} else if (is_key(line, "Cpus_allowed")) {
			fputs("Cpus_allowed:\t", to);
			cpu_mask(to, &f->f);
			fputc('\n', to);
		} else {
			fwrite(line, 1, (size_t)(next - line), to);
		}
	}
}

/* proc_pid_stat(5) counts fields from 1; the second may hold blanks and brackets. */
static void stat_line(FILE *to, const struct facts *f, const struct program *p, const char *text)
{
	enum { UTIME = 14, THREADS = 20, VSIZE = 23, RSS = 24, START_STACK = 28 };
	const char *at = strrchr(text, ')');
	int field = 2;

	if (!at) {
		fputs(text, to);
		return;
	}
	fwrite(text, 1, (size_t)(at + 1 - text), to);
	for (at++; *at == ' ';) {
		size_t n = strcspn(at + 1, " \n");

		field++;
		if (field == UTIME)
			fprintf(to, " %" PRIu64, f->f.run_ns / NS_PER_TICK);
		else if (field == THREADS)
			fprintf(to, " %u", f->f.thread_count);
		else if (field == VSIZE)
			fprintf(to, " %" PRIu64, f->f.mapped_bytes);
		else if (field == RSS)
			fprintf(to, " %" PRIu64, f->f.resident_bytes / OTR_PAGE_SIZE);
		else if (field == START_STACK)
			fprintf(to, " %" PRIu64, p->exec.sp);
		else
			fprintf(to, " %.*s", (int)n, at + 1);
		at += 1 + n;
	}
	fputs(at, to);
}

static void meminfo(FILE *to, const struct facts *f, const char *text)
{
	static const char *const keep[] = { "PageTables", "Hugepagesize", "VmallocTotal" };
	const char *line, *next;

	for (line = text; *line; line = next) {
		bool kept = false;
		size_t i;

		next = strchrnul(line, '\n');
		next += *next == '\n';
		for (i = 0; i < sizeof(keep) / sizeof(keep[0]); i++)
			kept |= is_key(line, keep[i]);
		if (is_key(line, "MemTotal"))
			fprintf(to, "MemTotal:       %8" PRIu64 " kB\n", f->f.memory_bytes >> 10);
		else if (is_key(line, "MemFree") || is_key(line, "MemAvailable"))
			fprintf(to, "%-15.*s %8" PRIu64 " kB\n", (int)strcspn(line, ":") + 1, line, f->f.memory_free_bytes >> 10);
		else if (kept || !strstr(line, " kB"))
			fwrite(line, 1, (size_t)(next - line), to);
		else
			fprintf(to, "%-15.*s %8u kB\n", (int)strcspn(line, ":") + 1, line, 0u);
	}
}

char *fact_text(enum fact_file file, const struct facts *f, const struct program *p, uint64_t vdso,
		const char *linux_text)
{
	char *text = NULL;
	size_t bytes;
	FILE *to = open_memstream(&text, &bytes);

	if (!to)
		return NULL;
	switch (file) {
	case FACT_MAPS: maps(to, f, p, vdso, linux_text); break;
	case FACT_STATUS: status(to, f, linux_text); break;
	case FACT_STAT: stat_line(to, f, p, linux_text); break;
	case FACT_STATM:
		fprintf(to, "%" PRIu64 " %" PRIu64 " 0 0 0 %" PRIu64 " 0\n", f->f.mapped_bytes / OTR_PAGE_SIZE,
			f->f.resident_bytes / OTR_PAGE_SIZE, f->f.mapped_bytes / OTR_PAGE_SIZE);
		break;
	case FACT_CPUINFO: cpuinfo(to, f, linux_text); break;
	case FACT_MEMINFO: meminfo(to, f, linux_text); break;
	case FACT_CPU_LIST:
		cpu_list(to, &f->f);
		fputc('\n', to);
		break;
	case FACT_NONE: break;
	}
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}
