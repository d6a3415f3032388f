/* SPDX-License-Identifier: BSD-2-Clause */
/* The lock of a map's contents, by fd; see bpf_map_lock() in shmap.h. All return 0 or -errno. */
#ifndef SHMAP_SYS_MAPLOCK_H
#define SHMAP_SYS_MAPLOCK_H

#include <stdint.h>

struct qlock_info;

#define SYS_LOCK_TRY 1U /* SHMAP_LOCK_TRY */

/* timeout_ns UINT64_MAX: for ever. -EOWNERDEAD: it is the caller's. */
long sys_map_lock(int fd, uint64_t flags, uint64_t timeout_ns);
long sys_map_unlock(int fd, uint64_t flags);
long sys_map_lock_consistent(int fd);
/* By any fd of a map. */
long sys_map_lock_info(int fd, struct qlock_info *info);

#endif
