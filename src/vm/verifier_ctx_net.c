/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The contexts of network and cgroup programs, and the sockets that they lead to: a
 * table per structure. An access that begins inside a field must be of a size that the
 * field's row allows, for a program of a type that the row names.
 */
#include "vm/verifier_int.h"

#include <stddef.h>

/* Sizes, as a mask of their byte counts. */
#define NARROW (1 | 2 | 4) /* parts of a 4-byte field */
#define WHOLE 4
#define WIDE 8

#define LWT (HPROG_LWT | HPROG_LWT_XMIT)
#define SKBS (HPROG_SOCKET_FILTER | HPROG_TC | HPROG_CGROUP_SKB | LWT | HPROG_SK_SKB)

struct ctx_row {
	uint16_t begin, end;
	uint8_t read, write; /* sizes */
	uint8_t kind;	     /* enum reg_kind of what is loaded */
	uint8_t field;	     /* enum vm_ctx_field */
	bool or_null;
	bool at_begin;		   /* narrow accesses begin where a 4-byte field does */
	uint32_t readers, writers; /* enum helper_progs bits */
};

#define END(type, m) (offsetof(type, m) + sizeof(((type *)0)->m))
#define SPAN(type, first, last) .begin = offsetof(type, first), .end = END(type, last)
#define SKB(first, last) SPAN(struct __sk_buff, first, last)
#define PKT(kind_, field_) .read = WHOLE, .kind = REG_##kind_, .field = VM_CTX_##field_

static const struct ctx_row skb_rows[] = {
	{SKB(len, pkt_type), .read = NARROW, .readers = SKBS},
	{SKB(mark, mark), .read = NARROW, .write = WHOLE, .readers = SKBS & ~HPROG_SK_SKB,
	 .writers = HPROG_TC | HPROG_CGROUP_SKB | LWT},
	{SKB(queue_mapping, queue_mapping), .read = NARROW, .write = WHOLE, .readers = SKBS,
	 .writers = HPROG_TC, .field = VM_CTX_HALF_BELOW},
	{SKB(protocol, vlan_proto), .read = NARROW, .readers = SKBS},
	{SKB(priority, priority), .read = NARROW, .write = WHOLE, .readers = SKBS,
	 .writers = SKBS & ~HPROG_SOCKET_FILTER},
	{SKB(ingress_ifindex, ifindex), .read = NARROW, .readers = SKBS},
	{SKB(tc_index, tc_index), .read = NARROW, .write = WHOLE, .readers = SKBS,
	 .writers = HPROG_TC | HPROG_SK_SKB, .field = VM_CTX_HALF},
	{SKB(cb[0], cb[4]), .read = NARROW | WIDE, .write = NARROW | WIDE, .readers = SKBS,
	 .writers = SKBS & ~HPROG_SK_SKB},
	{SKB(hash, hash), .read = NARROW, .readers = SKBS},
	{SKB(tc_classid, tc_classid), .read = NARROW, .write = WHOLE, .readers = HPROG_TC,
	 .writers = HPROG_TC, .field = VM_CTX_HALF},
	{SKB(data, data), PKT(PKT, PKT_DATA), .readers = SKBS & ~HPROG_SOCKET_FILTER},
	{SKB(data_end, data_end), PKT(PKT_END, PKT_END), .readers = SKBS & ~HPROG_SOCKET_FILTER},
	{SKB(napi_id, napi_id), .read = NARROW, .readers = SKBS},
	{SKB(family, family), .read = NARROW, .readers = HPROG_CGROUP_SKB | HPROG_SK_SKB},
	{SKB(remote_ip4, local_ip6), .read = WHOLE, .readers = HPROG_CGROUP_SKB | HPROG_SK_SKB},
	{SKB(remote_port, local_port), .read = NARROW, .readers = HPROG_CGROUP_SKB | HPROG_SK_SKB},
	{SKB(data_meta, data_meta), PKT(PKT_META, PKT_META), .readers = HPROG_TC},
	{SKB(tstamp, tstamp), .read = WIDE, .write = WIDE, .readers = HPROG_TC | HPROG_CGROUP_SKB,
	 .writers = HPROG_TC | HPROG_CGROUP_SKB},
	{SKB(wire_len, wire_len), .read = NARROW, .readers = HPROG_TC},
	{SKB(gso_segs, gso_segs), .read = NARROW, .readers = SKBS},
	{SKB(sk, sk), .read = WIDE, .kind = REG_SOCK_COMMON, .or_null = true, .readers = SKBS},
	{SKB(gso_size, gso_size), .read = NARROW, .readers = SKBS},
	{SKB(tstamp_type, tstamp_type), .read = 1, .readers = HPROG_TC},
	{SKB(hwtstamp, hwtstamp), .read = WIDE, .readers = HPROG_TC | HPROG_CGROUP_SKB},
	/* the flow dissector sees nothing else */
	{SKB(data, data), PKT(PKT, PKT_DATA), .readers = HPROG_FLOW_DISSECTOR},
	{SKB(data_end, data_end), PKT(PKT_END, PKT_END), .readers = HPROG_FLOW_DISSECTOR},
	{SKB(flow_keys, flow_keys), .read = WIDE, .kind = REG_FLOW_KEYS,
	 .readers = HPROG_FLOW_DISSECTOR},
};

