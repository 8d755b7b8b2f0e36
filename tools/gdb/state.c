/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/session.h"

#include <errno.h>

#include "tools/gdb/registers.h"

void cmd_get_all(struct server *s)
{
	struct target_thread *h = thread_for(s, s->general);
	uint8_t value[REGISTERS_BYTES_MOST];
	char hex[2 * REGISTERS_BYTES_MOST + 1];
	size_t n = 0;
	unsigned int i;

	if (!h) {
		reply_error(s, -ESRCH);
		return;
	}
	for (i = 0; i < registers_count(&h->s); i++)
		n += register_get(&h->s, i, value + n);
	rsp_put_hex(hex, value, n);
	reply(s, hex);
}

static void changed(struct target_thread *h, unsigned int n)
{
	h->changed_regs |= register_part(n) == OTR_SET_REGS;
	h->changed_fpu |= register_part(n) == OTR_SET_FPU;
}

/* What waits in a call cannot be told so now: its registers would be lost. */
static bool may_set(struct server *s, const struct target_thread *h)
{
	if (h && h->s.where == OTR_THREAD_HELD)
		return true;
	reply_error(s, h ? -EBUSY : -ESRCH);
	return false;
}

void cmd_set_all(struct server *s, const char *at)
{
	struct target_thread *h = thread_for(s, s->general);
	uint8_t value[REGISTER_BYTES_MOST];
	struct otr_thread_state new;
	unsigned int i;

	if (!may_set(s, h))
		return;
	new = h->s;
	for (i = 0; i < registers_count(&new); i++)
		if (!rsp_bytes(&at, value, register_get(&new, i, value)) || !register_set(&new, i, value)) {
			reply_error(s, -EINVAL);
			return;
		}
	if (*at) {
		reply_error(s, -EINVAL);
		return;
	}
	h->s = new;
	h->changed_regs = h->changed_fpu = true;
	reply(s, "OK");
}

void cmd_get(struct server *s, const char *at)
{
	struct target_thread *h = thread_for(s, s->general);
	uint8_t value[REGISTER_BYTES_MOST];
	char hex[2 * REGISTER_BYTES_MOST + 1];
	uint64_t n;

	if (!h || !rsp_hex(&at, &n) || *at || n >= registers_count(&h->s)) {
		reply_error(s, -EINVAL);
		return;
	}
	rsp_put_hex(hex, value, register_get(&h->s, (unsigned int)n, value));
	reply(s, hex);
}

void cmd_set(struct server *s, const char *at)
{
	struct target_thread *h = thread_for(s, s->general);
	uint8_t value[REGISTER_BYTES_MOST];
	uint64_t n;

	if (!may_set(s, h))
		return;
	if (!rsp_hex(&at, &n) || n >= registers_count(&h->s) || !rsp_char(&at, '=') ||
	    !rsp_bytes(&at, value, register_get(&h->s, (unsigned int)n, value)) || *at) {
		reply_error(s, -EINVAL);
		return;
	}
	register_set(&h->s, (unsigned int)n, value);
	changed(h, (unsigned int)n);
	reply(s, "OK");
}

bool take_range(const char **at, uint64_t *addr, uint64_t *bytes)
{
	return rsp_hex(at, addr) && rsp_char(at, ',') && rsp_hex(at, bytes);
}

void cmd_read(struct server *s, const char *at)
{
	uint64_t addr, bytes;
	uint8_t data[DATA_MOST];
	char hex[2 * DATA_MOST + 1];
	size_t n;

	if (!take_range(&at, &addr, &bytes) || *at) {
		reply_error(s, -EINVAL);
		return;
	}
	n = target_read(s->t, addr, data, bytes < sizeof(data) ? bytes : sizeof(data));
	if (!n && bytes) {
		reply_error(s, -EFAULT);
		return;
	}
	rsp_put_hex(hex, data, n);
	reply(s, hex);
}

/* M: as digits, X: as bytes. */
void cmd_write(struct server *s, const char *at, bool binary)
{
	const char *end = s->rsp.packet + s->rsp.packet_bytes;
	uint64_t addr, bytes;
	uint8_t data[DATA_MOST];

	if (!take_range(&at, &addr, &bytes) || !rsp_char(&at, ':') || bytes > (binary ? RSP_MOST : sizeof(data)) ||
	    (binary ? (uint64_t)(end - at) != bytes : !rsp_bytes(&at, data, bytes) || *at)) {
		reply_error(s, -EINVAL);
		return;
	}
	reply_result(s, target_write(s->t, addr, binary ? (const void *)at : data, bytes) == bytes ? 0 : -EFAULT);
}

/* Z0,ADDR,KIND: conditions and commands are gdb's to do. */
void cmd_break(struct server *s, const char *at, bool insert)
{
	uint64_t type, addr, kind;

	if (!rsp_hex(&at, &type) || !rsp_char(&at, ',') || !take_range(&at, &addr, &kind)) {
		reply_error(s, -EINVAL);
		return;
	}
	if (type)
		reply(s, "");   /* hardware's: gdb does without */
	else
		reply_result(s, insert ? target_break(s->t, addr) : target_unbreak(s->t, addr));
}
