/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys of hash tables: those of 4, 8 and 16 bytes without a call or a loop. */
#ifndef SHMAP_MAP_HTAB_KEY_H
#define SHMAP_MAP_HTAB_KEY_H

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "map/htab.h"

/* Reads that race with writers on purpose: what they saw is checked by the
 * element's generation before it is believed. */
#define RACY __attribute__((no_sanitize("thread")))

static inline __attribute__((always_inline)) uint64_t
htab_key_hash_sized(const struct map *m, const void *key, uint32_t key_size)
{
	switch (key_size) {
	case 4:
		return XXH3_64bits_withSeed(key, 4, m->htab.seed);
	case 8:
		return XXH3_64bits_withSeed(key, 8, m->htab.seed);
	case 16:
		return XXH3_64bits_withSeed(key, 16, m->htab.seed);
	default:
		return htab_hash(m, key);
	}
}

static inline __attribute__((always_inline)) uint64_t htab_key_hash(const struct map *m,
								    const void *key)
{
	return htab_key_hash_sized(m, key, m->attr.key_size);
}

/* 1..4095, so that no tag matches an empty slot. */
static inline uint64_t htab_key_tag(uint64_t hash)
{
	uint64_t tag = hash & LINK_TAG_MASK;

	return tag ? tag : 1ULL << LINK_TAG_SHIFT;
}

static inline uint64_t key_word(const void *key, size_t off)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)key + off, 8);
	return v;
}

/* a: an element's, aligned. */
static inline RACY bool htab_key_same_sized(const struct map *m, const void *a, const void *b,
					    uint32_t key_size)
{
	uint32_t v;

	switch (key_size) {
	case 4:
		memcpy(&v, b, 4);
		return load_relaxed((const uint32_t *)a) == v;
	case 8:
		return load_relaxed((const uint64_t *)a) == key_word(b, 0);
	case 16:
		return !((load_relaxed((const uint64_t *)a) ^ key_word(b, 0)) |
			 (load_relaxed((const uint64_t *)a + 1) ^ key_word(b, 8)));
	default:
		return htab_key_equal(m, a, b);
	}
}

static inline RACY bool htab_key_same(const struct map *m, const void *a, const void *b)
{
	return htab_key_same_sized(m, a, b, m->attr.key_size);
}

static inline uint32_t htab_key_bucket(const struct map *m, uint64_t hash)
{
	return (uint32_t)hash & (m->htab.buckets - 1);
}

#endif
