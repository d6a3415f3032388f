// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random programs of helper calls with random arguments on random packets give what the
 * kernel gives: each helper's result, the packet, the context and its fields. For
 * sched_cls, lwt_xmit, cgroup_skb, socket_filter and xdp programs.
 */
#include <stddef.h>

#include "packets.h"

#define STEPS 7
#define INSNS 1200
#define CTX R6
#define OUT R7	   /* results */
#define BUF (-128) /* 64 bytes of the frame */
#define INT (-8)

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP };
enum kind { SF = 1, CG = 2, TC = 4, LX = 8, XDP = 16 };

#define SKBS (SF | CG | TC | LX)
#define FIELD(f) ((int16_t)offsetof(struct __sk_buff, f))

static struct bpf_insn insns[INSNS];
static uint32_t cnt, pkt_size, out_off;
static enum kind kind;
static uint8_t pkt[PKT_MAX];

static void put(uint8_t code, int dst, int src, int off, int32_t imm)
{
	REQUIRE(cnt < INSNS);
	insns[cnt++] = INSN(code, dst, src, off, imm);
}
static void mov(int dst, int32_t v)
{
	put(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, v);
}
static void mov_reg(int dst, int src)
{
	put(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0);
}
static void ld64(int dst, uint64_t v)
{
	put(BPF_LD | BPF_IMM | BPF_DW, dst, 0, 0, (int32_t)v);
	put(0, 0, 0, 0, (int32_t)(v >> 32));
}
static void frame(int dst, int off)
{
	mov_reg(dst, FP);
	put(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, off);
}
static void result(int reg)
{
	if (out_off + 8 > RESULTS)
		return;
	put(BPF_STX | BPF_MEM | BPF_DW, OUT, reg, out_off, 0);
	out_off += 8;
}
static void call(int id)
{
	put(BPF_JMP | BPF_CALL, 0, 0, 0, id);
	result(R0);
}
/* Only whether it is 0. */
static void call_hidden(int id)
{
	put(BPF_JMP | BPF_CALL, 0, 0, 0, id);
	put(BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 1, 0);
	mov(R0, 1);
	result(R0);
}
static void fill_buf(void)
{
	for (int i = 0; i < 64; i += 8) {
		ld64(R0, rnd(3) ? rnd64() : 0);
		put(BPF_STX | BPF_MEM | BPF_DW, FP, R0, BUF + i, 0);
	}
}
/* What a helper left in the buffer, folded. */
static void show_buf(void)
{
	mov(R1, 0);
	for (int i = 0; i < 64; i += 8) {
		put(BPF_LDX | BPF_MEM | BPF_DW, R0, FP, BUF + i, 0);
		put(BPF_ALU64 | BPF_MUL | BPF_K, R1, 0, 0, 31);
		put(BPF_ALU64 | BPF_ADD | BPF_X, R1, R0, 0, 0);
	}
	result(R1);
}
static uint32_t num(void)
{
	return near_number(pkt_size);
}
static uint32_t small_size(void)
{
	return 1 + (rnd(3) ? rnd(8) : rnd(64));
}
/* Flags: now and then one that does not exist. */
static uint64_t flags(uint64_t known)
{
	return rnd(12) ? rnd64() & rnd64() & known : rnd64();
}

