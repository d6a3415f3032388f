/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot: a writer counts two keys up, the first one first; whoever looks them up one after the
 * other may find the second ahead. A snapshot has both as of one instant.
 */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <shmap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEYS 2000
#define SNAPSHOTS 200

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static unsigned long long get(int fd, unsigned int key)
{
	unsigned long long value;

	if (bpf_map_lookup_elem(fd, &key, &value))
		die("lookup");
	return value;
}

static void put(int fd, unsigned int key, unsigned long long value)
{
	if (bpf_map_update_elem(fd, &key, &value, BPF_ANY))
		die("update");
}

/* Round by round each key in turn: at any instant no key is ahead of one before it, and the first
 * at most one ahead of the last. */
static void write_rounds(int fd)
{
	for (unsigned long long round = 1;; round++)
		for (unsigned int key = 0; key < KEYS; key++)
			put(fd, key, round);
}

static int one_instant(int fd)
{
	unsigned long long first = get(fd, 0), before = first, value;

	for (unsigned int key = 1; key < KEYS; key++) {
		value = get(fd, key);
		if (value > before || value + 1 < first)
			return 0;
		before = value;
	}
	return 1;
}

int main(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "rounds", 4, 8, KEYS, NULL);
	int snap, good = 0, walks_wrong = 0;
	unsigned int key;
	pid_t pid;

	if (!shmap_snapshot) {
		fprintf(stderr, "the kernel has no snapshots\n");
		return 1;
	}
	if (fd < 0)
		die("map");
	for (key = 0; key < KEYS; key++)
		put(fd, key, 0);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid)
		write_rounds(fd);
	for (int i = 0; i < SNAPSHOTS; i++) {
		snap = shmap_snapshot(fd);
		if (snap < 0)
			die("snapshot");
		good += one_instant(snap);
		close(snap);
	}
	printf("%d snapshots while another process writes: %d of one instant\n", SNAPSHOTS, good);
	/* until it has been seen to go wrong */
	while (!walks_wrong)
		walks_wrong = !one_instant(fd);
	printf("the map itself, key by key: not of one instant\n");
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);

	snap = shmap_snapshot(fd);
	key = 0;
	put(fd, key, 7);
	printf("a snapshot stays: %s; it takes no update: %s\n",
	       get(snap, key) != 7 && get(fd, key) == 7 ? "yes" : "no",
	       bpf_map_update_elem(snap, &key, &key, BPF_ANY) ? "yes" : "no");
	return 0;
}
