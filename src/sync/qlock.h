/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lock that a thread may keep while it does other things: between processes, first come
 * first served, known to be a dead one's when its owner dies.
 *
 *   word   bits 0..55   name of the owner's record (writers.h); 0: free
 *          HANDED       given to a waiter, who has not come for it yet
 *          WAITERS      look for waiters before letting go
 *          PLAIN        for the length of one operation: its death leaves nothing half done
 *          DIED         an owner died inside, and nobody has said since that all is well
 *
 * A waiter takes a ticket, says in its record which lock it waits for, and sleeps on its
 * record. Who lets go hands the lock to the living waiter with the lowest ticket: nobody
 * who came later gets it first. A waiter that does not come for it (dead, or stopped for
 * QLOCK_STALL_MS) is passed over, and is again first in line when it goes on.
 *
 * Death. Between the store that makes the lock free, or another's, and the wake-up, a waiter
 * sleeps too long: at most QLOCK_SLEEP_MS, then it looks by itself, and does what the dead
 * one would have done. Every change of the word is one compare-and-swap, and no owner's name
 * comes back in another life.
 */
#ifndef SHMAP_SYNC_QLOCK_H
#define SHMAP_SYNC_QLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "sync/writers.h"

#define QLOCK_HANDED (1ULL << 60)
#define QLOCK_WAITERS (1ULL << 61)
#define QLOCK_PLAIN (1ULL << 62)
#define QLOCK_DIED (1ULL << 63)

#define QLOCK_SLEEP_MS 20
#define QLOCK_STALL_MS 50

struct qlock {
	uint64_t word;
	uint64_t ticket; /* the last one given out */
	uint64_t waits;	 /* how often somebody had to wait: for who looks */
	uint64_t takes;	 /* how often it was taken */
};

#define QLOCK_NOW 0		  /* deadline: does not wait */
#define QLOCK_FOREVER UINT64_MAX

/*
 * Takes the lock of the map with that id. deadline: CLOCK_MONOTONIC, ns. 0, or QLOCK_OWNER_DIED:
 * taken, while QLOCK_DIED stands. -EDEADLK: the thread has it; -EBUSY: held, and not to wait;
 * -ETIMEDOUT; -EBUSY, -ENOMEM: the thread cannot have a record. plain: see PLAIN.
 */
#define QLOCK_OWNER_DIED 1
int qlock_acquire(struct qlock *l, uint32_t id, bool plain, uint64_t deadline);
/* -EPERM: it is not the thread's. */
int qlock_release(struct qlock *l, uint32_t id);
/* The owner says that what the lock protects is good again. -EPERM; -EINVAL: it was. */
int qlock_consistent(struct qlock *l);

/* What is to be seen of it, of one moment each; changes nothing. */
struct qlock_info {
	uint64_t takes, waits;
	uint64_t passed;  /* how many had it between the calling thread's place and its turn, last */
	uint32_t waiting; /* now */
	uint32_t owner;	  /* its TID, or 0 */
	bool died;
};
void qlock_look(const struct qlock *l, uint32_t id, struct qlock_info *info);

/* Is it held by somebody else than the calling thread? For one look. */
static inline bool qlock_others(const struct qlock *l)
{
	uint64_t word = load_seq_cst(&l->word);
	struct writer *w = writer_self();

	if (!(word & WRITER_NAME_MASK))
		return false;
	return !w || (word & WRITER_NAME_MASK) != writer_name(w) || word & QLOCK_HANDED;
}

/* The same, and the owner lives. */
static inline bool qlock_others_live(const struct qlock *l)
{
	uint64_t word = load_relaxed(&l->word);

	return qlock_others(l) && word & WRITER_NAME_MASK && !writer_gone(word & WRITER_NAME_MASK);
}

#endif
