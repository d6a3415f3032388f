/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Elements, nodes and capacity of an LPM trie's parts.
 *
 * A part owns as many nodes as elements: it needs at most one node less than it has
 * elements in use. Both, and its quota, are where the map began them, in the part's own
 * region, or they came as gifts.
 *
 * A gift. Each part has a word for what it gives away:
 *
 *   63      48 47      40 39     32 31             0
 *   | seq     | taker + 1 | count   | element + 1    |   0: none
 *
 * together with gift_node, the first of as many nodes. The giver, under its own lock, fills
 * the word and then strikes from its books what it gave (its intent says so meanwhile). Any
 * part's owner, under that part's lock, claims it by a compare-and-swap that puts its number
 * in: from then on it is the taker's, which clears the word when it has
 * taken everything over; its intent says so meanwhile.
 */
#include "map/gift.h"
#include "map/lpm.h"

#define GIFT_COUNT_SHIFT 32
#define GIFT_TAKER_SHIFT 40
#define GIFT_SEQ_SHIFT 48
#define GIFT_TAKER_MASK 0xffU
#define BACK_MAX (256UL << 10) /* bytes that get pages at a time */

static uint32_t gift_elem(uint64_t gift)
{
	return (uint32_t)gift;
}

static uint32_t gift_count(uint64_t gift)
{
	return (gift >> GIFT_COUNT_SHIFT) & 0xff;
}

static uint64_t heads_make(uint32_t free1, uint32_t limbo1)
{
	return free1 | (uint64_t)limbo1 << 32;
}

static uint32_t heads_free(uint64_t heads)
{
	return (uint32_t)heads;
}

static uint32_t heads_limbo(uint64_t heads)
{
	return (uint32_t)(heads >> 32);
}

/* number + 1 as read from shared memory: is there such an element, out of use? */
static bool elem_ok(const struct map *m, uint32_t elem1)
{
	return elem1 && elem1 <= m->lpm.elems && !(*lpm_meta(m, elem1 - 1) & LPM_LIVE);
}

static bool node_ok(const struct map *m, uint32_t node1)
{
	return node1 && node1 <= m->lpm.elems;
}

void lpm_pool_format(struct map *m)
{
	uint32_t n = m->lpm.parts, i;

	for (i = 0; i < n; i++)
		lpm_part(m, i)->quota = m->lpm.capacity / n + (i < m->lpm.capacity % n);
}

/*
 * The stamp of limbo's top, and so of all of limbo. It is taken now, not when the element
 * was unlinked: whoever unlinked it has since released the lock, or died, so the unlink is
 * visible to everybody.
 */
static uint32_t limbo_stamp(struct lpm_part *part)
{
	if (part->limbo_top != heads_limbo(part->heads)) {
		part->limbo_stamp = lease_stamp();
		fence_compiler();
		part->limbo_top = heads_limbo(part->heads);
	}
	return part->limbo_stamp;
}

/* All of limbo becomes the free list, which is empty. */
static void limbo_to_free(struct lpm_part *part)
{
	part->limbo_top = 0; /* first: an element that comes there again needs a new stamp */
	fence_compiler();
	part->heads = heads_make(heads_limbo(part->heads), 0);
	part->limbo_len = 0;
}

/*
 * Gives pages to what follows in a region of `size`-byte things that starts at `off`: to a
 * quarter of what has some already, within bounds. A death before *backed grows: the
 * next one populates again, which does nothing to pages that are there.
 */
static int back(struct map *m, uint64_t off, uint64_t size, uint32_t *backed, uint32_t upto)
{
	uint64_t from = *backed, bytes = from * size / 4, more;
	int err;

	if (upto <= from)
		return 0;
	if (bytes > BACK_MAX)
		bytes = BACK_MAX;
	/* to the end of a page, as that is what is given */
	bytes = round_up_u64(off + upto * size + bytes, SHMAP_PAGE) - off;
	more = bytes / size;
	if (more < upto)
		more = upto;
	if (more > m->lpm.per_part)
		more = m->lpm.per_part;
	err = object_populate(&m->obj, off + from * size, (more - from) * size);
	if (!err)
		*backed = (uint32_t)more;
	return err;
}

static int back_elems(struct map *m, uint32_t i, uint32_t upto)
{
	uint64_t off = m->lpm.elem_off + (uint64_t)i * m->lpm.per_part * m->lpm.stride;

	return back(m, off, m->lpm.stride, &lpm_part(m, i)->backed, upto);
}

