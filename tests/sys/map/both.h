/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The same calls against shmap and, where bpf(2) is permitted, the kernel.
 *
 * A claim says what each call returns. It is run with bpf() being sys_bpf()
 * and again with the system call: a claim that shmap meets and the kernel
 * does not is a wrong claim, and fails too.
 */
#ifndef SHMAP_TESTS_SYS_BOTH_H
#define SHMAP_TESTS_SYS_BOTH_H

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/errors.h"
#include "base/uapi.h"
#include "sys/attr.h"
#include "sys/sys.h"
#include "../../check.h"

static bool on_kernel;

static long bpf(int cmd, void *attr, unsigned int size)
{
	long ret;

	if (!on_kernel)
		return sys_bpf(cmd, attr, size);
	ret = syscall(SYS_bpf, cmd, attr, size);
	return ret < 0 ? -errno : ret;
}

#define CALL(cmd, ...)                                                                             \
	({                                                                                         \
		union sys_attr attr_ = {__VA_ARGS__};                                              \
		bpf(cmd, &attr_, sizeof(attr_));                                                   \
	})

#define P(ptr) ((uintptr_t)(ptr))
#define BAD 8UL /* never mapped */

static inline void close_fd(int fd)
{
	if (fd < 0)
		return;
	if (!on_kernel)
		fd_forget(fd);
	close(fd);
	if (!on_kernel)
		fd_collect();
}

/* For calls that return a new fd: closes it; 0 or the error. */
static inline long only_err(long ret)
{
	if (ret < 0)
		return ret;
	close_fd(ret);
	return 0;
}

static inline int map_new(uint32_t type, uint32_t key, uint32_t value, uint32_t max, uint32_t flags)
{
	int fd = CALL(BPF_MAP_CREATE, .map_create = {.map_type = type,
						     .key_size = key,
						     .value_size = value,
						     .max_entries = max,
						     .map_flags = flags});

	REQUIRE(fd >= 0);
	return fd;
}

static inline int array_new(void)
{
	return map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, 0);
}

static inline int hash_new(void)
{
	return map_new(BPF_MAP_TYPE_HASH, 4, 8, 4, 0);
}

static inline long lookup(int fd, const void *key, void *value, uint64_t flags)
{
	return CALL(BPF_MAP_LOOKUP_ELEM,
		    .elem = {.map_fd = fd, .key = P(key), .value = P(value), .flags = flags});
}

static inline long update(int fd, const void *key, const void *value, uint64_t flags)
{
	return CALL(BPF_MAP_UPDATE_ELEM,
		    .elem = {.map_fd = fd, .key = P(key), .value = P(value), .flags = flags});
}

static inline long delete (int fd, const void *key)
{
	return CALL(BPF_MAP_DELETE_ELEM, .elem = {.map_fd = fd, .key = P(key)});
}

static inline long next_key(int fd, const void *key, void *next)
{
	return CALL(BPF_MAP_GET_NEXT_KEY,
		    .elem = {.map_fd = fd, .key = P(key), .next_key = P(next)});
}

static inline long freeze(int fd)
{
	return CALL(BPF_MAP_FREEZE, .elem = {.map_fd = fd});
}

static inline uint32_t map_id(int fd)
{
	uint32_t info[26] = {0};

	REQUIRE(!CALL(BPF_OBJ_GET_INFO_BY_FD,
		      .info = {.bpf_fd = fd, .info_len = sizeof(info), .info = P(info)}));
	return info[1];
}

struct claim {
	const char *name;
	void (*run)(void);
	enum {
		BOTH,
		PINS, /* on the kernel with a bpf file system of its own */
		OURS, /* about shmap only */
	} where;
};

static inline bool kernel_permitted(void)
{
	int fd;

	on_kernel = true;
	fd = CALL(BPF_MAP_CREATE, .map_create = {.map_type = BPF_MAP_TYPE_LRU_HASH,
						 .key_size = 4,
						 .value_size = 8,
						 .max_entries = 1});
	if (fd >= 0)
		close(fd);
	on_kernel = false;
	return fd >= 0;
}

/* Is it Linux 6.18 or newer? The claims are 6.18's. */
static inline bool kernel_recent(void)
{
	union sys_attr attr = {.prog_load = {.keyring_id = 1}};

	/* an older kernel does not know these bytes: E2BIG before it looks at the command */
	return syscall(SYS_bpf, 0xfff, &attr, sizeof(attr)) < 0 && errno == EINVAL;
}

static inline int both_main(int argc, char **argv, const struct claim *claims, int n)
{
	int i, before;

	check_private_rundir();
	for (i = 0; i < n; i++)
		if (argc == 2 && !strcmp(argv[1], claims[i].name))
			break;
	if (i == n) {
		for (i = 0; i < n; i++)
			printf("%s\n", claims[i].name);
		return argc == 2;
	}
	claims[i].run();
	if (claims[i].where == OURS)
		return check_done();
	if (!kernel_permitted() || !kernel_recent()) {
		printf("not compared with the kernel: no bpf(2), or older than 6.18\n");
		return check_done();
	}
	if (claims[i].where == PINS &&
	    (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	     mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))) {
		printf("not compared with the kernel: no bpf file system of our own\n");
		return check_done();
	}
	before = check_failures;
	on_kernel = true;
	claims[i].run();
	if (check_failures != before)
		fprintf(stderr, "the kernel does not agree with the claim\n");
	return check_done();
}

#define BOTH_MAIN(claims)                                                                          \
	int main(int argc, char **argv)                                                            \
	{                                                                                          \
		return both_main(argc, argv, claims, sizeof(claims) / sizeof(*(claims)));          \
	}

#endif
