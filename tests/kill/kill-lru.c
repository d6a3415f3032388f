/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An LRU map of two stripes, whose inserts take room from the other stripe, evict from their
 * own, or have to evict from the other; each killed after each of its instructions. The
 * survivor finds every value whole, and no capacity lost: max_entries new keys fit,
 * wherever they belong, without one giving way.
 */
#include "base/bits.h"
#include "maps.h"
#include "map/htab.h"
#include "sync/lease.h"

#define N 128U
#define KEYS (4 * N)

struct fixture {
	const char *name;
	uint32_t in_a, in_b; /* elements of the two stripes to begin with */
	uint32_t to;	     /* the stripe of the new key */
	bool program, erase;
	struct map *m;
	int fd;
	uint32_t key[2][KEYS]; /* by stripe */
};

static struct fixture fixtures[] = {
	{"lru-steal", 64, 10, 0},
	{"lru-steal-program", 64, 10, 0, .program = true},
	{"lru-steal-last", 64, 63, 0},
	{"lru-evict", 64, 64, 0},
	{"lru-evict-uneven", 100, 28, 1},
	{"lru-evict-elsewhere", 0, 128, 0},
	{"lru-evict-elsewhere-program", 0, 128, 0, .program = true},
	{"lru-delete-from-full", 64, 64, 1, .erase = true},
};

static void put(struct fixture *f, uint32_t stripe, uint32_t i, uint64_t flags)
{
	uint64_t value[3];

	value[0] = value[1] = value[2] = f->key[stripe][i] * 0x100000001ull;
	REQUIRE(!f->m->ops->write(f->m, &f->key[stripe][i], value, flags));
}

static void setup(void *arg)
{
	struct fixture *f = (struct fixture *)arg;
	struct map_attr attr = {
		.map_type = BPF_MAP_TYPE_LRU_HASH,
		.key_size = 4,
		.value_size = 24,
		.max_entries = N,
		.map_flags = BPF_F_ZERO_SEED,
		.spin_lock_off = -1,
	};
	uint32_t n[2] = {0}, candidate;

	kill_drop_map(&f->m, f->fd);
	REQUIRE(!map_create(&attr, -1, &f->m, &f->fd));
	REQUIRE(f->m->htab.stripes == 2);
	for (candidate = 0; n[0] < KEYS || n[1] < KEYS; candidate++) {
		uint32_t s = (uint32_t)htab_hash(f->m, &candidate) & 1;

		if (n[s] < KEYS)
			f->key[s][n[s]++] = candidate;
	}
	for (uint32_t i = 0; i < f->in_a; i++)
		put(f, 0, i, BPF_NOEXIST);
	for (uint32_t i = 0; i < f->in_b; i++)
		put(f, 1, i, BPF_NOEXIST);
	/* Everybody knows that the map is full. */
	if (f->erase)
		put(f, f->to, f->in_b, BPF_NOEXIST);
}

#define OLD_KEY 5
#define NEW_KEY (KEYS - 1)

static void run(void *arg)
{
	struct fixture *f = (struct fixture *)arg;
	uint32_t *key = &f->key[f->to][NEW_KEY];
	uint64_t value[3];
	long ret;

	value[0] = value[1] = value[2] = *key * 0x100000001ull;
	if (f->program && lease_acquire() < 0)
		_exit(1);
	if (f->erase)
		ret = f->m->ops->erase(f->m, &f->key[f->to][OLD_KEY]);
	else if (f->program)
		ret = f->m->ops->update(f->m, key, value, BPF_ANY);
	else
		ret = f->m->ops->write(f->m, key, value, BPF_ANY);
	if (f->program)
		lease_release();
	if (ret)
		_exit(1);
}

/* How many there are; UINT32_MAX when something is wrong. */
static uint32_t count(struct fixture *f, uint32_t upto)
{
	uint32_t n = 0;

	for (uint32_t s = 0; s < 2; s++) {
		for (uint32_t i = 0; i < upto; i++) {
			uint64_t value[3] = {0}, want = f->key[s][i] * 0x100000001ull;
			int ret = f->m->ops->read(f->m, &f->key[s][i], value, 0);

			if (ret == -ENOENT)
				continue;
			if (ret || value[0] != want || value[1] != want || value[2] != want) {
				kill_why("key %u of stripe %u: %d", i, s, ret);
				return UINT32_MAX;
			}
			n++;
		}
	}
	return n;
}

static bool peek(void *arg)
{
	uint32_t n = count((struct fixture *)arg, KEYS);

	if (n > N && n != UINT32_MAX)
		kill_why("%u elements", n);
	return n <= N;
}

static enum kill_outcome check(void *arg)
{
	struct fixture *f = (struct fixture *)arg;
	uint32_t before = f->in_a + f->in_b, n, split = kill_point() % 4 * 40;
	uint32_t key = f->key[f->to][f->erase ? OLD_KEY : NEW_KEY];
	uint64_t value[3];
	bool there, done;

	if (kill_point() % 3 == 0 && !kill_recovered(f->m, "after recover"))
		return KILL_INVALID;
	there = !f->m->ops->read(f->m, &key, value, 0);
	done = there != f->erase;
	n = count(f, KEYS);
	if (n > N || n + 1 < before || (done && !f->erase && before < N && n != before + 1)) {
		kill_why("%u elements, %u before", n, before);
		return KILL_INVALID;
	}
	/* The room that a deletion left is known to the other stripe. */
	if (f->erase && done && kill_point() % 3 == 0) {
		put(f, !f->to, NEW_KEY, BPF_NOEXIST);
		n = count(f, KEYS);
		if (n != before) {
			kill_why("%u elements, %u with the room of the deleted", n, before);
			return KILL_INVALID;
		}
	}
	/* All of them out, and max_entries others in: none gives way. */
	for (uint32_t s = 0; s < 2; s++)
		for (uint32_t i = 0; i < KEYS; i++)
			f->m->ops->erase(f->m, &f->key[s][i]);
	for (uint32_t i = 0; i < N; i++)
		put(f, i < split, 200 + i, BPF_NOEXIST);
	n = count(f, KEYS);
	if (n != N) {
		kill_why("%u elements of %u fit", n, N);
		return KILL_INVALID;
	}
	put(f, kill_point() & 1, 10, BPF_NOEXIST);
	n = count(f, KEYS);
	if (n != N) {
		kill_why("%u elements after one more than %u", n, N);
		return KILL_INVALID;
	}
	if (!kill_recovered(f->m, "in the end"))
		return KILL_INVALID;
	return done ? KILL_NEW : KILL_OLD;
}

int main(int argc, char **argv)
{
	static struct kill_case cases[ARRAY_SIZE(fixtures)];

	for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++)
		cases[i] = (struct kill_case){.name = fixtures[i].name,
					      .arg = &fixtures[i],
					      .setup = setup,
					      .op = run,
					      .peek = peek,
					      .check = check};
	kill_begin = kill_area_begin;
	return kill_main(argc, argv, cases, ARRAY_SIZE(cases));
}
