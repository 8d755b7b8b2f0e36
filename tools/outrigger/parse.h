/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads what users write: CPU lists, sizes, owners. 0, or -EINVAL with a
 * sentence in o->error. */
#ifndef OUTRIGGER_PARSE_H
#define OUTRIGGER_PARSE_H

#include "loader/outrigger.h"

#define CPUS_MAX 4096u
#define MEMORY_MAX 16u

struct cpu_set_list {
	uint64_t word[CPUS_MAX / 64];
};
static inline bool cpus_has(const struct cpu_set_list *s, unsigned int cpu)
{
	return cpu < CPUS_MAX && (s->word[cpu / 64] >> cpu % 64 & 1);
}
static inline void cpus_set(struct cpu_set_list *s, unsigned int cpu)
{
	s->word[cpu / 64] |= 1ull << cpu % 64;
}
unsigned int cpus_count(const struct cpu_set_list *s);

/* "2-3,5" as Linux writes it; a comma may stand at the end. */
int parse_cpus(struct outrigger *o, const char *text, struct cpu_set_list *s);
/* "3": only digits, which for --cpus is a count. */
bool parse_is_count(const char *text);

struct memory_list {
	unsigned int count;
	struct {
		uint64_t bytes;
		int node;               /* -1: any */
	} item[MEMORY_MAX];
};
/* SIZE[@NODE][,...]; sizes are multiples of 2 MiB; one item a node. */
int parse_memory(struct outrigger *o, const char *text, struct memory_list *m);
int parse_size(struct outrigger *o, const char *text, uint64_t *bytes);
int parse_kind(struct outrigger *o, const char *text, unsigned int *kind);
int parse_user(struct outrigger *o, const char *text, uid_t *uid);
int parse_group(struct outrigger *o, const char *text, gid_t *gid);
int parse_mode(struct outrigger *o, const char *text, unsigned int *mode);
/* Seconds, "2.5" too. */
int parse_seconds(struct outrigger *o, const char *text, unsigned int *ms);
/* "512M", "1.5G": the shortest exact-looking form. */
const char *format_bytes(uint64_t bytes, char *to, size_t size);

#endif
