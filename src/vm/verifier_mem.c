/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads, stores and atomics: what a pointer gives access to, and whether every
 * value that it may have stays inside.
 */
#include "vm/verifier_int.h"

#include <stdio.h>
#include <string.h>

int check_reg_read(struct verifier *v, int regno)
{
	if (cur_regs(v)[regno].kind != REG_NOT_INIT)
		return 0;
	verbose(v, "R%d !read_ok\n", regno);
	return -EACCES;
}

int check_reg_write(struct verifier *v, int regno)
{
	if (regno != VER_FP)
		return 0;
	verbose(v, "frame pointer is read only\n");
	return -EACCES;
}

static int no_access(struct verifier *v, int regno)
{
	verbose(v, "R%d invalid mem access '%s'\n", regno, reg_kind_name(&cur_regs(v)[regno]));
	return -EACCES;
}

static int check_bounds(struct verifier *v, int regno, int64_t off, uint32_t size,
			uint32_t mem_size, bool zero_ok)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (off >= 0 && (size > 0 || zero_ok) && off + size <= mem_size)
		return 0;
	switch (r->kind) {
	case REG_MAP_KEY:
		verbose(v, "invalid access to map key, key_size=%u off=%lld size=%u\n", mem_size,
			(long long)off, size);
		break;
	case REG_MAP_VALUE:
		verbose(v, "invalid access to map value, value_size=%u off=%lld size=%u\n",
			mem_size, (long long)off, size);
		break;
	case REG_PKT:
	case REG_PKT_META:
		verbose(v, "invalid access to packet, off=%lld size=%u, R%d(id=%u,off=%lld,r=%u)\n",
			(long long)off, size, regno, r->id, (long long)off, mem_size);
		break;
	default:
		verbose(v, "invalid access to memory, mem_size=%u off=%lld size=%u\n", mem_size,
			(long long)off, size);
		break;
	}
	return -EACCES;
}

int check_region(struct verifier *v, int regno, int32_t off, uint32_t size, uint32_t mem_size,
		 bool zero_ok)
{
	const struct reg *r = &cur_regs(v)[regno];
	const int64_t fixed = (int64_t)r->off + off;

	if (r->smin < 0 && (r->smin == INT64_MIN || r->smin + fixed < 0 ||
			    r->smin + fixed != (int32_t)(r->smin + fixed))) {
		verbose(v,
			"R%d min value is negative, either use unsigned index or do a if (index "
			">=0) check.\n",
			regno);
		return -EACCES;
	}
	if (r->smin >= VER_MAX_VAR_OFF ||
	    check_bounds(v, regno, r->smin + fixed, size, mem_size, zero_ok)) {
		verbose(v, "R%d min value is outside of the allowed memory range\n", regno);
		return -EACCES;
	}
	if (r->umax >= VER_MAX_VAR_OFF) {
		verbose(v,
			"R%d unbounded memory access, make sure to bounds check any such access\n",
			regno);
		return -EACCES;
	}
	if (check_bounds(v, regno, (int64_t)r->umax + fixed, size, mem_size, zero_ok)) {
		verbose(v, "R%d max value is outside of the allowed memory range\n", regno);
		return -EACCES;
	}
	return 0;
}

int check_map_flags(struct verifier *v, int regno, int32_t off, uint32_t size, bool write)
{
	const uint32_t map = cur_regs(v)[regno].map;
	const struct map *m = ver_map(v, map);
	const uint32_t forbids = write ? BPF_F_RDONLY_PROG : BPF_F_WRONLY_PROG;

	if (!(m->attr.map_flags & forbids)) {
		/* what a listener is told at the end of a run: interp_run.c */
		if (write && (map & ~VER_MAP_INNER) < 64)
			*(map & VER_MAP_INNER ? &v->prog->inner_stores : &v->prog->map_stores) |=
				1ULL << (map & ~VER_MAP_INNER);
		return 0;
	}
	verbose(v, "%s map forbidden, value_size=%u off=%d size=%u\n",
		write ? "write into" : "read from", m->attr.value_size, off, size);
	return -EACCES;
}

