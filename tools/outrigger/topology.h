/* SPDX-License-Identifier: BSD-2-Clause */
/* Linux's CPUs as sysfs tells of them, and which of them to take. */
#ifndef OUTRIGGER_TOPOLOGY_H
#define OUTRIGGER_TOPOLOGY_H

#include "tools/outrigger/parse.h"

/* Online CPUs. */
int topology_online(struct outrigger *o, struct cpu_set_list *s);
/* CPUs of the same core that are online, the CPU itself included. */
int topology_siblings(struct outrigger *o, unsigned int cpu, struct cpu_set_list *s);
/* NUMA node of a CPU, 0 if unknown. */
int topology_node(unsigned int cpu);

/* Chooses `count` CPUs by whole cores, the highest numbers first, on one node
 * where that fits (`node`, or any for -1), never from the core of CPU 0. With
 * force a core may be split. */
int topology_choose(struct outrigger *o, unsigned int count, int node, bool force,
		    struct cpu_set_list *chosen);
/* Refuses a list that splits a core, naming it; with force warns instead. */
int topology_whole_cores(struct outrigger *o, const struct cpu_set_list *s, bool force);

/* Refuses what would leave Linux without memory to live on, saying how much it
 * could give, before anything is taken. */
int topology_memory_fits(struct outrigger *o, const struct memory_list *m);

#endif
