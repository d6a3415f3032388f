/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random transactions on a trie of prefixes, with ordinary updates and other transactions in
 * between, against a naive model: a get finds the longest prefix of those that are there and
 * the transaction has not deleted, and those that it puts; whatever would make one of its reads
 * find another prefix, or another value, is a conflict; a commit finds room for just as many
 * as max_entries says, whichever part of the trie they are in.
 */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "../check.h"
#include "shmap.h"

#define KEYS 18
#define READS 64
#define OPS 12

/* A key of either map: the address in front, the rest of it zero. */
struct prefix {
	uint32_t bits;
	uint8_t data[16];
};

static const struct prefix keys[KEYS] = {
	{0},
	{1, {0x80}},
	{3, {0x20}},
	{8, {10}},
	{8, {11}},
	{9, {10, 0x80}},
	{16, {10, 1}},
	{16, {10, 2}},
	{16, {200, 1}},
	{17, {10, 1, 0x80}},
	{24, {10, 1, 1}},
	{24, {10, 1, 2}},
	{24, {200, 1, 7}},
	{25, {10, 1, 1, 0x80}},
	{32, {10, 1, 1, 1}},
	{32, {10, 1, 1, 0x81}},
	{32, {200, 1, 7, 7}},
	{31, {10, 1, 1}},
};

static struct target {
	unsigned int data, words, max; /* bytes of an address, words of a value */
	int fd;
	uint64_t now[KEYS]; /* the model: 0: none */
} maps[] = {{4, 1, 9}, {16, 3, 40}};

static struct target *m;
static uint64_t seed = 88172645463325252ULL, version;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
	return (uint32_t)(seed >> 20) % n;
}

static bool covers(const struct prefix *p, const struct prefix *q)
{
	for (uint32_t i = 0; i < p->bits; i++)
		if ((p->data[i / 8] ^ q->data[i / 8]) >> (7 - i % 8) & 1)
			return false;
	return p->bits <= q->bits;
}

/* The longest one that is there, or -1. */
static int longest(const struct prefix *q)
{
	int best = -1;

	for (int k = 0; k < KEYS; k++)
		if (m->now[k] && covers(&keys[k], q) &&
		    (best < 0 || keys[k].bits > keys[best].bits))
			best = k;
	return best;
}

/* One of the keys, with anything behind its bits. */
static struct prefix dirty(int k)
{
	struct prefix p = keys[k];

	for (uint32_t i = p.bits; i < m->data * 8; i++)
		p.data[i / 8] |= (uint8_t)(rnd(2) << (7 - i % 8));
	return p;
}

static uint64_t *value_of(uint64_t v)
{
	static uint64_t value[4];

	for (unsigned int i = 0; i < m->words; i++)
		value[i] = v * 1000 + i;
	return value;
}

/* One transaction, as the model sees it. */
struct model {
	bool written[KEYS];
	uint64_t to[KEYS];
	struct {
		struct prefix asked;
		int found;
		uint64_t v;
	} read[READS];
	int reads;
};

/* What it read, or reads now, of a key. */
static int model_read(struct model *w, const struct prefix *q, uint64_t *v)
{
	int i;

	for (i = 0; i < w->reads; i++)
		if (w->read[i].asked.bits == q->bits && covers(&w->read[i].asked, q))
			break;
	if (i == w->reads) {
		REQUIRE(w->reads++ < READS);
		w->read[i].asked = *q;
		w->read[i].found = longest(q);
		w->read[i].v = w->read[i].found < 0 ? 0 : m->now[w->read[i].found];
	}
	*v = w->read[i].v;
	return w->read[i].found;
}

static bool model_there(struct model *w, int k)
{
	uint64_t v;

	return w->written[k] ? w->to[k] != 0 : model_read(w, &keys[k], &v) == k;
}

