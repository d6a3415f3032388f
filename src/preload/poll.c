/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * poll(2), select(2) and epoll(7) on maps. Those with events (ring buffers) are waited for
 * by a map_watch; epoll.c has more of it. A map that has nothing to wait for answers
 * EPOLLERR at once, always. (Programs, BTF objects and links answer as any
 * file does, in the kernel and here; select(2) cannot tell the difference.)
 *
 * epoll takes no tmpfs file. A map's stand-in in an epoll set is a full pipe that
 * has no reader: EPOLLERR for ever, and nothing else. It lives until the map's
 * fd number is closed; being a file of its own, it then leaves its epoll sets.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "preload/preload.h"

#define STANDIN_FIRST 400 /* out of the way of what programs expect */

/* By map fd number: the stand-in's number plus one, 0: none. */
static uint32_t standins[FD_CLASSES];
static pid_t standins_owner; /* a vfork child has our memory and other fds */
static pthread_once_t standins_once = PTHREAD_ONCE_INIT;

static void standins_own(void)
{
	standins_owner = raw_getpid();
}

static void standins_init(void)
{
	standins_own();
	pthread_atfork(NULL, NULL, standins_own);
}

void standin_drop(int fd)
{
	uint32_t standin;

	poll_drop(fd);
	watches_forget(fd);
	if ((unsigned int)fd >= FD_CLASSES || !load_relaxed(&standins[fd]) ||
	    raw_getpid() != standins_owner)
		return;
	standin = exchange_seq_cst(&standins[fd], 0);
	if (standin)
		raw_syscall1(SYS_close, standin - 1);
}

/* The writing end of a pipe that is full and has no reader, or -errno. */
static int make_standin(void)
{
	static const char zeros[4096];
	int ends[2];
	long ret;

	ret = raw_syscall2(SYS_pipe2, ends, O_CLOEXEC | O_NONBLOCK);
	if (ret < 0)
		return ret;
	/* one page is enough; where it is refused, there is more to fill */
	raw_fcntl(ends[1], F_SETPIPE_SZ, sizeof(zeros));
	do {
		ret = raw_write(ends[1], zeros, sizeof(zeros));
	} while (ret > 0 || ret == -EINTR);
	raw_close(ends[0]);
	ret = raw_fcntl(ends[1], F_DUPFD_CLOEXEC, STANDIN_FIRST);
	if (ret < 0)
		return ends[1];
	raw_close(ends[1]);
	return ret;
}

static bool is_standin(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	struct timespec now = {0};

	return raw_ppoll(&p, 1, &now) == 1 && p.revents == POLLERR;
}

/* The stand-in of a map's fd: -ENOENT when there is none and !make. */
static int standin_of(int fd, bool make)
{
	uint32_t old;
	int standin;

	if (fd >= FD_CLASSES)
		return -EPERM;
	old = load_acquire(&standins[fd]);
	/* The client may have closed every fd that it does not know. */
	if (old && is_standin(old - 1))
		return old - 1;
	if (!make)
		return -ENOENT;
	pthread_once(&standins_once, standins_init);
	standin = make_standin();
	if (standin < 0)
		return standin;
	if (!cas_seq_cst(&standins[fd], &old, (uint32_t)standin + 1)) {
		raw_close(standin);
		return old ? (int)old - 1 : -EBADF;
	}
	return standin;
}

/* epoll.c */
int epoll_map(int epfd, int op, int fd, struct epoll_event *event);

EXPORT int epoll_ctl(int epfd, int op, int fd, struct epoll_event *event)
{
	int standin, err;

	if (likely(!fd_polls(fd)))
		return REAL(epoll_ctl)(epfd, op, fd, event);
	if (fd_has_events(fd)) {
		err = epoll_map(epfd, op, fd, event);
		return err ? fail(-err) : 0;
	}
	standin = standin_of(fd, op == EPOLL_CTL_ADD);
	if (standin < 0)
		return fail(-standin);
	return REAL(epoll_ctl)(epfd, op, standin, event);
}

