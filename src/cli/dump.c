/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Values by their BTF. The JSON form is that of bpftool's `map dump`: where
 * its plain output is not valid JSON (bit fields and 128-bit numbers print as
 * bare 0x...), that of `bpftool -j`.
 */
#include "cli/dump.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <bpf/btf.h>

#include "base/bits.h"

#define DEPTH_MAX 32 /* a type that contains itself is damaged */

struct dump {
	FILE *out;
	enum dump_style style;
	const struct btf *btf;
	int depth;
};

static int dump_any(struct dump *d, uint32_t id, const uint8_t *data);

void dump_string(FILE *out, const char *s)
{
	putc('"', out);
	for (; *s; s++) {
		unsigned char c = *s;

		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			fprintf(out, "\\u%04x", c);
		else
			putc(c, out);
	}
	putc('"', out);
}

static const char *name_of(const struct dump *d, uint32_t off)
{
	const char *name = btf__name_by_offset(d->btf, off);

	return name ? name : "";
}

/* "name": or name= before a member */
static void dump_name(struct dump *d, const char *name, bool first)
{
	if (!first)
		fputs(d->style == DUMP_JSON ? "," : ", ", d->out);
	if (d->style == DUMP_JSON) {
		dump_string(d->out, name);
		fputs(": ", d->out);
	} else if (*name) {
		fprintf(d->out, "%s=", name);
	}
}

static void dump_hex128(struct dump *d, uint64_t high, uint64_t low)
{
	const char *quote = d->style == DUMP_JSON ? "\"" : "";

	if (high)
		fprintf(d->out, "%s0x%llx%016llx%s", quote, (unsigned long long)high,
			(unsigned long long)low, quote);
	else
		fprintf(d->out, "%s0x%llx%s", quote, (unsigned long long)low, quote);
}

/* bits bits from bit offset of data, up to 128. */
static void dump_bits(struct dump *d, const uint8_t *data, unsigned int offset, unsigned int bits)
{
	unsigned __int128 v = 0;

	if (bits > 128)
		bits = 128;
	for (unsigned int i = 0; i < bits; i++) {
		unsigned int at = offset + i;

		if (data[at / 8] >> (at % 8) & 1)
			v |= (unsigned __int128)1 << i;
	}
	dump_hex128(d, v >> 64, v);
}

static int64_t load_int(const uint8_t *data, size_t size, bool is_signed)
{
	uint64_t v = 0;

	memcpy(&v, data, size > 8 ? 8 : size);
	if (is_signed && size < 8 && (v >> (size * 8 - 1) & 1))
		v |= ~0ULL << (size * 8);
	return v;
}

static void dump_char(struct dump *d, uint8_t c)
{
	if (isprint(c)) {
		char s[2] = {c, 0};

		dump_string(d->out, s);
	} else {
		fprintf(d->out, d->style == DUMP_JSON ? "\"\\u00%02x\"" : "0x%x", c);
	}
}

static int dump_int(struct dump *d, const struct btf_type *t, const uint8_t *data)
{
	unsigned int enc = btf_int_encoding(t), bits = btf_int_bits(t);

	if (t->size > 8 || btf_int_offset(t) || bits != t->size * 8 || bits == 24 || bits == 40) {
		dump_bits(d, data, btf_int_offset(t), bits);
		return 0;
	}
	if (enc & BTF_INT_BOOL)
		fputs(load_int(data, t->size, false) ? "true" : "false", d->out);
	else if (enc & BTF_INT_CHAR)
		dump_char(d, *data);
	else if (enc & BTF_INT_SIGNED)
		fprintf(d->out, "%lld", (long long)load_int(data, t->size, true));
	else
		fprintf(d->out, "%llu", (unsigned long long)load_int(data, t->size, false));
	return 0;
}

static int dump_enum(struct dump *d, const struct btf_type *t, const uint8_t *data)
{
	/* Of 64 bits they know their sign; bpftool prints the others as signed. */
	bool is_signed = btf_is_enum(t) || btf_kflag(t);
	int64_t v = load_int(data, t->size, is_signed);
	const char *name = NULL;

	if (btf_is_enum(t)) {
		const struct btf_enum *e = btf_enum(t);

		for (int i = 0; i < btf_vlen(t) && !name; i++)
			if (load_int((void *)&e[i].val, t->size < 4 ? t->size : 4, is_signed) == v)
				name = name_of(d, e[i].name_off);
	} else {
		const struct btf_enum64 *e = btf_enum64(t);

		for (int i = 0; i < btf_vlen(t) && !name; i++)
			if ((int64_t)btf_enum64_value(&e[i]) == v)
				name = name_of(d, e[i].name_off);
	}
	if (name && d->style == DUMP_JSON)
		dump_string(d->out, name);
	else if (name)
		fputs(name, d->out);
	else if (is_signed)
		fprintf(d->out, "%lld", (long long)v);
	else
		fprintf(d->out, "%llu", (unsigned long long)v);
	return 0;
}

/* A char array with a NUL, printable before it, is a string. */
static bool is_string(const struct dump *d, const struct btf_array *a, const uint8_t *data)
{
	const struct btf_type *t = btf__type_by_id(d->btf, a->type);

	while (t && btf_is_mod(t) && !btf_is_typedef(t))
		t = btf__type_by_id(d->btf, t->type);
	if (!t || !btf_is_int(t) || t->size != 1)
		return false;
	if (!(btf_int_encoding(t) & BTF_INT_CHAR) && strcmp(name_of(d, t->name_off), "char"))
		return false;
	for (uint32_t i = 0; i < a->nelems; i++) {
		if (!data[i])
			return true;
		if (data[i] < 0x20 || data[i] >= 0x7f)
			return false;
	}
	return false;
}

