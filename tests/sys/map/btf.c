/* SPDX-License-Identifier: BSD-2-Clause */
/* Maps with BTF, and what a bpf_spin_lock in the value changes. */
#include <bpf/btf.h>

#include "both.h"

static int type_u32, type_u64, type_locked, type_plain;

/* { struct bpf_spin_lock lock; u32 n; u64 v; } and the same without a lock. */
static int load_btf(void)
{
	struct btf *btf = btf__new_empty();
	const void *data;
	uint32_t size;
	int lock, fd;

	REQUIRE(btf);
	type_u32 = btf__add_int(btf, "unsigned int", 4, 0);
	type_u64 = btf__add_int(btf, "unsigned long", 8, 0);
	lock = btf__add_struct(btf, "bpf_spin_lock", 4);
	btf__add_field(btf, "val", type_u32, 0, 0);
	type_locked = btf__add_struct(btf, "locked", 16);
	btf__add_field(btf, "lock", lock, 0, 0);
	btf__add_field(btf, "n", type_u32, 32, 0);
	btf__add_field(btf, "v", type_u64, 64, 0);
	type_plain = btf__add_struct(btf, "plain", 16);
	btf__add_field(btf, "a", type_u64, 0, 0);
	btf__add_field(btf, "b", type_u64, 64, 0);
	data = btf__raw_data(btf, &size);
	fd = CALL(BPF_BTF_LOAD, .btf_load = {.btf = P(data), .btf_size = size});
	btf__free(btf);
	REQUIRE(fd >= 0);
	return fd;
}

static int create(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t flags, int btf,
		  uint32_t key_id, uint32_t value_id)
{
	return CALL(BPF_MAP_CREATE, .map_create = {.map_type = type,
						   .key_size = key_size,
						   .value_size = value_size,
						   .max_entries = 2,
						   .map_flags = flags,
						   .btf_fd = btf,
						   .btf_key_type_id = key_id,
						   .btf_value_type_id = value_id});
}

static void create_rules(void)
{
	const int array = BPF_MAP_TYPE_ARRAY, hash = BPF_MAP_TYPE_HASH;
	int btf = load_btf();

	CHECK_EQ(only_err(create(hash, 4, 16, 0, btf, type_u32, type_plain)), 0);
	CHECK_EQ(only_err(create(array, 4, 8, 0, btf, type_u32, type_u64)), 0);
	CHECK_EQ(create(hash, 4, 16, 0, btf, type_u64, type_plain), -EINVAL);
	CHECK_EQ(create(hash, 4, 16, 0, btf, type_u32, type_u64), -EINVAL);
	CHECK_EQ(create(hash, 4, 16, 0, btf, 999, type_plain), -EINVAL);
	CHECK_EQ(create(hash, 4, 16, 0, btf, type_u32, 999), -EINVAL);
	CHECK_EQ(create(hash, 4, 16, 0, btf, type_u32, 0), -EINVAL);
	CHECK_EQ(create(hash, 4, 16, 0, btf, 0, type_plain), -EINVAL);
	CHECK_EQ(create(array, 4, 16, 0, btf, type_u64, type_plain), -EINVAL);
	/* a lock */
	CHECK_EQ(only_err(create(hash, 4, 16, 0, btf, type_u32, type_locked)), 0);
	CHECK_EQ(only_err(create(array, 4, 16, 0, btf, type_u32, type_locked)), 0);
	CHECK_EQ(create(BPF_MAP_TYPE_PERCPU_HASH, 4, 16, 0, btf, type_u32, type_locked),
		 -EOPNOTSUPP);
	CHECK_EQ(create(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 16, 0, btf, type_u32, type_locked),
		 -EOPNOTSUPP);
	CHECK_EQ(create(hash, 4, 16, BPF_F_RDONLY_PROG, btf, type_u32, type_locked), -EACCES);
	CHECK_EQ(create(hash, 4, 16, BPF_F_WRONLY_PROG, btf, type_u32, type_locked), -EACCES);
	close_fd(btf);
}

