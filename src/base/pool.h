/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small objects of one size, from memory of our own.
 *
 * bpf(2) and close(2) may be called in a signal handler that interrupted its
 * thread inside malloc(3); what they need on the way comes from here. Neither
 * function waits for anybody: a handler may come on top of either of them,
 * or of another thread's. Memory is kept for the next object, never given back.
 */
#ifndef SHMAP_BASE_POOL_H
#define SHMAP_BASE_POOL_H

#include <stdint.h>

struct pool_slab;

struct pool {
	uint32_t size;		 /* of an object; at most POOL_SIZE_MAX */
	struct pool_slab *slabs; /* grows only */
	struct pool_slab *hint;	 /* where something was free lately, or NULL */
};

#define POOL_SIZE_MAX 1024
#define POOL_OF(type)                                                                              \
	{                                                                                          \
		.size = sizeof(type)                                                               \
	}

/* Zeroed, aligned to a cache line; NULL: no memory. */
void *pool_alloc(struct pool *p);
/* NULL is allowed. */
void pool_free(struct pool *p, void *object);

#endif
