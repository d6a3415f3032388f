/* SPDX-License-Identifier: BSD-2-Clause */
#include "sys/packet_run.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/storage.h"
#include "sync/lease.h"
#include "sys/sys.h"
#include "sys/testrun.h"
#include "vm/packet.h"

struct packet_run {
	struct vm_prog *p;
	struct packet *k;
	struct storage_owner sock;
	bool have_sock, hidden_header;
};

int packet_run_begin(struct packet_run **out, struct vm_prog *p, uint32_t snaplen)
{
	struct packet_run *r;
	int err;

	switch (p->type) {
	case BPF_PROG_TYPE_SOCKET_FILTER:
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT:
	case BPF_PROG_TYPE_CGROUP_SKB:
	case BPF_PROG_TYPE_XDP:
		break;
	default:
		return -EINVAL;
	}
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->p = p;
	r->hidden_header = p->type == BPF_PROG_TYPE_CGROUP_SKB;
	r->have_sock = !storage_owner_test_sock(&r->sock);
	err = packet_alloc(&r->k, p->type, snaplen);
	if (err) {
		free(r);
		return err;
	}
	*out = r;
	return 0;
}

static int set_skb(struct packet_run *r, const struct packet_frame *f)
{
	struct __sk_buff *skb = &r->k->ctx.skb;
	int err = packet_set_skb(r->k, f->bytes, f->size, !r->hidden_header);

	if (err)
		return err;
	if (f->wire_size > f->size)
		r->k->missing = f->wire_size - f->size;
	packet_changed(r->k);
	skb->wire_len = skb->len;
	skb->tstamp = f->tstamp;
	skb->pkt_type = f->pkt_type;
	skb->ifindex = skb->ingress_ifindex = f->ifindex ? f->ifindex : 1;
	r->k->sock.owner = r->sock;
	if (!r->have_sock) {
		r->k->env.sock = NULL;
		skb->sk = NULL;
	}
	return 0;
}

static int set_xdp(struct packet_run *r, const struct packet_frame *f)
{
	struct xdp_md *md = &r->k->ctx.xdp;

	if (f->size < PACKET_ETH)
		return -EINVAL;
	memset(md, 0, sizeof(*md));
	md->ingress_ifindex = f->ifindex ? f->ifindex : 1;
	return packet_set_xdp(r->k, f->bytes, f->size, 0, PACKET_XDP_LINEAR(0));
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

int packet_run(struct packet_run *r, const struct packet_frame *f, uint32_t *verdict)
{
	bool stats = sys_stats_enabled();
	uint64_t ret = 0, begin = 0;
	int err;

	err = r->k->is_xdp ? set_xdp(r, f) : set_skb(r, f);
	if (err)
		return err;
	err = lease_acquire();
	if (err < 0) {
		sys_prog_account(r->p, 0, true);
		return err;
	}
	if (stats)
		begin = now_ns();
	err = vm_run(r->p, &r->k->ctx, &r->k->env, &ret);
	lease_release();
	if (stats)
		sys_prog_account(r->p, now_ns() - begin, false);
	*verdict = (uint32_t)ret;
	return err;
}

const void *packet_run_bytes(const struct packet_run *r, uint32_t *size)
{
	const struct packet *k = r->k;
	uint32_t header = r->hidden_header ? PACKET_ETH : 0;

	*size = packet_len(k) + header;
	return k->env.pkt - header;
}

void packet_run_end(struct packet_run *r)
{
	if (r->have_sock)
		test_close_sock(r->p, &r->sock);
	packet_free(r->k);
	free(r);
}
