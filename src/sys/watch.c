/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting for a map: an fd that becomes readable when the map's sleepers are
 * woken. tmpfs files cannot be polled, but inotify(7) can, and it hears of every
 * touch of the file's times, whoever makes it; see map/ring.h.
 */
#include <stdio.h>
#include <sys/inotify.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/ring.h"
#include "sys/fd.h"
#include "sys/sys.h"

#define WATCH_FIRST_FD 400 /* out of the way of what programs expect */

/* An inotify fd that watches the file of fd, or -errno. */
static int watch_make(int fd)
{
	char path[48];
	long ino, high;

	ino = raw_syscall1(SYS_inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
	if (ino < 0)
		return ino;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	high = raw_syscall3(SYS_inotify_add_watch, ino, path, IN_ATTRIB);
	if (high >= 0)
		high = raw_fcntl(ino, F_DUPFD_CLOEXEC, WATCH_FIRST_FD);
	if (high == -EINVAL || high == -EMFILE)
		return ino; /* the numbers end below */
	raw_close(ino);
	return high;
}

bool fd_has_events(int fd)
{
	struct fd_op op;
	bool has;

	if (fd_begin(fd, &op))
		return false;
	has = op.ref->map->ops->poll;
	fd_end(&op);
	return has;
}

int watch_open(int fd, struct map_watch *w)
{
	struct fd_op op;
	int err;

	err = fd_begin(fd, &op);
	if (err)
		return err;
	if (op.ref->map->ops->poll) {
		map_get(op.ref->map);
		w->map = op.ref->map;
		fd_inside_begin();
		w->fd = watch_make(fd);
		fd_inside_end();
	} else {
		err = -ENOTSUPP;
	}
	fd_end(&op);
	return err;
}

void watch_close(struct map_watch *w)
{
	if (w->fd >= 0)
		raw_close(w->fd);
	map_put(w->map);
	w->fd = -1;
	w->map = NULL;
}

uint32_t watch_level(const struct map_watch *w)
{
	return w->map->ops->poll(w->map);
}

void watch_arm(const struct map_watch *w)
{
	uint8_t events[512];

	while (w->fd >= 0 && raw_read(w->fd, events, sizeof(events)) > 0)
		;
	ring_arm(w->map);
}

bool watch_ring(const struct map_watch *w)
{
	return ring_wake(w->map) && w->fd >= 0;
}

bool watch_due(const struct map_watch *w)
{
	return w->map->ops->ring && w->map->ops->ring->wake_due(w->map);
}
