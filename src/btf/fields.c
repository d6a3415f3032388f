/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Special fields: members of a struct (or variables of a data section) that
 * the kernel gives a meaning by their type's name, such as struct
 * bpf_spin_lock, and pointers with a kptr tag.
 */
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "btf/btf.h"
#include "btf/check.h"

#define FIELDS_MAX 11
#define FIELDS_STEPS (1u << 20)

enum field_kind {
	FIELD_SPIN_LOCK,
	FIELD_RES_SPIN_LOCK,
	FIELD_TIMER,
	FIELD_WQ,
	FIELD_TASK_WORK,
	FIELD_LIST_HEAD,
	FIELD_LIST_NODE,
	FIELD_RB_ROOT,
	FIELD_RB_NODE,
	FIELD_REFCOUNT,
	FIELD_KPTR,
	FIELD_KINDS,
};
#define FIELD_BIT(kind) (1u << (kind))

static const struct {
	const char *name;
	uint32_t size, align;
	bool unique;
} kinds[] = {
	[FIELD_SPIN_LOCK] = {"bpf_spin_lock", 4, 4, true},
	[FIELD_RES_SPIN_LOCK] = {"bpf_res_spin_lock", 4, 4, true},
	[FIELD_TIMER] = {"bpf_timer", 16, 8, true},
	[FIELD_WQ] = {"bpf_wq", 16, 8, true},
	[FIELD_TASK_WORK] = {"bpf_task_work", 8, 8, true},
	[FIELD_LIST_HEAD] = {"bpf_list_head", 16, 8, false},
	[FIELD_LIST_NODE] = {"bpf_list_node", 24, 8, false},
	[FIELD_RB_ROOT] = {"bpf_rb_root", 16, 8, false},
	[FIELD_RB_NODE] = {"bpf_rb_node", 32, 8, false},
	[FIELD_REFCOUNT] = {"bpf_refcount", 4, 4, false},
	[FIELD_KPTR] = {"", 8, 8, false},
};

/* What may stand in an object of the program's own. */
#define FIELDS_OBJECT                                                                              \
	(FIELD_BIT(FIELD_SPIN_LOCK) | FIELD_BIT(FIELD_RES_SPIN_LOCK) |                             \
	 FIELD_BIT(FIELD_LIST_HEAD) | FIELD_BIT(FIELD_LIST_NODE) | FIELD_BIT(FIELD_RB_ROOT) |      \
	 FIELD_BIT(FIELD_RB_NODE) | FIELD_BIT(FIELD_REFCOUNT) | FIELD_BIT(FIELD_KPTR))

struct field {
	enum field_kind kind;
	uint32_t off;
};

struct finder {
	const struct btf *btf;
	uint32_t mask;
	uint32_t steps; /* taken; nested structs may double them at every level */
	struct field found[FIELDS_MAX];
	uint32_t cnt;
};

/* Names point into the checked strings; an absent one reads as none. */
static const char *type_name(const struct btf *btf, const struct btf_type *t)
{
	const char *s = btf__str_by_offset(btf, t->name_off);

	return s ? s : "";
}

/* 1: a pointer with a kptr tag; 0: not; -EINVAL: a tag that is none. */
static int is_kptr(const struct btf *btf, const struct btf_type *t)
{
	const struct btf_type *next;
	const char *tag;

	if (btf_is_volatile(t))
		t = btf__type_by_id(btf, t->type);
	if (!t || !btf_is_ptr(t))
		return 0;
	t = btf__type_by_id(btf, t->type);
	if (!t || !btf_is_type_tag(t) || btf_kflag(t))
		return 0;
	next = btf__type_by_id(btf, t->type);
	if (next && btf_is_type_tag(next))
		return -EINVAL;
	tag = type_name(btf, t);
	if (!strcmp(tag, "uptr"))
		return 0;
	if (strcmp(tag, "kptr") && strcmp(tag, "kptr_untrusted") && strcmp(tag, "percpu_kptr"))
		return -EINVAL;
	while (next && (btf_is_mod(next) || btf_is_typedef(next)))
		next = btf__type_by_id(btf, next->type);
	return next && btf_is_struct(next) ? 1 : -EINVAL;
}

