/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What BTF tells: the arguments of traced kernel functions, the members of the
 * kernel structures that they point to, which of the program's functions are
 * global and what they take, and source lines for the log.
 */
#include "vm/verifier_int.h"

#include <string.h>
#include <bpf/btf.h>

#include "btf/btf.h"

static const struct btf_type *type_at(const struct btf *btf, uint32_t id)
{
	return btf && id && id < btf__type_cnt(btf) ? btf__type_by_id(btf, id) : NULL;
}

/* Past const, volatile, restrict, typedef and type tags; *id follows. */
static const struct btf_type *skip_mods(const struct btf *btf, uint32_t *id)
{
	const struct btf_type *t = type_at(btf, *id);

	for (int i = 0; t && i < 64 && (btf_is_mod(t) || btf_is_typedef(t)); i++) {
		*id = t->type;
		t = type_at(btf, *id);
	}
	return t;
}

static bool is_scalar_type(const struct btf_type *t)
{
	return t && (btf_is_int(t) || btf_is_any_enum(t));
}

static bool is_struct_type(const struct btf_type *t)
{
	return t && btf_is_composite(t);
}

const char *btf_struct_name(uint32_t btf_id)
{
	const struct btf *btf = btf_vmlinux();
	const struct btf_type *t = type_at(btf, btf_id);
	const char *name = t ? btf__name_by_offset(btf, t->name_off) : NULL;

	return name ? name : "";
}

/* The prototype of what a tracing program is attached to; *skip: leading
 * arguments that the program does not see. */
static const struct btf_type *attach_proto(const struct verifier *v, const char **name, int *skip)
{
	const struct btf *btf = btf_vmlinux();
	const struct btf_type *t = type_at(btf, v->prog->attach_btf_id);

	*skip = 0;
	if (!t)
		return NULL;
	*name = btf__name_by_offset(btf, t->name_off);
	if (v->group == HPROG_TP_BTF) {
		if (!btf_is_typedef(t) || strncmp(*name, "btf_trace_", 10))
			return NULL;
		t = type_at(btf, t->type);
		if (!t || !btf_is_ptr(t))
			return NULL;
		*skip = 1;
	} else if (!btf_is_func(t)) {
		return NULL;
	}
	t = type_at(btf, t->type);
	return t && btf_is_func_proto(t) ? t : NULL;
}

int btf_check_attach(struct verifier *v)
{
	const char *name;
	int skip;

	if (!(v->group & (HPROG_FENTRY | HPROG_FEXIT | HPROG_TP_BTF)))
		return 0;
	if (!v->prog->attach_btf_id) {
		verbose(v, "Tracing programs must provide btf_id\n");
		return -EINVAL;
	}
	if (attach_proto(v, &name, &skip))
		return 0;
	verbose(v, "attach_btf_id %u is not a function\n", v->prog->attach_btf_id);
	return -EINVAL;
}

int btf_arg_access(struct verifier *v, int32_t off, unsigned int size, struct ctx_access *out)
{
	const struct btf *btf = btf_vmlinux();
	const struct btf_type *proto, *t;
	const char *name = "";
	uint32_t id;
	int skip, arg = off / 8, args;

	proto = attach_proto(v, &name, &skip);
	if (!proto)
		return -EACCES;
	if (off % 8) {
		verbose(v, "func '%s' offset %d is not multiple of 8\n", name, off);
		return -EACCES;
	}
	args = btf_vlen(proto) - skip;
	if (arg < args) {
		id = btf_params(proto)[arg + skip].type;
	} else if (arg == args && v->group == HPROG_FEXIT) {
		id = proto->type;
	} else {
		verbose(v, "func '%s' doesn't have %d-th argument\n", name, arg + 1);
		return -EACCES;
	}
	t = skip_mods(btf, &id);
	if (is_scalar_type(t))
		return 0;
	if (!t || !btf_is_ptr(t)) {
		verbose(v, "func '%s' arg%d has type %s\n", name, arg, t ? "?" : "void");
		return -EACCES;
	}
	if (size != 8) {
		verbose(v, "func '%s' size %u must be 8\n", name, size);
		return -EACCES;
	}
	id = t->type;
	t = skip_mods(btf, &id);
	if (!id || is_scalar_type(t))
		return 0; /* an address like any number */
	if (!is_struct_type(t)) {
		verbose(v, "func '%s' arg%d type is not a struct\n", name, arg);
		return -EACCES;
	}
	out->kind = REG_BTF_ID;
	out->btf_id = id;
	out->trusted = v->group == HPROG_TP_BTF;
	return 0;
}

