/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Perf events that carry a program: what libbpf opens for kprobe, ksyscall and
 * tracepoint sections before it attaches. The calls for the layers above are
 * in sys.h.
 */
#ifndef SHMAP_SYS_PERF_H
#define SHMAP_SYS_PERF_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/object.h"
#include "sys/sys.h"

/*
 * The trailer's body of a perf event's file: an object of kind link without an
 * id. `link` says which event; its program is 0 until PERF_EVENT_IOC_SET_BPF
 * makes the file itself the link.
 */
struct perf_body {
	struct link_header link;
	uint32_t link_id; /* the link that uses the event; 0: none yet */
	uint32_t enabled; /* PERF_EVENT_IOC_ENABLE, _DISABLE */
	int32_t pid;	  /* -1: every process */
	uint32_t pad;
};

/* Is there something here that can see this event? 0 or -ENOENT. */
int perf_event_exists(enum link_event event, const char *name);

/*
 * Maps the perf event behind a caller's fd. -EBADF when it is none (as the
 * kernel answers).
 */
int perf_map(int fd, struct object *obj);
/* A private, checked copy of its body. */
int perf_read(const struct object *obj, struct perf_body *out);
/* Is a live link using the event? */
bool perf_in_use(const struct perf_body *body);
/* Makes `id` the link of the event: 0, or -EEXIST when another one was quicker. */
int perf_claim(const struct object *obj, uint32_t was, uint32_t id);

/*
 * Events that programs write to (perf_output.c). Is this one? Then its fd, or
 * -errno; and ioctl(2) on an fd: 1: none of ours, else 0 or -errno.
 */
struct perf_event_attr;
bool perf_output_wanted(const struct perf_event_attr *attr, pid_t pid, int cpu);
int perf_output_open(const struct perf_event_attr *attr, int cpu, int group_fd,
		     unsigned long flags);
int perf_output_ioctl(int fd, unsigned long request, unsigned long arg);

/* May a program of this type be attached to the event? 0 or -EINVAL. */
int perf_check_prog(const struct link_header *event, uint32_t prog_type);

#endif
