/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * share_hash [OBJECT]: one hash, three processes. The parent makes it, a forked child
 * updates it through the inherited fd, and an unrelated process, started by
 * exec, through its pin. SHARE_HASH_PIN is where it is pinned
 * (/sys/fs/bpf/share_hash).
 */
#include <sys/wait.h>

#include "example.h"

static const char *pin_path(void)
{
	const char *path = getenv("SHARE_HASH_PIN");

	return path ? path : "/sys/fs/bpf/share_hash";
}

static void put(int map, unsigned int key, unsigned long long value)
{
	if (bpf_map_update_elem(map, &key, &value, BPF_ANY))
		die("update");
}

static unsigned long long get(int map, unsigned int key)
{
	unsigned long long value = 0;

	if (bpf_map_lookup_elem(map, &key, &value))
		die("lookup");
	return value;
}

static void wait_for(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "a child process failed\n");
		exit(1);
	}
}

/* The unrelated process: knows a path and nothing else. */
static int join(void)
{
	int map = bpf_obj_get(pin_path());

	if (map < 0)
		die("opening the pin");
	put(map, 3, get(map, 2) + 1);
	return 0;
}

static int compare(const void *a, const void *b)
{
	unsigned int x = *(const unsigned int *)a, y = *(const unsigned int *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	unsigned int keys[64], *prev = NULL, count = 0;
	struct bpf_program *prog;
	struct bpf_object *obj;
	struct bpf_map *map;
	pid_t pid;
	int fd;

	if (argc == 2 && !strcmp(argv[1], "--join"))
		return join();
	obj = example_load(example_object(argc, argv, "share_hash"), &prog);
	map = bpf_object__find_map_by_name(obj, "shared");
	if (!map || !prog)
		die("shared");
	fd = bpf_map__fd(map);
	put(fd, 1, 100);

	pid = fork();
	if (pid == 0) {
		put(fd, 2, get(fd, 1) + 1);
		_exit(0);
	}
	wait_for(pid);

	unlink(pin_path());
	if (bpf_obj_pin(fd, pin_path()))
		die("pinning the map");
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", argv[0], "--join", NULL);
		_exit(127);
	}
	wait_for(pid);
	if (unlink(pin_path()))
		die("removing the pin");

	/* The program works on the same hash. */
	for (int i = 0; i < 5; i++)
		example_run(bpf_program__fd(prog), 40 + i % 2, 64);

	while (count < 64 && !bpf_map_get_next_key(fd, prev, &keys[count]))
		prev = &keys[count++];
	qsort(keys, count, sizeof(keys[0]), compare);
	for (unsigned int i = 0; i < count; i++)
		printf("%u: %llu\n", keys[i], get(fd, keys[i]));
	bpf_object__close(obj);
	return 0;
}
