/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * G1: a lookup through bpf(2) returns a value that one update wrote, also while
 * other processes replace, delete and insert. Every value is one number, repeated;
 * a value with two different numbers is a mixture.
 */
#include "util.h"

#define KEYS 24
#define WORDS 25

static void write_some(struct map *m, unsigned int seed, unsigned int n)
{
	uint64_t value[WORDS];

	for (unsigned int i = 0; i < n; i++) {
		uint32_t key = rand_r(&seed) % KEYS;

		for (int w = 0; w < WORDS; w++)
			value[w] = (uint64_t)key << 32 | i;
		if (rand_r(&seed) % 8)
			m->ops->write(m, &key, value, BPF_ANY);
		else
			m->ops->erase(m, &key);
	}
}

static void read_some(struct map *m, uint32_t *stop)
{
	unsigned int seed = 7, hits = 0;
	uint64_t value[WORDS];

	while (!load_acquire(stop) || hits < 1000) {
		uint32_t key = rand_r(&seed) % KEYS;
		int err = m->ops->read(m, &key, value, 0);

		if (err == -ENOENT)
			continue;
		CHECK_EQ(err, 0);
		hits++;
		for (int w = 0; w < WORDS; w++) {
			if (value[w] == value[0] && value[w] >> 32 == key)
				continue;
			fprintf(stderr, "key %u: word %d is %#llx, word 0 is %#llx\n", key, w,
				(unsigned long long)value[w], (unsigned long long)value[0]);
			exit(1);
		}
	}
	exit(check_done());
}

int main(int argc, char **argv)
{
	uint32_t flags = argc > 1 ? (uint32_t)atoi(argv[1]) : 0, key;
	unsigned int ops = getenv("SHMAP_TEST_OPS") ? (unsigned int)atoi(getenv("SHMAP_TEST_OPS"))
						    : 1000000;
	uint64_t value[WORDS] = {0};
	struct map *m;
	uint32_t *stop;
	pid_t readers[2], writers[2];

	check_private_rundir();
	m = make_map(BPF_MAP_TYPE_HASH, 4, sizeof(value), KEYS, flags, -1);
	stop = shared_page(4096);
	/* key 0 is never deleted, so that readers always have something to find */
	for (key = 0; key < KEYS; key++) {
		for (int w = 0; w < WORDS; w++)
			value[w] = (uint64_t)key << 32;
		CHECK_EQ(m->ops->write(m, &key, value, 0), 0);
	}
	for (int i = 0; i < 2; i++) {
		readers[i] = fork();
		if (!readers[i])
			read_some(m, stop);
		writers[i] = fork();
		if (!writers[i]) {
			write_some(m, (unsigned int)i + 1, ops);
			exit(0);
		}
	}
	reap(writers, 2);
	for (int w = 0; w < WORDS; w++)
		value[w] = 0;
	key = 0;
	m->ops->write(m, &key, value, 0);
	store_release(stop, 1);
	reap(readers, 2);
	must_be_valid(m);
	return check_done();
}
