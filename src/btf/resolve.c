/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * References between types. Each type that refers to others is followed,
 * depth first with an explicit stack, until types are met at which following
 * may stop; what is met twice on one path is a loop. Where it may stop depends
 * on where it began: a pointer may point to a struct that holds the pointer,
 * so a walk that began at a pointer stops at structs; and a walk that began at
 * a struct or an array stops at pointers, as only what lies inside counts.
 */
#include <stdlib.h>

#include "base/bits.h"
#include "base/errors.h"
#include "btf/check.h"

#define VLEN(t) BTF_INFO_VLEN((t)->info)
#define KFLAG(t) BTF_INFO_KFLAG((t)->info)
#define MEMBERS(t) ((const struct btf_member *)((t) + 1))
#define PTR_SIZE 8
#define TAG_CHAIN 32

static bool is_resolved(const struct check *c, uint32_t id)
{
	return c->state[id] == RESOLVED;
}

static bool may_stop(const struct check *c, const struct btf_type *t)
{
	switch (c->mode) {
	case MODE_ANY:
		return !IS(t, KINDS_RESOLVE);
	case MODE_PTR:
		return !IS(t, KINDS_MODIFIER | KIND_BIT(BTF_KIND_PTR));
	case MODE_STRUCT:
		return !IS(t, KINDS_MODIFIER | KINDS_STRUCT | KIND_BIT(BTF_KIND_ARRAY));
	}
	return false;
}

static int push(struct check *c, uint32_t id)
{
	const struct btf_type *t = c->types[id];

	if (c->depth == CHECK_DEPTH) {
		check_bad(c, id, "Exceeded max resolving depth");
		return -E2BIG;
	}
	if (c->state[id] != NOT_VISITED) {
		check_bad(c, id, "Loop detected");
		return -EEXIST;
	}
	c->state[id] = VISITED;
	c->stack[c->depth].id = id;
	c->stack[c->depth++].next = 0;
	if (c->mode == MODE_ANY) {
		if (IS(t, KIND_BIT(BTF_KIND_PTR)))
			c->mode = MODE_PTR;
		else if (IS(t, KINDS_STRUCT | KIND_BIT(BTF_KIND_ARRAY)))
			c->mode = MODE_STRUCT;
	}
	return 0;
}

static int pop(struct check *c, uint32_t resolved_id, uint32_t resolved_size)
{
	uint32_t id = c->stack[--c->depth].id;

	c->resolved_id[id] = resolved_id;
	c->resolved_size[id] = resolved_size;
	c->state[id] = RESOLVED;
	return 0;
}

/* True when the walk must go on into id before its referrer is done. */
static bool must_follow(const struct check *c, uint32_t id)
{
	return !may_stop(c, c->types[id]) && !is_resolved(c, id);
}

static bool direct_size(const struct check *c, uint32_t id, uint32_t *size)
{
	const struct btf_type *t = c->types[id];

	if (IS(t, KINDS_SIZED))
		*size = t->size;
	else if (IS(t, KIND_BIT(BTF_KIND_ARRAY)))
		*size = c->resolved_size[id];
	else if (IS(t, KIND_BIT(BTF_KIND_PTR)))
		*size = PTR_SIZE;
	else
		return false;
	return true;
}

const struct btf_type *check_sized(const struct check *c, uint32_t *id, uint32_t *size)
{
	const struct btf_type *t = check_type(c, *id);
	uint32_t ignored, behind;

	if (!size)
		size = &ignored;
	if (!t || IS(t, KINDS_NOSIZE))
		return NULL;
	if (direct_size(c, *id, size))
		return t;
	behind = c->resolved_id[*id];
	if (behind >= c->cnt || !direct_size(c, behind, size))
		return NULL;
	*id = behind;
	return c->types[behind];
}

bool check_int_regular(const struct btf_type *t)
{
	uint32_t data = *(const uint32_t *)(t + 1), bits = BTF_INT_BITS(data);

	if (BTF_INT_OFFSET(data))
		return false;
	return bits == 8 || bits == 16 || bits == 32 || bits == 64 || bits == 128;
}

/*
 * Whether a member at bit offset off (bits wide, 0: no bit field) with the
 * type t of that size fits its struct. t has been resolved.
 */
