/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A writer is killed at random instants, again and again; afterwards each value
 * is one that some update wrote, whole, to writable and to read-only readers.
 * The argument says which writer:
 *   plain   bpf(2) updates of an ARRAY       (redo records)
 *   locked  BPF_F_LOCK updates of an ARRAY   (claims)
 *   percpu  bpf(2) updates of a PERCPU_ARRAY
 *   program updates by a program of its CPU's value of a PERCPU_ARRAY
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../check.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "map/map.h"
#include "sync/lease.h"
#include "sync/lock.h"

#define SIZE 16384u
#define ENTRIES 5u
#define LOCK_OFF 4

static struct map *m, *read_only;
static const char *what;
static uint32_t *progress;

static void writer(void)
{
	uint8_t *v = malloc(m->user_value_size);

	for (uint32_t i = 0;; i++) {
		uint32_t key = i % ENTRIES;

		memset(v, i, m->user_value_size);
		if (!strcmp(what, "locked")) {
			m->ops->write(m, &key, v, BPF_F_LOCK);
		} else if (!strcmp(what, "program")) {
			if (lease_acquire() < 0)
				continue;
			m->ops->update(m, &key, v, 0);
			lease_release();
		} else {
			m->ops->write(m, &key, v, 0);
		}
		store_relaxed(progress, i);
	}
}

static bool whole(const uint8_t *p, uint32_t n)
{
	return n < 2 || !memcmp(p, p + 1, n - 1);
}

static void check_values(struct map *map, uint64_t flags)
{
	uint32_t n = map->user_value_size;
	uint8_t *v = malloc(n);

	for (uint32_t key = 0; key < ENTRIES; key++) {
		CHECK_EQ(map->ops->read(map, &key, v, flags), 0);
		if (!strcmp(what, "locked"))
			memset(v + LOCK_OFF, v[0], 4);
		if (!strcmp(what, "program")) {
			for (uint32_t cpu = 0; cpu < n / SIZE; cpu++)
				CHECK(whole(v + cpu * SIZE, SIZE));
		} else {
			CHECK(whole(v, n));
		}
	}
	free(v);
}

/*
 * A program takes the locks over from the dead writer and stores in place: what
 * the dead one had staged must not come after it.
 */
static void program_takes_locks(void)
{
	REQUIRE(lease_acquire() >= 0);
	for (uint32_t key = 0; key < ENTRIES; key++) {
		uint8_t *p = m->ops->lookup(m, &key);
		void *kept;

		CHECK_EQ(m->ops->section_begin(m, p, 0, &kept), 0);
		memset(p, 0xee, LOCK_OFF);
		memset(p + LOCK_OFF + 4, 0xee, SIZE - LOCK_OFF - 4);
		map_section_end(kept);
		lock_release((uint32_t *)(p + LOCK_OFF));
	}
	lease_release();
}

static void check_ee(void)
{
	uint8_t *v = malloc(SIZE);

	for (uint32_t key = 0; key < ENTRIES; key++) {
		CHECK_EQ(m->ops->read(m, &key, v, BPF_F_LOCK), 0);
		CHECK_EQ(v[0], 0xee);
		CHECK_EQ(v[SIZE - 1], 0xee);
	}
	free(v);
}

int main(int argc, char **argv)
{
	struct map_attr attr = {.map_type = BPF_MAP_TYPE_ARRAY,
				.key_size = 4,
				.value_size = SIZE,
				.max_entries = ENTRIES,
				.spin_lock_off = -1};
	int rounds = 150, fd, ro, dead_seen = 0;
	char proc[64], why[256] = "";

	what = argc > 1 ? argv[1] : "plain";
	check_private_rundir();
	if (getenv("SHMAP_TEST_OPS"))
		rounds = atoi(getenv("SHMAP_TEST_OPS")) / 100;
	if (!strcmp(what, "locked"))
		attr.spin_lock_off = LOCK_OFF;
	if (!strcmp(what, "percpu") || !strcmp(what, "program"))
		attr.map_type = BPF_MAP_TYPE_PERCPU_ARRAY;
	REQUIRE(!map_create(&attr, -1, &m, &fd));
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	ro = open(proc, O_RDONLY | O_CLOEXEC);
	REQUIRE(ro >= 0 && !map_open(ro, &read_only));
	progress = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(progress != MAP_FAILED);

	for (int i = 0; i < rounds && !check_failures; i++) {
		pid_t pid;

		store_relaxed(progress, 0);
		pid = fork();
		REQUIRE(pid >= 0);
		if (!pid)
			writer();
		/* it is at work; where exactly the signal meets it is chance */
		while (load_relaxed(progress) < 20 + i % 7)
			sched_yield();
		kill(pid, SIGKILL);
		REQUIRE(waitpid(pid, NULL, 0) == pid);
		if (m->ops->validate(m, NULL, 0))
			dead_seen++;
		/* first who cannot repair, then who does, then everything again */
		check_values(read_only, 0);
		if (!strcmp(what, "locked") && i % 3 == 0) {
			program_takes_locks();
			check_ee();
		}
		if (i & 1) {
			CHECK_EQ(m->ops->recover(m), 0);
			CHECK_EQ(m->ops->validate(m, why, sizeof(why)), 0);
		}
		check_values(m, !strcmp(what, "locked") && i & 2 ? BPF_F_LOCK : 0);
		if (!strcmp(what, "locked"))
			check_values(read_only, BPF_F_LOCK);
		check_values(m, 0);
	}
	CHECK_EQ(m->ops->recover(m), 0);
	CHECK_EQ(m->ops->validate(m, why, sizeof(why)), 0);
	if (*why)
		fprintf(stderr, "%s\n", why);
	/* the test has tested something */
	CHECK(dead_seen > rounds / 20);
	printf("%d of %d deaths were inside an update\n", dead_seen, rounds);
	return check_done();
}
