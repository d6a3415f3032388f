/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For quiet.c: bpf_map_update_elem() and bpf_map_delete_elem() as libshmap.so has them, and as they
 * would be in a build without locks and notices: the same code, but that nothing is said
 * before and after a change, and nothing looked at but whether the map is frozen. A library, so
 * that both are compiled as libshmap.so is.
 */
#include "quiet.h"

#include "sys/quick.h"

#define SIDE __attribute__((visibility("default"), noinline, aligned(64)))

static inline int result(long ret)
{
	if (unlikely(ret < 0))
		errno = (int)-ret;
	return (int)ret;
}

/* The same without: sys/quick.h and sys/map.c once more. */
#undef SHMAP_SYS_QUICK_H
#define change_begin_quick(m) (!load_relaxed(&(m)->shared->closed))
#define change_end_quick() ((void)0)
#define sys_map_lookup bare_lookup
#define sys_map_update bare_update
#define sys_map_delete bare_delete
#define sys_map_next_key bare_next_key
#define sys_map_lookup_and_delete bare_lookup_and_delete
#define sys_cmd_map_freeze bare_cmd_freeze
#define sys_map_quick_lookup bare_quick_lookup
#define sys_map_quick_update bare_quick_update
#define sys_map_quick_delete bare_quick_delete
#define sys_map_quick_next_key bare_quick_next_key
#define sys_cmd_map_lookup bare_cmd_lookup
#define sys_cmd_map_update bare_cmd_update
#define sys_cmd_map_delete bare_cmd_delete
#define sys_cmd_map_next_key bare_cmd_next_key
#define sys_cmd_map_lookup_and_delete bare_cmd_lookup_and_delete
#undef QUICK_INLINE
#include "sys/map.c"
#include "sys/quick.h"
#undef sys_map_quick_update
#undef sys_map_quick_delete

/* Each some times: where code stands in memory is worth some percent, too. */
#define SIDES(copy)                                                                                \
	SIDE int update_full_##copy(int fd, const void *key, const void *value, uint64_t flags)    \
	{                                                                                          \
		return result(sys_map_quick_update(fd, key, value, flags));                        \
	}                                                                                          \
	SIDE int update_bare_##copy(int fd, const void *key, const void *value, uint64_t flags)    \
	{                                                                                          \
		return result(bare_quick_update(fd, key, value, flags));                           \
	}                                                                                          \
	SIDE int delete_full_##copy(int fd, const void *key)                                       \
	{                                                                                          \
		return result(sys_map_quick_delete(fd, key));                                      \
	}                                                                                          \
	SIDE int delete_bare_##copy(int fd, const void *key)                                       \
	{                                                                                          \
		return result(bare_quick_delete(fd, key));                                         \
	}

SIDES(0)
SIDES(1)
SIDES(2)

#define SIDE_OF(side, copy)                                                                        \
	{                                                                                          \
		update_##side##_##copy, delete_##side##_##copy                                     \
	}

__attribute__((visibility("default"))) const struct quiet_side quiet_sides[QUIET_COPIES][2] = {
	{SIDE_OF(full, 0), SIDE_OF(bare, 0)},
	{SIDE_OF(full, 1), SIDE_OF(bare, 1)},
	{SIDE_OF(full, 2), SIDE_OF(bare, 2)},
};

__attribute__((visibility("default"))) int quiet_map(uint32_t type, uint32_t key, uint32_t value,
						     uint32_t n)
{
	union bpf_attr attr = {
		.map_type = type, .key_size = key, .value_size = value, .max_entries = n};

	return (int)sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
}
