/* SPDX-License-Identifier: BSD-2-Clause */
/* Packets by their first byte, counted for each CPU apart: plain additions are enough. */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
#include "../pause.h"
#include "percpu_counters.h"

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, KINDS);
	__type(key, __u32);
	__type(value, __u64);
} by_index SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, __u64);
} by_name SEC(".maps");

/* One value for all CPUs, for comparison. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} shared SEC(".maps");

SEC("tc")
int count(struct __sk_buff *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 *value, zero = 0;
	__u32 key;

	if (data + 1 > end)
		return TC_ACT_SHOT;
	key = data[0] % KINDS;
	value = bpf_map_lookup_elem(&by_index, &key);
	if (value)
		*value += 1;
	key += 100;
	value = bpf_map_lookup_elem(&by_name, &key);
	if (!value) {
		/* whoever else inserts it meanwhile: NOEXIST keeps what was counted */
		bpf_map_update_elem(&by_name, &key, &zero, BPF_NOEXIST);
		value = bpf_map_lookup_elem(&by_name, &key);
	}
	if (value)
		*value += 1;
	return TC_ACT_OK;
}

/* A program can add up what all CPUs have, too. The first byte is the key. */
SEC("tc")
int total(struct __sk_buff *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 *value, sum = 0;
	__u32 key;

	if (data + 1 > end)
		return 0;
	key = data[0] % KINDS;
	for (__u32 cpu = 0; cpu < 4096; cpu++) {
		value = bpf_map_lookup_percpu_elem(&by_index, &key, cpu);
		if (!value)
			break; /* no such CPU */
		sum += *value;
	}
	return sum;
}

/* How it goes wrong: all CPUs' runs load, add and store one value. */
SEC("tc")
int careless(struct __sk_buff *ctx)
{
	unsigned char *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u64 *value, old;
	__u32 key = 0;

	if (data + 2 > end)
		return TC_ACT_SHOT;
	value = bpf_map_lookup_elem(&shared, &key);
	if (!value)
		return TC_ACT_SHOT;
	old = *(volatile __u64 *)value;
	if (data[1])
		pause_here();
	*(volatile __u64 *)value = old + 1;
	return TC_ACT_OK;
}
