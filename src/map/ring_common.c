/* SPDX-License-Identifier: BSD-2-Clause */
/* What RINGBUF and USER_RINGBUF share: layout, the process's views, waking. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/ring.h"

_Static_assert(RING_SHARED_OFF >= sizeof(struct map_header), "behind the map's header");
_Static_assert(RING_SHARED_OFF + sizeof(struct ring_shared) <= OBJECT_BODY_SIZE, "in the body");
_Static_assert(offsetof(struct ring_shared, armed) == CACHE_LINE, "a line of its own");
_Static_assert(offsetof(struct ring_shared, draining) == 2 * CACHE_LINE, "a line of its own");

/*
 * The rings that this process has open, for ring_at(). An entry is filled with
 * base last and emptied base first, before its addresses can be given to
 * another: who finds an address that he holds between base and its end has found
 * an entry at rest.
 */
#define RINGS_MAX 4096U
static struct {
	uintptr_t base;
	uint64_t size;
	struct map *map;
} rings[RINGS_MAX];
static uint32_t rings_end; /* entries from here on were never used */
static uint32_t rings_busy[RINGS_MAX / 32];

static void rings_add(struct map *m)
{
	uint32_t end;

	m->ring.slot = 0;
	for (uint32_t i = 0; i < RINGS_MAX; i++) {
		uint32_t bit = 1U << i % 32;

		if (fetch_or_seq_cst(&rings_busy[i / 32], bit) & bit)
			continue;
		store_relaxed(&rings[i].size, 2 * (m->ring.mask + 1));
		store_relaxed(&rings[i].map, m);
		store_release(&rings[i].base, (uintptr_t)m->ring.data);
		end = load_relaxed(&rings_end);
		while (end <= i && !cas_seq_cst(&rings_end, &end, i + 1))
			;
		m->ring.slot = i + 1;
		return;
	}
}

static void rings_remove(struct map *m)
{
	uint32_t i = m->ring.slot - 1;

	if (!m->ring.slot)
		return;
	store_seq_cst(&rings[i].base, 0);
	fetch_and_seq_cst(&rings_busy[i / 32], ~(1U << i % 32));
}

struct map *ring_at(const void *addr)
{
	uint32_t end = load_acquire(&rings_end);

	for (uint32_t i = 0; i < end; i++) {
		uintptr_t base = load_acquire(&rings[i].base);

		if (base && (uintptr_t)addr - base < load_relaxed(&rings[i].size))
			return load_relaxed(&rings[i].map);
	}
	return NULL;
}

int ring_alloc_check(const struct map_attr *attr, uint32_t flags)
{
	if (attr->map_flags & ~flags)
		return -EINVAL;
	if (attr->key_size || attr->value_size || !attr->max_entries ||
	    attr->max_entries & (attr->max_entries - 1) || attr->max_entries % SHMAP_PAGE)
		return -EINVAL;
	return 0;
}

int ring_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	m->ring.mask = (uint64_t)m->attr.max_entries - 1;
	*data_size = RING_DATA_OFF + m->attr.max_entries;
	*prealloc = RING_DATA_OFF;
	return 0;
}

/* Zero bytes are the right beginning for positions and locks. */
int ring_format(struct map *m)
{
	return 0;
}

int ring_open(struct map *m)
{
	uint64_t size = m->ring.mask + 1;
	uint8_t *base;
	long ret;

	m->ring.named = RING_NAME_UNKNOWN;
	base = raw_mmap(NULL, 2 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			0);
	if (raw_is_error(base))
		return -ENOMEM;
	/* An old size of 0 makes another mapping of the same shared pages. */
	for (int i = 0; i < 2; i++) {
		ret = raw_syscall5(SYS_mremap, m->obj.base + RING_DATA_OFF, 0, size,
				   MREMAP_MAYMOVE | MREMAP_FIXED, base + i * size);
		if (ret < 0 && ret >= -4095) {
			raw_munmap(base, 2 * size);
			return -ENOMEM;
		}
	}
	m->ring.data = base;
	rings_add(m);
	return 0;
}

void ring_unmap(struct map *m)
{
	if (!m->ring.data)
		return;
	rings_remove(m);
	raw_munmap(m->ring.data, 2 * (m->ring.mask + 1));
	m->ring.data = NULL;
}

int ring_mmap_range(const struct map *m, uint64_t offset, uint64_t len)
{
	uint64_t all = RING_DATA_OFF + 2 * (m->ring.mask + 1);

	if (offset > all || len > all || round_up_u64(len, SHMAP_PAGE) > all - offset)
		return -EINVAL;
	return 0;
}

void ring_mmap_repeat(const struct map *m, uint64_t *at, uint64_t *size)
{
	*size = m->ring.mask + 1;
	*at = RING_DATA_OFF + *size;
}

/* struct bpf_ringbuf_map, its page array (the data's pages twice), and the pages. */
uint64_t ring_memlock(const struct map *m)
{
	uint64_t pages = (m->ring.mask + 1) / SHMAP_PAGE;

	return 304 + (RING_PG_OFF + 2 * pages) * 8 + (RING_PG_OFF + pages) * SHMAP_PAGE;
}

void ring_arm(struct map *m)
{
	/* Full fence: partner of the one before the load in ring_wake_armed(). */
	if (m->writable)
		exchange_seq_cst(&ring_shared(m)->armed, 1);
	else
		fence_seq_cst();
	fence_after_rmw();
}

/*
 * Is the anchor of this id in our runtime directory this file? Not when it came by
 * SCM_RIGHTS from a process that uses another one: its sleepers look by themselves.
 */
static bool ring_named(struct map *m, const char *name)
{
	struct stat st;

	if (load_relaxed(&m->ring.named) == RING_NAME_UNKNOWN) {
		bool same =
			!raw_fstatat(rundir_kind_fd(OBJECT_MAP), name, &st, AT_SYMLINK_NOFOLLOW) &&
			st.st_dev == m->obj.dev && st.st_ino == m->obj.ino;

		store_relaxed(&m->ring.named, same ? RING_NAMED : RING_NAMELESS);
	}
	return load_relaxed(&m->ring.named) == RING_NAMED;
}

bool ring_wake(struct map *m)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", m->obj.id);
	if (!ring_named(m, name))
		return false;
	/* Before the touch: who arms from here on wants another one. Dying between
	 * the two: wake_due(). */
	if (m->writable)
		exchange_seq_cst(&ring_shared(m)->armed, 0);
	return !raw_syscall4(SYS_utimensat, rundir_kind_fd(OBJECT_MAP), name, NULL, 0);
}
