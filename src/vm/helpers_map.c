/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers on maps, their locks, and the loops that call back. */
#include <string.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "map/change.h"
#include "map/objref.h"
#include "sync/lease.h"
#include "sync/lock.h"
#include "vm/helpers.h"

/* After a change, or the attempt. */
static inline uint64_t changed(struct map *m, enum map_change kind, const void *key, uint64_t ret)
{
	if (unlikely(load_relaxed(&m->shared->hooks) & MAP_WATCHED) && !ret)
		change_noted(m, kind, key, 1);
	return ret;
}

HELPER(map_lookup_elem)
{
	struct map *m = PTR(a);

	return (uintptr_t)m->ops->lookup(m, PTR(b));
}

#define VALUE_LOCAL 1024

/* A value with timers: those of what is written are none. */
static __attribute__((noinline)) uint64_t update_timers(struct map *m, const void *key,
							const void *value, uint64_t flags)
{
	uint64_t local[VALUE_LOCAL / 8];
	const uint32_t size = m->attr.value_size;
	void *copy = local;
	uint64_t ret;

	if (size > sizeof(local)) {
		copy = raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				0);
		if (raw_is_error(copy))
			return ERR(-ENOMEM);
	}
	memcpy(copy, value, size);
	map_clear_timers(&m->attr, copy);
	ret = ERR(m->ops->update(m, key, copy, flags));
	if (copy != local)
		raw_munmap(copy, size);
	return ret;
}

HELPER(map_update_elem)
{
	struct map *m = PTR(a);

	if (unlikely(change_by_program(m)))
		return ERR(-EBUSY);
	if (unlikely(map_has_timers(&m->attr)))
		return changed(m, MAP_CHANGE_UPDATE, PTR(b), update_timers(m, PTR(b), PTR(c), d));
	return m->ops->update ? changed(m, MAP_CHANGE_UPDATE, PTR(b),
					ERR(m->ops->update(m, PTR(b), PTR(c), d)))
			      : ERR(-ENOTSUPP);
}

HELPER(map_delete_elem)
{
	struct map *m = PTR(a);

	if (unlikely(change_by_program(m)))
		return ERR(-EBUSY);
	return m->ops->delete
		       ? changed(m, MAP_CHANGE_DELETE, PTR(b), ERR(m->ops->delete (m, PTR(b))))
		       : ERR(-ENOTSUPP);
}

HELPER(map_push_elem)
{
	struct map *m = PTR(a);

	if (unlikely(change_by_program(m)))
		return ERR(-EBUSY);
	return m->ops->push
		       ? changed(m, MAP_CHANGE_UPDATE, NULL, ERR(m->ops->push(m, PTR(b), c)))
		       : ERR(-ENOTSUPP);
}

HELPER(map_pop_elem)
{
	struct map *m = PTR(a);

	if (unlikely(change_by_program(m)))
		return ERR(-EBUSY);
	return m->ops->take ? changed(m, MAP_CHANGE_DELETE, NULL, ERR(m->ops->take(m, PTR(b))))
			    : ERR(-ENOTSUPP);
}

HELPER(map_peek_elem)
{
	struct map *m = PTR(a);

	return m->ops->peek ? ERR(m->ops->peek(m, PTR(b))) : ERR(-ENOTSUPP);
}

HELPER(map_lookup_percpu_elem)
{
	struct map *m = PTR(a);

	return m->ops->lookup_percpu ? (uintptr_t)m->ops->lookup_percpu(m, PTR(b), (uint32_t)c) : 0;
}

struct each {
	struct vm_context *vc;
	uint64_t func, ctx;
};

static long each_element(void *arg, struct map *m, const void *key, void *value)
{
	struct each *e = arg;

	return (long)interp_callback(e->vc, e->func, (uintptr_t)m, (uintptr_t)key, (uintptr_t)value,
				     e->ctx);
}

HELPER(for_each_map_elem)
{
	struct map *m = PTR(a);
	struct each each = {vc, b, c};

	if (d || !m->ops->for_each)
		return ERR(-EINVAL);
	return ERR(m->ops->for_each(m, each_element, &each));
}

HELPER(loop)
{
	uint32_t i, count = (uint32_t)a;

	if (d)
		return ERR(-EINVAL);
	if (count > VM_LOOPS_MAX)
		return ERR(-E2BIG);
	for (i = 0; i < count; i++)
		if (interp_callback(vc, b, i, c, 0, 0))
			return i + 1;
	return i;
}

/* The map of the program's, or its inner map, whose value the lock is in. */
static struct map *map_of_lock(struct vm_context *vc, const uint8_t *word)
{
	for (uint32_t i = 0; i < vc->prog->map_cnt; i++) {
		struct map *m = objref_map_of(vc->prog->maps[i], word);

		if (m)
			return m->ops->section_begin && m->attr.spin_lock_off >= 0 ? m : NULL;
	}
	return NULL;
}

/*
 * The word in the value is a robust lock. A lock that cannot be had (its
 * holder is stopped) ends the run: going on without it would break G3. If we die before the
 * unlock, the next holder finds the value as it is now.
 */
HELPER(spin_lock)
{
	uint8_t *word = PTR(a);
	struct map *m = map_of_lock(vc, word);
	int err;

	vc->kept = NULL;
	if (likely(m))
		err = m->ops->section_begin(m, word - m->attr.spin_lock_off, (uint32_t)lease_cpu(),
					    &vc->kept);
	else
		err = lock_acquire((uint32_t *)word);
	if (unlikely(err < 0))
		interp_abort(vc, err);
	return 0;
}

HELPER(spin_unlock)
{
	map_section_end(vc->kept);
	lock_release(PTR(a));
	return 0;
}
