/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls of helpers, checked against the prototype table (helper_proto.c). */
#include "vm/verifier_int.h"
#include "vm/task_image.h"

#include <string.h>

/* What the arguments of one call told so far. */
struct call {
	const struct helper_proto *proto;
	const struct map *map;
	uint32_t map_index;
	uint32_t subprog; /* callback */
	uint32_t release_id;
	struct dynptr_use dynptr; /* the one among the arguments */
	uint32_t timer_map;
	int dynptr_place;	  /* the register that says where a new one goes, or 0 */
	uint64_t alloc_size;
	uint64_t max_size; /* of the last memory argument */
};

static int wrong_type(struct verifier *v, int regno, const char *expected)
{
	verbose(v, "R%d type=%s expected=%s\n", regno, reg_kind_name(&cur_regs(v)[regno]),
		expected);
	return -EACCES;
}

#define MEM_KINDS "fp, pkt, pkt_meta, map_key, map_value, mem, ringbuf_mem, buf, trusted_ptr_"

static bool may_use_packet(const struct verifier *v, const struct helper_proto *p)
{
	if (v->group & (HPROG_SOCKET_FILTER | HPROG_CGROUP_SOCKOPT))
		return false;
	if (!p) /* a kfunc */
		return true;
	switch (p->id) { /* those whose arguments the kernel lets point to the packet */
	case BPF_FUNC_map_lookup_elem:
	case BPF_FUNC_map_update_elem:
	case BPF_FUNC_map_delete_elem:
	case BPF_FUNC_map_push_elem:
	case BPF_FUNC_map_pop_elem:
	case BPF_FUNC_map_peek_elem:
	case BPF_FUNC_map_lookup_percpu_elem:
	case BPF_FUNC_csum_diff:
		return true;
	}
	return false;
}

/* size bytes at R[regno], for the helper to read or to write. */
static int check_helper_mem(struct verifier *v, const struct call *c, int regno, uint32_t size,
			    bool write, bool may_be_uninit, bool zero_ok)
{
	const struct reg *r = &cur_regs(v)[regno];
	int err;

	if (!size && !zero_ok) {
		verbose(v, "invalid zero-sized read\n");
		return -EACCES;
	}
	if (r->or_null)
		return wrong_type(v, regno, MEM_KINDS);
	switch (r->kind) {
	case REG_STACK:
		return stack_helper_access(v, regno, size, write, may_be_uninit);
	case REG_PKT:
	case REG_PKT_META:
		if (!may_use_packet(v, c->proto)) {
			verbose(v, "helper access to the packet is not allowed\n");
			return -EACCES;
		}
		return check_packet(v, regno, 0, size, zero_ok);
	case REG_MAP_KEY:
		if (write) {
			verbose(v, "R%d cannot write into %s\n", regno, reg_kind_name(r));
			return -EACCES;
		}
		return check_region(v, regno, 0, size, ver_map(v, r->map)->attr.key_size, zero_ok);
	case REG_MAP_VALUE:
		err = check_map_flags(v, regno, r->off, size, write);
		return err ? err : check_map_region(v, regno, 0, size, zero_ok);
	case REG_MEM:
		if (write && r->rdonly) {
			verbose(v, "R%d cannot write into %s\n", regno, reg_kind_name(r));
			return -EACCES;
		}
		return check_region(v, regno, 0, size, r->mem_size, zero_ok);
	case REG_SCALAR: /* NULL, where the helper takes it, with no bytes */
		if (zero_ok && !size && reg_is_zero(r)) {
			flow_need_reg(v, v->cur->cur, regno);
			return 0;
		}
		break;
	}
	return wrong_type(v, regno, MEM_KINDS);
}

int check_mem_access(struct verifier *v, int regno, uint32_t size, bool write, bool may_be_uninit,
		     bool zero_ok)
{
	return check_helper_mem(v, &(struct call){0}, regno, size, write, may_be_uninit, zero_ok);
}

static bool mem_kind(const struct reg *r)
{
	return r->kind == REG_STACK || r->kind == REG_PKT || r->kind == REG_PKT_META ||
	       r->kind == REG_MAP_KEY || r->kind == REG_MAP_VALUE || r->kind == REG_MEM;
}

/*
 * Does the helper write all the bytes that it is given, whatever comes of it? If
 * not, what it leaves must have been written before (or the frames be zeroed).
 */
