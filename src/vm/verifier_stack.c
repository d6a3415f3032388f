/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The frame's 512 bytes: 64 slots of 8, each byte either never written, part
 * of a spilled register, zero, or anything.
 *
 * A byte that was never written may be read, as the kernel lets privileged programs
 * do: compilers leave the padding of keys and values unwritten. It is any number;
 * and whoever executes the program is told to begin with zeroes, so that nothing
 * of its own memory gets into a map.
 */
#include "vm/verifier_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The slot of the byte at fp + off (off < 0), and the byte's place in it. */
#define SLOT_OF(off) ((-(off)-1) / VER_SLOT)
#define BYTE_OF(off) (VER_SLOT - 1 - (-(off)-1) % VER_SLOT)

static struct frame *frame_of(struct verifier *v, const struct reg *ptr)
{
	return v->cur->frames[ptr->frame];
}

/* An access of size bytes at ptr + off lies in the frame, for every value that
 * the pointer may have. */
int stack_check_bounds(struct verifier *v, const struct reg *ptr, int regno, int32_t off,
		       uint32_t size, const char *what)
{
	int64_t min, max;

	if (tnum_is_const(ptr->var_off)) {
		min = max = (int64_t)ptr->var_off.value + ptr->off + off;
	} else {
		if (ptr->smax >= VER_MAX_VAR_OFF || ptr->smin <= -VER_MAX_VAR_OFF) {
			verbose(v, "invalid unbounded variable-offset %s stack R%d\n", what, regno);
			return -EACCES;
		}
		min = ptr->smin + ptr->off + off;
		max = ptr->smax + ptr->off + off;
	}
	if (min >= -VER_MAX_STACK && min < 0 && max < 0 && max + (int64_t)size <= 0)
		return 0;
	if (tnum_is_const(ptr->var_off)) {
		verbose(v, "invalid %s stack R%d off=%lld size=%u\n", what, regno, (long long)min,
			size);
	} else {
		verbose(v, "invalid variable-offset %s stack R%d var_off=%s off=%d size=%u\n", what,
			regno, tnum_text(ptr->var_off).s, ptr->off + off, size);
	}
	/* errno as the kernel has it: begins inside, ends above */
	return min >= -VER_MAX_STACK && min < 0 ? -EINVAL : -EACCES;
}

/* The log shows what [min, end) became. */
static void show_slots(struct verifier *v, int64_t min, int64_t end)
{
	for (int64_t off = min; off < end; off++)
		v->print_slots |= 1ULL << SLOT_OF(off);
}

static int use_stack(struct verifier *v, struct frame *f, int64_t min)
{
	uint32_t depth = -min;

	if (v->subprogs[f->subprog].stack < depth)
		v->subprogs[f->subprog].stack = depth;
	return frame_grow(f, SLOT_OF(min) + 1);
}

/* Before some of its bytes are written: the others are no more than bytes. */
static void slot_scrub(struct slot *s)
{
	if (s->kind[0] == SLOT_SPILL || s->kind[0] == SLOT_ITER)
		for (int i = 0; i < VER_SLOT; i++)
			if (s->kind[i] == SLOT_SPILL || s->kind[i] == SLOT_ITER)
				s->kind[i] = SLOT_MISC;
}

static int check_no_dynptr(struct verifier *v, struct frame *f, int64_t min, int64_t end)
{
	int err = 0;

	for (int64_t off = min; off < end && !err; off++)
		err = dynptr_overwrite(v, f, SLOT_OF(off));
	return err;
}

/* Bits up to the highest that may be set. */
static unsigned int reg_width(const struct reg *r)
{
	return r->umax ? 64 - __builtin_clzll(r->umax) : 0;
}

