/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The runtime directory: where the objects of one user live.
 *
 *   $SHMAP_DIR (default /dev/shm/shmap-UID, mode 0700, on tmpfs)
 *     layout       one line: the layout version; another version is refused
 *     ids          shared counters: the next id per kind, the link generation
 *     cpus         CPU leases (sync/lease.h)
 *     txn          transactions and snapshots under way (map/gate.h)
 *     map/ID  prog/ID  btf/ID  link/ID  perf/ID    anchors, one hard link per object
 *     ref/         one hard link per reference of an object to another; in a directory
 *                  map-ID those that the slots of a map hold (slotref.c)
 *     fs/          pins: stands in for /sys/fs/bpf
 */
#ifndef SHMAP_SHM_RUNDIR_H
#define SHMAP_SHM_RUNDIR_H

#include <stdint.h>

enum object_kind {
	OBJECT_MAP,
	OBJECT_PROG,
	OBJECT_BTF,
	OBJECT_LINK,
	OBJECT_PERF, /* a perf event that programs write records to (map/perf_event.h) */
	OBJECT_KINDS
};

/* The shared page `ids`. */
struct rundir_ids {
	uint32_t next[OBJECT_LINK + 1];	/* last id given out, per kind: rundir_next_id() */
	uint32_t link_generation;	/* futex word: bumped when links come or go */
	uint32_t stats_enabled;		/* holders of BPF_ENABLE_STATS */
	uint32_t next_perf;		/* a later kind: the fields before it have kept their places */
};

/*
 * Opens (creates when missing) the runtime directory, once per process.
 * 0 or -errno; the text of what went wrong is rundir_error().
 */
int rundir_open(void);
const char *rundir_error(void);

const char *rundir_path(void);		/* absolute, no trailing slash */
int rundir_fd(void);			/* O_PATH|O_CLOEXEC fd of the directory */
int rundir_kind_fd(enum object_kind kind); /* fd of map/, prog/, btf/, link/, perf/ */
int rundir_ref_fd(void);
int rundir_fs_fd(void);
/* A new fd of a file that all processes share, made empty when it is not there; or -errno. */
int rundir_open_shared(const char *name);
/*
 * Maps such a file at *where, once for all threads, for good: `size` bytes, the first `filled` of
 * them allocated; *where is `skip` bytes into it. The caller has seen that *where is NULL. 0 or
 * -errno (full: -ENOMEM).
 */
int rundir_share(const char *name, uint64_t size, uint64_t filled, uint64_t skip, void **where);
struct rundir_ids *rundir_ids(void);
/* The last id that was given out for a kind. */
static inline uint32_t *rundir_next_id(enum object_kind kind)
{
	struct rundir_ids *ids = rundir_ids();

	return kind == OBJECT_PERF ? &ids->next_perf : &ids->next[kind];
}
const char *object_kind_name(enum object_kind kind); /* "map", "prog", ... */

#endif