#define XDP(first, last) SPAN(struct xdp_md, first, last)
static const struct ctx_row xdp_rows[] = {
	{XDP(data, data), PKT(PKT, PKT_DATA)},
	{XDP(data_end, data_end), PKT(PKT_END, PKT_END)},
	{XDP(data_meta, data_meta), PKT(PKT_META, PKT_META)},
	{XDP(ingress_ifindex, egress_ifindex), .read = WHOLE},
};

/* What helpers and contexts give as a full socket; the context of cgroup/sock programs. */
#define SK(first, last) SPAN(struct bpf_sock, first, last)
static const struct ctx_row sock_rows[] = {
	{SK(bound_dev_if, bound_dev_if), .read = WHOLE, .write = WHOLE},
	{SK(family, protocol), .read = NARROW, .write = NARROW, .at_begin = true},
	{SK(mark, priority), .read = WHOLE, .write = WHOLE},
	{SK(src_ip4, src_ip6), .read = NARROW, .write = NARROW},
	{SK(src_port, src_port), .read = NARROW, .write = NARROW, .at_begin = true},
	/* 16 bits, of which 32 may be read */
	{SK(dst_port, dst_port), .read = NARROW, .write = NARROW},
	{SK(dst_ip4, dst_ip6), .read = NARROW, .write = NARROW},
	{SK(state, state), .read = NARROW, .write = NARROW, .at_begin = true},
	{SK(rx_queue_mapping, rx_queue_mapping), .read = NARROW, .write = NARROW, .at_begin = true},
};

#define ADDR(first, last) SPAN(struct bpf_sock_addr, first, last)
static const struct ctx_row sock_addr_rows[] = {
	{ADDR(user_family, user_family), .read = WHOLE},
	{ADDR(user_ip4, user_ip4), .read = NARROW, .write = WHOLE},
	{ADDR(user_ip6, user_ip6), .read = NARROW | WIDE, .write = WHOLE | WIDE},
	{ADDR(user_port, user_port), .read = NARROW, .write = WHOLE},
	{ADDR(family, protocol), .read = WHOLE},
	{ADDR(msg_src_ip4, msg_src_ip4), .read = NARROW, .write = WHOLE},
	{ADDR(msg_src_ip6, msg_src_ip6), .read = NARROW | WIDE, .write = WHOLE | WIDE},
	{ADDR(sk, sk), .read = WIDE, .kind = REG_SOCKET},
};

