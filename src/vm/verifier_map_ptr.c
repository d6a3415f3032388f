/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reads of a map's own structure. The kernel lets programs read its struct bpf_map and
 * what that lies in (struct bpf_htab ...) as loads through a BTF pointer. The map here is
 * another structure; but the attributes of a map never change, so a load of one becomes a
 * number (verifier_fixup.c). There is nothing behind the other members.
 */
#include "vm/verifier_int.h"

#include <stddef.h>
#include <string.h>
#include <bpf/btf.h>

#include "btf/btf.h"

static const char *const struct_names[] = {
	[BPF_MAP_TYPE_HASH] = "bpf_htab",
	[BPF_MAP_TYPE_ARRAY] = "bpf_array",
	[BPF_MAP_TYPE_PROG_ARRAY] = "bpf_array",
	[BPF_MAP_TYPE_PERF_EVENT_ARRAY] = "bpf_array",
	[BPF_MAP_TYPE_PERCPU_HASH] = "bpf_htab",
	[BPF_MAP_TYPE_PERCPU_ARRAY] = "bpf_array",
	[BPF_MAP_TYPE_STACK_TRACE] = "bpf_stack_map",
	[BPF_MAP_TYPE_CGROUP_ARRAY] = "bpf_array",
	[BPF_MAP_TYPE_LRU_HASH] = "bpf_htab",
	[BPF_MAP_TYPE_LRU_PERCPU_HASH] = "bpf_htab",
	[BPF_MAP_TYPE_LPM_TRIE] = "lpm_trie",
	[BPF_MAP_TYPE_ARRAY_OF_MAPS] = "bpf_array",
	[BPF_MAP_TYPE_HASH_OF_MAPS] = "bpf_htab",
	[BPF_MAP_TYPE_QUEUE] = "bpf_queue_stack",
	[BPF_MAP_TYPE_STACK] = "bpf_queue_stack",
	[BPF_MAP_TYPE_SK_STORAGE] = "bpf_local_storage_map",
	[BPF_MAP_TYPE_RINGBUF] = "bpf_ringbuf_map",
	[BPF_MAP_TYPE_INODE_STORAGE] = "bpf_local_storage_map",
	[BPF_MAP_TYPE_TASK_STORAGE] = "bpf_local_storage_map",
	[BPF_MAP_TYPE_BLOOM_FILTER] = "bpf_bloom_filter",
	[BPF_MAP_TYPE_USER_RINGBUF] = "bpf_ringbuf_map",
	[BPF_MAP_TYPE_CGRP_STORAGE] = "bpf_local_storage_map",
};

static uint32_t struct_id(const char *name)
{
	int32_t id =
		btf_vmlinux() ? btf__find_by_name_kind(btf_vmlinux(), name, BTF_KIND_STRUCT) : -1;

	return id < 0 ? 0 : id;
}

/* The attribute at byte off of struct bpf_map: its own beginning, or NULL. */
static const uint32_t *attribute_at(const struct map_attr *a, const uint32_t *id, uint32_t off,
				    uint32_t size, uint32_t *begin)
{
	const struct {
		const char *name;
		const uint32_t *value;
	} known[] = {
		{"map_type", &a->map_type},	{"key_size", &a->key_size},
		{"value_size", &a->value_size}, {"max_entries", &a->max_entries},
		{"map_flags", &a->map_flags},	{"id", id},
	};
	const struct btf *btf = btf_vmlinux();
	const struct btf_type *t = btf__type_by_id(btf, struct_id("bpf_map"));

	for (uint32_t i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_member *m = &btf_members(t)[i];
		const char *name = btf__name_by_offset(btf, m->name_off);

		*begin = btf_member_bit_offset(t, i) / 8;
		if (off < *begin || off + size > *begin + sizeof(uint32_t))
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(known); k++)
			if (name && !strcmp(name, known[k].name))
				return known[k].value;
	}
	return NULL;
}

/* The load at insn gives the same number whichever path comes to it, or is refused. */
static int load_number(struct verifier *v, uint32_t insn, int regno, uint32_t value)
{
	if (v->info[insn].known && v->info[insn].known_value != value) {
		verbose(v, "R%d is of several maps: what is read would differ\n", regno);
		return -EACCES;
	}
	v->info[insn].known = true;
	v->info[insn].known_value = value;
	return 0;
}

int check_map_ptr_load(struct verifier *v, uint32_t insn, int regno, int32_t off, unsigned int size,
		       bool write, int value_regno)
{
	const uint32_t map = cur_regs(v)[regno].map;
	const struct map_attr *a = &ver_map(v, map)->attr;
	const char *name =
		a->map_type < ARRAY_SIZE(struct_names) ? struct_names[a->map_type] : NULL;
	struct ctx_access out = {.kind = REG_SCALAR};
	const uint32_t *value;
	struct reg r;
	uint32_t begin;
	int err;

	if (!name || !struct_id(name)) {
		verbose(v, "map_ptr access not supported for map type %u\n", a->map_type);
		return -ENOTSUPP;
	}
	if (off < 0) {
		verbose(v, "R%d is %s invalid negative access: off=%d\n", regno, name, off);
		return -EACCES;
	}
	if (write) {
		verbose(v, "only read from %s is supported\n", name);
		return -EACCES;
	}
	reg_mark_pointer(&r, REG_BTF_ID);
	r.btf_id = struct_id(name);
	err = btf_walk(v, &r, regno, off, size, &out);
	if (err)
		return err;
	value = NULL;
	if (size <= sizeof(*value) && !(map & VER_MAP_INNER))
		value = attribute_at(a, v->prog->map_ids ? &v->prog->map_ids[map] : NULL, off, size,
				     &begin);
	if (!value) {
		verbose(v, "R%d %s: only the attributes of a known map can be read\n", regno, name);
		return -EACCES;
	}
	if (value_regno < 0)
		return 0;
	reg_mark_unknown(&cur_regs(v)[value_regno]);
	reg_cast(&cur_regs(v)[value_regno], size);
	return load_number(v, insn, regno,
			   *value >> (off - begin) * 8 &
				   (size == 4 ? UINT32_MAX : (1U << size * 8) - 1));
}