static int back_nodes(struct map *m, uint32_t i, uint32_t upto)
{
	uint64_t off = m->lpm.node_off + (uint64_t)i * m->lpm.per_part * sizeof(struct lpm_node);

	return back(m, off, sizeof(struct lpm_node), &lpm_part(m, i)->node_backed, upto);
}

static int alloc_node(struct map *m, uint32_t i, struct lpm_alloc *a)
{
	struct lpm_part *part = lpm_part(m, i);
	uint32_t fresh = part->node_fresh;
	int err;

	a->node_fresh_after = fresh;
	if (part->node_free) {
		if (unlikely(!node_ok(m, part->node_free)))
			goto damaged;
		a->node = part->node_free - 1;
		a->node_next = a->node_free_after = lpm_node(m, a->node)->child[0];
		return 0;
	}
	if (unlikely(fresh >= m->lpm.per_part))
		goto damaged; /* a part has as many nodes as elements */
	if (unlikely(fresh >= part->node_backed)) {
		err = back_nodes(m, i, fresh + 1);
		if (err)
			return err;
	}
	a->node = i * m->lpm.per_part + fresh;
	a->node_next = a->node_free_after = 0;
	a->node_fresh_after = fresh + 1;
	return 0;

damaged:
	lpm_damaged(m);
	part->node_free = 0;
	return -EIO;
}

int lpm_alloc(struct map *m, uint32_t i, bool with_node, bool force, struct lpm_alloc *a,
	      uint32_t *stamp)
{
	struct lpm_part *part = lpm_part(m, i);
	uint32_t fresh = part->fresh < m->lpm.per_part ? part->fresh : m->lpm.per_part;
	int err;

	if (with_node) {
		err = alloc_node(m, i, a);
		if (unlikely(err))
			return err;
	}
	if (!heads_free(part->heads) && heads_limbo(part->heads) &&
	    (fresh == m->lpm.per_part || part->limbo_len >= LPM_LIMBO_BATCH)) {
		if ((force && (int32_t)(limbo_stamp(part) - *stamp) <= 0) ||
		    lease_elapsed(limbo_stamp(part), -1))
			limbo_to_free(part);
	}
	a->fresh_after = fresh;
	if (heads_free(part->heads)) {
		if (unlikely(!elem_ok(m, heads_free(part->heads))))
			goto damaged;
		a->elem = heads_free(part->heads) - 1;
		a->next = *lpm_next(m, a->elem);
		a->heads_after = heads_make(a->next, heads_limbo(part->heads));
		return 0;
	}
	if (fresh < m->lpm.per_part) {
		if (unlikely(fresh >= part->backed)) {
			err = back_elems(m, i, fresh + 1);
			if (err)
				return err;
		}
		a->elem = i * m->lpm.per_part + fresh;
		a->next = 0;
		a->heads_after = part->heads;
		a->fresh_after = fresh + 1;
		if (unlikely(!elem_ok(m, a->elem + 1)))
			goto damaged;
		return 0;
	}
	if (unlikely(!heads_limbo(part->heads)))
		goto damaged;
	*stamp = limbo_stamp(part);
	return -EAGAIN;

damaged:
	/* A damaged list cannot be told from a cyclic one: it is given up. */
	lpm_damaged(m);
	part->heads = 0;
	return -EIO;
}

/* Numbers a fresh run of the region as a list: changes nothing, as what is fresh is not
 * read before it has been given out. */
static void chain_fresh(struct map *m, uint32_t first, uint32_t n, bool nodes)
{
	uint32_t j, next;

	for (j = 0; j < n; j++) {
		next = j + 1 < n ? first + j + 2 : 0;
		if (nodes)
			lpm_node(m, first + j)->child[0] = next;
		else
			*lpm_next(m, first + j) = next;
	}
}

/* Up to n nodes to give: how many; *first1 the first, *free_after and *fresh_after what
 * becomes of the part's books. */
static uint32_t nodes_to_give(struct map *m, uint32_t i, uint32_t n, uint32_t *first1,
			      uint32_t *free_after, uint32_t *fresh_after)
{
	struct lpm_part *part = lpm_part(m, i);
	uint32_t at = part->node_free, got, fresh = part->node_fresh;

	*free_after = at;
	*fresh_after = fresh;
	if (at) {
		*first1 = at;
		for (got = 0; got < n && node_ok(m, at); got++)
			at = lpm_node(m, at - 1)->child[0];
		*free_after = at;
		return got;
	}
	if (fresh >= m->lpm.per_part)
		return 0;
	if (n > m->lpm.per_part - fresh)
		n = m->lpm.per_part - fresh;
	if (back_nodes(m, i, fresh + n))
		return 0;
	*first1 = i * m->lpm.per_part + fresh + 1;
	chain_fresh(m, *first1 - 1, n, true);
	*fresh_after = fresh + n;
	return n;
}

