// SPDX-License-Identifier: BSD-2-Clause
/* PROG_TEST_RUN of programs on packets: __sk_buff and xdp_md, in and out. */
#include <stdlib.h>
#include <string.h>
#include <arpa/inet.h>
#include <linux/if_ether.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "map/storage.h"
#include "sys/sys.h"
#include "sys/testrun.h"
#include "vm/packet.h"

#define SKB_HEADROOM 64 /* as the size limit counts it */
#define SKB_MAX (PACKET_FRAME - SKB_HEADROOM - PACKET_TAIL)
#define TEST_SKB_CHECKSUM_COMPLETE 4
#define GSO_SEGS_MAX 65535
#define WIRE_MAX 65536
#define META_MAX 252
#define IP4_LEN 20
#define IP6_LEN 40

/* The caller's packet in private memory. */
static int copy_packet(const union sys_attr *attr, uint32_t size, uint8_t **out)
{
	uint8_t *bytes = malloc(size);

	if (!bytes)
		return -ENOMEM;
	if (uaccess_copy(bytes, sys_ptr(attr->test.data_in), size)) {
		free(bytes);
		return -EFAULT;
	}
	*out = bytes;
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
static bool skb_fields_ok(const struct __sk_buff *skb)
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
			return false;
	return true;
}

/* A packet of IP must have its header. */
static bool skb_has_header(const struct packet *k)
{
	uint32_t l3 = k->env.pkt_end - (k->mem + k->net);

	if (k->ctx.skb.protocol == htons(ETH_P_IP))
		return l3 >= IP4_LEN;
	return k->ctx.skb.protocol != htons(ETH_P_IPV6) || l3 >= IP6_LEN;
}

/* The length on the wire is told with the context alone. */
static int skb_without_ctx(struct packet *k)
{
	k->ctx.skb.wire_len = 0;
	return skb_has_header(k) ? 0 : -EINVAL;
}

