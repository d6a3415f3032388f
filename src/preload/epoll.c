/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * epoll(7) on maps that have events (ring buffers).
 *
 * epoll takes no tmpfs file. What the epoll set gets in a map's place is the fd
 * of a map_watch, with data by which epoll_wait() finds the entry here and gives
 * the client its own data and the map's events. The claim, for each entry that the
 * kernel's epoll may sleep on:
 *
 *	its fd is readable, or
 *	after the map was last found without events a sleeper was announced
 *	(watch_arm), and the map was found without events once more.
 *
 * It holds from EPOLL_CTL_ADD on (entry_settle). An event for an entry is looked at
 * before it is passed on: when the map has none, it is an old one, and
 * entry_settle() again. So events are level-triggered as the kernel's are, which also
 * looks again at what it reported and not at what nobody woke (BPF_RB_NO_WAKEUP). With
 * EPOLLET an event is passed on once, so that the second half of the claim is made true
 * then.
 *
 * A wake-up can be lost only with a process that died before it gave it: whoever
 * waits looks for that twice a second, and before it says that there is nothing
 * (watch_due): a client may never wait for longer than a moment.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/uaccess.h"
#include "preload/preload.h"

#define ENTRIES_MAX 4096U
#define PASSED_ON (EPOLLET | EPOLLONESHOT | EPOLLWAKEUP | EPOLLEXCLUSIVE)
#define BLIND_LOOK_MS 1 /* where the system gave no fd */

struct entry {
	int epfd, fd;
	struct map_watch watch;
	struct epoll_event event; /* the client's */
	uint64_t told;		  /* EPOLLET: watch_position() of the last answer, plus one */
	bool live;
};

static struct entry *entries[ENTRIES_MAX]; /* never freed; used anew */
static uint32_t entries_end;		   /* as far as there are any */
static uint32_t entries_live;
static uint64_t entries_key; /* data of an entry's fd: key ^ its index; chosen at random */
static pid_t owner;	     /* a vfork child has our memory and other fds */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* No signal handler meanwhile: it may close a file, which takes the lock. */
static uint64_t lock_all(void)
{
	uint64_t all = ~0ull, before = 0;

	raw_sigprocmask(SIG_BLOCK, &all, &before);
	pthread_mutex_lock(&lock);
	return before;
}

static void unlock_all(uint64_t before)
{
	pthread_mutex_unlock(&lock);
	raw_sigprocmask(SIG_SETMASK, &before, NULL);
}

static void own(void)
{
	owner = raw_getpid();
}

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&lock);
}

static void after_fork_child(void)
{
	own();
	pthread_mutex_unlock(&lock);
}

static void init(void)
{
	own();
	if (raw_syscall3(SYS_getrandom, &entries_key, sizeof(entries_key), 0) < 0)
		entries_key = (uintptr_t)&entries_key * 0x9e3779b97f4a7c15ull;
	pthread_atfork(before_fork, after_fork, after_fork_child);
}

/* Under the lock, all of these. */
static struct entry *entry_find(int epfd, int fd)
{
	for (uint32_t i = 0; i < entries_end; i++)
		if (entries[i]->live && entries[i]->epfd == epfd && entries[i]->fd == fd)
			return entries[i];
	return NULL;
}

static int entry_new(uint32_t *index)
{
	for (uint32_t i = 0; i < entries_end; i++)
		if (!entries[i]->live) {
			*index = i;
			return 0;
		}
	if (entries_end == ENTRIES_MAX)
		return -ENOSPC;
	entries[entries_end] = calloc(1, sizeof(struct entry));
	if (!entries[entries_end])
		return -ENOMEM;
	*index = entries_end++;
	return 0;
}

static void entry_drop(struct entry *e)
{
	watch_close(&e->watch);
	e->live = false;
	store_relaxed(&entries_live, entries_live - 1);
}

static uint32_t entry_level(const struct entry *e)
{
	return watch_level(&e->watch) & (e->event.events | EPOLLERR | EPOLLHUP);
}

/* Makes its fd readable; an entry for which that cannot be done goes without one. */
static void entry_ring(struct entry *e)
{
	if (watch_ring(&e->watch) || e->watch.fd < 0)
		return;
	raw_close(e->watch.fd);
	e->watch.fd = -1;
}

