/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A damaged map file: whatever its bytes are, operations return values or
 * errors; no crash, no hang, no access outside the mapping (G9).
 *
 * Input: byte 0 chooses the map; then, 8 bytes each, up to 32 damages {where
 * (4 bytes), what (4)} to a file that was a good map with elements in it; the
 * rest are operations. The map is then opened as another process would, once
 * read-only and once writable, between pages that cannot be touched.
 *
 * Lock words may say that a living process holds them. Waiting for it is right
 * (LOCK_WAIT_SECONDS) but no use here: lock_acquire_contended() is replaced by
 * one whose time is up at once (the link wraps the symbol), and naps end at once.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file_fuzz.h"
#include "base/bits.h"
#include "base/errors.h"
#include "map/map.h"
#include "map/perf.h"
#include "map/stack_trace.h"
#include "map/storage.h"
#include "map/objref.h"
#include "sync/lease.h"
#include "sync/lock.h"
#include "sys/fd.h"

#define GUARD (1UL << 20)
#define FILE_MAX (1UL << 20)
#define DAMAGES 32
#define WALK_MAX 400
#define KEYS 12u

static const struct {
	uint32_t type, key_size, value_size, max_entries, flags;
	int32_t lock_off;
} kinds[] = {
	{BPF_MAP_TYPE_ARRAY, 4, 8, 20, 0, -1},
	{BPF_MAP_TYPE_ARRAY, 4, 40, 20, BPF_F_MMAPABLE, -1},
	{BPF_MAP_TYPE_ARRAY, 4, 100, 7, 0, 48},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 20, 0, -1},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 52, 20, 0, -1},
	/* with a fixed seed: what was found once is found again */
	{BPF_MAP_TYPE_HASH, 4, 8, 40, BPF_F_ZERO_SEED, -1},
	{BPF_MAP_TYPE_HASH, 20, 64, 200, BPF_F_ZERO_SEED, -1},
	{BPF_MAP_TYPE_HASH, 8, 16, 64, BPF_F_ZERO_SEED | BPF_F_NO_PREALLOC, -1},
	{BPF_MAP_TYPE_HASH, 4, 40, 16, BPF_F_ZERO_SEED, 8},
	{BPF_MAP_TYPE_HASH, 4, 4, 1, BPF_F_ZERO_SEED, -1},
	{BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 40, BPF_F_ZERO_SEED, -1},
	{BPF_MAP_TYPE_PERCPU_HASH, 16, 30, 40, BPF_F_ZERO_SEED | BPF_F_NO_PREALLOC, -1},
	/* full, of one stripe; and of two */
	{BPF_MAP_TYPE_LRU_HASH, 4, 8, 16, BPF_F_ZERO_SEED, -1},
	{BPF_MAP_TYPE_LRU_HASH, 8, 8, 130, BPF_F_ZERO_SEED, -1},
	{BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 12, 16, BPF_F_ZERO_SEED | BPF_F_NO_COMMON_LRU, -1},
	{BPF_MAP_TYPE_LPM_TRIE, 8, 8, 12, BPF_F_NO_PREALLOC, -1},
	{BPF_MAP_TYPE_LPM_TRIE, 8, 20, 60, BPF_F_NO_PREALLOC, -1},
	{BPF_MAP_TYPE_LPM_TRIE, 20, 5, 40, BPF_F_NO_PREALLOC, -1},
	{BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 20, 0, -1},
	{BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 40, BPF_F_ZERO_SEED, -1},
	{BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 20, 0, -1},
	{BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 20, 0, -1},
	{BPF_MAP_TYPE_STACK_TRACE, 4, 64, 12, 0, -1},
	{BPF_MAP_TYPE_STACK_TRACE, 4, 96, 40, BPF_F_STACK_BUILD_ID, -1},
	{BPF_MAP_TYPE_SK_STORAGE, 4, 16, 0, BPF_F_NO_PREALLOC, -1},
	{BPF_MAP_TYPE_SK_STORAGE, 4, 40, 0, BPF_F_NO_PREALLOC, 8},
	{BPF_MAP_TYPE_TASK_STORAGE, 4, 8, 0, BPF_F_NO_PREALLOC, -1},
	{BPF_MAP_TYPE_QUEUE, 0, 8, 20, 0, -1},
	{BPF_MAP_TYPE_QUEUE, 0, 301, 40, 0, -1},
	{BPF_MAP_TYPE_STACK, 0, 8, 5, 0, -1},
	{BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 40, BPF_F_ZERO_SEED, -1},
	/* more than one chunk of bits */
	{BPF_MAP_TYPE_BLOOM_FILTER, 0, 1030, 100000, BPF_F_ZERO_SEED, -1},
};

