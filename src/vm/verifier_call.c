/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls and returns. A static function is walked inside its caller, with the
 * caller's frames; a global one is checked once by itself, for all arguments
 * that its BTF type admits. A callback is walked as if its helper were a loop
 * around it: its return goes back to the call, which is then made again.
 */
#include "base/uapi.h"
#include "vm/verifier_int.h"

#include <stdlib.h>

/* Rounds after which a callback's effects are no longer followed exactly. */
#define CALLBACK_ROUNDS 1000
#define ROUNDS_COUNTED 1024

void clobber_caller_saved(struct verifier *v)
{
	for (int i = 0; i <= 5; i++)
		reg_mark_not_init(&cur_regs(v)[i]);
}

int check_no_leak(struct verifier *v, const char *what)
{
	if (v->cur->locked) {
		verbose(v, "%s cannot be used inside bpf_spin_lock-ed region\n", what);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < v->cur->ref_cnt; i++)
		verbose(v, "Unreleased reference id=%u alloc_insn=%u\n", v->cur->refs[i].id,
			v->cur->refs[i].insn);
	if (v->cur->ref_cnt) {
		verbose(v, "%s would lead to reference leak\n", what);
		return -EINVAL;
	}
	if (v->cur->rcu_locks || v->cur->preempt_locks) {
		verbose(v, "%s cannot be used inside %s-ed region\n", what,
			v->cur->rcu_locks ? "bpf_rcu_read_lock" : "bpf_preempt_disable");
		return -EINVAL;
	}
	return 0;
}

static int enter(struct verifier *v, struct state *s, uint32_t subprog, uint32_t callsite,
		 struct frame **out)
{
	if (s->cur + 1 >= VER_MAX_FRAMES) {
		verbose(v, "the call stack of %u frames is too deep\n", s->cur + 2);
		return -E2BIG;
	}
	*out = frame_new(subprog, callsite, s->cur + 1);
	if (!*out)
		return -ENOMEM;
	(*out)->ref_base = s->ref_cnt;
	s->frames[++s->cur] = *out;
	return 0;
}

int check_call(struct verifier *v, const struct bpf_insn *insn, uint32_t *next)
{
	const uint32_t pc = v->aux[v->insn].call_pc;
	const int s = cfg_subprog_at(v, pc);
	struct frame *f;
	int err;

	if (v->subprogs[s].global) {
		if (v->cur->locked) {
			verbose(v, "global function calls are not allowed while holding a lock,\n"
				   "use static function instead\n");
			return -EINVAL;
		}
		err = btf_check_global_call(v, s);
		if (err) {
			verbose(v, "Caller passes invalid args into func#%d ('%s')\n", s,
				v->subprogs[s].name);
			return err == -EACCES ? -EINVAL : err;
		}
		if (v->log->level & 3)
			verbose(v, "Func#%d ('%s') is global and assumed valid.\n", s,
				v->subprogs[s].name);
		v->subprogs[s].called = true;
		if (cfg_changes_packet(v, s))
			clear_packet_pointers(v->cur);
		clobber_caller_saved(v);
		reg_mark_unknown(&cur_regs(v)[0]);
		v->print_regs = 1;
		*next = v->insn + 1;
		return 0;
	}
	err = enter(v, v->cur, s, v->insn, &f);
	if (err)
		return err;
	for (int i = 1; i <= 5; i++)
		f->regs[i] = v->cur->frames[v->cur->cur - 1]->regs[i];
	for (int i = 0; i <= 5; i++)
		reg_mark_not_init(&v->cur->frames[v->cur->cur - 1]->regs[i]);
	if (v->log->level & 3) {
		verbose(v, "caller:\n");
		print_state(v, v->cur, v->cur->cur - 1, 0, 0, true);
		verbose(v, "\ncallee:\n");
		print_state(v, v->cur, v->cur->cur, 0, 0, true);
		verbose(v, "\n");
	}
	v->print_regs = UINT16_MAX;
	v->print_slots = UINT64_MAX;
	*next = pc;
	return 0;
}

