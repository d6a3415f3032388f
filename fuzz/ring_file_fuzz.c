/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A ring buffer's file with any bytes in it: positions, headers, locks, the shared
 * part. Whatever they are, operations give errors or records that lie in the ring; no
 * crash, no hang, no access outside (G9), and a read-only opener changes nothing.
 *
 * Input: byte 0 chooses the map; byte 1 how many damages {where (4 bytes), what (4)}
 * follow; the rest are operations, between which bytes are damaged too, as they are
 * by a client with a mapping. As in map_file_fuzz.c a lock that a living process
 * seems to hold is given up at once.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file_fuzz.h"
#include "base/bits.h"
#include "base/errors.h"
#include "map/ring.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define DAMAGES 24

static const struct {
	uint32_t type, size, flags;
} kinds[] = {
	{BPF_MAP_TYPE_RINGBUF, 4096, 0},
	{BPF_MAP_TYPE_RINGBUF, 8192, SHMAP_F_RB_OVERWRITE},
	{BPF_MAP_TYPE_USER_RINGBUF, 4096, 0},
	{BPF_MAP_TYPE_RINGBUF, 131072, 0},
};

static struct {
	int fd, read_only_fd;
	uint8_t *bytes, *after;
	size_t size;
} files[ARRAY_SIZE(kinds)];

static void make_file(unsigned int kind)
{
	struct map_attr attr = {.map_type = kinds[kind].type,
				.max_entries = kinds[kind].size,
				.map_flags = kinds[kind].flags,
				.spin_lock_off = -1,
				.name = "fuzzed"};
	char path[64];
	struct stat st;
	struct map *m;

	REQUIRE(!map_create(&attr, -1, &m, &files[kind].fd));
	if (m->ops->ring->reserve) {
		REQUIRE(lease_acquire() >= 0);
		for (int i = 0; i < 40; i++) {
			void *s = m->ops->ring->reserve(m, 8 * i);

			if (s && i != 38) /* one stays BUSY */
				m->ops->ring->commit(m, s, i % 3, i % 5 == 0);
		}
		m->ops->ring->publish(m);
		lease_release();
	} else {
		for (int i = 0; i < 20; i++) {
			*(uint32_t *)ring_header(m, *ring_producer(m)) = 8 * i;
			*ring_producer(m) += 8 + 8 * i;
		}
	}
	map_put(m);
	REQUIRE(!fstat(files[kind].fd, &st));
	files[kind].size = st.st_size;
	files[kind].bytes = malloc(st.st_size);
	files[kind].after = malloc(st.st_size);
	REQUIRE(pread(files[kind].fd, files[kind].bytes, st.st_size, 0) == st.st_size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", files[kind].fd);
	files[kind].read_only_fd = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(files[kind].read_only_fd >= 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	make_dir();
	REQUIRE(!lease_open());
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		make_file(i);
	return 0;
}

/* All of a sample is inside the two views of the data, and can be written. */
static void touch(struct map *m, uint8_t *sample, uint64_t size)
{
	REQUIRE(sample >= m->ring.data && size <= m->ring.mask + 1 &&
		sample + size <= m->ring.data + 2 * (m->ring.mask + 1));
	memset(sample, 0xa5, size);
}

static void damage_at(uint8_t *base, size_t size, const uint8_t *d)
{
	static const uint8_t sizes[] = {1, 2, 4, 8};
	uint32_t where, what, n;
	uint64_t v;

	memcpy(&where, d, 4);
	memcpy(&what, d + 4, 4);
	n = sizes[what >> 24 & 3];
	v = what & 0x80000000 ? -(uint64_t)(what & 0xffff) : what & 0xffffff;
	if (what & 0x40000000)
		v |= (uint64_t)(what & 0xff) << 30;
	/* mostly where it matters: the positions, the shared part, the first headers */
	switch (where >> 28) {
	case 0:
	case 1:
		where = 0;
		break;
	case 2:
	case 3:
		where = SHMAP_PAGE + (where & 31);
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		where = size - OBJECT_TRAILER_SIZE + 1024 + RING_SHARED_OFF + (where & 255);
		break;
	case 8:
	case 9:
	case 10:
		where = RING_DATA_OFF + (where & 2047);
		break;
	}
	where = (where & ~(n - 1)) % (size - OBJECT_TRAILER_SIZE + 4096);
	memcpy(base + where, &v, n);
}

static void drain(struct map *m)
{
	uint32_t size, n = 0;
	void *s;
	int err;

	if (m->ops->ring->drain_begin(m, 0))
		return;
	do {
		err = m->ops->ring->drain_peek(m, &s, &size);
		if (!err) {
			touch(m, s, size);
			m->ops->ring->drain_release(m, size);
		}
	} while ((!err || err == -EAGAIN) && ++n < 600);
	m->ops->ring->drain_end(m, true);
}

static void one_op(struct map *m, uint8_t op, uint8_t arg)
{
	const struct ring_ops *ring = m->ops->ring;
	uint64_t size = arg << (op >> 5);
	char why[200];
	void *s;

	switch (op % 8) {
	case 0:
	case 1:
	case 2:
		REQUIRE(lease_acquire() >= 0);
		if (!ring->reserve) {
			drain(m);
		} else {
			s = ring->reserve(m, size);
			if (s) {
				touch(m, s, size);
				if (op & 8)
					ring->commit(m, s, arg & 3, op & 16);
			}
			if (op & 8)
				ring->publish(m);
			else
				ring->abandon(m);
		}
		lease_release();
		break;
	case 3:
		m->ops->poll(m);
		ring_arm(m);
		ring->wake_due(m);
		break;
	case 4:
		if (ring->query)
			for (int i = 0; i < 6; i++)
				ring->query(m, i);
		break;
	case 5:
		m->ops->recover(m);
		break;
	case 6:
		m->ops->validate(m, why, sizeof(why));
		break;
	default:
		if (m->writable) {
			uint8_t d[8] = {arg, op, arg * 7, arg ^ op, op * 3, arg, 0, arg << 1};

			damage_at(m->obj.base, m->obj.size, d);
		}
	}
}

static void use(int fd, const uint8_t *ops, size_t n)
{
	struct map *m;

	if (map_open(fd, &m))
		return;
	/* the attributes may have become another type's */
	if (m->ops->ring) {
		for (size_t i = 0; i + 2 <= n && i < 200; i += 2)
			one_op(m, ops[i], ops[i + 1]);
		for (uint8_t op = 0; op < 32; op++)
			if (op % 8 != 7)
				one_op(m, op, 0x25 + op * 29);
	}
	map_put(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned int kind, damages;
	uint8_t *bytes;
	ssize_t size;

	if (len < 2)
		return 0;
	kind = data[0] % ARRAY_SIZE(kinds);
	damages = data[1] % (DAMAGES + 1);
	data += 2, len -= 2;
	size = files[kind].size;
	bytes = files[kind].after;
	memcpy(bytes, files[kind].bytes, size);
	for (; damages && len >= 8; damages--, data += 8, len -= 8)
		damage_at(bytes, size, data);
	REQUIRE(pwrite(files[kind].fd, bytes, size, 0) == size);
	use(files[kind].read_only_fd, data, len);
	{
		static uint8_t again[262144];

		REQUIRE(size <= (ssize_t)sizeof(again));
		REQUIRE(pread(files[kind].fd, again, size, 0) == size);
		REQUIRE(!memcmp(again, bytes, size));
	}
	use(files[kind].fd, data, len);
	return 0;
}
