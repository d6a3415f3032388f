/* SPDX-License-Identifier: BSD-2-Clause */
/* Transactions; see txn.h for what they are, and gate.h for why a commit is one instant. */
#include "map/change.h"
#include "map/txn.h"

#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/uaccess.h"
#include "map/snapshot.h"

#define READ_TRIES 1000
#define FIRST_BYTES 1024U
#define FIRST_INDEX 64U
#define PREFIX_MAX 260 /* bytes of a key that is a prefix: LPM_KEY_MAX */

struct txn_map {
	struct map *m;	  /* one reference */
	uint64_t commits; /* as of the last read */
	bool read;
	bool written;
};

struct txn {
	struct txn_map map[GATE_MAPS];
	uint32_t maps;
	/* entries, one per key; the index leads to each by its key */
	uint8_t *log;
	uint32_t bytes, room;
	uint32_t written; /* bytes of redo data */
	uint32_t *index;  /* offset + 1 */
	uint32_t index_size, entries;
	/* flags of puts and what a key was like; beside the entries, by number */
	void *value; /* room for one value of any of the maps, twice */
	uint32_t value_room;
	bool doomed; /* two of its reads do not go together */
};

struct txn *txn_begin(void)
{
	return calloc(1, sizeof(struct txn));
}

void txn_abort(struct txn *t)
{
	for (uint32_t i = 0; i < t->maps; i++)
		map_put(t->map[i].m);
	free(t->log);
	free(t->index);
	free(t->value);
	free(t);
}

static const struct gate_prefix_ops *prefix_of(const struct map *m)
{
	return m->ops->gate->prefix;
}

/* Of what a read is remembered by: the prefix that it found, in whole words, and the value. */
static uint32_t found_size(const struct map *m)
{
	return prefix_of(m) ? (uint32_t)round_up_u64(m->attr.key_size, 8) : 0;
}

static uint32_t read_size(const struct map *m)
{
	return found_size(m) + m->user_value_size;
}

int txn_join(struct txn *t, struct map *m)
{
	uint32_t i;
	void *value;
	int err;

	for (i = 0; i < t->maps; i++) {
		struct txn_map *tm = &t->map[i];

		if (tm->m == m)
			return (int)i;
		if (tm->m->obj.ino != m->obj.ino || tm->m->obj.dev != m->obj.dev)
			continue;
		/* The same file by another fd: the one that can be written. */
		if (m->writable && !tm->m->writable) {
			map_get(m);
			map_put(tm->m);
			tm->m = m;
		}
		return (int)i;
	}
	err = map_snapshot_check(m, true);
	if (err)
		return err;
	if (t->maps == GATE_MAPS)
		return -E2BIG;
	if (read_size(m) > t->value_room) {
		value = realloc(t->value, 2 * (size_t)read_size(m));
		if (!value)
			return -ENOMEM;
		t->value = value;
		t->value_room = read_size(m);
	}
	map_get(m);
	t->map[t->maps] = (struct txn_map){.m = m};
	return (int)t->maps++;
}

/* ---- the log ---- */

static struct txn_entry *entry_of(const struct txn *t, uint32_t offset1)
{
	return (struct txn_entry *)(t->log + offset1 - 1);
}

/* Of the write, which follows what was read. */
static uint32_t hash_of(uint32_t map, const void *key, uint32_t size)
{
	const uint8_t *k = key;
	uint64_t h = 0xcbf29ce484222325 ^ map;

	while (size--)
		h = (h ^ *k++) * 0x100000001b3;
	return (uint32_t)(h ^ h >> 32);
}

/* The slot of the index for a key's READ, or for its PUT or DELETE. */
static uint32_t *slot_of(const struct txn *t, uint32_t map, const void *key, bool write)
{
	const struct map *m = t->map[map].m;
	uint32_t size = m->attr.key_size, mask = t->index_size - 1, at;
	uint8_t canon[PREFIX_MAX];

	if (prefix_of(m)) {
		prefix_of(m)->canon(m, key, canon);
		at = hash_of(map, canon, size) & mask;
	} else {
		at = hash_of(map, key, size) & mask;
	}
	for (;; at = (at + 1) & mask) {
		struct txn_entry *e;

		if (!t->index[at])
			return &t->index[at];
		e = entry_of(t, t->index[at]);
		if (e->map == map && (e->op != TXN_READ) == write &&
		    (prefix_of(m) ? m->ops->same_key(m, txn_key(e), key)
				  : !memcmp(txn_key(e), key, size)))
			return &t->index[at];
	}
}

