/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * printf for programs.
 *
 * A conversion is % flags width type: flags of "0+- ", a width, no precision;
 *   d i u x X, each with l or ll;  c;  s pks pus: strings;
 *   p pK px: an address;  ps pS pB: a symbol (here: the number);
 *   pI4 pi4 pI6 pi6: an internet address in memory.
 * What follows a string, p or nothing must be a space, punctuation or the end.
 * Anything else is -EINVAL, and so is a conversion without an argument.
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "vm/helpers.h"

#define FMT_STRINGS 512 /* bytes that all strings of one text share */

enum fmt_kind {
	FMT_INT,
	FMT_CHAR,
	FMT_STRING,
	FMT_POINTER,
	FMT_SYMBOL,
	FMT_INET,
};

struct fmt_spec {
	enum fmt_kind kind;
	char flags[16]; /* as they stand in the format */
	int width;
	char type; /* d u x X; s k u of strings; I i of addresses */
	bool wide; /* 64 bits; inet: version 6 */
};

struct fmt_out {
	char *buf;
	size_t size, len;
};

static void put(struct fmt_out *o, const char *text, size_t n)
{
	size_t room = o->len < o->size ? o->size - o->len : 0;

	memcpy(o->buf + (room ? o->len : 0), text, n < room ? n : room);
	o->len += n;
}

static bool ends_word(char ch)
{
	return !ch || isspace((unsigned char)ch) || ispunct((unsigned char)ch);
}

/* Bytes of UTF-8 may stand outside conversions. */
static bool fmt_char_valid(char ch)
{
	return (unsigned char)ch >= 0x80 || isprint((unsigned char)ch) ||
	       isspace((unsigned char)ch);
}

/* The kernel's printf takes every letter and digit after %p and what it knows
 * there for part of the conversion. */
static const char *skip_letters(const char *p)
{
	while (isalnum((unsigned char)*p))
		p++;
	return p;
}

static const char *parse_pointer(struct fmt_spec *spec, const char *p)
{
	switch (*p) {
	case 'k':
	case 'u':
		if (p[1] != 's' || !ends_word(p[2]))
			return NULL;
		spec->kind = FMT_STRING;
		spec->type = *p;
		return p + 2;
	case 'K':
	case 'x':
		spec->kind = FMT_POINTER;
		return skip_letters(p);
	case 's':
	case 'S':
	case 'B':
		spec->kind = FMT_SYMBOL;
		return skip_letters(p);
	case 'i':
	case 'I':
		if (p[1] != '4' && p[1] != '6')
			return NULL;
		spec->kind = FMT_INET;
		spec->type = *p;
		spec->wide = p[1] == '6';
		return skip_letters(p);
	}
	if (!ends_word(*p))
		return NULL;
	spec->kind = FMT_POINTER;
	return p;
}

/* p stands after the %; the end of the conversion, or NULL. */
static const char *parse_spec(struct fmt_spec *spec, const char *p)
{
	size_t n = 0;

	memset(spec, 0, sizeof(*spec));
	for (; *p == '0' || *p == '+' || *p == '-' || *p == ' '; p++)
		if (n < sizeof(spec->flags) - 1 && !strchr(spec->flags, *p))
			spec->flags[n++] = *p;
	if (*p >= '1' && *p <= '9')
		for (; *p >= '0' && *p <= '9'; p++)
			if (spec->width < 1 << 20)
				spec->width = spec->width * 10 + (*p - '0');
	switch (*p) {
	case 'p':
		return parse_pointer(spec, p + 1);
	case 's':
		if (!ends_word(p[1]))
			return NULL;
		spec->kind = FMT_STRING;
		spec->type = 's';
		return p + 1;
	case 'c':
		spec->kind = FMT_CHAR;
		return p + 1;
	case 'l':
		spec->wide = true;
		p += p[1] == 'l' ? 2 : 1;
		break;
	}
	if (!*p || !strchr("diuxX", *p))
		return NULL;
	spec->type = *p;
	return p + 1;
}

static void put_padded(struct fmt_out *o, const struct fmt_spec *spec, const char *text, size_t n)
{
	size_t pad = spec->width > 0 && (size_t)spec->width > n ? (size_t)spec->width - n : 0;
	bool left = strchr(spec->flags, '-');
	size_t i;

	for (i = 0; i < pad && !left; i++)
		put(o, " ", 1);
	put(o, text, n);
	for (i = 0; i < pad && left; i++)
		put(o, " ", 1);
}

