/* SPDX-License-Identifier: BSD-2-Clause */
#include "checker.h"

#include <endian.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../rfc9669_model.h"
#include "map/map.h"

#define STEPS_MAX 4000

uint32_t checker_rnd(struct checker *c, uint32_t n)
{
	c->seed ^= c->seed << 13;
	c->seed ^= c->seed >> 7;
	c->seed ^= c->seed << 17;
	return n ? (uint32_t)(c->seed >> 20) % n : 0;
}

bool checker_fails(struct checker *c, const char *fmt, ...)
{
	va_list ap;
	const int at = snprintf(c->why, sizeof(c->why), "at %u: ", c->pc);

	va_start(ap, fmt);
	vsnprintf(c->why + at, sizeof(c->why) - at, fmt, ap);
	va_end(ap);
	return false;
}

struct thing *checker_object(struct checker *c, uint64_t addr, int64_t *off)
{
	const uint64_t i = (addr >> 32) - 0x7700;

	if (i >= c->obj_cnt || c->obj[i].kind == OBJ_NONE)
		return NULL;
	*off = (int64_t)(uint32_t)addr - OBJ_BASE;
	return &c->obj[i];
}

uint8_t *checker_mem(struct checker *c, uint64_t addr, uint32_t size, bool write)
{
	int64_t off = 0;
	struct thing *o = checker_object(c, addr, &off);

	if (!o || !o->mem || o->dead || off < o->lo || off + size > o->size) {
		checker_fails(c,
			      "%u bytes at %#" PRIx64 " are not of an object%s (%" PRId64
			      " in %u of kind %u)",
			      size, addr, o && o->dead ? " that still lives" : "", off,
			      o ? o->size : 0, o ? o->kind : 0);
		return NULL;
	}
	if ((write && o->no_write) || (!write && o->no_read)) {
		checker_fails(c, "a %s that the object forbids", write ? "store" : "load");
		return NULL;
	}
	if (o->lock_off >= 0 && off < o->lock_off + 4 && off + size > o->lock_off) {
		checker_fails(c, "the lock of a value is touched");
		return NULL;
	}
	if (o->kind == OBJ_FRAME && !checker_frame_touch(c, o, off, size, write))
		return NULL;
	if (write && o->kind == OBJ_FRAME) {
		struct checked_frame *f = &c->f[o - c->obj - 1];

		memset(f->taint_stack + off, 0, size);
	}
	return o->mem + off;
}

uint32_t checker_add(struct checker *c, enum thing_kind kind, uint8_t *mem, uint32_t size,
		     uint32_t map)
{
	c->obj[c->obj_cnt] =
		(struct thing){.kind = kind, .mem = mem, .size = size, .map = map, .lock_off = -1};
	return c->obj_cnt++;
}

/* Numbers that tests of programs tell apart: small ones, edges, noise. */
static void fill(struct checker *c, uint8_t *at, uint32_t size)
{
	static uint8_t pool[1 << 14];

	if (!pool[0]) {
		uint64_t x = 88172645463325252;

		for (uint32_t i = 0; i < sizeof(pool); i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			const uint32_t r = x % 1024;

			pool[i] = r < 600 ? 0 : r < 840 ? r % 50 : r < 870 ? 0xff : r & 0xff;
		}
		pool[0] = 1;
	}
	memcpy(at, pool + checker_rnd(c, sizeof(pool) - 256), size);
}

