/* SPDX-License-Identifier: BSD-2-Clause */
/* Hash tables behind a shut gate: what snapshots and transactions need of them (gate.h). */
#include "map/gate.h"
#include "map/htab.h"
#include "map/htab_key.h"
#include "map/redo.h"

static int htab_drain(struct map *m, const void *key)
{
	struct htab_hit hit;
	uint32_t i, n = m->htab.stripes;
	uint64_t hash;
	int ret;

	if (key) {
		hash = htab_key_hash(m, key);
		i = htab_key_bucket(m, hash) & (n - 1);
		ret = htab_lock(m, i);
		if (ret)
			return ret;
		htab_unlock(m, i);
		if (m->attr.spin_lock_off < 0)
			return 0;
		/* Who has the lock in the value looked at the gate before it wrote. */
		ret = htab_search(m, key, hash, &hit);
		return ret > 0 ? htab_settle(m, hit.index) : ret;
	}
	for (i = 0; i < n; i++) {
		ret = htab_lock(m, i);
		if (ret)
			return ret;
		htab_unlock(m, i);
	}
	return 0;
}

/* How many elements of its region a stripe has ever used. */
static uint32_t used(const struct map *m, const struct stripe *st)
{
	uint32_t n = st->fresh < st->backed ? st->fresh : st->backed;

	return n < m->htab.per_stripe ? n : m->htab.per_stripe;
}

static uint32_t *value_lock(const struct map *m, uint32_t index)
{
	return (uint32_t *)(htab_value(m, index, 0) + m->attr.spin_lock_off);
}

static int htab_copy_locked(struct map *m, struct map *copy)
{
	uint32_t i, k, index;
	int err;

	if (m->attr.spin_lock_off < 0)
		return 0;
	for (i = 0; i < m->htab.stripes; i++) {
		for (k = 0; k < used(copy, htab_stripe(copy, i)); k++) {
			index = i * m->htab.per_stripe + k;
			if (!(htab_elem(copy, index)->gen & 1))
				continue;
			err = htab_settle_locked(m, index);
			if (err)
				return err;
			htab_value_in(copy, htab_value(copy, index, 0), htab_value(m, index, 0));
			lock_release(value_lock(m, index));
		}
	}
	return 0;
}

static void htab_copied(struct map *copy)
{
	uint32_t i, k;

	*htab_room(copy) = GIFT_ROOM;
	for (i = 0; i < copy->htab.stripes; i++) {
		struct stripe *st = htab_stripe(copy, i);

		st->lock = 0;
		st->intent.op = INTENT_NONE;
		for (k = 0; copy->attr.spin_lock_off >= 0 && k < used(copy, st); k++)
			*value_lock(copy, i * copy->htab.per_stripe + k) = 0;
	}
	if (copy->attr.spin_lock_off < 0)
		return;
	for (i = 0; i < HTAB_CLAIMS; i++) {
		struct redo_record *r =
			(struct redo_record *)(copy->obj.base + copy->htab.claim_off +
					       i * redo_record_size(copy->attr.value_size));

		r->lock = 0;
		r->tag = 0;
	}
}

static uint32_t need_stripe(const struct map *m, const struct gate_need *need)
{
	return htab_key_bucket(m, htab_key_hash(m, need->key)) & (m->htab.stripes - 1);
}

/* What the changes come to in a stripe. */
struct sum {
	uint32_t puts, inserts, deletes;
};

/* The stripe has room for what comes to it, or takes it from others. */
static int reserve_stripe(struct map *m, uint32_t stripe, const struct sum *sum, bool others)
{
	struct stripe *st = htab_stripe(m, stripe);
	uint32_t looks;
	bool fits;
	int ret;

	for (looks = 0;; looks++) {
		ret = htab_lock(m, stripe);
		if (ret)
			return ret;
		fits = (uint64_t)st->live + sum->inserts <= (uint64_t)st->quota + sum->deletes;
		ret = fits ? htab_pool_reserve(m, stripe, sum->puts) : 0;
		htab_unlock(m, stripe);
		if (ret || fits)
			return ret;
		/* The rest comes by the deletes in other stripes, which are done first. */
		if (looks > m->attr.max_entries)
			return -E2BIG;
		ret = htab_steal(m, stripe, true);
		if (ret)
			return ret == -E2BIG && others ? 0 : ret;
	}
}

