/* SPDX-License-Identifier: BSD-2-Clause */
#include "event/packets.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/pkt_cls.h>

#include "base/bits.h"
#include "base/uapi.h"
#include "sync/lease.h"
#include "sys/sys.h"

/* What a stage's return code does to the packet. */
enum verdict {
	GO_ON,	   /* to the next program */
	GONE,	   /* dropped, or taken */
	ELSEWHERE, /* it leaves by another way: kept, but no later program sees it */
};

static const char *const xdp_names[] = {
	[XDP_ABORTED] = "XDP_ABORTED", [XDP_DROP] = "XDP_DROP",		[XDP_PASS] = "XDP_PASS",
	[XDP_TX] = "XDP_TX",	       [XDP_REDIRECT] = "XDP_REDIRECT",
};

static const char *const tc_names[] = {
	[TC_ACT_OK] = "TC_ACT_OK",	   [TC_ACT_RECLASSIFY] = "TC_ACT_RECLASSIFY",
	[TC_ACT_SHOT] = "TC_ACT_SHOT",	   [TC_ACT_PIPE] = "TC_ACT_PIPE",
	[TC_ACT_STOLEN] = "TC_ACT_STOLEN", [TC_ACT_QUEUED] = "TC_ACT_QUEUED",
	[TC_ACT_REPEAT] = "TC_ACT_REPEAT", [TC_ACT_REDIRECT] = "TC_ACT_REDIRECT",
	[TC_ACT_TRAP] = "TC_ACT_TRAP",
};

static const struct stage {
	uint32_t prog_type;
	uint8_t order;
	const char *kind;
} stages[] = {
	{BPF_PROG_TYPE_XDP, 0, "xdp"},
	{BPF_PROG_TYPE_SCHED_CLS, 1, "sched_cls"},
	{BPF_PROG_TYPE_SCHED_ACT, 1, "sched_act"},
	{BPF_PROG_TYPE_CGROUP_SKB, 2, "cgroup_skb"},
	{BPF_PROG_TYPE_SOCKET_FILTER, 3, "socket_filter"},
};

static const struct stage *stage_of(uint32_t prog_type)
{
	for (uint32_t i = 0; i < ARRAY_SIZE(stages); i++)
		if (stages[i].prog_type == prog_type)
			return &stages[i];
	return NULL;
}

bool packet_prog_type(uint32_t prog_type)
{
	return stage_of(prog_type);
}

const char *packet_prog_kind(uint32_t prog_type)
{
	const struct stage *s = stage_of(prog_type);

	return s ? s->kind : "no packet program";
}

const char *packet_code_name(uint32_t prog_type, uint32_t code)
{
	switch (prog_type) {
	case BPF_PROG_TYPE_XDP:
		return code < ARRAY_SIZE(xdp_names) ? xdp_names[code] : NULL;
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT:
		if (code == (uint32_t)TC_ACT_UNSPEC)
			return "TC_ACT_UNSPEC";
		return code < ARRAY_SIZE(tc_names) ? tc_names[code] : NULL;
	case BPF_PROG_TYPE_CGROUP_SKB:
		return code & 1 ? "allowed" : "dropped";
	case BPF_PROG_TYPE_SOCKET_FILTER:
		return code ? "kept" : "dropped";
	}
	return NULL;
}

void packet_progs_sort(struct packet_prog *progs, uint32_t cnt)
{
	for (uint32_t i = 1; i < cnt; i++) {
		struct packet_prog p = progs[i];
		uint32_t at = i;

		for (; at &&
		       stage_of(progs[at - 1].prog->type)->order > stage_of(p.prog->type)->order;
		     at--)
			progs[at] = progs[at - 1];
		progs[at] = p;
	}
}