static void load_bytes(void)
{
	fill_buf();
	mov_reg(R1, CTX);
	mov(R2, num());
	frame(R3, BUF);
	mov(R4, small_size());
	call(kind == XDP ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_skb_load_bytes);
	show_buf();
}
static void load_relative(void)
{
	fill_buf();
	mov_reg(R1, CTX);
	mov(R2, num());
	frame(R3, BUF);
	mov(R4, small_size());
	mov(R5, rnd(3));
	call(BPF_FUNC_skb_load_bytes_relative);
	show_buf();
}
static void store_bytes(void)
{
	fill_buf();
	mov_reg(R1, CTX);
	mov(R2, num());
	frame(R3, BUF);
	mov(R4, small_size());
	ld64(R5, flags(3));
	call(kind == XDP ? BPF_FUNC_xdp_store_bytes : BPF_FUNC_skb_store_bytes);
}
static void pull(void)
{
	mov_reg(R1, CTX);
	mov(R2, num());
	call(BPF_FUNC_skb_pull_data);
}
static void csum_replace(int id, uint64_t known)
{
	static const uint8_t sizes[] = {0, 2, 2, 4, 4, 3};
	uint64_t f = (flags(known) & ~0xfULL) | sizes[rnd(6)];

	mov_reg(R1, CTX);
	mov(R2, rnd(4) ? num() & ~1u : num());
	ld64(R3, f & 15 || !rnd(4) ? rnd64() : 0);
	ld64(R4, rnd64());
	ld64(R5, f);
	call(id);
}
static void l3_csum(void)
{
	csum_replace(BPF_FUNC_l3_csum_replace, 0);
}
static void l4_csum(void)
{
	csum_replace(BPF_FUNC_l4_csum_replace, 0xf0);
}
static void csum_diff(void)
{
	uint32_t from = rnd(4) * 4 + (rnd(6) ? 0 : rnd(4)), to = rnd(8) * 4 + (rnd(6) ? 0 : rnd(4));

	fill_buf();
	frame(R1, BUF);
	if (!from && rnd(2))
		mov(R1, 0);
	mov(R2, from);
	frame(R3, BUF + 24);
	if (!to && rnd(2))
		mov(R3, 0);
	mov(R4, to);
	ld64(R5, rnd(2) ? rnd64() : rnd(3));
	call(BPF_FUNC_csum_diff);
}
static void csum_update(void)
{
	mov_reg(R1, CTX);
	mov(R2, (int32_t)rnd64());
	call(BPF_FUNC_csum_update);
}
static void csum_level(void)
{
	mov_reg(R1, CTX);
	mov(R2, rnd(5));
	call(BPF_FUNC_csum_level);
}
static void vlan_push(void)
{
	static const uint16_t protos[] = {0x0081, 0xa888, 0, 0x0008};

	mov_reg(R1, CTX);
	mov(R2, protos[rnd(4)]);
	mov(R3, rnd(4) ? (int32_t)rnd(65536) : (int32_t)rnd64());
	call(BPF_FUNC_skb_vlan_push);
}
static void vlan_pop(void)
{
	mov_reg(R1, CTX);
	call(BPF_FUNC_skb_vlan_pop);
}
static void change_proto(void)
{
	static const uint16_t protos[] = {0x0008, 0xdd86, 0xdd86, 0x0081};

	mov_reg(R1, CTX);
	mov(R2, protos[rnd(4)]);
	mov(R3, rnd(12) ? 0 : 1);
	call(BPF_FUNC_skb_change_proto);
}
static void change_type(void)
{
	mov_reg(R1, CTX);
	mov(R2, rnd(6));
	call(BPF_FUNC_skb_change_type);
}
static void change_tail(void)
{
	mov_reg(R1, CTX);
	mov(R2, rnd(5) ? num() : 16060 + rnd(10));
	mov(R3, rnd(12) ? 0 : 1);
	call(BPF_FUNC_skb_change_tail);
}
static void change_head(void)
{
	uint32_t n = rnd(3) ? rnd(40) : num();

	/* with a gso_size there is no limit but memory's */
	if (n > 5000 && n < 1U << 30)
		n = 5000;
	mov_reg(R1, CTX);
	mov(R2, (int32_t)n);
	mov(R3, rnd(12) ? 0 : 1);
	call(BPF_FUNC_skb_change_head);
}
static void adjust_room(void)
{
	uint64_t f = rnd(3) ? flags(0x1ff) : flags(0x21);

	if (rnd(3) == 0)
		f |= (uint64_t)rnd(40) << 56;
	mov_reg(R1, CTX);
	mov(R2, rnd(8) ? (int32_t)rnd(100) - 50 : (int32_t)num());
	mov(R3, rnd(10) ? rnd(2) : rnd(5));
	ld64(R4, f);
	call(BPF_FUNC_skb_adjust_room);
}
static void redirect(void)
{
	mov(R1, rnd(3));
	ld64(R2, flags(1));
	call(BPF_FUNC_redirect);
}
static void redirect_peer(void)
{
	mov(R1, rnd(3));
	ld64(R2, rnd(2) ? 0 : flags(1));
	call(BPF_FUNC_redirect_peer);
}
static void redirect_neigh(void)
{
	fill_buf();
	mov(R1, rnd(3));
	frame(R2, BUF);
	mov(R3, rnd(3) ? (int32_t)sizeof(struct bpf_redir_neigh) : (int32_t)rnd(40));
	ld64(R4, rnd(2) ? 0 : flags(1));
	call(BPF_FUNC_redirect_neigh);
}
static void clone_redirect(void)
{
	if (rnd(8)) /* a device that does not exist, or flags that do not */
		return;
	mov_reg(R1, CTX);
	mov(R2, rnd(2) ? 1 : 7777);
	ld64(R3, flags(1));
	call(BPF_FUNC_clone_redirect);
}
static void hash(void)
{
	mov_reg(R1, CTX);
	switch (rnd(3)) {
	case 0:
		mov(R2, (int32_t)rnd64());
		call(BPF_FUNC_set_hash);
		break;
	case 1:
		call(BPF_FUNC_set_hash_invalid);
		break;
	case 2:
		call_hidden(BPF_FUNC_get_hash_recalc);
		mov_reg(R1, CTX);
		call(BPF_FUNC_set_hash_invalid);
		break;
	}
}
static void simple(void)
{
	static const int ids[] = {BPF_FUNC_get_route_realm, BPF_FUNC_get_cgroup_classid};

	mov_reg(R1, CTX);
	call(ids[rnd(2)]);
}
static void simple_tc(void)
{
	static const int ids[] = {BPF_FUNC_skb_cgroup_classid};

	mov_reg(R1, CTX);
	call(ids[0]);
}
static void ids(void)
{
	mov_reg(R1, CTX);
	switch (rnd(4)) {
	case 0:
		call_hidden(BPF_FUNC_get_socket_cookie);
		break;
	case 1:
		call(BPF_FUNC_get_socket_uid);
		break;
	case 2:
		call(BPF_FUNC_get_netns_cookie);
		break;
	case 3:
		mov(R1, 0);
		call(BPF_FUNC_get_netns_cookie);
		break;
	}
}
static void cgroup_id(void)
{
	mov_reg(R1, CTX);
	call(BPF_FUNC_skb_cgroup_id);
}
static void ecn(void)
{
	mov_reg(R1, CTX);
	call(BPF_FUNC_skb_ecn_set_ce);
}
static void tstamp(void)
{
	mov_reg(R1, CTX);
	ld64(R2, rnd(3) ? rnd64() : 0);
	mov(R3, rnd(5));
	call(BPF_FUNC_skb_set_tstamp);
}
static void xfrm(void)
{
	fill_buf();
	mov_reg(R1, CTX);
	mov(R2, rnd(2));
	frame(R3, BUF);
	mov(R4, small_size());
	mov(R5, 0);
	call(BPF_FUNC_skb_get_xfrm_state);
	show_buf();
}
static int tunnel_size(void)
{
	static const uint8_t sizes[] = {44, 44, 44, 28, 26, 24, 12, 16, 43};

	return sizes[rnd(sizeof(sizes))];
}
static void tunnel(void)
{
	int size = tunnel_size();
	bool ip6 = rnd(2);

	fill_buf();
	if (rnd(4)) { /* tunnel_ext must be 0; without IPv6, so must the label */
		put(BPF_ST | BPF_MEM | BPF_H, FP, 0, BUF + 22 + 4, 0);
		put(BPF_ST | BPF_MEM | BPF_H, FP, 0, BUF + 22, 0);
		put(BPF_ST | BPF_MEM | BPF_W, FP, 0, BUF + 24, ip6 ? (int32_t)rnd64() : 0);
	}
	mov_reg(R1, CTX);
	frame(R2, BUF);
	mov(R3, size);
	ld64(R4, flags(0x1e) | ip6);
	call(BPF_FUNC_skb_set_tunnel_key);
	if (rnd(2)) {
		mov_reg(R1, CTX);
		frame(R2, BUF);
		mov(R3, rnd(3) ? (int32_t)(4 + rnd(15) * 4) : (int32_t)small_size());
		call(BPF_FUNC_skb_set_tunnel_opt);
	}
}
static void tunnel_get(void)
{
	fill_buf();
	mov_reg(R1, CTX);
	frame(R2, BUF);
	mov(R3, rnd(3) ? tunnel_size() : (int)small_size());
	if (rnd(2)) {
		ld64(R4, flags(0x11));
		call(BPF_FUNC_skb_get_tunnel_key);
	} else {
		call(BPF_FUNC_skb_get_tunnel_opt);
	}
	show_buf();
}
static void check_mtu(void)
{
	put(BPF_ST | BPF_MEM | BPF_DW, FP, 0, INT, rnd(2) ? 0 : (int32_t)(65530 + rnd(12)));
	mov_reg(R1, CTX);
	mov(R2, rnd(5) ? rnd(2) : 7777);
	frame(R3, INT);
	mov(R4, rnd(3) ? (int32_t)rnd(20) - 10 : (int32_t)(65400 + rnd(300)));
	ld64(R5, rnd(4) ? 0 : flags(1));
	call(BPF_FUNC_check_mtu);
	put(BPF_LDX | BPF_MEM | BPF_DW, R0, FP, INT, 0);
	result(R0);
}
static void sock(void)
{
	static const uint8_t fields[] = {0,  4,	 8,  12, 16, 20, 24, 28,
					 40, 44, 48, 52, 56, 68, 72, 76};

	put(BPF_LDX | BPF_MEM | BPF_DW, R1, CTX, FIELD(sk), 0);
	put(BPF_JMP | BPF_JEQ | BPF_K, R1, 0, 8, 0);
	put(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_sk_fullsock);
	put(BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 6, 0);
	put(BPF_LDX | BPF_MEM | BPF_W, R1, R0, fields[rnd(sizeof(fields))], 0);
	put(BPF_LDX | BPF_MEM | BPF_W, R2, R0, fields[rnd(sizeof(fields))], 0);
	put(BPF_ALU64 | BPF_LSH | BPF_K, R2, 0, 0, 32);
	put(BPF_ALU64 | BPF_OR | BPF_X, R1, R2, 0, 0);
	put(BPF_JMP | BPF_JA, 0, 0, 1, 0);
	mov(R1, 77);
	result(R1);
}
static void tcp_sock(void)
{
	put(BPF_LDX | BPF_MEM | BPF_DW, R1, CTX, FIELD(sk), 0);
	mov(R0, 5);
	put(BPF_JMP | BPF_JEQ | BPF_K, R1, 0, 4, 0);
	put(BPF_JMP | BPF_CALL, 0, 0, 0, rnd(2) ? BPF_FUNC_tcp_sock : BPF_FUNC_get_listener_sock);
	put(BPF_JMP | BPF_JEQ | BPF_K, R0, 0, 1, 0);
	mov(R0, 6);
	put(BPF_ALU64 | BPF_ADD | BPF_K, R0, 0, 0, 1);
	/* a pointer or a number, to the verifier: never stored */
	mov(R0, 1);
	result(R0);
}
/* A field is written, then read. */
static void write_field(void)
{
	static const struct {
		int16_t off;
		uint8_t size, who;
	} fields[] = {
		{FIELD(mark), BPF_W, TC | CG | LX}, {FIELD(priority), BPF_W, TC | CG | LX},
		{FIELD(tc_index), BPF_W, TC},	    {FIELD(queue_mapping), BPF_W, TC},
		{FIELD(tc_classid), BPF_W, TC},	    {FIELD(tstamp), BPF_DW, TC | CG},
		{FIELD(cb[0]), BPF_DW, SKBS},	    {FIELD(cb[2]), BPF_W, SKBS},
		{FIELD(cb[3]) + 1, BPF_B, SKBS},    {FIELD(cb[4]) + 2, BPF_H, SKBS},
	};
	uint32_t i = rnd(sizeof(fields) / sizeof(fields[0]));
	int32_t v = rnd(3) ? (int32_t)rnd64() : (int32_t)(0xfffe + rnd(3));

	if (!(fields[i].who & kind))
		return;
	if (rnd(2)) {
		put(BPF_ST | BPF_MEM | fields[i].size, CTX, 0, fields[i].off, v);
	} else {
		ld64(R1, rnd(2) ? (uint32_t)v : (uint64_t)(int64_t)v);
		put(BPF_STX | BPF_MEM | fields[i].size, CTX, R1, fields[i].off, 0);
	}
	put(BPF_LDX | BPF_MEM | fields[i].size, R0, CTX, fields[i].off, 0);
	result(R0);
}
static void read_field(void)
{
	static const struct {
		int16_t off;
		uint8_t who;
	} fields[] = {
		{FIELD(len), SKBS},	    {FIELD(pkt_type), SKBS},
		{FIELD(mark), SKBS},	    {FIELD(queue_mapping), SKBS},
		{FIELD(protocol), SKBS},    {FIELD(vlan_present), SKBS},
		{FIELD(vlan_tci), SKBS},    {FIELD(vlan_proto), SKBS},
		{FIELD(priority), SKBS},    {FIELD(ingress_ifindex), SKBS},
		{FIELD(ifindex), SKBS},	    {FIELD(tc_index), SKBS},
		{FIELD(hash), SKBS},	    {FIELD(tc_classid), TC},
		{FIELD(napi_id), SKBS},	    {FIELD(family), CG},
		{FIELD(remote_ip4), CG},    {FIELD(local_ip4), CG},
		{FIELD(remote_ip6[1]), CG}, {FIELD(local_ip6[2]), CG},
		{FIELD(remote_port), CG},   {FIELD(local_port), CG},
		{FIELD(wire_len), TC},	    {FIELD(gso_segs), SKBS},
		{FIELD(gso_size), SKBS},
	};
	uint32_t i = rnd(sizeof(fields) / sizeof(fields[0]));

	if (!(fields[i].who & kind))
		return;
	put(BPF_LDX | BPF_MEM | BPF_W, R0, CTX, fields[i].off, 0);
	result(R0);
}
/* Bytes of the packet through its pointers. */
static void touch(void)
{
	int data = kind == XDP ? 0 : FIELD(data), end = kind == XDP ? 4 : FIELD(data_end);
	int meta = kind == XDP ? 8 : FIELD(data_meta), at = rnd(48);
	bool from_meta = kind & (XDP | TC) && !rnd(4), write = kind & (XDP | TC | LX);

	put(BPF_LDX | BPF_MEM | BPF_W, R1, CTX, from_meta ? meta : data, 0);
	put(BPF_LDX | BPF_MEM | BPF_W, R2, CTX, from_meta ? data : end, 0);
	mov_reg(R3, R1);
	put(BPF_ALU64 | BPF_ADD | BPF_K, R3, 0, 0, at + 4);
	mov(R0, -1);
	put(BPF_JMP | BPF_JGT | BPF_X, R3, R2, write ? 2 : 1, 0);
	put(BPF_LDX | BPF_MEM | BPF_W, R0, R1, at, 0);
	if (write)
		put(BPF_ST | BPF_MEM | BPF_B, R1, 0, at + rnd(4), rnd(256));
	result(R0);
	/* how much there is */
	put(BPF_ALU64 | BPF_SUB | BPF_X, R2, R1, 0, 0);
	result(R2);
}
static void ld_abs(void)
{
	static const int32_t bases[] = {0, 0, -0x100000, -0x200000, -0x1000, -0x300000};
	static const uint8_t sizes[] = {BPF_B, BPF_H, BPF_W};

	/* a miss ends the program */
	put(BPF_LD | BPF_ABS | sizes[rnd(3)], 0, 0, 0,
	    (int32_t)((uint32_t)bases[rnd(6)] + (rnd(6) ? rnd(30) : num())));
	result(R0);
}
static void xdp_head(void)
{
	mov_reg(R1, CTX);
	mov(R2, rnd(4) ? (int32_t)rnd(60) - 30 : rnd(2) ? -200 - (int32_t)rnd(40) : (int32_t)num());
	call(BPF_FUNC_xdp_adjust_head);
}
static void xdp_tail(void)
{
	mov_reg(R1, CTX);
	mov(R2, rnd(4)	 ? (int32_t)rnd(60) - 30
		: rnd(2) ? (int32_t)rnd(8000) - 4000
			 : (int32_t)num());
	call(BPF_FUNC_xdp_adjust_tail);
}
static void xdp_meta(void)
{
	mov_reg(R1, CTX);
	mov(R2, rnd(4)	 ? ((int32_t)rnd(16) - 12) * 4
		: rnd(2) ? (int32_t)rnd(600) - 300
			 : (int32_t)num());
	call(BPF_FUNC_xdp_adjust_meta);
}
static void xdp_len(void)
{
	mov_reg(R1, CTX);
	call(BPF_FUNC_xdp_get_buff_len);
}
static void xdp_fields(void)
{
	put(BPF_LDX | BPF_MEM | BPF_W, R0, CTX, 12 + 4 * rnd(2), 0);
	result(R0);
}

