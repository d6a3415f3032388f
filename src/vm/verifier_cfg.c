/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What can be said without walking: the functions of a program, the form of
 * every instruction, where jumps go, what is reachable, how deep calls nest.
 */
#include "vm/verifier_int.h"

#include <stdlib.h>
#include <string.h>

static int compare_start(const void *a, const void *b)
{
	const struct subprog *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

int cfg_subprog_at(const struct verifier *v, uint32_t insn)
{
	uint32_t lo = 0, hi = v->subprog_cnt;

	while (lo < hi) {
		uint32_t mid = (lo + hi) / 2;

		if (v->subprogs[mid].start == insn)
			return mid;
		if (v->subprogs[mid].start < insn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return -1;
}

static int add_subprog(struct verifier *v, int64_t start)
{
	if (start < 0 || start >= v->cnt) {
		verbose(v, "call to invalid destination\n");
		return -EINVAL;
	}
	for (uint32_t i = 0; i < v->subprog_cnt; i++)
		if (v->subprogs[i].start == start)
			return 0;
	if (v->subprog_cnt >= VER_MAX_SUBPROGS) {
		verbose(v, "too many subprograms\n");
		return -E2BIG;
	}
	v->subprogs[v->subprog_cnt++] = (struct subprog){.start = start};
	return 0;
}

static bool is_ld_imm64(const struct bpf_insn *insn)
{
	return insn->code == (BPF_LD | BPF_IMM | BPF_DW);
}

int cfg_find_subprogs(struct verifier *v)
{
	int err = add_subprog(v, 0);

	for (uint32_t i = 0; i < v->cnt && !err; i++) {
		const struct bpf_insn *insn = &v->insns[i];

		if ((insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_CALL) ||
		    (is_ld_imm64(insn) && insn->src_reg == BPF_PSEUDO_FUNC))
			err = add_subprog(v, (int64_t)i + 1 + insn->imm);
	}
	if (err)
		return err;
	qsort(v->subprogs, v->subprog_cnt, sizeof(v->subprogs[0]), compare_start);
	v->subprogs[v->subprog_cnt].start = v->cnt; /* the end of the last one */
	for (uint32_t s = 0; s < v->subprog_cnt; s++) {
		v->aux[v->subprogs[s].start].subprog_start = true;
		for (uint32_t i = v->subprogs[s].start; i < v->subprogs[s + 1].start; i++) {
			const struct bpf_insn *insn = &v->insns[i];

			v->info[i].subprog = s;
			if (insn->code == (BPF_JMP | BPF_CALL) && !insn->src_reg &&
			    insn->imm == BPF_FUNC_tail_call)
				v->subprogs[s].tail_call = true;
			if (insn_form(insn->code) == INSN_LD_ABS)
				v->subprogs[s].ld_abs = true;
		}
		if (v->log->level & 2)
			verbose(v, "func#%u @%u\n", s, v->subprogs[s].start);
	}
	return 0;
}

static int check_map_type(struct verifier *v, const struct map *m)
{
	if (map_has_timers(&m->attr) &&
	    v->group & (HPROG_KPROBE | HPROG_TRACEPOINT | HPROG_RAW_TP | HPROG_PERF_EVENT)) {
		verbose(v, "tracing progs cannot use %s yet\n",
			m->attr.timer_at ? "bpf_timer" : "bpf_wq");
		return -EINVAL;
	}
	if (m->attr.spin_lock_off < 0)
		return 0;
	if (v->group == HPROG_SOCKET_FILTER) {
		verbose(v, "socket filter progs cannot use bpf_spin_lock yet\n");
		return -EINVAL;
	}
	if (v->group & (HPROG_KPROBE | HPROG_TRACEPOINT | HPROG_RAW_TP | HPROG_PERF_EVENT)) {
		verbose(v, "tracing progs cannot use bpf_spin_lock yet\n");
		return -EINVAL;
	}
	return 0;
}

static int check_ld_imm64(struct verifier *v, uint32_t i)
{
	const struct bpf_insn *insn = &v->insns[i];

	if (i + 1 >= v->cnt) {
		verbose(v, "last insn is not an exit or jmp\n");
		return -EINVAL;
	}
	if (insn[1].code || insn[1].dst_reg || insn[1].src_reg || insn[1].off) {
		verbose(v, "invalid bpf_ld_imm64 insn\n");
		return -EINVAL;
	}
	switch (insn->src_reg) {
	case 0:
		/* off must be 0 here and below */
	case BPF_PSEUDO_FUNC:
		break;
	case BPF_PSEUDO_MAP_FD:
		if (insn[1].imm)
			goto unrecognized;
		/* fallthrough */
	case BPF_PSEUDO_MAP_VALUE:
		if ((uint32_t)insn->imm >= v->prog->map_cnt) {
			verbose(v, "fd %d is not pointing to valid bpf_map\n", insn->imm);
			return -EBADF;
		}
		break;
	default:
		goto unrecognized;
	}
	if (insn->off) {
		verbose(v, "BPF_LD_IMM64 uses reserved fields\n");
		return -EINVAL;
	}
	if (insn->src_reg == BPF_PSEUDO_FUNC && insn[1].imm) {
		verbose(v, "invalid bpf_ld_imm64 insn\n");
		return -EINVAL;
	}
	if (insn->src_reg == BPF_PSEUDO_MAP_VALUE) {
		struct map *m = v->prog->maps[insn->imm];

		if (!m->ops->direct_value) {
			verbose(v, "no direct value access support for this map type\n");
			return -EINVAL;
		}
		if (m->attr.max_entries != 1) {
			verbose(v, "invalid access to map value pointer, value_size=%u off=%u\n",
				m->attr.value_size, (uint32_t)insn[1].imm);
			return -ENOTSUPP;
		}
		if ((uint32_t)insn[1].imm >= VER_MAX_VAR_OFF) {
			verbose(v, "direct value offset of %u is not allowed\n",
				(uint32_t)insn[1].imm);
			return -EINVAL;
		}
		if ((uint32_t)insn[1].imm >= m->attr.value_size) {
			verbose(v, "invalid access to map value pointer, value_size=%u off=%u\n",
				m->attr.value_size, (uint32_t)insn[1].imm);
			return -EINVAL;
		}
	}
	if (insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE)
		return check_map_type(v, v->prog->maps[insn->imm]);
	return 0;
unrecognized:
	verbose(v, "unrecognized bpf_ld_imm64 insn\n");
	return -EINVAL;
}

/* What is wrong wherever it stands; the other fields are looked at when a path comes there. */
int cfg_check_insns(struct verifier *v)
{
	for (uint32_t i = 0; i < v->cnt; i++) {
		const struct bpf_insn *insn = &v->insns[i];
		const enum insn_form form = insn_form(insn->code);

		if (INSN_CLASS(insn->code) == BPF_LDX &&
		    ((INSN_MODE(insn->code) != BPF_MEM && INSN_MODE(insn->code) != BPF_MEMSX) ||
		     insn->imm)) {
			verbose(v, "BPF_LDX uses reserved fields\n");
			return -EINVAL;
		}
		if (form == INSN_NONE) {
			verbose(v, "unknown opcode %02x\n", insn->code);
			return -EINVAL;
		}
		if (form == INSN_LD_IMM64) {
			int err = check_ld_imm64(v, i);

			if (err)
				return err;
			i++;
		}
	}
	return 0;
}

int cfg_successors(const struct verifier *v, uint32_t insn, uint32_t succ[2])
{
	const struct bpf_insn *in = &v->insns[insn];

	switch (insn_form(in->code)) {
	case INSN_EXIT:
		return 0;
	case INSN_JA:
		succ[0] = insn + 1 + insn_jump_offset(in);
		return 1;
	case INSN_JCOND:
	case INSN_MAY_GOTO:
		succ[0] = insn + 1;
		succ[1] = insn + 1 + in->off;
		return 2;
	case INSN_LD_IMM64:
		succ[0] = insn + 2;
		return 1;
	default:
		succ[0] = insn + 1;
		return 1;
	}
}

/* Every jump stays in its function and hits the beginning of an instruction;
 * no function runs off its end. */
int cfg_check_jumps(struct verifier *v)
{
	for (uint32_t i = 0; i < v->cnt; i++) {
		const struct subprog *s = &v->subprogs[v->info[i].subprog];
		const enum insn_form form = insn_form(v->insns[i].code);

		if (form == INSN_JA || form == INSN_JCOND || form == INSN_MAY_GOTO) {
			int64_t to = (int64_t)i + 1 + insn_jump_offset(&v->insns[i]);

			if (to < s->start || to >= s[1].start) {
				verbose(v, "jump out of range from insn %u to %lld\n", i,
					(long long)to);
				return -EINVAL;
			}
			v->info[to].jump_target = true;
		}
		if (form == INSN_LD_IMM64 && i + 1 < v->cnt) {
			v->info[i + 1].flow.live = UINT16_MAX; /* marks a second half, for now */
			i++;
		}
		if (i + 1 == s[1].start && form != INSN_EXIT && form != INSN_JA) {
			verbose(v, "last insn is not an exit or jmp\n");
			return -EINVAL;
		}
	}
	for (uint32_t i = 0; i < v->cnt; i++) {
		if (v->info[i].flow.live != UINT16_MAX)
			continue;
		if (v->info[i].jump_target || cfg_subprog_at(v, i) >= 0) {
			verbose(v, "jump into the middle of ldimm64 insn %u\n", i - 1);
			return -EINVAL;
		}
		v->info[i].flow.live = 0;
	}
	return 0;
}

static void mark_reach(struct verifier *v, uint8_t *seen, uint32_t *todo, uint32_t *n, uint32_t to)
{
	if (!seen[to]) {
		seen[to] = 1;
		todo[(*n)++] = to;
	}
}

int cfg_check_reach(struct verifier *v)
{
	uint8_t *seen = calloc(1, v->cnt);
	uint32_t *todo = malloc(v->cnt * sizeof(*todo)), n = 0;
	int err = -ENOMEM;

	if (!seen || !todo)
		goto out;
	mark_reach(v, seen, todo, &n, 0);
	while (n) {
		uint32_t i = todo[--n], succ[2];
		const struct bpf_insn *insn = &v->insns[i];
		int k = cfg_successors(v, i, succ);

		while (k--)
			mark_reach(v, seen, todo, &n, succ[k]);
		switch (insn_form(insn->code)) {
		case INSN_LD_IMM64:
			seen[i + 1] = 1;
			if (insn->src_reg == BPF_PSEUDO_FUNC) {
				v->aux[i].callback_pc = i + 1 + insn->imm;
				mark_reach(v, seen, todo, &n, i + 1 + insn->imm);
			}
			break;
		case INSN_JA:
		case INSN_JCOND:
		case INSN_MAY_GOTO:
			/* where the kernel compares: a branch, and where paths meet */
			v->info[i + 1 + insn_jump_offset(insn)].prune = true;
			if (insn_form(insn->code) != INSN_JA)
				v->info[i].prune = true;
			if (insn_form(insn->code) == INSN_MAY_GOTO)
				v->info[i].checkpoint = true;
			break;
		case INSN_CALL:
			if (insn->src_reg == BPF_PSEUDO_CALL) {
				v->aux[i].call_pc = i + 1 + insn->imm;
				mark_reach(v, seen, todo, &n, i + 1 + insn->imm);
				v->info[i + 1].prune = true; /* callees meet here again */
			} else if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL) {
				if (v->info[i].iter_next)
					v->info[i].prune = v->info[i].checkpoint = true;
			} else {
				const struct helper_proto *p = helper_proto_find(insn->imm);

				for (int a = 0; p && a < 5; a++)
					if (p->arg[a] == HARG_FUNC)
						v->info[i].callback_call = true;
				if (v->info[i].callback_call)
					v->info[i].prune = v->info[i].checkpoint = true;
			}
			break;
		default:
			break;
		}
	}
	err = 0;
	for (uint32_t i = 0; i < v->cnt; i++)
		if (!seen[i]) {
			verbose(v, "unreachable insn %u\n", i);
			err = -EINVAL;
			break;
		}
out:
	free(seen);
	free(todo);
	return err;
}

/*
 * The deepest chain of frames below function s, its own included. Callees come
 * in any order, so this recurses; depth bounds it. A function that was
 * entered with as much stack on another way of the same length has nothing new to
 * say: without this, functions that call the next one many times would be walked
 * a number of times exponential in their number.
 */
static int stack_below(struct verifier *v, uint32_t s, uint32_t frames, uint32_t sum)
{
	/* each of 33 tail calls may keep so much of its callers */
	if (s && v->subprogs[s].tail_call && sum >= VER_MAX_TAIL_STACK) {
		verbose(v,
			"tail_calls are not allowed when call stack of previous frames is %u "
			"bytes. Too large\n",
			sum);
		return -EACCES;
	}
	sum += round_up_u64(v->subprogs[s].stack, 16);
	if (frames > VER_MAX_FRAMES) {
		verbose(v, "the call stack of %u frames is too deep !\n", frames);
		return -E2BIG;
	}
	if (sum > VER_MAX_STACK) {
		verbose(v, "combined stack size of %u calls is %u. Too large\n", frames, sum);
		return -EACCES;
	}
	if (sum < v->subprogs[s].deepest[frames])
		return 0;
	v->subprogs[s].deepest[frames] = sum + 1;
	if (sum > v->prog->stack_depth)
		v->prog->stack_depth = sum;
	for (uint32_t i = v->subprogs[s].start; i < v->subprogs[s + 1].start; i++) {
		int err, callee = -1;

		if (v->aux[i].call_pc != VM_PC_NONE) {
			callee = cfg_subprog_at(v, v->aux[i].call_pc);
		} else if (is_ld_imm64(&v->insns[i]) && v->insns[i].src_reg == BPF_PSEUDO_FUNC) {
			callee = cfg_subprog_at(v, v->aux[i].callback_pc);
			/* a timer's runs by itself */
			if (v->subprogs[callee].async && !v->subprogs[callee].is_callback)
				callee = -1;
		}
		if (is_ld_imm64(&v->insns[i]))
			i++;
		if (callee < 0)
			continue;
		err = stack_below(v, callee, frames + 1, sum);
		if (err)
			return err;
	}
	return 0;
}

bool cfg_changes_packet(struct verifier *v, uint32_t s)
{
	struct subprog *p = &v->subprogs[s];

	if (p->changes_packet)
		return p->changes_packet == 2;
	p->changes_packet = p->tail_call ? 2 : 1;
	for (uint32_t i = p->start; i < p[1].start && p->changes_packet == 1; i++)
		if (v->aux[i].call_pc != VM_PC_NONE
			    ? cfg_changes_packet(v, cfg_subprog_at(v, v->aux[i].call_pc))
			    : insn_form(v->insns[i].code) == INSN_CALL && !v->insns[i].src_reg &&
				      helper_changes_packet(v->insns[i].imm))
			p->changes_packet = 2;
	return p->changes_packet == 2;
}

int cfg_check_stack_depth(struct verifier *v)
{
	int err;

	v->prog->stack_depth = 0;
	for (uint32_t s = 0; s < v->subprog_cnt; s++)
		v->aux[v->subprogs[s].start].stack_depth = v->subprogs[s].stack;
	err = stack_below(v, 0, 1, 0);
	for (uint32_t s = 1; s < v->subprog_cnt && !err; s++)
		if (v->subprogs[s].async)
			err = stack_below(v, s, 1, 0);
	return err;
}
