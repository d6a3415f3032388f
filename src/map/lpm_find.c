/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding prefixes and reading values without a lock; see lpm.h. */
#include "map/lpm.h"

#include "base/uaccess.h"

#define QUICK_VALUE 64 /* bytes of a value that is copied to the stack */

/* Reads that race with writers on purpose: what they saw is checked before it is
 * believed, by the part's seq or the element's meta word. */
#define RACY __attribute__((no_sanitize("thread")))

void lpm_damaged(struct map *m)
{
	if (m->writable)
		store_relaxed(&m->shared->damaged, 1);
}

RACY uint32_t lpm_common(const uint8_t *a, const uint8_t *b, uint32_t limit)
{
	uint32_t i, n = (limit + 7) / 8, got;

	for (i = 0; i + 8 <= n; i += 8) {
		uint64_t x, y;

		memcpy(&x, a + i, 8);
		memcpy(&y, b + i, 8);
		if (x != y) {
			got = i * 8 + (uint32_t)__builtin_clzll(__builtin_bswap64(x ^ y));
			return got < limit ? got : limit;
		}
	}
	if (i + 4 <= n) {
		uint32_t x, y;

		memcpy(&x, a + i, 4);
		memcpy(&y, b + i, 4);
		if (x != y) {
			got = i * 8 + (uint32_t)__builtin_clz(__builtin_bswap32(x ^ y));
			return got < limit ? got : limit;
		}
		i += 4;
	}
	for (; i < n; i++) {
		uint8_t d = a[i] ^ b[i];

		if (d) {
			got = i * 8 + (uint32_t)__builtin_clz((uint32_t)d << 24);
			return got < limit ? got : limit;
		}
	}
	return limit;
}

/*
 * What a search has in its hand. The functions below exist twice: for keys of 4 bytes, which
 * fit a register, and for all others.
 */
#define INLINE static inline __attribute__((always_inline))

INLINE uint32_t key_bit(const struct lpm_key *k, uint32_t pos, bool four)
{
	return four ? k->stem >> (~pos & 31) & 1 : lpm_bit(k->data, pos);
}

INLINE RACY uint32_t key_common(struct map *m, const struct lpm_key *k, uint32_t elem,
				uint32_t limit, bool four)
{
	uint32_t bits, common;

	if (!four)
		return lpm_common(lpm_data(m, elem), k->data, limit);
	bits = load_relaxed((uint32_t *)lpm_data(m, elem));
	bits = __builtin_bswap32(bits) ^ k->stem;
	common = bits ? (uint32_t)__builtin_clz(bits) : 32;
	return common < limit ? common : limit;
}

/*
 * The way down by the key's bits, as far as prefixes of up to `limit` bits stand there.
 * *last gets the link of the last one that ended on the way, *last_pos its length; the link
 * at the end is an element's, or 0: everything below is longer. -EIO: not a trie.
 *
 * Which child comes next cannot be predicted, so there is no branch for it: an END is taken as
 * a BIT that is 1, and leaves its child[0] behind as the last.
 */
INLINE int descend(struct map *m, const struct lpm_key *k, uint32_t limit, uint32_t link,
		   uint32_t *last, uint32_t *last_pos, uint32_t *end, bool four)
{
	int64_t above = -1;

	while (!lpm_link_is_elem(link)) {
		uint32_t i = link - 1, rank, pos, is_bit, first;
		const struct lpm_node *n;

		if (unlikely(i >= m->lpm.elems))
			return -EIO;
		n = lpm_node(m, i);
		rank = load_relaxed(&n->rank);
		if (unlikely((int64_t)rank <= above))
			return -EIO;
		above = rank;
		pos = rank >> 1;
		is_bit = rank & 1;
		if (pos + is_bit > limit) {
			link = 0;
			break;
		}
		first = load_acquire(&n->child[0]);
		*last = is_bit ? *last : first;
		*last_pos = is_bit ? *last_pos : pos;
		/* an END at the end of the key has no bit there: pos may be max_plen's */
		if (!four && unlikely(pos >= m->lpm.max_plen))
			return -EIO;
		link = load_acquire(&n->child[(key_bit(k, pos, four) | !is_bit) & 1]);
	}
	*end = link;
	return 0;
}

