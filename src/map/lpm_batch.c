/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_LOOKUP_BATCH of an LPM trie: the order of next_key, by one walk instead of a search
 * per element.
 *
 * The walk keeps the links that it has still to visit. They are right while the part's seq
 * does not move; when it has moved the walk finds its place again behind the last key that it
 * delivered, whether that is still there or not: within a call no key comes twice and
 * none is left out that was there throughout. Between calls the token is a key, and one
 * that is gone begins anew, as in the kernel.
 */
#include "map/lpm.h"

#include "base/uaccess.h"

/* Links still to visit: at most one for each node on a way down, and where it ends. */
#define STACK_MAX (2 * 8 * LPM_DATA_MAX + 4)

struct walk {
	struct map *m;
	uint32_t part;
	uint64_t seq;
	uint32_t n;
	uint32_t later[STACK_MAX];
};

/*
 * Finds the place of the key in its part: what comes after it is then on the stack; with
 * `itself`, the key, too. 1: the key is there; 0: it is not; -EIO.
 */
static int walk_seek(struct walk *w, const struct lpm_key *k, bool itself)
{
	struct map *m = w->m;
	const struct lpm_part *part;
	uint32_t root, link, plen, common, rank, place_rank;
	int64_t above = -1;
	struct lpm_hit hit;
	const struct lpm_node *n;
	bool covers;

	w->part = lpm_part_of(m, k);
	part = lpm_part(m, w->part);
	w->seq = load_acquire(&part->seq);
	w->n = 0;
	root = link = load_acquire(&part->root);
	if (!link)
		return 0;
	while (!lpm_link_is_elem(link)) {
		uint32_t i = lpm_link_index(m, link), pos;

		if (i == UINT32_MAX || w->n + 2 > STACK_MAX)
			return -EIO;
		n = lpm_node(m, i);
		rank = load_relaxed(&n->rank);
		if ((int64_t)rank <= above || rank > LPM_RANK_BIT(m->lpm.max_plen))
			return -EIO;
		above = rank;
		pos = rank >> 1;
		if (pos >= k->plen) { /* the key ends here: to any element */
			link = load_acquire(&n->child[0]);
			continue;
		}
		if (rank & 1) {
			unsigned int bit = lpm_bit(k->data, pos);

			if (!bit)
				w->later[w->n++] = load_acquire(&n->child[1]);
			link = load_acquire(&n->child[bit]);
		} else {
			w->later[w->n++] = load_acquire(&n->child[0]);
			link = load_acquire(&n->child[1]);
		}
	}
	if (lpm_link_elem(m, link, &hit) < 0)
		return -EIO;
	plen = hit.meta & LPM_PLEN_MASK;
	common = lpm_common(lpm_data(m, hit.index), k->data, plen < k->plen ? plen : k->plen);
	if (common == plen && common == k->plen) {
		if (itself)
			w->later[w->n++] = link;
		return 1;
	}
	/* It is not there. Where it would be, all of a subtree comes before it or after: before,
	 * if it covers the subtree, or has the one where they part. */
	covers = common == k->plen;
	place_rank = common < plen && !covers ? LPM_RANK_BIT(common) : LPM_RANK_END(common);
	w->n = 0;
	link = root;
	above = -1;
	while (!lpm_link_is_elem(link)) {
		if (lpm_link_index(m, link) == UINT32_MAX || w->n + 2 > STACK_MAX)
			return -EIO;
		n = lpm_node(m, lpm_link_index(m, link));
		rank = load_relaxed(&n->rank);
		if ((int64_t)rank <= above)
			return -EIO;
		if (rank >= place_rank)
			break;
		above = rank;
		if (rank & 1) {
			unsigned int bit = lpm_bit(k->data, rank >> 1);

			if (!bit)
				w->later[w->n++] = load_acquire(&n->child[1]);
			link = load_acquire(&n->child[bit]);
		} else {
			w->later[w->n++] = load_acquire(&n->child[0]);
			link = load_acquire(&n->child[1]);
		}
	}
	if (!covers && (common == plen || !lpm_bit(k->data, common)))
		w->later[w->n++] = link;
	return 0;
}

/* The next element: 1, 0: the part has no more, -EIO. */
static int walk_next(struct walk *w, struct lpm_hit *hit)
{
	struct map *m = w->m;
	const struct lpm_node *n;
	uint32_t link, i, rank;
	int64_t above = -1;

	if (!w->n)
		return 0;
	link = w->later[--w->n];
	while (!lpm_link_is_elem(link)) {
		i = lpm_link_index(m, link);
		if (i == UINT32_MAX || w->n + 1 > STACK_MAX)
			return -EIO;
		n = lpm_node(m, i);
		rank = load_relaxed(&n->rank);
		if ((int64_t)rank <= above || rank > LPM_RANK_BIT(m->lpm.max_plen))
			return -EIO;
		above = rank;
		/* BIT: the zeros first; END: what is longer */
		w->later[w->n++] = load_acquire(&n->child[rank & 1]);
		link = load_acquire(&n->child[!(rank & 1)]);
	}
	return lpm_link_elem(m, link, hit);
}

