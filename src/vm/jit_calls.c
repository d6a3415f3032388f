/* SPDX-License-Identifier: BSD-2-Clause */
/* Native code: what each call turns out to be, for every back end alike. */
#include "base/errors.h"
#include "sync/writers.h"
#include "vm/helpers.h"
#include "vm/jit_int.h"
#include "vm/verifier.h"

#if VM_HAVE_JIT

/* The map that R1 of the call is on every path, or NULL. */
static const struct map *known_map(const struct jit *j, uint32_t i)
{
	uint32_t index = j->p->aux ? j->p->aux[i].map_index : VM_MAP_UNKNOWN;

	return index < j->p->map_cnt ? j->p->maps[index] : NULL;
}

/* The map of maps that R1 of the call was looked up in on every path: what its maps are like. */
static const struct map *known_inner(const struct jit *j, uint32_t i)
{
	uint32_t index = j->p->aux ? j->p->aux[i].inner_of : VM_MAP_UNKNOWN;

	return index < j->p->map_cnt ? j->p->maps[index]->inner : NULL;
}

/*
 * `out` like t, with the places that follow from its attributes: where things are in the files of
 * maps that are just like it. t or NULL.
 */
static const struct map *laid_out(const struct map *t, struct map *out)
{
	uint64_t size, prealloc;

	if (!t)
		return NULL;
	*out = *t;
	return t->ops->layout(out, &size, &prealloc) ? NULL : out;
}

const struct map *jit_lookup_map(const struct jit *j, uint32_t i, struct map *like,
				 struct map_inline *in)
{
	const struct map *m = known_map(j, i);

	*in = (struct map_inline){0};
	if (!m)
		m = laid_out(known_inner(j, i), like);
	if (m && m->ops->inlined)
		m->ops->inlined(m, in);
	if (m == like && (!m->ops->inner_entries || m->attr.map_flags & BPF_F_INNER_MAP ||
			  in->cpus || in->slots))
		*in = (struct map_inline){.lookup = in->lookup};
	return m;
}

const uint32_t *jit_watch_word(struct jit *j)
{
	if (!j->p->inner_stores)
		return NULL;
	j->err = j->err ? j->err : writers_open();
	return j->err ? NULL : &load_acquire(&writers_mapped)->watched;
}

uintptr_t jit_map_function(const struct jit *j, uint32_t i, int32_t id)
{
	const struct map *known = known_map(j, i), *m = known ? known : known_inner(j, i);

	if (!m)
		return 0;
	switch (id) {
	case BPF_FUNC_map_update_elem:
		/* what is written over a timer takes more than the operation */
		return map_has_timers(&m->attr) ? 0 : (uintptr_t)m->ops->update;
	case BPF_FUNC_map_delete_elem:
		return (uintptr_t)m->ops->delete;
	case BPF_FUNC_map_push_elem:
		return (uintptr_t)m->ops->push;
	case BPF_FUNC_map_pop_elem:
		return (uintptr_t)m->ops->take;
	case BPF_FUNC_map_peek_elem:
		return (uintptr_t)m->ops->peek;
	}
	return 0;
}

uint32_t jit_loop_callback(const struct jit *j, uint32_t i)
{
	uint32_t pc = j->p->aux ? j->p->aux[i].callback_pc : j->cnt;

	return pc < j->cnt && j->flags[pc] & JIT_FUNC ? pc : 0;
}

void jit_run_dead(struct vm_context *vc)
{
	interp_abort(vc, -EFAULT);
}

const void *jit_tail_call(struct vm_context *vc, uint64_t map, uint32_t index)
{
	const struct vm_code *to = vm_tail_call(vc, map, index);

	if (!to)
		return NULL;
	return to->jit ? (const void *)to->jit->code : jit_to_interp;
}

struct jit_nested jit_tail_call_nested(struct vm_context *vc, uint64_t map, uint32_t index)
{
	struct jit_nested n = {0};

	n.done = vm_tail_call_nested(vc, map, index, &n.value);
	return n;
}

#endif