/* The longest match of up to `limit` bits in a subtree, as it is read: 1, 0 or -EIO; believed
 * when seq allows. */
INLINE int match_below(struct map *m, uint32_t link, const struct lpm_key *k, uint32_t limit,
		       struct lpm_hit *hit, bool four)
{
	uint32_t last = 0, last_pos = 0, end, plen, common;
	int err;

	err = descend(m, k, limit, link, &last, &last_pos, &end, four);
	if (unlikely(err))
		return err;
	if (!end && !last)
		return 0;
	/* The bits that the way skipped: compared with what is at its end. */
	err = lpm_link_elem(m, end ? end : last, hit);
	if (unlikely(err < 0))
		return err;
	plen = hit->meta & LPM_PLEN_MASK;
	common = key_common(m, k, hit->index, plen < limit ? plen : limit, four);
	if (likely(common >= plen))
		return 1;
	if (!last)
		return 0;
	/* What ends on the way is a prefix of it: those match that are not longer than what
	 * the two have in common. */
	if (last_pos <= common)
		return lpm_link_elem(m, last, hit);
	last = 0;
	err = descend(m, k, common, link, &last, &last_pos, &end, four);
	if (unlikely(err))
		return err;
	return last ? lpm_link_elem(m, last, hit) : 0;
}

/* The longest match in one trie: by the index, from its finest table on, then from the root. */
INLINE int match_sized(struct map *m, const struct lpm_part *part, const struct lpm_key *k,
		       struct lpm_hit *hit, bool four)
{
	uint32_t limit = k->plen, fine = load_relaxed(&part->fine), level = fine, root, slot;
	int ret;

	if (likely(lpm_level_ok(m, fine))) {
		for (; level >= LPM_LEVEL_MIN; level = lpm_level_below(level, fine)) {
			if (level > limit)
				continue;
			slot = load_acquire(lpm_slot(m, level, k->stem));
			if (!slot)
				continue;
			if (slot != LPM_NONE) {
				ret = match_below(m, slot, k, limit, hit, four);
				if (ret)
					return ret;
			}
			limit = level - 1;
		}
	}
	root = load_acquire(&part->root);
	return root ? match_below(m, root, k, limit, hit, four) : 0;
}

static int match(struct map *m, const struct lpm_part *part, const struct lpm_key *k,
		 struct lpm_hit *hit)
{
	return likely(m->lpm.data_size == 4) ? match_sized(m, part, k, hit, true)
					     : match_sized(m, part, k, hit, false);
}

/* match() of one instant, without a lock: 1, 0, -EIO; -EAGAIN when the trie did not keep still.
 * *seq: until part->seq moves on it stays right. */
static int match_still(struct map *m, struct lpm_part *part, const struct lpm_key *k,
		       struct lpm_hit *hit, uint64_t *seq)
{
	int ret;

	*seq = load_acquire(&part->seq);
	ret = match(m, part, k, hit);
	/* Partner: the fences in change_commit(). */
	fence_acquire();
	return likely(load_relaxed(&part->seq) == *seq) ? ret : -EAGAIN;
}

static int search_once(struct map *m, const struct lpm_key *k, uint32_t part, struct lpm_hit *hit)
{
	struct lpm_part *own = lpm_part(m, part), *brief = lpm_part(m, LPM_SHORT_PART);
	uint64_t seq, brief_seq;
	int ret = match_still(m, own, k, hit, &seq);

	if (likely(ret) || m->lpm.parts == 1 || part == LPM_SHORT_PART ||
	    !load_acquire(&brief->root))
		return ret;
	ret = match_still(m, brief, k, hit, &brief_seq);
	/* A short one is the longest only while there is still no long one. */
	fence_acquire();
	return load_relaxed(&own->seq) == seq ? ret : -EAGAIN;
}

/*
 * The longest match without a lock: 1, 0, -EIO when the links make no sense (somebody has
 * damaged the file), -EAGAIN when writers never left it alone.
 */
