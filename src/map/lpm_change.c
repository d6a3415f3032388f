/* SPDX-License-Identifier: BSD-2-Clause */
/* Changing an LPM trie: update and delete; see lpm.h. */
#include "map/lpm.h"

#include <time.h>

#include "base/uaccess.h"
#include "map/gate.h"

int lpm_lock(struct map *m, uint32_t part)
{
	int ret;

	for (;;) {
		ret = lock_acquire(&lpm_part(m, part)->lock);
		if (ret == LOCK_OWNER_DIED) {
			lpm_recover_part(m, part);
			ret = 0;
		}
		if (ret || likely(!map_gate_shut(m)))
			return ret;
		lock_release(&lpm_part(m, part)->lock);
		ret = map_gate_wait(m);
		if (ret)
			return ret;
	}
}

void lpm_unlock(struct map *m, uint32_t part)
{
	lock_release(&lpm_part(m, part)->lock);
}

/* A word that a CHANGE may store to: a root, or a child of some node. */
static uint32_t *change_word(struct map *m, uint32_t part, uint64_t off)
{
	uint64_t rel = off - m->lpm.node_off;

	if (off == (uint64_t)((uint8_t *)&lpm_part(m, part)->root - m->obj.base))
		return &lpm_part(m, part)->root;
	if (off < m->lpm.node_off || rel / sizeof(struct lpm_node) >= m->lpm.elems || rel % 4 ||
	    rel % sizeof(struct lpm_node) == offsetof(struct lpm_node, rank))
		return NULL;
	return (uint32_t *)(m->obj.base + off);
}

/* element or node number + 1, as an intent says: is there such a one, or none? */
static bool number_ok(const struct map *m, uint32_t number1)
{
	return number1 <= m->lpm.elems;
}

/* The change is committed: the pools and counters follow. Idempotent: all that it stores
 * stands in the intent. */
static void change_complete(struct map *m, struct lpm_part *part)
{
	const struct lpm_intent *in = &part->intent;

	if (in->old_elem) {
		/* Who copies out of it sees its life end before its data does. */
		store_relaxed(lpm_meta(m, in->old_elem - 1), in->old_meta);
		fence_release();
		store_relaxed(lpm_next(m, in->old_elem - 1), in->old_next);
		part->limbo_len++;
	}
	if (in->old_node)
		store_relaxed(&lpm_node(m, in->old_node - 1)->child[0], in->new_node_next);
	lpm_index_store(m, in, true);
	fence_compiler();
	part->heads = in->heads_after;
	part->node_free = in->node_free_after;
	part->fresh = in->fresh_after;
	part->node_fresh = in->node_fresh_after;
	if (in->live_after < part->live)
		store_relaxed(&part->arrivals, part->arrivals + 1);
	store_release(&part->live, in->live_after);
}

/* It is not: the new element and node are still the heads of their lists, or fresh. Their
 * links there were overwritten and come back from the intent. */
static void change_undo(struct map *m, struct lpm_part *part)
{
	const struct lpm_intent *in = &part->intent;
	uint32_t *meta;

	if (in->new_elem) {
		meta = lpm_meta(m, in->new_elem - 1);
		store_relaxed(meta, (*meta & ~LPM_LIVE));
		fence_release();
		*lpm_next(m, in->new_elem - 1) = in->new_next;
	}
	if (in->new_node)
		lpm_node(m, in->new_node - 1)->child[0] = in->new_node_next;
	lpm_index_store(m, in, false);
}

/* Also the ordinary end of every change: the path that repairs is the one that always runs. */
void lpm_recover_part(struct map *m, uint32_t i)
{
	struct lpm_part *part = lpm_part(m, i);
	struct lpm_intent *in = &part->intent;
	uint32_t *word;

	switch (in->op) {
	case LPM_INTENT_CHANGE:
		word = change_word(m, i, in->where);
		if (!word || !number_ok(m, in->new_elem) || !number_ok(m, in->new_node) ||
		    !number_ok(m, in->old_elem) || !number_ok(m, in->old_node)) {
			lpm_damaged(m);
			break;
		}
		if (load_relaxed(word) != (uint32_t)in->link) {
			change_undo(m, part);
			break;
		}
		/* A dead owner may not have come to its second count: what it unlinked must
		 * not change before one. */
		store_relaxed(&part->seq, part->seq + 1);
		fence_release();
		change_complete(m, part);
		break;
	case LPM_INTENT_GIVE:
		/* The word was 0, and nobody takes it while the intent stands. */
		if (load_relaxed(&part->gift))
			lpm_give_complete(m, i);
		break;
	case LPM_INTENT_TAKE:
		lpm_take_again(m, i);
		break;
	default:
		break;
	}
	fence_compiler();
	store_relaxed(&in->op, LPM_INTENT_NONE);
}

