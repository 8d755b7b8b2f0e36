/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/outrigger/topology.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPU_PATH "/sys/devices/system/cpu"
#define NODES 64
#define LINUX_NEEDS (256ull << 20)

static int read_list(struct outrigger *o, const char *path, struct cpu_set_list *s)
{
	char text[4096];
	FILE *f = fopen(path, "re");

	if (!f)
		return outrigger_fail(o, -errno, "%s: %s", path, strerror(errno));
	if (!fgets(text, sizeof(text), f))
		text[0] = 0;
	fclose(f);
	text[strcspn(text, "\n")] = 0;
	memset(s, 0, sizeof(*s));
	return *text ? parse_cpus(o, text, s) : 0;
}

int topology_online(struct outrigger *o, struct cpu_set_list *s)
{
	return read_list(o, CPU_PATH "/online", s);
}

int topology_siblings(struct outrigger *o, unsigned int cpu, struct cpu_set_list *s)
{
	char path[128];
	int ret;

	snprintf(path, sizeof(path), CPU_PATH "/cpu%u/topology/thread_siblings_list", cpu);
	ret = read_list(o, path, s);
	if (ret)
		memset(s, 0, sizeof(*s));
	cpus_set(s, cpu);
	return 0;
}

int topology_node(unsigned int cpu)
{
	char path[128];
	struct dirent *e;
	int node = 0;
	DIR *d;

	snprintf(path, sizeof(path), CPU_PATH "/cpu%u", cpu);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (sscanf(e->d_name, "node%d", &node) == 1)
			break;
	if (d)
		closedir(d);
	return node;
}

/* Takes cores of a node (-1: all), from the top; how many CPUs are still missing. */
static unsigned int take(struct outrigger *o, const struct cpu_set_list *online, int node,
			 unsigned int count, bool force, struct cpu_set_list *chosen)
{
	struct cpu_set_list core, boot_core;
	unsigned int cpu, i, n;

	topology_siblings(o, 0, &boot_core);
	for (cpu = CPUS_MAX; cpu-- > 1 && count;) {
		if (!cpus_has(online, cpu) || cpus_has(chosen, cpu) ||
		    (node >= 0 && topology_node(cpu) != node))
			continue;
		if (cpus_has(&boot_core, cpu) && !force)
			continue;
		topology_siblings(o, cpu, &core);
		n = cpus_count(&core);
		if (force) {
			cpus_set(chosen, cpu);
			count--;
		} else if (n <= count) {
			for (i = 0; i < CPUS_MAX / 64; i++)
				chosen->word[i] |= core.word[i];
			count -= n;
		}
	}
	return count;
}

int topology_choose(struct outrigger *o, unsigned int count, int node, bool force,
		    struct cpu_set_list *chosen)
{
	struct cpu_set_list online;
	unsigned int missing = count;
	int ret = topology_online(o, &online), n;

	if (ret)
		return ret;
	if (!count)
		return outrigger_fail(o, -EINVAL, "a partition needs at least one CPU");
	for (n = node >= 0 ? node : NODES - 1; n >= 0 && missing; n = node >= 0 ? -1 : n - 1) {
		memset(chosen, 0, sizeof(*chosen));
		missing = take(o, &online, n, count, force, chosen);
	}
	if (missing) {
		memset(chosen, 0, sizeof(*chosen));
		missing = take(o, &online, -1, count, force, chosen);
	}
	if (missing)
		return outrigger_fail(o, -ENODEV, "%u CPUs wanted, but Linux can give %u as whole cores (the core of CPU 0 stays with it)",
				      count, count - missing);
	return 0;
}

int topology_whole_cores(struct outrigger *o, const struct cpu_set_list *s, bool force)
{
	struct cpu_set_list core;
	unsigned int cpu, i;

	for (cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (!cpus_has(s, cpu))
			continue;
		topology_siblings(o, cpu, &core);
		for (i = 0; i < CPUS_MAX; i++) {
			if (!cpus_has(&core, i) || cpus_has(s, i))
				continue;
			if (!force)
				return outrigger_fail(o, -EINVAL, "CPU %u shares its core with CPU %u, which would stay with Linux; give both, or use --force", cpu, i);
			fprintf(stderr, "outrigger: warning: CPU %u shares its core with CPU %u, which stays with Linux: each can slow down and spy on the other\n", cpu, i);
		}
	}
	return 0;
}

int topology_memory_fits(struct outrigger *o, const struct memory_list *m)
{
	unsigned long long available = 0;
	uint64_t wanted = 0, most;
	char line[128];
	unsigned int i;
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &available) == 1)
			break;
	if (f)
		fclose(f);
	for (i = 0; i < m->count; i++)
		wanted = m->item[i].bytes > UINT64_MAX - wanted ? UINT64_MAX : wanted + m->item[i].bytes;
	available <<= 10;
	most = available > LINUX_NEEDS ? available - LINUX_NEEDS : 0;
	if (!available || wanted <= most)
		return 0;
	return outrigger_fail(o, -ENOMEM, "%llu MiB of memory wanted, but Linux can let go of %llu MiB at most: the rest is in use",
			      (unsigned long long)wanted >> 20, (unsigned long long)most >> 20);
}
