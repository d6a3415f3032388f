/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An ordinary loader: attaches every program of an object, says "attached",
 * waits for its standard input to end and prints the first map's per-CPU sum
 * or value of key 0. With a third argument it attaches the first program to
 * getppid's entry with that cookie.
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
	prog = bpf_object__next_program(obj, NULL);
	if (argc > 2) {
		LIBBPF_OPTS(bpf_tracepoint_opts, opts, .bpf_cookie = strtoull(argv[2], NULL, 0));

		if (!bpf_program__attach_tracepoint_opts(prog, "syscalls", "sys_enter_getppid", &opts))
			return 2;
		prog = NULL;
	}
	for (; prog; prog = bpf_object__next_program(obj, prog))
		if (!bpf_program__attach(prog))
			return 2;
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
