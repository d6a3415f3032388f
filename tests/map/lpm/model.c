/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random operations of one thread on an LPM trie and on a list of prefixes that is
 * searched from end to end give the same results, the order of iteration included.
 * SHMAP_TEST_OPS: operations in all. Argument: a seed.
 */
#include "../htab/util.h"

#define ENTRIES 1500u
#define DATA_MAX 256u
#define VALUE_MAX 64u

struct entry {
	uint32_t plen;
	uint8_t data[DATA_MAX];
	uint8_t value[VALUE_MAX];
};

static struct map *m;
static struct entry list[ENTRIES + 1];
static uint32_t n, data_size, value_size, max_entries, style;
static uint64_t rng;

static uint32_t rnd(uint32_t below)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)(rng >> 11) % below;
}

static int bit(const struct entry *e, uint32_t i)
{
	return e->data[i / 8] >> (7 - i % 8) & 1;
}

/* Is a a prefix of b (or the same)? */
static bool covers(const struct entry *a, const struct entry *b)
{
	if (a->plen > b->plen)
		return false;
	for (uint32_t i = 0; i < a->plen; i++)
		if (bit(a, i) != bit(b, i))
			return false;
	return true;
}

/* The kernel's order: what is longer comes before what covers it. */
static bool before(const struct entry *a, const struct entry *b)
{
	if (covers(a, b) || covers(b, a))
		return a->plen > b->plen;
	for (uint32_t i = 0;; i++)
		if (bit(a, i) != bit(b, i))
			return bit(b, i);
}

static int find_exact(const struct entry *k)
{
	for (uint32_t i = 0; i < n; i++)
		if (list[i].plen == k->plen && covers(&list[i], k))
			return (int)i;
	return -1;
}

static int find_longest(const struct entry *k)
{
	int best = -1;

	if (k->plen > data_size * 8)
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (covers(&list[i], k) && (best < 0 || list[i].plen > list[best].plen))
			best = (int)i;
	return best;
}

static int find_next(const struct entry *k)
{
	int next = -1;

	if (k && find_exact(k) < 0)
		k = NULL;
	for (uint32_t i = 0; i < n; i++)
		if ((!k || before(k, &list[i])) && (next < 0 || before(&list[i], &list[next])))
			next = (int)i;
	return next;
}

static void make_key(uint8_t *key, const struct entry *k)
{
	memcpy(key, &k->plen, 4);
	memcpy(key + 4, k->data, data_size);
}

/* Often related to what is there: the same, longer, shorter, one bit changed. */
static struct entry random_entry(void)
{
	struct entry e = {0};
	uint32_t bits = data_size * 8, i;

	if (n && rnd(3)) {
		e = list[rnd(n)];
		if (!rnd(3))
			e.plen = rnd(bits + 1);
		if (!rnd(3)) {
			i = rnd(bits);
			e.data[i / 8] ^= 1 << i % 8;
		}
	} else {
		for (i = 0; i < data_size; i++)
			e.data[i] = style ? rnd(256) : rnd(2) * 255;
		e.plen = rnd(bits + 1);
	}
	if (!rnd(40))
		e.plen = bits + 1 + rnd(3);
	/* what follows the prefix is kept as it was given */
	if (!rnd(4))
		e.data[data_size - 1] ^= rnd(256);
	for (i = 0; i < value_size; i++)
		e.value[i] = rnd(256);
	return e;
}

static int model_update(const struct entry *k, uint64_t flags)
{
	int i = find_exact(k);

	if (flags > BPF_EXIST || k->plen > data_size * 8)
		return -EINVAL;
	if (i >= 0 && flags == BPF_NOEXIST)
		return -EEXIST;
	if (i < 0 && flags == BPF_EXIST)
		return -ENOENT;
	if (i < 0 && n == max_entries)
		return -ENOSPC;
	list[i < 0 ? (int)n++ : i] = *k;
	return 0;
}

static int model_delete(const struct entry *k)
{
	int i = find_exact(k);

	if (k->plen > data_size * 8)
		return -EINVAL;
	if (i < 0)
		return -ENOENT;
	list[i] = list[--n];
	return 0;
}

static void check_next(const uint8_t *key, const struct entry *k)
{
	uint8_t next[4 + DATA_MAX], want[4 + DATA_MAX];
	int i = find_next(k), err = m->ops->next_key(m, key, next);

	CHECK_EQ(err, i < 0 ? -ENOENT : 0);
	if (i < 0 || err)
		return;
	make_key(want, &list[i]);
	CHECK(!memcmp(next, want, 4 + data_size));
}