static int skb_from_user(struct packet *k, const struct __sk_buff *in)
{
	struct __sk_buff *skb = &k->ctx.skb;

	if (in->ifindex > 1) /* the loopback device is all that there is */
		return -ENODEV;
	if (!skb_has_header(k) || !skb_fields_ok(in))
		return -EINVAL;
	skb->mark = in->mark;
	skb->priority = in->priority;
	skb->ingress_ifindex = in->ingress_ifindex;
	skb->tstamp = in->tstamp;
	memcpy(skb->cb, in->cb, sizeof(skb->cb));
	if (in->wire_len) {
		if (in->wire_len < skb->len || in->wire_len > WIRE_MAX)
			return -EINVAL;
		skb->wire_len = in->wire_len;
	}
	if (in->gso_segs > GSO_SEGS_MAX)
		return -EINVAL;
	skb->gso_segs = in->gso_segs;
	skb->gso_size = (uint16_t)in->gso_size;
	skb->hwtstamp = in->hwtstamp;
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

void test_close_sock(const struct vm_prog *p, const struct storage_owner *sock)
{
	uint32_t i;

	for (i = 0; i < p->map_cnt; i++) {
		const struct storage_ops *ops = p->maps[i]->ops->storage;

		if (ops && ops->kind == STORAGE_SOCK)
			ops->drop(p->maps[i], sock);
	}
}

/* A socket filter does not see the link header: it comes back as zeros. */
static int skb_unhide_header(struct packet *k)
{
	int err = packet_need_head(k, PACKET_ETH);

	if (err)
		return err;
	k->env.pkt -= PACKET_ETH;
	memset(k->env.pkt, 0, PACKET_ETH);
	packet_changed(k);
	return 0;
}

static int run_skb(struct test_run *t, struct packet *k, struct __sk_buff *user, bool l2)
{
	const bool complete = t->attr->test.flags & TEST_SKB_CHECKSUM_COMPLETE;
	uint32_t sum;
	int err;

	if (complete)
		packet_csum_complete(k);
	err = test_run_repeated(t, &k->ctx, &k->env, t->attr->test.repeat);
	if (err)
		return err;
	if (!l2) {
		err = skb_unhide_header(k);
		if (err)
			return err;
	}
	if (complete) {
		sum = csum_bytes(k->mem + k->net, k->env.pkt_end - (k->mem + k->net), 0);
		if (csum_fold16(sum) != csum_fold16(k->csum))
			return -EBADMSG;
	}
	skb_to_user(user, &k->ctx.skb);
	err = test_finish_data(t, k->env.pkt, packet_headlen(k), 0);
	return err ? err : test_finish_ctx(t, user, sizeof(*user));
}

static bool sees_link_header(uint32_t type)
{
	return type == BPF_PROG_TYPE_SCHED_CLS || type == BPF_PROG_TYPE_SCHED_ACT;
}

static int skb_on(struct test_run *t, struct packet *k, const uint8_t *bytes)
{
	struct __sk_buff skb = {0};
	struct storage_owner cgroup;
	bool l2 = sees_link_header(t->p->type);
	int err = test_copy_ctx_in(t->attr, &skb, sizeof(skb));

	if (!err)
		err = packet_set_skb(k, bytes, t->attr->test.data_size_in, l2);
	if (!err && (t->attr->test.ctx_in || t->attr->test.ctx_out))
		err = skb_from_user(k, &skb);
	else if (!err)
		err = skb_without_ctx(k);
	if (err)
		return err;
	k->env.cgroup = &cgroup;
	if (storage_owner_test_sock(&k->sock.owner)) {
		k->env.sock = NULL;
		k->ctx.skb.sk = NULL;
	}
	err = run_skb(t, k, &skb, l2);
	if (k->env.sock)
		test_close_sock(t->p, &k->sock.owner);
	return err;
}

int test_skb(struct test_run *t)
{
	const union sys_attr *attr = t->attr;
	uint32_t size = attr->test.data_size_in;
	struct packet *k;
	uint8_t *bytes;
	int err;

	if ((attr->test.flags & ~TEST_SKB_CHECKSUM_COMPLETE) || attr->test.cpu ||
	    attr->test.batch_size)
		return -EINVAL;
	if (size < PACKET_ETH || size > SKB_MAX)
		return -EINVAL;
	err = copy_packet(attr, size, &bytes);
	if (err)
		return err;
	err = packet_alloc(&k, t->p->type, size);
	if (!err) {
		err = skb_on(t, k, bytes);
		packet_free(k);
	}
	free(bytes);
	return err;
}

/* Metadata stands in front of the packet: [0, data) of the caller's bytes. */
static bool xdp_limits_ok(const struct xdp_md *md, uint32_t size)
{
	return !md->data_meta && md->data_end <= size && md->data <= md->data_end &&
	       md->data % 4 == 0 && md->data <= META_MAX &&
	       md->data <= PACKET_XDP_HEADROOM - PACKET_XDP_FRAME;
}

static int xdp_device_ok(const struct xdp_md *md)
{
	if (md->egress_ifindex)
		return -EINVAL;
	if (md->ingress_ifindex > 1)
		return -ENODEV;
	return md->rx_queue_index ? -EINVAL : 0; /* the loopback device has one queue */
}

static int run_xdp(struct test_run *t, struct packet *k, struct xdp_md *user)
{
	int err;

	memset(&k->ctx.xdp, 0, sizeof(k->ctx.xdp));
	k->ctx.xdp.ingress_ifindex = 1;
	err = test_run_repeated(t, &k->ctx, &k->env, t->attr->test.repeat);
	if (err)
		return err;
	user->data = k->env.pkt - k->env.pkt_meta;
	user->data_end = k->env.pkt_end - k->env.pkt_meta;
	err = test_finish_data(t, k->env.pkt_meta, user->data + packet_len(k),
			       packet_len(k) - packet_headlen(k));
	return err ? err : test_finish_ctx(t, user, sizeof(*user));
}

/* The linear part is copied before the device is looked at, the fragments after it. */
static int xdp_on(struct test_run *t, struct xdp_md *md, uint32_t linear)
{
	uint32_t most = linear + PACKET_FRAGS * PACKET_FRAME, size = t->attr->test.data_size_in;
	const uint8_t *in = sys_ptr(t->attr->test.data_in);
	struct packet *k;
	uint8_t *bytes;
	int err;

	if (size < most)
		most = size;
	bytes = malloc(most);
	if (!bytes)
		return -ENOMEM;
	err = packet_alloc(&k, BPF_PROG_TYPE_XDP, most);
	if (err)
		goto out;
	err = uaccess_copy(bytes, in, linear) ? -EFAULT : xdp_device_ok(md);
	if (!err && uaccess_copy(bytes + linear, uaccess_at(in, linear), most - linear))
		err = -EFAULT;
	if (!err && most < size)
		err = -ENOMEM;
	if (!err)
		err = packet_set_xdp(k, bytes, size, md->data, linear);
	if (!err)
		err = run_xdp(t, k, md);
	packet_free(k);
out:
	free(bytes);
	return err;
}

int test_xdp(struct test_run *t)
{
	const union sys_attr *attr = t->attr;
	uint32_t size = attr->test.data_size_in, linear = size;
	struct xdp_md md = {0};
	int err;

	if (t->p->expected_attach_type == BPF_XDP_DEVMAP ||
	    t->p->expected_attach_type == BPF_XDP_CPUMAP)
		return -EINVAL;
	/* live frames would leave through a device; there is none */
	if (attr->test.flags || attr->test.batch_size)
		return -EINVAL;
	/* A context that is only asked for is one of zeros: no byte is in the linear part. */
	if (attr->test.ctx_in || attr->test.ctx_out) {
		err = test_copy_ctx_in(attr, &md, sizeof(md));
		if (err)
			return err;
		if (!xdp_limits_ok(&md, size))
			return -EINVAL;
		linear = md.data_end;
	}
	if (linear > PACKET_XDP_LINEAR(md.data))
		linear = PACKET_XDP_LINEAR(md.data);
	if (size - md.data < PACKET_ETH)
		return -EINVAL;
	return xdp_on(t, &md, linear);
}
