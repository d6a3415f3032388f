/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_ARRAY.
 *
 *   offset 0      values: max_entries slots of round_up(value_size, 8) bytes
 *                 (BPF_F_MMAPABLE: rounded up to pages, so that a mapping of
 *                 the values shows nothing else)
 *   redo_off      redo_count records (values of more than 8 bytes; redo.h),
 *                 chosen by index
 *   after them    as many claims, in maps whose values hold a lock
 *
 * Values never move and are never freed: a lookup is a bounds check and an
 * address. Programs and mappings store in place, as they like. Updates:
 *
 *   up to 8 bytes           one store: it happened or not
 *   larger                  a redo record under its own robust lock
 *   BPF_F_LOCK              under the robust lock in the value; up to 8 bytes
 *                           one store, larger ones staged in a claim
 *
 * Readers through bpf(2) take no lock, but for BPF_F_LOCK: they look at one
 * lock word, to finish what a dead writer left.
 *
 * Lock order: none; a thread holds one robust lock at a time.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/array_common.h"
#include "map/gate.h"
#include "map/generic_batch.h"
#include "map/redo.h"
#include "map/value.h"

static inline uint8_t *array_slot(const struct map *m, uint32_t index)
{
	return m->obj.base + (uint64_t)m->elem_size * index;
}

static inline bool array_has_lock(const struct map *m)
{
	return m->attr.spin_lock_off >= 0;
}

/* Only where m->array.redo_count is not 0. */
static inline struct redo_record *array_record(const struct map *m, uint32_t index)
{
	uint32_t i = index & (m->array.redo_count - 1);

	return (struct redo_record *)(m->obj.base + m->array.redo_off +
				      (uint64_t)i * m->array.redo_size);
}

static struct redo_claims array_claims(const struct map *m)
{
	uint64_t records = (uint64_t)m->array.redo_count * m->array.redo_size;
	struct redo_claims c = {
		.base = m->obj.base + m->array.redo_off + records,
		.stride = m->array.redo_size,
		.count = array_has_lock(m) ? m->array.redo_count : 0,
	};

	return c;
}

static inline uint32_t *array_lock_word(const struct map *m, uint32_t index)
{
	return (uint32_t *)(array_slot(m, index) + m->attr.spin_lock_off);
}

static int array_alloc_check(const struct map_attr *attr)
{
	return array_check_attr(attr, BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY |
					      BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG |
					      BPF_F_MMAPABLE | BPF_F_INNER_MAP);
}

static int array_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	/* < 2^32 * 2^31: no overflow here or below */
	uint64_t values = (uint64_t)m->elem_size * m->attr.max_entries;

	m->array.redo_off =
		round_up_u64(values, m->attr.map_flags & BPF_F_MMAPABLE ? SHMAP_PAGE : CACHE_LINE);
	m->array.redo_count = 0;
	m->array.redo_size = 0;
	if (m->attr.value_size > 8) {
		uint64_t size = redo_record_size(m->attr.value_size);

		m->array.redo_count = redo_records(m->attr.max_entries, m->attr.value_size, values);
		m->array.redo_size = size; /* < 2^32: value_size <= INT_MAX */
	}
	*data_size = m->array.redo_off + (uint64_t)m->array.redo_count * m->array.redo_size *
						 (array_has_lock(m) ? 2 : 1);
	*prealloc = *data_size;
	return 0;
}

/* Zero bytes are the right beginning for values, locks and records. */
static int array_format(struct map *m)
{
	return 0;
}

/* The place of a value gets all but its lock. Repeatable: redo_apply_fn. */
static void array_apply(struct map *m, uint32_t index, const void *value, int cpu)
{
	value_store_unlocked(array_slot(m, index), value, m->attr.value_size,
			     m->attr.spin_lock_off);
}

/* A value of up to 8 bytes: one store. The lock, if any, is 4 of the 8 bytes. */
static void array_store_small(struct map *m, uint32_t index, const void *value)
{
	uint32_t from = 0, to = m->attr.value_size;

	if (m->attr.spin_lock_off == 0)
		from = VALUE_LOCK_SIZE;
	else if (m->attr.spin_lock_off > 0)
		to = m->attr.spin_lock_off;
	if (to > from)
		value_store_small(array_slot(m, index), from, (const uint8_t *)value + from,
				  to - from);
}

