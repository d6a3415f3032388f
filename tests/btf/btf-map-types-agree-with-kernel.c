/* SPDX-License-Identifier: BSD-2-Clause */
/* MAP_CREATE with BTF key and value types: the kernel and btf_check_map() give
 * the same result; and where the lock is. btf_vmlinux() is one for all threads. */
#include <pthread.h>

#include "base/errors.h"
#include "base/uapi.h"
#include "btf/btf.h"
#include "sample.h"

static struct btf *types;
static int i32, u32, u64, lpm, s4, lock, value, packed, lock2, data, number, number_value, color,
	var, arr, timer, with_timer;

static void make_types(void)
{
	struct btf *b = types = btf__new_empty();

	i32 = btf__add_int(b, "int", 4, BTF_INT_SIGNED);
	u64 = btf__add_int(b, "u64", 8, 0);
	u32 = btf__add_int(b, "u32", 4, 0);
	lpm = btf__add_struct(b, "lpm_key", 8);
	btf__add_field(b, "prefixlen", u32, 0, 0);
	btf__add_field(b, "data", u32, 32, 0);
	s4 = btf__add_struct(b, "s4", 4);
	btf__add_field(b, "a", i32, 0, 0);
	lock = btf__add_struct(b, "bpf_spin_lock", 4);
	btf__add_field(b, "val", u32, 0, 0);
	value = btf__add_struct(b, "value", 12);
	btf__add_field(b, "a", u64, 0, 0);
	btf__add_field(b, "lock", lock, 64, 0);
	packed = btf__add_struct(b, "nested", 16);
	btf__add_field(b, "a", i32, 0, 0);
	btf__add_field(b, "v", value, 32, 0);
	lock2 = btf__add_array(b, u32, lock, 2);
	var = btf__add_var(b, "gv", BTF_VAR_GLOBAL_ALLOCATED, u64);
	data = btf__add_datasec(b, ".data", 8);
	btf__add_datasec_var_info(b, var, 0, 8);
	number = btf__add_typedef(b, "number", i32);
	number_value = btf__add_typedef(b, "value_t", value);
	color = btf__add_enum(b, "color", 4);
	btf__add_enum_value(b, "RED", 0);
	arr = btf__add_array(b, u32, u32, 3);
	timer = btf__add_struct(b, "bpf_timer", 16);
	btf__add_field(b, "a", u64, 0, 0);
	btf__add_field(b, "b", u64, 64, 0);
	with_timer = btf__add_struct(b, "with_timer", 24);
	btf__add_field(b, "t", timer, 0, 0);
	btf__add_field(b, "a", u64, 128, 0);
}

static int kernel_map(int btf_fd, uint32_t type, uint32_t flags, uint32_t key, uint32_t val,
		      uint32_t max, int key_id, int value_id)
{
	union bpf_attr attr;
	int fd, inner = -1, err = 0;

	memset(&attr, 0, sizeof(attr));
	if (type == BPF_MAP_TYPE_ARRAY_OF_MAPS || type == BPF_MAP_TYPE_HASH_OF_MAPS) {
		attr.map_type = BPF_MAP_TYPE_ARRAY;
		attr.key_size = attr.value_size = attr.max_entries = 4;
		inner = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	}
	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.map_flags = flags;
	attr.key_size = key;
	attr.value_size = val;
	attr.max_entries = max;
	attr.btf_fd = (uint32_t)btf_fd;
	attr.btf_key_type_id = (uint32_t)key_id;
	attr.btf_value_type_id = (uint32_t)value_id;
	attr.inner_map_fd = inner < 0 ? 0 : (uint32_t)inner;
	fd = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0)
		err = -errno;
	else
		close(fd);
	if (inner >= 0)
		close(inner);
	return err;
}

static int btf_fd;

static void same(uint32_t type, uint32_t flags, uint32_t key, uint32_t val, uint32_t max,
		 int key_id, int value_id, int32_t lock_off)
{
	struct btf_map_fields fields;
	int want = kernel_map(btf_fd, type, flags, key, val, max, key_id, value_id);
	int got = btf_check_map(types, type, flags, key, val, max, (uint32_t)key_id,
				(uint32_t)value_id, &fields);

	if (want != got || (!got && fields.spin_lock_off != lock_off)) {
		fprintf(stderr,
			"type %u flags %#x key %u [%d] value %u [%d]: kernel %d, here %d (lock "
			"%d)\n",
			type, flags, key, key_id, val, value_id, want, got,
			fields.spin_lock_off);
		check_failures++;
	}
}

static void *vmlinux_thread(void *arg)
{
	return (void *)btf_vmlinux();
}

static void test_vmlinux(void)
{
	pthread_t t[4];
	void *first = NULL, *ret;
	int i;

	for (i = 0; i < 4; i++)
		REQUIRE(!pthread_create(&t[i], NULL, vmlinux_thread, NULL));
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], &ret);
		if (i)
			CHECK(ret == first);
		first = ret;
	}
	CHECK_EQ(first != NULL, access("/sys/kernel/btf/vmlinux", R_OK) == 0);
	if (first)
		CHECK(btf__find_by_name_kind(first, "task_struct", BTF_KIND_STRUCT) > 0);
}

