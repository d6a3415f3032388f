/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of kernel functions, checked against the table in kfunc_proto.c. */
#include "vm/verifier_int.h"
#include "vm/kfunc_proto.h"
#include "vm/verifier.h"

#include <bpf/btf.h>

#include "btf/btf.h"

/* What the arguments of one call told so far. */
struct kcall {
	const struct kfunc_proto *proto;
	struct dynptr_use dynptr; /* the last one that was one before */
	int dynptr_place;	  /* the register that says where a new one goes, or 0 */
	int iter;		  /* the register of the iterator, or 0 */
	uint32_t iter_ref;
	uint64_t constant;
	struct reg buffer; /* where a slice of a packet that is in pieces is copied to */
	uint32_t wq_map;
};

static bool is_kfunc_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) && insn->src_reg == BPF_PSEUDO_KFUNC_CALL;
}

int kfunc_resolve(struct verifier *v)
{
	for (uint32_t i = 0; i < v->cnt; i++) {
		const struct bpf_insn *insn = &v->insns[i];
		const char *name;
		int at;

		if (insn->code == (BPF_LD | BPF_IMM | BPF_DW))
			i++;
		if (!is_kfunc_call(insn))
			continue;
		if (!v->prog->gpl_compatible) {
			verbose(v, "cannot call kernel function from non-GPL compatible program\n");
			return -EINVAL;
		}
		if (!insn->imm && !insn->off)
			continue; /* a weak one that was not found: only if it is reached */
		if (!btf_vmlinux()) {
			verbose(v, "calling kernel function is not supported without "
				   "CONFIG_DEBUG_INFO_BTF\n");
			return -ENOTSUPP;
		}
		if (insn->off) {
			/* of a module: there are none */
			verbose(v, "kfunc offset > 0 without fd_array is invalid\n"
				   "failed to find BTF for kernel function\n");
			return -EPROTO;
		}
		name = kfunc_name((uint32_t)insn->imm);
		if (!name) {
			verbose(v, "kernel btf_id %u is not a function\n", (uint32_t)insn->imm);
			return -EINVAL;
		}
		at = kfunc_find(name);
		if (at < 0)
			continue;
		v->aux[i].kfunc = (uint32_t)at + 1;
		v->info[i].iter_next = kfunc_proto_at((uint32_t)at)->ret == KRET_ITER_INT;
	}
	return 0;
}

void insn_regs_at(const struct verifier *v, uint32_t insn, uint16_t *reads, uint16_t *writes)
{
	const struct kfunc_proto *p =
		v->aux[insn].kfunc ? kfunc_proto_at(v->aux[insn].kfunc - 1) : NULL;
	int n = 0;

	insn_regs(&v->insns[insn], reads, writes);
	if (!p)
		return;
	*reads = 0;
	for (; n < 5 && p->arg[n] != KARG_NONE; n++)
		*reads |= 1 << (n + 1);
}

static int not_scalar(struct verifier *v, int regno)
{
	verbose(v, "R%d is not a scalar\n", regno);
	return -EINVAL;
}

static int check_constant(struct verifier *v, struct kcall *c, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (!tnum_is_const(r->var_off)) {
		verbose(v, "R%d must be a known constant\n", regno);
		return -EINVAL;
	}
	flow_need_reg(v, v->cur->cur, regno);
	c->constant = r->var_off.value;
	return 0;
}

/* R[regno - 1] is memory of as many bytes. */
static int check_buffer(struct verifier *v, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];
	int err;

	flow_need_reg(v, v->cur->cur, regno);
	err = check_size_range(v, regno, true);
	if (err)
		return err;
	err = check_mem_access(v, regno - 1, (uint32_t)r->umax, false, false, true);
	return err ? err : check_mem_access(v, regno - 1, (uint32_t)r->umax, true, false, true);
}

