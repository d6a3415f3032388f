/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a hash table's elements come from, and what is left when a process dies
 * (see htab.h for the whole).
 *
 * Each stripe owns a region of elements, used from `fresh` upwards, a free
 * list, and limbo: elements that left the table and may still be in the
 * hands of a running program. Both lists are stacks through elem.next, both
 * heads stand in one word.
 *
 * The gift word:   63       48 47       36 35    28 27          0
 *                  | sequence  | taker + 1 | count  | first + 1   |
 * 0: none. Count elements, linked from the first, and as much quota. It has
 * left its giver and belongs to nobody until a taker has put its stripe
 * into the word; then it is the taker's, which clears the word when it has
 * taken everything over.
 */
#include "map/gift.h"
#include "map/htab.h"
#include "map/htab_commit.h"
#include "map/htab_lru.h"

#include <stdio.h>
#include <string.h>

#define GIFT_COUNT_SHIFT 28
#define GIFT_TAKER_SHIFT 36
#define GIFT_SEQ_SHIFT 48
#define GIFT_TAKER_MASK 0xfffU

static uint32_t gift_count(uint64_t gift)
{
	return (gift >> GIFT_COUNT_SHIFT) & 0xff;
}

/*
 * The stamp of limbo's top, and so of all of limbo. It is taken now, not when the
 * element was unlinked: whoever unlinked it has since released the lock, or died,
 * so the unlink is visible to everybody, and no fence is needed at each unlink.
 */
static uint32_t limbo_stamp(struct elem *top)
{
	if (!(top->next & ELEM_STAMPED)) {
		store_relaxed(&top->stamp, lease_stamp()); /* LRU: a late lookup may look */
		fence_compiler();
		/* a late reader may still follow it, and then finds another generation */
		store_relaxed(&top->next, top->next | ELEM_STAMPED);
	}
	return top->stamp;
}

void htab_pool_format(struct map *m)
{
	uint32_t n = m->htab.stripes, i;

	for (i = 0; i < n; i++) {
		struct stripe *st = htab_stripe(m, i);

		st->quota = m->attr.max_entries / n + (i < m->attr.max_entries % n);
	}
}

/* Is this the last page of buckets of a huge page? */
static void buckets_collapse(struct map *m, uint32_t page)
{
	const uint32_t *bits = (const uint32_t *)(m->obj.base + m->htab.page_off);
	uint64_t at = m->htab.bucket_off + (uint64_t)page * SHMAP_PAGE;
	uint64_t begin = at & ~(OBJECT_HUGE - 1), i;

	if (begin < m->htab.bucket_off || begin + OBJECT_HUGE > m->htab.elem_off)
		return;
	i = (begin - m->htab.bucket_off) / SHMAP_PAGE;
	for (at = i; at < i + OBJECT_HUGE / SHMAP_PAGE; at++) {
		if (!(load_relaxed(&bits[at / 32]) >> at % 32 & 1))
			return;
	}
	object_collapse(&m->obj, begin, OBJECT_HUGE);
}

int htab_bucket_populate(struct map *m, uint32_t bucket)
{
	uint32_t page = bucket / HTAB_PAGE_BUCKETS;
	uint32_t *bits = (uint32_t *)(m->obj.base + m->htab.page_off);
	int err = object_populate(&m->obj, m->htab.bucket_off + (uint64_t)page * SHMAP_PAGE,
				  SHMAP_PAGE);

	/* A death before this store: the next one populates again. */
	if (!err)
		fetch_or_seq_cst(&bits[page / 32], 1U << page % 32);
	if (!err)
		buckets_collapse(m, page);
	return err;
}

/*
 * Elements from..upto-1 have got pages, in a part of the file where each has `size` bytes:
 * of the huge pages there, those that are full of such ones.
 */
