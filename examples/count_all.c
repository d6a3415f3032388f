/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * count_all [OBJECT [SECONDS | -]]: loads count_all.bpf.o, sets the global variable pid, and
 * reads the globals where it has mapped them. With SECONDS, attaches for
 * that long (-: until standard input ends) and prints the counts.
 */
#include <sys/mman.h>

#include "example.h"

struct bss {
	unsigned long long calls, calls_of_pid;
};

/* The section's map holds one value: its variables, in their order. */
static volatile void *globals(struct bpf_object *obj, const char *section, int *fd)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, section);
	void *p;

	if (!map)
		die(section);
	*fd = bpf_map__fd(map);
	p = mmap(NULL, sysconf(_SC_PAGESIZE), PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	if (p == MAP_FAILED)
		die("mmap");
	printf("%s: %u bytes\n", section, bpf_map__value_size(map));
	return p;
}

int main(int argc, char **argv)
{
	struct bpf_program *prog;
	struct bpf_object *obj;
	struct bpf_link *link;
	volatile struct bss *bss;
	volatile int *pid;
	int stored = 0, bss_fd, data_fd;
	unsigned int key = 0;

	obj = example_load(example_object(argc, argv, "count_all"), &prog);
	bss = globals(obj, ".bss", &bss_fd);
	pid = globals(obj, ".data", &data_fd);
	printf("calls %llu, of pid %d: %llu\n", bss->calls, *pid, bss->calls_of_pid);
	/* A store to the mapping is a store to the map. */
	*pid = 4242;
	if (bpf_map_lookup_elem(data_fd, &key, &stored))
		die("lookup of .data");
	printf("pid in the map: %d\n", stored);
	*pid = getpid();
	link = example_attach(prog);
	if (argc > 2 && link) {
		example_wait(argv[2]);
		printf("calls %llu, of this process: %llu\n", bss->calls, bss->calls_of_pid);
	}
	bpf_link__destroy(link);
	bpf_object__close(obj);
	return 0;
}
