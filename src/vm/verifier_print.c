/* SPDX-License-Identifier: BSD-2-Clause */
/* States in the log, in the kernel's notation. */
#include "vm/verifier_int.h"

#include <stdio.h>
#include <string.h>

const char *reg_kind_name(const struct reg *r)
{
	switch (r->kind) {
	case REG_NOT_INIT:
		return "?";
	case REG_SCALAR:
		return "scalar";
	case REG_CTX:
		return "ctx";
	case REG_MAP_PTR:
		return "map_ptr";
	case REG_MAP_VALUE:
		return r->or_null ? "map_value_or_null" : "map_value";
	case REG_MAP_KEY:
		return "map_key";
	case REG_STACK:
		return "fp";
	case REG_PKT_META:
		return "pkt_meta";
	case REG_PKT:
		return "pkt";
	case REG_PKT_END:
		return "pkt_end";
	case REG_BTF_ID:
		return r->trusted ? "trusted_ptr_" : r->rcu ? "rcu_ptr_" : "ptr_";
	case REG_MEM:
		if (r->ringbuf)
			return r->or_null ? "ringbuf_mem_or_null" : "ringbuf_mem";
		if (r->rdonly)
			return r->or_null ? "rdonly_mem_or_null" : "rdonly_mem";
		return r->or_null ? "mem_or_null" : "mem";
	case REG_FUNC:
		return "func";
	case REG_SOCK_COMMON:
		return r->or_null ? "sock_common_or_null" : "sock_common";
	case REG_SOCKET:
		return r->or_null ? "sock_or_null" : "sock";
	case REG_DYNPTR:
		return "dynptr_ptr";
	}
	return "?";
}

void print_tnum(struct verifier *v, struct tnum t)
{
	verbose(v, "(0x%llx; 0x%llx)", (unsigned long long)t.value, (unsigned long long)t.mask);
}

struct tnum_text tnum_text(struct tnum t)
{
	struct tnum_text text;

	if (!tnum_is_const(t))
		snprintf(text.s, sizeof(text.s), "(0x%llx; 0x%llx)", (unsigned long long)t.value,
			 (unsigned long long)t.mask);
	else
		snprintf(text.s, sizeof(text.s), t.value <= UINT16_MAX ? "%llu" : "0x%llx",
			 (unsigned long long)t.value);
	return text;
}

static void print_number(struct verifier *v, long long n, bool is_signed)
{
	if (is_signed && n >= INT16_MIN && n <= INT16_MAX)
		verbose(v, "%lld", n);
	else if (!is_signed && (unsigned long long)n <= UINT16_MAX)
		verbose(v, "%llu", (unsigned long long)n);
	else
		verbose(v, "0x%llx", (unsigned long long)n);
}

struct bound {
	const char *name;
	long long value;
	bool omit, is_signed;
};

/* "smin=0,smax=umax=255": bounds of the same value share their text. */
static void print_bounds(struct verifier *v, const struct reg *r, const char **sep)
{
	const struct bound b[] = {
		{"smin", r->smin, r->smin == INT64_MIN, true},
		{"smax", r->smax, r->smax == INT64_MAX, true},
		{"umin", (long long)r->umin, r->umin == 0, false},
		{"umax", (long long)r->umax, r->umax == UINT64_MAX, false},
		{"smin32", r->s32_min, r->s32_min == INT32_MIN, true},
		{"smax32", r->s32_max, r->s32_max == INT32_MAX, true},
		{"umin32", r->u32_min, r->u32_min == 0, false},
		{"umax32", r->u32_max, r->u32_max == UINT32_MAX, false},
	};
	bool done[ARRAY_SIZE(b)] = {false};

	for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
		if (b[i].omit || done[i])
			continue;
		verbose(v, "%s%s=", *sep, b[i].name);
		*sep = ",";
		for (size_t j = i + 1; j < ARRAY_SIZE(b); j++)
			if (!b[j].omit && !done[j] && b[j].value == b[i].value) {
				verbose(v, "%s=", b[j].name);
				done[j] = true;
			}
		print_number(v, b[i].value, b[i].is_signed);
	}
}

