/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Transactions: several puts and deletes, on one or several maps, that happen at one instant.
 *
 * A transaction is private memory until it commits. It remembers what it has read; the commit
 * shuts the gates of all its maps (gate.h), looks whether all that was read still is so, sees
 * to room for all that it is about to write, and then writes it: so it is as if everything in
 * it had been done at the instant of the commit (-EAGAIN: it could not be so; nothing has
 * changed, and it may be tried anew).
 *
 * Reads. map_shared.commits is odd while a commit is applied and different afterwards. Whenever
 * it is not what it was at the transaction's last read, all that was read before is read
 * again and compared. So what a transaction has read is, at each of its reads, the maps as they
 * were at one instant between commits.
 *
 * Where keys are prefixes (LPM_TRIE), what is remembered of a read is also which prefix it
 * found: the same value by another one is a change. A get looks among the transaction's own
 * changes for longer ones first.
 *
 * Where others give way to what is put (LRU), the commit chooses them behind the gates, and their
 * deletes are part of the redo data: they go with the commit, or stay.
 */
#ifndef SHMAP_MAP_TXN_H
#define SHMAP_MAP_TXN_H

#include "map/gate.h"

enum txn_op {
	TXN_READ,
	TXN_PUT,
	TXN_DELETE,
	TXN_PUT_OVER, /* in redo data: behind the value the one that was read; gate.h, put_over */
	TXN_EVICT,    /* in redo data: a delete of what gives way */
};

/* One key that it has read or is to write; what is to be written goes into the redo data like this.
 */
struct txn_entry {
	uint32_t size; /* of all, in whole words */
	uint16_t map;  /* number in the transaction */
	uint16_t op;
	uint32_t key_size;
	uint32_t value_size; /* 0: no such key (READ), none (DELETE); READ of a prefix: behind
			      * the one that was found, in whole words */
	uint64_t body[];     /* key, value, each in whole words */
};

static inline void *txn_key(struct txn_entry *e)
{
	return e->body;
}

static inline void *txn_value(struct txn_entry *e)
{
	return e->body + (e->key_size + 7) / 8;
}

static inline void *txn_seen(struct txn_entry *e)
{
	return e->body + (e->key_size + 7) / 8 + (e->value_size + 7) / 8;
}

struct txn;

/* NULL: no memory. */
struct txn *txn_begin(void);
/* Ends it; nothing of it has happened. */
void txn_abort(struct txn *t);
/* Ends it: 0: it has happened, in all maps. Else nothing of it has. -EAGAIN: what it has read
 * has changed; -E2BIG: no room; -EPERM: a map was frozen; -EXDEV: a map of another runtime
 * directory; -EBUSY: somebody stands still in the way. */
int txn_commit(struct txn *t);

/* The map's number in it. 0.. or -EOPNOTSUPP, -E2BIG (more than GATE_MAPS), -ENOMEM. */
int txn_join(struct txn *t, struct map *m);

/* key: private memory of the map's key_size bytes; value: user memory. */
int txn_get(struct txn *t, int map, const void *key, void *value);
/* flags: BPF_ANY, BPF_NOEXIST, BPF_EXIST: as of the commit. -E2BIG: more than GATE_DATA. */
int txn_put(struct txn *t, int map, const void *key, const void *value, uint64_t flags);
int txn_delete(struct txn *t, int map, const void *key);

#endif
