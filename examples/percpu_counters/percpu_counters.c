/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * percpu_counters [OBJECT]: four processes count packets, each CPU in memory of its own; the
 * sums are exact. Then two count in the same memory, and one count is lost.
 */
#include "../workers.h"
#include "percpu_counters.h"

static int count_fd, careless_fd;

static unsigned long long sum_of(int map, unsigned int key)
{
	int cpus = libbpf_num_possible_cpus();
	unsigned long long *values = calloc(cpus, sizeof(*values)), total = 0;

	if (!values || bpf_map_lookup_elem(map, &key, values))
		die("lookup");
	for (int cpu = 0; cpu < cpus; cpu++)
		total += values[cpu];
	free(values);
	return total;
}

static void count_packets(int n)
{
	for (int i = 0; i < RUNS / 100; i++)
		run_packets(count_fd, i, 0, 100);
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
	unsigned long long value = 0;
	struct bpf_object *obj;
	unsigned int key = 0;
	int array, hash;

	obj = load_packet_programs(example_object(argc, argv, "percpu_counters"));
	count_fd = program_fd(obj, "count");
	careless_fd = program_fd(obj, "careless");
	array = map_fd(obj, "by_index");
	hash = map_fd(obj, "by_name");

	work_together(count_packets);
	printf("%d processes, %d packets each\n", WORKERS, RUNS);
	for (unsigned int kind = 0; kind < KINDS; kind++)
		printf("kind %u: array %llu, hash %llu, summed by a program %u\n", kind,
		       sum_of(array, kind), sum_of(hash, 100 + kind),
		       run_packets(program_fd(obj, "total"), kind, 0, 1));

	run_interrupted(obj, count_one, count_others);
	if (bpf_map_lookup_elem(map_fd(obj, "shared"), &key, &value))
		die("lookup");
	printf("11 packets in one value, loaded, added to and stored: counted %llu\n", value);
	bpf_object__close(obj);
	return 0;
}
