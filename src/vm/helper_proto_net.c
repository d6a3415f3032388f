/* SPDX-License-Identifier: BSD-2-Clause */
/* The helpers of programs on packets: see helper_proto.c for the others. */
#include "vm/helper_proto.h"

#include "base/bits.h"
#include "base/uapi.h"

#define SF HPROG_SOCKET_FILTER
#define CG HPROG_CGROUP_SKB
#define TC HPROG_TC
#define XDP HPROG_XDP
#define LWT (HPROG_LWT | HPROG_LWT_XMIT)
#define XMIT HPROG_LWT_XMIT
#define SK_SKB HPROG_SK_SKB

#define H(fn, ret_, progs, ...)                                                                    \
	{                                                                                          \
		.id = BPF_FUNC_##fn, .name = "bpf_" #fn, .ret = HRET_##ret_, .arg = {__VA_ARGS__}, \
		.prog_types = progs                                                                \
	}
#define CTX HARG_CTX
#define ANY HARG_ANYTHING

static const struct helper_proto protos[] = {
	H(skb_load_bytes, INTEGER, SF | CG | TC | LWT | SK_SKB | HPROG_FLOW_DISSECTOR, CTX, ANY,
	  HARG_MEM_WRITE, HARG_SIZE),
	H(skb_load_bytes_relative, INTEGER, SF | CG | TC, CTX, ANY, HARG_MEM_WRITE, HARG_SIZE, ANY),
	H(skb_store_bytes, INTEGER, TC | XMIT | SK_SKB, CTX, ANY, HARG_MEM_READ, HARG_SIZE, ANY),
	H(skb_pull_data, INTEGER, TC | LWT | SK_SKB, CTX, ANY),
	H(csum_diff, INTEGER, TC | XDP | LWT, HARG_MEM_READ_OR_NULL, HARG_SIZE_OR_ZERO,
	  HARG_MEM_READ_OR_NULL, HARG_SIZE_OR_ZERO, ANY),
	H(csum_update, INTEGER, TC | XMIT, CTX, ANY),
	H(csum_level, INTEGER, TC | XMIT, CTX, ANY),
	H(l3_csum_replace, INTEGER, TC | XMIT, CTX, ANY, ANY, ANY, ANY),
	H(l4_csum_replace, INTEGER, TC | XMIT, CTX, ANY, ANY, ANY, ANY),
	H(clone_redirect, INTEGER, TC | XMIT, CTX, ANY, ANY),
	H(get_cgroup_classid, INTEGER, TC | LWT, CTX),
	H(skb_vlan_push, INTEGER, TC, CTX, ANY, ANY),
	H(skb_vlan_pop, INTEGER, TC, CTX),
	H(skb_change_proto, INTEGER, TC, CTX, ANY, ANY),
	H(skb_change_type, INTEGER, TC, CTX, ANY),
	H(skb_adjust_room, INTEGER, TC | SK_SKB, CTX, ANY, ANY, ANY),
	H(skb_change_tail, INTEGER, TC | XMIT | SK_SKB, CTX, ANY, ANY),
	H(skb_change_head, INTEGER, TC | XMIT | SK_SKB, CTX, ANY, ANY),
	H(skb_get_tunnel_key, INTEGER, TC | XMIT, CTX, HARG_MEM_WRITE, HARG_SIZE, ANY),
	H(skb_set_tunnel_key, INTEGER, TC | XMIT, CTX, HARG_MEM_READ, HARG_SIZE, ANY),
	H(skb_get_tunnel_opt, INTEGER, TC | XMIT, CTX, HARG_MEM_WRITE, HARG_SIZE),
	H(skb_set_tunnel_opt, INTEGER, TC | XMIT, CTX, HARG_MEM_READ, HARG_SIZE),
	H(redirect, INTEGER, TC | XMIT | XDP, ANY, ANY),
	H(redirect_neigh, INTEGER, TC, ANY, HARG_MEM_READ_OR_NULL, HARG_SIZE_OR_ZERO, ANY),
	H(redirect_peer, INTEGER, TC, ANY, ANY),
	H(redirect_map, INTEGER, XDP, HARG_MAP_PTR, ANY, ANY),
	H(get_route_realm, INTEGER, TC | LWT, CTX),
	H(get_hash_recalc, INTEGER, TC | LWT, CTX),
	H(set_hash_invalid, INTEGER, TC | XMIT, CTX),
	H(set_hash, INTEGER, TC, CTX, ANY),
	H(get_socket_cookie, INTEGER, SF | CG | TC | SK_SKB, CTX),
	H(get_netns_cookie, INTEGER, SF | CG | TC, HARG_CTX_OR_NULL),
	H(get_socket_uid, INTEGER, SF | CG | TC | SK_SKB, CTX),
	H(check_mtu, INTEGER, TC | XDP, CTX, ANY, HARG_INT_UPDATE, ANY, ANY),
	H(skb_get_xfrm_state, INTEGER, TC, CTX, ANY, HARG_MEM_WRITE, HARG_SIZE, ANY),
	H(skb_cgroup_classid, INTEGER, TC, CTX),
	H(skb_cgroup_id, INTEGER, TC | CG, CTX),
	H(sk_cgroup_id, INTEGER, CG, HARG_SOCK_OR_BTF),
	H(tcp_sock, TCP_SOCK_OR_NULL, TC | CG, HARG_SOCK),
	H(get_listener_sock, SOCK_OR_NULL, TC | CG, HARG_SOCK),
	H(skb_ecn_set_ce, INTEGER, TC | CG, CTX),
	H(skb_set_tstamp, INTEGER, TC, CTX, ANY, ANY),
	H(xdp_adjust_head, INTEGER, XDP, CTX, ANY),
	H(xdp_adjust_meta, INTEGER, XDP, CTX, ANY),
	H(xdp_adjust_tail, INTEGER, XDP, CTX, ANY),
	H(xdp_get_buff_len, INTEGER, XDP, CTX),
	H(xdp_load_bytes, INTEGER, XDP, CTX, ANY, HARG_MEM_WRITE, HARG_SIZE),
	H(xdp_store_bytes, INTEGER, XDP, CTX, ANY, HARG_MEM_READ, HARG_SIZE),
};

const struct helper_proto *helper_proto_net(uint32_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].id == id)
			return &protos[i];
	return NULL;
}

bool helper_changes_packet(uint32_t id)
{
	switch (id) {
	case BPF_FUNC_clone_redirect:
	case BPF_FUNC_l3_csum_replace:
	case BPF_FUNC_l4_csum_replace:
	case BPF_FUNC_skb_adjust_room:
	case BPF_FUNC_skb_change_head:
	case BPF_FUNC_skb_change_proto:
	case BPF_FUNC_skb_change_tail:
	case BPF_FUNC_skb_pull_data:
	case BPF_FUNC_skb_store_bytes:
	case BPF_FUNC_skb_vlan_pop:
	case BPF_FUNC_skb_vlan_push:
	case BPF_FUNC_xdp_adjust_head:
	case BPF_FUNC_xdp_adjust_meta:
	case BPF_FUNC_xdp_adjust_tail:
	case BPF_FUNC_tail_call: /* of a program that does */
		return true;
	}
	return false;
}
