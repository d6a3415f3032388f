/* SPDX-License-Identifier: BSD-2-Clause */
#include "map/notice.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "sync/lease.h"

#define SLOT_SPINS 200
#define SLOT_YIELDS 5
#define SWEEP_EVERY 1024
#define RAW_FILLING (1U << 31)
/* How long who begins to listen, and who looks again, wait for writers that stand still. */
#define LISTEN_WAIT_NS 10000000ULL
#define AGAIN_WAIT_NS 1000000ULL

struct slot {
	uint64_t tag; /* number + 1; 0: being filled */
	uint32_t check;
	uint16_t kind, key_len;
	uint64_t offset, length;
	uint64_t changes;
	uint64_t key[];
};

static uint32_t key_room(const struct map *m)
{
	return m->attr.key_size <= NOTICE_KEY_MAX ? m->attr.key_size : 0;
}

static struct slot *slot_of(struct map *m, uint64_t number)
{
	uint64_t size = sizeof(struct slot) + round_up_u64(key_room(m), 8);
	uint64_t count = (NOTICE_SIZE - SHMAP_PAGE) / size;

	return (struct slot *)(m->obj.base + m->notice_off + SHMAP_PAGE + number % count * size);
}

static uint64_t slot_count(const struct map *m)
{
	return (NOTICE_SIZE - SHMAP_PAGE) / (sizeof(struct slot) + round_up_u64(key_room(m), 8));
}

/* Of what a slot holds and its number: two writers a round apart may mix. */
static uint32_t check_of(uint64_t number, const struct notice_event *e)
{
	uint64_t h = number * 0x9e3779b97f4a7c15ULL ^ e->kind ^ (uint64_t)e->key_len << 16;
	uint64_t word;

	h = (h ^ e->offset) * 0xff51afd7ed558ccdULL;
	h = (h ^ e->length) * 0xc4ceb9fe1a85ec53ULL;
	h = (h ^ e->changes) * 0x9e3779b97f4a7c15ULL;
	for (uint32_t i = 0; i < e->key_len; i += 8) {
		word = 0;
		memcpy(&word, e->key + i, e->key_len - i < 8 ? e->key_len - i : 8);
		h = (h ^ word ^ h >> 29) * 0xff51afd7ed558ccdULL;
	}
	return (uint32_t)(h >> 32 ^ h);
}

int notice_populate(struct map *m, bool slots)
{
	int err = object_populate(&m->obj, m->notice_off, slots ? NOTICE_SIZE : SHMAP_PAGE);

	return err == -ENOSPC ? -ENOMEM : err;
}

/* Touches the file's times: all inotify watches of it hear that. */
void notice_ring(struct map *m)
{
	char name[16];

	snprintf(name, sizeof(name), "%u", m->obj.id);
	raw_syscall4(SYS_utimensat, rundir_kind_fd(OBJECT_MAP), name, NULL, 0);
}

static bool anyone_listens(struct notice *n)
{
	for (unsigned int i = 0; i < NOTICE_LISTENERS; i++) {
		uint64_t name = load_seq_cst(&n->listener[i]);

		if (name && !writer_gone(name))
			return true;
	}
	return false;
}

/*
 * The last listener is gone, or died long ago: changes are nobody's business any more. Who came
 * meanwhile has made the word another one (watch()); who came before is among the names.
 */
static void sweep(struct map *m)
{
	uint32_t hooks = load_seq_cst(&m->shared->hooks);

	while (hooks & MAP_WATCHED && !anyone_listens(notice_of(m)))
		if (cas_seq_cst(&m->shared->hooks, &hooks, hooks & MAP_LOCKS))
			break;
}

/* After the listener's name is there: see sweep(). */
static void watch(struct map *m)
{
	uint32_t hooks = load_relaxed(&m->shared->hooks), watched;

	watched = MAP_WATCHED | fetch_add_seq_cst(&notice_of(m)->came, 1U) << MAP_CAME_SHIFT;
	while (!cas_seq_cst(&m->shared->hooks, &hooks, (hooks & MAP_LOCKS) | watched))
		;
}