static int add_field(struct finder *f, enum field_kind kind, uint32_t off)
{
	if (f->cnt == FIELDS_MAX)
		return -E2BIG;
	f->found[f->cnt].kind = kind;
	f->found[f->cnt++].off = off;
	return 0;
}

/* The fields found since `first` stand in an array: once more per element. */
static int repeat_fields(struct finder *f, uint32_t first, uint32_t nelems, uint32_t stride)
{
	uint32_t own = f->cnt - first, i, j;
	int err;

	for (i = first; i < f->cnt; i++)
		if (f->found[i].kind != FIELD_KPTR && f->found[i].kind != FIELD_LIST_HEAD &&
		    f->found[i].kind != FIELD_RB_ROOT)
			return -EINVAL;
	if (!own)
		return 0;
	for (i = 1; i < nelems; i++) {
		for (j = 0; j < own; j++) {
			err = add_field(f, f->found[first + j].kind,
					f->found[first + j].off + i * stride);
			if (err)
				return err;
		}
	}
	return 0;
}

static int find_in_struct(struct finder *f, const struct btf_type *t, uint32_t base,
			  uint32_t level);

/* One member or variable of type t; only: the size that it must have, or 0. */
static int find_one(struct finder *f, const struct btf_type *t, uint32_t off, uint32_t only,
		    uint32_t level, uint32_t *seen)
{
	uint32_t nelems = 1, depth, k, first = f->cnt;
	int err;

	if (++f->steps > FIELDS_STEPS)
		return -E2BIG;
	for (depth = 0; t && btf_is_array(t); depth++) {
		if (depth == CHECK_DEPTH)
			return -E2BIG;
		nelems *= btf_array(t)->nelems;
		t = btf__type_by_id(f->btf, btf_array(t)->type);
	}
	if (!t || !nelems)
		return 0;
	for (k = 0; k < FIELD_KPTR; k++)
		if (f->mask & FIELD_BIT(k) && !strcmp(type_name(f->btf, t), kinds[k].name))
			break;
	if (k < FIELD_KPTR && kinds[k].unique) {
		if (*seen & FIELD_BIT(k))
			return -E2BIG;
		*seen |= FIELD_BIT(k);
	}
	if (k == FIELD_KPTR && btf_is_struct(t)) {
		if (only && only != t->size * nelems)
			return 0;
		if (level + 1 >= CHECK_DEPTH)
			return -E2BIG;
		err = find_in_struct(f, t, off, level + 1);
		if (err)
			return err;
		return nelems > 1 ? repeat_fields(f, first, nelems, t->size) : 0;
	}
	if (only && only != kinds[k].size * nelems)
		return 0;
	if (off % kinds[k].align)
		return 0;
	if (k == FIELD_KPTR) {
		err = f->mask & FIELD_BIT(FIELD_KPTR) ? is_kptr(f->btf, t) : 0;
		if (err <= 0)
			return err;
	} else if (!btf_is_struct(t) || t->size != kinds[k].size) {
		return 0;
	}
	err = add_field(f, (enum field_kind)k, off);
	if (err)
		return err;
	return nelems > 1 ? repeat_fields(f, first, nelems, kinds[k].size) : 0;
}

static int find_in_struct(struct finder *f, const struct btf_type *t, uint32_t base, uint32_t level)
{
	const struct btf_member *m = btf_members(t);
	uint32_t i, off, seen = 0;
	int err;

	for (i = 0; i < btf_vlen(t); i++, m++) {
		off = btf_member_bit_offset(t, i);
		if (off % 8)
			return -EINVAL;
		err = find_one(f, btf__type_by_id(f->btf, m->type), base + off / 8, 0, level,
			       &seen);
		if (err)
			return err;
	}
	return 0;
}

static int find_in_section(struct finder *f, const struct btf_type *t)
{
	const struct btf_var_secinfo *v = btf_var_secinfos(t);
	const struct btf_type *var;
	uint32_t i, seen = 0;
	int err;

	for (i = 0; i < btf_vlen(t); i++, v++) {
		var = btf__type_by_id(f->btf, v->type);
		err = var ? find_one(f, btf__type_by_id(f->btf, var->type), v->offset, v->size, 0,
				     &seen)
			  : 0;
		if (err)
			return err;
	}
	return 0;
}

