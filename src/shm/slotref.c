/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * References that the slots of maps hold, and what ends with a map's last user.
 *
 *   ref/KIND-ID/TOKIND-TOID-TAG    a hard link per slot, in a directory per owner, so
 *                                  that an update and a collection look at nobody else's
 *
 * The directory is made with the first reference and goes with its owner; an
 * empty one that a death left goes then too. As in collect.c (4) a reference is made
 * by a holder of its owner, so nobody adds to the directory of an owner without an
 * anchor.
 *
 * Users. The description of a user's fd has a shared lock (OFD: it lives as long as
 * the description, wherever it is handed on) on USER_BYTE; a write-only one,
 * which cannot have that, an exclusive one on some byte after it. Who gets all
 * these bytes exclusively knows that there is no user's fd, and none comes while
 * it has them. The names that are neither the anchor nor references are pins.
 */
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/link.h"
#include "shm/object.h"

#define USER_BYTE ((1LL << 62) + 4096)
#define USER_BYTES (1LL << 32)
#define USER_TRIES 2000

/* "NAME-ID" and the NUL; the end. */
static char *put_ident(char *p, enum object_kind kind, uint32_t id)
{
	char digits[12];
	int n = 0;

	for (const char *name = object_kind_name(kind); *name;)
		*p++ = *name++;
	*p++ = '-';
	do {
		digits[n++] = '0' + id % 10;
		id /= 10;
	} while (id);
	while (n)
		*p++ = digits[--n];
	*p = '\0';
	return p;
}

/* "KIND-ID/TOKIND-TOID-TAG"; *slash and *to are where its parts begin. */
static void slot_name(char *name, enum object_kind kind, uint32_t id, enum object_kind to_kind,
		      uint32_t to_id, uint32_t tag, char **slash, char **to)
{
	char *p = put_ident(name, kind, id);

	*slash = p;
	*p++ = '/';
	*to = p;
	p = put_ident(p, to_kind, to_id);
	snprintf(p, 16, "-%x", tag);
}

static bool kinds_ok(enum object_kind kind, enum object_kind to_kind)
{
	return (unsigned int)kind < OBJECT_KINDS && (unsigned int)to_kind < OBJECT_KINDS;
}

int object_slot_ref(enum object_kind kind, uint32_t id, enum object_kind to_kind, uint32_t to_id,
		    uint32_t tag)
{
	char name[2 * LINK_NAME_SIZE], anchor[16], *slash, *to;
	int ret;

	if (!kinds_ok(kind, to_kind) || !id || !to_id)
		return -EINVAL;
	ret = rundir_open();
	if (ret)
		return ret;
	slot_name(name, kind, id, to_kind, to_id, tag, &slash, &to);
	/* The caller holds the target, so the anchor is there and is its own. */
	snprintf(anchor, sizeof(anchor), "%u", to_id);
	ret = raw_linkat(rundir_kind_fd(to_kind), anchor, rundir_ref_fd(), name, 0);
	if (ret == -ENOENT) {
		*slash = '\0';
		ret = raw_mkdirat(rundir_ref_fd(), name, 0700);
		*slash = '/';
		if (!ret || ret == -EEXIST)
			ret = raw_linkat(rundir_kind_fd(to_kind), anchor, rundir_ref_fd(), name, 0);
	}
	return ret == -ENOSPC ? -ENOMEM : ret;
}

void object_slot_unref(enum object_kind kind, uint32_t id, enum object_kind to_kind, uint32_t to_id,
		       uint32_t tag)
{
	char name[2 * LINK_NAME_SIZE], *slash, *to;

	if (!kinds_ok(kind, to_kind) || rundir_open())
		return;
	slot_name(name, kind, id, to_kind, to_id, tag, &slash, &to);
	raw_unlinkat(rundir_ref_fd(), name, 0);
}

bool object_slot_ref_exists(enum object_kind kind, uint32_t id, enum object_kind to_kind,
			    uint32_t to_id, uint32_t tag)
{
	char name[2 * LINK_NAME_SIZE], *slash, *to;

	if (!kinds_ok(kind, to_kind) || rundir_open())
		return false;
	slot_name(name, kind, id, to_kind, to_id, tag, &slash, &to);
	return !raw_faccessat(rundir_ref_fd(), name, 0);
}

uint32_t slot_refs_owner(const char *name, enum object_kind *kind)
{
	return link_parse_kind(&name, kind) ? link_parse_id(&name, '\0') : 0;
}