/* The same for elements. */
static uint32_t elems_to_give(struct map *m, uint32_t i, uint32_t n, uint32_t *first1,
			      uint32_t *free_after, uint32_t *fresh_after)
{
	struct lpm_part *part = lpm_part(m, i);
	uint32_t at = heads_free(part->heads), got, fresh = part->fresh;

	*free_after = at;
	*fresh_after = fresh;
	if (at) {
		*first1 = at;
		for (got = 0; got < n && elem_ok(m, at); got++)
			at = *lpm_next(m, at - 1);
		*free_after = at;
		return got;
	}
	if (fresh >= m->lpm.per_part)
		return 0;
	if (n > m->lpm.per_part - fresh)
		n = m->lpm.per_part - fresh;
	if (back_elems(m, i, fresh + n))
		return 0;
	*first1 = i * m->lpm.per_part + fresh + 1;
	chain_fresh(m, *first1 - 1, n, false);
	*fresh_after = fresh + n;
	return n;
}

/*
 * Makes a gift of up to half of what this part, locked, has to spare. *stamp gets GIFT_WAIT
 * | stamp when only elements in limbo are left; force leaves the caller's own lease out
 * of account.
 */
static int gift_make(struct map *m, uint32_t i, bool force, uint64_t *stamp)
{
	struct lpm_part *part = lpm_part(m, i);
	struct lpm_intent *in = &part->intent;
	uint32_t want, n, elem1 = 0, free_after, fresh_after, node1 = 0, node_free_after,
			  node_fresh_after;

	if (load_relaxed(&part->gift) || part->live >= part->quota ||
	    part->quota > m->attr.max_entries)
		return 0;
	want = (part->quota - part->live + 1) / 2;
	if (want > LPM_GIFT_MAX)
		want = LPM_GIFT_MAX;
	if (!heads_free(part->heads) && heads_limbo(part->heads) &&
	    lease_elapsed(limbo_stamp(part), force ? lease_cpu() : -1))
		limbo_to_free(part);
	n = elems_to_give(m, i, want, &elem1, &free_after, &fresh_after);
	if (!n) {
		if (heads_limbo(part->heads))
			*stamp = GIFT_WAIT | limbo_stamp(part);
		return 0;
	}
	want = n;
	n = nodes_to_give(m, i, want, &node1, &node_free_after, &node_fresh_after);
	if (!n)
		return 0;
	if (n < want) /* fewer, then: a run that was numbered begins again as it did */
		n = elems_to_give(m, i, n, &elem1, &free_after, &fresh_after);
	in->heads_after = heads_make(free_after, heads_limbo(part->heads));
	in->fresh_after = fresh_after;
	in->node_free_after = node_free_after;
	in->node_fresh_after = node_fresh_after;
	in->quota_after = part->quota - n;
	in->link = elem1 | (uint64_t)n << GIFT_COUNT_SHIFT |
		   (uint64_t)(part->arrivals & 0xffff) << GIFT_SEQ_SHIFT;
	part->gift_node = node1;
	fence_compiler();
	store_relaxed(&in->op, LPM_INTENT_GIVE);
	fence_compiler();
	store_release(&part->gift, in->link);
	lpm_recover_part(m, i);
	return 0;
}

void lpm_give_complete(struct map *m, uint32_t i)
{
	struct lpm_part *part = lpm_part(m, i);
	const struct lpm_intent *in = &part->intent;

	part->heads = in->heads_after;
	part->fresh = in->fresh_after;
	part->node_free = in->node_free_after;
	part->node_fresh = in->node_fresh_after;
	store_relaxed(&part->quota, in->quota_after);
}

/* Takes what the claimed gift word holds into the free lists. Idempotent: a list that has
 * the gift at its head has it all. */
