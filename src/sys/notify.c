/* SPDX-License-Identifier: BSD-2-Clause */
#include "sys/notify.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "base/uaccess.h"
#include "map/notice.h"
#include "shmap.h"
#include "sync/lease.h"
#include "sys/fd.h"
#include "sys/rawstore.h"
#include "sys/sys.h"

#define SUBS_MAX 1024
#define BURST 64	   /* events for one listener before it is the next one's turn */
#define LOOK_NS 500000000L /* for the dead, and for bells that nobody rang */
#define RAW_SHARE 8	   /* no more of the time than one part in so many is spent on looking */

/* A map that somebody here listens to. */
struct watched {
	struct map *map;
	struct raw_watch raw;
	uint64_t leases;
	unsigned int subs;
	int wd; /* in the thread's inotify */
	struct watched *next;
};

struct sub {
	int handle; /* or the fd */
	bool by_fd, removed;
	struct watched *w;
	void (*handler)(void *event);
	void *ctx;
	uint64_t next;		   /* notice that it sees next */
	uint64_t told;		   /* notice at the last look for a bell that nobody rang */
	uint8_t *key, *value;	   /* of the filter: NULL: all keys; what the value was */
	bool there;		   /* the key's element */
	struct notice_event event; /* the key that the client sees */
};

/* Everything below: under the lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_once_t fork_once = PTHREAD_ONCE_INIT;
static struct sub *subs[SUBS_MAX];
static unsigned int subs_end;
static struct watched *all;
static struct sub *running; /* its handler is */
static bool started, failed;
static pthread_t server;
static uint64_t server_name; /* of its record */
static int bell = -1, kick = -1;
static int last_handle;

/* ---- events ---- */

static bool value_changed(struct sub *s)
{
	struct map *m = s->w->map;
	const uint32_t size = map_user_value_size(m);
	uint8_t *now = malloc(size ? size : 1);
	bool there, differs;

	if (!now)
		return true;
	memset(now, 0, size);
	there = m->ops->read && !m->ops->read(m, s->key, now, 0);
	differs = there != s->there || (there && memcmp(now, s->value, size));
	s->there = there;
	memcpy(s->value, now, size);
	free(now);
	return differs;
}

/* An update of another key: has this one given way to it? Then that is what happened. */
static bool evicted(struct sub *s, struct notice_event *e)
{
	if (e->kind != MAP_CHANGE_UPDATE || !value_changed(s))
		return false;
	e->kind = s->there ? MAP_CHANGE_MANY : MAP_CHANGE_DELETE;
	e->key_len = 0;
	return true;
}

/* What the event says of the key that is asked for. */
static bool concerns(struct sub *s, struct notice_event *e)
{
	struct map *m = s->w->map;

	if (!s->key)
		return true;
	if (e->key_len) {
		if (m->ops->same_key ? !m->ops->same_key(m, e->key, s->key)
				     : memcmp(e->key, s->key, m->attr.key_size))
			return m->ops->evicts && evicted(s, e);
		value_changed(s);
		return true;
	}
	return value_changed(s);
}

/* The next event for s; false: there is none now. */
static bool next_event(struct sub *s, struct shmap_event *out)
{
	struct map *m = s->w->map;
	struct notice_event *e = &s->event;

	while (notice_next(m, &s->next, e)) {
		if (!concerns(s, e))
			continue;
		*out = (struct shmap_event){
			.map_id = m->obj.id,
			.kind = e->kind,
			.key = e->key_len ? e->key : s->key,
			.key_size = e->key_len || s->key ? m->attr.key_size : 0,
			.offset = e->offset,
			.length = e->length,
			.changes = e->changes,
			.ctx = s->ctx,
		};
		return true;
	}
	return false;
}

/* ---- the thread ---- */

static void sub_free(struct sub *s)
{
	free(s->key);
	free(s->value);
	free(s);
}

/* Runs s's handler for what there is. True: there is more. */
static bool serve(struct sub *s)
{
	struct shmap_event e;

	for (unsigned int n = 0; n < BURST; n++) {
		if (s->removed || !next_event(s, &e))
			return false;
		running = s;
		pthread_mutex_unlock(&lock);
		s->handler(&e);
		pthread_mutex_lock(&lock);
		running = NULL;
		pthread_cond_broadcast(&changed);
	}
	return true;
}

static bool serve_all(void)
{
	bool more = false;

	for (unsigned int i = 0; i < subs_end; i++) {
		struct sub *s = subs[i];

		if (!s || s->by_fd)
			continue;
		more |= serve(s);
		if (s->removed) {
			subs[i] = NULL;
			sub_free(s);
		}
	}
	return more;
}