/* All special fields of a value type, checked together: 0 or -errno. */
static int find_fields(struct finder *f, const struct btf_type *t, uint32_t size)
{
	uint32_t i, end = 0, has = 0;
	int err = -EINVAL;

	if (btf_is_struct(t))
		err = find_in_struct(f, t, 0, 0);
	else if (btf_is_datasec(t))
		err = find_in_section(f, t);
	if (err)
		return err;
	for (i = 0; i < f->cnt; i++) {
		if (f->found[i].off + kinds[f->found[i].kind].size > size)
			return -EFAULT;
		if (f->found[i].off < end)
			return -EEXIST;
		end = f->found[i].off + kinds[f->found[i].kind].size;
		has |= FIELD_BIT(f->found[i].kind);
	}
	if (has & FIELD_BIT(FIELD_SPIN_LOCK) && has & FIELD_BIT(FIELD_RES_SPIN_LOCK))
		return -EINVAL;
	if (has & (FIELD_BIT(FIELD_LIST_HEAD) | FIELD_BIT(FIELD_RB_ROOT)) &&
	    !(has & (FIELD_BIT(FIELD_SPIN_LOCK) | FIELD_BIT(FIELD_RES_SPIN_LOCK))))
		return -EINVAL;
	return 0;
}

/*
 * BTF_LOAD looks at every struct with a member whose type is special (the
 * first of its name, or a kptr): its fields must be well formed, and there
 * must be one.
 */
int btf_check_fields(const struct btf *btf)
{
	static const enum field_kind named[] = {FIELD_SPIN_LOCK, FIELD_LIST_HEAD, FIELD_LIST_NODE,
						FIELD_RB_ROOT,	 FIELD_RB_NODE,	  FIELD_REFCOUNT};
	uint32_t cnt = btf__type_cnt(btf), id, i;
	const struct btf_type *t;
	uint8_t *special;
	bool any = false;
	int err = 0, at;

	special = calloc(cnt, 1);
	if (!special)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(named); i++) {
		at = btf__find_by_name_kind(btf, kinds[named[i]].name, BTF_KIND_STRUCT);
		if (at > 0)
			special[at] = any = true;
	}
	for (id = 1; id < cnt; id++)
		if (is_kptr(btf, btf__type_by_id(btf, id)) > 0)
			special[id] = any = true;
	for (id = 1; any && !err && id < cnt; id++) {
		struct finder f = {.btf = btf, .mask = FIELDS_OBJECT};

		t = btf__type_by_id(btf, id);
		if (!btf_is_struct(t))
			continue;
		for (i = 0; i < btf_vlen(t); i++)
			if (special[btf_members(t)[i].type])
				break;
		if (i == btf_vlen(t))
			continue;
		err = find_fields(&f, t, t->size);
		if (!err && !f.cnt)
			err = -EFAULT;
	}
	free(special);
	return err;
}

/* The type with a size behind modifiers and variables, and that size. */
static const struct btf_type *sized(const struct btf *btf, uint32_t id, uint64_t *size)
{
	const struct btf_type *t = btf__type_by_id(btf, id), *sizing;
	uint64_t nelems = 1;
	int left;

	for (left = CHECK_DEPTH; t && left && (btf_is_mod(t) || btf_is_typedef(t) || btf_is_var(t));
	     left--)
		t = btf__type_by_id(btf, t->type);
	sizing = t;
	for (left = CHECK_DEPTH; sizing && left; left--) {
		if (btf_is_array(sizing)) {
			nelems *= btf_array(sizing)->nelems;
			sizing = btf__type_by_id(btf, btf_array(sizing)->type);
		} else if (btf_is_mod(sizing) || btf_is_typedef(sizing)) {
			sizing = btf__type_by_id(btf, sizing->type);
		} else {
			break;
		}
	}
	if (!sizing)
		return NULL;
	switch (btf_kind(sizing)) {
	case BTF_KIND_PTR:
		*size = nelems * 8;
		return t;
	case BTF_KIND_INT:
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
	case BTF_KIND_FLOAT:
	case BTF_KIND_DATASEC:
		*size = nelems * sizing->size;
		return t;
	}
	return NULL;
}

static bool is_int32(const struct btf_type *t)
{
	return btf_is_int(t) && t->size == 4 && btf_int_bits(t) == 32 && !btf_int_offset(t);
}

