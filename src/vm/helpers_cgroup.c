/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Helpers about cgroups. A cgroup's id is its directory's inode number in the unified
 * hierarchy, which stands at /sys/fs/cgroup or, beside the old ones, below it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "map/objref.h"
#include "vm/helpers.h"

#define CGROUP_LINES 4096

/* The current task's cgroup, as a path below the root of the hierarchy: 0 or -ENOENT. */
static int cgroup_path(const struct vm_context *vc, char *path, size_t size)
{
	char text[CGROUP_LINES], file[48];
	const char *line;
	ssize_t n;
	int fd;

	if (vc->env->pid)
		snprintf(file, sizeof(file), "/proc/%u/cgroup", vc->env->pid);
	else
		snprintf(file, sizeof(file), "/proc/thread-self/cgroup");
	fd = raw_openat(AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return -ENOENT;
	n = raw_read(fd, text, sizeof(text) - 1);
	raw_close(fd);
	text[n > 0 ? n : 0] = '\0';
	/* the unified hierarchy's line is the last one */
	line = !strncmp(text, "0::/", 4) ? text : strstr(text, "\n0::/");
	if (!line)
		return -ENOENT;
	line += *line == '\n' ? 4 : 3;
	n = (ssize_t)strcspn(line, "\n");
	if ((size_t)n >= size)
		return -ENOENT;
	memcpy(path, line, (size_t)n);
	path[n] = '\0';
	return 0;
}

static const char *cgroup_root(void)
{
	struct statfs fs;

	if (!raw_statfs("/sys/fs/cgroup", &fs) && fs.f_type == CGROUP2_SUPER_MAGIC)
		return "/sys/fs/cgroup";
	return "/sys/fs/cgroup/unified";
}

/* The id of the cgroup at path; 0: there is none. */
static uint64_t cgroup_id(const char *root, const char *path)
{
	char name[CGROUP_LINES + 64];
	struct stat st;

	snprintf(name, sizeof(name), "%s%s", root, path);
	return raw_fstatat(AT_FDCWD, name, &st, 0) ? 0 : st.st_ino;
}

HELPER(get_current_cgroup_id)
{
	char path[CGROUP_LINES];

	return cgroup_path(vc, path, sizeof(path)) ? 0 : cgroup_id(cgroup_root(), path);
}

/* Of level 0, the root, to that of the task's own; 0: it is not as deep. */
HELPER(get_current_ancestor_cgroup_id)
{
	const int level = (int)a;
	char path[CGROUP_LINES];
	int depth = 0;
	size_t end = 0;

	if (level < 0 || cgroup_path(vc, path, sizeof(path)))
		return 0;
	while (depth < level && path[end] && path[end + 1]) {
		end += 1 + strcspn(path + end + 1, "/");
		depth++;
	}
	if (depth < level)
		return 0;
	path[end] = '\0';
	return cgroup_id(cgroup_root(), path);
}

/* Is the current task's cgroup the one in the slot, or below it? */
static long under_cgroup(struct vm_context *vc, struct map *m, uint32_t index)
{
	const char *root = cgroup_root();
	char path[CGROUP_LINES];
	uint64_t id;
	int err;

	if (!m->ops->objref || !m->ops->objref->cgroup)
		return -EINVAL;
	err = m->ops->objref->cgroup(m, index, &id);
	if (err)
		return err;
	if (cgroup_path(vc, path, sizeof(path)))
		return 0;
	for (;;) {
		char *slash = strrchr(path, '/');

		if (cgroup_id(root, path) == id)
			return 1;
		if (!slash || !slash[1])
			return 0;
		/* "/a/b", "/a", "/" */
		slash[slash == path] = '\0';
	}
}

HELPER(current_task_under_cgroup)
{
	return ERR(under_cgroup(vc, PTR(a), (uint32_t)b));
}

/* A packet of a test run belongs to a socket of the process that runs it. */
HELPER(skb_under_cgroup)
{
	return ERR(under_cgroup(vc, PTR(b), (uint32_t)c));
}
