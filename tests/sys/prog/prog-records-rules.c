// SPDX-License-Identifier: BSD-2-Clause
/*
 * func_info and line_info: sizes, tails, order, and that they fit the
 * program's functions. What the kernel refuses is refused with its errno.
 */
#include <bpf/btf.h>

#include "both.h"
#include "sys/info.h"

#define FUNCS 2
#define LINES 3

struct func_rec {
	uint32_t insn_off, type_id, tail[2];
};

struct line_rec {
	uint32_t insn_off, file, line, col, tail[2];
};

/* one function calls another */
static struct bpf_insn insns[] = {
	{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = 1},
	{.code = BPF_JMP | BPF_EXIT},
	{.code = BPF_ALU64 | BPF_MOV | BPF_K},
	{.code = BPF_JMP | BPF_EXIT},
};
static struct func_rec funcs[FUNCS];
static struct line_rec lines[LINES];
static struct btf *btf;
static int func_types[FUNCS], int_type;
static uint32_t text;
static char log_buf[65536];

static void make_btf(void)
{
	int proto;

	btf = btf__new_empty();
	int_type = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	proto = btf__add_func_proto(btf, int_type);
	func_types[0] = btf__add_func(btf, "first", BTF_FUNC_STATIC, proto);
	func_types[1] = btf__add_func(btf, "second", BTF_FUNC_STATIC, proto);
	text = btf__add_str(btf, "return 0;");
	REQUIRE(func_types[1] > 0 && text > 0);
}

static void good_records(void)
{
	static const uint32_t starts[FUNCS] = {0, 2}, at[LINES] = {0, 1, 2};
	int i;

	memset(funcs, 0, sizeof(funcs));
	memset(lines, 0, sizeof(lines));
	for (i = 0; i < FUNCS; i++)
		funcs[i] = (struct func_rec){.insn_off = starts[i], .type_id = func_types[i]};
	for (i = 0; i < LINES; i++)
		lines[i] = (struct line_rec){
			.insn_off = at[i], .file = text, .line = text, .col = 1 << 10};
}

static void attr_init(union sys_attr *a, int btf_fd)
{
	good_records();
	prog_attr_init(a, BPF_PROG_TYPE_SOCKET_FILTER, insns, 4);
	a->prog_load.prog_btf_fd = btf_fd;
	a->prog_load.func_info = (uintptr_t)funcs;
	a->prog_load.func_info_cnt = FUNCS;
	a->prog_load.func_info_rec_size = sizeof(funcs[0]);
	a->prog_load.line_info = (uintptr_t)lines;
	a->prog_load.line_info_cnt = LINES;
	a->prog_load.line_info_rec_size = sizeof(lines[0]);
	a->prog_load.log_buf = (uintptr_t)log_buf;
	a->prog_load.log_size = sizeof(log_buf);
	a->prog_load.log_level = 1;
	memset(log_buf, 0, sizeof(log_buf));
}

static void expect(enum side side, union sys_attr *a, long want, const char *line, int at)
{
	long ret = side_bpf(side, BPF_PROG_LOAD, a);

	if (ret >= 0) {
		side_close(side, ret);
		ret = 0;
	}
	if (ret != want || !strstr(log_buf, line)) {
		fprintf(stderr, "line %d, %s: %ld, not %ld: \"%.80s\"\n", at, side_name[side], ret,
			want, log_buf);
		check_failures++;
	}
}

#define ROW(change, want, text)                                                                    \
	do {                                                                                       \
		attr_init(&a, fd);                                                                 \
		change;                                                                            \
		expect(side, &a, want, text, __LINE__);                                            \
	} while (0)

