/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several processes transfer between accounts in two maps and are killed at random moments and
 * replaced; in every snapshot, and in every transaction that only reads, the sum is what it was
 * at the beginning; a full LRU map, into which each transfer puts something too, is just full in
 * each of them. Without transactions it is not: the audit can fail.
 */
#include "bank.h"

#include <sched.h>
#include <sys/prctl.h>

#define WORKERS 2

static struct bank bank;
static bool closes[2];
static volatile struct {
	uint64_t commits, conflicts;
	int failed;
} * shared;

static void worker(uint64_t seed)
{
	int err;

	for (;;) {
		err = bank_transfer(&bank, closes, &seed);
		if (!err)
			__sync_fetch_and_add(&shared->commits, 1);
		else if (err == -EAGAIN)
			__sync_fetch_and_add(&shared->conflicts, 1);
		else
			fprintf(stderr, "transfer: %s\n", strerror(-err)), shared->failed = 1;
		if (check_failures)
			shared->failed = 1;
	}
}

static pid_t start(uint64_t seed)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		worker(seed);
		_exit(0);
	}
	return pid;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Until so many audits of each kind are done and so many workers are killed. */
static void load(unsigned int audits, unsigned int kills)
{
	unsigned int snapshots = 0, reads = 0, killed = 0, i, spins;
	uint64_t seed = 4711;
	pid_t pid[WORKERS];

	for (i = 0; i < WORKERS; i++)
		pid[i] = start(i + 1);
	while ((snapshots < audits || reads < audits || killed < kills ||
		shared->commits < audits) &&
	       !shared->failed && !check_failures) {
		bank_audit_snapshot(&bank);
		snapshots++;
		reads += bank_audit_txn(&bank);
		for (spins = bank_random(&seed) % 4; spins; spins--)
			sched_yield();
		if (killed < kills) {
			i = bank_random(&seed) % WORKERS;
			kill(pid[i], SIGKILL);
			REQUIRE(waitpid(pid[i], NULL, 0) == pid[i]);
			killed++;
			pid[i] = start(killed + 100);
		}
	}
	for (i = 0; i < WORKERS; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	CHECK(!shared->failed);
	CHECK(shared->commits > 0);
	bank_audit_snapshot(&bank);
	CHECK(bank_audit_txn(&bank));
	CHECK_EQ(bank_sum(&bank, bank.fd, NULL), BANK_SUM);
	printf("%llu commits, %llu conflicts, %u snapshots, %u reading transactions, %u deaths\n",
	       (unsigned long long)shared->commits, (unsigned long long)shared->conflicts,
	       snapshots, reads, killed);
}

/* Two updates in place of a transaction: a snapshot between them is wrong. */
static void negative(void)
{
	uint64_t value[VALUE_WORDS];
	uint32_t key[2];
	int snaps[2];

	value_make(&bank, 0, START - 10, value);
	CHECK_EQ(bpf_map_update_elem(bank.fd[0], key_make(&bank, 0, 0, key), value, 0), 0);
	CHECK_EQ(shmap_snapshot_maps(bank.fd, snaps, 2), 0);
	value_make(&bank, 1, START + 10, value);
	CHECK_EQ(bpf_map_update_elem(bank.fd[1], key_make(&bank, 1, 0, key), value, 0), 0);
	CHECK_EQ(bank_sum(&bank, snaps, NULL), BANK_SUM - 10);
	close(snaps[0]);
	close(snaps[1]);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		enum bpf_map_type type[2];
		unsigned int size[2];
	} pairs[] = {
		{"hash-array", {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY}, {8, 8}},
		{"large", {BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH}, {48, 104}},
		{"percpu", {BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY}, {16, 8}},
		{"lpm-lru", {BPF_MAP_TYPE_LPM_TRIE, BPF_MAP_TYPE_HASH}, {8, 24}},
	};
	const char *ops = getenv("SHMAP_TEST_OPS");
	unsigned int audits = ops ? (unsigned int)atoi(ops) : 40, i;
	double begin = now();

	REQUIRE(argc == 2 && shmap_txn_begin);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	for (i = 0; strcmp(pairs[i].name, argv[1]); i++)
		;
	bank_open(&bank, pairs[i].type[0], pairs[i].size[0], pairs[i].type[1], pairs[i].size[1]);
	if (bank.lpm[0])
		bank_cache(&bank);
	closes[0] = bank.lpm[0] || pairs[i].type[0] == BPF_MAP_TYPE_HASH ||
		    pairs[i].type[0] == BPF_MAP_TYPE_PERCPU_HASH;
	closes[1] = pairs[i].type[1] == BPF_MAP_TYPE_HASH;
	negative();
	load(audits, audits / 4);
	printf("%.1f s\n", now() - begin);
	return check_done();
}
