/* SPDX-License-Identifier: BSD-2-Clause */
/* A BTF blob with every kind in it. */
#ifndef SHMAP_TESTS_BTF_SAMPLE_H
#define SHMAP_TESTS_BTF_SAMPLE_H

#include <bpf/btf.h>
#include <linux/bpf.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"

static inline struct btf *sample_btf(void)
{
	struct btf *b = btf__new_empty();
	int i32, u64, ch, lock, node, arr, proto, fn, var, ptr, bits;

	REQUIRE(b);
	i32 = btf__add_int(b, "int", 4, BTF_INT_SIGNED);
	u64 = btf__add_int(b, "unsigned long long", 8, 0);
	ch = btf__add_int(b, "char", 1, BTF_INT_CHAR);
	lock = btf__add_struct(b, "bpf_spin_lock", 4);
	btf__add_field(b, "val", i32, 0, 0);
	/* struct node { struct node *next; char name[16]; const volatile number n;
	 *		 struct bpf_spin_lock lock; double f; } */
	node = (int)btf__type_cnt(b);
	ptr = node + 1;
	arr = node + 2;
	btf__add_struct(b, "node", 40);
	btf__add_field(b, "next", ptr, 0, 0);
	btf__add_field(b, "name", arr, 64, 0);
	btf__add_field(b, "n", node + 3, 192, 0);
	btf__add_field(b, "lock", lock, 224, 0);
	btf__add_field(b, "f", node + 6, 256, 0);
	REQUIRE(btf__add_ptr(b, node) == ptr);
	REQUIRE(btf__add_array(b, i32, ch, 16) == arr);
	btf__add_const(b, node + 4);
	btf__add_volatile(b, node + 5);
	btf__add_typedef(b, "number", i32);
	btf__add_float(b, "double", 8);
	bits = btf__add_struct(b, "bits", 8);
	btf__add_field(b, "a", i32, 0, 3);
	btf__add_field(b, "b", i32, 3, 7);
	btf__add_field(b, "e", bits + 1, 32, 0);
	REQUIRE(btf__add_enum(b, "color", 4) == bits + 1);
	btf__add_enum_value(b, "RED", 0);
	btf__add_enum_value(b, "BLUE", 1);
	btf__add_enum64(b, "wide", 8, false);
	btf__add_enum64_value(b, "WIDE", 1ull << 40);
	btf__add_union(b, "either", 8);
	btf__add_field(b, "i", i32, 0, 0);
	btf__add_field(b, "u", u64, 0, 0);
	btf__add_fwd(b, "later", BTF_FWD_STRUCT);
	btf__add_ptr(b, btf__add_restrict(b, btf__add_ptr(b, 0)));
	proto = btf__add_func_proto(b, i32);
	btf__add_func_param(b, "ctx", ptr);
	btf__add_func_param(b, "n", u64);
	fn = btf__add_func(b, "work", BTF_FUNC_STATIC, proto);
	var = btf__add_var(b, "count", BTF_VAR_GLOBAL_ALLOCATED, u64);
	btf__add_var(b, "home", BTF_VAR_STATIC, node);
	btf__add_datasec(b, ".data", 48);
	btf__add_datasec_var_info(b, var, 0, 8);
	btf__add_datasec_var_info(b, var + 1, 8, 40);
	btf__add_decl_tag(b, "mark", node, 2);
	btf__add_decl_tag(b, "mark", fn, 1);
	btf__add_decl_tag(b, "mark", var, -1);
	btf__add_ptr(b, btf__add_type_tag(b, "user", node));
	return b;
}

/* The kernel's verdict: 0 or -errno. */
static inline int kernel_btf_load(const void *data, uint32_t size, char *log, uint32_t log_size)
{
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)data;
	attr.btf_size = size;
	attr.btf_log_buf = (uintptr_t)log;
	attr.btf_log_size = log_size;
	attr.btf_log_level = log ? 1 : 0;
	fd = (int)syscall(SYS_bpf, BPF_BTF_LOAD, &attr, sizeof(attr));
	if (fd < 0)
		return -errno;
	close(fd);
	return 0;
}

#endif
