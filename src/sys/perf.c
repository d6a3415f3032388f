// SPDX-License-Identifier: BSD-2-Clause
/*
 * Perf events for programs, without the kernel's: perf_event_open(2) of a
 * tracepoint id of ours or of our kprobe type gives the fd of an unpublished
 * link file that remembers the event. It becomes a link by
 * PERF_EVENT_IOC_SET_BPF, or LINK_CREATE makes one that refers to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "sys/calls.h"
#include "sys/fd.h"
#include "sys/link.h"
#include "sys/objfd.h"
#include "sys/perf.h"
#include "sys/prog.h"

/*
 * Tracepoint ids: FIRST + 2 * call for syscalls/sys_enter_CALL, + 1 for
 * sys_exit_CALL; raw_syscalls/ stand behind them. The kernel's ids have 16 bits.
 */
#define ID_FIRST 1000000
#define ID_RAW (ID_FIRST + 2 * CALLS_MAX)
#define PROBE_NAME_MAX 512
#define OPEN_FLAGS                                                                                 \
	(PERF_FLAG_FD_NO_GROUP | PERF_FLAG_FD_OUTPUT | PERF_FLAG_PID_CGROUP | PERF_FLAG_FD_CLOEXEC)

/* ---- names ---- */

static const char *after(const char *name, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(name, prefix, n) ? NULL : name + n;
}

int perf_tracepoint_id(const char *name)
{
	const char *call;
	int exit = 0, number;

	if (!strcmp(name, "raw_syscalls/sys_enter"))
		return ID_RAW;
	if (!strcmp(name, "raw_syscalls/sys_exit"))
		return ID_RAW + 1;
	call = after(name, "syscalls/sys_enter_");
	if (!call) {
		call = after(name, "syscalls/sys_exit_");
		exit = 1;
	}
	number = call ? call_number(call) : -ENOENT;
	return number < 0 ? -ENOENT : ID_FIRST + 2 * number + exit;
}

const char *perf_tracepoint_name(int id)
{
	static __thread char text[128];
	const char *way = id & 1 ? "exit" : "enter", *call;

	if (id == ID_RAW || id == ID_RAW + 1) {
		snprintf(text, sizeof(text), "raw_syscalls/sys_%s", way);
		return text;
	}
	call = id < ID_FIRST ? NULL : call_name((id - ID_FIRST) / 2);
	if (!call)
		return NULL;
	snprintf(text, sizeof(text), "syscalls/sys_%s_%s", way, call);
	return text;
}

int perf_event_exists(enum link_event event, const char *name)
{
	switch (event) {
	case LINK_RAW_TRACEPOINT:
		return !strcmp(name, "sys_enter") || !strcmp(name, "sys_exit") ? 0 : -ENOENT;
	case LINK_TRACEPOINT:
		return perf_tracepoint_id(name) < 0 ? -ENOENT : 0;
	case LINK_KPROBE:
	case LINK_KRETPROBE:
	case LINK_FENTRY:
	case LINK_FEXIT:
		return call_of_function(name) < 0 ? -ENOENT : 0;
	default:
		return -ENOENT;
	}
}

/* ---- the file ---- */

static struct perf_body *perf_body(const struct object *obj)
{
	return (struct perf_body *)obj->trailer->body;
}

int perf_map(int fd, struct object *obj)
{
	int kind = object_identify(fd, NULL, NULL, NULL);

	if (kind != OBJECT_LINK || object_map(fd, obj))
		return -EBADF;
	/* SET_BPF gives the file a link type; it stays an event: pid tells */
	if (!obj->writable || !perf_body(obj)->pid) {
		object_unmap(obj);
		return -EBADF;
	}
	return 0;
}

int perf_read(const struct object *obj, struct perf_body *out)
{
	if (uaccess_copy(out, obj->trailer->body, sizeof(*out)))
		return -EFAULT;
	out->link.name[sizeof(out->link.name) - 1] = '\0';
	return perf_event_exists(out->link.event, out->link.name) ? -EINVAL : 0;
}

