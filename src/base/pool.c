/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A slab is a page: a word with one bit per free object, and the objects. Who
 * clears a bit owns the object; there is no list of free ones, so nothing can
 * be taken off it by two at a time or come back to it in between (ABA).
 */
#include "base/pool.h"

#include <string.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/rawsys.h"

#if defined(__SANITIZE_ADDRESS__)
/* Free objects are as forbidden as malloc(3)'s. */
#include <sanitizer/asan_interface.h>
#define forbid(p, n) __asan_poison_memory_region((p), (n))
#define allow(p, n) __asan_unpoison_memory_region((p), (n))
#else
#define forbid(p, n) ((void)(p), (void)(n))
#define allow(p, n) ((void)(p), (void)(n))
#endif

struct pool_slab {
	uint64_t free; /* a bit per object */
	struct pool_slab *next;
	uint8_t pad[CACHE_LINE - 16];
	uint8_t objects[];
};

_Static_assert(sizeof(struct pool_slab) == CACHE_LINE, "objects are aligned to cache lines");

static uint32_t stride(const struct pool *p)
{
	return (p->size + CACHE_LINE - 1) & ~(CACHE_LINE - 1U);
}

static void *slab_take(struct pool *p, struct pool_slab *s)
{
	uint64_t bits = load_relaxed(&s->free);
	void *object;

	while (bits) {
		unsigned int i = (unsigned int)__builtin_ctzll(bits);

		/* Pairs with pool_free(): its owner's last access comes first. */
		if (!cas_acquire(&s->free, &bits, bits & ~(1ULL << i)))
			continue;
		object = s->objects + i * stride(p);
		allow(object, p->size);
		memset(object, 0, p->size);
		store_release(&p->hint, s);
		return object;
	}
	return NULL;
}

static void *slab_new(struct pool *p)
{
	unsigned int count = (SHMAP_PAGE - sizeof(struct pool_slab)) / stride(p);
	struct pool_slab *s, *head;

	s = raw_mmap(NULL, SHMAP_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(s))
		return NULL;
	/* all but the first, which is the caller's */
	s->free = ((1ULL << (count - 1)) - 1) << 1;
	forbid(s->objects + stride(p), (count - 1) * stride(p));
	head = load_relaxed(&p->slabs);
	do {
		s->next = head;
	} while (!cas_seq_cst(&p->slabs, &head, s));
	store_release(&p->hint, s);
	return s->objects;
}

void *pool_alloc(struct pool *p)
{
	/* Pairs with slab_new(): a slab is seen with its bits. */
	struct pool_slab *s = load_acquire(&p->hint);
	void *object = s ? slab_take(p, s) : NULL;

	/* As above. */
	for (s = load_acquire(&p->slabs); s && !object; s = s->next)
		object = slab_take(p, s);
	return object ? object : slab_new(p);
}

void pool_free(struct pool *p, void *object)
{
	struct pool_slab *s = (void *)((uintptr_t)object & ~(SHMAP_PAGE - 1));

	if (!object)
		return;
	forbid(object, p->size);
	fetch_or_seq_cst(&s->free, 1ULL << ((uint8_t *)object - s->objects) / stride(p));
	store_release(&p->hint, s);
}