static const struct {
	void (*make)(void);
	uint32_t who;
} steps[] = {
	{load_bytes, SKBS | XDP},
	{load_relative, SF | CG | TC},
	{store_bytes, TC | LX | XDP},
	{store_bytes, TC | LX | XDP},
	{pull, TC | LX},
	{l3_csum, TC | LX},
	{l4_csum, TC | LX},
	{l4_csum, TC | LX},
	{csum_diff, TC | LX | XDP},
	{csum_update, TC | LX},
	{csum_level, TC | LX},
	{vlan_push, TC},
	{vlan_pop, TC},
	{vlan_push, TC},
	{vlan_pop, TC},
	{change_proto, TC},
	{change_type, TC},
	{change_tail, TC | LX},
	{change_head, TC | LX},
	{adjust_room, TC},
	{adjust_room, TC},
	{redirect, TC | LX | XDP},
	{redirect_peer, TC},
	{redirect_neigh, TC},
	{clone_redirect, TC},
	{hash, TC},
	{simple, TC | LX},
	{simple_tc, TC},
	{ids, SF | CG | TC},
	{cgroup_id, TC | CG},
	{ecn, TC | CG},
	{tstamp, TC},
	{xfrm, TC},
	{tunnel, TC | LX},
	{tunnel_get, TC | LX},
	{check_mtu, TC | XDP},
	{sock, TC | CG},
	{tcp_sock, TC | CG},
	{write_field, SKBS},
	{write_field, SKBS},
	{read_field, SKBS},
	{read_field, SKBS},
	{read_field, SKBS},
	{touch, CG | TC | LX | XDP},
	{touch, CG | TC | LX | XDP},
	{ld_abs, SF | TC},
	{xdp_head, XDP},
	{xdp_tail, XDP},
	{xdp_meta, XDP},
	{xdp_len, XDP},
	{xdp_fields, XDP},
};