static void put_int(struct fmt_out *o, const struct fmt_spec *spec, uint64_t arg)
{
	bool is_signed = spec->type == 'd' || spec->type == 'i';
	unsigned int base = spec->type == 'x' || spec->type == 'X' ? 16 : 10;
	const char *digits = spec->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	int64_t value = spec->wide ? (int64_t)arg : (int64_t)(int32_t)arg;
	uint64_t magnitude = spec->wide ? arg : (uint32_t)arg;
	char text[24], sign = 0;
	size_t n = sizeof(text), len;
	int width = spec->width;

	if (is_signed) {
		magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
		sign = value < 0		  ? '-'
		       : strchr(spec->flags, '+') ? '+'
		       : strchr(spec->flags, ' ') ? ' '
						  : 0;
	}
	do {
		text[--n] = digits[magnitude % base];
		magnitude /= base;
	} while (magnitude);
	len = sizeof(text) - n;
	if (strchr(spec->flags, '0') && !strchr(spec->flags, '-')) {
		if (sign) {
			put(o, &sign, 1);
			width--;
		}
		for (; width > (int)len; width--)
			put(o, "0", 1);
		put(o, text + n, len);
		return;
	}
	if (sign) {
		text[--n] = sign;
		len++;
	}
	put_padded(o, spec, text + n, len);
}

static void put_inet(struct fmt_out *o, const struct fmt_spec *spec, uint64_t arg)
{
	uint8_t addr[16] = {0};
	char text[48];
	int i, n = 0;

	if (uaccess_copy(addr, PTR(arg), spec->wide ? 16 : 4))
		memset(addr, 0, sizeof(addr));
	if (!spec->wide)
		n = snprintf(text, sizeof(text),
			     spec->type == 'i' ? "%03u.%03u.%03u.%03u" : "%u.%u.%u.%u", addr[0],
			     addr[1], addr[2], addr[3]);
	for (i = 0; spec->wide && i < 16; i += 2)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x%02x%s", addr[i],
			      addr[i + 1], spec->type == 'I' && i < 14 ? ":" : "");
	put_padded(o, spec, text, (size_t)n);
}

static void put_string(struct vm_context *vc, struct fmt_out *o, const struct fmt_spec *spec,
		       uint64_t arg, size_t *room)
{
	char text[FMT_STRINGS];
	uint64_t n;

	if (spec->type == 'k')
		n = helper_probe_read_kernel_str((uintptr_t)text, *room, arg, 0, 0, vc);
	else if (spec->type == 'u')
		n = helper_probe_read_user_str((uintptr_t)text, *room, arg, 0, 0, vc);
	else
		n = helper_probe_read_str((uintptr_t)text, *room, arg, 0, 0, vc);
	if (n > *room) { /* not readable: empty */
		text[0] = '\0';
		n = 1;
	}
	*room -= n;
	put_padded(o, spec, text, n - 1);
}

static void put_arg(struct vm_context *vc, struct fmt_out *o, const struct fmt_spec *spec,
		    uint64_t arg, size_t *room)
{
	struct fmt_spec address = *spec;
	char text[24];
	int n;

	switch (spec->kind) {
	case FMT_INT:
		put_int(o, spec, arg);
		break;
	case FMT_CHAR:
		text[0] = (char)arg;
		put_padded(o, spec, text, 1);
		break;
	case FMT_STRING:
		put_string(vc, o, spec, arg, room);
		break;
	case FMT_POINTER:
		address.type = 'x';
		address.wide = true;
		if (!spec->width) {
			memcpy(address.flags, "0", 2);
			address.width = 16;
		}
		put_int(o, &address, arg);
		break;
	case FMT_SYMBOL:
		n = snprintf(text, sizeof(text), "0x%llx", (unsigned long long)arg);
		put_padded(o, spec, text, (size_t)n);
		break;
	case FMT_INET:
		put_inet(o, spec, arg);
		break;
	}
}

/* With vc NULL: only checks. */
static long fmt_walk(struct vm_context *vc, struct fmt_out *o, const char *fmt, size_t fmt_size,
		     const uint64_t *args, uint32_t arg_cnt)
{
	size_t room = FMT_STRINGS;
	struct fmt_spec spec;
	const char *end;
	uint32_t used = 0;

	if (!memchr(fmt, 0, fmt_size))
		return -EINVAL;
	while (*fmt) {
		if (*fmt != '%' || fmt[1] == '%') {
			if (!fmt_char_valid(*fmt))
				return -EINVAL;
			if (vc)
				put(o, fmt, 1);
			fmt += *fmt == '%' ? 2 : 1;
			continue;
		}
		if (used >= arg_cnt)
			return -EINVAL;
		end = parse_spec(&spec, fmt + 1);
		if (!end)
			return -EINVAL;
		if (vc) {
			if (spec.kind == FMT_STRING && !room)
				return -ENOSPC;
			put_arg(vc, o, &spec, args[used], &room);
		}
		used++;
		fmt = end;
	}
	return 0;
}

int fmt_check(const char *fmt, size_t fmt_size, uint32_t arg_cnt)
{
	return (int)fmt_walk(NULL, NULL, fmt, fmt_size, NULL, arg_cnt);
}

long fmt_print(struct vm_context *vc, char *out, size_t size, const char *fmt, size_t fmt_size,
	       const uint64_t *args, uint32_t arg_cnt)
{
	struct fmt_out o = {out, size, 0};
	long err = fmt_check(fmt, fmt_size, arg_cnt);

	if (!err)
		err = fmt_walk(vc, &o, fmt, fmt_size, args, arg_cnt);
	if (err)
		return err;
	if (size)
		out[o.len < size ? o.len : size - 1] = '\0';
	return (long)o.len;
}