void notice_post(struct map *m, enum map_change kind, const void *user_key, uint64_t offset,
		 uint64_t length, uint64_t changes)
{
	struct notice *n = notice_of(m);
	struct notice_event e = {
		.kind = kind, .offset = offset, .length = length, .changes = changes};
	const uint32_t room = key_room(m);
	uint64_t number;
	struct slot *s;

	/* A key that cannot be read any more was good when the change was made. */
	if (user_key && room && !uaccess_copy(e.key, user_key, room))
		e.key_len = room;
	/* A full fence: the change comes before the number, and that before the look at
	 * `armed`: partner of notice_arm(). */
	number = fetch_add_seq_cst(&n->head, 1);
	fence_after_rmw();
	s = slot_of(m, number);
	store_relaxed(&s->tag, 0);
	/* The slot is nobody's before it is filled; pairs with the reader's second look. */
	fence_release();
	store_relaxed(&s->check, check_of(number, &e));
	store_relaxed(&s->kind, (uint16_t)kind);
	store_relaxed(&s->key_len, (uint16_t)e.key_len);
	store_relaxed(&s->offset, offset);
	store_relaxed(&s->length, length);
	store_relaxed(&s->changes, changes);
	for (uint32_t i = 0; i < round_up_u64(e.key_len, 8) / 8; i++) {
		uint64_t word;

		memcpy(&word, e.key + (size_t)i * 8, 8);
		store_relaxed(&s->key[i], word);
	}
	store_release(&s->tag, number + 1);
	/* The slot before the bell: who hears it finds it filled. */
	if (unlikely(load_relaxed(&n->armed)) && exchange_seq_cst(&n->armed, 0))
		notice_ring(m);
	if (unlikely(number % SWEEP_EVERY == SWEEP_EVERY - 1))
		sweep(m);
}

int notice_listen(struct map *m, uint64_t me, uint64_t *next)
{
	struct notice *n = notice_of(m);
	int err;

	if (!m->writable)
		return -EPERM;
	err = notice_populate(m, true);
	if (err)
		return err;
	for (unsigned int i = 0; i < NOTICE_LISTENERS; i++) {
		uint64_t name = load_relaxed(&n->listener[i]);

		if (name == me ||
		    ((!name || writer_gone(name)) && cas_seq_cst(&n->listener[i], &name, me)))
			goto found;
	}
	return -ENOSPC;
found:
	store_seq_cst(&load_acquire(&writers_mapped)->watched, 1);
	watch(m);
	if (!writers_barrier()) {
		notice_unlisten(m, me);
		return -EOPNOTSUPP;
	}
	*next = load_seq_cst(&n->head);
	/* Changes whose writers looked before: they are over, or told of later. */
	if (!change_wait(m, LISTEN_WAIT_NS) || change_own(m))
		fetch_add_seq_cst(&n->unsure, 1U);
	/* Runs that did. One that is stopped is not waited for. */
	lease_wait(lease_stamp(), -1);
	return 0;
}

/* Are those over now? Dying before the last step: the next one tells again. */
static void unsure_settle(struct map *m)
{
	struct notice *n = notice_of(m);
	uint32_t unsure = load_seq_cst(&n->unsure);

	if (likely(!unsure) || !change_wait(m, AGAIN_WAIT_NS) || change_own(m))
		return;
	notice_post(m, MAP_CHANGE_MANY, NULL, 0, 0, 1);
	cas_seq_cst(&n->unsure, &unsure, 0);
}

void notice_unlisten(struct map *m, uint64_t name)
{
	struct notice *n = notice_of(m);

	for (unsigned int i = 0; i < NOTICE_LISTENERS; i++) {
		uint64_t was = name;

		cas_seq_cst(&n->listener[i], &was, 0);
	}
	sweep(m);
}

/* The slot of that number, when it holds it. */
static bool slot_read(struct map *m, uint64_t number, struct notice_event *e)
{
	struct slot *s = slot_of(m, number);
	const uint32_t room = key_room(m);
	uint32_t check;

	for (unsigned int i = 0; load_acquire(&s->tag) != number + 1; i++) {
		/* Its writer is just filling it; or it has died, or another round has. */
		if (i >= SLOT_SPINS + SLOT_YIELDS || load_relaxed(&s->tag) > number + 1)
			return false;
		if (i < SLOT_SPINS)
			cpu_relax();
		else
			raw_sched_yield();
	}
	check = load_relaxed(&s->check);
	e->kind = load_relaxed(&s->kind);
	e->key_len = load_relaxed(&s->key_len);
	e->offset = load_relaxed(&s->offset);
	e->length = load_relaxed(&s->length);
	e->changes = load_relaxed(&s->changes);
	if (e->key_len && e->key_len != room)
		return false;
	for (uint32_t i = 0; i < round_up_u64(e->key_len, 8) / 8; i++) {
		uint64_t word = load_relaxed(&s->key[i]);

		memcpy(e->key + (size_t)i * 8, &word, 8);
	}
	/* Pairs with the release fence of a writer that took the slot meanwhile. */
	fence_acquire();
	return load_relaxed(&s->tag) == number + 1 && check == check_of(number, e) && e->kind &&
	       e->kind <= MAP_CHANGE_MANY && e->changes;
}

