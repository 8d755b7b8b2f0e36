/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/proxy/stack.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define PLATFORM "x86_64"
#define HWCAP2_RING3MWAIT 1ul   /* an MSR of Linux's; the co-kernel does not set it */
#define AUX_MAX 24u

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

struct size {
	size_t argc, envc, strings;
};

static size_t count(char *const *v, size_t *bytes)
{
	size_t n = 0;

	for (; v[n]; n++)
		*bytes += strlen(v[n]) + 1;
	return n;
}

/* Copies the strings of v to *at and their addresses to *to, with a final 0. */
static void put_strings(struct stack *s, char *const *v, uint64_t **to, size_t *at)
{
	for (; *v; v++) {
		size_t n = strlen(*v) + 1;

		*(*to)++ = s->sp + *at;
		memcpy(s->data + *at, *v, n);
		*at += n;
	}
	*(*to)++ = 0;
}

struct aux {
	uint64_t *to;
	unsigned int count;
};

static void aux(struct aux *a, uint64_t type, uint64_t value)
{
	*a->to++ = type;
	*a->to++ = value;
	a->count++;
}

/* The order is Linux's; what is left of AUX_MAX stays AT_NULL. */
static void put_aux(const struct stack_input *in, uint64_t *to, uint64_t random, uint64_t execfn,
		    uint64_t platform)
{
	struct aux a = { .to = to };

	if (in->vdso)
		aux(&a, AT_SYSINFO_EHDR, in->vdso);
	if (getauxval(AT_MINSIGSTKSZ))
		aux(&a, AT_MINSIGSTKSZ, getauxval(AT_MINSIGSTKSZ));
	aux(&a, AT_HWCAP, in->hwcap);
	aux(&a, AT_PAGESZ, OTR_PAGE_SIZE);
	aux(&a, AT_CLKTCK, getauxval(AT_CLKTCK));
	aux(&a, AT_PHDR, in->header_addr);
	aux(&a, AT_PHENT, sizeof(Elf64_Phdr));
	aux(&a, AT_PHNUM, in->header_count);
	aux(&a, AT_BASE, in->base);
	aux(&a, AT_FLAGS, 0);
	aux(&a, AT_ENTRY, in->entry);
	aux(&a, AT_UID, getuid());
	aux(&a, AT_EUID, geteuid());
	aux(&a, AT_GID, getgid());
	aux(&a, AT_EGID, getegid());
	aux(&a, AT_SECURE, getauxval(AT_SECURE));
	aux(&a, AT_RANDOM, random);
	aux(&a, AT_HWCAP2, getauxval(AT_HWCAP2) & ~HWCAP2_RING3MWAIT);
	aux(&a, AT_EXECFN, execfn);
	aux(&a, AT_PLATFORM, platform);
	aux(&a, AT_NULL, 0);
}

int stack_build(struct outrigger *o, const struct stack_input *in, uint64_t top, size_t limit,
		struct stack *out)
{
	struct size n = { 0 };
	size_t execfn = strlen(in->execfn) + 1, words, at;
	uint64_t *to, random, platform;

	n.argc = count(in->argv, &n.strings);
	n.envc = count(in->envp, &n.strings);
	words = 1 + n.argc + 1 + n.envc + 1 + 2 * AUX_MAX;
	/* words | random, platform | argv strings | envp strings | execfn | 0 */
	out->bytes = (words * 8 + sizeof(in->random) + sizeof(PLATFORM) + n.strings + execfn + 8 + 15) & ~15ul;
	if (out->bytes > limit)
		return outrigger_fail(o, -E2BIG, "the arguments and the environment need %zu bytes; the stack has room for %zu",
				      out->bytes, limit);
	out->data = calloc(1, out->bytes);
	if (!out->data)
		return outrigger_fail(o, -ENOMEM, "out of memory");
	out->sp = top - out->bytes;

	at = words * 8;
	random = out->sp + at;
	memcpy(out->data + at, in->random, sizeof(in->random));
	at += sizeof(in->random);
	platform = out->sp + at;
	memcpy(out->data + at, PLATFORM, sizeof(PLATFORM));

	/* Programs that overwrite their title rely on argv, envp, execfn being
	 * adjacent and last. */
	at = out->bytes - 8 - execfn - n.strings;
	to = (uint64_t *)out->data;
	*to++ = n.argc;
	put_strings(out, in->argv, &to, &at);
	put_strings(out, in->envp, &to, &at);
	memcpy(out->data + at, in->execfn, execfn);
	put_aux(in, to, random, out->sp + at, platform);
	return 0;
}