/* A good map's file and its bytes. */
static struct {
	int fd, read_only_fd;
	uint8_t *bytes;
	size_t size;
} files[ARRAY_SIZE(kinds)];

/* What stands in maps of maps. */
static int inner_fd = -1;
static struct map *inner;

static void make_inner(void)
{
	struct map_attr attr = {
		.map_type = BPF_MAP_TYPE_ARRAY,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 4,
		.spin_lock_off = -1,
	};

	REQUIRE(!map_create(&attr, -1, &inner, &inner_fd));
	objref_host_init();
}

static void make_key(const struct map *m, uint8_t *key, uint32_t i)
{
	memset(key, 0, m->attr.key_size);
	if (m->ops->type == BPF_MAP_TYPE_LPM_TRIE) {
		/* prefixes that part early, late, and continue each other */
		key[0] = i * 5 % (m->attr.key_size * 8 - 31);
		key[4] = i % 3 * 0x51;
		key[5] = i & 0x18;
		return;
	}
	if (m->ops->storage) {
		static int socks[3 * KEYS];

		if (!socks[i % (3 * KEYS)])
			socks[i % (3 * KEYS)] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		i = socks[i % (3 * KEYS)];
	}
	memcpy(key, &i, m->attr.key_size < 4 ? m->attr.key_size : 4);
}

static int event_fd = -1; /* a perf event with a ring */

static void make_event(void)
{
	struct perf_event_state like = {.cpu = 0, .raw = 1, .wakeup_events = 1, .enabled = 1};
	struct perf_event ev;

	event_fd = perf_event_create(&like, NULL);
	REQUIRE(event_fd >= 0 && !perf_event_open_fd(event_fd, &ev));
	REQUIRE(!perf_event_set_pages(&ev, event_fd, 1, false, true));
	object_unmap(&ev.obj);
}

/* What only these types have; fd: the map's, or -1. Under a lease, but for fd. */
static int one_special(struct map *m, int fd, const void *key, uint8_t arg)
{
	uint64_t ips[8] = {arg, arg / 2, 7}, out[3];
	struct perf_part part = {ips, arg % sizeof(ips)};
	uint8_t frames[256] = {arg};

	if (m->ops->perf && fd >= 0) {
		uint32_t token = 0;
		struct perf_setter by = {.map_fd = fd, .event_fd = event_fd, .token = &token};

		return m->ops->perf->set(m, &by, key, 0);
	}
	if (m->ops->perf && arg & 1)
		return m->ops->perf->read(m, arg % 32, out);
	if (m->ops->perf)
		return m->ops->perf->output(m, arg & 2 ? BPF_F_CURRENT_CPU : arg % 32, &part, 1);
	if (m->ops->stack)
		return m->ops->stack->put(m, ips, m->ops->stack->build_id(m) ? frames : (void *)ips,
					  1 + arg % 3, arg & 4 ? BPF_F_REUSE_STACKID : 0);
	return 0;
}

static void make_file(unsigned int kind)
{
	struct map_attr attr = {
		.map_type = kinds[kind].type,
		.key_size = kinds[kind].key_size,
		.value_size = kinds[kind].value_size,
		.max_entries = kinds[kind].max_entries,
		.map_flags = kinds[kind].flags,
		.spin_lock_off = kinds[kind].lock_off,
		.name = "fuzzed",
		.btf_key_type_id = 1, /* some types must have it */
		.btf_value_type_id = 1,
	};
	uint8_t key[64], *value;
	char path[64];
	struct stat st;
	struct map *m;

	if (attr.map_type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	    attr.map_type == BPF_MAP_TYPE_HASH_OF_MAPS)
		REQUIRE(!objref_take_inner(&attr, inner));
	REQUIRE(!map_create(&attr, -1, &m, &files[kind].fd));
	value = calloc(1, m->user_value_size);
	for (uint32_t i = 0; i < 3 * KEYS; i++) {
		make_key(m, key, i);
		memset(value, i, m->user_value_size);
		if (m->inner)
			memcpy(value, &inner_fd, sizeof(inner_fd));
		if (m->ops->write)
			m->ops->write(m, key, value, 0);
		one_special(m, files[kind].fd, key, i * 31);
		if (i % 3 == 2)
			m->ops->erase(m, key);
	}
	free(value);
	map_put(m);
	REQUIRE(!fstat(files[kind].fd, &st) && st.st_size <= FILE_MAX);
	files[kind].size = st.st_size;
	files[kind].bytes = malloc(st.st_size);
	REQUIRE(pread(files[kind].fd, files[kind].bytes, st.st_size, 0) == st.st_size);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", files[kind].fd);
	files[kind].read_only_fd = open(path, O_RDONLY | O_CLOEXEC);
	REQUIRE(files[kind].read_only_fd >= 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	make_dir();
	make_inner();
	REQUIRE(!lease_open());
	make_event();
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++)
		make_file(i);
	return 0;
}

