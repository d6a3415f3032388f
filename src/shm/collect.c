/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Collection: removing what nobody holds.
 *
 * Any process may collect at any time. Proof that a held object stays and that
 * nothing is left:
 *
 * (1) Every holder has LOCK_SH on a description of the file, taken before the
 *     anchor existed (the maker) or taken and followed by a look at the link
 *     count (link_hold). LOCK_EX excludes LOCK_SH. So while a collector has
 *     LOCK_EX there is no holder, and who asks for LOCK_SH meanwhile is
 *     refused.
 * (2) A new name (pin, reference) takes a holder. So under LOCK_EX the count
 *     does not rise, and a count of 1 means that the anchor is the only name.
 *     The anchor is removed under LOCK_EX only; who opened the file before that
 *     and gets LOCK_SH after it finds a count of 0 and lets go.
 * (3) The anchor goes first, then the references that the object holds, then
 *     the targets that lost their last one. Death in between leaves names in
 *     ref/ whose owner has no anchor, which object_collect_all() removes, or
 *     anchors that nobody holds, which any collector removes. Were the
 *     references removed first, death would leave an anchor that opens and
 *     whose references are gone.
 * (4) A reference is made by a holder of its owner, so a name in ref/ whose
 *     owner has no anchor is nobody's.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <linux/futex.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/link.h"
#include "shm/object.h"

/* The longest chain of references that one sweep follows. */
#define SWEEP_PASSES 64

struct ident {
	enum object_kind kind;
	uint32_t id;
};

/* Objects that may have lost their last reference. No memory is allocated: a
 * collection may run in a signal handler's close(2). What does not fit is
 * found by the sweep that `overflow` asks for. */
struct worklist {
	struct ident item[128];
	unsigned int count;
	bool overflow;
};

static void worklist_add(struct worklist *w, enum object_kind kind, uint32_t id)
{
	if (w->count == ARRAY_SIZE(w->item)) {
		w->overflow = true;
		return;
	}
	w->item[w->count++] = (struct ident){kind, id};
}

/* KIND-ID-TOKIND-TOID */
static bool parse_ref(const char *name, struct ident *owner, struct ident *to)
{
	return link_parse_kind(&name, &owner->kind) && (owner->id = link_parse_id(&name, '-')) &&
	       link_parse_kind(&name, &to->kind) && (to->id = link_parse_id(&name, '\0'));
}

static void ref_name(char *name, enum object_kind kind, uint32_t id, enum object_kind to_kind,
		     uint32_t to_id)
{
	snprintf(name, LINK_NAME_SIZE, "%s-%u-%s-%u", object_kind_name(kind), id,
		 object_kind_name(to_kind), to_id);
}

enum collected { KEPT, GONE, REMOVED };

/* Who serves links sleeps on the generation. */
static void link_gone(void)
{
	uint32_t *word = &rundir_ids()->link_generation;

	fetch_add_seq_cst(word, 1);
	raw_futex(word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

static void work_dropped(void *arg, enum object_kind kind, uint32_t id)
{
	worklist_add(arg, kind, id);
}

/* Removes the anchor if nobody holds the object. GONE: there was none. */
static enum collected collect_anchor(enum object_kind kind, uint32_t id, struct worklist *w)
{
	int dir = rundir_kind_fd(kind), fd;
	enum collected ret = KEPT;
	char name[LINK_NAME_SIZE];
	struct stat st, named;

	snprintf(name, sizeof(name), "%u", id);
	/* A look before the lock: what is pinned or referred to is not even
	 * opened. */
	fd = raw_fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW);
	if (fd)
		return fd == -ENOENT ? GONE : KEPT;
	if (st.st_nlink > 1 && !(st.st_mode & OBJECT_USERS))
		return KEPT;
	fd = raw_openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd < 0)
		return fd == -ENOENT ? GONE : KEPT;
	/* Not when it has just its anchor: its slots go with it then. */
	if (!raw_fstat(fd, &st) && st.st_nlink > 1)
		slot_refs_release(fd, kind, id, work_dropped, w);
	if (!raw_fstat(fd, &st) && st.st_nlink == 1 && !raw_flock(fd, LOCK_EX | LOCK_NB)) {
		/* The name must still be this file's: another collector may have
		 * removed it, and the id may have come round. */
		if (!raw_fstat(fd, &st) && st.st_nlink == 1 &&
		    !raw_fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) &&
		    named.st_ino == st.st_ino && named.st_dev == st.st_dev &&
		    !raw_unlinkat(dir, name, 0))
			ret = REMOVED;
	}
	raw_close(fd); /* and with it LOCK_EX; the kernel frees the pages */
	if (ret == REMOVED && kind == OBJECT_LINK)
		link_gone();
	return ret;
}

struct drop_arg {
	struct worklist *work;
	struct ident owner;
};

static int drop_one(void *arg, const char *name)
{
	struct drop_arg *d = arg;
	struct ident owner, to;

	if (parse_ref(name, &owner, &to) && owner.kind == d->owner.kind &&
	    owner.id == d->owner.id && !raw_unlinkat(rundir_ref_fd(), name, 0))
		worklist_add(d->work, to.kind, to.id);
	return 0;
}

static void run_worklist(struct worklist *w)
{
	struct drop_arg d = {.work = w};

	while (w->count) {
		d.owner = w->item[--w->count];
		if (collect_anchor(d.owner.kind, d.owner.id, w) != KEPT) {
			link_scan(rundir_ref_fd(), drop_one, &d);
			slot_refs_drop(d.owner.kind, d.owner.id, work_dropped, w);
		}
	}
}

