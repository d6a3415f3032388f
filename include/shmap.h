/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap: the BPF map subsystem in user space.
 *
 * Maps and programs are used through <bpf/bpf.h>, <bpf/libbpf.h> and bpf(2):
 * a program linked with -lshmap -lbpf, or started by `shmap exec`, is served by
 * shmap; the same program without it, by the kernel. This header holds what
 * the kernel does not have.
 *
 * Environment:
 *   SHMAP_DIR     the runtime directory; default /dev/shm/shmap-UID. Processes
 *                 with the same one share maps, programs and pins.
 *   SHMAP_BPFFS   "kernel": paths below /sys/fs/bpf are the kernel's, not the
 *                 pins in the runtime directory.
 */
#ifndef SHMAP_H
#define SHMAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Functions beside libbpf's and libc's are weak: a program can ask whether they are
 * there, and runs on the kernel without them. */
#ifdef SHMAP_BUILD
#define SHMAP_WEAK
#else
#define SHMAP_WEAK __attribute__((weak))
#endif

#define SHMAP_VERSION_MAJOR 0
#define SHMAP_VERSION_MINOR 1
#define SHMAP_VERSION_PATCH 0
#define SHMAP_VERSION "0.1.0"

/*
 * The version of the library that serves this process, "MAJOR.MINOR.PATCH".
 * Declared weak, so that a program can ask whether it is there at all:
 *
 *	if (shmap_version)
 *		printf("on shmap %s\n", shmap_version());
 */
const char *shmap_version(void) SHMAP_WEAK;

/*
 * What a map has counted since it was made. What a type does not have is 0: see
 * shmap(7) for what each type counts.
 *
 * The counts are of all processes together. Each is one that was true at some moment
 * during the call; they are not of one moment. A process that is killed inside an
 * operation may have done it without counting it: evictions, failed and lost may then be
 * one too small. entries is exact, but for BLOOM_FILTER.
 */
struct shmap_map_stats {
	uint64_t entries;   /* that are there now */
	uint64_t evictions; /* that gave way to new ones */
	uint64_t failed;    /* updates refused because the map was full */
	uint64_t lost;	    /* records that a ring buffer had no room for */
};

/*
 * Fills *stats, without walking the map, for an fd of a map with any access. size is
 * sizeof(struct shmap_map_stats) as the caller knows it: a shorter one gets as much as fits,
 * and what a longer one has beyond is set to 0.
 *
 * 0; or, with errno set:
 *   -EBADF       no open fd
 *   -EINVAL      not a map; size is 0
 *   -EOPNOTSUPP  a type of map that counts nothing
 *   -EFAULT      stats is a bad pointer
 *   -EIO         the map's file is damaged
 *
 * The same figures are lines of /proc/self/fdinfo/FD. The kernel has neither.
 */
int shmap_map_stats(int fd, struct shmap_map_stats *stats, size_t size) SHMAP_WEAK;

#ifdef __cplusplus
}
#endif

#endif
