/* SPDX-License-Identifier: BSD-2-Clause */
#include "map/change.h"

#include <time.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/notice.h"
#include "sync/lease.h"

#define MARK_SPINS 200
/* Whoever is in the middle of a change for as long is stopped, or has left it by a jump out of a
 * signal handler. */
#define MARK_WAIT_NS 10000000000ULL
#define MARK_TRY_NS 1000000ULL

static uint64_t now_ns(void)
{
	struct timespec ts = {0};

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static struct writer *self_or_take(int *err)
{
	struct writer *w = writer_self();

	*err = 0;
	if (!w) {
		*err = writer_take();
		w = *err ? NULL : thread_self.writer;
	}
	return w;
}

/* A free mark of the thread's. *nested: it is in the middle of another change. */
static int find_mark(struct map_changing *c, bool *nested)
{
	struct writer *w;
	unsigned int k;
	int err;

	c->locked = false;
	w = self_or_take(&err);
	if (!w)
		return err;
	for (k = 1; k < WRITER_MAPS && load_relaxed(&w->map[k]); k++)
		;
	if (k == WRITER_MAPS)
		return -EBUSY;
	c->mark = &w->map[k];
	*nested = k > 1 || load_relaxed(&w->map[0]);
	return 0;
}

int change_begin(struct map *m, struct map_changing *c)
{
	const uint32_t id = m->obj.id;
	bool nested;
	int err = find_mark(c, &nested);

	if (err)
		return err;
	for (;;) {
		/* Full fence: partner of the one in map_lock(). */
		exchange_seq_cst(c->mark, id);
		fence_after_rmw();
		if (!(load_relaxed(&m->shared->hooks) & MAP_LOCKS) ||
		    !qlock_others(&m->shared->lock))
			return 0;
		store_release(c->mark, 0);
		/* Who has the lock may wait for what this thread is in the middle of. */
		if (nested || lease_held() || thread_self.in_lock)
			return -EBUSY;
		err = qlock_acquire(&m->shared->lock, id, true, QLOCK_FOREVER);
		if (err < 0)
			return err;
		c->locked = true;
	}
}

void change_noted(struct map *m, enum map_change kind, const void *user_key, uint64_t changes)
{
	notice_post(m, kind, user_key, 0, 0, changes);
}

void change_end(struct map *m, struct map_changing *c, enum map_change kind, const void *user_key,
		uint64_t changes)
{
	/* Partner of the barrier in notice_listen(), where the kernel has none. */
	fence_seq_cst();
	if (changes && load_relaxed(&m->shared->hooks) & MAP_WATCHED)
		change_noted(m, kind, user_key, changes);
	store_release(c->mark, 0);
	if (c->locked)
		qlock_release(&m->shared->lock, m->obj.id);
}

__thread struct change_later change_later_own __attribute__((tls_model("initial-exec")));

void change_later(struct map *m)
{
	struct change_later *later = &change_later_own;
	uint32_t tenancy = lease_tenancy();

	if (tenancy == LEASE_NO_TENANCY || !(load_relaxed(&m->shared->hooks) & MAP_WATCHED))
		return;
	if (later->tenancy != tenancy) {
		later->tenancy = tenancy;
		later->n = 0;
	}
	for (uint32_t i = 0; i < later->n && i < CHANGE_LATER_MAX; i++)
		if (later->map[i] == m)
			return;
	if (later->n < CHANGE_LATER_MAX)
		later->map[later->n] = m;
	if (later->n <= CHANGE_LATER_MAX)
		later->n++;
}

void change_later_tell(void)
{
	const struct change_later *later = &change_later_own;

	for (uint32_t i = 0; i < later->n && i < CHANGE_LATER_MAX; i++)
		if (load_relaxed(&later->map[i]->shared->hooks) & MAP_WATCHED)
			change_noted(later->map[i], MAP_CHANGE_RUN, NULL, 1);
	/* More than that: the listeners of all maps, when they look for the dead. */
	if (later->n > CHANGE_LATER_MAX)
		fetch_add_seq_cst(&load_acquire(&writers_mapped)->deaths, 1U);
}

/* The map that somebody else has locked, of several, or NULL. */
static struct map *locked_one(struct map *const *m, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (load_relaxed(&m[i]->shared->hooks) & MAP_LOCKS &&
		    qlock_others(&m[i]->shared->lock))
			return m[i];
	return NULL;
}

int change_begin_maps(struct map *const *m, uint32_t n, struct map_changing *c)
{
	bool nested;
	int err = find_mark(c, &nested);
	struct map *locked;

	if (err)
		return err;
	for (;;) {
		exchange_seq_cst(c->mark, WRITER_ALL);
		fence_after_rmw();
		locked = locked_one(m, n);
		if (!locked)
			return 0;
		store_release(c->mark, 0);
		if (nested || lease_held() || thread_self.in_lock)
			return -EBUSY;
		/* One at a time, and none kept: no circle of those who wait. */
		err = qlock_acquire(&locked->shared->lock, locked->obj.id, true, QLOCK_FOREVER);
		if (err < 0)
			return err;
		qlock_release(&locked->shared->lock, locked->obj.id);
	}
}

void change_end_maps(struct map *const *m, uint32_t n, struct map_changing *c, bool changed)
{
	fence_seq_cst();
	for (uint32_t i = 0; changed && i < n; i++)
		if (load_relaxed(&m[i]->shared->hooks) & MAP_WATCHED)
			change_noted(m[i], MAP_CHANGE_MANY, NULL, 1);
	store_release(c->mark, 0);
}

static bool marked(struct writer *w, uint32_t id)
{
	for (unsigned int k = 0; k < WRITER_MAPS; k++) {
		/* Acquire: pairs with the release of the mark. */
		uint32_t mark = load_acquire(&w->map[k]);

		if (mark == id || mark == WRITER_ALL)
			return true;
	}
	return false;
}

bool change_own(const struct map *m)
{
	struct writer *w = writer_self();

	return w && marked(w, m->obj.id);
}

bool change_wait(const struct map *m, uint64_t bound)
{
	struct timespec nap = {.tv_nsec = 50000};
	uint32_t id = m->obj.id, high = writers_high();
	uint64_t until = 0;

	for (uint32_t i = 0; i < high; i++) {
		struct writer *w = writer_at(i);
		uint64_t name;

		if (w == thread_self.writer || !marked(w, id))
			continue;
		name = writer_name(w);
		for (unsigned int spins = 0; marked(w, id) && !writer_gone(name); spins++) {
			if (spins < MARK_SPINS) {
				cpu_relax();
				continue;
			}
			if (!until)
				until = now_ns() + bound;
			else if (now_ns() > until)
				return false;
			raw_nanosleep(&nap, NULL);
		}
	}
	return true;
}

int map_lock(struct map *m, uint64_t deadline)
{
	struct map_shared *s = m->shared;
	int ret;

	/* On top of a map operation of the same thread, which may hold what others wait for. */
	if (thread_self.in_lock || lease_held())
		return -EBUSY;
	ret = qlock_acquire(&s->lock, m->obj.id, false, deadline);
	if (ret < 0)
		return ret;
	if (!load_acquire(&s->lock_ready)) {
		fetch_or_seq_cst(&s->hooks, MAP_LOCKS);
		/* Dying or failing here: the next one does it again. */
		if (!writers_barrier()) {
			qlock_release(&s->lock, m->obj.id);
			return -EOPNOTSUPP;
		}
		store_release(&s->lock_ready, 1);
	}
	/* Full fence: partner of the one in change_begin(). */
	fence_seq_cst();
	if (!change_wait(m, deadline == QLOCK_NOW ? MARK_TRY_NS : MARK_WAIT_NS)) {
		qlock_release(&s->lock, m->obj.id);
		return -EBUSY;
	}
	lease_wait(lease_stamp(), -1);
	return ret;
}

int map_unlock(struct map *m)
{
	return qlock_release(&m->shared->lock, m->obj.id);
}
