/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What maps of objects share: references, claims, and the process's copies. objref.h
 * has the proof.
 */
#include "map/objref.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/pool.h"
#include "base/rawsys.h"
#include "map/generic_batch.h"
#include "map/htab.h"
#include "shm/object.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define TAG_TRIES 64
#define OPEN_TRIES 16

static const struct objref_host *objref_host;

void objref_set_host(const struct objref_host *host)
{
	store_release(&objref_host, host);
}

static void inside_begin(const struct objref_host *h)
{
	if (h)
		h->inside_begin();
}

static void inside_end(const struct objref_host *h)
{
	if (h)
		h->inside_end();
}

static struct objref_area *area_of(const struct map *m)
{
	return (struct objref_area *)(m->obj.base + m->objref_off);
}

static uint32_t word_id(uint64_t word)
{
	return (uint32_t)word;
}

static uint32_t word_tag(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

/* ---- inner maps ---- */

int objref_check_inner(const struct map_attr *attr)
{
	const struct map_inner *in = &attr->inner;
	const struct map_ops *ops = map_ops_find(in->map_type);
	struct map_attr a = {
		.map_type = in->map_type,
		.key_size = in->key_size,
		.value_size = in->value_size,
		.max_entries = in->max_entries,
		.map_flags = in->map_flags & ~(uint32_t)BPF_F_NUMA_NODE,
		.spin_lock_off = in->spin_lock_off,
		.timer_at = in->timer_at,
		.wq_at = in->wq_at,
		.possible_cpus = attr->possible_cpus,
		/* types that need BTF had it when the map was made */
		.btf_key_type_id = 1,
		.btf_value_type_id = 1,
	};

	if (!ops || !ops->inner_allowed)
		return -EINVAL;
	if (in->spin_lock_off != -1 &&
	    (!ops->lock_allowed || in->spin_lock_off < 0 || in->spin_lock_off & 3 ||
	     in->value_size < 4 || (uint32_t)in->spin_lock_off > in->value_size - 4))
		return -EINVAL;
	return ops->alloc_check(&a) ? -EINVAL : 0;
}

int objref_take_inner(struct map_attr *attr, const struct map *like)
{
	if (like->inner)
		return -EINVAL;
	if (!like->ops->inner_allowed)
		return -ENOTSUPP;
	attr->inner = (struct map_inner){
		.map_type = like->attr.map_type,
		.key_size = like->attr.key_size,
		.value_size = like->attr.value_size,
		.max_entries = like->attr.max_entries,
		.map_flags = like->attr.map_flags,
		.spin_lock_off = like->attr.spin_lock_off,
		.timer_at = like->attr.timer_at,
		.wq_at = like->attr.wq_at,
	};
	return 0;
}

bool objref_inner_fits(const struct map *m, const struct map *inner)
{
	const struct map_inner *t = &m->attr.inner;
	const struct map_attr *a = &inner->attr;

	if (t->map_type != a->map_type || t->key_size != a->key_size ||
	    t->value_size != a->value_size || t->map_flags != a->map_flags ||
	    t->spin_lock_off != a->spin_lock_off || t->timer_at != a->timer_at ||
	    t->wq_at != a->wq_at)
		return false;
	return !inner->ops->inner_entries || t->map_flags & BPF_F_INNER_MAP ||
	       t->max_entries == a->max_entries;
}

static struct pool template_pool = POOL_OF(struct map);

static struct map *template_make(const struct map *m)
{
	const struct map_inner *in = &m->attr.inner;
	struct map *t = pool_alloc(&template_pool);

	if (!t)
		return NULL;
	t->ops = map_ops_find(in->map_type);
	t->attr.map_type = in->map_type;
	t->attr.key_size = in->key_size;
	t->attr.value_size = in->value_size;
	t->attr.max_entries = in->max_entries;
	t->attr.map_flags = in->map_flags;
	t->attr.spin_lock_off = in->spin_lock_off;
	t->attr.timer_at = in->timer_at;
	t->attr.wq_at = in->wq_at;
	t->attr.possible_cpus = m->attr.possible_cpus;
	t->elem_size = (uint32_t)round_up_u64(in->value_size, 8);
	return t;
}

/* ---- copies ---- */

static struct pool entry_pool = POOL_OF(struct objref_entry);
static struct pool local_pool = POOL_OF(struct objref_local);
static struct objref_entry *retired;

/* The table of a map in which nothing was looked up yet. */
static struct objref_place no_places[1];

/* The id decides whose references the map's slots are: it must be the file's own. */
static bool is_named(const struct map *m)
{
	char name[16];
	struct stat st;

	snprintf(name, sizeof(name), "%u", m->obj.id);
	return !rundir_open() &&
	       !raw_fstatat(rundir_kind_fd(OBJECT_MAP), name, &st, AT_SYMLINK_NOFOLLOW) &&
	       st.st_ino == m->obj.ino && st.st_dev == m->obj.dev;
}

int objref_open(struct map *m)
{
	const struct objref_ops *ops = m->ops->objref;

	if (m->obj.id && !is_named(m))
		return -EPROTO;
	if (ops->template) {
		if (objref_check_inner(&m->attr))
			return -EPROTO;
		m->inner = template_make(m);
		if (!m->inner)
			return -ENOMEM;
	}
	m->slots = pool_alloc(&local_pool);
	if (!m->slots) {
		pool_free(&template_pool, (struct map *)m->inner);
		return -ENOMEM;
	}
	m->slots->table = no_places;
	m->slots->places = m->attr.max_entries;
	return 0;
}

static void entry_free(struct objref_entry *e)
{
	const struct objref_host *h = load_acquire(&objref_host);

	h->close(e->kind, e->copy);
	pool_free(&entry_pool, e);
}

static void push_retired(struct objref_entry *e)
{
	struct objref_entry *old = load_relaxed(&retired);

	/* Only the whole list is taken off: no ABA. */
	do {
		e->next = old;
	} while (!cas_seq_cst(&retired, &old, e));
}

/* Out of the table: a run that found it before may go on using it. */
static void entry_retire(struct objref_entry *e)
{
	if (!e)
		return;
	/* After the exchange that took it out. */
	e->stamp = lease_stamp();
	push_retired(e);
}

void objref_reclaim(void)
{
	struct objref_entry *e, *next;

	if (likely(!load_relaxed(&retired)))
		return;
	for (e = exchange_seq_cst(&retired, NULL); e; e = next) {
		next = e->next;
		if (lease_elapsed_here(e->stamp))
			entry_free(e);
		else
			push_retired(e);
	}
}

/* The last holder is gone: no run of this process knows the map. */
void objref_close(struct map *m)
{
	struct objref_local *l = m->slots;

	if (l && l->room) {
		for (uint32_t i = 0; i < l->room; i++)
			if (l->table[i].entry)
				entry_free(l->table[i].entry);
		raw_munmap(l->table, l->room * sizeof(l->table[0]));
	}
	pool_free(&local_pool, l);
	m->slots = NULL;
	pool_free(&template_pool, (struct map *)m->inner);
	m->inner = NULL;
}

/* Private memory, as much as will be touched. */
bool objref_table(const struct map *m)
{
	struct objref_local *l = m->slots;
	struct objref_place *none = no_places, *table;
	uint32_t room = OBJREF_WAYS;

	if (l->room)
		return true;
	while (room < l->places && room < OBJREF_CACHED_MAX)
		room *= 2;
	table = raw_mmap(NULL, room * sizeof(table[0]), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(table))
		return false;
	if (!cas_seq_cst(&l->table, &none, table)) {
		raw_munmap(table, room * sizeof(table[0]));
		return true;
	}
	/* A reader with the table and not yet the mask finds nothing in place 0 that
	 * is not right: entries say their word. */
	store_release(&l->room, room);
	store_release(&l->mask, room - 1);
	return true;
}

/* Where an entry goes: its slot's own former one, an empty place, one that is stale. */
static struct objref_place *place_for(const struct objref_local *l, uint32_t at,
				      const uint64_t *slot, uint64_t word)
{
	struct objref_place *best =
		&l->table[(at ^ (word_tag(word) & (OBJREF_WAYS - 1))) & l->mask];
	int rank = 0;

	for (uint32_t w = 0; w < OBJREF_WAYS; w++) {
		struct objref_place *p = &l->table[(at ^ w) & l->mask];
		struct objref_entry *e = load_acquire(&p->entry);
		int r = !e ? 2 : e->slot == slot ? 3 : load_relaxed(e->slot) != e->word ? 1 : 0;

		if (r > rank || (r == rank && !w && r))
			best = p, rank = r;
	}
	return best;
}

/* Puts the entry in the place, whose former one goes; or, when another thread is at it, lets
 * e go when the caller's run has ended. */
static void place_set(struct objref_place *p, struct objref_entry *e)
{
	struct objref_entry *old = e;
	uint64_t word = load_relaxed(&p->word);

	if (word != OBJREF_BUSY && cas_seq_cst(&p->word, &word, OBJREF_BUSY)) {
		fence_after_rmw(); /* before the copy: objref_place_has() */
		old = load_relaxed(&p->entry);
		store_release(&p->entry, e);
		store_release(&p->copy, e->copy);
		store_release(&p->word, e->word);
	}
	entry_retire(old);
}

/* A copy of what the word names, checked; NULL: not there, or not what may be there. */
static struct objref_entry *entry_open(struct map *m, const uint64_t *slot, uint64_t word)
{
	const struct objref_host *h = load_acquire(&objref_host);
	const struct objref_ops *ops = m->ops->objref;
	struct objref_target t = {.kind = ops->kind, .id = word_id(word)};
	struct objref_entry *e;
	void *copy;

	if (!h || !word_id(word) || word_id(word) > INT32_MAX)
		return NULL;
	if (h->open(ops->kind, word_id(word), &copy, &t.owner))
		return NULL;
	if (ops->kind == OBJECT_MAP)
		t.map = copy;
	/* A damaged slot may name anything. */
	e = ops->fits(m, &t) ? NULL : pool_alloc(&entry_pool);
	if (!e) {
		h->close(ops->kind, copy);
		return NULL;
	}
	*e = (struct objref_entry){.word = word, .copy = copy, .slot = slot, .kind = ops->kind};
	return e;
}

void *objref_lookup_slow(struct map *m, const uint64_t *slot, uint32_t at)
{
	struct objref_local *l = m->slots;
	struct objref_entry *e;
	uint64_t word;
	void *copy;

	word = load_acquire(slot);
	for (uint32_t w = 1; word && w < OBJREF_WAYS && load_relaxed(&l->room); w++) {
		if (objref_place_has(&l->table[(at ^ w) & l->mask], word, &copy))
			return copy;
	}
	if (!word)
		return NULL;
	objref_reclaim();
	if (!objref_table(m))
		return NULL;
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		word = load_acquire(slot);
		if (!word)
			return NULL;
		e = entry_open(m, slot, word);
		/* While the word stands there the object cannot be another of that
		 * id. If it has changed, what was opened may be anything. */
		if (load_acquire(slot) != word) {
			if (e)
				entry_free(e);
			continue;
		}
		if (!e)
			return NULL;
		copy = e->copy;
		place_set(place_for(l, at, slot, word), e);
		return copy;
	}
	return NULL;
}

