/* SPDX-License-Identifier: BSD-2-Clause */
/* Litmus tests: one run of a program is one side's part of one round. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "shmap_helpers.h"
#include "order.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ROUNDS);
	__type(key, __u32);
	__type(value, struct cell);
} cells SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct sides);
} both SEC(".maps");

#define PLAIN(p) (*(volatile __u8 *)(p))

/* Says that this side has come to its next round, and waits a little for the other. */
static __always_inline __u32 meet(__u32 side)
{
	__u32 zero = 0;
	struct sides *s = bpf_map_lookup_elem(&both, &zero);
	volatile __u64 *mine, *other;
	__u64 round;

	if (!s)
		return ROUNDS;
	mine = &s->round[side & 1][0];
	other = &s->round[!(side & 1)][0];
	round = *mine + 1;
	*mine = round;
	for (int i = 0; i < 3000; i++)
		if (*other >= round)
			break;
	return round - 1;
}

static __always_inline void store_buffering(struct cell *c, __u32 side, int weak)
{
	__u8 seen;

	if (side) {
		if (weak)
			PLAIN(c->y) = 1;
		else
			shmap_xchg8(SHMAP_AT(c, y), 1);
		seen = PLAIN(c->x);
	} else {
		if (weak)
			PLAIN(c->x) = 1;
		else
			shmap_xchg8(SHMAP_AT(c, x), 1);
		seen = PLAIN(c->y);
	}
	c->seen[side][0] = seen + 1; /* 0: not run */
}

/* Side 0 writes the data, then the flag; side 1 reads the flag, then the data. */
static __always_inline void message_passing(struct cell *c, __u32 side, int weak)
{
	__u8 flag, data;

	if (side) {
		flag = weak ? PLAIN(c->y) : shmap_load_acquire8(SHMAP_AT(c, y));
		data = PLAIN(c->x);
		c->seen[1][0] = flag + 1;
		c->seen[1][1] = data + 1;
	} else {
		PLAIN(c->x) = 1;
		if (weak)
			PLAIN(c->y) = 1;
		else
			shmap_store_release8(SHMAP_AT(c, y), 1);
		c->seen[0][0] = 1;
	}
}

SEC("xdp")
int litmus(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct request *r = data;
	struct cell *c;
	__u32 round, side;

	if (data + sizeof(*r) > end)
		return 0;
	side = r->side & 1;
	round = meet(side);
	c = bpf_map_lookup_elem(&cells, &round);
	if (!c)
		return 0;
	switch (r->test) {
	case STORE_BUFFERING:
		store_buffering(c, side, 0);
		break;
	case STORE_BUFFERING_WEAK:
		store_buffering(c, side, 1);
		break;
	case MESSAGE_PASSING:
		message_passing(c, side, 0);
		break;
	case MESSAGE_PASSING_WEAK:
		message_passing(c, side, 1);
		break;
	}
	return 1;
}
