/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A full map of any type takes no more of tmpfs than the kernel's memlock figure for it, but
 * for a few pages of a file of its own that small maps show (FIXED); an empty one takes
 * next to nothing, but for what clients may touch without asking. Where the kernel's figure
 * leaves out what elements take (local storages, arenas), that is counted in. Local storages
 * with few owners take more: their table is made for many (OWNER_BUCKETS).
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../check.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/uapi.h"
#include "map/map.h"
#include "map/perf_event.h"
#include "map/ring.h"
#include "map/stack_trace.h"
#include "sync/lease.h"
#include "sys/attr.h"
#include "sys/sys.h"

#define FIXED (6 * SHMAP_PAGE) /* headers, locks, tables that begin on a page */
/* Of a local storage; a few hundred owners touch them all, and as many more pages of elements as
 * the hash's seed has it: 11 more or less. */
#define OWNER_BUCKETS ((2u << 20) + 16 * SHMAP_PAGE)
#define EMPTY (64u << 10)

/* What a socket's, file's or task's element takes in the kernel: struct bpf_local_storage, and
 * struct bpf_local_storage_elem with its value behind 8 bytes. */
#define STORAGE_ELEMENT(value) (168u + 64u + 8u + (value))

struct row {
	const char *name;
	uint32_t type, key, value, flags;
	uint32_t max[3];
	int (*fill)(struct map *m, int fd, const struct row *row, uint32_t max);
	bool owned; /* a local storage */
};

static uint8_t zeros[65536];

static int fill_keys(struct map *m, int fd, const struct row *row, uint32_t max)
{
	uint32_t key[16] = {0};
	int err = 0;

	for (uint32_t i = 0; i < max && !err; i++) {
		key[0] = i;
		if (row->type == BPF_MAP_TYPE_LPM_TRIE) {
			key[0] = 32;
			key[1] = __builtin_bswap32(i * 2654435761u);
		}
		err = (int)sys_map_update(fd, row->key ? key : NULL, zeros, 0);
	}
	return err;
}

/* As the preload library closes. */
static void close_fd(int fd)
{
	fd_forget(fd);
	close(fd);
	fd_collect();
}

/* The same object in all slots. */
static int fill_slots(int fd, int object, uint32_t max)
{
	int err = object < 0 ? object : 0;

	for (uint32_t i = 0; i < max && !err; i++)
		err = (int)sys_map_update(fd, &i, &object, 0);
	close_fd(object);
	return err;
}

static int inner_map(void)
{
	union sys_attr a = {.map_create = {.map_type = BPF_MAP_TYPE_ARRAY,
					   .key_size = 4,
					   .value_size = 8,
					   .max_entries = 1}};

	return (int)sys_bpf(BPF_MAP_CREATE, &a, sizeof(a.map_create));
}

static int fill_maps(struct map *m, int fd, const struct row *row, uint32_t max)
{
	return fill_slots(fd, inner_map(), max);
}

static int fill_progs(struct map *m, int fd, const struct row *row, uint32_t max)
{
	struct bpf_insn insns[] = {{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1},
				   {.code = BPF_JMP | BPF_EXIT}};
	union sys_attr a = {.prog_load = {.prog_type = BPF_PROG_TYPE_XDP,
					  .insn_cnt = 2,
					  .insns = (uintptr_t)insns,
					  .license = (uintptr_t) "GPL"}};

	return fill_slots(fd, (int)sys_bpf(BPF_PROG_LOAD, &a, sizeof(a.prog_load)), max);
}

static int fill_cgroups(struct map *m, int fd, const struct row *row, uint32_t max)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

	for (unsigned int i = 0; i < ARRAY_SIZE(roots); i++) {
		int root = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (root < 0)
			continue;
		if (!row->owned && !fill_slots(fd, root, max))
			return 0;
		if (row->owned) {
			bool done = !sys_map_update(fd, &root, zeros, 0);

			close_fd(root);
			if (done)
				return 0;
		}
	}
	printf("%s: there is no cgroup to put in\n", row->name);
	return 0;
}

static int fill_events(struct map *m, int fd, const struct row *row, uint32_t max)
{
	struct perf_event_state like = {.raw = 1, .enabled = 1};

	return fill_slots(fd, perf_event_create(&like, NULL), max);
}

static int fill_stacks(struct map *m, int fd, const struct row *row, uint32_t max)
{
	uint64_t frames[64], seed = 1;
	uint32_t nr = m->ops->stack->frames(m);

	REQUIRE(lease_acquire() >= 0);
	for (uint32_t i = 0; i < 8 * max; i++) {
		for (uint32_t k = 0; k < nr; k++)
			frames[k] = seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		/* ENOMEM: all are in use */
		m->ops->stack->put(m, frames, frames, nr, BPF_F_REUSE_STACKID);
	}
	lease_release();
	return 0;
}

