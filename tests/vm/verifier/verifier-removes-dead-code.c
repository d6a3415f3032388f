/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What no path reaches is not in the program that runs, nor are jumps that lead nowhere;
 * functions and source lines move with the rest: just as in the kernel's xlated, of random
 * programs whose branches are decided.
 */
#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "vm/verifier.h"
#include "vm/vm.h"
#include "vt.h"

#define MAX 64

static uint64_t seed = 1;

static uint32_t below(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % n;
}

struct sample {
	struct bpf_insn insns[MAX];
	uint32_t cnt;
	struct bpf_func_info funcs[3];
	uint32_t func_cnt;
	struct bpf_line_info lines[MAX];
	uint32_t line_cnt;
};

static struct btf *btf;
static uint32_t func_id[3], text_off;

static void make_btf(void)
{
	int i64, proto;

	btf = btf__new_empty();
	REQUIRE(btf);
	i64 = btf__add_int(btf, "long", 8, BTF_INT_SIGNED);
	proto = btf__add_func_proto(btf, i64);
	for (int i = 0; i < 3; i++)
		func_id[i] = btf__add_func(btf, i ? i > 1 ? "second" : "first" : "main",
					   BTF_FUNC_STATIC, proto);
	text_off = btf__add_str(btf, "a line");
}

/* One function: forward jumps on what is known, moves, an end. */
static void add_function(struct sample *s, uint32_t first, uint32_t len, uint32_t call[2],
			 uint32_t calls)
{
	for (uint32_t i = 0; i < len; i++) {
		struct bpf_insn *insn = &s->insns[first + i];
		const uint32_t left = len - i;

		*insn = (struct bpf_insn)MOV(R6, (int)below(100));
		if (left <= 2) {
			*insn = left == 2 ? (struct bpf_insn)MOV(R0, (int)below(9))
					  : (struct bpf_insn)EXIT;
			continue;
		}
		switch (below(6)) {
		case 0: /* R7 is 5 everywhere */
			*insn = (struct bpf_insn)JMP(JEQ, R7, below(2) ? 5 : 6, below(left - 2));
			break;
		case 1:
			*insn = (struct bpf_insn)JMP(JGT, R8, below(2) ? 5 : 6, below(left - 2));
			break;
		case 2: /* both ways */
			*insn = (struct bpf_insn)JMP(JGT, R9, below(2) ? 5 : 6, below(left - 2));
			break;
		case 3:
			if (below(3) == 0)
				*insn = (struct bpf_insn)JA(0);
			break;
		case 4:
			if (calls && below(2))
				*insn = (struct bpf_insn)CALLP(
					(int)(call[below(calls)] - (first + i) - 1));
			break;
		}
	}
}

static void make(struct sample *s)
{
	uint32_t start[3], len[3], at = 0;
	const uint32_t n = 1 + below(3);

	memset(s, 0, sizeof(*s));
	for (uint32_t f = 0; f < n; f++) {
		start[f] = at;
		len[f] = 10 + below(8);
		at += len[f];
	}
	for (uint32_t f = 0; f < n; f++) {
		add_function(s, start[f], len[f], &start[f + 1], n - f - 1);
		s->insns[start[f]] = (struct bpf_insn)CALL(get_prandom_u32);
		s->insns[start[f] + 1] = (struct bpf_insn)MOVR(R9, R0);
		s->insns[start[f] + 2] = (struct bpf_insn)MOV(R7, 5);
		s->insns[start[f] + 3] = (struct bpf_insn)MOV(R8, 6);
		if (f + 1 < n) /* it is called, or would be */
			s->insns[start[f] + 4] =
				(struct bpf_insn)CALLP((int)(start[f + 1] - start[f] - 5));
		s->funcs[f].insn_off = start[f];
		s->funcs[f].type_id = func_id[f];
	}
	s->cnt = at;
	s->func_cnt = n;
	for (uint32_t i = 0; i < at; i++) {
		bool first = false;

		for (uint32_t f = 0; f < n; f++)
			first |= start[f] == i;
		if (!first && below(2))
			continue;
		s->lines[s->line_cnt].insn_off = i;
		s->lines[s->line_cnt].file_name_off = text_off;
		s->lines[s->line_cnt].line_off = text_off;
		s->lines[s->line_cnt++].line_col = (i + 1) << 10;
	}
}

static long sys_bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int btf_fd = -1;

