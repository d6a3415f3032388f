/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Processes that change an LPM trie, and are killed at it, while others read.
 *
 * Each group of addresses has a /16 and a /24, of which the writers delete and insert one while
 * the other is there: so a lookup finds always one of the two, never what covers both, and
 * never nothing; a walk passes one of them. Values are one number repeated (G1); what a
 * program looked up keeps its value while the run lasts (G2). In the end every invariant
 * holds, and the map takes exactly max_entries (G6).
 *
 * Argument: max_entries. SHMAP_TEST_OPS: lookups per reader.
 */
#include "../htab/util.h"

#define GROUPS 96u
#define WRITERS 3u
#define READERS 2u
#define WORDS 9u

struct prefix {
	uint32_t plen;
	uint8_t data[4];
};

static struct map *m;
static uint32_t *stop, *kills, max_entries;

static struct prefix in_group(uint32_t g, uint32_t plen)
{
	/* many in one part, others in all parts */
	uint8_t top = g % 2 ? 10 : (uint8_t)(g * 5);

	return (struct prefix){plen, {top, (uint8_t)(g * 2 + 1), plen > 16 ? 7 : 0, 0}};
}

static int put(const struct prefix *p, uint32_t id, uint32_t version)
{
	uint64_t value[WORDS];

	for (unsigned int i = 0; i < WORDS; i++)
		value[i] = (uint64_t)id << 32 | version;
	return m->ops->write(m, p, value, BPF_ANY);
}

/* The group of a whole value, or -1. */
static long group_of(const uint64_t *value)
{
	for (unsigned int i = 1; i < WORDS; i++)
		if (value[i] != value[0])
			return -1;
	return (long)(value[0] >> 32);
}

static void writer(uint32_t w, unsigned int seed)
{
	uint32_t version = seed;

	while (!load_acquire(stop)) {
		uint32_t g = rand_r(&seed) % (GROUPS / WRITERS) * WRITERS + w, extra;
		struct prefix brief = in_group(g, 16), longer = in_group(g, 24), more;

		/* whatever a dead one left */
		CHECK_EQ(put(&brief, g, ++version), 0);
		CHECK_EQ(put(&longer, g, ++version), 0);
		CHECK_EQ(m->ops->erase(m, &brief), 0);
		CHECK_EQ(put(&brief, g, ++version), 0);
		CHECK_EQ(m->ops->erase(m, &longer), 0);
		CHECK_EQ(put(&longer, g, ++version), 0);
		/* and nodes between them and their neighbours that come and go */
		extra = rand_r(&seed) % 16;
		more = brief;
		more.plen = 17 + extra / 2;
		more.data[2] = 0x80 >> extra % 8;
		if (rand_r(&seed) % 2)
			CHECK_EQ(put(&more, g, ++version), 0);
		else
			m->ops->erase(m, &more);
		if (check_failures)
			exit(1);
	}
	exit(check_done());
}

static void look(uint32_t g, uint64_t *value)
{
	struct prefix p = in_group(g, 32);
	int err = m->ops->read(m, &p, value, 0);

	p.data[2] = 7;
	CHECK_EQ(err, 0);
	CHECK_EQ(group_of(value), g);
}

static void look_as_program(uint32_t g, uint64_t *value)
{
	struct prefix p = in_group(g, 24);
	volatile uint64_t *found;

	if (lease_acquire() < 0)
		return;
	found = m->ops->lookup(m, &p);
	CHECK(found);
	if (found) {
		for (unsigned int i = 0; i < WORDS; i++)
			value[i] = found[i];
		CHECK_EQ(group_of(value), g);
		sched_yield();
		for (unsigned int i = 0; i < WORDS; i++)
			CHECK_EQ(found[i], value[0]);
	}
	lease_release();
}

static bool before(const struct prefix *a, const struct prefix *b)
{
	uint32_t n = a->plen < b->plen ? a->plen : b->plen, i;

	for (i = 0; i < n; i++)
		if ((a->data[i / 8] ^ b->data[i / 8]) >> (7 - i % 8) & 1)
			return !(a->data[i / 8] >> (7 - i % 8) & 1);
	return a->plen > b->plen;
}

