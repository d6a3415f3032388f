/* SPDX-License-Identifier: BSD-2-Clause */
/* A fault or an impossible instruction ends the run with an error, not the
 * process; a probe load reads zero. */
#include <fcntl.h>
#include <sys/mman.h>

#include "prog.h"
#include "sync/lock.h"

static int run(uint32_t type, const struct bpf_insn *insns, uint32_t cnt, void *ctx, uint64_t *ret)
{
	struct vm_prog *p = prog_new(type, insns, cnt);
	int err = vm_run(p, ctx, NULL, ret);

	if (err == -EFAULT) {
		CHECK_EQ(vm_fault_count(p), 1);
		CHECK_EQ(vm_run(p, ctx, NULL, ret), -EFAULT);
		CHECK_EQ(vm_fault_count(p), 2);
	}
	vm_prog_free(p);
	return err;
}
#define TRY(type, ctx, ret, ...)                                                                   \
	run(type, (struct bpf_insn[]){__VA_ARGS__},                                                \
	    sizeof((struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn), ctx, ret)

int main(void)
{
	const uint32_t plain = BPF_PROG_TYPE_SOCKET_FILTER, tracing = BPF_PROG_TYPE_TRACING;
	uint64_t ret = 0, ctx[2] = {0x10, 0};
	uint32_t *lock;
	int fd = open("/dev/null", O_WRONLY), i;

	uaccess_init();
	vm_set_trace_fd(fd);
	ctx[1] = (uintptr_t)mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (i = 0; i < 2; i++) {
		int16_t off = (int16_t)(8 * i);

		CHECK_EQ(TRY(plain, ctx, &ret, INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 1, off, 0),
			     INSN(BPF_LDX | BPF_DW | BPF_MEM, 0, 1, 0, 0), EXIT()),
			 -EFAULT);
		CHECK_EQ(TRY(plain, ctx, &ret, INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 1, off, 0),
			     INSN(BPF_ST | BPF_DW | BPF_MEM, 1, 0, 0, 0), MOV64_K(0, 0), EXIT()),
			 -EFAULT);
		ret = 9;
		CHECK_EQ(TRY(tracing, ctx, &ret, INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 1, off, 0),
			     INSN(BPF_LDX | BPF_DW | BPF_MEM, 0, 1, 0, 0), EXIT()),
			 0);
		CHECK_EQ(ret, 0);
		ret = 9;
		CHECK_EQ(TRY(tracing, ctx, &ret, INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 1, off, 0),
			     INSN(BPF_LDX | BPF_H | 0x80, 0, 1, 0, 0), EXIT()),
			 0);
		CHECK_EQ(ret, 0);
	}
	/* recursion without end */
	CHECK_EQ(TRY(plain, ctx, &ret, CALL_LOCAL(0), CALL_LOCAL(-2), EXIT()), -EFAULT);
	/* a jump into the middle of a 16-byte load */
	CHECK_EQ(TRY(plain, ctx, &ret, INSN(BPF_JMP | BPF_JA, 0, 0, 1, 0), LD_IMM64(0, 1), EXIT()),
		 -EFAULT);
	/* off the end */
	CHECK_EQ(TRY(plain, ctx, &ret, MOV64_K(0, 1)), -EFAULT);
	/* what cannot be decoded is not run */
	CHECK_EQ(TRY(plain, ctx, &ret, INSN(BPF_JMP | BPF_JA, 0, 0, 5, 0), EXIT()), -EINVAL);
	CHECK_EQ(TRY(plain, ctx, &ret, CALL(9999), EXIT()), -EINVAL);
	CHECK_EQ(TRY(plain, ctx, &ret, CALL(-1), EXIT()), -EINVAL);
	CHECK_EQ(TRY(plain, ctx, &ret, LD_MAP(1, 0), EXIT()), -EINVAL);
	CHECK_EQ(TRY(plain, ctx, &ret, INSN(0xff, 0, 0, 0, 0), EXIT()), -EINVAL);
	CHECK_EQ(TRY(plain, ctx, &ret, INSN(BPF_LD | BPF_IMM | BPF_DW, 0, BPF_PSEUDO_BTF_ID, 0, 1),
		     INSN(0, 0, 0, 0, 0), EXIT()),
		 -EINVAL);
	CHECK_EQ(TRY(plain, ctx, &ret, INSN(BPF_ALU64 | BPF_MOV | BPF_X, 11, 0, 0, 0), EXIT()),
		 -EINVAL);

	/* a fault under bpf_spin_lock: the next taker is told */
	lock = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(lock != MAP_FAILED);
	ctx[0] = (uintptr_t)lock;
	{
		struct bpf_insn insns[] = {MOV64_X(6, 1),
					   INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 6, 0, 0),
					   CALL(BPF_FUNC_spin_lock),
					   INSN(BPF_LDX | BPF_DW | BPF_MEM, 1, 6, 8, 0),
					   INSN(BPF_LDX | BPF_DW | BPF_MEM, 0, 1, 0, 0),
					   EXIT()};
		struct vm_prog *p = prog_new(plain, insns, 6);

		CHECK_EQ(vm_run(p, ctx, NULL, &ret), -EFAULT);
		CHECK_EQ(thread_self.in_lock, 0);
		CHECK(lock_owner_died(lock));
		CHECK_EQ(vm_run(p, ctx, NULL, &ret), -EFAULT);
		CHECK_EQ(lock_acquire(lock), LOCK_OWNER_DIED);
		lock_release(lock);
		CHECK_EQ(*lock, 0);
		vm_prog_free(p);
	}
	return check_done();
}
