/* SPDX-License-Identifier: BSD-2-Clause */
/* Concurrency Kit's ck_ht: one writer, readers without locks. */
#include "tables.h"

#include <ck_ht.h>
#include <stdlib.h>

static void *ht_malloc(size_t size)
{
	return malloc(size);
}

static void ht_free(void *p, size_t size, bool later)
{
	(void)size;
	(void)later; /* nobody else runs while the table grows */
	free(p);
}

static struct ck_malloc allocator = {.malloc = ht_malloc, .free = ht_free};

static void *make(uint32_t entries)
{
	ck_ht_t *ht = (ck_ht_t *)malloc(sizeof(*ht));

	/* room for the entries at its own load factor */
	if (!ht || !ck_ht_init(ht, CK_HT_MODE_DIRECT | CK_HT_WORKLOAD_DELETE, NULL, &allocator,
			       (uint64_t)entries * 2, 6602834))
		return NULL;
	return ht;
}

static void drop(void *t)
{
	ck_ht_destroy((ck_ht_t *)t);
	free(t);
}

static void nothing(void)
{
}

static int64_t lookup(void *t, const uint32_t *keys, long n)
{
	ck_ht_t *ht = (ck_ht_t *)t;
	ck_ht_entry_t entry;
	ck_ht_hash_t h;
	int64_t sum = 0;

	for (long i = 0; i < n; i++) {
		uintptr_t key = keys[i] + 1ul; /* 0 and ~0 are its own */

		ck_ht_hash_direct(&h, ht, key);
		ck_ht_entry_key_set_direct(&entry, key);
		if (!ck_ht_get_spmc(ht, h, &entry))
			return -1;
		sum += (int64_t)ck_ht_entry_value_direct(&entry);
	}
	return sum;
}

static int update(void *t, const uint32_t *keys, long n)
{
	ck_ht_t *ht = (ck_ht_t *)t;
	ck_ht_entry_t entry;
	ck_ht_hash_t h;

	for (long i = 0; i < n; i++) {
		uintptr_t key = keys[i] + 1ul;

		ck_ht_hash_direct(&h, ht, key);
		ck_ht_entry_set_direct(&entry, h, key, (uintptr_t)(i + 1));
		if (!ck_ht_set_spmc(ht, h, &entry))
			return -1;
	}
	return 0;
}

const struct table table_ck = {"ck_ht", false, make, drop, nothing, nothing, lookup, update};