static void walk_in_batches(void)
{
	uint32_t room = 1 + rnd(20), got = 0;
	uint8_t keys[20 * (4 + DATA_MAX)], values[20 * VALUE_MAX], token[4 + DATA_MAX];
	uint8_t want[4 + DATA_MAX];
	const struct entry *last = NULL;
	int err;

	do {
		struct map_batch b = {.in_batch = got ? token : NULL,
				      .out_batch = token,
				      .keys = keys,
				      .values = values,
				      .count = room};

		err = m->ops->lookup_batch(m, &b);
		CHECK(!err || err == -ENOENT);
		for (uint32_t i = 0; i < b.count; i++) {
			int at = find_next(last);

			CHECK(at >= 0);
			if (at < 0)
				return;
			last = &list[at];
			make_key(want, last);
			CHECK(!memcmp(keys + i * (4 + data_size), want, 4 + data_size));
			CHECK(!memcmp(values + i * value_size, last->value, value_size));
		}
		got += b.count;
	} while (!err);
	CHECK_EQ(got, n);
}

static void one_op(void)
{
	struct entry e = random_entry();
	uint8_t key[4 + DATA_MAX], out[VALUE_MAX];
	uint64_t flags = rnd(3) ? 0 : rnd(5);
	struct map_stats stats;
	uint8_t *p;
	int i;

	make_key(key, &e);
	switch (rnd(12)) {
	case 0 ... 2:
		i = find_longest(&e);
		CHECK_EQ(m->ops->read(m, key, out, 0), i < 0 ? -ENOENT : 0);
		if (i >= 0)
			CHECK(!memcmp(out, list[i].value, value_size));
		break;
	case 3 ... 6:
		CHECK_EQ(m->ops->write(m, key, e.value, flags), model_update(&e, flags));
		break;
	case 7 ... 8:
		CHECK_EQ(m->ops->erase(m, key), model_delete(&e));
		break;
	case 9:
		check_next(NULL, NULL);
		check_next(key, &e);
		CHECK(!m->ops->stats(m, &stats));
		CHECK_EQ(stats.entries, n);
		CHECK_EQ(m->ops->memlock(m), (uint64_t)n * (24 + data_size + value_size));
		break;
	case 10:
		if (!rnd(16))
			walk_in_batches();
		break;
	default:
		REQUIRE(lease_acquire() >= 0);
		p = m->ops->lookup(m, key);
		i = find_longest(&e);
		CHECK(!p == (i < 0));
		if (p && i >= 0) {
			CHECK(!memcmp(p, list[i].value, value_size));
			p[0] ^= 0x5a;
			list[i].value[0] ^= 0x5a;
		}
		if (rnd(2))
			CHECK_EQ(m->ops->update(m, key, e.value, flags), model_update(&e, flags));
		else
			CHECK_EQ(m->ops->delete (m, key), model_delete(&e));
		lease_release();
	}
}

static void one_map(unsigned long ops)
{
	static const uint32_t datas[] = {1, 2, 3, 4, 4, 5, 7, 8, 9, 12, 16, 20, 33, 256};
	static const uint32_t sizes[] = {1, 2, 3, 4, 7, 8, 9, 12, 16, 33, 64};
	uint32_t bound;

	data_size = datas[rnd(sizeof(datas) / 4)];
	value_size = sizes[rnd(sizeof(sizes) / 4)];
	max_entries = 1 + rnd(rnd(2) ? 10 : rnd(6) ? 300 : ENTRIES);
	style = rnd(2);
	n = 0;
	m = make_map(BPF_MAP_TYPE_LPM_TRIE, 4 + data_size, value_size, max_entries,
		     BPF_F_NO_PREALLOC, -1);
	bound = check_failures;
	for (unsigned long i = 0; i < ops && !check_failures; i++) {
		one_op();
		if (!rnd(500))
			must_be_valid(m);
	}
	must_be_valid(m);
	if ((uint32_t)check_failures != bound)
		fprintf(stderr, "data %u value %u max %u, %u entries\n", data_size, value_size,
			max_entries, n);
	map_put(m);
}

int main(int argc, char **argv)
{
	unsigned long ops =
		getenv("SHMAP_TEST_OPS") ? strtoul(getenv("SHMAP_TEST_OPS"), NULL, 0) : 200000;

	check_private_rundir();
	rng = (argc > 1 ? strtoull(argv[1], NULL, 0) : 1) * 0x9e3779b97f4a7c15ull + 1;
	for (unsigned int i = 0; i < 60 && !check_failures; i++)
		one_map(ops / 60);
	return check_done();
}