static bool member_fits(const struct check *c, const struct btf_type *in, uint32_t raw_off,
			uint32_t id)
{
	uint32_t off = KFLAG(in) ? BTF_MEMBER_BIT_OFFSET(raw_off) : raw_off;
	uint32_t bits = KFLAG(in) ? BTF_MEMBER_BITFIELD_SIZE(raw_off) : 0;
	const struct btf_type *t;
	uint32_t size, data, nr, at;

	t = check_sized(c, &id, &size);
	if (!t)
		return false;
	switch (KIND(t)) {
	case BTF_KIND_INT:
		data = *(const uint32_t *)(t + 1);
		nr = BTF_INT_BITS(data);
		if (KFLAG(in)) {
			if (!check_int_regular(t) || bits > nr || (!bits && off % 8))
				return false;
			nr = bits ? bits : nr;
		} else {
			if (UINT32_MAX - off < BTF_INT_OFFSET(data))
				return false;
			off += BTF_INT_OFFSET(data);
		}
		nr += off % 8;
		at = off / 8;
		return nr <= 128 && in->size >= at && in->size - at >= (nr + 7) / 8;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		if (!KFLAG(in))
			break;
		if (bits > 32 || (!bits && off % 8))
			return false;
		return in->size >= (off + (bits ? bits : 32) + 7) / 8;
	case BTF_KIND_FLOAT:
		if (bits || off % (8 * (size < PTR_SIZE ? size : PTR_SIZE)))
			return false;
		return (uint64_t)off / 8 + size <= in->size;
	case BTF_KIND_PTR:
	case BTF_KIND_ARRAY:
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		break;
	default:
		return false;
	}
	/* The stage before has found off / 8 inside the struct. */
	return !bits && off % 8 == 0 && in->size - off / 8 >= size;
}

static int resolve_struct(struct check *c, uint32_t id, uint32_t from)
{
	const struct btf_type *t = c->types[id], *mt;
	const struct btf_member *m = MEMBERS(t);
	uint32_t i;

	/* The member that the walk went into: done now. */
	if (from && !member_fits(c, t, m[from - 1].offset, m[from - 1].type))
		return check_bad(c, id, "Member does not fit");
	for (i = from; i < VLEN(t); i++) {
		mt = check_type(c, m[i].type);
		if (!mt || IS(mt, KINDS_NOSIZE | KINDS_SOURCE))
			return check_bad(c, id, "Invalid member");
		if (must_follow(c, m[i].type)) {
			c->stack[c->depth - 1].next = i + 1;
			return push(c, m[i].type);
		}
		if (!member_fits(c, t, m[i].offset, m[i].type))
			return check_bad(c, id, "Member does not fit");
	}
	return pop(c, 0, 0);
}

static int resolve_array(struct check *c, uint32_t id)
{
	const struct btf_array *a = (const struct btf_array *)(c->types[id] + 1);
	const struct btf_type *t = check_type(c, a->index_type);
	uint32_t behind = a->index_type, size;

	if (!t || IS(t, KINDS_NOSIZE | KINDS_SOURCE))
		return check_bad(c, id, "Invalid index");
	if (must_follow(c, behind))
		return push(c, behind);
	t = check_sized(c, &behind, NULL);
	if (!t || KIND(t) != BTF_KIND_INT || !check_int_regular(t))
		return check_bad(c, id, "Invalid index");

	behind = a->type;
	t = check_type(c, behind);
	if (!t || IS(t, KINDS_NOSIZE | KINDS_SOURCE))
		return check_bad(c, id, "Invalid elem");
	if (must_follow(c, behind))
		return push(c, behind);
	t = check_sized(c, &behind, &size);
	if (!t)
		return check_bad(c, id, "Invalid elem");
	if (KIND(t) == BTF_KIND_INT && !check_int_regular(t))
		return check_bad(c, id, "Invalid array of int");
	if (a->nelems && size > UINT32_MAX / a->nelems)
		return check_bad(c, id, "Array size overflows U32_MAX");
	return pop(c, behind, size * a->nelems);
}

/*
 * Modifiers, pointers and variables. A modifier that a struct's walk resolved
 * may have stopped at a pointer: from a pointer or a variable the walk goes on
 * there, or a loop of pointers would be missed.
 */