static int map_fd[SIDES];

static void make_program(void)
{
	cnt = 0;
	out_off = 0;
	mov_reg(CTX, R1);
	insns[cnt++] = INSN(BPF_LD | BPF_IMM | BPF_DW, OUT, BPF_PSEUDO_MAP_VALUE, 0, 0);
	put(0, 0, 0, 0, 0);
	for (uint32_t n = 1 + rnd(STEPS); n;) {
		uint32_t i = rnd(sizeof(steps) / sizeof(steps[0]));

		if (!(steps[i].who & kind))
			continue;
		steps[i].make();
		n--;
	}
	if (kind & (CG)) {
		mov(R0, rnd(2));
	} else {
		mov(R0, (int32_t)rnd64());
	}
	put(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static void random_ctx(uint8_t *ctx)
{
	struct __sk_buff skb = {0};
	struct xdp_md md = {0};

	memset(ctx, 0, 192);
	if (kind == XDP) {
		md.data = rnd(3) ? rnd(10) * 4 : rnd(300);
		md.data_end = rnd(4) ? pkt_size : rnd(pkt_size + 2);
		md.ingress_ifindex = rnd(2);
		md.rx_queue_index = !rnd(20);
		memcpy(ctx, &md, sizeof(md));
		return;
	}
	if (rnd(2))
		skb.mark = (uint32_t)rnd64();
	if (rnd(2))
		skb.priority = (uint32_t)rnd64();
	if (rnd(2))
		skb.ingress_ifindex = rnd(3);
	skb.ifindex = rnd(12) ? rnd(2) : 7777;
	for (int i = 0; i < 5; i++)
		skb.cb[i] = (uint32_t)rnd64();
	if (rnd(2))
		skb.tstamp = rnd64();
	if (!rnd(3))
		skb.wire_len = pkt_size + rnd(40) - 20;
	if (!rnd(4))
		skb.gso_segs = rnd(65540);
	if (!rnd(4))
		skb.gso_size = rnd(3) ? rnd(2000) : (uint32_t)rnd64();
	if (!rnd(3))
		skb.hwtstamp = rnd64();
	memcpy(ctx, &skb, sizeof(skb));
	if (!rnd(12))
		ctx[rnd(192)] ^= 1;
}

static uint32_t type_of(enum kind k)
{
	switch (k) {
	case SF:
		return BPF_PROG_TYPE_SOCKET_FILTER;
	case CG:
		return BPF_PROG_TYPE_CGROUP_SKB;
	case TC:
		return rnd_state & 1024 ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_SCHED_ACT;
	case LX:
		return BPF_PROG_TYPE_LWT_XMIT;
	case XDP:
		return BPF_PROG_TYPE_XDP;
	}
	return 0;
}

static struct outcome got[SIDES];
static uint32_t ran, programs, refused_runs;

static void run(enum side side, int fd, const union sys_attr *how, const uint8_t *ctx)
{
	struct outcome *o = &got[side];
	union sys_attr a = *how;

	memset(o, 0, sizeof(*o));
	results_set(side, map_fd[side], o->results, true);
	memcpy(o->ctx, ctx, sizeof(o->ctx));
	a.test.prog_fd = fd;
	a.test.data_in = (uintptr_t)pkt;
	a.test.data_size_in = pkt_size;
	if (a.test.data_out)
		a.test.data_out = (uintptr_t)o->data;
	if (a.test.ctx_in)
		a.test.ctx_in = (uintptr_t)ctx;
	if (a.test.ctx_out)
		a.test.ctx_out = (uintptr_t)o->ctx;
	o->ret = side_bpf(side, BPF_PROG_TEST_RUN, &a);
	o->retval = a.test.retval;
	o->size = a.test.data_size_out;
	results_set(side, map_fd[side], o->results, false);
}

static void explain(uint64_t seed, const union sys_attr *how)
{
	uint32_t i;

	fprintf(stderr, "seed %llu, type %d, packet of %u, repeat %u, flags %u\n",
		(unsigned long long)seed, kind, pkt_size, how->test.repeat, how->test.flags);
	fprintf(stderr, "  data out %u (size %u), ctx in %u (%u), out %u (%u)\n",
		!!how->test.data_out, how->test.data_size_out, !!how->test.ctx_in,
		how->test.ctx_size_in, !!how->test.ctx_out, how->test.ctx_size_out);
	for (i = 0; i < cnt; i++)
		if (insns[i].code == (BPF_JMP | BPF_CALL))
			fprintf(stderr, "  calls %d\n", insns[i].imm);
	fprintf(stderr, "  ret %lld %lld, retval %x %x, size %u %u\n", (long long)got[0].ret,
		(long long)got[1].ret, got[0].retval, got[1].retval, got[0].size, got[1].size);
	for (i = 0; i < sizeof(got[0].ctx); i++)
		if (got[0].ctx[i] != got[1].ctx[i])
			fprintf(stderr, "  ctx[%u] %02x %02x\n", i, got[0].ctx[i], got[1].ctx[i]);
	for (i = 0; i < RESULTS / 8; i++) {
		int64_t r[SIDES];

		memcpy(&r[0], got[0].results + 8 * i, 8);
		memcpy(&r[1], got[1].results + 8 * i, 8);
		if (r[0] != r[1])
			fprintf(stderr, "  result %u: %lld (%llx) %lld (%llx)\n", i,
				(long long)r[0], (long long)r[0], (long long)r[1], (long long)r[1]);
	}
	for (i = 0; i < PKT_MAX; i++)
		if (got[0].data[i] != got[1].data[i]) {
			fprintf(stderr, "  data[%u] %02x %02x\n", i, got[0].data[i],
				got[1].data[i]);
			break;
		}
}

static void one(uint64_t seed)
{
	static const enum kind kinds[] = {TC, TC, TC, TC, XDP, XDP, LX, CG, SF};
	uint8_t ctx[192];
	int fd[SIDES];

	rnd_seed(seed);
	kind = kinds[rnd(sizeof(kinds) / sizeof(kinds[0]))];
	pkt_size = random_packet(pkt, kind == XDP && !rnd(4) ? 20000 : 1500);
	make_program();
	for (enum side s = OURS; s < SIDES; s++) {
		insns[1].imm = map_fd[s];
		fd[s] = packets_load(s, type_of(kind), 0, insns, cnt);
	}
	if ((fd[OURS] < 0) != (fd[KERNEL] < 0)) {
		fprintf(stderr, "load: ours %d, kernel %d\n", fd[OURS], fd[KERNEL]);
		explain(seed, &(union sys_attr){0});
		check_failures++;
	}
	programs += fd[OURS] >= 0;
	for (int i = 0; i < 4 && fd[OURS] >= 0 && fd[KERNEL] >= 0; i++) {
		union sys_attr how = {0};

		if (i)
			pkt_size = random_packet(pkt, kind == XDP && !rnd(4) ? 20000 : 1500);
		random_ctx(ctx);
		how.test.data_out = rnd(10) ? 1 : 0;
		how.test.data_size_out = rnd(6) ? 0 : rnd(pkt_size + 20);
		if (rnd(2)) {
			how.test.ctx_in = 1;
			how.test.ctx_size_in = kind == XDP ? sizeof(struct xdp_md) : 192;
		}
		if (rnd(2)) {
			how.test.ctx_out = 1;
			how.test.ctx_size_out = rnd(8) ? 192 : 1 + rnd(191);
		}
		how.test.repeat = rnd(3) ? 0 : rnd(4);
		if (kind != XDP && !rnd(3))
			how.test.flags = 4;
		for (enum side s = OURS; s < SIDES; s++)
			run(s, fd[s], &how, ctx);
		ran++;
		refused_runs += got[KERNEL].ret != 0;
		if (memcmp(&got[OURS], &got[KERNEL], sizeof(got[0]))) {
			explain(seed, &how);
			check_failures++;
			break;
		}
	}
	for (enum side s = OURS; s < SIDES; s++)
		if (fd[s] >= 0)
			side_close(s, fd[s]);
}

int main(int argc, char **argv)
{
	const char *ops = getenv("SHMAP_TEST_OPS");
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t last = argc > 1 ? first : ops ? strtoull(ops, NULL, 0) / 4 : 1200;

	both_init();
	if (!have_kernel)
		SKIP("there is no kernel to compare with");
	map_fd[OURS] = results_map(OURS);
	map_fd[KERNEL] = results_map(KERNEL);
	for (uint64_t seed = first; seed <= last && check_failures < 10; seed++)
		one(seed);
	printf("%u programs, %u runs (%u refused)\n", programs, ran, refused_runs);
	return check_done();
}
