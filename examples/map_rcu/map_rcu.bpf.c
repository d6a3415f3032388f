/* SPDX-License-Identifier: BSD-2-Clause */
/* Copy, modify, update: a value of a hash is replaced as a whole, its readers keep the old one. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "../pause.h"
#include "map_rcu.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16);
	__type(key, __u32);
	__type(value, struct config);
} configs SEC(".maps");

static __always_inline void make(struct config *c, __u64 changes)
{
	c->changes = changes;
	c->twice = 2 * changes;
	c->squared = changes * changes;
	for (int i = 0; i < 5; i++)
		c->copies[i] = changes;
}

/* Reads, changes a copy, puts the copy in place. */
SEC("tc")
int change(struct __sk_buff *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct config *now, next;
	__u32 key = 1;

	if (data + 2 > end)
		return TC_ACT_SHOT;
	now = bpf_map_lookup_elem(&configs, &key);
	if (!now)
		return TC_ACT_SHOT;
	make(&next, now->changes + 1);
	if (data[1])
		pause_here();
	bpf_map_update_elem(&configs, &key, &next, BPF_EXIST);
	return TC_ACT_OK;
}

/* How it goes wrong: the fields are stored where readers see them one by one. */
SEC("tc")
int careless(struct __sk_buff *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct config *now;
	__u32 key = 2;

	if (data + 2 > end)
		return TC_ACT_SHOT;
	now = bpf_map_lookup_elem(&configs, &key);
	if (!now)
		return TC_ACT_SHOT;
	now->changes++;
	if (data[1])
		pause_here();
	make(now, now->changes);
	return TC_ACT_OK;
}
