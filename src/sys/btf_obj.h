/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * BTF objects: a blob in a file, and the object that stands for the running
 * kernel's BTF.
 */
#ifndef SHMAP_SYS_BTF_OBJ_H
#define SHMAP_SYS_BTF_OBJ_H

#include <stdbool.h>
#include <stdint.h>

#include "btf/btf.h"
#include "sys/attr.h"

#define BTF_SIZE_MAX (16U << 20)
#define BTF_TYPE_MAX 0xfffffU

/* The trailer's body. The blob is the file's data; none for the kernel's BTF,
 * which every process reads from /sys/kernel/btf itself. */
struct btf_body {
	uint32_t size;
	uint32_t kernel_btf;
	char name[64];
};

/* An open BTF object. */
struct btf_ref {
	int fd; /* ours; holds the object */
	uint32_t id;
	bool kernel;
	struct btf *btf; /* parsed private copy; NULL for the kernel's */
};

/* Opens the BTF behind a caller's fd, or by id: 0; -EBADF, -EINVAL (no BTF), -ENOENT... */
int sys_btf_open_fd(int fd, struct btf_ref *out);
int sys_btf_open(uint32_t id, struct btf_ref *out);
/* The object for the kernel's BTF: found or made. -ENOENT without kernel BTF. */
int sys_btf_open_vmlinux(struct btf_ref *out);
void sys_btf_close(struct btf_ref *ref);

long sys_cmd_btf_load(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_btf_fd_by_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size);

#endif
