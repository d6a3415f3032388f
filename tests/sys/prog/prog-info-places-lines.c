// SPDX-License-Identifier: BSD-2-Clause
/*
 * jited_line_info: for each source line where its native code is, in the function that it
 * belongs to and in order; a function's first line is where the function is; as the
 * kernel has it. SHMAP_JIT=0: there is none.
 */
#include <bpf/btf.h>

#include "both.h"
#include "sys/info.h"
#include "vm/jit.h"

#define LINES 10
#define FUNCS 3

struct func_rec {
	uint32_t insn_off, type_id;
};

struct line_rec {
	uint32_t insn_off, file_off, line_off, line_col;
};

static const struct bpf_insn insns[] = {
	{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 4},
	{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 5},
	{.code = BPF_ALU64 | BPF_ADD | BPF_K, .imm = 0x1234567},
	{.code = BPF_ALU64 | BPF_RSH | BPF_K, .imm = 7},
	{.code = BPF_JMP | BPF_EXIT},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1},
	{.code = BPF_JMP | BPF_EXIT},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 2},
	{.code = BPF_ALU64 | BPF_ADD | BPF_K, .imm = 77},
	{.code = BPF_JMP | BPF_EXIT},
};
/* where the functions begin, and the end */
static const uint32_t begins[FUNCS + 1] = {0, 5, 7, 10};

static int load(enum side side)
{
	struct btf *btf = btf__new_empty();
	struct func_rec funcs[FUNCS];
	struct line_rec lines[LINES];
	uint32_t size;
	union sys_attr a = {0};
	int integer, proto, fd;

	REQUIRE(btf);
	integer = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	proto = btf__add_func_proto(btf, integer);
	for (int i = 0; i < FUNCS; i++) {
		char name[] = {'f', (char)('0' + i), '\0'};

		funcs[i] = (struct func_rec){
			begins[i], (uint32_t)btf__add_func(btf, name, BTF_FUNC_STATIC, proto)};
	}
	for (uint32_t i = 0; i < LINES; i++)
		lines[i] = (struct line_rec){i, (uint32_t)btf__add_str(btf, "file.c"),
					     (uint32_t)btf__add_str(btf, "line"), (i + 1) << 10};
	a.btf_load.btf = (uintptr_t)btf__raw_data(btf, &size);
	a.btf_load.btf_size = size;
	fd = (int)side_bpf(side, BPF_BTF_LOAD, &a);
	REQUIRE(fd >= 0);
	btf__free(btf);

	prog_attr_init(&a, BPF_PROG_TYPE_SOCKET_FILTER, insns, LINES);
	a.prog_load.prog_btf_fd = (uint32_t)fd;
	a.prog_load.func_info = (uintptr_t)funcs;
	a.prog_load.func_info_cnt = FUNCS;
	a.prog_load.func_info_rec_size = sizeof(funcs[0]);
	a.prog_load.line_info = (uintptr_t)lines;
	a.prog_load.line_info_cnt = LINES;
	a.prog_load.line_info_rec_size = sizeof(lines[0]);
	return (int)side_bpf(side, BPF_PROG_LOAD, &a);
}

static void check_lines(enum side side, int fd, bool native)
{
	uint64_t address[FUNCS] = {0}, line[LINES + 1] = {0};
	uint32_t lens[FUNCS] = {0}, len = sizeof(struct prog_info), f = 0;
	struct prog_info info = {.nr_jited_ksyms = FUNCS,
				 .jited_ksyms = (uintptr_t)address,
				 .nr_jited_func_lens = FUNCS,
				 .jited_func_lens = (uintptr_t)lens,
				 .nr_jited_line_info = LINES + 1,
				 .jited_line_info_rec_size = 8,
				 .jited_line_info = (uintptr_t)line};

	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK_EQ(info.nr_line_info, LINES);
	CHECK_EQ(info.nr_func_info, FUNCS);
	CHECK_EQ(info.jited_line_info_rec_size, 8);
	CHECK_EQ(info.nr_jited_line_info, native ? LINES : 0);
	CHECK_EQ(info.nr_jited_func_lens, native ? FUNCS : 0);
	if (!native)
		return;
	for (uint32_t i = 0; i < LINES; i++) {
		if (i == begins[f + 1])
			f++;
		if (i == begins[f])
			CHECK_EQ(line[i], address[f]);
		else
			CHECK(line[i] > line[i - 1] && line[i] < address[f] + lens[f]);
	}
	CHECK(!line[LINES]);

	/* less room than there are lines; none */
	memset(line, 0, sizeof(line));
	info = (struct prog_info){.nr_jited_line_info = 2,
				  .jited_line_info_rec_size = 8,
				  .jited_line_info = (uintptr_t)line};
	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK_EQ(info.nr_jited_line_info, LINES);
	CHECK(line[0] == address[0] && line[1] && !line[2]);
	info = (struct prog_info){
		.nr_jited_line_info = 1, .jited_line_info_rec_size = 8, .jited_line_info = 8};
	CHECK_EQ(side_info(side, fd, &info, &len), -EFAULT);
	info = (struct prog_info){.nr_jited_line_info = 1, .jited_line_info_rec_size = 16};
	CHECK_EQ(side_info(side, fd, &info, &len), -EINVAL);
}

int main(void)
{
	const char *jit = getenv("SHMAP_JIT");

	both_init();
	for (int side = 0; side < (have_kernel ? SIDES : 1); side++) {
		int fd = load(side);

		REQUIRE(fd >= 0);
		check_lines(side, fd, side == KERNEL || (VM_HAVE_JIT && !(jit && *jit == '0')));
		side_close(side, fd);
	}
	return check_done();
}
