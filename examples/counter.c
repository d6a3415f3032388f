/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counter [OBJECT [SECONDS | -]]: loads count_mmap.bpf.o, attaches it, and shows the per-CPU
 * counter: what user space writes for each CPU, it reads back as sum. With
 * SECONDS, then counts from zero for that long (-: until standard input ends) and
 * prints the count.
 */
#include "example.h"

static unsigned long long sum(int map, int cpus)
{
	unsigned long long *values = calloc(cpus, sizeof(*values)), total = 0;
	unsigned int key = 0;

	if (!values || bpf_map_lookup_elem(map, &key, values))
		die("lookup");
	for (int cpu = 0; cpu < cpus; cpu++)
		total += values[cpu];
	free(values);
	return total;
}

static void set(int map, int cpus, unsigned long long each)
{
	unsigned long long *values = calloc(cpus, sizeof(*values));
	unsigned int key = 0;

	if (!values)
		die("memory");
	for (int cpu = 0; cpu < cpus; cpu++)
		values[cpu] = each;
	if (bpf_map_update_elem(map, &key, values, BPF_ANY))
		die("update");
	free(values);
}

int main(int argc, char **argv)
{
	int cpus = libbpf_num_possible_cpus(), fd;
	struct bpf_program *prog;
	struct bpf_object *obj;
	struct bpf_link *link;
	struct bpf_map *map;
	unsigned int key = 1;

	obj = example_load(example_object(argc, argv, "count_mmap"), &prog);
	map = bpf_object__find_map_by_name(obj, "percpu_counter");
	if (!map)
		die("percpu_counter");
	fd = bpf_map__fd(map);
	printf("map %s: key %u bytes, value %u bytes, %u entries\n", bpf_map__name(map),
	       bpf_map__key_size(map), bpf_map__value_size(map), bpf_map__max_entries(map));
	printf("fresh sum: %llu\n", sum(fd, cpus));
	set(fd, cpus, 7);
	printf("sum of 7 on each CPU: %s\n", sum(fd, cpus) == 7ULL * cpus ? "right" : "wrong");
	printf("lookup of key 1: %s\n",
	       bpf_map_lookup_elem(fd, &key, &key) ? strerror(errno) : "found");
	set(fd, cpus, 0);
	link = example_attach(prog);
	if (argc > 2 && link) {
		example_wait(argv[2]);
		printf("mmap calls: %llu\n", sum(fd, cpus));
	}
	bpf_link__destroy(link);
	bpf_object__close(obj);
	return 0;
}
