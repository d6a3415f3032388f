/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hash tables that HASH is compared with: each from uint32_t to uint64_t.
 * The loops stand in each table's file, so that its own inlining counts.
 */
#ifndef SHMAP_BENCH_TABLES_H
#define SHMAP_BENCH_TABLES_H

#include <stdbool.h>
#include <stdint.h>

struct table {
	const char *name;
	bool many_writers;
	void *(*make)(uint32_t entries); /* NULL: it cannot be had here */
	void (*drop)(void *t);
	void (*thread_begin)(void);
	void (*thread_end)(void);
	/* n keys from keys, all present: the sum of the values, or -1. */
	int64_t (*lookup)(void *t, const uint32_t *keys, long n);
	/* Sets n keys, new or present, to values that differ from before: 0 or -1. */
	int (*update)(void *t, const uint32_t *keys, long n);
};

extern const struct table table_shmap, table_rte, table_ck, table_lfht;

#endif
