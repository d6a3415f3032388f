/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * G6: a full map refuses, and remembers that it is full; but from the end of a delete on
 * there is room for one, in every stripe, whoever was looking for some meanwhile. One
 * thread deletes a key of a full map while another is refused or gets the room: then, and
 * only then, one more key fits.
 */
#include "util.h"

#define MAX 500
#define TRIES 4
#define SPINS 2000

static struct {
	struct map *m;
	uint32_t rounds;
	uint32_t begun, ended; /* rounds: as the first thread says, as the second does */
	uint32_t got;	       /* the key that the second has inserted in the round, or 0 */
} duel;

static int insert(uint32_t key)
{
	uint64_t value = key;

	return duel.m->ops->write(duel.m, &key, &value, BPF_NOEXIST);
}

static void wait_for(const uint32_t *counter, uint32_t value)
{
	for (uint32_t spins = 0; load_acquire(counter) < value; spins++) {
		if (spins < SPINS)
			cpu_relax();
		else
			sched_yield();
	}
}

static void *intrude(void *arg)
{
	for (uint32_t round = 1; round <= duel.rounds; round++) {
		uint32_t key = 2 * (MAX + round * TRIES), got = 0;

		wait_for(&duel.begun, round);
		for (uint32_t i = 0; i < TRIES && !got; i++) {
			int err = insert(key + 2 * i);

			if (!err)
				got = key + 2 * i;
			else
				CHECK_EQ(err, -E2BIG);
		}
		duel.got = got;
		store_release(&duel.ended, round);
	}
	return NULL;
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS");
	uint32_t held[MAX], refused = 0, seed = 7;
	pthread_t thread;

	check_private_rundir();
	duel.rounds = ops ? (uint32_t)strtoul(ops, NULL, 0) : 1000;
	duel.m = make_map(BPF_MAP_TYPE_HASH, 4, 8, MAX, 0, -1);
	for (uint32_t i = 0; i < MAX; i++) {
		held[i] = 2 * i + 1;
		CHECK_EQ(insert(held[i]), 0);
	}
	REQUIRE(!pthread_create(&thread, NULL, intrude, NULL));
	for (uint32_t round = 1; round <= duel.rounds; round++) {
		uint32_t *key = &held[(seed = seed * 1664525 + 1013904223) % MAX];

		store_release(&duel.begun, round);
		for (uint32_t i = seed >> 16 & 15; i; i--)
			cpu_relax();
		CHECK_EQ(duel.m->ops->erase(duel.m, key), 0);
		wait_for(&duel.ended, round);
		if (duel.got)
			CHECK_EQ(duel.m->ops->erase(duel.m, &duel.got), 0);
		else
			refused++;
		/* most of the time in another stripe */
		*key = 2 * (MAX + round) + 1;
		CHECK_EQ(insert(*key), 0);
		/* Every other time the next look is the other's, beside our delete. */
		if (seed >> 24 & 1)
			CHECK_EQ(insert(0), -E2BIG);
	}
	pthread_join(thread, NULL);
	must_be_valid(duel.m);
	printf("%u rounds, refused in %u\n", duel.rounds, refused);
	map_put(duel.m);
	return check_done();
}