static void elems_collapse(struct map *m, uint64_t part, uint64_t size, uint64_t from,
			   uint64_t upto)
{
	uint64_t begin = part + from * size, end = part + upto * size, at, first, last, stripe;
	uint32_t per = m->htab.per_stripe;

	begin &= ~(OBJECT_HUGE - 1);
	for (at = begin; at < end; at += OBJECT_HUGE) {
		if (at < part || at + OBJECT_HUGE > part + m->htab.elems * size)
			continue;
		first = (at - part) / size;
		last = (at + OBJECT_HUGE - 1 - part) / size;
		for (stripe = first / per; stripe <= last / per; stripe++) {
			uint64_t need = last - stripe * per + 1;

			if (load_relaxed(&htab_stripe(m, (uint32_t)stripe)->backed) <
			    (need < per ? need : per))
				break;
		}
		if (stripe > last / per)
			object_collapse(&m->obj, at, OBJECT_HUGE);
	}
}

/* Gives pages to the next elements of the region: half as many again as have some. */
#define POPULATE_MIN 64

static int region_populate(struct map *m, uint32_t stripe, uint32_t upto)
{
	struct stripe *st = htab_stripe(m, stripe);
	uint32_t from = st->backed, chunk, cpu;
	uint64_t first;
	int err;

	if (upto <= from)
		return 0;
	chunk = from / 2 > POPULATE_MIN ? from / 2 : POPULATE_MIN;
	if (upto - from < chunk)
		upto = m->htab.per_stripe - from < chunk ? m->htab.per_stripe : from + chunk;
	first = (uint64_t)stripe * m->htab.per_stripe + from;
	err = object_populate(&m->obj, m->htab.elem_off + first * m->htab.elem_stride,
			      (uint64_t)(upto - from) * m->htab.elem_stride);
	for (cpu = 0; !err && m->ops->per_cpu && cpu < m->attr.possible_cpus; cpu++)
		err = object_populate(&m->obj,
				      m->htab.percpu_off + cpu * m->htab.percpu_stride +
					      first * m->elem_size,
				      (uint64_t)(upto - from) * m->elem_size);
	if (!err && htab_lru(m))
		err = htab_lru_populate(m, first, upto - from);
	/* A death before this store: the next one populates again, which does
	 * nothing to pages that are there. */
	if (err)
		return err;
	st->backed = upto;
	if (m->obj.size < OBJECT_HUGE_MIN)
		return 0;
	elems_collapse(m, m->htab.elem_off, m->htab.elem_stride, first, first + upto - from);
	for (cpu = 0; m->ops->per_cpu && cpu < m->attr.possible_cpus; cpu++)
		elems_collapse(m, m->htab.percpu_off + cpu * m->htab.percpu_stride, m->elem_size,
			       first, first + upto - from);
	return 0;
}

int htab_pool_reserve(struct map *m, uint32_t stripe, uint32_t n)
{
	uint32_t upto = htab_stripe(m, stripe)->fresh + n;

	return region_populate(m, stripe, upto < m->htab.per_stripe ? upto : m->htab.per_stripe);
}

/* Limbo's top: what this very run deleted it may reuse: only others count then. */
static bool own_limbo(struct map *m, uint32_t index1, struct elem *top, int cpu)
{
	return !(top->gen & 1) && elem_freed_cpu1(top) == (uint32_t)cpu + 1 &&
	       lease_elapsed_locked(limbo_stamp(top), cpu) &&
	       !(m->attr.spin_lock_off >= 0 && htab_elem_busy(m, index1 - 1));
}

