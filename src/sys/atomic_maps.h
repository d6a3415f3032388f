/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What maps have beyond bpf(2), by fd: snapshots, transactions, handles. include/shmap.h says
 * what each does. -errno.
 */
#ifndef SHMAP_SYS_ATOMIC_MAPS_H
#define SHMAP_SYS_ATOMIC_MAPS_H

#include <stdint.h>

struct txn;
struct shmap_handle;

/* fds and snapshots: user memory. */
long sys_snapshot(const int *fds, int *snapshots, uint32_t n);

long sys_txn_get(struct txn *t, int fd, const void *key, void *value);
long sys_txn_put(struct txn *t, int fd, const void *key, const void *value, uint64_t flags);
long sys_txn_delete(struct txn *t, int fd, const void *key);

long sys_handle_open(int fd, struct shmap_handle **out);
void sys_handle_close(struct shmap_handle *h);
long sys_section_begin(void);
void sys_section_end(void);
void sys_edited(const struct shmap_handle *h);
long sys_modify(struct shmap_handle *h, const void *key, int (*fn)(void *value, void *arg),
		void *arg);

#endif
