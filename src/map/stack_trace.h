/* SPDX-License-Identifier: BSD-2-Clause */
/* What STACK_TRACE does beside the operations of all maps. */
#ifndef SHMAP_MAP_STACK_TRACE_H
#define SHMAP_MAP_STACK_TRACE_H

#include "map/map.h"

/* struct bpf_stack_build_id of linux/bpf.h: what a frame is in a map with BPF_F_STACK_BUILD_ID. */
#define STACK_BUILD_ID_SIZE 32

/* kernel.perf_event_max_stack: no stack has more frames, and none more than this. */
#define STACK_DEPTH_MAX 256
uint32_t stack_max_depth(void);

struct stack_ops {
	/* Does a frame have a build id, and how many frames does a value have room for? */
	bool (*build_id)(const struct map *m);
	uint32_t (*frames)(const struct map *m);
	/*
	 * bpf_get_stackid() with a stack: ips are its nr (1..frames) addresses, which the id
	 * is computed from, frames the same as the map keeps them. The id, -EEXIST,
	 * -ENOMEM, -EBUSY. flags: BPF_F_FAST_STACK_CMP, BPF_F_REUSE_STACKID.
	 */
	long (*put)(struct map *m, const uint64_t *ips, const void *frames, uint32_t nr,
		    uint64_t flags);
};

#endif
