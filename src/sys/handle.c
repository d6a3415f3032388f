/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Handles: a map without its fd, and sections in which its elements stay what they are.
 *
 * A section is a CPU lease (sync/lease.h), as a program's run is: what was looked up in it is not
 * given to another key, and the CPU's values of per-CPU maps are the thread's own. The lease of
 * a thread that dies is nobody's; one that stands still is passed over after a while.
 */
#include <stdlib.h>
#include <string.h>

#include "base/errors.h"
#include "base/guard.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/change.h"
#include "map/gate.h"
#include "map/snapshot.h"
#include "shmap.h"
#include "sync/lease.h"
#include "sys/atomic_maps.h"
#include "sys/fd.h"

struct handle {
	struct shmap_handle pub;
	bool writable;
};

static __thread uint32_t depth __attribute__((tls_model("initial-exec")));

long sys_section_begin(void)
{
	if (lease_held()) {
		/* Between the lease and the count a signal handler may come. */
		if (!depth)
			return -EBUSY;
		depth++;
		return 0;
	}
	/* A forked child has its parent's count, and no lease. */
	depth = 0;
	if (lease_acquire() < 0)
		return -EBUSY;
	fence_compiler();
	depth = 1;
	return 0;
}

static __attribute__((noinline)) void edits_tell(void)
{
	struct fault_guard guard;

	if (fault_guard_set(&guard))
		return;
	fault_guard_enter(&guard);
	change_later_tell();
	fault_guard_leave(&guard);
	change_later_own.n = 0;
}

void sys_section_end(void)
{
	if (!lease_held() || !depth)
		return;
	if (depth == 1) {
		/* The stores come before the look at who listens. */
		fence_compiler();
		if (change_later_any())
			edits_tell();
		depth = 0;
		fence_compiler();
		lease_release();
	} else {
		depth--;
	}
}

/* The map of a handle: a mapping that cannot be stored to where the fd cannot. */
static int handle_map(const struct fd_ref *r, struct map **out)
{
	struct map *m = r->map;
	int fd, err;

	if (r->access & FD_WRITE && !load_relaxed(&r->shared->frozen)) {
		map_get(m);
		*out = m;
		return 0;
	}
	fd = object_open_id(OBJECT_MAP, m->obj.id, O_RDONLY);
	if (fd < 0)
		return fd;
	err = map_open(fd, out);
	raw_close(fd);
	if (err)
		return err;
	if ((*out)->obj.ino == m->obj.ino && (*out)->obj.dev == m->obj.dev)
		return 0;
	map_put(*out);
	return -EXDEV;
}

/* Values that are found stay (G2) also where the map is open for reading alone; but for a process
 * that may not write to the file at all: docs/compat.md. */
static void handle_says(struct map *m)
{
	struct map *writable;
	bool again;

	if (m->writable || !m->ops->gate->pointers || gate_writable(m, &writable, &again))
		return;
	m->ops->gate->pointers(writable);
	map_put(writable);
}

static long handle_make(struct fd_ref *r, struct shmap_handle **out)
{
	struct map_inline in = {0};
	struct handle *h;
	struct map *m;
	int err;

	if (!(r->access & FD_READ))
		return -EPERM;
	err = map_snapshot_check(r->map, false);
	if (err)
		return err;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	err = handle_map(r, &m);
	if (err) {
		free(h);
		return err;
	}
	handle_says(m);
	if (m->ops->inlined)
		m->ops->inlined(m, &in);
	h->writable = m->writable && r->access & FD_WRITE;
	h->pub.map = (struct shmap_map *)m;
	h->pub.find = (void *(*)(struct shmap_map *, const void *))(in.lookup ? in.lookup
									      : m->ops->lookup);
	h->pub.asked = &m->shared->hooks;
	h->pub.key_size = m->attr.key_size;
	h->pub.value_size = m->attr.value_size;
	if (in.max && !in.cpus && !in.guard_off) {
		h->pub.base = (char *)m->obj.base;
		h->pub.max = in.max;
		h->pub.stride = in.stride;
	}
	*out = &h->pub;
	return 0;
}

long sys_handle_open(int fd, struct shmap_handle **out)
{
	struct fd_op op;
	long err = uaccess_init();

	if (!err)
		err = fd_begin(fd, &op);
	if (err)
		return err;
	fd_inside_begin();
	err = handle_make(op.ref, out);
	fd_inside_end();
	fd_end(&op);
	return err;
}

