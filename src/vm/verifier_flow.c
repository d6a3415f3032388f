/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Liveness and precision, as backward data flow.
 *
 * A path may be cut short when an earlier, fully walked state covers it in all
 * that matters. Two things do not matter: registers and slots that no path
 * from there reads, and the range of scalars that decided nothing (no branch
 * was predicted from it, no offset or size came from it).
 *
 * Which ones do is found while walking: each event (a slot is read, a range
 * decides) plants a seed at its instruction, and the seeds flow against the
 * control flow through what the instructions do to registers and slots. The
 * facts are per instruction, not per path: what matters on one path counts for
 * all, which errs on the side of walking more.
 *
 * Why that is enough: the question is asked about a state whose continuations
 * have all been walked, so every seed that they have is planted, and the flow
 * carries each back to that state along the very path that was walked. A
 * continuation that was itself cut short was covered by another fully walked
 * state, whose seeds are there too; cuts against states still being walked
 * (callbacks) taint their ancestors, which are then compared in full
 * (verifier_state.c).
 *
 * Slots are those of the instruction's own frame. What a callee reads of its
 * caller's slots is planted at the call instruction. When the range of what it
 * loads from there matters, so does the slot's before the call; when the range of a slot
 * matters at the call (before it: and so after it, too), so does that of what is stored there.
 */
#include "vm/verifier_int.h"

#include <stdlib.h>
#include <string.h>

static void enqueue(struct verifier *v, uint32_t insn)
{
	if (!v->queued[insn]) {
		v->queued[insn] = 1;
		v->queue[v->queue_len++] = insn;
	}
}

static void enqueue_preds(struct verifier *v, uint32_t insn)
{
	for (uint32_t k = v->pred_start[insn]; k < v->pred_start[insn + 1]; k++)
		enqueue(v, v->preds[k]);
}

/* The slot that a store overwrites wholly on every execution, as a mask. */
static uint64_t slots_killed(const struct bpf_insn *insn)
{
	const enum insn_form form = insn_form(insn->code);

	if ((form == INSN_STX || form == INSN_ST) && insn->dst_reg == VER_FP &&
	    INSN_SIZE(insn->code) == BPF_DW && insn->off < 0 && insn->off >= -VER_MAX_STACK &&
	    insn->off % VER_SLOT == 0)
		return 1ULL << (-insn->off / VER_SLOT - 1);
	return 0;
}

/* Does the range matter of what instruction i stores into other frames? */
static bool far_store_precise(const struct verifier *v, uint32_t i)
{
	const struct far_slots *far;

	for (uint32_t n = v->info[i].flow.far; n; n = far->next) {
		far = &v->far[n - 1];
		if (far->store && (v->info[far->call].flow.slots_precise & far->slots))
			return true;
	}
	return false;
}

/* The range matters of what instruction i loads: so do those of the slots of other frames. */
static void flow_to_far(struct verifier *v, uint32_t i)
{
	const struct far_slots *far;

	for (uint32_t n = v->info[i].flow.far; n; n = far->next) {
		struct flow *f;

		far = &v->far[n - 1];
		f = &v->info[far->call].flow;
		if (far->store || (f->slots_precise_seed & far->slots) == far->slots)
			continue;
		f->slots_precise_seed |= far->slots;
		enqueue(v, far->call);
	}
}

static bool static_call(const struct verifier *v, uint32_t i)
{
	return v->aux[i].call_pc != VM_PC_NONE &&
	       !v->subprogs[cfg_subprog_at(v, v->aux[i].call_pc)].global;
}

static uint16_t precise_before(struct verifier *v, uint32_t i, uint16_t after, uint64_t slots_after,
			       uint64_t *slots)
{
	const struct bpf_insn *insn = &v->insns[i];
	const struct flow *f = &v->info[i].flow;
	const uint16_t d = 1 << insn->dst_reg, s = 1 << insn->src_reg;
	const bool x = INSN_SRC(insn->code);
	uint16_t reads, writes, p = after;

	*slots = slots_after & ~slots_killed(insn);
	insn_regs_at(v, i, &reads, &writes);
	switch (insn_form(insn->code)) {
	case INSN_MOV:
		p &= ~d;
		if (x && (after & d))
			p |= s;
		break;
	case INSN_ALU:
		if (x && (after & d))
			p |= s;
		break;
	case INSN_LDX:
	case INSN_LDX_SX:
		p &= ~d;
		if (after & d) {
			*slots |= f->fills;
			flow_to_far(v, i);
		}
		break;
	case INSN_STX:
		if ((slots_after & f->spills) || far_store_precise(v, i))
			p |= s;
		break;
	case INSN_ATOMIC:
		p &= ~writes;
		if (after & writes) {
			*slots |= f->fills;
			flow_to_far(v, i);
		}
		if (insn_store_release(insn) &&
		    ((slots_after & f->spills) || far_store_precise(v, i)))
			p |= s;
		break;
	case INSN_JCOND:
		if (x && (after & (d | s)))
			p |= d | s;
		if ((after & f->linked) || (slots_after & f->linked_slots)) {
			p |= f->linked;
			*slots |= f->linked_slots;
		}
		break;
	case INSN_CALL:
		p &= ~writes;
		if (static_call(v, i))
			p |= v->info[v->aux[i].call_pc].flow.precise & 0x3e;
		if (v->info[i].called_back)
			p |= 0x3e;
		break;
	case INSN_NEG:
	case INSN_END:
	case INSN_EXIT:
	case INSN_JA:
	case INSN_MAY_GOTO:
		break;
	default:
		p &= ~writes;
		break;
	}
	return p;
}

