/* SPDX-License-Identifier: BSD-2-Clause */
/* Each type alone: is its description complete and well formed? */
#include <stdlib.h>

#include "base/bits.h"
#include "base/errors.h"
#include "btf/check.h"

#define INFO_MASK 0x9f00ffffu
#define INT_MASK 0x0fffffffu
#define VLEN(t) BTF_INFO_VLEN((t)->info)
#define KFLAG(t) BTF_INFO_KFLAG((t)->info)

/* Letters and printable characters as the kernel has them: of Latin-1. */
static bool latin_alpha(unsigned char ch)
{
	if ((ch | 0x20) >= 'a' && (ch | 0x20) <= 'z')
		return true;
	return ch >= 0xc0 && ch != 0xd7 && ch != 0xf7;
}

static bool latin_print(unsigned char ch)
{
	return (ch >= 0x20 && ch < 0x7f) || ch >= 0xa0;
}

static bool name_char(char ch, bool first)
{
	return latin_alpha((unsigned char)ch) || (!first && ch >= '0' && ch <= '9') || ch == '_' ||
	       ch == '.';
}

static bool offset_valid(const struct check *c, uint32_t off)
{
	return off <= BTF_MAX_NAME_OFFSET && off < c->hdr.str_len;
}

bool check_name_valid(const struct check *c, uint32_t off)
{
	const char *s = check_string(c, off);
	uint32_t i;

	if (!s || !name_char(s[0], true))
		return false;
	for (i = 1; s[i] && i < CHECK_NAME_LEN; i++)
		if (!name_char(s[i], false))
			return false;
	return !s[i];
}

static bool section_name_valid(const struct check *c, uint32_t off)
{
	const char *s = check_string(c, off);
	uint32_t i;

	if (!s || !s[0])
		return false;
	for (i = 0; s[i] && i < CHECK_NAME_LEN; i++)
		if (!latin_print((unsigned char)s[i]))
			return false;
	return !s[i];
}

static bool id_valid(uint32_t id)
{
	return id <= BTF_MAX_TYPE;
}

enum name_rule { NAME_NONE, NAME_FREE, NAME_OPTIONAL, NAME_NEEDED, NAME_TEXT, NAME_SECTION };

/* What holds for all types of a kind. */
static const struct kind_rule {
	uint8_t name;	  /* enum name_rule */
	bool vlen, kflag; /* may be other than 0 */
	uint8_t fixed;	  /* bytes after the type */
	uint8_t each;	  /* bytes for each of vlen */
} rules[] = {
	[BTF_KIND_INT] = {NAME_FREE, false, false, 4, 0},
	[BTF_KIND_PTR] = {NAME_NONE, false, false, 0, 0},
	[BTF_KIND_ARRAY] = {NAME_NONE, false, false, sizeof(struct btf_array), 0},
	[BTF_KIND_STRUCT] = {NAME_OPTIONAL, true, true, 0, sizeof(struct btf_member)},
	[BTF_KIND_UNION] = {NAME_OPTIONAL, true, true, 0, sizeof(struct btf_member)},
	[BTF_KIND_ENUM] = {NAME_OPTIONAL, true, true, 0, sizeof(struct btf_enum)},
	[BTF_KIND_FWD] = {NAME_NEEDED, false, true, 0, 0},
	[BTF_KIND_TYPEDEF] = {NAME_NEEDED, false, false, 0, 0},
	[BTF_KIND_VOLATILE] = {NAME_NONE, false, false, 0, 0},
	[BTF_KIND_CONST] = {NAME_NONE, false, false, 0, 0},
	[BTF_KIND_RESTRICT] = {NAME_NONE, false, false, 0, 0},
	[BTF_KIND_FUNC] = {NAME_NEEDED, true, false, 0, 0},
	[BTF_KIND_FUNC_PROTO] = {NAME_NONE, true, false, 0, sizeof(struct btf_param)},
	[BTF_KIND_VAR] = {NAME_NEEDED, false, false, sizeof(struct btf_var), 0},
	[BTF_KIND_DATASEC] = {NAME_SECTION, true, false, 0, sizeof(struct btf_var_secinfo)},
	[BTF_KIND_FLOAT] = {NAME_FREE, false, false, 0, 0},
	[BTF_KIND_DECL_TAG] = {NAME_TEXT, false, true, sizeof(struct btf_decl_tag), 0},
	[BTF_KIND_TYPE_TAG] = {NAME_TEXT, false, true, 0, 0},
	[BTF_KIND_ENUM64] = {NAME_OPTIONAL, true, true, 0, sizeof(struct btf_enum64)},
};

