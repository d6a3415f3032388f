/* SPDX-License-Identifier: BSD-2-Clause */
/* Making maps on both sides: good ones to work with, and malformed ones. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/btf.h>

#include "../check.h"
#include "oracle.h"

struct twin twin;

/* Values with BTF: size of the whole, and where the lock is; -1: none. */
static const struct {
	uint32_t size;
	int32_t lock_off;
} lock_layouts[] = {{4, 0},	{8, 0},	 {8, 4},  {16, 0},  {20, 4},  {24, 8},	 {100, 48},
		    {256, 252}, {1, -1}, {8, -1}, {13, -1}, {64, -1}, {500, -1}, {1500, -1}};

#define LOCK_LAYOUTS ARRAY_SIZE(lock_layouts)
#define CREATE_END (offsetof(union sys_attr, map_create.excl_prog_hash_size) + 4)

/* Types 1: int, 2: struct bpf_spin_lock, 3: u8, 4..: the arrays, last: the value. */
static struct btf *btf_make(uint32_t layout, int *value_id)
{
	struct btf *btf = btf__new_empty();
	uint32_t size = lock_layouts[layout].size, off = lock_layouts[layout].lock_off;
	int int_id, lock_id, byte_id, before = 0, after = 0;

	int_id = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	lock_id = btf__add_struct(btf, "bpf_spin_lock", 4);
	btf__add_field(btf, "val", int_id, 0, 0);
	byte_id = btf__add_int(btf, "unsigned char", 1, 0);
	if (off == (uint32_t)-1) {
		*value_id = btf__add_array(btf, int_id, byte_id, size);
		return btf;
	}
	if (off)
		before = btf__add_array(btf, int_id, byte_id, off);
	if (size - off - 4)
		after = btf__add_array(btf, int_id, byte_id, size - off - 4);
	*value_id = btf__add_struct(btf, "value", size);
	if (before)
		btf__add_field(btf, "before", before, 0, 0);
	btf__add_field(btf, "lock", lock_id, off * 8, 0);
	if (after)
		btf__add_field(btf, "after", after, (off + 4) * 8, 0);
	return btf;
}

static int lock_value_id[LOCK_LAYOUTS];

void btf_load_both(void)
{
	_Static_assert(LOCK_LAYOUTS <= ARRAY_SIZE(((struct side *)0)->btf_fd), "room for the fds");

	for (uint32_t i = 0; i < LOCK_LAYOUTS; i++) {
		struct btf *btf = btf_make(i, &lock_value_id[i]);
		const void *data;
		uint32_t size;
		long ret[SIDES];

		data = btf__raw_data(btf, &size);
		REQUIRE(data);
		attr_clear();
		for (int s = 0; s < SIDES; s++) {
			attr_of(s)->btf_load.btf = (uintptr_t)data;
			attr_of(s)->btf_load.btf_size = size;
		}
		note("BTF_LOAD of lock layout %u", i);
		call_both(BPF_BTF_LOAD, sizeof(attr_of(0)->btf_load), ret, true);
		for (int s = 0; s < SIDES; s++)
			sides[s].btf_fd[i] = ret[s];
		btf__free(btf);
	}
}

static void attr_note(const char *what, unsigned int size)
{
	union sys_attr *a = attr_of(KERNEL);

	note("%s size %u: type %u key %u value %u max %#x flags %#x inner %d node %d ifindex %u "
	     "btf %d/%u/%u/%u extra %#llx vtype_fd %d token %d excl %#llx/%u name %02x%02x%02x%02x",
	     what, size, a->map_create.map_type, a->map_create.key_size, a->map_create.value_size,
	     a->map_create.max_entries, a->map_create.map_flags, a->map_create.inner_map_fd,
	     a->map_create.numa_node, a->map_create.map_ifindex, a->map_create.btf_fd,
	     a->map_create.btf_key_type_id, a->map_create.btf_value_type_id,
	     a->map_create.btf_vmlinux_value_type_id, (unsigned long long)a->map_create.map_extra,
	     a->map_create.value_type_btf_obj_fd, a->map_create.map_token_fd,
	     (unsigned long long)a->map_create.excl_prog_hash, a->map_create.excl_prog_hash_size,
	     a->map_create.map_name[0], a->map_create.map_name[1], a->map_create.map_name[2],
	     a->map_create.map_name[3]);
}

static bool is_keyless(uint32_t type)
{
	return type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK ||
	       type == BPF_MAP_TYPE_BLOOM_FILTER;
}

