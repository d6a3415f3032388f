/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mmap(2) of map fds, and BPF_MAP_FREEZE, which is refused while somebody has
 * the map writably mapped.
 *
 * Nothing counts the mappings: a counter would be wrong after a SIGKILL. Each
 * mapping is made from an open file description of its own (fd_mmap_open), which
 * has no other fd: it lives as long as the mapping, its copies in forked
 * children and its parts. It holds
 *  - LOCK_SH: the object stays while it is mapped;
 *  - for a writable mapping, a shared OFD lock on the byte MARK_BYTE.
 * A freeze takes that byte exclusively, which fails while a mark is there;
 * it sets frozen while it has it. fd_mmap_open() looks at frozen after it has
 * its mark. So either the freeze meets the mark, or the mapper sees frozen.
 * The kernel drops both locks when their description goes, however the process ends.
 *
 * A read-only mapping is made from a read-only description: mprotect(2) cannot
 * make it writable.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/object.h"
#include "sys/fd.h"
#include "sys/rawstore.h"
#include "sys/sys.h"

#define MARK_BYTE (1LL << 62)
#define MARK_TRIES 1000

static int mark(int fd, short type)
{
	struct flock lock = {
		.l_type = type, .l_whence = SEEK_SET, .l_start = MARK_BYTE, .l_len = 1};

	return raw_fcntl(fd, F_OFD_SETLK, (long)&lock);
}

int fd_reopen(int fd, int flags)
{
	char path[48];
	struct stat st, again;
	int new, err;

	if (raw_fstat(fd, &st))
		return -EBADF;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	new = raw_openat(AT_FDCWD, path, flags | O_CLOEXEC, 0);
	if (new == -ENOENT || new == -EACCES) {
		/* no /proc, or not for us */
		uint32_t id;
		int kind = object_identify(fd, &id, NULL, NULL);

		if (kind < 0)
			return kind;
		new = object_open_id(kind, id, flags);
	}
	if (new < 0)
		return new;
	/* The number may have been given to another file between the two steps. */
	err = raw_fstat(new, &again);
	if (!err && (again.st_dev != st.st_dev || again.st_ino != st.st_ino))
		err = -EBADF;
	/* Cannot fail while the file is held, as by fd or by a mapping of ours. */
	if (!err)
		err = raw_flock(new, LOCK_SH | LOCK_NB);
	if (!err)
		return new;
	raw_close(new);
	return err;
}

static bool same_file(int fd, const struct map *m)
{
	struct stat st;

	return !raw_fstat(fd, &st) && st.st_dev == m->obj.dev && st.st_ino == m->obj.ino;
}

/*
 * Writers of this process look at frozen after op_enter(): who has not seen it is waited for. The
 * kernel counts them, and does not freeze while there is one; nor is it done here when one
 * takes long. (Those of other processes are not seen: what a program relies on is its
 * process's own copy, array_sealed_value().)
 */
static int wait_for_writers(struct map *m)
{
	if (op_wait_others())
		return 0;
	store_release(&m->shared->frozen, 0);
	return -EBUSY;
}

int fd_freeze(int fd, struct fd_ref *r)
{
	struct map *m = r->map;
	uint32_t thawed = 0;
	int own, err;

	own = fd_reopen(fd, O_RDWR);
	if (own < 0)
		return own;
	err = same_file(own, m) ? mark(own, F_WRLCK) : -EBADF;
	if (err == -EAGAIN || err == -EACCES)
		err = -EBUSY;
	if (!err && !cas_seq_cst(&m->shared->frozen, &thawed, 1))
		err = -EBUSY;
	raw_close(own); /* and with it the lock */
	return err ? err : wait_for_writers(m);
}

