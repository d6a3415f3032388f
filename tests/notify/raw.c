/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_map_notify() of plain stores through mappings of a map, and of the map's file itself: one
 * claim per argument. */
#include "routes.h"

/* ---- a map that somebody truncated ---- */

static void truncates_and_writes(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	char command[64];

	/* (the library lets nobody do it) */
	REQUIRE(!bpf_obj_get_info_by_fd(fd, &info, &len));
	snprintf(command, sizeof(command), "truncate -s 4096 $SHMAP_DIR/map/%u", info.id);
	REQUIRE(!system(command));
	write_one();
}

/* The values are there, what says who listens is not: a program's run ends, its process does not.
 */
static void truncated(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE), h = bpf_map_notify(fd, hears);

	CHECK(h > 0);
	CHECK_EQ(shmap_notify_remove(h), 0);
	close(fd);
	fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 16, BPF_F_MMAPABLE);
	writer_begin(BY_PROGRAM, fd);
	write_one();
	join(child_of(truncates_and_writes, fd));
}

/* ---- mappings of all kinds ---- */

static volatile uint64_t *mapped;

static void stores_to_inherited(int fd)
{
	mapped[KEY] = 3;
	s->step = 3;
	while (!s->stop)
		nap();
}

static void mappings(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 2048, BPF_F_MMAPABLE), zero = -1, h;
	volatile uint64_t *v, *moved;
	pid_t pid;
	int ends[2];

	heard_fd = fd;
	v = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(v != MAP_FAILED);
	h = bpf_map_notify(fd, hears);
	CHECK(h > 0);
	/* of this very process, from before */
	v[KEY] = 1;
	while (s->seen != 1)
		nap();
	/* made later */
	mapped = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(mapped != MAP_FAILED);
	mapped[KEY] = 2;
	while (s->seen != 2)
		nap();
	/* a child's */
	pid = child_of(stores_to_inherited, fd);
	while (s->seen != 3)
		nap();
	s->stop = 1;
	join(pid);
	/* by the kernel: read(2) into the mapping */
	REQUIRE(!pipe(ends));
	uint64_t four = 4;
	REQUIRE(write(ends[1], &four, 8) == 8);
	REQUIRE(read(ends[0], (void *)&mapped[KEY], 8) == 8);
	while (s->seen != 4)
		nap();
	/* and then it goes at once */
	mapped[KEY] = 5;
	munmap((void *)mapped, 16384);
	while (s->seen != 5)
		nap();
	/* somewhere else */
	moved = mremap((void *)v, 16384, 4096, MREMAP_MAYMOVE);
	REQUIRE(moved != MAP_FAILED);
	moved[KEY] = 6;
	while (s->seen != 6)
		nap();
	(void)zero;
	/* a part of it; what stays is a mapping, too */
	v = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(v != MAP_FAILED);
	moved = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(moved != MAP_FAILED);
	REQUIRE(mremap((char *)v + 8192, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED,
		       (void *)moved) == moved);
	for (int i = 0; i < 1000; i++)
		nap(); /* what is noted of the move itself */
	v[KEY] = 7;
	while (s->seen != 7)
		nap();
	CHECK_EQ(shmap_notify_remove(h), 0);
}

/* Loads are no stores: nobody is told of them. */
static void loads(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 8, 8192, BPF_F_MMAPABLE), h;
	volatile uint64_t *v;
	uint64_t sum = 0;

	heard_fd = fd;
	h = bpf_map_notify(fd, keeps);
	CHECK(h > 0);
	v = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(v != MAP_FAILED);
	for (int i = 0; i < 30; i++) {
		for (int k = 0; k < 8192; k += 64)
			sum += v[k];
		nap();
	}
	CHECK_EQ(sum, 0);
	CHECK_EQ(got, 0);
	v[512 * 3] = 1; /* page 3 */
	wait_for(1);
	CHECK_EQ(last.kind, SHMAP_CHANGE_STORE);
	CHECK_EQ(last.offset, 3 * 4096);
	CHECK_EQ(last.length, 4096);
	CHECK_EQ(shmap_notify_remove(h), 0);
}

static const struct claim claims[] = {
	{"mappings", mappings},
	{"loads", loads},
	{"truncated", truncated},
};

int main(int argc, char **argv)
{
	return try_claims(claims, sizeof(claims) / sizeof(claims[0]), argv[1]);
}
