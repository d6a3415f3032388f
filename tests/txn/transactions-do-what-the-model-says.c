/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random transactions over maps of every type that has them, with ordinary updates and other
 * transactions in between, against a naive model: what gets return, which commits fail and why,
 * and what is in the maps afterwards. A failed commit changes nothing; and in LRU maps, as many
 * keys give way to one that does not fail as there is no room for, none of them its own. (Prefixes:
 * prefixes.c.)
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "../check.h"
#include "../handle/locked.h"
#include "shmap.h"

#define MAPS 9
#define KEYS 14
#define WORDS 8192 /* two on each of 4096 CPUs */
#define OPS 12

static struct target {
	enum bpf_map_type type;
	unsigned int key_size, words, max; /* words of a value, all CPUs */
	bool locked, array, lru;
	int fd;
	uint64_t now[KEYS]; /* the model: 0: none (arrays: zeroes) */
} maps[MAPS] = {
	{BPF_MAP_TYPE_HASH, 4, 1, 6},
	{BPF_MAP_TYPE_HASH, 20, 12, 9},
	{BPF_MAP_TYPE_ARRAY, 4, 1, KEYS - 2},
	{BPF_MAP_TYPE_ARRAY, 4, 9, KEYS - 2},
	{BPF_MAP_TYPE_PERCPU_HASH, 8, 2, 7},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 1, KEYS - 2},
	{BPF_MAP_TYPE_HASH, 4, 4, 8, true},
	{BPF_MAP_TYPE_LRU_HASH, 4, 1, 7},
	{BPF_MAP_TYPE_LRU_PERCPU_HASH, 8, 2, 6},
};

static uint64_t seed = 88172645463325252ULL, version, evictions;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % n;
}

static void make(struct target *m)
{
	bool percpu = m->type == BPF_MAP_TYPE_PERCPU_HASH || m->type == BPF_MAP_TYPE_PERCPU_ARRAY ||
		      m->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;

	m->lru = m->type == BPF_MAP_TYPE_LRU_HASH || m->type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
	m->array = m->type == BPF_MAP_TYPE_ARRAY || m->type == BPF_MAP_TYPE_PERCPU_ARRAY;
	m->fd = m->locked ? locked_map(m->type, m->max)
			  : bpf_map_create(m->type, "m", m->key_size, m->words * 8, m->max, NULL);
	REQUIRE(m->fd >= 0);
	if (percpu)
		m->words *= (unsigned int)libbpf_num_possible_cpus();
	REQUIRE(m->words <= WORDS);
}

static void *key_of(const struct target *m, uint32_t k)
{
	static unsigned char key[4][32];
	static int next;
	unsigned char *to = key[next++ % 4];

	memset(to, 0, 32);
	memcpy(to, &k, 4);
	return to;
}

static uint64_t *value_of(const struct target *m, uint64_t v)
{
	static uint64_t value[WORDS];

	for (unsigned int i = 0; i < m->words; i++)
		value[i] = v ? v * 1000 + i : 0;
	if (m->locked)
		value[0] = 0;
	return value;
}

/* The model's number of a value; 0 for zeroes. */
static uint64_t number_of(const struct target *m, const uint64_t *value)
{
	unsigned int first = m->locked ? 1 : 0;
	uint64_t v = value[first] / 1000;

	CHECK(!memcmp(value, value_of(m, v), m->words * 8));
	return v;
}

/* One transaction, as the model sees it. */
struct model {
	bool read[MAPS][KEYS], written[MAPS][KEYS];
	uint64_t seen[MAPS][KEYS], to[MAPS][KEYS];
};

static bool there(const struct target *m, uint32_t k, uint64_t v)
{
	return m->array ? k < m->max : v != 0;
}

/* What a get of the transaction finds; it notes that it was read. */
static uint64_t model_read(struct model *w, uint32_t i, uint32_t k)
{
	if (w->written[i][k])
		return w->to[i][k];
	if (!w->read[i][k]) {
		w->read[i][k] = true;
		w->seen[i][k] = maps[i].now[k];
	}
	return w->seen[i][k];
}

static bool model_stale(const struct model *w)
{
	for (int i = 0; i < MAPS; i++)
		for (int k = 0; k < KEYS; k++)
			if (w->read[i][k] && w->seen[i][k] != maps[i].now[k])
				return true;
	return false;
}

static int model_commit(const struct model *w)
{
	bool writes = false;

	for (int i = 0; i < MAPS; i++)
		for (int k = 0; k < KEYS; k++)
			writes = writes || w->written[i][k];
	if (!writes)
		return 0;
	if (model_stale(w))
		return -EAGAIN;
	for (int i = 0; i < MAPS; i++) {
		unsigned int n = 0, mine = 0;

		for (int k = 0; k < KEYS; k++) {
			n += (w->written[i][k] ? w->to[i][k] : maps[i].now[k]) != 0;
			mine += w->written[i][k] && w->to[i][k];
		}
		if (!maps[i].array && (maps[i].lru ? mine : n) > maps[i].max)
			return -E2BIG;
	}
	for (int i = 0; i < MAPS; i++)
		for (int k = 0; k < KEYS; k++)
			if (w->written[i][k])
				maps[i].now[k] = w->to[i][k];
	return 0;
}

