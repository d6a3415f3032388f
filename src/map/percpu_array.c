/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_PERCPU_ARRAY.
 *
 *   offset 0      CPU 0: max_entries slots of round_up(value_size, 8) bytes
 *   cpu_stride    CPU 1: the same; each CPU's region has its own cache lines
 *   ...
 *   redo_off      redo_count records that stage a value of all CPUs, chosen by
 *                 index: updates through bpf(2)
 *   after them    one record per CPU that stages one CPU's value: updates by
 *                 programs (values of more than 8 bytes)
 *
 * A program has its CPU to itself (sync/lease.h): its stores in place need
 * nothing. An update by bpf(2) writes every CPU's slot while programs run, as
 * in the kernel; the padding up to 8 bytes is part of what it copies.
 *
 * Death: an update by bpf(2) goes through a record of the whole (redo.h): it
 * happened on all CPUs or on none. A program's update of its own slot goes
 * through its CPU's record, whose lock nobody else waits for while it lives.
 */
#include <stdio.h>

#include "base/errors.h"
#include "map/array_common.h"
#include "map/gate.h"
#include "map/generic_batch.h"
#include "map/redo.h"
#include "map/value.h"
#include "sync/lease.h"

#define PERCPU_VALUE_MAX 32768U

static inline uint8_t *percpu_slot(const struct map *m, uint32_t index, uint32_t cpu)
{
	return m->obj.base + m->array.cpu_stride * cpu + (uint64_t)m->elem_size * index;
}

static struct redo_record *percpu_record(const struct map *m, uint32_t index)
{
	uint32_t i = index & (m->array.redo_count - 1);

	return (struct redo_record *)(m->obj.base + m->array.redo_off +
				      (uint64_t)i * m->array.redo_size);
}

static inline bool percpu_cpu_records(const struct map *m)
{
	return m->attr.value_size > 8;
}

static struct redo_record *percpu_cpu_record(const struct map *m, uint32_t cpu)
{
	return (struct redo_record *)(m->obj.base + m->array.redo_off +
				      (uint64_t)m->array.redo_count * m->array.redo_size +
				      redo_record_size(m->elem_size) * cpu);
}

static int percpu_alloc_check(const struct map_attr *attr)
{
	int err = array_check_attr(attr, BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY |
						 BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG);

	if (err == -E2BIG || !err) {
		/* the flag is allowed, a node is not */
		if (attr->map_flags & BPF_F_NUMA_NODE && attr->numa_node != (uint32_t)-1)
			return -EINVAL;
	}
	if (err)
		return err;
	return round_up_u64(attr->value_size, 8) > PERCPU_VALUE_MAX ? -E2BIG : 0;
}

static int percpu_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	/* <= 2^32 * 2^15 * 2^12: no overflow here or below */
	uint32_t cpus = m->attr.possible_cpus;
	uint64_t values;

	m->array.cpu_stride =
		round_up_u64((uint64_t)m->elem_size * m->attr.max_entries, CACHE_LINE);
	values = m->array.cpu_stride * cpus;
	m->array.redo_off = values;
	m->array.redo_count = 0;
	m->array.redo_size = 0;
	if (m->user_value_size > 8) {
		m->array.redo_count = redo_records(m->attr.max_entries, m->user_value_size, values);
		m->array.redo_size = redo_record_size(m->user_value_size);
	}
	*data_size = values + (uint64_t)m->array.redo_count * m->array.redo_size;
	if (percpu_cpu_records(m))
		*data_size += redo_record_size(m->elem_size) * cpus;
	*prealloc = *data_size;
	return 0;
}

/* Zero bytes are the right beginning for values and records. */
static int percpu_format(struct map *m)
{
	return 0;
}

/* redo_apply_fn: all CPUs' slots. */
static void percpu_apply_all(struct map *m, uint32_t index, const void *value, int cpu)
{
	for (uint32_t i = 0; i < m->attr.possible_cpus; i++)
		value_store(percpu_slot(m, index, i),
			    (const uint8_t *)value + (uint64_t)i * m->elem_size, m->elem_size);
}