static bool inside_file(const struct map *m, const uint8_t *address)
{
	return address >= m->obj.base && (size_t)(address - m->obj.base) < m->obj.size;
}

struct map *objref_map_of(struct map *m, const void *address)
{
	struct objref_local *l = m->slots;
	uint32_t room = l ? load_acquire(&l->room) : 0;

	if (inside_file(m, address))
		return m;
	if (!l || m->ops->objref->kind != OBJECT_MAP)
		return NULL;
	for (uint32_t i = 0; i < room; i++) {
		struct objref_entry *e = load_acquire(&l->table[i].entry);

		if (e && inside_file(e->copy, address))
			return e->copy;
	}
	return NULL;
}

/* ---- changes ---- */

static __thread struct {
	uint32_t defer; /* in a batch: the grace period comes at its end */
	bool owed;
} grace __attribute__((tls_model("initial-exec")));

void objref_grace(struct map *m)
{
	if (!m->ops->objref->wait)
		return;
	if (grace.defer) {
		grace.owed = true;
		return;
	}
	/* The slot's exchange came before: partner in the proof of lease.c. */
	lease_wait(lease_stamp(), lease_cpu());
}

static void unref(struct map *m, uint64_t word)
{
	object_slot_unref(OBJECT_MAP, m->obj.id, m->ops->objref->kind, word_id(word),
			  word_tag(word));
}