static int check_size(struct verifier *v, struct kcall *c, int regno)
{
	const enum kfunc_arg mem = c->proto->arg[regno - 2], arg = c->proto->arg[regno - 1];
	int err = 0;

	if (cur_regs(v)[regno].kind != REG_SCALAR)
		return not_scalar(v, regno);
	if (mem != KARG_MEM_OR_NULL || !reg_is_zero(&cur_regs(v)[regno - 1]))
		err = check_buffer(v, regno);
	else
		flow_need_reg(v, v->cur->cur, regno - 1);
	if (err) {
		verbose(v, "arg#%d arg#%d memory, len pair leads to invalid memory access\n",
			regno - 2, regno - 1);
		return err;
	}
	return arg == KARG_SIZE_CONST ? check_constant(v, c, regno) : 0;
}

static int check_ctx_kind(struct verifier *v, int regno)
{
	if (cur_regs(v)[regno].kind == REG_CTX)
		return check_ctx_arg(v, regno);
	verbose(v, "arg#%d expected pointer to ctx, but got %s\n", regno - 1,
		reg_kind_name(&cur_regs(v)[regno]));
	return -EINVAL;
}

static int check_dynptr_kind(struct verifier *v, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (r->kind == REG_STACK || r->kind == REG_DYNPTR)
		return 0;
	verbose(v, "arg#%d expected pointer to stack or const struct bpf_dynptr\n", regno - 1);
	return -EINVAL;
}

static int check_arg(struct verifier *v, struct kcall *c, int regno)
{
	const enum kfunc_arg arg = c->proto->arg[regno - 1];
	const struct reg *r = &cur_regs(v)[regno];
	int err;

	switch (arg) {
	case KARG_NONE:
	case KARG_IGNORED:
		return 0;
	case KARG_SCALAR:
		return r->kind == REG_SCALAR ? 0 : not_scalar(v, regno);
	case KARG_CONST:
		return r->kind == REG_SCALAR ? check_constant(v, c, regno) : not_scalar(v, regno);
	case KARG_SIZE:
	case KARG_SIZE_CONST:
		return check_size(v, c, regno);
	default:
		break;
	}
	err = check_reg_read(v, regno);
	if (err)
		return err;
	if ((reg_is_zero(r) || r->or_null) &&
	    (arg == KARG_CTX || arg == KARG_MEM || arg == KARG_MAP)) {
		verbose(v, "Possibly NULL pointer passed to trusted arg%d\n", regno - 1);
		return -EACCES;
	}
	switch (arg) {
	case KARG_CTX:
		return check_ctx_kind(v, regno);
	case KARG_WQ:
		return check_timer(v, regno, true, &c->wq_map);
	case KARG_CALLBACK:
		return check_async_callback(v, regno, c->wq_map);
	case KARG_MAP:
		if (r->kind == REG_MAP_PTR && regno > 1 && r->map != c->wq_map) {
			verbose(v,
				"workqueue pointer in R1 map_uid=0 doesn't match map pointer in R2 "
				"map_uid=0\n");
			return -EINVAL;
		}
		if (r->kind == REG_MAP_PTR)
			return 0;
		verbose(v,
			"arg#%d pointer type STRUCT bpf_map must point to scalar, or struct with "
			"scalar\n",
			regno - 1);
		return -EINVAL;
	case KARG_MEM:
	case KARG_MEM_OR_NULL:
		c->buffer = *r;
		return 0; /* with its size */
	case KARG_DYNPTR:
		err = check_dynptr_kind(v, regno);
		return err ? err : dynptr_check(v, regno, &c->dynptr);
	case KARG_DYNPTR_UNINIT:
		err = check_dynptr_kind(v, regno);
		c->dynptr_place = regno;
		return err ? err : dynptr_check_place(v, regno);
	case KARG_ITER_NEW:
		c->iter = regno;
		return iter_check_new(v, regno, c->proto->iter);
	case KARG_ITER:
	case KARG_ITER_DESTROY:
		c->iter = regno;
		return iter_check(v, regno, c->proto->iter, &c->iter_ref);
	default:
		return -EINVAL;
	}
}

