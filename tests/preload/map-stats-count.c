/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap_map_stats() and the lines of fdinfo tell how many elements there are, how many
 * gave way and how many updates were refused; libbpf still reads the fdinfo.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bpf.h"
#include "shmap.h"

static struct shmap_map_stats stats_of(int fd)
{
	struct shmap_map_stats s;

	memset(&s, 0xee, sizeof(s));
	CHECK_EQ(shmap_map_stats(fd, &s, sizeof(s)), 0);
	return s;
}

/* The value of a line of fdinfo; -1: there is none. */
static long long fdinfo(int fd, const char *name)
{
	char path[64], line[256];
	long long value = -1;
	size_t n = strlen(name);
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, n) && line[n] == ':')
			value = strtoll(line + n + 1, NULL, 0);
	fclose(f);
	return value;
}

static void check_counts(int fd, unsigned long long entries, unsigned long long evictions,
			 unsigned long long failed)
{
	struct shmap_map_stats s = stats_of(fd);

	CHECK_EQ(s.entries, entries);
	CHECK_EQ(s.evictions, evictions);
	CHECK_EQ(s.failed, failed);
	CHECK_EQ(s.lost, 0);
	CHECK_EQ(fdinfo(fd, "entries"), (long long)entries);
	CHECK_EQ(fdinfo(fd, "evictions"), (long long)evictions);
	CHECK_EQ(fdinfo(fd, "failed"), (long long)failed);
	CHECK_EQ(fdinfo(fd, "lost"), 0);
	CHECK_EQ(fdinfo(fd, "changes"), (long long)s.changes);
}

static void queues(enum bpf_map_type type)
{
	int fd = bpf_map_create(type, "queue", 0, 8, 3, NULL);
	unsigned long long v = 0;

	REQUIRE(fd >= 0);
	check_counts(fd, 0, 0, 0);
	for (; v < 3; v++)
		CHECK_EQ(bpf_map_update_elem(fd, NULL, &v, BPF_ANY), 0);
	check_counts(fd, 3, 0, 0);
	CHECK_EQ(bpf_map_update_elem(fd, NULL, &v, BPF_ANY), -E2BIG);
	CHECK_EQ(bpf_map_update_elem(fd, NULL, &v, BPF_ANY), -E2BIG);
	check_counts(fd, 3, 0, 2);
	CHECK_EQ(bpf_map_update_elem(fd, NULL, &v, BPF_EXIST), 0);
	check_counts(fd, 3, 1, 2);
	CHECK_EQ(bpf_map_lookup_and_delete_elem(fd, NULL, &v), 0);
	check_counts(fd, 2, 1, 2);
	/* what libbpf and bpftool look for is where it was */
	CHECK_EQ(fdinfo(fd, "map_type"), type);
	CHECK_EQ(fdinfo(fd, "max_entries"), 3);
	CHECK_EQ(fdinfo(fd, "memlock"), 312 + 4 * 8);
	close(fd);
}

static void filter(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_BLOOM_FILTER, "filter", 0, 8, 100000, NULL);
	unsigned long long n;

	REQUIRE(fd >= 0);
	for (unsigned long long v = 0; v < 1000; v++)
		for (int again = 0; again < 2; again++)
			CHECK_EQ(bpf_map_update_elem(fd, NULL, &v, BPF_ANY), 0);
	/* all but those that it takes for others, which a tenth of its size makes rare */
	n = stats_of(fd).entries;
	CHECK(n > 990 && n <= 1000);
	close(fd);
}

int main(void)
{
	int array = make_map(BPF_MAP_TYPE_ARRAY, 8, 7, 0), hash, prog = make_prog();
	struct shmap_map_stats s[2];
	unsigned int key = 5;
	unsigned long long value = 1;
	void *hole = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(shmap_map_stats);
	check_counts(array, 7, 0, 0);
	hash = make_map(BPF_MAP_TYPE_HASH, 8, 2, 0);
	check_counts(hash, 0, 0, 0);
	CHECK_EQ(bpf_map_update_elem(hash, &key, &value, BPF_ANY), 0);
	CHECK_EQ(stats_of(hash).entries, 1);
	queues(BPF_MAP_TYPE_QUEUE);
	queues(BPF_MAP_TYPE_STACK);
	filter();

	/* callers with an older or a newer struct */
	memset(s, 0xee, sizeof(s));
	CHECK_EQ(shmap_map_stats(array, s, 8), 0);
	CHECK_EQ(s[0].entries, 7);
	CHECK_EQ(s[0].evictions, 0xeeeeeeeeeeeeeeeeULL);
	CHECK_EQ(shmap_map_stats(array, s, sizeof(s)), 0);
	CHECK_EQ(s[0].entries, 7);
	CHECK_EQ(s[1].entries, 0);
	CHECK_EQ(s[1].lost, 0);

	errno = 0;
	CHECK_EQ(shmap_map_stats(array, s, 0), -EINVAL);
	CHECK_EQ(errno, EINVAL);
	CHECK_EQ(shmap_map_stats(-1, s, sizeof(*s)), -EBADF);
	CHECK_EQ(shmap_map_stats(0, s, sizeof(*s)), -EINVAL);
	CHECK_EQ(shmap_map_stats(prog, s, sizeof(*s)), -EINVAL);
	CHECK_EQ(shmap_map_stats(array, hole, sizeof(*s)), -EFAULT);
	CHECK_EQ(errno, EFAULT);
	return check_done();
}
