/* SPDX-License-Identifier: BSD-2-Clause */
/* Records of 8 bytes, as many as the packet says. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 1 << 20);
} user_ring SEC(".maps");

struct loop {
	__u64 next, flags, sent;
};

static long one(__u32 i, struct loop *l)
{
	__u64 *sample = bpf_ringbuf_reserve(&ring, sizeof(*sample), 0);

	if (!sample)
		return 1;
	*sample = l->next++;
	bpf_ringbuf_submit(sample, l->flags);
	l->sent++;
	return 0;
}

SEC("xdp")
int produce(struct xdp_md *ctx)
{
	__u64 *p = (void *)(long)ctx->data;
	struct loop l = {};

	if ((void *)(p + 4) > (void *)(long)ctx->data_end)
		return -1;
	l.next = p[0];
	l.flags = p[1];
	bpf_loop(p[2], one, &l, 0);
	return l.sent;
}

static long take(struct bpf_dynptr *d, __u64 *sum)
{
	__u64 *sample = bpf_dynptr_data(d, 0, sizeof(*sample));

	if (sample)
		*sum += *sample;
	return 0;
}

SEC("xdp")
int drain(struct xdp_md *ctx)
{
	__u64 sum = 0;

	return bpf_user_ringbuf_drain(&user_ring, take, &sum, BPF_RB_NO_WAKEUP);
}
