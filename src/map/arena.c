/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_ARENA: pages that processes map at one and the same address.
 *
 *   offset 0              pages: 4 GiB, a hole until they are touched
 *   offset 4 GiB          struct arena_state: where everybody has to map it
 *
 * A mapping may be larger than max_entries pages, as in the kernel: so every arena's
 * file has room for the 4 GiB that 32-bit offsets reach. Pages come by page faults
 * on the mapping (tmpfs gives zero pages), but for BPF_F_SEGV_ON_FAULT: there only
 * programs could make them, and touching one is SIGSEGV.
 *
 * The first mapping decides address and length, unless map_extra has: end is stored,
 * then start, under the robust lock; start != 0 is the commit. They do not change
 * again. A death before it leaves nothing.
 *
 * Lock order: none; a thread holds one robust lock at a time.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "map/map.h"
#include "sync/lock.h"

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define SIZE_4G (1ULL << 32)

struct arena_state {
	uint32_t lock;
	uint32_t pad;
	uint64_t start, end; /* of the mappings in all processes; start 0: not yet known */
};

static struct arena_state *arena_state(const struct map *m)
{
	return (struct arena_state *)(m->obj.base + SIZE_4G);
}

static int arena_alloc_check(const struct map_attr *attr)
{
	uint64_t size = attr->max_entries * (uint64_t)SHMAP_PAGE;

	if (attr->key_size || attr->value_size || !attr->max_entries ||
	    !(attr->map_flags & BPF_F_MMAPABLE) ||
	    attr->map_flags & ~(BPF_F_MMAPABLE | SHMAP_F_SEGV_ON_FAULT | SHMAP_F_NO_USER_CONV))
		return -EINVAL;
	if (attr->map_extra & (SHMAP_PAGE - 1))
		return -EINVAL;
	if (size > SIZE_4G)
		return -E2BIG;
	/* the mapping has one upper half of addresses */
	if (attr->map_extra >> 32 != (attr->map_extra + size - 1) >> 32)
		return -ERANGE;
	return 0;
}

static int arena_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	*data_size = SIZE_4G + SHMAP_PAGE;
	*prealloc = 0;
	return 0;
}

static int arena_format(struct map *m)
{
	struct arena_state *s = arena_state(m);
	int err = object_populate(&m->obj, SIZE_4G, sizeof(*s));

	if (err)
		return err;
	s->start = m->attr.map_extra;
	s->end = s->start ? s->start + m->attr.max_entries * (uint64_t)SHMAP_PAGE : 0;
	return 0;
}

/* ---- mmap(2) ---- */

static int arena_mmap_check(struct map *m, uint64_t offset, uint64_t len, int prot, int flags)
{
	const struct arena_state *s = arena_state(m);
	uint64_t start = load_acquire(&s->start), size = load_relaxed(&s->end) - start;

	len = round_up_u64(len, SHMAP_PAGE);
	if (offset)
		return -EINVAL;
	if (len > SIZE_4G || (start && len > size))
		return -E2BIG;
	return start && len != size ? -EINVAL : 0;
}

/* The kernel's arena_get_unmapped_area: may it be mapped there? 0 or -errno. */
static int check_place(const struct arena_state *s, uint64_t addr, uint64_t len)
{
	uint64_t start = load_acquire(&s->start), end = load_relaxed(&s->end);

	if (!start)
		return 0;
	if (len > end - start)
		return -E2BIG;
	return len != end - start || addr != start ? -EINVAL : 0;
}

static bool one_half(uint64_t addr, uint64_t len)
{
	return addr >> 32 == (addr + len - 1) >> 32;
}

/*
 * Keeps a place free for len bytes that do not cross 4 GiB: at addr if it can be had
 * (always, with MAP_FIXED). The address or -errno. What was kept is replaced by MAP_FIXED.
 */
