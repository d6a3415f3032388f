/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_PERF_EVENT_ARRAY.
 *
 *   offset 0    struct perf_array: the lock, and what its holder is about to do
 *   offset 64   slots: the id of a perf event object | token << 32; 0: empty
 *
 * A slot keeps its event alive by a reference of the map's (shm/object.h), one per
 * event however many slots have it. All changes are made under the robust lock;
 * a slot changes by one store. Before it, the ids of both events are noted in
 * `drop`: whoever takes the lock over from the dead takes back the references of those
 * that no slot names. Programs only load slots.
 *
 * Ownership: what was put in without BPF_F_PRESERVE_ELEMS goes with the open file
 * description that it was put in through. The slot's token is the place of a byte far
 * behind the end of the file that this description holds an OFD lock on: the kernel
 * gives the lock up when the description goes, however its processes end. Nobody
 * is called then, so the slot is looked at
 *  - when this process has closed an fd of the map,
 *  - when it is deleted or replaced,
 *  - when a program writes to its event, each OWNER_LOOK_MS and when the ring is full,
 * and found empty if the lock is gone.
 *
 * The cache: a program's run looks its event up once per process and CPU. Who holds
 * a CPU's lease is alone with its entry.
 *
 * Lock order: the map's lock and an event's are never held together.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/array_common.h"
#include "map/perf.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define F_PRESERVE_ELEMS (1U << 11)
#define OWNER_LOOK_MS 100
#define OWNER_BYTES (1LL << 61) /* the mmap marks of sys/ stand at 1 << 62 */

struct perf_array {
	uint32_t lock;
	uint32_t last_token;
	uint32_t drop[2]; /* event ids that may have a reference too many */
	uint8_t pad[CACHE_LINE - 16];
};

_Static_assert(sizeof(struct perf_array) == CACHE_LINE, "slots start on their own line");

struct perf_cache {
	uint64_t slot;	   /* what ev was opened for; 0: nothing is open */
	int64_t looked_ms; /* when its owner was last looked for */
	struct perf_event ev;
} __attribute__((aligned(CACHE_LINE)));

static struct perf_array *perf_array(const struct map *m)
{
	return (struct perf_array *)m->obj.base;
}

static uint64_t *perf_slot(const struct map *m, uint32_t index)
{
	return (uint64_t *)(m->obj.base + sizeof(struct perf_array)) + index;
}

#define SLOT_ID(slot) ((uint32_t)(slot))
#define SLOT_TOKEN(slot) ((uint32_t)((slot) >> 32))

static int perf_alloc_check(const struct map_attr *attr)
{
	if (attr->value_size != 4)
		return -EINVAL;
	return array_check_attr(attr,
				BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | F_PRESERVE_ELEMS);
}

static int perf_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	*data_size = sizeof(struct perf_array) + (uint64_t)m->attr.max_entries * sizeof(uint64_t);
	*prealloc = *data_size;
	return 0;
}

/* Zero bytes are the right beginning. */
static int perf_format(struct map *m)
{
	return 0;
}

/* ---- the lock ---- */

static bool id_in_slots(const struct map *m, uint32_t id)
{
	for (uint32_t i = 0; i < m->attr.max_entries; i++)
		if (SLOT_ID(load_relaxed(perf_slot(m, i))) == id)
			return true;
	return false;
}

/* With the lock: takes back the references of noted events that no slot has. */
static void drop_noted(struct map *m)
{
	struct perf_array *a = perf_array(m);

	for (int i = 0; i < 2; i++) {
		uint32_t id = load_relaxed(&a->drop[i]);

		if (!id)
			continue;
		if (!id_in_slots(m, id))
			object_unref(OBJECT_MAP, m->obj.id, OBJECT_PERF, id);
		/* after it: who dies before leaves the note */
		store_release(&a->drop[i], 0);
	}
}

static int perf_lock(struct map *m)
{
	int err;

	if (!m->writable)
		return -EPERM;
	err = lock_acquire(&perf_array(m)->lock);
	if (err < 0)
		return err;
	if (err == LOCK_OWNER_DIED)
		drop_noted(m);
	return 0;
}