static int dump_array(struct dump *d, const struct btf_type *t, const uint8_t *data)
{
	const struct btf_array *a = btf_array(t);
	int64_t size = btf__resolve_size(d->btf, a->type);
	int err = 0;

	if (is_string(d, a, data)) {
		dump_string(d->out, (const char *)data);
		return 0;
	}
	if (size < 0)
		return size;
	putc('[', d->out);
	for (uint32_t i = 0; i < a->nelems && !err; i++) {
		if (i)
			fputs(d->style == DUMP_JSON ? "," : ", ", d->out);
		err = dump_any(d, a->type, data + i * size);
	}
	putc(']', d->out);
	return err;
}

static int dump_struct(struct dump *d, const struct btf_type *t, const uint8_t *data)
{
	const struct btf_member *m = btf_members(t);
	int err = 0;

	putc('{', d->out);
	for (int i = 0; i < btf_vlen(t) && !err; i++) {
		uint32_t at = btf_member_bit_offset(t, i), bits = btf_member_bitfield_size(t, i);

		dump_name(d, name_of(d, m[i].name_off), !i);
		if (bits)
			dump_bits(d, data, at, bits);
		else
			err = dump_any(d, m[i].type, data + at / 8);
	}
	putc('}', d->out);
	return err;
}

static int dump_datasec(struct dump *d, const struct btf_type *t, const uint8_t *data)
{
	const struct btf_var_secinfo *v = btf_var_secinfos(t);
	bool json = d->style == DUMP_JSON;
	int err = 0;

	if (json) {
		putc('{', d->out);
		dump_name(d, name_of(d, t->name_off), true);
		putc('[', d->out);
	}
	for (int i = 0; i < btf_vlen(t) && !err; i++) {
		const struct btf_type *var = btf__type_by_id(d->btf, v[i].type);

		if (!var || !btf_is_var(var))
			return -EINVAL;
		if (json && i)
			putc(',', d->out);
		if (json)
			putc('{', d->out);
		dump_name(d, name_of(d, var->name_off), json || !i);
		err = dump_any(d, var->type, data + v[i].offset);
		if (json)
			putc('}', d->out);
	}
	if (json)
		fputs("]}", d->out);
	return err;
}

static int dump_kind(struct dump *d, const struct btf_type *t, const uint8_t *data)
{
	switch (btf_kind(t)) {
	case BTF_KIND_INT:
		return dump_int(d, t, data);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return dump_enum(d, t, data);
	case BTF_KIND_PTR:
		if (d->style == DUMP_JSON)
			fprintf(d->out, "%llu", (unsigned long long)load_int(data, 8, false));
		else
			dump_hex128(d, 0, load_int(data, 8, false));
		return 0;
	case BTF_KIND_ARRAY:
		return dump_array(d, t, data);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return dump_struct(d, t, data);
	case BTF_KIND_FLOAT: {
		float f;
		double g;

		memcpy(&f, data, sizeof(f));
		memcpy(&g, data, t->size == 8 ? sizeof(g) : sizeof(f));
		fprintf(d->out, "%g", t->size == 8 ? g : f);
		return 0;
	}
	case BTF_KIND_DATASEC:
		return dump_datasec(d, t, data);
	case BTF_KIND_VAR:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		return dump_any(d, t->type, data);
	default:
		fputs("null", d->out);
		return -EINVAL;
	}
}

static int dump_any(struct dump *d, uint32_t id, const uint8_t *data)
{
	const struct btf_type *t = btf__type_by_id(d->btf, id);
	int err = -EINVAL;

	if (t && d->depth < DEPTH_MAX) {
		d->depth++;
		err = dump_kind(d, t, data);
		d->depth--;
	} else {
		fputs("null", d->out);
	}
	return err;
}

int dump_type(FILE *out, enum dump_style style, const struct btf *btf, uint32_t type_id,
	      const void *data)
{
	struct dump d = {.out = out, .style = style, .btf = btf};

	return dump_any(&d, type_id, data);
}

static bool add_any(const struct btf *btf, uint32_t id, uint8_t *sum, const uint8_t *data,
		    int depth)
{
	const struct btf_type *t = btf__type_by_id(btf, id);
	bool any = false;

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	if (!t || depth > DEPTH_MAX)
		return false;
	if (btf_is_int(t) && t->size <= 8 && btf_int_bits(t) == t->size * 8 &&
	    !(btf_int_encoding(t) & (BTF_INT_BOOL | BTF_INT_CHAR))) {
		uint64_t v = load_int(sum, t->size, false) + load_int(data, t->size, false);

		memcpy(sum, &v, t->size);
		return true;
	}
	if (btf_is_struct(t)) {
		const struct btf_member *m = btf_members(t);

		for (int i = 0; i < btf_vlen(t); i++) {
			uint32_t at = btf_member_bit_offset(t, i);

			if (!btf_member_bitfield_size(t, i))
				any |= add_any(btf, m[i].type, sum + at / 8, data + at / 8,
					       depth + 1);
		}
	} else if (btf_is_array(t)) {
		const struct btf_array *a = btf_array(t);
		int64_t size = btf__resolve_size(btf, a->type);
		const struct btf_type *e = btf__type_by_id(btf, a->type);
		const char *name = e ? btf__name_by_offset(btf, e->name_off) : NULL;

		if (name && !strcmp(name, "char"))
			return false;
		for (uint32_t i = 0; size > 0 && i < a->nelems; i++)
			any |= add_any(btf, a->type, sum + i * size, data + i * size, depth + 1);
	}
	return any;
}

bool dump_add(const struct btf *btf, uint32_t type_id, void *sum, const void *data)
{
	return add_any(btf, type_id, sum, data, 0);
}
