/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct vm_aux, and the program types that the kernel does not let us load
 * here: tracing contexts, BTF arguments, helpers by type. The log's forms.
 */
#include "vt.h"

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "btf/btf.h"
#include "check.h"
#include "vm/verifier.h"
#include "vm/vm.h"

static char log_[VT_LOG];

static int verify(uint32_t type, uint32_t attach, uint32_t btf_id, const struct bpf_insn *insns,
		  uint32_t cnt)
{
	const struct vt_prog p = {.type = type,
				  .attach_type = attach,
				  .attach_btf_id = btf_id,
				  .insns = insns,
				  .cnt = cnt};

	return vt_ours(&p, log_, 1);
}

#define INSNS(...)                                                                                 \
	(const struct bpf_insn[])                                                                  \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define V(type, attach, id, ...)                                                                   \
	verify(BPF_PROG_TYPE_##type, attach, id, INSNS(__VA_ARGS__),                               \
	       sizeof(INSNS(__VA_ARGS__)) / sizeof(struct bpf_insn))
#define ACCEPT(...)                                                                                \
	do {                                                                                       \
		int r_ = V(__VA_ARGS__);                                                           \
		if (r_)                                                                            \
			fprintf(stderr, "%s", log_);                                               \
		CHECK_EQ(r_, 0);                                                                   \
	} while (0)
#define REFUSE(words, ...)                                                                         \
	do {                                                                                       \
		int r_ = V(__VA_ARGS__);                                                           \
		CHECK(r_ < 0);                                                                     \
		if (!strstr(log_, words)) {                                                        \
			fprintf(stderr, "no \"%s\" in:\n%s", words, log_);                         \
			check_failures++;                                                          \
		}                                                                                  \
	} while (0)

static void contexts(void)
{
	ACCEPT(KPROBE, 0, 0, LD(DW, R0, R1, 112), EXIT);
	REFUSE("invalid bpf_context access off=168 size=8", KPROBE, 0, 0, LD(DW, R0, R1, 168),
	       EXIT);
	REFUSE("invalid bpf_context access off=0 size=8", KPROBE, 0, 0, ST(DW, R1, 0, 1),
	       MOV(R0, 0), EXIT);
	REFUSE("invalid bpf_context access off=4 size=8", KPROBE, 0, 0, LD(DW, R0, R1, 4), EXIT);
	ACCEPT(TRACEPOINT, 0, 0, LD(DW, R0, R1, 16), EXIT);
	CHECK_EQ(vt_aux()[0].max_ctx_off, 24);
	ACCEPT(TRACEPOINT, 0, 0, LD(W, R0, R1, 8), EXIT);
	REFUSE("invalid bpf_context access off=0 size=8", TRACEPOINT, 0, 0, LD(DW, R0, R1, 0),
	       EXIT);
	REFUSE("invalid bpf_context access off=16 size=8", TRACEPOINT, 0, 0, ST(DW, R1, 16, 0),
	       MOV(R0, 0), EXIT);
	ACCEPT(RAW_TRACEPOINT, 0, 0, LD(DW, R0, R1, 88), EXIT);
	REFUSE("invalid bpf_context access off=96 size=8", RAW_TRACEPOINT, 0, 0, LD(DW, R0, R1, 96),
	       EXIT);
	REFUSE("R2 invalid mem access 'scalar'", RAW_TRACEPOINT, 0, 0, LD(DW, R2, R1, 0),
	       LD(DW, R0, R2, 0), EXIT);
	ACCEPT(SYSCALL, 0, 0, ST(DW, R1, 0, 1), LD(W, R0, R1, 8), EXIT);
	CHECK_EQ(vt_aux()[0].max_ctx_off, 12);
	ACCEPT(PERF_EVENT, 0, 0, LD(DW, R0, R1, 168), EXIT);
	ACCEPT(CGROUP_SKB, BPF_CGROUP_INET_EGRESS, 0, MOV(R0, 3), EXIT);
	REFUSE("should have been in [0, 1]", CGROUP_SKB, 0, 0, MOV(R0, 2), EXIT);
	REFUSE("cannot write into packet", CGROUP_SKB, 0, 0, LD(W, R2, R1, 76), LD(W, R3, R1, 80),
	       MOVR(R4, R2), ALU(ADD, R4, 1), JMPR(JGT, R4, R3, 1), ST(B, R2, 0, 1), MOV(R0, 1),
	       EXIT);
	REFUSE("is not supported", LSM, 0, 0, MOV(R0, 0), EXIT);
	REFUSE("is not supported", TRACING, BPF_MODIFY_RETURN, 0, MOV(R0, 0), EXIT);
}