/* data, data_end and sk are pointers of 8 bytes in these */
#define OPS(first, last) SPAN(struct bpf_sock_ops, first, last)
static const struct ctx_row sock_ops_rows[] = {
	{OPS(op, op), .read = WHOLE},
	{OPS(reply, reply), .read = WHOLE, .write = WHOLE},
	{OPS(replylong[1], sacked_out), .read = WHOLE},
	{OPS(sk_txhash, sk_txhash), .read = WHOLE, .write = WHOLE},
	{OPS(bytes_received, bytes_acked), .read = WIDE},
	{OPS(sk, sk), .read = WIDE, .kind = REG_SOCKET, .or_null = true},
	{OPS(skb_data, skb_data), .read = WIDE, .kind = REG_PKT},
	{OPS(skb_data_end, skb_data_end), .read = WIDE, .kind = REG_PKT_END},
	{OPS(skb_len, skb_len), .read = WHOLE},
	{OPS(skb_tcp_flags, skb_tcp_flags), .read = NARROW, .at_begin = true},
	/* skb_hwtstamp: 6.2's */
	{.begin = END(struct bpf_sock_ops, skb_tcp_flags),
	 .end = END(struct bpf_sock_ops, skb_tcp_flags) + 8,
	 .read = WIDE},
};

#define MSG(first, last) SPAN(struct sk_msg_md, first, last)
static const struct ctx_row sk_msg_rows[] = {
	{MSG(data, data), .read = WIDE, .kind = REG_PKT},
	{MSG(data_end, data_end), .read = WIDE, .kind = REG_PKT_END},
	{MSG(family, size), .read = WHOLE},
	{MSG(sk, sk), .read = WIDE, .kind = REG_SOCKET},
};

#define LOOKUP(first, last) SPAN(struct bpf_sk_lookup, first, last)
static const struct ctx_row sk_lookup_rows[] = {
	{LOOKUP(sk, sk), .read = WIDE, .kind = REG_SOCKET, .or_null = true},
	{LOOKUP(family, remote_ip6), .read = NARROW},
	{LOOKUP(remote_port, remote_port), .read = NARROW},
	{.begin = END(struct bpf_sk_lookup, remote_port),
	 .end = offsetof(struct bpf_sk_lookup, local_ip4),
	 .read = 1 | 2},
	{LOOKUP(local_ip4, ingress_ifindex), .read = NARROW},
};

#define REUSE(first, last) SPAN(struct sk_reuseport_md, first, last)
static const struct ctx_row sk_reuseport_rows[] = {
	{REUSE(data, data), .read = WIDE, .kind = REG_PKT},
	{REUSE(data_end, data_end), .read = WIDE, .kind = REG_PKT_END},
	{REUSE(len, len), .read = NARROW},
	{REUSE(eth_protocol, eth_protocol), .read = 2 | 4},
	{REUSE(ip_protocol, bind_inany), .read = NARROW},
	{REUSE(hash, hash), .read = WHOLE},
	{REUSE(sk, sk), .read = WIDE, .kind = REG_SOCKET},
	{REUSE(migrating_sk, migrating_sk), .read = WIDE, .kind = REG_SOCK_COMMON, .or_null = true},
};

#define DEV(first, last) SPAN(struct bpf_cgroup_dev_ctx, first, last)
static const struct ctx_row cgroup_device_rows[] = {
	{DEV(access_type, access_type), .read = NARROW},
	{DEV(major, minor), .read = WHOLE},
};

#define SYSCTL(first, last) SPAN(struct bpf_sysctl, first, last)
static const struct ctx_row cgroup_sysctl_rows[] = {
	{SYSCTL(write, write), .read = NARROW},
	{SYSCTL(file_pos, file_pos), .read = NARROW, .write = WHOLE},
};