static int search(struct map *m, const struct lpm_key *k, uint32_t part, struct lpm_hit *hit,
		  uint32_t tries)
{
	int ret;

	do {
		ret = search_once(m, k, part, hit);
		if (likely(ret != -EAGAIN))
			break;
		cpu_relax();
	} while (--tries);
	if (unlikely(ret == -EIO))
		lpm_damaged(m);
	return ret;
}

/* The prefix of an element, as a key: private memory. */
static RACY void hit_key(struct map *m, const struct lpm_hit *hit, void *found)
{
	uint32_t plen = hit->meta & LPM_PLEN_MASK;

	memcpy(found, &plen, 4);
	uaccess_copy((uint8_t *)found + 4, lpm_data(m, hit->index), m->lpm.data_size);
}

/* Under the part's lock: for a reader that writers have overtaken too often. The match and,
 * if there is one, its value, which nobody can replace. */
static int read_excluding(struct map *m, const struct lpm_key *k, uint32_t part, void *value,
			  void *found)
{
	struct lpm_hit hit;
	int ret = lpm_lock(m, part);

	if (ret)
		return ret;
	ret = match(m, lpm_part(m, part), k, &hit);
	if (ret == -EIO)
		lpm_damaged(m);
	if (ret > 0 && found)
		hit_key(m, &hit, found);
	if (ret > 0)
		ret = uaccess_copy(value, lpm_elem(m, hit.index), m->attr.value_size);
	else if (!ret)
		ret = -ENOENT;
	lpm_unlock(m, part);
	if (ret == -ENOENT && m->lpm.parts > 1 && part != LPM_SHORT_PART)
		return read_excluding(m, k, LPM_SHORT_PART, value, found);
	return ret;
}

/* found: NULL, or where the prefix goes. */
INLINE int read_into(struct map *m, const void *key, void *value, void *found)
{
	struct lpm_key k = lpm_key(m, key);
	struct lpm_hit hit;
	uint32_t part, tries;
	int ret;

	if (unlikely(k.plen > m->lpm.max_plen))
		return -ENOENT;
	part = lpm_part_of(m, &k);
	for (tries = 0; tries < LPM_RESTARTS; tries++) {
		ret = search(m, &k, part, &hit, 1);
		if (found && ret > 0)
			hit_key(m, &hit, found);
		if (likely(ret > 0 && m->attr.value_size == 8)) {
			uint64_t word = load_relaxed((const uint64_t *)lpm_elem(m, hit.index));

			if (likely(lpm_hit_valid(m, &hit)))
				return likely(uaccess_put8(value, word)) ? 0 : -EFAULT;
		} else if (ret > 0) {
			ret = uaccess_copy(value, lpm_elem(m, hit.index), m->attr.value_size);
			if (unlikely(ret))
				return ret;
			if (likely(lpm_hit_valid(m, &hit)))
				return 0;
		} else if (ret != -EAGAIN) {
			return ret ? ret : -ENOENT;
		}
		if (tries >= LPM_READ_TRIES && m->writable)
			return read_excluding(m, &k, part, value, found);
		cpu_relax();
	}
	return -EBUSY;
}

int lpm_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	return read_into(m, key, value, NULL);
}

int lpm_read_found(struct map *m, const void *key, void *found, void *value)
{
	return read_into(m, key, value, found);
}

/* ---- short ways, for addresses of 4 bytes ---- */

static int quick_read(struct map *m, const void *user_key, void *user_value)
{
	uint64_t key;

	return likely(uaccess_get8(&key, user_key)) ? lpm_read(m, &key, user_value, 0) : -EFAULT;
}

static int quick_write(struct map *m, const void *user_key, const void *user_value, uint64_t flags)
{
	uint64_t key, value[QUICK_VALUE / 8];

	if (unlikely(!uaccess_get8(&key, user_key)))
		return -EFAULT;
	if (likely(m->attr.value_size == 8)) {
		if (unlikely(!uaccess_get8(value, user_value)))
			return -EFAULT;
	} else if (unlikely(uaccess_copy(value, user_value, m->attr.value_size))) {
		return -EFAULT;
	}
	return lpm_write(m, &key, value, flags);
}

static int quick_erase(struct map *m, const void *user_key)
{
	uint64_t key;

	return likely(uaccess_get8(&key, user_key)) ? lpm_erase(m, &key) : -EFAULT;
}

