/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs with ring buffers and dynptrs, right and wrong ones: does each load? */
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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} array SEC(".maps");

__u64 global;

#define PROG(name) SEC("?xdp") int name(struct xdp_md *ctx)

PROG(submit_both_ways)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!s)
		return 0;
	*s = 1;
	if (ctx->rx_queue_index)
		bpf_ringbuf_submit(s, 0);
	else
		bpf_ringbuf_discard(s, 0);
	return 0;
}

PROG(reserve_not_checked)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 8, 0);

	*s = 1;
	bpf_ringbuf_submit(s, 0);
	return 0;
}

PROG(reserve_not_submitted)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 8, 0);

	if (s)
		*s = 1;
	return 0;
}

PROG(submitted_twice)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!s)
		return 0;
	bpf_ringbuf_submit(s, 0);
	bpf_ringbuf_submit(s, 0);
	return 0;
}

PROG(written_after_submit)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!s)
		return 0;
	bpf_ringbuf_submit(s, 0);
	*s = 1;
	return 0;
}

PROG(written_beyond)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!s)
		return 0;
	s[1] = 1;
	bpf_ringbuf_submit(s, 0);
	return 0;
}

PROG(written_before)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!s)
		return 0;
	s[-1] = 1;
	bpf_ringbuf_submit(s, 0);
	return 0;
}

PROG(submitted_in_the_middle)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 16, 0);

	if (!s)
		return 0;
	bpf_ringbuf_submit(s + 1, 0);
	return 0;
}

PROG(size_not_constant)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, ctx->rx_queue_index & 63, 0);

	if (s)
		bpf_ringbuf_submit(s, 0);
	return 0;
}

PROG(value_submitted)
{
	__u32 key = 0;
	__u64 *v = bpf_map_lookup_elem(&array, &key);

	if (v)
		bpf_ringbuf_submit(v, 0);
	return 0;
}

PROG(lookup_in_a_ring)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&ring, &key) != 0;
}

PROG(output_to_an_array)
{
	__u64 v = 1;

	return bpf_ringbuf_output(&array, &v, 8, 0);
}

PROG(output_to_a_user_ring)
{
	__u64 v = 1;

	return bpf_ringbuf_output(&user_ring, &v, 8, 0);
}

PROG(query_a_user_ring)
{
	return bpf_ringbuf_query(&user_ring, 0);
}

PROG(record_as_value)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 8, 0);
	__u32 key = 0;

	if (!s)
		return 0;
	*s = 5;
	bpf_map_update_elem(&array, &key, s, 0);
	bpf_ringbuf_output(&ring, s, 8, 0);
	bpf_ringbuf_submit(s, 0);
	return 0;
}

PROG(dynptr_right)
{
	struct bpf_dynptr p;
	__u64 v = 1, *d;

	if (!bpf_ringbuf_reserve_dynptr(&ring, ctx->rx_queue_index, 0, &p)) {
		bpf_dynptr_write(&p, 0, &v, 8, 0);
		d = bpf_dynptr_data(&p, 0, 8);
		if (d)
			*d = 3;
	}
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_not_submitted_on_error)
{
	struct bpf_dynptr p;

	if (bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p))
		return 0;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_never_submitted)
{
	struct bpf_dynptr p;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	return 0;
}

PROG(dynptr_submitted_twice)
{
	struct bpf_dynptr p;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	bpf_ringbuf_submit_dynptr(&p, 0);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_data_after_submit)
{
	struct bpf_dynptr p;
	__u64 *d;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	d = bpf_dynptr_data(&p, 0, 8);
	bpf_ringbuf_submit_dynptr(&p, 0);
	if (d)
		*d = 1;
	return 0;
}

PROG(dynptr_data_checked_then_submitted)
{
	struct bpf_dynptr p;
	__u64 *d;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	d = bpf_dynptr_data(&p, 0, 8);
	if (!d) {
		bpf_ringbuf_discard_dynptr(&p, 0);
		return 0;
	}
	bpf_ringbuf_submit_dynptr(&p, 0);
	*d = 1;
	return 0;
}

PROG(dynptr_data_beyond)
{
	struct bpf_dynptr p;
	__u64 *d;

	bpf_ringbuf_reserve_dynptr(&ring, 16, 0, &p);
	d = bpf_dynptr_data(&p, 0, 8);
	if (d)
		d[1] = 1;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_data_not_checked)
{
	struct bpf_dynptr p;
	__u64 *d;

	bpf_ringbuf_reserve_dynptr(&ring, 16, 0, &p);
	d = bpf_dynptr_data(&p, 0, 8);
	*d = 1;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_data_submitted)
{
	struct bpf_dynptr p;
	__u64 *d;

	bpf_ringbuf_reserve_dynptr(&ring, 16, 0, &p);
	d = bpf_dynptr_data(&p, 0, 8);
	if (d)
		bpf_ringbuf_submit(d, 0);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_overwritten)
{
	struct bpf_dynptr p;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	*(volatile __u64 *)&p = 0;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_read_directly)
{
	struct bpf_dynptr p;
	__u64 v;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	v = *(volatile __u64 *)&p;
	bpf_ringbuf_submit_dynptr(&p, 0);
	return v;
}

