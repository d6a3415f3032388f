/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The gate: keeps writers out of maps, for a snapshot or the commit of a transaction.
 *
 * map_shared.gate is 0, or the tag of who holds the gate shut: a slot of the file
 * $SHMAP_DIR/txn and its generation. A writer looks at that word once it holds the lock under
 * which it writes (a single store: just before it). Whoever shuts gates
 *
 *   (1) takes a slot, by its robust claim, and writes the maps' ids into it
 *   (2) stores its tag in the gate of each map, in the order of their ids (no deadlock)
 *   (3) passes through the locks that it has to do with (struct gate_ops, drain): who took
 *       one before that has done its change by then, and who takes one later finds the
 *       gate shut, lets go of the lock and waits
 *   (4) does its work; for a transaction: redo data in the slot, and one store,
 *       state = GATE_COMMITTED, by which it has happened
 *   (5) opens the gates, and gives the slot back.
 *
 * Single stores (array values of up to 8 bytes) have no lock: a writer that found the gate open
 * may still store after (3). That is a change of one key which nothing that came later
 * depends on: had a writer seen it, or been told of it, and then looked at the gate, it would have
 * found it shut. So a copy has it or has not, and is that of an instant either way.
 *
 * Death. The claim of a dead owner tells: who meets a shut gate whose owner is dead takes the
 * slot over, finishes what was committed (txn.c), and opens the gates. Before the commit
 * nothing has changed. Each step may be done again by the next one.
 *
 * A thread takes robust locks while it holds gates, one at a time as ever; it never waits
 * for a gate while it holds a lock.
 *
 * Layout of the file:
 *   offset 0     struct robust_claim [GATE_SLOTS]
 *   then         struct gate_slot [GATE_SLOTS]
 *   GATE_DATA_OFF + GATE_DATA * i   redo data of slot i; pages come with use
 */
#ifndef SHMAP_MAP_GATE_H
#define SHMAP_MAP_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "map/map.h"
#include "sync/claim.h"

#define GATE_SLOTS 16U
#define GATE_MAPS 16U	     /* of one transaction */
#define GATE_DATA (1U << 20) /* bytes of redo data */
#define GATE_DATA_OFF 4096U

enum gate_state {
	GATE_FREE,
	GATE_TAKING,	/* gates may be shut; nothing has happened */
	GATE_COMMITTED, /* the redo data is to be applied */
};

struct gate_slot {
	uint32_t state;
	uint32_t generation;
	uint32_t maps;	   /* in id[] */
	uint32_t bytes;	   /* of redo data */
	uint32_t sleepers; /* the generation for which somebody sleeps */
	uint32_t starving; /* ... and has done so before: give way */
	uint32_t backed;   /* bytes of data that have pages */
	uint32_t pad[9];
	uint32_t id[GATE_MAPS]; /* rising */
};

_Static_assert(GATE_SLOTS *(sizeof(struct robust_claim) + sizeof(struct gate_slot)) <=
		       GATE_DATA_OFF,
	       "claims and slots stand before the data");

/* A change that is to find room: of a key that is there or is not. */
struct gate_need {
	const void *key;
	bool put, there;
};

/* The changes of a commit in one map, before it has happened. */
struct gate_plan {
	const struct gate_need *need;
	uint32_t n;
	/* Is it one of their keys? */
	bool (*mine)(struct gate_plan *plan, const void *key);
	/* That key gives way: the commit deletes it, too. 0, or -E2BIG, -ENOMEM. */
	int (*evict)(struct gate_plan *plan, const void *key);
};

/* Where a key is a prefix and read() finds the longest one that there is. */
struct gate_prefix_ops {
	/* read(), and which one it found. Private memory. */
	int (*find)(struct map *m, const void *key, void *found, void *value);
	/* The key as all have it that are the same to same_key(). */
	void (*canon)(const struct map *m, const void *key, void *canon);
	/* Such a key becomes the next one that may stand for it. False: there is none. */
	bool (*shorter)(const struct map *m, void *key);
};

/*
 * What a type that takes part does. All under the caller's gate, but for copied() and
 * modify(). 0 or -errno.
 */