/* R0 at the exits of a function that is called from `call`. */
static void flow_to_exits(struct verifier *v, uint32_t call)
{
	int s = cfg_subprog_at(v, v->aux[call].call_pc);

	if (!(v->info[call + 1].flow.precise & 1))
		return;
	for (uint32_t i = v->subprogs[s].start; i < v->subprogs[s + 1].start; i++)
		if (insn_form(v->insns[i].code) == INSN_EXIT &&
		    !(v->info[i].flow.precise_seed & 1)) {
			v->info[i].flow.precise_seed |= 1;
			enqueue(v, i);
		}
}

void flow_settle(struct verifier *v)
{
	while (v->queue_len) {
		uint32_t i = v->queue[--v->queue_len], succ[2];
		uint16_t after = 0, before;
		uint64_t slots_after = 0, live_after = 0, slots, live;
		struct flow *f = &v->info[i].flow;
		int k = cfg_successors(v, i, succ);

		v->queued[i] = 0;
		while (k--) {
			const struct flow *n = &v->info[succ[k]].flow;

			after |= n->precise;
			slots_after |= n->slots_precise;
			live_after |= n->slots_live;
		}
		before = precise_before(v, i, after, slots_after, &slots) | f->precise_seed;
		slots |= f->slots_precise_seed;
		live = (live_after & ~slots_killed(&v->insns[i])) | f->slots_live_seed;
		if (static_call(v, i))
			flow_to_exits(v, i);
		if ((f->precise | before) == f->precise &&
		    (f->slots_precise | slots) == f->slots_precise &&
		    (f->slots_live | live) == f->slots_live)
			continue;
		f->precise |= before;
		if (f->far_call && (f->slots_precise | slots) != f->slots_precise)
			for (uint32_t n = 0; n < v->far_cnt; n++)
				if (v->far[n].store && v->far[n].call == i)
					enqueue(v, v->far[n].insn);
		f->slots_precise |= slots;
		f->slots_live |= live;
		enqueue_preds(v, i);
		if (v->aux[i].subprog_start)
			for (uint32_t c = 0; c < v->cnt; c++)
				if (v->aux[c].call_pc == i)
					enqueue(v, c);
	}
}

static void live_registers(struct verifier *v)
{
	for (uint32_t i = 0; i < v->cnt; i++)
		enqueue(v, i);
	while (v->queue_len) {
		uint32_t i = v->queue[--v->queue_len], succ[2];
		uint16_t reads, writes, live = 0;
		int k = cfg_successors(v, i, succ);

		v->queued[i] = 0;
		while (k--)
			live |= v->info[succ[k]].flow.live;
		insn_regs_at(v, i, &reads, &writes);
		live = (live & ~writes) | reads | 1 << VER_FP;
		/* a callback returns to its call, which is then made again */
		if (live != v->info[i].flow.live) {
			v->info[i].flow.live = live;
			enqueue_preds(v, i);
		}
	}
}

int flow_init(struct verifier *v)
{
	uint32_t succ[2], total = 0;

	v->pred_start = calloc(v->cnt + 2, sizeof(uint32_t));
	v->queue = malloc(v->cnt * sizeof(uint32_t));
	v->queued = calloc(1, v->cnt);
	if (!v->pred_start || !v->queue || !v->queued)
		return -ENOMEM;
	for (uint32_t i = 0; i < v->cnt; i++) {
		int k = insn_form(v->insns[i].code) == INSN_NONE ? 0 : cfg_successors(v, i, succ);

		while (k--) {
			v->pred_start[succ[k] + 2]++;
			total++;
		}
		if (insn_form(v->insns[i].code) == INSN_LD_IMM64)
			i++;
	}
	v->preds = malloc((total + 1) * sizeof(uint32_t));
	if (!v->preds)
		return -ENOMEM;
	for (uint32_t i = 2; i < v->cnt + 2; i++)
		v->pred_start[i] += v->pred_start[i - 1];
	for (uint32_t i = 0; i < v->cnt; i++) {
		int k = cfg_successors(v, i, succ);

		while (k--)
			v->preds[v->pred_start[succ[k] + 1]++] = i;
		if (insn_form(v->insns[i].code) == INSN_LD_IMM64)
			i++;
	}
	live_registers(v);
	return 0;
}

