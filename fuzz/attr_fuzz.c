/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf(2) with any commands and attrs.
 *
 * An input is a sequence of steps: a command, an attr of raw bytes, and which of
 * its pointer fields point where. Pointers lead into an arena that ends in a
 * guard page, to read-only memory, or nowhere, so that a copy that is too long
 * is an EFAULT and damages nothing of the fuzzer's. fds come from a pool of
 * those made so far. At the end everything is closed and unpinned, and then no
 * object may be left.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/errors.h"
#include "shm/object.h"
#include "sys/attr.h"
#include "sys/sys.h"

#define ARENA 65536
#define FDS 12
#define STEPS 64

const char *__asan_default_options(void);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The faults of user pointers are the library's to handle. */
const char *__asan_default_options(void)
{
	return "allow_user_segv_handler=1:handle_segv=0:handle_sigbus=0:detect_leaks=0";
}

static uint8_t *arena, *read_only;
static char dir[64];
static const char *const names[] = {"/sys/fs/bpf/a",   "/sys/fs/bpf/b",	       "/sys/fs/bpf/none/c",
				    "/sys/fs/bpf/d.e", "/tmp/shmap-fuzz-none", ""};

struct input {
	const uint8_t *p, *end;
};

static uint8_t take(struct input *in)
{
	return in->p < in->end ? *in->p++ : 0;
}

static void take_bytes(struct input *in, void *to, size_t n)
{
	size_t left = in->end - in->p;

	memset(to, 0, n);
	if (n > left)
		n = left;
	memcpy(to, in->p, n);
	in->p += n;
}

/* Offsets of the pointers in the attr of a command; 0xff ends the list. */
#define NONE 0xff
static const uint8_t pointers[][9] = {
	[BPF_MAP_CREATE] = {80, NONE},
	[BPF_MAP_LOOKUP_ELEM] = {8, 16, NONE},
	[BPF_MAP_UPDATE_ELEM] = {8, 16, NONE},
	[BPF_MAP_DELETE_ELEM] = {8, 16, NONE},
	[BPF_MAP_GET_NEXT_KEY] = {8, 16, NONE},
	[BPF_PROG_LOAD] = {8, 16, 32, 80, 96, 120, 128, 152, NONE},
	[BPF_OBJ_PIN] = {0, NONE},
	[BPF_OBJ_GET] = {0, NONE},
	[BPF_PROG_ATTACH] = {NONE},
	[BPF_PROG_DETACH] = {NONE},
	[BPF_PROG_TEST_RUN] = {16, 24, 48, 56, NONE},
	[BPF_PROG_GET_NEXT_ID] = {NONE},
	[BPF_MAP_GET_NEXT_ID] = {NONE},
	[BPF_PROG_GET_FD_BY_ID] = {NONE},
	[BPF_MAP_GET_FD_BY_ID] = {NONE},
	[BPF_OBJ_GET_INFO_BY_FD] = {8, NONE},
	[BPF_PROG_QUERY] = {16, 32, 40, 48, NONE},
	[BPF_RAW_TRACEPOINT_OPEN] = {0, NONE},
	[BPF_BTF_LOAD] = {0, 8, NONE},
	[BPF_BTF_GET_FD_BY_ID] = {NONE},
	[BPF_TASK_FD_QUERY] = {16, NONE},
	[BPF_MAP_LOOKUP_AND_DELETE_ELEM] = {8, 16, NONE},
	[BPF_MAP_FREEZE] = {NONE},
	[BPF_BTF_GET_NEXT_ID] = {NONE},
	[BPF_MAP_LOOKUP_BATCH] = {0, 8, 16, 24, NONE},
	[BPF_MAP_LOOKUP_AND_DELETE_BATCH] = {0, 8, 16, 24, NONE},
	[BPF_MAP_UPDATE_BATCH] = {0, 8, 16, 24, NONE},
	[BPF_MAP_DELETE_BATCH] = {0, 8, 16, 24, NONE},
	[BPF_LINK_CREATE] = {16, 24, 32, 40, NONE},
	[BPF_LINK_UPDATE] = {NONE},
	[BPF_LINK_GET_FD_BY_ID] = {NONE},
	[BPF_LINK_GET_NEXT_ID] = {NONE},
	[BPF_ENABLE_STATS] = {NONE},
	[BPF_ITER_CREATE] = {NONE},
	[BPF_LINK_DETACH] = {NONE},
	[BPF_PROG_BIND_MAP] = {NONE},
	[36] = {NONE},
	[37] = {0, NONE},
};

