/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of a perf event.
 *
 * Claim: a record is there with all its bytes or not at all, and each lost
 * record is told once, whoever dies where.
 *
 * Under the lock, a writer
 *	1. puts its records (LOST, if there is something to tell, then SAMPLE) behind
 *	   data_head, where no reader looks,
 *	2. with a LOST record: told.lost = lost, then told.head = the new head,
 *	3. stores data_head: this is the commit,
 *	4. with a LOST record: reported = told.lost; told.head = 0.
 * Who comes next after a death (settle) finds told.head set: when it is data_head, the
 * commit happened and 4 is done; else it is dropped. data_head cannot come to
 * that value in another way: each writer settles first.
 *
 * The mapping is the client's, who may write anything there at any time: positions
 * are used masked, and nothing else is read from it.
 *
 * Lock order: none; a thread holds one robust lock at a time.
 */
#include "map/perf_event.h"

#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "shm/rundir.h"
#include "sync/lock.h"

_Static_assert(sizeof(struct perf_event_state) <= OBJECT_BODY_SIZE, "it fits the trailer");

#define RECORD_SIZE_MAX 65528u /* perf_event_header.size has 16 bits */
#define USER_PAGE_CAPS 2u      /* cap_bit0_is_deprecated */

struct lost_record {
	struct perf_event_header header;
	uint64_t id;
	uint64_t lost;
};

struct sample_record {
	struct perf_event_header header;
	uint32_t raw_size;
};

static struct perf_event_mmap_page *user_page(const struct perf_event *ev)
{
	return (struct perf_event_mmap_page *)ev->obj.base;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

uint64_t perf_event_age(const struct perf_event *ev)
{
	return now_ns() - ev->state->opened_ns;
}

/* ---- life ---- */

int perf_event_create(const struct perf_event_state *like, uint32_t *id)
{
	struct perf_event_state *state;
	struct object obj;
	int fd, err;

	err = object_create(OBJECT_PERF, PERF_EVENT_DATA_SIZE, 0, &obj, &fd);
	if (err)
		return err;
	state = (struct perf_event_state *)obj.trailer->body;
	*state = *like;
	state->opened_ns = now_ns();
	err = object_publish(&obj, fd);
	if (id)
		*id = obj.id;
	object_unmap(&obj);
	if (!err)
		return fd;
	raw_close(fd);
	return err;
}

static int event_check(struct perf_event *ev)
{
	if (ev->obj.kind != OBJECT_PERF || !ev->obj.writable ||
	    ev->obj.size < PERF_EVENT_DATA_SIZE + OBJECT_TRAILER_SIZE) {
		object_unmap(&ev->obj);
		return -EBADF;
	}
	ev->state = (struct perf_event_state *)ev->obj.trailer->body;
	return 0;
}

int perf_event_open_fd(int fd, struct perf_event *ev)
{
	if (object_identify(fd, NULL, NULL, NULL) != OBJECT_PERF || object_map(fd, &ev->obj))
		return -EBADF;
	return event_check(ev);
}

int perf_event_open_id(uint32_t id, struct perf_event *ev)
{
	int fd = object_open_id(OBJECT_PERF, id, O_RDWR), err;

	if (fd < 0)
		return fd;
	err = object_map(fd, &ev->obj);
	raw_close(fd);
	return err ? err : event_check(ev);
}

void perf_event_close(struct perf_event *ev)
{
	uint32_t id = ev->obj.id;

	object_unmap(&ev->obj);
	object_collect(OBJECT_PERF, id);
}

/* ---- the lock ---- */

static void settle(struct perf_event *ev)
{
	struct perf_event_state *s = ev->state;

	if (!s->told.head)
		return;
	if (s->told.head == load_relaxed(&user_page(ev)->data_head))
		s->reported = s->told.lost;
	store_release(&s->told.head, 0);
}

/* 0 or -EBUSY. What a dead holder left is settled then. */
static int event_lock(struct perf_event *ev)
{
	int err = lock_acquire(&ev->state->lock);

	if (err < 0)
		return -EBUSY;
	if (unlikely(err == LOCK_OWNER_DIED))
		settle(ev);
	return 0;
}

static void event_unlock(struct perf_event *ev)
{
	lock_release(&ev->state->lock);
}

/* ---- waking ---- */

/*
 * Whoever goes to sleep in poll(2) or epoll_wait(2) sets `waiters` before its last look
 * at `poll`; here `poll` is set before the look at `waiters`. The fences pair: either
 * it sees the flag or it is rung for. One ring wakes all, so it takes the mark away;
 * who goes to sleep again sets it again. (A writer that dies in between leaves `poll`
 * set, which a sleeper finds when it looks again, as it does now and then.)
 */
static bool must_ring(struct perf_event *ev)
{
	store_relaxed(&ev->state->poll, EPOLLIN);
	fence_seq_cst();
	return unlikely(load_relaxed(&ev->state->waiters)) &&
	       exchange_seq_cst(&ev->state->waiters, 0);
}

/* Touches the file's times: inotify sees it (IN_ATTRIB). Where the file has no name in
 * our runtime directory the sleepers look by themselves. */
bool perf_event_ring(struct perf_event *ev)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", ev->obj.id);
	return !raw_syscall4(SYS_utimensat, rundir_kind_fd(OBJECT_PERF), name, NULL, 0);
}