/* 0; -EAGAIN: the transaction is no good any more. */
static int step(struct shmap_txn *t, struct model *w)
{
	uint32_t i = rnd(MAPS), k = rnd(KEYS);
	struct target *m = &maps[i];
	uint64_t value[WORDS], v;
	int err, want;

	switch (rnd(4)) {
	case 0:
		err = shmap_txn_get(t, m->fd, key_of(m, k), value);
		if (err == -EAGAIN)
			return err;
		v = model_read(w, i, k);
		CHECK_EQ(err, there(m, k, v) ? 0 : -ENOENT);
		if (!err)
			CHECK_EQ(number_of(m, value), v);
		return 0;
	case 1:
		err = shmap_txn_delete(t, m->fd, key_of(m, k));
		if (err == -EAGAIN)
			return err;
		want = -EINVAL;
		if (!m->array)
			want = model_read(w, i, k) ? 0 : -ENOENT;
		CHECK_EQ(err, want);
		if (!err)
			w->written[i][k] = true, w->to[i][k] = 0;
		return 0;
	default: {
		uint64_t flags = rnd(3) ? BPF_ANY : 1 + rnd(2);

		v = ++version;
		err = shmap_txn_put(t, m->fd, key_of(m, k), value_of(m, v), flags);
		if (err == -EAGAIN)
			return err;
		want = 0;
		if (m->array && k >= m->max) {
			want = -E2BIG;
		} else if (flags != BPF_ANY) {
			uint64_t old = model_read(w, i, k);

			if (there(m, k, old) && flags == BPF_NOEXIST)
				want = -EEXIST;
			if (!there(m, k, old) && flags == BPF_EXIST)
				want = -ENOENT;
		}
		CHECK_EQ(err, want);
		if (!err)
			w->written[i][k] = true, w->to[i][k] = v;
		return 0;
	}
	}
}

/* LRU: takes what has given way out of the model. w: to that commit; NULL: to an update. */
static void gave_way(struct target *m, const struct model *w, int i, uint64_t updated)
{
	uint64_t value[WORDS];
	unsigned int n = 0, gone = 0;

	for (uint32_t k = 0; k < KEYS; k++) {
		n += m->now[k] != 0;
		if (!m->now[k] || !bpf_map_lookup_elem(m->fd, key_of(m, k), value))
			continue;
		CHECK(w ? !w->written[i][k] : m->now[k] != updated);
		m->now[k] = 0;
		gone++;
	}
	CHECK_EQ(gone, n > m->max ? n - m->max : 0);
	evictions += gone;
}

/* Somebody else's change, by bpf(2) or by a transaction. */
static void meanwhile(void)
{
	uint32_t i = rnd(MAPS), k = rnd(KEYS);
	struct target *m = &maps[i];
	uint64_t v = ++version;
	int err;

	if (rnd(2)) {
		struct shmap_txn *t = shmap_txn_begin();

		REQUIRE(t);
		err = shmap_txn_put(t, m->fd, key_of(m, k), value_of(m, v), BPF_ANY);
		if (!err)
			err = shmap_txn_commit(t);
		else
			shmap_txn_abort(t);
	} else if (rnd(3) || m->array) {
		err = bpf_map_update_elem(m->fd, key_of(m, k), value_of(m, v),
					  m->locked ? BPF_F_LOCK : 0);
	} else {
		err = bpf_map_delete_elem(m->fd, key_of(m, k));
		v = 0;
	}
	if (!err)
		m->now[k] = v;
	else
		CHECK(err == -E2BIG || err == -ENOENT);
	if (!err && m->lru)
		gave_way(m, NULL, (int)i, v);
}

static void check_maps(bool snapshot)
{
	int fds[MAPS], snaps[MAPS];
	uint64_t value[WORDS];

	for (int i = 0; i < MAPS; i++)
		fds[i] = snaps[i] = maps[i].fd;
	if (snapshot)
		REQUIRE(!shmap_snapshot_maps(fds, snaps, MAPS));
	for (int i = 0; i < MAPS; i++) {
		struct target *m = &maps[i];

		for (uint32_t k = 0; k < KEYS; k++) {
			int err = bpf_map_lookup_elem(snaps[i], key_of(m, k), value);

			CHECK_EQ(err, there(m, k, m->now[k]) ? 0 : -ENOENT);
			if (!err)
				CHECK_EQ(number_of(m, value), m->now[k]);
		}
		if (snapshot)
			close(snaps[i]);
	}
}