int check_map_region(struct verifier *v, int regno, int32_t off, uint32_t size, bool zero_ok)
{
	const struct reg *r = &cur_regs(v)[regno];
	const struct map *m = ver_map(v, r->map);
	int err = check_region(v, regno, off, size, m->attr.value_size, zero_ok);

	if (!err && map_has_timers(&m->attr))
		err = check_no_timer(v, m, r->smin + r->off + off,
				     (int64_t)r->umax + r->off + off + size);
	if (err || m->attr.spin_lock_off < 0)
		return err;
	/* any byte that may be reached */
	if (r->smin + r->off + off <
		    m->attr.spin_lock_off + (int64_t)sizeof(struct bpf_spin_lock) &&
	    (int64_t)r->umax + r->off + off + size > m->attr.spin_lock_off) {
		verbose(v, "bpf_spin_lock cannot be accessed directly by load/store\n");
		return -EACCES;
	}
	return 0;
}

int check_packet(struct verifier *v, int regno, int32_t off, uint32_t size, bool zero_ok)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (r->smin < 0) {
		verbose(v,
			"R%d min value is negative, either use unsigned index or do a if (index "
			">=0) check.\n",
			regno);
		return -EACCES;
	}
	if (r->range < 0 ||
	    check_bounds(v, regno, (int64_t)r->off + off, size, r->range, zero_ok)) {
		verbose(v, "R%d offset is outside of the packet\n", regno);
		return r->range < 0 ? -EINVAL : -EACCES;
	}
	return 0;
}

bool map_const_bytes(struct verifier *v, const struct reg *r, uint64_t off, uint32_t size,
		     uint64_t *out)
{
	const struct map *m = ver_map(v, r->map);
	const uint8_t *value;

	if (!(m->attr.map_flags & BPF_F_RDONLY_PROG) || m->attr.max_entries != 1 ||
	    !m->ops->direct_value || !m->shared || !m->shared->frozen || m->shared->writers)
		return false;
	value = m->ops->sealed_value ? m->ops->sealed_value((struct map *)m)
				     : m->ops->direct_value((struct map *)m);
	if (!value || off > m->attr.value_size || size > m->attr.value_size - off)
		return false;
	*out = 0;
	memcpy(out, value + off, size);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	*out >>= 64 - size * 8;
#endif
	return true;
}

/* Packets are taken to begin so that the header behind Ethernet's is aligned. */
#define PKT_IP_ALIGN 2

int check_align(struct verifier *v, int regno, int32_t off, unsigned int size, bool strict)
{
	const struct reg *r = &cur_regs(v)[regno];
	const char *what = "";
	struct tnum t;

	switch (r->kind) {
	case REG_STACK:
		what = "stack ";
		strict = true; /* slots would straddle */
		break;
	case REG_MAP_VALUE:
		what = "value ";
		break;
	case REG_CTX:
		what = "context ";
		break;
	}
	if (!strict || size == 1)
		return 0;
	t = tnum_add(r->var_off, tnum_const((uint64_t)((int64_t)r->off + off +
						       (reg_is_pkt(r) ? PKT_IP_ALIGN : 0))));
	if (!((t.value | t.mask) & (size - 1)))
		return 0;
	if (reg_is_pkt(r))
		verbose(v, "misaligned packet access off %d+%s+%d+%d size %u\n", PKT_IP_ALIGN,
			tnum_text(r->var_off).s, r->off, off, size);
	else
		verbose(v, "misaligned %saccess off %s+%d+%d size %u\n", what,
			tnum_text(r->var_off).s, r->off, off, size);
	return -EACCES;
}

/* One instruction, one way to access: the executor looks at vm_aux only. */
static int check_same_kind(struct verifier *v, uint32_t insn, uint8_t kind)
{
	const uint32_t group = kind == REG_CTX	      ? 2
			       : kind == REG_BTF_ID   ? 3
			       : kind == REG_MAP_PTR ? 4
						      : 1;

	if (v->info[insn].ptr_kind && v->info[insn].ptr_kind != group) {
		verbose(v, "same insn cannot be used with different pointers\n");
		return -EINVAL;
	}
	v->info[insn].ptr_kind = group;
	return 0;
}

