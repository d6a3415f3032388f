/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Maps, whatever their type: the table of types, creation, opening, lifetime.
 *
 * Distrust: map_open() copies the attributes out of the file once and checks
 * the copy with the same alloc_check and layout that created the file; the
 * geometry that they give must fit the file. From then on the file is only
 * asked for what the type's own code bounds.
 *
 * Death: a map being made is an unlinked file until object_publish() links it;
 * dying before leaves nothing.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/pool.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/map.h"
#include "map/notice.h"
#include "map/objref.h"
#include "sync/lease.h"

#undef MAP_TYPE /* mman.h has one too */
#define MAP_TYPE(type, ops) extern const struct map_ops ops;
#include "map/types.h"
#undef MAP_TYPE

static const struct map_ops *const map_types[SHMAP_MAP_TYPE_MAX] = {
#define MAP_TYPE(type, ops) [BPF_MAP_TYPE_##type] = &ops,
#include "map/types.h"
#undef MAP_TYPE
};

_Static_assert(sizeof(struct map_header) <= OBJECT_BODY_SIZE, "the map's header fits the trailer");
_Static_assert(offsetof(struct map_header, shared) == 1024, "struct map_shared is at 1024");
_Static_assert(offsetof(struct map_shared, lock) == CACHE_LINE, "the gate's line is its own");

/* Not from malloc(3), as maps are also opened and put in signal handlers. */
static struct pool map_pool = POOL_OF(struct map);

_Static_assert(sizeof(struct map) <= POOL_SIZE_MAX, "maps come from a pool");

const struct map_ops *map_ops_find(uint32_t type)
{
	return type < ARRAY_SIZE(map_types) ? map_types[type] : NULL;
}

/* The kernel's check of the node before it asks the map type. */
static int map_check_node(const struct map_attr *attr)
{
	char path[64];

	if (!(attr->map_flags & BPF_F_NUMA_NODE) || attr->numa_node == (uint32_t)-1)
		return 0;
	if (!attr->numa_node)
		return 0;
	snprintf(path, sizeof(path), "/sys/devices/system/node/node%u", attr->numa_node);
	return raw_faccessat(AT_FDCWD, path, F_OK) ? -EINVAL : 0;
}

void map_clear_timers(const struct map_attr *attr, void *value)
{
	if (attr->timer_at)
		memset((char *)value + attr->timer_at - 1, 0, MAP_TIMER_SIZE);
	if (attr->wq_at)
		memset((char *)value + attr->wq_at - 1, 0, MAP_TIMER_SIZE);
}

int map_hide_timers(const struct map_attr *attr, void *user_value)
{
	int err = 0;

	if (attr->timer_at)
		err = uaccess_zero(uaccess_at(user_value, attr->timer_at - 1), MAP_TIMER_SIZE);
	if (!err && attr->wq_at)
		err = uaccess_zero(uaccess_at(user_value, attr->wq_at - 1), MAP_TIMER_SIZE);
	return err;
}

static bool timer_fits(const struct map_attr *attr, uint32_t at)
{
	return !at || ((at - 1) % 8 == 0 && attr->value_size >= MAP_TIMER_SIZE &&
		       at - 1 <= attr->value_size - MAP_TIMER_SIZE);
}

