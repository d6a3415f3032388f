/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lazy: an empty queue, stack or bloom filter costs next to nothing, whatever its size; what
 * is used is no more than the kernel's memlock figure; a queue that is never full stays in
 * its first pages; and values of up to 4 MiB come out as they went in.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "../../check.h"
#include "base/errors.h"
#include "map/map.h"

static struct map *make(uint32_t type, uint32_t value_size, uint32_t max, int *fd)
{
	struct map_attr attr = {.map_type = type,
				.value_size = value_size,
				.max_entries = max,
				.name = "lazy",
				.spin_lock_off = -1};
	struct map *m;

	REQUIRE(!map_create(&attr, -1, &m, fd));
	return m;
}

static uint64_t used(int fd)
{
	struct stat st;

	REQUIRE(!fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

static void done(struct map *m, int fd)
{
	char why[256] = "";

	if (m->ops->validate(m, why, sizeof(why)))
		CHECK(!fprintf(stderr, "%s\n", why));
	map_put(m);
	close(fd);
}

static void sequence(uint32_t type)
{
	const uint32_t max = 200000;
	uint64_t value[3] = {0}, empty;
	struct map *m;
	int fd;

	m = make(type, 10, 1u << 24, &fd);
	empty = used(fd);
	CHECK(empty <= 4 * 4096);
	for (uint32_t i = 0; i < 100000; i++) {
		CHECK_EQ(m->ops->write(m, NULL, value, 0), 0);
		CHECK_EQ(m->ops->pop(m, NULL, value, 0), 0);
	}
	CHECK_EQ(used(fd), empty);
	done(m, fd);

	m = make(type, 10, max, &fd);
	for (uint32_t i = 0; i < max; i++) {
		value[0] = i;
		CHECK_EQ(m->ops->write(m, NULL, value, 0), 0);
	}
	CHECK_EQ(m->ops->write(m, NULL, value, 0), -E2BIG);
	/* whole pages, and the trailer */
	CHECK(used(fd) <= m->ops->memlock(m) + 3 * 4096);
	for (uint32_t i = 0; i < max; i++) {
		CHECK_EQ(m->ops->pop(m, NULL, value, 0), 0);
		CHECK_EQ(value[0], type == BPF_MAP_TYPE_QUEUE ? i : max - 1 - i);
	}
	CHECK_EQ(m->ops->pop(m, NULL, value, 0), -ENOENT);
	done(m, fd);
}

static void large(uint32_t type)
{
	const uint32_t size = 4u << 20;
	uint8_t *value = malloc(size), *back = malloc(size);
	struct map *m;
	int fd;

	REQUIRE(value && back);
	m = make(type, size, 2, &fd);
	CHECK(used(fd) <= 4 * 4096);
	for (int i = 0; i < 2; i++) {
		memset(value, i + 1, size);
		value[size - 1] = 0x77;
		CHECK_EQ(m->ops->write(m, NULL, value, 0), 0);
	}
	for (int i = 0; i < 2; i++) {
		memset(value, type == BPF_MAP_TYPE_QUEUE ? i + 1 : 2 - i, size);
		value[size - 1] = 0x77;
		CHECK_EQ(m->ops->read(m, NULL, back, 0), 0);
		CHECK(!memcmp(value, back, size));
		memset(back, 0, size);
		CHECK_EQ(m->ops->pop(m, NULL, back, 0), 0);
		CHECK(!memcmp(value, back, size));
	}
	done(m, fd);
	free(value);
	free(back);
}

static void filter(void)
{
	uint8_t *value = calloc(1, 4u << 20);
	struct map *m;
	int fd;

	REQUIRE(value);
	m = make(BPF_MAP_TYPE_BLOOM_FILTER, 8, 1u << 30, &fd);
	CHECK(used(fd) <= 4 * 4096);
	/* a question for what was never pushed touches nothing */
	for (uint64_t i = 0; i < 1000; i++)
		CHECK_EQ(m->ops->read(m, NULL, &i, 0), -ENOENT);
	CHECK(used(fd) <= 4 * 4096);
	for (uint64_t i = 0; i < 20; i++)
		CHECK_EQ(m->ops->write(m, NULL, &i, 0), 0);
	for (uint64_t i = 0; i < 20; i++)
		CHECK_EQ(m->ops->read(m, NULL, &i, 0), 0);
	CHECK(used(fd) <= 20 * 5 * 17 * 4096 + 4 * 4096);
	done(m, fd);

	m = make(BPF_MAP_TYPE_BLOOM_FILTER, 4u << 20, 10, &fd);
	CHECK_EQ(m->ops->write(m, NULL, value, 0), 0);
	CHECK_EQ(m->ops->read(m, NULL, value, 0), 0);
	value[(4u << 20) - 1] = 1;
	CHECK_EQ(m->ops->read(m, NULL, value, 0), -ENOENT);
	done(m, fd);
	free(value);
}

int main(void)
{
	check_private_rundir();
	sequence(BPF_MAP_TYPE_QUEUE);
	sequence(BPF_MAP_TYPE_STACK);
	large(BPF_MAP_TYPE_QUEUE);
	large(BPF_MAP_TYPE_STACK);
	filter();
	return check_done();
}