static int quick_next(struct map *m, const void *user_key, void *user_next)
{
	uint64_t key, next;
	int ret;

	if (unlikely(user_key && !uaccess_get8(&key, user_key)))
		return -EFAULT;
	ret = lpm_next_key(m, user_key ? &key : NULL, &next);
	if (unlikely(ret))
		return ret;
	return likely(uaccess_put8(user_next, next)) ? 0 : -EFAULT;
}

void lpm_quick(struct map *m)
{
	if (m->attr.key_size != 8)
		return;
	m->quick.read = quick_read;
	m->quick.next_key = quick_next;
	m->quick.erase = quick_erase;
	if (m->attr.value_size <= QUICK_VALUE)
		m->quick.write = quick_write;
}

/* The caller has a lease: the element is not given to another prefix meanwhile. */
void *lpm_lookup(struct map *m, const void *key)
{
	struct lpm_key k = lpm_key(m, key);
	struct lpm_hit hit;

	if (unlikely(k.plen > m->lpm.max_plen))
		return NULL;
	return search(m, &k, lpm_part_of(m, &k), &hit, LPM_RESTARTS) > 0 ? lpm_elem(m, hit.index)
									 : NULL;
}

/* Any element of a subtree, the nearest. 1 or -EIO. */
static int any_elem(struct map *m, uint32_t link, int64_t above, struct lpm_hit *hit)
{
	while (!lpm_link_is_elem(link)) {
		uint32_t i = lpm_link_index(m, link);
		uint32_t rank;

		if (i == UINT32_MAX)
			return -EIO;
		rank = load_relaxed(&lpm_node(m, i)->rank);
		if ((int64_t)rank <= above || rank > LPM_RANK_BIT(m->lpm.max_plen))
			return -EIO;
		above = rank;
		link = load_acquire(&lpm_node(m, i)->child[0]);
	}
	return lpm_link_elem(m, link, hit);
}

/* Where a new node of p->rank goes, down from a word, or (NULL) what the caller knows the link
 * of only: 0, 1, -EIO as find_below(). */
static int find_far(struct map *m, const struct lpm_key *k, struct lpm_place *p, uint32_t *from)
{
	uint32_t *word = from, link;
	int64_t above = -1;

	if (!from)
		return 1;
	while (!lpm_link_is_elem(link = load_relaxed(word))) {
		uint32_t i = lpm_link_index(m, link), rank;
		struct lpm_node *node;

		if (unlikely(i == UINT32_MAX))
			return -EIO;
		node = lpm_node(m, i);
		rank = load_relaxed(&node->rank);
		if (unlikely((int64_t)rank <= above || rank == p->rank))
			return -EIO;
		if (rank > p->rank)
			break;
		above = rank;
		word = &node->child[rank & 1 ? lpm_bit(k->data, rank >> 1) : 1];
	}
	p->elem = 0;
	p->word = word;
	p->link = link;
	return 0;
}

#define PATH_MAX_KEPT 64

/*
 * lpm_find_locked() in the subtree of a link, which has all prefixes that begin as the key does;
 * from: what holds the link, or NULL: not known. 1: what is asked for stands at that word, or
 * above it.
 */
