/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The index of an LPM trie: tables of links by the first bits.
 *
 *   index_off  | level 8: 2^8 slots | level 10: 2^10 | ... | level_max |
 *
 * Each part has the slots of its own stems, and uses its finest level, the next one, and from
 * there every second one (lpm_level_below()). It goes to a finer one as it grows, as far as the
 * memory that the kernel would need for the same prefixes allows.
 *
 * What a change does to a slot follows from the change alone. The link in a slot leads to
 * the uppermost place of the trie below which all prefixes begin with the slot's bits. A node
 * at position >= level that comes or goes there gives the slot its other link; one above
 * has, on the side of the changed prefix, nothing else of that stem.
 *
 * Order. The intent has the slots' values before and after. They are 0 from before
 * the commit until after it: a reader that comes meanwhile goes by the trie itself, one that
 * has read the old link before sees the trie as it was. Death in between: who takes the lock
 * stores the one or the other.
 *
 * A new table is filled while nobody reads it; the store to part->fine puts it into use. A
 * death before that leaves nothing to repair: it is filled again.
 */
#include "map/lpm.h"

/* Bytes of the tables of a part up to this level, all that it has used on the way. */
static uint64_t table_bytes(uint32_t level)
{
	return (4ULL << (level - LPM_PART_BITS)) * 4 / 3;
}

/* The elements of a part from which a level is within the memory that the kernel needs. */
static uint64_t worth_from(const struct map *m, uint32_t level)
{
	return table_bytes(level) * 8 / 7 / m->lpm.slack + 16;
}

uint64_t lpm_index_layout(struct map *m, uint64_t off)
{
	int64_t slack = (int64_t)LPM_KERNEL_NODE + m->lpm.data_size + m->attr.value_size -
			m->lpm.stride - (int64_t)sizeof(struct lpm_node);
	uint32_t level;

	m->lpm.index_off = round_up_u64(off, SHMAP_PAGE);
	m->lpm.level_max = 0;
	if (m->lpm.parts == 1 || slack <= 0)
		return off;
	m->lpm.slack = (uint32_t)slack;
	for (level = LPM_LEVEL_MIN; level <= LPM_LEVEL_MAX && level <= m->lpm.max_plen; level += 2)
		if (worth_from(m, level) <= m->lpm.capacity)
			m->lpm.level_max = level;
	if (!m->lpm.level_max)
		return off;
	return m->lpm.index_off +
	       ((4ULL << m->lpm.level_max) - (1ULL << LPM_LEVEL_MIN)) / 3 * sizeof(uint32_t);
}

void lpm_index_plan(struct map *m, uint32_t i, const struct lpm_key *k, uint32_t old_link,
		    uint32_t new_link, uint32_t pos, uint32_t alone)
{
	struct lpm_part *part = lpm_part(m, i);
	struct lpm_intent *in = &part->intent;
	uint32_t level = part->fine, n, slot;

	in->fine = 0;
	if (!lpm_level_ok(m, level))
		return;
	in->fine = level;
	in->stem = k->stem;
	for (n = 0; n < LPM_LEVELS && level >= LPM_LEVEL_MIN;
	     n++, level = lpm_level_below(level, in->fine)) {
		in->slot_old[n] = in->slot_new[n] = 0;
		if (level > k->plen)
			continue;
		slot = load_relaxed(lpm_slot(m, level, in->stem));
		in->slot_old[n] = in->slot_new[n] = slot;
		if (pos < level)
			in->slot_new[n] = alone;
		else if (slot == old_link)
			in->slot_new[n] = new_link;
	}
}

void lpm_index_clear(struct map *m, const struct lpm_intent *in)
{
	uint32_t level = in->fine, n;

	if (!level)
		return;
	for (n = 0; n < LPM_LEVELS && level >= LPM_LEVEL_MIN;
	     n++, level = lpm_level_below(level, in->fine))
		if (in->slot_old[n] != in->slot_new[n])
			store_relaxed(lpm_slot(m, level, in->stem), 0);
}

