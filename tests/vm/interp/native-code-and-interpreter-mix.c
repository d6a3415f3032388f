/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Programs of both engines in one run: each tail-calls the other, 33 times in all, from the
 * program and from a function of it, whose caller goes on; with callbacks and packet loads
 * on the way. What R6 to R9 and the stack held is still there.
 */
#include "prog.h"
#include "vm/jit.h"
#include "vm/verifier.h"

static struct vm_prog *slots[4];

static struct vm_prog *slot(struct map *m, uint32_t index)
{
	return index < 4 ? slots[index] : NULL;
}

#define TAIL(index) MOV64_K(2, 0), MOV64_K(3, index), CALL(BPF_FUNC_tail_call)
#define ADD_K(d, v) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, v)
#define ADD_X(d, s) INSN(BPF_ALU64 | BPF_ADD | BPF_X, d, s, 0, 0)
#define LDX(d, s, off) INSN(BPF_LDX | BPF_DW | BPF_MEM, d, s, off, 0)
#define STX(d, s, off) INSN(BPF_STX | BPF_DW | BPF_MEM, d, s, off, 0)
#define CNT(a) (sizeof(a) / sizeof((a)[0]))

static struct vm_prog *make(const struct bpf_insn *insns, uint32_t cnt, enum vm_engine engine)
{
	struct vm_prog *p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, cnt);
	int err = 0;

	p->engine = engine;
	CHECK(interp_code(p, &err));
	if (VM_HAVE_JIT && p->code)
		CHECK_EQ(!!p->code->jit, engine == VM_ENGINE_JIT);
	return p;
}

/* Counts itself in the context and goes on with the other. */
static void ping_pong(enum vm_engine a, enum vm_engine b)
{
	uint64_t ctx = 0, ret = 0;

	for (int i = 0; i < 2; i++) {
		struct bpf_insn insns[] = {MOV64_X(6, 1), LDX(7, 6, 0),	     ADD_K(7, 1),
					   STX(6, 7, 0),  MOV64_X(1, 6),     TAIL(1 - i),
					   MOV64_X(0, 7), ADD_K(0, 100 * i), EXIT()};

		slots[i] = make(insns, CNT(insns), i ? b : a);
	}
	CHECK_EQ(vm_run(slots[0], &ctx, NULL, &ret), 0);
	CHECK_EQ(ctx, 34);
	CHECK_EQ(ret, 134); /* the last is the second one */
	vm_prog_free(slots[0]);
	vm_prog_free(slots[1]);
}

/* main: calls f, which calls g, which goes on in the other program; R0 comes back through f. */
static void nested(enum vm_engine a, enum vm_engine b)
{
	struct bpf_insn outer[] = {
		MOV64_K(6, 6), MOV64_K(7, 7), MOV64_K(8, 8), MOV64_K(9, 9),
		INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -512, 5000), CALL_LOCAL(7), ADD_X(0, 6),
		ADD_X(0, 7), ADD_X(0, 8), ADD_X(0, 9), LDX(1, 10, -512), ADD_X(0, 1), EXIT(),
		/* 13: f */
		MOV64_K(6, 60), INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -512, 70000), CALL_LOCAL(4),
		ADD_X(0, 6), LDX(1, 10, -512), ADD_X(0, 1), EXIT(),
		/* 20: g */
		MOV64_K(6, 600), TAIL(2), MOV64_K(0, 1), EXIT()};
	/* bpf_loop(4, cb, &sum, 0) and a byte of the packet */
	struct bpf_insn inner[] = {
		MOV64_X(6, 1), MOV64_K(7, 1), MOV64_K(8, 2), MOV64_K(9, 3),
		INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, 0), MOV64_K(1, 4), LD_FUNC(2, 11),
		MOV64_X(3, 10), ADD_K(3, -8), MOV64_K(4, 0), CALL(BPF_FUNC_loop), LDX(7, 10, -8),
		INSN(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, 1), ADD_X(0, 7), ADD_X(0, 8), ADD_X(0, 9),
		EXIT(),
		/* 18: cb */
		MOV64_K(7, 77), LDX(3, 2, 0), ADD_X(3, 1), STX(2, 3, 0), MOV64_K(0, 0), EXIT()};
	uint8_t pkt[] = {1, 200, 3};
	struct vm_env env = {.pkt = pkt, .pkt_end = pkt + sizeof(pkt)};
	uint64_t ret = 0;

	slots[2] = make(inner, CNT(inner), b);
	struct vm_prog *p = make(outer, CNT(outer), a);

	for (int i = 0; i < 3; i++) {
		CHECK_EQ(vm_run(p, &env, &env, &ret), 0);
		CHECK_EQ(ret, 200 + 0 + 1 + 2 + 3 + 2 + 3 + 60 + 70000 + 6 + 7 + 8 + 9 + 5000);
	}
	/* the byte is not there: the program ends with 0, and its caller goes on */
	env.pkt_end = pkt + 1;
	CHECK_EQ(vm_run(p, &env, &env, &ret), 0);
	CHECK_EQ(ret, 60 + 70000 + 6 + 7 + 8 + 9 + 5000);
	vm_prog_free(p);
	vm_prog_free(slots[2]);
}

