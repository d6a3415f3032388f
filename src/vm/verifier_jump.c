/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Jumps of their own kind: may_goto, which is taken when the run's budget of them is used
 * up, and tail calls out of functions.
 */
#include "vm/verifier_int.h"

/* Rounds of a may_goto after which no value is followed exactly. */
#define MAY_GOTO_ROUNDS 64

int check_may_goto(struct verifier *v, const struct bpf_insn *insn, uint32_t *next)
{
	const uint32_t here = v->insn;
	const struct state *before;
	struct state *round;
	uint32_t rounds;

	before = call_last_entry(v, here, &rounds);
	/* the checkpoint that was just made is this round's own */
	if (before && v->cur->parent == before) {
		const struct state *s = before->parent;

		while (s && !(s->insn == here && s->cur == v->cur->cur))
			s = s->parent;
		before = s;
	}
	round = push_path(v, here + 1, here);
	if (!round)
		return v->path_cnt > VER_MAX_PATHS ? -E2BIG : -ENOMEM;
	round->may_gotos++;
	if (before)
		state_widen(v, before, round, here, rounds > MAY_GOTO_ROUNDS);
	*next = here + 1 + insn->off;
	return 0;
}

void clear_packet_pointers(struct state *s)
{
	struct reg *r;

	for_each_reg(s, r) if (reg_is_pkt(r) || r->kind == REG_PKT_END || r->pkt_slice)
		reg_mark_unknown(r);
}

/*
 * The program that a tail call leads to runs in the function's place: its result is the
 * function's, and it may have done anything to the packet. When there is none the function
 * goes on. LD_ABS behind the packet's end returns 0.
 */
int leave_function(struct verifier *v, bool tail_call, uint32_t *next)
{
	bool done;
	int err;

	if (!v->cur->cur)
		return 0;
	if (tail_call && state_frame(v->cur)->callback) {
		/* (the kernel reports a fault of its own) */
		verbose(v, "tail_calls are not allowed in callbacks\n");
		return -EINVAL;
	}
	if (!push_path(v, v->insn + 1, v->insn))
		return v->path_cnt > VER_MAX_PATHS ? -E2BIG : -ENOMEM;
	if (tail_call) {
		reg_mark_unknown(&cur_regs(v)[0]);
		clear_packet_pointers(v->cur);
	} else {
		reg_mark_const(&cur_regs(v)[0], 0);
	}
	err = check_exit(v, next, &done);
	v->print_regs = 1;
	return err;
}
