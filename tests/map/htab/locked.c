/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * G3: BPF_F_LOCK copies and sections under the value's bpf_spin_lock exclude each
 * other: no reader sees half of a section, no increment is lost, also while a third
 * process deletes and inserts other keys next to it.
 */
#include "sync/lock.h"
#include "util.h"

struct value {
	uint32_t lock;
	uint32_t pad;
	uint64_t a, b[6];
};

#define ROUNDS 40000

/* Until the reader has had enough; says how often in *done. */
static void section(struct map *m, uint32_t key, uint32_t *stop, uint64_t *done)
{
	while (*done < ROUNDS || !load_acquire(stop)) {
		struct value *v;

		while (lease_acquire() < 0)
			;
		v = m->ops->lookup(m, &key);
		REQUIRE(v);
		REQUIRE(lock_acquire(&v->lock) == 0);
		v->a++;
		for (int w = 0; w < 6; w++)
			v->b[w]++;
		lock_release(&v->lock);
		lease_release();
		++*done;
	}
	exit(0);
}

int main(void)
{
	struct value v = {.a = 0};
	uint32_t key = 5, *stop;
	struct map *m;
	pid_t adders[2], other;
	unsigned int reads = 0;

	check_private_rundir();
	m = make_map(BPF_MAP_TYPE_HASH, 4, sizeof(v), 32, 0, 0);
	stop = shared_page(4096);
	CHECK_EQ(m->ops->write(m, &key, &v, BPF_F_LOCK), 0);
	for (int p = 0; p < 2; p++) {
		adders[p] = fork();
		if (!adders[p])
			section(m, key, stop, (uint64_t *)stop + 8 * (p + 1));
	}
	other = fork();
	if (!other) {
		unsigned int seed = 1;

		while (!load_acquire(stop)) {
			uint32_t k = 6 + rand_r(&seed) % 26;

			if (rand_r(&seed) & 1)
				m->ops->write(m, &k, &v, rand_r(&seed) & 1 ? BPF_F_LOCK : 0);
			else
				m->ops->erase(m, &k);
		}
		exit(0);
	}
	do {
		CHECK_EQ(m->ops->read(m, &key, &v, BPF_F_LOCK), 0);
		CHECK_EQ(v.lock, 0);
		for (int w = 0; w < 6; w++)
			if (v.b[w] != v.a)
				CHECK_EQ(v.b[w], v.a);
		reads++;
	} while (reads < 20000 && !check_failures);
	store_release(stop, 1);
	reap(adders, 2);
	reap(&other, 1);
	CHECK_EQ(m->ops->read(m, &key, &v, BPF_F_LOCK), 0);
	CHECK_EQ(v.a, ((uint64_t *)stop)[8] + ((uint64_t *)stop)[16]);
	must_be_valid(m);
	return check_done();
}