/* The value that a get finds; 0: none. */
static uint64_t model_get(struct model *w, struct prefix q)
{
	for (;;) {
		uint64_t v;
		int found = model_read(w, &q, &v), own = -1;

		for (int k = 0; k < KEYS; k++)
			if (w->written[k] && w->to[k] && covers(&keys[k], &q) &&
			    (own < 0 || keys[k].bits > keys[own].bits))
				own = k;
		if (own >= 0 && (found < 0 || keys[own].bits >= keys[found].bits))
			return w->to[own];
		if (found < 0 || !w->written[found])
			return v;
		/* which it has deleted */
		if (!keys[found].bits)
			return 0;
		q = keys[found];
		q.bits--;
	}
}

static bool model_stale(const struct model *w)
{
	for (int i = 0; i < w->reads; i++) {
		int k = longest(&w->read[i].asked);

		if (k != w->read[i].found || (k >= 0 && m->now[k] != w->read[i].v))
			return true;
	}
	return false;
}

static int model_commit(const struct model *w)
{
	unsigned int n = 0;
	bool writes = false;

	for (int k = 0; k < KEYS; k++) {
		writes = writes || w->written[k];
		n += (w->written[k] ? w->to[k] : m->now[k]) != 0;
	}
	if (!writes)
		return 0;
	if (model_stale(w))
		return -EAGAIN;
	if (n > m->max)
		return -E2BIG;
	for (int k = 0; k < KEYS; k++)
		if (w->written[k])
			m->now[k] = w->to[k];
	return 0;
}

/* 0; -EAGAIN: the transaction is no good any more. */
static int step(struct shmap_txn *t, struct model *w)
{
	uint64_t value[4], flags = BPF_ANY, v;
	int k = (int)rnd(KEYS), err, want = 0;
	struct prefix q = dirty(k);

	switch (rnd(5)) {
	case 0:
	case 1:
		if (rnd(2))
			q.bits = m->data * 8; /* an address */
		err = shmap_txn_get(t, m->fd, &q, value);
		if (err == -EAGAIN)
			return err;
		v = model_get(w, q);
		CHECK_EQ(err, v ? 0 : -ENOENT);
		if (!err)
			CHECK(!memcmp(value, value_of(v), m->words * 8));
		return 0;
	case 2:
		err = shmap_txn_delete(t, m->fd, &q);
		if (err == -EAGAIN)
			return err;
		CHECK_EQ(err, model_there(w, k) ? 0 : -ENOENT);
		if (!err)
			w->written[k] = true, w->to[k] = 0;
		return 0;
	default:
		if (!rnd(3))
			flags = 1 + rnd(2);
		v = ++version;
		err = shmap_txn_put(t, m->fd, &q, value_of(v), flags);
		if (err == -EAGAIN)
			return err;
		if (flags != BPF_ANY && model_there(w, k) != (flags == BPF_EXIST))
			want = flags == BPF_EXIST ? -ENOENT : -EEXIST;
		CHECK_EQ(err, want);
		if (!err)
			w->written[k] = true, w->to[k] = v;
		return 0;
	}
}

/* Somebody else's change, by bpf(2) or by a transaction. */
static void meanwhile(void)
{
	int k = (int)rnd(KEYS), err;
	struct prefix q = dirty(k);
	uint64_t v = ++version;

	if (rnd(2)) {
		struct shmap_txn *t = shmap_txn_begin();

		REQUIRE(t);
		REQUIRE(!shmap_txn_put(t, m->fd, &q, value_of(v), BPF_ANY));
		err = shmap_txn_commit(t);
	} else if (rnd(3)) {
		err = bpf_map_update_elem(m->fd, &q, value_of(v), 0);
	} else {
		err = bpf_map_delete_elem(m->fd, &q);
		v = 0;
	}
	if (!err)
		m->now[k] = v;
	else
		CHECK(err == -E2BIG || err == -ENOSPC || err == -ENOENT);
}