struct drop_arg {
	int dir;
	object_dropped_fn fn;
	void *arg;
};

static int drop_one(void *arg, const char *name)
{
	const char *text = name;
	struct drop_arg *d = arg;
	enum object_kind kind;
	uint32_t id = 0;

	if (link_parse_kind(&text, &kind))
		id = link_parse_id(&text, '-');
	/* Whatever else stands here is nobody's. */
	if (!raw_unlinkat(d->dir, name, 0) && id)
		d->fn(d->arg, kind, id);
	return 0;
}

void slot_refs_drop(enum object_kind kind, uint32_t id, object_dropped_fn fn, void *arg)
{
	struct drop_arg d = {.fn = fn, .arg = arg};
	char name[LINK_NAME_SIZE];

	if (kind != OBJECT_MAP) /* only maps have slots */
		return;
	put_ident(name, kind, id);
	d.dir = raw_openat(rundir_ref_fd(), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW,
			   0);
	if (d.dir < 0)
		return;
	link_scan(d.dir, drop_one, &d);
	raw_close(d.dir);
	raw_unlinkat(rundir_ref_fd(), name, AT_REMOVEDIR);
}

/* ---- users ---- */

static int user_lock(int fd, short type, long long at, long long len)
{
	struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = at, .l_len = len};

	return raw_fcntl(fd, F_OFD_SETLK, (long)&lock);
}

int object_mark_user(int fd)
{
	struct timespec pause = {.tv_nsec = 1000000};
	static uint32_t turn;
	struct stat st;
	int flags, ret;

	if (raw_fstat(fd, &st))
		return -EBADF;
	if (!(st.st_mode & OBJECT_USERS))
		return 0;
	flags = raw_fcntl(fd, F_GETFL, 0);
	for (int tries = 0; tries < USER_TRIES; tries++) {
		if ((flags & O_ACCMODE) != O_WRONLY) {
			ret = user_lock(fd, F_RDLCK, USER_BYTE, 1);
		} else {
			uint64_t n = (uint64_t)raw_gettid() * 4096 + fetch_add_relaxed(&turn, 1);

			ret = user_lock(fd, F_WRLCK,
					USER_BYTE + 1 + (long long)(n % (USER_BYTES - 1)), 1);
		}
		if (ret != -EAGAIN && ret != -EACCES)
			return ret;
		/* Somebody empties the slots, which takes a moment. */
		if (tries < 100)
			raw_sched_yield();
		else
			raw_nanosleep(&pause, NULL);
	}
	return -EBUSY;
}

static object_release_fn release_fn;

void object_set_release(object_release_fn fn)
{
	store_release(&release_fn, fn);
}

struct count_arg {
	char end[LINK_NAME_SIZE]; /* "-TOKIND-TOID" */
	size_t len;
	unsigned long n;
};

static int count_one(void *arg, const char *name)
{
	struct count_arg *c = arg;
	size_t len = strlen(name);

	if (len > c->len && !strcmp(name + len - c->len, c->end))
		c->n++;
	return 0;
}

/* Only links in ref/ itself count: an object of this kind is in no map's slots. */
static bool pinned(int fd, enum object_kind kind, uint32_t id)
{
	struct count_arg c = {.end = "-"};
	struct stat st;

	c.len = (size_t)(put_ident(c.end + 1, kind, id) - c.end);
	if (link_scan(rundir_ref_fd(), count_one, &c) || raw_fstat(fd, &st))
		return true;
	return st.st_nlink > 1 + c.n;
}

void slot_refs_release(int fd, enum object_kind kind, uint32_t id, object_dropped_fn fn, void *arg)
{
	object_release_fn release = load_acquire(&release_fn);
	char name[LINK_NAME_SIZE];
	struct stat st, own;
	int wfd;

	if (kind != OBJECT_MAP || !release)
		return;
	snprintf(name, sizeof(name), "%u", id);
	wfd = raw_openat(rundir_kind_fd(kind), name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
			 0);
	if (wfd < 0)
		return;
	if (!raw_fstat(fd, &st) && !raw_fstat(wfd, &own) && st.st_ino == own.st_ino &&
	    st.st_dev == own.st_dev && !user_lock(wfd, F_WRLCK, USER_BYTE, USER_BYTES) &&
	    !pinned(wfd, kind, id))
		release(wfd, fn, arg);
	raw_close(wfd);
}