static bool fills_all(const struct helper_proto *p)
{
	switch (p->id) {
	case BPF_FUNC_probe_read_str:
	case BPF_FUNC_probe_read_user_str:
	case BPF_FUNC_probe_read_kernel_str:
	case BPF_FUNC_snprintf:
	case BPF_FUNC_dynptr_read:
		return false;
	}
	return true;
}

/* Memory that is an array of u64: what printk and its kin print. */
static bool takes_words(const struct helper_proto *p)
{
	return p->id == BPF_FUNC_snprintf || p->id == BPF_FUNC_trace_vprintk;
}

int check_size_range(struct verifier *v, int regno, bool zero_ok)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (r->smin < 0) {
		verbose(v, "R%d min value is negative, either use unsigned or 'var &= const'\n",
			regno);
		return -EACCES;
	}
	if (!r->umin && !zero_ok) {
		verbose(v, "R%d invalid zero-sized read: u64=[%llu,%llu]\n", regno,
			(unsigned long long)r->umin, (unsigned long long)r->umax);
		return -EACCES;
	}
	if (r->umax >= VER_MAX_VAR_OFF) {
		verbose(v,
			"R%d unbounded memory access, use 'var &= const' or 'if (var < const)'\n",
			regno);
		return -EACCES;
	}
	return 0;
}

static int check_size(struct verifier *v, struct call *c, int regno, enum helper_arg mem,
		      bool zero_ok)
{
	const struct reg *r = &cur_regs(v)[regno];
	const bool write = mem == HARG_MEM_WRITE || mem == HARG_MEM_WRITE_OR_NULL;
	int err;

	if (r->kind != REG_SCALAR)
		return wrong_type(v, regno, "scalar");
	/* the size decides what is touched, whatever comes of it */
	flow_need_reg(v, v->cur->cur, regno);
	err = check_size_range(v, regno, zero_ok);
	if (err)
		return err;
	c->max_size = r->umax;
	err = check_helper_mem(v, c, regno - 1, r->umax, write,
			       write && tnum_is_const(r->var_off) && fills_all(c->proto), zero_ok);
	if (!err && takes_words(c->proto) && mem == HARG_MEM_READ_OR_NULL &&
	    (!tnum_is_const(r->var_off) || r->var_off.value % 8)) {
		/* what printk and snprintf take: u64 after u64 */
		verbose(v, "R%d data length is not a known multiple of 8\n", regno);
		return -EINVAL;
	}
	return err;
}

static int check_const_str(struct verifier *v, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];
	const struct map *m;
	uint64_t byte;
	int err;

	if (r->kind != REG_MAP_VALUE || r->or_null)
		return wrong_type(v, regno, "map_value");
	m = ver_map(v, r->map);
	if (!map_const_bytes(v, r, 0, 1, &byte)) {
		verbose(v, "R%d does not point to a readonly map'\n", regno);
		return -EACCES;
	}
	if (!tnum_is_const(r->var_off)) {
		verbose(v, "R%d is not a constant address'\n", regno);
		return -EACCES;
	}
	err = check_map_region(v, regno, 0, 1, false);
	if (err)
		return err;
	for (uint64_t at = r->var_off.value + r->off; at < m->attr.value_size; at++)
		if (map_const_bytes(v, r, at, 1, &byte) && !byte)
			return 0;
	verbose(v, "string is not zero-terminated\n");
	return -EINVAL;
}

static int check_spin_lock(struct verifier *v, int regno, bool lock)
{
	const struct reg *r = &cur_regs(v)[regno];
	const struct map *m;
	struct state *s = v->cur;

	if (r->kind != REG_MAP_VALUE || r->or_null)
		return wrong_type(v, regno, "map_value, ptr_");
	m = ver_map(v, r->map);
	if (!tnum_is_const(r->var_off)) {
		verbose(v,
			"R%d doesn't have constant offset. bpf_spin_lock has to be at the constant "
			"offset\n",
			regno);
		return -EINVAL;
	}
	if (m->attr.spin_lock_off < 0) {
		verbose(v,
			m->attr.btf_value_type_id ? "map '%.16s' has no valid bpf_spin_lock\n"
						  : "map '%.16s' has to have BTF in order to use "
						    "bpf_spin_lock\n",
			m->attr.name);
		return -EINVAL;
	}
	if ((int64_t)r->var_off.value + r->off != m->attr.spin_lock_off) {
		verbose(v, "off %lld doesn't point to 'struct bpf_spin_lock' that is at %d\n",
			(long long)r->var_off.value + r->off, m->attr.spin_lock_off);
		return -EINVAL;
	}
	if (lock) {
		if (s->locked) {
			verbose(v, "Locking two bpf_spin_locks are not allowed\n");
			return -EINVAL;
		}
		s->locked = true;
		s->lock_id = r->id;
		s->lock_map = r->map;
		return 0;
	}
	if (!s->locked) {
		verbose(v, "bpf_spin_unlock without taking a lock\n");
		return -EINVAL;
	}
	if (s->lock_id != r->id || s->lock_map != r->map) {
		verbose(v, "bpf_spin_unlock of different lock\n");
		return -EINVAL;
	}
	s->locked = false;
	s->lock_id = s->lock_map = 0;
	return 0;
}

