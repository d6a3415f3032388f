// SPDX-License-Identifier: BSD-2-Clause
/*
 * The jited fields of bpf_prog_info: native code, the functions' addresses and lengths, as
 * far as the caller has room; as the kernel has them. SHMAP_JIT=0: there is none.
 */
#include "both.h"
#include "sys/info.h"
#include "vm/jit.h"

#define ROOM 4096

static int load(enum side side)
{
	struct bpf_insn insns[] = {
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 4),
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 5),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 0, 0, 0, 0x1234567),
		INSN(BPF_ALU64 | BPF_RSH | BPF_K, 0, 0, 0, 7),
		EXIT(),
		MOV_IMM(0, 1),
		EXIT(),
		MOV_IMM(0, 2),
		EXIT(),
	};

	return side_load(side, BPF_PROG_TYPE_SOCKET_FILTER, insns, 9);
}

static void check_native(enum side side, int fd)
{
	static uint8_t code[ROOM], again[ROOM];
	uint64_t addresses[4] = {0};
	uint32_t lens[4] = {0}, len = sizeof(struct prog_info), total;
	struct prog_info info = {.jited_prog_len = ROOM,
				 .jited_prog_insns = (uintptr_t)code,
				 .nr_jited_ksyms = 4,
				 .jited_ksyms = (uintptr_t)addresses,
				 .nr_jited_func_lens = 4,
				 .jited_func_lens = (uintptr_t)lens};

	memset(code, 0, sizeof(code));
	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK_EQ(info.nr_jited_ksyms, 3);
	CHECK_EQ(info.nr_jited_func_lens, 3);
	CHECK_EQ(info.nr_jited_line_info, 0);
	total = lens[0] + lens[1] + lens[2];
	CHECK_EQ(info.jited_prog_len, total);
	CHECK(lens[0] && lens[1] && lens[2] && !lens[3]);
	CHECK(addresses[0] && addresses[1] && addresses[2] && !addresses[3]);
	CHECK(addresses[0] != addresses[1] && addresses[1] != addresses[2]);
	/* the constant that the program adds */
	CHECK(memmem(code, lens[0], "\x67\x45\x23\x01", 4));
	CHECK(!code[total]);

	/* less room than there is code */
	info = (struct prog_info){.jited_prog_len = lens[0] + 1,
				  .jited_prog_insns = (uintptr_t)again,
				  .nr_jited_ksyms = 1,
				  .jited_ksyms = (uintptr_t)(addresses + 3),
				  .nr_jited_func_lens = 1,
				  .jited_func_lens = (uintptr_t)(lens + 3)};
	memset(again, 0, sizeof(again));
	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK_EQ(info.jited_prog_len, total);
	CHECK(!memcmp(code, again, lens[0] + 1));
	CHECK(!again[lens[0] + 1]);
	CHECK_EQ(addresses[3], addresses[0]);
	CHECK_EQ(lens[3], lens[0]);
	CHECK_EQ(info.nr_jited_ksyms, 3);

	/* nowhere to put it */
	info = (struct prog_info){.jited_prog_len = 8, .jited_prog_insns = 8};
	CHECK_EQ(side_info(side, fd, &info, &len), -EFAULT);
	info = (struct prog_info){.nr_jited_ksyms = 1, .jited_ksyms = 8};
	CHECK_EQ(side_info(side, fd, &info, &len), -EFAULT);
	info = (struct prog_info){.nr_jited_func_lens = 1, .jited_func_lens = 8};
	CHECK_EQ(side_info(side, fd, &info, &len), -EFAULT);
}

static void check_none(enum side side, int fd)
{
	uint32_t len = sizeof(struct prog_info);
	struct prog_info info = {.jited_prog_len = 8,
				 .jited_prog_insns = 8,
				 .nr_jited_ksyms = 1,
				 .jited_ksyms = 8,
				 .nr_jited_func_lens = 1,
				 .jited_func_lens = 8};

	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK_EQ(info.jited_prog_len, 0);
	CHECK_EQ(info.nr_jited_ksyms, 0);
	CHECK_EQ(info.nr_jited_func_lens, 0);
}

int main(void)
{
	const char *jit = getenv("SHMAP_JIT");

	both_init();
	for (int side = 0; side < (have_kernel ? SIDES : 1); side++) {
		int fd = load(side);

		REQUIRE(fd >= 0);
		if (side == OURS && (!VM_HAVE_JIT || (jit && *jit == '0')))
			check_none(side, fd);
		else
			check_native(side, fd);
		side_close(side, fd);
	}
	return check_done();
}
