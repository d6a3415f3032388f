/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Batches of any size go through a whole table: every key once, ENOENT with
 * the last ones, never ENOSPC; lookup-and-delete leaves nothing.
 */
#include "util.h"

#define MAX 3000

static void walk(uint32_t type, uint32_t room, bool delete)
{
	static uint64_t values[MAX * 64];
	static uint32_t keys[MAX];
	struct map *m = make_map(type, 4, 8, MAX, 0, -1);
	uint8_t *seen = calloc(MAX, 1);
	struct map_batch b = {.keys = keys, .values = values};
	uint32_t token = 0, total = 0, per = m->user_value_size / 8;
	int err;

	for (uint32_t key = 0; key < MAX; key++) {
		for (uint32_t c = 0; c < per; c++)
			values[c] = key + 1;
		CHECK_EQ(m->ops->write(m, &key, values, 0), 0);
	}
	b.out_batch = &token;
	do {
		b.count = room;
		err = delete ? m->ops->lookup_and_delete_batch(m, &b) : m->ops->lookup_batch(m, &b);
		CHECK(err == 0 || err == -ENOENT);
		CHECK(b.count <= room);
		/* full, but for keys that are alike in the token and come together */
		CHECK(err || (b.count && b.count + 4 > room));
		for (uint32_t i = 0; i < b.count; i++) {
			REQUIRE(keys[i] < MAX);
			CHECK(!seen[keys[i]]++);
			for (uint32_t c = 0; c < per; c++)
				CHECK_EQ(values[i * per + c], keys[i] + 1);
		}
		total += b.count;
		b.in_batch = &token;
	} while (!err);
	CHECK_EQ(total, MAX);
	CHECK_EQ(m->ops->next_key(m, NULL, keys), delete ? -ENOENT : 0);
	must_be_valid(m);
	map_put(m);
	free(seen);
}

int main(void)
{
	static const uint32_t rooms[] = {1, 2, 3, 7, 16, 100, 999, MAX};

	check_private_rundir();
	for (unsigned int i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		walk(BPF_MAP_TYPE_HASH, rooms[i], false);
		walk(BPF_MAP_TYPE_HASH, rooms[i], true);
		walk(BPF_MAP_TYPE_PERCPU_HASH, rooms[i], i & 1);
	}
	return check_done();
}