void objref_dropped(struct map *m, uint64_t word)
{
	const struct objref_host *h = load_acquire(&objref_host);

	inside_begin(h);
	unref(m, word);
	object_collect(m->ops->objref->kind, word_id(word));
	inside_end(h);
}

/* What a dead owner left: see objref.h. */
static void repair(struct map *m, struct robust_claim *c)
{
	const uint64_t words[2] = {CLAIM_NEW(c), CLAIM_OLD(c)};
	uint64_t slot = CLAIM_SLOT(c);

	for (int i = 0; i < 2; i++)
		if (words[i] && !m->ops->objref->shows(m, slot, words[i]))
			objref_dropped(m, words[i]);
	CLAIM_NEW(c) = CLAIM_OLD(c) = 0;
}

static int slots_change_begin(struct map *m, struct claim_held *held)
{
	struct objref_area *a = area_of(m);
	int ret;

	if (!m->writable)
		return -EPERM;
	for (;;) {
		ret = claim_take(a->claim, OBJREF_CLAIMS, held);
		if (ret <= 0)
			return ret;
		repair(m, held->claim);
		claim_drop(held);
	}
}

/* The link of a new word; its tag is nobody else's. */
static int make_word(struct map *m, struct robust_claim *c, uint32_t id, uint64_t *word)
{
	struct objref_area *a = area_of(m);
	int ret = -EEXIST;

	for (int tries = 0; ret == -EEXIST && tries < TAG_TRIES; tries++) {
		uint32_t tag = fetch_add_relaxed(&a->next_tag, 1);

		*word = (uint64_t)tag << 32 | id;
		CLAIM_NEW(c) = *word;
		fence_compiler();
		ret = object_slot_ref(OBJECT_MAP, m->obj.id, m->ops->objref->kind, id, tag);
		/* The counter went round: the link belongs to another slot. */
		if (ret)
			CLAIM_NEW(c) = 0;
	}
	return ret;
}

