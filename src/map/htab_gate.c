/* SPDX-License-Identifier: BSD-2-Clause */
/* Hash tables behind a shut gate: what snapshots and transactions need of them (gate.h). */
#include "map/gate.h"
#include "map/gift.h"
#include "map/htab.h"
#include "map/htab_key.h"
#include "map/htab_lru.h"
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

/* LRU: as many give way as the map lacks: in the stripes that want room, as far as they have
 * elements that the commit itself does not write to, then in the others. */
static int plan_evictions(struct map *m, struct gate_plan *plan, struct gift_sum *sums,
			  uint64_t lack)
{
	uint32_t give[HTAB_STRIPES_MAX], i;
	int pass, ret;

	memset(give, 0, m->htab.stripes * sizeof(give[0]));
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; lack && i < m->htab.stripes; i++) {
			const struct stripe *st = htab_stripe(m, i);
			const struct gift_sum *s = &sums[i];
			int64_t live = load_relaxed(&st->live), n = (int64_t)lack;
			int64_t most = live - (s->puts - s->inserts) - s->deletes - give[i];

			if (!pass)
				n = live + s->inserts - load_relaxed(&st->quota) - s->deletes;
			n = n < (int64_t)lack ? n : (int64_t)lack;
			n = n < most ? n : most;
			if (n <= 0)
				continue;
			give[i] += (uint32_t)n;
			lack -= (uint64_t)n;
		}
	}
	if (lack)
		return -E2BIG;
	for (i = 0; i < m->htab.stripes; i++) {
		ret = give[i] ? htab_lru_choose(m, i, give[i], plan) : 0;
		if (ret)
			return ret;
		sums[i].deletes += give[i];
	}
	return 0;
}

static int htab_reserve(struct map *m, struct gate_plan *plan)
{
	struct gift_sum sums[HTAB_STRIPES_MAX];
	uint32_t i, bucket;
	uint64_t lack;
	int err;

	memset(sums, 0, m->htab.stripes * sizeof(sums[0]));
	for (i = 0; i < plan->n; i++) {
		const struct gate_need *need = &plan->need[i];
		struct gift_sum *s = &sums[need_stripe(m, need)];

		s->puts += need->put;
		s->inserts += need->put && !need->there;
		s->deletes += !need->put && need->there;
		if (!need->put)
			continue;
		bucket = htab_key_bucket(m, htab_key_hash(m, need->key));
		err = htab_bucket_there(m, bucket) ? 0 : htab_bucket_populate(m, bucket);
		if (err)
			return err;
	}
	if (gift_tight(m, &htab_gifts, m->htab.stripes, sums)) {
		err = htab_drain(m, NULL);
		if (err)
			return err;
		lack = gift_lack(m, &htab_gifts, m->htab.stripes, sums, m->attr.max_entries);
		if (lack)
			err = htab_lru(m) ? plan_evictions(m, plan, sums, lack) : -E2BIG;
		if (err)
			return err;
	}
	return gift_reserve(m, &htab_gifts, m->htab.stripes, sums);
}

/* Behind the gate nobody else counts evictions. It has been counted as a delete. */
static void htab_evicted(struct map *m, const void *key)
{
	uint32_t bucket = htab_key_bucket(m, htab_key_hash(m, key));
	uint32_t stripe = bucket & (m->htab.stripes - 1);
	struct lru_order *o = htab_lru_order(m, stripe);

	store_relaxed(&o->evictions, load_relaxed(&o->evictions) + 1);
	fetch_add_relaxed(&htab_stripe(m, stripe)->count_unlocked, -1ULL);
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

const struct gate_ops htab_lru_gate_ops = {
	.drain = htab_drain,
	.copied = htab_copied,
	.reserve = htab_reserve,
	.evicted = htab_evicted,
	.put_word = htab_put_word,
	.pointers = htab_programs_come,
};
