/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ORDER_H
#define ORDER_H

#include <linux/types.h>

#define ROUNDS 2048 /* cells: each is used once, then read by the test */
#define SIDES 2

/* On cache lines of their own: what each side writes, and what each has seen. */
struct cell {
	__u8 x[64], y[64];
	__u32 seen[2][16];
};

/* How far each side is. */
struct sides {
	__u64 round[2][8];
};

enum {
	STORE_BUFFERING, /* each writes one and reads the other's: one at least sees a write */
	STORE_BUFFERING_WEAK,
	MESSAGE_PASSING, /* who sees the flag sees the data */
	MESSAGE_PASSING_WEAK,
};

struct request {
	__u32 test, side;
};

#endif