static void begin(struct checker *c)
{
	const struct vm_prog *p = c->prog;
	uint32_t i, k;

	c->obj_cnt = 0;
	c->meta_len = p->type == BPF_PROG_TYPE_SOCKET_FILTER ? 0 : 4 * checker_rnd(c, 3);
	c->pkt_len = checker_rnd(c, 3) ? checker_rnd(c, 24) : checker_rnd(c, PACKET_MAX - 8);
	fill(c, c->ctx, sizeof(c->ctx));
	fill(c, c->pkt, c->pkt_len + c->meta_len);
	i = checker_add(
		c, OBJ_CTX, c->ctx,
		p->type == BPF_PROG_TYPE_XDP ? sizeof(struct xdp_md) : sizeof(struct __sk_buff), 0);
	for (i = 0; i < VER_MAX_FRAMES; i++)
		checker_add(c, OBJ_FRAME, c->stack[i], VER_MAX_STACK, 0);
	c->first_packet = c->packet = c->obj_cnt;
	for (i = 0; i < PACKETS; i++)
		checker_add(c, i ? OBJ_NONE : OBJ_PACKET, c->pkt, c->meta_len + c->pkt_len, 0);
	c->key_obj = c->obj_cnt;
	checker_add(c, OBJ_KEY, c->key, sizeof(c->key), 0);
	c->sock_obj = c->obj_cnt;
	checker_add(c, OBJ_SOCK, NULL, 0, 0);
	c->first_map = c->obj_cnt;
	for (i = 0; i < p->map_cnt; i++)
		checker_add(c, OBJ_MAP, NULL, 0, i);
	c->first_value = c->obj_cnt;
	for (i = 0; i < p->map_cnt; i++)
		for (k = 0; k < VALUES_PER_MAP; k++) {
			const struct map *m = p->maps[i];
			struct thing *o;

			o = &c->obj[checker_add(c, OBJ_VALUE, c->values[i][k], m->attr.value_size,
						i)];
			o->no_write = m->attr.map_flags & BPF_F_RDONLY_PROG;
			o->no_read = m->attr.map_flags & BPF_F_WRONLY_PROG;
			o->lock_off = m->attr.spin_lock_off;
			if (m->shared && m->shared->frozen && m->ops->direct_value)
				memcpy(o->mem, m->ops->direct_value((struct map *)m),
				       m->attr.value_size);
			else
				fill(c, o->mem, m->attr.value_size);
		}
	c->first_record = c->obj_cnt;
	c->record_cnt = 0;
	for (i = 0; i < RECORDS; i++)
		checker_add(c, OBJ_NONE, c->records[i], 0, 0);
	c->first_part = c->obj_cnt;
	c->next_part = c->next_item = 0;
	for (i = 0; i < PARTS; i++)
		checker_add(c, OBJ_NONE, NULL, 0, 0);
	c->first_func = c->obj_cnt;
	c->func_cnt = 0;
}

static void enter(struct checker *c, uint32_t callsite, bool callback)
{
	struct checked_frame *f = &c->f[c->depth];
	const uint32_t stack = c->prog->aux[c->pc].stack_depth;

	f->taint = 0;
	f->callback = callback;
	f->global = f->loop.active = false;
	f->callsite = callsite;
	for (int i = 0; i < VER_REGS; i++) /* nobody may rely on these */
		f->r[i] = 0x5a5a000000000000 + c->seed + i;
	f->r[VER_FP] = OBJ_ADDR(1 + c->depth, VER_MAX_STACK);
	memset(f->taint_stack, 0, sizeof(f->taint_stack));
	memset(f->made, 0, sizeof(f->made));
	if (c->prog->aux[0].zero_stack)
		memset(c->stack[c->depth], 0, VER_MAX_STACK);
	else
		memset(c->stack[c->depth], (int)c->seed, VER_MAX_STACK);
	/* what was counted is what a frame may be given */
	c->obj[1 + c->depth].lo = VER_MAX_STACK - (stack < VER_MAX_STACK ? stack : VER_MAX_STACK);
}

static uint64_t load(const uint8_t *at, uint32_t size)
{
	uint64_t v = 0;

	memcpy(&v, at, size);
	return v;
}

static int64_t extend(uint64_t v, uint32_t bits)
{
	return bits < 64 ? (int64_t)(v << (64 - bits)) >> (64 - bits) : (int64_t)v;
}

