/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the ring buffer tests run: the packet says what to do.
 *
 *   0   u32 op          4   u32 count        8   u64 first
 *   16  u64 flags       24  u32 size        32   u64 results
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 65536);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 65536);
} user_ring SEC(".maps");

/* A sample: the sequence number, and a second word that belongs to it. */
struct sample {
	__u64 seq, check;
};

__u64 drained, drain_next, drain_wrong, drain_stop;

struct command {
	__u32 op, count;
	__u64 first, flags;
	__u32 size, pad;
	__u64 results[4];
};

enum { SUBMIT, DISCARD, OUTPUT, QUERY, DYNPTR, DRAIN };

static long drain_one(struct bpf_dynptr *dynptr, void *ctx)
{
	struct sample s = {};
	__u64 *data;

	if (bpf_dynptr_read(&s, sizeof(s), dynptr, 0, 0)) {
		drain_wrong++;
		return 0;
	}
	data = bpf_dynptr_data(dynptr, 8, 8);
	if (!data || *data != s.check || s.check != s.seq * 3)
		drain_wrong++;
	if (s.seq != drain_next)
		drain_wrong++;
	drain_next = s.seq + 1;
	drained++;
	return drain_stop && drained >= drain_stop;
}

struct loop {
	__u64 first, flags;
	__u32 size, op;
	int ret;
};

static long submit_one(__u32 i, struct loop *l)
{
	struct sample *s = bpf_ringbuf_reserve(&ring, sizeof(*s), 0);

	if (!s)
		return 1;
	s->seq = l->first + i;
	s->check = s->seq * 3;
	bpf_ringbuf_submit(s, l->flags);
	l->ret++;
	return 0;
}

static long discard_one(__u32 i, struct loop *l)
{
	struct sample *s = bpf_ringbuf_reserve(&ring, sizeof(*s), 0);

	if (!s)
		return 1;
	s->seq = s->check = ~0ULL;
	bpf_ringbuf_discard(s, l->flags);
	l->ret++;
	return 0;
}

static long output_one(__u32 i, struct loop *l)
{
	struct sample s = {l->first + i, (l->first + i) * 3};
	long err = bpf_ringbuf_output(&ring, &s, sizeof(s), l->flags);

	if (!err)
		l->ret++;
	else if (!l->ret)
		l->ret = err;
	return !!err;
}

static long dynptr_one(__u32 i, struct loop *l)
{
	struct sample s = {l->first + i, 0};
	struct bpf_dynptr p;
	__u64 *data;

	if (bpf_ringbuf_reserve_dynptr(&ring, l->size, 0, &p) ||
	    bpf_dynptr_write(&p, 0, &s, sizeof(s), 0)) {
		bpf_ringbuf_discard_dynptr(&p, 0);
		return 1;
	}
	data = bpf_dynptr_data(&p, 8, 8);
	if (data)
		*data = s.seq * 3;
	bpf_ringbuf_submit_dynptr(&p, l->flags);
	l->ret++;
	return 0;
}

static long one(__u32 i, struct loop *l)
{
	switch (l->op) {
	case SUBMIT:
		return submit_one(i, l);
	case DISCARD:
		return discard_one(i, l);
	case OUTPUT:
		return output_one(i, l);
	}
	return dynptr_one(i, l);
}

SEC("xdp")
int run(struct xdp_md *ctx)
{
	struct command *c = (void *)(long)ctx->data;
	struct loop l = {};
	__u32 count;

	if ((void *)(c + 1) > (void *)(long)ctx->data_end)
		return -1;
	l.first = c->first;
	l.flags = c->flags;
	l.size = c->size;
	l.op = c->op;
	count = c->count;
	switch (c->op) {
	case SUBMIT:
	case DISCARD:
	case OUTPUT:
	case DYNPTR:
		bpf_loop(count, one, &l, 0);
		return l.ret;
	case QUERY:
		c->results[0] = bpf_ringbuf_query(&ring, 0);
		c->results[1] = bpf_ringbuf_query(&ring, 1);
		c->results[2] = bpf_ringbuf_query(&ring, 2);
		c->results[3] = bpf_ringbuf_query(&ring, 3);
		return bpf_ringbuf_query(&ring, 77);
	case DRAIN:
		return bpf_user_ringbuf_drain(&user_ring, drain_one, NULL, c->flags);
	}
	return -2;
}
