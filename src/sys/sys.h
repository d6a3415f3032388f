/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf(2) in user space: the one entry, and the fds.
 */
#ifndef SHMAP_SYS_SYS_H
#define SHMAP_SYS_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "map/map.h"
#include "vm/vm.h"

/* bpf(cmd, uattr, size): >= 0 or -errno. uattr may be any pointer. */
long sys_bpf(int cmd, void *uattr, unsigned int size);

/*
 * The element commands without the attr (the exported fast paths of libbpf's
 * bpf_map_lookup_elem() and its like). Same results as sys_bpf().
 */
long sys_map_lookup(int fd, const void *key, void *value, uint64_t flags);
long sys_map_update(int fd, const void *key, const void *value, uint64_t flags);
long sys_map_delete(int fd, const void *key);
long sys_map_next_key(int fd, const void *key, void *next);
long sys_map_lookup_and_delete(int fd, const void *key, void *value, uint64_t flags);
/* What the map counts; -EOPNOTSUPP for a type that counts nothing. */
long sys_map_stats(int fd, struct map_stats *stats);

/*
 * The fd table: caches, per fd number, the map behind it. Each way in which an
 * fd number changes its meaning must pass here (src/preload/ does so).
 * fd_forget(fd) is called BEFORE the fd is closed or replaced; it never waits.
 */
void fd_forget(int fd);
void fd_forget_range(unsigned int first, unsigned int last);
/* After the close or the replacement, whether it succeeded or not: one fd_collect() for
 * each fd_forget*(), by the same thread, last one first. Until then the number is looked
 * up anew each time. Collects the objects that the fd held last. */
void fd_collect(void);

/* Is fd one of ours, and what: OBJECT_* kind, or -errno. For preload (readlink,
 * fdinfo, mmap). id may be NULL. */
int fd_identify(int fd, uint32_t *id);
/* The text of /proc/self/fdinfo/FD for one of our fds: length or -errno. */
long fd_fdinfo(int fd, char *buf, size_t size);
/* mmap(2) of a map fd: checks as the kernel's map_mmap; 0 (the caller then does
 * the plain mmap), -errno, or 1 when fd is not a map of ours. */
int fd_mmap_check(int fd, uint64_t offset, uint64_t len, int prot, int flags);
/* After fd_mmap_check() said 0: a new fd of the same file, to mmap in fd's place and to
 * close right after that (as any other: fd_forget(), close, fd_collect()). Its description holds the object, keeps BPF_MAP_FREEZE away from
 * a writable mapping and mprotect(2) from a read-only one, for as long as the mapping (and
 * its copies in children) lives. -errno; -EPERM when the map was frozen meanwhile. */
int fd_mmap_open(int fd, int prot);

/* The mapping itself, by the fd that fd_mmap_open() made: the address or -errno. */
void *fd_mmap_map(int fd, int own, void *addr, size_t len, int prot, int flags, uint64_t offset);

/*
 * Waiting for a map fd (watch.c). The fd in it becomes readable when the map's
 * sleepers are woken, once they have said so (watch_arm), and stays it until then; it
 * is -1 where the system gave none: then look at the level from time to time.
 */
struct perf_event;
struct map_watch {
	struct map *map;
	struct perf_event *event; /* in a map's place: a perf event that programs write to */
	int fd;
};
/* fd is a map (or such an event) that has something to wait for. */
bool fd_has_events(int fd);
/* -ENOTSUPP: the map has no events; it polls as POLLERR. */
int watch_open(int fd, struct map_watch *w);
void watch_close(struct map_watch *w);
/* An inotify fd that hears the bell of fd's file, or -errno; the same for an inotify fd that there
 * is: the watch. */
int watch_make(int fd);
int watch_file(int ino, int fd);
/* What poll(2) says of the map now. */
uint32_t watch_level(const struct map_watch *w);
/* The client has been told of it: a perf event says so once. */
void watch_taken(const struct map_watch *w);
/* Forgets wake-ups of the past and waits for new ones. Look at the level after it. */
void watch_arm(const struct map_watch *w);
/* Wakes all sleepers, oneself too. false: could not. */
bool watch_ring(const struct map_watch *w);
/* Every WATCH_LOOK_MS: did somebody die who should have woken us? */
#define WATCH_LOOK_MS 500
bool watch_due(const struct map_watch *w);
/* How far those who wake have come: another value after something new. */
uint64_t watch_position(const struct map_watch *w);

/* Statistics (BPF_ENABLE_STATS) are on. */
bool sys_stats_enabled(void);

/*
 * A link file's body: what an event source needs to serve it.
 */
enum link_event {			/* see event/event.h for the meaning of name */
	LINK_RAW_TRACEPOINT,		/* name: "sys_enter" | "sys_exit"; also tp_btf */
	LINK_TRACEPOINT,		/* name: "syscalls/sys_enter_mmap", "raw_syscalls/sys_enter" */
	LINK_KPROBE,			/* name: "__x64_sys_mmap" */
	LINK_KRETPROBE,
	LINK_FENTRY,
	LINK_FEXIT,
	LINK_FMOD_RET,
	LINK_OTHER,			/* not an event source's; made, shown, never fired */
};

struct link_header {
	uint32_t event;			/* enum link_event */
	uint32_t link_type;		/* enum bpf_link_type, for bpf_link_info */
	uint32_t prog_id;
	uint32_t attach_type;
	uint32_t target_obj_id, target_btf_id;
	uint32_t detached;		/* 1: not fired (now: a perf event can be enabled again) */
	uint32_t pad;
	uint64_t cookie;
	char name[128];
};

/* Opens a program or link by id, for event sources: the private verified copy. */
int sys_prog_open(uint32_t id, struct vm_prog **out);
void sys_prog_put(struct vm_prog *p);
int sys_link_read(uint32_t id, struct link_header *out);
/* Adds one run to the program's shared statistics. */
void sys_prog_account(struct vm_prog *p, uint64_t ns, bool missed);

/*
 * Links came or changed: bumps rundir_ids()->link_generation and wakes who waits on
 * it. (Collecting one does so by itself.)
 */
void sys_link_changed(void);

/*
 * Emulated perf events and tracefs ids, for preload (see perf.c). A tracepoint
 * is named as below events/: "syscalls/sys_enter_mmap"; -ENOENT or NULL when
 * there is none. The name of an id is valid until the thread asks again.
 * PERF_TYPE_KPROBE is what /sys/bus/event_source/devices/kprobe/type says, and
 * format/retprobe there is "config:0". sys_perf_event_open() passes events that
 * are not ours on to the kernel.
 */
#define PERF_TYPE_KPROBE 0x7368
int perf_tracepoint_id(const char *name);
const char *perf_tracepoint_name(int id);
int sys_perf_event_open(const void *attr, pid_t pid, int cpu, int group_fd, unsigned long flags);
/* 1: not ours (pass on); else 0 or -errno */
int sys_perf_ioctl(int fd, unsigned long request, unsigned long arg, long *ret);
/* mmap(2) and read(2) of events that programs write to. 1: not ours; else 0 (*ret: the
 * address) or the number of bytes, or -errno. */
int sys_perf_mmap(int fd, void *addr, size_t len, int prot, int flags, off_t off, long *ret);
long sys_perf_read(int fd, void *buf, size_t size);

#endif
