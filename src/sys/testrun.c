// SPDX-License-Identifier: BSD-2-Clause
/*
 * PROG_TEST_RUN: runs a program on data of the caller's, under a CPU lease.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/storage.h"
#include "sync/lease.h"
#include "sys/check.h"
#include "sys/prog.h"
#include "sys/prog_cache.h"
#include "sys/sys.h"
#include "vm/verifier.h"

#define ETH_HEADER 14
#define HEADROOM 256	/* XDP_PACKET_HEADROOM */
#define SKB_HEADROOM 64 /* NET_SKB_PAD + NET_IP_ALIGN, as the size limit counts it */
#define SHARED_INFO 320 /* struct skb_shared_info, rounded up to cache lines */
#define CONTEXT_ARGS_MAX (12 * sizeof(uint64_t)) /* MAX_BPF_FUNC_ARGS */
#define RUNS_PER_LEASE 256
#define LEASE_TRIES 1000
#define TEST_SKB_CHECKSUM_COMPLETE 4
#define XDP_LINEAR_MAX (SHMAP_PAGE - HEADROOM - SHARED_INFO) /* less the metadata */
#define XDP_FRAGS_MAX (17 * SHMAP_PAGE)

/* One command's run. */
struct test_run {
	const union sys_attr *attr;
	union sys_attr *uattr;
	struct vm_prog *p;
	uint32_t retval;
	uint32_t duration; /* ns per run */
	int cpu;	   /* the only CPU to run on, or -1 */
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

/*
 * A lease, on t->cpu where that is asked for: the thread moves there first, as leases
 * go by the CPU that it runs on. 0, -EBUSY, or -ENXIO when it cannot run there.
 */
static int run_acquire(const struct test_run *t)
{
	uint64_t mask[LEASE_CPUS_MAX / 64] = {0};
	int i, err;

	if (t->cpu < 0) {
		err = lease_acquire();
		return err < 0 ? err : 0;
	}
	mask[t->cpu / 64] = 1ULL << (t->cpu % 64);
	if (raw_syscall3(SYS_sched_setaffinity, 0, sizeof(mask), mask) < 0)
		return -ENXIO;
	for (i = 0; i < LEASE_TRIES; i++) {
		err = lease_acquire();
		if (err < 0 || err == t->cpu)
			return err < 0 ? err : 0;
		lease_release();
		raw_sched_yield();
	}
	return -EBUSY;
}

/*
 * Runs the program `repeat` times. Each lease covers a bounded number of runs,
 * so that grace periods go on beside a long test.
 */
static int run_repeated(struct test_run *t, void *ctx, const struct vm_env *env, uint32_t repeat)
{
	uint32_t left = repeat ? repeat : 1, runs = left, n;
	bool stats = sys_stats_enabled();
	uint64_t ret = 0, spent = 0, begin, ns;
	int err = 0;

	while (left && !err) {
		err = run_acquire(t);
		if (err) {
			sys_prog_account(t->p, 0, true);
			return err;
		}
		n = left < RUNS_PER_LEASE && !stats ? left : stats ? 1 : RUNS_PER_LEASE;
		left -= n;
		begin = now_ns();
		for (err = 0; n && !err; n--)
			err = vm_run(t->p, ctx, env, &ret);
		ns = now_ns() - begin;
		lease_release();
		spent += ns;
		if (stats)
			sys_prog_account(t->p, ns, false);
	}
	t->retval = ret;
	spent /= runs;
	t->duration = spent > UINT32_MAX ? UINT32_MAX : spent;
	return err;
}

static int put_u32(uint32_t *user, uint32_t v)
{
	return uaccess_copy(user, &v, sizeof(v)) ? -EFAULT : 0;
}

/* data_out, data_size_out, retval, duration. */
static int finish_data(const struct test_run *t, const void *data, uint32_t size)
{
	const union sys_attr *attr = t->attr;
	void *out = sys_ptr(attr->test.data_out);
	uint32_t n = size;
	int err = 0, fault = -EFAULT;

	/* a size of 0 is no limit: older callers did not fill it */
	if (attr->test.data_size_out && n > attr->test.data_size_out) {
		n = attr->test.data_size_out;
		err = fault = -ENOSPC; /* also when the shorter copy fails, as in the kernel */
	}
	if ((out && uaccess_copy(out, data, n)) ||
	    put_u32(sys_field(t->uattr, test.data_size_out), size) ||
	    put_u32(sys_field(t->uattr, test.retval), t->retval) ||
	    put_u32(sys_field(t->uattr, test.duration), t->duration))
		return fault;
	return err;
}

/* ctx_in into ctx (zero-extended): 0, -E2BIG for a non-zero tail, -EFAULT. */
static int copy_ctx_in(const union sys_attr *attr, void *ctx, uint32_t size)
{
	uint32_t given = attr->test.ctx_size_in;
	const void *in = sys_ptr(attr->test.ctx_in);
	int err;

	if (!in)
		return 0;
	err = sys_check_tail(in, size, given);
	return err ? err : uaccess_copy(ctx, in, given < size ? given : size);
}

static int finish_ctx(const struct test_run *t, const void *ctx, uint32_t size)
{
	const union sys_attr *attr = t->attr;
	void *out = sys_ptr(attr->test.ctx_out);
	uint32_t n = size;
	int err = 0, fault = -EFAULT;

	if (!out)
		return 0;
	if (n > attr->test.ctx_size_out) {
		n = attr->test.ctx_size_out;
		err = fault = -ENOSPC;
	}
	if (uaccess_copy(out, ctx, n) || put_u32(sys_field(t->uattr, test.ctx_size_out), size))
		return fault;
	return err;
}

/* ---- packets ---- */

/* The caller's packet in private memory, headroom bytes into it. */
static int copy_packet(const union sys_attr *attr, uint32_t size, uint32_t headroom, uint8_t **out)
{
	uint8_t *mem = calloc(1, headroom + size + SHARED_INFO);

	if (!mem)
		return -ENOMEM;
	if (uaccess_copy(mem + headroom, sys_ptr(attr->test.data_in), size)) {
		free(mem);
		return -EFAULT;
	}
	*out = mem;
	return 0;
}

static bool all_zero(const void *p, size_t from, size_t to)
{
	const uint8_t *bytes = p;

	for (; from < to; from++)
		if (bytes[from])
			return false;
	return true;
}

#define SKB_OFF(f) offsetof(struct __sk_buff, f)
#define SKB_END(f) (offsetof(struct __sk_buff, f) + sizeof(((struct __sk_buff *)0)->f))

/* Only these fields of the context may be given: the others must be zero. */
static int check_skb(const struct __sk_buff *skb)
{
	static const struct {
		size_t from, to;
	} zero[] = {
		{0, SKB_OFF(mark)},
		{SKB_END(mark), SKB_OFF(priority)},
		{SKB_END(ifindex), SKB_OFF(cb)},
		{SKB_END(cb), SKB_OFF(tstamp)},
		{SKB_END(wire_len), SKB_OFF(gso_segs)},
		{SKB_END(gso_segs), SKB_OFF(gso_size)},
		{SKB_END(gso_size), SKB_OFF(hwtstamp)},
		{SKB_END(hwtstamp), sizeof(struct __sk_buff)},
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(zero); i++)
		if (!all_zero(skb, zero[i].from, zero[i].to))
			return -EINVAL;
	return 0;
}

/*
 * What the stack would have filled in for a packet of this content that
 * arrived on the loopback device.
 */
static int fill_skb(struct __sk_buff *skb, const uint8_t *pkt, uint32_t size, bool l2)
{
	uint16_t ethertype;

	if (skb->ifindex > 1)
		return -ENODEV;
	memcpy(&ethertype, pkt + 12, sizeof(ethertype));
	skb->protocol = ethertype;
	skb->len = l2 ? size : size - ETH_HEADER;
	skb->ifindex = 1;
	if (!skb->wire_len)
		skb->wire_len = skb->len;
	else if (skb->wire_len < skb->len || skb->wire_len > 65536)
		return -EINVAL;
	if (skb->gso_segs > 65535)
		return -EINVAL;
	return 0;
}

/* What the program may have changed goes back; the rest as it was given. */
static void skb_to_user(struct __sk_buff *out, const struct __sk_buff *ran)
{
	out->mark = ran->mark;
	out->priority = ran->priority;
	out->ingress_ifindex = ran->ingress_ifindex;
	out->ifindex = ran->ifindex;
	memcpy(out->cb, ran->cb, sizeof(out->cb));
	out->tstamp = ran->tstamp;
	out->wire_len = ran->wire_len;
	out->gso_segs = ran->gso_segs;
	out->hwtstamp = ran->hwtstamp;
}

/* The run's socket goes, and with it what programs stored for it. */
static void close_sock(const struct vm_prog *p, const struct storage_owner *sock)
{
	uint32_t i;

	for (i = 0; i < p->map_cnt; i++) {
		const struct storage_ops *ops = p->maps[i]->ops->storage;

		if (ops && ops->kind == STORAGE_SOCK)
			ops->drop(p->maps[i], sock);
	}
}

static int run_skb(struct test_run *t, struct __sk_buff *user, uint8_t *mem, uint32_t size)
{
	bool l2 = t->p->type == BPF_PROG_TYPE_SCHED_CLS || t->p->type == BPF_PROG_TYPE_SCHED_ACT;
	uint8_t *pkt = mem + SKB_HEADROOM, *data = l2 ? pkt : pkt + ETH_HEADER;
	struct __sk_buff skb = *user;
	struct vm_env env = {.pkt = data, .pkt_end = pkt + size};
	struct storage_owner sock;
	int err;

	err = fill_skb(&skb, pkt, size, l2);
	if (err)
		return err;
	if (!storage_owner_test_sock(&sock)) {
		env.sock = &sock;
		skb.sk = (void *)&sock;
	}
	err = run_repeated(t, &skb, &env, t->attr->test.repeat);
	if (env.sock)
		close_sock(t->p, &sock);
	if (err)
		return err;
	skb_to_user(user, &skb);
	/* socket filters do not see the link header: it comes back as zeros */
	if (!l2)
		memset(pkt, 0, ETH_HEADER);
	err = finish_data(t, pkt, size);
	return err ? err : finish_ctx(t, user, sizeof(*user));
}

static int test_skb(struct test_run *t)
{
	const union sys_attr *attr = t->attr;
	uint32_t size = attr->test.data_size_in;
	struct __sk_buff skb = {0};
	uint8_t *mem;
	int err;

	if ((attr->test.flags & ~TEST_SKB_CHECKSUM_COMPLETE) || attr->test.cpu ||
	    attr->test.batch_size)
		return -EINVAL;
	if (size < ETH_HEADER || size > SHMAP_PAGE - SKB_HEADROOM - SHARED_INFO)
		return -EINVAL;
	err = copy_packet(attr, size, SKB_HEADROOM, &mem);
	if (err)
		return err;
	err = copy_ctx_in(attr, &skb, sizeof(skb));
	if (!err)
		err = check_skb(&skb);
	if (!err)
		err = run_skb(t, &skb, mem, size);
	free(mem);
	return err;
}

static int check_xdp_md(const struct xdp_md *md, uint32_t size)
{
	/* metadata stands in front of the packet: [0, data) of the caller's bytes */
	if (md->data_meta || md->data_end > size || md->data > md->data_end)
		return -EINVAL;
	if (md->data % 4 || md->data > 252)
		return -EINVAL;
	if (md->egress_ifindex)
		return -EINVAL;
	if (md->ingress_ifindex > 1)
		return -ENODEV;
	return md->rx_queue_index ? -EINVAL : 0; /* the loopback device has one queue */
}

static int run_xdp(struct test_run *t, struct xdp_md *user, uint8_t *mem, uint32_t size)
{
	uint32_t meta = user->data;
	struct xdp_md md = {.ingress_ifindex = 1, .rx_queue_index = user->rx_queue_index};
	/* what does not fit a page stands in fragments, which no pointer reaches */
	uint32_t linear = size < XDP_LINEAR_MAX + meta ? size : XDP_LINEAR_MAX + meta;
	struct vm_env env = {.pkt = mem + HEADROOM + meta, .pkt_end = mem + HEADROOM + linear,
			     .pkt_last = mem + HEADROOM + size};
	int err;

	err = run_repeated(t, &md, &env, t->attr->test.repeat);
	if (err)
		return err;
	user->data = meta;
	user->data_end = size;
	err = finish_data(t, mem + HEADROOM, size);
	return err ? err : finish_ctx(t, user, sizeof(*user));
}

static int test_xdp(struct test_run *t)
{
	const union sys_attr *attr = t->attr;
	uint32_t size = attr->test.data_size_in;
	struct xdp_md md = {0};
	uint8_t *mem;
	int err;

	/* live frames would leave through a device; there is none */
	if (attr->test.flags || attr->test.batch_size)
		return -EINVAL;
	if (t->p->expected_attach_type == BPF_XDP_DEVMAP ||
	    t->p->expected_attach_type == BPF_XDP_CPUMAP)
		return -EINVAL;
	if (attr->test.ctx_in) {
		err = copy_ctx_in(attr, &md, sizeof(md));
		if (!err)
			err = check_xdp_md(&md, size);
		if (err)
			return err;
	} else {
		md.data_end = size;
	}
	if (size < ETH_HEADER)
		return -EINVAL;
	if (size > XDP_LINEAR_MAX + md.data + XDP_FRAGS_MAX)
		return -ENOMEM;
	err = copy_packet(attr, size, HEADROOM, &mem);
	if (err)
		return err;
	err = run_xdp(t, &md, mem, size);
	free(mem);
	return err;
}

/* ---- contexts ---- */

/* Private memory of at least `room` bytes with the caller's context. */
static int copy_ctx(const union sys_attr *attr, uint32_t room, uint8_t **out)
{
	uint32_t size = attr->test.ctx_size_in;
	uint8_t *ctx = calloc(1, (size > room ? size : room) + sizeof(uint64_t));

	if (!ctx)
		return -ENOMEM;
	if (uaccess_copy(ctx, sys_ptr(attr->test.ctx_in), size)) {
		free(ctx);
		return -EFAULT;
	}
	*out = ctx;
	return 0;
}

static uint32_t max_ctx_off(const struct vm_prog *p)
{
	return p->aux ? p->aux[0].max_ctx_off : 0;
}

static int test_raw_tracepoint(struct test_run *t)
{
	const union sys_attr *attr = t->attr;
	uint64_t home[LEASE_CPUS_MAX / 64] = {0};
	uint8_t *ctx;
	int err;

	if (attr->test.data_in || attr->test.data_out || attr->test.ctx_out ||
	    attr->test.duration || attr->test.repeat || attr->test.batch_size)
		return -EINVAL;
	if (attr->test.ctx_size_in < max_ctx_off(t->p) || attr->test.ctx_size_in > CONTEXT_ARGS_MAX)
		return -EINVAL;
	if (attr->test.flags & BPF_F_TEST_RUN_ON_CPU) {
		if (attr->test.cpu >= lease_possible_cpus())
			return -ENXIO;
		t->cpu = attr->test.cpu;
	} else if (attr->test.cpu) {
		return -EINVAL;
	}
	err = copy_ctx(attr, CONTEXT_ARGS_MAX, &ctx);
	if (err)
		return err;
	if (t->cpu >= 0)
		raw_syscall3(SYS_sched_getaffinity, 0, sizeof(home), home);
	err = run_repeated(t, ctx, &(struct vm_env){0}, 1);
	if (t->cpu >= 0)
		raw_syscall3(SYS_sched_setaffinity, 0, sizeof(home), home);
	free(ctx);
	return err ? err : put_u32(sys_field(t->uattr, test.retval), t->retval);
}

static int test_syscall(struct test_run *t)
{
	const union sys_attr *attr = t->attr;
	uint8_t *ctx;
	int err;

	if (attr->test.data_in || attr->test.data_out || attr->test.ctx_out ||
	    attr->test.duration || attr->test.repeat || attr->test.flags || attr->test.batch_size)
		return -EINVAL;
	if (attr->test.ctx_size_in < max_ctx_off(t->p) || attr->test.ctx_size_in > UINT16_MAX)
		return -EINVAL;
	err = copy_ctx(attr, 0, &ctx);
	if (err)
		return err;
	err = run_repeated(t, ctx, &(struct vm_env){.ctx_size = attr->test.ctx_size_in}, 1);
	if (!err)
		err = put_u32(sys_field(t->uattr, test.retval), t->retval);
	/* the context comes back where it came from */
	if (!err && uaccess_copy(sys_ptr(attr->test.ctx_in), ctx, attr->test.ctx_size_in))
		err = -EFAULT;
	free(ctx);
	return err;
}

/*
 * The kernel calls functions of its own that fentry and fexit programs can be
 * attached to, and reports what those return; no program runs here.
 */
static int test_tracing(struct test_run *t)
{
	const union sys_attr *attr = t->attr;

	if (attr->test.flags || attr->test.cpu || attr->test.batch_size)
		return -EINVAL;
	switch (t->p->expected_attach_type) {
	case BPF_TRACE_FENTRY:
	case BPF_TRACE_FEXIT:
		return put_u32(sys_field(t->uattr, test.retval), 0);
	}
	return -EFAULT;
}

static int test_by_type(struct test_run *t)
{
	switch (t->p->type) {
	case BPF_PROG_TYPE_SOCKET_FILTER:
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT:
		return test_skb(t);
	case BPF_PROG_TYPE_XDP:
		return test_xdp(t);
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
	case BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE:
		return test_raw_tracepoint(t);
	case BPF_PROG_TYPE_SYSCALL:
		return test_syscall(t);
	case BPF_PROG_TYPE_TRACING:
		return test_tracing(t);
	}
	return -ENOTSUPP;
}

long sys_cmd_prog_test_run(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	struct test_run t = {.attr = attr, .uattr = uattr, .cpu = -1};
	struct prog_use use;
	int err;

	if (!attr->test.ctx_size_in != !attr->test.ctx_in ||
	    !attr->test.ctx_size_out != !attr->test.ctx_out)
		return -EINVAL;
	err = prog_cache_take(attr->test.prog_fd, &use);
	if (err)
		return err;
	t.p = use.p;
	err = test_by_type(&t);
	prog_cache_give(&use);
	return err;
}
