/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The BTF side. A map becomes a variable of a struct whose members' types say it all:
 *
 *   struct { int (*type)[1]; KEY *key; VALUE *value; int (*max_entries)[100]; ... } name;
 *
 * The variable lies over the old definition, which is smaller than so many pointers: all
 * members are at offset 0, which BTF allows and nobody looks at.
 */
#include "btf/old_maps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>
#include <linux/bpf.h>

#include "base/bits.h"
#include "base/errors.h"
#include "btf/old_object.h"

/* The fields, in the order in which they came. */
enum field {
	F_TYPE,
	F_KEY_SIZE,
	F_VALUE_SIZE,
	F_MAX_ENTRIES,
	F_MAP_FLAGS,
	F_INNER_MAP_IDX,
	F_NUMA_NODE,
	F_COUNT
};

#define NEEDED_FIELDS 4

static bool holds_maps(uint32_t type)
{
	return type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS;
}

/* The definition's fields; those that it does not have are 0. */
static int read_fields(const struct old_maps *maps, const struct old_map *m, uint32_t *field,
		       char *why)
{
	uint32_t known = F_COUNT * sizeof(field[0]);

	memset(field, 0, known);
	if (m->size < NEEDED_FIELDS * sizeof(field[0]))
		return old_object_fail(
			why,
			"the definition of the map %s has %u bytes; a struct bpf_map_def has "
			"at least 16: type, key_size, value_size, max_entries",
			m->name, m->size);
	memcpy(field, m->def, m->size < known ? m->size : known);
	for (uint32_t i = known; i < m->size; i++)
		if (m->def[i])
			return old_object_fail(
				why,
				"the definition of the map %s has a field at byte %u that is not "
				"known here, and it is not 0",
				m->name, i);
	if (!holds_maps(field[F_TYPE]) && field[F_INNER_MAP_IDX])
		return old_object_fail(why,
				       "the definition of the map %s has %u in its sixth field "
				       "(inner_map_idx), which only maps of maps have",
				       m->name, field[F_INNER_MAP_IDX]);
	if (holds_maps(field[F_TYPE]) && field[F_INNER_MAP_IDX] >= maps->cnt)
		return old_object_fail(
			why,
			"the map %s names map %u as its inner map (inner_map_idx); there are %u, "
			"counted from 0",
			m->name, field[F_INNER_MAP_IDX], maps->cnt);
	return 0;
}

static uint32_t type_of(const struct old_map *m)
{
	uint32_t type = 0;

	if (m->size >= sizeof(type))
		memcpy(&type, m->def, sizeof(type));
	return type;
}

/*
 * The inner map that a map of maps names; NULL: none, the loader will tell libbpf. The field
 * is 0 in definitions that leave it out: map 0 is not meant when it cannot be.
 */
static const struct old_map *inner_of(const struct old_maps *maps, const struct old_map *m,
				      const uint32_t *field)
{
	const struct old_map *inner = &maps->map[field[F_INNER_MAP_IDX]];

	if (!holds_maps(field[F_TYPE]) || m->size < (F_INNER_MAP_IDX + 1) * sizeof(field[0]))
		return NULL;
	if (!field[F_INNER_MAP_IDX] && holds_maps(type_of(inner)))
		return NULL;
	return inner;
}

struct builder {
	const struct old_maps *maps;
	struct btf *btf;
	int int_id;
	char *why;
};

/* All adding functions return an id, or -errno. */

/* int (*)[n] */
static int add_uint(struct builder *b, uint32_t n)
{
	int id = btf__add_array(b->btf, b->int_id, b->int_id, n);

	return id < 0 ? id : btf__add_ptr(b->btf, id);
}

/* The type of a member of struct ____btf_map_NAME, which BPF_ANNOTATE_KV_PAIR made; 0: none. */
static int annotated(struct builder *b, const char *map, const char *member)
{
	const struct btf_member *mem;
	const struct btf_type *t;
	char name[160];
	int id;

	snprintf(name, sizeof(name), "____btf_map_%s", map);
	id = btf__find_by_name_kind(b->btf, name, BTF_KIND_STRUCT);
	if (id < 0)
		return 0;
	t = btf__type_by_id(b->btf, id);
	mem = btf_members(t);
	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		const char *have = btf__name_by_offset(b->btf, mem[i].name_off);

		if (have && !strcmp(have, member))
			return mem[i].type;
	}
	return 0;
}

struct member {
	const char *name;
	int type; /* 0: it is left out */
};

/* "key" with a type when the object says which, else "key_size". */
static int sized(struct builder *b, const struct old_map *m, bool key, uint32_t size,
		 struct member *out)
{
	int type = annotated(b, m->name, key ? "key" : "value");

	if (type) {
		long long have = btf__resolve_size(b->btf, type);

		if (have != size)
			return old_object_fail(
				b->why,
				"BPF_ANNOTATE_KV_PAIR says that a %s of the map %s has %lld "
				"bytes, its definition %u",
				key ? "key" : "value", m->name, have, size);
		out->name = key ? "key" : "value";
		out->type = btf__add_ptr(b->btf, type);
	} else {
		out->name = key ? "key_size" : "value_size";
		out->type = add_uint(b, size);
	}
	return out->type < 0 ? out->type : 0;
}

