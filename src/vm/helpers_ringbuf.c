/* SPDX-License-Identifier: BSD-2-Clause */
/* Helpers on ring buffers. */
#include <string.h>

#include "base/bits.h"
#include "base/errors.h"
#include "map/ring.h"
#include "vm/dynptr.h"
#include "vm/helpers.h"

#define DRAIN_SAMPLES_MAX (128U * 1024)

/* m is the ring in use: the only one in which this run has something to publish. */
static inline void use(struct vm_context *vc, struct map *m)
{
	if (unlikely(vc->ring != m)) {
		if (vc->ring)
			vc->ring->ops->ring->publish(vc->ring);
		vc->ring = m;
	}
}

static inline void *reserve(struct vm_context *vc, struct map *m, uint64_t size)
{
	use(vc, m);
	return m->ops->ring->reserve(m, size);
}

/*
 * A record is given back by its address alone. The verifier knows that it was
 * reserved by this run and not yet given back; the map is the one used last, another
 * one of the program, or one that an outer map named.
 */
static struct map *ring_of(struct vm_context *vc, const void *sample)
{
	const struct vm_prog *p = vc->prog;

	if (likely(vc->ring && ring_has(vc->ring, sample)))
		return vc->ring;
	for (uint32_t i = 0; i < p->map_cnt; i++)
		if (p->maps[i]->ops->ring && ring_has(p->maps[i], sample))
			return p->maps[i];
	return ring_at(sample);
}

static void commit(struct vm_context *vc, void *sample, uint64_t flags, bool discard)
{
	struct map *m = ring_of(vc, sample);

	if (unlikely(!m))
		return;
	use(vc, m);
	m->ops->ring->commit(m, sample, flags, discard);
}

HELPER(ringbuf_output)
{
	struct map *m = PTR(a);
	void *sample;

	if (d & ~(uint64_t)RING_FLAGS)
		return ERR(-EINVAL);
	sample = reserve(vc, m, c);
	if (!sample)
		return ERR(-EAGAIN);
	memcpy(sample, PTR(b), c);
	m->ops->ring->commit(m, sample, d, false);
	return 0;
}

HELPER(ringbuf_reserve)
{
	return unlikely(c) ? 0 : (uintptr_t)reserve(vc, PTR(a), b);
}

HELPER(ringbuf_submit)
{
	commit(vc, PTR(a), b, false);
	return 0;
}

HELPER(ringbuf_discard)
{
	commit(vc, PTR(a), b, true);
	return 0;
}

HELPER(ringbuf_query)
{
	struct map *m = PTR(a);

	return m->ops->ring->query(m, b);
}

HELPER(ringbuf_reserve_dynptr)
{
	struct dynptr *p = PTR(d);
	uint32_t size = (uint32_t)b;

	*p = (struct dynptr){0};
	if (c)
		return ERR(-EINVAL);
	if (size > DYNPTR_SIZE_MAX)
		return ERR(-E2BIG);
	p->data = reserve(vc, PTR(a), size);
	if (!p->data)
		return ERR(-EINVAL);
	p->size = size;
	p->kind = DYNPTR_RINGBUF;
	return 0;
}

static uint64_t commit_dynptr(struct vm_context *vc, struct dynptr *p, uint64_t flags, bool discard)
{
	if (p->data)
		commit(vc, p->data, flags, discard);
	*p = (struct dynptr){0};
	return 0;
}

HELPER(ringbuf_submit_dynptr)
{
	return commit_dynptr(vc, PTR(a), b, false);
}

HELPER(ringbuf_discard_dynptr)
{
	return commit_dynptr(vc, PTR(a), b, true);
}

HELPER(user_ringbuf_drain)
{
	struct map *m = PTR(a);
	const struct ring_ops *ring = m->ops->ring;
	long seen, skipped = 0, ret = 0;
	struct dynptr sample = {.kind = DYNPTR_LOCAL};
	void *data;
	int err;

	if (d & ~(uint64_t)RING_FLAGS)
		return ERR(-EINVAL);
	err = ring->drain_begin(m, d);
	if (err)
		return ERR(err);
	for (seen = 0; seen < DRAIN_SAMPLES_MAX && !ret; seen++) {
		err = ring->drain_peek(m, &data, &sample.size);
		if (err == -ENODATA)
			break;
		if (err == -EAGAIN) {
			skipped++;
			continue;
		}
		if (err) {
			ring->drain_end(m, d & BPF_RB_FORCE_WAKEUP ||
						   (!(d & BPF_RB_NO_WAKEUP) && seen > 0));
			return ERR(err);
		}
		sample.data = data;
		ret = (long)interp_callback(vc, b, (uintptr_t)&sample, c, 0, 0);
		ring->drain_release(m, sample.size);
	}
	ring->drain_end(m,
			d & BPF_RB_FORCE_WAKEUP || (!(d & BPF_RB_NO_WAKEUP) && seen - skipped > 0));
	return (uint64_t)(seen - skipped);
}

void ringbuf_publish(struct vm_context *vc)
{
	vc->ring->ops->ring->publish(vc->ring);
}

void ringbuf_abandon(struct vm_context *vc)
{
	const struct vm_prog *p = vc->prog;

	for (uint32_t i = 0; i < p->map_cnt; i++)
		if (p->maps[i]->ops->ring)
			p->maps[i]->ops->ring->abandon(p->maps[i]);
	if (vc->ring)
		vc->ring->ops->ring->abandon(vc->ring);
}
