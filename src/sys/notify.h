/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Listeners of a process: bpf_map_notify() and its like (shmap.h), below errno.
 *
 * One thread of the library's serves them all, from the first on: it runs the handlers, looks
 * for raw stores (rawstore.h) and for what the dead left unsaid. A forked child has no
 * listeners.
 */
#ifndef SHMAP_SYS_NOTIFY_H
#define SHMAP_SYS_NOTIFY_H

#include <stddef.h>

struct shmap_event;
struct shmap_notify_opts;

/* A handle (> 0), or -errno. */
long sys_notify_add(int fd, void (*handler)(void *event), const struct shmap_notify_opts *opts);
long sys_notify_remove(int handle);
/* An fd that is readable when there is something to read, or -errno. */
long sys_notify_fd(int fd, const struct shmap_notify_opts *opts);
/* 1: an event; 0: none, and the fd is readable no more. */
long sys_notify_read(int nfd, struct shmap_event *event, size_t size);
long sys_notify_close(int nfd);

#endif
