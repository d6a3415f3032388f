// SPDX-License-Identifier: BSD-2-Clause
/* Writes records to the perf events: as many as the packet says. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct sample {
	__u32 who, seq;
	__u64 check;
	__u64 more[3];
};

struct command {
	__u32 who, first, count, written;
	__s64 last_error;
	__u64 pad[2];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
	__uint(key_size, 4);
	__uint(value_size, 4);
} events SEC(".maps");

SEC("xdp")
int run(struct xdp_md *ctx)
{
	struct command *c = (void *)(long)ctx->data;
	__u32 i;

	if ((void *)(c + 1) > (void *)(long)ctx->data_end)
		return -1;
	for (i = 0; i < 64 && i < c->count; i++) {
		struct sample s = {.who = c->who, .seq = c->first + i};
		long err;

		s.check = ((__u64)s.who << 32 | s.seq) * 0x9e3779b97f4a7c15ull;
		s.more[0] = s.more[1] = s.more[2] = s.check;
		err = bpf_perf_event_output(ctx, &events, BPF_F_CURRENT_CPU, &s, sizeof(s));
		if (err)
			c->last_error = err;
		else
			c->written++;
	}
	return 0;
}

char _license[] SEC("license") = "GPL";
