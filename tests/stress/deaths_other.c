/* SPDX-License-Identifier: BSD-2-Clause */
/* Deaths: STACK_TRACE and ARENA. */
#include <string.h>
#include <sys/mman.h>

#include "../check.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "deaths.h"
#include "map/stack_trace.h"
#include "sync/lease.h"

#define DEPTH 4u
#define STACKS 24u /* the first FULL of them have buckets of their own */
#define FULL 8u
#define ARENA_PAGES 4u

/* ---- STACK_TRACE ---- */

static uint64_t stacks[STACKS][DEPTH];
static uint32_t ids[STACKS];

static void stack_frames(uint64_t number, uint64_t *out)
{
	for (uint32_t i = 0; i < DEPTH; i++)
		out[i] = (number * DEPTH + i) * 0x9e3779b97f4a7c15ull | 1;
}

static long put(const uint64_t *frames, uint64_t flags)
{
	return death_map->ops->stack->put(death_map, frames, frames, DEPTH, flags);
}

/* Stacks for every bucket, and more that share them. */
static void stack_make(const struct death_subject *s)
{
	struct map_attr attr = {.map_type = s->type,
				.key_size = 4,
				.value_size = DEPTH * 8,
				.max_entries = FULL,
				.spin_lock_off = -1};
	uint32_t first = 0, more = FULL;
	bool has[FULL] = {false};

	death_map_create(&attr);
	for (uint64_t n = 1; first < FULL || more < STACKS; n++) {
		uint64_t f[DEPTH];
		uint32_t at, id;
		long ret;

		stack_frames(n, f);
		ret = put(f, 0);
		REQUIRE(ret >= 0 && ret < (long)FULL);
		id = (uint32_t)ret;
		REQUIRE(!death_map->ops->erase(death_map, &id));
		at = !has[id] ? first++ : more < STACKS ? more++ : STACKS;
		has[id] = true;
		if (at < STACKS) {
			memcpy(stacks[at], f, sizeof(f));
			ids[at] = id;
		}
	}
}

/* Which stack; complains of anything else. */
static void look_at(uint32_t id, const uint64_t *frames)
{
	for (uint32_t i = 0; i < STACKS; i++)
		if (!memcmp(frames, stacks[i], sizeof(stacks[i]))) {
			if (ids[i] != id)
				death_violation("bucket %u has a stack of bucket %u", id, ids[i]);
			return;
		}
	death_violation("bucket %u has a mixture of stacks", id);
}

static void stack_work(const struct death_subject *s)
{
	static const uint64_t flags[] = {0, 0, BPF_F_REUSE_STACKID, BPF_F_FAST_STACK_CMP,
					 BPF_F_REUSE_STACKID | BPF_F_FAST_STACK_CMP};
	const struct map_ops *ops = death_map->ops;
	uint32_t i = death_rnd(STACKS), id = ids[i];
	uint64_t frames[DEPTH];
	long ret;

	switch (death_rnd(8)) {
	case 0 ... 3:
		if (!death_program())
			return;
		ret = put(stacks[i], flags[death_rnd(ARRAY_SIZE(flags))]);
		lease_release();
		if (ret != (long)id && ret != -EEXIST && ret != -ENOMEM)
			death_violation("stack %u: %ld", i, ret);
		break;
	case 4 ... 5:
		ret = ops->read(death_map, &id, frames, 0);
		if (!ret)
			look_at(id, frames);
		else if (ret != -ENOENT)
			death_violation("lookup of %u: %ld", id, ret);
		break;
	case 6:
		ret = ops->pop(death_map, &id, frames, 0);
		if (!ret)
			look_at(id, frames);
		else if (ret != -ENOENT)
			death_violation("lookup and delete of %u: %ld", id, ret);
		break;
	default:
		ret = ops->erase(death_map, &id);
		if (ret && ret != -ENOENT)
			death_violation("deletion of %u: %ld", id, ret);
	}
}

