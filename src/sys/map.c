/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The element commands of bpf(2), BPF_MAP_FREEZE, and their short forms.
 *
 * The checks and their order are the kernel's: flags, fd, open mode, BPF_F_LOCK,
 * key, value, and then what the map type says.
 */
#include "sys/sys.h"

#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "base/uaccess.h"
#include "map/change.h"
#include "map/gate.h"
#include "map/perf.h"
#include "sys/command.h"
#include "sys/fd.h"

/* Keys and values up to these sizes are copied to the stack. */
#define KEY_LOCAL 512
#define VALUE_LOCAL 1024

/* A private copy of user memory. */
struct copy {
	void *heap; /* or NULL */
	const void *data;
};

static void copy_drop(struct copy *c)
{
	if (unlikely(c->heap))
		free(c->heap);
}

static __attribute__((noinline)) int copy_large(struct copy *c, const void *user, size_t size)
{
	int err;

	c->data = c->heap = malloc(size);
	if (!c->heap)
		return -ENOMEM;
	err = uaccess_copy(c->heap, user, size);
	if (err) {
		free(c->heap);
		c->heap = NULL;
	}
	return err;
}

static inline __attribute__((always_inline)) int copy_in(struct copy *c, const void *user,
							 size_t size, void *local, size_t room)
{
	c->heap = NULL;
	c->data = local;
	if (likely(size <= room))
		return uaccess_copy(local, user, size);
	return copy_large(c, user, size);
}

/* A key: maps without keys take NULL only. */
static inline __attribute__((always_inline)) int copy_key(struct copy *c, const struct fd_ref *r,
							  const void *key, void *local)
{
	if (unlikely(!r->key_size)) {
		*c = (struct copy){0};
		return key ? -EINVAL : 0;
	}
	return copy_in(c, key, r->key_size, local, KEY_LOCAL);
}

static inline int may_read(const struct fd_ref *r)
{
	return likely(r->access & FD_READ) ? 0 : -EPERM;
}

static inline int may_write(const struct fd_ref *r)
{
	return likely(r->access & FD_WRITE && !load_relaxed(&r->shared->frozen)) ? 0 : -EPERM;
}

static inline int lock_flag(const struct fd_ref *r, uint64_t flags)
{
	return unlikely(flags & BPF_F_LOCK && !r->has_lock) ? -EINVAL : 0;
}

/* Around a change of the map; see map/change.h. */
static inline int begin(const struct fd_op *op, struct map_changing *c)
{
	struct map *m = op->ref->map;

	c->mark = NULL;
	return likely(op->entered && change_begin_quick(m)) ? 0 : change_begin(m, c);
}

static inline void end(struct map *m, struct map_changing *c, enum map_change kind, const void *key,
		       bool changed)
{
	if (likely(!c->mark))
		change_end_quick();
	else
		change_end(m, c, kind, key, changed);
}

static __attribute__((noinline)) int map_lookup(struct fd_ref *r, const void *key, void *value,
						uint64_t flags)
{
	uint64_t key_local[KEY_LOCAL / 8];
	struct copy k;
	int err;

	err = may_read(r);
	if (likely(!err))
		err = lock_flag(r, flags);
	if (likely(!err))
		err = copy_key(&k, r, key, key_local);
	if (unlikely(err))
		return err;
	if (unlikely(fd_gate_shut(r)))
		map_gate_settle(r->map);
	err = likely(r->read) ? r->read(r->map, k.data, value, flags) : -ENOTSUPP;
	if (unlikely(r->special) && !err)
		err = map_hide_timers(&r->map->attr, value);
	copy_drop(&k);
	return err;
}

long sys_map_lookup(int fd, const void *key, void *value, uint64_t flags)
{
	struct fd_op op;
	int err;

	if (unlikely(flags & ~(uint64_t)BPF_F_LOCK))
		return -EINVAL;
	err = fd_begin(fd, &op);
	if (unlikely(err))
		return err;
	err = map_lookup(op.ref, key, value, flags);
	fd_end(&op);
	return err;
}

/* Types whose values are fds, or which cannot be written. */
static int update_by_fd(struct fd_ref *r, int fd, const void *key, const void *value,
			uint64_t flags)
{
	const struct perf_ops *perf = r->map->ops->perf;
	struct perf_setter by = {.map_fd = fd, .token = &r->perf_token};

	if (!perf)
		return -ENOTSUPP;
	memcpy(&by.event_fd, value, sizeof(by.event_fd));
	by.event_id = fd_known(by.event_fd, OBJECT_PERF);
	return perf->set(r->map, &by, key, flags);
}

static __attribute__((noinline)) int map_update(const struct fd_op *op, int fd, const void *key,
						const void *value, uint64_t flags)
{
	struct fd_ref *r = op->ref;
	uint64_t key_local[KEY_LOCAL / 8], value_local[VALUE_LOCAL / 8];
	struct map_changing c;
	struct copy k, v;
	int err;

	err = may_write(r);
	if (likely(!err))
		err = lock_flag(r, flags);
	if (likely(!err))
		err = copy_key(&k, r, key, key_local);
	if (unlikely(err))
		return err;
	err = copy_in(&v, value, r->value_size, value_local, VALUE_LOCAL);
	if (likely(!err)) {
		if (unlikely(r->special))
			map_clear_timers(&r->map->attr, (void *)v.data);
		err = begin(op, &c);
		if (likely(!err)) {
			err = likely(r->write) ? r->write(r->map, k.data, v.data, flags)
					       : update_by_fd(r, fd, k.data, v.data, flags);
			end(r->map, &c, MAP_CHANGE_UPDATE, k.data, !err);
		}
		copy_drop(&v);
	}
	copy_drop(&k);
	return err;
}

