/* SPDX-License-Identifier: BSD-2-Clause */
/* The two that are compared. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "oracle.h"
#include "sys/sys.h"

static long kernel_bpf(int cmd, void *attr, unsigned int size)
{
	long ret;

	/* EAGAIN: an owner's last value, of a local storage that was closed before, is just
	 * being freed by the kernel's worker. It asks to be asked again. */
	do
		ret = syscall(SYS_bpf, cmd, attr, size);
	while (ret < 0 && errno == EAGAIN && cmd == BPF_MAP_UPDATE_ELEM);
	return ret < 0 ? -errno : ret;
}

static void kernel_close(int fd)
{
	close(fd);
}

static void *kernel_mmap(int fd, size_t len, int prot, int flags, uint64_t offset, int *err)
{
	void *p = mmap(NULL, len, prot, flags, fd, offset);

	*err = p == MAP_FAILED ? -errno : 0;
	return p;
}

static long kernel_fdinfo(int fd, char *buf, size_t size)
{
	char path[64];
	long n;
	int info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	n = read(info, buf, size);
	close(info);
	return n;
}

static int kernel_poll(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	return poll(&p, 1, 0) < 0 ? -errno : p.revents;
}

const struct side kernel_side = {
	.name = "kernel",
	.bpf = kernel_bpf,
	.close = kernel_close,
	.mmap = kernel_mmap,
	.fdinfo = kernel_fdinfo,
	.poll = kernel_poll,
};

static long shmap_bpf(int cmd, void *attr, unsigned int size)
{
	return sys_bpf(cmd, attr, size);
}

/* What the preload library does around close(2) and mmap(2). */
static void shmap_close(int fd)
{
	fd_forget(fd);
	close(fd);
	fd_collect();
}

static void *shmap_mmap(int fd, size_t len, int prot, int flags, uint64_t offset, int *err)
{
	void *p = MAP_FAILED;
	int own;

	*err = fd_mmap_check(fd, offset, len, prot, flags);
	if (*err < 0)
		return MAP_FAILED;
	own = fd_mmap_open(fd, prot);
	if (own < 0) {
		*err = own;
		return MAP_FAILED;
	}
	p = fd_mmap_map(fd, own, NULL, len, prot, flags, offset);
	*err = (uintptr_t)p > (uintptr_t)-4096L ? (int)(intptr_t)p : 0;
	shmap_close(own);
	return *err ? MAP_FAILED : p;
}

/* A map without events has POLLERR, always. */
static int shmap_poll(int fd, short events)
{
	struct map_watch w;
	int level, err = watch_open(fd, &w);

	if (err)
		return err == -ENOTSUPP ? POLLERR : err;
	level = watch_level(&w) & (events | POLLERR | POLLHUP);
	watch_close(&w);
	return level;
}

const struct side shmap_side = {
	.name = "shmap",
	.bpf = shmap_bpf,
	.close = shmap_close,
	.mmap = shmap_mmap,
	.fdinfo = fd_fdinfo,
	.poll = shmap_poll,
};