#define OPT(first, last) SPAN(struct bpf_sockopt, first, last)
static const struct ctx_row cgroup_sockopt_rows[] = {
	{OPT(sk, sk), .read = WIDE, .kind = REG_SOCKET},
	{OPT(optval, optval), .read = WIDE, .kind = REG_PKT},
	{OPT(optval_end, optval_end), .read = WIDE, .kind = REG_PKT_END},
	{OPT(level, optlen), .read = WHOLE, .write = WHOLE},
	{OPT(retval, retval), .read = WHOLE, .write = WHOLE},
};

static const struct ctx_row *find_row(const struct ctx_row *rows, uint32_t cnt, uint32_t group,
				      int32_t off, unsigned int size)
{
	if (off < 0 || off % size)
		return NULL;
	for (uint32_t i = 0; i < cnt; i++)
		if (off >= rows[i].begin && off < rows[i].end && !(rows[i].at_begin && off % 4) &&
		    (!rows[i].readers || rows[i].readers & group))
			return &rows[i];
	return NULL;
}

/* What a 64-bit store into queue_mapping does depends on the value. */
static uint8_t half_below(const struct bpf_insn *insn)
{
	if (BPF_CLASS(insn->code) != BPF_ST)
		return VM_CTX_HALF_BELOW;
	return insn->imm >= UINT16_MAX ? VM_CTX_SKIP : VM_CTX_HALF;
}

static bool row_allows(const struct verifier *v, const struct ctx_row *row, uint32_t insn,
		       int32_t off, unsigned int size, bool write, struct ctx_access *out)
{
	if (!row || !((write ? row->write : row->read) & size))
		return false;
	if (write && row->writers && !(row->writers & v->group))
		return false;
	/* only arrays have accesses that could cross an end */
	if (size == 8 && off + size > row->end)
		return false;
	out->kind = row->kind ? row->kind : REG_SCALAR;
	out->or_null = row->or_null;
	if (row->kind == REG_PKT || row->kind == REG_PKT_END || row->kind == REG_PKT_META || write)
		out->field = row->field ? row->field : VM_CTX_PLAIN;
	if (write && out->field == VM_CTX_HALF_BELOW)
		out->field = half_below(&v->insns[insn]);
	return true;
}

/* Who may do what with a field depends on where the program is to be attached. */

static bool cgroup_sock_attach(uint32_t attach, int32_t off, bool write)
{
	const bool create =
		attach == BPF_CGROUP_INET_SOCK_CREATE || attach == BPF_CGROUP_INET_SOCK_RELEASE;

	switch (off) {
	case offsetof(struct bpf_sock, bound_dev_if):
	case offsetof(struct bpf_sock, mark):
	case offsetof(struct bpf_sock, priority):
		return create;
	case offsetof(struct bpf_sock, src_port):
		return !write && (attach == BPF_CGROUP_INET4_POST_BIND ||
				  attach == BPF_CGROUP_INET6_POST_BIND);
	}
	if (off >= (int32_t)offsetof(struct bpf_sock, src_ip4) &&
	    off < (int32_t)END(struct bpf_sock, src_ip4))
		return !write && attach == BPF_CGROUP_INET4_POST_BIND;
	if (off >= (int32_t)offsetof(struct bpf_sock, src_ip6) &&
	    off < (int32_t)END(struct bpf_sock, src_ip6))
		return !write && attach == BPF_CGROUP_INET6_POST_BIND;
	return !write;
}

static bool sock_addr_attach(uint32_t attach, int32_t off)
{
	typedef struct bpf_sock_addr addr;
	bool ip4 = false, ip6 = false;

	switch (attach) {
	case BPF_CGROUP_INET4_BIND:
	case BPF_CGROUP_INET4_CONNECT:
	case BPF_CGROUP_INET4_GETPEERNAME:
	case BPF_CGROUP_INET4_GETSOCKNAME:
	case BPF_CGROUP_UDP4_SENDMSG:
	case BPF_CGROUP_UDP4_RECVMSG:
		ip4 = true;
		break;
	case BPF_CGROUP_INET6_BIND:
	case BPF_CGROUP_INET6_CONNECT:
	case BPF_CGROUP_INET6_GETPEERNAME:
	case BPF_CGROUP_INET6_GETSOCKNAME:
	case BPF_CGROUP_UDP6_SENDMSG:
	case BPF_CGROUP_UDP6_RECVMSG:
		ip6 = true;
		break;
	}
#define IN(m) (off >= (int32_t)offsetof(addr, m) && off < (int32_t)END(addr, m))
	if (IN(user_ip4))
		return ip4;
	if (IN(user_ip6))
		return ip6;
	if (IN(msg_src_ip4))
		return attach == BPF_CGROUP_UDP4_SENDMSG;
	if (IN(msg_src_ip6))
		return attach == BPF_CGROUP_UDP6_SENDMSG;
	return true;
}