static bool name_follows(const struct check *c, const struct btf_type *t, enum name_rule rule)
{
	const char *s = check_string(c, t->name_off);

	switch (rule) {
	case NAME_NONE:
		return !t->name_off;
	case NAME_FREE:
		return true;
	case NAME_OPTIONAL:
		return !t->name_off || check_name_valid(c, t->name_off);
	case NAME_NEEDED:
		return t->name_off && check_name_valid(c, t->name_off);
	case NAME_TEXT:
		return s && s[0];
	case NAME_SECTION:
		return t->name_off && section_name_valid(c, t->name_off);
	}
	return false;
}

static int meta_int(struct check *c, uint32_t id, const struct btf_type *t)
{
	uint32_t data = *(const uint32_t *)(t + 1), bits, encoding;

	if (data & ~INT_MASK)
		return check_bad(c, id, "Invalid int_data");
	bits = BTF_INT_BITS(data) + BTF_INT_OFFSET(data);
	if (bits > 128)
		return check_bad(c, id, "nr_bits exceeds 128");
	if ((bits + 7) / 8 > t->size)
		return check_bad(c, id, "nr_bits exceeds type_size");
	encoding = BTF_INT_ENCODING(data);
	if (encoding & (encoding - 1) || encoding > BTF_INT_BOOL) {
		check_bad(c, id, "Unsupported encoding");
		return -ENOTSUPP;
	}
	return 0;
}

static int meta_array(struct check *c, uint32_t id, const struct btf_type *t)
{
	const struct btf_array *a = (const struct btf_array *)(t + 1);

	if (t->size)
		return check_bad(c, id, "size != 0");
	if (!a->type || !id_valid(a->type))
		return check_bad(c, id, "Invalid elem");
	if (!a->index_type || !id_valid(a->index_type))
		return check_bad(c, id, "Invalid index");
	return 0;
}

static int meta_struct(struct check *c, uint32_t id, const struct btf_type *t)
{
	const struct btf_member *m = (const struct btf_member *)(t + 1);
	uint32_t i, off, last = 0;

	for (i = 0; i < VLEN(t); i++, m++) {
		if (!offset_valid(c, m->name_off) ||
		    (m->name_off && !check_name_valid(c, m->name_off)))
			return check_bad(c, id, "Invalid member name");
		if (!m->type || !id_valid(m->type))
			return check_bad(c, id, "Invalid member type_id");
		off = KFLAG(t) ? BTF_MEMBER_BIT_OFFSET(m->offset) : m->offset;
		if ((KIND(t) == BTF_KIND_UNION && off) || off < last)
			return check_bad(c, id, "Invalid member bits_offset");
		if (off / 8 + !!(off % 8) > t->size)
			return check_bad(c, id, "Member bits_offset exceeds its struct size");
		last = off;
	}
	return 0;
}

static int meta_enum(struct check *c, uint32_t id, const struct btf_type *t)
{
	const uint32_t *entry = (const uint32_t *)(t + 1); /* name_off first, in both kinds */
	uint32_t words = KIND(t) == BTF_KIND_ENUM ? 2 : 3, i;

	if (t->size > 8 || !t->size || t->size & (t->size - 1))
		return check_bad(c, id, "Unexpected size");
	for (i = 0; i < VLEN(t); i++, entry += words)
		if (!offset_valid(c, *entry) || !*entry || !check_name_valid(c, *entry))
			return check_bad(c, id, "Invalid name");
	return 0;
}

static int meta_var(struct check *c, uint32_t id, const struct btf_type *t)
{
	const struct btf_var *v = (const struct btf_var *)(t + 1);

	if (!t->type || !id_valid(t->type))
		return check_bad(c, id, "Invalid type_id");
	if (v->linkage != BTF_VAR_STATIC && v->linkage != BTF_VAR_GLOBAL_ALLOCATED)
		return check_bad(c, id, "Linkage not supported");
	return 0;
}