static void load_result(struct verifier *v, int regno, unsigned int size, bool sx)
{
	struct reg *r = &cur_regs(v)[regno];

	reg_mark_unknown(r);
	if (sx)
		reg_cast_sx(r, size, false);
	else
		reg_cast(r, size);
}

static int ctx_access(struct verifier *v, uint32_t insn, int regno, int32_t off, unsigned int size,
		      bool write, int value_regno, bool sx)
{
	const struct reg *r = &cur_regs(v)[regno];
	struct ctx_access a = {.kind = REG_SCALAR};
	struct reg *dst;
	int err;

	if (r->off < 0) {
		verbose(v, "negative offset ctx ptr R%d off=%d disallowed\n", regno, r->off);
		return -EACCES;
	}
	if (r->off) {
		verbose(v, "dereference of modified ctx ptr R%d off=%d disallowed\n", regno,
			r->off);
		return -EACCES;
	}
	if (!tnum_is_const(r->var_off) || r->var_off.value) {
		verbose(v, "variable ctx access var_off=%s disallowed\n", tnum_text(r->var_off).s);
		return -EACCES;
	}
	err = check_ctx(v, insn, off, size, write, &a);
	if (err)
		return err;
	if (a.kind != REG_SCALAR && sx) {
		verbose(v, "invalid bpf_context access off=%d size=%u\n", off, size);
		return -EACCES;
	}
	v->aux[insn].ctx_field = a.field;
	if ((uint32_t)off + size > v->max_ctx_off)
		v->max_ctx_off = off + size;
	if (write || value_regno < 0)
		return 0;
	dst = &cur_regs(v)[value_regno];
	if (a.kind == REG_SCALAR) {
		load_result(v, value_regno, size, sx);
		return 0;
	}
	reg_mark_pointer(dst, a.kind);
	dst->btf_id = a.btf_id;
	dst->trusted = a.trusted;
	dst->rcu = a.rcu;
	dst->or_null = a.or_null;
	if (a.or_null)
		dst->id = ++v->id_gen;
	return 0;
}

static int map_value_access(struct verifier *v, int regno, int32_t off, unsigned int size,
			    bool write, int value_regno, bool sx)
{
	const struct reg r = cur_regs(v)[regno];
	uint64_t known;
	int err = check_map_flags(v, regno, off, size, write);

	if (!err)
		err = check_map_region(v, regno, off, size, false);
	if (err || write || value_regno < 0)
		return err;
	if (tnum_is_const(r.var_off) &&
	    map_const_bytes(v, &r, r.var_off.value + r.off + off, size, &known)) {
		reg_mark_const(&cur_regs(v)[value_regno], known);
		if (sx)
			reg_cast_sx(&cur_regs(v)[value_regno], size, false);
		return 0;
	}
	load_result(v, value_regno, size, sx);
	return 0;
}

static int btf_access(struct verifier *v, uint32_t insn, int regno, int32_t off, unsigned int size,
		      bool write, int value_regno, bool sx)
{
	const struct reg r = cur_regs(v)[regno];
	struct ctx_access a = {.kind = REG_SCALAR};
	struct reg *dst;
	int err;

	if (write) {
		verbose(v, "only read is supported\n");
		return -EACCES;
	}
	/* bpf_rdonly_cast() to void: bytes, wherever they are */
	err = r.btf_id ? btf_walk(v, &r, regno, off, size, &a) : 0;
	if (err)
		return err;
	v->aux[insn].probe = true;
	if (value_regno < 0)
		return 0;
	if (a.kind == REG_SCALAR || sx) {
		load_result(v, value_regno, size, sx);
		return 0;
	}
	dst = &cur_regs(v)[value_regno];
	reg_mark_pointer(dst, REG_BTF_ID);
	dst->btf_id = a.btf_id;
	dst->rcu = a.rcu;
	dst->walked = !a.rcu;
	return 0;
}

/* Programs that see the packet but may not change it. */
#define PACKET_READERS                                                                             \
	(HPROG_CGROUP_SKB | HPROG_LWT | HPROG_FLOW_DISSECTOR | HPROG_SK_REUSEPORT)