bool perf_in_use(const struct perf_body *body)
{
	struct link_header h;

	return body->link_id && !sys_link_read(body->link_id, &h);
}

int perf_claim(const struct object *obj, uint32_t was, uint32_t id)
{
	return cas_seq_cst(&perf_body(obj)->link_id, &was, id) ? 0 : -EEXIST;
}

int perf_check_prog(const struct link_header *event, uint32_t prog_type)
{
	uint32_t want =
		event->event == LINK_TRACEPOINT ? BPF_PROG_TYPE_TRACEPOINT : BPF_PROG_TYPE_KPROBE;

	return prog_type == want ? 0 : -EINVAL;
}

/* ---- perf_event_open(2) ---- */

static int set_tracepoint(const struct perf_event_attr *attr, struct link_header *h)
{
	const char *name = attr->config > INT32_MAX ? NULL : perf_tracepoint_name(attr->config);

	if (!name)
		return -ENOENT;
	h->event = LINK_TRACEPOINT;
	strcpy(h->name, name);
	return 0;
}

static int set_kprobe(const struct perf_event_attr *attr, struct link_header *h)
{
	char name[PROBE_NAME_MAX];
	long n;

	if (attr->config & ~1ULL)
		return -EINVAL;
	if (!attr->kprobe_func) /* by address: there is no function at any */
		return -ENOENT;
	n = uaccess_copy_string(name, sys_ptr(attr->kprobe_func), sizeof(name));
	if (n < 0)
		return n == -E2BIG ? -EINVAL : n;
	h->event = attr->config & 1 ? LINK_KRETPROBE : LINK_KPROBE;
	if (perf_event_exists(h->event, name) || strlen(name) >= sizeof(h->name))
		return -ENOENT;
	if (attr->probe_offset) /* only entry and return can be seen */
		return -EINVAL;
	strcpy(h->name, name);
	return 0;
}

/* A private copy of the attr, zero-extended. 0 or -EFAULT, -E2BIG. */
static int copy_attr(const void *user, struct perf_event_attr *attr)
{
	uint32_t size;

	if (uaccess_copy(&size, uaccess_at(user, offsetof(struct perf_event_attr, size)),
			 sizeof(size)))
		return -EFAULT;
	if (!size)
		size = PERF_ATTR_SIZE_VER0;
	if (size < PERF_ATTR_SIZE_VER0)
		return -E2BIG;
	if (size > sizeof(*attr))
		size = sizeof(*attr);
	memset(attr, 0, sizeof(*attr));
	return uaccess_copy(attr, user, size);
}

static int open_ours(const struct perf_event_attr *attr, pid_t pid, int cpu, unsigned long flags)
{
	struct perf_body body = {.enabled = !attr->disabled};
	struct object obj;
	int fd, err;

	if (flags & ~OPEN_FLAGS)
		return -EINVAL;
	if (pid == -1 && cpu == -1)
		return -EINVAL;
	err = attr->type == PERF_TYPE_TRACEPOINT ? set_tracepoint(attr, &body.link)
						 : set_kprobe(attr, &body.link);
	if (err)
		return err;
	body.pid = pid ? pid : raw_getpid();
	err = rundir_open();
	if (!err)
		err = object_create(OBJECT_LINK, 0, 0, &obj, &fd);
	if (err)
		return err;
	memcpy(obj.trailer->body, &body, sizeof(body));
	object_unmap(&obj);
	if (!(flags & PERF_FLAG_FD_CLOEXEC))
		raw_fcntl(fd, F_SETFD, 0);
	return fd;
}

