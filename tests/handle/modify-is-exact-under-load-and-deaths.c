/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several processes change values with shmap_modify() and are killed at random and replaced: the
 * fields of a value always agree, in lookups and in snapshots, and with nobody killed not one
 * change is lost. Without it (a lookup, then an update) some are.
 */
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "locked.h"
#include "shmap.h"

#define WORKERS 3
#define KEYS 2

static int fd;
static struct shmap_handle *handle;
static volatile struct {
	uint64_t done[WORKERS], told;
	int wrong;
} * shared;

static bool whole(const struct locked *v)
{
	return v->w[1] == v->w[0] + 1 && v->w[2] == v->w[0] + 2;
}

/* locked_add() that sees whether the value was whole. */
static int add_whole(void *value, void *arg)
{
	if (!whole(value))
		shared->wrong = 1;
	return locked_add(value, arg);
}

static void reset(void)
{
	struct locked v = {.w = {0, 1, 2}};

	for (uint32_t k = 0; k < KEYS; k++)
		REQUIRE(!bpf_map_update_elem(fd, &k, &v, 0));
}

static pid_t start(int nr, uint64_t n, bool modify)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (uint64_t i = 0; i < n; i++) {
		uint64_t one = 1;
		uint32_t k = (uint32_t)i % KEYS;
		struct locked v;

		if (modify) {
			if (shmap_modify(handle, &k, add_whole, &one))
				shared->wrong = 2;
		} else {
			if (bpf_map_lookup_elem_flags(fd, &k, &v, BPF_F_LOCK))
				shared->wrong = 3;
			locked_add(&v, &one);
			if (i % 64 == 0)
				sched_yield();
			if (bpf_map_update_elem(fd, &k, &v, BPF_F_LOCK))
				shared->wrong = 4;
		}
		shared->done[nr]++;
	}
	_exit(0);
}

static uint64_t sum(void)
{
	struct locked v;
	uint64_t n = 0;

	for (uint32_t k = 0; k < KEYS; k++) {
		CHECK_EQ(bpf_map_lookup_elem_flags(fd, &k, &v, BPF_F_LOCK), 0);
		CHECK(whole(&v));
		n += v.w[0];
	}
	return n;
}

static void look_at_snapshot(void)
{
	int snap = shmap_snapshot(fd);
	struct locked v;

	REQUIRE(snap >= 0);
	for (uint32_t k = 0; k < KEYS; k++) {
		CHECK_EQ(bpf_map_lookup_elem(snap, &k, &v), 0);
		CHECK(whole(&v));
	}
	close(snap);
}

static void exact(uint64_t n, bool modify)
{
	int status = -1;
	pid_t pid[WORKERS];

	reset();
	for (int i = 0; i < WORKERS; i++)
		pid[i] = start(i, n, modify);
	for (int i = 0; i < WORKERS; i++)
		CHECK(waitpid(pid[i], &status, 0) == pid[i] && !status);
	if (modify)
		CHECK_EQ(sum(), WORKERS * n);
	else
		printf("lost without it: %llu of %llu\n", (unsigned long long)(WORKERS * n - sum()),
		       (unsigned long long)(WORKERS * n));
}

static void deaths(int kills)
{
	uint64_t seed = 1;
	pid_t pid[WORKERS];
	int i, k;

	reset();
	for (i = 0; i < WORKERS; i++)
		shared->done[i] = 0, pid[i] = start(i, UINT64_MAX, true);
	for (k = 0; k < kills && !shared->wrong && !check_failures; k++) {
		seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
		i = (int)(seed >> 33) % WORKERS;
		look_at_snapshot();
		kill(pid[i], SIGKILL);
		REQUIRE(waitpid(pid[i], NULL, 0) == pid[i]);
		sum();
		pid[i] = start(i, UINT64_MAX, true);
	}
	for (i = 0; i < WORKERS; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	/* a worker that is killed may have changed a value and not counted it */
	for (i = 0, seed = 0; i < WORKERS; i++)
		seed += shared->done[i];
	CHECK(sum() >= seed && sum() <= seed + (uint64_t)kills + WORKERS);
}

int main(int argc, char **argv)
{
	const char *ops = getenv("SHMAP_TEST_OPS");
	uint64_t n = ops ? strtoull(ops, NULL, 0) : 100000;

	REQUIRE(argc == 2 && shmap_modify);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	fd = locked_map(strcmp(argv[1], "hash") ? BPF_MAP_TYPE_ARRAY : BPF_MAP_TYPE_HASH, KEYS);
	handle = shmap_handle_open(fd);
	REQUIRE(handle);
	exact(n, true);
	exact(n / 10, false);
	deaths(20);
	CHECK_EQ(shared->wrong, 0);
	return check_done();
}
