/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * vm_verify(): proves by walking every path that a program touches only memory
 * that it may touch, ends, and gives back what it took.
 *
 * One path is walked at a time. A branch that may go both ways pushes a copy
 * of the state for the other way; when a path ends, the youngest waiting one is
 * taken. A path ends at the program's exit, or where an earlier, finished walk
 * covers it (verifier_state.c). More than VER_MAX_INSNS steps are refused.
 */
#include "vm/verifier_int.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

struct reg *cur_regs(struct verifier *v)
{
	return state_frame(v->cur)->regs;
}

struct state *push_path(struct verifier *v, uint32_t insn, uint32_t prev_insn)
{
	struct pending *p;

	if (v->path_cnt >= VER_MAX_PATHS) {
		v->path_cnt++;
		verbose(v, "The sequence of %u jumps is too complex.\n", VER_MAX_PATHS + 1);
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->state = state_copy(v->cur);
	if (!p->state) {
		free(p);
		return NULL;
	}
	p->insn = insn;
	p->prev_insn = prev_insn;
	p->log_len = v->log->len;
	p->next = v->paths;
	v->paths = p;
	v->path_cnt++;
	if (p->state->parent)
		p->state->parent->branches++;
	return p->state;
}

/* Takes up the youngest waiting path; false: there is none. */
static bool pop_path(struct verifier *v)
{
	struct pending *p = v->paths;

	state_finished(v, v->cur);
	state_free(v->cur);
	v->cur = NULL;
	if (!p)
		return false;
	/* level 1 shows only the path that failed */
	if (!(v->log->level & 2) && p->log_len < v->log->len)
		v->log->len = p->log_len;
	v->paths = p->next;
	v->path_cnt--;
	v->cur = p->state;
	v->insn = p->insn;
	v->prev_insn = p->prev_insn;
	v->print_all = true;
	free(p);
	return true;
}

static bool printing(const struct verifier *v)
{
	return v->log->level & 3;
}

/* After the last instruction's text, on its line: what changed. */
static void print_changes(struct verifier *v)
{
	uint32_t width;

	if (!(v->print_regs || v->print_slots) || !printing(v))
		return;
	if (v->print_to == v->log->len && v->log->len > v->print_from) {
		v->log->len--; /* the newline */
		width = v->log->len - v->print_from;
		width = round_up_u64(MAX_OF(width + 5, 40), 8) - width - 2;
		verbose(v, "%*c;", (int)width, ' ');
	} else {
		verbose(v, "%u:", v->insn);
	}
	print_state(v, v->cur, v->cur->cur, v->print_regs, v->print_slots, false);
	verbose(v, "\n");
	v->print_regs = 0;
	v->print_slots = 0;
}

static void print_insn(struct verifier *v)
{
	const struct bpf_insn *insn = &v->insns[v->insn];
	char text[128];
	uint16_t reads, writes;

	if (!printing(v))
		return;
	if ((v->print_all || v->print_from_to) && (v->log->level & 2) &&
	    v->prev_insn != VM_PC_NONE) {
		verbose(v, "\nfrom %u to %u:", v->prev_insn, v->insn);
		print_state(v, v->cur, v->cur->cur, 0, 0, true);
		verbose(v, "\n");
	}
	v->print_from_to = false;
	if (v->print_all) {
		v->print_all = false;
		v->print_regs = UINT16_MAX;
		v->print_slots = UINT64_MAX;
	}
	print_changes(v);
	btf_print_line(v, v->insn);
	v->print_from = v->log->len;
	insn_print(insn, text, sizeof(text));
	verbose(v, "%u: %s\n", v->insn, text);
	v->print_to = v->log->len;
	insn_regs(insn, &reads, &writes);
	if (insn_form(insn->code) == INSN_CALL)
		reads = 0, writes = insn->src_reg ? 0 : 1;
	if (insn_form(insn->code) == INSN_EXIT)
		reads = 0;
	v->print_regs = reads | writes;
	v->print_slots = 0;
}

static int check_ld_imm64(struct verifier *v, const struct bpf_insn *insn)
{
	struct reg *dst = &cur_regs(v)[insn->dst_reg];
	const struct subprog *s;
	int err = check_reg_write(v, insn->dst_reg);

	if (err)
		return err;
	v->aux[v->insn + 1].seen = true;
	switch (insn->src_reg) {
	case 0:
		reg_mark_const(dst, (uint64_t)(uint32_t)insn[1].imm << 32 | (uint32_t)insn->imm);
		return 0;
	case BPF_PSEUDO_FUNC:
		reg_mark_pointer(dst, REG_FUNC);
		dst->subprog = cfg_subprog_at(v, v->aux[v->insn].callback_pc);
		s = &v->subprogs[dst->subprog];
		if (!s->type_id) {
			verbose(v, "missing btf func_info\n");
			return -EINVAL;
		}
		if (s->global) {
			verbose(v, "callback function not static\n");
			return -EINVAL;
		}
		return 0;
	}
	if (insn->src_reg == BPF_PSEUDO_MAP_FD) {
		reg_mark_pointer(dst, REG_MAP_PTR);
	} else {
		reg_mark_pointer(dst, REG_MAP_VALUE);
		dst->off = insn[1].imm; /* (the only value: no id needed to tell it apart) */
	}
	dst->map = insn->imm;
	return 0;
}

/* Bytes of the packet through the old cBPF way: R6 is the context; a miss ends
 * the program. */
static int check_ld_abs(struct verifier *v, const struct bpf_insn *insn, uint32_t *next)
{
	int err;

	if (!(v->group & (HPROG_SOCKET_FILTER | HPROG_TC))) {
		verbose(v, "BPF_LD_[ABS|IND] instructions not allowed for this program type\n");
		return -EINVAL;
	}
	err = check_reg_read(v, 6);
	if (!err && INSN_MODE(insn->code) == BPF_IND)
		err = check_reg_read(v, insn->src_reg);
	if (err)
		return err;
	err = check_no_leak(v, "BPF_LD_[ABS|IND]");
	if (err)
		return err;
	if (cur_regs(v)[6].kind != REG_CTX) {
		verbose(v, "at the time of BPF_LD_ABS|IND R6 != pointer to skb\n");
		return -EINVAL;
	}
	if (cur_regs(v)[6].off || !tnum_is_const(cur_regs(v)[6].var_off) ||
	    cur_regs(v)[6].var_off.value) {
		verbose(v, "dereference of modified ctx ptr R6 off=%d disallowed\n",
			cur_regs(v)[6].off);
		return -EACCES;
	}
	clobber_caller_saved(v);
	/* a miss in a function ends that */
	reg_mark_unknown(&cur_regs(v)[0]);
	return leave_function(v, false, next);
}

/* One instruction; *next is where the path goes on, unless *done. */
static int check_insn(struct verifier *v, uint32_t *next, bool *done)
{
	const struct bpf_insn *insn = &v->insns[v->insn];

	if (!v->aux[v->insn].seen) { /* nobody cares about what is never come to */
		char buf[64];
		const char *fault = insn_fault(insn, buf, sizeof(buf));

		if (fault) {
			verbose(v, "%s\n", fault);
			return -EINVAL;
		}
		v->aux[v->insn].seen = true;
	}
	*done = false;
	*next = v->insn + 1;
	switch (insn_form(insn->code)) {
	case INSN_ALU:
	case INSN_MOV:
	case INSN_NEG:
	case INSN_END:
		return check_alu(v, insn);
	case INSN_LD_IMM64:
		*next = v->insn + 2;
		return check_ld_imm64(v, insn);
	case INSN_LD_ABS:
		return check_ld_abs(v, insn, next);
	case INSN_LDX:
	case INSN_LDX_SX:
		return check_load(v, insn);
	case INSN_ST:
	case INSN_STX:
		return check_store(v, insn);
	case INSN_ATOMIC:
		return check_atomic(v, insn);
	case INSN_JA:
		v->jumps_walked++;
		*next = v->insn + 1 + insn_jump_offset(insn);
		return 0;
	case INSN_JCOND:
		v->jumps_walked++;
		return check_cond_jmp(v, insn, next);
	case INSN_MAY_GOTO:
		v->jumps_walked++;
		return check_may_goto(v, insn, next);
	case INSN_CALL:
		v->jumps_walked++;
		if (insn->src_reg == BPF_PSEUDO_CALL)
			return check_call(v, insn, next);
		if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL)
			return check_kfunc(v, insn);
		return check_helper(v, insn, next);
	case INSN_EXIT:
		v->jumps_walked++;
		return check_exit(v, next, done);
	case INSN_NONE:
		break;
	}
	return -EINVAL;
}