static uint64_t alu64(uint8_t op, uint64_t a, uint64_t b, bool sx)
{
	switch (op) {
	case BPF_ADD:
		return a + b;
	case BPF_SUB:
		return a - b;
	case BPF_MUL:
		return a * b;
	case BPF_AND:
		return a & b;
	case BPF_OR:
		return a | b;
	case BPF_XOR:
		return a ^ b;
	case BPF_LSH:
		return a << (b & 63);
	case BPF_RSH:
		return a >> (b & 63);
	case BPF_ARSH:
		return (int64_t)a >> (b & 63);
	case BPF_DIV:
		if (sx)
			return !b ? 0 : b == UINT64_MAX ? -a : (uint64_t)((int64_t)a / (int64_t)b);
		return b ? a / b : 0;
	default: /* BPF_MOD */
		if (sx)
			return !b ? a : b == UINT64_MAX ? 0 : (uint64_t)((int64_t)a % (int64_t)b);
		return b ? a % b : a;
	}
}

static uint32_t alu32(uint8_t op, uint32_t a, uint32_t b, bool sx)
{
	switch (op) {
	case BPF_LSH:
		return a << (b & 31);
	case BPF_RSH:
		return a >> (b & 31);
	case BPF_ARSH:
		return (int32_t)a >> (b & 31);
	case BPF_DIV:
		if (sx)
			return !b ? 0 : b == UINT32_MAX ? -a : (uint32_t)((int32_t)a / (int32_t)b);
		return b ? a / b : 0;
	case BPF_MOD:
		if (sx)
			return !b ? a : b == UINT32_MAX ? 0 : (uint32_t)((int32_t)a % (int32_t)b);
		return b ? a % b : a;
	}
	return (uint32_t)alu64(op, a, b, false);
}

static uint64_t swapped(const struct bpf_insn *in, uint64_t v)
{
	const bool swap = INSN_CLASS(in->code) == BPF_ALU64 || INSN_SRC(in->code) == BPF_TO_BE;

	switch (in->imm) {
	case 16:
		return swap ? __builtin_bswap16((uint16_t)v) : (uint16_t)v;
	case 32:
		return swap ? __builtin_bswap32((uint32_t)v) : (uint32_t)v;
	}
	return swap ? __builtin_bswap64(v) : v;
}

static void run_alu(struct checked_frame *f, const struct bpf_insn *in)
{
	const bool x = INSN_SRC(in->code), is32 = INSN_CLASS(in->code) == BPF_ALU;
	const uint8_t op = INSN_OP(in->code);
	const uint16_t d = 1 << in->dst_reg, s = 1 << in->src_reg;
	uint64_t *dst = &f->r[in->dst_reg];
	const uint64_t src = x ? f->r[in->src_reg] : (uint64_t)(int64_t)in->imm;

	if (op == BPF_END) {
		*dst = swapped(in, *dst);
		return;
	}
	if (op == BPF_NEG) {
		*dst = is32 ? (uint32_t) - *dst : -*dst;
		return;
	}
	if (op == BPF_MOV) {
		*dst = in->off && x ? (uint64_t)extend(src, in->off) : src;
		f->taint = (f->taint & ~d) | (x && (f->taint & s) ? d : 0);
	} else {
		*dst = is32 ? alu32(op, *dst, src, in->off) : alu64(op, *dst, src, in->off);
		if (x && (f->taint & s))
			f->taint |= d;
	}
	if (is32)
		*dst = (uint32_t)*dst;
}

static bool stack_taint(struct checker *c, uint64_t addr, uint32_t size, int set)
{
	int64_t off;
	struct thing *o = checker_object(c, addr, &off);
	uint8_t *t;
	bool any = false;

	if (!o || o->kind != OBJ_FRAME)
		return false;
	t = c->f[o - c->obj - 1].taint_stack + off;
	for (uint32_t i = 0; i < size; i++) {
		any |= t[i];
		if (set >= 0)
			t[i] = set;
	}
	return any;
}