/* Makes the claim true. */
static void entry_settle(struct entry *e)
{
	watch_arm(&e->watch);
	if (entry_level(e))
		entry_ring(e);
}

static struct epoll_event entry_real_event(const struct entry *e, uint32_t index)
{
	struct epoll_event real = {.events = EPOLLIN | (e->event.events & PASSED_ON),
				   .data.u64 = entries_key ^ index};

	return real;
}

static uint32_t entry_index(const struct entry *e)
{
	uint32_t i = 0;

	while (entries[i] != e)
		i++;
	return i;
}

void poll_drop(int fd)
{
	uint64_t signals;

	if (likely(!load_relaxed(&entries_live)) || raw_getpid() != owner)
		return;
	signals = lock_all();
	for (uint32_t i = 0; i < entries_end; i++) {
		struct entry *e = entries[i];

		if (!e->live)
			continue;
		if (e->watch.fd == fd)
			e->watch.fd = -1; /* the client closes numbers that it does not know */
		else if (e->fd == fd || e->epfd == fd)
			entry_drop(e);
	}
	unlock_all(signals);
}

static int entry_add(int epfd, int fd, const struct epoll_event *event)
{
	struct epoll_event real;
	struct map_watch watch;
	struct entry *e;
	uint32_t index;
	int err;

	if (entry_find(epfd, fd))
		return -EEXIST;
	err = watch_open(fd, &watch);
	if (!err) {
		err = entry_new(&index);
		if (err)
			watch_close(&watch);
	}
	if (err)
		return err;
	e = entries[index];
	*e = (struct entry){.epfd = epfd, .fd = fd, .watch = watch, .event = *event, .live = true};
	real = entry_real_event(e, index);
	store_relaxed(&entries_live, entries_live + 1);
	/* without an fd, epoll_wait() looks at the level: but is epfd what it should be? */
	if (watch.fd >= 0)
		err = REAL(epoll_ctl)(epfd, EPOLL_CTL_ADD, watch.fd, &real) ? -errno : 0;
	else
		err = watch.fd == -EMFILE || watch.fd == -ENOSPC || watch.fd == -ENOMEM ? 0
											: watch.fd;
	if (err)
		entry_drop(e);
	else
		entry_settle(e);
	return err;
}

static int entry_change(int epfd, int op, int fd, const struct epoll_event *event)
{
	struct entry *e = entry_find(epfd, fd);
	struct epoll_event real;
	int err = 0;

	if (!e)
		return -ENOENT;
	if (op == EPOLL_CTL_MOD) {
		e->event = *event;
		e->told = 0;
	}
	real = entry_real_event(e, entry_index(e));
	if (e->watch.fd >= 0)
		err = REAL(epoll_ctl)(epfd, op, e->watch.fd, &real) ? -errno : 0;
	if (op == EPOLL_CTL_DEL)
		entry_drop(e);
	else if (!err)
		entry_settle(e);
	return err;
}

/* epoll_ctl() of a map with events: 0 or -errno; -ENOTSUPP: it has none. */
int epoll_map(int epfd, int op, int fd, struct epoll_event *event)
{
	struct epoll_event copy = {0};
	int err, saved = errno;
	uint64_t signals;

	if (op != EPOLL_CTL_DEL) {
		if (uaccess_copy(&copy, event, sizeof(copy)))
			return -EFAULT;
	}
	pthread_once(&once, init);
	signals = lock_all();
	err = op == EPOLL_CTL_ADD			   ? entry_add(epfd, fd, &copy)
	      : op == EPOLL_CTL_MOD || op == EPOLL_CTL_DEL ? entry_change(epfd, op, fd, &copy)
							   : -EINVAL;
	unlock_all(signals);
	errno = saved;
	return err;
}