/* A key that is beyond the end of an array is read as one that is not there, locks or not. */
static void beyond_the_end(void)
{
	int fd = locked_map(BPF_MAP_TYPE_ARRAY, 4);
	struct shmap_txn *t = shmap_txn_begin();
	uint32_t k = 1 << 24;
	struct locked v = {.w = {1, 2, 3}}, now;

	REQUIRE(t);
	CHECK_EQ(shmap_txn_get(t, fd, &k, &now), -ENOENT);
	k = 1;
	CHECK_EQ(shmap_txn_put(t, fd, &k, &v, BPF_ANY), 0);
	CHECK_EQ(shmap_txn_commit(t), 0);
	CHECK_EQ(bpf_map_lookup_elem(fd, &k, &now), 0);
	CHECK(now.w[2] == 3);
	close(fd);
}

/* As many keys give way as a large commit puts, all if need be, and for one more there is no
 * room; also between the parts of a table. */
static void large_lru(void)
{
	enum { MAX = 2000 };
	int fd = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, "m", 4, 8, MAX, NULL);
	static const uint32_t puts[] = {1, 700, MAX + 1, 1900, MAX};
	struct shmap_map_stats stats = {0};
	uint64_t v, gone = 0;
	uint32_t k, first = MAX;

	REQUIRE(fd >= 0);
	for (k = 0; k < MAX; k++)
		REQUIRE(!bpf_map_update_elem(fd, &k, &(uint64_t){k}, 0));
	for (unsigned int i = 0; i < sizeof(puts) / sizeof(puts[0]); i++) {
		struct shmap_txn *t = shmap_txn_begin();
		bool fits = puts[i] <= MAX;

		REQUIRE(t);
		for (k = first; k < first + puts[i]; k++)
			CHECK_EQ(shmap_txn_put(t, fd, &k, &(uint64_t){k}, BPF_NOEXIST), 0);
		CHECK_EQ(shmap_txn_commit(t), fits ? 0 : -E2BIG);
		for (k = first; k < first + puts[i]; k++)
			CHECK_EQ(bpf_map_lookup_elem(fd, &k, &v), fits ? 0 : -ENOENT);
		first += puts[i];
		gone += fits ? puts[i] : 0;
		CHECK_EQ(shmap_map_stats(fd, &stats, sizeof(stats)), 0);
		CHECK_EQ(stats.entries, MAX);
		CHECK_EQ(stats.evictions, gone);
	}
	close(fd);
}

/* The last room there is, wherever it stands in the table, is a commit's, and no more. */
static void last_room(void)
{
	enum { MAX = 2000 };
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "m", 4, 8, MAX, NULL);
	static const uint32_t puts[] = {1900, 1, 70, 30, 29, 1};
	uint32_t k, first = 0;

	REQUIRE(fd >= 0);
	for (unsigned int i = 0; i < sizeof(puts) / sizeof(puts[0]); i++) {
		struct shmap_txn *t = shmap_txn_begin();
		bool fits = first + puts[i] <= MAX;

		REQUIRE(t);
		for (k = first; k < first + puts[i]; k++)
			CHECK_EQ(shmap_txn_put(t, fd, &k, &(uint64_t){k}, BPF_NOEXIST), 0);
		CHECK_EQ(shmap_txn_commit(t), fits ? 0 : -E2BIG);
		first += fits ? puts[i] : 0;
	}
	CHECK_EQ(first, MAX);
	close(fd);
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS");
	unsigned long n = ops ? strtoul(ops, NULL, 0) : 6000, i, results[4] = {0};

	REQUIRE(shmap_txn_begin);
	beyond_the_end();
	large_lru();
	last_room();
	for (i = 0; i < MAPS; i++)
		make(&maps[i]);
	for (i = 0; i < n && !check_failures; i++) {
		struct shmap_txn *t = shmap_txn_begin();
		struct model w = {0};
		uint32_t steps = 1 + rnd(OPS);
		int err = 0, want;

		REQUIRE(t);
		while (!err && steps--) {
			err = step(t, &w);
			if (!rnd(20))
				meanwhile();
		}
		if (err) {
			/* two of its reads did not go together */
			CHECK(model_stale(&w));
			shmap_txn_abort(t);
			results[3]++;
			continue;
		}
		if (!rnd(10)) {
			shmap_txn_abort(t);
			continue;
		}
		want = model_commit(&w);
		err = shmap_txn_commit(t);
		CHECK_EQ(err, want);
		for (int m = 0; !err && m < MAPS; m++)
			if (maps[m].lru)
				gave_way(&maps[m], &w, m, 0);
		results[!err ? 0 : err == -EAGAIN ? 1 : 2]++;
		if (i % 16 == 0)
			check_maps(i % 64 == 0);
	}
	check_maps(true);
	printf("%lu committed, %lu conflicts, %lu without room, %lu given up; %llu keys gave way\n",
	       results[0], results[1], results[2], results[3], (unsigned long long)evictions);
	CHECK(results[0] && results[1] && results[2] && results[3] && evictions);
	for (i = 0; i < MAPS; i++) {
		struct shmap_map_stats stats = {0};

		if (!maps[i].lru)
			continue;
		CHECK_EQ(shmap_map_stats(maps[i].fd, &stats, sizeof(stats)), 0);
		evictions -= stats.evictions;
	}
	CHECK_EQ(evictions, 0);
	return check_done();
}
