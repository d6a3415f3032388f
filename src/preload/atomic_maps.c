/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap_snapshot(), shmap_txn_*() and handles: -errno, and errno set. */
#include "sys/atomic_maps.h"

#include "map/snapshot.h"
#include "map/txn.h"
#include "preload/preload.h"
#include "shmap.h"

EXPORT int shmap_snapshot(int fd)
{
	int snapshot;
	long err = sys_snapshot(&fd, &snapshot, 1);

	return result(err ? err : snapshot);
}

EXPORT int shmap_snapshot_maps(const int *fds, int *snapshots, unsigned int n)
{
	return result(sys_snapshot(fds, snapshots, n));
}

EXPORT uint64_t shmap_snapshot_stalled(void)
{
	return map_snapshot_stalled;
}

EXPORT struct shmap_txn *shmap_txn_begin(void)
{
	struct txn *t = txn_begin();

	if (!t)
		errno = ENOMEM;
	return (struct shmap_txn *)t;
}

EXPORT int shmap_txn_get(struct shmap_txn *t, int fd, const void *key, void *value)
{
	return result(sys_txn_get((struct txn *)t, fd, key, value));
}

EXPORT int shmap_txn_put(struct shmap_txn *t, int fd, const void *key, const void *value,
			 uint64_t flags)
{
	return result(sys_txn_put((struct txn *)t, fd, key, value, flags));
}

EXPORT int shmap_txn_delete(struct shmap_txn *t, int fd, const void *key)
{
	return result(sys_txn_delete((struct txn *)t, fd, key));
}

EXPORT int shmap_txn_commit(struct shmap_txn *t)
{
	return result(txn_commit((struct txn *)t));
}

EXPORT void shmap_txn_abort(struct shmap_txn *t)
{
	int saved = errno;

	if (t)
		txn_abort((struct txn *)t);
	errno = saved;
}

EXPORT struct shmap_handle *shmap_handle_open(int fd)
{
	struct shmap_handle *h = NULL;
	long err = sys_handle_open(fd, &h);

	if (err)
		errno = (int)-err;
	return h;
}

EXPORT void shmap_handle_close(struct shmap_handle *h)
{
	int saved = errno;

	if (h)
		sys_handle_close(h);
	errno = saved;
}

EXPORT int shmap_section_begin(void)
{
	return result(sys_section_begin());
}

EXPORT void shmap_section_end(void)
{
	sys_section_end();
}

EXPORT void shmap_edited(const struct shmap_handle *h)
{
	sys_edited(h);
}

EXPORT int shmap_modify(struct shmap_handle *h, const void *key, int (*fn)(void *value, void *arg),
			void *arg)
{
	return result(sys_modify(h, key, fn, arg));
}
