/* SPDX-License-Identifier: BSD-2-Clause */
#include "cokernel/lib/format.h"
#include "cokernel/lib/string.h"

struct out {
	char *to;
	size_t room;
	size_t used;
};

struct spec {
	bool left, zero, alt, upper;
	int width, precision, length;   /* length: -2 hh, -1 h, 0, 1 l, 2 ll or z */
	unsigned base;
};

static void put(struct out *o, char c)
{
	if (o->used + 1 < o->room)
		o->to[o->used] = c;
	o->used++;
}

static void put_padded(struct out *o, const struct spec *s, const char *prefix,
		       const char *text, size_t bytes)
{
	size_t all = bytes + strlen(prefix), i;
	size_t pad = s->width > 0 && (size_t)s->width > all ? (size_t)s->width - all : 0;

	if (!s->left && !s->zero)
		for (i = 0; i < pad; i++)
			put(o, ' ');
	for (; *prefix; prefix++)
		put(o, *prefix);
	if (!s->left && s->zero)
		for (i = 0; i < pad; i++)
			put(o, '0');
	for (i = 0; i < bytes; i++)
		put(o, text[i]);
	if (s->left)
		for (i = 0; i < pad; i++)
			put(o, ' ');
}

static void put_number(struct out *o, const struct spec *s, uint64_t value, bool negative)
{
	char digits[24];
	size_t at = sizeof(digits);
	const char *set = s->upper ? "0123456789ABCDEF" : "0123456789abcdef";
	const char *prefix = negative ? "-" : s->alt && s->base == 16 && value ? "0x" : "";

	do {
		digits[--at] = set[value % s->base];
		value /= s->base;
	} while (value);
	put_padded(o, s, prefix, digits + at, sizeof(digits) - at);
}

static const char *parse_spec(struct spec *s, const char *f, va_list *args)
{
	for (;; f++) {
		if (*f == '-')
			s->left = true;
		else if (*f == '0')
			s->zero = true;
		else if (*f == '#')
			s->alt = true;
		else
			break;
	}
	if (*f == '*') {
		s->width = va_arg(*args, int);
		f++;
	}
	for (; *f >= '0' && *f <= '9'; f++)
		s->width = s->width * 10 + (*f - '0');
	if (*f == '.') {
		s->precision = 0;
		if (*++f == '*') {
			s->precision = va_arg(*args, int);
			f++;
		}
		for (; *f >= '0' && *f <= '9'; f++)
			s->precision = s->precision * 10 + (*f - '0');
	}
	for (;; f++) {
		if (*f == 'l')
			s->length++;
		else if (*f == 'h')
			s->length--;
		else if (*f == 'z')
			s->length = 2;
		else
			return f;
	}
}

static void put_signed(struct out *o, const struct spec *s, va_list *args)
{
	int64_t v = s->length > 0 ? va_arg(*args, long) : va_arg(*args, int);

	put_number(o, s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0);
}

static void put_unsigned(struct out *o, struct spec *s, unsigned base, va_list *args)
{
	uint64_t v = s->length > 0 ? va_arg(*args, unsigned long) : va_arg(*args, unsigned int);

	if (s->length == -1)
		v = (uint16_t)v;
	else if (s->length <= -2)
		v = (uint8_t)v;
	s->base = base;
	put_number(o, s, v, false);
}

static void put_string(struct out *o, const struct spec *s, const char *text)
{
	if (!text)
		text = "(null)";
	put_padded(o, s, "", text, strnlen(text, s->precision >= 0 ? (size_t)s->precision : SIZE_MAX));
}

size_t format_v(char *to, size_t room, const char *fmt, va_list args_in)
{
	struct out o = { to, room, 0 };
	va_list args;

	va_copy(args, args_in);
	for (const char *f = fmt; *f; f++) {
		struct spec s = { .precision = -1, .base = 10 };
		char c;

		if (*f != '%') {
			put(&o, *f);
			continue;
		}
		f = parse_spec(&s, f + 1, &args);
		switch (*f) {
		case 'd': case 'i':
			put_signed(&o, &s, &args);
			break;
		case 'u':
			put_unsigned(&o, &s, 10, &args);
			break;
		case 'o':
			put_unsigned(&o, &s, 8, &args);
			break;
		case 'X':
			s.upper = true;
			put_unsigned(&o, &s, 16, &args);
			break;
		case 'x':
			put_unsigned(&o, &s, 16, &args);
			break;
		case 'p':
			s.length = 1;
			s.alt = true;
			put_unsigned(&o, &s, 16, &args);
			break;
		case 'c':
			c = (char)va_arg(args, int);
			put_padded(&o, &s, "", &c, 1);
			break;
		case 's':
			put_string(&o, &s, va_arg(args, const char *));
			break;
		case '%':
			put(&o, '%');
			break;
		case 0:
			f--;
			break;
		default:
			put(&o, '%');
			put(&o, *f);
		}
	}
	va_end(args);
	if (room)
		to[MIN(o.used, room - 1)] = 0;
	return o.used;
}

size_t format(char *to, size_t room, const char *fmt, ...)
{
	va_list args;
	size_t n;

	va_start(args, fmt);
	n = format_v(to, room, fmt, args);
	va_end(args);
	return n;
}