static void info(void)
{
	uint32_t words[26] = {0}, btf_info[8] = {0};
	int btf = load_btf(), map = create(BPF_MAP_TYPE_HASH, 4, 16, 0, btf, type_u32, type_plain);
	uint32_t btf_id;
	int again;

	REQUIRE(map >= 0);
	CHECK_EQ(CALL(BPF_OBJ_GET_INFO_BY_FD,
		      .info = {.bpf_fd = btf, .info_len = 32, .info = P(btf_info)}),
		 0);
	btf_id = btf_info[3];
	CHECK_EQ(CALL(BPF_OBJ_GET_INFO_BY_FD,
		      .info = {.bpf_fd = map, .info_len = 104, .info = P(words)}),
		 0);
	CHECK_EQ(words[16], btf_id);
	CHECK_EQ(words[17], type_u32);
	CHECK_EQ(words[18], type_plain);
	CHECK_EQ(words[19], 0);
	/* the map keeps its BTF */
	close_fd(btf);
	again = CALL(BPF_BTF_GET_FD_BY_ID, .id = {.btf_id = btf_id});
	CHECK(again >= 0);
	close_fd(again);
	close_fd(map);
	if (!on_kernel) /* which frees it a little later */
		CHECK_EQ(CALL(BPF_BTF_GET_FD_BY_ID, .id = {.btf_id = btf_id}), -ENOENT);
}

static void locked_values(uint32_t type)
{
	struct {
		uint32_t lock, n;
		uint64_t v;
	} in = {0xffffffff, 7, 8}, out;
	int btf = load_btf(), map = create(type, 4, 16, 0, btf, type_u32, type_locked);
	uint32_t key = 1;

	REQUIRE(map >= 0);
	CHECK_EQ(update(map, &key, &in, BPF_F_LOCK), 0);
	memset(&out, 0xee, sizeof(out));
	CHECK_EQ(lookup(map, &key, &out, 0), 0);
	CHECK_EQ(out.lock, 0);
	CHECK_EQ(out.n, 7);
	CHECK_EQ(out.v, 8);
	CHECK_EQ(lookup(map, &key, &out, BPF_F_LOCK), 0);
	CHECK_EQ(lookup(map, &key, (void *)BAD, BPF_F_LOCK), -EFAULT);
	in.n = 9;
	CHECK_EQ(update(map, &key, &in, 0), 0);
	CHECK_EQ(lookup(map, &key, &out, BPF_F_LOCK), 0);
	CHECK_EQ(out.lock, 0);
	CHECK_EQ(out.n, 9);
	CHECK_EQ(freeze(map), -ENOTSUPP);
	close_fd(map);
	close_fd(btf);
}

static void locked_array(void)
{
	locked_values(BPF_MAP_TYPE_ARRAY);
}

static void locked_hash(void)
{
	locked_values(BPF_MAP_TYPE_HASH);
}

/* Refused before the open mode is looked at. */
static void freeze_order(void)
{
	int btf = load_btf();
	int map = create(BPF_MAP_TYPE_HASH, 4, 16, BPF_F_RDONLY, btf, type_u32, type_locked);

	REQUIRE(map >= 0);
	CHECK_EQ(freeze(map), -ENOTSUPP);
	close_fd(map);
	close_fd(btf);
}

static void no_mmap(void)
{
	int btf = load_btf(), map, own;
	void *p;

	map = create(BPF_MAP_TYPE_ARRAY, 4, 16, BPF_F_MMAPABLE, btf, type_u32, type_locked);
	REQUIRE(map >= 0);
	if (on_kernel) {
		p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, map, 0);
		own = p == MAP_FAILED ? -errno : 0;
	} else {
		own = fd_mmap_check(map, 0, 4096, PROT_READ, MAP_SHARED);
	}
	CHECK_EQ(own, -ENOTSUPP);
	close_fd(map);
	close_fd(btf);
}

static const struct claim claims[] = {
	{"map-create-checks-btf-types", create_rules},
	{"map-info-shows-btf-and-map-keeps-it", info},
	{"array-lock-bytes-are-never-copied", locked_array},
	{"hash-lock-bytes-are-never-copied", locked_hash},
	{"freeze-of-a-map-with-locks-enotsupp", freeze_order},
	{"mmap-of-a-map-with-locks-enotsupp", no_mmap},
};

BOTH_MAIN(claims)