static int index_grow(struct txn *t)
{
	uint32_t size = t->index_size ? 2 * t->index_size : FIRST_INDEX, at, *old = t->index;
	struct txn_entry *e;

	t->index = calloc(size, sizeof(*t->index));
	if (!t->index) {
		t->index = old;
		return -ENOMEM;
	}
	free(old);
	t->index_size = size;
	t->entries = 0;
	for (at = 0; at < t->bytes; at += e->size) {
		e = entry_of(t, at + 1);
		if (e->op > TXN_DELETE)
			continue;
		*slot_of(t, e->map, txn_key(e), e->op != TXN_READ) = at + 1;
		t->entries++;
	}
	return 0;
}

#define TXN_GONE 0xff /* an entry that another has replaced */

/* Room for one more entry. */
static int log_room(struct txn *t, uint64_t size)
{
	uint64_t room = t->room ? t->room : FIRST_BYTES;
	uint8_t *log;

	if (2 * (t->entries + 1) > t->index_size && index_grow(t))
		return -ENOMEM;
	while (t->bytes + size > room)
		room *= 2;
	if (room > INT32_MAX)
		return -E2BIG;
	if (room == t->room)
		return 0;
	log = realloc(t->log, room);
	if (!log)
		return -ENOMEM;
	t->log = log;
	t->room = (uint32_t)room;
	return 0;
}

/* A new entry of the key, in place of one of its kind. value NULL: none. */
static int log_add(struct txn *t, uint32_t map, enum txn_op op, const void *key, const void *value)
{
	struct map *m = t->map[map].m;
	uint32_t value_size = op == TXN_READ ? read_size(m) : m->user_value_size, *slot;
	uint64_t size = sizeof(struct txn_entry) + round_up_u64(m->attr.key_size, 8);
	uint32_t was = 0;
	struct txn_entry *e;
	int err;

	value_size = value ? value_size : 0;
	size += round_up_u64(value_size, 8);
	err = log_room(t, size);
	if (err)
		return err;
	slot = slot_of(t, map, key, op != TXN_READ);
	if (*slot && op != TXN_READ)
		was = entry_of(t, *slot)->size;
	if (op != TXN_READ && t->written - was + size > GATE_DATA)
		return -E2BIG;
	e = (struct txn_entry *)(t->log + t->bytes);
	memset(e, 0, size);
	*e = (struct txn_entry){.size = (uint32_t)size,
				.map = (uint16_t)map,
				.op = (uint16_t)op,
				.key_size = m->attr.key_size,
				.value_size = value_size};
	memcpy(txn_key(e), key, m->attr.key_size);
	if (value)
		memcpy(txn_value(e), value, value_size);
	if (*slot)
		entry_of(t, *slot)->op = TXN_GONE;
	else
		t->entries++;
	*slot = t->bytes + 1;
	t->bytes += (uint32_t)size;
	if (op != TXN_READ)
		t->written += (uint32_t)size - was;
	return 0;
}

/* ---- reading ---- */

/* What a get finds, as it is (read_size() bytes): 1, 0: nothing, or -errno. */
static int read_now(struct map *m, const void *key, uint8_t *found)
{
	int err;

	memset(found, 0, found_size(m));
	if (prefix_of(m))
		err = prefix_of(m)->find(m, key, found, found + found_size(m));
	else
		err = m->ops->read(m, key, found, m->attr.spin_lock_off >= 0 ? BPF_F_LOCK : 0);
	if (err == -ENOENT)
		return 0;
	return err ? err : 1;
}

