/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the map bench share: the two sides, the types that are
 * measured (types.c) and what is done with them (ops.c).
 */
#ifndef SHMAP_BENCH_H
#define SHMAP_BENCH_H

#include <errno.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Newer than Debian's linux/bpf.h. */
#define BENCH_MAP_TYPE_CGRP_STORAGE 32
#define BENCH_MAP_TYPE_ARENA 33

enum side { SHMAP, KERNEL, SIDES };

#define WORKERS_MAX 8
#define BATCH 256
#define SEQUENCE (1U << 18) /* keys drawn before the clock runs */
#define VALUES_SIZE (BATCH * 1024)

/* --- side.c: one bpf(2) operation, on either side; 0 or more, or -errno --- */
long side_create(enum side side, uint32_t type, uint32_t key, uint32_t value, uint32_t max,
		 uint32_t flags, int inner_fd);
/* A perf event that programs write to. */
int side_event(enum side side);
long side_lookup(enum side side, int fd, const void *key, void *value);
long side_update(enum side side, int fd, const void *key, const void *value, uint64_t flags);
long side_delete(enum side side, int fd, const void *key);
long side_take(enum side side, int fd, const void *key, void *value);
long side_next_key(enum side side, int fd, const void *key, void *next);
/* mmap(2) of an arena at an address, and munmap(2): 0 or -errno. */
long side_map(enum side side, int fd, uint64_t at, size_t size);
long side_unmap(enum side side, uint64_t at, size_t size);
long side_batch(enum side side, int cmd, int fd, void *in, void *out, void *keys, void *values,
		uint32_t *count);

struct bench_type;

/* A map of one side, and one worker's view of it. */
struct subject {
	const struct bench_type *type;
	enum side side;
	int fd;
	int inner[2];	       /* maps that go into its slots */
	uint32_t max, present; /* keys 0..present-1 are in it */
	unsigned int worker, workers;
	const uint8_t *keys; /* SEQUENCE keys out of those present, type->key_size each */
	uint8_t *values;     /* VALUES_SIZE bytes */
};

/* Does about n operations; how many it did, or -errno. */
typedef long (*bench_fn)(const struct subject *s, long n);

struct bench_op {
	const char *name;
	bench_fn fn;
	bool by_key; /* which keys are drawn matters: measured with Zipf's law, too */
	bool waits;  /* waiting is part of it: not measured in CPU time */
	bool alone;  /* not by two threads: their process has one of what it works on */
};

/* ops.c */
extern const struct bench_op op_lookup, op_lookup_miss, op_update, op_insert_delete, op_insert_take,
	op_insert_evict, op_next_key, op_lookup_batch, op_update_batch, op_push_pop, op_peek,
	op_push, op_member, op_swap, op_longest, op_set_event, op_update_miss, op_map_arena,
	op_arena_page;

struct bench_type {
	const char *name;
	uint32_t type, flags, key_size, value_size;
	bool empty;	/* nothing can be put in by bpf(2) */
	bool full;	/* all max_entries are filled; else half, with room for inserts */
	uint32_t limit; /* of entries, or 0 */
	/* The index'th key; NULL: its number, then zeros. */
	void (*key)(uint32_t index, void *key);
	/* Before the first key: what keys stand for, of so many; 0 or -errno. NULL: nothing. */
	int (*prepare)(uint32_t max);
	uint32_t inner; /* map type of what stands in the slots, or 0 */
	bool events;	/* perf events do */
	const struct bench_op *ops[10];
};

/* types.c */
extern const struct bench_type bench_types[];
extern const unsigned int bench_type_count;

static inline void bench_key(const struct bench_type *t, uint32_t index, void *key)
{
	uint8_t *k = (uint8_t *)key;

	if (t->key) {
		t->key(index, key);
		return;
	}
	for (uint32_t i = 0; i < t->key_size; i++)
		k[i] = i < 4 ? index >> (8 * i) : 0;
}

#endif