long sys_map_update(int fd, const void *key, const void *value, uint64_t flags)
{
	struct fd_op op;
	int err;

	err = fd_begin(fd, &op);
	if (unlikely(err))
		return err;
	err = map_update(&op, fd, key, value, flags);
	fd_end(&op);
	return err;
}

static __attribute__((noinline)) int map_delete(const struct fd_op *op, const void *key)
{
	uint64_t key_local[KEY_LOCAL / 8];
	struct fd_ref *r = op->ref;
	struct map *m = r->map;
	struct map_changing c;
	struct copy k;
	int err;

	err = may_write(r);
	if (likely(!err))
		err = copy_key(&k, r, key, key_local);
	if (unlikely(err))
		return err;
	err = begin(op, &c);
	if (likely(!err)) {
		err = likely(m->ops->erase) ? m->ops->erase(m, k.data) : -ENOTSUPP;
		end(m, &c, MAP_CHANGE_DELETE, k.data, !err);
	}
	copy_drop(&k);
	return err;
}

long sys_map_delete(int fd, const void *key)
{
	struct fd_op op;
	int err;

	err = fd_begin(fd, &op);
	if (unlikely(err))
		return err;
	err = map_delete(&op, key);
	fd_end(&op);
	return err;
}

static __attribute__((noinline)) int map_next_key(struct fd_ref *r, const void *key, void *next)
{
	uint64_t key_local[KEY_LOCAL / 8], next_local[KEY_LOCAL / 8];
	void *found = next_local, *heap = NULL;
	struct map *m = r->map;
	struct copy k = {0};
	int err;

	err = may_read(r);
	if (likely(!err) && key)
		err = copy_key(&k, r, key, key_local);
	if (unlikely(err))
		return err;
	if (unlikely(r->key_size > sizeof(next_local))) {
		found = heap = malloc(r->key_size);
		if (!heap)
			err = -ENOMEM;
	}
	if (unlikely(fd_gate_shut(r)))
		map_gate_settle(m);
	if (likely(!err))
		err = m->ops->next_key ? m->ops->next_key(m, k.data, found) : -ENOTSUPP;
	if (likely(!err))
		err = uaccess_copy(next, found, r->key_size);
	free(heap);
	copy_drop(&k);
	return err;
}

long sys_map_next_key(int fd, const void *key, void *next)
{
	struct fd_op op;
	int err;

	err = fd_begin(fd, &op);
	if (unlikely(err))
		return err;
	err = map_next_key(op.ref, key, next);
	fd_end(&op);
	return err;
}

long sys_map_lookup_and_delete(int fd, const void *key, void *value, uint64_t flags)
{
	uint64_t key_local[KEY_LOCAL / 8];
	struct map_changing c;
	struct fd_op op;
	struct copy k;
	struct map *m;
	int err;

	if (unlikely(flags & ~(uint64_t)BPF_F_LOCK))
		return -EINVAL;
	err = fd_begin(fd, &op);
	if (unlikely(err))
		return err;
	m = op.ref->map;
	err = may_read(op.ref);
	if (likely(!err))
		err = may_write(op.ref);
	if (likely(!err))
		err = lock_flag(op.ref, flags);
	if (unlikely(err))
		goto out;
	err = copy_key(&k, op.ref, key, key_local);
	if (unlikely(err))
		goto out;
	err = begin(&op, &c);
	if (likely(!err)) {
		err = m->ops->pop ? m->ops->pop(m, k.data, value, flags) : -ENOTSUPP;
		/* the value may have gone where it could not be put */
		end(m, &c, MAP_CHANGE_DELETE, k.data, !err || err == -EFAULT);
	}
	if (unlikely(op.ref->special) && !err)
		err = map_hide_timers(&m->attr, value);
	copy_drop(&k);
out:
	fd_end(&op);
	return err;
}

long sys_cmd_map_lookup(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return sys_map_lookup(attr->elem.map_fd, sys_ptr(attr->elem.key), sys_ptr(attr->elem.value),
			      attr->elem.flags);
}

long sys_cmd_map_update(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return sys_map_update(attr->elem.map_fd, sys_ptr(attr->elem.key), sys_ptr(attr->elem.value),
			      attr->elem.flags);
}

long sys_cmd_map_delete(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return sys_map_delete(attr->elem.map_fd, sys_ptr(attr->elem.key));
}

long sys_cmd_map_next_key(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return sys_map_next_key(attr->elem.map_fd, sys_ptr(attr->elem.key),
				sys_ptr(attr->elem.next_key));
}

long sys_cmd_map_lookup_and_delete(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	return sys_map_lookup_and_delete(attr->elem.map_fd, sys_ptr(attr->elem.key),
					 sys_ptr(attr->elem.value), attr->elem.flags);
}

long sys_cmd_map_freeze(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	struct fd_op op;
	int err;

	err = fd_begin(attr->elem.map_fd, &op);
	if (err)
		return err;
	/* Values with special fields stay writable: the fields are the kernel's. */
	err = op.ref->has_lock || op.ref->special ? -ENOTSUPP : may_write(op.ref);
	/* In a signal handler the operation that it interrupted may be a write. */
	if (!err)
		err = !op.entered ? -EBUSY : fd_freeze(attr->elem.map_fd, op.ref);
	fd_end(&op);
	return err;
}