static int write_fixed(struct verifier *v, const struct reg *ptr, int64_t off, unsigned int size,
		       int value_regno, const struct reg *value)
{
	struct frame *f = frame_of(v, ptr);
	struct slot *s;
	uint8_t kind = SLOT_MISC;
	int err = use_stack(v, f, off);

	if (!err)
		err = check_no_dynptr(v, f, off, off + size);
	if (err)
		return err;
	show_slots(v, off, off + size);
	s = &f->slots[SLOT_OF(off)];
	/* not kept track of: what is loaded again is a number */
	if (value && value->kind == REG_DYNPTR)
		value = NULL;
	if (value && value->kind != REG_SCALAR) {
		if (size != VER_SLOT) {
			verbose(v, "invalid size of register spill\n");
			return -EACCES;
		}
		if (value->kind == REG_STACK && ptr->frame != v->cur->cur) {
			verbose(v,
				"cannot spill pointers to stack into stack frame of the caller\n");
			return -EINVAL;
		}
	}
	if (value && (BYTE_OF(off) == 0 || reg_is_zero(value)))
		slices_leave_bytes(v, ptr->frame, off, off + size);
	if (value && BYTE_OF(off) == 0) {
		/* The whole register is remembered, however much of it is stored: as the
		 * kernel does it, and shows it. */
		struct reg spilled = *value;

		if (value->kind == REG_SCALAR && value_regno >= 0) {
			err = flow_add_spill(v, ptr->frame, 1ULL << SLOT_OF(off));
			if (err)
				return err;
			/* register and slot hold one value: what a test tells of the one
			 * holds for the other */
			if (reg_width(value) <= size * 8) {
				scalar_name(v, &cur_regs(v)[value_regno]);
				spilled = cur_regs(v)[value_regno];
			} else {
				spilled.id = 0;
			}
		}
		if (size == VER_SLOT) {
			memset(s->kind, SLOT_SPILL, VER_SLOT);
		} else {
			memset(s->kind, SLOT_SPILL, size);
			for (unsigned int i = size; i < VER_SLOT; i++)
				if (s->kind[i] != SLOT_ZERO && s->kind[i] != SLOT_INVALID)
					s->kind[i] = SLOT_MISC;
		}
		s->spilled = spilled;
		return 0;
	}
	if (value && reg_is_zero(value)) {
		kind = SLOT_ZERO;
		if (value_regno >= 0) /* a zero byte is always compared as such */
			flow_need_reg(v, v->cur->cur, value_regno);
	}
	slot_scrub(s);
	for (unsigned int i = 0; i < size; i++)
		s->kind[BYTE_OF(off) + i] = kind;
	return 0;
}

/* One of several slots is written, nobody knows which: all may hold anything. */
static int write_variable(struct verifier *v, const struct reg *ptr, int64_t min, int64_t max,
			  unsigned int size, const struct reg *value)
{
	struct frame *f = frame_of(v, ptr);
	const bool zero = value && reg_is_zero(value);
	int err = use_stack(v, f, min);

	if (!err)
		err = check_no_dynptr(v, f, min, max + size);
	if (err)
		return err;
	show_slots(v, min, max + size);
	for (int64_t off = min; off < max + size; off++) {
		struct slot *s = &f->slots[SLOT_OF(off)];

		slot_scrub(s);
		if (zero && s->kind[BYTE_OF(off)] == SLOT_ZERO)
			continue;
		if (s->kind[BYTE_OF(off)] == SLOT_INVALID)
			v->zero_stack = true;
		s->kind[BYTE_OF(off)] = SLOT_MISC;
	}
	return 0;
}

int stack_write(struct verifier *v, const struct reg *ptr, int regno, int32_t off,
		unsigned int size, int value_regno, const struct reg *imm)
{
	const struct reg *value = value_regno >= 0 ? &cur_regs(v)[value_regno] : imm;
	const struct reg p = *ptr;
	int err = stack_check_bounds(v, ptr, regno, off, size, "write to");

	if (err)
		return err;
	if (tnum_is_const(p.var_off))
		return write_fixed(v, &p, (int64_t)p.var_off.value + p.off + off, size, value_regno,
				   value);
	if (value_regno >= 0 && value->kind == REG_SCALAR)
		flow_need_reg(v, v->cur->cur, value_regno);
	return write_variable(v, &p, p.smin + p.off + off, p.smax + p.off + off, size, value);
}

/* regno -1: a load of the program, not a helper */
static int unreadable(struct verifier *v, int regno, int64_t off, int64_t i, uint32_t size)
{
	char reg[16] = "";

	if (regno >= 0)
		snprintf(reg, sizeof(reg), "R%d ", regno);
	verbose(v, "invalid read from stack %soff %lld+%lld size %u\n", reg, (long long)off,
		(long long)i, size);
	return -EACCES;
}

/* The bytes of [off, off + size): -EACCES when one may not be read; *zero when
 * all are zero. Spilled pointers are refused: only whole loads see them. */
static int read_bytes(struct verifier *v, const struct reg *ptr, int regno, int64_t off,
		      uint32_t size, bool *zero)
{
	struct frame *f = frame_of(v, ptr);

	*zero = true;
	for (int64_t i = off; i < off + size; i++) {
		const struct slot *s = &f->slots[SLOT_OF(i)];

		flow_read_slots(v, ptr->frame, 1ULL << SLOT_OF(i));
		switch (s->kind[BYTE_OF(i)]) {
		case SLOT_DYNPTR:
		case SLOT_ITER:
			return unreadable(v, -1, off, i - off, size);
		case SLOT_INVALID:
			v->zero_stack = true;
			/* fallthrough */
		case SLOT_SPILL:
		case SLOT_MISC:
			*zero = false;
			break;
		}
	}
	return 0;
}

/* Some bytes of a spilled 0. */
static bool spilled_zero(const struct slot *s, int64_t off, unsigned int size)
{
	for (unsigned int i = 0; i < size; i++)
		if (s->kind[BYTE_OF(off) + i] != SLOT_SPILL)
			return false;
	return reg_is_zero(&s->spilled);
}