/*
 * Takes the lock in the value; first finishes what a holder that died in
 * array_write_locked() left, or undoes what one that died in its section did. 0 or -EBUSY.
 */
static int array_lock(struct map *m, uint32_t index)
{
	struct redo_claims c = array_claims(m);
	int err = lock_acquire(array_lock_word(m, index));

	if (err < 0)
		return err;
	if (unlikely(err == LOCK_OWNER_DIED))
		redo_claims_settle(m, &c, index, array_apply);
	return 0;
}

/*
 * All claims are in use: frees those of the dead. A claim's index names the
 * lock that it belongs to; once that lock is ours, a claim with this index
 * still there has no owner. Called without a lock. Locks whose holders live
 * are left alone.
 */
static void array_reclaim(struct map *m)
{
	struct redo_claims c = array_claims(m);

	for (uint32_t i = 0; i < c.count; i++) {
		struct redo_record *r = redo_claim_at(&c, i);
		uint64_t tag = load_acquire(&r->tag) & ~REDO_CLAIMED;
		uint32_t *word;

		if (!tag)
			continue;
		if (tag > m->attr.max_entries) {
			store_release(&r->tag, 0); /* damage: nobody owns it */
			continue;
		}
		word = array_lock_word(m, tag - 1);
		if (load_relaxed(word) && !lock_owner_died(word))
			continue;
		if (lock_acquire(word) < 0)
			continue;
		redo_claims_settle(m, &c, tag - 1, array_apply);
		lock_release(word);
	}
}

static int array_section_begin(struct map *m, void *value, uint32_t start, void **kept)
{
	uint64_t index = (uint64_t)((uint8_t *)value - m->obj.base) / m->elem_size;
	struct redo_claims c = array_claims(m);
	int err, tries = 0;

	*kept = NULL;
	if (unlikely((uint8_t *)value < m->obj.base || index >= m->attr.max_entries))
		return lock_acquire((uint32_t *)((uint8_t *)value + m->attr.spin_lock_off));
	for (;;) {
		err = array_lock(m, (uint32_t)index);
		if (err || !c.count || m->attr.value_size > REDO_KEEP_MAX)
			return err;
		*kept = redo_claims_keep(&c, index, start, value, m->attr.value_size,
					 m->attr.spin_lock_off);
		/* More sections than records: without, rather than waiting for them. */
		if (likely(*kept) || tries++)
			return 0;
		lock_release(array_lock_word(m, (uint32_t)index));
		array_reclaim(m);
	}
}

static int64_t array_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* BPF_F_LOCK: the copy excludes the programs' bpf_spin_lock sections (G3). */
static int array_write_locked(struct map *m, uint32_t index, const void *value)
{
	struct redo_claims c = array_claims(m);
	int64_t until = 0;
	int err;

	for (;;) {
		err = array_lock(m, index);
		if (err)
			return err;
		if (unlikely(map_gate_shut(m))) {
			lock_release(array_lock_word(m, index));
			err = map_gate_wait(m);
			if (err)
				return err;
			continue;
		}
		if (!c.count) {
			array_store_small(m, index, value);
			err = 0;
		} else {
			err = redo_claims_write(m, &c, index, value, m->attr.value_size,
						array_apply);
		}
		lock_release(array_lock_word(m, index));
		if (err != -EAGAIN)
			return err;
		/* Each claim in use is a write of some thread that goes on, died
		 * (reclaimed here), or is stopped: then the bound. */
		array_reclaim(m);
		if (!until)
			until = array_seconds() + LOCK_WAIT_SECONDS;
		else if (array_seconds() > until)
			return -EBUSY;
		sched_yield();
	}
}