void flow_free(struct verifier *v)
{
	free(v->pred_start);
	free(v->preds);
	free(v->queue);
	free(v->queued);
	free(v->far);
}

/* Where the facts about `frame` of the current state are kept: at the current
 * instruction for the innermost frame, else at the call that left it. */
static uint32_t site_of(const struct verifier *v, uint32_t frame)
{
	return frame == v->cur->cur ? v->insn : v->cur->frames[frame + 1]->callsite;
}

void flow_read_slots(struct verifier *v, uint32_t frame, uint64_t slots)
{
	uint32_t at = site_of(v, frame);

	if ((v->info[at].flow.slots_live_seed & slots) != slots) {
		v->info[at].flow.slots_live_seed |= slots;
		enqueue(v, at);
	}
}

void flow_need_slots(struct verifier *v, uint32_t frame, uint64_t slots)
{
	uint32_t at = site_of(v, frame);

	if ((v->info[at].flow.slots_precise_seed & slots) != slots) {
		v->info[at].flow.slots_precise_seed |= slots;
		enqueue(v, at);
	}
}

void flow_need_reg(struct verifier *v, uint32_t frame, int regno)
{
	uint32_t at = site_of(v, frame);

	if (!(v->info[at].flow.precise_seed & 1 << regno)) {
		v->info[at].flow.precise_seed |= 1 << regno;
		enqueue(v, at);
	}
}

static int add_far(struct verifier *v, uint32_t call, uint64_t slots, bool store)
{
	struct flow *f = &v->info[v->insn].flow;
	struct far_slots *far;

	for (uint32_t n = f->far; n; n = far->next) {
		far = &v->far[n - 1];
		if (far->call != call || far->store != store)
			continue;
		if ((far->slots & slots) != slots) {
			far->slots |= slots;
			enqueue(v, v->insn);
		}
		return 0;
	}
	if (v->far_cnt == v->far_room) {
		uint32_t room = v->far_room ? 2 * v->far_room : 16;

		far = realloc(v->far, room * sizeof(*far));
		if (!far)
			return -ENOMEM;
		v->far = far;
		v->far_room = room;
	}
	v->far[v->far_cnt] = (struct far_slots){
		.insn = v->insn, .call = call, .store = store, .slots = slots, .next = f->far};
	f->far = ++v->far_cnt;
	v->info[call].flow.far_call = true;
	enqueue(v, v->insn);
	return 0;
}

int flow_add_fill(struct verifier *v, uint32_t frame, uint64_t slots)
{
	if (frame != v->cur->cur)
		return add_far(v, site_of(v, frame), slots, false);
	if ((v->info[v->insn].flow.fills & slots) != slots) {
		v->info[v->insn].flow.fills |= slots;
		enqueue(v, v->insn);
	}
	return 0;
}

int flow_add_spill(struct verifier *v, uint32_t frame, uint64_t slots)
{
	if (frame != v->cur->cur)
		return add_far(v, site_of(v, frame), slots, true);
	if ((v->info[v->insn].flow.spills & slots) != slots) {
		v->info[v->insn].flow.spills |= slots;
		enqueue(v, v->insn);
	}
	return 0;
}

void flow_add_linked(struct verifier *v, uint16_t regs, uint64_t slots)
{
	struct flow *f = &v->info[v->insn].flow;

	if ((f->linked & regs) != regs || (f->linked_slots & slots) != slots) {
		f->linked |= regs;
		f->linked_slots |= slots;
		enqueue(v, v->insn);
	}
}

uint16_t flow_live_regs(const struct verifier *v, const struct state *s, uint32_t frame,
			uint32_t insn)
{
	uint32_t call;

	if (frame == s->cur)
		return v->info[insn].flow.live;
	call = s->frames[frame + 1]->callsite;
	/* a callback's caller stands before the call, with its arguments */
	if (s->frames[frame + 1]->callback)
		return v->info[call].flow.live;
	return v->info[call + 1].flow.live & (0x3c0 | 1 << VER_FP);
}

uint64_t flow_live_slots(const struct verifier *v, const struct state *s, uint32_t frame,
			 uint32_t insn)
{
	return v->info[frame == s->cur ? insn : s->frames[frame + 1]->callsite].flow.slots_live;
}

uint16_t flow_precise_regs(const struct verifier *v, const struct state *s, uint32_t frame,
			   uint32_t insn)
{
	return v->info[frame == s->cur ? insn : s->frames[frame + 1]->callsite].flow.precise;
}

uint64_t flow_precise_slots(const struct verifier *v, const struct state *s, uint32_t frame,
			    uint32_t insn)
{
	return v->info[frame == s->cur ? insn : s->frames[frame + 1]->callsite].flow.slots_precise;
}
