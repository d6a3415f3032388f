/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bloom_rate: a filter that is as full as it may be has no false negatives, and as many
 * false positives as the kernel's: (1 - e^(-kn/m))^k of those asked for, give or take
 * what chance gives; with every number of hashes.
 */
#include <math.h>
#include <unistd.h>

#include "../../check.h"
#include "map/map.h"

#define ASKED 200000

static uint64_t some(uint64_t i)
{
	return i * 0x9e3779b97f4a7c15ULL + 12345;
}

static void rate(uint32_t entries, uint32_t hashes, uint32_t flags)
{
	struct map_attr attr = {.map_type = BPF_MAP_TYPE_BLOOM_FILTER,
				.value_size = 8,
				.max_entries = entries,
				.map_flags = flags,
				.map_extra = hashes,
				.name = "rate",
				.spin_lock_off = -1};
	double k = hashes, bits, expected, spread;
	uint32_t yes = 0;
	struct map *m;
	uint64_t v;
	int fd;

	REQUIRE(!map_create(&attr, -1, &m, &fd));
	bits = (double)(m->ops->memlock(m) - 312) * 8;
	for (uint32_t i = 0; i < entries; i++) {
		v = some(i);
		CHECK_EQ(m->ops->write(m, NULL, &v, 0), 0);
	}
	for (uint32_t i = 0; i < entries; i++) {
		v = some(i);
		CHECK_EQ(m->ops->read(m, NULL, &v, 0), 0);
	}
	for (uint32_t i = 0; i < ASKED; i++) {
		v = some(1000000 + i);
		yes += !m->ops->read(m, NULL, &v, 0);
	}
	expected = pow(1 - exp(-k * entries / bits), k) * ASKED;
	/* six deviations, and what one filter of its size varies by */
	spread = 6 * sqrt(expected) + 0.1 * expected + 5;
	printf("%u entries, %u hashes: %u of %u, expected %.0f\n", entries, hashes, yes, ASKED,
	       expected);
	CHECK(fabs(yes - expected) <= spread);
	map_put(m);
	close(fd);
}

int main(void)
{
	check_private_rundir();
	for (uint32_t k = 1; k <= 15; k++)
		rate(10000, k, BPF_F_ZERO_SEED);
	rate(30000, 3, BPF_F_ZERO_SEED);
	rate(100000, 5, 0);
	return check_done();
}