int call_callback(struct verifier *v, const struct helper_proto *p, uint32_t subprog)
{
	const struct reg *caller;
	struct state *s;
	struct frame *f;
	uint32_t map;
	int err;

	/* the executor is told which one it is only when it is always the same */
	if (!v->info[v->insn].called_back)
		v->aux[v->insn].callback_pc = v->subprogs[subprog].start;
	else if (v->aux[v->insn].callback_pc != v->subprogs[subprog].start)
		v->aux[v->insn].callback_pc = VM_PC_NONE;
	v->info[v->insn].called_back = true;
	v->subprogs[subprog].is_callback = true;
	if (p->id == BPF_FUNC_loop) {
		flow_need_reg(v, v->cur->cur, 1);
		if (state_frame(v->cur)->callback_depth >= cur_regs(v)[1].umax) {
			if (v->log->level & 2)
				verbose(v, "frame%u bpf_loop iteration limit reached\n",
					v->cur->cur);
			state_frame(v->cur)->callback_depth = 0;
			return 0;
		}
	}
	s = push_path(v, v->subprogs[subprog].start, v->insn);
	if (!s)
		return v->path_cnt > VER_MAX_PATHS ? -E2BIG : -ENOMEM;
	s->rounds++;
	state_frame(s)->callback_depth++;
	state_frame(v->cur)->callback_depth = 0;
	v->print_regs = UINT16_MAX;
	v->print_slots = UINT64_MAX;
	caller = state_frame(s)->regs;
	err = enter(v, s, subprog, v->insn, &f);
	if (err)
		return err;
	if (p->id == BPF_FUNC_loop) {
		f->callback = CALLBACK_LOOP;
		reg_mark_unknown(&f->regs[1]);
		f->regs[2] = caller[3];
		return 0;
	}
	if (p->id == BPF_FUNC_user_ringbuf_drain) {
		f->callback = CALLBACK_DRAIN;
		reg_mark_pointer(&f->regs[1], REG_DYNPTR);
		f->regs[1].sub = DYNPTR_LOCAL;
		f->regs[1].id = ++v->id_gen;
		f->regs[2] = caller[3];
		return 0;
	}
	f->callback = CALLBACK_FOR_EACH;
	map = caller[1].map;
	reg_mark_pointer(&f->regs[1], REG_MAP_PTR);
	reg_mark_pointer(&f->regs[2], REG_MAP_KEY);
	reg_mark_pointer(&f->regs[3], REG_MAP_VALUE);
	f->regs[1].map = f->regs[2].map = f->regs[3].map = map;
	if (ver_map(v, map)->attr.spin_lock_off >= 0)
		f->regs[3].id = ++v->id_gen;
	f->regs[4] = caller[3];
	return 0;
}

static int bad_result(struct verifier *v, const char *at, const struct reg *r, int min, int max)
{
	bool known = false;

	verbose(v, "%s the register R0 has", at);
	if (r->smin > INT64_MIN)
		verbose(v, " smin=%lld", (long long)r->smin), known = true;
	if (r->smax < INT64_MAX)
		verbose(v, " smax=%lld", (long long)r->smax), known = true;
	verbose(v, "%s should have been in [%d, %d]\n", known ? "" : " unknown scalar value", min,
		max);
	return -EINVAL;
}

static int check_callback_result(struct verifier *v, const struct frame *f)
{
	const struct reg *r0 = &f->regs[0];

	if (r0->kind == REG_NOT_INIT)
		return check_reg_read(v, 0);
	if (r0->kind != REG_SCALAR) {
		verbose(v, "R0 not a scalar value\n");
		return -EACCES;
	}
	flow_need_reg(v, v->cur->cur, 0);
	if (r0->smin < 0 || r0->smax > 1)
		return bad_result(v, "At callback return", r0, 0, 1);
	if (v->cur->ref_cnt != f->ref_base) {
		verbose(v, "Unreleased reference in callback\n");
		return -EINVAL;
	}
	return 0;
}

const struct state *call_last_entry(const struct verifier *v, uint32_t insn, uint32_t *rounds)
{
	const struct state *before = NULL;

	*rounds = 0;
	for (const struct state *s = v->cur->parent; s; s = s->parent)
		if (s->insn == insn && s->cur == v->cur->cur) {
			before = before ? before : s;
			if (++*rounds > ROUNDS_COUNTED) /* more than anybody asks for */
				break;
		}
	return before;
}