/* Walks all paths from v->cur at v->insn. */
static int walk(struct verifier *v)
{
	const uint32_t max =
		ver_watch && ver_watch->max_walked ? ver_watch->max_walked : VER_MAX_INSNS;

	v->prev_insn = VM_PC_NONE;
	v->print_all = true;
	for (;;) {
		uint32_t next;
		bool done;
		int err;

		if (++v->walked > max) {
			verbose(v, "BPF program is too large. Processed %u insn\n", v->walked);
			return -E2BIG;
		}
		if (v->info[v->insn].prune) {
			err = state_visited(v, v->insn);
			if (err < 0)
				return err;
			if (err) {
				if (v->log->level & 2) {
					if ((v->print_all || v->print_from_to) &&
					    v->prev_insn != VM_PC_NONE)
						verbose(v, "\nfrom %u to %u: safe\n", v->prev_insn,
							v->insn);
					else
						verbose(v, "%u: safe\n", v->insn);
				}
				v->print_regs = v->print_slots = 0;
				v->print_from_to = false;
				if (!pop_path(v))
					return 0;
				continue;
			}
		}
		if (ver_watch)
			ver_watch->step(v);
		print_insn(v);
		err = check_insn(v, &next, &done);
		if (err)
			return err;
		if (done) {
			v->print_regs = v->print_slots = 0;
			if (!pop_path(v))
				return 0;
			continue;
		}
		v->prev_insn = v->insn;
		v->insn = next;
	}
}

