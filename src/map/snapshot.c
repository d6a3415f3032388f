/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots: the map's bytes, copied while its gate is shut (gate.h).
 *
 * Writers wait for one copy of the memory that is in use: all else is done before and
 * after. The file is first copied with the gate open, for what that leaves behind: the new
 * file has its pages, and both are mapped and in the caches. Holes are not looked at: a look
 * would make pages of them.
 *
 * The copy is a map like any other; what is private to the moment (locks that somebody held
 * who is waiting at the gate) is cleared by its type. Nobody can find it before that.
 *
 * Death: the copy has no name yet, so it goes with its fd; the gates are opened by who meets
 * them. A source file that was truncated ends the copy with -EIO.
 */
#include "map/snapshot.h"

#include <time.h>
#include <unistd.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"

#define EXTENTS 64U

__thread uint64_t map_snapshot_stalled;

struct extent {
	uint64_t from, upto;
};

/* One map on its way. */
struct copying {
	struct map *m, *copy;
	bool again; /* m is ours to put: the caller's is read-only */
	int fd, source;
	uint64_t size;
	struct extent done[EXTENTS]; /* that the copy has pages for */
	uint32_t n;
};

int map_snapshot_check(const struct map *m, bool txn)
{
	const struct gate_ops *ops = m->ops->gate;

	return ops && (!txn || ops->reserve) && !map_has_timers(&m->attr) ? 0 : -EOPNOTSUPP;
}

static bool has_pages(const struct copying *c, uint64_t from, uint64_t upto)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (from >= c->done[i].from && upto <= c->done[i].upto)
			return true;
	return false;
}

static int copy_extent(struct copying *c, uint64_t from, uint64_t upto)
{
	int err;

	if (!has_pages(c, from, upto)) {
		err = raw_fallocate(c->fd, 0, (off_t)from, (off_t)(upto - from));
		if (err)
			return err == -ENOSPC ? -ENOMEM : err;
		if (c->n < EXTENTS)
			c->done[c->n++] = (struct extent){from, upto};
	}
	return uaccess_copy(c->copy->obj.base + from, c->m->obj.base + from, upto - from) ? -EIO
											  : 0;
}

static int copy_data(struct copying *c)
{
	uint64_t from = 0, upto;
	off_t at;
	int err = 0;

	while (!err && from < c->size) {
		at = raw_syscall3(SYS_lseek, c->source, (off_t)from, SEEK_DATA);
		if (at == -ENXIO)
			break;
		if (at < 0)
			return (int)at;
		from = (uint64_t)at;
		at = raw_syscall3(SYS_lseek, c->source, (off_t)from, SEEK_HOLE);
		if (at < 0)
			return (int)at;
		upto = (uint64_t)at < c->size ? (uint64_t)at : c->size;
		if (upto > from)
			err = copy_extent(c, from, upto);
		from = upto;
	}
	return err;
}

static int copying_begin(struct copying *c, struct map *m)
{
	struct map *writable;
	int err = map_snapshot_check(m, false);
	bool again;

	*c = (struct copying){.fd = -1, .source = -1};
	if (!err)
		err = gate_writable(m, &writable, &again);
	if (err)
		return err;
	c->m = writable;
	c->again = again;
	c->size = m->notice_off;
	c->source = object_open_id(OBJECT_MAP, m->obj.id, O_RDONLY);
	if (c->source < 0)
		return c->source;
	err = map_copy_begin(m, &c->copy, &c->fd);
	if (err)
		return err;
	if (c->copy->notice_off < c->size)
		c->size = c->copy->notice_off;
	return copy_data(c);
}

static void copying_end(struct copying *c)
{
	if (c->source >= 0)
		raw_close(c->source);
	if (c->again)
		map_put(c->m);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int copy_all(struct copying *c, const uint32_t *order, uint32_t n)
{
	struct map *sorted[GATE_MAPS];
	struct gate_held g;
	uint64_t begin;
	uint32_t i;
	int err;

	for (i = 0; i < n; i++)
		sorted[i] = c[order[i]].m;
	/* With a whole time slice before it: where threads wait for the CPU, it would end in the
	 * middle of the copy as often as not, and all writers wait for the next one. */
	raw_sched_yield();
	err = gate_begin(&g, 0);
	if (err)
		return err;
	begin = now_ns();
	err = gate_shut(&g, sorted, n);
	for (i = 0; !err && i < n; i++)
		err = sorted[i]->ops->gate->drain(sorted[i], NULL);
	for (i = 0; !err && i < n; i++)
		err = copy_data(&c[i]);
	for (i = 0; !err && i < n; i++)
		if (c[i].m->ops->gate->copy_locked)
			err = c[i].m->ops->gate->copy_locked(c[i].m, c[i].copy);
	gate_open(&g);
	map_snapshot_stalled = now_ns() - begin;
	gate_end(&g);
	return err;
}

int map_snapshot(struct map *const *map, uint32_t n, const int *btf_fd, struct map **copy, int *fd)
{
	struct copying c[GATE_MAPS];
	uint32_t order[GATE_MAPS], i, k, begun = 0, made = 0;
	int err = n && n <= GATE_MAPS ? 0 : -E2BIG;

	/* In the order of their ids. */
	for (i = 0; !err && i < n; i++) {
		for (k = i; k && map[order[k - 1]]->obj.id > map[i]->obj.id; k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
	for (i = 1; !err && i < n; i++)
		if (map[order[i]]->obj.id == map[order[i - 1]]->obj.id)
			err = -EINVAL;
	for (i = 0; !err && i < n; i++, begun++)
		err = copying_begin(&c[i], map[i]);
	if (!err)
		err = copy_all(c, order, n);
	for (i = 0; !err && i < n; i++) {
		c[i].m->ops->gate->copied(c[i].copy);
		err = map_copy_end(c[i].copy, btf_fd[i], &c[i].fd);
		if (!err)
			made++;
		else
			c[i].copy = NULL;
	}
	for (i = 0; i < begun; i++) {
		copying_end(&c[i]);
		if (!err) {
			copy[i] = c[i].copy;
			fd[i] = c[i].fd;
		} else if (i < made) {
			uint32_t id = c[i].copy->obj.id;

			map_put(c[i].copy);
			raw_close(c[i].fd);
			object_collect(OBJECT_MAP, id);
		} else if (c[i].copy) {
			map_copy_discard(c[i].copy, &c[i].fd);
		}
	}
	return err;
}