int htab_alloc(struct map *m, uint32_t stripe, bool force, struct htab_alloc *a, uint32_t *stamp)
{
	struct stripe *st = htab_stripe(m, stripe);
	uint64_t heads = st->heads;
	uint32_t fresh = st->fresh < m->htab.per_stripe ? st->fresh : m->htab.per_stripe;
	struct elem *e, *top;
	int err, cpu = lease_cpu();

	if (!heads_free(heads) && heads_limbo(heads)) {
		top = htab_elem_at(m, heads_limbo(heads));
		if (!top)
			goto damaged;
		if (fresh < m->htab.per_stripe && st->limbo_len < HTAB_LIMBO_BATCH &&
		    !region_populate(m, stripe, fresh + 1)) {
			/* not worth a look at the leases yet */
		} else if (cpu >= 0 && own_limbo(m, heads_limbo(heads), top, cpu)) {
			a->index = heads_limbo(heads) - 1;
			a->from = INTENT_LIMBO;
			a->rest1 = (uint32_t)top->next;
			return 0;
		} else if ((force && (int32_t)(limbo_stamp(top) - *stamp) <= 0) ||
			   lease_elapsed_locked(limbo_stamp(top), -1)) {
			heads = heads_make(heads_limbo(heads), 0);
			store_relaxed(&st->heads, heads);
			st->limbo_len = 0;
		}
	}
	if (heads_free(heads)) {
		e = htab_elem_at(m, heads_free(heads));
		if (!e || (e->gen & 1))
			goto damaged;
		/* With a lock in the value: a BPF_F_LOCK writer that came before
		 * the delete may still be writing to it. */
		if (unlikely(m->attr.spin_lock_off >= 0) &&
		    htab_elem_busy(m, heads_free(heads) - 1))
			goto busy;
		a->index = heads_free(heads) - 1;
		a->from = INTENT_FREE;
		a->rest1 = (uint32_t)e->next;
		return 0;
	}
busy:
	if (fresh < m->htab.per_stripe) {
		if (fresh >= st->backed) {
			err = region_populate(m, stripe, fresh + 1);
			if (err && !heads_limbo(heads))
				return err;
			if (err)
				goto limbo; /* a full tmpfs: it has elements, only not yet */
		}
		a->index = stripe * m->htab.per_stripe + fresh;
		a->from = INTENT_FRESH;
		a->rest1 = 0;
		if (htab_elem(m, a->index)->gen & 1)
			goto damaged;
		return 0;
	}
limbo:
	if (heads_free(heads)) {
		*stamp = lease_stamp(); /* any: one more look, after a short while */
		return -EAGAIN;
	}
	top = htab_elem_at(m, heads_limbo(heads));
	if (!top || (top->gen & 1))
		goto damaged;
	*stamp = limbo_stamp(top);
	return -EAGAIN;

damaged:
	/* A damaged list cannot be told from a cyclic one: it is given up. */
	htab_damaged(m);
	store_relaxed(&st->heads, 0);
	return -EIO;
}

/*
 * Makes a gift of up to half of what this stripe, locked, has to spare. The
 * word must be 0. *stamp gets GIFT_WAIT | stamp when only elements in limbo
 * are left; force leaves the caller's own lease out of account.
 */
static int gift_make(struct map *m, uint32_t stripe, bool force, uint64_t *stamp)
{
	struct stripe *st = htab_stripe(m, stripe);
	struct intent *in = &st->intent;
	uint32_t want, fresh, first1 = 0, n = 0, next1 = 0, from;
	uint64_t heads = st->heads;
	struct elem *e;
	int err;

	if (load_relaxed(&st->gift) || st->live >= st->quota || st->quota > m->attr.max_entries)
		return 0;
	want = (st->quota - st->live + 1) / 2;
	if (want > HTAB_GIFT_MAX)
		want = HTAB_GIFT_MAX;

	if (!heads_free(heads) && heads_limbo(heads)) {
		e = htab_elem_at(m, heads_limbo(heads));
		if (e && lease_elapsed_locked(limbo_stamp(e), force ? lease_cpu() : -1)) {
			heads = heads_make(heads_limbo(heads), 0);
			store_relaxed(&st->heads, heads);
			st->limbo_len = 0;
		}
	}
	fresh = st->fresh < m->htab.per_stripe ? st->fresh : m->htab.per_stripe;
	if (heads_free(heads)) {
		/* A prefix of the free list; the taker counts. */
		from = INTENT_FREE;
		first1 = next1 = heads_free(heads);
		while (n < want) {
			e = htab_elem_at(m, next1);
			if (!e || (e->gen & 1))
				break;
			n++;
			next1 = (uint32_t)e->next;
			if (!next1)
				break;
		}
	} else if (fresh < m->htab.per_stripe) {
		if (want > m->htab.per_stripe - fresh)
			want = m->htab.per_stripe - fresh;
		err = region_populate(m, stripe, fresh + want);
		if (err)
			return err;
		/* Linking them changes nothing: a fresh element's next is not
		 * read before it has been given out. */
		for (n = 0; n < want; n++) {
			uint32_t i = stripe * m->htab.per_stripe + fresh + n;

			htab_elem(m, i)->next = n + 1 < want ? i + 2 : 0;
		}
		from = INTENT_FRESH;
		first1 = stripe * m->htab.per_stripe + fresh + 1;
	} else if (heads_limbo(heads)) {
		e = htab_elem_at(m, heads_limbo(heads));
		if (e)
			*stamp = GIFT_WAIT | limbo_stamp(e);
	}
	if (!n)
		return 0;

	in->rest1 = next1;
	in->after = st->quota - n;
	in->link = first1 | (uint64_t)n << GIFT_COUNT_SHIFT |
		   (uint64_t)(st->arrivals & 0xffff) << GIFT_SEQ_SHIFT;
	fence_compiler();
	store_relaxed(&in->op, INTENT_GIVE | from);
	fence_compiler();
	store_release(&st->gift, in->link);
	htab_recover_stripe(m, stripe);
	return 0;
}

