/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Links: a program at an event. A link is a file whose trailer's body is a
 * struct link_header (sys.h); it keeps its program alive.
 */
#ifndef SHMAP_SYS_LINK_H
#define SHMAP_SYS_LINK_H

#include <stdint.h>

#include "shm/object.h"
#include "sys/attr.h"
#include "sys/sys.h"

/* bpf_link_type; linux/bpf.h's names, with the number of Debian's missing one. */
#define LINK_TYPE_RAW_TRACEPOINT 1
#define LINK_TYPE_TRACING 2
#define LINK_TYPE_PERF_EVENT 7

/* A program as attach commands look at it. fd is ours and keeps it alive. */
struct link_prog {
	int fd;
	uint32_t id;
	uint32_t type;
	uint32_t expected_attach_type;
	uint32_t attach_btf_id;
	uint32_t attach_btf_obj_id;
	char attach_func[128];
};

/* 0; -EBADF, -EINVAL (no program). */
int link_prog_open(int fd, struct link_prog *out);
void link_prog_close(struct link_prog *prog);

/* Publishes a link to prog as h says (prog_id is filled in). The fd or -errno. *id may be NULL. */
int link_publish(const struct link_header *h, const struct link_prog *prog, uint32_t *id);

/* A private, checked copy of a mapped link's header. 0 or -EINVAL, -EFAULT. */
int link_read_header(const struct object *obj, struct link_header *out);

long sys_cmd_raw_tracepoint_open(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_link_create(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_link_update(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_link_detach(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_link_fd_by_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size);

#endif
