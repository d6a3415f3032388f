/* SPDX-License-Identifier: BSD-2-Clause */
/* The gate; see gate.h for how it works and why it holds. */
#include "map/gate.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/change.h"
#include "shm/rundir.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define GATE_SPINS 100
#define GATE_YIELDS 20
#define GATE_NAP_NS 1000000L /* a dead holder wakes nobody */
/* How long a program's update waits: less than who waits for its run does. */
#define GATE_RUN_MS 50
/* Who has met that many holders in a row asks the next to stay away for so long. */
#define GATE_STARVED 3
#define GATE_AWAY_NS 500000L
#define GATE_GROW 65536U

#define TAG_SLOT 0xffU
#define TAG_SHIFT 8

__thread uint32_t gate_own;

struct gate_file {
	struct robust_claim claim[GATE_SLOTS];
	struct gate_slot slot[GATE_SLOTS];
};

/* The mapping: published once, whole, and kept. */
static struct gate_file *file;

static int file_open(void)
{
	if (likely(load_acquire(&file)))
		return 0;
	return rundir_share("txn", GATE_DATA_OFF + (uint64_t)GATE_SLOTS * GATE_DATA, GATE_DATA_OFF,
			    0, (void **)&file);
}

static uint8_t *slot_data(uint32_t i)
{
	return (uint8_t *)load_acquire(&file) + GATE_DATA_OFF + (size_t)i * GATE_DATA;
}

static uint32_t slot_tag(uint32_t i)
{
	return load_relaxed(&load_acquire(&file)->slot[i].generation) << TAG_SHIFT | (i + 1);
}

/* Pages for the first bytes of a slot's data, which is the caller's. */
static int slot_room(uint32_t i, uint32_t bytes)
{
	struct gate_slot *slot = &load_acquire(&file)->slot[i];
	int fd, err;

	if (bytes <= slot->backed)
		return 0;
	bytes = round_up_u64(bytes, GATE_GROW);
	fd = rundir_open_shared("txn");
	if (fd < 0)
		return fd;
	err = raw_fallocate(fd, 0, GATE_DATA_OFF + (off_t)i * GATE_DATA, bytes);
	raw_close(fd);
	if (!err)
		slot->backed = bytes;
	return err == -ENOSPC ? -ENOMEM : err;
}

/*
 * No handler comes on top of who holds a gate: it would wait for itself. Those of faults
 * stay: uaccess.h.
 */
static uint64_t signals_block(void)
{
	uint64_t all = ~(1ULL << (SIGSEGV - 1) | 1ULL << (SIGBUS - 1) | 1ULL << (SIGILL - 1) |
			 1ULL << (SIGFPE - 1) | 1ULL << (SIGTRAP - 1)),
		 old = 0;

	raw_sigprocmask(SIG_BLOCK, &all, &old);
	return old;
}

static void signals_restore(uint64_t old)
{
	raw_sigprocmask(SIG_SETMASK, &old, NULL);
}

