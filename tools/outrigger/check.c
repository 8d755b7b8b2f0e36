/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * outrigger check: a line a thing that partitions need or profit from. ok,
 * MISSING (nothing works without it) or optional, each with its remedy. The exit
 * status is 1 if something is MISSING.
 */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tools/outrigger/command.h"
#include "tools/outrigger/parse.h"
#include "tools/outrigger/table.h"
#include "tools/outrigger/topology.h"

enum { THING, RESULT, DETAIL, REMEDY, COLUMNS };

static const struct column columns[COLUMNS] = {
	[THING] = { "thing", "THING", false },
	[RESULT] = { "result", "RESULT", false },
	[DETAIL] = { "detail", "FOUND", false },
	[REMEDY] = { "remedy", "REMEDY", false },
};

struct check {
	struct table *t;
	struct utsname kernel;
	bool missing;
};

enum need { NEEDED, WANTED };

static void line(struct check *c, const char *thing, bool ok, enum need need, const char *found,
		 const char *remedy)
{
	table_row(c->t);
	table_text(c->t, THING, thing);
	table_text(c->t, RESULT, ok ? "ok" : need == NEEDED ? "MISSING" : "optional");
	table_text(c->t, DETAIL, found);
	table_text(c->t, REMEDY, ok ? "" : remedy);
	c->missing |= !ok && need == NEEDED;
}

/* First line of a file, "" if it cannot be read. */
static const char *first_line(const char *path, char *to, size_t bytes)
{
	FILE *f = fopen(path, "re");

	if (!f || !fgets(to, (int)bytes, f))
		to[0] = 0;
	if (f)
		fclose(f);
	to[strcspn(to, "\n")] = 0;
	return to;
}

static bool cpu_flag(const char *flag)
{
	char text[8192], *word, *save;
	FILE *f = fopen("/proc/cpuinfo", "re");
	bool found = false;

	while (f && !found && fgets(text, sizeof(text), f)) {
		if (strncmp(text, "flags", 5))
			continue;
		for (word = strtok_r(text, " \t\n", &save); word && !found; word = strtok_r(NULL, " \t\n", &save))
			found = !strcmp(word, flag);
		break;
	}
	if (f)
		fclose(f);
	return found;
}

/* y, m, or 0 */
static char config(struct check *c, const char *name)
{
	char path[300], text[256], value = 0;
	size_t n = strlen(name);
	FILE *f;

	snprintf(path, sizeof(path), "/boot/config-%.65s", c->kernel.release);
	f = fopen(path, "re");
	if (!f) {
		snprintf(path, sizeof(path), "/lib/modules/%.65s/build/.config", c->kernel.release);
		f = fopen(path, "re");
	}
	while (f && fgets(text, sizeof(text), f))
		if (!strncmp(text, name, n) && text[n] == '=')
			value = text[n + 1];
	if (f)
		fclose(f);
	return value;
}

static bool has_entries(const char *folder)
{
	struct dirent *e;
	bool any = false;
	DIR *d = opendir(folder);

	while (d && !any && (e = readdir(d)))
		any = e->d_name[0] != '.';
	if (d)
		closedir(d);
	return any;
}

/* ---- One function a thing ---- */

static void machine(struct check *c)
{
	int major = 0, minor = 0;

	line(c, "processor", !strcmp(c->kernel.machine, "x86_64") && cpu_flag("nx"), NEEDED,
	     c->kernel.machine, "a 64-bit x86 processor with NX, not switched off by noexec=off");
	line(c, "SMEP and SMAP", cpu_flag("smep") && cpu_flag("smap"), NEEDED,
	     cpu_flag("smep") ? cpu_flag("smap") ? "yes" : "SMAP is missing" : "SMEP is missing",
	     "a processor with both (Intel since Broadwell, AMD since Zen), not switched off by nosmep or nosmap");
	sscanf(c->kernel.release, "%d.%d", &major, &minor);
	line(c, "kernel", major > 6 || (major == 6 && minor >= 1), NEEDED, c->kernel.release,
	     "Linux 6.1 or newer; 6.1 and 6.12 are tested");
}