INLINE int find_below(struct map *m, const struct lpm_key *k, struct lpm_place *p, uint32_t *from,
		      uint32_t link, bool to_delete, bool four)
{
	/* The nodes of the way: ranks, and the words that lead to them; the last ones of a long
	 * way. */
	uint32_t ranks[PATH_MAX_KEPT], *words[PATH_MAX_KEPT];
	uint32_t n = 0, node1 = 0, plen, common, at, back;
	uint32_t *word = from;
	int64_t above = -1;
	struct lpm_hit hit;

	/* Down by the key's bits, to where it would end, or to an element. */
	while (!lpm_link_is_elem(link)) {
		uint32_t i = link - 1, rank, pos, is_bit, side;
		struct lpm_node *node;

		if (unlikely(i >= m->lpm.elems))
			return -EIO;
		node = lpm_node(m, i);
		rank = load_relaxed(&node->rank);
		if (unlikely((int64_t)rank <= above))
			return -EIO;
		pos = rank >> 1;
		is_bit = rank & 1;
		if (pos + is_bit > k->plen)
			break;
		above = rank;
		ranks[n % PATH_MAX_KEPT] = rank;
		words[n % PATH_MAX_KEPT] = word;
		n++;
		node1 = i + 1;
		/* an END at the very end of the key has its element on side 0 */
		side = pos < k->plen;
		if (likely(side))
			side = (key_bit(k, pos, four) | !is_bit) & 1;
		word = &node->child[side];
		link = load_relaxed(word);
	}
	if (unlikely((likely(lpm_link_is_elem(link)) ? lpm_link_elem(m, link, &hit)
						     : any_elem(m, link, above, &hit)) < 0))
		return -EIO;
	plen = hit.meta & LPM_PLEN_MASK;
	common = key_common(m, k, hit.index, plen < k->plen ? plen : k->plen, four);
	if (common == k->plen && common == plen) {
		if (!word || (to_delete && n && !words[(n - 1) % PATH_MAX_KEPT]))
			return 1;
		p->elem = hit.index + 1;
		p->word = word;
		p->link = link;
		p->above = n ? words[(n - 1) % PATH_MAX_KEPT] : NULL;
		p->node = node1;
		return lpm_link_is_elem(link) ? 0 : -EIO;
	}
	if (common == k->plen) {
		p->rank = LPM_RANK_END(common);
		p->side = 0;
	} else if (common == plen) {
		p->rank = LPM_RANK_END(common);
		p->side = 1;
	} else {
		p->rank = LPM_RANK_BIT(common);
		p->side = key_bit(k, common, four);
	}
	/* Where they part: the first link on the way that leads to a higher rank. */
	for (at = n, back = 0; at; at--, back++) {
		if (unlikely(back == PATH_MAX_KEPT))
			return find_far(m, k, p, from);
		if (ranks[(at - 1) % PATH_MAX_KEPT] <= p->rank)
			break;
		word = words[(at - 1) % PATH_MAX_KEPT];
	}
	if (unlikely(at && ranks[(at - 1) % PATH_MAX_KEPT] == p->rank))
		return -EIO;
	if (!word)
		return 1;
	p->elem = 0;
	p->word = word;
	p->link = load_relaxed(word);
	return 0;
}

INLINE int find_sized(struct map *m, const struct lpm_key *k, struct lpm_place *p, bool to_delete,
		      bool four)
{
	struct lpm_part *part = lpm_part(m, p->part);
	uint32_t fine = part->fine, level = fine, slot;
	int ret = 1;

	if (lpm_level_ok(m, fine)) {
		for (; ret > 0 && level >= LPM_LEVEL_MIN; level = lpm_level_below(level, fine)) {
			slot = level <= k->plen ? load_relaxed(lpm_slot(m, level, k->stem)) : 0;
			if (slot && !lpm_link_is_elem(slot))
				ret = find_below(m, k, p, NULL, slot, to_delete, four);
		}
	}
	return ret > 0 ? find_below(m, k, p, &part->root, part->root, to_delete, four) : ret;
}

int lpm_find_locked(struct map *m, const struct lpm_key *k, struct lpm_place *p, bool to_delete)
{
	struct lpm_part *part = lpm_part(m, p->part);
	int ret;

	*p = (struct lpm_place){.part = p->part, .word = &part->root};
	if (!part->root)
		return 0;
	ret = m->lpm.data_size == 4 ? find_sized(m, k, p, to_delete, true)
				    : find_sized(m, k, p, to_delete, false);
	if (unlikely(ret))
		lpm_damaged(m);
	return ret ? -EIO : 0;
}

/* ---- order ---- */

/* The first element of a subtree: 1 or -EIO. */
static int first_of(struct map *m, uint32_t link, struct lpm_hit *hit)
{
	int64_t above = -1;

	while (!lpm_link_is_elem(link)) {
		uint32_t i = lpm_link_index(m, link), rank;

		if (i == UINT32_MAX)
			return -EIO;
		rank = load_relaxed(&lpm_node(m, i)->rank);
		if ((int64_t)rank <= above || rank > LPM_RANK_BIT(m->lpm.max_plen))
			return -EIO;
		above = rank;
		/* BIT: the zeros; END: what is longer */
		link = load_acquire(&lpm_node(m, i)->child[!(rank & 1)]);
	}
	return lpm_link_elem(m, link, hit);
}

