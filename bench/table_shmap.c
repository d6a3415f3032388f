/* SPDX-License-Identifier: BSD-2-Clause */
#include "tables.h"

#include <bpf/bpf.h>
#include <unistd.h>

static void *make(uint32_t entries)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "tables", 4, 8, entries, NULL);

	return fd < 0 ? NULL : (void *)(intptr_t)(fd + 1);
}

static void drop(void *t)
{
	close((int)(intptr_t)t - 1);
}

static void nothing(void)
{
}

static int64_t lookup(void *t, const uint32_t *keys, long n)
{
	int fd = (int)(intptr_t)t - 1;
	int64_t sum = 0, value;

	for (long i = 0; i < n; i++) {
		if (bpf_map_lookup_elem(fd, &keys[i], &value))
			return -1;
		sum += value;
	}
	return sum;
}

static int update(void *t, const uint32_t *keys, long n)
{
	int fd = (int)(intptr_t)t - 1;

	for (long i = 0; i < n; i++) {
		int64_t value = i + 1;

		if (bpf_map_update_elem(fd, &keys[i], &value, BPF_ANY))
			return -1;
	}
	return 0;
}

const struct table table_shmap = {"shmap HASH", true, make, drop, nothing, nothing, lookup, update};