static void helpers_by_type(void)
{
	ACCEPT(KPROBE, 0, 0, ST(DW, FP, -8, 0), MOVR(R1, FP), ALU(ADD, R1, -8), MOV(R2, 8),
	       MOV(R3, 0), CALL(probe_read), MOV(R0, 0), EXIT);
	ACCEPT(KPROBE, 0, 0, CALL(get_func_ip), EXIT);
	ACCEPT(RAW_TRACEPOINT, 0, 0, CALL(get_func_ip), EXIT);
	REFUSE("program of this type cannot use helper bpf_ktime_get_coarse_ns#160", KPROBE, 0, 0,
	       CALL(ktime_get_coarse_ns), EXIT);
	ACCEPT(TRACEPOINT, 0, 0, CALL(get_attach_cookie), EXIT);
	REFUSE("R1 type=scalar expected=ctx", KPROBE, 0, 0, MOV(R1, 0), CALL(get_func_ip), EXIT);
	REFUSE("tracing progs cannot use bpf_spin_lock yet", KPROBE, 0, 0, LOOKUP(M_LOCK),
	       MOV(R0, 0), EXIT);
}

static uint32_t kernel_type(const char *name, uint32_t kind)
{
	const struct btf *btf = btf_vmlinux();
	int id = btf ? btf__find_by_name_kind(btf, name, kind) : 0;

	return id > 0 ? id : 0;
}

static int32_t member_offset(const char *type, const char *name)
{
	const struct btf *btf = btf_vmlinux();
	const struct btf_type *t = btf__type_by_id(btf, kernel_type(type, BTF_KIND_STRUCT));

	for (uint32_t i = 0; t && i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), name))
			return btf_member_bit_offset(t, i) / 8;
	return -1;
}