struct member {
	const struct btf_type *t;
	const char *name;
	uint32_t id, off, bits;
};

/* The member of composite t that covers byte `off`. */
static bool find_member(const struct btf *btf, const struct btf_type *t, uint32_t off,
			uint32_t size, struct member *out)
{
	const struct btf_member *m = btf_members(t);

	for (uint32_t i = 0; i < btf_vlen(t); i++) {
		const uint32_t at = btf_member_bit_offset(t, i);
		const uint32_t bits = btf_member_bitfield_size(t, i);
		int64_t len;

		out->id = m[i].type;
		out->t = skip_mods(btf, &out->id);
		out->bits = bits;
		out->name = btf__name_by_offset(btf, m[i].name_off);
		out->off = at / 8;
		if (!out->t)
			continue;
		len = btf__resolve_size(btf, out->id);
		if (bits)
			len = (at % 8 + bits + 7) / 8;
		if (off >= out->off && off < out->off + len) {
			/* a bitfield may be read with its neighbours */
			if (bits)
				out->off = off;
			return true;
		}
	}
	return false;
}

int btf_walk(struct verifier *v, const struct reg *r, int regno, int32_t fixed, unsigned int size,
	     struct ctx_access *out)
{
	const struct btf *btf = btf_vmlinux();
	const struct btf_type *t = type_at(btf, r->btf_id);
	const char *name = btf_struct_name(r->btf_id);
	int64_t off = (int64_t)r->off + fixed;
	uint32_t id;

	if (!tnum_is_const(r->var_off)) {
		verbose(v,
			"R%d is ptr_%s invalid variable offset: off=%d, var_off=%s\n", regno, name,
			fixed, tnum_text(r->var_off).s);
		return -EACCES;
	}
	off += (int64_t)r->var_off.value;
	if (off < 0) {
		verbose(v, "R%d is ptr_%s invalid negative access: off=%lld\n", regno, name,
			(long long)off);
		return -EACCES;
	}
	for (int depth = 0; depth < 32; depth++) {
		struct member m;
		const struct btf_array *a;
		int64_t len;

		if (!is_struct_type(t) || off + size > t->size) {
			verbose(v, "access beyond struct %s at off %lld size %u\n", name,
				(long long)off, size);
			return -EACCES;
		}
		if (!find_member(btf, t, off, size, &m)) {
			verbose(v, "struct %s doesn't have field at offset %lld\n", name,
				(long long)off);
			return -EACCES;
		}
		if (m.bits)
			return 0;
		off -= m.off;
		t = m.t;
		while (btf_is_array(t)) {
			a = btf_array(t);
			id = a->type;
			t = skip_mods(btf, &id);
			len = t ? btf__resolve_size(btf, id) : 0;
			if (len <= 0)
				return 0;
			off %= len;
		}
		if (is_struct_type(t))
			continue;
		if (!btf_is_ptr(t)) {
			len = btf_is_int(t) || btf_is_any_enum(t) ? t->size : 8;
			if (off + size > (uint32_t)len) {
				verbose(v,
					"access beyond the end of member in struct %s with off "
					"%lld size %u\n",
					name, (long long)off, size);
				return -EACCES;
			}
			return 0;
		}
		if (size != 8 || off) {
			verbose(v, "cannot access ptr member in struct %s with off %lld size %u\n",
				name, (long long)off, size);
			return -EACCES;
		}
		id = t->type;
		if (is_struct_type(skip_mods(btf, &id))) {
			out->kind = REG_BTF_ID;
			out->btf_id = id;
			out->rcu = !depth && walk_is_rcu(v, r, name, m.name);
		}
		return 0;
	}
	return -EACCES;
}

