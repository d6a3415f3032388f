/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who runs timers.
 *
 * A timer is 16 bytes of a map's value, so every process that has the map can start and
 * cancel it. It is run by the process that started it last, by a thread of its own: the
 * kernel's would be run by whichever CPU. So it does not run when that process has ended, or
 * has closed the program whose function it calls.
 *
 * What decides is the word `state` in the map: each start and each cancel stores another
 * number there, and the thread that comes to run a callback first exchanges the
 * number that it was started with for one that says "not armed". Whoever comes too late
 * finds another number and lets go: a timer that was cancelled, started anew or run is run
 * by nobody. An element that was deleted or replaced has another memory or no longer its
 * key: it is looked up before the callback is called.
 *
 * What this process is to run stands in a heap, by time, and in a hash table, by cell.
 * Both are private; the mutex is held for a few instructions on private memory only (an
 * access to a map could fault, and end the run with the mutex held). A signal handler
 * on top of it gets -EBUSY.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/pool.h"
#include "base/rawsys.h"
#include "map/change.h"
#include "sync/lease.h"
#include "sync/writers.h"
#include "vm/interp.h"
#include "vm/timer.h"

#define HASH_SIZE 1024
#define HEAP_FIRST 512
#define KEY_MAX 512
#define RETRY_NS 1000000u /* every lease is taken */

struct entry {
	struct timer_cell *cell;
	uint64_t state, when;
	struct vm_prog *prog;
	uint32_t pc;
	uint32_t at; /* in the heap */
	struct map *map;
	void *value;
	struct entry *next; /* in the hash chain, or among the dead */
};

struct served {
	struct vm_prog *prog;
	struct served *next;
};

static struct pool entry_pool = POOL_OF(struct entry);
static struct pool served_pool = POOL_OF(struct served);

/* The process whose all this is: a forked child begins anew. Negative while it does. */
static pid_t owner;

static struct {
	pthread_mutex_t lock;
	pthread_t thread;
	bool started;
	struct entry **heap;
	uint32_t cnt, room;
	struct entry *hash[HASH_SIZE];
	struct entry *dead; /* their maps are to be put */
	struct served *served;
	struct entry *running;
	uint32_t seq;  /* changes when the thread is to look again */
	uint32_t ends; /* counts callbacks that have returned; waited for */
} t = {.lock = PTHREAD_MUTEX_INITIALIZER};

static __thread bool inside __attribute__((tls_model("initial-exec")));

static bool lock(void)
{
	if (inside)
		return false;
	inside = true;
	fence_compiler();
	pthread_mutex_lock(&t.lock);
	return true;
}

static void unlock(void)
{
	pthread_mutex_unlock(&t.lock);
	fence_compiler();
	inside = false;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the heap and the table; under the lock ---- */

static struct entry **bucket(const struct timer_cell *cell)
{
	return &t.hash[((uintptr_t)cell >> 4) * 0x9e3779b97f4a7c15ull >> 54];
}

static void place(struct entry *e, uint32_t at)
{
	t.heap[at] = e;
	e->at = at;
}

static void sift(struct entry *e, uint32_t at)
{
	while (at && t.heap[(at - 1) / 2]->when > e->when) {
		place(t.heap[(at - 1) / 2], at);
		at = (at - 1) / 2;
	}
	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= t.cnt)
			break;
		if (child + 1 < t.cnt && t.heap[child + 1]->when < t.heap[child]->when)
			child++;
		if (t.heap[child]->when >= e->when)
			break;
		place(t.heap[child], at);
		at = child;
	}
	place(e, at);
}

