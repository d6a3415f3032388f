/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The context of each program type: which bytes exist, which may be written,
 * which yield pointers.
 */
#include "vm/verifier_int.h"

#include <stddef.h>
#include <linux/ptrace.h>
#include <asm/ptrace.h>

#define RAW_TP_ARGS 12	    /* u64 arguments of a raw tracepoint or function */
#define TRACEPOINT_MAX 8192 /* bytes of a tracepoint record */
#define SYSCALL_CTX_MAX UINT16_MAX

#define FIELD_END(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
#define WITHIN(off, size, type, first, last)                                                       \
	((off) >= (int32_t)offsetof(type, first) &&                                                \
	 (off) + (int32_t)(size) <= (int32_t)FIELD_END(type, last))
#define IS(off, type, member) ((off) == (int32_t)offsetof(type, member))

static bool overlaps(int32_t off, unsigned int size, size_t begin, size_t end)
{
	return off < (int32_t)end && off + (int32_t)size > (int32_t)begin;
}

#define OVERLAPS(off, size, type, first, last)                                                     \
	overlaps(off, size, offsetof(type, first), FIELD_END(type, last))

static bool packet_pointer(struct ctx_access *out, uint8_t field, uint8_t kind, unsigned int size,
			   bool write)
{
	out->field = field;
	out->kind = kind;
	return size == 4 && !write;
}

/* struct __sk_buff; tc says whether the packet may be touched. */
static bool skb_access(int32_t off, unsigned int size, bool write, bool tc, struct ctx_access *out)
{
	typedef struct __sk_buff skb;

	if (off < 0 || off + size > sizeof(skb) || off % size)
		return false;
	if (WITHIN(off, size, skb, cb[0], cb[4]))
		return true;
	if (OVERLAPS(off, size, skb, cb[0], cb[4]))
		return false;
	/* pointers to kernel structures are not served here */
	if (OVERLAPS(off, size, skb, flow_keys, flow_keys))
		return false;
	if (OVERLAPS(off, size, skb, sk, sk)) {
		out->kind = REG_SOCK_COMMON;
		out->or_null = true;
		return IS(off, skb, sk) && size == 8 && !write;
	}
	if (OVERLAPS(off, size, skb, family, local_port))
		return false;
	/* 8-byte clocks */
	if (OVERLAPS(off, size, skb, tstamp, tstamp) ||
	    overlaps(off, size, offsetof(skb, hwtstamp), sizeof(skb))) {
		if (!tc || size != 8)
			return false;
		if (IS(off, skb, tstamp))
			return true;
		return IS(off, skb, hwtstamp) && !write;
	}
	if (overlaps(off, size, offsetof(skb, tstamp_type), offsetof(skb, hwtstamp)))
		return tc && IS(off, skb, tstamp_type) && size == 1 && !write;
	if (OVERLAPS(off, size, skb, data, data_end) ||
	    OVERLAPS(off, size, skb, data_meta, data_meta)) {
		if (!tc)
			return false;
		if (IS(off, skb, data))
			return packet_pointer(out, VM_CTX_PKT_DATA, REG_PKT, size, write);
		if (IS(off, skb, data_end))
			return packet_pointer(out, VM_CTX_PKT_END, REG_PKT_END, size, write);
		if (IS(off, skb, data_meta))
			return packet_pointer(out, VM_CTX_PKT_META, REG_PKT_META, size, write);
		return false;
	}
	if (!tc && (OVERLAPS(off, size, skb, tc_classid, tc_classid) ||
		    OVERLAPS(off, size, skb, wire_len, wire_len)))
		return false;
	if (write)
		return tc && size == 4 &&
		       (IS(off, skb, mark) || IS(off, skb, tc_index) || IS(off, skb, priority) ||
			IS(off, skb, tc_classid) || IS(off, skb, queue_mapping));
	/* a narrow load stays in its 4-byte field by alignment */
	return size <= 4;
}

static bool xdp_access(const struct verifier *v, int32_t off, unsigned int size, bool write,
		       struct ctx_access *out)
{
	typedef struct xdp_md md;

	if (off < 0 || off + size > sizeof(md) || off % size || size != 4 || write)
		return false;
	if (IS(off, md, data))
		return packet_pointer(out, VM_CTX_PKT_DATA, REG_PKT, size, write);
	if (IS(off, md, data_end))
		return packet_pointer(out, VM_CTX_PKT_END, REG_PKT_END, size, write);
	if (IS(off, md, data_meta))
		return packet_pointer(out, VM_CTX_PKT_META, REG_PKT_META, size, write);
	if (IS(off, md, egress_ifindex))
		return v->prog->expected_attach_type == BPF_XDP_DEVMAP;
	return true;
}

static bool plain_read(int32_t off, unsigned int size, bool write, uint32_t from, uint32_t end)
{
	return !write && off >= (int32_t)from && off + size <= end && off % size == 0;
}

/* struct bpf_perf_event_data: the registers, then two u64. */
static bool perf_event_access(int32_t off, unsigned int size, bool write)
{
	const uint32_t regs = sizeof(struct pt_regs);

	if (!plain_read(off, size, write, 0, regs + 16))
		return false;
	return off < (int32_t)regs ? size == sizeof(long) : true;
}

int check_ctx(struct verifier *v, uint32_t insn, int32_t off, unsigned int size, bool write,
	      struct ctx_access *out)
{
	bool ok = false;
	int err = 0;

	out->field = VM_CTX_PLAIN;
	out->kind = REG_SCALAR;
	switch (v->group) {
	case HPROG_SOCKET_FILTER:
		ok = skb_access(off, size, write, false, out);
		break;
	case HPROG_TC:
		ok = skb_access(off, size, write, true, out);
		break;
	case HPROG_XDP:
		ok = xdp_access(v, off, size, write, out);
		break;
	case HPROG_KPROBE:
		ok = plain_read(off, size, write, 0, sizeof(struct pt_regs));
		break;
	case HPROG_TRACEPOINT:
		ok = plain_read(off, size, write, 8, TRACEPOINT_MAX);
		break;
	case HPROG_PERF_EVENT:
		ok = perf_event_access(off, size, write);
		break;
	case HPROG_RAW_TP:
		ok = plain_read(off, size, write, 0, RAW_TP_ARGS * 8);
		break;
	case HPROG_FENTRY:
	case HPROG_FEXIT:
	case HPROG_TP_BTF:
		ok = plain_read(off, size, write, 0, RAW_TP_ARGS * 8);
		if (ok)
			err = btf_arg_access(v, off, size, out);
		break;
	case HPROG_SYSCALL:
		ok = off >= 0 && off + size <= SYSCALL_CTX_MAX && off % size == 0;
		break;
	}
	if (ok && !err)
		return 0;
	verbose(v, "invalid bpf_context access off=%d size=%u\n", off, size);
	return -EACCES;
}