static int resolve_reference(struct check *c, uint32_t id)
{
	const struct btf_type *t = c->types[id], *to = check_type(c, t->type);
	uint32_t next = t->type, behind;

	if (!to || IS(to, KINDS_SOURCE))
		return check_bad(c, id, "Invalid type_id");
	if (must_follow(c, next))
		return push(c, next);
	if (IS(t, KIND_BIT(BTF_KIND_PTR) | KIND_BIT(BTF_KIND_VAR)) && IS(to, KINDS_MODIFIER)) {
		behind = c->resolved_id[next];
		if (KIND(c->types[behind]) == BTF_KIND_PTR && must_follow(c, behind))
			return push(c, behind);
	}
	if (check_sized(c, &next, NULL))
		return pop(c, next, 0);
	if (KIND(t) == BTF_KIND_VAR)
		return check_bad(c, id, "Invalid type_id");
	if (is_resolved(c, next)) {
		next = c->resolved_id[next];
		to = check_type(c, next);
	}
	if (!to || !IS(to, KIND_BIT(BTF_KIND_UNKN) | KIND_BIT(BTF_KIND_FWD) |
				   KIND_BIT(BTF_KIND_FUNC_PROTO)))
		return check_bad(c, id, "Invalid type_id");
	return pop(c, next, 0);
}

static int resolve_func(struct check *c, uint32_t id)
{
	const struct btf_type *t = c->types[id], *proto = check_type(c, t->type);
	const struct btf_param *p;
	uint32_t i;

	if (!proto || KIND(proto) != BTF_KIND_FUNC_PROTO)
		return check_bad(c, id, "Invalid type_id");
	p = (const struct btf_param *)(proto + 1);
	for (i = 0; i < VLEN(proto); i++)
		if (!p[i].name_off && p[i].type)
			return check_bad(c, id, "Invalid arg");
	return pop(c, t->type, 0);
}

static int resolve_datasec(struct check *c, uint32_t id, uint32_t from)
{
	const struct btf_type *t = c->types[id], *var;
	const struct btf_var_secinfo *v = (const struct btf_var_secinfo *)(t + 1);
	uint32_t i, behind, size;

	c->mode = MODE_ANY;
	for (i = from; i < VLEN(t); i++) {
		var = check_type(c, v[i].type);
		if (!var || KIND(var) != BTF_KIND_VAR)
			return check_bad(c, id, "Not a VAR kind member");
		if (must_follow(c, v[i].type)) {
			c->stack[c->depth - 1].next = i + 1;
			return push(c, v[i].type);
		}
		behind = var->type;
		if (!check_sized(c, &behind, &size))
			return check_bad(c, id, "Invalid type");
		if (v[i].size < size)
			return check_bad(c, id, "Invalid size");
	}
	return pop(c, 0, 0);
}

static int resolve_decl_tag(struct check *c, uint32_t id)
{
	const struct btf_type *t = c->types[id], *to = check_type(c, t->type);
	int32_t index = ((const struct btf_decl_tag *)(t + 1))->component_idx;

	if (!to || !IS(to, KINDS_STRUCT | KIND_BIT(BTF_KIND_FUNC) | KIND_BIT(BTF_KIND_VAR) |
				   KIND_BIT(BTF_KIND_TYPEDEF)))
		return check_bad(c, id, "Invalid type_id");
	if (must_follow(c, t->type))
		return push(c, t->type);
	if (index != -1) {
		if (IS(to, KIND_BIT(BTF_KIND_VAR) | KIND_BIT(BTF_KIND_TYPEDEF)))
			return check_bad(c, id, "Invalid component_idx");
		if (KIND(to) == BTF_KIND_FUNC)
			to = check_type(c, to->type);
		if (!to || (uint32_t)index >= VLEN(to))
			return check_bad(c, id, "Invalid component_idx");
	}
	return pop(c, t->type, 0);
}

static int resolve_step(struct check *c)
{
	uint32_t id = c->stack[c->depth - 1].id, next = c->stack[c->depth - 1].next;

	switch (KIND(c->types[id])) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return resolve_struct(c, id, next);
	case BTF_KIND_ARRAY:
		return resolve_array(c, id);
	case BTF_KIND_FUNC:
		return resolve_func(c, id);
	case BTF_KIND_DATASEC:
		return resolve_datasec(c, id, next);
	case BTF_KIND_DECL_TAG:
		return resolve_decl_tag(c, id);
	case BTF_KIND_PTR:
	case BTF_KIND_VAR:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_TYPE_TAG:
		return resolve_reference(c, id);
	}
	return check_bad(c, id, "Unsupported resolve");
}

/* A walk may end with a reference that stops short (at another reference):
 * such a blob is refused. */