static bool run_load(struct checker *c, struct checked_frame *f, const struct bpf_insn *in)
{
	const uint32_t size = insn_bytes(in->code);
	const uint64_t addr = f->r[in->src_reg] + in->off;
	const struct vm_aux *aux = &c->prog->aux[c->pc];
	const uint8_t *at = checker_mem(c, addr, size, false);
	const uint16_t d = 1 << in->dst_reg;
	uint64_t v;
	bool t;

	if (!at)
		return false;
	t = stack_taint(c, addr, size, -1);
	f->taint = (f->taint & ~d) | (t ? d : 0);
	v = load(at, size);
	switch (aux->ctx_field) {
	case VM_CTX_PKT_DATA:
		v = OBJ_ADDR(c->packet, c->meta_len);
		break;
	case VM_CTX_PKT_END:
		v = OBJ_ADDR(c->packet, c->meta_len + c->pkt_len);
		break;
	case VM_CTX_PKT_META:
		v = OBJ_ADDR(c->packet, 0);
		break;
	}
	if (aux->ctx_field && size == 8 && c->prog->type != BPF_PROG_TYPE_XDP &&
	    at - c->ctx == (long)offsetof(struct __sk_buff, sk))
		v = checker_rnd(c, 2) ? OBJ_ADDR(c->sock_obj, 0) : 0;
	if (insn_form(in->code) == INSN_LDX_SX)
		v = extend(v, size * 8);
	f->r[in->dst_reg] = v;
	return true;
}

static bool run_store(struct checker *c, struct checked_frame *f, const struct bpf_insn *in)
{
	const uint32_t size = insn_bytes(in->code);
	const uint64_t addr = f->r[in->dst_reg] + in->off;
	const bool x = insn_form(in->code) != INSN_ST;
	const uint64_t v = x ? f->r[in->src_reg] : (uint64_t)(int64_t)in->imm;
	uint8_t *at = checker_mem(c, addr, size, true);

	if (!at)
		return false;
	memcpy(at, &v, size);
	if (x && (f->taint & 1 << in->src_reg))
		stack_taint(c, addr, size, 1);
	return true;
}

static bool run_atomic(struct checker *c, struct checked_frame *f, const struct bpf_insn *in)
{
	if (insn_load_acquire(in))
		return run_load(c, f, in);
	if (insn_store_release(in))
		return run_store(c, f, in);
	const uint32_t size = insn_bytes(in->code);
	const uint64_t addr = f->r[in->dst_reg] + in->off, src = f->r[in->src_reg];
	const bool t = stack_taint(c, addr, size, -1) || (f->taint & 1 << in->src_reg);
	uint8_t *at = checker_mem(c, addr, size, false);
	uint64_t old, new = src;

	if (addr % size)
		return checker_fails(c, "an atomic at %#" PRIx64 " is not aligned", addr);
	if (!at || !checker_mem(c, addr, size, true))
		return false;
	old = load(at, size);
	switch (in->imm & ~BPF_FETCH) {
	case BPF_ADD:
		new = old + src;
		break;
	case BPF_OR:
		new = old | src;
		break;
	case BPF_AND:
		new = old &src;
		break;
	case BPF_XOR:
		new = old ^ src;
		break;
	}
	if (in->imm == BPF_CMPXCHG) {
		const uint64_t want = size == 4 ? (uint32_t)f->r[0] : f->r[0];

		new = old == want ? src : old;
		f->r[0] = old;
		f->taint &= ~1;
	} else if (in->imm & BPF_FETCH) {
		f->r[in->src_reg] = old;
		f->taint &= ~(1 << in->src_reg);
	}
	memcpy(at, &new, size);
	if (t)
		stack_taint(c, addr, size, 1);
	return true;
}