static bool is_lru(uint32_t type)
{
	return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/*
 * So many that the kernel evicts none of ENTRIES_MAX keys: it takes up to 128 free elements
 * to each CPU at a time, and under NO_COMMON_LRU gives each CPU its share.
 */
static uint32_t lru_max(void)
{
	uint32_t cpus = sysconf(_SC_NPROCESSORS_CONF);

	return cpus * (ENTRIES_MAX + 256) + rnd(64);
}

bool is_storage(uint32_t type)
{
	return type == BPF_MAP_TYPE_SK_STORAGE || type == BPF_MAP_TYPE_INODE_STORAGE ||
	       type == BPF_MAP_TYPE_TASK_STORAGE || type == SHMAP_MAP_TYPE_CGRP_STORAGE;
}

static bool is_cgroup_storage(uint32_t type)
{
	return type == BPF_MAP_TYPE_CGROUP_STORAGE || type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

bool is_ring(uint32_t type)
{
	return type == BPF_MAP_TYPE_RINGBUF || type == BPF_MAP_TYPE_USER_RINGBUF;
}

static bool is_hash(uint32_t type)
{
	if (type == BPF_MAP_TYPE_HASH_OF_MAPS)
		return true;
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH || is_lru(type);
}

/* A map as users make them. lock: -1, or the layout of its value. */
static void attr_good(uint32_t type, int lock)
{
	static const uint32_t value_sizes[] = {1,  2,  3,  4,  5,  6,	7,   8,	  9,
					       12, 16, 20, 24, 64, 100, 500, 1500};
	static const uint32_t key_sizes[] = {1, 2, 3, 4, 4, 4, 7, 8, 8, 12, 16, 24, 33, 64};
	static const uint32_t some_flags[] = {BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_RDONLY_PROG,
					      BPF_F_WRONLY_PROG};
	bool hash = is_hash(type);
	uint32_t flags = 0, key = hash ? pick(key_sizes) : 4, value = pick(value_sizes);
	uint32_t max = one_in(3) ? 1 + rnd(4) : 1 + rnd(one_in(4) ? ENTRIES_MAX : 40);
	uint32_t named = rnd(2), letter = rnd(26), extra = 0;

	if (is_lru(type)) {
		max = lru_max();
		if (one_in(2))
			flags |= BPF_F_NO_COMMON_LRU;
	} else if (hash && one_in(2)) {
		flags |= BPF_F_NO_PREALLOC;
		/* above, the kernel's count is a per-CPU estimate */
		max = max > 100 ? 100 : max;
	}
	if (type == BPF_MAP_TYPE_LPM_TRIE) {
		static const uint32_t lpm_keys[] = {5, 6, 7, 8, 8, 8, 9, 12, 20, 36, 64};

		key = pick(lpm_keys);
		flags |= BPF_F_NO_PREALLOC;
	}
	if (is_keyless(type))
		key = 0;
	if (type == BPF_MAP_TYPE_QUEUE || type == BPF_MAP_TYPE_STACK)
		max = 1 + rnd(one_in(3) ? 3 : 20);
	if (type == BPF_MAP_TYPE_BLOOM_FILTER) {
		extra = one_in(2) ? 0 : rnd(16);
		max = 1 + rnd(one_in(4) ? 20000 : 200);
		if (one_in(8))
			flags |= BPF_F_ZERO_SEED;
	}
	if (objects_type(type))
		value = 4;
	if (type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) {
		value = 4;
		flags |= one_in(4) ? BPF_F_PRESERVE_ELEMS : 0;
	}
	if (type == BPF_MAP_TYPE_STACK_TRACE) {
		flags |= one_in(3) ? BPF_F_STACK_BUILD_ID : 0;
		value = (1 + rnd(20)) * (flags & BPF_F_STACK_BUILD_ID ? 32 : 8);
	}
	if (is_storage(type)) {
		max = 0;
		flags |= BPF_F_NO_PREALLOC | (one_in(4) ? BPF_F_CLONE : 0);
	}
	if (is_cgroup_storage(type)) {
		key = one_in(2) ? 8 : 16;
		max = 0;
	}
	if (type == BPF_MAP_TYPE_ARENA) {
		static const uint32_t arena_flags[] = {0, 0, SHMAP_F_SEGV_ON_FAULT,
						       SHMAP_F_NO_USER_CONV};

		key = value = 0;
		flags |= BPF_F_MMAPABLE | pick(arena_flags);
	}
	if (is_ring(type)) {
		key = value = 0;
		max = 4096u << rnd(5);
	}
	if (type == BPF_MAP_TYPE_ARRAY && one_in(3))
		flags |= BPF_F_MMAPABLE;
	if (hash && one_in(8))
		flags |= BPF_F_ZERO_SEED;
	if (lock < 0 && !is_storage(type) && !is_ring(type) && one_in(8))
		flags |= pick(some_flags);
	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		union sys_attr *a = attr_of(s);

		a->map_create.map_type = type;
		a->map_create.key_size = key;
		a->map_create.value_size = lock >= 0 ? lock_layouts[lock].size : value;
		a->map_create.max_entries = max;
		a->map_create.map_flags = flags;
		a->map_create.map_extra = extra;
		if (named)
			snprintf(a->map_create.map_name, 16, "m_%c.%u", 'a' + letter, max);
		if (lock >= 0) {
			a->map_create.btf_fd = sides[s].btf_fd[lock];
			a->map_create.btf_value_type_id = lock_value_id[lock];
			a->map_create.btf_key_type_id = 1;
		}
	}
	if (objects_type(type))
		objects_template();
}

void create_both(uint32_t type)
{
	union sys_attr *a = attr_of(KERNEL);
	bool array = type == BPF_MAP_TYPE_ARRAY;
	int lock = -1;
	long ret[SIDES];

	if ((array || type == BPF_MAP_TYPE_HASH) && one_in(3))
		lock = rnd(LOCK_LAYOUTS);
	if (is_storage(type))
		lock = rnd(LOCK_LAYOUTS);
	attr_good(type, lock);
	if (lock >= 0)
		/* the key's BTF is an int */
		for (int s = 0; s < SIDES; s++)
			attr_of(s)->map_create.key_size = 4;
	memset(&twin, 0, sizeof(twin));
	for (int s = 0; s < SIDES; s++)
		for (int i = 0; i < FD_MODES; i++)
			twin.fd[s][i] = -1;
	twin.type = type;
	twin.key_size = a->map_create.key_size;
	twin.value_size = a->map_create.value_size;
	twin.max_entries = a->map_create.max_entries;
	twin.flags = a->map_create.map_flags;
	twin.lock_off = lock >= 0 ? lock_layouts[lock].lock_off : -1;
	twin.lock_layout = lock;
	twin.hash = is_hash(type);
	twin.objects = objects_type(type);
	twin.ring = is_ring(type);
	twin.per_cpu = type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
		       type == BPF_MAP_TYPE_LRU_PERCPU_HASH ||
		       type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
	twin.keyless = is_keyless(type);
	twin.bloom = type == BPF_MAP_TYPE_BLOOM_FILTER;
	twin.user_value = twin.value_size;
	if (twin.per_cpu)
		twin.user_value = (twin.value_size + 7) / 8 * 8 * sysconf(_SC_NPROCESSORS_CONF);
	twin.usable = twin.key_size <= KEY_MAX && twin.user_value <= VALUE_MAX;
	twin.key_room = twin.max_entries + 1 + rnd(twin.max_entries + 2);
	if (is_lru(type)) {
		/* nothing is evicted: see lru_max() */
		twin.key_room = 1 + rnd(ENTRIES_MAX);
		difference_used(DIFF_LRU_VICTIMS);
	}
	if (twin.key_size == 1 && twin.key_room > 256)
		twin.key_room = 256;
	twin.ops = 50 + rnd(1500);
	attr_note("MAP_CREATE", CREATE_END);
	call_both(BPF_MAP_CREATE, one_in(2) ? CREATE_END : 120, ret, true);
	if (ret[KERNEL] < 0 || ret[SHMAP] < 0) {
		for (int s = 0; s < SIDES; s++)
			if (ret[s] >= 0)
				sides[s].close(ret[s]);
		return;
	}
	for (int s = 0; s < SIDES; s++)
		twin.fd[s][FD_RW] = ret[s];
	twin.live = true;
}

void destroy_both(void)
{
	if (!twin.live)
		return;
	note("close");
	unmap_held();
	for (int s = 0; s < SIDES; s++)
		for (int i = 0; i < FD_MODES; i++)
			if (twin.fd[s][i] >= 0)
				sides[s].close(twin.fd[s][i]);
	twin.live = false;
}

/*
 * Is the kernel safe to be asked for this map? A kernel that is asked for more
 * memory than there is kills other processes, and 6.18 has a bug besides (a
 * PERCPU_ARRAY of more than 2^31 entries whose allocation fails). So: only what
 * is small by a generous estimate, and what is refused before anything is
 * allocated.
 */
static bool kernel_may_be_asked(const union sys_attr *a)
{
	const uint64_t few = 8u << 20, values = ((uint64_t)a->map_create.value_size + 7) / 8 * 8;
	const uint64_t key = a->map_create.key_size, max = a->map_create.max_entries;
	const uint64_t cpus = sysconf(_SC_NPROCESSORS_CONF);

	if ((__uint128_t)max * (values * cpus + values + key + 128) <= few)
		return true;
	switch (a->map_create.map_type) {
	case BPF_MAP_TYPE_QUEUE:
	case BPF_MAP_TYPE_STACK:
		/* E2BIG; or more than any machine has: ENOMEM at once */
		return a->map_create.value_size > 4u << 20 ||
		       (__uint128_t)max * a->map_create.value_size > (__uint128_t)1 << 46;
	case BPF_MAP_TYPE_BLOOM_FILTER: /* the values are not kept */
		return max <= 1u << 22 || a->map_create.value_size > 4u << 20;
	case BPF_MAP_TYPE_RINGBUF:
	case BPF_MAP_TYPE_USER_RINGBUF:
		/* EINVAL before anything is allocated */
		return key || values || max & (max - 1) || max % 4096;
	case BPF_MAP_TYPE_LPM_TRIE: /* nothing is allocated ahead */
	case BPF_MAP_TYPE_SK_STORAGE:
	case BPF_MAP_TYPE_INODE_STORAGE:
	case BPF_MAP_TYPE_TASK_STORAGE:
	case SHMAP_MAP_TYPE_CGRP_STORAGE:
	case BPF_MAP_TYPE_CGROUP_STORAGE:
	case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
	case BPF_MAP_TYPE_ARENA:
		return true;
	case BPF_MAP_TYPE_ARRAY:
		/* E2BIG; or one allocation of 64 TiB and more: ENOMEM at once */
		return a->map_create.value_size > 0x7fffffff ||
		       (__uint128_t)max * values > (__uint128_t)1 << 46;
	case BPF_MAP_TYPE_PERCPU_ARRAY:
		return values > 32768;
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_HASH_OF_MAPS:
	case BPF_MAP_TYPE_LRU_HASH:
		return max > 1u << 27 || key + values >= 8u << 20;
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		return max > 1u << 27 || values > 32768 || key >= 8u << 20;
	default:
		return false;
	}
}

static void mutate(void)
{
	static const uint32_t key_sizes[] = {0,
					     1,
					     2,
					     3,
					     5,
					     8,
					     100,
					     512,
					     513,
					     260,
					     261,
					     4096,
					     65536,
					     4194303,
					     4194304 - 48 - 4,
					     4194304 - 48 - 8,
					     4194304,
					     0x7fffffff,
					     0x80000000,
					     0xffffffff};
	static const uint32_t value_sizes[] = {0,
					       1,
					       7,
					       4096,
					       32761,
					       32768,
					       32769,
					       65536,
					       4194303,
					       4194304 - 48 - 4,
					       4194304 - 48 - 5,
					       4194304 - 280,
					       4194304 - 279,
					       4194304,
					       0x7ffffff8,
					       0x7fffffff,
					       0x80000000,
					       0xfffffff9,
					       0xffffffff};
	static const uint32_t maxes[] = {
		0,	  1,	    3,	      1u << 27,	      (1u << 27) + 1,
		1u << 28, 1u << 30, 1u << 31, (1u << 31) + 1, 0xffffffff};
	static const uint32_t nodes[] = {0, 1, 63, 1023, 1024, 4096, 0x7fffffff, 0xffffffff};
	static const char *const names[] = {"ok", "with space", "0123456789abcde", "a-b", "a.b_C",
					    "",	  "\x7f",	"0123456789abcdef"};
	static const uint32_t fds[] = {0, 1, 1000000, 0x7fffffff, 0xffffffff};
	uint32_t what = rnd(23), v = 0;
	const char *name = pick(names);

	switch (what) {
	case 0 ... 1:
		v = pick(key_sizes);
		break;
	case 2 ... 3:
		v = pick(value_sizes);
		break;
	case 4 ... 5:
		v = pick(maxes);
		break;
	case 6 ... 9:
		v = 1u << rnd(32);
		break;
	case 10:
		v = rnd64();
		break;
	case 11 ... 12:
		v = pick(nodes);
		break;
	case 15 ... 16:
		v = pick(fds);
		break;
	default:
		v = one_in(2) ? 1 : rnd64();
	}
	for (int s = 0; s < SIDES; s++) {
		union sys_attr *a = attr_of(s);

		switch (what) {
		case 0 ... 1:
			a->map_create.key_size = v;
			break;
		case 2 ... 3:
			a->map_create.value_size = v;
			break;
		case 4 ... 5:
			a->map_create.max_entries = v;
			break;
		case 6 ... 9:
			a->map_create.map_flags ^= v;
			break;
		case 10:
			a->map_create.map_flags = v;
			break;
		case 22:
			a->map_create.map_flags |= SHMAP_F_TOKEN_FD;
			a->map_create.map_token_fd = v & 1 ? 0 : 1000000;
			break;
		case 11:
			a->map_create.map_flags |= BPF_F_NUMA_NODE;
			a->map_create.numa_node = v;
			break;
		case 12:
			a->map_create.numa_node = v;
			break;
		case 13 ... 14:
			memcpy(a->map_create.map_name, name, strnlen(name, 16));
			break;
		case 15:
			a->map_create.inner_map_fd = v;
			break;
		case 16:
			a->map_create.btf_fd = v;
			break;
		case 17:
			a->map_create.btf_value_type_id = v;
			break;
		case 18:
			a->map_create.btf_key_type_id = v;
			break;
		case 19:
			a->map_create.map_extra = v;
			break;
		case 20:
			a->map_create.map_ifindex = v;
			break;
		case 21:
			if (v & 1)
				a->map_create.btf_vmlinux_value_type_id = v;
			else if (v & 2)
				a->map_create.value_type_btf_obj_fd = v;
			else if (v & 4)
				a->map_create.excl_prog_hash_size = v;
			else if (v & 16)
				a->map_create.map_token_fd = v & 32 ? 0 : 1000000;
			else
				a->map_create.map_type = v & 8 ? 0 : 34 + v % 1000;
			break;
		}
	}
}

/* What a map that was made shows of itself. */
static void compare_new(long ret[SIDES])
{
	for (int s = 0; s < SIDES; s++) {
		memset(sides[s].mem + AT_VALUE, 0, 512);
		memset(sides[s].mem + AT_ATTR, 0, 512);
		attr_of(s)->info.bpf_fd = ret[s];
		attr_of(s)->info.info_len = 104;
		attr_of(s)->info.info = (uintptr_t)sides[s].mem + AT_VALUE;
	}
	long info[SIDES];

	if (!call_both(BPF_OBJ_GET_INFO_BY_FD, sizeof(attr_of(0)->info), info, true))
		return;
	for (int s = 0; s < SIDES; s++) {
		memset(sides[s].mem + AT_VALUE + 4, 0, 4);  /* id */
		memset(sides[s].mem + AT_VALUE + 64, 0, 4); /* btf_id */
	}
	difference_used(DIFF_IDS);
	same_bytes(AT_VALUE, 104, "map info");
}

void op_create_malformed(uint32_t type)
{
	unsigned int size, n = rnd(3);
	int lock = one_in(4) || (is_storage(type) && !one_in(8)) ? (int)rnd(LOCK_LAYOUTS) : -1;
	long ret[SIDES];

	attr_good(type, lock);
	for (unsigned int i = 0; i < n; i++)
		mutate();
	/* btf ids that are not of the value's size and so on */
	if (lock >= 0 && one_in(2)) {
		int by = 1 + rnd(3);

		for (int s = 0; s < SIDES; s++)
			attr_of(s)->map_create.btf_value_type_id -= by;
	}
	if (!kernel_may_be_asked(attr_of(KERNEL)))
		return;
	/* Linux 6.19 has it, and so has shmap */
	if (type == BPF_MAP_TYPE_RINGBUF &&
	    attr_of(KERNEL)->map_create.map_flags & SHMAP_F_RB_OVERWRITE) {
		difference_used(DIFF_OVERWRITE);
		return;
	}
	size = random_size(CREATE_END);
	attr_note("MAP_CREATE (malformed)", size);
	call_both(BPF_MAP_CREATE, size, ret, true);
	if (!oracle_failed && ret[KERNEL] >= 0)
		compare_new(ret);
	for (int s = 0; s < SIDES; s++)
		if (ret[s] >= 0)
			sides[s].close(ret[s]);
}