/* Looks where nobody calls. The time until the next look. */
static uint64_t look_all(bool long_ago)
{
	uint64_t wait = LOOK_NS;

	for (struct watched *w = all; w; w = w->next) {
		if (w->map->ops->raw_stores && raw_watch_any(&w->raw)) {
			raw_watch_look(&w->raw, false);
			if (wait > RAW_PERIOD_NS)
				wait = RAW_PERIOD_NS;
			if (wait < w->raw.took_ns * RAW_SHARE)
				wait = w->raw.took_ns * RAW_SHARE;
		}
		if (long_ago)
			notice_deaths(w->map, &w->leases);
	}
	for (unsigned int i = 0; long_ago && i < subs_end; i++) {
		struct sub *s = subs[i];

		/* Who should have rung died before he did. */
		if (s && s->by_fd && s->told == s->next && notice_pending(s->w->map, s->next))
			notice_ring(s->w->map);
		if (s)
			s->told = s->next;
	}
	return wait < LOOK_NS ? wait : LOOK_NS;
}

/* True: something came meanwhile. */
static bool arm_all(void)
{
	bool pending = false;

	for (struct watched *w = all; w; w = w->next)
		notice_arm(w->map);
	for (unsigned int i = 0; i < subs_end; i++)
		if (subs[i] && !subs[i]->by_fd && !subs[i]->removed)
			pending |= notice_pending(subs[i]->w->map, subs[i]->next);
	return pending;
}

static void hush(int fd)
{
	uint8_t events[512];

	while (raw_read(fd, events, sizeof(events)) > 0)
		;
}

/* The program may have closed every fd that it does not know, and given the number to a file of
 * its own: that is not ours to read, write or close. */