static int check_socket(struct verifier *v, int regno, int32_t off, unsigned int size, bool write)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (write) {
		verbose(v, "R%d cannot write into %s\n", regno, reg_kind_name(r));
		return -EACCES;
	}
	if (!r->off && tnum_is_const(r->var_off) && !r->var_off.value &&
	    sock_access(r->kind, off, size))
		return 0;
	verbose(v, "R%d invalid %s access off=%d size=%u\n", regno, reg_kind_name(r), off, size);
	return -EACCES;
}

static int check_flow_keys(struct verifier *v, int regno, int32_t off, unsigned int size)
{
	const struct reg *r = &cur_regs(v)[regno];
	const int64_t at = (int64_t)r->off + off;

	if (tnum_is_const(r->var_off) && !r->var_off.value && at >= 0 &&
	    at + size <= (int64_t)sizeof(struct bpf_flow_keys))
		return 0;
	verbose(v, "invalid access to flow keys off=%lld size=%u\n", (long long)at, size);
	return -EACCES;
}

/*
 * size bytes at R[regno] + off. value_regno: the register that is stored or
 * loaded, or -1; a store of an immediate hands it in imm.
 */
static int access_mem(struct verifier *v, uint32_t insn, int regno, int32_t off, unsigned int size,
		      bool write, int value_regno, const struct reg *imm, bool strict, bool sx)
{
	const struct reg *r = &cur_regs(v)[regno];
	int err;

	if (r->kind == REG_SCALAR) {
		err = check_align(v, regno, off, size, strict);
		return err ? err : no_access(v, regno);
	}
	if (r->or_null || r->kind == REG_PKT_END || r->kind == REG_FUNC ||
	    (r->kind == REG_MAP_PTR && sx))
		return no_access(v, regno);
	err = check_align(v, regno, off, size, strict);
	if (!err)
		err = check_same_kind(v, insn, r->kind);
	if (err)
		return err;
	switch (r->kind) {
	case REG_STACK:
		if (write)
			return stack_write(v, r, regno, off, size, value_regno, imm);
		return stack_read(v, r, regno, off, size, value_regno, sx);
	case REG_CTX:
		return ctx_access(v, insn, regno, off, size, write, value_regno, sx);
	case REG_MAP_VALUE:
		return map_value_access(v, regno, off, size, write, value_regno, sx);
	case REG_MAP_PTR:
		return check_map_ptr_load(v, insn, regno, off, size, write, value_regno);
	case REG_BTF_ID:
		return btf_access(v, insn, regno, off, size, write, value_regno, sx);
	case REG_MAP_KEY:
		if (write) {
			verbose(v, "write to change key R%d not allowed\n", regno);
			return -EACCES;
		}
		err = check_region(v, regno, off, size, ver_map(v, r->map)->attr.key_size, false);
		break;
	case REG_MEM:
		if (write && r->rdonly) {
			verbose(v, "R%d cannot write into %s\n", regno, reg_kind_name(r));
			return -EACCES;
		}
		err = check_region(v, regno, off, size, r->mem_size, false);
		break;
	case REG_PKT:
	case REG_PKT_META:
		if (write && v->group & PACKET_READERS) {
			verbose(v, "cannot write into packet\n");
			return -EACCES;
		}
		err = check_packet(v, regno, off, size, false);
		break;
	case REG_SOCK_COMMON:
	case REG_SOCKET:
	case REG_TCP_SOCK:
		err = check_socket(v, regno, off, size, write);
		break;
	case REG_FLOW_KEYS:
		err = check_flow_keys(v, regno, off, size);
		break;
	default:
		return no_access(v, regno);
	}
	if (!err && !write && value_regno >= 0)
		load_result(v, value_regno, size, sx);
	return err;
}

int check_mem(struct verifier *v, uint32_t insn, int regno, int32_t off, unsigned int size,
	      bool write, int value_regno, bool strict, bool sign_extend)
{
	return access_mem(v, insn, regno, off, size, write, value_regno, NULL, strict, sign_extend);
}

