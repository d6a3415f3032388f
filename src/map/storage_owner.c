/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Who a local storage's value belongs to: from an fd, and for the current task.
 *
 * What an fd names does not change while it is open, but to find out costs system
 * calls. So it is remembered, by fd number, until the number is closed. Claim: a
 * remembered owner is what the number has named since its last close.
 *  - A close counts `closing` up, then the slots' generations of the numbers that it
 *    may close, and counts `closing` down when it is over.
 *  - Who remembers takes the slot's generation first, sees after that that nothing
 *    is closing, looks at the fd, and stores the owner with that generation. A reader
 *    believes a slot of the present generation only.
 * So if the look was before a close, the close has counted up the generation since;
 * and if the generation was taken during it, `closing` was seen. A slot is a seqlock of
 * this process's: who finds it being written goes without it.
 *
 * Whether the owner is still there: a socket and a file are, as their fd is open. A
 * task may have been reaped and a cgroup removed: one system call each time says so.
 */
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statfs.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "map/storage.h"
#include "sync/thread.h"

#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif

#define SLOTS 4096U    /* memory only where fds have been used */
#define HANDLE_MAX 128 /* the kernel's MAX_HANDLE_SZ */

struct owner_slot {
	uint32_t seq; /* odd: being written */
	int32_t fd;
	uint64_t generation;
	uint32_t kind;
	uint32_t self; /* TID of the thread that asked about its own process, or 0 */
	struct storage_owner owner;
};

static struct owner_slot slots[SLOTS];
static uint64_t generations[SLOTS]; /* less one: a slot of generation 0 has never been written */
static uint32_t closing;

/* ---- files of /proc ---- */

static long read_file(const char *path, char *buf, size_t size)
{
	int fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	long n;

	if (fd < 0)
		return fd;
	n = raw_read(fd, buf, size - 1);
	raw_close(fd);
	buf[n > 0 ? n : 0] = '\0';
	return n;
}

/* The start time of a task, in clock ticks since boot. 0 or -ENOENT. */
static int task_start(uint32_t tid, uint64_t *start)
{
	char path[40], buf[1024], *p;
	int field;

	snprintf(path, sizeof(path), "/proc/%u/stat", tid);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return -ENOENT;
	/* "TID (comm) S ...": comm may hold anything, so from the last bracket on */
	p = strrchr(buf, ')');
	for (field = 2; p && field < 22; field++) {
		p = strchr(p + 1, ' ');
	}
	if (!p)
		return -ENOENT;
	*start = strtoull(p + 1, NULL, 10);
	return 0;
}

int storage_owner_task(uint32_t tid, struct storage_owner *o)
{
	*o = (struct storage_owner){.number = {tid}};
	return task_start(tid, &o->number[1]);
}

int storage_owner_self(struct storage_owner *o)
{
	static __thread struct storage_owner self __attribute__((tls_model("initial-exec")));
	int err;

	if (unlikely(!thread_known())) {
		err = thread_init();
		if (err)
			return err;
	}
	/* a forked child has another TID than what it inherited here */
	if (unlikely(self.number[0] != thread_self.tid)) {
		err = storage_owner_task(thread_self.tid, o);
		if (err)
			return err;
		self = *o;
	}
	*o = self;
	return 0;
}

/* ---- from fds ---- */

static bool pidfd_alive(int fd)
{
	return raw_syscall4(SYS_pidfd_send_signal, fd, 0, NULL, 0) != -ESRCH;
}

static int task_by_pidfd(int fd, struct storage_owner *o)
{
	char path[48], buf[512], *p;
	long n, tid;

	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	n = read_file(path, buf, sizeof(buf));
	p = n > 0 ? strstr(buf, "\nPid:") : NULL;
	if (!p)
		return -EBADF;
	tid = strtol(p + 5, NULL, 10);
	if (tid <= 0) /* reaped; or of a PID namespace that is not below ours */
		return -ENOENT;
	if (storage_owner_task((uint32_t)tid, o))
		return -ENOENT;
	/* Only now: the TID may have been another's since. */
	return pidfd_alive(fd) ? 0 : -ENOENT;
}

static uint64_t mix(uint64_t h, uint64_t v)
{
	return (h ^ v) * 0x9e3779b97f4a7c15ull + (h >> 29);
}

/*
 * Inode numbers are used again: what tells files of one number apart is the
 * generation in their handle, or where the file system has none, the time of birth.
 */
