/* SPDX-License-Identifier: BSD-2-Clause */
#include "sys/rawstore.h"

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "sys/fd.h"

/* Newer than Debian 12's headers. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#define UFFD_WP_HUGETLBFS_SHMEM (1ULL << 12)
#define UFFD_WP_UNPOPULATED (1ULL << 13)
#define UFFD_WP_ASYNC (1ULL << 15)

struct scan_region {
	uint64_t start, end, categories;
};

struct scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t inverted, mask, anyof, returned;
};

#define SCAN_IOCTL _IOWR('f', 16, struct scan_arg)
#define SCAN_WP_MATCHING 1U
#define SCAN_CHECK_WPASYNC 2U
#define PAGE_WPALLOWED 1U
#define PAGE_WRITTEN 2U

#define RAW_FIRST_FD 400 /* out of the way of what programs expect */
#define RAW_REGIONS 32
#define RAW_CHECK_ROUNDS 64	/* between looks at whether the mappings are still there */
#define RAW_STUCK_NS 5000000ULL /* who has been looking for so long is stopped or dead */

static uint64_t now_ns(void)
{
	struct timespec ts = {0};

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* ---- the process that maps ---- */

/* This process's mappings; under the mutex, which is taken around fork, too. */
#define MAPPINGS 64
static struct mapping {
	struct map *map; /* a reference; NULL: free */
	uint64_t addr, len, offset;
	struct notice_raw *raw;
	uint32_t gen;
} mappings[MAPPINGS];
static pthread_mutex_t mappings_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static uint32_t any_mapped;
static int uffd = -1;

static int uffd_open(void)
{
	struct uffdio_api api = {
		.api = UFFD_API,
		.features = UFFD_WP_ASYNC | UFFD_WP_UNPOPULATED | UFFD_WP_HUGETLBFS_SHMEM |
			    UFFD_FEATURE_PAGEFAULT_FLAG_WP,
	};
	long fd = raw_syscall1(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY), high;

	if (fd < 0)
		return -1;
	if (raw_ioctl((int)fd, UFFDIO_API, (unsigned long)&api)) {
		raw_close((int)fd);
		return -1;
	}
	high = raw_fcntl((int)fd, F_DUPFD_CLOEXEC, RAW_FIRST_FD);
	if (high < 0)
		return (int)fd;
	raw_close((int)fd);
	return (int)high;
}

/* Without it the listeners compare. */
static void protect(const struct mapping *p)
{
	struct uffdio_register reg = {
		.range = {p->addr, p->len},
		.mode = UFFDIO_REGISTER_MODE_WP,
	};
	struct uffdio_writeprotect wp = {
		.range = {p->addr, p->len},
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	for (int i = 0; i < 2; i++) {
		if (uffd < 0)
			uffd = uffd_open();
		if (uffd < 0)
			return;
		if (!raw_ioctl(uffd, UFFDIO_REGISTER, (unsigned long)&reg))
			break;
		/* the number may be the program's by now: it is not ours to close */
		uffd = -1;
	}
	/* Pages that are not there yet, too: a load that brings them in is no store. */
	if (uffd >= 0)
		raw_ioctl(uffd, UFFDIO_WRITEPROTECT, (unsigned long)&wp);
}

static int scan(int fd, struct scan_arg *arg, uint64_t from, uint64_t to, uint64_t flags,
		uint64_t categories, struct scan_region *regions, uint64_t n)
{
	*arg = (struct scan_arg){
		.size = sizeof(*arg),
		.flags = flags,
		.start = from,
		.end = to,
		.vec = (uintptr_t)regions,
		.vec_len = n,
		.mask = categories,
		.returned = categories,
	};
	return raw_ioctl(fd, SCAN_IOCTL, (unsigned long)arg);
}

/* Is all of it there and write-protectable, as protect() left it? */
static bool covered(int pagemap, uint64_t addr, uint64_t len)
{
	struct scan_region r[1];
	struct scan_arg arg;
	uint64_t at = addr;

	while (at < addr + len) {
		if (scan(pagemap, &arg, at, addr + len, 0, PAGE_WPALLOWED, r, 1) != 1 ||
		    r[0].start != at || r[0].end <= at)
			return false;
		at = r[0].end;
	}
	return true;
}

static int pagemap_open(uint32_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%u/pagemap", pid);
	return raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
}

static void mapping_drop(struct mapping *p)
{
	if (p->raw)
		notice_raw_drop(p->map, p->raw, (uint32_t)raw_getpid(), p->gen);
	map_put(p->map);
	p->map = NULL;
}

static void mapping_publish(struct mapping *p)
{
	protect(p);
	p->raw = notice_raw_add(p->map, (uint32_t)raw_getpid(), p->addr, p->len, p->offset);
	p->gen = p->raw ? load_relaxed(&p->raw->gen) : 0;
}

static void before_fork(void)
{
	pthread_mutex_lock(&mappings_lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&mappings_lock);
}

/* Not if the program has closed it and given the number to a file of its own. */
static void uffd_close(void)
{
	static const char what[] = "anon_inode:[userfaultfd]";
	char path[48], text[sizeof(what)];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", uffd);
	n = raw_readlinkat(AT_FDCWD, path, text, sizeof(text));
	if (n == sizeof(what) - 1 && !memcmp(text, what, sizeof(what) - 1))
		raw_close(uffd);
}

/* The child has the mappings, and neither their protection nor their entries. */
static void after_fork_child(void)
{
	if (any_mapped) {
		if (uffd >= 0)
			uffd_close(); /* the parent's memory */
		uffd = -1;
	}
	for (unsigned int i = 0; i < MAPPINGS; i++)
		if (mappings[i].map)
			mapping_publish(&mappings[i]);
	pthread_mutex_unlock(&mappings_lock);
}

static void fork_register(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* munmap(2) is not ours to see: entries of mappings that have gone, or have given way. */
static void forget_gone(uint64_t addr, uint64_t len)
{
	int pagemap = pagemap_open((uint32_t)raw_getpid());

	for (unsigned int i = 0; i < MAPPINGS; i++) {
		struct mapping *p = &mappings[i];

		if (!p->map)
			continue;
		if ((addr < p->addr + p->len && p->addr < addr + len) ||
		    (uffd >= 0 && pagemap >= 0 && !covered(pagemap, p->addr, p->len)))
			mapping_drop(p);
	}
	if (pagemap >= 0)
		raw_close(pagemap);
}

void raw_mapped(struct map *m, void *addr, uint64_t len, uint64_t offset)
{
	struct mapping *p = NULL;

	pthread_once(&fork_once, fork_register);
	pthread_mutex_lock(&mappings_lock);
	fd_inside_begin();
	store_relaxed(&any_mapped, 1);
	forget_gone((uintptr_t)addr, len);
	for (unsigned int i = 0; i < MAPPINGS && !p; i++)
		if (!mappings[i].map)
			p = &mappings[i];
	if (p) {
		map_get(m);
		*p = (struct mapping){m, (uintptr_t)addr, len, offset, NULL, 0};
		mapping_publish(p);
	} else if (!notice_populate(m, false)) {
		store_seq_cst(&notice_of(m)->raw_lost, 1); /* compare */
	}
	fd_inside_end();
	pthread_mutex_unlock(&mappings_lock);
}

void raw_moved(void *old, uint64_t old_len, void *addr, uint64_t len)
{
	if (!load_relaxed(&any_mapped))
		return;
	pthread_mutex_lock(&mappings_lock);
	fd_inside_begin();
	for (unsigned int i = 0; i < MAPPINGS; i++) {
		struct mapping *p = &mappings[i], was = *p;

		if (!p->map || (uintptr_t)old < p->addr || (uintptr_t)old >= p->addr + p->len)
			continue;
		/* Of a part of it: the rest is nowhere to be found. Compare. */
		if (was.raw &&
		    ((uintptr_t)old != was.addr || round_up_u64(old_len, SHMAP_PAGE) < was.len))
			store_seq_cst(&notice_of(was.map)->raw_lost, 1);
		map_get(was.map);
		mapping_drop(p);
		*p = (struct mapping){was.map, (uintptr_t)addr,
				      len,     was.offset + ((uintptr_t)old - was.addr),
				      NULL,    0};
		mapping_publish(p);
	}
	fd_inside_end();
	pthread_mutex_unlock(&mappings_lock);
}

/* ---- who listens ---- */

static uint64_t values_size(const struct map *m)
{
	return (uint64_t)m->elem_size * m->attr.max_entries;
}

void raw_watch_begin(struct raw_watch *w, struct map *m)
{
	*w = (struct raw_watch){.map = m};
	for (unsigned int i = 0; i < NOTICE_RAW; i++)
		w->seen[i].fd = -1;
}

void raw_watch_end(struct raw_watch *w)
{
	for (unsigned int i = 0; i < NOTICE_RAW; i++)
		if (w->seen[i].fd >= 0)
			raw_close(w->seen[i].fd);
	free(w->copy);
	w->copy = NULL;
}

bool raw_watch_any(const struct raw_watch *w)
{
	const struct notice *n = notice_of(w->map);

	if (load_relaxed(&n->raw_lost) || load_relaxed(&n->raw_gone) != load_relaxed(&n->raw_noted))
		return true;
	for (unsigned int i = 0; i < NOTICE_RAW; i++)
		if (load_relaxed(&n->raw[i].pid))
			return true;
	return false;
}

/* [from, to) of the file may have been stored to. */
static void post_range(struct map *m, uint64_t from, uint64_t to)
{
	uint64_t size = values_size(m);

	if (to > size)
		to = size;
	if (from < to)
		notice_post(m, MAP_CHANGE_STORE, NULL, from, to - from, 1);
}

/* Does the process have the map's file mapped there? */
static bool still_mapped(const struct map *m, const struct notice_raw *r)
{
	unsigned long start, end, ino;
	char path[40], line[512];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%u/maps", r->pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, "%lx-%lx %*s %*s %*s %lu", &start, &end, &ino) == 3 &&
			start <= r->addr && end > r->addr && ino == m->obj.ino;
	if (f)
		fclose(f);
	return found;
}

/* One mapping. False: it has to be compared. */
static bool look_at(struct raw_watch *w, unsigned int i, const struct notice_raw *r, bool check)
{
	struct scan_region regions[RAW_REGIONS];
	struct map *m = w->map;
	struct scan_arg arg;
	uint64_t at = r->addr;
	uint32_t pid = r->pid;
	int n;

	if (w->seen[i].pid != pid || w->seen[i].gen != r->gen) {
		if (w->seen[i].fd >= 0)
			raw_close(w->seen[i].fd);
		w->seen[i].pid = pid;
		w->seen[i].gen = r->gen;
		w->seen[i].fd = pagemap_open(pid);
		check = true;
	}
	while (w->seen[i].fd >= 0 && at < r->addr + r->len) {
		n = scan(w->seen[i].fd, &arg, at, r->addr + r->len,
			 SCAN_WP_MATCHING | SCAN_CHECK_WPASYNC, PAGE_WRITTEN, regions, RAW_REGIONS);
		if (n < 0) {
			check = true;
			break;
		}
		for (int k = 0; k < n; k++)
			post_range(m, r->offset + (regions[k].start - r->addr),
				   r->offset + (regions[k].end - r->addr));
		if (arg.walk_end <= at)
			break;
		at = arg.walk_end;
	}
	if (!check || (w->seen[i].fd >= 0 && covered(w->seen[i].fd, r->addr, r->len)))
		return true;
	if (still_mapped(m, r))
		return false;
	/* Gone, and with it what was stored since the last look: who knows? The place may be
	 * another mapping's of the same process by now. */
	w->seen[i].pid = 0;
	post_range(m, r->offset, r->offset + r->len);
	notice_raw_free(&notice_of(m)->raw[i], pid, r->gen);
	return true;
}

/* Ranges that differ from the copy. */
static void compare(struct raw_watch *w)
{
	const uint64_t size = values_size(w->map);
	const uint8_t *values = w->map->obj.base;

	if (!w->copy) {
		w->copy = malloc(size);
		if (w->copy)
			memcpy(w->copy, values, size);
		post_range(w->map, 0, size);
		return;
	}
	for (uint64_t at = 0; at < size; at += SHMAP_PAGE) {
		uint64_t n = size - at < SHMAP_PAGE ? size - at : SHMAP_PAGE;

		if (!memcmp(w->copy + at, values + at, n))
			continue;
		/* first the copy: a store that comes after it differs again */
		memcpy(w->copy + at, values + at, n);
		post_range(w->map, at, at + n);
	}
}

/* The right to look: one at a time, so that none finds pages that another has just protected
 * and not yet noted. 0: not now. */
static uint64_t look_begin(struct raw_watch *w, uint64_t now)
{
	struct notice *n = notice_of(w->map);
	uint64_t was = load_seq_cst(&n->scan), mine;

	if ((uint32_t)was) {
		if (was != w->scan_seen) {
			w->scan_seen = was;
			w->scan_since = now;
			return 0;
		}
		if (now - w->scan_since < RAW_STUCK_NS)
			return 0;
	}
	mine = ((was >> 32) + 1) << 32 | (uint32_t)(writer_name(thread_self.writer));
	if (!cas_seq_cst(&n->scan, &was, mine))
		return 0;
	/* It may have found something and not noted it. */
	if ((uint32_t)was)
		post_range(w->map, 0, values_size(w->map));
	return mine;
}

bool raw_watch_look(struct raw_watch *w, bool at_once)
{
	struct notice *n = notice_of(w->map);
	uint64_t now = now_ns(), mine, looked;
	uint32_t gone, noted;
	bool check, must_compare;

	if (!raw_watch_any(w))
		return true;
	if (!at_once && now - load_relaxed(&n->scan_at) < RAW_PERIOD_NS * 3 / 4)
		return true;
	mine = look_begin(w, now);
	if (!mine)
		return false;
	check = w->rounds++ % RAW_CHECK_ROUNDS == 0;
	must_compare = load_relaxed(&n->raw_lost);
	gone = load_seq_cst(&n->raw_gone);
	noted = load_relaxed(&n->raw_noted);
	if (gone != noted) {
		post_range(w->map, 0, values_size(w->map));
		cas_seq_cst(&n->raw_noted, &noted, gone);
	}
	for (unsigned int i = 0; i < NOTICE_RAW; i++) {
		struct notice_raw r;

		r.pid = load_acquire(&n->raw[i].pid);
		if (!r.pid || r.pid >> 31)
			continue;
		r.gen = load_relaxed(&n->raw[i].gen);
		r.addr = load_relaxed(&n->raw[i].addr);
		r.len = load_relaxed(&n->raw[i].len);
		r.offset = load_relaxed(&n->raw[i].offset);
		/* Pairs with the fence in notice_raw_add(): of one mapping, or not now. */
		fence_acquire();
		if (load_relaxed(&n->raw[i].gen) != r.gen || load_relaxed(&n->raw[i].pid) != r.pid)
			continue;
		if (r.addr % SHMAP_PAGE || r.len % SHMAP_PAGE || r.addr + r.len < r.addr)
			continue;
		must_compare |= !look_at(w, i, &r, check);
	}
	if (must_compare || w->copy)
		compare(w);
	looked = now_ns();
	w->took_ns = looked - now;
	store_relaxed(&n->scan_at, looked);
	/* Not ours any more: somebody took us for stopped. */
	cas_seq_cst(&n->scan, &mine, mine >> 32 << 32);
	return true;
}