static void take_complete(struct map *m, uint32_t i, struct lpm_part *from)
{
	struct lpm_part *part = lpm_part(m, i);
	const struct lpm_intent *in = &part->intent;
	uint32_t n = gift_count(in->link), at, j;

	if (heads_free(part->heads) != gift_elem(in->link)) {
		for (j = 1, at = gift_elem(in->link); j < n; j++) {
			if (!elem_ok(m, at))
				goto damaged;
			at = *lpm_next(m, at - 1);
		}
		if (!elem_ok(m, at))
			goto damaged;
		*lpm_next(m, at - 1) = heads_free(part->heads);
		fence_compiler();
		part->heads = in->heads_after;
	}
	if (part->node_free != in->new_node) {
		for (j = 1, at = in->new_node; j < n; j++) {
			if (!node_ok(m, at))
				goto damaged;
			at = lpm_node(m, at - 1)->child[0];
		}
		if (!node_ok(m, at))
			goto damaged;
		lpm_node(m, at - 1)->child[0] = part->node_free;
		fence_compiler();
		part->node_free = in->new_node;
	}
	/* Before the quota: see lpm_steal(). */
	store_relaxed(&part->arrivals, part->arrivals + 1);
	store_release(&part->quota, in->quota_after);
	/* The last step: the word is the record that we own its contents. */
	store_release(&from->gift, 0);
	return;

damaged:
	lpm_damaged(m);
}

void lpm_take_again(struct map *m, uint32_t i)
{
	const struct lpm_intent *in = &lpm_part(m, i)->intent;

	if (in->where >= m->lpm.parts)
		lpm_damaged(m);
	else if (load_acquire(&lpm_part(m, (uint32_t)in->where)->gift) == in->link)
		take_complete(m, i, lpm_part(m, (uint32_t)in->where));
}

/* Claims the gift of part `from` for part i, which is locked. */
static bool gift_take(struct map *m, uint32_t i, uint32_t from)
{
	struct lpm_part *part = lpm_part(m, i), *giver = lpm_part(m, from);
	struct lpm_intent *in = &part->intent;
	uint64_t gift = load_acquire(&giver->gift), claimed;

	if (!gift || (gift >> GIFT_TAKER_SHIFT & GIFT_TAKER_MASK) || !gift_count(gift) ||
	    gift_count(gift) > LPM_GIFT_MAX || !elem_ok(m, gift_elem(gift)))
		return false;
	/* The giver has committed, but not yet struck what it gave from its own
	 * books; if it is dead its recovery needs to find the word. */
	if (load_acquire(&giver->intent.op) == LPM_INTENT_GIVE)
		return false;
	claimed = gift | (uint64_t)(i + 1) << GIFT_TAKER_SHIFT;
	in->where = from;
	in->link = claimed;
	in->new_node = load_relaxed(&giver->gift_node);
	in->heads_after = heads_make(gift_elem(gift), heads_limbo(part->heads));
	in->quota_after = part->quota + gift_count(gift);
	fence_compiler();
	store_relaxed(&in->op, LPM_INTENT_TAKE);
	fence_compiler();
	if (cas_seq_cst(&giver->gift, &gift, claimed))
		take_complete(m, i, giver);
	fence_compiler();
	store_relaxed(&in->op, LPM_INTENT_NONE);
	return true;
}

static struct gift_part part_part(const struct map *m, uint32_t i)
{
	struct lpm_part *part = lpm_part(m, i);

	return (struct gift_part){.gift = &part->gift,
				  .lock = &part->lock,
				  .live = &part->live,
				  .quota = &part->quota,
				  .arrivals = &part->arrivals,
				  .changing = load_relaxed(&part->intent.op) == LPM_INTENT_CHANGE};
}

/* Pages for n more prefixes. */
static int part_back(struct map *m, uint32_t i, uint32_t n)
{
	const struct lpm_part *part = lpm_part(m, i);
	uint64_t most = m->lpm.per_part, elems = (uint64_t)part->fresh + n,
		 nodes = (uint64_t)part->node_fresh + n;
	int err = back_elems(m, i, (uint32_t)(elems < most ? elems : most));

	if (!err)
		err = back_nodes(m, i, (uint32_t)(nodes < most ? nodes : most));
	return err == -ENOSPC ? -ENOMEM : err;
}

const struct gift_ops lpm_gifts = {
	.taker_shift = GIFT_TAKER_SHIFT,
	.taker_mask = GIFT_TAKER_MASK,
	.part = part_part,
	.lock = lpm_lock,
	.unlock = lpm_unlock,
	.make = gift_make,
	.take = gift_take,
	.back = part_back,
};

int lpm_steal(struct map *m, uint32_t i)
{
	int err = m->lpm.parts == 1
			  ? -ENOSPC
			  : gift_search(m, &lpm_gifts, m->lpm.parts, i, 1, GIFT_TRIES, true);

	return err == -ENOSPC && m->lpm.capacity < m->attr.max_entries ? -ENOMEM : err;
}
