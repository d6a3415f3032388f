/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_QUEUE and BPF_MAP_TYPE_STACK.
 *
 *   offset 0     struct queue_cold: what is seldom counted
 *   offset 64    struct queue_hot: lock, state, what each operation counts
 *   offset 96    the ring: max_entries + 1 slots of value_size bytes, side by side;
 *                the first ones share the line of the lock, which is all that a
 *                short queue of small values touches
 *
 * state is tail << 32 | count: the values are in the count slots from tail on, the
 * oldest at tail. One slot at least is always free, also when the map is full. A
 * push, under the lock:
 *
 *   (1) pushes++    (2) the value goes into the free slot behind the newest
 *   (3) state has it    <- it has happened (BPF_EXIST on a full map: and the oldest
 *                          is gone, by the same store)
 *
 * A pop copies the value out and stores the state without it. A map that is empty
 * begins again at slot 0, so that a ring that is never full does not wander through
 * all of its memory.
 *
 * Death (G5): each change is the one store of state. Who dies before it leaves bytes
 * in a free slot, which the next push overwrites; there is nothing to repair. (The
 * counts for shmap_map_stats() are stored beside it and may miss that one.)
 *
 * Readers take no lock and wait for nobody. A slot that was in use when the state was
 * read is overwritten only by a push that began later: it is freed by a later state,
 * and (1) comes before (2). So a copy is whole if pushes has not changed meanwhile,
 * and it is what the map had at the moment when state was read. That the map is
 * empty, or full, is also seen by one load of state, without the lock.
 *
 * Pages: the first is there from the beginning; pages says how far they go, and a
 * push fills up what it needs before it uses it, in steps of QUEUE_STEP.
 *
 * Distrust: state and pages are checked at each use; what is copied is one slot.
 */
#include <stdio.h>

#include "base/errors.h"
#include "map/map.h"
#include "map/value.h"
#include "sync/lock.h"

#define QUEUE_VALUE_MAX (4U << 20)
#define QUEUE_KERNEL_HEADER 312 /* sizeof(struct bpf_queue_stack) of the kernel */
#define QUEUE_HOT_OFF CACHE_LINE
#define QUEUE_SLOT_OFF (QUEUE_HOT_OFF + sizeof(struct queue_hot))
#define QUEUE_STEP (64UL << 10)
/* Pauses between looks at a lock that is taken. */
#define QUEUE_SPINS_FIRST 64
#define QUEUE_SPINS_LAST 512
/* Copies that pushes went over before a reader asks for the lock, or gives up. */
#define QUEUE_READ_TRIES 64
#define QUEUE_READ_TRIES_MAX 100000

struct queue_cold {
	uint64_t failed;  /* pushes into a full map */
	uint64_t evicted; /* by pushes; under the lock */
};

struct queue_hot {
	uint32_t lock;
	uint32_t pages; /* from the file's beginning on, that are there */
	uint64_t state;
	uint64_t pushes;  /* begun */
	uint64_t changes; /* pushes and pops, done */
};

_Static_assert(sizeof(struct queue_hot) == 32, "half of the line is for values");

static inline struct queue_hot *queue_hot(const struct map *m)
{
	return (struct queue_hot *)(m->obj.base + QUEUE_HOT_OFF);
}

static inline struct queue_cold *queue_cold(const struct map *m)
{
	return (struct queue_cold *)m->obj.base;
}

static inline uint8_t *queue_slot(const struct map *m, uint64_t i)
{
	return m->obj.base + QUEUE_SLOT_OFF + i * m->attr.value_size;
}

static inline uint64_t queue_slots(const struct map *m)
{
	return (uint64_t)m->attr.max_entries + 1;
}

static inline uint64_t state_make(uint64_t tail, uint64_t count)
{
	return tail << 32 | count;
}

static inline uint64_t state_tail(uint64_t state)
{
	return state >> 32;
}

static inline uint64_t state_count(uint64_t state)
{
	return (uint32_t)state;
}

static inline bool state_good(const struct map *m, uint64_t state)
{
	return state_count(state) <= m->attr.max_entries &&
	       state_tail(state) <= m->attr.max_entries;
}

