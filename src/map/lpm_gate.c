/* SPDX-License-Identifier: BSD-2-Clause */
/* LPM tries behind a shut gate (gate.h): snapshots and transactions. */
#include "map/gate.h"
#include "map/gift.h"
#include "map/lpm.h"

static int drain_part(struct map *m, uint32_t i)
{
	int err = lpm_lock(m, i);

	if (!err)
		lpm_unlock(m, i);
	return err;
}

/* A key is found in its own part, or in that of the short ones. */
static int lpm_drain(struct map *m, const void *key)
{
	struct lpm_key k;
	uint32_t i, part;
	int err = 0;

	if (key) {
		k = lpm_key(m, key);
		part = lpm_part_of(m, &k);
		err = drain_part(m, part);
		return err || m->lpm.parts == 1 || part == LPM_SHORT_PART
			       ? err
			       : drain_part(m, LPM_SHORT_PART);
	}
	for (i = 0; !err && i < m->lpm.parts; i++)
		err = drain_part(m, i);
	return err;
}

static void lpm_copied(struct map *copy)
{
	for (uint32_t i = 0; i < copy->lpm.parts; i++) {
		lpm_part(copy, i)->lock = 0;
		lpm_part(copy, i)->intent.op = LPM_INTENT_NONE;
	}
}

static int lpm_check(const struct map *m, const void *key, bool put)
{
	return lpm_key(m, key).plen > m->lpm.max_plen ? -EINVAL : 0;
}

static int lpm_reserve(struct map *m, struct gate_plan *plan)
{
	struct gift_sum sums[LPM_PARTS_MAX] = {{0}};
	uint32_t i;
	int err;

	for (i = 0; i < plan->n; i++) {
		const struct gate_need *need = &plan->need[i];
		struct lpm_key k = lpm_key(m, need->key);
		struct gift_sum *s = &sums[lpm_part_of(m, &k)];

		s->puts += need->put;
		s->inserts += need->put && !need->there;
		s->deletes += !need->put && need->there;
	}
	if (gift_tight(m, &lpm_gifts, m->lpm.parts, sums)) {
		err = lpm_drain(m, NULL);
		if (err)
			return err;
		if (gift_lack(m, &lpm_gifts, m->lpm.parts, sums, m->lpm.capacity))
			return -E2BIG;
	}
	return gift_reserve(m, &lpm_gifts, m->lpm.parts, sums);
}

/* The bits from pos on become 0. */
static void clear_from(const struct map *m, uint8_t *data, uint32_t pos)
{
	if (pos / 8 >= m->lpm.data_size)
		return;
	data[pos / 8] &= (uint8_t)(0xff00 >> pos % 8);
	memset(data + pos / 8 + 1, 0, m->lpm.data_size - pos / 8 - 1);
}

static void lpm_canon(const struct map *m, const void *key, void *canon)
{
	memcpy(canon, key, m->attr.key_size);
	clear_from(m, (uint8_t *)canon + 4, lpm_key(m, key).plen);
}

static int lpm_find(struct map *m, const void *key, void *found, void *value)
{
	int err = lpm_read_found(m, key, found, value);

	if (!err)
		lpm_canon(m, found, found);
	return err;
}

static bool lpm_shorter(const struct map *m, void *key)
{
	uint32_t plen = lpm_key(m, key).plen;

	if (!plen--)
		return false;
	memcpy(key, &plen, 4);
	clear_from(m, (uint8_t *)key + 4, plen);
	return true;
}

static const struct gate_prefix_ops lpm_prefix_ops = {
	.find = lpm_find,
	.canon = lpm_canon,
	.shorter = lpm_shorter,
};

const struct gate_ops lpm_gate_ops = {
	.drain = lpm_drain,
	.copied = lpm_copied,
	.check = lpm_check,
	.reserve = lpm_reserve,
	.prefix = &lpm_prefix_ops,
};
