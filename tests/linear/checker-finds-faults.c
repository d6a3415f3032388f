/* SPDX-License-Identifier: BSD-2-Clause */
/* The checker itself: small histories, right ones and wrong ones. */
#include "../check.h"
#include "linear.h"

#define E(op, call, ret_time, ret, value)                                                          \
	{                                                                                          \
		call, ret_time, value, ret, LINEAR_##op, 0                                         \
	}
#define FINE(step, room, ...) check_one(step, room, true, __VA_ARGS__)
#define WRONG(step, room, ...) check_one(step, room, false, __VA_ARGS__)
#define check_one(step, room, fine, ...)                                                           \
	do {                                                                                       \
		const struct linear_event h[] = {__VA_ARGS__};                                     \
		long bad = linear_check(h, sizeof(h) / sizeof(h[0]), linear_##step, &empty, room); \
		CHECK(fine ? bad == -1 : bad >= 0);                                                \
	} while (0)

static const struct linear_state empty;

int main(void)
{
	/* in order */
	FINE(register, 1, E(PUT, 1, 2, 0, 7), E(READ, 3, 4, 0, 7));
	WRONG(register, 1, E(PUT, 1, 2, 0, 7), E(READ, 3, 4, 0, 8));
	WRONG(register, 1, E(PUT, 1, 2, 0, 7), E(READ, 3, 4, -ENOENT, 0));
	FINE(register, 1, E(READ, 1, 2, -ENOENT, 0), E(PUT_OLD, 3, 4, -ENOENT, 1));
	WRONG(register, 1, E(PUT, 1, 2, 0, 7), E(PUT_NEW, 3, 4, 0, 8));
	/* at the same time: either order */
	FINE(register, 1, E(PUT, 1, 4, 0, 7), E(READ, 2, 3, 0, 7));
	FINE(register, 1, E(PUT, 1, 4, 0, 7), E(READ, 2, 3, -ENOENT, 0));
	/* what was seen new is not seen old afterwards */
	WRONG(register, 1, E(PUT, 1, 2, 0, 1), E(PUT, 3, 9, 0, 2), E(READ, 4, 5, 0, 2),
	      E(READ, 6, 7, 0, 1));
	/* one of two takers gets it */
	FINE(register, 1, E(PUT, 1, 2, 0, 1), E(TAKE, 3, 6, 0, 1), E(TAKE, 4, 5, -ENOENT, 0));
	WRONG(register, 1, E(PUT, 1, 2, 0, 1), E(TAKE, 3, 6, 0, 1), E(TAKE, 4, 5, 0, 1));
	/* the killed one's change: sooner, later or never, but once */
	FINE(register, 1, E(PUT, 1, 0, 0, 7), E(READ, 2, 3, -ENOENT, 0), E(READ, 4, 5, 0, 7));
	FINE(register, 1, E(PUT, 1, 0, 0, 7), E(READ, 2, 3, -ENOENT, 0));
	WRONG(register, 1, E(PUT, 1, 0, 0, 7), E(TAKE, 2, 3, 0, 7), E(READ, 4, 5, 0, 7));
	/* whole maps */
	FINE(queue, 2, E(PUT, 1, 2, 0, 1), E(PUT, 3, 4, 0, 2), E(PUT, 5, 6, -E2BIG, 3),
	     E(TAKE, 7, 8, 0, 1), E(TAKE, 9, 10, 0, 2), E(TAKE, 11, 12, -ENOENT, 0));
	WRONG(queue, 2, E(PUT, 1, 2, 0, 1), E(PUT, 3, 4, 0, 2), E(TAKE, 5, 6, 0, 2));
	FINE(stack, 2, E(PUT, 1, 2, 0, 1), E(PUT, 3, 4, 0, 2), E(TAKE, 5, 6, 0, 2));
	WRONG(stack, 2, E(PUT, 1, 2, 0, 1), E(PUT, 3, 4, 0, 2), E(TAKE, 5, 6, 0, 1));
	FINE(stack, 2, E(PUT, 1, 2, 0, 1), E(PUT, 3, 4, 0, 2), E(PUT_OLD, 5, 6, 0, 3),
	     E(TAKE, 7, 8, 0, 3), E(TAKE, 9, 10, 0, 2), E(READ, 11, 12, -ENOENT, 0));
	/* both pushes at once: the pops tell the order, the same for all */
	FINE(queue, 2, E(PUT, 1, 5, 0, 1), E(PUT, 2, 5, 0, 2), E(READ, 6, 7, 0, 2),
	     E(TAKE, 8, 9, 0, 2));
	WRONG(queue, 2, E(PUT, 1, 5, 0, 1), E(PUT, 2, 5, 0, 2), E(READ, 6, 7, 0, 2),
	      E(TAKE, 8, 9, 0, 1));
	return check_done();
}