/* Is what was read still so? 1, 0, -errno. */
static int read_same(struct txn *t, struct txn_entry *e)
{
	struct map *m = t->map[e->map].m;
	int ret = read_now(m, txn_key(e), t->value);

	if (ret < 0)
		return ret;
	if (!ret || !e->value_size)
		return !ret && !e->value_size;
	return !memcmp(t->value, txn_value(e), e->value_size);
}

static int reads_same(struct txn *t)
{
	struct txn_entry *e;
	uint32_t at;
	int ret = 1;

	for (at = 0; ret == 1 && at < t->bytes; at += e->size) {
		e = entry_of(t, at + 1);
		if (e->op == TXN_READ)
			ret = read_same(t, e);
	}
	return ret;
}

/* The map's number of commits, while none is being applied. */
static int commits_of(struct map *m, uint64_t *commits)
{
	uint32_t tries;
	int err;

	for (tries = 0; tries < READ_TRIES; tries++) {
		/* Pairs with gate_applied(). */
		*commits = load_acquire(&m->shared->commits);
		if (likely(!(*commits & 1)))
			return 0;
		err = map_gate_wait(m);
		if (err)
			return err;
	}
	return -EIO; /* odd, and the gate is open: damage */
}

/* Has nothing been committed to a map that was read since its number was noted? */
static bool commits_same(const struct txn *t)
{
	/* What was read before: partner of gate_applying(). */
	fence_acquire();
	for (uint32_t i = 0; i < t->maps; i++)
		if (t->map[i].read &&
		    load_relaxed(&t->map[i].m->shared->commits) != t->map[i].commits)
			return false;
	return true;
}

static int commits_note(struct txn *t)
{
	int err = 0;

	for (uint32_t i = 0; !err && i < t->maps; i++)
		if (t->map[i].read)
			err = commits_of(t->map[i].m, &t->map[i].commits);
	return err;
}

/* Reads so that it goes together with all that was read before. 1, 0 or -errno. */
static int read_fitting(struct txn *t, uint32_t map, const void *key, void *value)
{
	struct txn_map *tm = &t->map[map];
	uint32_t tries;
	int ret, same;

	if (!tm->read) {
		ret = commits_of(tm->m, &tm->commits);
		if (ret)
			return ret;
		tm->read = true;
	}
	for (tries = 0; tries < READ_TRIES; tries++) {
		ret = read_now(tm->m, key, value);
		if (ret < 0)
			return ret;
		if (likely(commits_same(t)))
			return ret;
		ret = commits_note(t);
		if (ret)
			return ret;
		same = reads_same(t);
		if (same <= 0)
			return same ? same : -EAGAIN;
	}
	return -EAGAIN;
}

/* Is what was found just the key, not a shorter one that stands for it? */
static bool found_key(const struct map *m, const void *key, const void *found)
{
	return !prefix_of(m) || m->ops->same_key(m, found, key);
}

/* What was read of the key, now or before: *e, until the log grows. 0 or -errno. */
static int read_logged(struct txn *t, uint32_t map, const void *key, struct txn_entry **e)
{
	uint8_t *found = (uint8_t *)t->value + t->value_room;
	uint32_t *slot;
	int ret;

	if (t->doomed)
		return -EAGAIN;
	ret = log_room(t, 0);
	if (ret)
		return ret;
	slot = slot_of(t, map, key, false);
	if (!*slot) {
		ret = read_fitting(t, map, key, found);
		if (ret == -EAGAIN)
			t->doomed = true;
		if (ret >= 0)
			ret = log_add(t, map, TXN_READ, key, ret ? found : NULL);
		if (ret)
			return ret;
		slot = slot_of(t, map, key, false);
	}
	*e = entry_of(t, *slot);
	return 0;
}

/* What it is to write to just that key, or NULL. */
static struct txn_entry *write_logged(const struct txn *t, uint32_t map, const void *key)
{
	uint32_t *slot = t->map[map].written ? slot_of(t, map, key, true) : NULL;

	return slot && *slot ? entry_of(t, *slot) : NULL;
}

/*
 * The longest prefix that stands for the key: of those in the map, which the transaction has not
 * deleted, and those that it is to put.
 */
