/* SPDX-License-Identifier: BSD-2-Clause */
/* Timers and work queues in map values, and the functions that they call. */
#include "vm/verifier_int.h"

int check_timer(struct verifier *v, int regno, bool wq, uint32_t *map)
{
	const char *name = wq ? "bpf_wq" : "bpf_timer";
	const struct reg *r = &cur_regs(v)[regno];
	const struct map *m;
	uint32_t at;

	if (r->kind != REG_MAP_VALUE || r->or_null) {
		if (wq)
			verbose(v, "arg#%d doesn't point to a map value\n", regno - 1);
		else
			verbose(v, "R%d type=%s expected=map_value\n", regno, reg_kind_name(r));
		return wq ? -EINVAL : -EACCES;
	}
	m = ver_map(v, r->map);
	if (!tnum_is_const(r->var_off)) {
		verbose(v,
			"R%d doesn't have constant offset. %s has to be at the constant offset\n",
			regno, name);
		return -EINVAL;
	}
	at = wq ? m->attr.wq_at : m->attr.timer_at;
	if (!m->attr.btf_id && !(r->map & VER_MAP_INNER)) {
		verbose(v, "map '%.16s' has to have BTF in order to use %s\n", m->attr.name, name);
		return -EINVAL;
	}
	if (!at) {
		verbose(v, "map '%.16s' has no valid %s\n", m->attr.name, name);
		return -EINVAL;
	}
	if ((int64_t)r->var_off.value + r->off != at - 1) {
		verbose(v, "off %lld doesn't point to 'struct %s' that is at %u\n",
			(long long)r->var_off.value + r->off, name, at - 1);
		return -EINVAL;
	}
	*map = r->map;
	return 0;
}

int check_no_timer(struct verifier *v, const struct map *m, int64_t from, int64_t end)
{
	const struct {
		uint32_t at;
		const char *name;
	} fields[] = {{m->attr.timer_at, "bpf_timer"}, {m->attr.wq_at, "bpf_wq"}};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (!fields[i].at || from >= (int64_t)fields[i].at - 1 + MAP_TIMER_SIZE ||
		    end <= (int64_t)fields[i].at - 1)
			continue;
		verbose(v, "%s cannot be accessed directly by load/store\n", fields[i].name);
		return -EACCES;
	}
	return 0;
}

int check_async_callback(struct verifier *v, int regno, uint32_t map)
{
	const struct reg *r = &cur_regs(v)[regno];
	const struct async_callback a = {r->subprog, map};

	if (r->kind != REG_FUNC) {
		verbose(v, "R%d type=%s expected=func\n", regno, reg_kind_name(r));
		return -EACCES;
	}
	/* who starts a timer is told by the instruction which functions may be called */
	if (v->aux[v->insn].callback_pc != VM_PC_NONE &&
	    v->aux[v->insn].callback_pc != v->subprogs[a.subprog].start) {
		verbose(v, "same insn cannot be used with different callbacks\n");
		return -EINVAL;
	}
	v->aux[v->insn].callback_pc = v->subprogs[a.subprog].start;
	v->aux[v->insn].sets_callback = true;
	*(map & VER_MAP_INNER ? &v->aux[v->insn].callback_inner : &v->aux[v->insn].callback_maps) |=
		1ULL << (map & ~VER_MAP_INNER & 63);
	for (uint32_t i = 0; i < v->async_cnt; i++)
		if (v->async[i].subprog == a.subprog && v->async[i].map == a.map)
			return 0;
	if (v->async_cnt == VER_MAX_ASYNC) {
		verbose(v, "too many callbacks of timers\n");
		return -E2BIG;
	}
	v->async[v->async_cnt++] = a;
	v->subprogs[a.subprog].async = true;
	return 0;
}

void async_args(struct verifier *v, const struct async_callback *a, struct frame *f)
{
	reg_mark_pointer(&f->regs[1], REG_MAP_PTR);
	reg_mark_pointer(&f->regs[2], REG_MAP_KEY);
	reg_mark_pointer(&f->regs[3], REG_MAP_VALUE);
	f->regs[1].map = f->regs[2].map = f->regs[3].map = a->map;
	f->regs[3].id = ++v->id_gen;
}