int check_ctx_arg(struct verifier *v, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (r->kind != REG_CTX)
		return wrong_type(v, regno, "ctx");
	if (r->off < 0) {
		verbose(v, "negative offset ctx ptr R%d off=%d disallowed\n", regno, r->off);
		return -EACCES;
	}
	if (r->off || !tnum_is_const(r->var_off) || r->var_off.value) {
		verbose(v, "dereference of modified ctx ptr R%d off=%d disallowed\n", regno,
			r->off);
		return -EACCES;
	}
	return 0;
}

static int check_alloc_size(struct verifier *v, struct call *c, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (r->kind != REG_SCALAR)
		return wrong_type(v, regno, "scalar");
	if (!tnum_is_const(r->var_off)) {
		verbose(v, "R%d is not a known constant'\n", regno);
		return -EACCES;
	}
	if (r->var_off.value >= VER_MAX_VAR_OFF) {
		verbose(v, "R%d unbounded memory access\n", regno);
		return -EACCES;
	}
	flow_need_reg(v, v->cur->cur, regno);
	c->alloc_size = r->var_off.value;
	return 0;
}

static int check_record(struct verifier *v, struct call *c, int regno)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (r->kind != REG_MEM || !r->ringbuf || r->or_null)
		return wrong_type(v, regno, "ringbuf_mem");
	if (r->off || !tnum_is_const(r->var_off) || r->var_off.value) {
		verbose(v,
			"R%d must have zero offset when passed to release func or trusted arg to "
			"kfunc\n",
			regno);
		return -EINVAL;
	}
	if (!r->ref_id) {
		verbose(v, "R%d must be referenced when passed to release function\n", regno);
		return -EINVAL;
	}
	c->release_id = r->ref_id;
	return 0;
}

