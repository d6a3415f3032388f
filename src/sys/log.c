// SPDX-License-Identifier: BSD-2-Clause
#include <sys/mman.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "sys/log.h"

#define LEVEL_MASK (SYS_LOG_LEVEL1 | SYS_LOG_LEVEL2 | SYS_LOG_STATS | SYS_LOG_FIXED)

/*
 * A log that does not fit loses its beginning, so the whole of it must be
 * somewhere first. The pages come as they are written; what goes beyond
 * this and the caller's size is counted but not kept.
 */
#define PRIVATE_SIZE (16U << 20)

int sys_log_init(struct sys_log *l, uint32_t level, void *user, uint32_t user_size)
{
	void *buf;

	*l = (struct sys_log){0};
	if (!!user != !!user_size || (user && !level) || (level & ~LEVEL_MASK) ||
	    user_size > UINT32_MAX >> 2)
		return -EINVAL;
	if (!level)
		return 0;
	l->log.size = user_size > PRIVATE_SIZE ? user_size : PRIVATE_SIZE;
	buf = raw_mmap(NULL, l->log.size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (raw_is_error(buf))
		return -ENOMEM;
	l->log.buf = buf;
	l->log.level = level;
	l->user = user;
	l->user_size = user_size;
	l->fixed = level & SYS_LOG_FIXED;
	return 0;
}

static int copy_out(const struct sys_log *l, uint32_t kept)
{
	uint32_t n = kept, from = 0;
	char nul = '\0';

	if (n > l->user_size - 1) {
		n = l->user_size - 1;
		from = l->fixed ? 0 : kept - n;
	}
	if (uaccess_copy(l->user, l->log.buf + from, n) ||
	    uaccess_copy(uaccess_at(l->user, n), &nul, 1))
		return -EFAULT;
	return l->log.len >= l->user_size ? -ENOSPC : 0;
}

int sys_log_finish(struct sys_log *l, uint32_t *true_size)
{
	uint32_t kept;
	int err = 0;

	*true_size = 0;
	if (!l->log.level)
		return 0;
	kept = l->log.len - l->log.dropped;
	*true_size = l->log.len ? l->log.len + 1 : 0;
	/* an empty log leaves the caller's buffer alone, as the kernel's does */
	if (l->user && l->log.len)
		err = copy_out(l, kept);
	raw_munmap(l->log.buf, l->log.size);
	l->log = (struct vm_log){0};
	return err;
}