static long keep_place(uint64_t addr, uint64_t len, int flags)
{
	const int keep = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uint64_t room = len, at;
	void *p;

	if (flags & MAP_FIXED || flags & MAP_FIXED_NOREPLACE) {
		if (!one_half(addr, len))
			addr = round_up_u64(addr, SIZE_4G);
		if (flags & MAP_FIXED)
			return addr;
		return (long)raw_mmap((void *)addr, len, PROT_NONE, keep | MAP_FIXED_NOREPLACE, -1,
				      0);
	}
	p = raw_mmap((void *)addr, len, PROT_NONE, keep, -1, 0);
	if (raw_is_error(p) || one_half((uintptr_t)p, len))
		return (long)p;
	/* twice as much has a place in it */
	raw_munmap(p, len);
	room += len > SIZE_4G / 2 ? SIZE_4G : len;
	p = raw_mmap(NULL, room, PROT_NONE, keep, -1, 0);
	if (raw_is_error(p))
		return (long)p;
	at = (uintptr_t)p;
	if (!one_half(at, len))
		at = round_up_u64(at, SIZE_4G);
	if (at > (uintptr_t)p)
		raw_munmap(p, at - (uintptr_t)p);
	if (at + len < (uintptr_t)p + room)
		raw_munmap((void *)(at + len), (uintptr_t)p + room - at - len);
	return at;
}

/* The first mapping decides; the others agree with it. 0, -EBUSY. */
static int decide(struct map *m, uint64_t start, uint64_t len)
{
	struct arena_state *s = arena_state(m);
	int err = lock_acquire(&s->lock);

	if (err < 0)
		return err;
	err = 0;
	if (!s->start) {
		store_relaxed(&s->end, start + len);
		store_release(&s->start, start);
	} else if (s->start != start || s->end != start + len) {
		err = -EBUSY;
	}
	lock_release(&s->lock);
	return err;
}

static long arena_mmap_place(struct map *m, int own, void *addr, uint64_t len, int prot, int flags)
{
	int err = check_place(arena_state(m), (uintptr_t)addr, len);
	long at;
	void *p;

	if (err)
		return err;
	if (!m->writable)
		return -EINVAL;
	at = keep_place((uintptr_t)addr, len, flags);
	if (raw_is_error((void *)at))
		return at;
	err = decide(m, at, len);
	if (!err) {
		/* no program makes pages */
		if (m->attr.map_flags & SHMAP_F_SEGV_ON_FAULT)
			prot = PROT_NONE;
		flags &= ~MAP_FIXED_NOREPLACE;
		p = raw_mmap((void *)at, len, prot, flags | MAP_FIXED, own, 0);
		if (!raw_is_error(p))
			return at;
		err = (int)(long)p;
	}
	/* with MAP_FIXED nothing of ours is there, and what was there stays */
	if (!(flags & MAP_FIXED))
		raw_munmap((void *)at, len);
	return err;
}

/* ---- bpf(2): an arena has no elements ---- */

static int arena_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	return -EINVAL;
}

static int arena_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	return -EOPNOTSUPP;
}

static int arena_erase(struct map *m, const void *key)
{
	return -EOPNOTSUPP;
}

static int arena_next_key(struct map *m, const void *key, void *next)
{
	return -EOPNOTSUPP;
}

/* Pages are charged to who touches them. */
static uint64_t arena_memlock(const struct map *m)
{
	return 0;
}

static int arena_recover(struct map *m)
{
	int err = m->writable ? lock_acquire(&arena_state(m)->lock) : -EPERM;

	if (err < 0)
		return err;
	lock_release(&arena_state(m)->lock);
	return 0;
}

static int arena_validate(struct map *m, char *why, size_t size)
{
	struct arena_state *s = arena_state(m);

	if (!s->lock && (!s->start || (one_half(s->start, s->end - s->start) && s->end > s->start)))
		return 0;
	snprintf(why, why ? size : 0, "lock %#x start %#llx end %#llx", s->lock,
		 (unsigned long long)s->start, (unsigned long long)s->end);
	return -EINVAL;
}

const struct map_ops arena_map_ops = {
	.type = SHMAP_MAP_TYPE_ARENA,
	.name = "arena",
	.alloc_check = arena_alloc_check,
	.layout = arena_layout,
	.format = arena_format,
	.read = arena_read,
	.write = arena_write,
	.erase = arena_erase,
	.next_key = arena_next_key,
	.mmap_check = arena_mmap_check,
	.mmap_place = arena_mmap_place,
	.memlock = arena_memlock,
	.recover = arena_recover,
	.validate = arena_validate,
	.inner_allowed = true,
	.sparse = true,
	.needs_jit = true,
	.check_late = true,
};
