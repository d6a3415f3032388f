/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHARED_ARRAY_H
#define SHARED_ARRAY_H

#include <linux/types.h>

#define PLACES 64 /* of the queue: a power of two */
#define SIDES 4

/*
 * The values of an array of __u64, laid out as a struct; what different processes write is on
 * different cache lines.
 */
struct shared {
	__u64 counter, pad[7];
	__u64 careless, pad_careless[7];
	__u64 from_program, pad_program[7];
	/* a queue of one producer and one consumer */
	__u64 tail, pad_tail[7]; /* written by the producer: how many were put */
	__u64 head, pad_head[7]; /* by the consumer: how many were taken */
	__u64 place[PLACES];
	/* a barrier: the phase that each side has come to */
	struct {
		__u64 phase, result, pad[6];
	} side[SIDES];
};

#define VALUES (sizeof(struct shared) / sizeof(__u64))

#endif
