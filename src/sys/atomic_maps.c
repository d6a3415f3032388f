/* SPDX-License-Identifier: BSD-2-Clause */
/* Snapshots and transactions by fd: what src/map/ does, with the checks of bpf(2). */
#include "sys/atomic_maps.h"

#include <stdlib.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/objref.h"
#include "map/snapshot.h"
#include "map/txn.h"
#include "sys/btf_obj.h"
#include "sys/fd.h"
#include "sys/sys.h"

#define LOCAL 512

/* ---- snapshots ---- */

struct source {
	struct fd_op op;
	struct btf_ref btf;
};

static int source_begin(struct source *s, int fd)
{
	int err;

	s->btf.fd = -1;
	err = fd_begin(fd, &s->op);
	if (err)
		return err;
	if (!(s->op.ref->access & FD_READ))
		err = -EPERM;
	if (!err && s->op.ref->map->attr.btf_id) {
		err = sys_btf_open(s->op.ref->map->attr.btf_id, &s->btf);
		if (err)
			s->btf.fd = -1;
	}
	if (err)
		fd_end(&s->op);
	return err;
}

static void source_end(struct source *s)
{
	if (s->btf.fd >= 0)
		sys_btf_close(&s->btf);
	fd_end(&s->op);
}

static long snapshot(const int *fds, int *snapshots, uint32_t n)
{
	struct map *map[GATE_MAPS], *copy[GATE_MAPS];
	int own[GATE_MAPS], btf[GATE_MAPS], out[GATE_MAPS];
	struct source source[GATE_MAPS];
	uint32_t i, begun = 0, made = 0;
	long err = 0;

	for (i = 0; !err && i < n; i++) {
		err = source_begin(&source[i], fds[i]);
		if (err)
			break;
		begun++;
		map[i] = source[i].op.ref->map;
		btf[i] = source[i].btf.fd;
	}
	if (!err)
		err = map_snapshot(map, n, btf, copy, own);
	for (i = 0; i < begun; i++)
		source_end(&source[i]);
	if (err)
		return err;
	for (i = 0; i < n; i++) {
		out[i] = sys_map_fd(copy[i], own[i], BPF_F_RDONLY);
		if (out[i] < 0)
			err = out[i];
		else
			made++;
	}
	if (!err)
		err = uaccess_copy(snapshots, out, n * sizeof(*out));
	for (i = 0; err && i < n; i++) {
		if (out[i] < 0)
			continue;
		fd_forget(out[i]);
		raw_close(out[i]);
		fd_collect();
	}
	return err;
}

long sys_snapshot(const int *fds, int *snapshots, uint32_t n)
{
	int local[GATE_MAPS];
	long err = uaccess_init();

	if (!err)
		err = !n ? -EINVAL : n > GATE_MAPS ? -E2BIG : 0;
	if (!err)
		err = uaccess_copy(local, fds, n * sizeof(*fds));
	if (err)
		return err;
	fd_reclaim();
	objref_reclaim();
	fd_inside_begin();
	err = snapshot(local, snapshots, n);
	fd_inside_end();
	return err;
}

/* ---- transactions ---- */

/* One key and perhaps value of a call. */
struct call {
	struct fd_op op;
	int map; /* number in the transaction */
	uint64_t local[LOCAL / 8];
	uint64_t *key, *value;
};

static int call_begin(struct call *c, struct txn *t, int fd, uint32_t access, const void *key,
		      const void *value)
{
	size_t key_words, value_words;
	struct map *m;
	int err = fd_begin(fd, &c->op);

	c->key = c->local;
	if (err)
		return err;
	m = c->op.ref->map;
	if ((c->op.ref->access & access) != access ||
	    (access & FD_WRITE && load_relaxed(&c->op.ref->shared->frozen)))
		err = -EPERM;
	if (!err)
		err = c->map = txn_join(t, m);
	if (err < 0)
		goto out;
	key_words = (m->attr.key_size + 7) / 8;
	value_words = value ? (m->user_value_size + 7) / 8 : 0;
	if (key_words + value_words > LOCAL / 8) {
		c->key = malloc((key_words + value_words) * 8);
		err = c->key ? 0 : -ENOMEM;
		if (err)
			goto out;
	}
	c->value = c->key + key_words;
	err = uaccess_copy(c->key, key, m->attr.key_size);
	if (!err && value)
		err = uaccess_copy(c->value, value, m->user_value_size);
	if (!err)
		return 0;
out:
	if (c->key != c->local)
		free(c->key);
	fd_end(&c->op);
	return err;
}

static void call_end(struct call *c)
{
	if (c->key != c->local)
		free(c->key);
	fd_end(&c->op);
}

long sys_txn_get(struct txn *t, int fd, const void *key, void *value)
{
	struct call c;
	long err = call_begin(&c, t, fd, FD_READ, key, NULL);

	if (err)
		return err;
	err = txn_get(t, c.map, c.key, value);
	call_end(&c);
	return err;
}

long sys_txn_put(struct txn *t, int fd, const void *key, const void *value, uint64_t flags)
{
	struct call c;
	long err = value ? call_begin(&c, t, fd, FD_WRITE, key, value) : -EFAULT;

	if (err)
		return err;
	err = txn_put(t, c.map, c.key, c.value, flags);
	call_end(&c);
	return err;
}

long sys_txn_delete(struct txn *t, int fd, const void *key)
{
	struct call c;
	long err = call_begin(&c, t, fd, FD_WRITE, key, NULL);

	if (err)
		return err;
	err = txn_delete(t, c.map, c.key);
	call_end(&c);
	return err;
}
