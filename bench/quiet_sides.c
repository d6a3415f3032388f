/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For quiet.c: bpf_map_update_elem() and bpf_map_delete_elem() as libshmap.so has them, and as they
 * would be in a build without locks and notices: the same code, but that nothing is said
 * before the change, and nothing is looked at that no frozen map needs. A library, so that both
 * are compiled as libshmap.so is.
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

#define BARE static inline __attribute__((always_inline))

BARE long bare_update(int fd, const void *key, const void *value, uint64_t flags)
{
	struct fd_ref *r = fd_begin_quick(fd);
	int err;

	if (likely(r)) {
		if (likely(r->quick.write && flags <= BPF_EXIST &&
			   !load_relaxed(&r->map->shared->closed))) {
			err = r->quick.write(r->map, key, value, flags);
			op_leave();
			return err;
		}
		op_leave();
	}
	return sys_map_update(fd, key, value, flags);
}

BARE long bare_delete(int fd, const void *key)
{
	struct fd_ref *r = fd_begin_quick(fd);
	int err;

	if (likely(r)) {
		if (likely(r->quick.erase && !load_relaxed(&r->map->shared->closed))) {
			err = r->quick.erase(r->map, key);
			op_leave();
			return err;
		}
		op_leave();
	}
	return sys_map_delete(fd, key);
}

/* Each twice: where code stands in memory is worth some percent, too. */
#define SIDES(copy)                                                                                \
	SIDE int update_full_##copy(int fd, const void *key, const void *value, uint64_t flags)    \
	{                                                                                          \
		return result(sys_map_quick_update(fd, key, value, flags));                        \
	}                                                                                          \
	SIDE int update_bare_##copy(int fd, const void *key, const void *value, uint64_t flags)    \
	{                                                                                          \
		return result(bare_update(fd, key, value, flags));                                 \
	}                                                                                          \
	SIDE int delete_full_##copy(int fd, const void *key)                                       \
	{                                                                                          \
		return result(sys_map_quick_delete(fd, key));                                      \
	}                                                                                          \
	SIDE int delete_bare_##copy(int fd, const void *key)                                       \
	{                                                                                          \
		return result(bare_delete(fd, key));                                               \
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