/* The slot n places after the tail; n <= max_entries. */
static inline uint64_t state_at(const struct map *m, uint64_t state, uint64_t n)
{
	uint64_t i = state_tail(state) + n, slots = queue_slots(m);

	return i < slots ? i : i - slots;
}

static __attribute__((noinline, cold)) int queue_damaged(struct map *m)
{
	if (m->writable)
		store_relaxed(&m->shared->damaged, 1);
	return -EIO;
}

static int queue_alloc_check(const struct map_attr *attr)
{
	if (!attr->max_entries || attr->key_size || !attr->value_size ||
	    attr->map_flags & ~(uint32_t)(BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY |
					  BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG) ||
	    !map_access_flags_ok(attr->map_flags))
		return -EINVAL;
	return attr->value_size > QUEUE_VALUE_MAX ? -E2BIG : 0;
}

static int queue_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	/* < 2^33 * 2^23 */
	*data_size = QUEUE_SLOT_OFF + queue_slots(m) * m->attr.value_size;
	*prealloc = *data_size < SHMAP_PAGE ? *data_size : SHMAP_PAGE;
	return 0;
}

static int queue_format(struct map *m)
{
	queue_hot(m)->pages = 1;
	return 0;
}

/* Under the lock: gives [0, end) of the file its pages. 0 or -ENOMEM. */
static __attribute__((noinline)) int queue_populate(struct map *m, uint64_t end)
{
	uint64_t from = (uint64_t)load_relaxed(&queue_hot(m)->pages) * SHMAP_PAGE;
	uint64_t data = m->notice_off, to = round_up_u64(end, QUEUE_STEP);
	int err;

	if (to > data)
		to = data;
	err = object_populate(&m->obj, from, to - from);
	if (err) {
		/* The rest of the step may be what there is no room for. */
		to = round_up_u64(end, SHMAP_PAGE);
		err = object_populate(&m->obj, from, to - from);
	}
	/* Dying before this store: the next push asks for them again. */
	if (!err)
		store_relaxed(&queue_hot(m)->pages, (uint32_t)(to / SHMAP_PAGE));
	return err;
}

/*
 * The lock is taken. Each look at the word takes the line from its holder, who does
 * an operation in a fifth of the time that the line needs to come back: so whoever
 * waits looks seldom, and meanwhile the holder does many. What is lost in fairness is
 * bounded by the spins; then lock_acquire() waits in turn.
 */
static __attribute__((noinline)) void queue_wait(const uint32_t *word)
{
	for (unsigned int spins = QUEUE_SPINS_FIRST; spins <= QUEUE_SPINS_LAST; spins *= 2) {
		uint32_t now;

		for (unsigned int i = 0; i < spins; i++)
			cpu_relax();
		now = load_relaxed(word);
		if (!now || now & FUTEX_OWNER_DIED)
			return;
	}
}

static int queue_lock(struct map *m)
{
	uint32_t *word = &queue_hot(m)->lock;
	int err;

	if (unlikely(load_relaxed(word)))
		queue_wait(word);
	err = lock_acquire(word);
	/* LOCK_OWNER_DIED: the dead one's change is there or not. */
	return unlikely(err < 0) ? err : 0;
}

static inline void queue_unlock(struct map *m)
{
	lock_release(&queue_hot(m)->lock);
}

/* Under the lock, behind the store of the state. */
static inline void queue_count(struct queue_hot *q)
{
	store_relaxed(&q->changes, load_relaxed(&q->changes) + 1);
}

/* Under the lock. */
static inline __attribute__((always_inline)) int queue_put(struct map *m, const void *value,
							   uint64_t flags)
{
	struct queue_hot *q = queue_hot(m);
	uint64_t state = load_relaxed(&q->state), slot, end;
	bool full = state_count(state) == m->attr.max_entries;
	int err;

	if (unlikely(!state_good(m, state)))
		return queue_damaged(m);
	if (unlikely(full) && !(flags & BPF_EXIST))
		return -E2BIG;
	if (!state_count(state))
		state = 0;
	slot = state_at(m, state, state_count(state));
	end = QUEUE_SLOT_OFF + (slot + 1) * m->attr.value_size;
	if (unlikely(end > (uint64_t)load_relaxed(&q->pages) * SHMAP_PAGE)) {
		err = queue_populate(m, end);
		if (err)
			return err;
	}
	/* Release: who reads this number has the state in which the slot is free, or a
	 * later one. Fence: who sees a byte of the value sees the number. Both
	 * pair with queue_copy(). */
	store_release(&q->pushes, load_relaxed(&q->pushes) + 1);
	fence_release();
	/* Guarded: the file may have been cut short. */
	if (unlikely(uaccess_copy(queue_slot(m, slot), value, m->attr.value_size)))
		return -EIO;
	if (unlikely(full)) {
		state = state_make(state_at(m, state, 1), state_count(state));
		store_relaxed(&queue_cold(m)->evicted, load_relaxed(&queue_cold(m)->evicted) + 1);
	} else {
		state++;
	}
	/* The value before the state that has it. */
	store_release(&q->state, state);
	queue_count(q);
	return 0;
}