static int map_check_timers(const struct map_ops *ops, const struct map_attr *attr)
{
	if (!map_has_timers(attr))
		return 0;
	if (!timer_fits(attr, attr->timer_at) || !timer_fits(attr, attr->wq_at))
		return -EINVAL;
	if (attr->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return -EACCES;
	return ops->key_at ? 0 : -EOPNOTSUPP;
}

/* What the kernel's map_check_btf asks of a value that holds a lock. */
static int map_check_lock(const struct map_ops *ops, const struct map_attr *attr)
{
	if (attr->spin_lock_off == -1)
		return 0;
	if (attr->spin_lock_off < 0 || attr->spin_lock_off & 3 || attr->value_size < 4 ||
	    attr->spin_lock_off > attr->value_size - 4)
		return -EINVAL;
	if (attr->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return -EACCES;
	if (!ops->lock_allowed)
		return -EOPNOTSUPP;
	return 0;
}

/*
 * Fills what follows from m->attr: sizes and the type's geometry. A map that is
 * larger than the machine's memory is refused before tmpfs is asked, as the
 * kernel's allocator does.
 */
static int map_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
	int err;

	m->elem_size = round_up_u64(m->attr.value_size, 8);
	m->user_value_size = m->attr.value_size;
	if (m->ops->per_cpu) {
		uint64_t size = (uint64_t)m->elem_size * m->attr.possible_cpus;

		if (size > UINT32_MAX)
			return -E2BIG;
		m->user_value_size = size;
	}
	err = m->ops->layout(m, data_size, prealloc);
	if (err)
		return err;
	m->notice_off = round_up_u64(*data_size, SHMAP_PAGE);
	if (!m->ops->sparse && pages > 0 && page > 0 && *data_size > (uint64_t)pages * page)
		return -ENOMEM;
	return 0;
}

static struct map_header *map_file_header(const struct map *m)
{
	return (struct map_header *)m->obj.trailer->body;
}

/* Checks attr and begins a map of it: all that needs no file. */
static int map_prepare(const struct map_attr *attr, struct map *m, uint64_t *data_size,
		       uint64_t *prealloc)
{
	int err = map_check_node(attr);

	m->ops = map_ops_find(attr->map_type);
	if (!err)
		err = m->ops ? m->ops->alloc_check(attr) : -EINVAL;
	if (err)
		return err;
	m->refs = 1;
	m->attr = *attr;
	m->attr.map_flags &= ~(BPF_F_RDONLY | BPF_F_WRONLY);
	m->attr.name[MAP_NAME_LEN - 1] = 0;
	m->attr.possible_cpus = lease_possible_cpus();
	return map_layout(m, data_size, prealloc);
}

int map_check(const struct map_attr *attr)
{
	uint64_t data_size = 0, prealloc = 0;
	struct map m = {0};

	return map_prepare(attr, &m, &data_size, &prealloc);
}

/* Begins a map: a mapped file, not formatted, which nobody can find yet. */
static int map_begin(const struct map_attr *attr, struct map **out, int *fd)
{
	uint64_t data_size = 0, prealloc = 0;
	struct map_header *header;
	struct map *m;
	int err;

	m = pool_alloc(&map_pool);
	if (!m)
		return -ENOMEM;
	err = uaccess_init();
	if (!err)
		err = map_prepare(attr, m, &data_size, &prealloc);
	if (!err)
		err = map_check_lock(m->ops, &m->attr);
	if (!err)
		err = map_check_timers(m->ops, &m->attr);
	/* Before any element can be freed: its reuse asks the leases. */
	if (!err)
		err = lease_open();
	if (!err)
		err = writers_open();
	if (!err)
		err = object_create(OBJECT_MAP, m->notice_off + NOTICE_SIZE, prealloc, &m->obj, fd);
	if (err) {
		*fd = -1;
		pool_free(&map_pool, m);
		return err;
	}
	m->writable = m->obj.writable;
	header = map_file_header(m);
	m->shared = &header->shared;
	header->attr = m->attr;
	*out = m;
	return 0;
}

/* The end of one that failed. opened: ops->open() has succeeded. */
static void map_discard(struct map *m, bool opened, int *fd)
{
	if (opened && m->ops->close)
		m->ops->close(m);
	map_unmap(m);
	raw_close(*fd);
	/* an anchor that was made before object_ref() failed */
	if (m->obj.id)
		object_collect(OBJECT_MAP, m->obj.id);
	*fd = -1;
	pool_free(&map_pool, m);
}

/* Opens it for this process and lets all find it. */
static int map_publish(struct map *m, int btf_fd, int *fd)
{
	int err = m->ops->open ? m->ops->open(m) : 0;

	if (err) {
		map_discard(m, false, fd);
		return err;
	}
	if (btf_fd >= 0) {
		err = object_publish_unready(&m->obj, *fd);
		if (!err)
			err = object_ref(OBJECT_MAP, m->obj.id, btf_fd);
		if (!err)
			object_set_ready(&m->obj);
	} else {
		err = object_publish(&m->obj, *fd);
	}
	if (err)
		map_discard(m, true, fd);
	return err;
}

int map_create(const struct map_attr *attr, int btf_fd, struct map **out, int *fd)
{
	struct map *m;
	int err = map_begin(attr, &m, fd);

	if (err)
		return err;
	if (m->ops->objref && m->ops->objref->users)
		err = raw_fchmod(*fd, 0600 | OBJECT_USERS);
	if (!err)
		err = m->ops->format(m);
	if (err) {
		map_discard(m, false, fd);
		return err;
	}
	err = map_publish(m, btf_fd, fd);
	if (!err)
		*out = m;
	return err;
}

int map_copy_begin(const struct map *m, struct map **out, int *fd)
{
	struct map_attr attr = m->attr;

	/* What nobody is to change programs may not change either. */
	if (attr.spin_lock_off < 0 && !(attr.map_flags & BPF_F_WRONLY_PROG))
		attr.map_flags |= BPF_F_RDONLY_PROG;
	return map_begin(&attr, out, fd);
}

int map_copy_end(struct map *copy, int btf_fd, int *fd)
{
	store_relaxed(&copy->shared->frozen, 1U);
	return map_publish(copy, btf_fd, fd);
}

void map_copy_discard(struct map *copy, int *fd)
{
	map_discard(copy, false, fd);
}

/* Do the attributes describe a map that this library would have made? */
static int map_check_file(struct map *m)
{
	uint64_t data_size = 0, prealloc = 0;
	int err;

	m->ops = map_ops_find(m->attr.map_type);
	if (!m->ops || m->attr.map_flags & (BPF_F_RDONLY | BPF_F_WRONLY))
		return -EPROTO;
	if (m->attr.possible_cpus != lease_possible_cpus() || m->attr.name[MAP_NAME_LEN - 1])
		return -EPROTO;
	err = m->ops->alloc_check(&m->attr);
	if (!err)
		err = map_check_lock(m->ops, &m->attr);
	if (!err)
		err = map_check_timers(m->ops, &m->attr);
	if (!err)
		err = map_layout(m, &data_size, &prealloc);
	if (err)
		return -EPROTO;
	if (m->obj.size < OBJECT_TRAILER_SIZE || m->obj.size - OBJECT_TRAILER_SIZE < NOTICE_SIZE ||
	    m->notice_off > m->obj.size - OBJECT_TRAILER_SIZE - NOTICE_SIZE)
		return -EPROTO;
	return 0;
}

int map_open(int fd, struct map **out)
{
	struct map *m = pool_alloc(&map_pool);
	int err;

	if (!m)
		return -ENOMEM;
	err = uaccess_init();
	if (!err)
		err = lease_open();
	if (!err)
		err = writers_open();
	if (!err)
		err = object_map(fd, &m->obj);
	if (err)
		goto free_map;
	err = -EINVAL;
	if (m->obj.kind != OBJECT_MAP)
		goto unmap;
	m->refs = 1;
	m->writable = m->obj.writable;
	/* One copy: what is checked is what is used. */
	memcpy(&m->attr, &map_file_header(m)->attr, sizeof(m->attr));
	err = map_check_file(m);
	if (err)
		goto unmap;
	m->shared = &map_file_header(m)->shared;
	err = m->ops->open ? m->ops->open(m) : 0;
	if (err)
		goto unmap;
	*out = m;
	return 0;
unmap:
	object_unmap(&m->obj);
free_map:
	pool_free(&map_pool, m);
	return err;
}

void map_unmap(struct map *m)
{
	if (m->ops->unmap)
		m->ops->unmap(m);
	object_unmap(&m->obj);
}

void map_get(struct map *m)
{
	fetch_add_relaxed(&m->refs, 1U);
}

void map_put(struct map *m)
{
	/* Each holder's accesses come before the last one's unmapping. */
	if (fetch_add_seq_cst(&m->refs, (uint32_t)-1) != 1)
		return;
	if (m->ops->close)
		m->ops->close(m);
	map_unmap(m);
	pool_free(&map_pool, m);
}