static int fill_ring(struct map *m, int fd, const struct row *row, uint32_t max)
{
	void *sample;

	REQUIRE(lease_acquire() >= 0);
	while ((sample = m->ops->ring->reserve(m, 1000)))
		m->ops->ring->commit(m, sample, 0, false);
	m->ops->ring->publish(m);
	lease_release();
	return 0;
}

/* Sockets and files: max of them. */
static int fill_owners(struct map *m, int fd, const struct row *row, uint32_t max)
{
	char name[300];
	int err = 0;

	for (uint32_t i = 0; i < max && !err; i++) {
		int owner;

		snprintf(name, sizeof(name), "%s/owner%u", getenv("SHMAP_DIR"), i);
		owner = row->type == BPF_MAP_TYPE_SK_STORAGE
				? socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)
				: open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		err = owner < 0 ? -errno : (int)sys_map_update(fd, &owner, zeros, 0);
		if (owner >= 0)
			close_fd(owner);
	}
	return err;
}

static int fill_self(struct map *m, int fd, const struct row *row, uint32_t max)
{
	int self = (int)syscall(SYS_pidfd_open, getpid(), 0);

	int err = self < 0 ? -errno : (int)sys_map_update(fd, &self, zeros, 0);

	if (self >= 0)
		close_fd(self);
	return err;
}

static int fill_pages(struct map *m, int fd, const struct row *row, uint32_t max)
{
	const size_t len = max * (size_t)SHMAP_PAGE;
	const int prot = PROT_READ | PROT_WRITE;
	int own, err = fd_mmap_check(fd, 0, len, prot, MAP_SHARED);
	uint8_t *p;

	if (err < 0)
		return err;
	own = fd_mmap_open(fd, prot);
	p = own < 0 ? MAP_FAILED : fd_mmap_map(fd, own, NULL, len, prot, MAP_SHARED, 0);
	if (own < 0 || (uintptr_t)p > (uintptr_t)-4096L)
		return -ENOMEM;
	for (size_t at = 0; at < len; at += SHMAP_PAGE)
		p[at] = 1;
	munmap(p, len);
	close(own);
	return 0;
}

static int fill_nothing(struct map *m, int fd, const struct row *row, uint32_t max)
{
	return 0;
}

#define KEYED(name, type, key, value, flags)                                                       \
	{                                                                                          \
		name, type, key, value, flags, {4, 1000, 30000}, fill_keys                         \
	}

static const struct row rows[] = {
	KEYED("ARRAY", BPF_MAP_TYPE_ARRAY, 4, 8, 0),
	KEYED("ARRAY of 100", BPF_MAP_TYPE_ARRAY, 4, 100, 0),
	KEYED("ARRAY mmapable", BPF_MAP_TYPE_ARRAY, 4, 8, BPF_F_MMAPABLE),
	KEYED("PERCPU_ARRAY", BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 0),
	KEYED("HASH", BPF_MAP_TYPE_HASH, 4, 8, 0),
	KEYED("HASH key 16", BPF_MAP_TYPE_HASH, 16, 64, 0),
	KEYED("HASH NO_PREALLOC", BPF_MAP_TYPE_HASH, 4, 8, BPF_F_NO_PREALLOC),
	KEYED("PERCPU_HASH", BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 0),
	KEYED("LRU_HASH", BPF_MAP_TYPE_LRU_HASH, 4, 8, 0),
	KEYED("LRU_PERCPU_HASH", BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 0),
	KEYED("LPM_TRIE", BPF_MAP_TYPE_LPM_TRIE, 8, 8, BPF_F_NO_PREALLOC),
	KEYED("QUEUE", BPF_MAP_TYPE_QUEUE, 0, 8, 0),
	KEYED("STACK", BPF_MAP_TYPE_STACK, 0, 8, 0),
	KEYED("BLOOM_FILTER", BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 0),
	{"ARRAY_OF_MAPS", BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 0, {4, 1000}, fill_maps},
	{"HASH_OF_MAPS", BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 0, {4, 1000}, fill_maps},
	{"PROG_ARRAY", BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 0, {4, 1000}, fill_progs},
	{"CGROUP_ARRAY", BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 0, {4, 1000}, fill_cgroups},
	{"PERF_EVENT_ARRAY", BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 0, {4, 1000}, fill_events},
	{"STACK_TRACE", BPF_MAP_TYPE_STACK_TRACE, 4, 64, 0, {4, 1024, 16384}, fill_stacks},
	{"RINGBUF", BPF_MAP_TYPE_RINGBUF, 0, 0, 0, {4096, 65536, 1 << 20}, fill_ring},
	{"USER_RINGBUF", BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 0, {4096, 65536, 1 << 20}, fill_nothing},
	{"SK_STORAGE",
	 BPF_MAP_TYPE_SK_STORAGE,
	 4,
	 8,
	 BPF_F_NO_PREALLOC,
	 {4, 1000, 30000},
	 fill_owners,
	 true},
	{"INODE_STORAGE",
	 BPF_MAP_TYPE_INODE_STORAGE,
	 4,
	 8,
	 BPF_F_NO_PREALLOC,
	 {4, 1000, 30000},
	 fill_owners,
	 true},
	{"TASK_STORAGE", BPF_MAP_TYPE_TASK_STORAGE, 4, 8, BPF_F_NO_PREALLOC, {1}, fill_self, true},
	{"CGRP_STORAGE",
	 SHMAP_MAP_TYPE_CGRP_STORAGE,
	 4,
	 8,
	 BPF_F_NO_PREALLOC,
	 {1},
	 fill_cgroups,
	 true},
	{"CGROUP_STORAGE", BPF_MAP_TYPE_CGROUP_STORAGE, 16, 8, 0, {1}, fill_nothing},
	{"PERCPU_CGROUP_STORAGE", BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 16, 8, 0, {1}, fill_nothing},
	{"ARENA", SHMAP_MAP_TYPE_ARENA, 0, 0, BPF_F_MMAPABLE, {4, 1000}, fill_pages},
};

