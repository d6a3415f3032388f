/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Runs: their set-up, their end by a fault, and the calls that lead from C
 * back into a program.
 */
#include <linux/futex.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "map/change.h"
#include "sync/lease.h"
#include "sync/lock.h"
#include "vm/helpers.h"
#include "vm/interp.h"
#include "vm/jit.h"
#include "vm/kfuncs.h"
#include "vm/verifier.h"

/* The frames from vc->depth on, when p's helpers may read what p never wrote:
 * this thread's own stack lay there before. */
void begin_stack(struct vm_context *vc, const struct vm_prog *p)
{
	if (p->aux && p->aux[0].zero_stack)
		memset(vc->space->stack + vc->depth * VM_FRAME_STACK, 0,
		       sizeof(vc->space->stack) - vc->depth * VM_FRAME_STACK);
}

/* What p may have stored through pointers to values is noticed at the end of its run. A file
 * that was truncated meanwhile faults. */
static __attribute__((noinline)) void note_stores(const struct vm_prog *p)
{
	struct fault_guard guard;

	if (!(p->map_stores | p->inner_stores) || fault_guard_set(&guard))
		return;
	fault_guard_enter(&guard);
	if (p->inner_stores && change_later_any())
		change_later_tell();
	for (uint64_t left = p->map_stores; left; left &= left - 1) {
		struct map *m = p->maps[__builtin_ctzll(left)];

		if (load_relaxed(&m->shared->hooks) & MAP_WATCHED)
			change_noted(m, MAP_CHANGE_RUN, NULL, 1);
	}
	fault_guard_leave(&guard);
}

static vm_tail_fn tail_target;

void vm_set_tail_call(vm_tail_fn fn)
{
	store_release(&tail_target, fn);
}

const struct vm_code *vm_tail_call(struct vm_context *vc, uint64_t map, uint32_t index)
{
	vm_tail_fn target = load_acquire(&tail_target);
	const struct vm_code *code;
	struct vm_prog *p;
	int err;

	if (vc->tail_calls >= VM_TAIL_CALLS || !target)
		return NULL;
	p = target(PTR(map), index);
	/* The verifier knew only the type of this program, not this run. */
	if (p && vc->env->ctx_size && p->aux && p->aux[0].max_ctx_off > vc->env->ctx_size)
		return NULL;
	code = p ? interp_code(p, &err) : NULL;
	if (!code)
		return NULL;
	if (code->jit)
		vc->cpu = lease_cpu();
	if (writers_watched())
		note_stores(vc->prog);
	vc->tail_calls++;
	vc->prog = p;
	vc->code = code;
	return code;
}

/* Not inlined: runs of native code do without. */
static __attribute__((noinline)) uint64_t run_in_space(struct vm_context *vc, uint64_t ctx)
{
	struct vm_space space;
	uint64_t ret;

	vc->space = &space;
	begin_stack(vc, vc->prog);
	ret = interp_exec(vc, &vc->code->ins[0], ctx, 0, 0, 0, 0);
	vc->space = NULL;
	return ret;
}

uint64_t interp_run(struct vm_context *vc, uint64_t ctx)
{
	if (!vc->space)
		return run_in_space(vc, ctx);
	begin_stack(vc, vc->prog);
	return interp_exec(vc, &vc->code->ins[0], ctx, 0, 0, 0, 0);
}

/* What a program, its helpers and a signal's handler may take of the thread's stack, amply. */
#define STACK_ROOM 32768
#define STACK_STEP 4096 /* no guard is smaller */

/*
 * Nested programs are the only way to need much stack: 33 of them. Where there is too
 * little left, this faults, which ends the run, while there still is enough for the
 * signal's handler.
 */
static __attribute__((noinline, no_sanitize("address"))) void need_stack(void)
{
	const volatile uint8_t *here = __builtin_frame_address(0);

	for (int i = STACK_STEP; i <= STACK_ROOM; i += STACK_STEP)
		(void)here[-i];
}

/*
 * The program has frames of its own; those of its callers stay as they are: they may
 * hold pointers into them.
 */
