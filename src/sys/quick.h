/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sys_map_lookup() and its like where nothing is in the way: the fd is in the table, the
 * map has a short way for its shape (struct map_quick), and no flag asks for more.
 */
#ifndef SHMAP_SYS_QUICK_H
#define SHMAP_SYS_QUICK_H

#include "map/change.h"
#include "sys/fd.h"
#include "sys/sys.h"

#define QUICK_INLINE static inline __attribute__((always_inline))

QUICK_INLINE long sys_map_quick_lookup(int fd, const void *key, void *value)
{
	struct fd_ref *r = fd_begin_quick(fd);
	int err;

	if (likely(r)) {
		if (likely(r->quick.read && !fd_gate_shut(r))) {
			err = r->quick.read(r->map, key, value);
			op_leave();
			return err;
		}
		op_leave();
	}
	return sys_map_lookup(fd, key, value, 0);
}

QUICK_INLINE long sys_map_quick_update(int fd, const void *key, const void *value, uint64_t flags)
{
	struct fd_ref *r = fd_begin_quick(fd);
	int err;

	if (likely(r)) {
		if (likely(r->quick.write && flags <= BPF_EXIST && change_begin_quick(r->map))) {
			err = r->quick.write(r->map, key, value, flags);
			change_end_quick();
			op_leave();
			return err;
		}
		op_leave();
	}
	return sys_map_update(fd, key, value, flags);
}

QUICK_INLINE long sys_map_quick_delete(int fd, const void *key)
{
	struct fd_ref *r = fd_begin_quick(fd);
	int err;

	if (likely(r)) {
		if (likely(r->quick.erase && change_begin_quick(r->map))) {
			err = r->quick.erase(r->map, key);
			change_end_quick();
			op_leave();
			return err;
		}
		op_leave();
	}
	return sys_map_delete(fd, key);
}

QUICK_INLINE long sys_map_quick_next_key(int fd, const void *key, void *next)
{
	struct fd_ref *r = fd_begin_quick(fd);
	int err;

	if (likely(r)) {
		if (likely(r->quick.next_key && !fd_gate_shut(r))) {
			err = r->quick.next_key(r->map, key, next);
			op_leave();
			return err;
		}
		op_leave();
	}
	return sys_map_next_key(fd, key, next);
}

#endif
