/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Inner maps are swapped while programs in several processes count into them.
 *
 *   exact TYPE INNER   A swapper puts one inner map in the place of another, reads the
 *                      counters of the old one as soon as the update has returned, and
 *                      uses it again later. Not one event is lost or counted twice (G7).
 *   threads TYPE       The same by threads of one process, which share what they opened.
 *   order TYPE         Updates and lookups of a slot by several processes, with times: the
 *                      history is linearizable. Each update stores another map, so that is
 *                      decided by zones (Gibbons and Korach, "Testing shared memories").
 *
 *   SHMAP_TEST_OPS     program runs per process; rounds of histories
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "../sys/map/both.h"
#include "base/atomic.h"
#include "sync/lease.h"
#include "sys/fd.h"
#include "base/bits.h"

#define INSN(c, d, s, o, i)                                                                        \
	((struct bpf_insn){.code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i)})
#define COUNTERS 2
#define INNER 4
#define WORKERS 3

static unsigned long env_ops(unsigned long n)
{
	const char *text = getenv("SHMAP_TEST_OPS");

	return text ? strtoul(text, NULL, 0) : n;
}

static int outer_new(uint32_t type, int inner)
{
	int fd = CALL(BPF_MAP_CREATE, .map_create = {.map_type = type,
						     .key_size = 4,
						     .value_size = 4,
						     .max_entries = 4,
						     .inner_map_fd = inner});

	REQUIRE(fd >= 0);
	return fd;
}