/* Is this record one that wakes? As the kernel, whose two counts are one number. */
static bool wakes(struct perf_event_state *s, uint64_t head, uint64_t size)
{
	uint64_t mark = s->watermark && s->watermark < size ? s->watermark : size / 2;
	bool wake = false;

	if (head - s->woken > mark) {
		s->woken += mark;
		wake = true;
	}
	if (s->wakeup_events && ++s->events >= s->wakeup_events) {
		s->events -= s->wakeup_events;
		s->woken++;
		wake = true;
	}
	return wake;
}

void perf_event_sleep(struct perf_event *ev)
{
	store_relaxed(&ev->state->waiters, 1);
	fence_seq_cst(); /* pairs with the one in must_ring() */
}

uint32_t perf_event_ready(const struct perf_event *ev)
{
	const struct perf_event_state *s = ev->state;

	if (!load_acquire(&s->pages))
		return EPOLLHUP;
	/* a writer that died between its record and the wake-up */
	return load_acquire(&s->poll) || lock_owner_died(&s->lock) ? EPOLLIN : 0;
}

uint32_t perf_event_poll(struct perf_event *ev)
{
	uint32_t mask = perf_event_ready(ev);

	if (mask == EPOLLIN) {
		if (lock_owner_died(&ev->state->lock) && !event_lock(ev))
			event_unlock(ev);
		exchange_seq_cst(&ev->state->poll, 0);
	}
	return mask;
}

/* ---- output ---- */

/* Where the records go. */
struct cursor {
	uint8_t *data;
	uint64_t at, mask;
};

static void put(struct cursor *c, const void *from, uint64_t n)
{
	uint64_t off = c->at & c->mask, first = c->mask + 1 - off;

	if (first > n)
		first = n;
	memcpy(c->data + off, from, first);
	memcpy(c->data, (const uint8_t *)from + first, n - first);
	c->at += n;
}

static void put_lost(struct cursor *c, uint32_t id, uint64_t lost)
{
	struct lost_record r = {
		.header = {.type = PERF_RECORD_LOST, .size = sizeof(r)},
		.id = id,
		.lost = lost,
	};

	put(c, &r, sizeof(r));
}

static void put_sample(struct cursor *c, const struct perf_event_state *s, uint64_t size,
		       const struct perf_part *parts, unsigned int count)
{
	static const uint8_t zeros[8];
	uint64_t end = c->at + size;
	struct sample_record r = {
		.header = {.type = PERF_RECORD_SAMPLE,
			   .misc = PERF_RECORD_MISC_KERNEL,
			   .size = size},
		.raw_size = size - sizeof(r),
	};

	if (!s->raw) {
		put(c, &r.header, sizeof(r.header));
		return;
	}
	put(c, &r, sizeof(r));
	for (unsigned int i = 0; i < count; i++)
		put(c, parts[i].data, parts[i].size);
	put(c, zeros, end - c->at);
}

/* The size of the record: header, size, data, to the next multiple of 8. 0: too large. */
static uint64_t sample_size(const struct perf_event_state *s, const struct perf_part *parts,
			    unsigned int count)
{
	uint64_t n = sizeof(struct sample_record);

	if (!s->raw)
		return sizeof(struct perf_event_header);
	for (unsigned int i = 0; i < count; i++) {
		if (parts[i].size > RECORD_SIZE_MAX)
			return 0;
		n += parts[i].size;
	}
	n = round_up_u64(n, 8);
	return n > RECORD_SIZE_MAX ? 0 : n;
}

_Static_assert(sizeof(struct sample_record) == 12, "the raw data follows its size");