/* Sections in which a program may not sleep. */
static int check_section(struct verifier *v, const struct kfunc_proto *p)
{
	struct state *s = v->cur;

	if (p->sleepable && !v->prog->sleepable) {
		verbose(v, "program must be sleepable to call sleepable kfunc %s\n", p->name);
		return -EACCES;
	}
	if (p->special == KFUNC_RCU_LOCK) {
		if (s->rcu_locks) {
			verbose(v, "nested rcu read lock (kernel function %s)\n", p->name);
			return -EINVAL;
		}
		s->rcu_locks++;
	} else if (p->special == KFUNC_RCU_UNLOCK) {
		if (!s->rcu_locks) {
			verbose(v, "unmatched rcu read unlock (kernel function %s)\n", p->name);
			return -EINVAL;
		}
		s->rcu_locks--;
	} else if (p->sleepable && s->rcu_locks) {
		verbose(v, "kernel func %s is sleepable within rcu_read_lock region\n", p->name);
		return -EACCES;
	}
	if (p->special == KFUNC_PREEMPT_DISABLE) {
		s->preempt_locks++;
	} else if (p->special == KFUNC_PREEMPT_ENABLE) {
		if (!s->preempt_locks) {
			verbose(v, "unmatched attempt to enable preemption (kernel function %s)\n",
				p->name);
			return -EINVAL;
		}
		s->preempt_locks--;
	} else if (p->sleepable && s->preempt_locks) {
		verbose(v, "kernel func %s is sleepable within non-preemptible region\n", p->name);
		return -EACCES;
	}
	return 0;
}

static int set_cast(struct verifier *v, const struct kcall *c)
{
	const struct btf *btf = btf_vmlinux();
	const uint64_t id = c->constant;
	const struct btf_type *t = NULL;
	struct reg *r0 = &cur_regs(v)[0];

	if (btf && id < btf__type_cnt(btf))
		t = btf__type_by_id(btf, (uint32_t)id);
	if (!t) {
		verbose(v, "Unknown type ID %lld passed to kfunc bpf_rdonly_cast\n", (long long)id);
		return -EINVAL;
	}
	if (id && !btf_is_struct(t)) {
		verbose(v, "kfunc bpf_rdonly_cast type ID argument must be of a struct or void\n");
		return -EINVAL;
	}
	reg_mark_pointer(r0, REG_BTF_ID);
	r0->btf_id = (uint32_t)id;
	r0->walked = true;
	return 0;
}

static bool is_packet(const struct kcall *c)
{
	return c->dynptr.kind == DYNPTR_SKB || c->dynptr.kind == DYNPTR_XDP;
}

static int set_slice(struct verifier *v, const struct kcall *c)
{
	struct reg *r0 = &cur_regs(v)[0];

	if (c->proto->special == KFUNC_SLICE_RDWR &&
	    !(v->group & (HPROG_TC | HPROG_XDP | HPROG_LWT_XMIT | HPROG_SK_SKB | HPROG_SK_MSG))) {
		verbose(v, "the prog does not allow writes to packet data\n");
		return -EINVAL;
	}
	reg_mark_pointer(r0, REG_MEM);
	/* What becomes of the buffer becomes of the slice: Linux 6.18 does not see to that. */
	if (is_packet(c) && c->buffer.kind == REG_STACK) {
		r0->frame = c->buffer.frame + 1;
		r0->buf = (int16_t)(c->buffer.smin + c->buffer.off);
		r0->buf_end = (int16_t)(c->buffer.smax + c->buffer.off + (int64_t)c->constant);
	} else if (is_packet(c) && c->buffer.kind == REG_MEM) {
		if (c->buffer.dynptr_id) {
			verbose(v, "a dynptr's slice cannot be the buffer of another one\n");
			return -EINVAL;
		}
		r0->frame = c->buffer.frame;
		r0->ref_id = c->buffer.ref_id;
	}
	r0->mem_size = (uint32_t)c->constant;
	r0->rdonly = c->proto->special == KFUNC_SLICE;
	r0->or_null = true;
	r0->id = ++v->id_gen;
	r0->dynptr_id = c->dynptr.id;
	r0->pkt_slice = is_packet(c);
	return 0;
}