static const struct bpf_func_info *func_info_at(const struct vm_prog *p, uint32_t i)
{
	return (const void *)((const char *)p->func_info + (size_t)i * p->func_info_rec_size);
}

static const struct bpf_line_info *line_info_at(const struct vm_prog *p, uint32_t i)
{
	return (const void *)((const char *)p->line_info + (size_t)i * p->line_info_rec_size);
}

/* What ends a function early with an integer: only where its type says that it is one. */
static int check_early_return(struct verifier *v, uint32_t s, const struct btf_type *ret)
{
	const struct subprog *p = &v->subprogs[s];
	const bool integer =
		ret && (btf_is_any_enum(ret) || (btf_is_int(ret) && ret->size <= sizeof(uint64_t)));
	const char *why = v->prog->func_info_cnt ? "only allowed in functions that return 'int'."
						 : "not allowed in subprogs without BTF";

	if (!s || integer || !(p->ld_abs || p->tail_call))
		return 0;
	verbose(v, "%s is %s\n", p->ld_abs ? "LD_ABS" : "tail_call", why);
	return -EINVAL;
}

static int check_func_info(struct verifier *v)
{
	const struct vm_prog *p = v->prog;

	if (!p->func_info || !p->func_info_cnt) {
		for (uint32_t s = 1; s < v->subprog_cnt; s++)
			if (check_early_return(v, s, NULL))
				return -EINVAL;
		return 0;
	}
	if (!p->btf || p->func_info_rec_size < sizeof(struct bpf_func_info)) {
		verbose(v, "invalid func info rec size %u\n", p->func_info_rec_size);
		return -EINVAL;
	}
	if (p->func_info_cnt != v->subprog_cnt) {
		verbose(v, "number of funcs in func_info doesn't match number of subprogs\n");
		return -EINVAL;
	}
	for (uint32_t i = 0; i < p->func_info_cnt; i++) {
		const struct bpf_func_info *f = func_info_at(p, i);
		const struct btf_type *t = type_at(p->btf, f->type_id), *proto;
		uint32_t id;

		if (f->insn_off != v->subprogs[i].start) {
			verbose(v, "func_info BTF section doesn't match subprog layout in BPF "
				   "program\n");
			return -EINVAL;
		}
		proto = t && btf_is_func(t) ? type_at(p->btf, t->type) : NULL;
		if (!proto || !btf_is_func_proto(proto)) {
			verbose(v, "invalid type id %u in func info\n", f->type_id);
			return -EINVAL;
		}
		id = proto->type;
		if (check_early_return(v, i, skip_mods(p->btf, &id)))
			return -EINVAL;
		v->subprogs[i].type_id = f->type_id;
		v->subprogs[i].name = btf__name_by_offset(p->btf, t->name_off);
		v->subprogs[i].global = i && btf_vlen(t) == BTF_FUNC_GLOBAL;
	}
	return 0;
}

int btf_check_info(struct verifier *v)
{
	const struct vm_prog *p = v->prog;
	int err = check_func_info(v);

	if (err || !p->line_info || !p->line_info_cnt)
		return err;
	if (!p->btf || p->line_info_rec_size < sizeof(struct bpf_line_info)) {
		verbose(v, "invalid line info rec size %u\n", p->line_info_rec_size);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < p->line_info_cnt; i++) {
		const struct bpf_line_info *l = line_info_at(p, i);

		if (l->insn_off >= p->insn_cnt ||
		    (i && l->insn_off <= line_info_at(p, i - 1)->insn_off)) {
			verbose(v, "Invalid line_info[%u].insn_off:%u (insn_cnt:%u)\n", i,
				l->insn_off, p->insn_cnt);
			return -EINVAL;
		}
		if (!btf__name_by_offset(p->btf, l->line_off) ||
		    !btf__name_by_offset(p->btf, l->file_name_off)) {
			verbose(v, "Invalid line_info[%u].line_off or .file_name_off\n", i);
			return -EINVAL;
		}
	}
	return 0;
}