/* The intent may be what somebody has made of the file. */
void lpm_index_store(struct map *m, const struct lpm_intent *in, bool committed)
{
	uint32_t level = in->fine, n;

	if (!level || !lpm_level_ok(m, level))
		return;
	for (n = 0; n < LPM_LEVELS && level >= LPM_LEVEL_MIN;
	     n++, level = lpm_level_below(level, in->fine))
		if (in->slot_old[n] != in->slot_new[n])
			store_release(lpm_slot(m, level, in->stem),
				      committed ? in->slot_new[n] : in->slot_old[n]);
}

/* Fills the slots of a subtree. False: it makes no sense. */
static bool fill(struct map *m, uint32_t level, uint32_t link, int64_t above)
{
	uint32_t i = lpm_link_index(m, link), at = link, rank;
	const struct lpm_node *n;

	if (i == UINT32_MAX)
		return false;
	if (!lpm_link_is_elem(link)) {
		n = lpm_node(m, i);
		rank = n->rank;
		if ((int64_t)rank <= above || rank > LPM_RANK_BIT(m->lpm.max_plen))
			return false;
		if (rank >> 1 < level)
			return fill(m, level, n->child[0], rank) &&
			       fill(m, level, n->child[1], rank);
		/* any element below has the stem */
		for (; !lpm_link_is_elem(at); at = n->child[0]) {
			i = lpm_link_index(m, at);
			if (i == UINT32_MAX)
				return false;
			n = lpm_node(m, i);
			if ((int64_t)n->rank <= above || n->rank > LPM_RANK_BIT(m->lpm.max_plen))
				return false;
			above = n->rank;
		}
		i = lpm_link_index(m, at);
		if (i == UINT32_MAX)
			return false;
	}
	if ((*lpm_meta(m, i) & LPM_PLEN_MASK) >= level)
		store_relaxed(lpm_slot(m, level, lpm_stem(m, lpm_data(m, i))), link);
	return true;
}

static bool fill_level(struct map *m, uint32_t i, uint32_t level)
{
	uint32_t count = 1U << (level - LPM_PART_BITS), at;
	uint32_t *slots = lpm_slot(m, level, i << (32 - LPM_PART_BITS));

	if (object_populate(&m->obj, (uint64_t)((uint8_t *)slots - m->obj.base), count * 4ULL))
		return false;
	for (at = 0; at < count; at++)
		store_relaxed(&slots[at], LPM_NONE);
	return !lpm_part(m, i)->root || fill(m, level, lpm_part(m, i)->root, -1);
}

/* One step, to a level that is 2 bits finer. Of its levels the old set has one, its finest: that
 * is right as it is. */
static bool grow_once(struct map *m, struct lpm_part *part, uint32_t i, uint32_t fine)
{
	uint32_t level;

	for (level = fine; level >= LPM_LEVEL_MIN; level = lpm_level_below(level, fine))
		if (level != part->fine && !fill_level(m, i, level))
			return false;
	/* Counted as a change, twice, like any: readers between two equal counts have seen one
	 * set of tables. */
	store_release(&part->seq, part->seq + 1);
	store_release(&part->fine, fine);
	store_release(&part->seq, part->seq + 1);
	return true;
}

/*
 * How many elements the part will have when the map is full, if the parts stay as they are to
 * each other: the memory that counts is that of a full map.
 */
static uint64_t share(const struct map *m, const struct lpm_part *part)
{
	uint64_t live = 0;
	uint32_t i;

	for (i = 0; i < m->lpm.parts; i++)
		live += load_relaxed(&lpm_part(m, i)->live);
	return live ? (uint64_t)part->live * m->lpm.capacity / live : 0;
}

void lpm_index_grow(struct map *m, uint32_t i)
{
	struct lpm_part *part = lpm_part(m, i);
	uint64_t worth;
	uint32_t fine;

	for (;;) {
		fine = lpm_level_ok(m, part->fine) ? part->fine + 2 : LPM_LEVEL_MIN;
		if (i == LPM_SHORT_PART || fine > m->lpm.level_max) {
			part->grow_at = UINT32_MAX;
			return;
		}
		worth = worth_from(m, fine);
		if (part->live < worth / 4) {
			part->grow_at = (uint32_t)(worth / 4);
			return;
		}
		if (part->live < worth && share(m, part) < worth) {
			part->grow_at = part->live + part->live / 8 + 8;
			return;
		}
		/* No memory for it: not again before there are twice as many. */
		part->grow_at = part->live * 2;
		if (!grow_once(m, part, i, fine))
			return;
	}
}