int64_t clock_now(void)
{
	struct timespec now = {0};

	raw_clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_until(const struct timespec *timeout)
{
	int64_t now = clock_now();

	if (!timeout || timeout->tv_sec > INT32_MAX)
		return INT64_MAX;
	return now + (int64_t)timeout->tv_sec * 1000000000 + timeout->tv_nsec;
}

struct timespec clock_left(int64_t until, int64_t most_ms)
{
	int64_t left = until == INT64_MAX ? INT64_MAX : until - clock_now();
	struct timespec ts;

	if (left < 0)
		left = 0;
	if (left > most_ms * 1000000)
		left = most_ms * 1000000;
	ts.tv_sec = left / 1000000000;
	ts.tv_nsec = left % 1000000000;
	return ts;
}

/* Inlined: libc declares that poll(2) only writes to fds, and the compiler warns of a call. */
static inline __attribute__((always_inline)) unsigned int count_maps(const struct pollfd *fds,
								     nfds_t n)
{
	unsigned int maps = 0;

	for (nfds_t i = 0; i < n; i++)
		maps += fd_polls(fds[i].fd);
	return maps;
}

/*
 * A map in a poll set: its watch, kept for the next call. Two threads that wait
 * for one map by one watch would take each other's wake-ups: the second looks at the
 * level instead, each millisecond.
 */
#define WATCHES 64
static struct {
	struct map_watch watch;
	int fd;	       /* the map's number + 1, or 0 */
	uint32_t busy; /* some thread has it */
} watches[WATCHES];
static uint32_t watches_used;
static pid_t watches_owner;

#define SECOND_LOOK_MS 1

struct polled {
	struct map_watch watch;
	int slot; /* in watches, or -1: ours alone */
	bool alone;
};

/* The number is closed, or ours is. Busy ones are closed by who has them. */
static void watches_drop(int fd)
{
	for (int i = 0; i < WATCHES; i++) {
		uint32_t none = 0;

		if (load_relaxed(&watches[i].fd) != fd + 1 && watches[i].watch.fd != fd)
			continue;
		if (!cas_seq_cst(&watches[i].busy, &none, 1)) {
			store_relaxed(&watches[i].fd, -1);
			continue;
		}
		if (watches[i].watch.fd == fd)
			watches[i].watch.fd = -1;
		if (watches[i].fd)
			watch_close(&watches[i].watch);
		store_relaxed(&watches[i].fd, 0);
		store_release(&watches[i].busy, 0);
	}
}

void watches_forget(int fd)
{
	if (unlikely(load_relaxed(&watches_used)) && raw_getpid() == watches_owner)
		watches_drop(fd);
}

static int polled_begin(int fd, struct polled *p)
{
	int err, spare = -1;

	p->slot = -1;
	p->alone = true;
	for (int i = 0; i < WATCHES; i++) {
		uint32_t none = 0;
		int is = load_relaxed(&watches[i].fd);

		if (is == fd + 1 && raw_getpid() == watches_owner) {
			if (!cas_seq_cst(&watches[i].busy, &none, 1)) {
				p->alone = false;
				continue;
			}
			if (load_relaxed(&watches[i].fd) == fd + 1) {
				p->slot = i;
				p->watch = watches[i].watch;
				return 0;
			}
			store_release(&watches[i].busy, 0);
		} else if (!is && spare < 0) {
			spare = i;
		}
	}
	err = watch_open(fd, &p->watch);
	if (!err && p->alone && spare >= 0) {
		uint32_t none = 0;

		if (!load_relaxed(&watches_used)) {
			watches_owner = raw_getpid();
			store_release(&watches_used, 1);
		}
		if (raw_getpid() == watches_owner && cas_seq_cst(&watches[spare].busy, &none, 1)) {
			if (!load_relaxed(&watches[spare].fd)) {
				watches[spare].watch = p->watch;
				store_relaxed(&watches[spare].fd, fd + 1);
				p->slot = spare;
			} else {
				store_release(&watches[spare].busy, 0);
			}
		}
	}
	return err;
}

static void polled_end(struct polled *p)
{
	if (p->slot < 0) {
		watch_close(&p->watch);
	} else {
		if (load_relaxed(&watches[p->slot].fd) < 0) { /* dropped meanwhile */
			watch_close(&p->watch);
			store_relaxed(&watches[p->slot].fd, 0);
		}
		store_release(&watches[p->slot].busy, 0);
	}
}

/* What a poll set with maps in it becomes. */
struct poll_set {
	struct pollfd *fds;  /* the client's */
	struct pollfd *real; /* what is polled in their place */
	struct polled *maps; /* of the entries that are maps with events */
	int *map_of;	     /* index into maps, -1: no map, -2: a map without events */
	nfds_t n, map_cnt;
};

/* The maps' answers, after a wait or before one: how many entries are ready. */
static int poll_answers(struct poll_set *s, bool waited)
{
	int ready = 0;

	for (nfds_t i = 0; i < s->n; i++) {
		short revents = 0;

		if (s->map_of[i] == -1)
			revents = waited ? s->real[i].revents : 0;
		else if (s->map_of[i] == -2)
			revents = POLLERR;
		else
			revents = watch_level(&s->maps[s->map_of[i]].watch) &
				  (s->fds[i].events | POLLERR | POLLHUP);
		s->fds[i].revents = revents;
		ready += !!revents;
	}
	return ready;
}

static int poll_loop(struct poll_set *s, int64_t until, const sigset_t *mask)
{
	for (;;) {
		int64_t most = WATCH_LOOK_MS;
		struct timespec left;
		int ret;

		for (nfds_t i = 0; i < s->map_cnt; i++) {
			if (s->maps[i].alone && s->maps[i].watch.fd >= 0)
				watch_arm(&s->maps[i].watch);
			else
				most = SECOND_LOOK_MS;
		}
		if (poll_answers(s, false))
			most = 0;
		left = clock_left(until, most);
		ret = REAL(ppoll)(s->real, s->n, &left, mask);
		if (ret < 0)
			return ret;
		ret = poll_answers(s, true);
		if (ret || clock_now() >= until)
			return ret;
		/* watch_due() is for those who do not look at the level */
	}
}

static int poll_maps(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		     const sigset_t *mask)
{
	unsigned int maps = count_maps(fds, n);
	struct poll_set s = {.fds = fds, .n = n};
	int64_t until = clock_until(timeout);
	int ret = -1, error = ENOMEM;

	s.real = malloc(n * sizeof(*s.real));
	s.map_of = malloc(n * sizeof(*s.map_of));
	s.maps = malloc(maps * sizeof(*s.maps));
	if (!s.real || !s.map_of || !s.maps)
		goto out;
	memcpy(s.real, fds, n * sizeof(*fds));
	for (nfds_t i = 0; i < n; i++) {
		s.map_of[i] = -1;
		if (fds[i].fd < 0 || !fd_polls(fds[i].fd))
			continue;
		s.real[i].fd = -1;
		s.map_of[i] = -2;
		if (s.map_cnt < maps && fd_has_events(fds[i].fd) &&
		    !polled_begin(fds[i].fd, &s.maps[s.map_cnt])) {
			s.real[i].fd = s.maps[s.map_cnt].watch.fd;
			s.real[i].events = POLLIN;
			s.map_of[i] = s.map_cnt++;
		}
	}
	ret = poll_loop(&s, until, mask);
	error = errno;
	for (nfds_t i = 0; ret > 0 && i < n; i++)
		if (s.map_of[i] >= 0 && fds[i].revents)
			watch_taken(&s.maps[s.map_of[i]].watch);
	for (nfds_t i = 0; i < s.map_cnt; i++)
		polled_end(&s.maps[i]);
out:
	free(s.real);
	free(s.map_of);
	free(s.maps);
	if (ret < 0)
		errno = error;
	return ret;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int ms)
{
	struct timespec timeout = {ms / 1000, ms % 1000 * 1000000L};

	if (unlikely(count_maps(fds, n)))
		return poll_maps(fds, n, ms < 0 ? NULL : &timeout, NULL);
	return REAL(poll)(fds, n, ms);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	if (unlikely(count_maps(fds, n)))
		return poll_maps(fds, n, timeout, mask);
	return REAL(ppoll)(fds, n, timeout, mask);
}

/* Is there a map with events in one of the sets? */
static bool select_has_events(int n, const fd_set *r, const fd_set *w, const fd_set *e)
{
	const fd_set *sets[] = {r, w, e};

	for (unsigned int s = 0; s < ARRAY_SIZE(sets); s++)
		for (int fd = 0; sets[s] && fd < n && fd < FD_SETSIZE; fd++) {
			if (!(fd % NFDBITS) && !sets[s]->fds_bits[fd / NFDBITS]) {
				fd += NFDBITS - 1;
				continue;
			}
			if (FD_ISSET(fd, sets[s]) && fd_polls(fd) && fd_has_events(fd))
				return true;
		}
	return false;
}

/* As ppoll(), of the events that the kernel's select(2) looks for. */
static int select_maps(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout,
		       const sigset_t *mask)
{
	struct pollfd fds[FD_SETSIZE] = {{0}};
	int cnt = 0, bits = 0, ret;

	for (int fd = 0; fd < n && fd < FD_SETSIZE; fd++) {
		short events = (r && FD_ISSET(fd, r) ? POLLIN : 0) |
			       (w && FD_ISSET(fd, w) ? POLLOUT : 0) |
			       (e && FD_ISSET(fd, e) ? POLLPRI : 0);

		if (events)
			fds[cnt++] = (struct pollfd){.fd = fd, .events = events};
	}
	ret = poll_maps(fds, cnt, timeout, mask);
	if (ret < 0)
		return ret;
	for (int i = 0; i < cnt; i++)
		if (fds[i].revents & POLLNVAL)
			return fail(EBADF);
	for (int i = 0; i < cnt; i++) {
		int fd = fds[i].fd;
		short is = fds[i].revents;

		if (r && FD_ISSET(fd, r)) {
			if (is & (POLLIN | POLLHUP | POLLERR))
				bits++;
			else
				FD_CLR(fd, r);
		}
		if (w && FD_ISSET(fd, w)) {
			if (is & (POLLOUT | POLLERR))
				bits++;
			else
				FD_CLR(fd, w);
		}
		if (e && FD_ISSET(fd, e)) {
			if (is & POLLPRI)
				bits++;
			else
				FD_CLR(fd, e);
		}
	}
	return bits;
}

EXPORT int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *timeout)
{
	struct timespec ts;
	int64_t until;
	int ret;

	if (likely(!select_has_events(n, r, w, e)))
		return REAL(select)(n, r, w, e, timeout);
	if (!timeout)
		return select_maps(n, r, w, e, NULL, NULL);
	if (timeout->tv_sec < 0 || timeout->tv_usec < 0)
		return fail(EINVAL);
	ts.tv_sec = timeout->tv_sec + timeout->tv_usec / 1000000;
	ts.tv_nsec = timeout->tv_usec % 1000000 * 1000;
	until = clock_until(&ts);
	ret = select_maps(n, r, w, e, &ts, NULL);
	/* as Linux does: what was left */
	ts = clock_left(until, INT32_MAX);
	timeout->tv_sec = ts.tv_sec;
	timeout->tv_usec = ts.tv_nsec / 1000;
	return ret;
}

EXPORT int pselect(int n, fd_set *r, fd_set *w, fd_set *e, const struct timespec *timeout,
		   const sigset_t *mask)
{
	if (likely(!select_has_events(n, r, w, e)))
		return REAL(pselect)(n, r, w, e, timeout, mask);
	return select_maps(n, r, w, e, timeout, mask);
}

/* The checked variants have checked the array's size at compile time, or abort. */
void __chk_fail(void) __attribute__((noreturn));

EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int ms, size_t size)
{
	if (size / sizeof(*fds) < n)
		__chk_fail();
	return poll(fds, n, ms);
}

EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout,
		       const sigset_t *mask, size_t size)
{
	if (size / sizeof(*fds) < n)
		__chk_fail();
	return ppoll(fds, n, timeout, mask);
}

EXPORT int __poll(struct pollfd *fds, nfds_t n, int ms) __attribute__((alias("poll")));
