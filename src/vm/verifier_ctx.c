/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The context of each program type: which bytes exist, which may be written,
 * which yield pointers.
 */
#include "vm/verifier_int.h"

#include <stddef.h>
#include <linux/bpf_perf_event.h>

#define RAW_TP_ARGS 12	    /* u64 arguments of a raw tracepoint or function */
#define TRACEPOINT_MAX 8192 /* bytes of a tracepoint record */
/* sizeof(struct pt_regs) in the kernel; event/arch.h gives programs that many bytes. */
#if defined(__aarch64__)
#define VM_PT_REGS 320
#else
#define VM_PT_REGS sizeof(bpf_user_pt_regs_t)
#endif
#define SYSCALL_CTX_MAX UINT16_MAX

static bool plain_read(int32_t off, unsigned int size, bool write, uint32_t from, uint32_t end)
{
	return !write && off >= (int32_t)from && off + size <= end && off % size == 0;
}

/* struct bpf_perf_event_data: the registers, then two u64. */
static bool perf_event_access(int32_t off, unsigned int size, bool write)
{
	const uint32_t regs = sizeof(bpf_user_pt_regs_t);

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
	case HPROG_KPROBE:
		ok = plain_read(off, size, write, 0, VM_PT_REGS);
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
	default:
		ok = ctx_net_access(v, insn, off, size, write, out);
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