static int check_arg(struct verifier *v, struct call *c, int i)
{
	const enum helper_arg arg = c->proto->arg[i];
	const int regno = i + 1;
	const struct reg *r = &cur_regs(v)[regno];
	const bool mem = mem_kind(r) && !r->or_null;
	int err = check_reg_read(v, regno);

	if (err)
		return err;
	switch (arg) {
	case HARG_NONE:
	case HARG_ANYTHING:
		return 0;
	case HARG_MAP_PTR:
		if (r->kind != REG_MAP_PTR || r->or_null)
			return wrong_type(v, regno, "map_ptr");
		c->map_index = r->map;
		c->map = ver_map(v, r->map);
		return 0;
	case HARG_MAP_KEY:
	case HARG_MAP_VALUE:
	case HARG_MAP_VALUE_UNINIT:
		if (!mem)
			return wrong_type(v, regno, MEM_KINDS);
		return check_helper_mem(
			v, c, regno,
			arg == HARG_MAP_KEY ? c->map->attr.key_size : c->map->attr.value_size,
			arg == HARG_MAP_VALUE_UNINIT, arg == HARG_MAP_VALUE_UNINIT, false);
	case HARG_MAP_VALUE_OR_NULL:
		if (reg_is_zero(r)) {
			flow_need_reg(v, v->cur->cur, regno);
			return 0;
		}
		if (!mem)
			return wrong_type(v, regno, MEM_KINDS);
		return check_helper_mem(v, c, regno, c->map->attr.value_size, false, false, false);
	case HARG_TASK_OR_NULL:
		return check_object_arg(v, regno, "task_struct");
	case HARG_CGROUP_OR_NULL:
		return check_object_arg(v, regno, "cgroup");
	case HARG_SOCK:
	case HARG_SOCK_OR_BTF:
		return check_sock_arg(v, regno, arg == HARG_SOCK_OR_BTF);
	case HARG_MEM_READ_OR_NULL:
	case HARG_MEM_WRITE_OR_NULL:
		if (reg_is_zero(r)) {
			flow_need_reg(v, v->cur->cur, regno);
			return 0;
		}
		/* fallthrough */
	case HARG_MEM_READ:
	case HARG_MEM_WRITE:
		return mem ? 0 : wrong_type(v, regno, MEM_KINDS);
	case HARG_SIZE:
	case HARG_SIZE_OR_ZERO:
		return check_size(v, c, regno, c->proto->arg[i - 1], arg == HARG_SIZE_OR_ZERO);
	case HARG_ALLOC_SIZE:
		return check_alloc_size(v, c, regno);
	case HARG_CTX_OR_NULL:
		if (reg_is_zero(r)) {
			flow_need_reg(v, v->cur->cur, regno);
			return 0;
		}
		/* fallthrough */
	case HARG_CTX:
		return check_ctx_arg(v, regno);
	case HARG_INT_UPDATE:
		if (!mem)
			return wrong_type(v, regno, MEM_KINDS);
		err = check_align(v, regno, 0, 4, true);
		if (!err)
			err = check_helper_mem(v, c, regno, 4, true, false, false);
		return err;
	case HARG_SPIN_LOCK:
		return check_spin_lock(v, regno, c->proto->id == BPF_FUNC_spin_lock);
	case HARG_FUNC:
		if (r->kind != REG_FUNC)
			return wrong_type(v, regno, "func");
		c->subprog = r->subprog;
		return 0;
	case HARG_STACK_OR_NULL:
		if (reg_is_zero(r)) {
			flow_need_reg(v, v->cur->cur, regno);
			return 0;
		}
		return r->kind == REG_STACK ? 0 : wrong_type(v, regno, "fp");
	case HARG_CONST_STR:
		return check_const_str(v, regno);
	case HARG_LONG_WRITE:
		if (!mem)
			return wrong_type(v, regno, MEM_KINDS);
		err = check_align(v, regno, 0, 8, true);
		return err ? err : check_helper_mem(v, c, regno, 8, true, true, false);
	case HARG_RINGBUF_MEM:
		return check_record(v, c, regno);
	case HARG_DYNPTR_UNINIT:
		c->dynptr_place = regno;
		return dynptr_check_place(v, regno);
	case HARG_DYNPTR:
		return dynptr_check(v, regno, &c->dynptr);
	case HARG_TIMER:
		return check_timer(v, regno, false, &c->timer_map);
	case HARG_ASYNC_FUNC:
		return check_async_callback(v, regno, c->timer_map);
	case HARG_DYNPTR_RELEASE:
		err = dynptr_check(v, regno, &c->dynptr);
		c->release_id = c->dynptr.ref_id;
		if (!err && !c->release_id) {
			verbose(v, "arg %d is an unacquired reference\n", regno);
			err = -EINVAL;
		}
		return err;
	}
	return -EINVAL;
}

static bool listed(const uint16_t *helpers, uint32_t id)
{
	for (; helpers && *helpers; helpers++)
		if (*helpers == id)
			return true;
	return false;
}

/* Does this kind of map have what the helper does? */
static int check_map_fits(struct verifier *v, const struct call *c)
{
	const struct map_ops *ops = c->map->ops;
	bool fits = false;

	switch (c->proto->id) {
	case BPF_FUNC_map_lookup_elem:
		fits = ops->lookup;
		break;
	case BPF_FUNC_map_update_elem:
		fits = ops->update;
		break;
	case BPF_FUNC_map_delete_elem:
		fits = ops->delete;
		break;
	case BPF_FUNC_map_lookup_percpu_elem:
		fits = ops->lookup_percpu && ops->per_cpu;
		break;
	case BPF_FUNC_for_each_map_elem:
		if (ops->for_each)
			return 0;
		verbose(v, "callback function not allowed for map\n");
		return -ENOTSUPP;
	case BPF_FUNC_map_push_elem:
		fits = ops->push;
		break;
	case BPF_FUNC_map_pop_elem:
		fits = ops->take;
		break;
	case BPF_FUNC_map_peek_elem:
		fits = ops->peek;
		break;
	case BPF_FUNC_timer_init:
		if (c->map_index == c->timer_map)
			return 0;
		verbose(v,
			"timer pointer in R1 map_uid=0 doesn't match map pointer in R2 "
			"map_uid=0\n");
		return -EINVAL;
	default:
		fits = listed(ops->helpers, c->proto->id);
		if (!fits && c->proto->id == BPF_FUNC_tail_call) {
			verbose(v, "expected prog array map for tail call\n");
			return -EINVAL;
		}
	}
	if (fits)
		return 0;
	verbose(v, "cannot pass map_type %u into func %s#%u\n", c->map->attr.map_type,
		c->proto->name, c->proto->id);
	return -EINVAL;
}