static bool heap_grow(void)
{
	const uint32_t room = t.room ? 2 * t.room : HEAP_FIRST;
	struct entry **heap = raw_mmap(NULL, room * sizeof(*heap), PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (raw_is_error(heap))
		return false;
	if (t.room) {
		memcpy(heap, t.heap, t.cnt * sizeof(*heap));
		raw_munmap(t.heap, t.room * sizeof(*heap));
	}
	t.heap = heap;
	t.room = room;
	return true;
}

/* Off the heap and the table. */
static void take_out(struct entry *e)
{
	struct entry **link = bucket(e->cell), *last = t.heap[--t.cnt];

	if (last != e)
		sift(last, e->at);
	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
}

static void bury(struct entry *e)
{
	take_out(e);
	e->next = t.dead;
	t.dead = e;
}

static struct entry *find(const struct timer_cell *cell)
{
	struct entry *e = *bucket(cell);

	while (e && e->cell != cell)
		e = e->next;
	return e;
}

/* ---- the thread ---- */

static void put_dead(void)
{
	struct entry *e, *next;

	lock();
	e = t.dead;
	t.dead = NULL;
	unlock();
	for (; e; e = next) {
		next = e->next;
		map_put(e->map);
		pool_free(&entry_pool, e);
	}
}

/* Is the value still that of an element of the map, and of which? */
static bool still_there(struct map *m, void *value, void *key)
{
	m->ops->key_at(m, value, key);
	return m->ops->lookup(m, key) == value;
}

struct firing {
	struct entry *e;
	uint64_t key[KEY_MAX / 8];
};

/* Under the fault guard of vm_run_at(): 0: run the callback. */
static int begin(void *arg, uint64_t r[3])
{
	struct firing *f = arg;
	struct entry *e = f->e;
	uint64_t state = e->state;
	const uint64_t done = state & ~TIMER_ARMED;

	/* Pairs with timer_start() and _cancel() of any process: one of us has it. */
	if (!cas_seq_cst(&e->cell->state, &state, done) || !still_there(e->map, e->value, f->key))
		return -ECANCELED;
	if (writers_watched())
		change_later(e->map); /* the callback may store to the value */
	r[0] = (uintptr_t)e->map;
	r[1] = (uintptr_t)f->key;
	r[2] = (uintptr_t)e->value;
	return 0;
}

static void fire(struct entry *e)
{
	struct firing f = {.e = e};
	uint64_t ret;

	vm_run_at(e->prog, e->pc, begin, &f, &ret);
	lease_release();
	lock();
	t.running = NULL;
	unlock();
	fetch_add_relaxed(&t.ends, 1);
	raw_futex(&t.ends, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
	map_put(e->map);
	pool_free(&entry_pool, e);
}

/* Sleeps until `when` (0: for ever) or until seq changes. */
static void doze(uint32_t seq, uint64_t when)
{
	const struct timespec ts = {(time_t)(when / 1000000000u), (long)(when % 1000000000u)};

	raw_futex(&t.seq, FUTEX_WAIT_BITSET_PRIVATE, seq, when ? &ts : NULL, NULL,
		  FUTEX_BITSET_MATCH_ANY);
}

static void *serve(void *arg)
{
	prctl(PR_SET_NAME, "shmap-timer");
	for (;;) {
		const uint32_t seq = load_acquire(&t.seq);
		uint64_t when = 0, now = now_ns();
		struct entry *e = NULL;

		put_dead();
		lock();
		if (t.cnt) {
			when = t.heap[0]->when;
			if (when <= now)
				e = t.heap[0];
		}
		unlock();
		if (!e) {
			doze(seq, when);
			continue;
		}
		/* first the lease: who waits for a callback may have one */
		if (lease_acquire() < 0) {
			doze(seq, now + RETRY_NS);
			continue;
		}
		lock();
		e = t.cnt && t.heap[0]->when <= now ? t.heap[0] : NULL;
		if (e) {
			take_out(e);
			t.running = e;
		}
		unlock();
		if (e)
			fire(e);
		else
			lease_release();
	}
	return arg;
}

static void wake(void)
{
	fetch_add_relaxed(&t.seq, 1);
	raw_futex(&t.seq, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* ---- programs ---- */

static bool is_own(void)
{
	return load_acquire(&owner) == getpid();
}

/* In a child of fork nothing of this is its own. One of its threads begins anew, and the
 * others wait; false: in a signal handler on top of that. */
static bool begin_anew(void)
{
	const pid_t pid = getpid();
	pid_t seen = load_acquire(&owner);

	if (seen == pid)
		return true;
	if (inside)
		return false;
	inside = true;
	fence_compiler();
	while (seen != pid) {
		if (seen != -pid && cas_acquire(&owner, &seen, -pid)) {
			memset(&t, 0, sizeof(t));
			pthread_mutex_init(&t.lock, NULL);
			store_release(&owner, pid);
			break;
		}
		cpu_relax();
		/* Pairs with the store above. */
		seen = load_acquire(&owner);
	}
	fence_compiler();
	inside = false;
	return true;
}

static int start_thread(void)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	sigset_t all, old;
	int err;

	if (t.started)
		return 0;
	/* Signals are the program's threads', but for the faults of callbacks (base/guard.h). */
	sigfillset(&all);
	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&all, faults[i]);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&t.thread, NULL, serve, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -ENOMEM;
	pthread_detach(t.thread);
	t.started = true;
	return 0;
}

int timer_serve(struct vm_prog *p)
{
	struct served *s;
	int err = 0;

	if (!begin_anew() || !lock())
		return -EBUSY;
	for (s = t.served; s && s->prog != p; s = s->next)
		;
	if (!s) {
		err = start_thread();
		s = err ? NULL : pool_alloc(&served_pool);
		if (s) {
			s->prog = p;
			s->next = t.served;
			t.served = s;
		} else {
			err = -ENOMEM;
		}
	}
	unlock();
	return err;
}

/* The program of that tag that is served and has the callback. Under the lock: it is there
 * for as long. */
static struct vm_prog *server(uint32_t tag, uint32_t pc, const struct map *m, timer_fits_fn fits)
{
	uint32_t first;

	for (struct served *s = t.served; s; s = s->next) {
		memcpy(&first, s->prog->tag, sizeof(first));
		if (first == tag && fits(s->prog, pc, m))
			return s->prog;
	}
	return NULL;
}

bool timer_served(uint32_t tag, uint32_t pc, const struct map *m, timer_fits_fn fits)
{
	bool yes;

	if (!begin_anew() || !lock())
		return false;
	yes = server(tag, pc, m, fits);
	unlock();
	return yes;
}

static void wait_while(bool (*busy)(const void *), const void *arg)
{
	for (;;) {
		const uint32_t ends = load_acquire(&t.ends);
		bool still;

		lock();
		still = busy(arg);
		unlock();
		if (!still)
			return;
		raw_futex(&t.ends, FUTEX_WAIT_PRIVATE, ends, NULL, NULL, 0);
	}
}

static bool prog_runs(const void *p)
{
	return t.running && t.running->prog == p;
}

static bool cell_runs(const void *cell)
{
	return t.running && t.running->cell == cell;
}

void timer_forget(struct vm_prog *p)
{
	struct served **link;

	if (!load_relaxed(&t.served) || !is_own() || !lock())
		return;
	for (link = &t.served; *link && (*link)->prog != p;)
		link = &(*link)->next;
	if (!*link) {
		unlock();
		return;
	}
	{
		struct served *gone = *link;

		*link = gone->next;
		pool_free(&served_pool, gone);
	}
	for (uint32_t i = 0; i < t.cnt;) {
		if (t.heap[i]->prog == p) {
			bury(t.heap[i]);
			i = 0; /* others have moved */
		} else {
			i++;
		}
	}
	unlock();
	wait_while(prog_runs, p);
	put_dead();
}

/* ---- cells ---- */

int timer_arm(struct timer_cell *cell, uint64_t state, uint64_t when,
	      const struct timer_callback *call, struct map *m, void *value)
{
	struct entry *e, *old;
	bool first;

	if (m->attr.key_size > KEY_MAX)
		return -EINVAL;
	e = pool_alloc(&entry_pool);
	if (!e)
		return -ENOMEM;
	*e = (struct entry){.cell = cell,
			    .state = state,
			    .when = when,
			    .prog = call->prog,
			    .pc = call->pc,
			    .map = m,
			    .value = value};
	map_get(m);
	if (!lock()) {
		map_put(m);
		pool_free(&entry_pool, e);
		return -EBUSY;
	}
	old = find(cell);
	if (old)
		bury(old);
	if (!e->prog)
		e->prog = server(call->tag, call->pc, m, call->fits);
	if (!e->prog || (t.cnt == t.room && !heap_grow())) {
		const int err = e->prog ? -ENOMEM : -EINVAL;

		e->next = t.dead;
		t.dead = e;
		unlock();
		return err;
	}
	e->next = *bucket(cell);
	*bucket(cell) = e;
	sift(e, t.cnt++);
	first = t.heap[0] == e;
	unlock();
	if (first)
		wake();
	return 0;
}

void timer_disarm(const struct timer_cell *cell)
{
	struct entry *e;

	if (!is_own() || !lock())
		return;
	e = find(cell);
	if (e)
		bury(e);
	unlock();
}

bool timer_is_self(const struct timer_cell *cell)
{
	return t.started && is_own() && pthread_equal(t.thread, pthread_self()) && t.running &&
	       t.running->cell == cell;
}

void timer_wait(const struct timer_cell *cell)
{
	if (is_own() && t.started && !pthread_equal(t.thread, pthread_self()) && !inside)
		wait_while(cell_runs, cell);
}
