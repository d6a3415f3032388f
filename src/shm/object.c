/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Making, publishing, mapping and opening object files.
 *
 * Nothing here trusts a file: the trailer is read with pread(2) and checked
 * against the file's size before anything is mapped, so a truncated or
 * foreign file is an error and not a SIGBUS.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/link.h"
#include "shm/object.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#define POPULATE_MAX (16 * SHMAP_PAGE)
#define COLLAPSE_FAILURES 8 /* then a process tries no more */

_Static_assert(sizeof(struct object_trailer) == OBJECT_TRAILER_SIZE, "trailer is one page");
_Static_assert(offsetof(struct object_trailer, body) == 1024, "body follows 1024 bytes");

/* Allocated in pieces: a signal that interrupts fallocate(2) undoes the piece. */
#define ALLOC_PIECE (64UL << 20)
/* Larger allocations first look at what memory there is: tmpfs may be sized
 * beyond it, and then the kernel would kill a process instead of refusing. */
#define ALLOC_LOOK (16UL << 20)

/* MemAvailable and SwapFree in bytes; all the memory there is when unknown. */
static uint64_t memory_available(void)
{
	static const char *const names[] = {"MemAvailable:", "SwapFree:"};
	uint64_t sum = 0;
	char buf[4096];
	ssize_t n;
	int fd;

	fd = raw_openat(AT_FDCWD, "/proc/meminfo", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return UINT64_MAX;
	n = raw_read(fd, buf, sizeof(buf) - 1);
	raw_close(fd);
	buf[n > 0 ? n : 0] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const char *p = strstr(buf, names[i]);
		uint64_t kb = 0;

		if (!p)
			return UINT64_MAX;
		for (p += strlen(names[i]); *p == ' '; p++)
			;
		for (; *p >= '0' && *p <= '9'; p++)
			kb = kb * 10 + (*p - '0');
		sum += kb << 10;
	}
	return sum;
}

static int allocate(int fd, uint64_t offset, uint64_t len)
{
	int ret;

	if (len > ALLOC_LOOK && len + len / 8 > memory_available())
		return -ENOMEM;
	while (len) {
		uint64_t piece = len < ALLOC_PIECE ? len : ALLOC_PIECE;

		ret = raw_fallocate(fd, 0, offset, piece);
		if (ret == -EINTR)
			continue;
		if (ret)
			return ret == -ENOSPC || ret == -EFBIG || ret == -EDQUOT ? -ENOMEM : ret;
		offset += piece;
		len -= piece;
	}
	return 0;
}

/*
 * A large file is mapped where its huge pages can be: an address that is as far into a
 * huge page as the offset. flags: besides MAP_SHARED.
 */
