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
	case REG_TCP_SOCK:
		return r->or_null ? "tcp_sock_or_null" : "tcp_sock";
	case REG_FLOW_KEYS:
		return "flow_keys";
	case REG_DYNPTR:
		return "dynptr_ptr";
	}
	return "?";
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

static void print_signed(struct verifier *v, int64_t n)
{
	verbose(v, n >= INT16_MIN && n <= INT16_MAX ? "%lld" : "0x%llx", (long long)n);
}

static void print_unsigned(struct verifier *v, uint64_t n)
{
	verbose(v, n <= UINT16_MAX ? "%llu" : "0x%llx", (unsigned long long)n);
}

struct bound {
	const char *name;
	long long value;
	bool omit, is_signed;
};

/* A 32-bit bound that is shown in hex is shown without its sign. */
static int64_t narrow(int32_t n)
{
	return n >= INT16_MIN && n <= INT16_MAX ? n : (int64_t)(uint32_t)n;
}

/*
 * "smin=0,smax=umax=255": bounds of the same value share their text; minima with minima,
 * maxima with maxima.
 */
static void print_bounds(struct verifier *v, const struct reg *r, const char **sep)
{
	struct bound b[] = {
		{"smin", r->smin, r->smin == INT64_MIN, true},
		{"smax", r->smax, r->smax == INT64_MAX, true},
		{"umin", (int64_t)r->umin, r->umin == 0, false},
		{"umax", (int64_t)r->umax, r->umax == UINT64_MAX, false},
		{"smin32", narrow(r->s32_min), r->s32_min == INT32_MIN, true},
		{"smax32", narrow(r->s32_max), r->s32_max == INT32_MAX, true},
		{"umin32", r->u32_min, r->u32_min == 0, false},
		{"umax32", r->u32_max, r->u32_max == UINT32_MAX, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
		if (b[i].omit)
			continue;
		verbose(v, "%s%s=", *sep, b[i].name);
		*sep = ",";
		for (size_t j = i + 2; j < ARRAY_SIZE(b); j += 2) {
			/* a negative number and a large one are not the same */
			if (b[j].omit || b[j].value != b[i].value ||
			    (b[j].is_signed && b[j].value < 0) !=
				    (b[i].is_signed && b[i].value < 0))
				continue;
			b[j].omit = true;
			verbose(v, "%s=", b[j].name);
		}
		if (b[i].is_signed)
			print_signed(v, b[i].value);
		else
			print_unsigned(v, b[i].value);
	}
}

static void print_map(struct verifier *v, const struct reg *r, const char **sep)
{
	const struct map_attr *a = &ver_map(v, r->map)->attr;

	if (a->name[0])
		verbose(v, "%smap=%.16s", *sep, a->name), *sep = ",";
	verbose(v, "%sks=%u,vs=%u", *sep, a->key_size, a->value_size), *sep = ",";
}

static void print_reg(struct verifier *v, const struct reg *r, uint32_t frame)
{
	const char *sep = "";

	if (r->kind == REG_SCALAR && tnum_is_const(r->var_off)) {
		print_signed(v, (int64_t)r->var_off.value);
		return;
	}
	if (r->kind == REG_BTF_ID)
		verbose(v, "%s%s", reg_kind_name(r), btf_struct_name(r->btf_id));
	else
		verbose(v, "%s", reg_kind_name(r));
	if (r->kind == REG_STACK) {
		if (r->frame != frame)
			verbose(v, "[%u]", r->frame);
		if (tnum_is_const(r->var_off)) {
			print_signed(v, (int64_t)r->var_off.value + r->off);
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
	if (r->kind == REG_MAP_PTR || r->kind == REG_MAP_VALUE || r->kind == REG_MAP_KEY)
		print_map(v, r, &sep);
	if (r->kind != REG_SCALAR && r->off) {
		verbose(v, "%soff=", sep), sep = ",";
		print_signed(v, r->off);
	}
	if (reg_is_pkt(r)) {
		verbose(v, "%sr=", sep), sep = ",";
		print_unsigned(v, (uint64_t)(int64_t)r->range);
	}
	if (r->kind == REG_MEM) {
		verbose(v, "%ssz=", sep), sep = ",";
		print_unsigned(v, r->mem_size);
	}
	if (!tnum_is_const(r->var_off)) {
		print_bounds(v, r, &sep);
		if (r->var_off.mask != UINT64_MAX)
			verbose(v, "%svar_off=%s", sep, tnum_text(r->var_off).s);
	} else if (r->var_off.value) {
		verbose(v, "%simm=", sep);
		print_signed(v, (int64_t)r->var_off.value);
	}
	verbose(v, ")");
}

static void print_slot(struct verifier *v, const struct slot *s, uint32_t i, uint32_t frame)
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
	if (s->kind[0] != SLOT_SPILL) {
		verbose(v, " fp-%u=%s", (i + 1) * VER_SLOT, text);
		return;
	}
	*strchr(text, 'r') = 0; /* what is above the register's bytes */
	verbose(v, " fp-%u=%s", (i + 1) * VER_SLOT, text);
	print_reg(v, &s->spilled, frame);
}

void print_state(struct verifier *v, const struct state *s, uint32_t frame, uint32_t regs,
		 uint64_t slots, bool all)
{
	const struct frame *f = s->frames[frame];
	const char *sep = " refs=";

	if (frame)
		verbose(v, " frame%u:", frame);
	for (int i = 0; i < VER_REGS; i++) {
		if (f->regs[i].kind == REG_NOT_INIT || !(all || (regs & 1 << i)))
			continue;
		verbose(v, " R%d=", i);
		print_reg(v, &f->regs[i], frame);
	}
	for (uint32_t i = 0; i < f->slot_cnt; i++)
		if (all || (slots & 1ULL << i))
			print_slot(v, &f->slots[i], i, frame);
	for (uint32_t i = 0; i < s->ref_cnt; i++, sep = ",")
		verbose(v, "%s%u", sep, s->refs[i].id);
	if (s->locked && s->lock_id)
		verbose(v, "%s%u", sep, s->lock_id);
	if (f->callback)
		verbose(v, " cb");
}
