/* SPDX-License-Identifier: BSD-2-Clause */
/* What is measured. The keys were drawn before; each worker has its own sequence. */
#include "bench.h"

#include <string.h>

static inline const uint8_t *drawn(const struct subject *s, long i)
{
	return s->keys + ((size_t)i & (SEQUENCE - 1)) * s->type->key_size;
}

static long lookup(const struct subject *s, long n)
{
	for (long i = 0; i < n; i++) {
		long err = side_lookup(s->side, s->fd, drawn(s, i), s->values);

		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_lookup = {"lookup", lookup, true};

static long lookup_miss(const struct subject *s, long n)
{
	uint8_t key[64];

	memset(key, 0xff, sizeof(key));
	for (long i = 0; i < n; i++) {
		memcpy(key, drawn(s, i), s->type->key_size);
		key[3] |= 0x80; /* no index is that large */
		if (side_lookup(s->side, s->fd, key, s->values) != -ENOENT)
			return -EEXIST;
	}
	return n;
}
const struct bench_op op_lookup_miss = {"lookup miss", lookup_miss, false};

/* What only programs of cgroups could put in. */
static long update_miss(const struct subject *s, long n)
{
	for (long i = 0; i < n; i++)
		if (side_update(s->side, s->fd, drawn(s, i), s->values, BPF_EXIST) != -ENOENT)
			return -EEXIST;
	return n;
}
const struct bench_op op_update_miss = {"update, of none", update_miss, false};

static long update(const struct subject *s, long n)
{
	for (long i = 0; i < n; i++) {
		long err = side_update(s->side, s->fd, drawn(s, i), s->values, BPF_ANY);

		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_update = {"update existing", update, true};

/* The i'th of the keys that this worker may insert. */
static void own_key(const struct subject *s, long i, void *key)
{
	uint32_t room = (s->max - s->present) / s->workers;
	uint32_t at = (uint32_t)((uint64_t)((uint32_t)i * 2654435761u) * room >> 32);

	bench_key(s->type, s->present + s->worker * room + at, key);
}

/* Per operation: one insert and one delete are two. */
static long insert_delete(const struct subject *s, long n)
{
	uint8_t key[64];

	for (long i = 0; i < n; i += 2) {
		long err;

		own_key(s, i, key);
		err = side_update(s->side, s->fd, key, s->values, BPF_NOEXIST);
		if (!err)
			err = side_delete(s->side, s->fd, key);
		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_insert_delete = {"insert + delete", insert_delete, false};

static long insert_take(const struct subject *s, long n)
{
	uint8_t key[64];

	for (long i = 0; i < n; i += 2) {
		long err;

		own_key(s, i, key);
		err = side_update(s->side, s->fd, key, s->values, BPF_NOEXIST);
		if (!err)
			err = side_take(s->side, s->fd, key, s->values);
		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_insert_take = {"insert + lookup_and_delete", insert_take, false};

/* New keys without end: each pushes an old one out. */
static long insert_evict(const struct subject *s, long n)
{
	static __thread uint32_t fresh;
	uint8_t key[64];

	for (long i = 0; i < n; i++) {
		long err;

		bench_key(s->type, 0x40000000u | s->worker << 26 | (++fresh & 0x3ffffff), key);
		err = side_update(s->side, s->fd, key, s->values, BPF_ANY);
		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_insert_evict = {"insert new, evicting", insert_evict, false};

static long next_key(const struct subject *s, long n)
{
	uint8_t key[64], next[64];
	void *at = NULL;

	for (long i = 0; i < n; i++) {
		long err = side_next_key(s->side, s->fd, at, next);

		if (err && err != -ENOENT)
			return err;
		memcpy(key, next, s->type->key_size);
		at = err ? NULL : key;
	}
	return n;
}
const struct bench_op op_next_key = {"get_next_key", next_key, false};

static long lookup_batch(const struct subject *s, long n)
{
	static __thread uint8_t keys[BATCH * 64];
	uint8_t in[64], out[64];
	void *from = NULL;
	long done = 0;

	while (done < n) {
		uint32_t count = BATCH;
		long err = side_batch(s->side, BPF_MAP_LOOKUP_BATCH, s->fd, from, out, keys,
				      s->values, &count);

		if (err && err != -ENOENT)
			return err;
		memcpy(in, out, sizeof(in));
		from = err ? NULL : in;
		done += count;
	}
	return done;
}
const struct bench_op op_lookup_batch = {"lookup_batch 256 (per element)", lookup_batch, false};

static long update_batch(const struct subject *s, long n)
{
	long done = 0;

	while (done < n) {
		uint32_t count = BATCH;
		long err = side_batch(s->side, BPF_MAP_UPDATE_BATCH, s->fd, NULL, NULL,
				      (void *)(uintptr_t)drawn(s, done & ~(long)(BATCH - 1)),
				      s->values, &count);

		if (err)
			return err;
		done += count;
	}
	return done;
}
const struct bench_op op_update_batch = {"update_batch 256 (per element)", update_batch, false};

/* --- maps without keys --- */

static long push_pop(const struct subject *s, long n)
{
	for (long i = 0; i < n; i += 2) {
		long err = side_update(s->side, s->fd, NULL, s->values, BPF_ANY);

		if (!err)
			err = side_take(s->side, s->fd, NULL, s->values);
		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_push_pop = {"push + pop", push_pop, false};

static long peek(const struct subject *s, long n)
{
	for (long i = 0; i < n; i++) {
		long err = side_lookup(s->side, s->fd, NULL, s->values);

		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_peek = {"peek", peek, false};

static long push(const struct subject *s, long n)
{
	uint64_t value = (uint64_t)s->worker << 32;

	for (long i = 0; i < n; i++) {
		long err;

		value = (value & ~0xffffffffULL) | (uint32_t)(i * 2654435761u) % s->max;
		err = side_update(s->side, s->fd, NULL, &value, BPF_ANY);
		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_push = {"push", push, false};

static long member(const struct subject *s, long n)
{
	for (long i = 0; i < n; i++) {
		uint64_t value = (uint32_t)(i * 2654435761u) % s->max;
		long err = side_lookup(s->side, s->fd, NULL, &value);

		if (err && err != -ENOENT)
			return err;
	}
	return n;
}
const struct bench_op op_member = {"peek (is it in the set)", member, false};

/* --- maps of maps --- */

static long swap(const struct subject *s, long n)
{
	for (long i = 0; i < n; i++) {
		long err = side_update(s->side, s->fd, drawn(s, i), &s->inner[i & 1], BPF_ANY);

		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_swap = {"update (swap of the inner map)", swap, false, true};

const struct bench_op op_set_event = {"update (another perf event)", swap, false, false};

/* --- prefixes --- */

/* Of an address below a prefix that is there. */
static long longest(const struct subject *s, long n)
{
	uint32_t key[2];

	for (long i = 0; i < n; i++) {
		long err;

		memcpy(key, drawn(s, i), sizeof(key));
		key[1] |= ((uint32_t)i * 2654435761u & 0xff) << 24;
		key[0] = 32;
		err = side_lookup(s->side, s->fd, key, s->values);
		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_longest = {"lookup of an address", longest, true};

/* --- arenas --- */

/* Each worker has its own map of the size of the arena in its own place: a process maps an
 * arena once, threads of one would be in each other's way. */
static uint64_t arena_place(const struct subject *s)
{
	return 0x10000000000ull + ((uint64_t)s->side << 36);
}

static long map_arena(const struct subject *s, long n)
{
	for (long i = 0; i < n; i++) {
		long err = side_map(s->side, s->fd, arena_place(s), (size_t)s->max * 4096);

		if (!err)
			err = side_unmap(s->side, arena_place(s), (size_t)s->max * 4096);
		if (err)
			return err;
	}
	return n;
}
const struct bench_op op_map_arena = {"mmap + munmap", map_arena, false, .alone = true};

/* The first access to a page that is there: once for each mapping of a process. */
static long arena_page(const struct subject *s, long n)
{
	long done = 0;

	while (done < n) {
		uint64_t at = arena_place(s);
		long err = side_map(s->side, s->fd, at, (size_t)s->max * 4096);

		if (err)
			return err;
		for (uint32_t i = 0; i < s->max; i++, done++)
			__atomic_fetch_add((uint64_t *)(at + i * 4096ull), 1, __ATOMIC_RELAXED);
		err = side_unmap(s->side, at, (size_t)s->max * 4096);
		if (err)
			return err;
	}
	return done;
}
const struct bench_op op_arena_page = {"first access to a page (each)", arena_page, false,
				       .alone = true};