static void check_map(bool snapshot)
{
	int fd = snapshot ? shmap_snapshot(m->fd) : m->fd;
	uint64_t value[4];

	REQUIRE(fd >= 0);
	for (int k = 0; k < KEYS; k++) {
		struct prefix q = dirty(k);
		int found = longest(&q), err = bpf_map_lookup_elem(fd, &q, value);

		CHECK_EQ(err, found >= 0 ? 0 : -ENOENT);
		if (!err)
			CHECK(!memcmp(value, value_of(m->now[found]), m->words * 8));
	}
	if (snapshot)
		close(fd);
}

static void random_transactions(unsigned long n, unsigned long *results)
{
	for (unsigned long i = 0; i < n && !check_failures; i++) {
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
		want = model_commit(&w);
		err = shmap_txn_commit(t);
		CHECK_EQ(err, want);
		results[!err ? 0 : err == -EAGAIN ? 1 : 2]++;
		if (i % 16 == 0)
			check_map(i % 64 == 0);
	}
	check_map(true);
}

/* All that there is gives its place to as much elsewhere, in one commit; and not to one more. */
static void swap_all(void)
{
	enum { ALL = 100 };
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	struct shmap_map_stats stats = {0};
	struct prefix q = {32, {16}};
	struct shmap_txn *t;
	uint64_t v = 1;
	int fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "m", 8, 8, ALL, &opts), more;

	REQUIRE(fd >= 0);
	for (q.data[3] = 0; q.data[3] < ALL; q.data[3]++)
		REQUIRE(!bpf_map_update_elem(fd, &q, &v, 0));
	for (more = 1; more >= 0; more--) {
		t = shmap_txn_begin();
		REQUIRE(t);
		for (q.data[3] = 0; q.data[3] < ALL; q.data[3]++) {
			q.data[0] = 16;
			CHECK_EQ(shmap_txn_delete(t, fd, &q), 0);
			q.data[0] = (uint8_t)(0xd0 + q.data[3] % 3);
			CHECK_EQ(shmap_txn_put(t, fd, &q, &v, BPF_NOEXIST), 0);
		}
		q.data[0] = 1;
		if (more)
			CHECK_EQ(shmap_txn_put(t, fd, &q, &v, BPF_ANY), 0);
		CHECK_EQ(shmap_txn_commit(t), more ? -E2BIG : 0);
		CHECK_EQ(shmap_map_stats(fd, &stats, sizeof(stats)), 0);
		CHECK_EQ(stats.entries, ALL);
		q.data[0] = 16, q.data[3] = 5;
		CHECK_EQ(bpf_map_lookup_elem(fd, &q, &v), more ? 0 : -ENOENT);
	}
	q.bits = 33;
	t = shmap_txn_begin();
	REQUIRE(t);
	CHECK_EQ(shmap_txn_put(t, fd, &q, &v, BPF_ANY), -EINVAL);
	CHECK_EQ(shmap_txn_delete(t, fd, &q), -EINVAL);
	CHECK_EQ(shmap_txn_get(t, fd, &q, &v), -ENOENT);
	shmap_txn_abort(t);
	close(fd);
}

int main(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_NO_PREALLOC);
	const char *ops = getenv("SHMAP_TEST_OPS");
	unsigned long n = ops ? strtoul(ops, NULL, 0) : 6000, results[4] = {0};

	REQUIRE(shmap_txn_begin);
	swap_all();
	for (m = maps; m < maps + sizeof(maps) / sizeof(maps[0]); m++) {
		m->fd = bpf_map_create(BPF_MAP_TYPE_LPM_TRIE, "m", 4 + m->data, m->words * 8,
				       m->max, &opts);
		REQUIRE(m->fd >= 0);
		random_transactions(n, results);
	}
	printf("%lu committed, %lu conflicts, %lu without room, %lu given up\n", results[0],
	       results[1], results[2], results[3]);
	CHECK(results[0] && results[1] && results[2] && results[3]);
	return check_done();
}
