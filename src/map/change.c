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

int change_begin(struct map *m, struct map_changing *c)
{
	const uint32_t id = m->obj.id;
	struct writer *w;
	unsigned int k, outer;
	int err;

	c->locked = false;
	w = self_or_take(&err);
	if (!w)
		return err;
	outer = load_relaxed(&w->map[0]) == WRITER_SLOW;
	for (k = outer; k < WRITER_MAPS && load_relaxed(&w->map[k]); k++)
		;
	if (k == WRITER_MAPS)
		return -EBUSY;
	c->mark = &w->map[k];
	for (;;) {
		/* Full fence: partner of the one in map_lock(). */
		exchange_seq_cst(c->mark, id);
		fence_after_rmw();
		if (!(load_relaxed(&m->shared->gate) & MAP_LOCKS) ||
		    !qlock_others(&m->shared->lock))
			return 0;
		store_release(c->mark, 0);
		/* Who has the lock may wait for what this thread is in the middle of. */
		if (k > outer || lease_held() || thread_self.in_lock)
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
	if (changes && load_relaxed(&m->shared->gate) & MAP_WATCHED)
		change_noted(m, kind, user_key, changes);
	store_release(c->mark, 0);
	if (c->locked)
		qlock_release(&m->shared->lock, m->obj.id);
}

static bool marked(struct writer *w, uint32_t id)
{
	for (unsigned int k = 0; k < WRITER_MAPS; k++)
		/* Acquire: pairs with the release of the mark. */
		if (load_acquire(&w->map[k]) == id)
			return true;
	return false;
}

/* Until nobody but the calling thread is in the middle of a change. */
static bool wait_for_marks(uint32_t id, uint64_t bound)
{
	struct timespec nap = {.tv_nsec = 50000};
	uint32_t high = writers_high();
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
		fetch_or_seq_cst(&s->gate, MAP_LOCKS);
		/* Dying or failing here: the next one does it again. */
		if (!writers_barrier()) {
			qlock_release(&s->lock, m->obj.id);
			return -EOPNOTSUPP;
		}
		store_release(&s->lock_ready, 1);
	}
	/* Full fence: partner of the one in change_begin(). */
	fence_seq_cst();
	if (!wait_for_marks(m->obj.id, deadline == QLOCK_NOW ? MARK_TRY_NS : MARK_WAIT_NS)) {
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