/* Offsets of fds; where commands take them. */
static const uint8_t fd_fields[][4] = {
	[BPF_MAP_CREATE] = {20, 48, 76, NONE},
	[BPF_MAP_LOOKUP_ELEM] = {0, NONE},
	[BPF_MAP_UPDATE_ELEM] = {0, NONE},
	[BPF_MAP_DELETE_ELEM] = {0, NONE},
	[BPF_MAP_GET_NEXT_KEY] = {0, NONE},
	[BPF_PROG_LOAD] = {72, 112, NONE},
	[BPF_OBJ_PIN] = {8, NONE},
	[BPF_OBJ_GET] = {NONE},
	[BPF_PROG_ATTACH] = {0, 4, NONE},
	[BPF_PROG_DETACH] = {0, 4, NONE},
	[BPF_PROG_TEST_RUN] = {0, NONE},
	[BPF_PROG_GET_NEXT_ID] = {NONE},
	[BPF_MAP_GET_NEXT_ID] = {NONE},
	[BPF_PROG_GET_FD_BY_ID] = {NONE},
	[BPF_MAP_GET_FD_BY_ID] = {NONE},
	[BPF_OBJ_GET_INFO_BY_FD] = {0, NONE},
	[BPF_PROG_QUERY] = {0, NONE},
	[BPF_RAW_TRACEPOINT_OPEN] = {8, NONE},
	[BPF_BTF_LOAD] = {NONE},
	[BPF_BTF_GET_FD_BY_ID] = {NONE},
	[BPF_TASK_FD_QUERY] = {4, NONE},
	[BPF_MAP_LOOKUP_AND_DELETE_ELEM] = {0, NONE},
	[BPF_MAP_FREEZE] = {0, NONE},
	[BPF_BTF_GET_NEXT_ID] = {NONE},
	[BPF_MAP_LOOKUP_BATCH] = {36, NONE},
	[BPF_MAP_LOOKUP_AND_DELETE_BATCH] = {36, NONE},
	[BPF_MAP_UPDATE_BATCH] = {36, NONE},
	[BPF_MAP_DELETE_BATCH] = {36, NONE},
	[BPF_LINK_CREATE] = {0, 4, NONE},
	[BPF_LINK_UPDATE] = {0, 4, NONE},
	[BPF_LINK_GET_FD_BY_ID] = {NONE},
	[BPF_LINK_GET_NEXT_ID] = {NONE},
	[BPF_ENABLE_STATS] = {NONE},
	[BPF_ITER_CREATE] = {0, NONE},
	[BPF_LINK_DETACH] = {0, NONE},
	[BPF_PROG_BIND_MAP] = {0, 4, NONE},
	[36] = {4, NONE},
	[37] = {16, NONE},
};

static void *pointer(uint8_t how)
{
	switch (how & 15) {
	case 0:
		return NULL;
	case 1:
		return (void *)8;
	case 2:
		return (void *)~(uintptr_t)7;
	case 3:
		return (void *)0xffff800000000000;
	case 4:
		return read_only + (how >> 4) * 8;
	case 5:
		return arena + ARENA; /* the guard */
	case 6:
		return arena + ARENA - 1 - (how >> 4);
	case 7:
		return arena + ARENA - 8 * (1 + (how >> 4));
	case 8:
		return (void *)names[(how >> 4) % ARRAY_SIZE(names)];
	default:
		return arena + (how & 15) * 512 + (how >> 4) * 8;
	}
}

/*
 * New bytes for the arena. What a command reads there may itself be a pointer
 * (struct bpf_prog_info): no 8 bytes may be an address of the fuzzer's.
 */
