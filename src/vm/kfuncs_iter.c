/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Iterators: loops that the program makes itself. An iterator is a few bytes of the
 * frame; what it iterates over beyond them is a page of this run's.
 */
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "vm/kfuncs.h"

struct iter_num {
	int32_t cur; /* what next() points to */
	int32_t end;
};

struct iter_page {
	uint64_t bits[SHMAP_PAGE / sizeof(uint64_t) - 1];
	struct iter_page *next;
};

#define BITS_WORDS_MAX ((uint32_t)ARRAY_SIZE(((struct iter_page *)0)->bits))

struct iter_bits {
	union {
		struct iter_page *page;
		uint64_t word; /* of 64 bits */
	};
	uint32_t nr_bits;
	uint32_t bit;
};

_Static_assert(sizeof(struct iter_page) == SHMAP_PAGE && BITS_WORDS_MAX == 511,
	       "the kernel's limit");

KFUNC(iter_num_new)
{
	struct iter_num *it = PTR(a);
	const int32_t start = (int32_t)b, end = (int32_t)c;

	*it = (struct iter_num){0};
	if (start > end)
		return INT(-EINVAL);
	if ((int64_t)end - start > VM_LOOPS_MAX)
		return INT(-E2BIG);
	it->cur = (int32_t)((uint32_t)start - 1);
	it->end = end;
	return 0;
}

KFUNC(iter_num_next)
{
	struct iter_num *it = PTR(a);
	const int32_t next = (int32_t)((uint32_t)it->cur + 1);

	if (next >= it->end) {
		*it = (struct iter_num){0};
		return 0;
	}
	it->cur = next;
	return (uintptr_t)&it->cur;
}

KFUNC(iter_num_destroy)
{
	*(struct iter_num *)PTR(a) = (struct iter_num){0};
	return 0;
}

static struct iter_page *page_new(struct vm_context *vc)
{
	struct iter_page *page = raw_mmap(NULL, SHMAP_PAGE, PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (raw_is_error(page))
		return NULL;
	page->next = vc->pages;
	vc->pages = page;
	return page;
}

static void page_free(struct vm_context *vc, struct iter_page *page)
{
	struct iter_page **link = (struct iter_page **)&vc->pages;

	while (*link && *link != page)
		link = &(*link)->next;
	if (!*link)
		return;
	*link = page->next;
	raw_munmap(page, SHMAP_PAGE);
}

void kfunc_pages_free(struct vm_context *vc)
{
	while (vc->pages)
		page_free(vc, vc->pages);
}

KFUNC(iter_bits_new)
{
	struct iter_bits *it = PTR(a);
	const uint32_t words = (uint32_t)c;
	struct iter_page *page;

	*it = (struct iter_bits){.bit = UINT32_MAX};
	if (!b || !words)
		return INT(-EINVAL);
	if (words > BITS_WORDS_MAX)
		return INT(-E2BIG);
	if (words == 1) {
		if (uaccess_copy(&it->word, PTR(b), sizeof(it->word))) {
			it->word = 0;
			return INT(-EFAULT);
		}
		it->nr_bits = 64;
		return 0;
	}
	page = page_new(vc);
	if (!page)
		return INT(-ENOMEM);
	if (uaccess_copy(page->bits, PTR(b), words * sizeof(uint64_t))) {
		page_free(vc, page);
		return INT(-EFAULT);
	}
	it->page = page;
	it->nr_bits = words * 64;
	return 0;
}

/* The first bit set at `from` or above; nr when there is none. */
static uint32_t next_bit(const uint64_t *words, uint32_t nr, uint32_t from)
{
	uint64_t word;

	while (from < nr) {
		word = words[from / 64] >> from % 64;
		if (word)
			return from + (uint32_t)__builtin_ctzll(word);
		from = (from | 63) + 1;
	}
	return nr;
}

KFUNC(iter_bits_next)
{
	struct iter_bits *it = PTR(a);
	const uint64_t *words;

	if (!it->nr_bits || ((int32_t)it->bit >= 0 && it->bit >= it->nr_bits))
		return 0;
	words = it->nr_bits == 64 ? &it->word : it->page->bits;
	it->bit = next_bit(words, it->nr_bits, it->bit + 1);
	return it->bit < it->nr_bits ? (uintptr_t)&it->bit : 0;
}

KFUNC(iter_bits_destroy)
{
	struct iter_bits *it = PTR(a);

	if (it->nr_bits > 64)
		page_free(vc, it->page);
	*it = (struct iter_bits){0};
	return 0;
}