/* Moves the mapping between two guards. */
static uint8_t *fence_in(struct map *m)
{
	size_t size = m->obj.size;
	uint8_t *room = mmap(NULL, size + 2 * GUARD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ptrdiff_t by;

	REQUIRE(room != MAP_FAILED);
	by = room + GUARD - m->obj.base;
	REQUIRE(mremap(m->obj.base, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, room + GUARD) !=
		MAP_FAILED);
	m->obj.base += by;
	m->obj.trailer = (struct object_trailer *)((uint8_t *)m->obj.trailer + by);
	m->shared = (struct map_shared *)((uint8_t *)m->shared + by);
	if (m->ops->storage) {
		m->storage.table->obj = m->obj;
		m->storage.table->shared = m->shared;
	}
	return room;
}

static uint8_t *value, *values, *keys;

static long visit(void *arg, struct map *m, const void *key, void *v)
{
	volatile uint8_t byte;

	byte = ((const uint8_t *)key)[m->attr.key_size - 1];
	byte = ((const uint8_t *)v)[m->attr.value_size - 1];
	(void)byte;
	return ++*(uint32_t *)arg > WALK_MAX;
}

/* The whole of a value that a program was given can be touched. */
static void touch(struct map *m, uint8_t *p)
{
	volatile uint8_t *v = p;

	if (!p)
		return;
	if (m->inner) { /* a map of the right kind */
		struct map *found = (struct map *)p;
		uint32_t zero = 0;

		REQUIRE(objref_inner_fits(m, found));
		REQUIRE(found->ops->lookup(found, &zero));
		return;
	}
	REQUIRE(p >= m->obj.base &&
		p + m->attr.value_size <= m->obj.base + m->obj.size - OBJECT_TRAILER_SIZE);
	for (uint32_t i = 0; i < m->attr.value_size; i++) {
		uint8_t byte = v[i];

		if (m->writable)
			v[i] = byte;
	}
}

/* Good pointers never give EFAULT: an EFAULT is an access outside the mapping. */
static void good(long ret)
{
	REQUIRE(ret != -EFAULT);
}

static void walk(struct map *m)
{
	uint8_t at[64], next[64];
	int err = m->ops->next_key ? m->ops->next_key(m, NULL, next) : -ENOTSUPP;

	for (unsigned int i = 0; !err && i < WALK_MAX; i++) {
		memcpy(at, next, m->attr.key_size);
		err = m->ops->next_key(m, at, next);
	}
	good(err);
}

static void batches(struct map *m, int (*fn)(struct map *, struct map_batch *))
{
	uint8_t token[64] = {0};
	uint32_t n = 0;
	bool first = true;
	int err;

	if (!fn)
		return;
	do {
		struct map_batch b = {.in_batch = first ? NULL : token,
				      .out_batch = token,
				      .keys = keys,
				      .values = values,
				      .count = 64};

		err = fn(m, &b);
		good(err);
		REQUIRE(b.count <= 64);
		first = false;
	} while (!err && ++n < 200);
}

/* bpf_spin_lock(), bpf_spin_unlock() */
static void section(struct map *m, uint8_t *p)
{
	void *kept = NULL;

	if (m->ops->section_begin(m, p, 0, &kept) < 0)
		return;
	map_section_end(kept);
	lock_release((uint32_t *)(p + m->attr.spin_lock_off));
}

static void one_op(struct map *m, uint8_t op, uint8_t arg)
{
	uint64_t flags = arg >> 5 & 3, lock = m->attr.spin_lock_off >= 0 && arg & 0x80 ? 4 : 0;
	uint8_t key[64];
	uint32_t n = 0;
	uint8_t *p;

	make_key(m, key, arg % KEYS * 3);
	memset(value, arg, m->user_value_size);
	if (m->inner && arg & 1)
		memcpy(value, &inner_fd, sizeof(inner_fd));
	switch (op % 20) {
	case 0:
		if (m->ops->read)
			good(m->ops->read(m, key, value, lock));
		break;
	case 1:
		if (m->ops->write)
			good(m->ops->write(m, key, value, flags | lock));
		break;
	case 2:
		good(m->ops->erase(m, key));
		break;
	case 3:
		walk(m);
		break;
	case 4:
		if (m->ops->pop)
			good(m->ops->pop(m, key, value, lock));
		break;
	case 5:
		batches(m, m->ops->lookup_batch);
		break;
	case 6:
		batches(m, m->ops->lookup_and_delete_batch);
		break;
	case 7:
		batches(m, m->ops->update_batch);
		break;
	case 8:
		batches(m, m->ops->delete_batch);
		break;
	case 9:
		good(m->ops->recover(m));
		break;
	case 10: {
		char why[128];

		good(m->ops->validate(m, why, sizeof(why)));
		break;
	}
	case 11:
		m->ops->memlock(m);
		if (m->ops->stats)
			good(m->ops->stats(m, &(struct map_stats){0}));
		if (m->ops->mmap_check)
			m->ops->mmap_check(m, 0, 4096, PROT_READ, MAP_SHARED);
		if (m->ops->direct_value)
			touch(m, m->ops->direct_value(m));
		break;
	default:
		REQUIRE(lease_acquire() >= 0);
		if (m->ops->storage) {
			struct storage_owner o = {.number = {arg % KEYS, op & 1, 0}};

			if (arg & 0x40)
				good(m->ops->storage->drop(m, &o));
			else
				touch(m, m->ops->storage->get(m, &o, value, op >> 1 & 1,
							      &(struct htab_at){0}));
		}
		switch (op % 20) {
		case 12:
		case 13:
			if (m->ops->objref && m->ops->objref->at)
				m->ops->objref->at(m, arg);
			p = m->ops->lookup ? m->ops->lookup(m, key) : NULL;
			touch(m, p);
			if (p && m->ops->section_begin && m->writable && m->attr.spin_lock_off >= 0)
				section(m, p);
			break;
		case 14:
			good(one_special(m, -1, key, arg));
			/* fallthrough */
		case 15:
			if (m->ops->update)
				good(m->ops->update(m, key, value, flags | lock));
			break;
		case 16:
			if (m->ops->delete)
				good(m->ops->delete (m, key));
			break;
		case 18:
			if (m->ops->push)
				good(m->ops->push(m, value, flags));
			if (m->ops->peek)
				good(m->ops->peek(m, value));
			if (m->ops->take && arg & 1)
				good(m->ops->take(m, value));
			break;
		case 17:
			if (m->ops->lookup_percpu)
				touch(m, m->ops->lookup_percpu(m, key, arg & 3));
			break;
		default:
			if (m->ops->for_each)
				good(m->ops->for_each(m, visit, &n));
		}
		lease_release();
	}
}

static void use(int fd, const uint8_t *ops, size_t n)
{
	struct map *m;
	uint8_t *room;
	size_t size;

	if (map_open(fd, &m))
		return;
	/* what the damaged attributes may ask for: our buffers follow them */
	if (m->user_value_size > 65536 || m->attr.key_size > 64) {
		map_put(m);
		return;
	}
	room = fence_in(m);
	size = m->obj.size;
	value = realloc(value, m->user_value_size);
	values = realloc(values, 64 * (size_t)m->user_value_size);
	keys = realloc(keys, 64 * (size_t)m->attr.key_size + 1); /* maps without keys have none */
	memset(values, 1, 64 * (size_t)m->user_value_size);
	for (uint32_t i = 0; i < 64; i++)
		make_key(m, keys + i * m->attr.key_size, i);
	for (size_t i = 0; i + 2 <= n && i < 200; i += 2)
		one_op(m, ops[i], ops[i + 1]);
	/* everything once, in any case */
	for (uint8_t op = 0; op < 20; op++)
		one_op(m, op, 0x25 + op * 29);
	map_put(m);
	munmap(room, size + 2 * GUARD);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned int kind, damages;

	if (len < 2)
		return 0;
	kind = data[0] % ARRAY_SIZE(kinds);
	damages = data[1] % (DAMAGES + 1);
	data += 2, len -= 2;
	REQUIRE(pwrite(files[kind].fd, files[kind].bytes, files[kind].size, 0) ==
		(ssize_t)files[kind].size);
	for (; damages && len >= 8; damages--, data += 8, len -= 8) {
		static const uint8_t sizes[] = {1, 2, 4, 8};
		uint32_t where, what;
		uint64_t v;

		memcpy(&where, data, 4);
		memcpy(&what, data + 4, 4);
		/* the upper bits say how wide; often an aligned word with a small or
		 * an extreme number, as a link, a count or a tag has */
		v = what & 0x80000000 ? -(uint64_t)(what & 0xffff) : what & 0xffffff;
		if (what & 0x40000000)
			v |= (uint64_t)(what & 0xff) << 32;
		if (pwrite(files[kind].fd, &v, sizes[what >> 24 & 3],
			   (where & ~(uint32_t)(sizes[what >> 24 & 3] - 1)) % files[kind].size) < 0)
			abort();
	}
	/* What was damaged may have grown the file: it is cut again. */
	if (ftruncate(files[kind].fd, files[kind].size))
		return 0;
	use(files[kind].read_only_fd, data, len);
	use(files[kind].fd, data, len);
	return 0;
}
