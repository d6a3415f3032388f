// SPDX-License-Identifier: BSD-2-Clause
/*
 * func_info and line_info: records that tie instructions to BTF types and
 * source lines.
 */
#include <stdlib.h>
#include <string.h>
#include <bpf/btf.h>

#include "base/errors.h"
#include "base/uaccess.h"
#include "sys/prog.h"

#define RECORD_MAX 252

struct func_record {
	uint32_t insn_off;
	uint32_t type_id;
};

struct line_record {
	uint32_t insn_off;
	uint32_t file_name_off;
	uint32_t line_off;
	uint32_t line_col;
};

int prog_copy_records(struct prog_records *r, const void *user, uint32_t cnt, uint32_t user_size,
		      uint32_t size)
{
	uint8_t record[RECORD_MAX];
	uint32_t j;

	r->cnt = 0;
	r->data = calloc(cnt, size);
	if (!r->data)
		return -ENOMEM;
	for (; r->cnt < cnt; r->cnt++) {
		if (uaccess_copy(record, uaccess_at(user, (size_t)r->cnt * user_size), user_size))
			return -EFAULT;
		for (j = size; j < user_size; j++)
			if (record[j])
				return -E2BIG;
		memcpy((uint8_t *)r->data + (size_t)r->cnt * size, record, size);
	}
	return 0;
}

static bool is_local_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL;
}

static bool is_func_address(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW) && insn->src_reg == BPF_PSEUDO_FUNC;
}

uint8_t *prog_find_functions(const struct vm_prog *p, uint32_t *cnt)
{
	uint8_t *starts = calloc(p->insn_cnt, 1);
	uint32_t i;

	if (!starts)
		return NULL;
	starts[0] = 1;
	*cnt = 1;
	for (i = 0; i < p->insn_cnt; i++) {
		const struct bpf_insn *insn = &p->insns[i];
		int64_t target = (int64_t)i + 1 + insn->imm;

		if (!is_local_call(insn) && !is_func_address(insn))
			continue;
		if (target < 0 || target >= p->insn_cnt || starts[target])
			continue;
		starts[target] = 1;
		(*cnt)++;
	}
	return starts;
}

int prog_check_func_types(const struct vm_prog *p, struct vm_log *log)
{
	const struct func_record *rec = p->func_info;
	const struct btf_type *t;
	uint32_t i;

	for (i = 0; i < p->func_info_cnt; i++) {
		if (!i && rec[i].insn_off) {
			vm_logf(log, "nonzero insn_off %u for the first func info record",
				rec[i].insn_off);
			return -EINVAL;
		}
		if (i && rec[i].insn_off <= rec[i - 1].insn_off) {
			vm_logf(log,
				"same or smaller insn offset (%u) than previous func info record "
				"(%u)",
				rec[i].insn_off, rec[i - 1].insn_off);
			return -EINVAL;
		}
		t = btf__type_by_id(p->btf, rec[i].type_id);
		if (!t || !btf_is_func(t)) {
			vm_logf(log, "invalid type id %d in func info", rec[i].type_id);
			return -EINVAL;
		}
		t = btf__type_by_id(p->btf, t->type);
		if (!t || !btf_is_func_proto(t))
			return -EINVAL;
	}
	return 0;
}

static int check_func_layout(const struct vm_prog *p, const uint8_t *starts, uint32_t functions,
			     struct vm_log *log)
{
	const struct func_record *rec = p->func_info;
	uint32_t i, n = 0;

	if (p->func_info_cnt != functions) {
		vm_logf(log, "number of funcs in func_info doesn't match number of subprogs\n");
		return -EINVAL;
	}
	for (i = 0; i < p->insn_cnt; i++) {
		if (!starts[i])
			continue;
		if (rec[n++].insn_off != i) {
			vm_logf(log, "func_info BTF section doesn't match subprog layout in BPF "
				     "program\n");
			return -EINVAL;
		}
	}
	return 0;
}

/* A record's own fields; then the caller checks that each function has one. */
static int check_line(const struct vm_prog *p, uint32_t i, struct vm_log *log)
{
	const struct line_record *rec = p->line_info;
	uint32_t prev = i ? rec[i - 1].insn_off : 0;

	if ((i && rec[i].insn_off <= prev) || rec[i].insn_off >= p->insn_cnt) {
		vm_logf(log, "Invalid line_info[%u].insn_off:%u (prev_offset:%u prog->len:%u)\n", i,
			rec[i].insn_off, prev, p->insn_cnt);
		return -EINVAL;
	}
	if (!p->insns[rec[i].insn_off].code) {
		vm_logf(log, "Invalid insn code at line_info[%u].insn_off\n", i);
		return -EINVAL;
	}
	if (!btf__str_by_offset(p->btf, rec[i].line_off) ||
	    !btf__str_by_offset(p->btf, rec[i].file_name_off)) {
		vm_logf(log, "Invalid line_info[%u].line_off or .file_name_off\n", i);
		return -EINVAL;
	}
	return 0;
}

static uint32_t next_function(const struct vm_prog *p, const uint8_t *starts, uint32_t from)
{
	while (from < p->insn_cnt && !starts[from])
		from++;
	return from;
}

static int check_lines(const struct vm_prog *p, const uint8_t *starts, uint32_t functions, bool all,
		       struct vm_log *log)
{
	const struct line_record *rec = p->line_info;
	uint32_t i, func = 0, start = 0;
	int err;

	for (i = 0; i < p->line_info_cnt; i++) {
		err = check_line(p, i, log);
		if (err)
			return err;
		if (func == functions || rec[i].insn_off < start)
			continue;
		if (rec[i].insn_off > start) {
			vm_logf(log, "missing bpf_line_info for func#%u\n", func);
			return -EINVAL;
		}
		func++;
		start = next_function(p, starts, start + 1);
	}
	if (all && func != functions) {
		vm_logf(log, "missing bpf_line_info for %u funcs starting from func#%u\n",
			functions - func, func);
		return -EINVAL;
	}
	return 0;
}

int prog_check_func_layout(const struct vm_prog *p, struct vm_log *log)
{
	uint32_t functions;
	uint8_t *starts = prog_find_functions(p, &functions);
	int err;

	if (!starts)
		return -ENOMEM;
	err = check_func_layout(p, starts, functions, log);
	free(starts);
	return err;
}

int prog_check_lines(const struct vm_prog *p, bool all, struct vm_log *log)
{
	uint32_t functions;
	uint8_t *starts = prog_find_functions(p, &functions);
	int err;

	if (!starts)
		return -ENOMEM;
	err = check_lines(p, starts, functions, all, log);
	free(starts);
	return err;
}

int prog_check_records(const struct vm_prog *p, struct vm_log *log)
{
	int err = 0;

	if (p->func_info_cnt) {
		err = prog_check_func_types(p, log);
		if (!err)
			err = prog_check_func_layout(p, log);
	}
	if (!err && p->line_info_cnt)
		err = prog_check_lines(p, true, log);
	return err;
}
