/* SPDX-License-Identifier: BSD-2-Clause */
/* Every invariant of an LPM trie that nobody is changing: for the tests. */
#include "map/complaint.h"
#include "map/lpm.h"

#include <stdlib.h>

enum where { NOWHERE, IN_TRIE, IN_FREE, IN_LIMBO, IN_GIFT };

struct audit {
	struct map *m;
	uint8_t *elem_at, *node_at; /* enum where */
	uint64_t live, elems, nodes;
	struct complaint found;
};

static bool claim(struct audit *a, uint8_t *at, uint32_t number1, enum where where,
		  const char *what)
{
	if (!number1 || number1 > a->m->lpm.elems) {
		complain(&a->found, "%s %u out of range (kind %d)", what, number1, where);
		return false;
	}
	if (at[number1 - 1]) {
		complain(&a->found, "%s %u is in two places (%d and %d)", what, number1 - 1,
			 at[number1 - 1], where);
		return false;
	}
	at[number1 - 1] = where;
	if (at == a->elem_at) {
		a->elems++;
		if (!(*lpm_meta(a->m, number1 - 1) & LPM_LIVE) != (where != IN_TRIE))
			complain(&a->found, "element %u of kind %d has meta %#x", number1 - 1,
				 where, *lpm_meta(a->m, number1 - 1));
	} else {
		a->nodes++;
	}
	return !a->found.bad;
}

/* Checks a subtree; returns one of its elements (number + 1). */
static uint32_t audit_link(struct audit *a, uint32_t part, uint32_t link, int64_t above)
{
	uint32_t number1 = link & LPM_INDEX_MASK, x, y, pos, common, px, py;
	struct map *m = a->m;
	struct lpm_node *n;

	if (a->found.bad)
		return 0;
	if (link & LPM_ELEM) {
		uint32_t plen;
		struct lpm_key k;

		if (!claim(a, a->elem_at, number1, IN_TRIE, "element"))
			return 0;
		a->live++;
		plen = *lpm_meta(m, number1 - 1) & LPM_PLEN_MASK;
		k = (struct lpm_key){.plen = plen, .stem = lpm_stem(m, lpm_data(m, number1 - 1))};
		if (plen > m->lpm.max_plen || lpm_part_of(m, &k) != part)
			complain(&a->found, "part %u has a prefix of %u bits that is not its own",
				 part, plen);
		return number1;
	}
	if (!claim(a, a->node_at, number1, IN_TRIE, "node"))
		return 0;
	n = lpm_node(m, number1 - 1);
	if ((int64_t)n->rank <= above || n->rank > LPM_RANK_BIT(m->lpm.max_plen - 1)) {
		complain(&a->found, "node %u of rank %u below one of %lld", number1 - 1, n->rank,
			 (long long)above);
		return 0;
	}
	x = audit_link(a, part, n->child[0], n->rank);
	y = audit_link(a, part, n->child[1], n->rank);
	if (a->found.bad)
		return 0;
	pos = n->rank >> 1;
	px = *lpm_meta(m, x - 1) & LPM_PLEN_MASK;
	py = *lpm_meta(m, y - 1) & LPM_PLEN_MASK;
	common = lpm_common(lpm_data(m, x - 1), lpm_data(m, y - 1), px < py ? px : py);
	if (common != pos)
		complain(&a->found, "node %u: its sides share %u bits, not %u", number1 - 1, common,
			 pos);
	else if (n->rank & 1 ? lpm_bit(lpm_data(m, x - 1), pos) || px <= pos || py <= pos
			     : px != pos || !(n->child[0] & LPM_ELEM) || py <= pos)
		complain(&a->found, "node %u of rank %u has its sides wrong", number1 - 1, n->rank);
	return y; /* of an END the longer one */
}

static void audit_elems(struct audit *a, uint32_t at, uint32_t count, enum where where)
{
	uint32_t n;

	for (n = 0; at && n < count; n++) {
		if (!claim(a, a->elem_at, at, where, "element"))
			return;
		at = *lpm_next(a->m, at - 1);
	}
	if (where == IN_GIFT && n != count)
		complain(&a->found, "a gift of %u elements has %u", count, n);
}

static void audit_nodes(struct audit *a, uint32_t at, uint32_t count, enum where where)
{
	uint32_t n;

	for (n = 0; at && n < count; n++) {
		if (!claim(a, a->node_at, at, where, "node"))
			return;
		at = lpm_node(a->m, at - 1)->child[0];
	}
	if (where == IN_GIFT && n != count)
		complain(&a->found, "a gift of %u nodes has %u", count, n);
}

