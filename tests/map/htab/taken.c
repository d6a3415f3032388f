/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lookup-and-delete and the batches deliver is whole: under BPF_F_LOCK beside
 * sections under the value's lock (G3), and after a writer has died half-way (G5).
 */
#include "map/htab.h"
#include "map/redo.h"
#include "util.h"

#define WORDS 16

struct value {
	uint32_t lock, pad;
	uint64_t w[WORDS];
};

static struct value got;
static uint32_t got_key;

static int pop(struct map *m, uint64_t flags)
{
	return m->ops->pop(m, &got_key, &got, flags);
}

static int take_batch(struct map *m, uint64_t flags)
{
	uint32_t token;
	struct map_batch b = {.out_batch = &token,
			      .keys = &got_key,
			      .values = &got,
			      .count = 1,
			      .elem_flags = flags};
	int err = m->ops->lookup_and_delete_batch(m, &b);

	return b.count == 1 && (!err || err == -ENOENT) ? 0 : err ? err : -ENOENT;
}

static int read_batch(struct map *m, uint64_t flags)
{
	uint32_t token;
	struct map_batch b = {.out_batch = &token,
			      .keys = &got_key,
			      .values = &got,
			      .count = 1,
			      .elem_flags = flags};
	int err = m->ops->lookup_batch(m, &b);

	return b.count == 1 && (!err || err == -ENOENT) ? 0 : err ? err : -ENOENT;
}

static void check_whole(void)
{
	for (int i = 1; i < WORDS; i++)
		if (got.w[i] != got.w[0])
			CHECK_EQ(got.w[i], got.w[0]);
}

/* A program changes the value in sections, slowly, for as long as it is there. */
static void sections(struct map *m, uint32_t *stop)
{
	uint32_t key = 1;

	while (!load_acquire(stop)) {
		struct value *v;

		while (lease_acquire() < 0)
			;
		v = m->ops->lookup(m, &key);
		if (v && !lock_acquire(&v->lock)) {
			for (int i = 0; i < WORDS; i++) {
				store_relaxed(&v->w[i], v->w[i] + 1);
				if (i == WORDS / 2)
					sched_yield();
			}
			lock_release(&v->lock);
		}
		lease_release();
	}
	exit(0);
}

static void beside_sections(struct map *m, int (*take)(struct map *, uint64_t))
{
	uint32_t key = got_key = 1, *stop = shared_page(4096);
	struct value zero = {.lock = 0};
	pid_t pid = fork();

	if (!pid)
		sections(m, stop);
	for (int round = 0; round < 3000 && !check_failures; round++) {
		CHECK_EQ(m->ops->write(m, &key, &zero, 0), 0);
		sched_yield();
		CHECK_EQ(take(m, BPF_F_LOCK), 0);
		check_whole();
	}
	store_release(stop, 1);
	reap(&pid, 1);
	must_be_valid(m);
}

/* As a BPF_F_LOCK writer leaves it that dies while it copies into place. */
static void after_death(struct map *m, int (*take)(struct map *, uint64_t))
{
	struct value v = {.lock = 0}, *place;
	struct redo_record *r = (void *)(m->obj.base + m->htab.claim_off);
	struct htab_hit hit;
	uint32_t key = got_key = 1;

	CHECK_EQ(m->ops->write(m, &key, &v, 0), 0);
	REQUIRE(htab_search(m, &key, htab_hash(m, &key), &hit) == 1);
	for (int i = 0; i < WORDS; i++)
		((struct value *)r->staged)->w[i] = 5;
	r->tag = (hit.index | (uint64_t)(hit.gen & 0x3fffffff) << 32) + 1;
	place = (void *)htab_value(m, hit.index, 0);
	place->w[0] = place->w[1] = 5;
	place->lock = FUTEX_OWNER_DIED;
	CHECK_EQ(take(m, 0), 0);
	CHECK_EQ(got.w[0], 5);
	check_whole();
	m->ops->erase(m, &key);
	must_be_valid(m);
}

/* As a program's update leaves it that dies while it copies its CPU's value. */
static void after_place(void)
{
	struct map *m = make_map(BPF_MAP_TYPE_PERCPU_HASH, 4, sizeof(struct value), 8, 0, -1);
	uint8_t *all = calloc(1, m->user_value_size);
	struct htab_hit hit;
	struct stripe *st;
	struct value *v;
	uint32_t key = 1, token;
	struct map_batch b = {.out_batch = &token, .keys = &got_key, .values = all, .count = 1};

	CHECK_EQ(m->ops->write(m, &key, all, 0), 0);
	REQUIRE(htab_search(m, &key, htab_hash(m, &key), &hit) == 1);
	REQUIRE(m->htab.stripes == 1);
	st = htab_stripe(m, 0);
	v = htab_staged(m, 0);
	for (int i = 0; i < WORDS; i++)
		v->w[i] = 5;
	((struct value *)htab_value(m, hit.index, 0))->w[0] = 5;
	st->intent.elem1 = hit.index + 1;
	st->intent.where = 0;
	st->intent.op = INTENT_PLACE;
	st->lock = FUTEX_OWNER_DIED;
	CHECK_EQ(m->ops->lookup_batch(m, &b), -ENOENT);
	CHECK_EQ(b.count, 1);
	memcpy(&got, all, sizeof(got));
	CHECK_EQ(got.w[0], 5);
	check_whole();
	m->ops->erase(m, &key);
	must_be_valid(m);
	free(all);
}

int main(void)
{
	struct map *m;

	check_private_rundir();
	m = make_map(BPF_MAP_TYPE_HASH, 4, sizeof(struct value), 8, 0, 0);
	after_death(m, pop);
	after_death(m, take_batch);
	after_death(m, read_batch);
	after_place();
	beside_sections(m, pop);
	beside_sections(m, take_batch);
	return check_done();
}