/* A fault in the other engine's program ends the run, too; and the next one is sound. */
static void fault(enum vm_engine a, enum vm_engine b)
{
	struct bpf_insn outer[] = {CALL_LOCAL(1), EXIT(), TAIL(3), MOV64_K(0, 1), EXIT()};
	struct bpf_insn bad[] = {MOV64_K(1, 16), LDX(0, 1, 0), EXIT()};
	struct bpf_insn good[] = {MOV64_K(0, 42), EXIT()};
	struct vm_prog *p = make(outer, CNT(outer), a);
	uint64_t ret = 0;

	for (int i = 0; i < 3; i++) {
		slots[3] = make(bad, CNT(bad), b);
		CHECK_EQ(vm_run(p, &ret, NULL, &ret), -EFAULT);
		CHECK_EQ(vm_fault_count(slots[3]), 1);
		vm_prog_free(slots[3]);
		slots[3] = make(good, CNT(good), b);
		CHECK_EQ(vm_run(p, &ret, NULL, &ret), 0);
		CHECK_EQ(ret, 42);
		vm_prog_free(slots[3]);
	}
	vm_prog_free(p);
}

/* bpf_loop() of a callback that the verifier has named: which becomes a loop. */
static uint64_t loop_of(enum vm_engine engine, uint64_t count, uint64_t flags, uint32_t stop)
{
	struct bpf_insn insns[] = {
		MOV64_K(6, 100), MOV64_K(7, 200), MOV64_K(8, 300), MOV64_K(9, 400),
		INSN(BPF_ST | BPF_DW | BPF_MEM, 10, 0, -8, 0), LD_IMM64(1, count), LD_FUNC(2, 16),
		MOV64_X(3, 10), ADD_K(3, -8), LD_IMM64(4, flags), CALL(BPF_FUNC_loop),
		/* 14: the sum of all */
		LDX(1, 10, -8), INSN(BPF_ALU64 | BPF_LSH | BPF_K, 0, 0, 0, 32), ADD_X(0, 1),
		ADD_X(0, 6), ADD_X(0, 7), ADD_X(0, 8), ADD_X(0, 9), EXIT(),
		/* 22: filled up */
		MOV64_K(0, 0), EXIT(),
		/* 24: cb */
		MOV64_K(6, 6), MOV64_K(7, 7), MOV64_K(8, 8), MOV64_K(9, 9), LDX(3, 2, 0),
		ADD_K(3, 1), STX(2, 3, 0), MOV64_K(0, 1),
		INSN(BPF_JMP32 | BPF_JEQ | BPF_K, 1, 0, 1, (int32_t)stop), MOV64_K(0, 0), EXIT()};
	struct vm_prog *p = prog_new(BPF_PROG_TYPE_SOCKET_FILTER, insns, CNT(insns));
	uint64_t ret = 0;

	p->engine = engine;
	p->aux = calloc(CNT(insns), sizeof(*p->aux));
	REQUIRE(p->aux);
	for (size_t i = 0; i < CNT(insns); i++) {
		p->aux[i].seen = true;
		p->aux[i].map_index = VM_MAP_UNKNOWN;
		p->aux[i].callback_pc = i == 13 ? 24 : VM_PC_NONE;
	}
	CHECK_EQ(vm_run(p, &ret, NULL, &ret), 0);
	vm_prog_free(p);
	return ret;
}

static void loops(enum vm_engine engine)
{
#define LOOPED(r0, times) (((uint64_t)(r0) << 32) + (times) + 1000)
	CHECK_EQ(loop_of(engine, 0, 0, 3), LOOPED(0, 0));
	CHECK_EQ(loop_of(engine, 1, 0, 3), LOOPED(1, 1));
	CHECK_EQ(loop_of(engine, 3, 0, 3), LOOPED(3, 3));
	CHECK_EQ(loop_of(engine, 4, 0, 3), LOOPED(4, 4));
	CHECK_EQ(loop_of(engine, 1000, 0, 3), LOOPED(4, 4));
	CHECK_EQ(loop_of(engine, 1000, 0, 5000), LOOPED(1000, 1000));
	CHECK_EQ(loop_of(engine, 0x100000005, 0, 5000), LOOPED(5, 5)); /* 32 bits of it */
	CHECK_EQ(loop_of(engine, VM_LOOPS_MAX + 1, 0, 3), LOOPED(-E2BIG, 0));
	CHECK_EQ(loop_of(engine, VM_LOOPS_MAX, 0, 3), LOOPED(4, 4));
	CHECK_EQ(loop_of(engine, 4, 1, 3), LOOPED(-EINVAL, 0));
}

int main(void)
{
	static const enum vm_engine engines[] = {VM_ENGINE_INTERP, VM_ENGINE_JIT};

	uaccess_init();
	vm_set_tail_call(slot);
	vm_set_trace_fd(-1);
	for (int a = 0; a < 2; a++)
		loops(engines[a]);
	for (int a = 0; a < 2; a++)
		for (int b = 0; b < 2; b++) {
			ping_pong(engines[a], engines[b]);
			nested(engines[a], engines[b]);
			fault(engines[a], engines[b]);
		}
	return check_done();
}