int main(void)
{
	static const uint32_t plain[] = {BPF_MAP_TYPE_HASH,	    BPF_MAP_TYPE_ARRAY,
					 BPF_MAP_TYPE_PERCPU_HASH,  BPF_MAP_TYPE_PERCPU_ARRAY,
					 BPF_MAP_TYPE_LRU_HASH,	    BPF_MAP_TYPE_LRU_PERCPU_HASH,
					 BPF_MAP_TYPE_SK_STORAGE,   BPF_MAP_TYPE_INODE_STORAGE,
					 BPF_MAP_TYPE_TASK_STORAGE, SHMAP_MAP_TYPE_CGRP_STORAGE};
	static const uint32_t fds[] = {BPF_MAP_TYPE_PROG_ARRAY,	  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
				       BPF_MAP_TYPE_CGROUP_ARRAY, BPF_MAP_TYPE_ARRAY_OF_MAPS,
				       BPF_MAP_TYPE_HASH_OF_MAPS, BPF_MAP_TYPE_DEVMAP,
				       BPF_MAP_TYPE_DEVMAP_HASH,  BPF_MAP_TYPE_SOCKMAP,
				       BPF_MAP_TYPE_SOCKHASH,	  BPF_MAP_TYPE_CPUMAP,
				       BPF_MAP_TYPE_XSKMAP};
	uint32_t size, t, flags, max;
	const void *raw;
	union bpf_attr attr;
	size_t i;

	test_vmlinux();
	make_types();
	raw = btf__raw_data(types, &size);
	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)raw;
	attr.btf_size = size;
	btf_fd = (int)syscall(SYS_bpf, BPF_BTF_LOAD, &attr, sizeof(attr));
	if (btf_fd < 0) {
		if (check_failures)
			return check_done();
		SKIP("bpf(2) does not load BTF here (%s)", strerror(errno));
	}
	for (i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		t = plain[i];
		flags = t >= BPF_MAP_TYPE_SK_STORAGE ? BPF_F_NO_PREALLOC : 0;
		max = t >= BPF_MAP_TYPE_SK_STORAGE ? 0 : 4;
		same(t, flags, 4, 8, max, i32, u64, -1);
		same(t, flags, 4, 8, max, 0, u64, -1);
		same(t, flags, 4, 8, max, i32, i32, -1);
		same(t, flags, 4, 8, max, u64, u64, -1);
		same(t, flags, 4, 8, max, 99, u64, -1);
		same(t, flags, 4, 8, max, i32, 99, -1);
		same(t, flags, 4, 8, max, number, u64, -1);
		same(t, flags, 4, 8, max, u32, data, -1);
		same(t, flags, 4, 8, max, i32, var, -1);
		same(t, flags, 4, 12, max, i32, arr, -1);
		same(t, flags, 4, 12, max, i32, value, 8);
		same(t, flags, 4, 12, max, i32, number_value, 8);
		same(t, flags, 4, 16, max, i32, packed, 12);
		same(t, flags, 4, 4, max, i32, lock, -1);
		same(t, flags, 4, 8, max, i32, lock2, -1);
		if (t >= BPF_MAP_TYPE_SK_STORAGE)
			continue;
		same(t, flags, 4, 8, max, s4, u64, -1);
		same(t, flags, 4, 8, max, color, u64, -1);
		same(t, flags | BPF_F_RDONLY_PROG, 4, 12, max, i32, value, 8);
		same(t, flags | BPF_F_WRONLY_PROG, 4, 12, max, i32, value, 8);
		same(t, flags | BPF_F_RDONLY_PROG, 4, 8, max, i32, u64, -1);
		same(t, flags, 4, 8, 1, 0, data, -1);
		same(t, flags, 4, 8, 4, 0, data, -1);
	}
	for (i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		same(fds[i], 0, 4, 4, 4, i32, i32, -1);
		same(fds[i], 0, 4, 4, 4, 0, i32, -1);
		same(fds[i], 0, 4, 4, 4, u64, i32, -1);
	}
	same(BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, 8, 8, 4, lpm, u64, -1);
	same(BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, 8, 8, 4, u64, u64, -1);
	same(BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, 8, 8, 4, 0, u64, -1);
	same(BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, 8, 12, 4, lpm, value, -1);
	same(BPF_MAP_TYPE_QUEUE, 0, 0, 8, 4, 0, u64, -1);
	same(BPF_MAP_TYPE_STACK, 0, 0, 8, 4, 0, u64, -1);
	same(BPF_MAP_TYPE_BLOOM_FILTER, 0, 0, 8, 4, 0, u64, -1);
	{
		struct btf_map_fields fields;

		same(BPF_MAP_TYPE_HASH, 0, 4, 24, 4, i32, with_timer, -1);
		same(BPF_MAP_TYPE_LRU_HASH, 0, 4, 24, 4, i32, with_timer, -1);
		same(BPF_MAP_TYPE_ARRAY, 0, 4, 24, 4, i32, with_timer, -1);
		same(BPF_MAP_TYPE_PERCPU_ARRAY, 0, 4, 24, 4, i32, with_timer, -1);
		same(BPF_MAP_TYPE_PERCPU_HASH, 0, 4, 24, 4, i32, with_timer, -1);
		CHECK_EQ(btf_check_map(types, BPF_MAP_TYPE_HASH, 0, 4, 24, 4, (uint32_t)i32,
				       (uint32_t)with_timer, &fields),
			 0);
		CHECK(fields.timer_at);
	}
	btf__free(types);
	return check_done();
}
