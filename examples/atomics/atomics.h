/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATOMICS_H
#define ATOMICS_H

#include <linux/types.h>

/* Global variables: each is changed by one kind of atomic operation. */
struct globals {
	__u64 calls;	/* add */
	__s64 left;	/* sub */
	__u64 seen;	/* or: a bit for each worker */
	__u64 odd;	/* xor: a bit for each worker, set after an odd number of its calls */
	__u64 missing;	/* and: a bit for each worker that has not called */
	__u64 last;	/* xchg: the last worker + 1 */
	__u64 changes;	/* how often `last` was another's: what xchg returned */
	__u64 most;	/* cmpxchg: the largest argument so far */
	__u32 small;	/* add, of 4 bytes */
	__u32 careless; /* load, add, store */
};

/* A map's value with members of each size. */
struct sizes {
	__u8 one, many; /* neighbours in one word */
	__u16 two;
	__u32 four;
	__u64 eight;
};

#endif
