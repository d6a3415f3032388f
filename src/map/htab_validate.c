/* SPDX-License-Identifier: BSD-2-Clause */
/* Every invariant of a hash table that nobody is changing: for the tests. */
#include <stdlib.h>
#include <string.h>

#include "map/complaint.h"
#include "map/htab.h"

enum where { NOWHERE, IN_BUCKET, IN_FREE, IN_LIMBO, IN_GIFT, IN_FRESH };

struct audit {
	struct map *m;
	uint8_t *at; /* enum where, per element */
	struct complaint found;
};

static uint32_t backed(struct map *m, uint32_t stripe)
{
	return htab_stripe(m, stripe)->backed;
}

static struct elem *claim(struct audit *a, uint32_t index1, enum where where, uint32_t stripe)
{
	struct elem *e;

	if (!index1 || index1 > a->m->htab.elems) {
		complain(&a->found, "stripe %u: element %u out of range (kind %d)", stripe, index1,
			 where);
		return NULL;
	}
	e = htab_elem(a->m, index1 - 1);
	if (a->at[index1 - 1]) {
		complain(&a->found, "element %u is in two places (%d and %d)", index1 - 1,
			 a->at[index1 - 1], where);
		return NULL;
	}
	a->at[index1 - 1] = where;
	if (where == IN_FRESH && (index1 - 1) % a->m->htab.per_stripe >= backed(a->m, stripe))
		return e; /* it has no page to look at */
	if ((e->gen & 1) != (where == IN_BUCKET)) {
		complain(&a->found, "element %u of kind %d has generation %u", index1 - 1, where,
			 e->gen);
		return NULL;
	}
	return e;
}

static struct elem *audit_link(struct audit *a, uint32_t bucket, uint64_t link)
{
	struct map *m = a->m;
	struct elem *e = claim(a, link_index1(link), IN_BUCKET, bucket & (m->htab.stripes - 1));
	uint64_t hash;

	if (!e)
		return NULL;
	hash = htab_hash(m, e->key);
	if (!link_fits(link, e->gen))
		complain(&a->found, "bucket %u: a link to another generation", bucket);
	if (((uint32_t)hash & (m->htab.buckets - 1)) != bucket ||
	    (link & LINK_TAG_MASK) != htab_tag(hash))
		complain(&a->found, "bucket %u: a key that does not belong there", bucket);
	return e;
}

static uint32_t audit_bucket(struct audit *a, uint32_t i)
{
	struct bucket *b = htab_bucket(a->m, i);
	uint32_t n = 0, s, t;
	uint64_t link;
	struct elem *e;

	if (!htab_bucket_there(a->m, i))
		return 0;
	for (s = 0; s < HTAB_SLOTS; s++) {
		if (!b->slot[s])
			continue;
		e = audit_link(a, i, b->slot[s]);
		if (!e)
			return n;
		n++;
		for (t = 0; t < s; t++) {
			if (b->slot[t] && link_index1(b->slot[t]) <= a->m->htab.elems &&
			    htab_key_equal(a->m, e->key,
					   htab_elem(a->m, link_index1(b->slot[t]) - 1)->key))
				complain(&a->found, "bucket %u has a key twice", i);
		}
	}
	for (link = b->chain; link; link = e->next) {
		e = audit_link(a, i, link);
		if (!e)
			return n;
		n++;
		for (t = 0; t < HTAB_SLOTS; t++) {
			if (b->slot[t] &&
			    htab_key_equal(a->m, e->key,
					   htab_elem(a->m, link_index1(b->slot[t]) - 1)->key))
				complain(&a->found, "bucket %u has a key twice", i);
		}
	}
	return n;
}

static void audit_list(struct audit *a, uint32_t stripe, uint32_t index1, enum where where)
{
	struct elem *e;

	for (; index1; index1 = (uint32_t)e->next) {
		e = claim(a, index1, where, stripe);
		if (!e)
			return;
	}
}

int htab_validate(struct map *m, char *why, size_t size)
{
	struct audit a = {.m = m, .found = {why, size, false}};
	uint64_t quota = 0, total = 0;
	uint32_t i, j, *live;

	a.at = calloc(m->htab.elems, 1);
	live = calloc(m->htab.stripes, sizeof(*live));
	if (!a.at || !live) {
		free(a.at);
		free(live);
		return -ENOMEM;
	}
	for (i = 0; i < m->htab.buckets && !a.found.bad; i++)
		live[i & (m->htab.stripes - 1)] += audit_bucket(&a, i);

	for (i = 0; i < m->htab.stripes && !a.found.bad; i++) {
		struct stripe *st = htab_stripe(m, i);
		uint32_t count = (st->gift >> 28) & 0xff, index1 = link_index1(st->gift);

		total += live[i];
		if (st->lock)
			complain(&a.found, "stripe %u is locked (%#x)", i, st->lock);
		if (st->intent.op)
			complain(&a.found, "stripe %u has an intent (%u)", i, st->intent.op);
		if (st->live != live[i])
			complain(&a.found, "stripe %u counts %u elements, has %u", i, st->live,
				 live[i]);
		if (st->live > st->quota)
			complain(&a.found, "stripe %u has %u of %u", i, st->live, st->quota);
		if (st->fresh > m->htab.per_stripe)
			complain(&a.found, "stripe %u: fresh %u of %u", i, st->fresh,
				 m->htab.per_stripe);
		if ((st->gift >> 36) & 0xfff)
			complain(&a.found, "stripe %u: its gift is still claimed", i);
		quota += st->quota;
		audit_list(&a, i, (uint32_t)st->heads, IN_FREE);
		audit_list(&a, i, (uint32_t)(st->heads >> 32), IN_LIMBO);
		for (j = st->fresh; j < m->htab.per_stripe && !a.found.bad; j++)
			claim(&a, i * m->htab.per_stripe + j + 1, IN_FRESH, i);
		if (st->gift)
			quota += count;
		for (j = 0; st->gift && j < count && !a.found.bad; j++) {
			struct elem *e = claim(&a, index1, IN_GIFT, i);

			index1 = e ? (uint32_t)e->next : 0;
		}
	}
	if (!a.found.bad && quota != m->attr.max_entries)
		complain(&a.found, "quotas add up to %llu, not to max_entries %u",
			 (unsigned long long)quota, m->attr.max_entries);
	if (!a.found.bad && total > m->attr.max_entries)
		complain(&a.found, "%llu elements of %u", (unsigned long long)total,
			 m->attr.max_entries);
	for (i = 0; i < m->htab.elems && !a.found.bad; i++) {
		if (!a.at[i])
			complain(&a.found, "element %u is lost", i);
	}
	if (load_relaxed(&m->shared->damaged))
		complain(&a.found, "the map is marked damaged");
	free(a.at);
	free(live);
	return a.found.bad ? -EINVAL : 0;
}
