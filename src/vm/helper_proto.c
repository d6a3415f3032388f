/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/helper_proto.h"

#include "base/bits.h"
#include "base/uapi.h"
#include "vm/vm.h"

#define PACKETS (HPROG_SOCKET_FILTER | HPROG_TC | HPROG_XDP)
#define PROBES (HPROG_KPROBE | HPROG_TRACEPOINT | HPROG_RAW_TP | HPROG_PERF_EVENT)
#define TRAMPOLINES (HPROG_FENTRY | HPROG_FEXIT)
#define SK_STORAGE                                                                                 \
	(HPROG_TC | HPROG_CGROUP_SKB | HPROG_SOCK_OPS | HPROG_SK_MSG | HPROG_SOCK_ADDR |           \
	 TRAMPOLINES | HPROG_TP_BTF | HPROG_SYSCALL)
#define SK_BASE                                                                                    \
	(PACKETS | HPROG_CGROUP_SKB | HPROG_LWT | HPROG_LWT_XMIT | HPROG_SK_SKB |                  \
	 HPROG_FLOW_DISSECTOR | HPROG_CGROUP_SOCK | HPROG_SOCK_ADDR | HPROG_SOCK_OPS |             \
	 HPROG_SK_MSG | HPROG_SK_LOOKUP | HPROG_SK_REUSEPORT | HPROG_CGROUP_SYSCTL)
/* types whose programs send no perf events */
#define NO_EVENTS (HPROG_FLOW_DISSECTOR | HPROG_SK_REUSEPORT)
#define TRACING (PROBES | TRAMPOLINES | HPROG_TP_BTF)
#define ALL UINT32_MAX /* of the groups that there are */

#define H(fn, ret_, gpl, progs, ...)                                                               \
	{                                                                                          \
		.id = BPF_FUNC_##fn, .name = "bpf_" #fn, .ret = HRET_##ret_, .arg = {__VA_ARGS__}, \
		.gpl_only = gpl, .prog_types = progs                                               \
	}

#define BPF_FUNC_cgrp_storage_get SHMAP_FUNC_CGRP_STORAGE_GET
#define BPF_FUNC_cgrp_storage_delete SHMAP_FUNC_CGRP_STORAGE_DELETE

