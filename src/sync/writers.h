/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who is changing which map: one record per thread that changes maps by bpf(2), in a file
 * of the runtime directory that all processes share.
 *
 *   $SHMAP_DIR/writers   line 0: struct writers_head; lines 1..: struct writer
 *
 * A thread takes a record at its first change and keeps it until it ends: the record is on
 * its robust list, so that the kernel marks it FUTEX_OWNER_DIED however the thread goes. It
 * is the thread's name in locks between processes (qlock.h), its place in their queues,
 * and says what it is about:
 *
 *   to change a map     map[k] = its id; look at the map's gate; change; map[k] = 0
 *   to keep them out    close the gate; writers_barrier(); wait until no map[k] names it
 *
 * The writer's side is plain stores and loads. The CPU may let its load of the gate pass
 * its store of the mark: the other side's barrier, which runs on every CPU that executes a
 * process of ours, comes either after the store and its way out, or before the load.
 */
#ifndef SHMAP_SYNC_WRITERS_H
#define SHMAP_SYNC_WRITERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"
#include "sync/thread.h"

/* map[0] is for changes without a fence (map/change.h); the others nest: signal handlers. */
#define WRITER_MAPS 4
/* As a mark: several maps. */
#define WRITER_ALL UINT32_MAX
#define WRITERS_MAX 16384U
#define WRITER_GEN_MASK 0xffffffU

struct writer {
	uint32_t word;	    /* 0: free; TID; FUTEX_OWNER_DIED */
	uint32_t gen;	    /* of the owner; another one has another */
	uint32_t wait_map;  /* id of the map whose lock it waits for */
	uint32_t wake;	    /* futex: counts the wake-ups */
	uint64_t ticket;    /* its place in that queue */
	uint64_t list_prev; /* glibc may store here */
	uint64_t list_next; /* offset 32 = -futex_offset: read by the kernel */
	uint32_t map[WRITER_MAPS];
	uint32_t noted; /* gen of a dead tenant, and a bit for each of its marks that was noted */
	uint32_t pad;
};

_Static_assert(sizeof(struct writer) == CACHE_LINE, "one line");
_Static_assert(offsetof(struct writer, list_next) == 32, "robust list link");

struct writers_head {
	uint32_t high;	  /* no record from here on was ever used */
	uint32_t deaths;  /* records of the dead that were given to others in the middle of a change
			   */
	uint32_t watched; /* 1: somebody has asked for notification; never 0 again */
	uint8_t pad[CACHE_LINE - 12];
};

_Static_assert(sizeof(struct writers_head) == CACHE_LINE, "one line");

/* The mapping, or NULL: before the first use of a map. */
extern struct writers_head *writers_mapped;

/* Maps the file, once per process. 0 or -errno. */
int writers_open(void);

/* Gives the calling thread its record: thread_self.writer. 0; -EBUSY in a signal handler on
 * top of a map operation; -ENOMEM. */
int writer_take(void);

/* The calling thread's, or NULL: it has none (yet; a forked child has none of its parent's). */
static inline struct writer *writer_self(void)
{
	return likely(thread_known()) ? thread_self.writer : NULL;
}

static inline struct writer *writer_at(uint32_t i)
{
	return (struct writer *)(load_acquire(&writers_mapped) + 1) + i;
}

/* How many records there are to look at. */
uint32_t writers_high(void);

/* A record and its tenant as one number, never 0; the upper 8 bits are 0. */
#define WRITER_NAME_MASK ((1ULL << 56) - 1)
uint64_t writer_name(const struct writer *w);
/* The record of that name, or NULL: the number makes no sense. */
struct writer *writer_named(uint64_t name);
/* The tenant has gone. */
bool writer_gone(uint64_t name);
/* The record's owner has died and nobody has it yet. */
static inline bool writer_died(const struct writer *w)
{
	return !!(load_relaxed(&w->word) & FUTEX_OWNER_DIED);
}

/* Its marks stay, as the next tenant's may already stand in their place: those of which
 * everybody has been told are remembered with the dead one's generation. */
static inline uint32_t writer_noted_bit(unsigned int k)
{
	return 1U << 24 << k;
}

static inline bool writer_noted(const struct writer *w, uint32_t gen, unsigned int k)
{
	uint32_t noted = load_relaxed(&w->noted);

	return noted & writer_noted_bit(k) && !((noted ^ gen) & WRITER_GEN_MASK);
}

/* A full barrier in all threads of all processes that use maps, but for those for whom the
 * kernel has none: *thread_self.mark is NULL there. False: it has none. */
bool writers_barrier(void);

/* Somebody has asked for notification at some time. */
static inline bool writers_watched(void)
{
	const struct writers_head *h = load_relaxed(&writers_mapped);

	return h && unlikely(load_relaxed(&h->watched));
}

#endif