static int load_kernel(const struct sample *s, struct sample *out)
{
	struct bpf_prog_info info;
	union bpf_attr attr;
	int fd, err;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
	attr.insns = (uintptr_t)s->insns;
	attr.insn_cnt = s->cnt;
	attr.license = (uintptr_t) "GPL";
	attr.prog_btf_fd = btf_fd;
	attr.func_info = (uintptr_t)s->funcs;
	attr.func_info_cnt = s->func_cnt;
	attr.func_info_rec_size = sizeof(s->funcs[0]);
	attr.line_info = (uintptr_t)s->lines;
	attr.line_info_cnt = s->line_cnt;
	attr.line_info_rec_size = sizeof(s->lines[0]);
	fd = sys_bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		return -errno;
	memset(&info, 0, sizeof(info));
	memset(out, 0, sizeof(*out));
	info.xlated_prog_insns = (uintptr_t)out->insns;
	info.xlated_prog_len = sizeof(out->insns);
	info.func_info = (uintptr_t)out->funcs;
	info.nr_func_info = 3;
	info.func_info_rec_size = sizeof(out->funcs[0]);
	info.line_info = (uintptr_t)out->lines;
	info.nr_line_info = MAX;
	info.line_info_rec_size = sizeof(out->lines[0]);
	memset(&attr, 0, sizeof(attr));
	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	err = sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) ? -errno : 0;
	out->cnt = info.xlated_prog_len / sizeof(out->insns[0]);
	out->func_cnt = info.nr_func_info;
	out->line_cnt = info.nr_line_info;
	close(fd);
	return err;
}

static char log_text[65536];

static int load_ours(const struct sample *s, struct sample *out)
{
	struct vm_prog p = {.type = BPF_PROG_TYPE_SOCKET_FILTER,
			    .gpl_compatible = true,
			    .insns = out->insns,
			    .insn_cnt = s->cnt,
			    .btf = btf,
			    .func_info = out->funcs,
			    .func_info_cnt = s->func_cnt,
			    .func_info_rec_size = sizeof(s->funcs[0]),
			    .line_info = out->lines,
			    .line_info_cnt = s->line_cnt,
			    .line_info_rec_size = sizeof(s->lines[0])};
	struct vm_log log = {.buf = log_text, .size = sizeof(log_text), .level = 1};
	int err;

	*out = *s;
	err = vm_verify(&p, &log);
	if (err)
		return err;
	out->cnt = p.insn_cnt;
	out->func_cnt = p.func_info_cnt;
	out->line_cnt = p.line_info_cnt;
	for (uint32_t i = 0; i < p.insn_cnt; i++) {
		struct bpf_insn *insn = &out->insns[i];
		uint32_t func = 0;

		CHECK(p.aux[i].seen);
		if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg != BPF_PSEUDO_CALL)
			continue;
		CHECK_EQ(p.aux[i].call_pc, i + 1 + insn->imm);
		CHECK(p.aux[p.aux[i].call_pc].subprog_start);
		/* as xlated has it: the distance in off, the function's number in imm */
		while (func < p.func_info_cnt && out->funcs[func].insn_off != p.aux[i].call_pc)
			func++;
		insn->off = insn->imm;
		insn->imm = func;
	}
	free(p.aux);
	return 0;
}

static void show(const char *who, const struct sample *s)
{
	fprintf(stderr, "%s: %u insns\n", who, s->cnt);
	for (uint32_t i = 0; i < s->cnt; i++)
		fprintf(stderr, "  %u: %02x %d %d %d %d\n", i, s->insns[i].code,
			s->insns[i].dst_reg, s->insns[i].src_reg, s->insns[i].off, s->insns[i].imm);
	for (uint32_t i = 0; i < s->line_cnt; i++)
		fprintf(stderr, "  line %u at %u\n", s->lines[i].line_col >> 10,
			s->lines[i].insn_off);
}

int main(void)
{
	const uint32_t rounds = 300;
	uint32_t compared = 0, shrunk = 0;
	static struct sample s, ours, kernel;
	union bpf_attr attr;
	uint32_t size;

	make_btf();
	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)btf__raw_data(btf, &size);
	attr.btf_size = size;
	btf_fd = sys_bpf(BPF_BTF_LOAD, &attr);
	for (uint32_t n = 0; n < rounds && check_failures < 3; n++) {
		int err;

		make(&s);
		err = load_ours(&s, &ours);
		if (err)
			show(log_text, &s);
		CHECK_EQ(err, 0);
		shrunk += ours.cnt < s.cnt;
		if (btf_fd < 0)
			continue;
		CHECK_EQ(load_kernel(&s, &kernel), 0);
		compared++;
		/* helpers are addresses there */
		for (uint32_t i = 0; i < kernel.cnt && i < ours.cnt; i++)
			if (kernel.insns[i].code == (BPF_JMP | BPF_CALL) &&
			    !kernel.insns[i].src_reg && !ours.insns[i].src_reg)
				kernel.insns[i].imm = ours.insns[i].imm;
		if (ours.cnt != kernel.cnt || ours.func_cnt != kernel.func_cnt ||
		    ours.line_cnt != kernel.line_cnt ||
		    memcmp(ours.insns, kernel.insns, ours.cnt * sizeof(ours.insns[0])) ||
		    memcmp(ours.funcs, kernel.funcs, ours.func_cnt * sizeof(ours.funcs[0])) ||
		    memcmp(ours.lines, kernel.lines, ours.line_cnt * sizeof(ours.lines[0]))) {
			fprintf(stderr, "program %u differs\n", n);
			show("loaded", &s);
			show("here", &ours);
			show("kernel", &kernel);
			check_failures++;
		}
	}
	CHECK(shrunk > rounds / 4);
	printf("%u programs, %u of them made smaller, %u compared with the kernel\n", rounds,
	       shrunk, compared);
	return check_done();
}