void btf_print_line(struct verifier *v, uint32_t insn)
{
	const struct vm_prog *p = v->prog;
	const struct bpf_line_info *l;
	const char *text, *file, *base;
	uint32_t lo = 0, hi = p->line_info_cnt;

	if (!p->line_info || !p->btf)
		return;
	while (lo < hi) { /* the last one at or before insn */
		uint32_t mid = (lo + hi) / 2;

		if (line_info_at(p, mid)->insn_off <= insn)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || lo == v->last_line)
		return;
	v->last_line = lo;
	l = line_info_at(p, lo - 1);
	text = btf__name_by_offset(p->btf, l->line_off);
	file = btf__name_by_offset(p->btf, l->file_name_off);
	base = strrchr(file, '/');
	while (*text == ' ' || *text == '\t')
		text++;
	verbose(v, "; %s @ %s:%u\n", text, base ? base + 1 : file, l->line_col >> 10);
}

/* One argument of a global function. */
struct global_arg {
	uint8_t kind; /* REG_SCALAR, REG_CTX or REG_MEM */
	uint32_t size;
};

static const char *ctx_type_name(const struct verifier *v)
{
	switch (v->group) {
	case HPROG_SOCKET_FILTER:
	case HPROG_TC:
	case HPROG_CGROUP_SKB:
	case HPROG_LWT:
	case HPROG_LWT_XMIT:
	case HPROG_SK_SKB:
	case HPROG_FLOW_DISSECTOR:
		return "__sk_buff";
	case HPROG_CGROUP_SOCK:
		return "bpf_sock";
	case HPROG_SOCK_ADDR:
		return "bpf_sock_addr";
	case HPROG_SOCK_OPS:
		return "bpf_sock_ops";
	case HPROG_SK_MSG:
		return "sk_msg_md";
	case HPROG_SK_LOOKUP:
		return "bpf_sk_lookup";
	case HPROG_SK_REUSEPORT:
		return "sk_reuseport_md";
	case HPROG_CGROUP_DEVICE:
		return "bpf_cgroup_dev_ctx";
	case HPROG_CGROUP_SYSCTL:
		return "bpf_sysctl";
	case HPROG_CGROUP_SOCKOPT:
		return "bpf_sockopt";
	case HPROG_XDP:
		return "xdp_md";
	case HPROG_KPROBE:
		return "pt_regs";
	case HPROG_PERF_EVENT:
		return "bpf_perf_event_data";
	case HPROG_RAW_TP:
		return "bpf_raw_tracepoint_args";
	}
	return NULL;
}

/* The number of arguments, or -EINVAL. */
static int global_proto(struct verifier *v, uint32_t subprog, struct global_arg arg[5])
{
	const struct btf *btf = v->prog->btf;
	const struct btf_type *func = type_at(btf, v->subprogs[subprog].type_id), *proto, *t;
	const char *fname = v->subprogs[subprog].name;
	uint32_t id;
	int n;

	proto = func ? type_at(btf, func->type) : NULL;
	if (!proto)
		return -EINVAL;
	n = btf_vlen(proto);
	if (n > 5) {
		verbose(v, "Global function %s() with %d > 5 args. Buggy compiler.\n", fname, n);
		return -EINVAL;
	}
	id = proto->type;
	if (id && !is_scalar_type(skip_mods(btf, &id))) {
		verbose(v,
			"Global function %s() return value not void or scalar. Only those are "
			"supported.\n",
			fname);
		return -EINVAL;
	}
	for (int i = 0; i < n; i++) {
		const char *name, *ctx = ctx_type_name(v);
		int64_t size;

		id = btf_params(proto)[i].type;
		t = skip_mods(btf, &id);
		if (is_scalar_type(t)) {
			arg[i].kind = REG_SCALAR;
			continue;
		}
		if (!t || !btf_is_ptr(t)) {
			verbose(v, "Arg#%d type in %s() is not supported yet.\n", i, fname);
			return -EINVAL;
		}
		id = t->type;
		t = skip_mods(btf, &id);
		name = t ? btf__name_by_offset(btf, t->name_off) : NULL;
		if (is_struct_type(t) && ctx && name && !strcmp(name, ctx)) {
			arg[i].kind = REG_CTX;
			continue;
		}
		size = t && !btf_is_fwd(t) ? btf__resolve_size(btf, id) : -1;
		if (size <= 0 || size >= VER_MAX_VAR_OFF) {
			verbose(v, "arg#%d reference type('%s') size cannot be determined\n", i,
				name ? name : "UNKNOWN");
			return -EINVAL;
		}
		arg[i].kind = REG_MEM;
		arg[i].size = size;
	}
	return n;
}

