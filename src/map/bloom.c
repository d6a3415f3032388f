/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_BLOOM_FILTER.
 *
 *   offset 0     struct bloom_count, one line each: about how many values were new
 *                when they were pushed (for shmap_map_stats()), by thread, so that
 *                the threads do not share a line
 *   bits_off     the bits; as many as the kernel's filter of these attributes has
 *   after them   one bit per BLOOM_CHUNK of bits: its pages are there
 *
 * The bits of a value are taken from its hash and the map's seed. A push sets
 * them by atomic ors; a peek finds whether all of them are set. There is no lock: bits
 * only ever become set. A value is in the filter from the store of its last bit on (G5),
 * and bits that a dead process set before that can only make the filter a little more
 * likely to answer yes to something else.
 *
 * Bits in chunks that nobody has touched are 0: a peek does not look, a push
 * gets the pages first. So a filter costs what it is used for.
 *
 * Distrust: an index into the bits is masked, an index into the chunks follows
 * from it; what the bits say decides nothing but the answer.
 */
#include <stdio.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "map/map.h"
#include "sync/thread.h"

#define BLOOM_VALUE_MAX (4U << 20)
#define BLOOM_KERNEL_HEADER 312 /* sizeof(struct bpf_bloom_filter) of the kernel */
#define BLOOM_HASHES_DEFAULT 5
#define BLOOM_HASHES_MAX 15
#define BLOOM_COUNTS 16
#define BLOOM_CHUNK_SHIFT 16 /* bytes */
#define BLOOM_CHUNK (1UL << BLOOM_CHUNK_SHIFT)
/* Values up to this size are hashed in one go. */
#define BLOOM_PIECE 1024

struct bloom_count {
	uint64_t added;
	uint8_t pad[CACHE_LINE - 8];
};

#define BLOOM_BITS_OFF (BLOOM_COUNTS * sizeof(struct bloom_count))

static inline uint64_t *bloom_word(const struct map *m, uint32_t bit)
{
	return (uint64_t *)(m->obj.base + BLOOM_BITS_OFF) + bit / 64;
}

/* The calling thread's line, which few others have. */
static inline struct bloom_count *bloom_count(const struct map *m)
{
	if (unlikely(!thread_known()))
		thread_init(); /* failing, it has the first line */
	return (struct bloom_count *)m->obj.base + thread_self.tid % BLOOM_COUNTS;
}

static inline uint64_t *bloom_chunks(const struct map *m)
{
	return (uint64_t *)(m->obj.base + m->bloom.chunk_off);
}

/* Small filters have all their pages from the beginning. */
static inline bool bloom_there(const struct map *m, uint32_t bit)
{
	uint32_t chunk = bit >> (BLOOM_CHUNK_SHIFT + 3);

	if (!m->bloom.chunk_off)
		return true;
	/* Acquire: pairs with the or in bloom_populate(). */
	return load_acquire(&bloom_chunks(m)[chunk / 64]) >> chunk % 64 & 1;
}

static int bloom_check_size(const struct map_attr *attr)
{
	return attr->value_size > BLOOM_VALUE_MAX ? -E2BIG : 0;
}

static int bloom_alloc_check(const struct map_attr *attr)
{
	if (bloom_check_size(attr))
		return -E2BIG;
	if (!attr->max_entries || attr->key_size || !attr->value_size ||
	    attr->map_flags & ~(uint32_t)(BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | BPF_F_RDONLY |
					  BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG) ||
	    !map_access_flags_ok(attr->map_flags) || attr->map_extra > BLOOM_HASHES_MAX)
		return -EINVAL;
	return 0;
}

/*
 * The kernel's size, so that the rate of false positives is the kernel's: 7/5 (about
 * 1/ln 2) bits per value and hash, rounded up to a power of two.
 */
static uint64_t bloom_bits(uint64_t entries, uint32_t hashes)
{
	uint64_t bits = entries * hashes;

	if (bits > UINT32_MAX || bits / 5 * 7 > 1ULL << 31)
		return 1ULL << 32;
	bits = bits / 5 * 7;
	return bits <= 64 ? 64 : pow2_at_least(bits);
}