static int set_result(struct verifier *v, const struct kcall *c)
{
	struct reg *r0 = &cur_regs(v)[0];

	switch (c->proto->ret) {
	case KRET_VOID:
		return 0;
	case KRET_INTEGER:
		reg_mark_unknown(r0);
		return 0;
	case KRET_SLICE:
		return set_slice(v, c);
	case KRET_ITER_INT:
		reg_mark_pointer(r0, REG_MEM);
		r0->mem_size = sizeof(int);
		r0->rdonly = true;
		r0->ref_id = c->iter_ref;
		return 0;
	case KRET_CAST:
		return set_cast(v, c);
	}
	return -EINVAL;
}

static enum dynptr_kind new_kind(const struct kcall *c)
{
	switch (c->proto->special) {
	case KFUNC_FROM_SKB:
		return DYNPTR_SKB;
	case KFUNC_FROM_XDP:
		return DYNPTR_XDP;
	default:
		return c->dynptr.kind; /* a clone */
	}
}

/* What the call makes of its arguments' memory. */
static int apply(struct verifier *v, const struct kcall *c)
{
	int id;

	if (c->dynptr_place)
		dynptr_make(v, c->dynptr_place, new_kind(c), c->dynptr.ref_id);
	if (!c->iter)
		return 0;
	switch (c->proto->arg[c->iter - 1]) {
	case KARG_ITER_NEW:
		id = ref_acquire(v);
		if (id < 0)
			return id;
		iter_make(v, c->iter, c->proto->iter, (uint32_t)id);
		return 0;
	case KARG_ITER_DESTROY:
		iter_drop(v, c->iter, c->proto->iter);
		return ref_release(v, c->iter_ref);
	default:
		return 0;
	}
}

static int find_proto(struct verifier *v, const struct bpf_insn *insn,
		      const struct kfunc_proto **out)
{
	const char *name;

	if (!insn->imm) {
		verbose(v, "invalid kernel function call not eliminated in verifier pass\n");
		return -EINVAL;
	}
	*out = v->aux[v->insn].kfunc ? kfunc_proto_at(v->aux[v->insn].kfunc - 1) : NULL;
	if (*out && (!(*out)->prog_types || ((*out)->prog_types & v->group)))
		return 0;
	name = kfunc_name((uint32_t)insn->imm);
	verbose(v, "calling kernel function %s is not allowed\n", name ? name : "(unknown)");
	return -EACCES;
}

int check_kfunc(struct verifier *v, const struct bpf_insn *insn)
{
	struct kcall c = {0};
	struct reg where;
	int err = find_proto(v, insn, &c.proto);

	if (!err && v->cur->locked && !c.proto->in_lock) {
		verbose(v, "function calls are not allowed while holding a lock\n");
		return -EINVAL;
	}
	for (int i = 0; !err && i < 5 && c.proto->arg[i] != KARG_NONE; i++)
		err = check_arg(v, &c, i + 1);
	if (!err)
		err = check_section(v, c.proto);
	if (!err)
		err = apply(v, &c);
	if (err)
		return err;
	where = cur_regs(v)[c.iter];
	clobber_caller_saved(v);
	err = set_result(v, &c);
	if (err || c.proto->ret != KRET_ITER_INT)
		return err;
	err = iter_next(v, &where);
	if (!err)
		reg_mark_const(&cur_regs(v)[0], 0);
	return err;
}
