/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The batch commands. The map type does the work and sets count: to what it was
 * while it refuses the attributes, then to the number of elements done.
 */
#include <linux/bpf.h>

#include "base/errors.h"
#include "base/uaccess.h"
#include "map/change.h"
#include "map/gate.h"
#include "map/generic_batch.h"
#include "sys/command.h"
#include "sys/fd.h"
#include "sys/sys.h"

typedef int (*batch_fn)(struct map *m, struct map_batch *b);

static int batch_check(const struct fd_ref *r, uint32_t access, batch_fn fn,
		       const union sys_attr *attr)
{
	if ((r->access & access) != access)
		return -EPERM;
	if (access & FD_WRITE && load_relaxed(&r->shared->frozen))
		return -EPERM;
	if (!fn)
		return -ENOTSUPP;
	if (attr->batch.elem_flags & ~(uint64_t)BPF_F_LOCK)
		return -EINVAL;
	if (attr->batch.elem_flags & BPF_F_LOCK && !r->has_lock)
		return -EINVAL;
	return 0;
}

/* In the values that a lookup gave; -EFAULT comes before what it said. */
static long hide_timers(const struct map *m, const struct map_batch *b, long err)
{
	const uint64_t size = map_user_value_size(m);

	for (uint64_t i = 0; b->values && i < b->count; i++)
		if (map_hide_timers(&m->attr, uaccess_at(b->values, i * size)))
			return -EFAULT;
	return err;
}

static long batch_run(struct fd_op *op, uint32_t access, batch_fn fn, const union sys_attr *attr,
		      union sys_attr *uattr)
{
	struct map_batch b = {
		.in_batch = sys_ptr(attr->batch.in_batch),
		.out_batch = sys_ptr(attr->batch.out_batch),
		.keys = sys_ptr(attr->batch.keys),
		.values = sys_ptr(attr->batch.values),
		.count = attr->batch.count,
		.elem_flags = attr->batch.elem_flags,
		.flags = attr->batch.flags,
	};
	uint32_t *count = sys_field(uattr, batch.count);
	struct map_changing c;
	long err;

	err = batch_check(op->ref, access, fn, attr);
	/* An attr that cannot take the count is found before anything is done. */
	if (!err && b.count)
		err = uaccess_copy(count, &b.count, sizeof(b.count));
	if (!err && access & FD_WRITE)
		err = change_begin(op->ref->map, &c);
	if (!err) {
		if (unlikely(fd_gate_shut(op->ref)))
			map_gate_settle(op->ref->map);
		if (op->ref->special && fn == op->ref->map->ops->update_batch)
			fn = generic_update_batch;
		err = fn(op->ref->map, &b);
		/* Also when it failed: how much of it was done is not known for all types. */
		if (access & FD_WRITE)
			change_end(op->ref->map, &c, MAP_CHANGE_MANY, NULL, b.count ? b.count : 1);
		if (op->ref->special && (fn == op->ref->map->ops->lookup_batch ||
					 fn == op->ref->map->ops->lookup_and_delete_batch))
			err = hide_timers(op->ref->map, &b, err);
		if (b.count != attr->batch.count && uaccess_copy(count, &b.count, sizeof(b.count)))
			err = -EFAULT;
	}
	fd_end(op);
	return err;
}

#define BATCH_COMMAND(name, access, op_name)                                                       \
	long name(union sys_attr *attr, union sys_attr *uattr, unsigned int size)                  \
	{                                                                                          \
		struct fd_op op;                                                                   \
		int err = fd_begin(attr->batch.map_fd, &op);                                       \
                                                                                                   \
		if (err)                                                                           \
			return err;                                                                \
		return batch_run(&op, access, op.ref->map->ops->op_name, attr, uattr);             \
	}

BATCH_COMMAND(sys_cmd_map_lookup_batch, FD_READ, lookup_batch)
BATCH_COMMAND(sys_cmd_map_lookup_and_delete_batch, FD_READ | FD_WRITE, lookup_and_delete_batch)
BATCH_COMMAND(sys_cmd_map_update_batch, FD_WRITE, update_batch)
BATCH_COMMAND(sys_cmd_map_delete_batch, FD_WRITE, delete_batch)