static int get_longest(struct txn *t, uint32_t map, const void *key, void *value)
{
	struct map *m = t->map[map].m;
	const struct gate_prefix_ops *ops = prefix_of(m);
	uint8_t asked[PREFIX_MAX], at[PREFIX_MAX];
	struct txn_entry *read, *own;
	bool there, deleted;
	int err;

	ops->canon(m, key, asked);
	do {
		err = read_logged(t, map, asked, &read);
		if (err)
			return err;
		there = read->value_size;
		memcpy(at, asked, m->attr.key_size);
		for (;;) {
			bool found = there && found_key(m, at, txn_value(read));

			own = write_logged(t, map, at);
			if (own && own->op == TXN_PUT)
				return uaccess_copy(value, txn_value(own), m->user_value_size);
			deleted = own && found;
			if (found || !ops->shorter(m, at))
				break;
		}
		if (!there)
			return -ENOENT;
		if (!deleted)
			return uaccess_copy(value, (uint8_t *)txn_value(read) + found_size(m),
					    m->user_value_size);
		/* What it has deleted does not stand in the way to a shorter one. */
		memcpy(asked, at, m->attr.key_size);
	} while (ops->shorter(m, asked));
	return -ENOENT;
}

int txn_get(struct txn *t, int map, const void *key, void *value)
{
	struct map *m = t->map[map].m;
	struct txn_entry *e;
	int err;

	if (t->doomed)
		return -EAGAIN;
	if (prefix_of(m))
		return m->ops->gate->check(m, key, true)
			       ? -ENOENT
			       : get_longest(t, (uint32_t)map, key, value);
	/* What it wrote itself, then what it has read. */
	e = write_logged(t, (uint32_t)map, key);
	if (!e) {
		err = read_logged(t, (uint32_t)map, key, &e);
		if (err)
			return err;
	}
	return e->value_size ? uaccess_copy(value, txn_value(e), e->value_size) : -ENOENT;
}

/* Is there an element of just that key, as the transaction sees it? 1, 0, -errno. */
static int there_logged(struct txn *t, uint32_t map, const void *key)
{
	struct map *m = t->map[map].m;
	struct txn_entry *e;
	int err;

	if (t->doomed)
		return -EAGAIN;
	e = write_logged(t, map, key);
	if (e)
		return e->op == TXN_PUT;
	err = read_logged(t, map, key, &e);
	return err ? err : e->value_size && found_key(m, key, txn_value(e));
}

/* ---- writing ---- */

int txn_put(struct txn *t, int map, const void *key, const void *value, uint64_t flags)
{
	struct map *m = t->map[map].m;
	int ret;

	if (flags > BPF_EXIST)
		return -EINVAL;
	ret = m->ops->gate->check ? m->ops->gate->check(m, key, true) : 0;
	if (ret)
		return ret;
	if (flags != BPF_ANY) {
		/* A read like any other: the commit looks whether it is still so. */
		ret = there_logged(t, (uint32_t)map, key);
		if (ret < 0)
			return ret;
		if (ret != (flags == BPF_EXIST))
			return ret ? -EEXIST : -ENOENT;
	}
	ret = log_add(t, (uint32_t)map, TXN_PUT, key, value);
	t->map[map].written = t->map[map].written || !ret;
	return ret;
}

int txn_delete(struct txn *t, int map, const void *key)
{
	struct map *m = t->map[map].m;
	int ret = m->ops->gate->check ? m->ops->gate->check(m, key, false) : 0;

	if (!ret)
		ret = there_logged(t, (uint32_t)map, key);
	if (ret <= 0)
		return ret ? ret : -ENOENT;
	ret = log_add(t, (uint32_t)map, TXN_DELETE, key, NULL);
	t->map[map].written = t->map[map].written || !ret;
	return ret;
}

/* ---- the commit ---- */

/* All maps of the transaction behind their gates, in the order of their ids. */
struct commit {
	struct map *sorted[GATE_MAPS];
	uint32_t nr[GATE_MAPS]; /* of the transaction's map: its place here */
	bool again[GATE_MAPS];
	struct gate_need *need;
};

