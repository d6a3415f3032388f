/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction: four processes move money between accounts, one of them is killed again and
 * again; the sum is what it was, whenever one looks by a transaction or a snapshot. With two
 * updates in place of a transaction it is not.
 */
#include <bpf/bpf.h>
#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <shmap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define ACCOUNTS 8
#define TRANSFERS 5000 /* of each worker */
#define LOOKS 50

static int accounts;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned int random_below(unsigned int n)
{
	return (unsigned int)rand() % n;
}

static void move(unsigned int from, unsigned int to)
{
	struct shmap_txn *t;
	long long a, b;
	int err;

	do {
		t = shmap_txn_begin();
		if (!t)
			die("begin");
		err = shmap_txn_get(t, accounts, &from, &a);
		if (!err)
			err = shmap_txn_get(t, accounts, &to, &b);
		a--, b++;
		if (!err)
			err = shmap_txn_put(t, accounts, &from, &a, BPF_EXIST);
		if (!err)
			err = shmap_txn_put(t, accounts, &to, &b, BPF_EXIST);
		if (!err)
			err = shmap_txn_commit(t);
		else
			shmap_txn_abort(t);
		/* somebody else was there first: anew */
	} while (err == -EAGAIN);
	if (err)
		die("transfer");
}

static pid_t start(int n, long transfers)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid)
		return pid;
	srand((unsigned int)n);
	for (; transfers; transfers--) {
		unsigned int from = random_below(ACCOUNTS), to = random_below(ACCOUNTS - 1);

		move(from, to + (to >= from));
	}
	exit(0);
}

static void open_accounts(void)
{
	long long start = 1000;

	for (unsigned int i = 0; i < ACCOUNTS; i++)
		if (bpf_map_update_elem(accounts, &i, &start, 0))
			die("update");
}

static long long sum(int fd)
{
	long long all = 0, a;

	for (unsigned int i = 0; i < ACCOUNTS; i++) {
		if (bpf_map_lookup_elem(fd, &i, &a))
			die("lookup");
		all += a;
	}
	return all;
}

static void work(void)
{
	pid_t pid[WORKERS];
	int status;

	open_accounts();
	for (int n = 0; n < WORKERS; n++)
		pid[n] = start(n, TRANSFERS);
	for (int n = 0; n < WORKERS; n++)
		if (waitpid(pid[n], &status, 0) != pid[n] || status)
			exit(1);
	printf("%d processes, %d transfers each: the sum is what it was: %s\n", WORKERS, TRANSFERS,
	       sum(accounts) == ACCOUNTS * 1000 ? "yes" : "no");
	fflush(stdout);
}

int main(void)
{
	int good = 0, snap;
	pid_t pid;

	if (!shmap_txn_begin) {
		fprintf(stderr, "the kernel has no transactions\n");
		return 1;
	}
	accounts = bpf_map_create(BPF_MAP_TYPE_HASH, "accounts", 4, 8, ACCOUNTS, NULL);
	if (accounts < 0)
		die("map");
	work();

	/* killed wherever it is; who comes next finishes or forgets what it was about */
	for (int i = 0; i < LOOKS; i++) {
		pid = start(i, LONG_MAX);
		usleep(1000);
		snap = shmap_snapshot(accounts);
		good += snap >= 0 && sum(snap) == ACCOUNTS * 1000;
		close(snap);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		good += sum(accounts) == ACCOUNTS * 1000;
	}
	printf("%d snapshots and %d deaths in the middle: %d sums are right\n", LOOKS, LOOKS, good);
	fflush(stdout);

	/* what it is good for: somebody looks between two updates */
	open_accounts();
	{
		unsigned int from = 0;
		long long a = 999;

		if (bpf_map_update_elem(accounts, &from, &a, 0))
			die("update");
	}
	printf("two updates in its place, and a look after the first: the sum is what it was: %s\n",
	       sum(accounts) == ACCOUNTS * 1000 ? "yes" : "no");
	return 0;
}
