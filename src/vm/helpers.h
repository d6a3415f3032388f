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
	H(14, get_current_pid_tgid)                                                                \
	H(15, get_current_uid_gid)                                                                 \
	H(16, get_current_comm)                                                                    \
	H(22, perf_event_read)                                                                     \
	H(25, perf_event_output)                                                                   \
	H(27, get_stackid)                                                                         \
	H(33, skb_under_cgroup)                                                                    \
	H(35, get_current_task)                                                                    \
	H(36, probe_write_user)                                                                    \
	H(37, current_task_under_cgroup)                                                           \
	H(42, get_numa_node_id)                                                                    \
	H(45, probe_read_str)                                                                      \
	H(55, perf_event_read_value)                                                               \
	H(67, get_stack)                                                                           \
	H(80, get_current_cgroup_id)                                                               \
	H(87, map_push_elem)                                                                       \
	H(88, map_pop_elem)                                                                        \
	H(89, map_peek_elem)                                                                       \
	H(93, spin_lock)                                                                           \
	H(94, spin_unlock)                                                                         \
	H(95, sk_fullsock)                                                                         \
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
	H(123, get_current_ancestor_cgroup_id)                                                     \
	H(125, ktime_get_boot_ns)                                                                  \
	H(130, ringbuf_output)                                                                     \
	H(131, ringbuf_reserve)                                                                    \
	H(132, ringbuf_submit)                                                                     \
	H(133, ringbuf_discard)                                                                    \
	H(134, ringbuf_query)                                                                      \
	H(148, copy_from_user)                                                                     \
	H(156, task_storage_get)                                                                   \
	H(157, task_storage_delete)                                                                \
	H(158, get_current_task_btf)                                                               \
	H(160, ktime_get_coarse_ns)                                                                \
	H(164, for_each_map_elem)                                                                  \
	H(165, snprintf)                                                                           \
	H(173, get_func_ip)                                                                        \
	H(174, get_attach_cookie)                                                                  \
	H(177, trace_vprintk)                                                                      \
	H(181, loop)                                                                               \
	H(182, strncmp)                                                                            \
	H(183, get_func_arg)                                                                       \
	H(184, get_func_ret)                                                                       \
	H(185, get_func_arg_cnt)                                                                   \
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