/* With the lock. The new head, or 0: no room. */
static uint64_t write_records(struct perf_event *ev, uint64_t data_size, uint64_t size,
			      const struct perf_part *parts, unsigned int count)
{
	struct perf_event_mmap_page *page = user_page(ev);
	struct perf_event_state *s = ev->state;
	uint64_t lost = s->lost - s->reported, need = size;
	struct cursor c = {.data = ev->obj.base + SHMAP_PAGE, .mask = data_size - 1};

	if (lost)
		need += sizeof(struct lost_record);
	c.at = load_relaxed(&page->data_head) & ~7ULL;
	/* The acquire pairs with the reader's release of what it has read: our stores
	 * come after its loads. One byte less than the ring, as the kernel. */
	if (!s->overwrite && ((load_acquire(&page->data_tail) - (c.at + 1)) & c.mask) < need)
		return 0;
	if (need > data_size)
		return 0;
	if (lost)
		put_lost(&c, ev->obj.id, lost);
	put_sample(&c, s, size, parts, count);
	if (lost) {
		s->told.lost = s->lost;
		fence_compiler();
		store_release(&s->told.head, c.at);
	}
	/* the commit; pairs with the reader's acquire */
	store_release(&page->data_head, c.at);
	if (lost) {
		s->reported = s->told.lost;
		fence_compiler();
		store_release(&s->told.head, 0);
	}
	return c.at;
}

/* The bytes of data; 0: no ring (or a damaged size). */
static uint64_t ring_size(const struct perf_event_state *s)
{
	uint32_t pages = load_acquire(&s->pages);

	if (!pages || pages > PERF_EVENT_PAGES_MAX || pages & (pages - 1))
		return 0;
	return pages * (uint64_t)SHMAP_PAGE;
}

int perf_event_output(struct perf_event *ev, int cpu, const struct perf_part *parts,
		      unsigned int count)
{
	struct perf_event_state *s = ev->state;
	uint64_t size, data_size, head = 0;
	bool must = false;
	int err;

	if (unlikely(s->cpu != (uint32_t)cpu || !load_relaxed(&s->enabled)))
		return -EOPNOTSUPP;
	size = sample_size(s, parts, count);
	if (unlikely(!size))
		return -E2BIG;
	if (unlikely(!ring_size(s)))
		return -ENOSPC;
	err = event_lock(ev);
	if (unlikely(err))
		return err;
	data_size = ring_size(s);
	if (likely(data_size && !s->paused))
		head = write_records(ev, data_size, size, parts, count);
	if (likely(head)) {
		if (wakes(s, head, data_size))
			must = must_ring(ev);
	} else if (data_size) {
		s->lost++;
	}
	event_unlock(ev);
	if (unlikely(must))
		perf_event_ring(ev);
	return likely(head) ? 0 : -ENOSPC;
}

/* ---- control ---- */

int perf_event_enable(struct perf_event *ev, bool enabled)
{
	store_seq_cst(&ev->state->enabled, enabled);
	return 0;
}

int perf_event_pause(struct perf_event *ev, bool paused)
{
	int err = event_lock(ev);

	if (err)
		return err;
	if (!ring_size(ev->state))
		err = -EINVAL;
	else
		ev->state->paused = paused;
	event_unlock(ev);
	return err;
}

/* Nobody sees the ring: it begins anew. A death inside is repaired by the next one
 * that comes here, as the dead one has no mapping. */
static void start_anew(struct perf_event *ev)
{
	struct perf_event_mmap_page *page = user_page(ev);
	struct perf_event_state *s = ev->state;

	store_release(&s->pages, 0);
	memset(page, 0, SHMAP_PAGE);
	s->told.head = 0;
	s->reported = s->lost;
	s->events = s->paused = s->overwrite = 0;
	s->woken = 0;
	store_relaxed(&s->poll, 0);
}

static int allocate(int fd, uint64_t size)
{
	int err;

	do {
		err = raw_fallocate(fd, 0, 0, size);
	} while (err == -EINTR);
	return err ? -ENOMEM : 0;
}

int perf_event_set_pages(struct perf_event *ev, int fd, uint32_t pages, bool overwrite, bool alone)
{
	struct perf_event_mmap_page *page = user_page(ev);
	struct perf_event_state *s = ev->state;
	uint64_t size = pages * (uint64_t)SHMAP_PAGE;
	int err;

	err = allocate(fd, size + SHMAP_PAGE);
	if (!err)
		err = event_lock(ev);
	if (err)
		return err;
	if (!alone && load_relaxed(&s->pages)) {
		err = s->pages == pages ? 0 : -EINVAL;
		goto out;
	}
	start_anew(ev);
	page->capabilities = USER_PAGE_CAPS;
	page->size = offsetof(struct perf_event_mmap_page, __reserved);
	page->data_offset = SHMAP_PAGE;
	page->data_size = size;
	s->overwrite = overwrite;
	store_release(&s->pages, pages);
out:
	event_unlock(ev);
	return err;
}