/* redo_apply_fn: one CPU's value; its padding stays. */
static void percpu_apply_one(struct map *m, uint32_t index, const void *value, int cpu)
{
	value_store(percpu_slot(m, index, cpu), value, m->attr.value_size);
}

/*
 * A value has two records: that of bpf(2)'s updates and, per CPU, that of its
 * program's. Who writes through one first finishes what a dead writer left in
 * the other: else its update, which happened before, would be found and done
 * after the new one. A load per record while nobody has died. (Whether the
 * record is about this index does not matter here: it is finished either way.)
 */
static int percpu_settle_cpus(struct map *m)
{
	int err = 0;

	for (uint32_t cpu = 0; !err && percpu_cpu_records(m) && cpu < m->attr.possible_cpus; cpu++)
		err = redo_recover(m, percpu_cpu_record(m, cpu), percpu_apply_one, cpu);
	return err;
}

static int percpu_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	uint32_t index = array_index(key);
	int err;

	if (flags > BPF_EXIST)
		return -EINVAL;
	err = array_check_update(m, index, flags);
	if (err)
		return err;
	while (unlikely(map_gate_shut(m))) {
		err = map_gate_wait(m);
		if (err)
			return err;
	}
	if (!m->array.redo_count) {
		percpu_apply_all(m, index, value, -1); /* one CPU, 8 bytes: one store */
		return 0;
	}
	err = percpu_settle_cpus(m);
	if (err)
		return err;
	return redo_write(m, percpu_record(m, index), index, value, m->user_value_size,
			  percpu_apply_all, -1);
}

/* One CPU's copy, after a look at whether a program died updating it. */
static int percpu_read_cpu(struct map *m, uint32_t index, uint32_t cpu, void *value)
{
	struct redo_record *r = percpu_cpu_record(m, cpu);
	const uint8_t *slot = percpu_slot(m, index, cpu);
	const uint32_t size = m->attr.value_size;

	if (!percpu_cpu_records(m))
		return uaccess_copy(value, slot, m->elem_size);
	for (int i = 0; i < REDO_READ_TRIES; i++) {
		const void *staged = redo_source(m, r, index, percpu_apply_one, cpu);
		int err;

		if (!staged)
			break;
		err = uaccess_copy(value, staged, size);
		if (!err)
			err = uaccess_copy(uaccess_at(value, size), slot + size,
					   m->elem_size - size);
		if (err || redo_still(r, index))
			return err;
	}
	return uaccess_copy(value, slot, m->elem_size);
}

static int percpu_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint32_t index = array_index(key);
	int err = 0;

	if (flags)
		return -EINVAL; /* no lock in per-CPU values */
	if (index >= m->attr.max_entries)
		return -ENOENT;
	for (int i = 0; m->array.redo_count && i < REDO_READ_TRIES; i++) {
		struct redo_record *r = percpu_record(m, index);
		const void *staged = redo_source(m, r, index, percpu_apply_all, -1);

		if (!staged)
			break;
		err = uaccess_copy(value, staged, m->user_value_size);
		if (err || redo_still(r, index))
			return err;
	}
	for (uint32_t cpu = 0; !err && cpu < m->attr.possible_cpus; cpu++)
		err = percpu_read_cpu(m, index, cpu,
				      (uint8_t *)value + (uint64_t)cpu * m->elem_size);
	return err;
}

static void *percpu_lookup_cpu(struct map *m, const void *key, uint32_t cpu)
{
	uint32_t index = array_index(key);

	if (unlikely(index >= m->attr.max_entries || cpu >= m->attr.possible_cpus))
		return NULL;
	/* What dead writers had staged comes before the program's stores, not over
	 * them: two loads while nobody has died. */
	if (m->array.redo_count && m->writable)
		redo_recover(m, percpu_record(m, index), percpu_apply_all, -1);
	if (percpu_cpu_records(m) && m->writable)
		redo_recover(m, percpu_cpu_record(m, cpu), percpu_apply_one, cpu);
	return percpu_slot(m, index, cpu);
}

