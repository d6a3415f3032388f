// SPDX-License-Identifier: BSD-2-Clause
/*
 * Perf events that programs write to, without the kernel's: perf_event_open(2) of
 * PERF_COUNT_SW_BPF_OUTPUT on one CPU and every process gives the fd of a ring of
 * ours (map/perf_event.h), which can be mapped, polled and put into a
 * PERF_EVENT_ARRAY.
 *
 * Mappings: each is made from an open file description of its own, which has no other
 * fd and holds a shared OFD lock on MARK_BYTE: so it is known, without a count that a
 * death could make wrong, whether a ring is mapped. Who maps it alone may choose
 * another size, and holds the byte exclusively while it does.
 */
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/perf_event.h"
#include "sync/lease.h"
#include "sys/fd.h"
#include "sys/perf.h"

#define MARK_BYTE (1LL << 62)
#define MARK_TRIES 1000
#define SAMPLE_TYPES ((1ULL << 25) - 1) /* that Linux 6.18 knows */
#define READ_FORMATS                                                                               \
	(PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING | PERF_FORMAT_ID |        \
	 PERF_FORMAT_LOST_)
#define PERF_FORMAT_LOST_ (1U << 4) /* newer than the build machine's header may be */
#define READ_FORMATS_MAX (1U << 5)
#define OPEN_FLAGS                                                                                 \
	(PERF_FLAG_FD_NO_GROUP | PERF_FLAG_FD_OUTPUT | PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC)

bool perf_output_wanted(const struct perf_event_attr *attr, pid_t pid, int cpu)
{
	return attr->type == PERF_TYPE_SOFTWARE && attr->config == PERF_COUNT_SW_BPF_OUTPUT &&
	       pid == -1 && cpu != -1;
}

int perf_output_open(const struct perf_event_attr *attr, int cpu, int group_fd, unsigned long flags)
{
	struct perf_event_state like = {
		.cpu = cpu,
		.raw = attr->sample_type == PERF_SAMPLE_RAW,
		.enabled = !attr->disabled,
		.read_format = attr->read_format,
	};
	uint32_t id;
	int fd;

	if (flags & ~OPEN_FLAGS || attr->sample_type > SAMPLE_TYPES ||
	    attr->read_format >= READ_FORMATS_MAX)
		return -EINVAL;
	if (group_fd != -1) /* there are no groups here */
		return raw_fcntl(group_fd, F_GETFD, 0) < 0 ? -EBADF : -EINVAL;
	if (cpu < 0 || (unsigned int)cpu >= lease_possible_cpus())
		return -EINVAL;
	/* what the records would also have to say, or a ring that runs backwards */
	if (attr->sample_type & ~PERF_SAMPLE_RAW || attr->read_format & ~READ_FORMATS ||
	    attr->write_backward || attr->inherit)
		return -EOPNOTSUPP;
	if (attr->watermark)
		like.watermark = attr->wakeup_watermark;
	else
		like.wakeup_events = attr->wakeup_events;
	fd = lease_open();
	if (!fd)
		fd = perf_event_create(&like, &id);
	if (fd < 0)
		return fd;
	if (!(flags & PERF_FLAG_FD_CLOEXEC))
		raw_fcntl(fd, F_SETFD, 0);
	fd_install_object(fd, OBJECT_PERF, id);
	return fd;
}

/* ---- ioctl(2), read(2), poll(2) ---- */

static int output_ioctl(struct perf_event *ev, unsigned long request, unsigned long arg)
{
	uint64_t value = ev->obj.id;

	switch (request) {
	case PERF_EVENT_IOC_ENABLE:
	case PERF_EVENT_IOC_DISABLE:
		return perf_event_enable(ev, request == PERF_EVENT_IOC_ENABLE);
	case PERF_EVENT_IOC_REFRESH:
		return perf_event_enable(ev, true);
	case PERF_EVENT_IOC_PAUSE_OUTPUT:
		return perf_event_pause(ev, arg);
	case PERF_EVENT_IOC_RESET:
		return 0; /* the count is 0 */
	case PERF_EVENT_IOC_ID:
		return uaccess_copy((void *)arg, &value, sizeof(value));
	case PERF_EVENT_IOC_PERIOD:
		if (uaccess_copy(&value, (void *)arg, sizeof(value)))
			return -EFAULT;
		return value ? 0 : -EINVAL; /* each record is an event, whatever the period */
	case PERF_EVENT_IOC_SET_OUTPUT:
		/* each event has a ring of its own, or none */
		return (int)arg == -1 && !load_relaxed(&ev->state->pages) ? 0 : -EINVAL;
	case PERF_EVENT_IOC_SET_FILTER:
	case PERF_EVENT_IOC_SET_BPF:
	case PERF_EVENT_IOC_QUERY_BPF:
	case PERF_EVENT_IOC_MODIFY_ATTRIBUTES:
		return -EINVAL;
	}
	return -ENOTTY;
}

