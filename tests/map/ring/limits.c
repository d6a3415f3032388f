/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * overwrite: the newest records win, complete and in order; what gave way is counted.
 * losses: each record that found no room is counted, and no other.
 * memory: a full ring takes no more than the kernel's, an empty one next to nothing.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "../../check.h"
#include "map/ring.h"
#include "sync/lease.h"

static int fd;

static struct map *make(uint32_t size, uint32_t flags)
{
	struct map_attr attr = {.map_type = BPF_MAP_TYPE_RINGBUF,
				.max_entries = size,
				.map_flags = flags,
				.spin_lock_off = -1};
	struct map *m;

	REQUIRE(!map_create(&attr, -1, &m, &fd));
	return m;
}

/* A record of n words, all the same. */
static bool produce(struct map *m, uint64_t seq, uint32_t n)
{
	uint64_t *s = m->ops->ring->reserve(m, n * 8);

	if (!s)
		return false;
	for (uint32_t i = 0; i < n; i++)
		s[i] = seq;
	m->ops->ring->commit(m, s, 0, false);
	return true;
}

static uint64_t lost(struct map *m)
{
	struct map_stats stats = {0};

	REQUIRE(!m->ops->stats(m, &stats));
	return stats.lost;
}

static void overwrite(void)
{
	struct map *m = make(4096, SHMAP_F_RB_OVERWRITE);
	uint64_t pos, prod, seq = 0, first, n;
	char why[200] = "";
	uint64_t *a;

	for (int round = 0; round < 300; round++) {
		REQUIRE(lease_acquire() >= 0);
		for (int i = 0; i < 1 + round % 40; i++, seq++)
			CHECK(produce(m, seq, 1 + seq * 7 % 30));
		m->ops->ring->publish(m);
		lease_release();
		pos = *ring_overwrite(m);
		prod = *ring_producer(m);
		CHECK(prod - pos < 4096);
		CHECK_EQ(m->ops->ring->query(m, SHMAP_RB_OVERWRITE_POS), pos);
		CHECK_EQ(m->ops->ring->query(m, BPF_RB_AVAIL_DATA), prod - pos);
		n = 0;
		first = pos == prod ? seq : ring_header(m, pos)[1];
		for (; pos != prod && n < 4096; n++) {
			uint64_t *h = ring_header(m, pos);
			uint32_t len = *h;

			CHECK_EQ(len, 8 * (1 + h[1] * 7 % 30));
			for (uint32_t i = 0; i < len / 8; i++)
				if (h[1 + i] != first + n)
					CHECK_EQ(h[1 + i], first + n);
			pos += ring_record_size(len);
		}
		CHECK_EQ(first + n, seq); /* up to the newest */
		CHECK_EQ(lost(m), first); /* all before the first one */
		CHECK_EQ(m->ops->validate(m, why, sizeof(why)), 0);
	}
	/* what is not submitted yet never gives way */
	REQUIRE(lease_acquire() >= 0);
	a = m->ops->ring->reserve(m, 8);
	REQUIRE(a);
	n = 0;
	while (produce(m, seq++, 10))
		REQUIRE(++n < 100);
	CHECK_EQ(n, (4095 - 16) / 88);
	m->ops->ring->commit(m, a, 0, false);
	CHECK(produce(m, seq++, 10));
	m->ops->ring->publish(m);
	lease_release();
	CHECK_EQ(m->ops->validate(m, why, sizeof(why)), 0);
	map_put(m);
}

static void losses(void)
{
	struct map *m = make(4096, 0);
	uint64_t n = 0;

	REQUIRE(lease_acquire() >= 0);
	for (int i = 0; i < 1000; i++)
		n += !produce(m, i, 2);
	CHECK_EQ(n, 1000 - 4095 / 24);
	CHECK_EQ(lost(m), n);
	CHECK(!m->ops->ring->reserve(m, 4089)); /* never fits: nothing was lost */
	CHECK_EQ(lost(m), n);
	m->ops->ring->publish(m);
	*ring_consumer(m) = *ring_producer(m);
	CHECK(produce(m, 0, 2));
	CHECK_EQ(lost(m), n);
	m->ops->ring->publish(m);
	lease_release();
	map_put(m);
}

static uint64_t bytes(void)
{
	struct stat st;

	REQUIRE(!fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

static void memory(void)
{
	static const uint32_t sizes[] = {4096, 8192, 65536, 1 << 20};

	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct map *m = make(sizes[i], 0);

		CHECK(bytes() <= 3 * 4096);
		REQUIRE(lease_acquire() >= 0);
		CHECK(produce(m, 1, 1));
		CHECK(bytes() <= 3 * 4096 + 65536);
		for (int round = 0; round < 3; round++) {
			while (produce(m, 1, 20))
				;
			m->ops->ring->publish(m);
			*ring_consumer(m) = *ring_producer(m);
		}
		lease_release();
		if (bytes() > m->ops->memlock(m))
			CHECK_EQ(bytes(), m->ops->memlock(m));
		map_put(m);
		close(fd);
	}
}

int main(void)
{
	check_private_rundir();
	overwrite();
	losses();
	memory();
	return check_done();
}
