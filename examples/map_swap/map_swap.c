/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map_swap [OBJECT]: snapshots of counters, while four processes count. The map in place is swapped
 * for an empty one; when the update has returned nobody counts in the old one any more.
 */
#include "../workers.h"

#define SWAPS 20

static int count_fd, outer_fd, inner_fd[2];

static void count_packets(int n)
{
	for (int i = 0; i < RUNS / 100; i++)
		run_packets(count_fd, 0, 0, 100);
}

static unsigned long long get(int map, unsigned int key)
{
	unsigned long long value = 0;

	if (bpf_map_lookup_elem(map, &key, &value))
		die("lookup");
	return value;
}

static void put(int map, unsigned int key, const void *value)
{
	if (bpf_map_update_elem(map, &key, value, BPF_ANY))
		die("update");
}

static void clear(int map)
{
	unsigned long long zero = 0;

	put(map, 0, &zero);
	put(map, 1, &zero);
}

int main(int argc, char **argv)
{
	unsigned long long packets = 0, lost;
	struct bpf_object *obj;
	pid_t pid[WORKERS];
	int now = 0, torn = 0, changed = 0;

	obj = load_packet_programs(example_object(argc, argv, "map_swap"));
	count_fd = program_fd(obj, "count");
	outer_fd = map_fd(obj, "current");
	inner_fd[0] = map_fd(obj, "first");
	inner_fd[1] = map_fd(obj, "second");

	fflush(stdout);
	for (int n = 0; n < WORKERS; n++)
		pid[n] = start_worker(n, count_packets);
	for (int i = 0; i < SWAPS; i++, now = !now) {
		unsigned long long seen;

		clear(inner_fd[!now]);
		put(outer_fd, 0, &inner_fd[!now]);
		/* nobody is in it now: what is read is read at leisure */
		seen = get(inner_fd[now], 0);
		torn += get(inner_fd[now], 1) != 64 * seen;
		changed += get(inner_fd[now], 0) != seen;
		packets += seen;
	}
	for (int n = 0; n < WORKERS; n++)
		wait_for_worker(pid[n]);
	packets += get(inner_fd[now], 0);
	printf("%d processes, %d packets each, %d snapshots meanwhile\n", WORKERS, RUNS, SWAPS);
	printf("packets in the snapshots %llu; torn %d, changed after they were taken %d\n",
	       packets, torn, changed);

	/* How it goes wrong: reading and clearing a map that is in use. */
	clear(inner_fd[now]);
	run_packets(count_fd, 0, 0, 10);
	lost = get(inner_fd[now], 0);
	run_packets(count_fd, 0, 0, 5); /* just now */
	clear(inner_fd[now]);
	printf("15 packets, read and cleared in place: counted %llu\n",
	       lost + get(inner_fd[now], 0));
	bpf_object__close(obj);
	return 0;
}