/* Counts in both counters of the map in slot 1, one after the other. */
static int counter_load(int outer, bool atomic)
{
	struct bpf_insn p[64];
	uint32_t n = 0, miss[4], misses = 0;

#define E(...) (p[n++] = INSN(__VA_ARGS__))
	E(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, 1);
	E(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, outer);
	E(0, 0, 0, 0, 0);
	E(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
	E(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4);
	E(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
	miss[misses++] = n;
	E(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0, 0);
	E(BPF_ALU64 | BPF_MOV | BPF_X, 6, 0, 0, 0);
	for (int i = 0; i < COUNTERS; i++) {
		E(BPF_ST | BPF_MEM | BPF_W, 10, 0, -4, i);
		E(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0);
		E(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0);
		E(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -4);
		E(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_map_lookup_elem);
		miss[misses++] = n;
		E(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 0, 0);
		if (atomic) {
			E(BPF_ALU64 | BPF_MOV | BPF_K, 1, 0, 0, 1);
			E(BPF_STX | BPF_ATOMIC | BPF_DW, 0, 1, 0, BPF_ADD);
		} else {
			E(BPF_LDX | BPF_MEM | BPF_DW, 1, 0, 0, 0);
			E(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 1);
			E(BPF_STX | BPF_MEM | BPF_DW, 0, 1, 0, 0);
		}
	}
	E(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
	E(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	while (misses)
		misses--, p[miss[misses]].off = (int16_t)(n - miss[misses] - 1);
	E(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	E(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
#undef E
	int fd = CALL(BPF_PROG_LOAD, .prog_load = {.prog_type = BPF_PROG_TYPE_XDP,
						   .insns = P(p),
						   .insn_cnt = n,
						   .license = P("GPL")});

	REQUIRE(fd >= 0);
	return fd;
}

/* The sum over the CPUs of one counter. */
static uint64_t counter(int fd, uint32_t key, uint32_t cpus)
{
	uint64_t values[256] = {0}, sum = 0;
	long ret;

	REQUIRE(cpus <= ARRAY_SIZE(values));
	ret = lookup(fd, &key, values, 0);
	REQUIRE(!ret);
	for (uint32_t i = 0; i < cpus; i++)
		sum += values[i];
	return sum;
}

static void count_runs(int prog, unsigned long runs)
{
	uint8_t packet[64] = {0};

	while (runs) {
		uint32_t n = runs > 250 ? 250 : (uint32_t)runs;
		union sys_attr a = {.test = {.prog_fd = prog,
					     .data_in = P(packet),
					     .data_size_in = sizeof(packet),
					     .repeat = n}};
		long err;

		/*
		 * EBUSY: on a very busy machine nobody gave a CPU up for a second. Nothing was run: so
		 * few runs are under one lease.
		 */
		while ((err = bpf(BPF_PROG_TEST_RUN, &a, sizeof(a))))
			REQUIRE(err == -EBUSY);
		REQUIRE(a.test.retval == 1);
		runs -= n;
	}
}

static int exact(uint32_t type, uint32_t inner_type)
{
	bool per_cpu =
		inner_type == BPF_MAP_TYPE_PERCPU_ARRAY || inner_type == BPF_MAP_TYPE_PERCPU_HASH;
	bool hash = inner_type == BPF_MAP_TYPE_HASH || inner_type == BPF_MAP_TYPE_PERCPU_HASH;
	uint32_t cpus = per_cpu ? (uint32_t)sysconf(_SC_NPROCESSORS_CONF) : 1, slot = 1;
	unsigned long runs = env_ops(1000000), swaps = 0;
	uint64_t zeros[256] = {0}, sum[COUNTERS] = {0}, seen[INNER][COUNTERS] = {{0}};
	int inner[INNER], outer, prog, left = WORKERS, at = 0;
	pid_t workers[WORKERS];

	for (int i = 0; i < INNER; i++) {
		inner[i] = map_new(inner_type, 4, 8, COUNTERS, 0);
		for (uint32_t k = 0; hash && k < COUNTERS; k++)
			REQUIRE(!update(inner[i], &k, zeros, 0));
	}
	outer = outer_new(type, inner[0]);
	prog = counter_load(outer, !per_cpu);
	REQUIRE(!update(outer, &slot, &inner[0], 0));
	for (int w = 0; w < WORKERS; w++) {
		workers[w] = fork();
		if (!workers[w]) {
			count_runs(prog, runs);
			_exit(0);
		}
	}
	while (left) {
		int next = (at + 1) % INNER, status;

		/* Nobody has touched it since it was taken out and read. */
		for (uint32_t k = 0; k < COUNTERS; k++) {
			CHECK_EQ(counter(inner[next], k, cpus), seen[next][k]);
			REQUIRE(!update(inner[next], &k, zeros, 0));
		}
		REQUIRE(!update(outer, &slot, &inner[next], 0));
		swaps++;
		for (uint32_t k = 0; k < COUNTERS; k++) {
			seen[at][k] = counter(inner[at], k, cpus);
			sum[k] += seen[at][k];
		}
		/* each run has counted in both or in neither */
		CHECK_EQ(seen[at][0], seen[at][1]);
		at = next;
		while (left && waitpid(-1, &status, left == 0 ? 0 : WNOHANG) > 0) {
			CHECK_EQ(status, 0);
			left--;
		}
	}
	for (uint32_t k = 0; k < COUNTERS; k++)
		CHECK_EQ(sum[k] + counter(inner[at], k, cpus), WORKERS * runs);
	printf("%lu swaps under %lu runs\n", swaps, WORKERS * runs);
	return check_done();
}

/* ---- threads that share the copies of inner maps ---- */

struct counting {
	struct map *outer;
	unsigned long runs;
	uint64_t missed; /* runs that got no lease or no inner map */
};

static void *count_thread(void *arg)
{
	struct counting *c = arg;
	uint32_t slot = 1;

	for (unsigned long i = 0; i < c->runs; i++) {
		struct map *inner = NULL;
		bool leased = lease_acquire() >= 0;

		if (leased)
			inner = c->outer->ops->lookup(c->outer, &slot);
		for (uint32_t k = 0; inner && k < COUNTERS; k++) {
			uint64_t *value = inner->ops->lookup(inner, &k);

			if (value)
				fetch_add_relaxed(value, 1);
		}
		c->missed += !inner;
		if (leased)
			lease_release();
	}
	return NULL;
}

/* As exact(), by threads of one process that go through one struct map. */
static int threads(uint32_t type)
{
	struct counting counting[WORKERS];
	pthread_t thread[WORKERS];
	unsigned long runs = env_ops(200000), swaps = env_ops(2000) / 2;
	uint64_t zero = 0, sum[COUNTERS] = {0}, want = 0;
	int inner[INNER], outer, at = 0;
	uint32_t slot = 1;
	struct fd_op op;

	for (int i = 0; i < INNER; i++)
		inner[i] = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, COUNTERS, 0);
	outer = outer_new(type, inner[0]);
	REQUIRE(!update(outer, &slot, &inner[0], 0));
	REQUIRE(!fd_begin(outer, &op));
	for (int w = 0; w < WORKERS; w++) {
		counting[w] = (struct counting){.outer = op.ref->map, .runs = runs};
		REQUIRE(!pthread_create(&thread[w], NULL, count_thread, &counting[w]));
	}
	for (unsigned long i = 0; i < swaps; i++) {
		int next = (at + 1) % INNER;

		for (uint32_t k = 0; k < COUNTERS; k++)
			REQUIRE(!update(inner[next], &k, &zero, 0));
		REQUIRE(!update(outer, &slot, &inner[next], 0));
		for (uint32_t k = 0; k < COUNTERS; k++)
			sum[k] += counter(inner[at], k, 1);
		at = next;
	}
	for (int w = 0; w < WORKERS; w++) {
		pthread_join(thread[w], NULL);
		want += runs - counting[w].missed;
	}
	for (uint32_t k = 0; k < COUNTERS; k++)
		CHECK_EQ(sum[k] + counter(inner[at], k, 1), want);
	printf("%lu swaps under %llu runs of threads\n", swaps, (unsigned long long)want);
	fd_end(&op);
	return check_done();
}

/* ---- histories ---- */

#define WRITES 24
#define READS 96
#define MAPS (WORKERS * WRITES)

struct event {
	uint64_t begin, end;
	uint32_t id; /* what was stored or seen */
	uint32_t write;
};

struct history {
	struct event event[WORKERS][WRITES + READS];
	uint32_t go;
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void make_history(struct history *h, int w, int outer, const int *maps, const uint32_t *ids)
{
	uint32_t slot = 1, written = 0;
	unsigned int seed = (unsigned int)(w + 1);

	for (uint32_t i = 0; i < WRITES + READS; i++) {
		struct event *e = &h->event[w][i];
		uint32_t left = WRITES + READS - i;

		e->write = rand_r(&seed) % left < WRITES - written;
		e->begin = now();
		if (e->write) {
			e->id = ids[w * WRITES + written];
			REQUIRE(!update(outer, &slot, &maps[w * WRITES + written], 0));
			written++;
		} else {
			REQUIRE(!lookup(outer, &slot, &e->id, 0));
		}
		e->end = now();
	}
}

struct zone {
	uint64_t first_end, last_begin, write_begin;
	bool used;
};

static bool forward(const struct zone *z)
{
	return z->first_end < z->last_begin;
}

static void check_history(const struct history *h, const uint32_t *ids, uint32_t count)
{
	static struct zone zones[MAPS + 1];

	memset(zones, 0, sizeof(zones));
	for (uint32_t i = 0; i < count; i++)
		zones[i].first_end = UINT64_MAX;
	/* the value before all: written at time 0 */
	zones[count - 1].first_end = 0;
	zones[count - 1].used = true;
	for (int w = 0; w < WORKERS; w++)
		for (uint32_t i = 0; i < WRITES + READS; i++) {
			const struct event *e = &h->event[w][i];
			uint32_t v;

			for (v = 0; v < count && ids[v] != e->id; v++)
				;
			if (v == count) {
				fprintf(stderr, "a lookup saw id %u, which nobody stored\n", e->id);
				check_failures++;
				return;
			}
			zones[v].used = true;
			if (e->write)
				zones[v].write_begin = e->begin;
			if (e->end < zones[v].first_end)
				zones[v].first_end = e->end;
			if (e->begin > zones[v].last_begin)
				zones[v].last_begin = e->begin;
		}
	for (int w = 0; w < WORKERS; w++)
		for (uint32_t i = 0; i < WRITES + READS; i++)
			for (uint32_t v = 0; v < count; v++)
				if (ids[v] == h->event[w][i].id)
					CHECK(h->event[w][i].end >= zones[v].write_begin);
	for (uint32_t a = 0; a < count; a++)
		for (uint32_t b = 0; b < count; b++) {
			const struct zone *x = &zones[a], *y = &zones[b];

			if (a == b || !x->used || !y->used || !forward(x))
				continue;
			if (forward(y)) /* two values would hold at the same time */
				CHECK(x->last_begin <= y->first_end ||
				      y->last_begin <= x->first_end);
			else /* y's would come and go while x holds */
				CHECK(!(y->last_begin > x->first_end &&
					y->first_end < x->last_begin));
		}
}

static int order(uint32_t type)
{
	unsigned long rounds = env_ops(100);
	struct history *h =
		mmap(NULL, sizeof(*h), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	static uint32_t ids[MAPS + 1];
	static int maps[MAPS + 1];
	uint32_t slot = 1;
	int outer, status;

	REQUIRE(h != MAP_FAILED);
	for (uint32_t i = 0; i <= MAPS; i++) {
		maps[i] = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0);
		ids[i] = map_id(maps[i]);
	}
	outer = outer_new(type, maps[0]);
	for (unsigned long r = 0; r < rounds && !check_failures; r++) {
		REQUIRE(!update(outer, &slot, &maps[MAPS], 0));
		store_relaxed(&h->go, 0);
		for (int w = 0; w < WORKERS; w++)
			if (!fork()) {
				fetch_add_seq_cst(&h->go, 1);
				while (load_seq_cst(&h->go) != WORKERS)
					sched_yield();
				make_history(h, w, outer, maps, ids);
				_exit(0);
			}
		for (int w = 0; w < WORKERS; w++) {
			REQUIRE(wait(&status) > 0);
			CHECK_EQ(status, 0);
		}
		check_history(h, ids, MAPS + 1);
	}
	printf("%lu histories of %d operations\n", rounds, WORKERS * (WRITES + READS));
	return check_done();
}

int main(int argc, char **argv)
{
	uint32_t type = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 0) : BPF_MAP_TYPE_ARRAY_OF_MAPS;

	check_private_rundir();
	if (argc > 1 && !strcmp(argv[1], "order"))
		return order(type);
	if (argc > 1 && !strcmp(argv[1], "threads"))
		return threads(type);
	return exact(type, argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 0) : BPF_MAP_TYPE_ARRAY);
}