static void kernel_types(void)
{
	const uint32_t read = kernel_type("vfs_read", BTF_KIND_FUNC);
	const uint32_t enter = kernel_type("btf_trace_sys_enter", BTF_KIND_TYPEDEF);
	const uint32_t sys = kernel_type("__x64_sys_openat", BTF_KIND_FUNC);
	int32_t inode;

	REFUSE("Tracing programs must provide btf_id", TRACING, BPF_TRACE_FENTRY, 0, MOV(R0, 0),
	       EXIT);
	if (!read || !enter) {
		printf("no kernel BTF here: functions and tracepoints not checked\n");
		return;
	}
	inode = member_offset("file", "f_inode");
	REQUIRE(inode >= 0);
	ACCEPT(TRACING, BPF_TRACE_FENTRY, read, LD(DW, R2, R1, 0), LD(DW, R3, R2, inode),
	       LD(DW, R4, R3, member_offset("inode", "i_ino")), MOV(R0, 0), EXIT);
	CHECK(!vt_aux()[0].probe && vt_aux()[0].ctx_field == VM_CTX_PLAIN);
	CHECK(vt_aux()[1].probe && vt_aux()[1].ctx_field == VM_CTX_NONE);
	REFUSE("only read is supported", TRACING, BPF_TRACE_FENTRY, read, LD(DW, R2, R1, 0),
	       ST(DW, R2, 0, 0), MOV(R0, 0), EXIT);
	REFUSE("only read is supported", TRACING, BPF_TRACE_FENTRY, read, LD(DW, R2, R1, 0),
	       MOV(R3, 1), ATOMIC(DW, R2, R3, inode, BPF_ADD), MOV(R0, 0), EXIT);
	REFUSE("access beyond struct file", TRACING, BPF_TRACE_FENTRY, read, LD(DW, R2, R1, 0),
	       LD(DW, R3, R2, 4096), MOV(R0, 0), EXIT);
	REFUSE("invalid negative access", TRACING, BPF_TRACE_FENTRY, read, LD(DW, R2, R1, 0),
	       LD(DW, R3, R2, -8), MOV(R0, 0), EXIT);
	REFUSE("size 4 must be 8", TRACING, BPF_TRACE_FENTRY, read, LD(W, R2, R1, 0), MOV(R0, 0),
	       EXIT);
	/* vfs_read(file, buf, count, pos): a char pointer is a number */
	REFUSE("R2 invalid mem access 'scalar'", TRACING, BPF_TRACE_FENTRY, read, LD(DW, R2, R1, 8),
	       LD(B, R3, R2, 0), MOV(R0, 0), EXIT);
	REFUSE("doesn't have 5-th argument", TRACING, BPF_TRACE_FENTRY, read, LD(DW, R2, R1, 32),
	       MOV(R0, 0), EXIT);
	ACCEPT(TRACING, BPF_TRACE_FEXIT, read, LD(DW, R2, R1, 32), MOV(R0, 0), EXIT);
	REFUSE("At program exit the register R0 has smin=1 smax=1 should have been in [0, 0]",
	       TRACING, BPF_TRACE_FENTRY, read, MOV(R0, 1), EXIT);
	REFUSE("should have been in [0, 0]", TRACING, BPF_TRACE_FEXIT, read, LD(DW, R0, R1, 16),
	       EXIT);
	ACCEPT(TRACING, BPF_TRACE_RAW_TP, enter, LD(DW, R2, R1, 0), LD(DW, R0, R2, 112), EXIT);
	CHECK(vt_aux()[1].probe);
	ACCEPT(TRACING, BPF_TRACE_RAW_TP, enter, LD(DW, R0, R1, 8), EXIT);
	REFUSE("doesn't have 3-th argument", TRACING, BPF_TRACE_RAW_TP, enter, LD(DW, R0, R1, 16),
	       EXIT);
	REFUSE("is not a function", TRACING, BPF_TRACE_FENTRY, enter, MOV(R0, 0), EXIT);
	REFUSE("same insn cannot be used with different pointers", TRACING, BPF_TRACE_FENTRY, read,
	       ST(DW, FP, -8, 0), LD(DW, R2, R1, 0), LD(DW, R4, R1, 16), MOVR(R3, FP),
	       ALU(ADD, R3, -8 - inode), JMP(JEQ, R4, 0, 1), MOVR(R3, R2), LD(DW, R0, R3, inode),
	       MOV(R0, 0), EXIT);
	REFUSE("cannot use helper bpf_get_func_ret#184", TRACING, BPF_TRACE_FENTRY, read,
	       CALL(get_func_ret), EXIT);
	ACCEPT(TRACING, BPF_TRACE_FEXIT, read, MOVR(R2, FP), ALU(ADD, R2, -8), CALL(get_func_ret),
	       MOV(R0, 0), EXIT);
	if (sys) /* one argument: the registers of the system call */
		ACCEPT(TRACING, BPF_TRACE_FENTRY, sys, LD(DW, R2, R1, 0), LD(DW, R3, R2, 112),
		       MOV(R0, 0), EXIT);
}