static uint64_t inode_generation(int fd, const struct statx *st)
{
	union {
		struct file_handle h;
		uint8_t room[sizeof(struct file_handle) + HANDLE_MAX];
	} u = {.h.handle_bytes = HANDLE_MAX};
	uint64_t g = 1;
	int mount;

	if (!raw_syscall5(SYS_name_to_handle_at, fd, "", &u.h, &mount, AT_EMPTY_PATH) &&
	    u.h.handle_bytes <= HANDLE_MAX) {
		for (unsigned int i = 0; i < u.h.handle_bytes; i++)
			g = mix(g, u.h.f_handle[i]);
		return g;
	}
	if (st->stx_mask & STATX_BTIME)
		g = mix(mix(g, (uint64_t)st->stx_btime.tv_sec), st->stx_btime.tv_nsec);
	return g;
}

static int inode_by_fd(int fd, struct storage_owner *o)
{
	struct statx st;

	if (fd < 0 || raw_syscall5(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &st))
		return -EBADF;
	o->number[0] = (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	o->number[1] = st.stx_ino;
	o->number[2] = inode_generation(fd, &st);
	return 0;
}

static int sock_by_fd(int fd, struct storage_owner *o)
{
	socklen_t len = sizeof(o->number[0]);
	long err;

	*o = (struct storage_owner){0};
	err = raw_syscall5(SYS_getsockopt, fd, SOL_SOCKET, SO_COOKIE, &o->number[0], &len);
	return err == -EBADF || err == -ENOTSOCK ? (int)err : err ? -ENOTSOCK : 0;
}

/* The directory of a removed cgroup is empty. */
static bool cgroup_there(int fd)
{
	return raw_faccessat(fd, "cgroup.procs", F_OK) != -ENOENT;
}

static int cgroup_by_fd(int fd, struct storage_owner *o)
{
	struct statfs fs;
	struct stat st;

	if (raw_fstatfs(fd, &fs) || raw_fstat(fd, &st))
		return -EBADF;
	if ((fs.f_type != CGROUP2_SUPER_MAGIC && fs.f_type != CGROUP_SUPER_MAGIC) ||
	    !S_ISDIR(st.st_mode))
		return -EBADF;
	*o = (struct storage_owner){.number = {st.st_dev, st.st_ino}};
	return cgroup_there(fd) ? 0 : -ENOENT;
}

static int resolve(enum storage_kind kind, int fd, struct storage_owner *o)
{
	switch (kind) {
	case STORAGE_TASK:
		return task_by_pidfd(fd, o);
	case STORAGE_INODE:
		return inode_by_fd(fd, o);
	case STORAGE_SOCK:
		return sock_by_fd(fd, o);
	case STORAGE_CGROUP:
		return cgroup_by_fd(fd, o);
	}
	return -EBADF;
}

/* ---- what is remembered ---- */

static bool slot_read(const struct owner_slot *s, struct owner_slot *copy)
{
	uint32_t seq = load_acquire(&s->seq);

	if (seq & 1)
		return false;
	copy->fd = load_relaxed(&s->fd);
	copy->kind = load_relaxed(&s->kind);
	copy->self = load_relaxed(&s->self);
	copy->generation = load_relaxed(&s->generation);
	for (int i = 0; i < 3; i++)
		copy->owner.number[i] = load_relaxed(&s->owner.number[i]);
	fence_acquire();
	return load_relaxed(&s->seq) == seq;
}

static void slot_write(struct owner_slot *s, const struct owner_slot *from)
{
	uint32_t seq = load_relaxed(&s->seq);

	/* A signal handler, or another thread, is in the middle of it. */
	if (seq & 1 || !cas_acquire(&s->seq, &seq, seq + 1))
		return;
	fence_release();
	store_relaxed(&s->fd, from->fd);
	store_relaxed(&s->kind, from->kind);
	store_relaxed(&s->self, from->self);
	store_relaxed(&s->generation, from->generation);
	for (int i = 0; i < 3; i++)
		store_relaxed(&s->owner.number[i], from->owner.number[i]);
	store_release(&s->seq, seq + 2);
}

static void remember(struct owner_slot *s, struct owner_slot *copy, uint64_t generation,
		     enum storage_kind kind, int fd)
{
	pid_t pid = raw_getpid();

	/* A vfork child has its parent's memory, thread_self too, and other fds. */
	if ((!thread_known() && thread_init()) || thread_self.tid != (uint32_t)raw_gettid())
		return;
	copy->fd = fd;
	copy->kind = kind;
	copy->generation = generation;
	copy->self = kind == STORAGE_TASK && copy->owner.number[0] == (uint64_t)pid
			     ? thread_self.tid
			     : 0;
	slot_write(s, copy);
}

/* Of a remembered owner: 0 or -ENOENT. */
static int still_there(const struct owner_slot *copy)
{
	switch (copy->kind) {
	case STORAGE_TASK:
		/* our own process does not need to be asked */
		if (copy->self && copy->self == thread_self.tid && thread_known())
			return 0;
		return pidfd_alive(copy->fd) ? 0 : -ENOENT;
	case STORAGE_CGROUP:
		return cgroup_there(copy->fd) ? 0 : -ENOENT;
	}
	return 0;
}

int storage_owner_by_fd(enum storage_kind kind, int fd, struct storage_owner *o)
{
	struct owner_slot *s = &slots[(uint32_t)fd % SLOTS], copy;
	uint64_t generation = load_seq_cst(&generations[(uint32_t)fd % SLOTS]) + 1;
	bool keep;
	int err;

	if (likely(slot_read(s, &copy) && copy.fd == fd && copy.kind == kind &&
		   copy.generation == generation)) {
		*o = copy.owner;
		return still_there(&copy);
	}
	/* Partner: the counting in storage_fds_closing(). */
	fence_seq_cst();
	keep = fd >= 0 && !load_seq_cst(&closing);
	err = resolve(kind, fd, o);
	if (!err && keep) {
		copy.owner = *o;
		remember(s, &copy, generation, kind, fd);
	}
	return err;
}

void storage_fds_closing(unsigned int first, unsigned int last)
{
	unsigned int i, n = last - first < SLOTS ? last - first + 1 : SLOTS;

	fetch_add_seq_cst(&closing, 1);
	for (i = 0; i < n; i++)
		fetch_add_seq_cst(&generations[(first + i) % SLOTS], 1);
}

void storage_fds_closed(void)
{
	fetch_add_seq_cst(&closing, (uint32_t)-1);
}

/* ---- for programs ---- */

/* Where the unified hierarchy is mounted, as a rule. */
static const char *const cgroup_mounts[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};

int storage_owner_cgroup(uint32_t tid, struct storage_owner *o)
{
	char path[64], buf[4096], full[4200], *line, *end;
	struct statfs fs;
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u/cgroup", tid);
	if (read_file(path, buf, sizeof(buf)) <= 0)
		return -ENOENT;
	line = strncmp(buf, "0::", 3) ? strstr(buf, "\n0::") : buf - 1;
	if (!line)
		return -ENOENT;
	line += 4;
	end = strchr(line, '\n');
	if (end)
		*end = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(cgroup_mounts); i++) {
		if (raw_statfs(cgroup_mounts[i], &fs) || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		snprintf(full, sizeof(full), "%s%s", cgroup_mounts[i], line);
		if (raw_fstatat(AT_FDCWD, full, &st, 0))
			continue;
		*o = (struct storage_owner){.number = {st.st_dev, st.st_ino}};
		return 0;
	}
	return -ENOENT;
}

/*
 * No socket has the cookie 0. The run's thread stands for it: when that has gone, so
 * has what a killed run left.
 */
int storage_owner_test_sock(struct storage_owner *o)
{
	static uint32_t runs;
	int err = storage_owner_self(o);

	if (err)
		return err;
	o->number[2] = o->number[1];
	o->number[1] = o->number[0] << 32 | fetch_add_relaxed(&runs, 1U);
	o->number[0] = 0;
	return 0;
}

static bool task_gone(uint64_t tid, uint64_t start)
{
	uint64_t now;
	long err;

	if (!tid || tid > INT32_MAX)
		return true; /* no task's: a damaged file */
	err = raw_syscall2(SYS_kill, tid, 0);
	if (err == -ESRCH) {
		/* kill(2) finds processes, and by their threads' numbers too; no thread
		 * has outlived its entry in /proc. */
		return task_start((uint32_t)tid, &now) != 0;
	}
	/* Without a look at /proc (hidepid) nobody can tell. */
	return !task_start((uint32_t)tid, &now) && now != start;
}

bool storage_owner_gone(enum storage_kind kind, const struct storage_owner *o)
{
	switch (kind) {
	case STORAGE_TASK:
		return task_gone(o->number[0], o->number[1]);
	case STORAGE_SOCK:
		return !o->number[0] && task_gone(o->number[1] >> 32, o->number[2]);
	default:
		return false;
	}
}