/*
 * Stores `link` at the place. The intent is complete before its op is stored, and
 * the op before anything changes; a compiler fence is enough, as only our own
 * death separates them and what a dead thread has executed is visible to who takes
 * its lock.
 */
static void change_begin(struct map *m, const struct lpm_place *p, uint32_t *word, uint32_t link,
			 int live_delta)
{
	struct lpm_part *part = lpm_part(m, p->part);
	struct lpm_intent *in = &part->intent;

	in->where = (uint64_t)((uint8_t *)word - m->obj.base);
	in->link = link;
	in->live_after = part->live + (uint32_t)live_delta;
	in->heads_after = part->heads;
	in->node_free_after = part->node_free;
	in->fresh_after = part->fresh;
	in->node_fresh_after = part->node_fresh;
	in->new_elem = in->new_node = in->old_elem = in->old_node = 0;
	in->new_next = in->new_node_next = 0;
}

/* The element of this prefix leaves the trie: to the top of limbo. */
static void change_drop(struct map *m, struct lpm_intent *in, uint32_t elem1)
{
	in->old_elem = elem1;
	in->old_meta = (load_relaxed(lpm_meta(m, elem1 - 1)) + LPM_LIFE) & ~LPM_LIVE;
	in->old_next = (uint32_t)(in->heads_after >> 32);
	in->heads_after = (uint32_t)in->heads_after | (uint64_t)elem1 << 32;
}

static void change_start(struct lpm_intent *in)
{
	fence_compiler();
	store_relaxed(&in->op, LPM_INTENT_CHANGE);
	fence_compiler();
	/* Readers of what is filled now, in its last life, see that life's end before the
	 * new contents. Partner: fence_acquire() in lpm_hit_valid() and match_still(). */
	fence_release();
}

static void change_commit(struct map *m, const struct lpm_place *p)
{
	struct lpm_part *part = lpm_part(m, p->part);
	struct lpm_intent *in = &part->intent;
	uint32_t *word = (uint32_t *)(m->obj.base + in->where);

	lpm_index_clear(m, in);
	/* A reader that sees the link sees the count, or one after it; and what was
	 * filled. */
	store_release(&part->seq, part->seq + 1);
	store_release(word, (uint32_t)in->link);
	lpm_recover_part(m, p->part); /* counts again, and puts away */
	store_relaxed(&part->changes, part->changes + 1);
}

static void elem_fill(struct map *m, uint32_t elem, const struct lpm_key *k, const void *value)
{
	uint32_t *meta = lpm_meta(m, elem);

	uaccess_copy(lpm_elem(m, elem), value, m->attr.value_size);
	uaccess_copy(lpm_data(m, elem), k->data, m->lpm.data_size);
	store_relaxed(meta, (*meta & ~(LPM_PLEN_MASK | LPM_LIVE)) | k->plen | LPM_LIVE);
}

static void change_insert(struct map *m, const struct lpm_place *p, const struct lpm_alloc *a,
			  const struct lpm_key *k, const void *value)
{
	struct lpm_intent *in = &lpm_part(m, p->part)->intent;
	uint32_t link = LPM_ELEM | (a->elem + 1);
	struct lpm_node *n;

	change_begin(m, p, p->word, p->elem || !p->link ? link : a->node + 1, p->elem ? 0 : 1);
	in->heads_after = a->heads_after;
	in->fresh_after = a->fresh_after;
	in->new_elem = a->elem + 1;
	in->new_next = a->next;
	if (p->elem) {
		change_drop(m, in, p->elem);
	} else if (p->link) {
		in->new_node = a->node + 1;
		in->new_node_next = a->node_next;
		in->node_free_after = a->node_free_after;
		in->node_fresh_after = a->node_fresh_after;
	}
	lpm_index_plan(m, p->part, k, p->elem ? LPM_ELEM | p->elem : p->link, (uint32_t)in->link,
		       p->elem	 ? UINT32_MAX
		       : p->link ? p->rank >> 1
				 : 0,
		       link);
	change_start(in);
	elem_fill(m, a->elem, k, value);
	if (in->new_node) {
		n = lpm_node(m, a->node);
		store_relaxed(&n->rank, p->rank);
		store_relaxed(&n->child[p->side], link);
		store_relaxed(&n->child[!p->side], p->link);
	}
	change_commit(m, p);
}