int btf_global_args(struct verifier *v, uint32_t subprog, struct frame *f)
{
	struct global_arg arg[5];
	int n = global_proto(v, subprog, arg);

	for (int i = 0; i < n; i++) {
		struct reg *r = &f->regs[i + 1];

		switch (arg[i].kind) {
		case REG_SCALAR:
			reg_mark_unknown(r);
			break;
		case REG_CTX:
			reg_mark_pointer(r, REG_CTX);
			break;
		default:
			reg_mark_pointer(r, REG_MEM);
			r->mem_size = arg[i].size;
			r->or_null = true;
			r->id = ++v->id_gen;
			break;
		}
	}
	return n < 0 ? n : 0;
}

/* size bytes at R[regno] are there, readable and writable. */
static int check_mem_arg(struct verifier *v, int regno, uint32_t size)
{
	struct reg *r = &cur_regs(v)[regno], was = *r;
	int err = -EINVAL;

	if (reg_is_zero(r)) {
		flow_need_reg(v, v->cur->cur, regno);
		return 0;
	}
	/* NULL is handled on the other side; bounds are those of what it may be */
	r->or_null = false;
	switch (r->kind) {
	case REG_STACK:
		err = stack_helper_access(v, regno, size, true, false);
		break;
	case REG_MAP_VALUE:
		err = check_map_flags(v, regno, r->off, size, false);
		if (!err)
			err = check_map_flags(v, regno, r->off, size, true);
		if (!err)
			err = check_map_region(v, regno, 0, size, false);
		break;
	case REG_MEM:
		err = r->rdonly ? -EACCES : check_region(v, regno, 0, size, r->mem_size, false);
		break;
	default:
		verbose(v, "R%d type=%s expected=fp, map_value, mem\n", regno, reg_kind_name(r));
		break;
	}
	r = &cur_regs(v)[regno];
	r->or_null = was.or_null;
	return err;
}

int btf_check_global_call(struct verifier *v, uint32_t subprog)
{
	struct global_arg arg[5];
	int n = global_proto(v, subprog, arg);

	for (int i = 0; i < n; i++) {
		const int regno = i + 1;
		const struct reg *r = &cur_regs(v)[regno];
		int err = check_reg_read(v, regno);

		if (err)
			return err;
		switch (arg[i].kind) {
		case REG_SCALAR:
			if (r->kind == REG_SCALAR)
				break;
			verbose(v, "R%d is not a scalar\n", regno);
			return -EINVAL;
		case REG_CTX:
			if (r->kind == REG_CTX && !r->off && tnum_is_const(r->var_off) &&
			    !r->var_off.value)
				break;
			verbose(v, "arg#%d expected pointer to ctx, but got %s\n", i,
				reg_kind_name(r));
			return -EINVAL;
		default:
			err = check_mem_arg(v, regno, arg[i].size);
			if (err)
				return -EINVAL;
			break;
		}
	}
	return n < 0 ? n : 0;
}
