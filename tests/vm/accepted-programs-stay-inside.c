/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random programs that compute offsets, sizes and branches from data, made so
 * that the verifier accepts many of them. What it accepts is run, on random
 * contexts, maps and packets that end (or begin) at an unmapped page, and must
 * not fault, not touch a byte around its objects or its frame, and not depend on
 * what the frames held before.
 *
 * SHMAP_TEST_OPS: programs (20000); SHMAP_TEST_SEED: the first one.
 */
#include "verifier/vt.c"

#include <sys/mman.h>

#include "base/uaccess.h"
#include "soundness/progen.h"
#include "vm/interp.h"
#include "vm/verifier_int.h"

#define PAGE 4096
#define GUARD 0xa5

static struct progen program;
static uint64_t seed;

static uint32_t rnd(int n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return n > 0 ? (uint32_t)(seed >> 20) % (uint32_t)n : 0;
}

/* ---- the objects ---- */

struct object_page {
	uint8_t *page, *at;
	uint32_t size;
};

static struct object_page value, array, pkt;
static bool found;

static void page_make(struct object_page *o)
{
	uint8_t *p = mmap(NULL, 3 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(p != MAP_FAILED);
	o->page = p + PAGE;
	REQUIRE(!mprotect(o->page, PAGE, PROT_READ | PROT_WRITE));
}

static void page_place(struct object_page *o, uint32_t size)
{
	memset(o->page, GUARD, PAGE);
	o->size = size;
	o->at = rnd(2) ? o->page : o->page + PAGE - size;
	for (uint32_t i = 0; i < size; i++)
		o->at[i] = rnd(3) ? rnd(3) ? 0 : rnd(50) : rnd(256);
}

static bool page_intact(const struct object_page *o)
{
	for (uint8_t *p = o->page; p < o->page + PAGE; p++)
		if ((p < o->at || p >= o->at + o->size) && *p != GUARD)
			return false;
	return true;
}

static void *value_lookup(struct map *m, const void *key)
{
	uint64_t k;

	memcpy(&k, key, sizeof(k));
	return found || k % 3 ? value.at : NULL;
}

static void *array_value(struct map *m)
{
	return array.at;
}

static const struct map_ops value_ops = {
	.lookup = value_lookup, .update = no_update, .delete = no_delete, .for_each = no_each};
static const struct map_ops value_array_ops = {.lookup = no_lookup,
					       .update = no_update,
					       .delete = no_delete,
					       .for_each = no_each,
					       .direct_value = array_value};

static struct vm_context *vc;
static struct vm_space *space;

/* The code holds the array's address. */
static void code_anew(enum vm_engine engine)
{
	interp_code_free(last.code);
	last.code = NULL;
	last.engine = engine;
}

/* Interpreted, in frame 1: what lies around it is there to be watched. */
static bool run_watched(struct xdp_md *ctx, const struct vm_env *env, uint8_t fill, uint64_t *ret)
{
	int err = 0;
	const uint32_t frames = program.func_cnt > 1 ? 3 : 1;

	memset(vc, 0, sizeof(*vc));
	memset(space->stack, GUARD, sizeof(space->stack));
	memset(space->stack + VM_FRAME_STACK, last.aux[0].zero_stack ? 0 : fill,
	       frames * VM_FRAME_STACK);
	vc->space = space;
	vc->prog = &last;
	vc->code = interp_code(&last, &err);
	REQUIRE(vc->code);
	vc->ctx = ctx;
	vc->env = env;
	vc->depth = 1;
	if (fault_guard_set(&vc->guard))
		return false;
	fault_guard_enter(&vc->guard);
	*ret = interp_exec(vc, &vc->code->ins[0], (uintptr_t)ctx, 0, 0, 0, 0);
	fault_guard_leave(&vc->guard);
	for (uint32_t i = 0; i < sizeof(space->stack); i++)
		if ((i < VM_FRAME_STACK || i >= (1 + frames) * VM_FRAME_STACK) &&
		    space->stack[i] != GUARD)
			return false;
	return true;
}

static const char *run_once(void)
{
	struct {
		uint64_t before;
		struct xdp_md md;
		uint64_t behind;
	} ctx = {.before = 0x1234, .behind = 0x5678};
	uint8_t saved[3][PAGE], after[3][PAGE], native[3][PAGE];
	struct vm_env env;
	uint64_t ret, ret2, native_ret;

	page_place(&value, 16);
	page_place(&array, 48);
	page_place(&pkt, rnd(3) ? rnd(24) : rnd(80));
	found = rnd(4);
	ctx.md.ingress_ifindex = rnd(2) ? rnd(64) : seed;
	env = (struct vm_env){.pkt = pkt.at, .pkt_end = pkt.at + pkt.size, .pkt_meta = pkt.at};
	memcpy(saved[0], value.page, PAGE);
	memcpy(saved[1], array.page, PAGE);
	memcpy(saved[2], pkt.page, PAGE);
	code_anew(VM_ENGINE_DEFAULT);
	if (vm_run(&last, &ctx.md, &env, &ret) || vm_fault_count(&last))
		return "it faults";
	if (!page_intact(&value) || !page_intact(&array) || !page_intact(&pkt))
		return "it writes beside a value or the packet";
	if (ctx.before != 0x1234 || ctx.behind != 0x5678)
		return "it writes beside the context";
	memcpy(native[0], value.page, PAGE);
	memcpy(native[1], array.page, PAGE);
	memcpy(native[2], pkt.page, PAGE);
	native_ret = ret;
	code_anew(VM_ENGINE_INTERP);
	for (int i = 0; i < 2; i++) {
		memcpy(value.page, saved[0], PAGE);
		memcpy(array.page, saved[1], PAGE);
		memcpy(pkt.page, saved[2], PAGE);
		if (!run_watched(&ctx.md, &env, i ? 0x00 : 0x6b, i ? &ret2 : &ret))
			return "it writes beside its frame";
		if (!i) {
			memcpy(after[0], value.page, PAGE);
			memcpy(after[1], array.page, PAGE);
			memcpy(after[2], pkt.page, PAGE);
		}
	}
	if (ret != ret2 || memcmp(after[0], value.page, PAGE) ||
	    memcmp(after[1], array.page, PAGE) || memcmp(after[2], pkt.page, PAGE))
		return "it depends on what the frame held before";
	if (ret != native_ret || memcmp(after[0], native[0], PAGE) ||
	    memcmp(after[1], native[1], PAGE) || memcmp(after[2], native[2], PAGE))
		return "the engines do not agree";
	return NULL;
}

/* Functions that call the next one many times: looked at in time. */
static void many_calls(void)
{
	enum { CALLS = 200, FUNCS = 7, LEN = CALLS + 2 };
	struct bpf_insn insns[FUNCS * LEN];
	struct vt_func info[FUNCS];
	static char text[VT_LOG];
	struct vt_prog p = {.type = BPF_PROG_TYPE_XDP,
			    .insns = insns,
			    .cnt = FUNCS * LEN,
			    .funcs = info,
			    .func_cnt = FUNCS};

	for (int f = 0; f < FUNCS; f++) {
		struct bpf_insn *at = insns + f * LEN;

		info[f] = (struct vt_func){.insn = f * LEN, .global = f, .kind = 2};
		for (int i = 0; i < CALLS; i++)
			at[i] = f + 1 < FUNCS ? (struct bpf_insn)CALLP(LEN - i - 1)
					      : (struct bpf_insn)MOV(R0, i);
		at[CALLS] = (struct bpf_insn)MOV(R0, 0);
		at[CALLS + 1] = (struct bpf_insn)EXIT;
	}
	CHECK_EQ(vt_ours(&p, text, 0), 0);
}

static char text[VT_LOG];

static void no_step(struct verifier *v)
{
}

static void no_cover(struct verifier *v, const struct state *by, enum state_match how)
{
}

static void no_root(struct verifier *v, uint32_t subprog)
{
}

int main(void)
{
	const char *ops = getenv("SHMAP_TEST_OPS"), *first = getenv("SHMAP_TEST_SEED");
	const long n = ops ? atol(ops) : 20000, start = first ? atol(first) : 1;
	/* what takes long to walk is let be */
	static const struct ver_watch watch = {
		.step = no_step, .covered = no_cover, .root = no_root, .max_walked = 4000};
	long accepted = 0, runs = 0;

	REQUIRE(!uaccess_init());
	init();
	many_calls();
	ver_watch = &watch;
	page_make(&value);
	page_make(&array);
	page_make(&pkt);
	maps[M_HASH].ops = &value_ops;
	maps[M_ARRAY].ops = &value_array_ops;
	vc = calloc(1, sizeof(*vc));
	space = aligned_alloc(16, sizeof(*space));
	REQUIRE(space);
	REQUIRE(vc);
	for (long i = 0; i < n && check_failures < 5; i++) {
		struct vt_prog p = {.type = BPF_PROG_TYPE_XDP,
				    .insns = program.insns,
				    .funcs = program.funcs};
		const char *why = NULL;

		seed = (uint64_t)(start + i) * 0x9e3779b97f4a7c15;
		program.plain = true;
		progen_from_seed(&program, start + i, BPF_PROG_TYPE_XDP);
		p.cnt = program.cnt;
		p.func_cnt = program.func_cnt;
		page_place(&array, 48);
		interp_code_free(last.code);
		if (vt_ours(&p, text, 0)) {
			if (getenv("SHMAP_TEST_VERBOSE")) {
				vt_ours(&p, text, 1);
				printf("seed %ld: %s\n", start + i,
				       strlen(text) > 300 ? text + strlen(text) - 300 : text);
			}
			continue;
		}
		accepted++;
		for (int k = 0; k < 6 && !why; k++, runs++)
			why = run_once();
		if (!why)
			continue;
		fprintf(stderr, "seed %ld: %s:\n", start + i, why);
		progen_print(&program);
		check_failures++;
	}
	printf("%ld programs, %ld accepted, %ld runs\n", n, accepted, runs);
	CHECK(accepted * 10 > n);
	return check_done();
}