int fd_mmap_check(int fd, uint64_t offset, uint64_t len, int prot, int flags)
{
	bool shared = (flags & MAP_TYPE) != MAP_PRIVATE;
	struct fd_op op;
	uint32_t access;
	struct map *m;
	int err;

	err = fd_begin(fd, &op);
	if (err)
		return err == -EBADF || err == -EINVAL ? 1 : err;
	m = op.ref->map;
	access = op.ref->access;
	/* The generic part of mmap(2), for a file without execute permission. */
	if (!len || offset % SHMAP_PAGE)
		err = -EINVAL;
	/* Who chooses the place is asked first, as the kernel's get_unmapped_area. */
	else if (m->ops->mmap_place && m->ops->mmap_check(m, offset, len, prot, flags))
		err = m->ops->mmap_check(m, offset, len, prot, flags);
	else if (!(access & FD_READ) || (shared && prot & PROT_WRITE && !(access & FD_WRITE)))
		err = -EACCES;
	else if (prot & PROT_EXEC)
		err = -EPERM;
	/* The map's part. A mapping of an fd that cannot write is not a shared one. */
	else if (!m->ops->mmap_check || op.ref->has_lock || op.ref->special)
		err = -ENOTSUPP;
	else if (!shared || !(access & FD_WRITE))
		err = -EINVAL;
	else if (prot & PROT_WRITE && load_relaxed(&op.ref->shared->frozen))
		err = -EPERM;
	else if (prot & PROT_WRITE && m->attr.map_flags & BPF_F_RDONLY_PROG)
		err = -EACCES;
	else
		err = m->ops->mmap_check(m, offset, len, prot, flags);
	fd_end(&op);
	return err;
}

int fd_mmap_open(int fd, int prot)
{
	struct fd_op op;
	int err, own, i;

	err = fd_begin(fd, &op);
	if (err)
		return err;
	own = fd_reopen(fd, prot & PROT_WRITE ? O_RDWR : O_RDONLY);
	err = own < 0 ? own : same_file(own, op.ref->map) ? 0 : -EBADF;
	if (!err && prot & PROT_WRITE) {
		/* A freeze has the byte for a few instructions only. */
		for (i = 0; i < MARK_TRIES; i++) {
			err = mark(own, F_RDLCK);
			if (err != -EAGAIN && err != -EACCES)
				break;
			raw_sched_yield();
		}
		if (!err && load_seq_cst(&op.ref->shared->frozen))
			err = -EPERM;
	}
	fd_end(&op);
	if (!err)
		return own;
	if (own >= 0)
		raw_close(own);
	return err;
}

/* What stands twice in a mapping is mapped twice: the file has it once. */
void *fd_mmap_map(int fd, int own, void *addr, size_t len, int prot, int flags, uint64_t offset)
{
	uint64_t end = offset + round_up_u64(len, SHMAP_PAGE), at = UINT64_MAX, size = 0;
	struct fd_op op;
	uint8_t *base, *again;
	struct map *raw;
	int err;

	err = fd_begin(fd, &op);
	if (err)
		return (void *)(intptr_t)err;
	if (op.ref->map->ops->mmap_place) {
		base = (uint8_t *)op.ref->map->ops->mmap_place(
			op.ref->map, own, addr, round_up_u64(len, SHMAP_PAGE), prot, flags);
		fd_end(&op);
		return base;
	}
	if (op.ref->map->ops->mmap_repeat)
		op.ref->map->ops->mmap_repeat(op.ref->map, &at, &size);
	raw = op.ref->map->ops->raw_stores && prot & PROT_WRITE ? op.ref->map : NULL;
	if (raw)
		map_get(raw);
	fd_end(&op);
	if (offset >= at)
		offset -= size, end -= size;
	base = raw_mmap(addr, len, prot, flags, own, offset);
	if (raw && !raw_is_error(base))
		raw_mapped(raw, base, end - offset, offset);
	if (raw)
		map_put(raw);
	if (raw_is_error(base) || end <= at)
		return base;
	/* Nobody knows the address yet; with MAP_FIXED it is the caller's. */
	again = raw_mmap(base + (at - offset), end - at, prot,
			 (flags & ~MAP_FIXED_NOREPLACE) | MAP_FIXED, own, at - size);
	if (!raw_is_error(again))
		return base;
	raw_munmap(base, len);
	return again;
}