static int array_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	uint32_t index = array_index(key);
	int err = array_check_update(m, index, flags);

	if (err)
		return err;
	if (flags & BPF_F_LOCK) {
		/* What a dead plain writer left comes before this. */
		err = m->array.redo_count ? redo_recover(m, array_record(m, index), array_apply, -1)
					  : 0;
		return err ? err : array_write_locked(m, index, value);
	}
	/* Before a single store; the others look again under their locks. */
	while (unlikely(map_gate_shut(m))) {
		err = map_gate_wait(m);
		if (err)
			return err;
	}
	if (m->attr.value_size == 8 && !array_has_lock(m)) {
		uint64_t v;

		memcpy(&v, value, 8);
		store_relaxed((uint64_t *)array_slot(m, index), v);
		return 0;
	}
	if (!m->array.redo_count) {
		array_store_small(m, index, value);
		return 0;
	}
	/* What a dead holder of the lock had staged comes before this value, not
	 * after it. */
	if (array_has_lock(m) && unlikely(lock_owner_died(array_lock_word(m, index)))) {
		err = array_lock(m, index);
		if (err)
			return err;
		lock_release(array_lock_word(m, index));
	}
	return redo_write(m, array_record(m, index), index, value, m->attr.value_size, array_apply,
			  -1);
}

static int array_copy_out(struct map *m, const void *from, void *value)
{
	return value_copy_out(value, from, m->attr.value_size, m->attr.spin_lock_off);
}

/*
 * A locked read of a read-only mapping, which cannot take the lock: two
 * copies that agree, the lock word 0 before, between and after. So no one section
 * covers both, and two would have to leave the same mixture twice. When the holder has died, its
 * staged value is the value (it happened), or else the place is.
 */
static int array_read_locked_ro(struct map *m, uint32_t index, void *value)
{
	struct redo_record *plain = m->array.redo_count ? array_record(m, index) : NULL;
	struct redo_claims c = array_claims(m);
	const uint32_t size = m->attr.value_size;
	const uint32_t *word = array_lock_word(m, index);
	int64_t until = array_seconds() + LOCK_WAIT_SECONDS;
	uint8_t *copy = malloc(2 * (size_t)size);
	int err;

	if (!copy)
		return -ENOMEM;
	do {
		struct redo_record *r;
		bool free_before, free_after;

		err = -EBUSY;
		/* A plain writer that died: all others would have finished its
		 * write before theirs. */
		if (plain && lock_owner_died(&plain->lock) &&
		    load_acquire(&plain->tag) == (uint64_t)index + 1) {
			err = array_copy_out(m, plain->staged, copy);
			if (err || redo_still(plain, index))
				break;
			err = -EBUSY;
			continue;
		}
		if (lock_owner_died(word)) {
			r = redo_claims_find(&c, index);
			err = array_copy_out(m, r ? r->staged : array_slot(m, index), copy);
			fence_acquire();
			if (err || (lock_owner_died(word) && redo_claims_find(&c, index) == r))
				break;
			err = -EBUSY;
			continue;
		}
		free_before = !load_acquire(word);
		err = array_copy_out(m, array_slot(m, index), copy);
		fence_acquire();
		free_before = free_before && !load_acquire(word);
		if (!err)
			err = array_copy_out(m, array_slot(m, index), copy + size);
		fence_acquire();
		free_after = !load_relaxed(word);
		if (err)
			break;
		if (free_before && free_after && !memcmp(copy, copy + size, size))
			break;
		err = -EBUSY;
		sched_yield();
	} while (array_seconds() <= until);
	if (!err)
		err = uaccess_copy(value, copy, size);
	free(copy);
	return err;
}

static int array_read_locked(struct map *m, uint32_t index, void *value)
{
	int err;

	if (!m->writable)
		return array_read_locked_ro(m, index, value);
	/* What a dead plain writer left, as before a locked write. */
	err = m->array.redo_count ? redo_recover(m, array_record(m, index), array_apply, -1) : 0;
	if (!err)
		err = array_lock(m, index);
	if (err)
		return err;
	err = array_copy_out(m, array_slot(m, index), value);
	lock_release(array_lock_word(m, index));
	return err;
}