static void fill_arena(struct input *in)
{
	size_t at = take(in) * 64, n = take(in), i;
	uint64_t word;

	for (i = 0; i < n && at + 8 <= ARENA; i++, at += 8) {
		take_bytes(in, &word, sizeof(word));
		if (word >= 1UL << 32 && word < 1UL << 47)
			word &= 0xffff0000ffffffff;
		if (word >= 65536 && word < 1UL << 47 && word & 1)
			word = (uintptr_t)pointer(word >> 8);
		memcpy(arena + at, &word, sizeof(word));
	}
}

static void close_one(int fd)
{
	fd_forget(fd);
	close(fd);
	fd_collect();
}

static int fd_of(const int *fds, uint8_t which)
{
	if (which >= 240)
		return which - 247; /* -7..8: closed ones, and what the fuzzer has open */
	return fds[which % FDS];
}

static bool makes_fd(int cmd)
{
	switch (cmd) {
	case BPF_MAP_CREATE:
	case BPF_PROG_LOAD:
	case BPF_OBJ_GET:
	case BPF_RAW_TRACEPOINT_OPEN:
	case BPF_BTF_LOAD:
	case BPF_LINK_CREATE:
	case BPF_MAP_GET_FD_BY_ID:
	case BPF_PROG_GET_FD_BY_ID:
	case BPF_BTF_GET_FD_BY_ID:
	case BPF_LINK_GET_FD_BY_ID:
	case BPF_ENABLE_STATS:
		return true;
	default:
		return false;
	}
}

static void keep_fd(int fd, int *fds, unsigned int *next)
{
	int slot = (*next)++ % FDS;

	if (fds[slot] >= 0)
		close_one(fds[slot]);
	fds[slot] = fd;
}

/* An int and nothing else: what local storages ask of their keys and values. */
static int make_btf(void)
{
	static const struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t hdr_len, type_off, type_len, str_off, str_len;
		uint32_t name, info, size, encoding;
		char strings[5];
	} raw = {0xeb9f, 1, 0, 24, 0, 16, 16, 5, 1, 1 << 24, 4, 1 << 24 | 32, "\0int"};
	union sys_attr attr = {.btf_load = {.btf = (uintptr_t)&raw, .btf_size = 24 + 16 + 5}};

	return sys_bpf(BPF_BTF_LOAD, &attr, sizeof(attr));
}

static int make_inner(void)
{
	union sys_attr attr = {.map_create = {.map_type = BPF_MAP_TYPE_ARRAY,
					      .key_size = 4,
					      .value_size = 8,
					      .max_entries = 2}};

	return sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
}