/* The index says what the trie says: each slot, looked up in the trie. */
static void audit_index(struct audit *a, uint32_t i)
{
	struct lpm_part *part = lpm_part(a->m, i);
	uint32_t level, at;
	struct map *m = a->m;

	if (!part->fine)
		return;
	if (!lpm_level_ok(m, part->fine)) {
		complain(&a->found, "part %u has an index of %u bits", i, part->fine);
		return;
	}
	for (level = part->fine; level >= LPM_LEVEL_MIN && !a->found.bad;
	     level = lpm_level_below(level, part->fine)) {
		for (at = 0; at < 1U << (level - LPM_PART_BITS); at++) {
			uint32_t stem = i << 28 | at << (32 - level), link = part->root, want;
			uint8_t data[4] = {stem >> 24, stem >> 16, stem >> 8, stem};
			uint32_t slot = *lpm_slot(m, level, stem), x;

			while (link && !(link & LPM_ELEM) &&
			       lpm_node(m, link - 1)->rank >> 1 < level) {
				struct lpm_node *node = lpm_node(m, link - 1);

				link = node->child[node->rank & 1 ? lpm_bit(data, node->rank >> 1)
								  : 1];
			}
			for (x = link; x && !(x & LPM_ELEM);)
				x = lpm_node(m, x - 1)->child[0];
			want = LPM_NONE;
			if (x &&
			    (*lpm_meta(m, (x & LPM_INDEX_MASK) - 1) & LPM_PLEN_MASK) >= level &&
			    lpm_stem(m, lpm_data(m, (x & LPM_INDEX_MASK) - 1)) >> (32 - level) ==
				    stem >> (32 - level))
				want = link;
			if (slot != want) {
				complain(&a->found, "part %u, level %u: slot %#x has %#x, not %#x",
					 i, level, at, slot, want);
				return;
			}
		}
	}
}

static void audit_part(struct audit *a, uint32_t i, uint64_t *quota, uint64_t *fresh)
{
	struct lpm_part *part = lpm_part(a->m, i);
	uint32_t count = (part->gift >> 32) & 0xff;

	a->live = 0;
	if (part->lock)
		complain(&a->found, "part %u is locked (%#x)", i, part->lock);
	if (part->intent.op)
		complain(&a->found, "part %u has an intent (%u)", i, part->intent.op);
	if (part->root)
		audit_link(a, i, part->root, -1);
	if (!a->found.bad)
		audit_index(a, i);
	if (part->live != a->live)
		complain(&a->found, "part %u counts %u elements, has %llu", i, part->live,
			 (unsigned long long)a->live);
	if (part->live > part->quota)
		complain(&a->found, "part %u has %u of %u", i, part->live, part->quota);
	if (part->fresh > a->m->lpm.per_part || part->node_fresh > a->m->lpm.per_part)
		complain(&a->found, "part %u: fresh %u and %u of %u", i, part->fresh,
			 part->node_fresh, a->m->lpm.per_part);
	if (part->backed < part->fresh || part->node_backed < part->node_fresh)
		complain(&a->found, "part %u uses what has no pages", i);
	if ((part->gift >> 40) & 0xff)
		complain(&a->found, "part %u: its gift is still claimed", i);
	audit_elems(a, (uint32_t)part->heads, UINT32_MAX, IN_FREE);
	audit_elems(a, (uint32_t)(part->heads >> 32), UINT32_MAX, IN_LIMBO);
	audit_nodes(a, part->node_free, UINT32_MAX, IN_FREE);
	if (part->gift) {
		audit_elems(a, (uint32_t)part->gift, count, IN_GIFT);
		audit_nodes(a, part->gift_node, count, IN_GIFT);
		*quota += count;
	}
	*quota += part->quota;
	fresh[0] += part->fresh;
	fresh[1] += part->node_fresh;
}

int lpm_validate(struct map *m, char *why, size_t size)
{
	struct audit a = {.m = m, .found = {why, size, false}};
	uint64_t quota = 0, fresh[2] = {0};
	uint32_t i;

	a.elem_at = calloc(m->lpm.elems, 1);
	a.node_at = calloc(m->lpm.elems, 1);
	if (!a.elem_at || !a.node_at) {
		free(a.elem_at);
		free(a.node_at);
		return -ENOMEM;
	}
	for (i = 0; i < m->lpm.parts && !a.found.bad; i++)
		audit_part(&a, i, &quota, fresh);
	if (!a.found.bad && quota != m->lpm.capacity)
		complain(&a.found, "quotas add up to %llu, not to %u", (unsigned long long)quota,
			 m->lpm.capacity);
	/* What was ever taken from the regions is somewhere. */
	if (!a.found.bad && (a.elems != fresh[0] || a.nodes != fresh[1]))
		complain(&a.found, "%llu of %llu elements and %llu of %llu nodes are somewhere",
			 (unsigned long long)a.elems, (unsigned long long)fresh[0],
			 (unsigned long long)a.nodes, (unsigned long long)fresh[1]);
	if (load_relaxed(&m->shared->damaged))
		complain(&a.found, "the map is marked damaged");
	free(a.elem_at);
	free(a.node_at);
	return a.found.bad ? -EINVAL : 0;
}
