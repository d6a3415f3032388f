/* SPDX-License-Identifier: BSD-2-Clause */
/* Random packets, small random numbers of the interesting kind, and one run on each side. */
#ifndef SHMAP_TESTS_SYS_PACKETS_H
#define SHMAP_TESTS_SYS_PACKETS_H

#include "../prog/both.h"

#define PKT_MAX 130000
#define RESULTS 512 /* bytes that a program stores */

static uint64_t rnd_state;

static inline uint64_t rnd64(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 7;
	rnd_state ^= rnd_state << 17;
	return rnd_state;
}

static inline uint32_t rnd(uint32_t n)
{
	return (uint32_t)((rnd64() >> 11) % n);
}

static inline void rnd_seed(uint64_t seed)
{
	rnd_state = seed * 0x9e3779b97f4a7c15ULL + 0x1234567;
	for (int i = 0; i < 8; i++)
		rnd64();
}

static inline void rnd_bytes(uint8_t *p, uint32_t n)
{
	while (n--)
		*p++ = rnd(4) ? (uint8_t)rnd64() : 0;
}

static inline uint32_t put16(uint8_t *p, uint32_t at, uint16_t v)
{
	p[at] = v >> 8;
	p[at + 1] = (uint8_t)v;
	return at + 2;
}

/* Ethernet, at times VLAN tags, IPv4, IPv6 or neither, TCP, UDP or neither: its length. */
static inline uint32_t random_packet(uint8_t *p, uint32_t max)
{
	static const uint8_t types[] = {4, 4, 4, 4, 6, 6, 6, 0, 1};
	uint32_t at = 12, kind = types[rnd(sizeof(types))], size;

	size = rnd(8) ? 34 + rnd(120) : rnd(3) ? 14 + rnd(60) : 14 + rnd(max - 13);
	if (size > max)
		size = max;
	rnd_bytes(p, size + 64);
	if (rnd(3))
		memset(p, 0, 6);
	else if (!rnd(3))
		memset(p, 0xff, 6);
	for (int tags = rnd(3) ? 0 : 1 + rnd(2); tags; tags--) {
		at = put16(p, at, rnd(3) ? 0x8100 : 0x88a8);
		at += 2;
	}
	if (kind == 4) {
		at = put16(p, at, 0x0800);
		p[at] = rnd(6) ? 0x45 : (uint8_t)rnd64();
		p[at + 1] = (uint8_t)rnd(256);
		p[at + 9] = rnd(2) ? 6 : 17;
	} else if (kind == 6) {
		at = put16(p, at, 0x86dd);
		p[at] = 0x60;
		p[at + 6] = rnd(2) ? 6 : 17;
	} else if (kind) {
		put16(p, at, (uint16_t)rnd(1600));
	}
	return size;
}

/* Numbers that are near the limits of something. */
static inline uint32_t near_number(uint32_t size)
{
	static const uint32_t known[] = {0,  1,	 2,  4,	 8,  12, 14, 16, 18,
					 20, 22, 24, 34, 38, 40, 54, 62};

	switch (rnd(12)) {
	case 0:
		return (uint32_t)rnd64();
	case 1:
		return 0xffff + rnd(3) - 1;
	case 2:
		return 0x7fffffff + rnd(3) - 1;
	case 3:
	case 4:
		return size + rnd(9) - 4;
	case 5:
		return 4090 + rnd(12);
	default:
		return known[rnd(sizeof(known) / sizeof(known[0]))] + rnd(2) * rnd(4);
	}
}

struct outcome {
	int64_t ret;
	uint32_t retval, size;
	uint8_t data[PKT_MAX];
	uint8_t ctx[192];
	uint8_t results[RESULTS];
};

static inline int results_map(enum side side)
{
	int fd = side_map(side, BPF_MAP_TYPE_ARRAY, 4, RESULTS, 1);

	REQUIRE(fd >= 0);
	return fd;
}

static inline void results_set(enum side side, int fd, void *value, bool update)
{
	union sys_attr a = {0};
	uint32_t key = 0;

	a.elem.map_fd = fd;
	a.elem.key = (uintptr_t)&key;
	a.elem.value = (uintptr_t)value;
	long err_ = side_bpf(side, update ? BPF_MAP_UPDATE_ELEM : BPF_MAP_LOOKUP_ELEM, &a);

	if (err_)
		fprintf(stderr, "side %d fd %d: %ld\n", side, fd, err_);
	REQUIRE(!err_);
}

static inline int packets_load(enum side side, uint32_t type, uint32_t attach,
			       const struct bpf_insn *insns, uint32_t cnt)
{
	union sys_attr a;

	prog_attr_init(&a, type, insns, cnt);
	a.prog_load.expected_attach_type = attach;
	return side_bpf(side, BPF_PROG_LOAD, &a);
}

#endif
