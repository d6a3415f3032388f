/* SPDX-License-Identifier: BSD-2-Clause */
/* The lock word and the CPU lease, killed after every instruction: both are free
 * or taken over at once, and nobody else is kept out or let in. */
#include "../shm/area.h"
#include "base/atomic.h"
#include "harness.h"
#include "sync/lease.h"
#include "sync/lock.h"

/* What the lock protects: two words that a holder makes equal again. */
static struct shared {
	uint32_t lock, other;
	uint64_t a, b, ended;
} * s;

static void begin(void)
{
	area_begin();
	REQUIRE(!rundir_open() && !lease_open());
	s = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(s != MAP_FAILED);
	REQUIRE(lease_acquire() >= 0);
	lease_release();
}

static void setup(void *arg)
{
	memset(s, 0, sizeof(*s));
}

static void lock_and_add(void)
{
	int ret = lock_acquire(&s->lock);

	if (ret == LOCK_OWNER_DIED) {
		store_relaxed(&s->b, load_relaxed(&s->a)); /* the repair: forward */
	} else if (ret) {
		store_relaxed(&s->ended, 99);
		return;
	}
	store_relaxed(&s->a, load_relaxed(&s->a) + 1);
	fence_compiler();
	store_relaxed(&s->b, load_relaxed(&s->b) + 1);
	lock_release(&s->lock);
}

static void op_lock(void *arg)
{
	lock_and_add();
	store_relaxed(&s->ended, s->ended + 1);
}

/* Never more than one ahead, whoever looks. */
static bool peek(void *arg)
{
	return load_relaxed(&s->a) - load_relaxed(&s->b) <= 1;
}

static enum kill_outcome check_lock(void *arg)
{
	uint64_t was = s->a;

	if (was > 1)
		return KILL_INVALID;
	lock_and_add();
	if (s->ended > 1 || s->a != was + 1 || s->b != s->a || s->lock) {
		kill_why("lock %#x a %lu b %lu ended %lu", s->lock, s->a, s->b, s->ended);
		return KILL_INVALID;
	}
	/* and a second time, as if nothing had been */
	lock_and_add();
	if (s->a != was + 2 || s->lock)
		return KILL_INVALID;
	return was ? KILL_NEW : KILL_OLD;
}

/* A lock inside a lease, as a program takes it */
static void op_lease(void *arg)
{
	if (lease_acquire() < 0)
		_exit(1);
	lock_and_add();
	lease_release();
}

static void op_lease_only(void *arg)
{
	if (lease_acquire() < 0)
		_exit(1);
	lease_release();
	store_relaxed(&s->ended, 1);
}

static enum kill_outcome check_lease(void *arg)
{
	bool ended = s->ended;
	enum kill_outcome o;
	uint32_t stamp;
	int cpu;

	/* The survivor runs on the one CPU on which the dead one ran: a lease
	 * that is not given back shows by another number. */
	cpu = lease_acquire();
	if (cpu < 0 || cpu != sched_getcpu() % (int)lease_possible_cpus()) {
		kill_why("the lease is number %d", cpu);
		return KILL_INVALID;
	}
	if (lease_acquire() != -EBUSY || lease_cpu() != cpu)
		return KILL_INVALID;
	o = check_lock(arg);
	stamp = lease_stamp();
	if (lease_elapsed(stamp, -1)) {
		kill_why("a grace period ended over a held lease");
		return KILL_INVALID;
	}
	lease_release();
	/* Nobody has one any more. */
	if (!lease_elapsed(stamp, -1)) {
		kill_why("a dead lease is in the way of a grace period");
		return KILL_INVALID;
	}
	if (lease_cpu() != -1)
		return KILL_INVALID;
	return o == KILL_OLD && ended ? KILL_NEW : o;
}

/* The same, when the one before died: holding the lock between its two additions,
 * and a lease. */
static void setup_dead(void *arg)
{
	pid_t pid;

	setup(arg);
	pid = area_fork();
	if (!pid) {
		if (arg && lease_acquire() < 0)
			_exit(1);
		if (lock_acquire(&s->lock))
			_exit(1);
		store_relaxed(&s->a, 1);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	REQUIRE(s->a == 1 && !s->b && lock_owner_died(&s->lock));
}

/* The dead one's addition counts, whoever completes it. */
static enum kill_outcome check_dead(void *arg)
{
	bool ended = s->ended;
	uint64_t was = s->a;

	if (was != 1 && was != 2)
		return KILL_INVALID;
	lock_and_add();
	if (s->a != was + 1 || s->b != s->a || s->lock) {
		kill_why("lock %#x a %lu b %lu after %lu", s->lock, s->a, s->b, was);
		return KILL_INVALID;
	}
	if (arg) {
		/* The lease's checks begin at 0 */
		s->ended = ended;
		s->a = s->b = was - 1;
		return check_lease(NULL);
	}
	return was == 2 ? KILL_NEW : KILL_OLD;
}

/* The unlock that wakes: others are asleep */
static void op_lock_wake(void *arg)
{
	if (lock_acquire(&s->lock))
		_exit(1);
	store_relaxed(&s->lock, s->lock | FUTEX_WAITERS);
	store_relaxed(&s->a, s->a + 1);
	fence_compiler();
	store_relaxed(&s->b, s->b + 1);
	lock_release(&s->lock);
}

static const struct kill_case cases[] = {
	{"lock", NULL, setup, NULL, op_lock, peek, check_lock},
	{"lease", NULL, setup, NULL, op_lease_only, peek, check_lease},
	{"lock-in-lease", NULL, setup, NULL, op_lease, peek, check_lease},
	{"unlock-that-wakes", NULL, setup, NULL, op_lock_wake, peek, check_lock},
	{"lock-of-the-dead", NULL, setup_dead, NULL, op_lock, peek, check_dead},
	{"lock-in-lease-of-the-dead", &s, setup_dead, NULL, op_lease, peek, check_dead},
};

int main(int argc, char **argv)
{
	kill_begin = begin;
	return kill_main(argc, argv, cases, sizeof(cases) / sizeof(cases[0]));
}
