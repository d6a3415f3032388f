/* SPDX-License-Identifier: BSD-2-Clause */
/* CPU leases and grace periods. The argument says which claim. */
#include "util.h"

#include <sys/mount.h>

#define PROCS 4

/* As sync/lease.c lays the file out; the tests write into it what damage and
 * deaths without a mark leave. */
struct line {
	uint64_t word;
	uint32_t seq, stalled;
	uint64_t waits;
	uint8_t rest[40];
};

static unsigned int cpus;
static struct line *lines;
static uint32_t *shared;

static void begin(void)
{
	int fd;

	REQUIRE(!lease_open());
	cpus = lease_possible_cpus();
	fd = rundir_open_shared("cpus");
	REQUIRE(fd >= 0);
	lines = mmap(NULL, (1 + cpus) * sizeof(*lines), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(lines != MAP_FAILED);
	close(fd);
	lines++;
	shared = shared_memory((2 + 2 * (size_t)cpus) * 4096);
}

/* A child that has a lease and stopped itself; later it gives it back and ends. */
static pid_t stopped_owner(void)
{
	pid_t pid = spawn();

	if (!pid) {
		REQUIRE(lease_acquire() >= 0);
		raise(SIGSTOP);
		lease_release();
		_exit(0);
	}
	await_stop(pid);
	return pid;
}

static void excludes(void)
{
	uint32_t *inside = shared, *count = shared + cpus, total = 0;
	pid_t pids[PROCS];
	unsigned int i;

	for (i = 0; i < PROCS; i++) {
		pids[i] = spawn();
		if (pids[i])
			continue;
		for (int n = 0; n < 20000; n++) {
			int cpu = lease_acquire();

			REQUIRE(cpu >= 0 && (unsigned int)cpu < cpus && lease_cpu() == cpu);
			REQUIRE(lease_acquire() == -EBUSY); /* one per thread */
			REQUIRE(fetch_add_relaxed(&inside[cpu], 1) == 0);
			count[cpu]++; /* plain: only the lease keeps it exact */
			fetch_add_relaxed(&inside[cpu], -1u);
			lease_release();
			REQUIRE(lease_cpu() == -1);
		}
		_exit(0);
	}
	for (i = 0; i < PROCS; i++)
		join(pids[i]);
	for (i = 0; i < cpus; i++)
		total += count[i];
	CHECK_EQ(total, PROCS * 20000);
}

/* The very first tenants of all lines stop: also they are found out. */
static void all_stopped(void)
{
	pid_t *pids = calloc(cpus, sizeof(*pids));
	unsigned int i;
	uint32_t stamp;

	for (int round = 0; round < 2; round++) {
		for (i = 0; i < cpus; i++)
			pids[i] = stopped_owner();
		stamp = lease_stamp();
		CHECK(!lease_elapsed(stamp, -1));
		CHECK_EQ(lease_acquire(), -EBUSY);
		CHECK_EQ(lease_cpu(), -1);
		/* found stalled, and so not waited for */
		CHECK(lease_elapsed(stamp, -1));
		/* which owner has which line is not said */
		for (i = 0; i < cpus; i++)
			CHECK(lines[i].word);
		for (i = 0; i < cpus; i++) {
			kill(pids[i], SIGCONT);
			join(pids[i]);
		}
		for (i = 0; i < cpus; i++)
			CHECK(!lines[i].word && !lines[i].stalled);
		CHECK(lease_acquire() >= 0);
		CHECK(!lease_elapsed(lease_stamp(), -1)); /* a lease that moves counts */
		lease_release();
	}
	free(pids);
}

/* A dead owner's lease is free at once: to a taker and to a grace period. */
static void dead(void)
{
	cpu_set_t one;
	int cpu;

	CPU_ZERO(&one);
	cpu = sched_getcpu();
	CPU_SET(cpu, &one);
	REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
	for (int i = 0; i < 50; i++) {
		pid_t pid = spawn();

		if (!pid) {
			REQUIRE(lease_acquire() == cpu);
			if (i & 1)
				REQUIRE(lock_acquire(&shared[0]) == 0);
			kill(getpid(), SIGKILL);
		}
		join_killed(pid);
		CHECK((uint32_t)lines[cpu].word & FUTEX_OWNER_DIED);
		CHECK(lease_elapsed(lease_stamp(), -1));
		CHECK_EQ(lease_acquire(), cpu);
		lease_release();
		if (i & 1) {
			CHECK_EQ(lock_acquire(&shared[0]), LOCK_OWNER_DIED);
			lock_release(&shared[0]);
		}
	}
}

/* Killed while it stood stalled: who takes its lease is not taken for stalled. */
static void dead_stalled(void)
{
	pid_t pid = stopped_owner();
	uint32_t stamp = lease_stamp();
	unsigned int i;

	lease_wait(stamp, -1);
	CHECK(lease_elapsed(stamp, -1));
	kill(pid, SIGKILL);
	join_killed(pid);
	for (i = 0; i < cpus; i++) {
		/* Another waiter's mark for the dead one comes late, and all lines
		 * but this one are held. */
		if (!lines[i].word)
			lines[i].word = 1;
		else
			lines[i].stalled = lines[i].seq + 1;
	}
	shared[0] = (uint32_t)lease_acquire();
	REQUIRE((int)shared[0] >= 0);
	for (i = 0; i < cpus; i++)
		if (i != shared[0])
			lines[i].word = 0;
	CHECK(!lease_elapsed(lease_stamp(), -1));
	lease_release();
}

static void grace(void)
{
	uint32_t stamp;
	pid_t pid;

	pid = spawn();
	if (!pid) {
		REQUIRE(lease_acquire() >= 0);
		store_release(&shared[0], 1);
		await(&shared[0], 2);
		lease_release();
		_exit(0);
	}
	await(&shared[0], 1);
	stamp = lease_stamp();
	CHECK(!lease_elapsed(stamp, -1));
	CHECK(!lease_elapsed(stamp, -1));
	/* that started a new epoch: a lease taken now is not in the way of this
	 * stamp, but of the next */
	CHECK(lease_stamp() != stamp);
	store_release(&shared[0], 2);
	lease_wait(stamp, -1);
	CHECK(lease_elapsed(stamp, -1));
	join(pid);
	REQUIRE(lease_acquire() >= 0);
	CHECK(lease_elapsed(stamp, -1));
	CHECK(!lease_elapsed(lease_stamp(), -1));
	CHECK(lease_elapsed(lease_stamp(), lease_cpu()));
	lease_release();

	/* and a stopped one is not waited for */
	pid = stopped_owner();
	stamp = lease_stamp();
	CHECK(!lease_elapsed(stamp, -1));
	lease_wait(stamp, -1);
	CHECK(lease_elapsed(stamp, -1));
	kill(pid, SIGCONT);
	join(pid);
}

/* Owners that are gone without a mark: taken back after the bound, by one each. */
/* Runs that wait for each other, as their updates do in a full map: all are sent on, and
 * none of them by being given up for stalled. One that waits for a run that goes on is not. */
static void circle(void)
{
	uint32_t *ready = shared, *ended = shared + 1, *given_up = shared + 2;
	uint32_t n = cpus < 8 ? cpus : 8;
	pid_t pids[8];

	if (cpus < 2)
		SKIP("one CPU: nobody to wait for");
	for (int round = 0; round < 50; round++) {
		*ready = *ended = 0;
		for (uint32_t i = 0; i < n; i++) {
			pids[i] = spawn();
			if (pids[i])
				continue;
			REQUIRE(lease_acquire() >= 0);
			fetch_add_seq_cst(ready, 1);
			while (load_relaxed(ready) < n)
				sched_yield();
			/* every second round: one of them runs on until all others wait */
			if (round & 1 && !i) {
				for (uint32_t c = 0; c < cpus; c++)
					while ((int)c != lease_cpu() &&
					       (uint32_t)load_relaxed(&lines[c].word) &&
					       !load_relaxed(&lines[c].waits))
						sched_yield();
				for (int k = 0; k < 100; k++)
					sched_yield();
				if (load_relaxed(ended))
					_exit(1);
			}
			lease_wait(lease_stamp(), lease_cpu());
			fetch_add_seq_cst(ended, 1);
			for (uint32_t c = 0; c < cpus; c++)
				fetch_add_relaxed(given_up, !!load_relaxed(&lines[c].stalled));
			lease_release();
			_exit(0);
		}
		for (uint32_t i = 0; i < n; i++)
			join(pids[i]);
		for (uint32_t c = 0; c < cpus; c++)
			CHECK_EQ(lines[c].waits, 0);
	}
	/* now and then the machine itself may stand still */
	CHECK(*given_up < 25);
}

/* CPUs 0 to 3 are possible, 0 and 3 online: the leases of the others come last. */
static void fake_cpus(void)
{
	static const char *const files[][2] = {{"possible", "0-3\n"}, {"online", "0,3\n"}};
	uid_t uid = geteuid();

	if (unshare(CLONE_NEWNS | (uid ? CLONE_NEWUSER : 0)) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		SKIP("no mount namespace can be made here");
	for (int i = 0; i < 2; i++) {
		char from[] = "/tmp/lease.XXXXXX", to[64];
		int fd = mkstemp(from), failed;

		REQUIRE(fd >= 0 && write(fd, files[i][1], strlen(files[i][1])) > 0);
		close(fd);
		snprintf(to, sizeof(to), "/sys/devices/system/cpu/%s", files[i][0]);
		failed = mount(from, to, NULL, MS_BIND, NULL);
		unlink(from);
		if (failed)
			SKIP("nothing can be mounted in /sys here");
	}
}

static void online_first(void)
{
	pid_t pids[2];
	cpu_set_t one;

	REQUIRE(cpus == 4);
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		SKIP("CPU 0 is not ours");
	pids[0] = stopped_owner();
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(lease_acquire(), 3);
		lease_release();
	}
	pids[1] = stopped_owner();
	CHECK_EQ((uint32_t)lines[3].word, (uint32_t)pids[1]);
	/* rather than none */
	CHECK_EQ(lease_acquire(), 1);
	lease_release();
	for (int i = 0; i < 2; i++) {
		kill(pids[i], SIGCONT);
		join(pids[i]);
	}
}

static void gone(void)
{
	uint32_t tid = dead_tid(), *inside = shared, *round = shared + cpus, *done = round + 1;
	pid_t pids[3];
	unsigned int i;

	for (i = 0; i < cpus; i++)
		lines[i].word = tid;
	CHECK(lease_acquire() >= 0); /* nobody tells: the stall bound finds them */
	lease_release();

	for (i = 0; i < 3; i++) {
		pids[i] = spawn();
		if (pids[i])
			continue;
		for (uint32_t r = 1; r <= 3000; r++) {
			int cpu;

			await(round, r);
			cpu = lease_acquire();
			if (cpu >= 0) {
				REQUIRE(fetch_add_relaxed(&inside[cpu], 1) == 0);
				sched_yield();
				fetch_add_relaxed(&inside[cpu], -1u);
				lease_release();
			}
			fetch_add_seq_cst(done, 1);
		}
		_exit(0);
	}
	for (uint32_t r = 1; r <= 3000; r++) {
		store_relaxed(done, 0);
		for (i = 0; i < cpus; i++) {
			lines[i].word = tid;
			lines[i].stalled = lines[i].seq + 1;
		}
		store_release(round, r);
		while (load_acquire(done) != 3) {
			int status;

			if (waitpid(-1, &status, WNOHANG) > 0 && r < 3000)
				exit(1); /* it has said why */
			sched_yield();
		}
	}
	for (i = 0; i < 3; i++)
		waitpid(pids[i], NULL, 0);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} claims[] = {{"excludes", excludes}, {"all-stopped", all_stopped},   {"dead", dead},
		      {"grace", grace},	      {"dead-stalled", dead_stalled}, {"gone", gone},
		      {"circle", circle},     {"online-first", online_first}};

	check_private_rundir();
	REQUIRE(argc == 2);
	if (!strcmp(argv[1], "online-first"))
		fake_cpus();
	begin();
	for (unsigned int i = 0; i < ARRAY_SIZE(claims); i++) {
		if (!strcmp(argv[1], claims[i].name)) {
			claims[i].run();
			return check_done();
		}
	}
	return 1;
}
