/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helper functions' code, by id. Their prototypes, which the verifier
 * checks calls against, are helper_proto.h's.
 */
#ifndef SHMAP_VM_HELPERS_H
#define SHMAP_VM_HELPERS_H

#include <stddef.h>
#include <stdint.h>

#include "vm/interp.h"

/* Each helper is declared with the arguments that it uses; the rest are free. */
#define HELPER(name)                                                                               \
	uint64_t helper_##name(uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e,         \
			       struct vm_context *vc)
#define PTR(x) ((void *)(uintptr_t)(x))
#define ERR(err) ((uint64_t)(int64_t)(err))

/* The helper with that id; NULL: there is none. */
vm_helper_fn vm_helper(int32_t id);

/* The run ends: the consumer of vc->ring (not NULL) sees what it submitted. */
void ringbuf_publish(struct vm_context *vc);
/* The run has failed: what it reserved and did not submit is discarded. */
void ringbuf_abandon(struct vm_context *vc);

/* bpf_tail_call: what to go on with, now vc->code, or NULL when the call falls through. */
const struct vm_code *vm_tail_call(struct vm_context *vc, uint64_t map, uint32_t index);
/* The same out of a function, which then returns *ret; false: there is no such program. */
bool vm_tail_call_nested(struct vm_context *vc, uint64_t map, uint32_t index, uint64_t *ret);
/* Before p is interpreted from its beginning: the frames from vc->depth on. */
void begin_stack(struct vm_context *vc, const struct vm_prog *p);

/*
 * printf as the kernel's programs have it. Formats fmt (fmt_size bytes,
 * a NUL among them) with args into out (size bytes, always terminated when size
 * is not 0). The length that the whole text would have, or -EINVAL.
 */
long fmt_print(struct vm_context *vc, char *out, size_t size, const char *fmt, size_t fmt_size,
	       const uint64_t *args, uint32_t arg_cnt);
/* Only checks: used by the verifier for constant formats. 0 or -EINVAL. */
int fmt_check(const char *fmt, size_t fmt_size, uint32_t arg_cnt);