/* Reads of values of more than 8 bytes, after a look at who may have died. */
static int array_read_large(struct map *m, uint32_t index, void *value)
{
	struct redo_record *r = array_record(m, index);
	int err;

	if (array_has_lock(m) && lock_owner_died(array_lock_word(m, index))) {
		if (!m->writable)
			return array_read_locked_ro(m, index, value);
		if (!array_lock(m, index))
			lock_release(array_lock_word(m, index));
	}
	for (int i = 0; i < REDO_READ_TRIES; i++) {
		const void *staged = redo_source(m, r, index, array_apply, -1);

		err = array_copy_out(m, staged ? staged : array_slot(m, index), value);
		if (err || !staged || redo_still(r, index))
			return err;
	}
	return array_copy_out(m, array_slot(m, index), value);
}

static int array_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint32_t index = array_index(key);

	if (unlikely(flags)) {
		if (flags & ~(uint64_t)BPF_F_LOCK || !array_has_lock(m))
			return -EINVAL;
		if (index >= m->attr.max_entries)
			return -ENOENT;
		return array_read_locked(m, index, value);
	}
	if (index >= m->attr.max_entries)
		return -ENOENT;
	if (!m->array.redo_count)
		return array_copy_out(m, array_slot(m, index), value);
	return array_read_large(m, index, value);
}

/*
 * Before a program gets a pointer: what dead writers had staged comes before the
 * program's stores, not over them. (A pointer from before the death, a mapping
 * and a global variable are not asked for: their stores are as concurrent with
 * the dead update as they were with the living one.)
 */
static void array_settle(struct map *m, uint32_t index)
{
	if (!m->writable)
		return;
	redo_recover(m, array_record(m, index), array_apply, -1);
	if (array_has_lock(m) && lock_owner_died(array_lock_word(m, index)) &&
	    !array_lock(m, index))
		lock_release(array_lock_word(m, index));
}

static void *array_lookup(struct map *m, const void *key)
{
	uint32_t index = array_index(key);

	if (unlikely(index >= m->attr.max_entries))
		return NULL;
	if (m->array.redo_count &&
	    unlikely(lock_owner_died(&array_record(m, index)->lock) ||
		     (array_has_lock(m) && lock_owner_died(array_lock_word(m, index)))))
		array_settle(m, index);
	if (unlikely(load_relaxed(&m->sealed)))
		return m->sealed;
	return array_slot(m, index);
}

static void array_inlined(const struct map *m, struct map_inline *in)
{
	if (array_has_lock(m) || load_relaxed(&m->sealed))
		return;
	in->max = m->attr.max_entries;
	in->stride = m->elem_size;
	if (!m->array.redo_count)
		return;
	in->guard_off = m->array.redo_off + offsetof(struct redo_record, lock);
	in->guard_mask = m->array.redo_count - 1;
	in->guard_stride = m->array.redo_size;
}

static long array_update(struct map *m, const void *key, const void *value, uint64_t flags)
{
	return array_write(m, key, value, flags);
}

static long array_for_each(struct map *m, long (*fn)(void *, struct map *, const void *, void *),
			   void *arg)
{
	uint32_t i;

	for (i = 0; i < m->attr.max_entries; i++)
		if (fn(arg, m, &i, array_lookup(m, &i)))
			return (long)i + 1;
	return i;
}

/*
 * In the order of the kernel's do_mmap and bpf_map_mmap. A mapping that was
 * made read-only cannot be made writable later there; here the preload layer
 * refuses the mprotect.
 */
static int array_mmap_check(struct map *m, uint64_t offset, uint64_t len, int prot, int flags)
{
	uint64_t values = round_up_u64((uint64_t)m->elem_size * m->attr.max_entries, SHMAP_PAGE);

	if (prot & PROT_EXEC)
		return -EPERM;
	if (array_has_lock(m))
		return -ENOTSUPP;
	if ((flags & MAP_TYPE) == MAP_PRIVATE)
		return -EINVAL;
	if (prot & PROT_WRITE) {
		if (load_acquire(&m->shared->frozen))
			return -EPERM;
		if (m->attr.map_flags & BPF_F_RDONLY_PROG)
			return -EACCES;
	}
	if (!(m->attr.map_flags & BPF_F_MMAPABLE))
		return -EINVAL;
	if (offset > values || round_up_u64(len, SHMAP_PAGE) > values - offset)
		return -EINVAL;
	return 0;
}

