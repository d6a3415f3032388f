/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The owners of local storages: tasks, files, sockets, cgroups, by fds that the kernel
 * and shmap are both given; some of another kind than the map's. They live for a while,
 * die (tasks are reaped, files unlinked, cgroups removed) and are closed; the next ones
 * often get their numbers.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "oracle.h"

#define OWNERS 24

enum owner_kind { NOBODY, TASK, SELF, INODE, PATH, SOCK, CGROUP, CGROUP_FILE };

static struct owner {
	enum owner_kind kind;
	int fd;
	pid_t pid;    /* TASK: not yet reaped */
	char dir[64]; /* CGROUP: not yet removed */
} owners[OWNERS];

static char cgroup_root[64];
static int cgroup_state; /* 0: not tried, 1: mounted, -1: there are none */

static bool cgroups(void)
{
	const char *base = getenv("SHMAP_DIR") ? getenv("SHMAP_DIR") : "/tmp";

	if (!cgroup_state) {
		cgroup_state = -1;
		snprintf(cgroup_root, sizeof(cgroup_root), "%.40s/cgroup.%d", base, getpid());
		if (!mkdir(cgroup_root, 0755)) {
			if (!mount("none", cgroup_root, "cgroup2", 0, NULL))
				cgroup_state = 1;
			else
				rmdir(cgroup_root);
		}
	}
	return cgroup_state > 0;
}

static void die(struct owner *o)
{
	if (o->pid > 0) {
		kill(o->pid, SIGKILL);
		waitpid(o->pid, NULL, 0);
		o->pid = 0;
	}
	if (o->dir[0])
		rmdir(o->dir);
	o->dir[0] = '\0';
}

static void leave(struct owner *o)
{
	die(o);
	if (o->kind != NOBODY)
		shmap_side.close(o->fd);
	o->kind = NOBODY;
}

static int new_task(struct owner *o)
{
	o->pid = fork();
	REQUIRE(o->pid >= 0);
	if (!o->pid) {
		for (;;)
			pause();
	}
	return syscall(SYS_pidfd_open, o->pid, 0);
}

static int new_cgroup(struct owner *o, bool file)
{
	static unsigned int n;
	char path[96];
	int fd;

	if (!cgroups())
		return open("/", O_RDONLY | O_CLOEXEC);
	if (one_in(6)) /* the root */
		return open(cgroup_root, O_RDONLY | O_CLOEXEC);
	snprintf(o->dir, sizeof(o->dir), "%.50s/o%u", cgroup_root, n++);
	mkdir(o->dir, 0755);
	snprintf(path, sizeof(path), "%s%s", o->dir, file ? "/cgroup.procs" : "");
	fd = open(path, (one_in(4) ? O_PATH : O_RDONLY) | O_CLOEXEC);
	REQUIRE(fd >= 0);
	return fd;
}

static int new_inode(void)
{
	static const char *const paths[] = {"/", "/dev/null", "/proc/self/stat", "/etc/passwd"};
	char name[] = "/tmp/oracle.XXXXXX";
	int fds[2], fd;

	switch (rnd(4)) {
	case 0:
		return open(pick(paths), O_RDONLY | O_CLOEXEC);
	case 1:
		REQUIRE(!pipe2(fds, O_CLOEXEC));
		close(fds[0]);
		return fds[1];
	default:
		fd = mkstemp(name);
		unlink(name);
		return fd;
	}
}

static int new_sock(void)
{
	static const int domains[] = {AF_UNIX, AF_INET, AF_NETLINK};
	int domain = pick(domains);

	return socket(domain, (domain == AF_INET ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
}

static enum owner_kind kind_for(uint32_t type)
{
	/* no pidfd there: its inode, with what was stored, goes when it is closed */
	if (one_in(12))
		return type == BPF_MAP_TYPE_INODE_STORAGE ? INODE + rnd(CGROUP_FILE - INODE + 1)
							  : 1 + rnd(CGROUP_FILE);
	switch (type) {
	case BPF_MAP_TYPE_TASK_STORAGE:
		return one_in(4) ? SELF : TASK;
	case BPF_MAP_TYPE_INODE_STORAGE:
		return one_in(4) ? PATH : one_in(4) ? SOCK : INODE;
	case BPF_MAP_TYPE_SK_STORAGE:
		return SOCK;
	default:
		return one_in(8) ? CGROUP_FILE : CGROUP;
	}
}

static void come(struct owner *o, uint32_t type)
{
	o->kind = kind_for(type);
	switch (o->kind) {
	case TASK:
		o->fd = new_task(o);
		break;
	case SELF:
		o->fd = syscall(SYS_pidfd_open, getpid(), 0);
		break;
	case INODE:
		o->fd = new_inode();
		break;
	case PATH:
		o->fd = open("/etc", O_PATH | O_CLOEXEC);
		break;
	case SOCK:
		o->fd = new_sock();
		break;
	default:
		o->fd = new_cgroup(o, o->kind == CGROUP_FILE);
	}
	REQUIRE(o->fd >= 0);
}

int random_owner(uint32_t type)
{
	struct owner *o = &owners[rnd(OWNERS)];

	if (one_in(60))
		return (int)rnd64();
	if (o->kind != NOBODY && one_in(60)) {
		note("owner %d leaves", o->fd);
		leave(o);
	}
	if (o->kind == NOBODY) {
		come(o, type);
		note("owner %d comes: kind %d", o->fd, o->kind);
	}
	if (one_in(80)) {
		note("owner %d dies", o->fd);
		if (o->pid && one_in(3)) { /* not reaped yet */
			siginfo_t si;

			kill(o->pid, SIGKILL);
			waitid(P_PID, o->pid, &si, WEXITED | WNOWAIT);
		} else {
			die(o);
		}
	}
	return o->fd;
}

void owners_close(void)
{
	for (int i = 0; i < OWNERS; i++)
		leave(&owners[i]);
	if (cgroup_state > 0) {
		umount(cgroup_root);
		rmdir(cgroup_root);
	}
}
