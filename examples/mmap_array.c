/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmap_array [OBJECT]: the values of an array, mapped: what a program adds shows in memory,
 * and what is stored in memory shows to bpf(2).
 */
#include <sys/mman.h>

#include "example.h"

int main(int argc, char **argv)
{
	struct bpf_program *prog;
	struct bpf_object *obj;
	struct bpf_map *map;
	volatile unsigned long long *slots;
	unsigned long long value, total = 0;
	const unsigned long long *view;
	unsigned int key = 5;
	int fd;

	obj = example_load(example_object(argc, argv, "mmap_array"), &prog);
	map = bpf_object__find_map_by_name(obj, "slots");
	if (!map || !prog)
		die("slots");
	fd = bpf_map__fd(map);
	slots = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (slots == MAP_FAILED)
		die("mmap");
	slots[5] = 1000;
	if (bpf_map_lookup_elem(fd, &key, &value))
		die("lookup");
	printf("stored 1000, bpf(2) reads %llu\n", value);
	for (int i = 0; i < 20; i++)
		example_run(bpf_program__fd(prog), i, 64 + i);
	printf("slot 5 after the program ran: %llu\n", slots[5]);
	value = 7;
	key = 15;
	if (bpf_map_update_elem(fd, &key, &value, BPF_ANY))
		die("update");
	printf("updated to 7, memory reads %llu\n", slots[15]);
	for (int i = 0; i < 16; i++)
		total += slots[i];
	printf("total: %llu\n", total);

	view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (view == MAP_FAILED)
		die("mmap for reading");
	printf("making a read-only mapping writable: %s\n",
	       mprotect((void *)view, 4096, PROT_READ | PROT_WRITE) ? strerror(errno) : "done");
	printf("mapping two pages: %s\n",
	       mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED ? strerror(errno)
									    : "done");
	munmap((void *)slots, 4096);
	printf("freezing: %s\n", bpf_map_freeze(fd) ? strerror(errno) : "done");
	printf("update of a frozen map: %s\n",
	       bpf_map_update_elem(fd, &key, &value, BPF_ANY) ? strerror(errno) : "done");
	bpf_object__close(obj);
	return 0;
}