static bool still_ours(int fd, const char *what)
{
	char path[48], text[32];
	ssize_t n;

	if (fd < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	n = raw_readlinkat(AT_FDCWD, path, text, sizeof(text));
	/* without /proc it has to be believed */
	return (n == (ssize_t)strlen(what) && !memcmp(text, what, (size_t)n)) ||
	       (n == -ENOENT && raw_fcntl(fd, F_GETFD, 0) >= 0);
}

#define BELL "anon_inode:inotify"
#define KICK "anon_inode:[eventfd]"

static uint64_t now_ns(void)
{
	struct timespec ts = {0};

	raw_clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static void *serve_thread(void *arg)
{
	uint64_t looked = 0, now, wait;
	struct timespec ts;
	bool more;

	prctl(PR_SET_TIMERSLACK, 1000UL, 0, 0, 0);
	prctl(PR_SET_NAME, "shmap-notify", 0, 0, 0);
	pthread_mutex_lock(&lock);
	failed = writer_take() < 0;
	server_name = failed ? 0 : writer_name(thread_self.writer);
	started = !failed;
	pthread_cond_broadcast(&changed);
	while (!failed) {
		struct pollfd fds[2] = {{bell, POLLIN, 0}, {kick, POLLIN, 0}};

		more = serve_all();
		now = now_ns();
		wait = look_all(now - looked >= LOOK_NS);
		if (now - looked >= LOOK_NS) {
			looked = now;
			bell = still_ours(bell, BELL) ? bell : -1;
			kick = still_ours(kick, KICK) ? kick : -1;
		}
		if (arm_all() || more)
			continue;
		pthread_mutex_unlock(&lock);
		/* nobody can call us: then we look */
		if ((fds[0].fd < 0 || fds[1].fd < 0) && wait > RAW_PERIOD_NS)
			wait = RAW_PERIOD_NS;
		ts = (struct timespec){.tv_nsec = (long)wait};
		raw_ppoll(fds, 2, &ts);
		pthread_mutex_lock(&lock);
		if (fds[0].revents && still_ours(bell, BELL))
			hush(bell);
		else if (fds[0].revents)
			bell = -1;
		if (fds[1].revents && still_ours(kick, KICK))
			hush(kick);
		else if (fds[1].revents)
			kick = -1;
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void before_fork(void)
{
	pthread_mutex_lock(&lock);
}

static void after_fork_parent(void)
{
	pthread_mutex_unlock(&lock);
}

static void after_fork_child(void)
{
	/* Not freed: another thread may have been using them. */
	memset(subs, 0, sizeof(subs));
	subs_end = 0;
	all = NULL;
	running = NULL;
	if (started && still_ours(bell, BELL))
		raw_close(bell);
	if (started && still_ours(kick, KICK))
		raw_close(kick);
	bell = kick = -1;
	started = failed = false;
	pthread_cond_init(&changed, NULL);
	pthread_mutex_unlock(&lock);
}

static void fork_register(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

static int high_fd(int fd)
{
	int high = fd < 0 ? fd : raw_fcntl(fd, F_DUPFD_CLOEXEC, 400);

	if (fd < 0 || high < 0)
		return fd;
	raw_close(fd);
	return high;
}

static int start(void)
{
	static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
	sigset_t every, was;
	pthread_attr_t attr;
	int err;

	if (started)
		return 0;
	fd_inside_begin();
	bell = high_fd((int)raw_syscall1(SYS_inotify_init1, IN_NONBLOCK | IN_CLOEXEC));
	kick = high_fd((int)raw_syscall2(SYS_eventfd2, 0, EFD_NONBLOCK | EFD_CLOEXEC));
	fd_inside_end();
	err = bell < 0 ? bell : kick < 0 ? kick : 0;
	/* Signals are the program's threads', but for those of this one's own instructions: bad
	 * pointers are found by SIGSEGV and SIGBUS (base/uaccess.h). */
	sigfillset(&every);
	for (unsigned int i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(&every, faults[i]);
	pthread_sigmask(SIG_SETMASK, &every, &was);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	failed = false;
	if (!err)
		err = -pthread_create(&server, &attr, serve_thread, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &was, NULL);
	while (!err && !started && !failed)
		pthread_cond_wait(&changed, &lock);
	if (!err && failed)
		err = -ENOMEM;
	if (err) {
		if (bell >= 0)
			raw_close(bell);
		if (kick >= 0)
			raw_close(kick);
		bell = kick = -1;
	}
	return err;
}

/* ---- listening and not any more ---- */

static int watch_map(int fd, struct map *m, struct watched **out)
{
	struct watched *w;
	uint64_t next;
	int err;

	for (w = all; w; w = w->next)
		if (w->map->obj.dev == m->obj.dev && w->map->obj.ino == m->obj.ino) {
			*out = w;
			return 0;
		}
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->map = m;
	raw_watch_begin(&w->raw, m);
	if (!still_ours(bell, BELL))
		bell = -1;
	fd_inside_begin();
	w->wd = bell < 0 ? -1 : watch_file(bell, fd);
	fd_inside_end();
	err = bell >= 0 && w->wd < 0 ? w->wd : notice_listen(m, server_name, &next);
	if (err) {
		if (w->wd >= 0)
			raw_syscall2(SYS_inotify_rm_watch, bell, w->wd);
		free(w);
		return err;
	}
	map_get(m);
	w->leases = lease_deaths();
	w->next = all;
	all = w;
	*out = w;
	return 0;
}

static void unwatch(struct watched *w)
{
	struct watched **p = &all;

	if (--w->subs)
		return;
	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	notice_unlisten(w->map, server_name);
	if (w->wd >= 0 && still_ours(bell, BELL))
		raw_syscall2(SYS_inotify_rm_watch, bell, w->wd);
	raw_watch_end(&w->raw);
	map_put(w->map);
	free(w);
}

/* Stores from before are noted, so that what is noted from here on came later. */
static void settle(struct watched *w)
{
	for (unsigned int i = 0; w->map->ops->raw_stores && i < 1000; i++) {
		if (raw_watch_look(&w->raw, true))
			return;
		raw_sched_yield();
	}
}

static int set_filter(struct sub *s, const void *user_key)
{
	struct map *m = s->w->map;

	if (!user_key)
		return 0;
	if (!m->attr.key_size || !m->ops->read)
		return -EINVAL;
	s->key = calloc(1, round_up_u64(m->attr.key_size, 8));
	s->value = calloc(1, round_up_u64(map_user_value_size(m), 8) + 8);
	if (!s->key || !s->value)
		return -ENOMEM;
	if (uaccess_copy(s->key, user_key, m->attr.key_size))
		return -EFAULT;
	value_changed(s);
	return 0;
}

/* Under the lock; a slot of subs. */
static int subscribe(int fd, struct map *m, void (*handler)(void *),
		     const struct shmap_notify_opts *o, struct sub **out)
{
	struct watched *w;
	struct sub *s;
	unsigned int i;
	int err;

	for (i = 0; i < SUBS_MAX && subs[i]; i++)
		;
	if (i == SUBS_MAX)
		return -ENOSPC;
	err = writer_take();
	if (!err)
		err = start();
	if (!err)
		err = watch_map(fd, m, &w);
	if (err)
		return err;
	w->subs++;
	settle(w);
	s = calloc(1, sizeof(*s));
	err = s ? 0 : -ENOMEM;
	if (!err) {
		s->w = w;
		s->handler = handler;
		s->by_fd = !handler;
		s->ctx = o ? o->ctx : NULL;
		s->next = s->told = load_seq_cst(&notice_of(m)->head);
		err = set_filter(s, o ? o->key : NULL);
	}
	if (err) {
		if (s)
			sub_free(s);
		unwatch(w);
		return err;
	}
	subs[i] = s;
	if (i >= subs_end)
		subs_end = i + 1;
	*out = s;
	return 0;
}

static int begin(int fd, const struct shmap_notify_opts *opts, struct shmap_notify_opts *o,
		 struct map **m)
{
	struct fd_op op;
	int err;

	*o = (struct shmap_notify_opts){0};
	if (opts) {
		err = uaccess_copy(&o->sz, &opts->sz, sizeof(o->sz));
		if (!err && o->sz != sizeof(*o))
			err = -EINVAL;
		if (!err)
			err = uaccess_copy(o, opts, sizeof(*o));
		if (err)
			return err;
	}
	err = fd_begin(fd, &op);
	if (err)
		return err;
	*m = op.ref->map;
	if (op.ref->access & FD_WRITE && op.ref->access & FD_READ && (*m)->writable)
		map_get(*m);
	else
		err = -EPERM;
	fd_end(&op);
	pthread_once(&fork_once, fork_register);
	return err;
}

static void wake_server(void)
{
	uint64_t one = 1;

	if (still_ours(kick, KICK))
		raw_write(kick, &one, sizeof(one));
}

long sys_notify_add(int fd, void (*handler)(void *), const struct shmap_notify_opts *opts)
{
	struct shmap_notify_opts o;
	struct sub *s;
	struct map *m;
	long ret;

	if (!handler)
		return -EINVAL;
	ret = begin(fd, opts, &o, &m);
	if (ret)
		return ret;
	pthread_mutex_lock(&lock);
	ret = subscribe(fd, m, handler, &o, &s);
	if (!ret) {
		ret = s->handle = ++last_handle;
		wake_server();
	}
	pthread_mutex_unlock(&lock);
	map_put(m);
	return ret;
}

static struct sub *find(bool by_fd, int handle, unsigned int *at)
{
	for (unsigned int i = 0; i < subs_end; i++)
		if (subs[i] && !subs[i]->removed && subs[i]->by_fd == by_fd &&
		    subs[i]->handle == handle) {
			*at = i;
			return subs[i];
		}
	return NULL;
}

long sys_notify_remove(int handle)
{
	unsigned int at;
	struct sub *s;

	pthread_mutex_lock(&lock);
	s = find(false, handle, &at);
	if (!s) {
		pthread_mutex_unlock(&lock);
		return -ENOENT;
	}
	s->removed = true;
	unwatch(s->w);
	if (running != s) {
		subs[at] = NULL;
		sub_free(s);
	} else if (!pthread_equal(pthread_self(), server)) {
		/* The thread frees it when the handler has returned: from then on the
		 * place, and the address, may be another's. */
		while (running == s)
			pthread_cond_wait(&changed, &lock);
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

long sys_notify_fd(int fd, const struct shmap_notify_opts *opts)
{
	struct shmap_notify_opts o;
	struct sub *s;
	struct map *m;
	long ret;
	int nfd;

	ret = begin(fd, opts, &o, &m);
	if (ret)
		return ret;
	fd_inside_begin();
	nfd = watch_make(fd);
	fd_inside_end();
	if (nfd < 0) {
		map_put(m);
		return nfd;
	}
	pthread_mutex_lock(&lock);
	ret = subscribe(fd, m, NULL, &o, &s);
	if (!ret) {
		s->handle = nfd;
		ret = nfd;
		notice_arm(m);
		if (notice_pending(m, s->next))
			notice_ring(m);
		wake_server();
	} else {
		raw_close(nfd);
	}
	pthread_mutex_unlock(&lock);
	map_put(m);
	return ret;
}

long sys_notify_read(int nfd, struct shmap_event *event, size_t size)
{
	struct shmap_event e = {0};
	unsigned int at;
	struct sub *s;
	long ret = 1;

	if (size != sizeof(e))
		return -EINVAL;
	pthread_mutex_lock(&lock);
	s = find(true, nfd, &at);
	if (!s) {
		pthread_mutex_unlock(&lock);
		return -EBADF;
	}
	if (!next_event(s, &e)) {
		/* Quiet first, then armed, then one more look: what comes later rings. */
		hush(nfd);
		notice_arm(s->w->map);
		ret = next_event(s, &e);
		if (ret)
			notice_ring(s->w->map); /* there may be more */
	}
	pthread_mutex_unlock(&lock);
	return ret && uaccess_copy(event, &e, sizeof(e)) ? -EFAULT : ret;
}

long sys_notify_close(int nfd)
{
	unsigned int at;
	struct sub *s;

	pthread_mutex_lock(&lock);
	s = find(true, nfd, &at);
	if (s) {
		subs[at] = NULL;
		unwatch(s->w);
		sub_free(s);
		raw_close(nfd);
	}
	pthread_mutex_unlock(&lock);
	return s ? 0 : -EBADF;
}