/* What comes after the key in a subtree. 1; 0: nothing does; -ENOENT: the key is not there;
 * -EIO. */
INLINE int after_below(struct map *m, uint32_t link, const struct lpm_key *k, struct lpm_hit *hit,
		       bool four)
{
	uint32_t later = 0, plen;
	int64_t above = -1;
	int err;

	while (!lpm_link_is_elem(link)) {
		uint32_t i = link - 1, rank, pos, is_bit, side, other;
		const struct lpm_node *n;

		if (unlikely(i >= m->lpm.elems))
			return -EIO;
		n = lpm_node(m, i);
		rank = load_relaxed(&n->rank);
		if (unlikely((int64_t)rank <= above))
			return -EIO;
		above = rank;
		pos = rank >> 1;
		is_bit = rank & 1;
		if (pos + is_bit > k->plen)
			return -ENOENT;
		/* As in descend(), without a branch. The other side comes later if this one is
		 * a BIT's 0 or an END's 1. */
		side = pos < k->plen;
		if (likely(side))
			side = (key_bit(k, pos, four) | !is_bit) & 1;
		other = load_acquire(&n->child[!side]);
		link = load_acquire(&n->child[side]);
		later = side ^ is_bit ? other : later;
	}
	err = lpm_link_elem(m, link, hit);
	if (err < 0)
		return err;
	plen = hit->meta & LPM_PLEN_MASK;
	if (plen != k->plen || key_common(m, k, hit->index, plen, four) != plen)
		return -ENOENT;
	return later ? first_of(m, later, hit) : 0;
}

/* The same in one trie, by the index where the key is not the last of its stem. */
INLINE int after_sized(struct map *m, const struct lpm_part *part, const struct lpm_key *k,
		       struct lpm_hit *hit, bool four)
{
	uint32_t fine = load_relaxed(&part->fine), level = fine, root, slot;
	int ret;

	if (lpm_level_ok(m, fine)) {
		for (; level >= LPM_LEVEL_MIN; level = lpm_level_below(level, fine)) {
			slot = level <= k->plen ? load_acquire(lpm_slot(m, level, k->stem)) : 0;
			if (!slot || lpm_link_is_elem(slot))
				continue;
			ret = after_below(m, slot, k, hit, four);
			if (ret)
				return ret;
		}
	}
	root = load_acquire(&part->root);
	return root ? after_below(m, root, k, hit, four) : -ENOENT;
}

static int after(struct map *m, const struct lpm_part *part, const struct lpm_key *k,
		 struct lpm_hit *hit)
{
	return m->lpm.data_size == 4 ? after_sized(m, part, k, hit, true)
				     : after_sized(m, part, k, hit, false);
}

/* One trie's answer, of one instant, with the key that it found: 1 (into found, of
 * key_size), 0, -ENOENT, -EIO, -EAGAIN. k NULL: the first of the trie. */
static int step_once(struct map *m, uint32_t i, const struct lpm_key *k, uint8_t *found)
{
	struct lpm_part *part = lpm_part(m, i);
	uint64_t seq = load_acquire(&part->seq);
	uint32_t root, plen;
	struct lpm_hit hit;
	int ret;

	if (k) {
		ret = after(m, part, k, &hit);
	} else {
		root = load_acquire(&part->root);
		ret = root ? first_of(m, root, &hit) : 0;
	}
	if (ret > 0) {
		plen = hit.meta & LPM_PLEN_MASK;
		memcpy(found, &plen, 4);
		uaccess_copy(found + 4, lpm_data(m, hit.index), m->lpm.data_size);
	}
	fence_acquire();
	return load_relaxed(&part->seq) == seq ? ret : -EAGAIN;
}