int perf_output_ioctl(int fd, unsigned long request, unsigned long arg)
{
	struct perf_event ev;
	int err;

	if (perf_event_open_fd(fd, &ev))
		return 1;
	err = output_ioctl(&ev, request, arg);
	object_unmap(&ev.obj);
	return err;
}

long sys_perf_read(int fd, void *buf, size_t size)
{
	uint64_t out[5] = {0}, age;
	struct perf_event ev;
	size_t n = 1;

	if (perf_event_open_fd(fd, &ev))
		return 1;
	age = perf_event_age(&ev);
	if (ev.state->read_format & PERF_FORMAT_TOTAL_TIME_ENABLED)
		out[n++] = age;
	if (ev.state->read_format & PERF_FORMAT_TOTAL_TIME_RUNNING)
		out[n++] = age;
	if (ev.state->read_format & PERF_FORMAT_ID)
		out[n++] = ev.obj.id;
	if (ev.state->read_format & PERF_FORMAT_LOST_)
		out[n++] = load_relaxed(&ev.state->lost);
	object_unmap(&ev.obj);
	if (size < n * sizeof(out[0]))
		return -ENOSPC;
	return uaccess_copy(buf, out, n * sizeof(out[0])) ? -EFAULT : (long)(n * sizeof(out[0]));
}

/* ---- mmap(2) ---- */

static int mark(int fd, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = MARK_BYTE, .l_len = 1};
	int err = raw_fcntl(fd, F_OFD_SETLK, (long)&lock);

	return err == -EACCES ? -EAGAIN : err;
}

/* Marks own as mapping the ring; *alone: as the only one, until mark(own, F_RDLCK). */
static int mark_mapping(int own, bool *alone)
{
	int err;

	for (int i = 0; i < MARK_TRIES; i++) {
		err = mark(own, F_WRLCK);
		*alone = !err;
		if (err == -EAGAIN)
			err = mark(own, F_RDLCK);
		if (err != -EAGAIN)
			return err;
		/* another one is alone, for a few instructions */
		raw_sched_yield();
	}
	return -EBUSY;
}

/* Maps the ring from own. The address, or -errno. */
static long map_ring(struct perf_event *ev, int own, void *addr, size_t len, int prot, int flags)
{
	uint32_t pages = len / SHMAP_PAGE - 1;
	bool alone;
	int err;

	err = mark_mapping(own, &alone);
	if (!err)
		err = perf_event_set_pages(ev, own, pages, !(prot & PROT_WRITE), alone);
	if (!err && alone)
		err = mark(own, F_RDLCK);
	return err ? err : (long)raw_mmap(addr, len, prot, flags, own, 0);
}

/* The kernel's order: the file's mode, then perf's own checks. */
static int check_mapping(size_t len, int prot, int flags, off_t off)
{
	size_t pages = round_up_u64(len, SHMAP_PAGE) / SHMAP_PAGE;

	if (!len || off % SHMAP_PAGE)
		return -EINVAL;
	if (prot & PROT_EXEC)
		return -EPERM;
	if ((flags & MAP_TYPE) == MAP_PRIVATE || off)
		return -EINVAL;
	if ((pages - 1) & (pages - 2) && pages > 1)
		return -EINVAL;
	return pages - 1 > PERF_EVENT_PAGES_MAX ? -ENOMEM : 0;
}

int sys_perf_mmap(int fd, void *addr, size_t len, int prot, int flags, off_t off, long *ret)
{
	struct perf_event ev;
	int err, own;

	if (perf_event_open_fd(fd, &ev))
		return 1;
	err = check_mapping(len, prot, flags, off);
	own = err ? err : fd_reopen(fd, O_RDWR);
	if (own >= 0) {
		*ret = map_ring(&ev, own, addr, round_up_u64(len, SHMAP_PAGE), prot, flags);
		raw_close(own);
		if (raw_is_error((void *)*ret))
			err = (int)*ret;
	} else {
		err = own;
	}
	object_unmap(&ev.obj);
	return err;
}
