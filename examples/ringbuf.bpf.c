/* SPDX-License-Identifier: BSD-2-Clause */
/* A record in a ring buffer for each packet. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 * 1024);
} packets SEC(".maps");

struct packet {
	__u32 number, length;
	__u8 first, pad[7];
};

__u32 seen, dropped;

SEC("xdp")
int record_packet(struct xdp_md *ctx)
{
	unsigned char *data = (void *)(long)ctx->data;
	unsigned char *end = (void *)(long)ctx->data_end;
	struct packet *p;

	if (data + 1 > end)
		return XDP_DROP;
	p = bpf_ringbuf_reserve(&packets, sizeof(*p), 0);
	if (!p) {
		__sync_fetch_and_add(&dropped, 1);
		return XDP_PASS;
	}
	p->number = __sync_fetch_and_add(&seen, 1);
	p->length = end - data;
	p->first = data[0];
	if (data[0] == 0xff) /* changed its mind */
		bpf_ringbuf_discard(p, 0);
	else
		bpf_ringbuf_submit(p, 0);
	return XDP_PASS;
}