static int bloom_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	uint32_t hashes = m->attr.map_extra ? m->attr.map_extra : BLOOM_HASHES_DEFAULT;
	uint64_t bits = bloom_bits(m->attr.max_entries, hashes), bytes = bits / 8;

	m->bloom.hashes = hashes;
	m->bloom.mask = (uint32_t)(bits - 1);
	m->bloom.seed = m->attr.hash_seed;
	m->bloom.chunk_off = 0;
	*data_size = BLOOM_BITS_OFF + bytes;
	*prealloc = *data_size;
	if (bytes <= BLOOM_CHUNK)
		return 0;
	m->bloom.chunk_off = *data_size; /* a multiple of a cache line */
	*data_size += round_up_u64(bytes >> BLOOM_CHUNK_SHIFT, 64) / 8;
	*prealloc = BLOOM_BITS_OFF;
	return 0;
}

static int bloom_format(struct map *m)
{
	struct map_header *h = (struct map_header *)m->obj.trailer->body;

	if (!(m->attr.map_flags & BPF_F_ZERO_SEED) &&
	    getrandom(&m->attr.hash_seed, sizeof(m->attr.hash_seed), 0) !=
		    sizeof(m->attr.hash_seed))
		return -EAGAIN;
	h->attr.hash_seed = m->attr.hash_seed;
	m->bloom.seed = m->attr.hash_seed;
	if (!m->bloom.chunk_off)
		return 0;
	return object_populate(&m->obj, m->bloom.chunk_off, m->notice_off - m->bloom.chunk_off);
}

/* Of a value that is longer than a piece; it may be a user's. 0 or -EFAULT. */
static __attribute__((noinline)) int bloom_hash_long(const struct map *m, const void *value,
						     uint64_t *hash)
{
	XXH3_state_t state;
	uint8_t piece[BLOOM_PIECE];

	XXH3_INITSTATE(&state);
	XXH3_64bits_reset_withSeed(&state, m->bloom.seed);
	for (uint32_t at = 0, n; at < m->attr.value_size; at += n) {
		n = m->attr.value_size - at;
		if (n > sizeof(piece))
			n = sizeof(piece);
		if (uaccess_copy(piece, uaccess_at(value, at), n))
			return -EFAULT;
		XXH3_64bits_update(&state, piece, n);
	}
	*hash = XXH3_64bits_digest(&state);
	return 0;
}

/* The value is copied first: it may change, and be hashed but once. */
static inline int bloom_hash(const struct map *m, const void *value, uint64_t *hash)
{
	uint64_t copy[BLOOM_PIECE / 8];
	uint32_t size = m->attr.value_size;

	if (unlikely(size > BLOOM_PIECE))
		return bloom_hash_long(m, value, hash);
	if (unlikely(uaccess_copy(copy, value, size)))
		return -EFAULT;
	*hash = size == 4   ? XXH3_64bits_withSeed(copy, 4, m->bloom.seed)
		: size == 8 ? XXH3_64bits_withSeed(copy, 8, m->bloom.seed)
			    : XXH3_64bits_withSeed(copy, size, m->bloom.seed);
	return 0;
}

/* The n'th bit: each multiplication mixes two of them out of the hash. */
static inline uint32_t bloom_bit(const struct map *m, uint64_t *hash, uint32_t n)
{
	if (n & 1)
		return (uint32_t)(*hash >> 32) & m->bloom.mask;
	*hash = (*hash ^ *hash >> 31) * 0x9e3779b97f4a7c15ULL + n;
	*hash ^= *hash >> 29;
	return (uint32_t)*hash & m->bloom.mask;
}

static __attribute__((noinline)) int bloom_populate(struct map *m, uint32_t bit)
{
	uint32_t chunk = bit >> (BLOOM_CHUNK_SHIFT + 3);
	uint64_t bytes = (uint64_t)m->bloom.mask / 8 + 1;
	uint64_t from = (uint64_t)chunk << BLOOM_CHUNK_SHIFT, n = bytes - from;
	int err;

	if (n > BLOOM_CHUNK)
		n = BLOOM_CHUNK;
	err = object_populate(&m->obj, BLOOM_BITS_OFF + from, n);
	/* Dying before this store: the next push asks for the pages again. */
	if (!err)
		fetch_or_seq_cst(&bloom_chunks(m)[chunk / 64], 1ULL << chunk % 64);
	return err;
}