/* Without a lease there is no CPU (-1 as unsigned is out of range). */
static void *percpu_lookup(struct map *m, const void *key)
{
	return percpu_lookup_cpu(m, key, (uint32_t)lease_cpu());
}

static void percpu_inlined(const struct map *m, struct map_inline *in)
{
	uint64_t cpu_records =
		m->array.redo_off + (uint64_t)m->array.redo_count * m->array.redo_size;

	in->max = m->attr.max_entries;
	in->stride = m->elem_size;
	in->cpus = m->attr.possible_cpus;
	in->cpu_stride = m->array.cpu_stride;
	if (!m->writable)
		return;
	if (m->array.redo_count) {
		in->guard_off = m->array.redo_off + offsetof(struct redo_record, lock);
		in->guard_mask = m->array.redo_count - 1;
		in->guard_stride = m->array.redo_size;
	}
	if (percpu_cpu_records(m)) {
		in->cpu_guard_off = cpu_records + offsetof(struct redo_record, lock);
		in->cpu_guard_stride = redo_record_size(m->elem_size);
	}
}

static long percpu_update(struct map *m, const void *key, const void *value, uint64_t flags)
{
	uint32_t index = array_index(key), cpu = lease_cpu();
	int err = array_check_update(m, index, flags);

	if (err)
		return err;
	if (cpu >= m->attr.possible_cpus)
		return -EINVAL;
	if (m->array.redo_count) {
		err = redo_recover(m, percpu_record(m, index), percpu_apply_all, -1);
		if (err)
			return err;
	}
	while (unlikely(map_gate_shut(m))) {
		err = map_gate_wait(m);
		if (err)
			return err;
	}
	if (!percpu_cpu_records(m)) {
		value_store_small(percpu_slot(m, index, cpu), 0, value, m->attr.value_size);
		return 0;
	}
	return redo_write(m, percpu_cpu_record(m, cpu), index, value, m->attr.value_size,
			  percpu_apply_one, cpu);
}

static long percpu_for_each(struct map *m, long (*fn)(void *, struct map *, const void *, void *),
			    void *arg)
{
	uint32_t i, cpu = lease_cpu();

	if (cpu >= m->attr.possible_cpus)
		return -EINVAL;
	for (i = 0; i < m->attr.max_entries; i++)
		if (fn(arg, m, &i, percpu_lookup_cpu(m, &i, cpu)))
			return (long)i + 1;
	return i;
}

/* ---- batches of small values: keys and values go to and from the caller many at a time ---- */

#define CHUNK 64
#define CHUNK_VALUE 64 /* bytes, all CPUs' */

struct chunk {
	uint32_t keys[CHUNK];
	uint64_t values[CHUNK * CHUNK_VALUE / 8];
};

/* One word per CPU, which no program's record is for. */
static bool chunk_fits(const struct map *m, const struct map_batch *b)
{
	return b->count && !b->elem_flags && m->attr.value_size <= 8 &&
	       m->user_value_size <= CHUNK_VALUE;
}

static int chunk_out(struct map *m, const struct map_batch *b, const struct chunk *c, uint32_t at,
		     uint32_t n)
{
	int err = uaccess_copy(uaccess_at(b->values, (uint64_t)at * m->user_value_size), c->values,
			       (size_t)n * m->user_value_size);

	return err ? err
		   : uaccess_copy(uaccess_at(b->keys, (uint64_t)at * 4), c->keys, (size_t)n * 4);
}

