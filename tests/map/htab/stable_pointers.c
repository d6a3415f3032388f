/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * G2: what a program looked up stays what it was while the program runs: the
 * element is neither given to another key nor its value replaced beneath it, while
 * others update, delete and insert as fast as they can in a map that is nearly full.
 */
#include "util.h"

#define KEYS 64

int main(int argc, char **argv)
{
	uint32_t type = argc > 1 ? (uint32_t)atoi(argv[1]) : BPF_MAP_TYPE_HASH;
	unsigned int round, seen = 0;
	uint32_t *stop;
	struct map *m;
	pid_t writer;

	check_private_rundir();
	m = make_map(type, 4, 8, KEYS, 0, -1);
	stop = shared_page(4096);
	writer = fork();
	if (!writer) {
		uint64_t value[LEASE_CPUS_MAX] = {0}, n = 0;
		unsigned int seed = 3;

		/* The value names the key, so a pointer to another's shows. */
		while (!load_acquire(stop)) {
			uint32_t key = rand_r(&seed) % KEYS;

			for (unsigned int c = 0; c < lease_possible_cpus(); c++)
				value[c] = (uint64_t)key << 32 | (uint32_t)n;
			n++;
			if (rand_r(&seed) % 3)
				m->ops->write(m, &key, value, 0);
			else
				m->ops->erase(m, &key);
		}
		exit(0);
	}
	for (round = 0; seen < 200000 && !check_failures; round++) {
		uint32_t key = round % KEYS;
		uint64_t *p, first;

		REQUIRE(lease_acquire() >= 0);
		p = m->ops->lookup(m, &key);
		if (p) {
			seen++;
			first = load_acquire(p);
			if (first >> 32 != key)
				CHECK_EQ(first >> 32, key);
			for (int i = 0; i < 2000; i++) {
				if (load_acquire(p) != first) {
					CHECK_EQ(load_acquire(p), first);
					break;
				}
			}
		}
		lease_release();
	}
	store_release(stop, 1);
	reap(&writer, 1);
	must_be_valid(m);
	return check_done();
}