static long bloom_push(struct map *m, const void *value, uint64_t flags)
{
	uint32_t bits[BLOOM_HASHES_MAX], hashes = m->bloom.hashes, new = 0;
	uint64_t hash;
	int err;

	if (unlikely(flags != BPF_ANY))
		return -EINVAL;
	if (unlikely(!m->writable))
		return -EPERM;
	err = bloom_hash(m, value, &hash);
	if (unlikely(err))
		return err;
	/* All pages before the first bit: what fails sets none. */
	for (uint32_t i = 0; i < hashes; i++) {
		bits[i] = bloom_bit(m, &hash, i);
		if (unlikely(!bloom_there(m, bits[i]))) {
			err = bloom_populate(m, bits[i]);
			if (err)
				return err;
		}
		/* The words are anywhere: all on their way before the first is waited for. */
		__builtin_prefetch(bloom_word(m, bits[i]));
	}
	for (uint32_t i = 0; i < hashes; i++) {
		uint64_t *word = bloom_word(m, bits[i]), one = 1ULL << bits[i] % 64;

		/* Most bits of a full filter are set; asking keeps the line shared. */
		if (load_relaxed(word) & one)
			continue;
		new |= !(fetch_or_relaxed(word, one) & one);
	}
	if (new) {
		struct bloom_count *count = bloom_count(m);

		/* Not atomic: that would cost as much as a bit. Two threads that have the
		 * same line and come at the same moment count as one. */
		store_relaxed(&count->added, load_relaxed(&count->added) + 1);
	}
	return 0;
}

static inline long bloom_has(struct map *m, uint64_t hash)
{
	for (uint32_t i = 0; i < m->bloom.hashes; i++) {
		uint32_t bit = bloom_bit(m, &hash, i);

		if (!bloom_there(m, bit) || !(load_relaxed(bloom_word(m, bit)) >> bit % 64 & 1))
			return -ENOENT;
	}
	return 0;
}

/* The value is not given back, but asked for. */
static int bloom_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint64_t hash;
	int err;

	if (flags)
		return -EINVAL;
	err = bloom_hash(m, value, &hash);
	return err ? err : (int)bloom_has(m, hash);
}

/* A program's: the value is its own memory, or a map's. */
static long bloom_peek(struct map *m, void *value)
{
	uint64_t hash, copy;
	int err = 0;

	if (likely(m->attr.value_size == 8)) {
		memcpy(&copy, value, 8);
		hash = XXH3_64bits_withSeed(&copy, 8, m->bloom.seed);
	} else {
		err = bloom_hash(m, value, &hash);
	}
	return unlikely(err) ? err : bloom_has(m, hash);
}

static int bloom_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	return (int)bloom_push(m, value, flags);
}

static int bloom_erase(struct map *m, const void *key)
{
	return -EOPNOTSUPP;
}

static int bloom_next_key(struct map *m, const void *key, void *next)
{
	return -EOPNOTSUPP;
}

static int bloom_stats(struct map *m, struct map_stats *stats)
{
	const struct bloom_count *counts = (struct bloom_count *)m->obj.base;

	for (int i = 0; i < BLOOM_COUNTS; i++)
		stats->entries += load_relaxed(&counts[i].added);
	stats->changes = stats->entries;
	stats->counts_changes = true;
	return 0;
}

static uint64_t bloom_memlock(const struct map *m)
{
	return BLOOM_KERNEL_HEADER + ((uint64_t)m->bloom.mask + 1) / 8;
}

/* Nobody's death leaves anything undone. */
static int bloom_recover(struct map *m)
{
	return m->writable ? 0 : -EPERM;
}

/* Each value that was counted as new has set a bit that nobody else did. Only chunks that
 * are there are looked at. */
static int bloom_validate(struct map *m, char *why, size_t size)
{
	uint64_t set = 0, last = (uint64_t)m->bloom.mask + 1;
	struct map_stats stats = {0};

	bloom_stats(m, &stats);
	for (uint64_t bit = 0; bit < last; bit += 64)
		if (bloom_there(m, (uint32_t)bit))
			set += (uint64_t)__builtin_popcountll(*bloom_word(m, (uint32_t)bit));
	if (stats.entries <= set)
		return 0;
	snprintf(why, why ? size : 0, "%llu values were new, but only %llu bits are set",
		 (unsigned long long)stats.entries, (unsigned long long)set);
	return -EINVAL;
}

const struct map_ops bloom_map_ops = {
	.type = BPF_MAP_TYPE_BLOOM_FILTER,
	.name = "bloom_filter",
	.alloc_check = bloom_alloc_check,
	.check_late = true,
	.check_early = bloom_check_size,
	.layout = bloom_layout,
	.format = bloom_format,
	.read = bloom_read,
	.write = bloom_write,
	.erase = bloom_erase,
	.next_key = bloom_next_key,
	.push = bloom_push,
	.peek = bloom_peek,
	.stats = bloom_stats,
	.memlock = bloom_memlock,
	.recover = bloom_recover,
	.validate = bloom_validate,
	.inner_allowed = true,
};