static bool sockopt_attach(uint32_t attach, int32_t off, bool write)
{
	const bool set = attach == BPF_CGROUP_SETSOCKOPT;

	switch (off) {
	case offsetof(struct bpf_sockopt, level):
	case offsetof(struct bpf_sockopt, optname):
		return !write || set;
	case offsetof(struct bpf_sockopt, retval):
		return !set;
	}
	return true;
}

#define TABLE(t) rows = t, cnt = ARRAY_SIZE(t)

bool ctx_net_access(struct verifier *v, uint32_t insn, int32_t off, unsigned int size, bool write,
		    struct ctx_access *out)
{
	const uint32_t attach = v->prog->expected_attach_type;
	const struct ctx_row *rows;
	uint32_t cnt;

	switch (v->group) {
	case HPROG_XDP:
		if (off == offsetof(struct xdp_md, egress_ifindex) && attach != BPF_XDP_DEVMAP)
			return false;
		TABLE(xdp_rows);
		break;
	case HPROG_CGROUP_SOCK:
		if (!cgroup_sock_attach(attach, off, write))
			return false;
		TABLE(sock_rows);
		break;
	case HPROG_SOCK_ADDR:
		if (!sock_addr_attach(attach, off))
			return false;
		TABLE(sock_addr_rows);
		break;
	case HPROG_SOCK_OPS:
		TABLE(sock_ops_rows);
		break;
	case HPROG_SK_MSG:
		TABLE(sk_msg_rows);
		break;
	case HPROG_SK_LOOKUP:
		TABLE(sk_lookup_rows);
		break;
	case HPROG_SK_REUSEPORT:
		TABLE(sk_reuseport_rows);
		break;
	case HPROG_CGROUP_DEVICE:
		TABLE(cgroup_device_rows);
		break;
	case HPROG_CGROUP_SYSCTL:
		TABLE(cgroup_sysctl_rows);
		break;
	case HPROG_CGROUP_SOCKOPT:
		if (!sockopt_attach(attach, off, write))
			return false;
		TABLE(cgroup_sockopt_rows);
		break;
	default:
		TABLE(skb_rows);
		break;
	}
	return row_allows(v, find_row(rows, cnt, v->group, off, size), insn, off, size, write, out);
}

bool sock_access(enum reg_kind kind, int32_t off, unsigned int size)
{
	const struct ctx_row *row;

	if (kind == REG_TCP_SOCK) {
		if (off < 0 || off >= (int32_t)sizeof(struct bpf_tcp_sock) || off % size)
			return false;
		/* the two are of 8 bytes */
		if (off >= (int32_t)offsetof(struct bpf_tcp_sock, bytes_received) &&
		    off < (int32_t)END(struct bpf_tcp_sock, bytes_acked))
			return size == 8;
		return size == 4;
	}
	/* What is not known to be a full socket has no type, protocol, mark, priority. */
	if (kind == REG_SOCK_COMMON && off >= (int32_t)offsetof(struct bpf_sock, type) &&
	    off < (int32_t)END(struct bpf_sock, priority))
		return false;
	row = find_row(sock_rows, ARRAY_SIZE(sock_rows), 0, off, size);
	return row && row->read & size;
}
