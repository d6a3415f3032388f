/* SPDX-License-Identifier: BSD-2-Clause */
/* Accounts in maps, whose sum no transaction changes. */
#ifndef SHMAP_TESTS_TXN_BANK_H
#define SHMAP_TESTS_TXN_BANK_H

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"
#include "shmap.h"

#define ACCOUNTS 24 /* in each of two maps */
#define START 1000
#define VALUE_WORDS 8192 /* two on each of 4096 CPUs */

/* A value: the balance in its last word (of the last CPU); all others its complement, so that a
 * mixture shows. */
struct bank {
	int fd[2];
	unsigned int words[2]; /* of a value, all CPUs */
	bool lpm[2];
	int cache; /* an LRU map that each transfer puts something into, or -1 */
};

#define CACHE_MAX 200
#define CACHE_KEYS 2000

/* The key of an account: in a trie a prefix of all its bits. */
static inline const void *key_make(const struct bank *b, int map, uint32_t account, uint32_t *key)
{
	key[0] = 32, key[1] = account << 27 | account; /* all over the trie */
	return b->lpm[map] ? key : memcpy(key, &account, 4);
}

static inline void value_make(const struct bank *b, int map, int64_t balance, uint64_t *value)
{
	for (unsigned int i = 0; i + 1 < b->words[map]; i++)
		value[i] = ~(uint64_t)balance;
	value[b->words[map] - 1] = (uint64_t)balance;
}

static inline bool value_whole(const struct bank *b, int map, const uint64_t *value)
{
	for (unsigned int i = 0; i + 1 < b->words[map]; i++)
		if (value[i] != ~value[b->words[map] - 1])
			return false;
	return true;
}

static inline int64_t value_balance(const struct bank *b, int map, const uint64_t *value)
{
	return (int64_t)value[b->words[map] - 1];
}

static inline unsigned int bank_words(enum bpf_map_type type, unsigned int value_size)
{
	bool per_cpu = type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH;

	return value_size / 8 * (per_cpu ? (unsigned int)libbpf_num_possible_cpus() : 1);
}

static inline void bank_open(struct bank *b, enum bpf_map_type type0, unsigned int size0,
			     enum bpf_map_type type1, unsigned int size1)
{
	uint64_t value[VALUE_WORDS];

	LIBBPF_OPTS(bpf_map_create_opts, trie, .map_flags = BPF_F_NO_PREALLOC);
	uint32_t key[2];

	b->lpm[0] = type0 == BPF_MAP_TYPE_LPM_TRIE, b->lpm[1] = type1 == BPF_MAP_TYPE_LPM_TRIE;
	b->fd[0] = bpf_map_create(type0, "bank0", b->lpm[0] ? 8 : 4, size0, ACCOUNTS,
				  b->lpm[0] ? &trie : NULL);
	b->fd[1] = bpf_map_create(type1, "bank1", b->lpm[1] ? 8 : 4, size1, ACCOUNTS,
				  b->lpm[1] ? &trie : NULL);
	b->cache = -1;
	b->words[0] = bank_words(type0, size0);
	b->words[1] = bank_words(type1, size1);
	REQUIRE(b->fd[0] >= 0 && b->fd[1] >= 0);
	REQUIRE(b->words[0] <= VALUE_WORDS && b->words[1] <= VALUE_WORDS);
	for (int m = 0; m < 2; m++)
		for (uint32_t k = 0; k < ACCOUNTS; k++) {
			value_make(b, m, START, value);
			REQUIRE(!bpf_map_update_elem(b->fd[m], key_make(b, m, k, key), value, 0));
		}
}

static inline void bank_cache(struct bank *b)
{
	b->cache = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "cache", 4, 16, CACHE_MAX, NULL);
	REQUIRE(b->cache >= 0);
	for (uint64_t k = 0; k < CACHE_MAX; k++)
		REQUIRE(!bpf_map_update_elem(b->cache, &(uint32_t){k}, (uint64_t[2]){k, ~k}, 0));
}

static inline uint32_t bank_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*seed >> 33);
}

/*
 * Moves some from one account to another, of the same or the other map. In hash tables an
 * account that has nothing is closed (deleted), and comes back when it gets something.
 * 0 or the error of the commit.
 */