/* An event as the client is to see it; false: it is an old one. */
static bool translate(struct epoll_event *event)
{
	uint64_t index = event->data.u64 ^ entries_key;
	struct entry *e;
	uint64_t told;
	uint32_t level;

	if (index >= entries_end || !entries[index]->live)
		return index >= entries_end;
	e = entries[index];
	told = watch_position(&e->watch) + 1;
	level = entry_level(e);
	if (level) {
		/* The next edge is the next wake-up after this answer. */
		if (e->event.events & EPOLLET) {
			watch_arm(&e->watch);
			e->told = told;
		}
		*event = e->event;
		event->events = level;
		watch_taken(&e->watch);
		return true;
	}
	entry_settle(e);
	if (e->event.events & EPOLLONESHOT) { /* the old event has used it up */
		struct epoll_event real = entry_real_event(e, index);

		REAL(epoll_ctl)(e->epfd, EPOLL_CTL_MOD, e->watch.fd, &real);
	}
	return false;
}

/* Drops the old ones; how many are left. */
static int translate_all(struct epoll_event *events, int n)
{
	uint64_t signals;
	int kept = 0;

	signals = lock_all();
	for (int i = 0; i < n; i++)
		if (translate(&events[i]))
			events[kept++] = events[i];
	unlock_all(signals);
	return kept;
}

/* Entries without an fd: what is there, by looking. *blind: there are some. */
static int look(int epfd, struct epoll_event *events, int max, bool *blind)
{
	uint64_t signals;
	int n = 0;

	*blind = false;
	signals = lock_all();
	for (uint32_t i = 0; i < entries_end && n < max; i++) {
		struct entry *e = entries[i];
		uint32_t level;

		if (!e->live || e->epfd != epfd || e->watch.fd >= 0)
			continue;
		*blind = true;
		level = entry_level(e);
		if (level) {
			events[n] = e->event;
			events[n++].events = level;
			watch_taken(&e->watch);
		}
	}
	unlock_all(signals);
	return n;
}

/* Gives the wake-ups that they did not; false: there were none. */
static bool look_for_the_dead(void)
{
	uint64_t signals;
	bool due = false;

	signals = lock_all();
	for (uint32_t i = 0; i < entries_end; i++) {
		struct entry *e = entries[i];

		/* What lies there has been an edge already. */
		if (e->live && e->event.events & EPOLLET &&
		    e->told == watch_position(&e->watch) + 1)
			continue;
		if (e->live && watch_due(&e->watch)) {
			entry_ring(e);
			due = true;
		}
	}
	unlock_all(signals);
	return due;
}

static int wait_until(int epfd, struct epoll_event *events, int max, int64_t until,
		      const sigset_t *mask)
{
	bool last = false; /* look once more, and come back */

	for (;;) {
		bool blind;
		int n = look(epfd, events, max, &blind), more, ms;
		struct timespec left = clock_left(until, n	 ? 0
							 : blind ? BLIND_LOOK_MS
								 : WATCH_LOOK_MS);

		/* rounded up: never before the time */
		ms = (int)(left.tv_sec * 1000 + (left.tv_nsec + 999999) / 1000000);
		if (n == max)
			return n;
		more = REAL(epoll_pwait)(epfd, events + n, max - n, ms, mask);
		if (more < 0)
			return n ? n : more;
		if (more) {
			n += translate_all(events + n, more);
		} else if (!n) {
			bool due = !last && look_for_the_dead();

			if (clock_now() >= until) {
				if (!due)
					return 0;
				last = true;
			}
		}
		if (n)
			return n;
		/* An old event came first: with no time left, see what else there is. */
	}
}

/* A vfork child or an early caller has no entries of its own. */
static bool no_entries(void)
{
	return likely(!load_relaxed(&entries_live));
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int max, int ms, const sigset_t *mask)
{
	struct timespec timeout = {ms / 1000, ms % 1000 * 1000000L};

	if (no_entries() || max <= 0 || !events)
		return REAL(epoll_pwait)(epfd, events, max, ms, mask);
	return wait_until(epfd, events, max, clock_until(ms < 0 ? NULL : &timeout), mask);
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int max, int ms)
{
	return epoll_pwait(epfd, events, max, ms, NULL);
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int max,
			const struct timespec *timeout, const sigset_t *mask)
{
	if (no_entries() || max <= 0 || !events)
		return edge(raw_syscall6(SYS_epoll_pwait2, epfd, (long)events, max, (long)timeout,
					 (long)mask, _NSIG / 8));
	return wait_until(epfd, events, max, clock_until(timeout), mask);
}
