/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * G2 in a map that evicts: the element of a key that a program looked up may be evicted
 * while the program runs, but its memory is not given to another key. The argument is the
 * type; with a second one, the program itself inserts what evicts.
 */
#include "../htab/util.h"

#define KEYS 64

static void fill(uint64_t value[LEASE_CPUS_MAX], uint32_t key)
{
	for (unsigned int c = 0; c < lease_possible_cpus(); c++)
		value[c] = (uint64_t)key << 32 | 1;
}

/* Others insert new keys as fast as they can. */
static void others(struct map *m)
{
	uint64_t value[LEASE_CPUS_MAX], first, *p, gone = 0, seen = 0;
	uint32_t *stop = shared_page(4096), key;
	pid_t writer = fork();

	if (!writer) {
		for (uint32_t n = 0; !load_acquire(stop); n++) {
			fill(value, n % (3 * KEYS));
			key = n % (3 * KEYS);
			CHECK_EQ(m->ops->write(m, &key, value, 0), 0);
		}
		exit(check_done());
	}
	for (unsigned int round = 0; (seen < 100000 || gone < 100) && !check_failures; round++) {
		key = round % (3 * KEYS);
		REQUIRE(lease_acquire() >= 0);
		p = m->ops->lookup(m, &key);
		if (p) {
			seen++;
			first = load_acquire(p);
			CHECK_EQ(first >> 32, key);
			for (int i = 0; i < 2000 && !check_failures; i++)
				CHECK_EQ(load_acquire(p), first);
			gone += !!m->ops->read(m, &key, value, 0);
		}
		lease_release();
	}
	store_release(stop, 1);
	reap(&writer, 1);
}

/* The run's own inserts, not more than there are spare elements for. */
static void own(struct map *m)
{
	uint64_t value[LEASE_CPUS_MAX], *p;
	uint32_t key, next = 0, gone = 0;
	cpu_set_t one;

	/* a program's insert fills its own CPU's value alone: the next round must be on it */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
	for (uint32_t round = 0; round < 20000 && !check_failures; round++) {
		REQUIRE(lease_acquire() >= 0);
		key = next - 1;
		p = m->ops->lookup(m, &key);
		CHECK(p || !round);
		for (int i = 0; i < 5; i++) {
			fill(value, next);
			CHECK_EQ(m->ops->update(m, &next, value, BPF_ANY), 0);
			next++;
		}
		gone += p && m->ops->read(m, &key, value, 0);
		if (p)
			CHECK_EQ(*p >> 32, key);
		lease_release();
	}
	CHECK_EQ(gone, 19999);
}

int main(int argc, char **argv)
{
	uint32_t type = argc > 1 ? (uint32_t)atoi(argv[1]) : BPF_MAP_TYPE_LRU_HASH;
	struct map *m;

	check_private_rundir();
	m = make_map(type, 4, 8, argc > 2 ? 1 : KEYS, 0, -1);
	if (argc > 2)
		own(m);
	else
		others(m);
	must_be_valid(m);
	return check_done();
}