PROG(dynptr_made_twice)
{
	struct bpf_dynptr p;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_written_by_a_helper)
{
	struct bpf_dynptr p, q;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	bpf_dynptr_read(&p, 8, &p, 0, 0);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_never_made)
{
	struct bpf_dynptr p = {};
	__u64 v;

	return bpf_dynptr_read(&v, 8, &p, 0, 0);
}

PROG(dynptr_upper_half)
{
	struct bpf_dynptr p[2];

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, p);
	bpf_ringbuf_submit_dynptr((void *)p + 8, 0);
	return 0;
}

PROG(dynptr_as_a_key)
{
	struct bpf_dynptr p;

	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
	bpf_map_lookup_elem(&array, &p);
	bpf_ringbuf_submit_dynptr(&p, 0);
	return 0;
}

PROG(dynptr_in_global_memory)
{
	return bpf_ringbuf_reserve_dynptr(&ring, 8, 0, (void *)&global);
}

PROG(dynptr_place_used_again)
{
	struct bpf_dynptr p;

	for (int i = 0; i < 3; i++) {
		bpf_ringbuf_reserve_dynptr(&ring, 8, 0, &p);
		bpf_ringbuf_submit_dynptr(&p, 0);
	}
	return 0;
}

static long cb_right(struct bpf_dynptr *d, void *ctx)
{
	__u64 v, *p;

	bpf_dynptr_read(&v, 8, d, 0, 0);
	p = bpf_dynptr_data(d, 0, 8);
	if (p)
		*p = v;
	return 0;
}

PROG(drain_right)
{
	return bpf_user_ringbuf_drain(&user_ring, cb_right, NULL, 0);
}

PROG(drain_a_ring)
{
	return bpf_user_ringbuf_drain(&ring, cb_right, NULL, 0);
}

static long cb_returns_anything(struct bpf_dynptr *d, void *ctx)
{
	return bpf_get_prandom_u32();
}

PROG(drain_returns_anything)
{
	return bpf_user_ringbuf_drain(&user_ring, cb_returns_anything, NULL, 0);
}

static long cb_reads_the_dynptr(struct bpf_dynptr *d, void *ctx)
{
	return *(volatile __u64 *)d & 1;
}

PROG(drain_reads_the_dynptr)
{
	return bpf_user_ringbuf_drain(&user_ring, cb_reads_the_dynptr, NULL, 0);
}

static long cb_submits(struct bpf_dynptr *d, void *ctx)
{
	bpf_ringbuf_submit_dynptr(d, 0);
	return 0;
}

PROG(drain_submits)
{
	return bpf_user_ringbuf_drain(&user_ring, cb_submits, NULL, 0);
}

static long cb_makes(struct bpf_dynptr *d, void *ctx)
{
	bpf_ringbuf_reserve_dynptr(&ring, 8, 0, d);
	return 0;
}

PROG(drain_makes)
{
	return bpf_user_ringbuf_drain(&user_ring, cb_makes, NULL, 0);
}

static long cb_adds(struct bpf_dynptr *d, void *ctx)
{
	__u64 v;

	return bpf_dynptr_read(&v, 8, (void *)d + 8, 0, 0) & 1;
}

PROG(drain_adds)
{
	return bpf_user_ringbuf_drain(&user_ring, cb_adds, NULL, 0);
}

static long cb_uses_ctx(struct bpf_dynptr *d, void *ctx)
{
	++*(__u64 *)ctx;
	return 0;
}

PROG(drain_counts)
{
	__u64 n = 0;

	bpf_user_ringbuf_drain(&user_ring, cb_uses_ctx, &n, 0);
	return n;
}

static long cb_keeps_a_record(struct bpf_dynptr *d, void *ctx)
{
	void *s = bpf_ringbuf_reserve(&ring, 8, 0);

	return s != 0;
}

PROG(drain_keeps_a_record)
{
	return bpf_user_ringbuf_drain(&user_ring, cb_keeps_a_record, NULL, 0);
}

static long cb_passes_on(struct bpf_dynptr *d, void *ctx)
{
	__u64 *s = bpf_ringbuf_reserve(&ring, 8, 0);

	if (!s)
		return 1;
	if (bpf_dynptr_read(s, 8, d, 0, 0))
		bpf_ringbuf_discard(s, 0);
	else
		bpf_ringbuf_submit(s, 0);
	return 0;
}

PROG(drain_passes_on)
{
	return bpf_user_ringbuf_drain(&user_ring, cb_passes_on, NULL, 0);
}