static void gate_wake(struct gate_slot *slot, struct map *m)
{
	if (load_relaxed(&slot->sleepers) == load_relaxed(&slot->generation))
		raw_futex(&m->shared->gate, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static void gate_unshut(struct gate_slot *slot, struct map *m, uint32_t tag)
{
	/* Release: who finds it open finds all that was done behind it. */
	if (cas_seq_cst(&m->shared->gate, &tag, 0))
		gate_wake(slot, m);
}

void gate_applying(struct map *const *map, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		store_relaxed(&map[i]->shared->commits, load_relaxed(&map[i]->shared->commits) | 1);
	/* All odd before the first change: partner of fence_acquire() in txn.c. */
	fence_seq_cst();
}

void gate_applied(struct map *const *map, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		store_release(&map[i]->shared->commits,
			      (load_relaxed(&map[i]->shared->commits) | 1) + 1);
}

/* ---- after a death ---- */

/* The map of an id, writable, or NULL: nobody has it any more, or it cannot be opened now. */
static struct map *map_of(uint32_t id, int *err)
{
	struct map *m = NULL;
	int fd = object_open_id(OBJECT_MAP, id, O_RDWR);

	*err = fd < 0 ? fd : 0;
	if (fd < 0)
		return NULL;
	*err = map_open(fd, &m);
	raw_close(fd);
	return *err ? NULL : m;
}

static void map_let_go(struct map *m)
{
	uint32_t id = m->obj.id;

	map_put(m);
	object_collect(OBJECT_MAP, id);
}

/* The slot is ours, taken from the dead. 0, or -errno: for somebody else to finish. */
static int slot_settle(uint32_t i)
{
	struct gate_slot *slot = &load_acquire(&file)->slot[i];
	uint32_t state = load_acquire(&slot->state), tag = slot_tag(i), n, k, nr[GATE_MAPS];
	uint32_t bytes = load_relaxed(&slot->bytes), outer = gate_own, maps = 0;
	struct map *map[GATE_MAPS] = {NULL}, *m;
	int err = 0, failed = 0;

	if (state == GATE_FREE)
		return 0;
	n = load_relaxed(&slot->maps);
	for (k = 0; k < n && k < GATE_MAPS; k++) {
		m = map_of(load_relaxed(&slot->id[k]), &err);
		if (err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EBUSY)
			failed = err; /* another time; a damaged file: never */
		if (!m)
			continue;
		if (load_acquire(&m->shared->gate) != tag) {
			map_let_go(m);
			continue;
		}
		nr[maps] = k;
		map[maps++] = m;
	}
	gate_own = tag;
	if (state == GATE_COMMITTED && !failed) {
		gate_applying(map, maps);
		for (k = 0; !failed && k < maps; k++)
			failed = txn_replay(map[k], nr[k], slot_data(i),
					    bytes < GATE_DATA ? bytes : GATE_DATA);
		if (!failed)
			gate_applied(map, maps);
		/* The dead one may not have come to tell. */
		fence_seq_cst();
		for (k = 0; !failed && k < maps; k++)
			if (load_relaxed(&map[k]->shared->hooks) & MAP_WATCHED)
				change_noted(map[k], MAP_CHANGE_MANY, NULL, 1);
	}
	if (!failed) {
		/* Dying from here on: the gates are opened by the next one. */
		store_release(&slot->state, GATE_TAKING);
		for (k = 0; k < maps; k++)
			gate_unshut(slot, map[k], tag);
		store_release(&slot->state, GATE_FREE);
	}
	gate_own = outer;
	for (k = 0; k < maps; k++)
		map_let_go(map[k]);
	return failed;
}

/*
 * Takes over a slot whose owner is dead, if it still is about that tag. It does not wait for the
 * claim: who has taken it from the dead meanwhile settles the slot, and may then, as its new
 * owner, wait for gates that the caller holds. -EBUSY: look at the gate again.
 */
static int slot_recover(uint32_t i, uint32_t tag)
{
	uint64_t signals = signals_block();
	struct claim_held held;
	int err = claim_try(&load_acquire(&file)->claim[i], 1, &held);

	if (err >= 0) {
		err = slot_tag(i) == tag ? slot_settle(i) : 0;
		claim_drop(&held);
	}
	signals_restore(signals);
	return err;
}

static int64_t now_ms(void)
{
	struct timespec now;

	raw_clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Has the holder died? A tag that no slot has any more is damage. */
enum holder { HOLDER_LIVES, HOLDER_DEAD, HOLDER_NONE };

static enum holder holder_of(const uint32_t *word, uint32_t tag)
{
	uint32_t i = (tag & TAG_SLOT) - 1, claim;

	if (file_open())
		return HOLDER_LIVES;
	if (i >= GATE_SLOTS)
		return load_seq_cst(word) == tag ? HOLDER_NONE : HOLDER_LIVES;
	/* Acquire: who took the slot anew had opened the gates before that. */
	claim = load_acquire(&file->claim[i].word);
	if (load_acquire(&file->slot[i].generation) << TAG_SHIFT != (tag & ~TAG_SLOT))
		return load_seq_cst(word) == tag ? HOLDER_NONE : HOLDER_LIVES;
	return !claim || claim & FUTEX_OWNER_DIED ? HOLDER_DEAD : HOLDER_LIVES;
}

int map_gate_wait(struct map *m)
{
	uint32_t *word = &m->shared->gate, tag, last = 0, round, holders = 0;
	struct timespec nap = {.tv_nsec = GATE_NAP_NS};
	struct gate_slot *slot;
	int64_t until = 0;
	int err;

	for (round = 0;; round++) {
		tag = load_acquire(word);
		if (!tag || tag == gate_own)
			return 0;
		/* Another holder: nobody stands still. */
		if (tag != last) {
			until = 0;
			holders++;
		}
		last = tag;
		switch (holder_of(word, tag)) {
		case HOLDER_DEAD:
			err = slot_recover((tag & TAG_SLOT) - 1, tag);
			if (err && err != -EBUSY)
				return err;
			/* What is done does not keep its tag here: that is damage. */
			if (!err && m->writable) {
				cas_seq_cst(word, &tag, 0);
				continue;
			}
			break;
		case HOLDER_NONE:
			if (m->writable)
				cas_seq_cst(word, &tag, 0);
			break;
		default:
			break;
		}
		if (round < GATE_SPINS) {
			cpu_relax();
			continue;
		}
		if (round < GATE_SPINS + GATE_YIELDS) {
			raw_sched_yield();
			continue;
		}
		if (!until)
			until = now_ms() + (lease_held() ? GATE_RUN_MS : LOCK_WAIT_SECONDS * 1000);
		else if (now_ms() > until)
			return -EBUSY;
		if ((tag & TAG_SLOT) - 1 < GATE_SLOTS && load_relaxed(&file)) {
			slot = &file->slot[(tag & TAG_SLOT) - 1];
			store_relaxed(&slot->sleepers, tag >> TAG_SHIFT);
			if (holders > GATE_STARVED)
				store_relaxed(&slot->starving, tag >> TAG_SHIFT);
		}
		raw_futex(word, FUTEX_WAIT, tag, &nap, NULL, 0);
	}
}

void map_gate_settle(struct map *m)
{
	uint32_t *word = &m->shared->gate, tag = load_acquire(word);

	if (tag && tag != gate_own && !thread_self.in_lock && holder_of(word, tag) == HOLDER_DEAD)
		slot_recover((tag & TAG_SLOT) - 1, tag);
}

/* ---- who shuts gates ---- */

/* Those of another directory cannot be found by who takes over. */
static int map_at_home(struct map *m)
{
	struct stat st;
	char name[16];
	int n = 0, err;
	uint32_t id;

	if (likely(m->home))
		return 0;
	for (id = m->obj.id; id; id /= 10)
		n++;
	name[n] = '\0';
	for (id = m->obj.id; id; id /= 10)
		name[--n] = (char)('0' + id % 10);
	err = raw_fstatat(rundir_kind_fd(OBJECT_MAP), name, &st, 0);
	if (err || st.st_ino != m->obj.ino || st.st_dev != m->obj.dev)
		return -EXDEV;
	m->home = true;
	return 0;
}

int gate_begin(struct gate_held *g, uint32_t bytes)
{
	uint32_t i;
	int err = file_open();

	g->n = 0;
	g->give_way = false;
	if (err)
		return err;
	g->signals = signals_block();
	g->outer = gate_own;
	err = claim_take(file->claim, GATE_SLOTS, &g->claim);
	if (err < 0) {
		signals_restore(g->signals);
		return err;
	}
	i = (uint32_t)(g->claim.claim - file->claim);
	g->slot = &file->slot[i];
	g->data = slot_data(i);
	err = slot_settle(i);
	if (!err)
		err = slot_room(i, bytes);
	if (err) {
		gate_end(g);
		return err;
	}
	/* Nobody has a tag of this slot now. */
	store_release(&g->slot->generation, (g->slot->generation + 1) & (UINT32_MAX >> TAG_SHIFT));
	g->tag = slot_tag(i);
	return 0;
}

int gate_room(struct gate_held *g, uint32_t bytes)
{
	return bytes <= GATE_DATA ? slot_room((uint32_t)(g->slot - file->slot), bytes) : -E2BIG;
}

int gate_shut(struct gate_held *g, struct map *const *map, uint32_t n)
{
	uint32_t i, none;
	int err = n > GATE_MAPS ? -E2BIG : 0;

	for (i = 0; !err && i < n; i++)
		err = map_at_home(map[i]);
	if (err)
		return err;
	for (i = 0; i < n; i++)
		store_relaxed(&g->slot->id[i], map[i]->obj.id);
	store_relaxed(&g->slot->maps, n);
	/* The ids are known before the first gate is shut. */
	store_release(&g->slot->state, GATE_TAKING);
	for (i = 0; i < n; i++) {
		for (;;) {
			none = 0;
			if (cas_seq_cst(&map[i]->shared->gate, &none, g->tag))
				break;
			err = map_gate_wait(map[i]);
			if (err)
				return err;
		}
		g->map[g->n++] = map[i];
	}
	/* Before the looks at locks: partner of the writers' lock, then gate. */
	fence_seq_cst();
	gate_own = g->tag;
	return 0;
}

void gate_open(struct gate_held *g)
{
	uint32_t i;

	gate_own = g->outer;
	for (i = 0; i < g->n; i++)
		gate_unshut(g->slot, g->map[i], g->tag);
	g->give_way = g->n && load_relaxed(&g->slot->starving) == g->tag >> TAG_SHIFT;
	g->n = 0;
	store_release(&g->slot->state, GATE_FREE);
}

void gate_leave(struct gate_held *g)
{
	gate_own = g->outer;
	gate_end(g);
}

void gate_end(struct gate_held *g)
{
	struct timespec away = {.tv_nsec = GATE_AWAY_NS};

	claim_drop(&g->claim);
	signals_restore(g->signals);
	if (unlikely(g->give_way))
		raw_nanosleep(&away, NULL);
}

int gate_writable(struct map *m, struct map **out, bool *again)
{
	int err;

	*again = !m->writable;
	*out = m;
	if (m->writable)
		return 0;
	*out = map_of(m->obj.id, &err);
	if (err)
		return err;
	if ((*out)->obj.ino == m->obj.ino && (*out)->obj.dev == m->obj.dev)
		return 0;
	map_let_go(*out);
	return -EXDEV;
}