static void count_code(struct packet_prog *pp, uint32_t code, uint32_t bytes)
{
	struct packet_code *c = NULL;

	if (pp->last < pp->code_cnt && pp->codes[pp->last].code == code)
		c = &pp->codes[pp->last];
	for (uint32_t i = 0; !c && i < pp->code_cnt; i++)
		if (pp->codes[i].code == code)
			c = &pp->codes[pp->last = i];
	if (!c && pp->code_cnt < PACKET_CODES_MAX) {
		c = &pp->codes[pp->last = pp->code_cnt++];
		c->code = code;
	}
	if (!c)
		c = &pp->others;
	c->packets++;
	c->bytes += bytes;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static bool run_one(struct packet_prog *pp, void *ctx, const struct vm_env *env, uint64_t *ret)
{
	bool timed = sys_stats_enabled();
	uint64_t from = 0;
	int err;

	if (lease_acquire() < 0) {
		pp->missed++;
		sys_prog_account(pp->prog, 0, true);
		return false;
	}
	if (timed)
		from = now_ns();
	err = vm_run(pp->prog, ctx, env, ret);
	if (timed)
		sys_prog_account(pp->prog, now_ns() - from, false);
	lease_release();
	if (err)
		pp->faults++;
	else
		pp->runs++;
	return !err;
}

static bool run_xdp(struct packet_prog *pp, struct packet *p, uint32_t *code)
{
	struct xdp_md md = {.ingress_ifindex = p->ifindex};
	struct vm_env env = {.pkt = p->data, .pkt_end = p->data + p->len};
	uint64_t ret;

	if (!run_one(pp, &md, &env, &ret))
		return false;
	*code = ret;
	return true;
}

static void fill_skb(struct __sk_buff *skb, const struct packet *p)
{
	uint16_t protocol = 0;

	memset(skb, 0, sizeof(*skb));
	if (p->len >= PACKET_ETH_HEADER)
		memcpy(&protocol, p->data + 12, sizeof(protocol));
	skb->protocol = protocol;
	skb->len = skb->wire_len = p->wire_len;
	skb->pkt_type = p->pkt_type;
	skb->ifindex = skb->ingress_ifindex = p->ifindex;
	skb->tstamp = p->ns;
}

/* skip: bytes at the front that this kind of program does not see. */
static bool run_skb(struct packet_prog *pp, struct packet *p, uint32_t skip, uint32_t *code)
{
	struct __sk_buff skb;
	struct vm_env env = {.pkt = p->data + skip, .pkt_end = p->data + p->len};
	uint64_t ret;

	fill_skb(&skb, p);
	skb.len -= skip;
	if (!run_one(pp, &skb, &env, &ret))
		return false;
	*code = ret;
	return true;
}

static enum verdict xdp_verdict(uint32_t code)
{
	if (code == XDP_PASS)
		return GO_ON;
	return code == XDP_TX || code == XDP_REDIRECT ? ELSEWHERE : GONE;
}

static enum verdict tc_verdict(uint32_t code)
{
	switch (code) {
	case TC_ACT_SHOT:
	case TC_ACT_STOLEN:
	case TC_ACT_TRAP:
		return GONE;
	case TC_ACT_REDIRECT:
		return ELSEWHERE;
	}
	return GO_ON;
}

bool packets_run(struct packet_prog *progs, uint32_t cnt, struct packet *p)
{
	uint32_t code, keep = 0;
	bool filtered = false;

	for (uint32_t i = 0; i < cnt; i++) {
		struct packet_prog *pp = &progs[i];
		enum verdict v = GO_ON;
		uint32_t bytes = p->wire_len;
		bool ran;

		switch (pp->prog->type) {
		case BPF_PROG_TYPE_XDP:
			ran = run_xdp(pp, p, &code);
			if (ran)
				v = xdp_verdict(code);
			break;
		case BPF_PROG_TYPE_SCHED_CLS:
		case BPF_PROG_TYPE_SCHED_ACT:
			ran = run_skb(pp, p, 0, &code);
			if (ran)
				v = tc_verdict(code);
			break;
		case BPF_PROG_TYPE_CGROUP_SKB:
			/* from the network header on */
			ran = p->len >= PACKET_ETH_HEADER &&
			      run_skb(pp, p, PACKET_ETH_HEADER, &code);
			if (ran)
				v = code & 1 ? GO_ON : GONE;
			break;
		default:
			ran = run_skb(pp, p, 0, &code);
			filtered = true;
			if (!ran)
				keep = UINT32_MAX;
			else if (code > keep)
				keep = code;
		}
		if (ran)
			count_code(pp, code, bytes);
		if (v != GO_ON)
			return v == ELSEWHERE;
	}
	if (!filtered)
		return true;
	if (p->len > keep)
		p->len = keep;
	return keep;
}
