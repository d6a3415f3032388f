/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The log of PROG_LOAD and BTF_LOAD: written to private memory, copied to the
 * caller's buffer when the command ends.
 */
#ifndef SHMAP_SYS_LOG_H
#define SHMAP_SYS_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/vm.h"

#define SYS_LOG_LEVEL1 1U
#define SYS_LOG_LEVEL2 2U
#define SYS_LOG_STATS 4U
#define SYS_LOG_FIXED 8U /* keep the beginning of a log that is too long, not its end */

struct sys_log {
	struct vm_log log;
	void *user; /* the caller's buffer (any pointer), or NULL */
	uint32_t user_size;
	bool fixed;
};

/*
 * Checks the three attr fields: 0, -EINVAL when they contradict each other,
 * -ENOMEM. sys_log_finish() must follow a 0.
 */
int sys_log_init(struct sys_log *l, uint32_t level, void *user, uint32_t user_size);

/*
 * Copies the log out and frees it. 0; -ENOSPC when the buffer was too short
 * for it, -EFAULT when it is not accessible: both replace the command's own
 * result. *true_size: the bytes that the whole log needs, its NUL included; 0
 * without a log.
 */
int sys_log_finish(struct sys_log *l, uint32_t *true_size);

#endif