static int check_map_writable(struct verifier *v, const struct call *c)
{
	switch (c->proto->id) {
	case BPF_FUNC_map_update_elem:
	case BPF_FUNC_map_delete_elem:
	case BPF_FUNC_map_push_elem:
	case BPF_FUNC_map_pop_elem:
		if (!(c->map->attr.map_flags & BPF_F_RDONLY_PROG))
			return 0;
		verbose(v, "write into map forbidden\n");
		return -EACCES;
	}
	return 0;
}

int ref_acquire(struct verifier *v)
{
	struct state *s = v->cur;

	if (s->ref_cnt == VER_MAX_REFS) {
		verbose(v, "too many references held\n");
		return -E2BIG;
	}
	s->refs[s->ref_cnt].id = ++v->id_gen;
	s->refs[s->ref_cnt++].insn = v->insn;
	return v->id_gen;
}

int ref_release(struct verifier *v, uint32_t id)
{
	struct state *s = v->cur;
	bool found = false;
	struct reg *r;

	for (uint32_t i = 0; i < s->ref_cnt; i++)
		if (s->refs[i].id == id) {
			s->refs[i] = s->refs[--s->ref_cnt];
			found = true;
			break;
		}
	if (!found) {
		verbose(v, "reference has not been acquired before\n");
		return -EINVAL;
	}
	for_each_reg(s, r) if (r->ref_id == id) reg_mark_unknown(r);
	dynptr_drop(v, id);
	return 0;
}

static int set_result(struct verifier *v, const struct call *c)
{
	struct reg *r0 = &cur_regs(v)[0];
	int id;

	switch (c->proto->ret) {
	case HRET_VOID:
		return 0;
	case HRET_INTEGER:
		reg_mark_unknown(r0);
		switch (c->proto->id) {
		case BPF_FUNC_probe_read_str:
		case BPF_FUNC_probe_read_user_str:
		case BPF_FUNC_probe_read_kernel_str:
			/* an error or at most as many bytes as there was room for */
			r0->smin = r0->s32_min = -4095;
			r0->smax = r0->s32_max = c->max_size;
			reg_sync(r0);
			break;
		case BPF_FUNC_get_stack:
			r0->smin = r0->s32_min = -4095;
			r0->smax = r0->s32_max = c->max_size;
			reg_sync(r0);
			break;
		}
		return 0;
	case HRET_TASK_BTF:
		reg_mark_pointer(r0, REG_BTF_ID);
		r0->btf_id = task_image_btf_id();
		r0->trusted = true;
		if (r0->btf_id)
			return 0;
		verbose(v, "in-kernel BTF is missing\n");
		return -EINVAL;
	case HRET_SOCK_OR_NULL:
		reg_mark_pointer(r0, REG_SOCKET);
		r0->or_null = true;
		r0->id = ++v->id_gen;
		return 0;
	case HRET_TCP_SOCK_OR_NULL:
		reg_mark_pointer(r0, REG_TCP_SOCK);
		r0->or_null = true;
		r0->id = ++v->id_gen;
		return 0;
	case HRET_MAP_VALUE_OR_NULL:
		reg_mark_pointer(r0, REG_MAP_VALUE);
		r0->map = c->map_index;
		r0->or_null = true;
		r0->id = ++v->id_gen;
		return 0;
	case HRET_DYNPTR_MEM_OR_NULL:
		reg_mark_pointer(r0, REG_MEM);
		r0->mem_size = c->alloc_size;
		r0->or_null = true;
		r0->id = ++v->id_gen;
		r0->ref_id = c->dynptr.ref_id;
		r0->dynptr_id = c->dynptr.id;
		r0->pkt_slice = c->dynptr.kind == DYNPTR_SKB || c->dynptr.kind == DYNPTR_XDP;
		return 0;
	case HRET_RINGBUF_MEM_OR_NULL:
		++v->id_gen; /* its own, as in the kernel; the reference's takes its place */
		id = ref_acquire(v);
		if (id < 0)
			return id;
		reg_mark_pointer(r0, REG_MEM);
		r0->mem_size = c->alloc_size;
		r0->ringbuf = r0->or_null = true;
		r0->id = r0->ref_id = id;
		return 0;
	}
	return -EINVAL;
}

