/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The helpers that programs may call: ids, argument and return types, and the
 * program types that may use them, as in Linux 6.18. The verifier checks calls
 * against this table; the interpreter may rely on what the types promise.
 */
#ifndef SHMAP_VM_HELPER_PROTO_H
#define SHMAP_VM_HELPER_PROTO_H

#include <stdbool.h>
#include <stdint.h>

struct vm_prog;

enum helper_arg {
	HARG_NONE,		/* unused; must be last */
	HARG_ANYTHING,		/* any initialised register */
	HARG_MAP_PTR,		/* a map: struct map * */
	HARG_MAP_KEY,		/* key_size readable bytes; aligned as the program pleases */
	HARG_MAP_VALUE,		/* value_size readable bytes */
	HARG_MAP_VALUE_UNINIT,	/* value_size writable bytes */
	HARG_MEM_READ,		/* readable memory; the next argument is its size */
	HARG_MEM_READ_OR_NULL,	/* or NULL when the size is 0 or the helper says so */
	HARG_MEM_WRITE,		/* writable memory, contents undefined; next argument: size */
	HARG_MEM_WRITE_OR_NULL,
	HARG_SIZE,		/* 1..known maximum */
	HARG_SIZE_OR_ZERO,	/* 0..known maximum */
	HARG_ALLOC_SIZE,	/* constant */
	HARG_CTX,		/* the unmodified context */
	HARG_CTX_OR_NULL,
	HARG_INT_UPDATE,	/* 4 aligned bytes, read and written */
	HARG_SPIN_LOCK,		/* struct bpf_spin_lock of a map value */
	HARG_FUNC,		/* callback: entry pc of a function (vm_aux.callback_pc) */
	HARG_STACK_OR_NULL,	/* frame memory handed to the callback, or 0 */
	HARG_CONST_STR,		/* NUL-terminated string in a frozen read-only map */
	HARG_LONG_WRITE,	/* 8 writable, 8-byte aligned bytes */
	HARG_MAP_VALUE_OR_NULL,	/* as HARG_MAP_VALUE, or NULL */
	HARG_TASK_OR_NULL,	/* struct task_struct of the kernel's */
	HARG_CGROUP_OR_NULL,	/* struct cgroup */
	HARG_SOCK,		/* a socket of the context */
	HARG_SOCK_OR_BTF,	/* or a struct sock of the kernel's */
	HARG_RINGBUF_MEM,	/* a reserved record; released by the call */
	HARG_DYNPTR_UNINIT,	/* 16 bytes of the frame that become a ring buffer's dynptr */
	HARG_DYNPTR,		/* a dynptr: those, or what a callback was given */
	HARG_TIMER,		/* struct bpf_timer of a map value */
	HARG_ASYNC_FUNC,	/* callback that is called when the program has ended */
	HARG_DYNPTR_RELEASE,	/* a ring buffer's dynptr; released by the call */
};

enum helper_ret {
	HRET_INTEGER,		/* a scalar in R0 */
	HRET_VOID,		/* R0 is not readable afterwards */
	HRET_MAP_VALUE_OR_NULL,
	HRET_TASK_BTF,		/* the current task's image */
	HRET_SOCK_OR_NULL,
	HRET_TCP_SOCK_OR_NULL,
	HRET_RINGBUF_MEM_OR_NULL,
	HRET_DYNPTR_MEM_OR_NULL, /* HARG_ALLOC_SIZE bytes, for as long as the dynptr is */
};

struct helper_proto {
	uint32_t id;
	const char *name;	/* "bpf_map_lookup_elem" */
	enum helper_ret ret;
	enum helper_arg arg[5];
	bool gpl_only;
	uint32_t prog_types;	/* enum helper_progs bits */
};

/* Groups of program types that share a list of helpers. */
enum helper_progs {
	HPROG_SOCKET_FILTER = 1 << 0,
	HPROG_TC = 1 << 1,		/* sched_cls, sched_act */
	HPROG_XDP = 1 << 2,
	HPROG_KPROBE = 1 << 3,
	HPROG_TRACEPOINT = 1 << 4,
	HPROG_RAW_TP = 1 << 5,
	HPROG_PERF_EVENT = 1 << 6,
	HPROG_FENTRY = 1 << 7,
	HPROG_FEXIT = 1 << 8,
	HPROG_TP_BTF = 1 << 9,
	HPROG_SYSCALL = 1 << 10,
	HPROG_CGROUP_SKB = 1 << 11,
	HPROG_LWT = 1 << 12,		/* lwt_in, lwt_out, lwt_seg6local */
	HPROG_LWT_XMIT = 1 << 13,
	HPROG_SK_SKB = 1 << 14,
	HPROG_FLOW_DISSECTOR = 1 << 15,
	HPROG_CGROUP_SOCK = 1 << 16,
	HPROG_SOCK_ADDR = 1 << 17,
	HPROG_SOCK_OPS = 1 << 18,
	HPROG_SK_MSG = 1 << 19,
	HPROG_SK_LOOKUP = 1 << 20,
	HPROG_SK_REUSEPORT = 1 << 21,
	HPROG_CGROUP_DEVICE = 1 << 22,
	HPROG_CGROUP_SYSCTL = 1 << 23,
	HPROG_CGROUP_SOCKOPT = 1 << 24,
};

/* The helper, or NULL when there is none of this id. */
const struct helper_proto *helper_proto_find(uint32_t id);
/* helper_proto_net.c: among those on packets. */
const struct helper_proto *helper_proto_net(uint32_t id);
/* After it, pointers to the packet mean nothing. */
bool helper_changes_packet(uint32_t id);

/* "bpf_map_lookup_elem"; "unknown" for an id that no kernel has. */
const char *helper_name(int32_t id);
/* Within the range of ids that some kernel has, 0 included. */
bool helper_id_valid(int32_t id);

/* The group of p (one bit), or 0 for a program type that cannot be verified. */
uint32_t helper_prog_group(const struct vm_prog *p);

#endif