bool notice_next(struct map *m, uint64_t *next, struct notice_event *e)
{
	uint64_t head = load_seq_cst(&notice_of(m)->head), count = slot_count(m), missed;

	if (head == *next)
		return false;
	missed = head - *next > count ? head - *next - count : 0;
	if (!missed) {
		uint64_t number = (*next)++;

		if (slot_read(m, number, e))
			return true;
		missed = 1;
	} else {
		*next += missed;
	}
	*e = (struct notice_event){.kind = MAP_CHANGE_MANY, .changes = missed};
	return true;
}

void notice_arm(struct map *m)
{
	/* Full fence: partner of the one in notice_post(). */
	exchange_seq_cst(&notice_of(m)->armed, 1);
	fence_after_rmw();
}

/* The dead tenant's mark k has been noted; unless another has the record now. */
static void deaths_noted(struct writer *w, uint32_t gen, unsigned int k)
{
	uint32_t was = load_relaxed(&w->noted), now;

	do {
		now = (was ^ gen) & WRITER_GEN_MASK ? gen & WRITER_GEN_MASK : was;
	} while (!cas_seq_cst(&w->noted, &was, now | writer_noted_bit(k)));
}

void notice_deaths(struct map *m, uint64_t *leases)
{
	struct notice *n = notice_of(m);
	struct writers_head *h = load_acquire(&writers_mapped);
	const uint32_t id = m->obj.id, high = writers_high();
	uint32_t deaths = load_seq_cst(&h->deaths), noted = load_relaxed(&n->deaths);
	uint64_t runs = lease_deaths();
	bool post = false;

	unsure_settle(m);
	for (uint32_t i = 0; i < high; i++) {
		struct writer *w = writer_at(i);
		uint32_t gen = load_acquire(&w->gen);

		if (!writer_died(w))
			continue;
		for (unsigned int k = 0; k < WRITER_MAPS; k++) {
			uint32_t mark = load_acquire(&w->map[k]);

			if ((mark != id && mark != WRITER_ALL) || writer_noted(w, gen, k))
				continue;
			/* First the notice: dying here, the mark is still to be noted. */
			if (mark == WRITER_ALL) /* for the listeners of all maps */
				deaths = fetch_add_seq_cst(&h->deaths, 1) + 1;
			else
				notice_post(m, MAP_CHANGE_MANY, NULL, 0, 0, 1);
			deaths_noted(w, gen, k);
		}
	}
	if (deaths != noted) {
		notice_post(m, MAP_CHANGE_MANY, NULL, 0, 0, 1);
		cas_seq_cst(&n->deaths, &noted, deaths);
	}
	if (runs != *leases)
		post = true;
	*leases = runs;
	if (post)
		notice_post(m, MAP_CHANGE_MANY, NULL, 0, 0, 1);
}

struct notice_raw *notice_raw_add(struct map *m, uint32_t pid, uint64_t addr, uint64_t len,
				  uint64_t offset)
{
	struct notice *n = notice_of(m);

	if (notice_populate(m, false))
		return NULL;
	for (unsigned int i = 0; i < NOTICE_RAW; i++) {
		struct notice_raw *r = &n->raw[i];
		uint32_t was = load_relaxed(&r->pid);

		if (was && raw_syscall2(SYS_kill, was & ~RAW_FILLING, 0) != -ESRCH)
			continue;
		if (!cas_seq_cst(&r->pid, &was, pid | RAW_FILLING))
			continue;
		if (was)
			fetch_add_seq_cst(&n->raw_gone, 1);
		store_relaxed(&r->gen, load_relaxed(&r->gen) + 1);
		/* Pairs with the one of raw_watch_look(): who sees what follows sees gen. */
		fence_release();
		store_relaxed(&r->addr, addr);
		store_relaxed(&r->len, len);
		store_relaxed(&r->offset, offset);
		store_seq_cst(&r->pid, pid);
		/* so that listeners look at it from now on */
		if (load_seq_cst(&m->shared->hooks) & MAP_WATCHED)
			notice_ring(m);
		return r;
	}
	store_seq_cst(&n->raw_lost, 1);
	return NULL;
}

void notice_raw_free(struct notice_raw *r, uint32_t pid, uint32_t gen)
{
	const uint32_t words[2] = {pid, gen}, none[2] = {0, gen};
	uint64_t was, free;

	_Static_assert(offsetof(struct notice_raw, gen) == 4, "one word with pid");
	memcpy(&was, words, 8);
	memcpy(&free, none, 8);
	cas_seq_cst((uint64_t *)&r->pid, &was, free);
}

void notice_raw_drop(struct map *m, struct notice_raw *r, uint32_t pid, uint32_t gen)
{
	if (load_relaxed(&r->gen) != gen)
		return;
	fetch_add_seq_cst(&notice_of(m)->raw_gone, 1);
	notice_raw_free(r, pid, gen);
}
