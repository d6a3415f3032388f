/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PROG_ARRAY: values are programs, for bpf_tail_call(). Slots: objref.h.
 *
 * The first program, one that uses the map or one that is put into it, decides
 * what the others must be like (map_shared.owner, one store).
 *
 * A program that uses the array and stands in it would keep itself alive for ever. So
 * what the slots hold ends with the map's last user: an fd or a pin, not a program
 * (OBJECT_USERS in shm/object.h). Emptying them is idempotent: who dies in the
 * middle leaves the rest to the next collector.
 */
#include "base/atomic.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "map/array_common.h"
#include "map/objref.h"
#include "map/objref_array.h"

/* Programs of these types call functions of the traced one's prototype. */
static bool owner_has_proto(uint64_t owner)
{
	switch (objref_owner_type(owner)) {
	case BPF_PROG_TYPE_TRACING:
	case BPF_PROG_TYPE_LSM:
	case BPF_PROG_TYPE_EXT:
	case BPF_PROG_TYPE_STRUCT_OPS:
		return true;
	}
	return false;
}

static int prog_array_adopt(struct map *m, uint64_t owner)
{
	uint64_t none = 0;

	if (load_relaxed(&m->shared->owner) == 0 && m->writable &&
	    cas_seq_cst(&m->shared->owner, &none, owner))
		return 0;
	none = load_relaxed(&m->shared->owner);
	if ((uint32_t)none != (uint32_t)owner)
		return -EINVAL;
	return owner_has_proto(owner) && none != owner ? -EINVAL : 0;
}

static int prog_array_fits(struct map *m, const struct objref_target *t)
{
	return prog_array_adopt(m, t->owner);
}

/* The last user is gone. */
static void prog_array_release(int fd, object_dropped_fn dropped, void *arg)
{
	struct map *m;

	if (map_open(fd, &m))
		return;
	for (uint32_t i = 0; m->ops->objref && m->ops->objref->users && i < m->attr.max_entries;
	     i++) {
		uint64_t *slot = objref_array_slot(m, i), word = load_relaxed(slot);

		if (!word || !cas_seq_cst(slot, &word, 0))
			continue;
		object_slot_unref(OBJECT_MAP, m->obj.id, OBJECT_PROG, (uint32_t)word,
				  (uint32_t)(word >> 32));
		dropped(arg, OBJECT_PROG, (uint32_t)word);
	}
	map_put(m);
}

static void __attribute__((constructor)) prog_array_init(void)
{
	object_set_release(prog_array_release);
}

static const struct objref_ops prog_array_objref = {
	.kind = OBJECT_PROG,
	.users = true,
	.check = objref_array_check,
	.fits = prog_array_fits,
	.swap = objref_array_swap,
	.shows = objref_array_shows,
	.holds = objref_array_holds,
	.at = objref_array_at,
	.adopt = prog_array_adopt,
};

static const uint16_t prog_array_helpers[] = {BPF_FUNC_tail_call, 0};

const struct map_ops prog_array_map_ops = {
	.type = BPF_MAP_TYPE_PROG_ARRAY,
	.name = "prog_array",
	.alloc_check = objref_array_alloc_check,
	.layout = objref_array_layout,
	.format = objref_array_format,
	.open = objref_open,
	.close = objref_close,
	.read = objref_array_read,
	.write = objref_write,
	.erase = objref_erase,
	.next_key = array_next_key,
	.helpers = prog_array_helpers,
	.objref = &prog_array_objref,
	.memlock = objref_array_memlock,
	.recover = objref_recover,
	.validate = objref_validate,
	.not_sleepable = true,
};
