/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the kernel does not have: how long writers wait for a snapshot, what a transaction and a
 * handle's lookup cost, beside the ordinary calls that come nearest.
 *
 *	bench-atomic [ROUNDS]
 */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"
#include "shmap.h"

#define ROUNDS_MAX 101

static int rounds = 21;

static int filled(enum bpf_map_type type, uint32_t n)
{
	int fd = bpf_map_create(type, "bench", 4, 8, n, NULL);

	need(fd >= 0, "map");
	for (uint32_t k = 0; k < n; k++) {
		uint64_t v = k;

		need(!bpf_map_update_elem(fd, &k, &v, 0), "fill");
	}
	return fd;
}

/* ---- the writers' wait ---- */

static struct writer {
	int fd;
	uint32_t n;
	bool stop;
} writer;

static void *write_on(void *arg)
{
	uint64_t v = 0;

	for (uint32_t k = 0; !__atomic_load_n(&writer.stop, __ATOMIC_RELAXED);
	     k = (k + 1) % writer.n, v++)
		need(!bpf_map_update_elem(writer.fd, &k, &v, 0), "update");
	return NULL;
}

static void bench_snapshot(const char *name, enum bpf_map_type type, uint32_t n)
{
	double took[ROUNDS_MAX], wait[ROUNDS_MAX], begin;
	pthread_t thread;
	int i, snap;

	writer = (struct writer){.fd = filled(type, n), .n = n};
	need(!pthread_create(&thread, NULL, write_on, NULL), "thread");
	for (i = 0; i < rounds; i++) {
		begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
		snap = shmap_snapshot(writer.fd);
		took[i] = now_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
		need(snap >= 0, "snapshot");
		wait[i] = (double)shmap_snapshot_stalled();
		close(snap);
	}
	__atomic_store_n(&writer.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	median(took, rounds);
	median(wait, rounds);
	printf("%-10s %8u  %9.0f us  %9.1f us  %9.1f us  %8.2f us\n", name, n,
	       took[rounds / 2] / 1e3, wait[0] / 1e3, wait[rounds / 2] / 1e3,
	       wait[0] / 1e3 / (n / 1000.0));
	close(writer.fd);
}

/* ---- operations ---- */

#define N 1000
#define BATCH 20000

static int fd;
static struct shmap_handle *handle;

static void lookups(long n)
{
	uint64_t v;

	for (long i = 0; i < n; i++) {
		uint32_t k = (uint32_t)(i * 7919) % N;

		need(!bpf_map_lookup_elem(fd, &k, &v), "lookup");
	}
}

static volatile uint64_t sink;

static void finds(long n, long per_section)
{
	for (long i = 0; i < n; i++) {
		uint32_t k = (uint32_t)(i * 7919) % N;

		if (i % per_section == 0)
			need(!shmap_section_begin(), "section");
		sink = *(const uint64_t *)shmap_find(handle, &k);
		if (i % per_section == per_section - 1)
			shmap_section_end();
	}
}

static void finds_each(long n)
{
	finds(n, 1);
}

static void finds_many(long n)
{
	finds(n, 100);
}

static void updates(long n)
{
	for (long i = 0; i < n; i++) {
		uint32_t k = (uint32_t)(i * 7919) % N;
		uint64_t v = (uint64_t)i;

		need(!bpf_map_update_elem(fd, &k, &v, 0), "update");
	}
}

static int add(void *value, void *arg)
{
	++*(uint64_t *)value;
	return 0;
}

static void modifies(long n)
{
	for (long i = 0; i < n; i++) {
		uint32_t k = (uint32_t)(i * 7919) % N;

		need(!shmap_modify(handle, &k, add, NULL), "modify");
	}
}

/* Reads two keys and writes them. */
static void transfers(long n)
{
	for (long i = 0; i < n; i++) {
		uint32_t k = (uint32_t)(i * 7919) % N, k2 = (k + 1) % N;
		struct shmap_txn *t = shmap_txn_begin();
		uint64_t a, b;

		need(t && !shmap_txn_get(t, fd, &k, &a) && !shmap_txn_get(t, fd, &k2, &b), "get");
		a--, b++;
		need(!shmap_txn_put(t, fd, &k, &a, 0) && !shmap_txn_put(t, fd, &k2, &b, 0) &&
			     !shmap_txn_commit(t),
		     "commit");
	}
}

static void looks_and_updates(long n)
{
	for (long i = 0; i < n; i++) {
		uint32_t k = (uint32_t)(i * 7919) % N, k2 = (k + 1) % N;
		uint64_t a, b;

		need(!bpf_map_lookup_elem(fd, &k, &a) && !bpf_map_lookup_elem(fd, &k2, &b),
		     "lookup");
		a--, b++;
		need(!bpf_map_update_elem(fd, &k, &a, 0) && !bpf_map_update_elem(fd, &k2, &b, 0),
		     "update");
	}
}

/* Both in turn; the ratio pair by pair. */
static void compare(const char *map, const char *name, void (*ours)(long), const char *beside,
		    void (*other)(long), long n)
{
	double a[ROUNDS_MAX], b[ROUNDS_MAX], ratio[ROUNDS_MAX], begin;

	for (int i = 0; i < rounds; i++) {
		begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
		ours(n);
		a[i] = (now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)n;
		begin = now_ns(CLOCK_THREAD_CPUTIME_ID);
		other(n);
		b[i] = (now_ns(CLOCK_THREAD_CPUTIME_ID) - begin) / (double)n;
		ratio[i] = b[i] / a[i];
	}
	printf("%-6s %-34s %8.1f ns   %-26s %8.1f ns  %6.2f\n", map, name, median(a, rounds),
	       beside, median(b, rounds), median(ratio, rounds));
}

static void bench_map(const char *name, enum bpf_map_type type)
{
	fd = filled(type, N);
	handle = shmap_handle_open(fd);
	need(handle, "handle");
	compare(name, "find, a section each", finds_each, "bpf_map_lookup_elem", lookups, BATCH);
	compare(name, "find, 100 in a section", finds_many, "bpf_map_lookup_elem", lookups, BATCH);
	compare(name, "modify", modifies, "bpf_map_update_elem", updates, BATCH);
	compare(name, "transaction: 2 gets, 2 puts", transfers, "2 lookups, 2 updates",
		looks_and_updates, BATCH / 20);
	shmap_handle_close(handle);
	close(fd);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		rounds = atoi(argv[1]);
	if (rounds < 1 || rounds > ROUNDS_MAX)
		rounds = 21;
	printf("snapshots, beside a thread that writes on: the CPU time of one; for how long "
	       "writers "
	       "are kept out, in the\nquickest of %d and the median one (other load counts), and "
	       "in the "
	       "quickest per 1000 entries\n",
	       rounds);
	for (uint32_t n = 1000; n <= 100000; n *= 10) {
		bench_snapshot("array", BPF_MAP_TYPE_ARRAY, n);
		bench_snapshot("hash", BPF_MAP_TYPE_HASH, n);
		bench_snapshot("lru_hash", BPF_MAP_TYPE_LRU_HASH, n);
	}
	printf("\nCPU time of one, the nearest ordinary calls (on shmap), how many times faster\n");
	bench_map("array", BPF_MAP_TYPE_ARRAY);
	bench_map("hash", BPF_MAP_TYPE_HASH);
	return 0;
}
