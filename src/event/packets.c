/* SPDX-License-Identifier: BSD-2-Clause */
#include "event/packets.h"

#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include "base/bits.h"
#include "base/errors.h"

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

int packets_begin(struct packet_prog *progs, uint32_t cnt, uint32_t snaplen)
{
	int err = 0;

	for (uint32_t i = 0; i < cnt && !err; i++)
		err = packet_run_begin(&progs[i].run, progs[i].prog, snaplen);
	return err;
}

void packets_end(struct packet_prog *progs, uint32_t cnt)
{
	for (uint32_t i = 0; i < cnt; i++) {
		if (progs[i].run)
			packet_run_end(progs[i].run);
		progs[i].run = NULL;
	}
}

/* One program on what its predecessors left of the packet, which it may change. */
static bool run_one(struct packet_prog *pp, struct packet_frame *f, uint32_t *code)
{
	uint32_t size;
	int err = packet_run(pp->run, f, code);

	switch (err) {
	case 0:
		break;
	case -EBUSY:
		pp->missed++;
		return false;
	case -EINVAL:
	case -ENOMEM:
		pp->unfit++;
		return false;
	default:
		pp->faults++;
		return false;
	}
	pp->runs++;
	count_code(pp, *code, f->wire_size);
	f->bytes = packet_run_bytes(pp->run, &size);
	f->wire_size += size - f->size;
	f->size = size;
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

static enum verdict verdict_of(uint32_t prog_type, uint32_t code)
{
	switch (prog_type) {
	case BPF_PROG_TYPE_XDP:
		return xdp_verdict(code);
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT:
		return tc_verdict(code);
	case BPF_PROG_TYPE_CGROUP_SKB:
		return code & 1 ? GO_ON : GONE;
	}
	return GO_ON;
}

bool packets_run(struct packet_prog *progs, uint32_t cnt, struct packet_frame *f)
{
	uint32_t code, keep = 0;
	bool filtered = false;

	for (uint32_t i = 0; i < cnt; i++) {
		struct packet_prog *pp = &progs[i];
		bool ran = run_one(pp, f, &code);
		enum verdict v = ran ? verdict_of(pp->prog->type, code) : GO_ON;

		if (pp->prog->type == BPF_PROG_TYPE_SOCKET_FILTER) {
			filtered = true;
			if (!ran)
				code = UINT32_MAX;
			if (code > keep)
				keep = code;
		}
		if (v != GO_ON)
			return v == ELSEWHERE;
	}
	if (!filtered)
		return true;
	if (f->size > keep)
		f->size = keep;
	return keep;
}