static int meta_datasec(struct check *c, uint32_t id, const struct btf_type *t)
{
	const struct btf_var_secinfo *v = (const struct btf_var_secinfo *)(t + 1);
	uint64_t end = 0;
	uint32_t i;

	for (i = 0; i < VLEN(t); i++, v++) {
		if (!v->type || !id_valid(v->type))
			return check_bad(c, id, "Invalid type_id");
		if (v->offset < end || v->offset >= t->size)
			return check_bad(c, id, "Invalid offset");
		if (!v->size || v->size > t->size)
			return check_bad(c, id, "Invalid size");
		end = (uint32_t)(v->offset + v->size);
		if (end > t->size)
			return check_bad(c, id, "Invalid offset+size");
	}
	return 0;
}

static int meta_kind(struct check *c, uint32_t id, const struct btf_type *t)
{
	switch (KIND(t)) {
	case BTF_KIND_INT:
		return meta_int(c, id, t);
	case BTF_KIND_ARRAY:
		return meta_array(c, id, t);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return meta_struct(c, id, t);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return meta_enum(c, id, t);
	case BTF_KIND_FWD:
		return t->type ? check_bad(c, id, "type != 0") : 0;
	case BTF_KIND_PTR:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		return id_valid(t->type) ? 0 : check_bad(c, id, "Invalid type_id");
	case BTF_KIND_FUNC:
		return VLEN(t) > BTF_FUNC_GLOBAL ? check_bad(c, id, "Invalid func linkage") : 0;
	case BTF_KIND_VAR:
		return meta_var(c, id, t);
	case BTF_KIND_DATASEC:
		return t->size ? meta_datasec(c, id, t) : check_bad(c, id, "size == 0");
	case BTF_KIND_FLOAT:
		if (t->size != 2 && t->size != 4 && t->size != 8 && t->size != 12 && t->size != 16)
			return check_bad(c, id, "Invalid type_size");
		return 0;
	case BTF_KIND_DECL_TAG:
		if (((const struct btf_decl_tag *)(t + 1))->component_idx < -1)
			return check_bad(c, id, "Invalid component_idx");
		return 0;
	}
	return 0;
}

static int add_type(struct check *c, const struct btf_type *t)
{
	const struct btf_type **grown;
	static const struct btf_type type_void;

	if (c->cnt == c->room) {
		if (c->cnt > BTF_MAX_TYPE)
			return -E2BIG;
		c->room += c->room / 2 + 64;
		grown = realloc(c->types, c->room * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		c->types = grown;
		if (!c->cnt)
			c->types[c->cnt++] = &type_void;
	}
	c->types[c->cnt++] = t;
	return 0;
}

/* The bytes that the type takes, or -errno. */
static int meta_one(struct check *c, const struct btf_type *t, uint32_t left)
{
	const struct kind_rule *rule;
	uint32_t id, need;
	int err;

	if (left < sizeof(*t)) {
		check_log(c, "[%u] the type section ends inside a type\n", c->cnt ? c->cnt : 1);
		return -EINVAL;
	}
	if (t->info & ~INFO_MASK || !KIND(t) || KIND(t) > BTF_KIND_ENUM64) {
		check_log(c, "[%u] Invalid btf_info or kind: %x\n", c->cnt ? c->cnt : 1, t->info);
		return -EINVAL;
	}
	err = add_type(c, t);
	if (err)
		return err;
	id = c->cnt - 1;
	if (!offset_valid(c, t->name_off))
		return check_bad(c, id, "Invalid name_offset");
	rule = &rules[KIND(t)];
	need = rule->fixed + rule->each * VLEN(t);
	if (left - sizeof(*t) < need)
		return check_bad(c, id, "the type section ends inside it");
	if (VLEN(t) && !rule->vlen)
		return check_bad(c, id, "vlen != 0");
	if (KFLAG(t) && !rule->kflag)
		return check_bad(c, id, "Invalid btf_info kind_flag");
	if (!name_follows(c, t, rule->name))
		return check_bad(c, id, "Invalid name");
	err = meta_kind(c, id, t);
	return err ? err : (int)(sizeof(*t) + need);
}

int check_metas(struct check *c)
{
	uint32_t at = 0;
	int n;

	while (at < c->hdr.type_len) {
		n = meta_one(c, (const struct btf_type *)(c->type_data + at), c->hdr.type_len - at);
		if (n < 0)
			return n;
		at += (uint32_t)n;
	}
	return 0;
}