/* One batch of all: in order, without a repetition, and of each group one at least. */
static void walk(void)
{
	static struct prefix keys[4096];
	static uint64_t values[4096 * WORDS];
	bool seen[GROUPS] = {false};
	struct prefix token;
	struct map_batch b = {.out_batch = &token, .keys = keys, .values = values, .count = 4096};
	int err = m->ops->lookup_batch(m, &b);

	if (!err && b.count < 4096)
		return; /* its place was deleted */
	CHECK_EQ(err, -ENOENT);
	for (uint32_t i = 0; i < b.count; i++) {
		long g = group_of(values + i * WORDS);

		CHECK(g >= 0);
		if (i)
			CHECK(before(&keys[i - 1], &keys[i]));
		if (g >= 0 && g < (long)GROUPS)
			seen[g] = true;
	}
	for (uint32_t g = 0; g < GROUPS; g++)
		CHECK(seen[g]);
}

static void reader(unsigned int seed, unsigned long ops)
{
	uint64_t value[WORDS];

	for (unsigned long i = 0; i < ops && !check_failures; i++) {
		uint32_t g = rand_r(&seed) % GROUPS;

		if (i % 4000 == 0)
			walk();
		else if (i % 8)
			look(g, value);
		else
			look_as_program(g, value);
	}
	exit(check_done());
}

static pid_t start_writer(uint32_t w, unsigned int seed)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid)
		writer(w, seed);
	return pid;
}

static void exact_capacity(void)
{
	struct map_stats stats;
	uint32_t i, n;
	int err = 0;

	REQUIRE(!m->ops->stats(m, &stats));
	for (i = n = 0; !err; i++) {
		struct prefix p = {
			28, {(uint8_t)(i * 16), 255, (uint8_t)(i >> 4), (uint8_t)(i >> 12 << 4)}};

		err = put(&p, 0, i);
		n += !err;
	}
	CHECK_EQ(err, -ENOSPC);
	CHECK_EQ(stats.entries + n, max_entries);
}

int main(int argc, char **argv)
{
	unsigned long ops =
		getenv("SHMAP_TEST_OPS") ? strtoul(getenv("SHMAP_TEST_OPS"), NULL, 0) : 400000;
	static const struct prefix all = {0, {0}}, half = {1, {128}};
	pid_t writers[WRITERS], readers[READERS];
	unsigned int left = READERS, seed = 1;
	int status;

	max_entries = argc > 1 ? (uint32_t)atoi(argv[1]) : 2000;
	check_private_rundir();
	m = make_map(BPF_MAP_TYPE_LPM_TRIE, 8, WORDS * 8, max_entries, BPF_F_NO_PREALLOC, -1);
	stop = shared_page(4096);
	kills = stop + 1;
	REQUIRE(!put(&all, 1000, 0) && !put(&half, 1000, 0));
	for (uint32_t g = 0; g < GROUPS; g++) {
		struct prefix p = in_group(g, 16);

		REQUIRE(!put(&p, g, 0));
	}
	for (uint32_t i = 0; i < READERS; i++) {
		readers[i] = fork();
		if (!readers[i])
			reader(i + 1, ops);
	}
	for (uint32_t w = 0; w < WRITERS; w++)
		writers[w] = start_writer(w, ++seed);
	while (left) {
		struct timespec nap = {0, (long)(rand_r(&seed) % 2000000)};
		uint32_t w = rand_r(&seed) % WRITERS;

		nanosleep(&nap, NULL);
		kill(writers[w], SIGKILL);
		REQUIRE(waitpid(writers[w], &status, 0) == writers[w]);
		/* it may have ended before, of a claim that failed */
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		++*kills;
		writers[w] = start_writer(w, ++seed);
		for (uint32_t i = 0; i < READERS; i++) {
			if (!readers[i] || waitpid(readers[i], &status, WNOHANG) != readers[i])
				continue;
			CHECK_EQ(status, 0);
			readers[i] = 0;
			left--;
		}
	}
	store_release(stop, 1);
	reap(writers, WRITERS);
	CHECK_EQ(m->ops->recover(m), 0);
	must_be_valid(m);
	exact_capacity();
	must_be_valid(m);
	printf("%u deaths\n", *kills);
	return check_done();
}