static void give_complete(struct map *m, struct stripe *st, uint32_t stripe)
{
	const struct intent *in = &st->intent;

	if (in->op & INTENT_FREE)
		store_relaxed(&st->heads, heads_make(in->rest1, heads_limbo(st->heads)));
	else
		st->fresh = link_index1(in->link) - 1 - stripe * m->htab.per_stripe +
			    gift_count(in->link);
	store_relaxed(&st->quota, in->after);
}

/* Takes what the claimed gift word holds into the free list. Idempotent. */
static void take_complete(struct map *m, uint32_t stripe, uint64_t *gift)
{
	struct stripe *st = htab_stripe(m, stripe);
	const struct intent *in = &st->intent;
	uint32_t i, index1 = link_index1(in->link);
	struct elem *e = NULL;

	if (heads_free(st->heads) != link_index1(in->link)) {
		for (i = 0; i < gift_count(in->link); i++) {
			e = htab_elem_at(m, index1);
			if (!e) {
				htab_damaged(m);
				return;
			}
			index1 = (uint32_t)e->next;
		}
		if (e)
			store_relaxed(&e->next, (uint64_t)heads_free(st->heads));
		fence_compiler();
		store_relaxed(&st->heads,
			      heads_make(link_index1(in->link), heads_limbo(st->heads)));
	}
	/* Before the quota: see htab_steal(). */
	store_relaxed(&st->arrivals, st->arrivals + 1);
	store_release(&st->quota, in->after);
	/* The last step: the word is the record that we own its contents. */
	store_release(gift, 0);
}

/* Claims the gift of stripe `from` for `stripe`, which is locked. Brings room there. */
static bool gift_take(struct map *m, uint32_t stripe, uint32_t from)
{
	struct stripe *st = htab_stripe(m, stripe);
	uint64_t *word = &htab_stripe(m, from)->gift, gift = load_acquire(word);
	struct intent *in = &st->intent;
	uint64_t claimed;

	if (!gift || (gift >> GIFT_TAKER_SHIFT & GIFT_TAKER_MASK) ||
	    gift_count(gift) > HTAB_GIFT_MAX || !htab_elem_at(m, link_index1(gift)))
		return false;
	/* The giver has committed, but not yet struck what it gave from its own
	 * books; if it is dead its recovery needs to find the word. */
	if ((load_acquire(&htab_stripe(m, from)->intent.op) & INTENT_OP) == INTENT_GIVE)
		return false;
	gift_room_comes(htab_room(m));
	claimed = gift | (uint64_t)(stripe + 1) << GIFT_TAKER_SHIFT;
	in->where = from;
	in->link = claimed;
	in->after = st->quota + gift_count(gift);
	fence_compiler();
	store_relaxed(&in->op, INTENT_TAKE);
	fence_compiler();
	if (cas_seq_cst(word, &gift, claimed))
		take_complete(m, stripe, word);
	fence_compiler();
	store_relaxed(&in->op, INTENT_NONE);
	return true;
}