/* What a map type says to its key and value type; key NULL: no key type. */
static int check_map_type(uint32_t map_type, const struct btf_type *key,
			  const struct btf_type *value)
{
	switch (map_type) {
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		if (!key) /* a data section of libbpf's; its one entry is the caller's check */
			return map_type == BPF_MAP_TYPE_ARRAY && btf_is_datasec(value) ? 0
										       : -EINVAL;
		return is_int32(key) ? 0 : -EINVAL;
	case BPF_MAP_TYPE_BLOOM_FILTER:
		return key ? -EINVAL : 0;
	case BPF_MAP_TYPE_LPM_TRIE:
		return key && btf_is_struct(key) ? 0 : -EINVAL;
	case BPF_MAP_TYPE_SK_STORAGE:
	case BPF_MAP_TYPE_INODE_STORAGE:
	case BPF_MAP_TYPE_TASK_STORAGE:
	case SHMAP_MAP_TYPE_CGRP_STORAGE:
		return key && is_int32(key) ? 0 : -EINVAL;
	case BPF_MAP_TYPE_PERF_EVENT_ARRAY:
	case BPF_MAP_TYPE_CGROUP_ARRAY:
	case BPF_MAP_TYPE_STACK_TRACE:
	case BPF_MAP_TYPE_ARRAY_OF_MAPS:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
	case BPF_MAP_TYPE_DEVMAP:
	case BPF_MAP_TYPE_DEVMAP_HASH:
	case BPF_MAP_TYPE_SOCKMAP:
	case BPF_MAP_TYPE_SOCKHASH:
	case BPF_MAP_TYPE_CPUMAP:
	case BPF_MAP_TYPE_XSKMAP:
		return -ENOTSUPP;
	}
	return key ? 0 : -EINVAL;
}

/* Which map types may hold a field of this kind: locks, timers and work here. */
static bool field_allowed(uint32_t map_type, enum field_kind kind)
{
	if (kind == FIELD_TIMER || kind == FIELD_WQ)
		return map_type == BPF_MAP_TYPE_HASH || map_type == BPF_MAP_TYPE_LRU_HASH ||
		       map_type == BPF_MAP_TYPE_ARRAY;
	if (kind != FIELD_SPIN_LOCK)
		return false;
	switch (map_type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_CGROUP_STORAGE:
	case BPF_MAP_TYPE_SK_STORAGE:
	case BPF_MAP_TYPE_INODE_STORAGE:
	case BPF_MAP_TYPE_TASK_STORAGE:
	case SHMAP_MAP_TYPE_CGRP_STORAGE:
		return true;
	}
	return false;
}

int btf_check_map(const struct btf *btf, uint32_t map_type, uint32_t map_flags, uint32_t key_size,
		  uint32_t value_size, uint32_t max_entries, uint32_t key_type_id,
		  uint32_t value_type_id, struct btf_map_fields *out)
{
	struct finder f = {.btf = btf, .mask = (1u << FIELD_KINDS) - 1};
	const struct btf_type *key = NULL, *value;
	uint64_t size = 0;
	uint32_t i;
	int err;

	*out = (struct btf_map_fields){.spin_lock_off = -1};
	if (key_type_id) {
		key = sized(btf, key_type_id, &size);
		if (!key || size != key_size)
			return -EINVAL;
	}
	value = sized(btf, value_type_id, &size);
	if (!value || size != value_size)
		return -EINVAL;
	/* A value whose fields make no sense has none, as far as a map goes. */
	err = find_fields(&f, value, value_size);
	for (i = 0; !err && i < f.cnt; i++) {
		if (map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
			return -EACCES;
		if (!field_allowed(map_type, f.found[i].kind))
			return -EOPNOTSUPP;
		if (f.found[i].kind == FIELD_TIMER)
			out->timer_at = f.found[i].off + 1;
		else if (f.found[i].kind == FIELD_WQ)
			out->wq_at = f.found[i].off + 1;
		else
			out->spin_lock_off = (int32_t)f.found[i].off;
	}
	if (!key && map_type == BPF_MAP_TYPE_ARRAY && max_entries != 1)
		return -EINVAL;
	return check_map_type(map_type, key, value);
}
