/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_map_lock() and its like. */
#include "preload/preload.h"
#include "shmap.h"
#include "sync/qlock.h"
#include "sys/maplock.h"

_Static_assert(SHMAP_LOCK_TRY == SYS_LOCK_TRY, "one flag");

EXPORT int bpf_map_lock(int fd, uint64_t flags)
{
	return result(sys_map_lock(fd, flags, UINT64_MAX));
}

EXPORT int bpf_map_lock_timed(int fd, uint64_t flags, uint64_t timeout_ns)
{
	return result(sys_map_lock(fd, flags, timeout_ns));
}

EXPORT int bpf_map_unlock(int fd, uint64_t flags)
{
	return result(sys_map_unlock(fd, flags));
}

EXPORT int bpf_map_lock_consistent(int fd)
{
	return result(sys_map_lock_consistent(fd));
}

EXPORT int shmap_lock_info(int fd, struct shmap_lock_info *info, size_t size)
{
	struct shmap_lock_info mine = {0};
	struct qlock_info seen = {0};
	long err = size ? sys_map_lock_info(fd, &seen) : -EINVAL;

	mine.takes = seen.takes;
	mine.waits = seen.waits;
	mine.passed = seen.passed;
	mine.waiting = seen.waiting;
	mine.owner = seen.owner;
	mine.died = seen.died;
	return result(err ? err : give_struct(info, size, &mine, sizeof(mine)));
}