/* The word that a CHANGE stores to, or NULL. */
static uint64_t *change_word(struct map *m, uint32_t where)
{
	uint32_t i = where & ~WHERE_ELEM;

	if (where & WHERE_ELEM)
		return i < m->htab.elems ? &htab_elem(m, i)->next : NULL;
	if (i / 8 >= m->htab.buckets || !htab_bucket_there(m, i / 8))
		return NULL;
	return &htab_bucket(m, i / 8)->slot[i % 8];
}

/* Not committed: the new element is still the head of its list, or fresh. Its link
 * there comes back from the intent; a generation that it was given is taken back,
 * forwards. */
static void change_undo(struct map *m, struct stripe *st)
{
	const struct intent *in = &st->intent;
	struct elem *e = in->op & INTENT_NEW ? htab_elem_at(m, link_index1(in->link)) : NULL;

	if (!e)
		return;
	if (e->gen & 1)
		store_release(&e->gen, e->gen + 1);
	if (!(in->op & INTENT_FRESH))
		store_relaxed(&e->next, in->rest1);
}

void htab_recover_stripe(struct map *m, uint32_t stripe)
{
	struct stripe *st = htab_stripe(m, stripe);
	struct intent *in = &st->intent, copy = *in;
	uint64_t *word;

	switch (in->op & INTENT_OP) {
	case INTENT_CHANGE:
		word = change_word(m, in->where);
		if (!word)
			htab_damaged(m);
		else if (load_relaxed(word) != in->link)
			change_undo(m, st);
		else
			htab_change_complete(m, st, stripe, &copy, htab_elem_at(m, copy.elem1), 0);
		break;
	case INTENT_GIVE:
		/* The word was 0, and nobody takes it while the intent stands. */
		if (load_relaxed(&st->gift))
			give_complete(m, st, stripe);
		break;
	case INTENT_TAKE:
		if (in->where >= m->htab.stripes) {
			htab_damaged(m);
			break;
		}
		word = &htab_stripe(m, (uint32_t)in->where)->gift;
		if (load_acquire(word) == in->link)
			take_complete(m, stripe, word);
		break;
	case INTENT_PLACE:
		htab_place_again(m, stripe);
		break;
	default:
		break;
	}
	fence_compiler();
	store_relaxed(&in->op, INTENT_NONE);
}

static struct gift_part stripe_part(const struct map *m, uint32_t i)
{
	struct stripe *st = htab_stripe(m, i);

	return (struct gift_part){.gift = &st->gift,
				  .lock = &st->lock,
				  .live = &st->live,
				  .quota = &st->quota,
				  .arrivals = &st->arrivals,
				  .changing = (load_relaxed(&st->intent.op) & INTENT_OP) ==
					      INTENT_CHANGE};
}

const struct gift_ops htab_gifts = {
	.taker_shift = GIFT_TAKER_SHIFT,
	.taker_mask = GIFT_TAKER_MASK,
	.part = stripe_part,
	.lock = htab_lock,
	.unlock = htab_unlock,
	.make = gift_make,
	.take = gift_take,
	.back = htab_pool_reserve,
	.room = htab_room,
};

int htab_steal(struct map *m, uint32_t stripe, bool wait)
{
	int err = gift_search(m, &htab_gifts, m->htab.stripes, stripe, 1,
			      wait ? GIFT_TRIES : HTAB_STEAL_TRIES, wait);

	return err == -ENOSPC ? -E2BIG : err;
}

int htab_refused(struct map *m, uint32_t stripe, int err)
{
	if (err == -E2BIG || err == -ENOMEM)
		fetch_add_relaxed(&htab_stripe(m, stripe)->failed, 1U);
	return err;
}
