/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TECHNIQUE_H
#define TECHNIQUE_H

#include <linux/types.h>

#define WORKERS 4
#define SLOTS 32 /* of a map of maps: inner maps that are swapped */

/*
 * How far each worker is: `begun` before an operation, `done` after it. Who is killed in between
 * has done it or not. A cache line each.
 */
struct ledger {
	__u64 begun, done;
	__u64 torn;		     /* values that it saw and that nobody can have written */
	__u64 lost;		     /* operations that could not be done */
	__u64 toggled, given, taken; /* by done operations: for xor and xchg */
	__u64 pad;
};

struct globals {
	struct ledger ledger[WORKERS];
	__u64 add64, pad64[7];
	__u32 add32, pad32[15];
	__u64 sub64, pad_sub[7];
	__u64 bits_or, pad_or[7];   /* a worker's bit is set by or, cleared by and */
	__u64 bits_xor, pad_xor[7]; /* a worker's bit is the parity of its operations */
	__u64 cmpxchg, pad_cas[7];
	__u64 xchg, pad_xchg[7]; /* a counter that xchg empties */
};

struct sizes {
	__u8 one, other;
	__u16 two;
	__u32 four;
	__u64 eight;
};

/* All fields follow from `count`; the sum of by_worker is count. */
struct account {
	struct bpf_spin_lock lock;
	__u32 low; /* of count */
	__u64 count, twice, inverted;
	__u64 by_worker[WORKERS];
};

/* A value of map RCU, and a key for each worker and one for all. */
struct version {
	__u64 count, inverted, copies[6];
};
#define SHARED WORKERS

struct request {
	__u32 worker, key, pad[14];
};

#endif
