/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A map that is large enough for huge pages holds what was stored, while it is being filled
 * and afterwards, for two mappings of it; and costs no more than its file.
 */
#include <sys/stat.h>

#include "shm/object.h"
#include "util.h"

#define ENTRIES 300000U

static void *reader(void *arg)
{
	struct map *m = arg;
	uint64_t value;

	for (uint32_t key = 0; key < ENTRIES; key++) {
		while (m->ops->read(m, &key, &value, 0))
			sched_yield(); /* not there yet */
		CHECK_EQ(value, (uint64_t)key * 3);
	}
	return NULL;
}

int main(void)
{
	struct map_attr attr = {.map_type = BPF_MAP_TYPE_HASH,
				.key_size = 4,
				.value_size = 8,
				.max_entries = ENTRIES,
				.spin_lock_off = -1};
	struct map *m, *again;
	pthread_t thread;
	struct stat st;
	int fd;

	check_private_rundir();
	REQUIRE(!map_create(&attr, -1, &m, &fd));
	REQUIRE(m->obj.size >= OBJECT_HUGE_MIN);
	REQUIRE(!map_open(fd, &again));
	CHECK_EQ((uintptr_t)m->obj.base % OBJECT_HUGE, 0);
	CHECK_EQ((uintptr_t)again->obj.base % OBJECT_HUGE, 0);
	pthread_create(&thread, NULL, reader, again);
	for (uint32_t key = 0; key < ENTRIES; key++) {
		uint64_t value = (uint64_t)key * 3;

		CHECK_EQ(m->ops->write(m, &key, &value, 0), 0);
	}
	pthread_join(thread, NULL);
	for (uint32_t key = 0; key < ENTRIES; key += 2)
		CHECK_EQ(m->ops->erase(again, &key), 0);
	for (uint32_t key = 0; key < ENTRIES; key++) {
		uint64_t value = 0;
		int ret = m->ops->read(m, &key, &value, 0);

		CHECK_EQ(ret, key & 1 ? 0 : -ENOENT);
		CHECK_EQ(value, key & 1 ? (uint64_t)key * 3 : 0);
	}
	must_be_valid(m);
	REQUIRE(!fstat(fd, &st));
	CHECK_EQ((uint64_t)st.st_blocks * 512 <= m->obj.size, 1);
	map_put(again);
	map_put(m);
	close(fd);
	return check_done();
}