static void print_reg(struct verifier *v, const struct reg *r)
{
	const char *sep = "";

	if (r->kind == REG_SCALAR && tnum_is_const(r->var_off)) {
		print_number(v, (int64_t)r->var_off.value, true);
		return;
	}
	if (r->kind == REG_BTF_ID)
		verbose(v, "%s%s", reg_kind_name(r), btf_struct_name(r->btf_id));
	else
		verbose(v, "%s", reg_kind_name(r));
	if (r->kind == REG_STACK) {
		if (r->frame != v->cur->cur)
			verbose(v, "[%u]", r->frame);
		if (tnum_is_const(r->var_off)) {
			const long long off = (int64_t)r->var_off.value + r->off;

			if (off)
				verbose(v, "%lld", off);
			else
				verbose(v, "0");
			return;
		}
	}
	verbose(v, "(");
	if (r->id)
		verbose(v, "id=%u", r->id), sep = ",";
	if (r->added)
		verbose(v, "%+d", r->off);
	if (r->ref_id)
		verbose(v, "%sref_obj_id=%u", sep, r->ref_id), sep = ",";
	if (r->kind == REG_MAP_PTR || r->kind == REG_MAP_VALUE || r->kind == REG_MAP_KEY) {
		const struct map_attr *a = &ver_map(v, r->map)->attr;

		if (a->name[0])
			verbose(v, "%smap=%.16s", sep, a->name), sep = ",";
		verbose(v, "%sks=%u,vs=%u", sep, a->key_size, a->value_size), sep = ",";
	}
	if (r->kind != REG_SCALAR && r->off)
		verbose(v, "%soff=%d", sep, r->off), sep = ",";
	if (reg_is_pkt(r))
		verbose(v, "%sr=%d", sep, r->range), sep = ",";
	if (r->kind == REG_MEM)
		verbose(v, "%ssz=%u", sep, r->mem_size), sep = ",";
	if (!tnum_is_const(r->var_off)) {
		print_bounds(v, r, &sep);
		if (r->var_off.mask != UINT64_MAX) {
			verbose(v, "%svar_off=", sep);
			print_tnum(v, r->var_off);
		}
	} else if (r->var_off.value) {
		verbose(v, "%simm=%lld", sep, (long long)r->var_off.value);
	}
	verbose(v, ")");
}

static void print_slot(struct verifier *v, const struct slot *s, uint32_t i)
{
	char text[VER_SLOT + 1];
	bool any = false;

	for (int b = 0; b < VER_SLOT; b++) {
		/* highest address first, as a number is written */
		text[b] = "?rm0di"[s->kind[VER_SLOT - 1 - b]];
		any |= s->kind[b] != SLOT_INVALID;
	}
	text[VER_SLOT] = 0;
	if (!any)
		return;
	verbose(v, " fp-%u=", (i + 1) * VER_SLOT);
	if (s->kind[0] == SLOT_SPILL) {
		if (s->kind[VER_SLOT - 1] != SLOT_SPILL)
			verbose(v, "%s", text);
		else
			print_reg(v, &s->spilled);
		return;
	}
	verbose(v, "%s", text);
}

void print_state(struct verifier *v, const struct state *s, uint32_t frame, uint32_t regs,
		 uint64_t slots, bool all)
{
	const struct frame *f = s->frames[frame];

	if (frame)
		verbose(v, " frame%u:", frame);
	for (int i = 0; i < VER_REGS; i++) {
		if (f->regs[i].kind == REG_NOT_INIT || !(all || (regs & 1 << i)))
			continue;
		verbose(v, " R%d=", i);
		print_reg(v, &f->regs[i]);
	}
	for (uint32_t i = 0; i < f->slot_cnt; i++)
		if (all || (slots & 1ULL << i))
			print_slot(v, &f->slots[i], i);
	for (uint32_t i = 0; all && i < s->ref_cnt; i++)
		verbose(v, "%s%u", i ? "," : " refs=", s->refs[i].id);
}