static void *map_file(size_t size, int prot, int fd, int flags)
{
	uint8_t *space, *base;
	size_t before;

	if (size >= OBJECT_HUGE_MIN) {
		space = raw_mmap(NULL, size + OBJECT_HUGE, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (!raw_is_error(space)) {
			before = -(uintptr_t)space & (OBJECT_HUGE - 1);
			base = raw_mmap(space + before, size, prot, MAP_SHARED | MAP_FIXED | flags,
					fd, 0);
			if (raw_is_error(base)) {
				raw_munmap(space, size + OBJECT_HUGE);
				return base;
			}
			if (before)
				raw_munmap(space, before);
			raw_munmap(base + size, OBJECT_HUGE - before);
			return base;
		}
	}
	return raw_mmap(NULL, size, prot, MAP_SHARED | flags, fd, 0);
}

/* Unnamed and held. The fd or -errno. */
static int make_unnamed(void)
{
	int fd, ret;

	fd = raw_openat(rundir_fd(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return fd == -ENOSPC ? -ENOMEM : fd;
	/* The reference comes before the name: no collector ever sees the
	 * anchor without it while we live. Nobody else has this description. */
	ret = raw_flock(fd, LOCK_SH | LOCK_NB);
	if (!ret)
		return fd;
	raw_close(fd);
	return ret;
}

/* What the file is: after its size is set. */
static int look_at(int fd, struct stat *st)
{
	int ret = raw_fstat(fd, st);

	if (!ret && (st->st_mode & 0777) != 0600) /* an unusual umask */
		ret = raw_fchmod(fd, 0600);
	return ret;
}

/* Unnamed, held, sized, allocated. The fd or -errno. */
static int make_file(uint64_t size, uint64_t prealloc, struct stat *st)
{
	int fd = make_unnamed(), ret;

	if (fd < 0)
		return fd;
	if (round_up_u64(prealloc, SHMAP_PAGE) == size - OBJECT_TRAILER_SIZE) {
		/* all of it: that sizes it, too */
		ret = allocate(fd, 0, size);
	} else {
		ret = raw_ftruncate(fd, size);
		if (ret == -EFBIG)
			ret = -ENOMEM;
		if (!ret)
			ret = allocate(fd, size - OBJECT_TRAILER_SIZE, OBJECT_TRAILER_SIZE);
		if (!ret)
			ret = allocate(fd, 0, prealloc);
	}
	if (!ret)
		ret = look_at(fd, st);
	if (!ret)
		return fd;
	raw_close(fd);
	return ret == -ENOSPC ? -ENOMEM : ret;
}

size_t object_file_size(size_t data_size)
{
	return round_up_u64(data_size, SHMAP_PAGE) + OBJECT_TRAILER_SIZE;
}

/* Beyond the limit the kernel would send SIGXFSZ. */
static bool too_large(uint64_t size)
{
	struct rlimit lim = {.rlim_cur = RLIM_INFINITY};

	raw_prlimit(0, RLIMIT_FSIZE, NULL, &lim);
	return size > lim.rlim_cur;
}

static void fill_trailer(struct object_trailer *t, enum object_kind kind, uint64_t size)
{
	memcpy(t->magic, OBJECT_MAGIC, sizeof(t->magic));
	t->layout = OBJECT_LAYOUT;
	t->kind = kind;
	t->size = size;
	t->uid = raw_geteuid();
}

int object_create(enum object_kind kind, size_t data_size, size_t prealloc, struct object *obj,
		  int *fd)
{
	struct object_trailer *t;
	struct stat st;
	uint64_t size;
	void *base;
	int ret;

	if ((unsigned int)kind >= OBJECT_KINDS || prealloc > data_size)
		return -EINVAL;
	if (data_size > (size_t)LONG_MAX - 2 * OBJECT_TRAILER_SIZE)
		return -ENOMEM;
	ret = rundir_open();
	if (ret)
		return ret;
	size = object_file_size(data_size);
	if (too_large(size))
		return -ENOMEM;

	ret = make_file(size, prealloc, &st);
	if (ret == -ENOMEM) {
		/* Perhaps what fills the tmpfs is what dead processes left. */
		object_collect_all();
		ret = make_file(size, prealloc, &st);
	}
	if (ret < 0)
		return ret;
	*fd = ret;
	/* A few pages that are there already: mapped at once, not by a fault each. */
	base = map_file(size, PROT_READ | PROT_WRITE, *fd,
			size <= POPULATE_MAX && prealloc == data_size ? MAP_POPULATE : 0);
	if (raw_is_error(base)) {
		raw_close(*fd);
		return -ENOMEM;
	}
	t = (struct object_trailer *)((uint8_t *)base + size - OBJECT_TRAILER_SIZE);
	fill_trailer(t, kind, size);
	*obj = (struct object){
		.base = base,
		.size = size,
		.trailer = t,
		.kind = kind,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.writable = true,
	};
	return 0;
}

/* The id after the last one given out. The counter is shared: it rises with
 * every call, whoever makes it, and anything beyond INT_MAX starts anew. */
static uint32_t take_id(enum object_kind kind)
{
	uint32_t *next = rundir_next_id(kind);
	uint32_t last = load_relaxed(next), id;

	do {
		id = last >= INT_MAX ? 1 : last + 1;
	} while (!cas_relaxed(next, &last, id));
	return id;
}

static void note_time(struct object_trailer *t)
{
	struct timespec now;

	raw_clock_gettime(CLOCK_BOOTTIME, &now);
	t->load_time = now.tv_sec * 1000000000ULL + now.tv_nsec;
}

/*
 * Gives the object an id and its anchor. store(arg, id) puts the id into the file before
 * the name is there: whoever finds the anchor reads its own id.
 */
static int name_it(struct object *obj, int fd, int (*store)(void *arg, uint32_t id), void *arg)
{
	int dir = rundir_kind_fd(obj->kind), ret;
	char name[LINK_NAME_SIZE];
	uint32_t first = 0;

	if (dir < 0)
		return dir;
	for (;;) {
		uint32_t id = take_id(obj->kind);

		/* Once round without a free one: the directory is full of names,
		 * or the counter does not move as it should. */
		if (id == first)
			return -ENOSPC;
		if (!first)
			first = id;
		ret = store(arg, id);
		if (ret)
			return ret;
		snprintf(name, sizeof(name), "%u", id);
		ret = link_fd(fd, dir, name);
		if (ret == -EEXIST) /* in use since before the counter went round */
			continue;
		if (ret)
			return ret == -ENOSPC ? -ENOMEM : ret;
		obj->id = id;
		return 0;
	}
}

static int store_id(void *arg, uint32_t id)
{
	struct object_trailer *t = arg;

	store_release(&t->id, id);
	return 0;
}

int object_publish_unready(struct object *obj, int fd)
{
	note_time(obj->trailer);
	return name_it(obj, fd, store_id, obj->trailer);
}

struct written {
	uint8_t *bytes;
	size_t size;
	int fd;
};

static int write_all(int fd, const uint8_t *bytes, size_t size, off_t at)
{
	while (size) {
		ssize_t n = raw_pwrite(fd, bytes, size, at);

		if (n == -EINTR)
			continue;
		if (n <= 0)
			return n == -ENOSPC || n == -EFBIG || n == -EDQUOT || !n ? -ENOMEM : (int)n;
		bytes += n;
		size -= (size_t)n;
		at += n;
	}
	return 0;
}

/* All of it, with that id; a second id: the end. */
static int write_id(void *arg, uint32_t id)
{
	struct written *w = arg;
	struct object_trailer *t =
		(struct object_trailer *)(w->bytes + w->size - OBJECT_TRAILER_SIZE);
	size_t from = t->id ? w->size - OBJECT_TRAILER_SIZE : 0;

	t->id = id;
	return write_all(w->fd, w->bytes + from, w->size - from, (off_t)from);
}

static int write_file(enum object_kind kind, struct written *w, struct object *obj)
{
	struct stat st;
	int ret;

	w->fd = make_unnamed();
	if (w->fd < 0)
		return w->fd;
	ret = look_at(w->fd, &st);
	*obj = (struct object){.kind = kind, .size = w->size, .dev = st.st_dev, .ino = st.st_ino};
	if (!ret)
		ret = name_it(obj, w->fd, write_id, w);
	if (ret)
		raw_close(w->fd);
	return ret;
}

int object_write(enum object_kind kind, size_t data_size, uint8_t *bytes, bool ready,
		 struct object *obj, int *fd)
{
	struct written w = {.bytes = bytes, .size = object_file_size(data_size)};
	struct object_trailer *t = (struct object_trailer *)(bytes + w.size - OBJECT_TRAILER_SIZE);
	int ret = rundir_open();

	if (ret)
		return ret;
	if (too_large(w.size) || (w.size > ALLOC_LOOK && w.size + w.size / 8 > memory_available()))
		return -ENOMEM;
	fill_trailer(t, kind, w.size);
	note_time(t);
	t->ready = ready;
	ret = write_file(kind, &w, obj);
	if (ret == -ENOMEM) {
		/* Perhaps what fills the tmpfs is what dead processes left. */
		object_collect_all();
		t->id = 0;
		ret = write_file(kind, &w, obj);
	}
	*fd = w.fd;
	return ret;
}

int object_write_ready(const struct object *obj, int fd)
{
	const uint32_t one = 1;

	/* Pairs with the pread in object_open_id(), as object_set_ready() does. */
	return write_all(
		fd, (const uint8_t *)&one, sizeof(one),
		(off_t)(obj->size - OBJECT_TRAILER_SIZE + offsetof(struct object_trailer, ready)));
}

void object_set_ready(struct object *obj)
{
	/* Pairs with the pread in object_open_id(): who sees 1 sees the
	 * references and the contents that were made before. */
	store_release(&obj->trailer->ready, 1);
}

int object_publish(struct object *obj, int fd)
{
	int ret = object_publish_unready(obj, fd);

	if (!ret)
		object_set_ready(obj);
	return ret;
}

int object_populate(const struct object *obj, size_t offset, size_t len)
{
	size_t from = offset & ~(SHMAP_PAGE - 1);
	char name[LINK_NAME_SIZE];
	struct stat st;
	int fd, ret;

	if (offset > obj->size || len > obj->size - offset)
		return -EINVAL;
	if (!len)
		return 0;
	if (!obj->writable)
		return -EPERM;
	if (len > ALLOC_LOOK && len + len / 8 > memory_available())
		return -ENOMEM;
	len = round_up_u64(offset + len - from, SHMAP_PAGE);
	do {
		ret = raw_madvise(obj->base + from, len, MADV_POPULATE_WRITE);
	} while (ret == -EINTR || ret == -EAGAIN);
	if (ret != -EINVAL && ret != -ENOSYS)
		/* -EFAULT: the store would have been a SIGBUS, no room */
		return ret == -EFAULT ? -ENOMEM : ret;

	/* Kernels before 5.14: by the file, which only a published one has a name for. */
	snprintf(name, sizeof(name), "%u", obj->id);
	fd = raw_openat(rundir_kind_fd(obj->kind), name, O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	ret = raw_fstat(fd, &st);
	if (!ret && (st.st_ino != obj->ino || st.st_dev != obj->dev))
		ret = -ENOENT;
	if (!ret)
		ret = allocate(fd, from, len);
	raw_close(fd);
	return ret;
}

void object_collapse(const struct object *obj, size_t from, size_t len)
{
	static uint32_t failures;
	size_t at = round_up_u64(from, OBJECT_HUGE);

	if (obj->size < OBJECT_HUGE_MIN || (uintptr_t)obj->base & (OBJECT_HUGE - 1))
		return;
	for (; at + OBJECT_HUGE <= from + len; at += OBJECT_HUGE) {
		/* A kernel that cannot (before 6.1) says so each time. One that has no huge
		 * page free searches for a while, and may find none the next time. */
		if (load_relaxed(&failures) >= COLLAPSE_FAILURES)
			return;
		if (raw_madvise(obj->base + at, OBJECT_HUGE, MADV_COLLAPSE))
			fetch_add_relaxed(&failures, 1U);
	}
}

/* Reads and checks the head of the trailer. fd must be readable. 0, -EINVAL
 * (no object), -EPROTO (another layout, or damaged). */
static int read_trailer(int fd, const struct stat *st, struct object_trailer *head)
{
	size_t n = offsetof(struct object_trailer, reserved);
	struct statfs fs;

	if (!S_ISREG(st->st_mode) || st->st_size < OBJECT_TRAILER_SIZE)
		return -EINVAL;
	if (raw_fstatfs(fd, &fs) || fs.f_type != TMPFS_MAGIC)
		return -EINVAL;
	if (raw_pread(fd, head, n, st->st_size - OBJECT_TRAILER_SIZE) != (ssize_t)n ||
	    memcmp(head->magic, OBJECT_MAGIC, sizeof(head->magic)))
		return -EINVAL;
	if (head->layout != OBJECT_LAYOUT || head->size != (uint64_t)st->st_size ||
	    head->size % SHMAP_PAGE || head->kind >= OBJECT_KINDS || head->id > INT_MAX)
		return -EPROTO;
	return 0;
}

/* A readable fd for what fd shows: fd itself, or (O_WRONLY) the file opened
 * again; *again tells. */
static int readable_fd(int fd, int *access, bool *again)
{
	char proc[48];
	int flags = raw_fcntl(fd, F_GETFL, 0);

	*again = false;
	if (flags < 0)
		return flags;
	if (flags & O_PATH)
		return -EINVAL;
	*access = flags & O_ACCMODE;
	if (*access != O_WRONLY)
		return fd;
	snprintf(proc, sizeof(proc), "/proc/thread-self/fd/%d", fd);
	fd = raw_openat(AT_FDCWD, proc, O_RDWR | O_CLOEXEC, 0);
	*again = fd >= 0;
	return fd == -EBADF || fd == -ENOENT || fd == -EACCES ? -EINVAL : fd;
}

int object_head(int fd, struct object_trailer *head)
{
	int rfd, ret, access;
	struct stat st;
	bool again;

	/* Cheap answers first: this is asked about any fd of a program. */
	ret = raw_fstat(fd, &st);
	if (ret)
		return -EBADF;
	if (!S_ISREG(st.st_mode) || st.st_size < OBJECT_TRAILER_SIZE || st.st_size % SHMAP_PAGE)
		return -EINVAL;
	rfd = readable_fd(fd, &access, &again);
	if (rfd < 0)
		return rfd;
	ret = read_trailer(rfd, &st, head);
	if (again)
		raw_close(rfd);
	return ret;
}

int object_identify(int fd, uint32_t *id, dev_t *dev, ino_t *ino)
{
	struct object_trailer head;
	struct stat st;
	int ret;

	ret = object_head(fd, &head);
	if (ret)
		return ret == -EBADF ? ret : -EINVAL;
	if (id)
		*id = head.id;
	if (dev || ino) {
		if (raw_fstat(fd, &st))
			return -EBADF;
		if (dev)
			*dev = st.st_dev;
		if (ino)
			*ino = st.st_ino;
	}
	return head.kind;
}

int object_map(int fd, struct object *obj)
{
	struct object_trailer head;
	int rfd, ret, access, prot;
	struct stat st;
	uint8_t *base;
	bool again;

	ret = raw_fstat(fd, &st);
	if (ret)
		return -EBADF;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	rfd = readable_fd(fd, &access, &again);
	if (rfd < 0)
		return rfd;
	ret = read_trailer(rfd, &st, &head);
	if (ret)
		goto out;
	/* An unnamed file is one that its maker has not published, or one whose
	 * names somebody removed by hand: held all the same, nothing to collect. */
	ret = raw_flock(rfd, LOCK_SH | LOCK_NB);
	if (ret == -EAGAIN)
		ret = link_hold(rfd);
	if (ret)
		goto out;
	prot = access == O_RDONLY ? PROT_READ : PROT_READ | PROT_WRITE;
	base = map_file(head.size, prot, rfd, 0);
	if (raw_is_error(base)) {
		ret = (int)(intptr_t)base;
		goto out;
	}
	*obj = (struct object){
		.base = base,
		.size = head.size,
		.trailer = (struct object_trailer *)(base + head.size - OBJECT_TRAILER_SIZE),
		.kind = head.kind,
		.id = head.id,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.writable = access != O_RDONLY,
	};
out:
	if (again)
		raw_close(rfd);
	return ret;
}

void object_unmap(struct object *obj)
{
	if (obj->base)
		raw_munmap(obj->base, obj->size);
	obj->base = NULL;
	obj->trailer = NULL;
}

int object_open_id(enum object_kind kind, uint32_t id, int flags)
{
	struct object_trailer head;
	char name[LINK_NAME_SIZE];
	int fd, ret;

	if ((unsigned int)kind >= OBJECT_KINDS || flags & ~O_ACCMODE || flags == O_ACCMODE)
		return -EINVAL;
	ret = rundir_open();
	if (ret)
		return ret;
	/* First, or we would revive what nobody holds any more. */
	object_collect(kind, id);
	snprintf(name, sizeof(name), "%u", id);
	fd = raw_openat(rundir_kind_fd(kind), name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return fd == -ELOOP || fd == -ENXIO ? -ENOENT : fd;
	ret = link_hold(fd);
	if (!ret)
		ret = object_head(fd, &head);
	/* Not ready: its maker is at work, or has died and awaits collection. */
	if (!ret && (!head.ready || head.kind != kind || head.id != id))
		ret = -ENOENT;
	if (!ret)
		return fd;
	raw_close(fd);
	object_collect(kind, id);
	return ret == -EINVAL || ret == -EPROTO ? -ENOENT : ret;
}
