/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Before and after a change of a map: the lock of its contents, and who wants to know.
 *
 * map_shared.hooks is 0 as long as nobody has locked the map or listens. Then a change by
 * bpf(2) costs two plain stores to the thread's own record (sync/writers.h), its mark; the word
 * that it looks at in between is the one that says whether the map is frozen.
 *
 * MAP_LOCKS: somebody has used bpf_map_lock(); from then on changes by bpf(2) look at the lock
 * with full fences. Never taken back. MAP_WATCHED: changes are noted (notice.h).
 *
 * Claim: while a thread holds the lock (map_lock() has returned), nobody else changes the
 * map by bpf(2) or by a helper of a program.
 * W marks its record, then looks. L has the lock, MAP_LOCKS set, then looks at all marks. If
 * lock_ready was not yet set when L took the lock, L runs writers_barrier() after it set
 * MAP_LOCKS: W's look came before the barrier, then its mark is visible after it, and L
 * waits for W; or it sees MAP_LOCKS, and W looks at the lock after a full fence: with L's
 * compare-and-swap before its look at the marks that is Dekker's: W sees the lock held, or
 * L sees W's mark. A program has a lease instead of a mark; taking it is a full fence, and L
 * waits for all leases older than the lock. (A run that was stopped for longer than
 * lease_wait() waits is not waited for.)
 *
 * Claim: a change that is not noted is visible to who looks at the map after notice_listen()
 * has returned; or notice_listen() knew of its writer, and all are told when that is done. The
 * same as for the lock: notice_listen() sets MAP_WATCHED, runs the barrier, and waits for the
 * marks that are there, and for older leases: who is not among them looks after the barrier.
 * A writer that stands still is not waited for long (notice.unsure). So writers look once.
 */
#ifndef SHMAP_MAP_CHANGE_H
#define SHMAP_MAP_CHANGE_H

#include "base/errors.h"
#include "map/map.h"
#include "sync/lease.h"

#define MAP_LOCKS 1U
#define MAP_WATCHED 2U
#define MAP_CAME_SHIFT 8 /* above it, while MAP_WATCHED: the number of the last listener */

/* The kinds of notices; the public header's SHMAP_CHANGE_*. */
enum map_change {
	MAP_CHANGE_UPDATE = 1, /* of key, by bpf(2) or a helper */
	MAP_CHANGE_DELETE,
	MAP_CHANGE_STORE, /* in a range of the values, by a mapping */
	MAP_CHANGE_RUN,	  /* by a program, through pointers or other helpers */
	MAP_CHANGE_MANY,  /* a batch; or nobody knows: look at the map */
};

/* A change by bpf(2), from change_begin() to change_end(). */
struct map_changing {
	uint32_t *mark;
	bool locked; /* by this very change */
};

/* The usual case, where nothing is in the way, and not on top of another such change: in an
 * operation that the thread has just begun (op_enter()). False: change_begin(). */
static inline __attribute__((always_inline)) bool change_begin_quick(struct map *m)
{
	uint32_t *mark = load_relaxed(thread_self.mark);

	if (unlikely(!mark))
		return false;
	store_relaxed(mark, m->obj.id);
	/* The CPU's side is the other one's barrier; see above. */
	fence_compiler();
	if (likely(!load_relaxed(&m->shared->closed)))
		return true;
	store_relaxed(mark, 0);
	return false;
}

/* Nobody listened when it began: see above. */
static inline __attribute__((always_inline)) void change_end_quick(void)
{
	/* Release: who waits for us sees the change. */
	store_release(load_relaxed(thread_self.mark), 0);
}

void change_noted(struct map *m, enum map_change kind, const void *user_key, uint64_t changes);

/* Waits while somebody else has the map locked. 0; -EBUSY where one cannot wait: in a signal
 * handler on top of a map operation, or inside a program's run; -ENOMEM. */
int change_begin(struct map *m, struct map_changing *c);
/* changes 0: there was none. key: a user's, or NULL. */
void change_end(struct map *m, struct map_changing *c, enum map_change kind, const void *user_key,
		uint64_t changes);

/*
 * For stores through pointers into m, which nothing sees: the calling thread's run or section,
 * which has just got such a pointer, may make some until it ends. Whoever ends it then says so,
 * before it gives its lease back. A listener that comes after this look waits for the lease.
 */
void change_later(struct map *m);

#define CHANGE_LATER_MAX 16 /* maps that are told apart */
struct change_later {
	uint32_t tenancy, n; /* of the lease that this is about */
	struct map *map[CHANGE_LATER_MAX];
};
extern __thread struct change_later change_later_own __attribute__((tls_model("initial-exec")));

static inline bool change_later_any(void)
{
	return unlikely(change_later_own.n) && change_later_own.tenancy == lease_tenancy();
}

/* When there is any; a file that was truncated meanwhile faults. */
void change_later_tell(void);

/* The same around changes of several maps together. */
int change_begin_maps(struct map *const *m, uint32_t n, struct map_changing *c);
void change_end_maps(struct map *const *m, uint32_t n, struct map_changing *c, bool changed);

/* Waits, for `bound` ns, until all changes of m that have begun are over, but for the calling
 * thread's own. False: somebody stands still. */
bool change_wait(const struct map *m, uint64_t bound);
/* Is the calling thread, below a signal handler, in the middle of one? */
bool change_own(const struct map *m);

/* bpf_map_lock(), _unlock(). deadline: as qlock_acquire(). 0, QLOCK_OWNER_DIED, or -errno. */
int map_lock(struct map *m, uint64_t deadline);
int map_unlock(struct map *m);

/* A helper of a program is about to change m: 0 or -EBUSY. */
static inline int change_by_program(const struct map *m)
{
	return unlikely(load_relaxed(&m->shared->hooks) & MAP_LOCKS) &&
			       qlock_others_live(&m->shared->lock)
		       ? -EBUSY
		       : 0;
}

#endif
