/* SPDX-License-Identifier: BSD-2-Clause */
/* What PERF_EVENT_ARRAY does beside the operations of all maps. */
#ifndef SHMAP_MAP_PERF_H
#define SHMAP_MAP_PERF_H

#include "map/map.h"
#include "map/perf_event.h"

/* Who puts an event into a slot. */
struct perf_setter {
	int map_fd, event_fd;
	uint32_t event_id; /* event_fd is that event; 0: it is to be looked at */
	/* What map_fd's description has from an update before, or 0; gets what it has then. */
	uint32_t *token;
};

struct perf_ops {
	/*
	 * MAP_UPDATE_ELEM: puts the perf event behind event_fd into a slot, for as long
	 * as the open file description of map_fd lives (BPF_F_PRESERVE_ELEMS: for good).
	 */
	int (*set)(struct map *m, const struct perf_setter *by, const void *key, uint64_t flags);
	/* bpf_perf_event_output(), under a lease: index as the helper's flags have it. */
	long (*output)(struct map *m, uint64_t flags, const struct perf_part *parts,
		       unsigned int count);
	/* bpf_perf_event_read_value(): counter, enabled, running. */
	long (*read)(struct map *m, uint64_t flags, uint64_t out[3]);
};

#endif