int sys_perf_event_open(const void *user, pid_t pid, int cpu, int group_fd, unsigned long flags)
{
	struct perf_event_attr attr;

	if (copy_attr(user, &attr))
		goto kernel;
	if (perf_output_wanted(&attr, pid, cpu)) {
		int fd;

		fd_inside_begin();
		fd = perf_output_open(&attr, cpu, group_fd, flags);
		fd_inside_end();
		return fd;
	}
	if ((attr.type == PERF_TYPE_KPROBE ||
	     (attr.type == PERF_TYPE_TRACEPOINT && attr.config >= ID_FIRST))) {
		int fd;

		fd_inside_begin();
		fd = open_ours(&attr, pid, cpu, flags);
		fd_inside_end();
		return fd;
	}
kernel:
	return (int)raw_syscall5(SYS_perf_event_open, user, pid, cpu, group_fd, flags);
}

/* ---- ioctl(2) ---- */

/* The event's own state first: a link that is made meanwhile starts from it. */
static int perf_enable(const struct object *obj, uint32_t enabled)
{
	struct link_header h;
	struct object link;
	uint32_t id;

	store_seq_cst(&perf_body(obj)->enabled, enabled);
	id = load_seq_cst(&perf_body(obj)->link_id);
	if (!id || objfd_map_id(OBJECT_LINK, id, O_RDWR, &link))
		return 0;
	if (!link_read_header(&link, &h) && h.detached == enabled) {
		store_seq_cst(&((struct link_header *)link.trailer->body)->detached, !enabled);
		sys_link_changed();
	}
	object_unmap(&link);
	return 0;
}

/*
 * The event's file becomes the link. A death before the last store leaves an
 * anchor that is not ready, which goes with the fd.
 */
static int publish_event(struct object *obj, int fd, struct perf_body *body,
			 const struct link_prog *prog)
{
	struct link_header *h = &perf_body(obj)->link;
	int err;

	h->link_type = LINK_TYPE_PERF_EVENT;
	h->attach_type = BPF_PERF_EVENT;
	h->prog_id = prog->id;
	h->detached = !body->enabled;
	err = object_publish_unready(obj, fd);
	if (!err)
		err = object_ref(OBJECT_LINK, obj->trailer->id, prog->fd);
	if (!err)
		err = perf_claim(obj, 0, obj->trailer->id);
	if (err)
		return err;
	object_set_ready(obj);
	sys_link_changed();
	return 0;
}

static int perf_set_bpf(struct object *obj, int fd, int prog_fd)
{
	struct perf_body body;
	struct link_prog prog;
	int err;

	err = link_prog_open(prog_fd, &prog);
	if (err)
		return err;
	err = perf_read(obj, &body);
	if (!err)
		err = perf_check_prog(&body.link, prog.type);
	if (!err && body.pid != -1)
		err = -EOPNOTSUPP; /* a program for one process only */
	if (!err && perf_in_use(&body))
		err = -EEXIST;
	/* an event whose link has gone is not made one again: its file may have an id */
	if (!err && body.link_id)
		err = -EBUSY;
	if (!err)
		err = publish_event(obj, fd, &body, &prog);
	link_prog_close(&prog);
	return err;
}

static int perf_id(const struct object *obj, void *user)
{
	uint64_t id = obj->ino;

	return uaccess_copy(user, &id, sizeof(id));
}

int sys_perf_ioctl(int fd, unsigned long request, unsigned long arg, long *ret)
{
	struct object obj;
	int err;

	*ret = 0;
	if (perf_map(fd, &obj))
		return perf_output_ioctl(fd, request, arg);
	switch (request) {
	case PERF_EVENT_IOC_ENABLE:
	case PERF_EVENT_IOC_DISABLE:
		err = perf_enable(&obj, request == PERF_EVENT_IOC_ENABLE);
		break;
	case PERF_EVENT_IOC_SET_BPF:
		fd_inside_begin();
		err = perf_set_bpf(&obj, fd, (int)arg);
		fd_inside_end();
		break;
	case PERF_EVENT_IOC_ID:
		err = perf_id(&obj, (void *)arg);
		break;
	case PERF_EVENT_IOC_RESET:
		err = 0; /* there is no count to reset */
		break;
	default:
		err = -ENOTTY;
	}
	object_unmap(&obj);
	return err;
}