static bool walk_still(const struct walk *w)
{
	fence_acquire();
	return load_relaxed(&lpm_part(w->m, w->part)->seq) == w->seq;
}

/* One batch; `done` elements are with the user. */
struct delivery {
	struct map_batch *b;
	uint32_t done;
	uint8_t key[LPM_KEY_MAX]; /* the last one's */
};

/* The element at hit to the user: 1, 0: it has left the trie meanwhile, -EFAULT. */
static int deliver(struct map *m, struct delivery *d, const struct lpm_hit *hit)
{
	uint64_t n = d->done;
	uint8_t key[LPM_KEY_MAX];
	uint32_t plen = hit->meta & LPM_PLEN_MASK;
	int err;

	memcpy(key, &plen, 4);
	uaccess_copy(key + 4, lpm_data(m, hit->index), m->lpm.data_size);
	err = uaccess_copy(uaccess_at(d->b->keys, n * m->attr.key_size), key, m->attr.key_size);
	if (!err)
		err = uaccess_copy(uaccess_at(d->b->values, n * m->attr.value_size),
				   lpm_elem(m, hit->index), m->attr.value_size);
	if (err)
		return err;
	if (!lpm_hit_valid(m, hit))
		return 0;
	memcpy(d->key, key, m->attr.key_size);
	d->done++;
	return 1;
}

/* Delivers what the walk meets until its part ends (0), there is enough (1), or the trie
 * moves (-EAGAIN). -errno. */
static int walk_part(struct walk *w, struct delivery *d, uint32_t max)
{
	struct lpm_hit hit;
	int ret = 1;

	while (ret > 0 && d->done < max) {
		ret = walk_next(w, &hit);
		/* The element was in the trie, and next, at one instant. */
		if (!walk_still(w))
			return -EAGAIN;
		if (ret > 0) {
			ret = deliver(w->m, d, &hit);
			if (!ret)
				return -EAGAIN;
		}
	}
	return ret;
}

/* All of a part from the key on: 0 when it has ended, 1 when there is enough, -errno. */
static int deliver_part(struct map *m, struct delivery *d, uint32_t max)
{
	struct walk w; /* large: not to be zeroed */
	uint32_t before = d->done, tries = 0;
	struct lpm_key k;
	bool locked = false;
	uint8_t from[LPM_KEY_MAX];
	int ret;

	w.m = m;
	memcpy(from, d->key, m->attr.key_size);
	do {
		bool moved = d->done != before;

		/* behind what was delivered; or at what was asked for */
		k = lpm_key(m, moved ? d->key : from);
		if (++tries > LPM_READ_TRIES && m->writable && !locked) {
			ret = lpm_lock(m, lpm_part_of(m, &k));
			if (ret)
				return ret;
			locked = true;
		}
		ret = walk_seek(&w, &k, !moved);
		if (ret == -EIO && !walk_still(&w))
			ret = -EAGAIN;
		else if (ret >= 0)
			ret = walk_part(&w, d, max);
		if (ret == -EIO)
			lpm_damaged(m);
	} while (ret == -EAGAIN && tries < LPM_RESTARTS);
	if (locked)
		lpm_unlock(m, w.part);
	return ret == -EAGAIN ? -EBUSY : ret;
}

int lpm_lookup_batch(struct map *m, struct map_batch *b)
{
	struct delivery d = {.b = b};
	uint8_t token[LPM_KEY_MAX], found[LPM_KEY_MAX];
	uint32_t max = b->count, idle = 0, before;
	struct lpm_key k;
	bool brief;
	int err;

	if (b->elem_flags) /* BPF_F_LOCK: there are no locks here */
		return -EINVAL;
	if (!max)
		return 0;
	b->count = 0;
	if (b->in_batch) {
		err = uaccess_copy(token, b->in_batch, m->attr.key_size);
		if (err)
			return err;
	}
	err = lpm_next_key(m, b->in_batch ? token : NULL, d.key);
	while (!err) {
		/* Between two short ones there may be long ones. */
		k = lpm_key(m, d.key);
		before = d.done;
		brief = m->lpm.parts > 1 && lpm_part_of(m, &k) == LPM_SHORT_PART;
		err = deliver_part(m, &d, brief && d.done < max ? d.done + 1 : max);
		if (err < 0 || d.done == max)
			break;
		/* Parts that have nothing are few, unless somebody has damaged the file. */
		if (d.done == before && ++idle > 16 * LPM_PARTS_MAX) {
			err = -EIO;
			break;
		}
		k = lpm_key(m, d.key);
		err = lpm_next_part(m, &k, found);
		if (err == -ENOENT && d.done) {
			err = 0; /* a short one, just deleted: the next call sees to it */
			break;
		}
		if (err > 0)
			memcpy(d.key, found, m->attr.key_size);
		err = err > 0 ? 0 : err ? err : -ENOENT;
	}
	if (err > 0)
		err = 0;
	if (err == -EFAULT)
		return err;
	b->count = d.done;
	if (d.done && uaccess_copy(b->out_batch, d.key, m->attr.key_size))
		err = -EFAULT;
	return err;
}