static const struct helper_proto protos[] = {
	H(map_lookup_elem, MAP_VALUE_OR_NULL, false, ALL, HARG_MAP_PTR, HARG_MAP_KEY),
	H(map_update_elem, INTEGER, false, ALL, HARG_MAP_PTR, HARG_MAP_KEY, HARG_MAP_VALUE,
	  HARG_ANYTHING),
	H(map_delete_elem, INTEGER, false, ALL, HARG_MAP_PTR, HARG_MAP_KEY),
	H(probe_read, INTEGER, true, TRACING | HPROG_SYSCALL, HARG_MEM_WRITE, HARG_SIZE_OR_ZERO,
	  HARG_ANYTHING),
	H(ktime_get_ns, INTEGER, false, ALL),
	/* R3 to R5 may be left unset: whatever is there is printed, if at all */
	H(trace_printk, INTEGER, true, ALL, HARG_MEM_READ, HARG_SIZE),
	H(get_prandom_u32, INTEGER, false, ALL),
	H(get_smp_processor_id, INTEGER, false, ALL),
	H(tail_call, VOID, false, ALL, HARG_CTX, HARG_MAP_PTR, HARG_ANYTHING),
	H(perf_event_read, INTEGER, true, ALL, HARG_MAP_PTR, HARG_ANYTHING),
	H(perf_event_output, INTEGER, true, ALL & ~NO_EVENTS, HARG_CTX, HARG_MAP_PTR, HARG_ANYTHING,
	  HARG_MEM_READ, HARG_SIZE_OR_ZERO),
	H(get_stackid, INTEGER, true, TRACING | HPROG_SYSCALL, HARG_CTX, HARG_MAP_PTR,
	  HARG_ANYTHING),
	H(perf_event_read_value, INTEGER, true, ALL, HARG_MAP_PTR, HARG_ANYTHING, HARG_MEM_WRITE,
	  HARG_SIZE),
	H(get_stack, INTEGER, true, TRACING | HPROG_SYSCALL, HARG_CTX, HARG_MEM_WRITE,
	  HARG_SIZE_OR_ZERO, HARG_ANYTHING),
	H(get_current_pid_tgid, INTEGER, false, ALL),
	H(get_current_uid_gid, INTEGER, false, ALL),
	H(get_current_comm, INTEGER, false, ALL, HARG_MEM_WRITE, HARG_SIZE),
	H(get_numa_node_id, INTEGER, false, ALL),
	H(probe_read_str, INTEGER, true, TRACING | HPROG_SYSCALL, HARG_MEM_WRITE, HARG_SIZE_OR_ZERO,
	  HARG_ANYTHING),
	H(get_current_cgroup_id, INTEGER, false, ALL),
	H(get_current_ancestor_cgroup_id, INTEGER, false, ALL, HARG_ANYTHING),
	H(get_ns_current_pid_tgid, INTEGER, false, ALL, HARG_ANYTHING, HARG_ANYTHING,
	  HARG_MEM_WRITE, HARG_SIZE),
	H(copy_from_user, INTEGER, false, ALL, HARG_MEM_WRITE, HARG_SIZE_OR_ZERO, HARG_ANYTHING),
	H(skb_under_cgroup, INTEGER, false, HPROG_TC | HPROG_LWT | HPROG_LWT_XMIT, HARG_CTX,
	  HARG_MAP_PTR, HARG_ANYTHING),
	H(current_task_under_cgroup, INTEGER, false, ALL, HARG_MAP_PTR, HARG_ANYTHING),
	H(map_push_elem, INTEGER, false, ALL, HARG_MAP_PTR, HARG_MAP_VALUE, HARG_ANYTHING),
	H(map_pop_elem, INTEGER, false, ALL, HARG_MAP_PTR, HARG_MAP_VALUE_UNINIT),
	H(map_peek_elem, INTEGER, false, ALL, HARG_MAP_PTR, HARG_MAP_VALUE_UNINIT),
	H(spin_lock, VOID, false, ALL, HARG_SPIN_LOCK),
	H(spin_unlock, VOID, false, ALL, HARG_SPIN_LOCK),
	H(strtol, INTEGER, false, ALL, HARG_MEM_READ, HARG_SIZE, HARG_ANYTHING, HARG_LONG_WRITE),
	H(strtoul, INTEGER, false, ALL, HARG_MEM_READ, HARG_SIZE, HARG_ANYTHING, HARG_LONG_WRITE),
	H(probe_read_user, INTEGER, true, ALL, HARG_MEM_WRITE, HARG_SIZE_OR_ZERO, HARG_ANYTHING),
	H(probe_read_kernel, INTEGER, true, ALL, HARG_MEM_WRITE, HARG_SIZE_OR_ZERO, HARG_ANYTHING),
	H(probe_read_user_str, INTEGER, true, ALL, HARG_MEM_WRITE, HARG_SIZE_OR_ZERO,
	  HARG_ANYTHING),
	H(probe_read_kernel_str, INTEGER, true, ALL, HARG_MEM_WRITE, HARG_SIZE_OR_ZERO,
	  HARG_ANYTHING),
	H(jiffies64, INTEGER, false, ALL),
	H(ktime_get_boot_ns, INTEGER, false, ALL),
	H(ringbuf_output, INTEGER, false, ALL, HARG_MAP_PTR, HARG_MEM_READ, HARG_SIZE_OR_ZERO,
	  HARG_ANYTHING),
	H(ringbuf_reserve, RINGBUF_MEM_OR_NULL, false, ALL, HARG_MAP_PTR, HARG_ALLOC_SIZE,
	  HARG_ANYTHING),
	H(ringbuf_submit, VOID, false, ALL, HARG_RINGBUF_MEM, HARG_ANYTHING),
	H(ringbuf_discard, VOID, false, ALL, HARG_RINGBUF_MEM, HARG_ANYTHING),
	H(ringbuf_query, INTEGER, false, ALL, HARG_MAP_PTR, HARG_ANYTHING),
	H(ktime_get_coarse_ns, INTEGER, false, SK_BASE),
	H(for_each_map_elem, INTEGER, false, ALL, HARG_MAP_PTR, HARG_FUNC, HARG_STACK_OR_NULL,
	  HARG_ANYTHING),
	H(snprintf, INTEGER, true, ALL, HARG_MEM_WRITE_OR_NULL, HARG_SIZE_OR_ZERO, HARG_CONST_STR,
	  HARG_MEM_READ_OR_NULL, HARG_SIZE_OR_ZERO),
	H(get_func_ip, INTEGER, true, TRACING | HPROG_SYSCALL, HARG_CTX),
	H(get_attach_cookie, INTEGER, false, PROBES | TRAMPOLINES | HPROG_TP_BTF, HARG_CTX),
	H(trace_vprintk, INTEGER, true, ALL, HARG_MEM_READ, HARG_SIZE, HARG_MEM_READ_OR_NULL,
	  HARG_SIZE_OR_ZERO),
	H(loop, INTEGER, false, ALL, HARG_ANYTHING, HARG_FUNC, HARG_STACK_OR_NULL, HARG_ANYTHING),
	H(strncmp, INTEGER, false, ALL, HARG_MEM_READ, HARG_SIZE, HARG_CONST_STR),
	H(get_func_arg, INTEGER, false, TRAMPOLINES, HARG_CTX, HARG_ANYTHING, HARG_LONG_WRITE),
	H(get_func_ret, INTEGER, false, HPROG_FEXIT, HARG_CTX, HARG_LONG_WRITE),
	H(get_func_arg_cnt, INTEGER, false, TRAMPOLINES, HARG_CTX),
	H(map_lookup_percpu_elem, MAP_VALUE_OR_NULL, false, ALL, HARG_MAP_PTR, HARG_MAP_KEY,
	  HARG_ANYTHING),
	H(ringbuf_reserve_dynptr, INTEGER, false, ALL, HARG_MAP_PTR, HARG_ANYTHING, HARG_ANYTHING,
	  HARG_DYNPTR_UNINIT),
	H(ringbuf_submit_dynptr, VOID, false, ALL, HARG_DYNPTR_RELEASE, HARG_ANYTHING),
	H(ringbuf_discard_dynptr, VOID, false, ALL, HARG_DYNPTR_RELEASE, HARG_ANYTHING),
	H(dynptr_from_mem, INTEGER, false, ALL, HARG_MEM_WRITE, HARG_SIZE_OR_ZERO, HARG_ANYTHING,
	  HARG_DYNPTR_UNINIT),
	H(dynptr_read, INTEGER, false, ALL, HARG_MEM_WRITE, HARG_SIZE_OR_ZERO, HARG_DYNPTR,
	  HARG_ANYTHING, HARG_ANYTHING),
	H(dynptr_write, INTEGER, false, ALL, HARG_DYNPTR, HARG_ANYTHING, HARG_MEM_READ,
	  HARG_SIZE_OR_ZERO, HARG_ANYTHING),
	H(dynptr_data, DYNPTR_MEM_OR_NULL, false, ALL, HARG_DYNPTR, HARG_ANYTHING, HARG_ALLOC_SIZE),
	H(get_current_task, INTEGER, true, ALL),
	H(get_current_task_btf, TASK_BTF, true, ALL),
	H(sk_fullsock, SOCK_OR_NULL, false, HPROG_TC | HPROG_CGROUP_SKB, HARG_SOCK),
	H(sk_storage_get, MAP_VALUE_OR_NULL, false, SK_STORAGE, HARG_MAP_PTR, HARG_SOCK_OR_BTF,
	  HARG_MAP_VALUE_OR_NULL, HARG_ANYTHING),
	H(sk_storage_delete, INTEGER, false, SK_STORAGE, HARG_MAP_PTR, HARG_SOCK_OR_BTF),
	H(task_storage_get, MAP_VALUE_OR_NULL, false, ALL, HARG_MAP_PTR, HARG_TASK_OR_NULL,
	  HARG_MAP_VALUE_OR_NULL, HARG_ANYTHING),
	H(task_storage_delete, INTEGER, false, ALL, HARG_MAP_PTR, HARG_TASK_OR_NULL),
	H(cgrp_storage_get, MAP_VALUE_OR_NULL, false, ALL, HARG_MAP_PTR, HARG_CGROUP_OR_NULL,
	  HARG_MAP_VALUE_OR_NULL, HARG_ANYTHING),
	H(cgrp_storage_delete, INTEGER, false, ALL, HARG_MAP_PTR, HARG_CGROUP_OR_NULL),
	H(timer_init, INTEGER, false, ALL, HARG_TIMER, HARG_MAP_PTR, HARG_ANYTHING),
	H(timer_set_callback, INTEGER, false, ALL, HARG_TIMER, HARG_ASYNC_FUNC),
	H(timer_start, INTEGER, false, ALL, HARG_TIMER, HARG_ANYTHING, HARG_ANYTHING),
	H(timer_cancel, INTEGER, false, ALL, HARG_TIMER),
	H(ktime_get_tai_ns, INTEGER, false, ALL),
	H(user_ringbuf_drain, INTEGER, false, ALL, HARG_MAP_PTR, HARG_FUNC, HARG_STACK_OR_NULL,
	  HARG_ANYTHING),
};

