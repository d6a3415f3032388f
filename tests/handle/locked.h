/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps whose values hold a struct bpf_spin_lock. */
#ifndef SHMAP_TESTS_HANDLE_LOCKED_H
#define SHMAP_TESTS_HANDLE_LOCKED_H

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <linux/bpf.h>
#include <stdint.h>

#include "../check.h"

struct locked {
	uint32_t lock, pad;
	uint64_t w[3];
};

/* int -> struct { struct bpf_spin_lock lock; int pad; unsigned long w[3]; } */
static inline int locked_map(enum bpf_map_type type, unsigned int max)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	struct btf *btf = btf__new_empty();
	int i32, u64, lock, arr, value, fd;

	REQUIRE(btf);
	i32 = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	u64 = btf__add_int(btf, "unsigned long", 8, 0);
	lock = btf__add_struct(btf, "bpf_spin_lock", 4);
	REQUIRE(!btf__add_field(btf, "val", i32, 0, 0));
	arr = btf__add_array(btf, i32, u64, 3);
	value = btf__add_struct(btf, "locked", sizeof(struct locked));
	REQUIRE(!btf__add_field(btf, "lock", lock, 0, 0));
	REQUIRE(!btf__add_field(btf, "pad", i32, 32, 0));
	REQUIRE(!btf__add_field(btf, "w", arr, 64, 0));
	REQUIRE(!btf__load_into_kernel(btf));
	opts.btf_fd = (unsigned int)btf__fd(btf);
	opts.btf_key_type_id = (unsigned int)i32;
	opts.btf_value_type_id = (unsigned int)value;
	fd = bpf_map_create(type, "locked", 4, sizeof(struct locked), max, &opts);
	REQUIRE(fd >= 0);
	btf__free(btf);
	return fd;
}

/* fn of shmap_modify(): all words of the value. */
static inline int locked_add(void *value, void *arg)
{
	struct locked *v = value;

	for (int i = 0; i < 3; i++)
		v->w[i] += *(uint64_t *)arg;
	return v->lock ? 1 : 0;
}

#endif
