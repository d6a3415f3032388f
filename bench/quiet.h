/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SHMAP_BENCH_QUIET_H
#define SHMAP_BENCH_QUIET_H

#include <stdint.h>

#define QUIET_COPIES 3
/* enum bpf_map_type: linux/bpf.h is the library's business here */
#define QUIET_HASH 1
#define QUIET_ARRAY 2
#define QUIET_LRU_HASH 9

struct quiet_side {
	int (*update)(int fd, const void *key, const void *value, uint64_t flags);
	int (*delete)(int fd, const void *key);
};

/* [..][0]: the library's; [..][1]: without locks and notices. */
extern const struct quiet_side quiet_sides[QUIET_COPIES][2];

/* An fd or -errno. */
int quiet_map(uint32_t type, uint32_t key, uint32_t value, uint32_t n);

#endif