static int add_definition(struct builder *b, const struct old_map *m, bool inner);

/* "values", whose element is the inner map's definition. */
static int add_inner(struct builder *b, const struct old_map *m)
{
	int id = add_definition(b, m, true);

	if (id > 0)
		id = btf__add_ptr(b->btf, id);
	return id < 0 ? id : btf__add_array(b->btf, b->int_id, id, 0);
}

static int add_definition(struct builder *b, const struct old_map *m, bool inner)
{
	struct member members[8] = {0};
	const struct old_map *inside;
	uint32_t field[F_COUNT], n = 0;
	int id, err = read_fields(b->maps, m, field, b->why);

	if (err)
		return err;
	if (inner && holds_maps(field[F_TYPE]))
		return old_object_fail(
			b->why,
			"the map %s, which another names as its inner map (inner_map_idx), is "
			"a map of maps itself",
			m->name);
	members[n++] = (struct member){"type", add_uint(b, field[F_TYPE])};
	err = sized(b, m, true, field[F_KEY_SIZE], &members[n++]);
	if (!err)
		err = sized(b, m, false, field[F_VALUE_SIZE], &members[n++]);
	if (err)
		return err;
	members[n++] = (struct member){"max_entries", add_uint(b, field[F_MAX_ENTRIES])};
	if (field[F_MAP_FLAGS])
		members[n++] = (struct member){"map_flags", add_uint(b, field[F_MAP_FLAGS])};
	if (field[F_NUMA_NODE])
		members[n++] = (struct member){"numa_node", add_uint(b, field[F_NUMA_NODE])};
	inside = inner_of(b->maps, m, field);
	if (inside)
		members[n++] = (struct member){"values", add_inner(b, inside)};
	id = btf__add_struct(b->btf, NULL, m->size);
	for (uint32_t i = 0; i < n && id > 0; i++) {
		if (members[i].type < 0)
			return members[i].type;
		/* "values" is no pointer, and needs no room either */
		err = btf__add_field(b->btf, members[i].name, members[i].type, 0, 0);
		if (err)
			return err;
	}
	return id;
}

static int find_int(struct btf *btf)
{
	int id = btf__find_by_name_kind(btf, "int", BTF_KIND_INT);

	return id > 0 ? id : btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
}

/*
 * The old section "maps" in the BTF: there is no such section any more. Its record becomes
 * a struct without name and use, of as many bytes, so that the ids of others stay.
 */
static void retire_section(struct builder *b, struct btf_type *t)
{
	struct btf_member *m = (struct btf_member *)(t + 1);
	uint32_t n = btf_vlen(t);

	t->name_off = 0;
	t->info = BTF_KIND_STRUCT << 24 | n;
	t->size = 4;
	for (uint32_t i = 0; i < n; i++)
		m[i] = (struct btf_member){.type = b->int_id};
}

static void retire_sections(struct builder *b)
{
	for (uint32_t i = 1; i < btf__type_cnt(b->btf); i++) {
		struct btf_type *t = (struct btf_type *)btf__type_by_id(b->btf, i);
		const char *name = btf__name_by_offset(b->btf, t->name_off);

		if (btf_is_datasec(t) && name &&
		    (!strcmp(name, "maps") || !strncmp(name, "maps/", 5)))
			retire_section(b, t);
	}
}

static int build(struct builder *b)
{
	int vars[OLD_MAPS_MAX], err, id;

	b->int_id = find_int(b->btf);
	if (b->int_id < 0)
		return b->int_id;
	retire_sections(b);
	for (uint32_t i = 0; i < b->maps->cnt; i++) {
		const struct old_map *m = &b->maps->map[i];

		id = add_definition(b, m, false);
		if (id > 0)
			id = btf__add_var(b->btf, m->name, BTF_VAR_GLOBAL_ALLOCATED, id);
		if (id < 0)
			return id;
		vars[i] = id;
	}
	id = btf__add_datasec(b->btf, ".maps", b->maps->size);
	for (uint32_t i = 0; i < b->maps->cnt && id > 0; i++) {
		err = btf__add_datasec_var_info(b->btf, vars[i], b->maps->map[i].to,
						b->maps->map[i].size);
		if (err)
			return err;
	}
	return id < 0 ? id : 0;
}

int old_maps_btf(const struct old_maps *maps, const void *old, uint32_t old_size, void **out,
		 uint32_t *out_size, char *why)
{
	struct builder b = {.maps = maps, .why = why};
	const void *raw;
	int err;

	why[0] = 0;
	b.btf = old ? btf__new(old, old_size) : btf__new_empty();
	if (!b.btf)
		return old_object_fail(why, "its BTF cannot be read: %s", strerror(errno));
	err = build(&b);
	raw = err ? NULL : btf__raw_data(b.btf, out_size);
	if (!err) {
		*out = raw ? malloc(*out_size) : NULL;
		if (*out)
			memcpy(*out, raw, *out_size);
		else
			err = -ENOMEM;
	}
	btf__free(b.btf);
	if (err && !why[0])
		old_object_fail(why, "the definitions of its maps cannot be put into BTF: %s",
				strerror(-err));
	return err;
}
