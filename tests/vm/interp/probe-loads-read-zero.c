/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A load through a kernel pointer of a tracing program may meet an address that is not there:
 * it reads 0, of each size, into each register, and the program goes on. One that meets
 * memory reads it. A store, and a load of another kind, ends the run.
 */
#include <sys/mman.h>

#include "prog.h"

#define PAGE 4096

static struct vm_prog *traced(const struct bpf_insn *insns, uint32_t cnt)
{
	return prog_new(BPF_PROG_TYPE_TRACING, insns, cnt);
}

/* dst = *(size *)(src + off), and what it was before is in no bit of it. */
static uint64_t load(uint8_t code, uint8_t dst, uint8_t src, uint64_t at, int16_t off)
{
	struct bpf_insn insns[] = {LD_IMM64(dst, ~0ull), LD_IMM64(src, at),
				   INSN(code, dst, src, off, 0), MOV64_X(0, dst), EXIT()};
	struct vm_prog *p = traced(insns, 7);
	uint64_t ret = 77;

	CHECK_EQ(vm_run(p, &ret, NULL, &ret), 0);
	CHECK_EQ(vm_fault_count(p), 0);
	vm_prog_free(p);
	return ret;
}

int main(void)
{
	static const uint8_t codes[] = {BPF_LDX | BPF_B | BPF_MEM, BPF_LDX | BPF_H | BPF_MEM,
					BPF_LDX | BPF_W | BPF_MEM, BPF_LDX | BPF_DW | BPF_MEM,
					BPF_LDX | BPF_B | 0x80,	   BPF_LDX | BPF_H | 0x80,
					BPF_LDX | BPF_W | 0x80};
	uint8_t *page =
		mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const uint64_t bad[] = {0, 8, 0xffff888000000000, 0x8000000000000000,
				(uintptr_t)page + PAGE};
	struct vm_prog *p;
	uint64_t ret = 0;

	REQUIRE(page != MAP_FAILED);
	REQUIRE(!mprotect(page + PAGE, PAGE, PROT_NONE));
	memset(page, 0xfe, PAGE);
	uaccess_init();
	for (size_t c = 0; c < sizeof(codes); c++) {
		int bits = 8 << (c & 3);
		uint64_t there = c < 4	  ? 0xfefefefefefefefe >> (64 - bits)
				 : c == 6 ? 0xfffffffffefefefe
				 : c == 5 ? 0xfffffffffffffefe
					  : 0xfffffffffffffffe;

		for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
			for (uint8_t r = 0; r < 10; r++) {
				CHECK_EQ(load(codes[c], r, (r + 3) % 10, bad[i], 0), 0);
				CHECK_EQ(load(codes[c], r, r, bad[i], 16), 0);
			}
		/* half of it is there */
		if (bits > 8)
			CHECK_EQ(load(codes[c], 3, 4, (uintptr_t)page + PAGE - 1, 0), 0);
		for (uint8_t r = 0; r < 10; r++)
			CHECK_EQ(load(codes[c], r, 9 - r, (uintptr_t)page + 128, -8), there);
	}
	/* many in a row, and a call between them */
	{
		struct bpf_insn insns[] = {LD_IMM64(6, bad[2]),
					   INSN(BPF_LDX | BPF_DW | BPF_MEM, 7, 6, 0, 0),
					   INSN(BPF_LDX | BPF_W | BPF_MEM, 8, 7, 0, 0),
					   CALL(BPF_FUNC_ktime_get_ns),
					   INSN(BPF_LDX | BPF_B | BPF_MEM, 9, 6, 100, 0),
					   MOV64_K(0, 5),
					   INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 7, 0, 0),
					   INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 8, 0, 0),
					   INSN(BPF_ALU64 | BPF_ADD | BPF_X, 0, 9, 0, 0),
					   EXIT()};

		p = traced(insns, 11);
		for (int i = 0; i < 1000; i++) {
			ret = 0;
			CHECK_EQ(vm_run(p, &ret, NULL, &ret), 0);
			CHECK_EQ(ret, 5);
		}
		CHECK_EQ(vm_fault_count(p), 0);
		vm_prog_free(p);
	}
	/* not a load */
	{
		struct bpf_insn insns[] = {
			LD_IMM64(6, bad[4]), INSN(BPF_LDX | BPF_DW | BPF_MEM, 7, 6, 0, 0),
			INSN(BPF_STX | BPF_DW | BPF_MEM, 6, 7, 0, 0), MOV64_K(0, 5), EXIT()};

		vm_set_trace_fd(-1);
		p = traced(insns, 6);
		CHECK_EQ(vm_run(p, &ret, NULL, &ret), -EFAULT);
		CHECK_EQ(vm_fault_count(p), 1);
		vm_prog_free(p);
	}
	return check_done();
}