static int read_fixed(struct verifier *v, const struct reg *ptr, int regno, int64_t off,
		      unsigned int size, int dst_regno, bool sx)
{
	struct frame *f = frame_of(v, ptr);
	unsigned int spill_size = 0;
	struct reg result;
	struct slot *s;
	bool zero, whole;
	int err;

	err = use_stack(v, f, off);
	if (err)
		return err;
	show_slots(v, off, off + size);
	s = &f->slots[SLOT_OF(off)];
	while (spill_size < VER_SLOT && s->kind[spill_size] == SLOT_SPILL)
		spill_size++;
	whole = size == VER_SLOT && spill_size == VER_SLOT;
	if (spill_size && s->spilled.kind != REG_SCALAR && !whole) {
		verbose(v, "invalid size of register fill\n");
		return -EACCES;
	}
	err = read_bytes(v, ptr, regno, off, size, &zero);
	if (err)
		return err;
	reg_mark_unknown(&result);
	if (whole || (size <= spill_size && BYTE_OF(off) == 0)) {
		/* a register, or its low bytes */
		if (s->spilled.kind == REG_SCALAR) {
			err = flow_add_fill(v, ptr->frame, 1ULL << SLOT_OF(off));
			if (err)
				return err;
			if (dst_regno >= 0 && (whole || (size == 4 && spill_size == 4 &&
							 reg_width(&s->spilled) <= 32)))
				scalar_name(v, &s->spilled);
		}
		result = s->spilled;
		if (result.kind == REG_SCALAR && !whole) {
			if (reg_width(&result) > size * 8)
				scalar_unlink(&result);
			if (!sx)
				reg_cast(&result, size);
		}
	} else if (zero) {
		reg_mark_const(&result, 0);
	} else if (spill_size && spilled_zero(s, off, size)) {
		flow_need_slots(v, ptr->frame, 1ULL << SLOT_OF(off));
		reg_mark_const(&result, 0);
	} else if (!sx) {
		reg_cast(&result, size);
	}
	if (dst_regno < 0)
		return 0;
	if (sx && result.kind == REG_SCALAR) {
		reg_cast_sx(&result, size, false);
		scalar_unlink(&result);
	}
	cur_regs(v)[dst_regno] = result;
	return 0;
}

int stack_read(struct verifier *v, const struct reg *ptr, int regno, int32_t off, unsigned int size,
	       int dst_regno, bool sign_extend)
{
	const struct reg p = *ptr;
	int64_t min, max;
	bool zero;
	int err = stack_check_bounds(v, ptr, regno, off, size, "read from");

	if (err)
		return err;
	if (tnum_is_const(p.var_off))
		return read_fixed(v, &p, regno, (int64_t)p.var_off.value + p.off + off, size,
				  dst_regno, sign_extend);
	if (dst_regno < 0) { /* an atomic */
		verbose(v,
			"variable offset stack pointer cannot be passed into helper function; "
			"var_off=%s off=%d size=%u\n",
			tnum_text(p.var_off).s, p.off + off, size);
		return -EACCES;
	}
	min = p.smin + p.off + off;
	max = p.smax + p.off + off;
	err = use_stack(v, frame_of(v, &p), min);
	if (!err)
		err = read_bytes(v, &p, regno, min, max - min + size, &zero);
	if (err)
		return err;
	if (zero)
		reg_mark_const(&cur_regs(v)[dst_regno], 0);
	else
		reg_mark_unknown(&cur_regs(v)[dst_regno]);
	if (!sign_extend)
		reg_cast(&cur_regs(v)[dst_regno], size);
	return 0;
}

int stack_helper_access(struct verifier *v, int regno, uint32_t size, bool write,
			bool may_be_uninit)
{
	const struct reg p = cur_regs(v)[regno];
	struct frame *f = frame_of(v, &p);
	int64_t min, max;
	int err;

	if (!size)
		return 0;
	err = stack_check_bounds(v, &p, regno, 0, size, write ? "write to" : "read from");
	if (err)
		return err;
	min = p.smin + p.off;
	max = p.smax + p.off;
	if (may_be_uninit && min != max)
		may_be_uninit = false;
	err = use_stack(v, f, min);
	if (err)
		return err;
	if (may_be_uninit)
		show_slots(v, min, max + size);
	for (int64_t off = min; off < max + size; off++) {
		struct slot *s = &f->slots[SLOT_OF(off)];
		uint8_t *kind = &s->kind[BYTE_OF(off)];

		if (*kind == SLOT_ITER && !write)
			return unreadable(v, regno, min, off - min, size);
		if (*kind == SLOT_DYNPTR) {
			if (!write)
				return unreadable(v, regno, min, off - min, size);
			verbose(v, "potential write to dynptr at off=%lld disallowed\n",
				(long long)min);
			return -EACCES;
		}
		if (!may_be_uninit) {
			flow_read_slots(v, p.frame, 1ULL << SLOT_OF(off));
			/* padding between the members of a key, say */
			if (*kind == SLOT_INVALID)
				v->zero_stack = true;
		}
		if (write) {
			slot_scrub(s);
			*kind = SLOT_MISC;
		}
	}
	return 0;
}
