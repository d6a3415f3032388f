/* SPDX-License-Identifier: BSD-2-Clause */
/* Redo records; see redo.h for what they are and why they hold. */
#include "base/errors.h"
#include "map/gate.h"
#include "map/redo.h"
#include "map/value.h"

/* Bytes of records that are no matter in any map: files are whole pages. */
#define REDO_SMALL 2048U

uint32_t redo_records(uint32_t max_entries, uint64_t size, uint64_t data_size)
{
	uint64_t room = data_size / 8 > REDO_SMALL ? data_size / 8 : REDO_SMALL;
	uint32_t n = 16;

	while (n > 1 && (n > max_entries || n * redo_record_size(size) > room))
		n /= 2;
	return n;
}

/* The caller owns the record. A tag that names no element is damage: dropped. */
static void redo_settle(struct map *m, struct redo_record *r, redo_apply_fn apply, int cpu)
{
	/* Ordered after the dead owner's stores by the acquire of the lock. */
	uint64_t tag = load_acquire(&r->tag);

	if (likely(!tag))
		return;
	if (tag <= m->attr.max_entries)
		apply(m, tag - 1, r->staged, cpu);
	/* Dying before this store: the next owner does the same again. */
	store_release(&r->tag, 0);
	/* The taken-over lock word and the tag before anything staged anew;
	 * pairs with redo_still(). */
	fence_release();
}

int redo_lock(struct map *m, struct redo_record *r, redo_apply_fn apply, int cpu)
{
	int err;

	for (;;) {
		err = lock_acquire(&r->lock);
		if (unlikely(err < 0))
			return err;
		redo_settle(m, r, apply, cpu);
		if (likely(!map_gate_shut(m)))
			return 0;
		lock_release(&r->lock);
		err = map_gate_wait(m);
		if (err)
			return err;
	}
}

/* The caller owns the record and its tag is 0 or CLAIMED. */
static void redo_do(struct map *m, struct redo_record *r, uint64_t id, const void *value,
		    size_t size, redo_apply_fn apply, int cpu)
{
	value_store(r->staged, value, size);
	/* The staged value before the tag: who finds the tag (redo_settle's
	 * acquire) finds all of it. */
	store_release(&r->tag, id + 1);
	/* The tag before the first byte in place: else a death between could
	 * leave a mixture that nobody knows of. Pairs with redo_settle(). */
	fence_release();
	apply(m, (uint32_t)id, value, cpu);
	/* The place is complete before the tag is gone. */
	store_release(&r->tag, 0);
}

int redo_write(struct map *m, struct redo_record *r, uint32_t index, const void *value, size_t size,
	       redo_apply_fn apply, int cpu)
{
	int err = redo_lock(m, r, apply, cpu);

	if (err)
		return err;
	redo_do(m, r, index, value, size, apply, cpu);
	lock_release(&r->lock);
	return 0;
}

int redo_recover(struct map *m, struct redo_record *r, redo_apply_fn apply, int cpu)
{
	int err;

	if (likely(!lock_owner_died(&r->lock)))
		return 0;
	err = redo_lock(m, r, apply, cpu);
	if (!err)
		lock_release(&r->lock);
	return err;
}

bool redo_still(const struct redo_record *r, uint32_t index)
{
	/* The copy's loads come before these; pairs with the release fence of
	 * whoever takes the record over and stages something else. */
	fence_acquire();
	return lock_owner_died(&r->lock) && load_relaxed(&r->tag) == (uint64_t)index + 1;
}

const void *redo_source_slow(struct map *m, struct redo_record *r, uint32_t index,
			     redo_apply_fn apply, int cpu)
{
	if (m->writable && !redo_recover(m, r, apply, cpu))
		return NULL;
	return load_acquire(&r->tag) == (uint64_t)index + 1 ? r->staged : NULL;
}

void redo_claims_settle(struct map *m, const struct redo_claims *c, uint64_t id,
			redo_apply_fn apply)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct redo_record *r = redo_claim_at(c, i);
		uint64_t tag = load_acquire(&r->tag);

		if (!tag || (uint32_t)((tag & ~REDO_CLAIMED) - 1) != (uint32_t)id)
			continue;
		if (tag == id + 1)
			apply(m, (uint32_t)id, r->staged, -1);
		store_release(&r->tag, 0);
	}
}

int redo_claims_write(struct map *m, const struct redo_claims *c, uint64_t id, const void *value,
		      size_t size, redo_apply_fn apply)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct redo_record *r = redo_claim_at(c, ((uint32_t)id + i) & (c->count - 1));
		uint64_t none = 0;

		if (load_relaxed(&r->tag))
			continue;
		/* Acquire: the owner before is done with the staged bytes. */
		if (!cas_acquire(&r->tag, &none, (id + 1) | REDO_CLAIMED))
			continue;
		redo_do(m, r, id, value, size, apply, -1);
		return 0;
	}
	return -EAGAIN;
}

struct redo_record *redo_claims_keep(const struct redo_claims *c, uint64_t id, uint32_t start,
				     const void *value, size_t size, int32_t lock_off)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct redo_record *r = redo_claim_at(c, (start + i) & (c->count - 1));
		uint64_t none = 0;

		if (load_relaxed(&r->tag))
			continue;
		if (!cas_acquire(&r->tag, &none, (id + 1) | REDO_CLAIMED))
			continue;
		/* without the lock, which others try meanwhile, and apply() leaves alone */
		value_store_unlocked(r->staged, value, size, lock_off);
		/* The staged value before the tag, the tag before the first store of the
		 * section: pairs with redo_claims_settle(). */
		store_release(&r->tag, id + 1);
		fence_release();
		return r;
	}
	return NULL;
}

void redo_claims_forget(struct redo_record *r)
{
	/* The section's stores before: who finds no tag finds all of them. */
	store_release(&r->tag, 0);
}

void map_section_end(void *kept)
{
	if (kept)
		redo_claims_forget(kept);
}

struct redo_record *redo_claims_find(const struct redo_claims *c, uint64_t id)
{
	for (uint32_t i = 0; i < c->count; i++) {
		struct redo_record *r = redo_claim_at(c, i);

		if (load_acquire(&r->tag) == id + 1)
			return r;
	}
	return NULL;
}
