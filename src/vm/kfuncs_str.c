/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * String kfuncs. Their arguments are any addresses: what is not there is -EFAULT. A
 * string that goes on for longer than STRING_MAX is -E2BIG.
 */
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "vm/kfuncs.h"

#define STRING_MAX 65536u
#define BLOCK 64u /* aligned: lies in one page */
/* The kernel looks at its own addresses only: those below are user space's. Here that is
 * what no pointer of a program's can be. */
#define FIRST_ADDRESS 65536u
#define KERNEL_HALF 0xffff800000000000ull

/* A string that is read on from where it begins. */
struct reader {
	uint64_t at;	/* of byte 0 */
	uint64_t block; /* address of what is in bytes, + 1; 0: nothing */
	uint8_t bytes[BLOCK];
};

static bool reader_init(struct reader *r, uint64_t at)
{
	r->at = at;
	r->block = 0;
	return at >= FIRST_ADDRESS && (at <= INT64_MAX || at >= KERNEL_HALF);
}

/* Byte i, or -EFAULT in *err. */
static uint8_t byte(struct reader *r, uint32_t i, int *err)
{
	const uint64_t at = r->at + i, block = at & ~(uint64_t)(BLOCK - 1);

	if (r->block != block + 1) {
		r->block = 0;
		if (block > INT64_MAX || uaccess_copy(r->bytes, PTR(block), BLOCK)) {
			*err = -EFAULT;
			return 0;
		}
		r->block = block + 1;
	}
	return r->bytes[at - block];
}

/* As the kernel's, which knows Latin-1. */
static uint8_t lower(uint8_t ch)
{
	if ((ch >= 'A' && ch <= 'Z') || (ch >= 0xc0 && ch <= 0xde && ch != 0xd7))
		return ch + 32;
	return ch;
}

static uint64_t compare(uint64_t a, uint64_t b, bool ignore_case)
{
	struct reader s, t;
	int err = 0;

	if (!reader_init(&s, a) || !reader_init(&t, b))
		return INT(-ERANGE);
	for (uint32_t i = 0; i < STRING_MAX; i++) {
		uint8_t x = byte(&s, i, &err), y = byte(&t, i, &err);

		if (err)
			return INT(err);
		if (ignore_case) {
			x = lower(x);
			y = lower(y);
		}
		if (x != y)
			return x < y ? INT(-1) : 1;
		if (!x)
			return 0;
	}
	return INT(-E2BIG);
}

KFUNC(strcmp)
{
	return compare(a, b, false);
}

KFUNC(strcasecmp)
{
	return compare(a, b, true);
}

static uint64_t find_char(uint64_t a, uint64_t count, uint8_t ch, bool or_end)
{
	struct reader s;
	uint32_t i;
	int err = 0;

	if (!reader_init(&s, a))
		return INT(-ERANGE);
	for (i = 0; i < count && i < STRING_MAX; i++) {
		const uint8_t x = byte(&s, i, &err);

		if (err)
			return INT(err);
		if (x == ch || (or_end && !x))
			return i;
		if (!x)
			return INT(-ENOENT);
	}
	return i == STRING_MAX ? INT(-E2BIG) : INT(-ENOENT);
}

KFUNC(strchr)
{
	return find_char(a, STRING_MAX, (uint8_t)b, false);
}

KFUNC(strchrnul)
{
	return find_char(a, STRING_MAX, (uint8_t)b, true);
}

KFUNC(strnchr)
{
	return find_char(a, b, (uint8_t)c, false);
}

KFUNC(strrchr)
{
	uint64_t last = INT(-ENOENT);
	struct reader s;
	int err = 0;

	if (!reader_init(&s, a))
		return INT(-ERANGE);
	for (uint32_t i = 0; i < STRING_MAX; i++) {
		const uint8_t x = byte(&s, i, &err);

		if (err)
			return INT(err);
		if (x == (int)b)
			last = i;
		if (!x)
			return last;
	}
	return INT(-E2BIG);
}

KFUNC(strnlen)
{
	struct reader s;
	uint32_t i;
	int err = 0;

	if (!reader_init(&s, a))
		return INT(-ERANGE);
	for (i = 0; i < b && i < STRING_MAX; i++) {
		const uint8_t x = byte(&s, i, &err);

		if (err)
			return INT(err);
		if (!x)
			return i;
	}
	return i == STRING_MAX ? INT(-E2BIG) : i;
}

KFUNC(strlen)
{
	return kfunc_strnlen(a, STRING_MAX, 0, 0, 0, vc);
}

/* How many characters at the beginning are (or are not) among those of b. */
static uint64_t span(uint64_t a, uint64_t b, bool among)
{
	struct reader s, set;
	uint32_t i, j;
	int err = 0;

	if (!reader_init(&s, a) || !reader_init(&set, b))
		return INT(-ERANGE);
	for (i = 0; i < STRING_MAX; i++) {
		const uint8_t x = byte(&s, i, &err);
		uint8_t y = 0;

		if (err)
			return INT(err);
		if (!x)
			return i;
		for (j = 0; j < STRING_MAX; j++) {
			y = byte(&set, j, &err);
			if (err)
				return INT(err);
			if (x == y || !y)
				break;
		}
		if (j == STRING_MAX)
			return INT(-E2BIG);
		if ((x == y) != among)
			return i;
	}
	return INT(-E2BIG);
}

KFUNC(strspn)
{
	return span(a, b, true);
}

KFUNC(strcspn)
{
	return span(a, b, false);
}

KFUNC(strnstr)
{
	struct reader s, t;
	uint64_t i, j;
	int err = 0;

	if (!reader_init(&s, a) || !reader_init(&t, b))
		return INT(-ERANGE);
	for (i = 0; i < STRING_MAX; i++) {
		for (j = 0; i + j <= c && j < STRING_MAX; j++) {
			const uint8_t y = byte(&t, (uint32_t)j, &err);
			uint8_t x;

			if (err)
				return INT(err);
			if (!y)
				return i;
			if (i + j == c)
				break;
			x = byte(&s, (uint32_t)(i + j), &err);
			if (err)
				return INT(err);
			if (!x)
				return INT(-ENOENT);
			if (x != y)
				break;
		}
		if (j == STRING_MAX)
			return INT(-E2BIG);
		if (i + j == c)
			return INT(-ENOENT);
	}
	return INT(-E2BIG);
}

KFUNC(strstr)
{
	return kfunc_strnstr(a, b, STRING_MAX, 0, 0, vc);
}