int check_load(struct verifier *v, const struct bpf_insn *insn)
{
	int err = check_reg_read(v, insn->src_reg);

	if (!err)
		err = check_reg_write(v, insn->dst_reg);
	if (err)
		return err;
	return check_mem(v, v->insn, insn->src_reg, insn->off, insn_bytes(insn->code), false,
			 insn->dst_reg, false, insn_form(insn->code) == INSN_LDX_SX);
}

int check_store(struct verifier *v, const struct bpf_insn *insn)
{
	struct reg imm;
	int err;

	if (insn_form(insn->code) == INSN_ST) {
		err = check_reg_read(v, insn->dst_reg);
		if (err)
			return err;
		reg_mark_const(&imm, (uint64_t)(int64_t)insn->imm);
		return access_mem(v, v->insn, insn->dst_reg, insn->off, insn_bytes(insn->code),
				  true, -1, &imm, false, false);
	}
	err = check_reg_read(v, insn->src_reg);
	if (!err)
		err = check_reg_read(v, insn->dst_reg);
	if (err)
		return err;
	return check_mem(v, v->insn, insn->dst_reg, insn->off, insn_bytes(insn->code), true,
			 insn->src_reg, false, false);
}

/* Atomics reach neither the context nor the packet. */
static int check_atomic_ptr(struct verifier *v, const struct reg *r, int regno, const char *what)
{
	if (r->or_null || (r->kind != REG_CTX && !reg_is_pkt(r) && r->kind != REG_PKT_END &&
			   r->kind != REG_SOCK_COMMON && r->kind != REG_SOCKET))
		return 0;
	verbose(v, "BPF_ATOMIC %s R%d %s is not allowed\n", what, regno, reg_kind_name(r));
	return -EACCES;
}

static int check_load_acquire(struct verifier *v, const struct bpf_insn *insn)
{
	int err = check_reg_read(v, insn->src_reg);

	if (!err)
		err = check_reg_write(v, insn->dst_reg);
	if (err)
		return err;
	const struct reg src = cur_regs(v)[insn->src_reg];

	err = check_mem(v, v->insn, insn->src_reg, insn->off, insn_bytes(insn->code), false,
			insn->dst_reg, true, false);
	return err ? err : check_atomic_ptr(v, &src, insn->src_reg, "loads from");
}

static int check_store_release(struct verifier *v, const struct bpf_insn *insn)
{
	int err = check_reg_read(v, insn->src_reg);

	if (!err)
		err = check_reg_read(v, insn->dst_reg);
	if (!err)
		err = check_mem(v, v->insn, insn->dst_reg, insn->off, insn_bytes(insn->code), true,
				insn->src_reg, true, false);
	return err ? err
		   : check_atomic_ptr(v, &cur_regs(v)[insn->dst_reg], insn->dst_reg, "stores into");
}

int check_atomic(struct verifier *v, const struct bpf_insn *insn)
{
	const unsigned int size = insn_bytes(insn->code);
	int result = -1, err;

	if (insn_load_acquire(insn))
		return check_load_acquire(v, insn);
	if (insn_store_release(insn))
		return check_store_release(v, insn);
	err = check_reg_read(v, insn->src_reg);
	if (!err)
		err = check_reg_read(v, insn->dst_reg);
	if (!err && insn->imm == BPF_CMPXCHG)
		err = check_reg_read(v, 0);
	if (err)
		return err;
	err = check_atomic_ptr(v, &cur_regs(v)[insn->dst_reg], insn->dst_reg, "stores into");
	if (err)
		return err;
	if (insn->imm == BPF_CMPXCHG)
		result = 0;
	else if (insn_atomic_fetches(insn->imm))
		result = insn->src_reg;
	if (result >= 0) {
		err = check_reg_write(v, result);
		if (err)
			return err;
		/* (it no longer is the address) */
		reg_mark_unknown(&cur_regs(v)[result]);
	}
	err = check_mem(v, v->insn, insn->dst_reg, insn->off, size, false, -1, true, false);
	if (!err && result >= 0)
		err = check_mem(v, v->insn, insn->dst_reg, insn->off, size, false, result, true,
				false);
	if (!err)
		err = check_mem(v, v->insn, insn->dst_reg, insn->off, size, true, -1, true, false);
	return err;
}
