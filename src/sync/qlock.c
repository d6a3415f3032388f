/* SPDX-License-Identifier: BSD-2-Clause */
#include "sync/qlock.h"

#include <time.h>

#include "base/errors.h"
#include "base/rawsys.h"

#define QLOCK_SPINS 200
#define MS 1000000ULL

static __thread uint64_t passed __attribute__((tls_model("initial-exec")));

static uint64_t now_ns(void)
{
	struct timespec ts = {0};

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t owner(uint64_t word)
{
	return word & WRITER_NAME_MASK;
}

static bool waits_for(const struct writer *w, uint32_t id)
{
	uint32_t word = load_acquire(&w->word);

	return word && !(word & FUTEX_OWNER_DIED) && load_seq_cst(&w->wait_map) == id;
}

/* The word is nobody's any more: free, of a dead owner, or given to who does not wait. */
static bool left(uint64_t word, uint32_t id)
{
	const struct writer *w;

	if (!owner(word) || writer_gone(owner(word)))
		return true;
	w = writer_named(owner(word));
	return word & QLOCK_HANDED && !waits_for(w, id);
}

/* What the next owner inherits. */
static uint64_t inherit(uint64_t word)
{
	uint64_t kept = word & QLOCK_DIED;

	if (owner(word) && !(word & (QLOCK_HANDED | QLOCK_PLAIN)) && writer_gone(owner(word)))
		kept |= QLOCK_DIED;
	return kept;
}

/* The living waiter with the lowest ticket; skip is passed over unless it is alone. */
static struct writer *first_waiter(uint32_t id, uint64_t skip)
{
	struct writer *best = NULL, *skipped = NULL;
	uint32_t high = writers_high();

	for (uint32_t i = 0; i < high; i++) {
		struct writer *w = writer_at(i);

		if (!waits_for(w, id))
			continue;
		if (writer_name(w) == skip)
			skipped = w;
		else if (!best || (int64_t)(load_relaxed(&w->ticket) - load_relaxed(&best->ticket)) < 0)
			best = w;
	}
	return best ? best : skipped;
}

/*
 * From old, which is the caller's or left, to the first waiter, or to nobody. False: the word
 * was not old any more.
 */
static bool pass(struct qlock *l, uint32_t id, uint64_t old, uint64_t skip)
{
	struct writer *w = first_waiter(id, skip);
	uint64_t new = inherit(old);
	bool freed = !w;

	if (freed) {
		if (!cas_seq_cst(&l->word, &old, new))
			return false;
		/* Who began to wait meanwhile may have seen the old word, and sleep: partner
		 * of the exchange of wait_map before the load of the word. */
		fence_after_rmw();
		w = first_waiter(id, 0);
		if (!w)
			return true;
		old = new;
		skip = 0;
	}
	new |= writer_name(w) | QLOCK_HANDED | QLOCK_WAITERS;
	if (owner(new) == skip)
		return false; /* nobody else: it stays its */
	if (!cas_seq_cst(&l->word, &old, new)) {
		/* When it was free for a moment it is somebody's who is to look for waiters. */
		if (freed)
			fetch_or_seq_cst(&l->word, QLOCK_WAITERS);
		return freed;
	}
	fetch_add_seq_cst(&w->wake, 1);
	raw_futex(&w->wake, FUTEX_WAKE, 1, NULL, NULL, 0);
	return true;
}

/* If it is ours to come for. */
static bool accept(struct qlock *l, uint64_t word, uint64_t me, bool plain)
{
	uint64_t new = (word & ~(QLOCK_HANDED | QLOCK_PLAIN)) | (plain ? QLOCK_PLAIN : 0);

	return owner(word) == me && word & QLOCK_HANDED && cas_seq_cst(&l->word, &word, new);
}

static int taken(struct qlock *l)
{
	/* A count for who looks: one that is lost to a death does no harm. */
	fetch_add_relaxed(&l->takes, 1);
	return load_relaxed(&l->word) & QLOCK_DIED ? QLOCK_OWNER_DIED : 0;
}

/* Without waiting: 1, or 0: somebody has it, or waits for it. */
static int try_acquire(struct qlock *l, uint32_t id, uint64_t me, bool plain)
{
	uint64_t word = load_seq_cst(&l->word);

	for (;;) {
		if (accept(l, word, me, plain))
			return 1;
		if (!left(word, id) || word & QLOCK_WAITERS)
			return 0;
		if (cas_seq_cst(&l->word, &word, me | inherit(word) | (plain ? QLOCK_PLAIN : 0)))
			return 1;
	}
}

static void sleep_on(struct writer *w, uint32_t wake, uint64_t now, uint64_t deadline)
{
	uint64_t ns = QLOCK_SLEEP_MS * MS;
	struct timespec ts;

	if (deadline - now < ns)
		ns = deadline - now;
	ts = (struct timespec){.tv_nsec = (long)ns};
	raw_futex(&w->wake, FUTEX_WAIT, wake, &ts, NULL, 0);
}

/* Stands in the queue. 0 or -ETIMEDOUT. */
static int wait_turn(struct qlock *l, uint32_t id, struct writer *w, bool plain, uint64_t deadline)
{
	const uint64_t me = writer_name(w);
	uint64_t word, seen = 0, since = 0, now, from = 0;
	unsigned int spins = 0;
	uint32_t wake;

	for (;;) {
		wake = load_acquire(&w->wake);
		word = load_seq_cst(&l->word);
		if (accept(l, word, me, plain)) {
			passed = from ? load_relaxed(&l->takes) - (from - 1) : 0;
			return 0;
		}
		if (left(word, id)) {
			pass(l, id, word, 0);
			continue;
		}
		/* First of all: who comes from now on does not get in front of us. */
		if (!(word & QLOCK_WAITERS)) {
			cas_seq_cst(&l->word, &word, word | QLOCK_WAITERS);
			continue;
		}
		if (!from) /* from here on everyone who lets go looks at us */
			from = load_relaxed(&l->takes) + 1;
		if (spins++ < QLOCK_SPINS) {
			cpu_relax();
			continue;
		}
		now = now_ns();
		if (now >= deadline)
			return -ETIMEDOUT;
		if (word != seen)
			seen = word, since = now;
		else if (word & QLOCK_HANDED && now - since > QLOCK_STALL_MS * MS &&
			 pass(l, id, word, owner(word)))
			continue;
		sleep_on(w, wake, now, deadline);
	}
}

int qlock_acquire(struct qlock *l, uint32_t id, bool plain, uint64_t deadline)
{
	struct writer *w = writer_self();
	uint64_t me;
	int err;

	if (!w) {
		err = writer_take();
		if (err)
			return err;
		w = thread_self.writer;
	}
	me = writer_name(w);
	if (owner(load_relaxed(&l->word)) == me && !(load_relaxed(&l->word) & QLOCK_HANDED))
		return -EDEADLK;
	if (try_acquire(l, id, me, plain))
		return taken(l);
	if (deadline == QLOCK_NOW) {
		/* Those who are waited for may all have gone. */
		uint64_t word = load_seq_cst(&l->word);

		if (!left(word, id) || first_waiter(id, 0))
			return -EBUSY;
		return cas_seq_cst(&l->word, &word,
				   me | inherit(word) | (plain ? QLOCK_PLAIN : 0))
			       ? taken(l)
			       : -EBUSY;
	}
	if (load_relaxed(&w->wait_map))
		return -EBUSY; /* a signal handler on top of a waiter */
	fetch_add_relaxed(&l->waits, 1);
	store_relaxed(&w->ticket, fetch_add_seq_cst(&l->ticket, 1) + 1);
	/* Full fence after it: partner of the one in pass(). */
	exchange_seq_cst(&w->wait_map, id);
	fence_after_rmw();
	err = wait_turn(l, id, w, plain, deadline);
	exchange_seq_cst(&w->wait_map, 0);
	fence_after_rmw();
	if (!err)
		return taken(l);
	/* Given to us in the last moment: it must not stay with us unheld. */
	return accept(l, load_seq_cst(&l->word), me, plain) ? taken(l) : err;
}

int qlock_release(struct qlock *l, uint32_t id)
{
	struct writer *w = writer_self();
	uint64_t word = load_relaxed(&l->word);

	if (!w || owner(word) != writer_name(w) || word & QLOCK_HANDED)
		return -EPERM;
	for (;;) {
		if (word & QLOCK_WAITERS) {
			if (pass(l, id, word, 0))
				return 0;
			word = load_relaxed(&l->word);
			continue;
		}
		if (cas_seq_cst(&l->word, &word, word & QLOCK_DIED))
			return 0;
	}
}

int qlock_consistent(struct qlock *l)
{
	struct writer *w = writer_self();
	uint64_t word = load_relaxed(&l->word);

	if (!w || owner(word) != writer_name(w) || word & QLOCK_HANDED)
		return -EPERM;
	if (!(word & QLOCK_DIED))
		return -EINVAL;
	while (!cas_seq_cst(&l->word, &word, word & ~QLOCK_DIED))
		;
	return 0;
}

void qlock_look(const struct qlock *l, uint32_t id, struct qlock_info *info)
{
	uint64_t word = load_relaxed(&l->word);
	uint32_t high = writers_high();
	const struct writer *w;

	*info = (struct qlock_info){
		.takes = load_relaxed(&l->takes),
		.waits = load_relaxed(&l->waits),
		.passed = passed,
		.died = word & QLOCK_DIED,
	};
	for (uint32_t i = 0; i < high; i++)
		info->waiting += waits_for(writer_at(i), id);
	w = owner(word) && !(word & QLOCK_HANDED) ? writer_named(owner(word)) : NULL;
	if (w && !writer_gone(owner(word)))
		info->owner = load_relaxed(&w->word) & FUTEX_TID_MASK;
}