/* The walk's node for c->pc after the node c->node. */
static bool follow(struct checker *c)
{
	const uint32_t from = c->node;
	char first[sizeof(c->why)] = "";
	bool any = false;

	for (uint32_t i = c->trace->nodes[from].edges; i;) {
		const struct trace_edge *e = &c->trace->edges[i - 1];

		i = e->next;
		if (c->trace->nodes[e->to].insn != c->pc)
			continue;
		any = true;
		c->node = e->to;
		/* both ways of a branch may lead to one place: one of them must fit */
		if (e->cover ? claims_cross(c, e) : claims_check(c)) {
			c->why[0] = 0;
			return true;
		}
		if (!first[0])
			memcpy(first, c->why, sizeof(first));
	}
	if (!any)
		return checker_fails(c, "the verifier never came here from %u",
				     c->trace->nodes[from].insn);
	memcpy(c->why, first, sizeof(first));
	return false;
}

/* Without a new node: a function that was walked by itself, or the beginning. */
static bool follow_root(struct checker *c)
{
	c->node = trace_root(c->trace, c->pc);
	if (c->node == VM_PC_NONE)
		return checker_fails(c, "never walked");
	return claims_check(c);
}

static bool call_function(struct checker *c)
{
	const uint32_t target = c->prog->aux[c->pc].call_pc, site = c->pc;
	struct checked_frame *f = &c->f[c->depth], *g = f + 1;
	const uint32_t root = trace_root(c->trace, target);
	const bool global = root != VM_PC_NONE && c->trace->nodes[root].insn != 0;

	if (c->depth + 1 >= VER_MAX_FRAMES)
		return checker_fails(c, "too many frames");
	if (c->lock && global)
		return checker_fails(c, "a call of a global function while a lock is held");
	c->depth++;
	c->pc = target;
	enter(c, site, false);
	for (int i = 1; i <= 5; i++) {
		g->r[i] = f->r[i];
		f->r[i] = 0xdead000000000000 + c->seed;
	}
	f->r[0] = 0xdead;
	g->taint = f->taint & 0x3e;
	g->base = global ? c->depth : f->base;
	if (!global)
		return follow(c);
	g->global = true;
	g->ret_node = c->node;
	return follow_root(c);
}

/* A call of a helper that calls back, each time that it is stood before. */
static bool call_back(struct checker *c)
{
	struct checked_frame *f = &c->f[c->depth], *g = f + 1;
	const struct bpf_insn *in = &c->prog->insns[c->pc];
	const uint32_t site = c->pc;
	int64_t off = 0;
	struct thing *fn;

	if (!f->loop.active || f->loop.at != c->pc) {
		f->loop.active = true;
		f->loop.at = c->pc;
		f->loop.i = 0;
		f->loop.stop = false;
		f->loop.n = in->imm == BPF_FUNC_loop ? f->r[1] > 12 ? 12 : f->r[1]
						     : checker_rnd(c, VALUES_PER_MAP + 1);
	}
	if (f->loop.stop || f->loop.i >= f->loop.n) {
		f->loop.active = false;
		for (int i = 0; i <= 5; i++)
			f->r[i] = 0xdead000000000000 + c->seed;
		f->r[0] = f->loop.i;
		f->taint &= ~0x3f;
		c->pc++;
		return follow(c);
	}
	fn = checker_object(c, f->r[2], &off);
	if (!fn || fn->kind != OBJ_FUNC || off || c->depth + 1 >= VER_MAX_FRAMES)
		return checker_fails(c, "no function to be called back");
	if (c->prog->aux[c->pc].callback_pc != fn->map)
		return checker_fails(c, "another function than the one noted");
	c->depth++;
	c->pc = fn->map;
	enter(c, site, true);
	g->base = f->base;
	if (in->imm == BPF_FUNC_loop) {
		g->r[1] = f->loop.i;
		g->r[2] = f->r[3];
	} else {
		struct thing *m = checker_object(c, f->r[1], &off);
		const uint32_t key = c->key_obj;

		if (!m || m->kind != OBJ_MAP)
			return checker_fails(c, "no map to walk through");
		c->obj[key] = (struct thing){.kind = OBJ_KEY,
					     .mem = c->key,
					     .size = c->prog->maps[m->map]->attr.key_size,
					     .map = m->map,
					     .no_write = true,
					     .lock_off = -1};
		fill(c, c->key, sizeof(c->key));
		g->r[1] = f->r[1];
		g->r[2] = OBJ_ADDR(key, 0);
		g->r[3] = OBJ_ADDR(c->first_value + m->map * VALUES_PER_MAP +
					   checker_rnd(c, VALUES_PER_MAP),
				   0);
		g->r[4] = f->r[3];
	}
	f->loop.i++;
	return follow(c);
}