static uint64_t array_memlock(const struct map *m)
{
	uint64_t values = (uint64_t)m->elem_size * m->attr.max_entries;

	if (m->attr.map_flags & BPF_F_MMAPABLE)
		return SHMAP_PAGE + round_up_u64(values, SHMAP_PAGE);
	return ARRAY_KERNEL_HEADER + values;
}

static int array_recover(struct map *m)
{
	int err;

	if (!m->writable)
		return -EPERM;
	for (uint32_t i = 0; i < m->array.redo_count; i++) {
		err = redo_recover(m, array_record(m, i), array_apply, -1);
		if (err)
			return err;
	}
	if (!array_has_lock(m))
		return 0;
	for (uint32_t i = 0; i < m->attr.max_entries; i++) {
		if (!lock_owner_died(array_lock_word(m, i)))
			continue;
		err = array_lock(m, i);
		if (err)
			return err;
		lock_release(array_lock_word(m, i));
	}
	return 0;
}

static int array_validate(struct map *m, char *why, size_t size)
{
	struct redo_claims c = array_claims(m);

	for (uint32_t i = 0; i < m->array.redo_count; i++) {
		struct redo_record *r = array_record(m, i);

		if (r->lock || r->tag) {
			snprintf(why, why ? size : 0, "redo record %u: lock %#x tag %#llx", i,
				 r->lock, (unsigned long long)r->tag);
			return -EINVAL;
		}
	}
	for (uint32_t i = 0; i < c.count; i++) {
		struct redo_record *r = redo_claim_at(&c, i);

		if (r->tag) {
			snprintf(why, why ? size : 0, "claim %u: tag %#llx", i,
				 (unsigned long long)r->tag);
			return -EINVAL;
		}
	}
	if (!array_has_lock(m))
		return 0;
	for (uint32_t i = 0; i < m->attr.max_entries; i++)
		if (*array_lock_word(m, i)) {
			snprintf(why, why ? size : 0, "value %u: lock %#x", i,
				 *array_lock_word(m, i));
			return -EINVAL;
		}
	return 0;
}

static void array_key_at(struct map *m, const void *value, void *key)
{
	const uint32_t index = (uint32_t)(((const uint8_t *)value - m->obj.base) / m->elem_size);

	memcpy(key, &index, sizeof(index));
}

static void *array_direct_value(struct map *m)
{
	uint8_t *sealed = load_acquire(&m->sealed);

	return m->attr.max_entries != 1 ? NULL : sealed ? sealed : m->obj.base;
}

/*
 * A program was found to be safe with these values, as constants. The file is others' as
 * well: who can write to it could change them afterwards, also one whose update
 * began before the map was frozen.
 */
static const void *array_sealed_value(struct map *m)
{
	const size_t size = round_up_u64(m->elem_size, SHMAP_PAGE);
	uint8_t *copy = load_acquire(&m->sealed), *none = NULL;

	if (copy || m->attr.max_entries != 1)
		return copy;
	copy = raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(copy))
		return NULL;
	if (uaccess_copy(copy, m->obj.base, m->elem_size) ||
	    raw_mprotect(copy, size, PROT_READ) || !cas_seq_cst(&m->sealed, &none, copy)) {
		raw_munmap(copy, size);
		return none;
	}
	return copy;
}

static void array_close(struct map *m)
{
	if (m->sealed)
		raw_munmap(m->sealed, round_up_u64(m->elem_size, SHMAP_PAGE));
}

/* ---- snapshots and transactions: gate.h ---- */

static int array_drain(struct map *m, const void *key)
{
	uint32_t i, from = key ? array_index(key) : 0, upto = key ? from + 1 : m->array.redo_count;
	int err;

	/* A key that was looked for, and that no array of this size has. */
	if (from >= m->attr.max_entries)
		return 0;
	/* A holder of the lock in a value looked at the gate before it wrote. */
	if (key && array_has_lock(m)) {
		err = array_lock(m, from);
		if (err)
			return err;
		lock_release(array_lock_word(m, from));
	}
	for (i = from; m->array.redo_count && i < upto; i++) {
		err = redo_lock(m, array_record(m, i), array_apply, -1);
		if (err)
			return err;
		lock_release(&array_record(m, i)->lock);
	}
	return 0;
}

