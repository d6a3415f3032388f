/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots: copies of maps as of one instant. */
#ifndef SHMAP_MAP_SNAPSHOT_H
#define SHMAP_MAP_SNAPSHOT_H

#include "map/gate.h"

/*
 * Copies n different maps as they are at one instant. btf_fd[i]: the BTF object of map i, or -1.
 * copy[i] and fd[i]: the new map, frozen, and a writable fd of it. 0; -EOPNOTSUPP: a type,
 * or values with timers; -EXDEV, -ENOMEM, -EBUSY, ...: then there are none.
 */
int map_snapshot(struct map *const *map, uint32_t n, const int *btf_fd, struct map **copy, int *fd);

/* For how long the calling thread's last snapshot kept writers out, in ns. */
extern __thread uint64_t map_snapshot_stalled __attribute__((tls_model("initial-exec")));

/* Does the map take part in snapshots, or (txn) in transactions? 0 or -EOPNOTSUPP. */
int map_snapshot_check(const struct map *m, bool txn);

#endif