/* true and *done: the program is over. */
static bool leave(struct checker *c, bool *done)
{
	struct checked_frame *f = &c->f[c->depth];

	if (c->lock && (!c->depth || f->callback || f->global))
		return checker_fails(c, "returns while a lock is held");
	if (!c->depth) {
		*done = true;
		if (c->rcu || c->preempt)
			return checker_fails(c, "ends in a section");
		return c->held ? checker_fails(c, "ends with %u references", c->held) : true;
	}
	checker_part_end(c, &c->obj[1 + c->depth]);
	c->depth--;
	c->pc = f->callsite;
	if (f->callback) {
		c->f[c->depth].loop.stop = f->r[0] & 1;
		if (f->r[0] > 1 && !(f->taint & 1))
			return checker_fails(c, "a callback returns %#" PRIx64, f->r[0]);
		return follow(c);
	}
	c->f[c->depth].r[0] = f->r[0];
	c->f[c->depth].taint = (c->f[c->depth].taint & ~1) | (f->taint & 1);
	c->pc++;
	if (f->global) {
		c->node = f->ret_node;
		c->f[c->depth].taint &= ~1;
	}
	return follow(c);
}

static uint64_t wide_value(struct checker *c, const struct bpf_insn *in)
{
	switch (in->src_reg) {
	case BPF_PSEUDO_MAP_FD:
		return OBJ_ADDR(c->first_map + in->imm, 0);
	case BPF_PSEUDO_MAP_VALUE:
		return OBJ_ADDR(c->first_value + in->imm * VALUES_PER_MAP, in[1].imm);
	case BPF_PSEUDO_FUNC:
		for (uint32_t i = 0; i < c->func_cnt; i++)
			if (c->obj[c->first_func + i].map == c->prog->aux[c->pc].callback_pc)
				return OBJ_ADDR(c->first_func + i, 0);
		c->func_cnt++;
		return OBJ_ADDR(checker_add(c, OBJ_FUNC, NULL, 0, c->prog->aux[c->pc].callback_pc),
				0);
	}
	return (uint64_t)(uint32_t)in[1].imm << 32 | (uint32_t)in->imm;
}

static bool run_ld_abs(struct checker *c, struct checked_frame *f, const struct bpf_insn *in,
		       bool *missed)
{
	const uint32_t size = insn_bytes(in->code);
	int64_t off = in->imm;

	if (INSN_MODE(in->code) == BPF_IND)
		off = (int32_t)((uint32_t)f->r[in->src_reg] + (uint32_t)in->imm);
	if (f->r[6] != OBJ_ADDR(0, 0))
		return checker_fails(c, "R6 is not the context");
	if (c->lock || c->held || c->rcu || c->preempt)
		return checker_fails(c, "may end the program while something is held");
	if (off < 0 || off + size > c->pkt_len) {
		f->r[0] = 0;
		f->taint &= ~1;
		*missed = true;
		return true;
	}
	for (int i = 0; i <= 5; i++)
		f->r[i] = 0xdead000000000000 + c->seed;
	f->taint &= ~0x3f;
	f->r[0] = load(c->pkt + c->meta_len + off, size);
	f->r[0] = size == 1 ? f->r[0] : size == 2 ? be16toh(f->r[0]) : be32toh(f->r[0]);
	return true;
}

