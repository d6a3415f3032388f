/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several threads on one array.
 *   whole8  values of 8 bytes, written by bpf(2), programs and mappings, are
 *           never torn
 *   locked  values written under BPF_F_LOCK and in lock sections of programs
 *           are whole to readers under BPF_F_LOCK, through a read-only fd too
 *   sums    per-CPU counters under leases add up exactly
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "../../check.h"
#include "base/bits.h"
#include "base/atomic.h"
#include "map/map.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define THREADS 4

static struct map *m;
static int fd;
static unsigned long rounds = 400000;
static uint32_t done;

static void make(uint32_t type, uint32_t value_size, uint32_t n, uint32_t flags, int32_t lock_off)
{
	struct map_attr attr = {.map_type = type,
				.key_size = 4,
				.value_size = value_size,
				.max_entries = n,
				.map_flags = flags,
				.spin_lock_off = lock_off};

	REQUIRE(!map_create(&attr, -1, &m, &fd));
}

static uint64_t pattern(uint64_t i)
{
	return (i & 0xff) * 0x0101010101010101ull;
}

static bool whole(const uint8_t *p, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++)
		if (p[i] != p[0])
			return false;
	return true;
}

static void *write8(void *arg)
{
	long id = (long)arg;

	for (unsigned long i = 0; i < rounds; i++) {
		uint32_t key = i & 3;
		uint64_t v = pattern(i * THREADS + id), *p;

		if (id & 1) {
			CHECK_EQ(m->ops->write(m, &key, &v, 0), 0);
		} else {
			REQUIRE(lease_acquire() >= 0);
			p = m->ops->lookup(m, &key);
			store_relaxed(p, v);
			CHECK_EQ(m->ops->update(m, &key, &v, 0), 0);
			lease_release();
		}
	}
	fetch_add_relaxed(&done, 1u);
	return NULL;
}

static void read8(const uint64_t *mapped)
{
	while (load_relaxed(&done) < THREADS) {
		for (uint32_t key = 0; key < 4; key++) {
			uint64_t v, w = load_relaxed(&mapped[key]);

			CHECK_EQ(m->ops->read(m, &key, &v, 0), 0);
			CHECK(whole((uint8_t *)&v, 8));
			CHECK(whole((uint8_t *)&w, 8));
		}
		if (check_failures)
			return;
	}
}

#define LOCKED_SIZE 200
#define LOCK_OFF 8

static void *write_locked(void *arg)
{
	long id = (long)arg;
	uint8_t v[LOCKED_SIZE];

	for (unsigned long i = 0; i < rounds / 4; i++) {
		uint32_t key = i % 3;

		memset(v, 1 + (i * THREADS + id) % 250, sizeof(v));
		if (id & 1) {
			CHECK_EQ(m->ops->write(m, &key, v, BPF_F_LOCK), 0);
		} else { /* a program's lock section */
			uint8_t *p;
			int got;

			REQUIRE(lease_acquire() >= 0);
			p = m->ops->lookup(m, &key);
			got = lock_acquire((uint32_t *)(p + LOCK_OFF));
			CHECK_EQ(got, 0);
			for (uint32_t j = 0; j < LOCKED_SIZE; j += 8)
				if (j != LOCK_OFF)
					store_relaxed((uint64_t *)(p + j), pattern(v[0]));
			store_relaxed((uint32_t *)(p + LOCK_OFF + 4), pattern(v[0]));
			lock_release((uint32_t *)(p + LOCK_OFF));
			lease_release();
		}
	}
	fetch_add_relaxed(&done, 1u);
	return NULL;
}

static void read_locked(struct map *map)
{
	static const uint8_t zeros[4];
	uint8_t v[LOCKED_SIZE];

	for (uint32_t key = 0; key < 3; key++) {
		CHECK_EQ(map->ops->read(map, &key, v, BPF_F_LOCK), 0);
		CHECK(!memcmp(v + LOCK_OFF, zeros, 4));
		memcpy(v + LOCK_OFF, v, 4);
		CHECK(whole(v, LOCKED_SIZE));
	}
}

static void *count(void *arg)
{
	for (unsigned long i = 0; i < rounds; i++) {
		uint32_t key = i % 5;
		uint64_t *p;

		REQUIRE(lease_acquire() >= 0);
		p = m->ops->lookup(m, &key);
		/* not atomic: the lease is what makes it exact */
		store_relaxed(p, load_relaxed(p) + 1);
		lease_release();
	}
	fetch_add_relaxed(&done, 1u);
	return NULL;
}

static void check_sums(void)
{
	uint32_t cpus = lease_possible_cpus();
	uint64_t *values = calloc(cpus, 8), sum = 0;

	for (uint32_t key = 0; key < 5; key++) {
		CHECK_EQ(m->ops->read(m, &key, values, 0), 0);
		for (uint32_t i = 0; i < cpus; i++)
			sum += values[i];
	}
	CHECK_EQ(sum, THREADS * rounds);
	free(values);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	pthread_t threads[THREADS];
	void *(*fn)(void *) = NULL;
	struct map *read_only = NULL;
	void *mapped = NULL;
	char why[256] = "";

	check_private_rundir();
	if (getenv("SHMAP_TEST_OPS"))
		rounds = strtoul(getenv("SHMAP_TEST_OPS"), NULL, 0);
	if (!strcmp(what, "whole8")) {
		make(BPF_MAP_TYPE_ARRAY, 8, 4, BPF_F_MMAPABLE, -1);
		mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
		REQUIRE(mapped != MAP_FAILED);
		fn = write8;
	} else if (!strcmp(what, "locked")) {
		char proc[64];
		int ro;

		make(BPF_MAP_TYPE_ARRAY, LOCKED_SIZE, 3, 0, LOCK_OFF);
		snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
		ro = open(proc, O_RDONLY | O_CLOEXEC);
		REQUIRE(ro >= 0 && !map_open(ro, &read_only) && !read_only->writable);
		fn = write_locked;
	} else {
		make(BPF_MAP_TYPE_PERCPU_ARRAY, 8, 5, 0, -1);
		fn = count;
	}
	for (long i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&threads[i], NULL, fn, (void *)i));
	if (mapped)
		read8(mapped);
	else if (read_only)
		while (load_relaxed(&done) < THREADS && !check_failures) {
			read_locked(m);
			read_locked(read_only);
		}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	if (fn == count)
		check_sums();
	CHECK_EQ(m->ops->validate(m, why, sizeof(why)), 0);
	if (*why)
		fprintf(stderr, "%s\n", why);
	return check_done();
}