static void rules(enum side side, int fd)
{
	union sys_attr a;

	ROW((void)0, 0, "");
	ROW(a.prog_load.func_info_rec_size = 4, -EINVAL, "invalid func info rec size 4");
	ROW(a.prog_load.func_info_rec_size = 9, -EINVAL, "invalid func info rec size 9");
	ROW(a.prog_load.func_info_rec_size = 256, -EINVAL, "invalid func info rec size 256");
	ROW(a.prog_load.line_info_rec_size = 12, -EINVAL, "");
	ROW(a.prog_load.line_info_rec_size = 18, -EINVAL, "");
	ROW(a.prog_load.line_info_rec_size = 256, -EINVAL, "");
	ROW(a.prog_load.func_info = 8, -EFAULT, "");
	ROW(a.prog_load.line_info = 8, -EFAULT, "");
	ROW(a.prog_load.prog_btf_fd = 0, -EINVAL, "");
	ROW(funcs[0].tail[1] = 1, -E2BIG, "nonzero tailing record in func info");
	CHECK_EQ(a.prog_load.func_info_rec_size, 8);
	ROW(lines[1].tail[0] = 1, -E2BIG, "nonzero tailing record in line_info");
	CHECK_EQ(a.prog_load.line_info_rec_size, 16);
	ROW(funcs[0].insn_off = 1, -EINVAL, "nonzero insn_off 1 for the first func info record");
	ROW(funcs[1].insn_off = 0, -EINVAL,
	    "same or smaller insn offset (0) than previous func info record (0)");
	ROW(funcs[1].insn_off = 1, -EINVAL, "func_info BTF section doesn't match subprog layout");
	ROW(funcs[1].type_id = int_type, -EINVAL, "invalid type id 1 in func info");
	ROW(funcs[1].type_id = 99, -EINVAL, "invalid type id 99 in func info");
	ROW(a.prog_load.func_info_cnt = 1, -EINVAL, "number of funcs in func_info doesn't match");
	ROW(a.prog_load.func_info_cnt = 0, 0, "");
	ROW(a.prog_load.line_info_cnt = 0, 0, "");
	ROW(lines[1].insn_off = 0, -EINVAL, "Invalid line_info[1].insn_off:0");
	ROW(lines[2].insn_off = 4, -EINVAL, "Invalid line_info[2].insn_off:4");
	ROW(lines[0].line = 1 << 20, -EINVAL, "Invalid line_info[0].line_off or .file_name_off");
	ROW(lines[2].insn_off = 3, -EINVAL, "missing bpf_line_info for func#1");
	ROW(lines[0].insn_off = 1; lines[1].insn_off = 2;
	    lines[2].insn_off = 3, -EINVAL, "missing bpf_line_info for func#0");
	ROW(a.prog_load.line_info_cnt = 2, -EINVAL,
	    "missing bpf_line_info for 1 funcs starting from func#1");
}

/* The records come back through bpf_prog_info, cut to the known size. */
static void information(enum side side, int fd)
{
	uint32_t f[FUNCS][2] = {0}, l[LINES][4] = {0}, len;
	struct prog_info info = {0};
	union sys_attr a;
	int prog, i;

	attr_init(&a, fd);
	prog = side_bpf(side, BPF_PROG_LOAD, &a);
	REQUIRE(prog >= 0);
	info.nr_func_info = FUNCS;
	info.func_info_rec_size = sizeof(f[0]);
	info.func_info = (uintptr_t)f;
	info.nr_line_info = LINES;
	info.line_info_rec_size = sizeof(l[0]);
	info.line_info = (uintptr_t)l;
	len = sizeof(info);
	CHECK_EQ(side_info(side, prog, &info, &len), 0);
	CHECK(info.btf_id > 0);
	CHECK_EQ(info.nr_func_info, FUNCS);
	CHECK_EQ(info.nr_line_info, LINES);
	for (i = 0; i < FUNCS; i++)
		CHECK(f[i][0] == funcs[i].insn_off && f[i][1] == funcs[i].type_id);
	for (i = 0; i < LINES; i++)
		CHECK(l[i][0] == lines[i].insn_off && l[i][1] == text && l[i][3] == 1 << 10);
	side_close(side, prog);
}

int main(void)
{
	union sys_attr a;
	int side, fd;

	both_init();
	make_btf();
	for (side = 0; side < (have_kernel ? SIDES : 1); side++) {
		memset(&a, 0, sizeof(a));
		a.btf_load.btf = (uintptr_t)btf__raw_data(btf, &a.btf_load.btf_size);
		fd = side_bpf(side, BPF_BTF_LOAD, &a);
		REQUIRE(fd >= 0);
		rules(side, fd);
		information(side, fd);
		side_close(side, fd);
	}
	btf__free(btf);
	return check_done();
}