/* As generic_lookup_batch(). */
static int percpu_lookup_batch(struct map *m, struct map_batch *b)
{
	uint32_t max = b->count, done = 0, from = 0, cpus = m->attr.possible_cpus, n, i, cpu, last;
	struct chunk c;
	int err;

	if (!chunk_fits(m, b))
		return generic_lookup_batch(m, b);
	b->count = 0;
	if (b->in_batch) {
		err = uaccess_copy(&from, b->in_batch, 4);
		if (err)
			return err;
		from = from >= m->attr.max_entries ? 0 : from + 1;
	}
	last = from - 1;
	while (done < max && from < m->attr.max_entries) {
		n = max - done < CHUNK ? max - done : CHUNK;
		if (n > m->attr.max_entries - from)
			n = m->attr.max_entries - from;
		for (i = 0; i < n; i++) {
			last = c.keys[i] = from + i;
			if (m->array.redo_count &&
			    unlikely(lock_owner_died(&percpu_record(m, last)->lock))) {
				percpu_read(m, &last, &c.values[i * cpus], 0);
				continue;
			}
			for (cpu = 0; cpu < cpus; cpu++)
				c.values[i * cpus + cpu] =
					load_relaxed((uint64_t *)percpu_slot(m, last, cpu));
		}
		err = chunk_out(m, b, &c, done, n);
		if (err)
			return err;
		done += n;
		from += n;
	}
	b->count = done;
	if (done && uaccess_copy(b->out_batch, &last, 4))
		return -EFAULT;
	return done < max ? -ENOENT : 0;
}

/* percpu_write() of a small value. */
static inline __attribute__((always_inline)) int write_small(struct map *m, uint32_t index,
							     const uint64_t *value)
{
	uint32_t cpu, cpus = m->attr.possible_cpus;
	struct redo_record *r;
	int err;

	err = array_check_update(m, index, BPF_ANY);
	if (unlikely(err))
		return err;
	while (unlikely(map_gate_shut(m))) {
		err = map_gate_wait(m);
		if (err)
			return err;
	}
	if (!m->array.redo_count) {
		percpu_apply_all(m, index, value, -1);
		return 0;
	}
	r = percpu_record(m, index);
	err = redo_lock(m, r, percpu_apply_all, -1);
	if (unlikely(err))
		return err;
	/* redo.c says what the order is for */
	for (cpu = 0; cpu < cpus; cpu++)
		store_relaxed((uint64_t *)r->staged + cpu, value[cpu]);
	store_release(&r->tag, (uint64_t)index + 1);
	fence_release();
	for (cpu = 0; cpu < cpus; cpu++)
		store_relaxed((uint64_t *)percpu_slot(m, index, cpu), value[cpu]);
	store_release(&r->tag, 0);
	lock_release(&r->lock);
	return 0;
}

/* As generic_update_batch(). */
static int percpu_update_batch(struct map *m, struct map_batch *b)
{
	uint32_t max = b->count, done = 0, n, i;
	struct map_batch rest;
	struct chunk c;
	int err = 0;

	if (!chunk_fits(m, b))
		return generic_update_batch(m, b);
	b->count = 0;
	while (!err && done < max) {
		n = max - done < CHUNK ? max - done : CHUNK;
		rest = (struct map_batch){
			.keys = uaccess_at(b->keys, (uint64_t)done * 4),
			.values = uaccess_at(b->values, (uint64_t)done * m->user_value_size),
			.count = n,
		};
		if (uaccess_copy(c.keys, rest.keys, (size_t)n * 4) ||
		    uaccess_copy(c.values, rest.values, (size_t)n * m->user_value_size)) {
			/* a bad address somewhere: up to it they count */
			err = generic_update_batch(m, &rest);
			done += rest.count;
			continue;
		}
		for (i = 0; !err && i < n; i++)
			err = write_small(m, c.keys[i], &c.values[i * m->attr.possible_cpus]);
		done += err ? i - 1 : i;
	}
	b->count = done;
	return err;
}

static uint64_t percpu_memlock(const struct map *m)
{
	uint64_t n = m->attr.max_entries;

	return ARRAY_KERNEL_HEADER + n * sizeof(void *) + n * m->elem_size * m->attr.possible_cpus;
}

static int percpu_recover(struct map *m)
{
	int err;

	if (!m->writable)
		return -EPERM;
	for (uint32_t i = 0; i < m->array.redo_count; i++) {
		err = redo_recover(m, percpu_record(m, i), percpu_apply_all, -1);
		if (err)
			return err;
	}
	for (uint32_t i = 0; percpu_cpu_records(m) && i < m->attr.possible_cpus; i++) {
		err = redo_recover(m, percpu_cpu_record(m, i), percpu_apply_one, i);
		if (err)
			return err;
	}
	return 0;
}