/* A good map: the rest of the input has something to work on. */
static void make_map(struct input *in, int *fds, unsigned int *next)
{
	enum { PLAIN, INNER, OWNED };
	static const struct {
		uint32_t type, key, value, max, flags, needs;
	} kinds[] = {
		{BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0, PLAIN},
		{BPF_MAP_TYPE_ARRAY, 4, 100, 3, BPF_F_MMAPABLE, PLAIN},
		{BPF_MAP_TYPE_ARRAY, 4, 3000, 2, BPF_F_RDONLY, PLAIN},
		{BPF_MAP_TYPE_HASH, 4, 8, 4, 0, PLAIN},
		{BPF_MAP_TYPE_HASH, 600, 2000, 3, BPF_F_NO_PREALLOC, PLAIN},
		{BPF_MAP_TYPE_HASH, 8, 8, 64, BPF_F_WRONLY, PLAIN},
		{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 4, 0, PLAIN},
		{BPF_MAP_TYPE_PERCPU_HASH, 3, 5, 7, 0, PLAIN},
		{BPF_MAP_TYPE_LRU_HASH, 4, 8, 4, 0, PLAIN},
		{BPF_MAP_TYPE_LRU_HASH, 4, 8, 40, BPF_F_NO_COMMON_LRU, PLAIN},
		{BPF_MAP_TYPE_LRU_PERCPU_HASH, 5, 9, 6, 0, PLAIN},
		{BPF_MAP_TYPE_LPM_TRIE, 8, 4, 9, BPF_F_NO_PREALLOC, PLAIN},
		{BPF_MAP_TYPE_QUEUE, 0, 8, 3, 0, PLAIN},
		{BPF_MAP_TYPE_STACK, 0, 100, 2, 0, PLAIN},
		{BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 20, 0, PLAIN},
		{BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0, PLAIN},
		{BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, SHMAP_F_RB_OVERWRITE, PLAIN},
		{BPF_MAP_TYPE_USER_RINGBUF, 0, 0, 4096, 0, PLAIN},
		{BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 3, 0, PLAIN},
		{BPF_MAP_TYPE_STACK_TRACE, 4, 32, 4, 0, PLAIN},
		{BPF_MAP_TYPE_STACK_TRACE, 4, 64, 4, BPF_F_STACK_BUILD_ID, PLAIN},
		{BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 3, 0, PLAIN},
		{BPF_MAP_TYPE_CGROUP_ARRAY, 4, 4, 3, 0, PLAIN},
		{BPF_MAP_TYPE_CGROUP_STORAGE, 8, 8, 0, 0, PLAIN},
		{BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 16, 8, 0, 0, PLAIN},
		{SHMAP_MAP_TYPE_ARENA, 0, 0, 2, BPF_F_MMAPABLE, PLAIN},
		{BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 3, 0, INNER},
		{BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 3, 0, INNER},
		{BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 3, BPF_F_NO_PREALLOC, INNER},
		{BPF_MAP_TYPE_TASK_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC, OWNED},
		{BPF_MAP_TYPE_INODE_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC, OWNED},
		{BPF_MAP_TYPE_SK_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC, OWNED},
		{SHMAP_MAP_TYPE_CGRP_STORAGE, 4, 4, 0, BPF_F_NO_PREALLOC, OWNED},
	};
	uint8_t k = take(in) % ARRAY_SIZE(kinds);
	union sys_attr attr = {.map_create = {.map_type = kinds[k].type,
					      .key_size = kinds[k].key,
					      .value_size = kinds[k].value,
					      .max_entries = kinds[k].max,
					      .map_flags = kinds[k].flags}};
	int with = kinds[k].needs == INNER   ? make_inner()
		   : kinds[k].needs == OWNED ? make_btf()
					     : -1;
	int fd;

	if (kinds[k].needs == INNER) {
		attr.map_create.inner_map_fd = with;
	} else if (kinds[k].needs == OWNED) {
		attr.map_create.btf_fd = with;
		attr.map_create.btf_key_type_id = attr.map_create.btf_value_type_id = 1;
	}
	fd = sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0 || (kinds[k].needs != PLAIN && with < 0)) {
		fprintf(stderr, "map %u of type %u is not made: %d\n", k, kinds[k].type, fd);
		abort();
	}
	/* an inner map's fd is something to put in; sometimes the template is gone */
	if (with >= 0 && k & 1)
		close_one(with);
	else if (with >= 0)
		keep_fd(with, fds, next);
	keep_fd(fd, fds, next);
}

static void command(struct input *in, int *fds, unsigned int *next)
{
	int cmd = take(in);
	union sys_attr attr;
	uint8_t *raw = (uint8_t *)&attr, shape = take(in), i;
	unsigned int size = sizeof(attr);
	void *where = &attr;
	long ret;

	take_bytes(in, raw, shape & 1 ? 168 : shape & 2 ? 64 : 24);
	if (!(shape & 1))
		memset(raw + (shape & 2 ? 64 : 24), 0, 168 - (shape & 2 ? 64 : 24));
	if (cmd < (int)ARRAY_SIZE(pointers)) {
		for (i = 0; pointers[cmd][i] != NONE; i++) {
			void *p = pointer(take(in));

			memcpy(raw + pointers[cmd][i], &p, sizeof(p));
		}
		for (i = 0; fd_fields[cmd][i] != NONE; i++) {
			int fd = fd_of(fds, take(in));

			memcpy(raw + fd_fields[cmd][i], &fd, sizeof(fd));
		}
	}
	if (cmd == BPF_MAP_CREATE) {
		/* the machine's memory is not what is tested */
		attr.map_create.value_size &= 0xffff;
		attr.map_create.max_entries &= 0x3ff;
		if (attr.map_create.key_size > 0xffff)
			attr.map_create.key_size &= 15;
	}
	if (cmd == BPF_PROG_TEST_RUN)
		attr.test.repeat &= 15;
	if (shape & 4) { /* an attr at the end of memory, or longer than known */
		size = take(in) * 32;
		where = arena + ARENA - 168 - (shape >> 3) * 8;
		memcpy(where, &attr, 168);
	}
	ret = sys_bpf(cmd, where, size);
	if (ret < 0 || !makes_fd(cmd))
		return;
	keep_fd(ret, fds, next);
}