const struct helper_proto *helper_proto_find(uint32_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].id == id)
			return &protos[i];
	return helper_proto_net(id);
}

#define NAME(fn) [BPF_FUNC_##fn] = "bpf_" #fn
static const char *const names[] = {__BPF_FUNC_MAPPER(NAME)
					    /* newer than the build machine's header may be */
					    [210] = "bpf_cgrp_storage_get",
				    [211] = "bpf_cgrp_storage_delete"};

bool helper_id_valid(int32_t id)
{
	return id >= 0 && (size_t)id < ARRAY_SIZE(names);
}

const char *helper_name(int32_t id)
{
	return helper_id_valid(id) && names[id] ? names[id] : "unknown";
}

uint32_t helper_prog_group(const struct vm_prog *p)
{
	switch (p->type) {
	case BPF_PROG_TYPE_SOCKET_FILTER:
		return HPROG_SOCKET_FILTER;
	case BPF_PROG_TYPE_SCHED_CLS:
	case BPF_PROG_TYPE_SCHED_ACT:
		return HPROG_TC;
	case BPF_PROG_TYPE_XDP:
		return HPROG_XDP;
	case BPF_PROG_TYPE_CGROUP_SKB:
		return HPROG_CGROUP_SKB;
	case BPF_PROG_TYPE_LWT_IN:
	case BPF_PROG_TYPE_LWT_OUT:
	case BPF_PROG_TYPE_LWT_SEG6LOCAL:
		return HPROG_LWT;
	case BPF_PROG_TYPE_LWT_XMIT:
		return HPROG_LWT_XMIT;
	case BPF_PROG_TYPE_SK_SKB:
		return HPROG_SK_SKB;
	case BPF_PROG_TYPE_FLOW_DISSECTOR:
		return HPROG_FLOW_DISSECTOR;
	case BPF_PROG_TYPE_CGROUP_SOCK:
		return HPROG_CGROUP_SOCK;
	case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
		return HPROG_SOCK_ADDR;
	case BPF_PROG_TYPE_SOCK_OPS:
		return HPROG_SOCK_OPS;
	case BPF_PROG_TYPE_SK_MSG:
		return HPROG_SK_MSG;
	case BPF_PROG_TYPE_SK_LOOKUP:
		return HPROG_SK_LOOKUP;
	case BPF_PROG_TYPE_SK_REUSEPORT:
		return HPROG_SK_REUSEPORT;
	case BPF_PROG_TYPE_CGROUP_DEVICE:
		return HPROG_CGROUP_DEVICE;
	case BPF_PROG_TYPE_CGROUP_SYSCTL:
		return HPROG_CGROUP_SYSCTL;
	case BPF_PROG_TYPE_CGROUP_SOCKOPT:
		return HPROG_CGROUP_SOCKOPT;
	case BPF_PROG_TYPE_KPROBE:
		return HPROG_KPROBE;
	case BPF_PROG_TYPE_TRACEPOINT:
		return HPROG_TRACEPOINT;
	case BPF_PROG_TYPE_RAW_TRACEPOINT:
		return HPROG_RAW_TP;
	case BPF_PROG_TYPE_PERF_EVENT:
		return HPROG_PERF_EVENT;
	case BPF_PROG_TYPE_SYSCALL:
		return HPROG_SYSCALL;
	case BPF_PROG_TYPE_TRACING:
		switch (p->expected_attach_type) {
		case BPF_TRACE_FENTRY:
			return HPROG_FENTRY;
		case BPF_TRACE_FEXIT:
			return HPROG_FEXIT;
		case BPF_TRACE_RAW_TP:
			return HPROG_TP_BTF;
		}
	}
	return 0;
}