static bool resolved_well(const struct check *c, uint32_t id)
{
	const struct btf_type *t = c->types[id], *to;
	uint32_t behind;

	if (IS(t, KINDS_MODIFIER | KIND_BIT(BTF_KIND_PTR) | KIND_BIT(BTF_KIND_VAR))) {
		to = check_type(c, c->resolved_id[id]);
		return to && !IS(to, KINDS_MODIFIER | KIND_BIT(BTF_KIND_VAR) |
					     KIND_BIT(BTF_KIND_DATASEC));
	}
	if (KIND(t) == BTF_KIND_ARRAY) {
		behind = ((const struct btf_array *)(t + 1))->type;
		to = check_sized(c, &behind, NULL);
		return to && !IS(to, KINDS_MODIFIER);
	}
	return true;
}

static int resolve(struct check *c, uint32_t id)
{
	int err;

	c->mode = MODE_ANY;
	err = push(c, id);
	while (!err && c->depth)
		err = resolve_step(c);
	if (!err && !resolved_well(c, id))
		err = check_bad(c, id, "Invalid resolve state");
	return err;
}

/* A type that a function takes or gives: followed, and of a size. */
static int check_proto_type(struct check *c, uint32_t id)
{
	const struct btf_type *t = check_type(c, id);
	int err;

	if (!t || IS(t, KINDS_SOURCE))
		return -EINVAL;
	if (IS(t, KINDS_RESOLVE) && !is_resolved(c, id)) {
		err = resolve(c, id);
		if (err)
			return err;
	}
	return check_sized(c, &id, NULL) ? 0 : -EINVAL;
}

static int check_proto(struct check *c, uint32_t id)
{
	const struct btf_type *t = c->types[id];
	const struct btf_param *p = (const struct btf_param *)(t + 1);
	uint32_t i, cnt = VLEN(t);
	int err;

	err = t->type ? check_proto_type(c, t->type) : 0;
	if (err) {
		check_bad(c, id, "Invalid return type");
		return err;
	}
	/* The last may be "...": neither type nor name. */
	if (cnt && !p[cnt - 1].type) {
		if (p[cnt - 1].name_off)
			return check_bad(c, id, "Invalid arg");
		cnt--;
	}
	for (i = 0; i < cnt; i++) {
		if (check_type(c, p[i].type) && p[i].name_off &&
		    (p[i].name_off > BTF_MAX_NAME_OFFSET || !check_name_valid(c, p[i].name_off)))
			return check_bad(c, id, "Invalid arg");
		err = check_proto_type(c, p[i].type);
		if (err) {
			check_bad(c, id, "Invalid arg");
			return err;
		}
	}
	return 0;
}

int check_references(struct check *c)
{
	uint32_t id;
	int err;

	c->state = calloc(c->cnt, sizeof(*c->state));
	c->resolved_id = calloc(c->cnt, sizeof(*c->resolved_id));
	c->resolved_size = calloc(c->cnt, sizeof(*c->resolved_size));
	if (!c->state || !c->resolved_id || !c->resolved_size)
		return -ENOMEM;
	for (id = 1; id < c->cnt; id++) {
		if (IS(c->types[id], KINDS_RESOLVE) && !is_resolved(c, id)) {
			err = resolve(c, id);
			if (err)
				return err;
		}
		if (KIND(c->types[id]) == BTF_KIND_FUNC_PROTO) {
			err = check_proto(c, id);
			if (err)
				return err;
		}
	}
	return 0;
}

/* Type tags stand before all other modifiers of a chain, and chains are short. */
int check_type_tags(struct check *c)
{
	uint32_t id, at, good = 0, left;
	const struct btf_type *t;
	bool in_tags;

	for (id = 1; id < c->cnt; id++) {
		t = c->types[id];
		if (!IS(t, KINDS_MODIFIER))
			continue;
		in_tags = KIND(t) == BTF_KIND_TYPE_TAG;
		for (at = id, left = TAG_CHAIN; IS(t, KINDS_MODIFIER);) {
			if (!left--) {
				check_bad(c, id, "Max chain length or cycle detected");
				return -ELOOP;
			}
			if (KIND(t) != BTF_KIND_TYPE_TAG)
				in_tags = false;
			else if (!in_tags)
				return check_bad(c, id, "Type tags don't precede modifiers");
			if (at <= good)
				break; /* seen as the start of a chain before */
			at = t->type;
			t = check_type(c, at);
			if (!t)
				return -EINVAL;
		}
		good = id;
	}
	return 0;
}
