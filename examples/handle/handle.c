/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handle: values without a copy. Four processes count in one array, by a pointer and an atomic
 * addition; a hash's value is looked at while another process deletes it; and a value is
 * changed as a whole, in place.
 */
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <shmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS 4
#define COUNTS 100000 /* of each worker */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct shmap_handle *handle_of(int fd)
{
	struct shmap_handle *h = fd < 0 ? NULL : shmap_handle_open(fd);

	if (!h)
		die("map");
	return h;
}

static void section_begin(void)
{
	if (shmap_section_begin())
		die("section");
}

static void join(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		exit(1);
}

/* Many values in one section: it is short all the same. */
static void count(struct shmap_handle *h)
{
	for (int i = 0; i < COUNTS / 100; i++) {
		section_begin();
		for (int n = 0; n < 100; n++) {
			unsigned int key = (unsigned int)n % 4;
			unsigned long long *v = shmap_edit(h, &key);

			__atomic_fetch_add(v, 1, __ATOMIC_RELAXED);
		}
		shmap_section_end();
	}
}

static void counters(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "counters", 4, 8, 4, NULL);
	struct shmap_handle *h = handle_of(fd);
	unsigned long long sum = 0, v;
	pid_t pid[WORKERS];

	for (int i = 0; i < WORKERS; i++) {
		pid[i] = fork();
		if (!pid[i]) {
			count(h);
			exit(0);
		}
	}
	for (int i = 0; i < WORKERS; i++)
		join(pid[i]);
	for (unsigned int key = 0; key < 4; key++) {
		if (bpf_map_lookup_elem(fd, &key, &v))
			die("lookup");
		sum += v;
	}
	printf("%d processes, %d counts each, by pointer: %llu\n", WORKERS, COUNTS, sum);
	fflush(stdout);
	shmap_handle_close(h);
	close(fd);
}

struct point {
	long long x, y;
};

static void stays(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "points", 4, sizeof(struct point), 64, NULL);
	struct shmap_handle *h = handle_of(fd);
	struct point p = {3, 4}, other = {8, 9};
	const struct point *found;
	unsigned int key = 1;
	pid_t pid;

	if (bpf_map_update_elem(fd, &key, &p, 0))
		die("update");
	section_begin();
	found = shmap_find(h, &key);
	pid = fork();
	if (!pid) {
		/* gone, and others come */
		if (bpf_map_delete_elem(fd, &key))
			die("delete");
		for (key = 100; key < 140; key++)
			if (bpf_map_update_elem(fd, &key, &other, 0))
				die("update");
		exit(0);
	}
	join(pid);
	printf("found, then deleted by another: still (%lld, %lld)\n", found->x, found->y);
	shmap_section_end();
	printf("looked for again: %s\n", bpf_map_lookup_elem(fd, &key, &p) ? "not there" : "there");
	fflush(stdout);
	shmap_handle_close(h);
	close(fd);
}

static int twice_plus(void *value, void *arg)
{
	unsigned long long *v = value;

	*v = 2 * *v + *(unsigned long long *)arg;
	return 0;
}

static void modify(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "numbers", 4, 8, 4, NULL);
	struct shmap_handle *h = handle_of(fd);
	unsigned long long v = 20, more = 2;
	unsigned int key = 5;

	if (bpf_map_update_elem(fd, &key, &v, 0) || shmap_modify(h, &key, twice_plus, &more) ||
	    bpf_map_lookup_elem(fd, &key, &v))
		die("modify");
	printf("modified in place: %llu\n", v);
	shmap_handle_close(h);
	close(fd);
}

int main(void)
{
	if (!shmap_handle_open) {
		fprintf(stderr, "the kernel has no handles\n");
		return 1;
	}
	counters();
	stays();
	modify();
	return 0;
}
