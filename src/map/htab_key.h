/* SPDX-License-Identifier: BSD-2-Clause */
/* Keys of hash tables: those of 4, 8, 16 and 24 bytes (storage owners) without a loop. */
#ifndef SHMAP_MAP_HTAB_KEY_H
#define SHMAP_MAP_HTAB_KEY_H

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/uaccess.h"
#include "map/htab.h"

/* Reads that race with writers on purpose: what they saw is checked by the
 * element's generation before it is believed. */
#define RACY __attribute__((no_sanitize("thread")))

static inline __attribute__((always_inline)) uint64_t
htab_key_hash_of(const struct map *m, const void *key, uint32_t key_size)
{
	switch (key_size) {
	case 4:
		return XXH3_64bits_withSeed(key, 4, m->htab.seed);
	case 8:
		return XXH3_64bits_withSeed(key, 8, m->htab.seed);
	case 16:
		return XXH3_64bits_withSeed(key, 16, m->htab.seed);
	case 24:
		return XXH3_64bits_withSeed(key, 24, m->htab.seed);
	default:
		return htab_hash(m, key);
	}
}

static inline __attribute__((always_inline)) uint64_t htab_key_hash(const struct map *m,
								    const void *key)
{
	return htab_key_hash_of(m, key, m->attr.key_size);
}

/* 1..4095, so that no tag matches an empty slot. */
static inline uint64_t htab_key_tag(uint64_t hash)
{
	uint64_t tag = hash & LINK_TAG_MASK;

	return tag ? tag : 1ULL << LINK_TAG_SHIFT;
}

#define HTAB_KEY_WORDS 3
/* A key of such a size from user memory; false: it cannot be read. */
static inline __attribute__((always_inline)) bool htab_key_get(uint64_t *key, const void *user,
							       uint32_t key_size)
{
	uint32_t v;

	if (key_size == 4) {
		if (unlikely(!uaccess_get4(&v, user)))
			return false;
		memcpy(key, &v, 4);
		return true;
	}
	return uaccess_get8(&key[0], user) &&
	       (key_size == 8 || uaccess_get8(&key[1], uaccess_at(user, 8))) &&
	       (key_size <= 16 || uaccess_get8(&key[2], uaccess_at(user, 16)));
}

static inline uint64_t key_word(const void *key, size_t off)
{
	uint64_t v;

	memcpy(&v, (const uint8_t *)key + off, 8);
	return v;
}

/* a: an element's, aligned. */
static inline __attribute__((always_inline)) bool
htab_key_same_of(const struct map *m, const void *a, const void *b, uint32_t key_size)
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
	case 24:
		return !((load_relaxed((const uint64_t *)a) ^ key_word(b, 0)) |
			 (load_relaxed((const uint64_t *)a + 1) ^ key_word(b, 8)) |
			 (load_relaxed((const uint64_t *)a + 2) ^ key_word(b, 16)));
	default:
		return htab_key_equal(m, a, b);
	}
}

static inline bool htab_key_same(const struct map *m, const void *a, const void *b)
{
	return htab_key_same_of(m, a, b, m->attr.key_size);
}

static inline uint32_t htab_key_bucket(const struct map *m, uint64_t hash)
{
	return (uint32_t)hash & (m->htab.buckets - 1);
}

#endif
