/* SPDX-License-Identifier: BSD-2-Clause */
/* The robust lock word. The argument says which claim. */
#include <sys/time.h>

#include "util.h"

#define PROCS 4

static struct shared {
	uint32_t lock, other, flag, pad;
	uint64_t a, b;
} * s;

static void excludes(void)
{
	pid_t pids[PROCS];
	int p;

	for (p = 0; p < PROCS; p++) {
		pids[p] = spawn();
		if (pids[p])
			continue;
		for (int i = 0; i < 50000; i++) {
			REQUIRE(lock_acquire(&s->lock) == 0);
			s->a++; /* plain: only the lock keeps it exact */
			lock_release(&s->lock);
		}
		_exit(0);
	}
	for (p = 0; p < PROCS; p++)
		join(pids[p]);
	CHECK_EQ(s->a, 50000 * PROCS);
	CHECK_EQ(s->lock, 0);
}

/* One of three holders is shot now and then; what it was in the middle of is
 * repaired by the next one, and nobody else is let in. */
static void survives(void)
{
	unsigned int seed = 7;
	int round, p;

	for (round = 0; round < 150; round++) {
		pid_t pids[3];
		uint64_t before = load_relaxed(&s->b);

		for (p = 0; p < 3; p++) {
			pids[p] = spawn();
			if (pids[p])
				continue;
			for (;;) {
				int ret = lock_acquire(&s->lock);

				REQUIRE(ret == 0 || ret == LOCK_OWNER_DIED);
				if (ret)
					store_relaxed(&s->b, load_relaxed(&s->a));
				REQUIRE(load_relaxed(&s->a) == load_relaxed(&s->b));
				store_relaxed(&s->a, load_relaxed(&s->a) + 1);
				fence_compiler();
				store_relaxed(&s->b, load_relaxed(&s->b) + 1);
				lock_release(&s->lock);
			}
		}
		while (load_relaxed(&s->b) < before + 100)
			sched_yield();
		for (unsigned int n = rand_r(&seed) % 2000; n; n--)
			cpu_relax();
		for (p = 0; p < 3; p++) {
			uint64_t now = load_relaxed(&s->b);

			kill(pids[p], SIGKILL);
			join_killed(pids[p]);
			/* the others go on */
			while (p < 2 && load_relaxed(&s->b) < now + 10)
				sched_yield();
		}
	}
	p = lock_acquire(&s->lock);
	CHECK(p == 0 || p == LOCK_OWNER_DIED);
	CHECK(s->a - s->b <= (p == LOCK_OWNER_DIED));
	lock_release(&s->lock);
	CHECK_EQ(s->lock, 0);
}

/* The holder dies while another sleeps. */
static void woken(void)
{
	pid_t holder, waiter;

	for (int i = 0; i < 20; i++) {
		store_relaxed(&s->flag, 0);
		holder = spawn();
		if (!holder) {
			REQUIRE(lock_acquire(&s->lock) == 0);
			store_release(&s->flag, 1);
			for (;;)
				pause();
		}
		await(&s->flag, 1);
		waiter = spawn();
		if (!waiter) {
			REQUIRE(lock_acquire(&s->lock) == LOCK_OWNER_DIED);
			lock_release(&s->lock);
			_exit(0);
		}
		while (!(load_relaxed(&s->lock) & FUTEX_WAITERS))
			sched_yield();
		kill(holder, SIGKILL);
		join_killed(holder);
		join(waiter);
		CHECK_EQ(s->lock, 0);
	}
}

static int in_handler[3];

static void on_usr1(int sig)
{
	in_handler[0] = lock_acquire(&s->lock);
	in_handler[1] = lock_acquire(&s->other);
	in_handler[2] = lease_acquire();
}

static void handler(void)
{
	REQUIRE(!lease_open());
	signal(SIGUSR1, on_usr1);
	REQUIRE(lock_acquire(&s->lock) == 0);
	raise(SIGUSR1);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(in_handler[i], -EBUSY);
	CHECK_EQ(s->other, 0);
	lock_release(&s->lock);
	CHECK_EQ(lock_acquire(&s->other), 0);
	lock_release(&s->other);
}

static void on_alarm(int sig)
{
}

/* Words that no kernel will mark: of nobody who lives, of nobody at all, and of
 * ourselves. Signals that come faster than the sleep ends do not prolong it. */
static void unmarked(void)
{
	struct itimerval often = {{0, 4000}, {0, 4000}}, never = {{0}, {0}};
	struct sigaction act = {.sa_handler = on_alarm};
	uint32_t words[3] = {dead_tid(), FUTEX_WAITERS, (uint32_t)getpid()};

	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	for (int i = 0; i < 3; i++) {
		s->lock = words[i];
		CHECK_EQ(lock_acquire(&s->lock), LOCK_OWNER_DIED);
		lock_release(&s->lock);
		CHECK_EQ(s->lock, 0);
	}
	setitimer(ITIMER_REAL, &never, NULL);
}

/* A holder that stands still is not waited for without end, whatever signals come. */
static void stopped(void)
{
	struct itimerval often = {{0, 4000}, {0, 4000}}, never = {{0}, {0}};
	struct sigaction act = {.sa_handler = on_alarm};
	pid_t pid = spawn();

	if (!pid) {
		REQUIRE(lock_acquire(&s->lock) == 0);
		raise(SIGSTOP);
		lock_release(&s->lock);
		_exit(0);
	}
	await_stop(pid);
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	CHECK_EQ(lock_acquire(&s->lock), -EBUSY);
	setitimer(ITIMER_REAL, &never, NULL);
	/* having given up is no state: other locks can be had, and this one later */
	CHECK_EQ(lock_acquire(&s->other), 0);
	lock_release(&s->other);
	kill(pid, SIGCONT);
	CHECK_EQ(lock_acquire(&s->lock), 0);
	lock_release(&s->lock);
	join(pid);
}

/* A child that libc's fork handlers have not seen is not its parent. */
static void forked(void)
{
	pid_t pid;

	CHECK_EQ(lock_acquire(&s->lock), 0); /* the thread is known from here */
	lock_release(&s->lock);
	pid = _Fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		await(&s->flag, 1);
		/* free when it is free, not taken from the parent for dead */
		if (lock_acquire(&s->lock) != 0)
			_exit(1);
		store_release(&s->flag, 2);
		for (;;)
			pause();
	}
	REQUIRE(lock_acquire(&s->lock) == 0);
	store_release(&s->flag, 1);
	while (!(load_acquire(&s->lock) & FUTEX_WAITERS) && !waitpid(pid, NULL, WNOHANG))
		sched_yield();
	CHECK_EQ(load_acquire(&s->lock), (uint32_t)getpid() | FUTEX_WAITERS);
	lock_release(&s->lock);
	if (check_failures)
		return;
	await(&s->flag, 2);
	/* and its death is seen */
	kill(pid, SIGKILL);
	join_killed(pid);
	CHECK_EQ(lock_acquire(&s->lock), LOCK_OWNER_DIED);
	lock_release(&s->lock);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} claims[] = {{"excludes", excludes}, {"survives", survives}, {"woken", woken},
		      {"handler", handler},   {"unmarked", unmarked}, {"stopped", stopped},
		      {"forked", forked}};

	check_private_rundir();
	s = shared_memory(4096);
	REQUIRE(argc == 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(claims); i++) {
		if (!strcmp(argv[1], claims[i].name)) {
			claims[i].run();
			return check_done();
		}
	}
	return 1;
}