bool vm_tail_call_nested(struct vm_context *vc, uint64_t map, uint32_t index, uint64_t *ret)
{
	const struct vm_prog *prog = vc->prog;
	const struct vm_code *code = vc->code;
	const struct vm_code *to = vm_tail_call(vc, map, index);
	struct vm_space *space = vc->space;
	const uint32_t depth = vc->depth;

	if (!to)
		return false;
	need_stack();
	vc->space = NULL;
	vc->depth = 0;
	*ret = to->jit ? jit_call(vc, to->jit->code, (uintptr_t)vc->ctx, 0, 0, 0)
		       : interp_run(vc, (uintptr_t)vc->ctx);
	fence_compiler();
	if (writers_watched())
		note_stores(vc->prog); /* which was the last one there */
	vc->space = space;
	vc->depth = depth;
	vc->prog = prog;
	vc->code = code;
	return true;
}

uint64_t interp_callback(struct vm_context *vc, uint64_t func, uint64_t r1, uint64_t r2,
			 uint64_t r3, uint64_t r4)
{
	uint64_t ret;

	if (func & JIT_FUNC_TAG)
		return jit_call(vc, PTR(func - JIT_FUNC_TAG), r1, r2, r3, r4);
	if (unlikely(vc->depth + 1 >= VM_FRAMES))
		interp_abort(vc, -EFAULT);
	vc->depth++;
	ret = interp_exec(vc, PTR(func), r1, r2, r3, r4, 0);
	vc->depth--;
	return ret;
}

void interp_abort(struct vm_context *vc, int err)
{
	vc->error = err;
	fault_guard_throw();
}

/*
 * The run ended inside a lock: its own bpf_spin_lock, or, after a fault in a
 * map operation, the map's. Nobody can say what the lock protects now, which
 * is the state that the death of its holder leaves: say that, and the next
 * owner repairs it. (The pending word of the robust list names the lock.)
 */
static void abandon_lock(void)
{
	struct thread *t = &thread_self;
	uint32_t *word, old;

	if (!t->in_lock || !t->robust)
		return;
	word = (uint32_t *)((char *)load_relaxed(&t->robust->list_op_pending) + t->futex_offset);
	if (load_relaxed(&t->robust->list_op_pending)) {
		old = load_relaxed(word);
		if ((old & FUTEX_TID_MASK) == t->tid) {
			/* Pairs with the acquire CAS of the next owner. */
			old = exchange_release(word, FUTEX_OWNER_DIED);
			if (old & FUTEX_WAITERS)
				lock_wake(word);
		}
	}
	fence_compiler();
	store_relaxed(&t->robust->list_op_pending, (struct robust_list *)0);
	fence_compiler();
	t->in_lock = 0;
}

static const struct vm_env no_env;

/* Not inlined: what happens once in a program's life. */
static __attribute__((noinline)) int run_failed(struct vm_context *vc)
{
	int err = vc->error ? vc->error : -EFAULT;

	kfunc_pages_free(vc);
	if (!vc->was_in_lock)
		abandon_lock();
	/* A truncated file faults here too. */
	if (!fault_guard_set(&vc->guard)) {
		fault_guard_enter(&vc->guard);
		ringbuf_abandon(vc);
		fault_guard_leave(&vc->guard);
	} else if (!vc->was_in_lock) {
		abandon_lock();
	}
	if (!fetch_add_relaxed(&((struct vm_code *)vc->code)->faults, 1))
		trace_fault(vc, err);
	return err;
}

/* False: a fault. */
static __attribute__((noinline)) bool run_interpreted(struct vm_context *vc, uint64_t *ret)
{
	if (fault_guard_set(&vc->guard))
		return false;
	fault_guard_enter(&vc->guard);
	*ret = interp_run(vc, (uintptr_t)vc->ctx);
	fault_guard_leave(&vc->guard);
	return true;
}

static __attribute__((noinline)) bool publish(struct vm_context *vc)
{
	if (fault_guard_set(&vc->guard))
		return false;
	fault_guard_enter(&vc->guard);
	ringbuf_publish(vc);
	fault_guard_leave(&vc->guard);
	return true;
}

