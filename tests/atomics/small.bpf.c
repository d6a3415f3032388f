/* SPDX-License-Identifier: BSD-2-Clause */
/* Each operation of shmap_helpers.h, by number; and code that is weaker. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "shmap_helpers.h"
#include "small.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct cell);
} cells SEC(".maps");

/* Where the operation is at a member: the offset is a constant. */
static __always_inline long do_member8(struct cell *c, const struct request *r)
{
	switch (r->op) {
	case OP_ADD:
		return shmap_fetch_add8(SHMAP_AT(c, bytes[2]), r->v);
	case OP_XCHG:
		return shmap_xchg8(SHMAP_AT(c, bytes[2]), r->v);
	case OP_AND:
		return shmap_fetch_and8(SHMAP_AT(c, bytes[2]), r->v);
	}
	return -2;
}

static __always_inline long do8(struct cell *c, const struct request *r)
{
	__u32 i = r->index;

	if (i >= CELL_BYTES)
		return -2;
	switch (r->op) {
	case OP_ADD:
		return shmap_fetch_add8(c, i, r->v);
	case OP_SUB:
		return shmap_fetch_sub8(c, i, r->v);
	case OP_OR:
		return shmap_fetch_or8(c, i, r->v);
	case OP_AND:
		return shmap_fetch_and8(c, i, r->v);
	case OP_XOR:
		return shmap_fetch_xor8(c, i, r->v);
	case OP_XCHG:
		return shmap_xchg8(c, i, r->v);
	case OP_CMPXCHG:
		return shmap_cmpxchg8(c, i, r->expected, r->v);
	case OP_LOAD:
		return shmap_load_acquire8(c, i);
	case OP_STORE:
		shmap_store_release8(c, i, r->v);
		return 0;
	case OP_WEAK_ADD: /* another's change between load and store is lost */
		c->bytes[i] += r->v;
		return 0;
	case OP_WEAK_WORD: /* carries go into the neighbour */
		return __sync_fetch_and_add(shmap_word(c, i), (__u32)r->v << (i & 3) * 8);
	}
	return -2;
}

static __always_inline long do16(struct cell *c, const struct request *r)
{
	__u32 i = r->index;

	if (i >= CELL_BYTES)
		return -2;
	switch (r->op) {
	case OP_ADD:
		return shmap_fetch_add16(c, i, r->v);
	case OP_SUB:
		return shmap_fetch_sub16(c, i, r->v);
	case OP_OR:
		return shmap_fetch_or16(c, i, r->v);
	case OP_AND:
		return shmap_fetch_and16(c, i, r->v);
	case OP_XOR:
		return shmap_fetch_xor16(c, i, r->v);
	case OP_XCHG:
		return shmap_xchg16(c, i, r->v);
	case OP_CMPXCHG:
		return shmap_cmpxchg16(c, i, r->expected, r->v);
	case OP_LOAD:
		return shmap_load_acquire16(c, i);
	case OP_STORE:
		shmap_store_release16(c, i, r->v);
		return 0;
	}
	return -2;
}

#define PROGRAM(name, function)                                                                    \
	SEC("xdp")                                                                                 \
	int name(struct xdp_md *ctx)                                                               \
	{                                                                                          \
		void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;          \
		struct request *r = data;                                                          \
		struct cell *c;                                                                    \
		__u32 key = 0;                                                                     \
                                                                                                   \
		if (data + sizeof(*r) > end)                                                       \
			return -2;                                                                 \
		c = bpf_map_lookup_elem(&cells, &key);                                             \
		return c ? function(c, r) : -2;                                                    \
	}

PROGRAM(member8, do_member8)
PROGRAM(on8, do8)
PROGRAM(on16, do16)