#define HELPERS(H)                                                                                 \
	H(2, map_update_elem)                                                                      \
	H(3, map_delete_elem)                                                                      \
	H(4, probe_read)                                                                           \
	H(5, ktime_get_ns)                                                                         \
	H(6, trace_printk)                                                                         \
	H(7, get_prandom_u32)                                                                      \
	H(8, get_smp_processor_id)                                                                 \
	H(9, skb_store_bytes)                                                                      \
	H(10, l3_csum_replace)                                                                     \
	H(11, l4_csum_replace)                                                                     \
	H(13, clone_redirect)                                                                      \
	H(14, get_current_pid_tgid)                                                                \
	H(15, get_current_uid_gid)                                                                 \
	H(16, get_current_comm)                                                                    \
	H(17, get_cgroup_classid)                                                                  \
	H(18, skb_vlan_push)                                                                       \
	H(19, skb_vlan_pop)                                                                        \
	H(20, skb_get_tunnel_key)                                                                  \
	H(21, skb_set_tunnel_key)                                                                  \
	H(22, perf_event_read)                                                                     \
	H(23, redirect)                                                                            \
	H(24, get_route_realm)                                                                     \
	H(25, perf_event_output)                                                                   \
	H(26, skb_load_bytes)                                                                      \
	H(27, get_stackid)                                                                         \
	H(28, csum_diff)                                                                           \
	H(29, skb_get_tunnel_opt)                                                                  \
	H(30, skb_set_tunnel_opt)                                                                  \
	H(31, skb_change_proto)                                                                    \
	H(32, skb_change_type)                                                                     \
	H(33, skb_under_cgroup)                                                                    \
	H(34, get_hash_recalc)                                                                     \
	H(35, get_current_task)                                                                    \
	H(36, probe_write_user)                                                                    \
	H(37, current_task_under_cgroup)                                                           \
	H(38, skb_change_tail)                                                                     \
	H(39, skb_pull_data)                                                                       \
	H(40, csum_update)                                                                         \
	H(41, set_hash_invalid)                                                                    \
	H(42, get_numa_node_id)                                                                    \
	H(43, skb_change_head)                                                                     \
	H(44, xdp_adjust_head)                                                                     \
	H(45, probe_read_str)                                                                      \
	H(46, get_socket_cookie)                                                                   \
	H(47, get_socket_uid)                                                                      \
	H(48, set_hash)                                                                            \
	H(50, skb_adjust_room)                                                                     \
	H(51, redirect_map)                                                                        \
	H(54, xdp_adjust_meta)                                                                     \
	H(55, perf_event_read_value)                                                               \
	H(65, xdp_adjust_tail)                                                                     \
	H(66, skb_get_xfrm_state)                                                                  \
	H(67, get_stack)                                                                           \
	H(68, skb_load_bytes_relative)                                                             \
	H(79, skb_cgroup_id)                                                                       \
	H(80, get_current_cgroup_id)                                                               \
	H(87, map_push_elem)                                                                       \
	H(88, map_pop_elem)                                                                        \
	H(89, map_peek_elem)                                                                       \
	H(93, spin_lock)                                                                           \
	H(94, spin_unlock)                                                                         \
	H(95, sk_fullsock)                                                                         \
	H(96, tcp_sock)                                                                            \
	H(97, skb_ecn_set_ce)                                                                      \
	H(98, get_listener_sock)                                                                   \
	H(105, strtol)                                                                             \
	H(106, strtoul)                                                                            \
	H(107, sk_storage_get)                                                                     \
	H(108, sk_storage_delete)                                                                  \
	H(112, probe_read_user)                                                                    \
	H(113, probe_read_kernel)                                                                  \
	H(114, probe_read_user_str)                                                                \
	H(115, probe_read_kernel_str)                                                              \
	H(118, jiffies64)                                                                          \
	H(120, get_ns_current_pid_tgid)                                                            \
	H(122, get_netns_cookie)                                                                   \
	H(123, get_current_ancestor_cgroup_id)                                                     \
	H(125, ktime_get_boot_ns)                                                                  \
	H(128, sk_cgroup_id)                                                                       \
	H(130, ringbuf_output)                                                                     \
	H(131, ringbuf_reserve)                                                                    \
	H(132, ringbuf_submit)                                                                     \
	H(133, ringbuf_discard)                                                                    \
	H(134, ringbuf_query)                                                                      \
	H(135, csum_level)                                                                         \
	H(148, copy_from_user)                                                                     \
	H(151, skb_cgroup_classid)                                                                 \
	H(152, redirect_neigh)                                                                     \
	H(155, redirect_peer)                                                                      \
	H(156, task_storage_get)                                                                   \
	H(157, task_storage_delete)                                                                \
	H(158, get_current_task_btf)                                                               \
	H(160, ktime_get_coarse_ns)                                                                \
	H(163, check_mtu)                                                                          \
	H(164, for_each_map_elem)                                                                  \
	H(165, snprintf)                                                                           \
	H(169, timer_init)                                                                         \
	H(170, timer_set_callback)                                                                 \
	H(171, timer_start)                                                                        \
	H(172, timer_cancel)                                                                       \
	H(173, get_func_ip)                                                                        \
	H(174, get_attach_cookie)                                                                  \
	H(177, trace_vprintk)                                                                      \
	H(181, loop)                                                                               \
	H(182, strncmp)                                                                            \
	H(183, get_func_arg)                                                                       \
	H(184, get_func_ret)                                                                       \
	H(185, get_func_arg_cnt)                                                                   \
	H(188, xdp_get_buff_len)                                                                   \
	H(189, xdp_load_bytes)                                                                     \
	H(190, xdp_store_bytes)                                                                    \
	H(192, skb_set_tstamp)                                                                     \
	H(195, map_lookup_percpu_elem)                                                             \
	H(197, dynptr_from_mem)                                                                    \
	H(198, ringbuf_reserve_dynptr)                                                             \
	H(199, ringbuf_submit_dynptr)                                                              \
	H(200, ringbuf_discard_dynptr)                                                             \
	H(201, dynptr_read)                                                                        \
	H(202, dynptr_write)                                                                       \
	H(203, dynptr_data)                                                                        \
	H(208, ktime_get_tai_ns)                                                                   \
	H(209, user_ringbuf_drain)                                                                 \
	H(210, cgrp_storage_get)                                                                   \
	H(211, cgrp_storage_delete)

#define H(id, name) HELPER(name);
HELPERS(H)
HELPER(map_lookup_elem);
#undef H

#endif