int vm_run(struct vm_prog *p, void *ctx, const struct vm_env *env, uint64_t *ret)
{
	struct vm_context vc;
	const struct vm_code *code = load_acquire(&p->code);
	int err = 0;
	bool done;

	if (unlikely(!code)) {
		code = interp_code(p, &err);
		if (!code)
			return err;
	}
	vc.prog = p;
	vc.code = code;
	vc.ctx = ctx;
	vc.space = NULL;
	vc.env = env ? env : &no_env;
	vc.depth = 0;
	vc.tail_calls = 0;
	vc.loops = 0;
	vc.error = 0;
	vc.task = NULL;
	vc.found.map = NULL;
	vc.ring = NULL;
	vc.pages = NULL;
	vc.was_in_lock = thread_self.in_lock;
	if (likely(code->jit != NULL)) {
		if (code->jit->cpu)
			vc.cpu = lease_cpu();
		done = jit_enter(&vc, code->jit->code, ctx, ret);
	} else {
		done = run_interpreted(&vc, ret);
	}
	if (unlikely(vc.ring) && done)
		done = publish(&vc);
	/* Its stores come before this look, as far as the listener's barrier goes. */
	fence_compiler();
	if (writers_watched())
		note_stores(vc.prog);
	return likely(done) ? 0 : run_failed(&vc);
}

/* The function of native code that begins at an instruction, or NULL. */
static const struct jit_func *native_func(const struct jit_image *image, uint32_t pc)
{
	for (uint32_t i = 0; i < image->func_cnt; i++)
		if (image->funcs[i].insn == pc)
			return &image->funcs[i];
	return NULL;
}

/* Not inlined: see run_in_space(). */
static __attribute__((noinline)) uint64_t interp_at(struct vm_context *vc, uint32_t pc,
						    const uint64_t r[3])
{
	struct vm_space space;

	vc->space = &space;
	begin_stack(vc, vc->prog);
	return interp_exec(vc, &vc->code->ins[pc], r[0], r[1], r[2], 0, 0);
}

int vm_run_at(struct vm_prog *p, uint32_t pc, int (*begin)(void *arg, uint64_t r[3]), void *arg,
	      uint64_t *ret)
{
	struct vm_context vc;
	const struct vm_code *code;
	const struct jit_func *func;
	uint64_t r[3];
	int err = 0;

	code = interp_code(p, &err);
	if (!code)
		return err;
	func = code->jit ? native_func(code->jit, pc) : NULL;
	if (code->jit ? !func : pc >= code->cnt)
		return -EINVAL;
	memset(&vc, 0, sizeof(vc));
	vc.prog = p;
	vc.code = code;
	vc.env = &no_env;
	vc.was_in_lock = thread_self.in_lock;
	if (fault_guard_set(&vc.guard)) {
		if (writers_watched())
			note_stores(vc.prog);
		return run_failed(&vc);
	}
	fault_guard_enter(&vc.guard);
	err = begin(arg, r);
	vc.cpu = lease_cpu();
	if (!err)
		*ret = func ? jit_call(&vc, code->jit->code + func->start, r[0], r[1], r[2], 0)
			    : interp_at(&vc, pc, r);
	if (unlikely(vc.ring))
		ringbuf_publish(&vc);
	fault_guard_leave(&vc.guard);
	fence_compiler();
	if (writers_watched())
		note_stores(vc.prog);
	return err;
}

uint32_t vm_func_pc(const struct vm_prog *p, uint64_t func)
{
	const struct vm_code *code = load_acquire(&p->code);
	const uint64_t first = (uintptr_t)code->ins;
	const struct jit_image *image = code->jit;

	for (uint32_t i = 0; image && i < image->func_cnt; i++)
		if ((uintptr_t)image->code + image->funcs[i].start + JIT_FUNC_TAG == func)
			return image->funcs[i].insn;
	if (image || func < first || func >= first + code->cnt * sizeof(code->ins[0]))
		return 0;
	return (uint32_t)((func - first) / sizeof(code->ins[0]));
}

uint32_t vm_fault_count(const struct vm_prog *p)
{
	const struct vm_code *code = load_acquire(&p->code);

	return code ? load_relaxed(&code->faults) : 0;
}