static long queue_push(struct map *m, const void *value, uint64_t flags)
{
	struct queue_hot *q = queue_hot(m);
	int err;

	if (unlikely(flags & BPF_NOEXIST || flags > BPF_EXIST))
		return -EINVAL;
	if (unlikely(!m->writable))
		return -EPERM;
	/* The only one who can be turned away: by a look, without the lock. */
	if (!flags && unlikely(state_count(load_acquire(&q->state)) == m->attr.max_entries)) {
		err = -E2BIG;
	} else {
		err = queue_lock(m);
		if (unlikely(err))
			return err;
		err = queue_put(m, value, flags);
		queue_unlock(m);
	}
	if (unlikely(err == -E2BIG))
		fetch_add_relaxed(&queue_cold(m)->failed, 1);
	return err;
}

/* The slot of the value that comes out next; count is not 0. */
static inline __attribute__((always_inline)) uint64_t queue_next(const struct map *m,
								 uint64_t state, bool stack)
{
	return state_at(m, state, stack ? state_count(state) - 1 : 0);
}

/*
 * value may be a user pointer. One that is bad loses the element, as in the kernel:
 * the answer is -EFAULT, and it is gone.
 */
static inline __attribute__((always_inline)) int queue_pop(struct map *m, void *value, bool stack)
{
	struct queue_hot *q = queue_hot(m);
	uint64_t state, count;
	int err;

	if (unlikely(!m->writable))
		return -EPERM;
	if (!state_count(load_acquire(&q->state)))
		return -ENOENT;
	err = queue_lock(m);
	if (unlikely(err))
		return err;
	state = load_relaxed(&q->state);
	count = state_count(state);
	if (unlikely(!state_good(m, state))) {
		err = queue_damaged(m);
	} else if (unlikely(!count)) {
		err = -ENOENT;
	} else {
		err = uaccess_copy(value, queue_slot(m, queue_next(m, state, stack)),
				   m->attr.value_size);
		/* The fence keeps the copy before the store, and the store before
		 * whatever a later push writes into the slot. */
		store_release(
			&q->state,
			state_make(stack ? state_tail(state) : state_at(m, state, 1), count - 1));
		queue_count(q);
	}
	queue_unlock(m);
	return err;
}

/* One try: 0, -ENOENT, -EFAULT, -EIO; -EAGAIN: a push may have come over it. */
static inline __attribute__((always_inline)) int queue_copy(struct map *m, void *value, bool stack)
{
	struct queue_hot *q = queue_hot(m);
	/* In this order; both pair with the stores in queue_put(). */
	uint64_t pushes = load_acquire(&q->pushes), state = load_acquire(&q->state);

	if (!state_count(state))
		return -ENOENT;
	if (unlikely(!state_good(m, state)))
		return queue_damaged(m);
	if (unlikely(uaccess_copy(value, queue_slot(m, queue_next(m, state, stack)),
				  m->attr.value_size)))
		return -EFAULT;
	fence_acquire();
	return likely(load_relaxed(&q->pushes) == pushes) ? 0 : -EAGAIN;
}

/* Pushes come faster than the value can be copied. */
static __attribute__((noinline)) int queue_read_slow(struct map *m, void *value, bool stack)
{
	int err = -EAGAIN;

	for (int i = 0; i < QUEUE_READ_TRIES && err == -EAGAIN; i++)
		err = queue_copy(m, value, stack);
	if (err == -EAGAIN && m->writable && !queue_lock(m)) {
		err = queue_copy(m, value, stack);
		queue_unlock(m);
	}
	/* A read-only mapping, or the holder of the lock stands still. */
	for (int i = 0; i < QUEUE_READ_TRIES_MAX && err == -EAGAIN; i++)
		err = queue_copy(m, value, stack);
	return err == -EAGAIN ? -EBUSY : err;
}

