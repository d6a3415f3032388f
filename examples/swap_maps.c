/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * swap_maps [OBJECT]: exact counts per interval, without stopping anybody. A map in a map
 * is swapped for a fresh one; when the update has returned no program counts into the
 * old one any more, and it can be read at leisure. Then the programs in a
 * prog array are exchanged.
 */
#include "example.h"

static int find_map(struct bpf_object *obj, const char *name)
{
	struct bpf_map *map = bpf_object__find_map_by_name(obj, name);

	if (!map)
		die(name);
	return bpf_map__fd(map);
}

static int find_prog(struct bpf_object *obj, const char *name)
{
	struct bpf_program *prog = bpf_object__find_program_by_name(obj, name);

	if (!prog)
		die(name);
	return bpf_program__fd(prog);
}

static void put(int map, unsigned int key, int fd)
{
	if (bpf_map_update_elem(map, &key, &fd, BPF_ANY))
		die("update");
}

static int fresh_counts(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "counts", 4, 8, 4, NULL);

	if (fd < 0)
		die("a map for the next interval");
	return fd;
}

static void print_counts(const char *what, int map)
{
	printf("%s:", what);
	for (unsigned int i = 0; i < 4; i++) {
		unsigned long long n = 0;

		if (bpf_map_lookup_elem(map, &i, &n))
			die("lookup");
		printf(" %llu", n);
	}
	printf("\n");
}

static void send_packets(int prog, const char *bytes)
{
	printf("%s:", bytes);
	for (; *bytes; bytes++)
		printf(" %d", example_run(prog, (unsigned char)(*bytes - '0'), 64));
	printf("\n");
}

int main(int argc, char **argv)
{
	int now, next, current, by_size, actions, classify;
	struct bpf_program *prog;
	struct bpf_object *obj;
	unsigned int one = 1;

	obj = example_load(example_object(argc, argv, "swap_maps"), &prog);
	if (!prog)
		die("the program");
	current = find_map(obj, "current");
	by_size = find_map(obj, "by_size");
	actions = find_map(obj, "actions");
	classify = find_prog(obj, "classify");

	/* what the object's initialisers put in place */
	send_packets(classify, "0112");
	now = find_map(obj, "first");
	for (int interval = 0; interval < 3; interval++) {
		next = fresh_counts();
		put(current, 0, next);
		print_counts("the interval before", now);
		send_packets(classify, interval % 2 ? "333" : "12");
		if (interval)
			close(now);
		now = next;
	}

	next = fresh_counts();
	put(by_size, 64, next);
	put(actions, 3, find_prog(obj, "accept"));
	put(actions, 2, find_prog(obj, "accept"));
	if (bpf_map_delete_elem(actions, &one))
		die("delete");
	send_packets(classify, "0123");
	print_counts("packets of 64 bytes", next);
	close(now);
	close(next);
	bpf_object__close(obj);
	return 0;
}