/* Helpers that wait for memory to come. */
static int check_sleep(struct verifier *v, const struct helper_proto *p)
{
	if (p->id != BPF_FUNC_copy_from_user)
		return 0;
	if (!v->prog->sleepable) {
		verbose(v, "helper call might sleep in a non-sleepable prog\n");
		return -EINVAL;
	}
	if (!v->cur->rcu_locks && !v->cur->preempt_locks)
		return 0;
	verbose(v, "sleepable helper %s#%u in %s region\n", p->name, p->id,
		v->cur->rcu_locks ? "rcu_read_lock" : "non-preemptible");
	return -EINVAL;
}

static int find_proto(struct verifier *v, int32_t id, const struct helper_proto **out)
{
	const struct helper_proto *p = helper_proto_find(id);

	if (!helper_id_valid(id)) {
		verbose(v, "invalid func %s#%d\n", helper_name(id), id);
		return -EINVAL;
	}
	if (!p || !(p->prog_types & v->group)) {
		verbose(v, "program of this type cannot use helper %s#%d\n", helper_name(id), id);
		return -EINVAL;
	}
	if (p->gpl_only && !v->prog->gpl_compatible) {
		verbose(v, "cannot call GPL-restricted function from non-GPL compatible program\n");
		return -EINVAL;
	}
	*out = p;
	return check_sleep(v, p);
}

static void note_map(struct vm_aux *aux, uint32_t map_index)
{
	uint32_t *known = map_index & VER_MAP_INNER ? &aux->inner_of : &aux->map_index;

	if (aux->map_poisoned)
		return;
	map_index &= ~VER_MAP_INNER;
	if (aux->map_index == VM_MAP_UNKNOWN && aux->inner_of == VM_MAP_UNKNOWN) {
		*known = map_index;
	} else if (*known != map_index) {
		aux->map_index = aux->inner_of = VM_MAP_UNKNOWN;
		aux->map_poisoned = true;
	}
}

static int make_dynptr(struct verifier *v, const struct call *c)
{
	int id;

	if (c->proto->id == BPF_FUNC_dynptr_from_mem) {
		if (cur_regs(v)[1].kind != REG_MAP_VALUE) {
			verbose(v, "Unsupported reg type %s for bpf_dynptr_from_mem data\n",
				reg_kind_name(&cur_regs(v)[1]));
			return -EACCES;
		}
		dynptr_make(v, c->dynptr_place, DYNPTR_LOCAL, 0);
		return 0;
	}
	id = ref_acquire(v);
	if (id < 0)
		return id;
	dynptr_make(v, c->dynptr_place, DYNPTR_RINGBUF, (uint32_t)id);
	return 0;
}

int check_helper(struct verifier *v, const struct bpf_insn *insn, uint32_t *next)
{
	struct call c = {.map_index = VM_MAP_UNKNOWN};
	int err;

	if (v->cur->locked && insn->imm != BPF_FUNC_spin_unlock) {
		verbose(v, "function calls are not allowed while holding a lock\n");
		return -EINVAL;
	}
	err = find_proto(v, insn->imm, &c.proto);
	for (int i = 0; !err && i < 5 && c.proto->arg[i] != HARG_NONE; i++)
		err = check_arg(v, &c, i);
	/* After the arguments, as in the kernel: of a map without keys it is the key's size
	 * that is wrong first. */
	if (!err && c.map)
		err = check_map_writable(v, &c);
	if (!err && c.map)
		err = check_map_fits(v, &c);
	if (!err && c.proto->id == BPF_FUNC_tail_call)
		err = check_no_leak(v, "tail_call");
	if (err)
		return err;
	if (c.map)
		note_map(&v->aux[v->insn], c.map_index);
	if (v->info[v->insn].callback_call) {
		err = call_callback(v, c.proto, c.subprog);
		if (err)
			return err;
	}
	if (c.release_id) {
		err = ref_release(v, c.release_id);
		if (err)
			return err;
	}
	if (c.dynptr_place) {
		err = make_dynptr(v, &c);
		if (err)
			return err;
	}
	/* before a tail call's other outcome is looked at, which is the caller's */
	if (helper_changes_packet(c.proto->id) ||
	    (c.proto->id == BPF_FUNC_dynptr_write && c.dynptr.kind == DYNPTR_SKB))
		clear_packet_pointers(v->cur);
	clobber_caller_saved(v);
	err = set_result(v, &c);
	if (!err && c.proto->id == BPF_FUNC_tail_call)
		err = leave_function(v, true, next);
	return err;
}