static inline __attribute__((always_inline)) int queue_peek(struct map *m, void *value, bool stack)
{
	int err = queue_copy(m, value, stack);

	return likely(err != -EAGAIN) ? err : queue_read_slow(m, value, stack);
}

/* A program's value has defined bytes whatever comes of the call. */
static inline long queue_result(const struct map *m, void *value, int err)
{
	if (unlikely(err))
		uaccess_zero(value, m->attr.value_size);
	return err;
}

static int queue_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	return (int)queue_push(m, value, flags);
}

static int queue_erase(struct map *m, const void *key)
{
	return -EINVAL;
}

static int queue_next_key(struct map *m, const void *key, void *next)
{
	return -EINVAL;
}

#define QUEUE_OPS(kind, stack)                                                                     \
	static int kind##_read(struct map *m, const void *key, void *value, uint64_t flags)        \
	{                                                                                          \
		return flags ? -EINVAL : queue_peek(m, value, stack);                              \
	}                                                                                          \
	static int kind##_pop(struct map *m, const void *key, void *value, uint64_t flags)         \
	{                                                                                          \
		return flags ? -EINVAL : queue_pop(m, value, stack);                               \
	}                                                                                          \
	static long kind##_peek(struct map *m, void *value)                                        \
	{                                                                                          \
		return queue_result(m, value, queue_peek(m, value, stack));                        \
	}                                                                                          \
	static long kind##_take(struct map *m, void *value)                                        \
	{                                                                                          \
		return queue_result(m, value, queue_pop(m, value, stack));                         \
	}

QUEUE_OPS(fifo, false)
QUEUE_OPS(lifo, true)

static int queue_stats(struct map *m, struct map_stats *stats)
{
	uint64_t state = load_acquire(&queue_hot(m)->state);

	if (!state_good(m, state))
		return queue_damaged(m);
	stats->entries = state_count(state);
	stats->evictions = load_relaxed(&queue_cold(m)->evicted);
	stats->failed = load_relaxed(&queue_cold(m)->failed);
	stats->changes = load_relaxed(&queue_hot(m)->changes);
	stats->counts_changes = true;
	return 0;
}

static uint64_t queue_memlock(const struct map *m)
{
	return QUEUE_KERNEL_HEADER + queue_slots(m) * m->attr.value_size;
}

static int queue_recover(struct map *m)
{
	int err;

	if (!m->writable)
		return -EPERM;
	err = queue_lock(m);
	if (!err)
		queue_unlock(m);
	return err;
}

static int queue_validate(struct map *m, char *why, size_t size)
{
	struct queue_hot *q = queue_hot(m);
	uint64_t pages = m->notice_off / SHMAP_PAGE;

	if (!q->lock && state_good(m, q->state) && q->pages && q->pages <= pages)
		return 0;
	snprintf(why, why ? size : 0, "lock %#x, state %#llx of %u, %u of %llu pages", q->lock,
		 (unsigned long long)q->state, m->attr.max_entries, q->pages,
		 (unsigned long long)pages);
	return -EINVAL;
}

#define QUEUE_TABLE(type_, name_, kind)                                                            \
	{                                                                                          \
		.type = type_, .name = name_, .alloc_check = queue_alloc_check,                    \
		.layout = queue_layout, .format = queue_format, .read = kind##_read,               \
		.write = queue_write, .erase = queue_erase, .next_key = queue_next_key,            \
		.pop = kind##_pop, .push = queue_push, .take = kind##_take, .peek = kind##_peek,   \
		.stats = queue_stats, .memlock = queue_memlock, .recover = queue_recover,          \
		.validate = queue_validate, .inner_allowed = true,                                 \
	}

const struct map_ops queue_map_ops = QUEUE_TABLE(BPF_MAP_TYPE_QUEUE, "queue", fifo);
const struct map_ops stack_map_ops = QUEUE_TABLE(BPF_MAP_TYPE_STACK, "stack", lifo);
