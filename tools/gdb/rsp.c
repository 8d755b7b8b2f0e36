/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/gdb/rsp.h"

#include <string.h>

#define ESCAPE '}'
#define ESCAPED 0x20            /* what an escaped byte is changed by */
#define INTERRUPT 0x03
#define FRAME 4u                /* $ # and two digits */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* ---- Receiving ---- */

char *rsp_room(struct rsp *r, size_t *bytes)
{
	*bytes = sizeof(r->in) - r->bytes;
	return r->in + r->bytes;
}

void rsp_came(struct rsp *r, size_t bytes)
{
	r->bytes += bytes;
}

static void drop(struct rsp *r, size_t bytes)
{
	r->bytes -= bytes;
	memmove(r->in, r->in + bytes, r->bytes);
}

/* Between '$' and '#': into r->packet. False: it is not well formed. */
static bool unescape(struct rsp *r, const char *from, size_t bytes)
{
	size_t i, n = 0;

	for (i = 0; i < bytes; i++) {
		char c = from[i];

		if (c == ESCAPE) {
			if (++i == bytes)
				return false;
			c = (char)(from[i] ^ ESCAPED);
		}
		r->packet[n++] = c;
	}
	r->packet[n] = 0;
	r->packet_bytes = n;
	return true;
}

static enum rsp_event take_packet(struct rsp *r)
{
	char *end = memchr(r->in, '#', r->bytes);
	size_t n = end ? (size_t)(end - r->in) : 0, i;
	uint8_t sum = 0;
	bool fits;
	int hi, lo;

	if (!end) {
		if (r->bytes < RSP_MOST)
			return RSP_NOTHING;
		r->skipping = true;     /* up to the '#' */
		drop(r, r->bytes - 1);  /* the place of a '$' stays taken */
		r->in[0] = '$';
		return RSP_NOTHING;
	}
	if (r->bytes < n + 3)
		return RSP_NOTHING;
	fits = !r->skipping && n + 3 <= RSP_MOST;
	hi = digit(end[1]);
	lo = digit(end[2]);
	for (i = 1; i < n; i++)
		sum = (uint8_t)(sum + (uint8_t)r->in[i]);
	fits = fits && hi >= 0 && lo >= 0 && sum == hi * 16 + lo && unescape(r, r->in + 1, n - 1);
	drop(r, n + 3);
	r->skipping = false;
	return fits ? RSP_PACKET : RSP_BROKEN;
}

enum rsp_event rsp_next(struct rsp *r)
{
	while (r->bytes) {
		char c = r->in[0];

		if (c == '$')
			return take_packet(r);
		drop(r, 1);
		if (c == INTERRUPT)
			return RSP_INTERRUPT;
		if (c == '-')
			return RSP_AGAIN;
		/* '+', and noise between packets */
	}
	return RSP_NOTHING;
}

/* ---- Sending ---- */

size_t rsp_frame(const void *data, size_t bytes, char to[RSP_MOST])
{
	static const char digits[] = "0123456789abcdef";
	const char *from = data;
	uint8_t sum = 0;
	size_t n = 0, i;

	to[n++] = '$';
	for (i = 0; i < bytes; i++) {
		char c = from[i];
		bool special = c == '$' || c == '#' || c == ESCAPE || c == '*';

		if (n + special + FRAME > RSP_MOST)
			return 0;
		if (special) {
			to[n++] = ESCAPE;
			sum = (uint8_t)(sum + ESCAPE);
			c = (char)(c ^ ESCAPED);
		}
		to[n++] = c;
		sum = (uint8_t)(sum + (uint8_t)c);
	}
	to[n++] = '#';
	to[n++] = digits[sum >> 4];
	to[n++] = digits[sum & 15];
	return n;
}

/* ---- Words of a packet ---- */

bool rsp_hex(const char **at, uint64_t *value)
{
	int n = 0, d;

	*value = 0;
	while ((d = digit(**at)) >= 0) {
		if (++n > 16)
			return false;
		*value = *value << 4 | (uint64_t)d;
		(*at)++;
	}
	return n;
}

bool rsp_char(const char **at, char c)
{
	if (**at != c)
		return false;
	(*at)++;
	return true;
}

bool rsp_bytes(const char **at, void *to, size_t bytes)
{
	uint8_t *out = to;
	size_t i;

	for (i = 0; i < bytes; i++) {
		int hi = digit((*at)[0]), lo = hi < 0 ? -1 : digit((*at)[1]);

		if (lo < 0)
			return false;
		out[i] = (uint8_t)(hi << 4 | lo);
		*at += 2;
	}
	return true;
}

static bool id(const char **at, int64_t *value)
{
	uint64_t v;

	if (!strncmp(*at, "-1", 2)) {
		*at += 2;
		*value = -1;
		return true;
	}
	if (!rsp_hex(at, &v) || v > INT32_MAX)
		return false;
	*value = (int64_t)v;
	return true;
}

bool rsp_thread(const char **at, int64_t *pid, int64_t *tid)
{
	*pid = 0;
	*tid = -1;
	if (!rsp_char(at, 'p'))
		return id(at, tid);
	return id(at, pid) && (!rsp_char(at, '.') || id(at, tid));
}

void rsp_put_hex(char *to, const void *from, size_t bytes)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *b = from;
	size_t i;

	for (i = 0; i < bytes; i++) {
		*to++ = digits[b[i] >> 4];
		*to++ = digits[b[i] & 15];
	}
	*to = 0;
}