static void perf_unlock(struct map *m)
{
	lock_release(&perf_array(m)->lock);
}

/* ---- ownership ---- */

/* A description of our own of the map's file: locks of others' are seen from it. */
static int open_map_file(const struct map *m)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", m->obj.id);
	return raw_openat(rundir_kind_fd(OBJECT_MAP), name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
}

static struct flock owner_byte(uint32_t token, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = OWNER_BYTES + token, .l_len = 1};

	return lock;
}

/* Is the description still there through which the slot was set? file: open_map_file(). */
static bool owner_lives(int file, uint64_t slot)
{
	struct flock lock = owner_byte(SLOT_TOKEN(slot), F_WRLCK);

	if (!SLOT_TOKEN(slot) || file < 0)
		return true;
	return raw_fcntl(file, F_OFD_GETLK, (long)&lock) || lock.l_type != F_UNLCK;
}

static bool slot_lives(const struct map *m, uint64_t slot)
{
	bool lives = true;
	int file;

	if (!SLOT_TOKEN(slot))
		return true;
	file = open_map_file(m);
	if (file >= 0) {
		lives = owner_lives(file, slot);
		raw_close(file);
	}
	return lives;
}

/* With the lock: slot index gets `to`, which is 0 or has its reference. */
static void slot_replace(struct map *m, uint32_t index, uint64_t to)
{
	uint64_t *slot = perf_slot(m, index);

	store_release(&perf_array(m)->drop[1], SLOT_ID(load_relaxed(slot)));
	/* pairs with perf_output()'s acquire: the event is complete */
	store_release(slot, to);
	drop_noted(m);
}

/* The slot is as it was seen, and its owner has gone: empties it. */
static void slot_expire(struct map *m, uint32_t index, uint64_t seen)
{
	if (perf_lock(m))
		return;
	if (load_relaxed(perf_slot(m, index)) == seen)
		slot_replace(m, index, 0);
	perf_unlock(m);
}

/* Async-signal-safe; where it cannot have the lock, somebody else finds the slots. */
static void perf_fd_closed(struct map *m)
{
	int file = -1;

	if (!m->obj.base || !m->writable)
		return;
	for (uint32_t i = 0; i < m->attr.max_entries; i++) {
		uint64_t slot = load_relaxed(perf_slot(m, i));

		if (!SLOT_TOKEN(slot))
			continue;
		if (file < 0)
			file = open_map_file(m);
		if (file < 0)
			return;
		if (!owner_lives(file, slot))
			slot_expire(m, i, slot);
	}
	if (file >= 0)
		raw_close(file);
}

/* ---- bpf(2) ---- */

/* Why an fd that is no event of ours is refused. */
static int refuse_fd(int fd)
{
	char proc[48], target[64];
	ssize_t n;

	snprintf(proc, sizeof(proc), "/proc/thread-self/fd/%d", fd);
	n = raw_readlinkat(AT_FDCWD, proc, target, sizeof(target) - 1);
	if (n > 0) {
		target[n] = '\0';
		if (!strcmp(target, "anon_inode:[perf_event]"))
			return -EOPNOTSUPP; /* the kernel's own: a counter, which we cannot read */
	}
	return -EBADF;
}

static bool preserves(const struct map *m)
{
	return m->attr.map_flags & F_PRESERVE_ELEMS;
}

/* The token of an owner's lock, which map_fd's description has from before or gets now;
 * *token 0: none wanted. */
static int take_token(struct map *m, int map_fd, uint32_t *token)
{
	struct perf_array *a = perf_array(m);
	struct flock lock;
	struct stat st;

	if (*token || preserves(m))
		return 0;
	if (raw_fstat(map_fd, &st) || st.st_ino != m->obj.ino || st.st_dev != m->obj.dev)
		return -EBADF;
	*token = a->last_token + 1 ? a->last_token + 1 : 1;
	store_relaxed(&a->last_token, *token);
	lock = owner_byte(*token, F_WRLCK);
	return raw_fcntl(map_fd, F_OFD_SETLK, (long)&lock);
}

