/* SPDX-License-Identifier: BSD-2-Clause */
/* Ring buffers behind an array of maps, as libbpf's users have one per CPU. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring0 SEC(".maps"), ring1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps") = {.values = {&ring0, &ring1}};

/* Two records in flight, in the two rings. */
SEC("xdp")
int run(struct xdp_md *ctx)
{
	__u32 zero = 0, one = 1;
	__u64 *a, *b;
	void *r0 = bpf_map_lookup_elem(&rings, &zero), *r1 = bpf_map_lookup_elem(&rings, &one);

	if (!r0 || !r1)
		return 1;
	a = bpf_ringbuf_reserve(r0, 8, 0);
	if (!a)
		return 2;
	b = bpf_ringbuf_reserve(r1, 8, 0);
	if (!b) {
		bpf_ringbuf_discard(a, 0);
		return 3;
	}
	*a = 10;
	*b = 20;
	bpf_ringbuf_submit(a, 0);
	bpf_ringbuf_submit(b, 0);
	return bpf_ringbuf_output(r0, &zero, 4, 0) + (int)bpf_ringbuf_query(r1, BPF_RB_PROD_POS);
}
