/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * atomics [OBJECT]: four processes run programs that change the same variables by atomic
 * operations; then two without. `atomics --call`: just the processes, each with 1000 calls of
 * getpgid(2), for `shmap run atomics.bpf.o -- atomics --call`.
 */
#include "../workers.h"

#include <sys/syscall.h>
#include "atomics.h"

static int packet_fd, sizes_fd, careless_fd;

static void call(int n)
{
	for (int i = 0; i < 1000; i++)
		syscall(SYS_getpgid, 0);
}

static void count_packets(int n)
{
	for (int i = 0; i < RUNS / 100; i++)
		run_packets(packet_fd, n, i, 100);
}

static void count_sizes(int n)
{
	for (int i = 0; i < RUNS / 100; i++)
		run_packets(sizes_fd, 0, 0, 100);
}

static void count_one(int n)
{
	run_packets(careless_fd, 0, 1, 1);
}

static void count_others(void)
{
	run_packets(careless_fd, 0, 0, 10);
}

int main(int argc, char **argv)
{
	struct sizes s = {0};
	struct globals *g;
	struct bpf_object *obj;
	unsigned int key = 1;
	int map;

	if (argc > 1 && !strcmp(argv[1], "--call")) {
		work_together(call);
		return 0;
	}
	obj = load_packet_programs(example_object(argc, argv, "atomics"));
	packet_fd = program_fd(obj, "count_packet");
	sizes_fd = program_fd(obj, "count_sizes");
	careless_fd = program_fd(obj, "careless");
	map = map_fd(obj, "sizes");
	g = map_memory(map_fd(obj, ".bss"), sizeof(*g));
	g->left = WORKERS * RUNS;
	g->missing = (1 << WORKERS) - 1;
	if (bpf_map_update_elem(map, &key, &s, BPF_ANY))
		die("update");

	work_together(count_packets);
	printf("%d processes, %d packets each\n", WORKERS, RUNS);
	printf("add %llu, of 4 bytes %u, sub %lld\n", g->calls, g->small, g->left);
	printf("or %#llx, and %#llx, xor %#llx\n", g->seen, g->missing, g->odd);
	printf("xchg: by one of them: %s, turns seen: %s\n",
	       g->last >= 1 && g->last <= WORKERS ? "yes" : "no",
	       g->changes >= WORKERS && g->changes <= WORKERS * RUNS ? "yes" : "no");
	printf("cmpxchg: the largest is %llu\n", g->most);

	work_together(count_sizes);
	if (bpf_map_lookup_elem(map, &key, &s))
		die("lookup");
	printf("in a map: 1 byte %u and %u, 2 bytes %u, 4 bytes %u, 8 bytes %llu\n", s.one, s.many,
	       s.two, s.four, s.eight);

	run_interrupted(obj, count_one, count_others);
	printf("11 packets by load, addition and store: counted %u\n", g->careless);
	bpf_object__close(obj);
	return 0;
}