static int change_delete(struct map *m, const struct lpm_place *p, const struct lpm_key *k)
{
	struct lpm_part *part = lpm_part(m, p->part);
	struct lpm_intent *in = &part->intent;
	struct lpm_node *n;

	if (p->node) {
		n = lpm_node(m, p->node - 1);
		change_begin(m, p, p->above, load_relaxed(&n->child[p->word == &n->child[0]]), -1);
		in->old_node = p->node;
		in->new_node_next = part->node_free;
		in->node_free_after = p->node;
	} else {
		change_begin(m, p, p->word, 0, -1);
	}
	change_drop(m, in, p->elem);
	lpm_index_plan(m, p->part, k, p->node, (uint32_t)in->link,
		       p->node ? lpm_node(m, p->node - 1)->rank >> 1 : 0, LPM_NONE);
	change_start(in);
	change_commit(m, p);
	return 0;
}

int lpm_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	struct lpm_key k = lpm_key(m, key);
	uint32_t stamp = 0, tries = 0;
	struct lpm_place p;
	struct lpm_part *part;
	struct lpm_alloc a;
	bool force = false;
	int ret;

	if (unlikely(flags > BPF_EXIST || k.plen > m->lpm.max_plen))
		return -EINVAL;
	if (unlikely(!m->writable))
		return -EPERM;
	p.part = lpm_part_of(m, &k);
	part = lpm_part(m, p.part);
again:
	ret = lpm_lock(m, p.part);
	if (unlikely(ret))
		return ret;
	ret = lpm_find_locked(m, &k, &p, false);
	if (unlikely(ret))
		goto out;
	if (p.elem) {
		if (flags == BPF_NOEXIST) {
			ret = -EEXIST;
			goto out;
		}
	} else {
		if (flags == BPF_EXIST) {
			ret = -ENOENT;
			goto out;
		}
		if (part->live >= part->quota) {
			lpm_unlock(m, p.part);
			ret = lpm_steal(m, p.part);
			if (!ret)
				goto again;
			if (ret == -ENOSPC)
				fetch_add_relaxed(&part->failed, 1UL);
			return ret;
		}
	}
	ret = lpm_alloc(m, p.part, !p.elem && p.link, force, &a, &stamp);
	if (unlikely(ret)) {
		lpm_unlock(m, p.part);
		if (ret != -EAGAIN)
			return ret;
		lease_wait(stamp, lease_cpu());
		/* The second time round what lease_wait() gave up on is taken. More times: others
		 * have freed and taken elements meanwhile. */
		force = true;
		if (++tries > 20) {
			struct timespec nap = {0, 500000};

			nanosleep(&nap, NULL);
		}
		if (tries > 20000)
			return -EBUSY;
		goto again;
	}
	change_insert(m, &p, &a, &k, value);
	if (unlikely(part->live >= part->grow_at))
		lpm_index_grow(m, p.part);
out:
	lpm_unlock(m, p.part);
	return ret;
}

int lpm_erase(struct map *m, const void *key)
{
	struct lpm_key k = lpm_key(m, key);
	struct lpm_place p;
	int ret;

	if (unlikely(k.plen > m->lpm.max_plen))
		return -EINVAL;
	if (unlikely(!m->writable))
		return -EPERM;
	p.part = lpm_part_of(m, &k);
	ret = lpm_lock(m, p.part);
	if (unlikely(ret))
		return ret;
	ret = lpm_find_locked(m, &k, &p, true);
	if (!ret)
		ret = p.elem ? change_delete(m, &p, &k) : -ENOENT;
	lpm_unlock(m, p.part);
	return ret;
}

long lpm_update(struct map *m, const void *key, const void *value, uint64_t flags)
{
	return lpm_write(m, key, value, flags);
}

long lpm_delete(struct map *m, const void *key)
{
	return lpm_erase(m, key);
}