static void on_fds(struct input *in, int *fds)
{
	uint8_t how = take(in), from = take(in) % FDS, to = take(in) % FDS;
	char text[256];
	uint32_t id;

	switch (how % 5) {
	case 0:
		if (fds[from] >= 0)
			close_one(fds[from]);
		fds[from] = -1;
		break;
	case 1:
		if (fds[from] < 0 || fds[to] < 0 || from == to)
			break;
		fd_forget(fds[to]);
		dup2(fds[from], fds[to]);
		fd_collect();
		break;
	case 2:
		fd_identify(fd_of(fds, from), &id);
		fd_fdinfo(fd_of(fds, from), text, how);
		break;
	case 3:
		fd_mmap_check(fd_of(fds, from), to * 1024, how * 64, how & 7, how >> 4);
		break;
	case 4:
		if (fds[from] >= 0 && !fd_mmap_check(fds[from], 0, 8, PROT_READ, MAP_SHARED)) {
			int own = fd_mmap_open(fds[from], PROT_READ | (how & 2));

			if (own >= 0)
				close_one(own);
		}
		break;
	}
}

/* No name and no fd is left: no object may be. */
static void check_nothing_left(void)
{
	static const int next_id[] = {BPF_MAP_GET_NEXT_ID, BPF_PROG_GET_NEXT_ID,
				      BPF_LINK_GET_NEXT_ID};
	char path[128];
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/fs/%s", getenv("SHMAP_DIR"),
			 strrchr(names[i], '/') + 1);
		unlink(path);
	}
	for (i = 0; i < ARRAY_SIZE(next_id); i++) {
		union sys_attr attr = {0};

		if (sys_bpf(next_id[i], &attr, sizeof(attr)) != -ENOENT) {
			fprintf(stderr, "command %d: object %u is left\n", next_id[i],
				attr.id.next_id);
			abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, data + size};
	unsigned int next = 0;
	int fds[FDS], i;

	memset(fds, -1, sizeof(fds));
	memset(arena, 0, ARENA);
	for (i = 0; i < STEPS && in.p < in.end; i++) {
		uint8_t what = take(&in);

		if (what < 40)
			fill_arena(&in);
		else if (what < 64)
			on_fds(&in, fds);
		else if (what < 80)
			make_map(&in, fds, &next);
		else
			command(&in, fds, &next);
	}
	for (i = 0; i < FDS; i++)
		if (fds[i] >= 0)
			close_one(fds[i]);
	check_nothing_left();
	return 0;
}

static void remove_dir(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (system(cmd))
		fprintf(stderr, "%s is left\n", dir);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	if (!getenv("SHMAP_DIR")) {
		strcpy(dir, "/dev/shm/shmap-fuzz-XXXXXX");
		if (!mkdtemp(dir))
			return 1;
		setenv("SHMAP_DIR", dir, 1);
		atexit(remove_dir);
	}
	arena = mmap(NULL, ARENA + 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	if (arena == MAP_FAILED)
		return 1;
	read_only = arena + ARENA + 4096;
	mprotect(arena + ARENA, 4096, PROT_NONE);
	mprotect(read_only, 4096, PROT_READ);
	return 0;
}
