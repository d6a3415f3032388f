/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks that several commands share. */
#ifndef SHMAP_SYS_CHECK_H
#define SHMAP_SYS_CHECK_H

#include <stddef.h>
#include <stdint.h>

/* The bytes of user[known, size) must be zero: 0, -E2BIG (also when size is above
 * a page), -EFAULT. */
int sys_check_tail(const void *user, size_t known, size_t size);

/* Letters (of Latin-1), digits, _ and . with a NUL within 16 bytes; dst is zero-filled. 0 or -EINVAL. */
int sys_check_name(char dst[16], const char *src);

/* BPF_F_RDONLY and BPF_F_WRONLY among flags as an open mode; both: -EINVAL. */
int sys_open_mode(uint32_t flags);

#endif