static void aux(void)
{
	/* packet pointers, and dead code behind a known branch */
	ACCEPT(XDP, 0, 0, LD(W, R2, R1, 0), LD(W, R3, R1, 4), LD(W, R4, R1, 8), MOV(R0, 2),
	       JMP(JEQ, R0, 2, 1), MOV(R0, 1), EXIT);
	CHECK_EQ(vt_aux()[0].ctx_field, VM_CTX_PKT_DATA);
	CHECK_EQ(vt_aux()[1].ctx_field, VM_CTX_PKT_END);
	CHECK_EQ(vt_aux()[2].ctx_field, VM_CTX_PKT_META);
	CHECK(vt_aux()[4].seen && !vt_aux()[5].seen && vt_aux()[6].seen);
	CHECK_EQ(vt_aux()[0].max_ctx_off, 12);

	/* one map, then either of two at one call */
	ACCEPT(SOCKET_FILTER, 0, 0, LOOKUP(M_PERCPU), MOV(R0, 0), EXIT);
	CHECK_EQ(vt_aux()[5].map_index, M_PERCPU);
	ACCEPT(SOCKET_FILTER, 0, 0, ST(DW, FP, -8, 0), LD(W, R3, R1, 0), MOVR(R2, FP),
	       ALU(ADD, R2, -8), MAP(R1, M_HASH), JMP(JEQ, R3, 0, 2), MAP(R1, M_PERCPU),
	       CALL(map_lookup_elem), MOV(R0, 0), EXIT);
	CHECK_EQ(vt_aux()[9].map_index, VM_MAP_UNKNOWN);

	/* a key with a hole, and one without */
	ACCEPT(SOCKET_FILTER, 0, 0, ST(W, FP, -8, 0), MOVR(R2, FP), ALU(ADD, R2, -8),
	       MAP(R1, M_HASH), CALL(map_lookup_elem), MOV(R0, 0), EXIT);
	CHECK(vt_aux()[0].zero_stack);
	ACCEPT(SOCKET_FILTER, 0, 0, LOOKUP(M_HASH), MOV(R0, 0), EXIT);
	CHECK(!vt_aux()[0].zero_stack);

	/* functions */
	ACCEPT(SOCKET_FILTER, 0, 0, ST(DW, FP, -24, 0), CALLP(1), EXIT, ST(DW, FP, -40, 0),
	       MOV(R0, 0), EXIT);
	CHECK_EQ(vt_aux()[1].call_pc, 3);
	CHECK(vt_aux()[0].subprog_start && vt_aux()[3].subprog_start);
	CHECK_EQ(vt_aux()[0].stack_depth, 24);
	CHECK_EQ(vt_aux()[3].stack_depth, 40);
	CHECK_EQ(vt_stack_depth(), 32 + 48);

	/* callbacks */
	const struct vt_func funcs[] = {{0, false, 2}, {7, false, 0}};
	const struct bpf_insn loop[] = {MOV(R1, 9), FUNC(R2, 5), MOV(R3, 0), MOV(R4, 0),
					CALL(loop), EXIT,	 MOV(R0, 0), EXIT};
	const struct vt_prog p = {.type = BPF_PROG_TYPE_SOCKET_FILTER,
				  .insns = loop,
				  .cnt = 9,
				  .funcs = funcs,
				  .func_cnt = 2};

	CHECK_EQ(vt_ours(&p, log_, 1), 0);
	CHECK_EQ(vt_aux()[1].callback_pc, 7);
	CHECK_EQ(vt_aux()[5].callback_pc, 7);
}

static void logs(void)
{
	static const struct bpf_insn bad[] = {MOV(R0, 0), JMP(JEQ, R0, 0, 0), MOVR(R0, R5), EXIT};
	struct vm_prog p = {
		.type = BPF_PROG_TYPE_XDP, .insns = (struct bpf_insn *)bad, .insn_cnt = 4};
	struct vm_log l = {.buf = log_, .size = VT_LOG, .level = 1};
	char small[160];

	CHECK_EQ(vm_verify(&p, &l), -EACCES);
	CHECK(strstr(log_, "\n2: (bf) r0 = r5\nR5 !read_ok\nprocessed 3 insns (limit 1000000) "));
	CHECK(strstr(log_, "0: (b7) r0 = 0                        ; R0=0\n"));
	CHECK_EQ(strlen(log_), l.len);

	/* the end stays when the buffer is small: that is where the fault is */
	l = (struct vm_log){.buf = small, .size = sizeof(small), .level = 2};
	CHECK_EQ(vm_verify(&p, &l), -EACCES);
	CHECK(l.len > sizeof(small));
	CHECK(strstr(small, "R5 !read_ok\n"));
	CHECK_EQ(strlen(small), l.len - l.dropped);

	/* no log at all */
	CHECK_EQ(vm_verify(&p, NULL), -EACCES);

	/* an accepted program's log at level 1 is its statistics */
	ACCEPT(SOCKET_FILTER, 0, 0, MOV(R0, 0), EXIT);
	CHECK(!strncmp(log_,
		       "processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 "
		       "peak_states 0 mark_read 0\n",
		       60));
	p.insn_cnt = 0;
	CHECK_EQ(vm_verify(&p, NULL), -E2BIG);
}

int main(void)
{
	contexts();
	helpers_by_type();
	kernel_types();
	aux();
	logs();
	return check_done();
}