static int perf_set(struct map *m, const struct perf_setter *by, const void *key, uint64_t flags)
{
	uint32_t index = array_index(key), id = by->event_id, token = load_relaxed(by->token);
	int err = 0;

	if (flags)
		return -EINVAL;
	if (index >= m->attr.max_entries)
		return -E2BIG;
	if (!id && (object_identify(by->event_fd, &id, NULL, NULL) != OBJECT_PERF || !id))
		return refuse_fd(by->event_fd);
	/* It has the event already, by this very description, which holds the token's lock. */
	if ((token || preserves(m)) && m->writable &&
	    load_acquire(perf_slot(m, index)) == (id | (uint64_t)token << 32))
		return 0;
	err = perf_lock(m);
	if (err)
		return err;
	store_release(&perf_array(m)->drop[0], id);
	/* One reference is for all slots that have the event. */
	if (!id_in_slots(m, id))
		err = object_ref(OBJECT_MAP, m->obj.id, by->event_fd);
	if (!err)
		err = take_token(m, by->map_fd, &token);
	if (!err)
		slot_replace(m, index, id | (uint64_t)token << 32);
	else
		drop_noted(m);
	perf_unlock(m);
	if (!err)
		store_relaxed(by->token, token);
	return err == -EINVAL ? -EBADF : err; /* closed by another thread meanwhile */
}

static int perf_erase(struct map *m, const void *key)
{
	uint32_t index = array_index(key);
	uint64_t slot;
	int err;

	if (index >= m->attr.max_entries)
		return -E2BIG;
	err = perf_lock(m);
	if (err)
		return err;
	slot = load_relaxed(perf_slot(m, index));
	err = slot && slot_lives(m, slot) ? 0 : -ENOENT;
	if (slot)
		slot_replace(m, index, 0);
	perf_unlock(m);
	return err;
}

/* ---- programs ---- */

/* The entry of the CPU that the caller has the lease of, or NULL. */
static struct perf_cache *perf_cache(struct map *m, int cpu)
{
	struct perf_cache *cache = load_acquire(&m->perf.cache), *none = NULL;
	uint64_t size = m->attr.possible_cpus * sizeof(*cache);

	if (unlikely(!cache)) {
		cache = raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				 -1, 0);
		if (raw_is_error(cache))
			return NULL;
		if (!cas_seq_cst(&m->perf.cache, &none, cache)) {
			raw_munmap(cache, size);
			cache = none;
		}
	}
	return &cache[cpu];
}

static void cache_drop(struct perf_cache *c)
{
	if (!c->slot)
		return;
	c->slot = 0;
	perf_event_close(&c->ev);
}