static int percpu_validate(struct map *m, char *why, size_t size)
{
	uint32_t cpus = percpu_cpu_records(m) ? m->attr.possible_cpus : 0;

	for (uint32_t i = 0; i < m->array.redo_count + cpus; i++) {
		struct redo_record *r = i < m->array.redo_count
						? percpu_record(m, i)
						: percpu_cpu_record(m, i - m->array.redo_count);

		if (r->lock || r->tag) {
			snprintf(why, why ? size : 0, "redo record %u: lock %#x tag %#llx", i,
				 r->lock, (unsigned long long)r->tag);
			return -EINVAL;
		}
	}
	return 0;
}

/* ---- snapshots and transactions: gate.h ---- */

static int percpu_pass(struct map *m, struct redo_record *r, redo_apply_fn apply, int cpu)
{
	int err = redo_lock(m, r, apply, cpu);

	if (!err)
		lock_release(&r->lock);
	return err;
}

static int percpu_drain(struct map *m, const void *key)
{
	uint32_t i, from = key ? array_index(key) : 0, upto = key ? from + 1 : m->array.redo_count;
	int err = 0;

	for (i = from; !err && m->array.redo_count && i < upto; i++)
		err = percpu_pass(m, percpu_record(m, i), percpu_apply_all, -1);
	for (i = 0; !err && percpu_cpu_records(m) && i < m->attr.possible_cpus; i++)
		err = percpu_pass(m, percpu_cpu_record(m, i), percpu_apply_one, (int)i);
	return err;
}

static void percpu_copied(struct map *copy)
{
	uint32_t i, cpus = percpu_cpu_records(copy) ? copy->attr.possible_cpus : 0;

	for (i = 0; i < copy->array.redo_count; i++)
		percpu_record(copy, i)->lock = 0, percpu_record(copy, i)->tag = 0;
	for (i = 0; i < cpus; i++)
		percpu_cpu_record(copy, i)->lock = 0, percpu_cpu_record(copy, i)->tag = 0;
}

static int percpu_check(const struct map *m, const void *key, bool put)
{
	if (!put)
		return -EINVAL;
	return array_index(key) < m->attr.max_entries ? 0 : -E2BIG;
}

/* Every value has its place already. */
static int percpu_reserve(struct map *m, struct gate_plan *plan)
{
	return 0;
}

/* A program's update of its CPU's value is a single store. */
static bool percpu_put_over(struct map *m, const void *key, const void *seen, const void *value)
{
	uint32_t index = array_index(key), i;
	uint64_t off;

	for (i = 0; index < m->attr.max_entries && i < m->attr.possible_cpus; i++) {
		off = (uint64_t)i * m->elem_size;
		if (!value_store_over(percpu_slot(m, index, i), (const uint8_t *)seen + off,
				      (const uint8_t *)value + off, m->attr.value_size))
			return false;
	}
	return index < m->attr.max_entries;
}

static const struct gate_ops percpu_gate_ops = {
	.drain = percpu_drain,
	.copied = percpu_copied,
	.check = percpu_check,
	.reserve = percpu_reserve,
	.put_over = percpu_put_over,
};

const struct map_ops percpu_array_map_ops = {
	.type = BPF_MAP_TYPE_PERCPU_ARRAY,
	.name = "percpu_array",
	.gate = &percpu_gate_ops,
	.alloc_check = percpu_alloc_check,
	.layout = percpu_layout,
	.format = percpu_format,
	.read = percpu_read,
	.write = percpu_write,
	.erase = array_erase,
	.next_key = array_next_key,
	.lookup = percpu_lookup,
	.update = percpu_update,
	.delete = array_delete,
	.lookup_percpu = percpu_lookup_cpu,
	.for_each = percpu_for_each,
	.stats = array_stats,
	.lookup_batch = percpu_lookup_batch,
	.update_batch = percpu_update_batch,
	.memlock = percpu_memlock,
	.inlined = percpu_inlined,
	.recover = percpu_recover,
	.validate = percpu_validate,
	.per_cpu = true,
	.inner_allowed = true,
};