static int htab_reserve(struct map *m, const struct gate_need *need, uint32_t n)
{
	struct sum sums[HTAB_STRIPES_MAX], all = {0};
	uint64_t live = 0;
	uint32_t i, bucket;
	bool tight = false;
	int err;

	for (i = 0; i < m->htab.stripes; i++)
		sums[i] = (struct sum){0};
	for (i = 0; i < n; i++) {
		struct sum *s = &sums[need_stripe(m, &need[i])];

		s->puts += need[i].put;
		s->inserts += need[i].put && !need[i].there;
		s->deletes += !need[i].put && need[i].there;
		all.inserts += need[i].put && !need[i].there;
		all.deletes += !need[i].put && need[i].there;
		if (!need[i].put)
			continue;
		bucket = htab_key_bucket(m, htab_key_hash(m, need[i].key));
		err = htab_bucket_there(m, bucket) ? 0 : htab_bucket_populate(m, bucket);
		if (err)
			return err;
	}
	for (i = 0; i < m->htab.stripes; i++) {
		const struct stripe *st = htab_stripe(m, i);

		tight = tight || (uint64_t)load_relaxed(&st->live) + sums[i].inserts >
					 (uint64_t)load_relaxed(&st->quota) + sums[i].deletes;
	}
	if (tight) {
		err = htab_drain(m, NULL);
		if (err)
			return err;
		for (i = 0; i < m->htab.stripes; i++)
			live += load_relaxed(&htab_stripe(m, i)->live);
		if (live + all.inserts > (uint64_t)m->attr.max_entries + all.deletes)
			return -E2BIG;
	}
	for (i = 0; i < m->htab.stripes; i++) {
		if (!sums[i].puts)
			continue;
		err = reserve_stripe(m, i, &sums[i], all.deletes);
		if (err)
			return err;
	}
	return 0;
}

static bool cas_word(void *value, uint32_t size, uint64_t old, uint64_t new)
{
	uint32_t old4 = (uint32_t)old;
	uint16_t old2 = (uint16_t)old;
	uint8_t old1 = (uint8_t)old;

	switch (size) {
	case 8:
		return cas_seq_cst((uint64_t *)value, &old, new);
	case 4:
		return cas_seq_cst((uint32_t *)value, &old4, (uint32_t) new);
	case 2:
		return cas_seq_cst((uint16_t *)value, &old2, (uint16_t) new);
	default:
		return cas_seq_cst((uint8_t *)value, &old1, (uint8_t) new);
	}
}

/* Under the lock under which elements are replaced and taken out: what is stored into one that
 * has been would be nobody's. */
static int htab_put_word(struct map *m, const void *key, void *value, uint64_t old, uint64_t new)
{
	uint32_t i = htab_key_bucket(m, htab_key_hash(m, key)) & (m->htab.stripes - 1);
	int ret = htab_lock(m, i);

	if (ret)
		return ret;
	if (unlikely(map_gate_shut(m))) {
		htab_unlock(m, i);
		return map_gate_wait(m);
	}
	ret = m->ops->lookup(m, key) == value && cas_word(value, m->attr.value_size, old, new);
	htab_unlock(m, i);
	return ret;
}

const struct gate_ops htab_gate_ops = {
	.drain = htab_drain,
	.copy_locked = htab_copy_locked,
	.copied = htab_copied,
	.reserve = htab_reserve,
	.modify = htab_modify,
	.put_word = htab_put_word,
	.pointers = htab_programs_come,
};

/* A commit may not make other keys give way: no transactions. */
const struct gate_ops htab_lru_gate_ops = {
	.drain = htab_drain,
	.copied = htab_copied,
	.put_word = htab_put_word,
	.pointers = htab_programs_come,
};