void sys_handle_close(struct shmap_handle *pub)
{
	struct handle *h = (struct handle *)pub;
	struct map *m = (struct map *)pub->map;
	uint32_t id = m->obj.id;

	fd_inside_begin();
	map_put(m);
	object_collect(OBJECT_MAP, id);
	fd_inside_end();
	free(h);
}

void sys_edited(const struct shmap_handle *pub)
{
	struct handle *h = (struct handle *)pub;

	if (h->writable)
		change_later((struct map *)h->pub.map);
}

/* ---- in place ---- */

/* Values of one word: no lock is needed. */
#define MODIFY_WORD(type)                                                                          \
	static int modify_##type(struct map *m, void *value, int (*fn)(void *, void *), void *arg) \
	{                                                                                          \
		type old = load_relaxed((type *)value), new;                                       \
                                                                                                   \
		do {                                                                               \
			while (unlikely(map_gate_shut(m))) {                                       \
				int err = map_gate_wait(m);                                        \
                                                                                                   \
				if (err)                                                           \
					return err;                                                \
			}                                                                          \
			new = old;                                                                 \
			if (fn(&new, arg))                                                         \
				return -ECANCELED;                                                 \
		} while (!cas_seq_cst((type *)value, &old, new));                                  \
		return 0;                                                                          \
	}

MODIFY_WORD(uint8_t)
MODIFY_WORD(uint16_t)
MODIFY_WORD(uint32_t)
MODIFY_WORD(uint64_t)

/* The same where the element may be replaced, or taken out, while fn thinks. */
static int modify_word(struct map *m, const void *key, void *copy, int (*fn)(void *, void *),
		       void *arg)
{
	uint64_t old, new;
	void *value;
	int ret;

	for (;;) {
		value = m->ops->lookup(m, key);
		if (!value)
			return -ENOENT;
		switch (m->attr.value_size) {
		case 1:
			old = load_relaxed((uint8_t *)value);
			break;
		case 2:
			old = load_relaxed((uint16_t *)value);
			break;
		case 4:
			old = load_relaxed((uint32_t *)value);
			break;
		case 8:
			old = load_relaxed((uint64_t *)value);
			break;
		default:
			return -EINVAL;
		}
		/* (little-endian) */
		memcpy(copy, &old, m->attr.value_size);
		if (fn(copy, arg))
			return -ECANCELED;
		new = 0;
		memcpy(&new, copy, m->attr.value_size);
		ret = m->ops->gate->put_word(m, key, value, old, new);
		if (ret)
			return ret < 0 ? ret : 0;
	}
}

/* In a section. copy: room for a value. */
static int modify(struct map *m, const void *key, void *copy, int (*fn)(void *, void *), void *arg)
{
	void *value;

	if (m->attr.spin_lock_off >= 0)
		return m->ops->gate->modify(m, key, copy, fn, arg);
	if (m->ops->gate->put_word && !m->ops->per_cpu)
		return modify_word(m, key, copy, fn, arg);
	value = m->ops->lookup(m, key);
	if (!value)
		return -ENOENT;
	if (m->ops->per_cpu) {
		/* This CPU's value, which nobody else writes to meanwhile. */
		memcpy(copy, value, m->attr.value_size);
		if (fn(copy, arg))
			return -ECANCELED;
		return (int)m->ops->update(m, key, copy, BPF_EXIST);
	}
	switch (m->attr.value_size) {
	case 1:
		return modify_uint8_t(m, value, fn, arg);
	case 2:
		return modify_uint16_t(m, value, fn, arg);
	case 4:
		return modify_uint32_t(m, value, fn, arg);
	case 8:
		return modify_uint64_t(m, value, fn, arg);
	default:
		return -EINVAL;
	}
}

long sys_modify(struct shmap_handle *pub, const void *key, int (*fn)(void *value, void *arg),
		void *arg)
{
	struct handle *h = (struct handle *)pub;
	struct map *m = (struct map *)pub->map;
	uint64_t local[32];
	struct map_changing c;
	void *copy = local;
	long err;

	if (!h->writable || load_relaxed(&m->shared->frozen))
		return -EPERM;
	/* Before the section: in one, nobody waits for the map's lock. */
	err = change_begin(m, &c);
	if (err)
		return err;
	err = sys_section_begin();
	if (!err) {
		if (m->elem_size > sizeof(local))
			copy = malloc(m->elem_size);
		err = copy ? modify(m, key, copy, fn, arg) : -ENOMEM;
		if (copy != local)
			free(copy);
		sys_section_end();
	}
	change_end(m, &c, MAP_CHANGE_UPDATE, key, !err);
	return err;
}
