/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ordinary loader: attaches every program of an object, says "attached",
 * waits for its standard input to end and prints the first map's per-CPU sum
 * or value of key 0.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

int main(int argc, char **argv)
{
	int cpus = libbpf_num_possible_cpus();
	struct bpf_object *obj = bpf_object__open_file(argv[1], NULL);
	struct bpf_program *prog;
	struct bpf_map *map;
	unsigned long long *values, sum = 0;
	unsigned int key = 0;
	char byte;

	if (!obj || bpf_object__load(obj) || cpus < 1)
		return 1;
	bpf_object__for_each_program(prog, obj) if (!bpf_program__attach(prog)) return 2;
	puts("attached");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	values = calloc(cpus, sizeof(*values));
	map = bpf_object__next_map(obj, NULL);
	if (!values || !map || bpf_map_lookup_elem(bpf_map__fd(map), &key, values))
		return 3;
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	printf("%llu\n", sum);
	free(values);
	bpf_object__close(obj);
	return 0;
}
