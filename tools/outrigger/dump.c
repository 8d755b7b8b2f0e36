/* SPDX-License-Identifier: BSD-2-Clause */
/* outrigger dump */
#include "tools/outrigger/dump.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "abi/boot.h"
#include "tools/outrigger/command.h"

#define HEADER_MAX (256u << 10)

static int read_ranges(struct dump *d)
{
	char text[4096], *line, *save;
	int ret = outrigger_value(d->o, d->name, "ranges", text, sizeof(text));

	if (ret)
		return ret;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct dump_range *r = &d->range[d->range_count];

		if (d->range_count < DUMP_RANGES &&
		    sscanf(line, "%" SCNx64 " %" SCNx64, &r->start, &r->end) == 2 && r->start < r->end)
			d->range_count++;
	}
	return d->range_count ? 0 : outrigger_fail(d->o, -ENODATA, "%s has no memory to dump", d->name);
}

/* ---- The shared region ---- */

static int read_header(struct dump *d, struct otr_boot **boot)
{
	uint64_t phys, bytes;
	char text[80];
	int ret = outrigger_value(d->o, d->name, "shared", text, sizeof(text));

	*boot = calloc(1, HEADER_MAX);
	if (ret || !*boot)
		return ret ? ret : outrigger_fail(d->o, -ENOMEM, "out of memory");
	if (sscanf(text, "%" SCNx64 " %" SCNx64, &phys, &bytes) != 2 || !bytes)
		return outrigger_fail(d->o, -ENODATA, "%s was not booted since its last destruction or load: there is nothing to dump", d->name);
	ret = outrigger_peek(d->o, d->name, phys, *boot, bytes < HEADER_MAX ? bytes : HEADER_MAX);
	if (ret)
		return ret;
	/* All offsets are used below only where they end within what was read. */
	(*boot)->shared_phys = phys;
	if ((*boot)->magic != OTR_BOOT_MAGIC)
		return outrigger_fail(d->o, -EILSEQ, "the boot header of %s was overwritten: no dump can be made of it", d->name);
	return 0;
}

/* Copies entry i of a table in the boot header; false if it lies outside. */
static bool entry(const struct otr_boot *b, uint32_t offset, uint32_t i, void *to, size_t bytes)
{
	uint64_t at = offset + (uint64_t)i * bytes;

	if (at + bytes > HEADER_MAX)
		return false;
	memcpy(to, (const char *)b + at, bytes);
	return true;
}

static uint64_t status_area(const struct otr_boot *b)
{
	struct otr_boot_area a;
	uint32_t i;

	for (i = 0; i < b->area_count && i < 64 && entry(b, b->area_offset, i, &a, sizeof(a)); i++)
		if (a.type == OTR_AREA_STATUS)
			return a.phys;
	return 0;
}

static void read_cpus(struct dump *d, const struct otr_boot *b, uint64_t status_phys)
{
	uint64_t regs = status_phys + sizeof(struct otr_status) + (uint64_t)b->cpu_limit *
			(sizeof(struct otr_cpu_status) + sizeof(struct otr_cpu_control));
	uint32_t i;

	for (i = 0; i < b->cpu_limit && i < DUMP_CPUS; i++) {
		struct dump_cpu *c = &d->cpu[d->cpu_count];
		struct otr_boot_cpu of;

		if (outrigger_peek(d->o, d->name, regs + i * sizeof(c->regs), &c->regs, sizeof(c->regs)))
			return;
		if (!c->regs.valid)
			continue;
		c->index = i;
		if (i < b->cpu_count && entry(b, b->cpu_offset, i, &of, sizeof(of)))
			c->linux_cpu = of.linux_cpu;
		d->cpu_count++;
	}
}

/* gdb begins with the first: the CPU that panicked. */
static void panicked_first(struct dump *d, uint32_t index)
{
	struct dump_cpu c;
	uint32_t i;

	for (i = 1; i < d->cpu_count; i++)
		if (d->cpu[i].index == index) {
			c = d->cpu[0];
			d->cpu[0] = d->cpu[i];
			d->cpu[i] = c;
		}
}

/* The tables that the co-kernel says it uses; without them what the host set up. */
static void read_mappings(struct dump *d, const struct otr_boot *b, uint64_t root)
{
	uint32_t i;

	if (!root && d->cpu_count)
		root = d->cpu[0].regs.cr3;
	if (root)
		dump_walk(d, root);
	if (d->run_count)
		return;
	d->skipped = 0;
	dump_map(d, &(struct dump_run){ b->image_virt, b->image_phys, b->image_bytes, PF_R | PF_W | PF_X });
	for (i = 0; i < d->range_count; i++)
		dump_map(d, &(struct dump_run){ b->direct_base + d->range[i].start, d->range[i].start,
						d->range[i].end - d->range[i].start, PF_R | PF_W });
}

static int gather(struct dump *d)
{
	struct otr_status status = { 0 };
	struct otr_boot *b = NULL;
	uint64_t at;
	int ret = read_ranges(d);

	if (!ret)
		ret = read_header(d, &b);
	if (ret)
		goto out;
	at = status_area(b);
	if (at && !outrigger_peek(d->o, d->name, at, &status, sizeof(status))) {
		read_cpus(d, b, at);
		panicked_first(d, status.panic_cpu);
	}
	read_mappings(d, b, status.magic == OTR_STATUS_MAGIC ? status.kernel_root : 0);
	if (!d->cpu_count) {
		fprintf(stderr, "outrigger: no CPU of %s has left its registers (they do when it crashes); the dump has none\n", d->name);
		d->cpu_count = 1;       /* gdb wants a thread */
	}
	if (d->full || d->skipped)
		fprintf(stderr, "outrigger: the page tables of %s are damaged or very scattered: some mappings are missing\n", d->name);
out:
	free(b);
	return ret;
}

static int write_file(struct dump *d, const char *file)
{
	int fd = open(file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return outrigger_fail(d->o, -errno, "%s: %s%s", file, strerror(errno),
				      errno == EEXIST ? "; remove it or choose another name" : "");
	ret = dump_core(d, fd);
	if (close(fd) && !ret)
		ret = outrigger_fail(d->o, -errno, "%s: %s", file, strerror(errno));
	if (ret)
		unlink(file);
	return ret;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	return command_words(key, arg, state, state->input);
}

int command_dump(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse, .args_doc = "NAME FILE",
		.doc = "Writes the memory of a partition and the registers of its CPUs as an ELF core file: gdb IMAGE FILE",
	};
	struct words words = { .least = 2, .most = 2 };
	struct dump *d = calloc(1, sizeof(*d));
	struct outrigger o;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &words);
	if (!d)
		return 1;
	ret = command_open(&o);
	if (!ret) {
		d->o = &o;
		d->name = words.word[0];
		ret = gather(d);
		if (!ret)
			ret = write_file(d, words.word[1]);
		outrigger_close(&o);
		ret = ret ? command_fail(&o) : 0;
	}
	free(d);
	return ret;
}
