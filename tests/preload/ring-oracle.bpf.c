/* SPDX-License-Identifier: BSD-2-Clause */
/* What ring-oracle.c has done on the kernel and on shmap: one helper after another. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_USER_RINGBUF);
	__uint(max_entries, 4096);
} user_ring SEC(".maps");

struct command {
	__u32 op, size, size2, bits;
	__u64 flags, flags2, off;
	__u64 data[8];
	__u64 out[8];
};

#define BIT_DISCARD 1
#define BIT_DISCARD2 2
#define BIT_ORDER 4

/* One reserved record of constant size; its first and last words are written. */
#define RECORD(n, size_)                                                                           \
	static __attribute__((noinline)) long record_##n(struct command *c)                        \
	{                                                                                          \
		__u64 *s = bpf_ringbuf_reserve(&ring, size_, c->flags2);                           \
                                                                                                   \
		if (!s)                                                                            \
			return 1;                                                                  \
		if (size_ >= 8) {                                                                  \
			s[0] = c->data[0];                                                         \
			s[size_ / 8 - 1] = c->data[1];                                             \
		}                                                                                  \
		if (c->bits & BIT_DISCARD)                                                         \
			bpf_ringbuf_discard(s, c->flags);                                          \
		else                                                                               \
			bpf_ringbuf_submit(s, c->flags);                                           \
		return 0;                                                                          \
	}
RECORD(0, 0)
RECORD(1, 8)
RECORD(2, 13)
RECORD(3, 100)
RECORD(4, 1000)
RECORD(5, 4080)
RECORD(6, 4088)
RECORD(7, 4096)
RECORD(8, 16376)

static __attribute__((noinline)) long two(struct command *c)
{
	__u64 *a, *b;

	a = bpf_ringbuf_reserve(&ring, 24, 0);
	if (!a)
		return 1;
	b = bpf_ringbuf_reserve(&ring, 40, 0);
	if (!b) {
		bpf_ringbuf_discard(a, c->flags);
		return 2;
	}
	a[0] = c->data[0];
	b[4] = c->data[1];
	c->out[0] = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	c->out[1] = bpf_ringbuf_query(&ring, BPF_RB_PROD_POS);
	if (c->bits & BIT_DISCARD2)
		bpf_ringbuf_discard(b, c->flags);
	else
		bpf_ringbuf_submit(b, c->flags);
	if (c->bits & BIT_DISCARD)
		bpf_ringbuf_discard(a, c->flags2);
	else
		bpf_ringbuf_submit(a, c->flags2);
	return 0;
}

static __attribute__((noinline)) long dynptr(struct command *c)
{
	__u64 copy[8] = {}, *p;
	struct bpf_dynptr d;

	c->out[0] = bpf_ringbuf_reserve_dynptr(&ring, c->size, c->flags2, &d);
	c->out[1] = bpf_dynptr_write(&d, c->off, c->data, c->size2 & 63, 0);
	c->out[2] = bpf_dynptr_read(copy, c->size2 & 63, &d, c->off, 0);
	c->out[3] = copy[0] + copy[7];
	p = bpf_dynptr_data(&d, c->off, 16);
	if (p) {
		c->out[4] = p[1];
		p[0] ^= c->data[7];
	}
	c->out[5] = bpf_dynptr_read(copy, 8, &d, 0, c->flags & 7);
	c->out[6] = bpf_dynptr_write(&d, 0, copy, 8, c->flags & 7);
	if (c->bits & BIT_DISCARD)
		bpf_ringbuf_discard_dynptr(&d, c->flags);
	else
		bpf_ringbuf_submit_dynptr(&d, c->flags);
	return 0;
}

struct drained {
	__u64 n, hash, stop;
};

static long drain_one(struct bpf_dynptr *d, void *ctx)
{
	struct drained *r = ctx;
	__u64 buf[2] = {}, *p;

	r->n++;
	r->hash = r->hash * 31 + bpf_dynptr_read(buf, 16, d, 0, 0);
	r->hash = r->hash * 31 + buf[0] + buf[1];
	p = bpf_dynptr_data(d, 8, 8);
	r->hash = r->hash * 31 + (p ? *p : 7);
	r->hash = r->hash * 31 + bpf_dynptr_write(d, 0, buf, 8, 0);
	return r->n == r->stop;
}

SEC("xdp")
int run(struct xdp_md *ctx)
{
	struct command *p = (void *)(long)ctx->data, c;
	struct drained r = {};
	long ret = -1;

	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return -1;
	c = *p;
	switch (c.op) {
	case 0:
		ret = record_0(&c);
		break;
	case 1:
		ret = record_1(&c);
		break;
	case 2:
		ret = record_2(&c);
		break;
	case 3:
		ret = record_3(&c);
		break;
	case 4:
		ret = record_4(&c);
		break;
	case 5:
		ret = record_5(&c);
		break;
	case 6:
		ret = record_6(&c);
		break;
	case 7:
		ret = record_7(&c);
		break;
	case 8:
		ret = record_8(&c);
		break;
	case 9:
		ret = bpf_ringbuf_output(&ring, c.data, c.size & 63, c.flags);
		break;
	case 10:
		ret = bpf_ringbuf_query(&ring, c.flags);
		break;
	case 11:
		ret = two(&c);
		break;
	case 12:
		ret = dynptr(&c);
		break;
	case 13:
		r.stop = c.size;
		ret = bpf_user_ringbuf_drain(&user_ring, drain_one, &r, c.flags);
		c.out[0] = r.n;
		c.out[1] = r.hash;
		break;
	}
	p = (void *)(long)ctx->data;
	if ((void *)(p + 1) > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(p->out, c.out, sizeof(c.out));
	return ret;
}
