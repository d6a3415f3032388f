/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Redo records: how a value of more than 8 bytes changes in place so that
 * after a death at any instruction it has changed or not (G5).
 *
 *   offset 0    u32 lock    robust lock word (sync/lock.h)
 *   offset 8    u64 tag     0: nothing staged; else index + 1
 *   offset 16   staged      the value on its way
 *
 * A write, under the record's lock:
 *   (1) stage the value        (2) tag = index + 1      <- it has happened
 *   (3) copy it into place     (4) tag = 0              (5) unlock
 *
 * Proof. A death before (2) leaves the place untouched and tag 0: not
 * happened; what was staged is never looked at. A death from (2) on leaves
 * tag != 0 and the whole value staged, since nobody else writes the record
 * before the dead owner's lock is taken over, and who takes it over
 * (LOCK_OWNER_DIED) first does (3) and (4) again: happened. Doing so twice
 * gives the same bytes, so dying there as well is the same case. After (4) the
 * place is complete. A record is found from the index alone, so each later
 * reader and writer of the element meets the dead owner's word. Until somebody
 * does, a program that looks the element up may see the mixture, as it may
 * while a live update goes on: that is the kernel's rule for arrays.
 *
 * Ordering. The owner's stores reach others in the order staged, tag, place,
 * tag: release fences between the steps, paired with the acquire that takes
 * the dead owner's lock (the kernel's store of FUTEX_OWNER_DIED follows all the
 * stores of the dead thread).
 */
#ifndef SHMAP_MAP_REDO_H
#define SHMAP_MAP_REDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "map/map.h"
#include "sync/lock.h"

#define REDO_HEADER 16U

struct redo_record {
	uint32_t lock;
	uint32_t pad;
	uint64_t tag;
	uint8_t staged[];
};

/* Copies a value to its place: with stores that may be repeated. cpu: the CPU
 * whose copy it is, or -1 where a value is one or all. */
typedef void (*redo_apply_fn)(struct map *m, uint32_t index, const void *value, int cpu);

/* Bytes of a record that stages `size` bytes: whole cache lines. */
static inline uint64_t redo_record_size(uint64_t size)
{
	return round_up_u64(REDO_HEADER + size, CACHE_LINE);
}

/*
 * How many records for a map of max_entries values with `size` bytes to be
 * staged and data_size bytes in all: a power of two, at most 16, and at most an
 * eighth of the values' memory (or half a page), but at least one.
 */
uint32_t redo_records(uint32_t max_entries, uint64_t size, uint64_t data_size);

/* Takes the record's lock and finishes what a dead owner left. 0 or -EBUSY. */
int redo_lock(struct map *m, struct redo_record *r, redo_apply_fn apply, int cpu);

/* One write of `size` bytes, all or nothing. 0 or -EBUSY. */
int redo_write(struct map *m, struct redo_record *r, uint32_t index, const void *value, size_t size,
	       redo_apply_fn apply, int cpu);

/*
 * Before a read of the element: NULL when its place is to be read. Only when
 * the record's owner died and cannot be repaired from here (a read-only
 * mapping), the staged value if it is this element's; the caller copies it and
 * then asks redo_still().
 */
const void *redo_source_slow(struct map *m, struct redo_record *r, uint32_t index,
			     redo_apply_fn apply, int cpu);
bool redo_still(const struct redo_record *r, uint32_t index);

static inline const void *redo_source(struct map *m, struct redo_record *r, uint32_t index,
				      redo_apply_fn apply, int cpu)
{
	if (likely(!lock_owner_died(&r->lock)))
		return NULL;
	return redo_source_slow(m, r, index, apply, cpu);
}

/* Readers of a staged value try this often; then they read the place. */
#define REDO_READ_TRIES 16

/* If the record's owner died, finishes its write. 0 or -EBUSY. */
int redo_recover(struct map *m, struct redo_record *r, redo_apply_fn apply, int cpu);

/*
 * Claims: writes under the element's own lock (BPF_F_LOCK). A thread has one
 * robust lock at a time, so a record for these has no lock of its own; it
 * belongs to the element's lock:
 *   tag = id + 1 | CLAIMED   being staged by the holder of the element's lock
 *       = id + 1             staged
 * where id is the element's index and, in the upper half, which life of it is
 * meant (0 for arrays, whose elements have one). Only the holder of the
 * element's lock sets or clears a tag with its index. So whoever takes that lock
 * and finds such a tag has found a dead holder's: it finishes the staged ones
 * of this life and frees the others.
 */
#define REDO_CLAIMED (1ULL << 63)

struct redo_claims {
	uint8_t *base;
	uint64_t stride;
	uint32_t count;
};

/* Under the element's lock, when a holder before has died. */
void redo_claims_settle(struct map *m, const struct redo_claims *c, uint64_t id,
			redo_apply_fn apply);
/* Under the element's lock: the write, or -EAGAIN when all records are in use. */
int redo_claims_write(struct map *m, const struct redo_claims *c, uint64_t id, const void *value,
		      size_t size, redo_apply_fn apply);
/*
 * Sections: under the element's lock, before a program changes the value in place. The value as
 * it is is staged, and stays staged until redo_claims_forget(), which comes before the lock is let
 * go. A holder that dies in between leaves a claim as above: who takes its lock "finishes" it,
 * which puts back what was there. After redo_claims_forget() the section has happened. NULL: all
 * records are in use. start: where to look first; CPUs apart, so that each finds its own record in
 * its cache.
 */
struct redo_record *redo_claims_keep(const struct redo_claims *c, uint64_t id, uint32_t start,
				     const void *value, size_t size, int32_t lock_off);
void redo_claims_forget(struct redo_record *r);
/* Values that are larger are not kept: copying them at every section would cost microseconds. */
#define REDO_KEEP_MAX 4096U
/* The record in which the element is staged, or NULL (a read-only mapping asks). */
struct redo_record *redo_claims_find(const struct redo_claims *c, uint64_t id);

static inline struct redo_record *redo_claim_at(const struct redo_claims *c, uint32_t i)
{
	return (struct redo_record *)(c->base + c->stride * i);
}

#endif