static void stack_audit(const struct death_subject *s)
{
	uint64_t frames[DEPTH];

	for (uint32_t id = 0; id < FULL; id++) {
		if (!death_map->ops->read(death_map, &id, frames, 0))
			look_at(id, frames);
		death_map->ops->erase(death_map, &id);
	}
	for (uint32_t i = 0; i < FULL; i++)
		if (put(stacks[i], 0) != (long)ids[i])
			death_violation("only %u stacks fit", i);
	if (put(stacks[FULL], BPF_F_REUSE_STACKID) != -ENOMEM)
		death_violation("more elements than max_entries");
	for (uint32_t i = 0; i < FULL; i++)
		if (death_map->ops->read(death_map, &ids[i], frames, 0) ||
		    memcmp(frames, stacks[i], sizeof(frames)))
			death_violation("stack %u is not what was stored", i);
	for (uint32_t id = 0; id < FULL; id += 2)
		death_map->ops->erase(death_map, &id);
}

/* ---- ARENA ---- */

static void arena_make(const struct death_subject *s)
{
	struct map_attr attr = {.map_type = s->type,
				.max_entries = ARENA_PAGES,
				.map_flags = s->flags,
				.spin_lock_off = -1};

	death_map_create(&attr);
}

/* The first one decides where, and all others follow it. 0: its place is taken in this
 * process, or somebody else was first. */
static long arena_at(void)
{
	uint64_t *start = (uint64_t *)(death_map->obj.base + (1ull << 32)) + 1;
	uint64_t want = load_acquire(start);
	long at = death_map->ops->mmap_place(death_map, death_fd, (void *)want,
					     ARENA_PAGES * SHMAP_PAGE, PROT_READ | PROT_WRITE,
					     MAP_SHARED);

	if (at == -EBUSY || (at == -EINVAL && !want))
		return 0;
	if (at <= 0)
		death_violation("mapping: %ld", at);
	else if ((uint64_t)at != load_relaxed(start))
		death_violation("mapped at %#lx, not %#llx", at,
				(unsigned long long)load_relaxed(start));
	return at;
}

/* Each has a word of its own in each page, and counts in it. */
static void arena_work(const struct death_subject *s)
{
	uint64_t *count = (uint64_t *)death_area() + 8 + death_me;
	uint32_t page = death_rnd(ARENA_PAGES);
	long at = arena_at();
	uint64_t *word;

	if (at <= 0)
		return;
	for (page = 0; page < ARENA_PAGES; page++) {
		word = (uint64_t *)(at + page * SHMAP_PAGE) + death_me;
		if (load_relaxed(word) != *count && load_relaxed(word) != *count + 1)
			death_violation("%llu in page %u, not %llu",
					(unsigned long long)load_relaxed(word), page,
					(unsigned long long)*count);
		store_relaxed(word, *count + 1);
	}
	fence_compiler();
	++*count;
	munmap((void *)at, ARENA_PAGES * SHMAP_PAGE);
}

static void nothing(const struct death_subject *s, uint32_t w)
{
}

static void arena_audit(const struct death_subject *s)
{
	uint64_t *count = (uint64_t *)death_area() + 8;
	long at = arena_at();

	for (uint32_t w = 0; at > 0 && w < DEATH_WORKERS; w++) {
		uint64_t is = ((uint64_t *)at)[w];

		if (is != count[w] && is != count[w] + 1)
			death_violation("worker %u's count is %llu, not %llu", w,
					(unsigned long long)is, (unsigned long long)count[w]);
	}
	if (at > 0)
		munmap((void *)at, ARENA_PAGES * SHMAP_PAGE);
}

const struct death_kind death_stack = {
	.make = stack_make, .work = stack_work, .settle = nothing, .audit = stack_audit};
const struct death_kind death_arena = {
	.make = arena_make, .work = arena_work, .settle = nothing, .audit = arena_audit};