static int array_copy_locked(struct map *m, struct map *copy)
{
	uint32_t i;
	int err = 0;

	for (i = 0; array_has_lock(m) && i < m->attr.max_entries; i++) {
		err = array_lock(m, i);
		if (err)
			return err;
		array_apply(copy, i, array_slot(m, i), -1);
		lock_release(array_lock_word(m, i));
	}
	return err;
}

static void array_copied(struct map *copy)
{
	struct redo_claims c = array_claims(copy);
	uint32_t i;

	for (i = 0; i < copy->array.redo_count; i++)
		array_record(copy, i)->lock = 0, array_record(copy, i)->tag = 0;
	for (i = 0; i < c.count; i++)
		redo_claim_at(&c, i)->lock = 0, redo_claim_at(&c, i)->tag = 0;
	for (i = 0; array_has_lock(copy) && i < copy->attr.max_entries; i++)
		*array_lock_word(copy, i) = 0;
}

static int array_modify(struct map *m, const void *key, void *copy, int (*fn)(void *, void *),
			void *arg)
{
	uint32_t index = array_index(key);
	struct redo_claims c = array_claims(m);
	int64_t until = 0;
	int err;

	if (index >= m->attr.max_entries)
		return -ENOENT;
	err = m->array.redo_count ? redo_recover(m, array_record(m, index), array_apply, -1) : 0;
	while (!err) {
		err = array_lock(m, index);
		if (err)
			return err;
		if (unlikely(map_gate_shut(m))) {
			lock_release(array_lock_word(m, index));
			err = map_gate_wait(m);
			continue;
		}
		value_copy_out(copy, array_slot(m, index), m->attr.value_size,
			       m->attr.spin_lock_off);
		err = fn(copy, arg) ? -ECANCELED : 0;
		if (!err && !c.count)
			array_store_small(m, index, copy);
		else if (!err)
			err = redo_claims_write(m, &c, index, copy, m->attr.value_size,
						array_apply)
				      ? -EAGAIN
				      : 0;
		lock_release(array_lock_word(m, index));
		if (err != -EAGAIN || !c.count)
			return err;
		array_reclaim(m);
		if (!until)
			until = array_seconds() + LOCK_WAIT_SECONDS;
		else if (array_seconds() > until)
			return -EBUSY;
		sched_yield();
		err = 0;
	}
	return err;
}

static int array_check(const struct map *m, const void *key, bool put)
{
	if (!put)
		return -EINVAL;
	return array_index(key) < m->attr.max_entries ? 0 : -E2BIG;
}

/* Every value has its place already. */
static int array_reserve(struct map *m, struct gate_plan *plan)
{
	return 0;
}

static bool array_put_over(struct map *m, const void *key, const void *seen, const void *value)
{
	uint32_t index = array_index(key);

	return index < m->attr.max_entries && !array_has_lock(m) &&
	       value_store_over(array_slot(m, index), seen, value, m->attr.value_size);
}

static const struct gate_ops array_gate_ops = {
	.drain = array_drain,
	.copy_locked = array_copy_locked,
	.copied = array_copied,
	.check = array_check,
	.reserve = array_reserve,
	.put_over = array_put_over,
	.modify = array_modify,
};

const struct map_ops array_map_ops = {
	.type = BPF_MAP_TYPE_ARRAY,
	.name = "array",
	.gate = &array_gate_ops,
	.alloc_check = array_alloc_check,
	.layout = array_layout,
	.format = array_format,
	.read = array_read,
	.write = array_write,
	.erase = array_erase,
	.next_key = array_next_key,
	.lookup = array_lookup,
	.key_at = array_key_at,
	.update = array_update,
	.delete = array_delete,
	.for_each = array_for_each,
	.stats = array_stats,
	.section_begin = array_section_begin,
	.lookup_batch = generic_lookup_batch,
	.update_batch = generic_update_batch,
	.mmap_check = array_mmap_check,
	.raw_stores = true,
	.memlock = array_memlock,
	.recover = array_recover,
	.validate = array_validate,
	.direct_value = array_direct_value,
	.sealed_value = array_sealed_value,
	.close = array_close,
	.inlined = array_inlined,
	.lock_allowed = true,
	.inner_allowed = true,
	.inner_entries = true,
};
