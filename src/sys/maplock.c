/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_map_lock() and its like: from fds to map/change.h. */
#include "sys/maplock.h"

#include <time.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/change.h"
#include "sys/fd.h"

/* The map of a writable fd, with a reference: a lock may be waited for longer than an operation
 * should take. */
static int lock_map(int fd, struct map **m)
{
	struct fd_op op;
	int err = fd_begin(fd, &op);

	if (err)
		return err;
	*m = op.ref->map;
	if (op.ref->access & FD_WRITE && (*m)->writable)
		map_get(*m);
	else
		err = -EPERM;
	fd_end(&op);
	return err;
}

static uint64_t after(uint64_t timeout_ns)
{
	struct timespec ts = {0};
	uint64_t now;

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	return timeout_ns < QLOCK_FOREVER - now ? now + timeout_ns : QLOCK_FOREVER;
}

long sys_map_lock(int fd, uint64_t flags, uint64_t timeout_ns)
{
	struct map *m;
	int err;

	if (flags & ~(uint64_t)SYS_LOCK_TRY)
		return -EINVAL;
	err = lock_map(fd, &m);
	if (err)
		return err;
	err = map_lock(m, flags & SYS_LOCK_TRY         ? QLOCK_NOW
			  : timeout_ns == UINT64_MAX ? QLOCK_FOREVER
						       : after(timeout_ns));
	map_put(m);
	return err == QLOCK_OWNER_DIED ? -EOWNERDEAD : err;
}

long sys_map_unlock(int fd, uint64_t flags)
{
	struct map *m;
	int err;

	if (flags)
		return -EINVAL;
	err = lock_map(fd, &m);
	if (err)
		return err;
	err = map_unlock(m);
	map_put(m);
	return err;
}

long sys_map_lock_consistent(int fd)
{
	struct map *m;
	int err = lock_map(fd, &m);

	if (err)
		return err;
	err = qlock_consistent(&m->shared->lock);
	map_put(m);
	return err;
}

long sys_map_lock_info(int fd, struct qlock_info *info)
{
	struct fd_op op;
	int err = fd_begin(fd, &op);

	if (err)
		return err;
	qlock_look(&op.ref->map->shared->lock, op.ref->map->obj.id, info);
	fd_end(&op);
	return 0;
}
