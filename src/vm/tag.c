/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program tag: the first eight bytes of the SHA-256 digest (FIPS 180-4) of
 * the instructions, with the map references in 16-byte loads zeroed. (Linux
 * before 6.18 took SHA-1; 6.18 is the reference.)
 */
#include <string.h>

#include <endian.h>

#include "vm/vm.h"

struct sha256 {
	uint32_t h[8];
	uint8_t block[64];
	uint64_t len;
};

static const uint32_t round_constants[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2,
};

static uint32_t rotate(uint32_t x, int by)
{
	return x >> by | x << (32 - by);
}

static void sha256_block(struct sha256 *s)
{
	uint32_t w[64], v[8], t1, t2;
	int i;

	for (i = 0; i < 16; i++) {
		memcpy(&w[i], s->block + 4 * i, 4);
		w[i] = be32toh(w[i]);
	}
	for (; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	memcpy(v, s->h, sizeof(v));
	for (i = 0; i < 64; i++) {
		t1 = v[7] + (rotate(v[4], 6) ^ rotate(v[4], 11) ^ rotate(v[4], 25)) +
		     ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_constants[i] + w[i];
		t2 = (rotate(v[0], 2) ^ rotate(v[0], 13) ^ rotate(v[0], 22)) +
		     ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += t1;
		v[0] = t1 + t2;
	}
	for (i = 0; i < 8; i++)
		s->h[i] += v[i];
}

static void sha256_add(struct sha256 *s, const void *data, size_t n)
{
	const uint8_t *p = data;

	for (; n; n--) {
		s->block[s->len++ % 64] = *p++;
		if (s->len % 64 == 0)
			sha256_block(s);
	}
}

void vm_prog_tag(const struct vm_prog *p, uint8_t tag[8])
{
	struct sha256 s = {.h = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
				 0x9b05688c, 0x1f83d9ab, 0x5be0cd19}};
	static const uint8_t end = 0x80, zero;
	struct bpf_insn insn;
	bool map = false;
	uint64_t bits;
	uint32_t i;

	for (i = 0; i < p->insn_cnt; i++) {
		insn = p->insns[i];
		if (map) { /* second half of a map's load */
			insn.imm = 0;
			map = false;
		} else if (insn.code == (BPF_LD | BPF_IMM | BPF_DW) &&
			   (insn.src_reg == BPF_PSEUDO_MAP_FD ||
			    insn.src_reg == BPF_PSEUDO_MAP_VALUE)) {
			insn.imm = 0;
			map = true;
		}
		sha256_add(&s, &insn, sizeof(insn));
	}
	bits = htobe64(s.len * 8);
	sha256_add(&s, &end, 1);
	while (s.len % 64 != 56)
		sha256_add(&s, &zero, 1);
	sha256_add(&s, &bits, 8);
	for (i = 0; i < 2; i++) {
		uint32_t word = htobe32(s.h[i]);

		memcpy(tag + 4 * i, &word, 4);
	}
}
