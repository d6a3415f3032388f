/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which of the eight words of a cache line have certain high bits, without a branch per
 * word. Other threads may be storing to them: each word is read once, whole, before any
 * access that comes later in the program.
 */
#ifndef SHMAP_BASE_TAGS_H
#define SHMAP_BASE_TAGS_H

#include <stdint.h>

#include "base/atomic.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#define TAG_BITS 12
#define TAG_SHIFT (64 - TAG_BITS)

/*
 * Bit i: the upper TAG_BITS of word i are those of tag, whose other bits are 0.
 *
 * x86-64: four loads of 16 aligned bytes. The processor reads each 8 of them at once (with
 * AVX all 16) and makes loads visible in order; the compiler keeps them between the fences.
 */
static inline __attribute__((no_sanitize("thread"))) unsigned int tags_match8(const uint64_t *words,
									       uint64_t tag)
{
#if defined(__SSE2__)
	const __m128 *line = (const __m128 *)words;
	__m128i want = _mm_set1_epi32((int)(tag >> 32)), low, high;

	fence_compiler();
	low = _mm_castps_si128(_mm_shuffle_ps(line[0], line[1], _MM_SHUFFLE(3, 1, 3, 1)));
	high = _mm_castps_si128(_mm_shuffle_ps(line[2], line[3], _MM_SHUFFLE(3, 1, 3, 1)));
	fence_acquire();
	low = _mm_srli_epi32(_mm_xor_si128(low, want), TAG_SHIFT - 32);
	high = _mm_srli_epi32(_mm_xor_si128(high, want), TAG_SHIFT - 32);
	low = _mm_cmpeq_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128());
	return (unsigned int)_mm_movemask_epi8(_mm_packs_epi16(low, _mm_setzero_si128()));
#else
	unsigned int i, found = 0;

#pragma GCC unroll 8
	for (i = 0; i < 8; i++)
		found |= (unsigned int)((load_acquire(&words[i]) ^ tag) < 1ULL << TAG_SHIFT) << i;
	return found;
#endif
}

#endif
