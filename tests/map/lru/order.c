/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which element gives way. The argument is the claim:
 *
 *   oldest    without any use, the one that was inserted first
 *   lookup    not one that a program looked up (as in the kernel)
 *   read      bpf(2)'s lookup protects nothing (as in the kernel)
 *   percpu    nor one that a program looked up for another CPU
 *   update    not one that was updated
 *   existing  an update of a key that is there evicts nothing, refused or not
 *   deleted   a place that a deletion left is used before anything gives way
 */
#include "../htab/util.h"

#define N 1024U

static uint32_t type = BPF_MAP_TYPE_LRU_HASH;

static void insert(struct map *m, uint32_t from, uint32_t to)
{
	uint64_t value[LEASE_CPUS_MAX] = {0};

	for (uint32_t key = from; key < to; key++)
		CHECK_EQ(m->ops->write(m, &key, value, BPF_NOEXIST), 0);
}

static bool has(struct map *m, uint32_t key)
{
	uint64_t value[LEASE_CPUS_MAX];

	return !m->ops->read(m, &key, value, 0);
}

static uint32_t count(struct map *m, uint32_t from, uint32_t to, uint32_t step)
{
	uint32_t n = 0;

	for (uint32_t key = from; key < to; key += step)
		n += has(m, key);
	return n;
}

static uint64_t evictions(struct map *m)
{
	struct map_stats stats = {0};

	CHECK_EQ(m->ops->stats(m, &stats), 0);
	return stats.evictions;
}

/* Up to 127 entries there is one order for all: it is exact. */
static void oldest(void)
{
	struct map *m = make_map(type, 4, 8, 100, 0, -1);

	insert(m, 0, 100);
	for (uint32_t key = 100; key < 350; key++) {
		CHECK(has(m, key - 100));
		insert(m, key, key + 1);
		CHECK(!has(m, key - 100));
		CHECK_EQ(count(m, key - 99, key + 1, 1), 100);
	}
	must_be_valid(m);
	map_put(m);
}

enum use { LOOKUP, READ, PERCPU, UPDATE, PROG_UPDATE };

/* N keys, every other one used, N / 2 new ones: how many of the used are left? */
static uint32_t survivors(uint32_t max, enum use use)
{
	struct map *m = make_map(type, 4, 8, max, 0, -1);
	uint64_t value[LEASE_CPUS_MAX] = {0};
	uint32_t n;

	insert(m, 0, max);
	for (uint32_t key = 0; key < max; key += 2) {
		if (use == READ) {
			CHECK_EQ(m->ops->read(m, &key, value, 0), 0);
			continue;
		}
		if (use == UPDATE) {
			CHECK_EQ(m->ops->write(m, &key, value, BPF_ANY), 0);
			continue;
		}
		REQUIRE(lease_acquire() >= 0);
		if (use == LOOKUP)
			CHECK(m->ops->lookup(m, &key));
		else if (use == PERCPU)
			CHECK(m->ops->lookup_percpu(m, &key, 0));
		else
			CHECK_EQ(m->ops->update(m, &key, value, BPF_EXIST), 0);
		lease_release();
	}
	CHECK_EQ(evictions(m), 0);
	insert(m, max, max + max / 2);
	CHECK_EQ(evictions(m), max / 2);
	n = count(m, 0, max, 2);
	must_be_valid(m);
	map_put(m);
	return n;
}

/*
 * The kernel keeps 510 of 512. Here a stripe may have drawn more new keys than it has
 * elements that are not in use, so that some of these go too: few.
 */
static void protects(enum use use)
{
	uint32_t n = survivors(N, use);

	CHECK_EQ(survivors(100, use), 50);
	if (n < N / 2 * 90 / 100) {
		fprintf(stderr, "%u of %u that were used are left\n", n, N / 2);
		check_failures++;
	}
}

static void existing(void)
{
	struct map *m = make_map(type, 4, 8, 200, 0, -1);
	uint64_t value[LEASE_CPUS_MAX] = {0};
	uint32_t absent = 100000;

	insert(m, 0, 200);
	for (uint32_t i = 0; i < 5000; i++) {
		uint32_t key = i * 7 % 200;

		CHECK_EQ(m->ops->write(m, &key, value, BPF_ANY), 0);
		CHECK_EQ(m->ops->write(m, &key, value, BPF_EXIST), 0);
		CHECK_EQ(m->ops->write(m, &key, value, BPF_NOEXIST), -EEXIST);
		CHECK_EQ(m->ops->write(m, &absent, value, BPF_EXIST), -ENOENT);
		REQUIRE(lease_acquire() >= 0);
		CHECK_EQ(m->ops->update(m, &key, value, BPF_ANY), 0);
		CHECK_EQ(m->ops->update(m, &key, value, BPF_NOEXIST), -EEXIST);
		lease_release();
	}
	CHECK_EQ(count(m, 0, 200, 1), 200);
	CHECK_EQ(evictions(m), 0);
	must_be_valid(m);
	map_put(m);
}

static void deleted(void)
{
	struct map *m = make_map(type, 4, 8, 1000, 0, -1);
	uint32_t next = 1000;
	uint64_t before;

	insert(m, 0, 3000);
	before = evictions(m);
	for (uint32_t round = 0; round < 300; round++) {
		uint8_t key[4];

		for (uint32_t i = 0; i < 1 + round % 5; i++) {
			REQUIRE(!m->ops->next_key(m, NULL, key));
			CHECK_EQ(m->ops->erase(m, key), 0);
		}
		insert(m, 10000 + next, 10000 + next + 1 + round % 5);
		next += 1 + round % 5;
	}
	CHECK_EQ(evictions(m), before);
	must_be_valid(m);
	map_put(m);
}

int main(int argc, char **argv)
{
	const char *claim = argc > 1 ? argv[1] : "oldest";

	if (argc > 2)
		type = (uint32_t)atoi(argv[2]);
	check_private_rundir();
	if (!strcmp(claim, "oldest")) {
		oldest();
	} else if (!strcmp(claim, "lookup")) {
		protects(LOOKUP);
	} else if (!strcmp(claim, "percpu")) {
		type = BPF_MAP_TYPE_LRU_PERCPU_HASH;
		protects(LOOKUP);
		protects(PERCPU);
	} else if (!strcmp(claim, "read")) {
		CHECK_EQ(survivors(100, READ), 25); /* the other half is the younger one */
		CHECK(survivors(N, READ) < N / 2 * 6 / 10);
	} else if (!strcmp(claim, "update")) {
		protects(UPDATE);
		protects(PROG_UPDATE);
	} else if (!strcmp(claim, "existing")) {
		existing();
	} else {
		deleted();
	}
	return check_done();
}