static uint64_t bytes_used(int fd)
{
	struct stat st;

	REQUIRE(!fstat(fd, &st));
	return (uint64_t)st.st_blocks * 512;
}

/* Local storages have BTF, which map_create() takes the caller's word for. */
static int make(const struct row *row, uint32_t max, int inner)
{
	struct map_attr owned = {.map_type = row->type,
				 .key_size = row->key,
				 .value_size = row->value,
				 .map_flags = row->flags,
				 .spin_lock_off = -1,
				 .btf_key_type_id = 1,
				 .btf_value_type_id = 2};
	union sys_attr a = {.map_create = {.map_type = row->type,
					   .key_size = row->key,
					   .value_size = row->value,
					   .max_entries = max,
					   .map_flags = row->flags,
					   .inner_map_fd = inner}};
	struct map *m;
	int fd;

	if (!row->owned)
		return (int)sys_bpf(BPF_MAP_CREATE, &a, sizeof(a.map_create));
	REQUIRE(!map_create(&owned, -1, &m, &fd));
	map_put(m);
	return fd;
}

static void one(const struct row *row, uint32_t max)
{
	int inner = row->fill == fill_maps ? inner_map() : 0;
	bool unsized = row->owned || row->type == BPF_MAP_TYPE_CGROUP_STORAGE ||
		       row->type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
	uint64_t empty, full, kernel;
	int fd = make(row, unsized ? 0 : max, inner);
	struct map *m;

	REQUIRE(fd >= 0 && !map_open(fd, &m));
	empty = bytes_used(fd);
	CHECK_EQ(row->fill(m, fd, row, max), 0);
	full = bytes_used(fd);
	kernel = m->ops->memlock(m);
	if (row->owned)
		kernel += max * STORAGE_ELEMENT(row->value);
	if (row->fill == fill_pages)
		kernel += max * (uint64_t)SHMAP_PAGE;
	printf("%-22s %8u %10llu %10llu %10llu %7.2f\n", row->name, max, (unsigned long long)empty,
	       (unsigned long long)full, (unsigned long long)kernel, (double)full / kernel);
	CHECK(full <= kernel + FIXED + (row->owned && max < 30000 ? OWNER_BUCKETS : 0));
	CHECK(empty <= EMPTY || row->type == BPF_MAP_TYPE_USER_RINGBUF ||
	      row->flags & BPF_F_MMAPABLE || empty <= kernel + FIXED);
	map_put(m);
	close_fd(fd);
	if (inner)
		close_fd(inner);
}

int main(void)
{
	check_private_rundir();
	printf("%-22s %8s %10s %10s %10s\n", "bytes of", "entries", "empty", "full", "kernel's");
	for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++)
		for (unsigned int k = 0; k < 3 && rows[i].max[k]; k++)
			one(&rows[i], rows[i].max[k]);
	return check_done();
}