static void perf_close(struct map *m)
{
	struct perf_cache *cache = m->perf.cache;

	if (!cache)
		return;
	for (uint32_t i = 0; i < m->attr.possible_cpus; i++)
		cache_drop(&cache[i]);
	raw_munmap(cache, m->attr.possible_cpus * sizeof(*cache));
	m->perf.cache = NULL;
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/*
 * The slot's event is not the one that we have open, or its owner was not looked for
 * lately. 0 or -ENOENT.
 */
static __attribute__((noinline)) int cache_fill(struct map *m, struct perf_cache *c, uint32_t index,
						uint64_t slot)
{
	c->looked_ms = now_ms();
	if (slot && !slot_lives(m, slot)) {
		slot_expire(m, index, slot);
		slot = 0;
	}
	if (slot && slot == c->slot)
		return 0;
	cache_drop(c);
	if (!slot || perf_event_open_id(SLOT_ID(slot), &c->ev))
		return -ENOENT;
	c->slot = slot;
	return 0;
}

/* The event that the helper's flags name; *cpu is the run's. */
static int perf_find(struct map *m, uint64_t flags, struct perf_cache **out, int *cpu)
{
	uint32_t index = (uint32_t)flags;
	struct perf_cache *c;
	uint64_t slot;

	*cpu = lease_cpu();
	if (unlikely(*cpu < 0 || (uint32_t)*cpu >= m->attr.possible_cpus))
		return -EINVAL;
	if (index == (uint32_t)BPF_F_CURRENT_CPU)
		index = *cpu;
	if (unlikely(index >= m->attr.max_entries))
		return -E2BIG;
	c = perf_cache(m, *cpu);
	if (unlikely(!c))
		return -ENOMEM;
	*out = c;
	slot = load_acquire(perf_slot(m, index));
	if (likely(slot && slot == c->slot && now_ms() - c->looked_ms < OWNER_LOOK_MS))
		return 0;
	return cache_fill(m, c, index, slot);
}

static long perf_output(struct map *m, uint64_t flags, const struct perf_part *parts,
			unsigned int count)
{
	struct perf_cache *c;
	int cpu, err;

	err = perf_find(m, flags, &c, &cpu);
	if (unlikely(err))
		return err;
	err = perf_event_output(&c->ev, cpu, parts, count);
	if (unlikely(err == -ENOSPC) && !slot_lives(m, c->slot)) {
		uint32_t index = (uint32_t)flags;

		slot_expire(m, index == (uint32_t)BPF_F_CURRENT_CPU ? (uint32_t)cpu : index,
			    c->slot);
		cache_drop(c);
		return -ENOENT;
	}
	return err;
}

/* Nothing is counted by an event that programs write to: the counter is 0. */
static long perf_read(struct map *m, uint64_t flags, uint64_t out[3])
{
	struct perf_cache *c;
	int cpu, err;

	err = perf_find(m, flags, &c, &cpu);
	if (err)
		return err;
	if (c->ev.state->cpu != (uint32_t)cpu)
		return -EINVAL;
	out[0] = 0;
	out[1] = out[2] = perf_event_age(&c->ev);
	return 0;
}

/* ---- the rest ---- */

static uint64_t perf_memlock(const struct map *m)
{
	return ARRAY_KERNEL_HEADER + (uint64_t)m->attr.max_entries * sizeof(void *);
}

static int perf_recover(struct map *m)
{
	int err = perf_lock(m);

	if (err)
		return err;
	perf_unlock(m);
	perf_fd_closed(m);
	return 0;
}

static int perf_validate(struct map *m, char *why, size_t size)
{
	const struct perf_array *a = perf_array(m);

	if (a->lock || a->drop[0] || a->drop[1]) {
		snprintf(why, why ? size : 0, "lock %#x, noted %u and %u", a->lock, a->drop[0],
			 a->drop[1]);
		return -EINVAL;
	}
	for (uint32_t i = 0; i < m->attr.max_entries; i++)
		if (SLOT_ID(*perf_slot(m, i)) > INT32_MAX) {
			snprintf(why, why ? size : 0, "slot %u: %#llx", i,
				 (unsigned long long)*perf_slot(m, i));
			return -EINVAL;
		}
	return 0;
}

static const struct perf_ops perf_array_ops = {
	.set = perf_set,
	.output = perf_output,
	.read = perf_read,
};

static const uint16_t perf_helpers[] = {
	BPF_FUNC_perf_event_read,
	BPF_FUNC_perf_event_output,
	BPF_FUNC_perf_event_read_value,
	0,
};

const struct map_ops perf_event_array_map_ops = {
	.type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
	.name = "perf_event_array",
	.alloc_check = perf_alloc_check,
	.layout = perf_layout,
	.format = perf_format,
	.erase = perf_erase,
	.next_key = array_next_key,
	.perf = &perf_array_ops,
	.helpers = perf_helpers,
	.close = perf_close,
	.fd_closed = perf_fd_closed,
	.memlock = perf_memlock,
	.recover = perf_recover,
	.validate = perf_validate,
	.inner_allowed = true,
	.not_sleepable = true,
};