/* async: the function is a timer's callback. */
static int walk_from(struct verifier *v, uint32_t subprog, const struct async_callback *async)
{
	const uint32_t mark = v->log->len;
	struct frame *f;
	int err;

	v->cur = state_new();
	if (!v->cur)
		return -ENOMEM;
	f = v->cur->frames[0] = frame_new(subprog, 0, 0);
	if (!f)
		return -ENOMEM;
	v->in_async = async;
	if (async) {
		async_args(v, async, f);
	} else if (subprog) {
		if (v->log->level & 3)
			verbose(v, "Validating %s() func#%u...\n", v->subprogs[subprog].name,
				subprog);
		err = btf_global_args(v, subprog, f);
		if (err)
			return err;
	} else {
		reg_mark_pointer(&f->regs[1], REG_CTX);
	}
	v->insn = v->subprogs[subprog].start;
	v->prev_walked = v->walked;
	v->prev_jumps = v->jumps_walked;
	v->last_line = 0;
	if (ver_watch)
		ver_watch->root(v, subprog);
	err = walk(v);
	if (!err && !(v->log->level & 2))
		v->log->len = mark;
	return err;
}

static int walk_all(struct verifier *v)
{
	int err = walk_from(v, 0, NULL);
	uint32_t async = 0;
	bool again = true;

	/* global functions may call further ones */
	while (again && !err) {
		again = false;
		for (uint32_t s = 1; s < v->subprog_cnt && !err; s++) {
			if (!v->subprogs[s].called || v->subprogs[s].verified)
				continue;
			v->subprogs[s].verified = true;
			again = true;
			err = walk_from(v, s, NULL);
			if (!err && (v->log->level & 3))
				verbose(v,
					"Func#%u ('%s') is safe for any args that match its "
					"prototype\n",
					s, v->subprogs[s].name);
		}
		for (; async < v->async_cnt && !err; async++, again = true)
			err = walk_from(v, v->async[async].subprog, &v->async[async]);
	}
	return err;
}

static int prepare(struct verifier *v)
{
	int err;

	v->group = helper_prog_group(v->prog);
	if (!v->group) {
		verbose(v, "program type %u with attach type %u is not supported\n", v->prog->type,
			v->prog->expected_attach_type);
		return -EINVAL;
	}
	err = cfg_find_subprogs(v);
	if (!err)
		err = kfunc_resolve(v);
	if (!err)
		err = cfg_check_jumps(v);
	if (!err)
		err = btf_check_info(v);
	if (!err)
		err = btf_check_attach(v);
	if (!err)
		err = cfg_check_insns(v);
	if (!err)
		err = cfg_check_reach(v);
	if (!err)
		err = flow_init(v);
	if (!err && v->log->level & 2)
		live_print(v);
	return err;
}

static void print_stats(struct verifier *v, uint64_t ns)
{
	if (v->log->level & 4) {
		verbose(v, "verification time %llu usec\n", (unsigned long long)(ns / 1000));
		verbose(v, "stack depth ");
		for (uint32_t s = 0; s < v->subprog_cnt; s++)
			verbose(v, s ? "+%u" : "%u", v->subprogs[s].stack);
		verbose(v, "\n");
	}
	verbose(v,
		"processed %u insns (limit %d) max_states_per_insn %u total_states %u peak_states "
		"%u mark_read %u\n",
		v->walked, VER_MAX_INSNS, v->max_states, v->total_states, v->peak_states, 0);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int vm_verify(struct vm_prog *p, struct vm_log *log)
{
	struct vm_log silent = {0};
	struct verifier *v;
	const uint64_t begin = now_ns();
	int err = -ENOMEM;

	if (!p->insn_cnt || p->insn_cnt > VER_MAX_INSNS)
		return -E2BIG;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->prog = p;
	v->log = log ? log : &silent;
	v->insns = p->insns;
	v->cnt = p->insn_cnt;
	v->aux = calloc(v->cnt, sizeof(*v->aux));
	v->info = calloc(v->cnt, sizeof(*v->info));
	if (!v->aux || !v->info)
		goto out;
	for (uint32_t i = 0; i < v->cnt; i++)
		v->aux[i].map_index = v->aux[i].inner_of = v->aux[i].callback_pc =
			v->aux[i].call_pc = VM_PC_NONE;
	err = prepare(v);
	if (!err)
		err = walk_all(v);
	if (!err)
		err = cfg_check_stack_depth(v);
	if (!err && !p->as_loaded)
		err = fixup(v);
	print_stats(v, now_ns() - begin);
	if (!err) {
		v->aux[0].max_ctx_off = v->max_ctx_off;
		v->aux[0].zero_stack = v->zero_stack;
		p->verified_insns = v->walked;
		free(p->aux);
		p->aux = v->aux;
		v->aux = NULL;
	}
out:
	state_free_all(v);
	flow_free(v);
	free(v->aux);
	free(v->info);
	free(v);
	return err;
}