/* The slot was changed: drops what it held. */
static void slots_change_end(struct map *m, struct claim_held *held)
{
	const struct objref_host *h = load_acquire(&objref_host);
	struct robust_claim *c = held->claim;
	uint64_t old = CLAIM_OLD(c);

	if (old)
		unref(m, old);
	CLAIM_NEW(c) = CLAIM_OLD(c) = 0;
	claim_drop(held);
	if (!old)
		return;
	inside_begin(h);
	object_collect(m->ops->objref->kind, word_id(old));
	inside_end(h);
	objref_grace(m);
}

int objref_take_begin(struct map *m, struct claim_held *held)
{
	return slots_change_begin(m, held);
}

void objref_take_end(struct map *m, struct claim_held *held)
{
	slots_change_end(m, held);
}

/* Changes one slot to hold t, or nothing. */
static int change(struct map *m, const void *key, const struct objref_target *t, uint64_t flags)
{
	struct claim_held held;
	uint64_t word = 0;
	int ret;

	ret = slots_change_begin(m, &held);
	if (ret)
		return ret;
	if (t)
		ret = make_word(m, held.claim, t->id, &word);
	if (!ret)
		ret = m->ops->objref->swap(m, key, flags, word, held.claim);
	if (ret) {
		/* The slot is as it was: what is left over is the new word. */
		CLAIM_OLD(held.claim) = 0;
		if (word)
			unref(m, word);
	}
	slots_change_end(m, &held);
	return ret;
}

int objref_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	const struct objref_host *h = load_acquire(&objref_host);
	struct objref_target t = {.kind = m->ops->objref->kind};
	uint32_t id;
	int32_t fd;
	int ret;

	memcpy(&fd, value, sizeof(fd));
	ret = m->ops->objref->check ? m->ops->objref->check(m, key, flags) : 0;
	if (ret)
		return ret;
	if (!h)
		return -EBADF;
	/* The slot holds the object already: it is that of the fd, as an id is not given
	 * out again while its object is there. */
	id = h->known(fd, t.kind);
	if (id && m->ops->objref->holds && m->writable &&
	    word_id(m->ops->objref->holds(m, key)) == id)
		return 0;
	ret = h->hold(fd, &t);
	if (ret)
		return ret;
	ret = m->ops->objref->fits(m, &t);
	if (!ret)
		ret = change(m, key, &t, flags);
	h->drop(&t);
	return ret;
}

int objref_erase(struct map *m, const void *key)
{
	int ret = m->ops->objref->check ? m->ops->objref->check(m, key, 0) : 0;

	return ret ? ret : change(m, key, NULL, 0);
}

static int deferring(struct map *m, struct map_batch *b,
		     int (*fn)(struct map *m, struct map_batch *b))
{
	int ret;

	grace.defer++;
	ret = fn(m, b);
	if (!--grace.defer && grace.owed) {
		grace.owed = false;
		objref_grace(m);
	}
	return ret;
}

int objref_update_batch(struct map *m, struct map_batch *b)
{
	return deferring(m, b, generic_update_batch);
}

int objref_delete_batch(struct map *m, struct map_batch *b)
{
	return deferring(m, b, generic_delete_batch);
}

int objref_take_batch(struct map *m, struct map_batch *b)
{
	return deferring(m, b, htab_lookup_and_delete_batch);
}

int objref_recover(struct map *m)
{
	struct claim_held held;
	int ret;

	if (!m->writable)
		return -EPERM;
	while (claim_any_died(area_of(m)->claim, OBJREF_CLAIMS)) {
		ret = slots_change_begin(m, &held);
		if (ret)
			return ret;
		claim_drop(&held);
	}
	return 0;
}

int objref_validate(struct map *m, char *why, size_t size)
{
	for (unsigned int i = 0; i < OBJREF_CLAIMS; i++) {
		struct robust_claim *c = &area_of(m)->claim[i];

		if (c->word || CLAIM_NEW(c) || CLAIM_OLD(c)) {
			snprintf(why, why ? size : 0, "claim %u: word %#x new %#llx old %#llx", i,
				 c->word, (unsigned long long)CLAIM_NEW(c),
				 (unsigned long long)CLAIM_OLD(c));
			return -EINVAL;
		}
	}
	return 0;
}
