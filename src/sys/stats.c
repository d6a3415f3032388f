// SPDX-License-Identifier: BSD-2-Clause
/*
 * BPF_ENABLE_STATS: run times are measured while somebody holds the fd.
 *
 * The fd is an open description of $SHMAP_DIR/stats with LOCK_SH, which the
 * kernel drops when its last copy is closed, however the holder dies. The word
 * in the shared ids page only spares everybody else the question:
 *
 *   enable : LOCK_SH, then word = 1
 *   ask    : word == 0: off. Else LOCK_EX|LOCK_NB on an own description: when it is
 *            granted nobody holds the fd, so word = 0, unlock: off
 *
 * LOCK_EX and LOCK_SH exclude each other, so that no store of 0 follows the
 * store of 1 of an enabler who has the lock.
 */
#include <sys/file.h>
#include <linux/bpf.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/rundir.h"
#include "sys/fd.h"
#include "sys/prog.h"
#include "sys/sys.h"

static int stats_open(void)
{
	return raw_openat(rundir_fd(), "stats", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

long sys_cmd_enable_stats(union sys_attr *attr, union sys_attr *uattr, unsigned int size)
{
	int fd, err;

	if (attr->enable_stats.type != BPF_STATS_RUN_TIME)
		return -EINVAL;
	err = rundir_open();
	if (err)
		return err;
	fd = stats_open();
	if (fd < 0)
		return fd;
	do
		err = raw_flock(fd, LOCK_SH);
	while (err == -EINTR);
	if (err) {
		raw_close(fd);
		return err;
	}
	store_seq_cst(&rundir_ids()->stats_enabled, 1);
	return fd;
}

bool sys_stats_enabled(void)
{
	bool held;
	int fd;

	if (rundir_open() || !load_relaxed(&rundir_ids()->stats_enabled))
		return false;
	/* a description of its own: a shared one would be re-locked, not refused */
	fd_inside_begin();
	fd = stats_open();
	held = fd >= 0 && raw_flock(fd, LOCK_EX | LOCK_NB) == -EWOULDBLOCK;
	if (fd >= 0 && !held)
		store_seq_cst(&rundir_ids()->stats_enabled, 0);
	if (fd >= 0)
		raw_close(fd);
	fd_inside_end();
	return held;
}