static int commit_sort(struct txn *t, struct commit *c)
{
	uint32_t i, k, n = t->maps;
	int err = 0;

	for (i = 0; !err && i < n; i++) {
		struct map *m;
		bool again;

		err = gate_writable(t->map[i].m, &m, &again);
		if (err)
			break;
		for (k = i; k && c->sorted[k - 1]->obj.id > m->obj.id; k--) {
			c->sorted[k] = c->sorted[k - 1];
			c->again[k] = c->again[k - 1];
		}
		c->sorted[k] = m;
		c->again[k] = again;
	}
	for (k = 0; err && k < i; k++)
		if (c->again[k])
			map_put(c->sorted[k]);
	for (i = 0; !err && i < n; i++)
		for (k = 0; k < n; k++)
			if (c->sorted[k]->obj.id == t->map[i].m->obj.id)
				c->nr[i] = k;
	return err;
}

static int entry_drain(struct txn *t, struct commit *c, struct txn_entry *e)
{
	struct map *m = c->sorted[c->nr[e->map]];

	return e->op > TXN_DELETE ? 0 : m->ops->gate->drain(m, txn_key(e));
}

/* A map's changes, as its type asks for them. */
struct commit_plan {
	struct gate_plan plan;
	struct txn *t;
	struct gate_held *g;
	uint32_t map, nr; /* the transaction's, the slot's */
	uint32_t *bytes;  /* of redo data */
};

static bool plan_mine(struct gate_plan *plan, const void *key)
{
	const struct commit_plan *p = (const struct commit_plan *)plan;

	return write_logged(p->t, p->map, key);
}

static int plan_evict(struct gate_plan *plan, const void *key)
{
	const struct commit_plan *p = (const struct commit_plan *)plan;
	uint32_t key_size = p->t->map[p->map].m->attr.key_size;
	uint32_t size = (uint32_t)(sizeof(struct txn_entry) + round_up_u64(key_size, 8));
	struct txn_entry *e = (struct txn_entry *)(p->g->data + *p->bytes);
	int err = gate_room(p->g, *p->bytes + size);

	if (err)
		return err;
	memset(e, 0, size);
	*e = (struct txn_entry){
		.size = size, .map = (uint16_t)p->nr, .op = TXN_EVICT, .key_size = key_size};
	memcpy(txn_key(e), key, key_size);
	*p->bytes += size;
	return 0;
}

/* Behind the gates: nothing changes what is looked at here. *bytes: of redo data, which grows by
 * what gives way. */
static int commit_check(struct txn *t, struct commit *c, struct gate_held *g, uint32_t *bytes)
{
	struct txn_entry *e;
	uint32_t at, i;
	int ret = 0;

	for (i = 0; i < t->maps; i++)
		if (t->map[i].written && load_relaxed(&t->map[i].m->shared->frozen))
			return -EPERM;
	for (at = 0; !ret && at < t->bytes; at += e->size) {
		e = entry_of(t, at + 1);
		ret = entry_drain(t, c, e);
	}
	if (ret)
		return ret;
	ret = reads_same(t);
	if (ret <= 0)
		return ret ? ret : -EAGAIN;
	for (i = 0; i < t->maps; i++) {
		struct map *m = c->sorted[c->nr[i]];
		struct commit_plan p = {.plan = {c->need, 0, plan_mine, plan_evict},
					.t = t,
					.g = g,
					.map = i,
					.nr = c->nr[i],
					.bytes = bytes};

		if (!t->map[i].written)
			continue;
		for (at = 0; at < t->bytes; at += e->size) {
			e = entry_of(t, at + 1);
			if (e->map != i || (e->op != TXN_PUT && e->op != TXN_DELETE))
				continue;
			ret = read_now(m, txn_key(e), t->value);
			if (ret < 0)
				return ret;
			c->need[p.plan.n++] = (struct gate_need){
				.key = txn_key(e),
				.put = e->op == TXN_PUT,
				.there = ret && found_key(m, txn_key(e), t->value)};
		}
		ret = m->ops->gate->reserve(m, &p.plan);
		if (ret)
			return ret;
	}
	return 0;
}