static int return_to_caller(struct verifier *v, uint32_t *next)
{
	struct frame *f = state_frame(v->cur);
	struct reg *r0 = &f->regs[0];
	int err;

	if (r0->kind == REG_STACK) {
		verbose(v, "cannot return stack pointer to the caller\n");
		return -EINVAL;
	}
	if (f->callback) {
		err = check_callback_result(v, f);
		if (err)
			return err;
		*next = f->callsite;
	} else {
		v->cur->frames[v->cur->cur - 1]->regs[0] = *r0;
		*next = f->callsite + 1;
	}
	if (v->log->level & 3) {
		verbose(v, "returning from callee:\n");
		print_state(v, v->cur, v->cur->cur, 0, 0, true);
		verbose(v, "\n");
	}
	v->cur->frames[v->cur->cur--] = NULL;
	slices_leave_frame(v, v->cur->cur + 1);
	if (f->callback) {
		const struct state *before;
		uint32_t rounds;

		state_frame(v->cur)->called_back = true;

		/* the state in which this call was last made */
		before = call_last_entry(v, *next, &rounds);
		if (before)
			state_widen(v, before, v->cur, *next, rounds > CALLBACK_ROUNDS);
	}
	if (v->log->level & 3) {
		verbose(v, "to caller at %u:\n", *next);
		print_state(v, v->cur, v->cur->cur, 0, 0, true);
		verbose(v, "\n");
	}
	free(f->slots);
	free(f);
	v->print_regs = 0;
	v->print_slots = 0;
	v->print_from_to = true;
	return 0;
}

/* What a program may return: false: anything. */
static bool result_range(const struct verifier *v, int *min, int *max)
{
	*min = *max = 0;
	switch (v->group) {
	case HPROG_FENTRY:
	case HPROG_FEXIT:
		return true;
	case HPROG_SOCK_ADDR:
		*max = 1;
		switch (v->prog->expected_attach_type) {
		case BPF_CGROUP_UDP4_RECVMSG:
		case BPF_CGROUP_UDP6_RECVMSG:
		case BPF_CGROUP_INET4_GETPEERNAME:
		case BPF_CGROUP_INET6_GETPEERNAME:
		case BPF_CGROUP_INET4_GETSOCKNAME:
		case BPF_CGROUP_INET6_GETSOCKNAME:
		case SHMAP_CGROUP_UNIX_RECVMSG:
		case SHMAP_CGROUP_UNIX_GETPEERNAME:
		case SHMAP_CGROUP_UNIX_GETSOCKNAME:
			*min = 1;
			break;
		case BPF_CGROUP_INET4_BIND:
		case BPF_CGROUP_INET6_BIND:
			*max = 3;
			break;
		}
		return true;
	case HPROG_CGROUP_SKB:
		*max = v->prog->expected_attach_type == BPF_CGROUP_INET_EGRESS ? 3 : 1;
		return true;
	case HPROG_CGROUP_SOCK:
	case HPROG_SOCK_OPS:
	case HPROG_CGROUP_DEVICE:
	case HPROG_CGROUP_SYSCTL:
	case HPROG_CGROUP_SOCKOPT:
	case HPROG_SK_LOOKUP:
		*max = 1;
		return true;
	}
	return false;
}

static int check_result(struct verifier *v)
{
	const struct reg *r0 = &cur_regs(v)[0];
	int min, max;

	if (v->in_async) {
		if (r0->kind != REG_SCALAR) {
			verbose(v,
				"At async callback return the register R0 is not a known value "
				"(%s)\n",
				reg_kind_name(r0));
			return -EINVAL;
		}
		flow_need_reg(v, v->cur->cur, 0);
		return r0->smin || r0->smax ? bad_result(v, "At async callback return", r0, 0, 0)
					    : 0;
	}
	if (state_frame(v->cur)->subprog) {
		if (r0->kind == REG_SCALAR)
			return 0;
		verbose(v, "At subprogram exit the register R0 is not a scalar value (%s)\n",
			reg_kind_name(r0));
		return -EINVAL;
	}
	if (!result_range(v, &min, &max))
		return 0;
	if (r0->kind != REG_SCALAR) {
		verbose(v, "At program exit the register R0 is not a known value (%s)\n",
			reg_kind_name(r0));
		return -EINVAL;
	}
	flow_need_reg(v, v->cur->cur, 0);
	if (r0->smin < min || r0->smax > max)
		return bad_result(v, "At program exit", r0, min, max);
	return 0;
}

int check_exit(struct verifier *v, uint32_t *next, bool *done)
{
	int err;

	*done = false;
	if (v->cur->cur)
		return return_to_caller(v, next);
	*done = true;
	err = check_no_leak(v, "BPF_EXIT instruction in main prog");
	if (!err)
		err = check_reg_read(v, 0);
	return err ? err : check_result(v);
}
