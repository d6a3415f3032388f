/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Keys that are there all the time come just once from a walk by batches, whatever the
 * room, while others insert, delete and replace around them: in slots, in long
 * chains, and in a table that is mapped read-only. No key at all comes twice.
 */
#include <fcntl.h>
#include <stdbool.h>

#include "map/htab.h"
#include "util.h"

#define STAY 24 /* keys that stay */
#define COME 40 /* keys that come and go */
#define KEYS (STAY + COME)

static uint32_t keys[KEYS];
static struct map *map;
static uint32_t stop;

static int index_of(uint32_t key)
{
	for (int i = 0; i < KEYS; i++)
		if (keys[i] == key)
			return i;
	return -1;
}

/* All in two buckets, so that there are chains; or anywhere. */
static void choose_keys(struct map *m, bool chains)
{
	uint32_t mask = chains ? (m->htab.buckets - 1) & ~1U : 0, candidate, n = 0;

	for (candidate = 0; n < KEYS; candidate++)
		if (!((uint32_t)htab_hash(m, &candidate) & mask))
			keys[n++] = candidate;
}

static void *churn(void *arg)
{
	uint32_t state = (uint32_t)(uintptr_t)arg, n = 0;
	uint64_t value[64] = {0};

	while (!load_relaxed(&stop)) {
		state = state * 1664525 + 1013904223;
		n = (state >> 8) % KEYS;
		if (n < STAY)
			map->ops->write(map, &keys[n], value, BPF_EXIST);
		else if (state >> 31)
			map->ops->write(map, &keys[n], value, 0);
		else
			map->ops->erase(map, &keys[n]);
	}
	return NULL;
}

static void walk(struct map *m, uint32_t room, bool take)
{
	static uint64_t values[KEYS * 64];
	uint8_t seen[KEYS] = {0};
	uint32_t got[KEYS], token;
	struct map_batch b = {.out_batch = &token, .keys = got, .values = values};
	int ret, calls = 0;

	do {
		b.count = room;
		ret = take ? m->ops->lookup_and_delete_batch(m, &b) : m->ops->lookup_batch(m, &b);
		CHECK(!ret || ret == -ENOENT);
		CHECK(b.count <= room);
		CHECK(ret || b.count);
		for (uint32_t i = 0; i < b.count; i++) {
			int n = index_of(got[i]);

			REQUIRE(n >= 0);
			CHECK(!seen[n]++);
		}
		b.in_batch = &token;
	} while (!ret && ++calls < 1000);
	CHECK_EQ(ret, -ENOENT);
	for (int i = 0; i < STAY; i++)
		CHECK_EQ(seen[i], 1);
}

static void check(uint32_t type, bool chains, int rounds)
{
	static const uint32_t rooms[] = {1, 2, 5, 16, KEYS};
	uint64_t value[64] = {0};
	pthread_t threads[2];
	struct map *ro;
	int fd;

	map = make_map(type, 4, 8, 2 * KEYS, 0, -1);
	REQUIRE((fd = object_open_id(OBJECT_MAP, map->obj.id, O_RDONLY)) >= 0);
	REQUIRE(!map_open(fd, &ro));
	choose_keys(map, chains);
	for (int i = 0; i < STAY; i++)
		CHECK_EQ(map->ops->write(map, &keys[i], value, 0), 0);
	stop = 0;
	for (uintptr_t i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, churn, (void *)(i + 1)));
	for (int round = 0; round < rounds; round++) {
		for (uint32_t r = 0; r < sizeof(rooms) / sizeof(rooms[0]); r++) {
			walk(map, rooms[r], false);
			walk(ro, rooms[r], false);
		}
	}
	store_relaxed(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	must_be_valid(map);
	map_put(ro);
	close(fd);
	map_put(map);
}

/* The same where the walk takes out: what stays is not replaced meanwhile. */
static void *come_and_go(void *arg)
{
	uint32_t state = (uint32_t)(uintptr_t)arg, n;
	uint64_t value[64] = {0};

	while (!load_relaxed(&stop)) {
		state = state * 1664525 + 1013904223;
		n = STAY + (state >> 8) % COME;
		if (state >> 31)
			map->ops->write(map, &keys[n], value, 0);
		else
			map->ops->erase(map, &keys[n]);
	}
	return NULL;
}

static void check_take(uint32_t type, bool chains, int rounds)
{
	uint64_t value[64] = {0};
	pthread_t threads[2];

	map = make_map(type, 4, 8, 2 * KEYS, 0, -1);
	choose_keys(map, chains);
	stop = 0;
	for (uintptr_t i = 0; i < 2; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, come_and_go, (void *)(i + 1)));
	for (int round = 0; round < rounds; round++) {
		for (uint32_t room = 1; room <= KEYS; room += 21) {
			for (int i = 0; i < STAY; i++)
				CHECK_EQ(map->ops->write(map, &keys[i], value, BPF_NOEXIST), 0);
			walk(map, room == 1 ? KEYS : room, true);
		}
	}
	store_relaxed(&stop, 1);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	must_be_valid(map);
	map_put(map);
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS");
	int rounds = ops ? atoi(ops) : 500;

	check_private_rundir();
	for (int chains = 0; chains < 2; chains++) {
		check(BPF_MAP_TYPE_HASH, chains, rounds);
		check(BPF_MAP_TYPE_PERCPU_HASH, chains, rounds);
		check_take(BPF_MAP_TYPE_HASH, chains, rounds);
	}
	return check_done();
}