static int step(struct map *m, uint32_t part, const struct lpm_key *k, uint8_t *found)
{
	uint32_t tries;
	int ret, err;

	for (tries = 0; tries < LPM_RESTARTS; tries++) {
		ret = step_once(m, part, k, found);
		if (likely(ret != -EAGAIN))
			return ret;
		if (tries >= LPM_READ_TRIES && m->writable) {
			err = lpm_lock(m, part);
			if (err)
				return err;
			ret = step_once(m, part, k, found);
			lpm_unlock(m, part);
			return ret;
		}
		cpu_relax();
	}
	return -EBUSY;
}

/* Is a short prefix after a long one? Yes if it covers it, or begins behind it. */
static bool short_is_after(const struct lpm_key *brief, const struct lpm_key *k)
{
	uint32_t common = lpm_common(brief->data, k->data, brief->plen);

	return common >= brief->plen || lpm_bit(brief->data, common);
}

/* The first short prefix after a long one. There are at most 2^LPM_PART_BITS - 1. */
static int short_after(struct map *m, const struct lpm_key *k, uint8_t *found)
{
	uint8_t at[LPM_KEY_MAX];
	uint32_t i;
	int ret;

again:
	ret = step(m, LPM_SHORT_PART, NULL, found);
	for (i = 0; ret > 0; i++) {
		struct lpm_key brief = lpm_key(m, found);

		if (i > LPM_LONG_PARTS)
			return -EIO;
		if (short_is_after(&brief, k))
			return 1;
		memcpy(at, found, m->attr.key_size);
		brief = lpm_key(m, at);
		ret = step(m, LPM_SHORT_PART, &brief, found);
		if (ret == -ENOENT)
			goto again; /* it has just been deleted */
	}
	return ret;
}

/* What comes after k (NULL: the first) in a map of several parts; last: it is the last of
 * its own. */
static int next_of_parts(struct map *m, const struct lpm_key *k, bool last, uint8_t *found)
{
	uint32_t own = k ? lpm_part_of(m, k) : 0, from = own;
	uint8_t brief[LPM_KEY_MAX];
	struct lpm_key a, b;
	int longer, shorter = 0;

	longer = last ? 0 : step(m, own, k, found);
	if (longer < 0)
		return longer;
	if (own == LPM_SHORT_PART) {
		/* The long ones that it covers came before it. */
		uint32_t top = k->plen ? k->data[0] >> (8 - k->plen) : 0;

		shorter = longer;
		memcpy(brief, found, m->attr.key_size);
		longer = 0;
		from = (top + 1) << (LPM_PART_BITS - k->plen);
		if (from < LPM_LONG_PARTS)
			longer = step(m, from, NULL, found);
	}
	while (!longer && ++from < LPM_LONG_PARTS)
		longer = step(m, from, NULL, found);
	if (longer < 0)
		return longer;
	a = lpm_key(m, found);
	if (own != LPM_SHORT_PART) {
		/* after k, or, if that is the beginning, any */
		shorter = k ? short_after(m, k, brief) : step(m, LPM_SHORT_PART, NULL, brief);
		if (shorter < 0)
			return shorter;
	}
	b = lpm_key(m, brief);
	if (!shorter || (longer && short_is_after(&b, &a)))
		return longer;
	memcpy(found, brief, m->attr.key_size);
	return 1;
}

int lpm_next_part(struct map *m, const struct lpm_key *k, uint8_t *found)
{
	if (m->lpm.parts == 1)
		return 0;
	return next_of_parts(m, k, lpm_part_of(m, k) != LPM_SHORT_PART, found);
}

int lpm_next_key(struct map *m, const void *key, void *next)
{
	uint8_t found[LPM_KEY_MAX];
	struct lpm_key k;
	int ret = -ENOENT;

	if (key) {
		k = lpm_key(m, key);
		if (k.plen <= m->lpm.max_plen)
			ret = m->lpm.parts == 1 ? step(m, 0, &k, found)
						: next_of_parts(m, &k, false, found);
	}
	/* No key, or one that is not there: the first. */
	if (ret == -ENOENT)
		ret = m->lpm.parts == 1 ? step(m, 0, NULL, found)
					: next_of_parts(m, NULL, false, found);
	if (ret == -EIO)
		lpm_damaged(m);
	if (ret > 0) {
		memcpy(next, found, m->attr.key_size);
		return 0;
	}
	return ret ? ret : -ENOENT;
}
