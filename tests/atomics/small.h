/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SMALL_H
#define SMALL_H

#include <linux/types.h>

#define CELL_BYTES 12

struct cell {
	__u8 bytes[CELL_BYTES];
	__u32 guard;
};

enum {
	OP_ADD,
	OP_SUB,
	OP_OR,
	OP_AND,
	OP_XOR,
	OP_XCHG,
	OP_CMPXCHG,
	OP_LOAD,
	OP_STORE,
	OPS,
	OP_WEAK_ADD = OPS,
	OP_WEAK_WORD,
};

/* The packet that says what to do. */
struct request {
	__u32 op, index, v, expected;
};

#endif