void object_collect(enum object_kind kind, uint32_t id)
{
	struct worklist w = {.count = 0};

	if ((unsigned int)kind >= OBJECT_KINDS || !id || rundir_open())
		return;
	worklist_add(&w, kind, id);
	run_worklist(&w);
	if (w.overflow)
		object_collect_all();
}

static int drop_orphan(void *arg, const char *name)
{
	char owner_name[LINK_NAME_SIZE];
	struct worklist work = {.count = 0};
	struct ident owner, to;
	bool slots = false;

	if (!parse_ref(name, &owner, &to)) {
		owner.id = slot_refs_owner(name, &owner.kind);
		slots = owner.id;
		if (!slots)
			return 0;
	}
	snprintf(owner_name, sizeof(owner_name), "%u", owner.id);
	if (raw_faccessat(rundir_kind_fd(owner.kind), owner_name, 0) != -ENOENT)
		return 0;
	if (slots) {
		/* the next pass finds the targets */
		slot_refs_drop(owner.kind, owner.id, work_dropped, &work);
		*(bool *)arg = true;
	} else if (!raw_unlinkat(rundir_ref_fd(), name, 0)) {
		*(bool *)arg = true;
	}
	return 0;
}

struct sweep_arg {
	enum object_kind kind;
	bool removed;
};

static int sweep_one(void *arg, const char *name)
{
	struct worklist work = {.count = 0};
	struct sweep_arg *s = arg;
	uint32_t id = link_parse_id(&name, '\0');

	if (id && collect_anchor(s->kind, id, &work) == REMOVED)
		s->removed = true;
	/* slots were emptied: what they held is for the next pass */
	if (work.count || work.overflow)
		s->removed = true;
	return 0;
}

void object_collect_all(void)
{
	struct sweep_arg s;
	bool removed;

	if (rundir_open())
		return;
	/* Owners first, then what they leave; until a pass finds nothing. The
	 * bound is for a directory in which others make and leave objects as
	 * fast as we remove them. */
	removed = true;
	for (int pass = 0; removed && pass < SWEEP_PASSES; pass++) {
		removed = false;
		for (int kind = OBJECT_KINDS - 1; kind >= 0; kind--) {
			s = (struct sweep_arg){.kind = kind};
			link_scan(rundir_kind_fd(kind), sweep_one, &s);
			removed |= s.removed;
		}
		link_scan(rundir_ref_fd(), drop_orphan, &removed);
	}
}

struct next_arg {
	uint32_t after, best;
};

static int next_one(void *arg, const char *name)
{
	struct next_arg *n = arg;
	uint32_t id = link_parse_id(&name, '\0');

	if (id > n->after && (!n->best || id < n->best))
		n->best = id;
	return 0;
}

int object_next_id(enum object_kind kind, uint32_t after, uint32_t *id)
{
	struct next_arg n = {.after = after};
	struct object_trailer head;
	char name[LINK_NAME_SIZE];
	int fd, ret;

	if ((unsigned int)kind >= OBJECT_KINDS)
		return -EINVAL;
	ret = rundir_open();
	if (ret)
		return ret;
	for (;; n.after = n.best) {
		n.best = 0;
		ret = link_scan(rundir_kind_fd(kind), next_one, &n);
		if (ret < 0)
			return ret;
		if (!n.best)
			return -ENOENT;
		object_collect(kind, n.best);
		/* A look without a reference: it must not outlive its last
		 * holder because we looked. */
		snprintf(name, sizeof(name), "%u", n.best);
		fd = raw_openat(rundir_kind_fd(kind), name,
				O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
		if (fd < 0) {
			if (fd == -EMFILE || fd == -ENFILE || fd == -ENOMEM)
				return fd;
			continue;
		}
		ret = object_head(fd, &head);
		raw_close(fd);
		if (!ret && head.ready && head.kind == kind && head.id == n.best) {
			*id = n.best;
			return 0;
		}
	}
}

int object_ref(enum object_kind kind, uint32_t id, int to_fd)
{
	char name[LINK_NAME_SIZE];
	struct stat st, named;
	int to_kind, ret;
	uint32_t to_id;
	dev_t dev;
	ino_t ino;

	if ((unsigned int)kind >= OBJECT_KINDS || !id)
		return -EINVAL;
	to_kind = object_identify(to_fd, &to_id, &dev, &ino);
	if (to_kind < 0)
		return to_kind;
	ret = rundir_open();
	if (!ret)
		ret = link_hold(to_fd);
	if (ret)
		return ret;
	ref_name(name, kind, id, to_kind, to_id);
	for (int tries = 0; tries < 3; tries++) {
		ret = link_fd(to_fd, rundir_ref_fd(), name);
		if (ret != -EEXIST)
			return ret == -ENOSPC ? -ENOMEM : ret;
		/* Already there, or an orphan of an owner or target that had
		 * these ids before they came round. */
		if (!raw_fstat(to_fd, &st) &&
		    !raw_fstatat(rundir_ref_fd(), name, &named, AT_SYMLINK_NOFOLLOW) &&
		    named.st_ino == st.st_ino)
			return 0;
		raw_unlinkat(rundir_ref_fd(), name, 0);
	}
	return ret;
}

void object_unref(enum object_kind kind, uint32_t id, enum object_kind to_kind, uint32_t to_id)
{
	char name[LINK_NAME_SIZE];

	if ((unsigned int)kind >= OBJECT_KINDS || (unsigned int)to_kind >= OBJECT_KINDS ||
	    rundir_open())
		return;
	ref_name(name, kind, id, to_kind, to_id);
	raw_unlinkat(rundir_ref_fd(), name, 0);
	object_collect(to_kind, to_id);
}
