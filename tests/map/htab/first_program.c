/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * G2 from the first lookup on: until a program comes, values are replaced in place; what the
 * very first one looks up stays as it is while it runs, though a writer that goes on all the
 * time was in the middle of that.
 */
#include "util.h"

#define KEYS 4

static struct map *current;
static uint32_t done;
static uint64_t writes;

static void *writer(void *arg)
{
	uint64_t value = 1;

	while (!load_acquire(&done)) {
		struct map *m = load_acquire(&current);
		uint32_t key = value % KEYS;

		if (m)
			CHECK_EQ(m->ops->write(m, &key, &value, 0), 0);
		value++;
		store_release(&writes, value);
	}
	return NULL;
}

static void wait_for_writes(uint64_t n)
{
	uint64_t from = load_seq_cst(&writes);

	while (load_acquire(&writes) < from + n)
		sched_yield();
}

static uint64_t value_at(const void *p, uint32_t size)
{
	return size == 8 ? load_acquire((const uint64_t *)p) : load_acquire((const uint32_t *)p);
}

/* A program's value may stand at any address: for the sanitizer. */
static void anywhere(uint32_t type)
{
	for (uint32_t size = 1; size <= 8; size *= 2) {
		struct map *m = make_map(type, 12, size, 64, 0, -1);
		uint8_t key[12] = {1}, value[16] __attribute__((aligned(8))) = {0, 1, 2, 3, 4};

		REQUIRE(lease_acquire() >= 0);
		CHECK_EQ(m->ops->update(m, key, value + 1, 0), 0);
		CHECK_EQ(m->ops->update(m, key, value + 3, 0), 0);
		CHECK(!memcmp(m->ops->lookup(m, key), value + 3, size));
		lease_release();
		map_put(m);
	}
}

int main(int argc, char **argv)
{
	uint32_t type = argc > 1 ? (uint32_t)atoi(argv[1]) : BPF_MAP_TYPE_HASH, round;
	struct map *maps[80];
	pthread_t thread;

	check_private_rundir();
	anywhere(type);
	REQUIRE(!pthread_create(&thread, NULL, writer, NULL));
	for (round = 0; round < ARRAY_SIZE(maps) && !check_failures; round++) {
		uint32_t size = round & 1 ? 8 : 4, key = round % KEYS;
		struct map *m = make_map(type, 4, size, 64, 0, -1);
		uint64_t first, before;
		void *p, *again;

		maps[round] = m;
		store_seq_cst(&current, m); /* before the writes are counted */
		wait_for_writes(2 * KEYS + 1);
		REQUIRE(lease_acquire() >= 0);
		p = m->ops->lookup(m, &key);
		REQUIRE(p);
		first = value_at(p, size);
		before = load_acquire(&writes);
		for (int i = 0; i < 200 && load_acquire(&writes) < before + 4 * KEYS; i++) {
			CHECK_EQ(value_at(p, size), first);
			sched_yield();
		}
		CHECK_EQ(value_at(p, size), first);
		lease_release();
		/* and the writer has gone on: another element has the key now */
		wait_for_writes(2 * KEYS + 1);
		REQUIRE(lease_acquire() >= 0);
		again = m->ops->lookup(m, &key);
		CHECK(again && value_at(again, size) != first);
		lease_release();
	}
	store_release(&done, 1);
	pthread_join(thread, NULL);
	for (uint32_t i = 0; i < round; i++) {
		must_be_valid(maps[i]);
		map_put(maps[i]);
	}
	return check_done();
}