static void module(struct check *c)
{
	char path[300], text[256];
	bool loaded = !access(OTR_DEV_ADMIN, F_OK);
	struct outrigger o = { .fd = -1 };

	if (loaded) {
		snprintf(text, sizeof(text), "loaded, version %s",
			 first_line("/sys/module/outrigger/version", path, 64));
		line(c, "module", true, NEEDED, text, "");
		return;
	}
	snprintf(text, sizeof(text), "not loaded");
	if (geteuid())
		line(c, "module", false, WANTED, text, "it is loaded when root makes the first partition");
	else if (outrigger_module_load(&o))
		line(c, "module", false, NEEDED, text, o.error);
	else
		line(c, "module", true, NEEDED, "loaded just now", "");
}

static void signing(struct check *c)
{
	unsigned char v[5] = { 0 };
	char text[256];
	FILE *f = fopen("/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "re");
	bool secure = f && fread(v, 1, sizeof(v), f) == sizeof(v) && v[4];

	if (f)
		fclose(f);
	first_line("/sys/kernel/security/lockdown", text, sizeof(text));
	line(c, "secure boot", !secure, WANTED, secure ? "on" : "off",
	     "sign outrigger.ko with a key enrolled by mokutil, or switch Secure Boot off");
	if (*text)
		line(c, "lockdown", strstr(text, "[none]"), WANTED, text, "an unsigned module loads without lockdown only");
}

static void clocks(struct check *c)
{
	char text[64];

	first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource", text, sizeof(text));
	line(c, "clocksource", !strcmp(text, "tsc"), WANTED, text,
	     "boot with tsc=reliable or clocksource=tsc if the TSC is sound; without it clock calls are delegated");
	line(c, "invariant TSC", cpu_flag("nonstop_tsc") || cpu_flag("constant_tsc"), WANTED,
	     cpu_flag("nonstop_tsc") ? "nonstop_tsc" : cpu_flag("constant_tsc") ? "constant_tsc" : "no",
	     "none; clocks may drift from Linux's");
}

static void cpus(struct check *c)
{
	struct cpu_set_list online, core;
	struct outrigger o = { .fd = -1 };
	unsigned int n = 0, threads = 1;
	char text[64];

	if (!topology_online(&o, &online))
		n = cpus_count(&online);
	snprintf(text, sizeof(text), "%u online", n);
	line(c, "CPUs", n > 1, NEEDED, text, "a second CPU: CPU 0 always stays with Linux");
	line(c, "CPU hotplug", config(c, "CONFIG_HOTPLUG_CPU") == 'y' || !access("/sys/devices/system/cpu/cpu1/online", F_OK),
	     NEEDED, access("/sys/devices/system/cpu/cpu1/online", F_OK) ? "cpu1 cannot go offline" : "yes",
	     "a kernel with CONFIG_HOTPLUG_CPU, without cpu0 only or nosmp parameters");
	if (n && !topology_siblings(&o, 0, &core))
		threads = cpus_count(&core);
	snprintf(text, sizeof(text), "%u thread%s a core", threads, threads > 1 ? "s" : "");
	line(c, "SMT", true, WANTED, threads > 1 ? "whole cores are given" : text, "");
	line(c, "x2APIC", cpu_flag("x2apic"), WANTED, cpu_flag("x2apic") ? "supported" : "no", "none; xAPIC works too, up to 255 CPUs");
}

static void memory(struct check *c)
{
	char text[64], size[32], cmdline[4096];
	bool hot = config(c, "CONFIG_MEMORY_HOTREMOVE") == 'y' && config(c, "CONFIG_ZONE_DEVICE") == 'y';
	bool known = config(c, "CONFIG_MMU") == 'y';

	first_line("/sys/devices/system/memory/block_size_bytes", text, sizeof(text));
	line(c, "memory hotplug", *text && (hot || !known), WANTED, *text ? "yes" : "no",
	     "a kernel with CONFIG_MEMORY_HOTREMOVE and CONFIG_ZONE_DEVICE; without it memory is taken as contiguous pages");
	if (*text) {
		uint64_t bytes = strtoull(text, NULL, 16);

		format_bytes(bytes, size, sizeof(size));
		line(c, "memory block", bytes <= 1ull << 30, WANTED, size,
		     "whole blocks are this large; smaller requests are met with contiguous pages");
	}
	line(c, "contiguous pages", config(c, "CONFIG_CONTIG_ALLOC") == 'y' || !known, WANTED,
	     known ? "yes" : "unknown", "a kernel with CONFIG_CONTIG_ALLOC; without it whole blocks only");
	first_line("/proc/cmdline", cmdline, sizeof(cmdline));
	line(c, "movable memory", strstr(cmdline, "movablecore") || strstr(cmdline, "movable_node"), WANTED,
	     "not reserved", "movablecore=SIZE at boot makes sure that so much can be given away later");
}

static void iommu(struct check *c)
{
	bool any = has_entries("/sys/class/iommu"), groups = has_entries("/sys/kernel/iommu_groups");
	char text[64];

	line(c, "IOMMU", any, WANTED, any ? "yes" : "none",
	     "for devices: switch it on in the firmware and boot with intel_iommu=on or amd_iommu=on");
	line(c, "device isolation", groups, WANTED, groups ? "IOMMU groups exist" : "no IOMMU groups",
	     "for devices: as for the IOMMU");
	/* VT-d specification, 11.4.3: ECAP.IR is bit 3 */
	if (*first_line("/sys/class/iommu/dmar0/intel-iommu/ecap", text, sizeof(text)))
		line(c, "interrupt remapping", strtoull(text, NULL, 16) & 8, WANTED, text,
		     "for devices: a chipset with interrupt remapping, and no intremap=off");
}

/* What the co-kernel does not mitigate: it maps itself into its programs' tables. */
static void speculation(struct check *c)
{
	static const char *const holes[] = { "meltdown", "l1tf" };
	char path[128], text[128];
	size_t i;

	for (i = 0; i < sizeof(holes) / sizeof(holes[0]); i++) {
		snprintf(path, sizeof(path), "/sys/devices/system/cpu/vulnerabilities/%s", holes[i]);
		if (*first_line(path, text, sizeof(text)))
			line(c, holes[i], !strncmp(text, "Not affected", 12), WANTED, text,
			     "run only programs that may see each other's memory in one partition");
	}
}

/* A crash kernel is entered before the module hears of the panic, unless told otherwise. */
static void crash_kernel(struct check *c)
{
	char text[16];

	if (*first_line("/sys/kernel/kexec_crash_loaded", text, sizeof(text)) != '1')
		return;
	first_line("/sys/module/kernel/parameters/crash_kexec_post_notifiers", text, sizeof(text));
	line(c, "crash kernel", *text == 'Y', WANTED,
	     *text == 'Y' ? "entered after partitions are stopped" : "entered while partitions still run",
	     "echo Y >/sys/module/kernel/parameters/crash_kexec_post_notifiers");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	if (key == 'j') {
		*(bool *)state->input = true;
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		command_usage(state, "'%s' is one argument too many", arg);
	return ARGP_ERR_UNKNOWN;
}

int command_check(int argc, char **argv)
{
	static const struct argp_option options[] = {
		{ "json", 'j', NULL, 0, "as JSON", 0 },
		{ 0 },
	};
	static const struct argp argp = {
		.options = options, .parser = parse,
		.doc = "Looks whether this machine can have partitions, and names what is missing and the remedy. Exit status 1 if something needed is MISSING.",
	};
	struct check c = { .t = table_new(columns, COLUMNS) };
	bool json = false;
	int ret;

	argp_parse(&argp, argc, argv, 0, NULL, &json);
	if (c.t && !uname(&c.kernel)) {
		machine(&c);
		module(&c);
		signing(&c);
		clocks(&c);
		cpus(&c);
		memory(&c);
		iommu(&c);
		speculation(&c);
		crash_kernel(&c);
	}
	ret = table_print(c.t, json);
	return ret ? ret : c.missing;
}
