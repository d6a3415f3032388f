/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Waiting for a map: an fd that becomes readable when the map's sleepers are
 * woken. tmpfs files cannot be polled, but inotify(7) can, and it hears of every
 * touch of the file's times, whoever makes it; see map/ring.h.
 */
#include <linux/perf_event.h>
#include <stdio.h>
#include <sys/inotify.h>

#include "base/errors.h"
#include "base/pool.h"
#include "base/rawsys.h"
#include "map/perf_event.h"
#include "map/ring.h"
#include "sys/fd.h"
#include "sys/sys.h"

#define WATCH_FIRST_FD 400 /* out of the way of what programs expect */

int watch_file(int ino, int fd)
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	return (int)raw_syscall3(SYS_inotify_add_watch, ino, path, IN_ATTRIB);
}

int watch_make(int fd)
{
	long ino, high;

	ino = raw_syscall1(SYS_inotify_init1, IN_NONBLOCK | IN_CLOEXEC);
	if (ino < 0)
		return ino;
	high = watch_file((int)ino, fd);
	if (high >= 0)
		high = raw_fcntl(ino, F_DUPFD_CLOEXEC, WATCH_FIRST_FD);
	if (high == -EINVAL || high == -EMFILE)
		return ino; /* the numbers end below */
	raw_close(ino);
	return high;
}

static struct pool event_pool = POOL_OF(struct perf_event);

bool fd_has_events(int fd)
{
	struct fd_op op;
	bool has;

	if (fd_begin(fd, &op))
		return fd_identify(fd, NULL) == OBJECT_PERF;
	has = op.ref->map->ops->poll;
	fd_end(&op);
	return has;
}

/* A perf event has no map: it is mapped for the watch. */
static int watch_event(int fd, struct map_watch *w)
{
	int err;

	w->event = pool_alloc(&event_pool);
	if (!w->event)
		return -ENOMEM;
	fd_inside_begin();
	err = perf_event_open_fd(fd, w->event);
	if (!err)
		w->fd = watch_make(fd);
	fd_inside_end();
	if (err)
		pool_free(&event_pool, w->event);
	return err;
}

int watch_open(int fd, struct map_watch *w)
{
	struct fd_op op;
	int err;

	*w = (struct map_watch){.fd = -1};
	err = fd_begin(fd, &op);
	if (err == -EINVAL && fd_identify(fd, NULL) == OBJECT_PERF)
		return watch_event(fd, w);
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
	if (w->event) {
		object_unmap(&w->event->obj);
		pool_free(&event_pool, w->event);
	} else {
		map_put(w->map);
	}
	*w = (struct map_watch){.fd = -1};
}

uint32_t watch_level(const struct map_watch *w)
{
	return w->event ? perf_event_ready(w->event) : w->map->ops->poll(w->map);
}

void watch_taken(const struct map_watch *w)
{
	if (w->event)
		perf_event_poll(w->event);
}

void watch_arm(const struct map_watch *w)
{
	uint8_t events[512];

	while (w->fd >= 0 && raw_read(w->fd, events, sizeof(events)) > 0)
		;
	if (w->event)
		perf_event_sleep(w->event);
	else
		ring_arm(w->map);
}

bool watch_ring(const struct map_watch *w)
{
	return (w->event ? perf_event_ring(w->event) : ring_wake(w->map)) && w->fd >= 0;
}

bool watch_due(const struct map_watch *w)
{
	if (w->event)
		return perf_event_ready(w->event);
	return w->map->ops->ring && w->map->ops->ring->wake_due(w->map);
}

uint64_t watch_position(const struct map_watch *w)
{
	if (w->event)
		return load_acquire(
			&((struct perf_event_mmap_page *)w->event->obj.base)->data_head);
	if (!w->map->ops->ring)
		return 0;
	return load_acquire(w->map->ops->ring->reserve ? ring_producer(w->map)
						       : ring_consumer(w->map));
}