/* What was read of a key that is to be written with care for single stores; or NULL. */
static struct txn_entry *seen_of(const struct txn *t, struct txn_entry *e)
{
	struct map *m = t->map[e->map].m;
	uint32_t *slot;

	if (e->op != TXN_PUT || !m->ops->gate->put_over || m->attr.value_size > 8 ||
	    m->attr.spin_lock_off >= 0)
		return NULL;
	slot = slot_of(t, e->map, txn_key(e), false);
	return *slot ? entry_of(t, *slot) : NULL;
}

static uint32_t commit_bytes(const struct txn *t)
{
	struct txn_entry *e, *seen;
	uint32_t at, n = t->written;

	for (at = 0; at < t->bytes; at += e->size) {
		e = entry_of(t, at + 1);
		seen = seen_of(t, e);
		if (seen)
			n += (uint32_t)round_up_u64(seen->value_size, 8);
	}
	return n;
}

/* The redo data: what is to be written, with the maps' numbers in the slot. Its bytes. */
static uint32_t commit_log(struct txn *t, struct commit *c, struct gate_held *g)
{
	struct txn_entry *e, *to, *seen;
	uint32_t at, n = 0;

	for (at = 0; at < t->bytes; at += e->size) {
		e = entry_of(t, at + 1);
		if (e->op != TXN_PUT && e->op != TXN_DELETE)
			continue;
		to = (struct txn_entry *)(g->data + n);
		memcpy(to, e, e->size);
		to->map = (uint16_t)c->nr[e->map];
		seen = seen_of(t, e);
		if (seen && seen->value_size == e->value_size) {
			to->op = TXN_PUT_OVER;
			memcpy(txn_seen(to), txn_value(seen), round_up_u64(seen->value_size, 8));
			to->size += (uint32_t)round_up_u64(seen->value_size, 8);
		}
		n += to->size;
	}
	return n;
}

static int commit_gated(struct txn *t, struct commit *c)
{
	struct gate_held g;
	uint32_t i, bytes = commit_bytes(t);
	int err = bytes <= GATE_DATA ? gate_begin(&g, bytes) : -E2BIG;

	if (err)
		return err;
	bytes = commit_log(t, c, &g);
	err = gate_shut(&g, c->sorted, t->maps);
	if (!err)
		err = commit_check(t, c, &g, &bytes);
	if (err) {
		gate_open(&g);
		gate_end(&g);
		return err;
	}
	store_relaxed(&g.slot->bytes, bytes);
	/* It has happened. */
	store_release(&g.slot->state, GATE_COMMITTED);
	gate_applying(c->sorted, t->maps);
	for (i = 0; !err && i < t->maps; i++)
		err = txn_replay(c->sorted[i], i, g.data, bytes);
	if (err) {
		/* Somebody stands still in the way: who comes next tries again. */
		gate_leave(&g);
		return 0;
	}
	gate_applied(c->sorted, t->maps);
	/* Dying from here on: the gates are opened, no more. */
	store_release(&g.slot->state, GATE_TAKING);
	gate_open(&g);
	gate_end(&g);
	return 0;
}

int txn_commit(struct txn *t)
{
	struct commit c = {.need = NULL};
	struct map_changing changing;
	uint32_t i;
	int err;

	err = t->doomed ? -EAGAIN : 0;
	/* Who only reads has read what was so at its last read. */
	if (err || !t->written)
		goto end;
	c.need = malloc(t->entries * sizeof(*c.need));
	err = c.need ? commit_sort(t, &c) : -ENOMEM;
	if (!err) {
		err = change_begin_maps(c.sorted, t->maps, &changing);
		if (!err) {
			err = commit_gated(t, &c);
			change_end_maps(c.sorted, t->maps, &changing, !err);
		}
		for (i = 0; i < t->maps; i++)
			if (c.again[i])
				map_put(c.sorted[i]);
	}
	free(c.need);
end:
	txn_abort(t);
	return err;
}
