/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command table of bpf(2): one line per command in table.c, one file per
 * area for the functions.
 */
#ifndef SHMAP_SYS_COMMAND_H
#define SHMAP_SYS_COMMAND_H

#include <stdint.h>

#include "sys/attr.h"

/*
 * A command. attr is a private copy of 168 bytes, zero-extended, and every
 * byte after the command's last field is zero. uattr is the caller's attr
 * (any pointer; write results with uaccess_copy()); size is the caller's size.
 * The result of bpf(2): >= 0 or -errno.
 */
typedef long (*sys_command_fn)(union sys_attr *attr, union sys_attr *uattr, unsigned int size);

struct sys_command {
	sys_command_fn fn; /* NULL: the command does not exist (-EINVAL) */
	uint32_t end;	   /* offset of the first byte that must be zero */
};

/* The command, or NULL. */
const struct sys_command *sys_command_find(int cmd);

/* map.c */
long sys_cmd_map_create(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_lookup(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_update(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_delete(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_next_key(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_lookup_and_delete(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_freeze(union sys_attr *attr, union sys_attr *uattr, unsigned int size);

/* batch.c */
long sys_cmd_map_lookup_batch(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_lookup_and_delete_batch(union sys_attr *attr, union sys_attr *uattr,
					 unsigned int size);
long sys_cmd_map_update_batch(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_delete_batch(union sys_attr *attr, union sys_attr *uattr, unsigned int size);

/* obj.c */
long sys_cmd_obj_pin(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_obj_get(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_obj_info(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_next_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_prog_next_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_btf_next_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_link_next_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size);
long sys_cmd_map_fd_by_id(union sys_attr *attr, union sys_attr *uattr, unsigned int size);

/*
 * OBJ_GET_INFO_BY_FD by kind. fd is known to be of the kind. info is the
 * caller's (any pointer) of attr->info.info_len bytes; attr->info and
 * uattr->info as in bpf(2). map: obj.c; the others: prog.c, btf.c, link.c.
 */
long sys_map_info(int fd, union sys_attr *attr, union sys_attr *uattr);
long sys_prog_info(int fd, union sys_attr *attr, union sys_attr *uattr);
long sys_btf_info(int fd, union sys_attr *attr, union sys_attr *uattr);
long sys_link_info(int fd, union sys_attr *attr, union sys_attr *uattr);

#endif