static bool run_call(struct checker *c, struct checked_frame *f, const struct bpf_insn *in)
{
	uint64_t r0 = 0;

	if (c->lock && in->imm != BPF_FUNC_spin_unlock && !in->src_reg)
		return checker_fails(c, "a helper while a lock is held");
	if (in->src_reg == BPF_PSEUDO_KFUNC_CALL) {
		if (!checker_kfunc(c, c->prog->aux[c->pc].kfunc, &r0))
			return false;
	} else if (!checker_helper(c, in->imm, &r0)) {
		return false;
	}
	for (int i = 1; i <= 5; i++)
		f->r[i] = 0xdead000000000000 + c->seed + i;
	f->r[0] = r0;
	f->taint &= ~0x3f;
	return true;
}

static bool one_step(struct checker *c, bool *done)
{
	struct checked_frame *f = &c->f[c->depth];
	const struct bpf_insn *in = &c->prog->insns[c->pc];
	uint16_t operands;
	bool over = false;

	if (!c->prog->aux[c->pc].seen)
		return checker_fails(c, "dead code runs");
	switch (insn_form(in->code)) {
	case INSN_ALU:
	case INSN_MOV:
	case INSN_NEG:
	case INSN_END:
		run_alu(f, in);
		break;
	case INSN_LD_IMM64:
		f->r[in->dst_reg] = wide_value(c, in);
		f->taint &= ~(1 << in->dst_reg);
		c->pc++;
		break;
	case INSN_LDX:
	case INSN_LDX_SX:
		if (!run_load(c, f, in))
			return false;
		break;
	case INSN_ST:
	case INSN_STX:
		if (!run_store(c, f, in))
			return false;
		break;
	case INSN_ATOMIC:
		if (!run_atomic(c, f, in))
			return false;
		break;
	case INSN_JA:
		c->pc += insn_jump_offset(in);
		break;
	case INSN_JCOND:
		operands = 1 << in->dst_reg | (INSN_SRC(in->code) ? 1 << in->src_reg : 0);
		if (f->taint & operands)
			c->loose = true;
		if (rfc_taken(in->code, f->r[in->dst_reg],
			      INSN_SRC(in->code) ? f->r[in->src_reg] : (uint64_t)(int64_t)in->imm))
			c->pc += in->off;
		break;
	case INSN_MAY_GOTO: /* when the run has made enough of them */
		if (!checker_rnd(c, 4) || c->may_gotos++ > 16)
			c->pc += in->off;
		break;
	case INSN_LD_ABS:
		if (!run_ld_abs(c, f, in, &over))
			return false;
		if (over)
			return leave(c, done);
		break;
	case INSN_CALL:
		if (in->src_reg == BPF_PSEUDO_CALL)
			return call_function(c);
		if (!in->src_reg &&
		    (in->imm == BPF_FUNC_loop || in->imm == BPF_FUNC_for_each_map_elem))
			return call_back(c);
		if (!run_call(c, f, in))
			return false;
		/* the other program runs, and returns what it likes */
		if (!in->src_reg && in->imm == BPF_FUNC_tail_call && !checker_rnd(c, 3))
			return leave(c, done);
		break;
	case INSN_EXIT:
		return leave(c, done);
	default:
		return false; /* not played here */
	}
	c->pc++;
	return follow(c);
}

bool checker_run(struct checker *c, const struct vm_prog *p, struct trace *t, uint64_t seed)
{
	bool done = false;

	c->prog = p;
	c->trace = t;
	c->seed = seed ? seed : 1;
	c->depth = c->pc = c->held = c->may_gotos = c->rcu = c->preempt = 0;
	c->lock = 0;
	c->loose = false;
	c->why[0] = 0;
	begin(c);
	enter(c, 0, false);
	c->f[0].base = 0;
	c->f[0].r[1] = OBJ_ADDR(0, 0);
	if (!follow_root(c))
		return false;
	for (uint32_t i = 0; i < STEPS_MAX && !done; i++, c->steps++)
		if (!one_step(c, &done))
			return !c->why[0];
	return true;
}
