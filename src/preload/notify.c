/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_map_notify() and its like. */
#include "sys/notify.h"

#include "preload/preload.h"
#include "shmap.h"

EXPORT int bpf_map_notify(int fd, void (*handler)(void *ctx))
{
	return result(sys_notify_add(fd, handler, NULL));
}

EXPORT int shmap_notify(int fd, void (*handler)(void *ctx), const struct shmap_notify_opts *opts)
{
	return result(sys_notify_add(fd, handler, opts));
}

EXPORT int shmap_notify_remove(int handle)
{
	return result(sys_notify_remove(handle));
}

EXPORT int shmap_notify_fd(int fd, const struct shmap_notify_opts *opts)
{
	return result(sys_notify_fd(fd, opts));
}

EXPORT int shmap_notify_read(int nfd, struct shmap_event *event, size_t size)
{
	return result(sys_notify_read(nfd, event, size));
}

EXPORT int shmap_notify_close(int nfd)
{
	return result(sys_notify_close(nfd));
}
