/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BPF_MAP_TYPE_STACK_TRACE.
 *
 *   offset 0      struct stack_state: the lock, the free elements
 *   offset 64     buckets: u32 each, the element plus one; 0: empty
 *   mark_off      a bit per STACK_GROUP buckets: one of them may have an element
 *   elem_off      max_entries elements: struct stack_elem and the frames
 *
 * The id of a stack is the bucket that its hash (the kernel's) falls into; a bucket
 * has one element. Elements are taken from the pool and given back under one robust
 * lock; a stack appears, is replaced and goes by one store to its bucket. An element
 * names its bucket before that, so that which elements are in use can be seen from the
 * file alone: whoever takes the lock over from the dead makes the list of free ones
 * anew. An element that a bucket names is never written to.
 *
 * Readers take no lock: they copy the element and look whether its bucket still names
 * it and its sequence number has not moved; each retry means that somebody made
 * progress. Memory is not touched before its first use (object_populate()), so an empty
 * map costs its buckets.
 *
 * A mark is set before its bucket, and taken away, under the lock, when the group is seen to
 * be empty: who finds none passes by buckets that were empty at that moment. A death can only
 * leave a mark too many.
 *
 * Lock order: none; a thread holds one robust lock at a time.
 */
#include "map/stack_trace.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/array_common.h"
#include "sync/lock.h"

#define DEPTH_DEFAULT 127
#define READ_TRIES 1000
#define STACK_GROUP 32U	    /* buckets with a mark in common */
#define KERNEL_MAP_SIZE 320 /* struct bpf_stack_map, which memlock counts */
#define KERNEL_ELEM_SIZE 16 /* struct stack_map_bucket without its frames */

struct stack_state {
	uint32_t lock;
	uint32_t fresh; /* elements below it have been used */
	uint32_t free;	/* list of free ones below fresh, plus one; 0: none */
	uint8_t pad[CACHE_LINE - 12];
};

struct stack_elem {
	uint32_t seq; /* odd while it is being written */
	uint32_t hash;
	uint32_t nr;   /* frames */
	uint32_t link; /* in use: its bucket plus one; free: the next one plus one */
	uint8_t frames[];
};

static struct stack_state *stack_state(const struct map *m)
{
	return (struct stack_state *)m->obj.base;
}

static uint32_t *stack_bucket(const struct map *m, uint32_t id)
{
	return (uint32_t *)(m->obj.base + sizeof(struct stack_state)) + id;
}

/* The word of the marks that the group's stands in. */
static uint64_t *stack_marks(const struct map *m, uint32_t group)
{
	return (uint64_t *)(m->obj.base + m->stack.mark_off) + group / 64;
}

static uint64_t elem_offset(const struct map *m, uint32_t i)
{
	return m->stack.elem_off + (uint64_t)i * m->stack.elem_stride;
}

static struct stack_elem *stack_elem(const struct map *m, uint32_t i)
{
	return (struct stack_elem *)(m->obj.base + elem_offset(m, i));
}

static uint32_t frame_size(const struct map *m)
{
	return m->attr.map_flags & BPF_F_STACK_BUILD_ID ? STACK_BUILD_ID_SIZE : sizeof(uint64_t);
}

static uint32_t stack_frames(const struct map *m)
{
	return m->attr.value_size / frame_size(m);
}

/* ---- creation ---- */

uint32_t stack_max_depth(void)
{
	static uint32_t depth;
	uint32_t found = load_relaxed(&depth);
	char text[16];
	ssize_t n;
	int fd;

	if (found)
		return found;
	found = DEPTH_DEFAULT;
	fd = raw_openat(AT_FDCWD, "/proc/sys/kernel/perf_event_max_stack", O_RDONLY | O_CLOEXEC, 0);
	if (fd >= 0) {
		n = raw_read(fd, text, sizeof(text) - 1);
		raw_close(fd);
		text[n > 0 ? n : 0] = '\0';
		if (n > 0)
			found = strtoul(text, NULL, 10);
		if (!found || found > STACK_DEPTH_MAX)
			found = found ? STACK_DEPTH_MAX : DEPTH_DEFAULT;
	}
	store_relaxed(&depth, found);
	return found;
}

static int stack_alloc_check(const struct map_attr *attr)
{
	bool build_id = attr->map_flags & BPF_F_STACK_BUILD_ID;
	uint32_t frame = build_id ? STACK_BUILD_ID_SIZE : sizeof(uint64_t);

	if (attr->map_flags &
	    ~(uint32_t)(BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_STACK_BUILD_ID))
		return -EINVAL;
	if (!map_access_flags_ok(attr->map_flags))
		return -EINVAL;
	if (!attr->max_entries || attr->key_size != 4 || attr->value_size < 8 ||
	    attr->value_size % 8)
		return -EINVAL;
	if (attr->value_size % frame || attr->value_size / frame > stack_max_depth())
		return -EINVAL;
	return attr->max_entries > 1U << 31 ? -E2BIG : 0;
}

static int stack_layout(struct map *m, uint64_t *data_size, uint64_t *prealloc)
{
	uint32_t n = 1;

	while (n < m->attr.max_entries)
		n *= 2;
	m->stack.buckets = n;
	m->stack.elem_stride = sizeof(struct stack_elem) + m->attr.value_size;
	m->stack.mark_off = round_up_u64(
		sizeof(struct stack_state) + (uint64_t)n * sizeof(uint32_t), sizeof(uint64_t));
	m->stack.elem_off =
		round_up_u64(m->stack.mark_off + (n / STACK_GROUP / 64 + 1) * 8ULL, CACHE_LINE);
	/* < 2^31 * (2^20 + 16): no overflow */
	*data_size = elem_offset(m, m->attr.max_entries);
	*prealloc = m->stack.elem_off;
	return 0;
}

/* Zero bytes are the right beginning. */
static int stack_format(struct map *m)
{
	return 0;
}

/* ---- the hash: Bob Jenkins' lookup3 of 32-bit words, as the kernel has it ---- */

static uint32_t rol(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

static uint32_t stack_hash(const uint64_t *ips, uint32_t nr)
{
	uint32_t left = nr * 2, a, b, c;
	const uint8_t *at = (const uint8_t *)ips;
	uint32_t k[3];

	a = b = c = 0xdeadbeef + (left << 2);
	for (; left > 3; left -= 3, at += 12) {
		memcpy(k, at, 12);
		a += k[0];
		b += k[1];
		c += k[2];
		a = (a - c) ^ rol(c, 4);
		c += b;
		b = (b - a) ^ rol(a, 6);
		a += c;
		c = (c - b) ^ rol(b, 8);
		b += a;
		a = (a - c) ^ rol(c, 16);
		c += b;
		b = (b - a) ^ rol(a, 19);
		a += c;
		c = (c - b) ^ rol(b, 4);
		b += a;
	}
	if (!left)
		return c;
	memset(k, 0, sizeof(k));
	memcpy(k, at, left * 4);
	a += k[0];
	b += k[1];
	c += k[2];
	c = (c ^ b) - rol(b, 14);
	a = (a ^ c) - rol(c, 11);
	b = (b ^ a) - rol(a, 25);
	c = (c ^ b) - rol(b, 16);
	a = (a ^ c) - rol(c, 4);
	b = (b ^ a) - rol(a, 14);
	c = (c ^ b) - rol(b, 24);
	return c;
}

/* ---- reading ---- */

/* The element that a bucket's word names, or NULL for one that no map of ours has. */
static struct stack_elem *named(const struct map *m, uint32_t word)
{
	return word && word <= m->attr.max_entries ? stack_elem(m, word - 1) : NULL;
}

/* The element has not been used for anything else since seq was read. */
static bool unchanged(const struct map *m, uint32_t id, uint32_t word, const struct stack_elem *e,
		      uint32_t seq)
{
	fence_acquire(); /* pairs with the release in elem_write(): our loads are before these */
	return !(seq & 1) && load_relaxed(&e->seq) == seq &&
	       load_relaxed(stack_bucket(m, id)) == word;
}

static int damaged(struct map *m)
{
	if (m->writable)
		store_relaxed(&m->shared->damaged, 1);
	return -EIO;
}

static int stack_read(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint32_t id = array_index(key), word, seq, len;
	struct stack_elem *e;
	int err;

	if (id >= m->stack.buckets)
		return -ENOENT;
	for (int i = 0; i < READ_TRIES; i++) {
		word = load_acquire(stack_bucket(m, id));
		if (!word)
			return -ENOENT;
		e = named(m, word);
		if (!e)
			return damaged(m);
		seq = load_acquire(&e->seq);
		len = load_relaxed(&e->nr);
		if (len > stack_frames(m)) {
			if (!unchanged(m, id, word, e, seq))
				continue;
			return damaged(m);
		}
		len *= frame_size(m);
		err = uaccess_copy(value, e->frames, len);
		if (!err)
			err = uaccess_zero(uaccess_at(value, len), m->attr.value_size - len);
		if (err || unchanged(m, id, word, e, seq))
			return err;
	}
	return -EBUSY;
}

static int stack_next_key(struct map *m, const void *key, void *next)
{
	uint32_t id = 0;

	if (key) {
		id = array_index(key);
		/* an unknown key: from the first */
		id = id < m->stack.buckets && load_relaxed(stack_bucket(m, id)) ? id + 1 : 0;
	}
	while (id < m->stack.buckets) {
		uint32_t group = id / STACK_GROUP;
		uint64_t marks = load_acquire(stack_marks(m, group)) >> group % 64;

		if (!(marks & 1)) {
			group = marks ? group + (uint32_t)__builtin_ctzll(marks) : (group | 63) + 1;
			if (group >= (m->stack.buckets + STACK_GROUP - 1) / STACK_GROUP)
				break;
			id = group * STACK_GROUP;
			continue;
		}
		do {
			if (!load_relaxed(stack_bucket(m, id)))
				continue;
			memcpy(next, &id, sizeof(id));
			return 0;
		} while (++id < m->stack.buckets && id % STACK_GROUP);
	}
	return -ENOENT;
}

/* ---- the lock and the pool ---- */

static bool in_use(const struct map *m, uint32_t i)
{
	uint32_t link = stack_elem(m, i)->link;

	return link && link <= m->stack.buckets && *stack_bucket(m, link - 1) == i + 1;
}

/* With the lock. Elements that no bucket names are free; a list that a dead holder was
 * at work on is not read. */
static void stack_rebuild(struct map *m)
{
	struct stack_state *s = stack_state(m);
	uint32_t fresh = s->fresh;

	if (fresh > m->attr.max_entries)
		fresh = s->fresh = m->attr.max_entries;
	s->free = 0;
	for (uint32_t i = fresh; i-- > 0;)
		if (!in_use(m, i)) {
			stack_elem(m, i)->link = s->free;
			s->free = i + 1;
		}
}

static int stack_lock(struct map *m)
{
	int err;

	if (!m->writable)
		return -EPERM;
	err = lock_acquire(&stack_state(m)->lock);
	if (err < 0)
		return err;
	if (err == LOCK_OWNER_DIED)
		stack_rebuild(m);
	return 0;
}

static void stack_unlock(struct map *m)
{
	lock_release(&stack_state(m)->lock);
}

/* With the lock: a free element, or NULL. */
static struct stack_elem *elem_take(struct map *m, uint32_t *index)
{
	struct stack_state *s = stack_state(m);
	uint32_t i = s->fresh;

	if (s->free && s->free <= s->fresh && s->free <= m->attr.max_entries) {
		*index = s->free - 1;
		s->free = stack_elem(m, *index)->link;
		return stack_elem(m, *index);
	}
	if (i >= m->attr.max_entries ||
	    object_populate(&m->obj, elem_offset(m, i), m->stack.elem_stride))
		return NULL;
	*index = i;
	store_relaxed(&s->fresh, i + 1);
	return stack_elem(m, i);
}

/* With the lock, before a bucket is stored to. */
static void group_mark(struct map *m, uint32_t id)
{
	uint64_t *word = stack_marks(m, id / STACK_GROUP), bit = 1ULL << id / STACK_GROUP % 64;

	if (!(load_relaxed(word) & bit))
		store_relaxed(word, load_relaxed(word) | bit);
}

/* With the lock, after a bucket has been emptied. */
static void group_unmark(struct map *m, uint32_t id)
{
	uint64_t *word = stack_marks(m, id / STACK_GROUP), bit = 1ULL << id / STACK_GROUP % 64;
	uint32_t i = id - id % STACK_GROUP, end = i + STACK_GROUP;

	for (; i < end && i < m->stack.buckets; i++)
		if (load_relaxed(stack_bucket(m, i)))
			return;
	store_relaxed(word, load_relaxed(word) & ~bit);
}

static void elem_give(struct map *m, uint32_t i)
{
	struct stack_state *s = stack_state(m);

	stack_elem(m, i)->link = s->free;
	fence_compiler();
	s->free = i + 1;
}

/* The element is in no bucket: only readers that are late may look at it. */
static void elem_write(struct map *m, struct stack_elem *e, uint32_t id, uint32_t hash,
		       const void *frames, uint32_t nr)
{
	store_relaxed(&e->seq, e->seq | 1);
	fence_release(); /* pairs with unchanged(): who sees a byte of ours sees this */
	store_relaxed(&e->hash, hash);
	store_relaxed(&e->nr, nr);
	memcpy(e->frames, frames, (size_t)nr * frame_size(m));
	store_relaxed(&e->link, id + 1);
	store_release(&e->seq, e->seq + 1);
}

static int stack_erase(struct map *m, const void *key)
{
	uint32_t id = array_index(key), word;
	int err;

	if (id >= m->stack.buckets)
		return -E2BIG;
	err = stack_lock(m);
	if (err)
		return err;
	word = load_relaxed(stack_bucket(m, id));
	store_release(stack_bucket(m, id), 0);
	if (word)
		group_unmark(m, id);
	if (word && named(m, word))
		elem_give(m, word - 1);
	stack_unlock(m);
	return word ? 0 : -ENOENT;
}

/* Gives the stack out and takes it away, also when the caller's memory is bad. */
static int stack_pop(struct map *m, const void *key, void *value, uint64_t flags)
{
	uint32_t id = array_index(key), word, len;
	struct stack_elem *e;
	int err;

	if (flags)
		return -EINVAL; /* no lock in a stack */
	if (id >= m->stack.buckets)
		return -ENOENT;
	err = stack_lock(m);
	if (err)
		return err;
	word = load_relaxed(stack_bucket(m, id));
	e = named(m, word);
	store_release(stack_bucket(m, id), 0);
	if (word)
		group_unmark(m, id);
	if (e) {
		len = load_relaxed(&e->nr);
		len = len <= stack_frames(m) ? len * frame_size(m) : 0;
		err = uaccess_copy(value, e->frames, len);
		if (!err)
			err = uaccess_zero(uaccess_at(value, len), m->attr.value_size - len);
		elem_give(m, word - 1);
	}
	stack_unlock(m);
	return e ? err : -ENOENT;
}

/* ---- programs ---- */

static bool stack_build_id(const struct map *m)
{
	return m->attr.map_flags & BPF_F_STACK_BUILD_ID;
}

struct probe {
	const void *frames;
	uint32_t id, hash, nr;
	bool fast;
};

/* Frames, of 8 or 32 bytes each, that a writer may be at: what is seen is believed only
 * when unchanged() says so. */
static __attribute__((no_sanitize("thread"))) bool frames_equal(const void *a, const void *b,
								size_t size)
{
	for (size_t i = 0; i < size; i += 8) {
		uint64_t x, y;

		memcpy(&x, (const uint8_t *)a + i, 8);
		memcpy(&y, (const uint8_t *)b + i, 8);
		if (x != y)
			return false;
	}
	return true;
}

/* Is the stack what the bucket has? 1, 0; -ENOENT: the bucket is empty. */
static int bucket_matches(struct map *m, const struct probe *p)
{
	for (int i = 0; i < READ_TRIES; i++) {
		uint32_t word = load_acquire(stack_bucket(m, p->id)), seq;
		const struct stack_elem *e = named(m, word);
		bool match;

		if (!word)
			return -ENOENT;
		if (!e)
			return 0;
		seq = load_acquire(&e->seq);
		match = load_relaxed(&e->hash) == p->hash &&
			(p->fast ||
			 (load_relaxed(&e->nr) == p->nr &&
			  frames_equal(e->frames, p->frames, (size_t)p->nr * frame_size(m))));
		if (unchanged(m, p->id, word, e, seq))
			return match;
	}
	return 0;
}

static long stack_put(struct map *m, const uint64_t *ips, const void *frames, uint32_t nr,
		      uint64_t flags)
{
	struct probe p = {.frames = frames, .nr = nr, .fast = flags & BPF_F_FAST_STACK_CMP};
	struct stack_elem *e;
	uint32_t i, old;
	int err;

	if (!nr || nr > stack_frames(m))
		return -EINVAL;
	p.hash = stack_hash(ips, nr);
	p.id = p.hash & (m->stack.buckets - 1);
	err = bucket_matches(m, &p);
	if (err > 0)
		return p.id;
	if (!err && !(flags & BPF_F_REUSE_STACKID))
		return -EEXIST;
	err = stack_lock(m);
	if (err)
		return err;
	err = bucket_matches(m, &p); /* somebody may have been quicker */
	if (err >= 0 && (err || !(flags & BPF_F_REUSE_STACKID))) {
		stack_unlock(m);
		return err ? (long)p.id : -EEXIST;
	}
	/* the new one first, as the kernel: a full map does not replace */
	e = elem_take(m, &i);
	if (e) {
		elem_write(m, e, p.id, p.hash, frames, nr);
		old = load_relaxed(stack_bucket(m, p.id));
		group_mark(m, p.id);
		store_release(stack_bucket(m, p.id), i + 1); /* the commit */
		if (old && named(m, old))
			elem_give(m, old - 1);
	}
	stack_unlock(m);
	return e ? (long)p.id : -ENOMEM;
}

/* ---- the rest ---- */

static uint64_t stack_memlock(const struct map *m)
{
	return KERNEL_MAP_SIZE + (uint64_t)m->stack.buckets * sizeof(void *) +
	       (uint64_t)m->attr.max_entries * (KERNEL_ELEM_SIZE + m->attr.value_size);
}

static int stack_recover(struct map *m)
{
	int err = stack_lock(m);

	if (!err)
		stack_unlock(m);
	return err;
}

static int stack_validate(struct map *m, char *why, size_t size)
{
	struct stack_state *s = stack_state(m);
	uint32_t used = 0, free = 0, named_count = 0;
	const char *what = NULL;

	if (s->lock)
		what = "locked";
	if (s->fresh > m->attr.max_entries)
		what = "more elements than there are";
	for (uint32_t i = 0; !what && i < s->fresh; i++)
		used += in_use(m, i);
	for (uint32_t i = 0; !what && i < m->stack.buckets; i++) {
		uint32_t word = *stack_bucket(m, i);
		struct stack_elem *e = named(m, word);

		if (!word)
			continue;
		if (!(*stack_marks(m, i / STACK_GROUP) >> i / STACK_GROUP % 64 & 1))
			what = "a bucket without a mark";
		named_count++;
		if (!e || word > s->fresh || e->link != i + 1 || e->seq & 1 || !e->nr ||
		    e->nr > stack_frames(m) || (e->hash & (m->stack.buckets - 1)) != i)
			what = "a bucket with a wrong element";
	}
	for (uint32_t i = what ? 0 : s->free; i && !what;) {
		if (i > s->fresh || in_use(m, i - 1) || ++free > s->fresh)
			what = "a wrong list of free elements";
		else
			i = stack_elem(m, i - 1)->link;
	}
	if (!what && (used != named_count || used + free != s->fresh))
		what = "elements are lost";
	if (!what)
		return 0;
	snprintf(why, why ? size : 0, "%s: lock %#x fresh %u used %u named %u free %u", what,
		 s->lock, s->fresh, used, named_count, free);
	return -EINVAL;
}

static int stack_stats(struct map *m, struct map_stats *stats)
{
	for (uint32_t i = 0; i < m->stack.buckets; i++)
		stats->entries += !!load_relaxed(stack_bucket(m, i));
	return 0;
}

/* bpf(2) never writes stacks. */
static int stack_write(struct map *m, const void *key, const void *value, uint64_t flags)
{
	return -EINVAL;
}

static const struct stack_ops stack_map_stack_ops = {
	.build_id = stack_build_id,
	.frames = stack_frames,
	.put = stack_put,
};

static const uint16_t stack_helpers[] = {BPF_FUNC_get_stackid, 0};

const struct map_ops stack_trace_map_ops = {
	.type = BPF_MAP_TYPE_STACK_TRACE,
	.name = "stack_trace",
	.alloc_check = stack_alloc_check,
	.layout = stack_layout,
	.format = stack_format,
	.read = stack_read,
	.write = stack_write,
	.erase = stack_erase,
	.next_key = stack_next_key,
	.pop = stack_pop,
	.stack = &stack_map_stack_ops,
	.helpers = stack_helpers,
	.stats = stack_stats,
	.memlock = stack_memlock,
	.recover = stack_recover,
	.validate = stack_validate,
	.inner_allowed = true,
	.check_late = true,
	.not_sleepable = true,
};