struct gate_ops {
	/* Waits for those who write under locks: all of them, or (key) who may be writing to
	 * that key. */
	int (*drain)(struct map *m, const void *key);
	/* A snapshot: `copy` has m's bytes. Values with locks are copied again, each under its
	 * own. NULL: its values hold none. */
	int (*copy_locked)(struct map *m, struct map *copy);
	/* The copy, nobody else's yet: locks are free, and what was under way is not. */
	void (*copied)(struct map *copy);
	/* Could such a key be put, or (put false) deleted, ever? 0 or the error of bpf(2). NULL:
	 * any. */
	int (*check)(const struct map *m, const void *key, bool put);
	/* The changes that follow are certain to find room, or -E2BIG, -ENOMEM: nothing has
	 * changed. Where others give way to them (LRU), that is part of the commit: here
	 * it is planned, and write() makes no room behind the own gate. NULL: no transactions. */
	int (*reserve)(struct map *m, struct gate_plan *plan);
	/* A key has given way: counts it. NULL: none does. */
	void (*evicted)(struct map *m, const void *key);
	const struct gate_prefix_ops *prefix; /* NULL: a key is a key */
	/* Of values that are single stores, and have no lock: the value, unless there is another
	 * than `seen`: that one was stored by who had found the gate open, and comes after it.
	 * NULL: there are no such values. */
	bool (*put_over)(struct map *m, const void *key, const void *seen, const void *value);
	/* Of the value of a key that is there: copy gets it, fn changes the copy, and it goes in
	 * place, all or nothing, under the lock in the value. -ECANCELED: fn's result was not
	 * 0, and nothing has changed. */
	int (*modify)(struct map *m, const void *key, void *copy, int (*fn)(void *, void *),
		      void *arg);
	/* The same of values of 1, 2, 4 or 8 bytes without a lock: `new` where `old` is, at
	 * `value`, which lookup() gave, as long as that is the key's. 1; 0: not so (any more);
	 * -errno. NULL: elements are never replaced nor taken out. */
	int (*put_word)(struct map *m, const void *key, void *value, uint64_t old, uint64_t new);
	/* Handles are about to give pointers to values out, from a mapping that cannot be written
	 * to and so cannot say it. NULL: it need not be said. */
	void (*pointers)(struct map *m);
};

/* Gates that this thread holds. */
struct gate_held {
	struct claim_held claim;
	struct gate_slot *slot;
	uint8_t *data; /* GATE_DATA bytes, of which gate_room() gives the first ones pages */
	uint32_t tag;
	uint32_t outer; /* tag of the gates that it held already */
	uint64_t signals;
	uint32_t n; /* of them are shut */
	bool give_way;
	struct map *map[GATE_MAPS];
};

/* The tag under which the thread passes; 0: none. */
extern __thread uint32_t gate_own __attribute__((tls_model("initial-exec")));

/* Is the map's gate shut for this thread? A writer asks when it holds its lock. */
static inline bool map_gate_shut(const struct map *m)
{
	uint32_t gate = load_relaxed(&m->shared->gate);

	return unlikely(gate) && gate != gate_own;
}

/* Is it shut by this thread? */
static inline bool map_gate_own(const struct map *m)
{
	return unlikely(gate_own) && load_relaxed(&m->shared->gate) == gate_own;
}

/* Waits, without a lock: 0: look again; -EBUSY: in a signal handler that came on top of the
 * holder, or for too long. Finishes what a dead holder left. */
int map_gate_wait(struct map *m);

/* Before a lookup: what a dead holder committed is seen. Waits for nobody. */
void map_gate_settle(struct map *m);

/*
 * Shuts the gates of n maps, which are writable, each once, sorted by id; with a slot. 0, -EBUSY,
 * -EXDEV (a map of another runtime directory) or -errno. Signals are blocked until gate_open().
 */
int gate_shut(struct gate_held *g, struct map *const *map, uint32_t n);
void gate_open(struct gate_held *g);
/* Before gate_shut(): a slot with room for so many bytes, in g->data. */
int gate_begin(struct gate_held *g, uint32_t bytes);
/* Then: for so many in all. 0, -E2BIG, -ENOMEM. */
int gate_room(struct gate_held *g, uint32_t bytes);
/* Without, or after, gate_shut(): the slot is given back. */
void gate_end(struct gate_held *g);

/* A committed transaction that cannot be applied now: the next one who meets the gates does. */
void gate_leave(struct gate_held *g);

/* The same map, writable: m, or (*again) one that is to be put. */
int gate_writable(struct map *m, struct map **out, bool *again);

/* From here to gate_applied() transactional readers of the maps wait. */
void gate_applying(struct map *const *map, uint32_t n);
void gate_applied(struct map *const *map, uint32_t n);

/* txn_apply.c: applies the redo data of a slot to its map number nr. 0 or -errno. */
int txn_replay(struct map *m, uint32_t nr, const uint8_t *data, uint32_t bytes);

#endif
