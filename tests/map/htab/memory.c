/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An empty map costs next to nothing, whatever its max_entries; a full one, each element
 * of which has been replaced many times, no more than the kernel's memlock figure.
 */
#include <sys/stat.h>

#include "shm/object.h"
#include "util.h"

static uint64_t bytes_used(int fd)
{
	struct stat st;

	REQUIRE(!fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

static void check(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t max,
		  uint32_t flags)
{
	struct map_attr attr = {.map_type = type,
				.key_size = key_size,
				.value_size = value_size,
				.max_entries = max,
				.map_flags = flags,
				.spin_lock_off = -1};
	uint8_t *key = calloc(1, key_size), *value;
	struct map_stats stats;
	struct map *m;
	uint64_t used;
	int fd;

	REQUIRE(!map_create(&attr, -1, &m, &fd));
	used = bytes_used(fd);
	if (used > 64 << 10) {
		fprintf(stderr, "type %u of %u, empty: %llu bytes\n", type, max,
			(unsigned long long)used);
		check_failures++;
	}
	value = calloc(1, m->user_value_size);
	for (int round = 0; round < 4; round++) {
		for (uint32_t i = 0; i < max; i++) {
			memcpy(key, &i, 4);
			CHECK_EQ(m->ops->write(m, key, value, 0), 0);
		}
	}
	CHECK_EQ(m->ops->stats(m, &stats), 0);
	CHECK_EQ(stats.entries, max);
	CHECK_EQ(stats.failed, 0);
	memcpy(key, &max, 4);
	CHECK_EQ(m->ops->write(m, key, value, 0), m->ops->evicts ? 0 : -E2BIG);
	CHECK_EQ(m->ops->stats(m, &stats), 0);
	CHECK_EQ(stats.failed, !m->ops->evicts);
	used = bytes_used(fd);
	if (used > m->ops->memlock(m)) {
		fprintf(stderr, "type %u, key %u, value %u, %u entries: %llu bytes, kernel %llu\n",
			type, key_size, value_size, max, (unsigned long long)used,
			(unsigned long long)m->ops->memlock(m));
		check_failures++;
	}
	must_be_valid(m);
	map_put(m);
	close(fd);
	free(key);
	free(value);
}

int main(void)
{
	static const uint32_t sizes[] = {1000, 4096, 10000, 65536, 100000};

	check_private_rundir();
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		check(BPF_MAP_TYPE_LRU_HASH, 4, 8, sizes[i], 0);
		check(BPF_MAP_TYPE_LRU_HASH, 16, 64, sizes[i], 0);
		check(BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, sizes[i], 0);
		for (uint32_t flags = 0; flags <= BPF_F_NO_PREALLOC; flags++) {
			check(BPF_MAP_TYPE_HASH, 4, 8, sizes[i], flags);
			check(BPF_MAP_TYPE_HASH, 16, 64, sizes[i], flags);
			check(BPF_MAP_TYPE_PERCPU_HASH, 4, 8, sizes[i], flags);
		}
	}
	check(BPF_MAP_TYPE_HASH, 8, 4096, 1000, 0);
	check(BPF_MAP_TYPE_LRU_HASH, 8, 4096, 1000, 0);
	check(BPF_MAP_TYPE_LRU_PERCPU_HASH, 40, 1000, 1000, 0);
	check(BPF_MAP_TYPE_HASH, 8, 4096, 1000, BPF_F_NO_PREALLOC);
	check(BPF_MAP_TYPE_PERCPU_HASH, 40, 1000, 1000, 0);
	return check_done();
}