static inline int bank_transfer(const struct bank *b, const bool *closes, uint64_t *seed)
{
	int from_map = bank_random(seed) & 1, to_map = bank_random(seed) & 1, err;
	uint32_t from = bank_random(seed) % ACCOUNTS, to = bank_random(seed) % ACCOUNTS;
	int64_t amount = bank_random(seed) % 700, a = 0, c = 0;
	uint32_t from_key[2], to_key[2];
	uint64_t value[VALUE_WORDS];
	struct shmap_txn *t;

	key_make(b, from_map, from, from_key), key_make(b, to_map, to, to_key);
	if (from_map == to_map && from == to)
		return 0;
	t = shmap_txn_begin();
	REQUIRE(t);
	err = shmap_txn_get(t, b->fd[from_map], from_key, value);
	if (!err) {
		CHECK(value_whole(b, from_map, value));
		a = value_balance(b, from_map, value);
	}
	if (!err || err == -ENOENT) {
		err = shmap_txn_get(t, b->fd[to_map], to_key, value);
		if (!err) {
			CHECK(value_whole(b, to_map, value));
			c = value_balance(b, to_map, value);
		}
	}
	if (err && err != -ENOENT) {
		shmap_txn_abort(t);
		return err;
	}
	amount = amount < a ? amount : a;
	a -= amount, c += amount;
	value_make(b, from_map, a, value);
	if (!a && closes[from_map])
		err = shmap_txn_delete(t, b->fd[from_map], from_key);
	else
		err = shmap_txn_put(t, b->fd[from_map], from_key, value, 0);
	value_make(b, to_map, c, value);
	/* what from was deleted, or never there: nothing to move */
	if (err == -ENOENT)
		err = 0;
	if (!err && (c || !closes[to_map]))
		err = shmap_txn_put(t, b->fd[to_map], to_key, value, 0);
	for (uint32_t n = b->cache >= 0 ? 1 + bank_random(seed) % 3 : 0; n && !err; n--) {
		uint32_t k = bank_random(seed) % CACHE_KEYS;

		err = shmap_txn_put(t, b->cache, &k, (uint64_t[2]){k, ~(uint64_t)k}, 0);
	}
	if (err) {
		shmap_txn_abort(t);
		return err;
	}
	return shmap_txn_commit(t);
}

/* The sum of all accounts, through lookups of two fds, or a transaction's gets. -1: try again. */
static inline int64_t bank_sum(const struct bank *b, const int *fds, struct shmap_txn *t)
{
	uint64_t value[VALUE_WORDS];
	uint32_t key[2];
	int64_t sum = 0;
	int err;

	for (int m = 0; m < 2; m++)
		for (uint32_t k = 0; k < ACCOUNTS; k++) {
			key_make(b, m, k, key);
			err = t ? shmap_txn_get(t, fds[m], key, value)
				: bpf_map_lookup_elem(fds[m], key, value);
			if (err == -ENOENT)
				continue;
			if (t && err == -EAGAIN)
				return -1;
			if (err)
				fprintf(stderr, "map %d key %u: %s\n", m, k, strerror(-err));
			REQUIRE(!err);
			CHECK(value_whole(b, m, value));
			sum += value_balance(b, m, value);
		}
	return sum;
}

#define BANK_SUM (2LL * ACCOUNTS * START)

/* A full map stays full: as many give way as come. */
static inline void bank_audit_cache(int snap)
{
	uint32_t k, next, n = 0;
	uint64_t v[2];

	for (int err = bpf_map_get_next_key(snap, NULL, &next); !err;
	     err = bpf_map_get_next_key(snap, &k, &next), n++) {
		k = next;
		REQUIRE(!bpf_map_lookup_elem(snap, &k, v));
		CHECK(v[0] == k && v[1] == ~(uint64_t)k);
	}
	CHECK_EQ(n, CACHE_MAX);
}

static inline void bank_audit_snapshot(const struct bank *b)
{
	int fds[3] = {b->fd[0], b->fd[1], b->cache}, snaps[3];
	int err = shmap_snapshot_maps(fds, snaps, b->cache >= 0 ? 3 : 2);

	if (err)
		fprintf(stderr, "snapshot: %s\n", strerror(-err));
	REQUIRE(!err);
	CHECK_EQ(bank_sum(b, snaps, NULL), BANK_SUM);
	if (b->cache >= 0) {
		bank_audit_cache(snaps[2]);
		close(snaps[2]);
	}
	close(snaps[0]);
	close(snaps[1]);
}

/* False: it met a commit each time. */
static inline bool bank_audit_txn(const struct bank *b)
{
	struct shmap_txn *t = shmap_txn_begin();
	int64_t sum;

	REQUIRE(t);
	sum = bank_sum(b, b->fd, t);
	if (sum != -1)
		CHECK_EQ(sum, BANK_SUM);
	shmap_txn_abort(t);
	return sum != -1;
}

#endif
