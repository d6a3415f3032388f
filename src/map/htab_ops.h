/* SPDX-License-Identifier: BSD-2-Clause */
/* The operations that HASH and PERCPU_HASH share; struct map_ops says what each is. */
#ifndef SHMAP_MAP_HTAB_OPS_H
#define SHMAP_MAP_HTAB_OPS_H

#include "map/map.h"

/* sizeof(struct bpf_htab) of Linux 6.18 on x86-64: part of the memlock figure. */
#define HTAB_KERNEL_STRUCT 896

int htab_alloc_check(const struct map_attr *attr);
int htab_check_sizes(const struct map_attr *attr, bool percpu);
int htab_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc);
int htab_format(struct map *m);
int htab_read(struct map *m, const void *key, void *value, uint64_t flags);
int htab_write(struct map *m, const void *key, const void *value, uint64_t flags);
int htab_erase(struct map *m, const void *key);
int htab_next_key(struct map *m, const void *key, void *next);
int htab_pop(struct map *m, const void *key, void *value, uint64_t flags);
void *htab_lookup(struct map *m, const void *key);
/* htab_lookup(), not per CPU, and where the link is that it went by. */
struct htab_at;
void *htab_lookup_at(struct map *m, const void *key, struct htab_at *at);
void htab_inlined(const struct map *m, struct map_inline *in);
long htab_update(struct map *m, const void *key, const void *value, uint64_t flags);
long htab_delete(struct map *m, const void *key);
void *htab_lookup_percpu(struct map *m, const void *key, uint32_t cpu);
long htab_for_each(struct map *m, long (*fn)(void *, struct map *, const void *, void *),
		   void *arg);
/*
 * HASH_OF_MAPS: values are words of 8 bytes, of which bpf(2) sees the first 4. before()
 * is told the word that is about to be replaced (0: none), under the stripe's lock.
 */
struct htab_swap {
	void (*before)(void *arg, uint64_t old);
	void *arg;
};
int htab_swap_in(struct map *m, const void *key, uint64_t word, uint64_t flags,
		 const struct htab_swap *swap);
int htab_swap_out(struct map *m, const void *key, const struct htab_swap *swap);
/* Does an element hold the word? Waits for changes that are under way. */
bool htab_shows(struct map *m, uint64_t word);
uint64_t htab_memlock(const struct map *m);
void htab_key_at(struct map *m, const void *value, void *key);
int htab_stats(struct map *m, struct map_stats *stats);
int htab_recover(struct map *m);

#endif
