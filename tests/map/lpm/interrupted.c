/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lookup or a step that stands still at any instruction while the trie changes answers for one
 * instant; a batch delivers once what is there all the time.
 *
 * A timer's signal handler changes the map in the middle of what its own thread reads, and uses
 * what it freed again. Of two prefixes of a group one is there at every moment: a lookup
 * finds one of the two. Between two others that stay, next_key finds one of them, too.
 * SHMAP_TEST_OPS: lookups.
 */
#include <sys/time.h>

#include "../htab/util.h"

#define GROUPS 64u
#define WORDS 5u

struct prefix {
	uint32_t plen;
	uint8_t data[4];
};

static struct map *m;
static volatile uint32_t group, changes;
static bool longer_there[GROUPS];

static struct prefix in_group(uint32_t g, uint32_t plen)
{
	return (struct prefix){plen, {10, (uint8_t)(g * 4), plen > 16 ? 7 : 0, 0}};
}

static int put(const struct prefix *p, uint32_t id)
{
	uint64_t value[WORDS];

	for (unsigned int i = 0; i < WORDS; i++)
		value[i] = (uint64_t)id << 32 | changes;
	return m->ops->write(m, p, value, BPF_ANY);
}

/* From the one of the two to the other, and others come and go in the memory that is freed. */
static void change(int sig)
{
	uint32_t g = group, near = (g + 1) % GROUPS;
	struct prefix brief = in_group(g, 16), longer = in_group(g, 24), more = in_group(near, 20);
	struct prefix top = {9, {10, 128}};
	int err;

	changes++;
	err = put(longer_there[g] ? &brief : &longer, g);
	/* the read that this interrupts was overtaken so often that it holds the lock */
	if (err == -EBUSY)
		return;
	CHECK_EQ(err, 0);
	CHECK_EQ(m->ops->erase(m, longer_there[g] ? &longer : &brief), 0);
	longer_there[g] = !longer_there[g];
	if (changes % 3) {
		more.data[2] = (uint8_t)(changes << 4);
		put(&more, near);
		more.data[2] = (uint8_t)(changes << 4 | 0x80);
		put(&more, near);
		m->ops->erase(m, &more);
	}
	if (changes % 2)
		put(&top, 2000);
	else
		m->ops->erase(m, &top);
}

static void look(uint32_t g)
{
	struct prefix p = in_group(g, 32);
	uint64_t value[WORDS] = {0};

	group = g;
	CHECK_EQ(m->ops->read(m, &p, value, 0), 0);
	CHECK_EQ(value[0] >> 32, g);
	for (unsigned int i = 1; i < WORDS; i++)
		CHECK_EQ(value[i], value[0]);
}

/* From the lower of two that stay to the upper: one of the group is between. */
static void next(uint32_t g)
{
	struct prefix low = {32, {10, (uint8_t)(g * 4 - 1), 255, 255}}, found;

	group = g;
	CHECK_EQ(m->ops->next_key(m, &low, &found), 0);
	CHECK(found.data[0] == 10 && found.data[1] == g * 4 && found.plen <= 24);
}

static void batch(uint32_t g)
{
	struct prefix low = {32, {10, (uint8_t)(g * 4 - 1), 255, 255}}, token, keys[64];
	uint64_t values[64][WORDS];
	struct map_batch b = {
		.in_batch = &low, .out_batch = &token, .keys = keys, .values = values, .count = 64};
	uint32_t stay = 0;

	group = g;
	CHECK_EQ(m->ops->lookup_batch(m, &b), b.count < 64 ? -ENOENT : 0);
	for (uint32_t i = 0; i < b.count; i++) {
		struct prefix stays = {32, {10, (uint8_t)((g + stay) * 4 + 3), 255, 255}};

		for (unsigned int j = 1; j < WORDS; j++)
			CHECK_EQ(values[i][j], values[i][0]);
		for (uint32_t j = 0; j < i; j++)
			CHECK(memcmp(&keys[j], &keys[i], sizeof(stays)));
		stay += !memcmp(&keys[i], &stays, sizeof(stays));
	}
	/* those that stay come in turn, each once, up to where the batch ended */
	CHECK(stay > 0 && (b.count == 64 || g + stay == GROUPS));
}

int main(void)
{
	unsigned long ops =
		getenv("SHMAP_TEST_OPS") ? strtoul(getenv("SHMAP_TEST_OPS"), NULL, 0) : 500000;
	struct itimerval often = {{0, 17}, {0, 17}}, never = {{0, 0}, {0, 0}};
	unsigned int seed = 1;

#if defined(__SANITIZE_THREAD__)
	SKIP("one thread: the thread sanitizer could see nothing, and no read would end between two "
	     "signals");
#endif
	check_private_rundir();
	m = make_map(BPF_MAP_TYPE_LPM_TRIE, 8, WORDS * 8, 1000, BPF_F_NO_PREALLOC, -1);
	for (uint32_t g = 0; g < GROUPS; g++) {
		struct prefix p = in_group(g, 16),
			      stays = {32, {10, (uint8_t)(g * 4 + 3), 255, 255}};

		REQUIRE(!put(&p, g) && !put(&stays, 3000));
	}
	signal(SIGALRM, change);
	setitimer(ITIMER_REAL, &often, NULL);
	for (unsigned long i = 0; (i < ops || changes <= 100) && !check_failures; i++) {
		uint32_t g = 1 + (uint32_t)rand_r(&seed) % (GROUPS - 1);

		if (i % 64 == 63)
			batch(g);
		else if (i % 4 == 3)
			next(g);
		else
			look(g);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	must_be_valid(m);
	printf("%u changes\n", changes);
	return check_done();
}
