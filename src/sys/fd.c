/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fd table.
 *
 * Claim: an operation that starts after an fd number got its present meaning
 * never reaches the map of an earlier meaning, whatever other threads do with
 * that number meanwhile.
 *
 * An fd number loses its meaning in a call that goes
 *	fd_forget(n)   close(n) or dup2(..., n)   fd_collect()
 * and gets into the table by fd_begin_slow(), which looks at the fd (fstat)
 * and stores what it saw. The danger is a thread that looks before the close
 * and stores after it. So
 *  - fd_forget() replaces the word by CLOSING with a new generation; nothing
 *    is stored over CLOSING, and operations meanwhile look at the fd each
 *    time (right, and slow). fd_collect() makes it UNKNOWN again, with that
 *    generation. CLOSING counts, as several threads may close one number.
 *  - a filler first puts FILLING with a new generation in the place of
 *    UNKNOWN, then looks, then replaces exactly that word by what it saw. A
 *    fd_forget() in between makes the replacement fail.
 *  - where there is no leaf yet, or for a range of numbers, fd_forget() counts
 *    up fd_closing instead, and a filler that sees it after it has put FILLING
 *    gives up. Either the filler sees fd_closing, or the forgetter sees
 *    FILLING and replaces it (store, fence, load on both sides).
 *
 * Fds that shmap opens for itself are closed without fd_forget(). A filler must
 * not remember one: it compares the number of sections begun (fd_inside_begin)
 * before and after its look, and gives up when it has changed or when one is
 * under way. A section begins before its fds are opened, so a look that saw
 * one of them is after the beginning, which the filler then sees.
 *
 * Files: two fds of one file share one struct map (struct open_map). A word
 * holds a reference to it, as does an operation on an fd that is not in the
 * table. Retired words' references are dropped when no operation may use them
 * any more (op.h), by a later fd_collect() or command at the latest.
 *
 * A signal handler may be the first to use a number, or close the last one of
 * a map, while its thread is inside malloc(3): nothing here calls that.
 */
#include "sys/fd.h"

#include <pthread.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <stdio.h>

#include "base/pool.h"
#include "base/rawsys.h"
#include "map/storage.h"
#include "shm/object.h"
#include "sys/prog_cache.h"
#include "sys/sys.h"

/* State words: generation << 16 | count << 4 | state << 2 | FD_TAG_STATE */
enum { UNKNOWN, FILLING, CLOSING };
#define STATE(word) ((word) >> 2 & 3)
#define STATE_COUNT(word) ((word) >> 4 & 0xfff)
#define STATE_COUNT_MAX 0xfffU

#define WORD_KIND(word) ((word) >> 4 & 0xf)
#define WORD_ID(word) ((uint32_t)((word) >> 8))

static uint64_t state_word(unsigned int state, unsigned int count, uint64_t generation)
{
	return generation << 16 | count << 4 | state << 2 | FD_TAG_STATE;
}

uint64_t *fd_leaves[FD_LEAVES];

static uint64_t generation; /* of state words: one number for the process */
static uint32_t fd_closing; /* forgets under way that left no word behind */
static uint32_t inside;	    /* sections under way: see fd_inside_begin() */
static uint64_t inside_begun;
static __thread uint32_t inside_own __attribute__((tls_model("initial-exec")));
static pid_t owner_pid; /* a vfork child has our memory and other fds */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A file that this process has open. */
struct open_map {
	struct open_map *next;
	struct map *map; /* one reference */
	uint32_t users;	 /* fd_refs */
};

static struct pool open_pool = POOL_OF(struct open_map);
static struct pool ref_pool = POOL_OF(struct fd_ref);

static struct open_map *open_maps;
static pthread_mutex_t open_lock = PTHREAD_MUTEX_INITIALIZER;
/* This thread holds open_lock: a signal handler on top of it keeps away. */
static __thread bool open_locked __attribute__((tls_model("initial-exec")));

static struct fd_ref *retired_new; /* not yet stamped */
static struct fd_ref *retired;	   /* stamped */
static struct fd_ref *dead;	   /* let go of; memory to be freed */

/* What this thread has forgotten and not yet collected: a stack, as a signal
 * handler's close(2) may come between the two calls of another one. */
#define PENDING_MAX 8
struct pending {
	enum { PENDING_NONE, PENDING_WORD, PENDING_COUNT } mark;
	int fd;
	bool all;
	uint32_t kind, id; /* an object to collect; id 0: none */
};
static __thread struct {
	unsigned int depth;
	struct pending stack[PENDING_MAX];
} pending __attribute__((tls_model("initial-exec")));

static void list_push(struct fd_ref **head, struct fd_ref *first, struct fd_ref *last)
{
	struct fd_ref *old = load_relaxed(head);

	/* Only whole lists are taken off (list_take), so there is no ABA. */
	do {
		last->next = old;
	} while (!cas_seq_cst(head, &old, first));
}

static struct fd_ref *list_take(struct fd_ref **head)
{
	return load_relaxed(head) ? exchange_seq_cst(head, NULL) : NULL;
}

void fd_inside_begin(void)
{
	inside_own++;
	fetch_add_seq_cst(&inside, 1);
	fetch_add_seq_cst(&inside_begun, 1);
}

void fd_inside_end(void)
{
	fetch_add_seq_cst(&inside, (uint32_t)-1);
	inside_own--;
}

/* ---- open files ---- */

static bool open_acquire(void)
{
	if (open_locked)
		return false;
	open_locked = true;
	fence_compiler();
	pthread_mutex_lock(&open_lock);
	return true;
}

static void open_release(void)
{
	pthread_mutex_unlock(&open_lock);
	fence_compiler();
	open_locked = false;
}

static struct open_map *open_find(dev_t dev, ino_t ino, bool write)
{
	struct open_map *o;

	for (o = open_maps; o; o = o->next)
		if (o->map->obj.ino == ino && o->map->obj.dev == dev &&
		    (o->map->writable || !write))
			return o;
	return NULL;
}

/* A user of the file: the open one, or (m) a new one that takes over m's reference. */
static int open_join(dev_t dev, ino_t ino, bool write, struct map *m, struct open_map **out)
{
	struct open_map *o, *fresh = NULL;

	*out = NULL;
	if (m) {
		fresh = pool_alloc(&open_pool);
		if (!fresh)
			return -ENOMEM;
	}
	if (!open_acquire()) {
		pool_free(&open_pool, fresh);
		return -EBUSY;
	}
	o = open_find(dev, ino, write);
	if (!o && m) {
		*fresh = (struct open_map){.next = open_maps, .map = m};
		open_maps = o = fresh;
	}
	if (o)
		o->users++;
	open_release();
	if (fresh && o != fresh) {
		pool_free(&open_pool, fresh);
		map_put(m);
	}
	*out = o;
	return 0;
}

/*
 * One user less; true when it was the last one and o is the caller's. Lets go
 * of the file, so that the object can be collected, but frees no memory: a
 * signal handler's close(2) comes here, perhaps on top of malloc(). The
 * caller does not hold open_lock (see open_locked).
 */
static bool open_leave(struct open_map *o)
{
	struct map *m = o->map;
	struct open_map **p;
	bool last;

	open_acquire();
	last = !--o->users;
	for (p = &open_maps; last && *p; p = &(*p)->next) {
		if (*p == o) {
			*p = o->next;
			break;
		}
	}
	open_release();
	if (!last)
		return false;
	/* Ours is the only reference, or a program uses the map and unmaps it. A
	 * new one would be made by an operation, and none is under way. */
	if (load_seq_cst(&m->refs) == 1)
		map_unmap(m);
	fd_inside_begin();
	object_collect(m->obj.kind, m->obj.id);
	fd_inside_end();
	return true;
}

static void open_free(struct open_map *o)
{
	map_put(o->map);
	pool_free(&open_pool, o);
}

/* ---- references ---- */

static struct fd_ref *ref_new(struct open_map *o, uint32_t access)
{
	struct map *m = o->map;
	struct fd_ref *r = pool_alloc(&ref_pool);

	if (!r)
		return NULL;
	*r = (struct fd_ref){
		.map = m,
		.quick = m->quick,
		.read = m->ops->read,
		.write = m->ops->write,
		.shared = m->shared,
		.key_size = m->attr.key_size,
		.value_size = map_user_value_size(m),
		.access = access,
		.has_lock = m->attr.spin_lock_off >= 0,
		.special = map_has_timers(&m->attr),
		.open = o,
	};
	/* The quick ways know nothing of fields that are not copied. */
	if (r->special)
		memset(&r->quick, 0, sizeof(r->quick));
	/* Whoever has an fd for writing has the map mapped so: open_find(). */
	if (!(access & FD_READ))
		r->quick.read = NULL, r->quick.next_key = NULL;
	if (!(access & FD_WRITE) || !m->writable)
		r->quick.write = NULL, r->quick.erase = NULL;
	return r;
}

/* No operation uses r any more. Its memory waits for a call that may free. */
static void ref_drop(struct fd_ref *r)
{
	if (r->map->ops->fd_closed)
		r->map->ops->fd_closed(r->map);
	if (!open_leave(r->open))
		r->open = NULL;
	list_push(&dead, r, r);
}

/* Where memory may be freed: in bpf(2), not in close(2). */
static void free_dead(void)
{
	struct fd_ref *r, *next;

	for (r = list_take(&dead); r; r = next) {
		next = r->next;
		if (r->open)
			open_free(r->open);
		pool_free(&ref_pool, r);
	}
}

/* Drops what no operation can use any more; async-signal-safe. */
void fd_reclaim(void)
{
	struct fd_ref *r, *next, *keep = NULL, *keep_last = NULL;

	if (!load_relaxed(&retired_new) && !load_relaxed(&retired))
		return;
	/* Only a signal handler finds it locked by its own thread. */
	if (open_locked)
		return;
	r = list_take(&retired_new);
	if (r) {
		struct fd_ref *last = r;
		bool barrier = op_barrier();
		uint64_t stamp = barrier ? op_stamp() : 0;

		for (;; last = last->next) {
			last->stamp = stamp;
			if (!last->next)
				break;
		}
		/* no barrier: another time, when this thread may be alone */
		list_push(barrier ? &retired : &retired_new, r, last);
	}
	for (r = list_take(&retired); r; r = next) {
		next = r->next;
		if (op_elapsed(r->stamp)) {
			ref_drop(r);
			continue;
		}
		r->next = keep;
		keep = r;
		if (!keep_last)
			keep_last = r;
	}
	if (keep)
		list_push(&retired, keep, keep_last);
}

/* ---- the table ---- */

static uint64_t *leaf_of(int fd)
{
	return load_acquire(&fd_leaves[(uint32_t)fd >> FD_LEAF_BITS]);
}

static bool fd_in_table(int fd)
{
	return (uint32_t)fd < FD_LEAVES << FD_LEAF_BITS;
}

/* The word of fd, its leaf made when missing; NULL: not in the table. */
static uint64_t *word_make(int fd)
{
	uint64_t *leaf, *none = NULL;

	if (!fd_in_table(fd))
		return NULL;
	leaf = leaf_of(fd);
	if (!leaf) {
		leaf = raw_mmap(NULL, FD_LEAF_SIZE * sizeof(*leaf), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (raw_is_error(leaf))
			return NULL;
		if (!cas_seq_cst(&fd_leaves[(uint32_t)fd >> FD_LEAF_BITS], &none, leaf)) {
			raw_munmap(leaf, FD_LEAF_SIZE * sizeof(*leaf));
			leaf = none;
		}
	}
	return &leaf[(uint32_t)fd & (FD_LEAF_SIZE - 1)];
}

static uint64_t next_generation(void)
{
	return fetch_add_relaxed(&generation, 1) + 1;
}

/* Notes what the word said, which is gone from the table now. */
static void word_dropped(uint64_t w, struct pending *p)
{
	if (!w || w & FD_TAG_STATE)
		return;
	if (w & FD_TAG_OBJECT) {
		if (p->id)
			p->all = true; /* more than one: a range */
		p->kind = WORD_KIND(w);
		p->id = WORD_ID(w);
		return;
	}
	struct fd_ref *r = (struct fd_ref *)(uintptr_t)w;

	list_push(&retired_new, r, r);
}

/* CLOSING, counted up; or UNKNOWN with a new generation. */
static void word_forget(uint64_t *word, bool closing, struct pending *p)
{
	uint64_t w = load_relaxed(word), to;

	do {
		unsigned int count = 0;

		if (w & FD_TAG_STATE && STATE(w) == CLOSING)
			count = STATE_COUNT(w);
		if (closing && count < STATE_COUNT_MAX)
			count++;
		if (!closing && !w)
			return;
		to = state_word(count ? CLOSING : UNKNOWN, count, next_generation());
	} while (!cas_seq_cst(word, &w, to));
	word_dropped(w, p);
}

static void word_closed(uint64_t *word)
{
	uint64_t w = load_relaxed(word), to;

	do {
		unsigned int count = STATE_COUNT(w);

		/* a fork's child starts without the marks of other threads */
		if (!(w & FD_TAG_STATE) || STATE(w) != CLOSING)
			return;
		to = state_word(count > 1 ? CLOSING : UNKNOWN, count - 1, w >> 16);
	} while (!cas_seq_cst(word, &w, to));
}

static void before_fork(void)
{
	if (!open_locked)
		pthread_mutex_lock(&open_lock);
}

static void after_fork_parent(void)
{
	if (!open_locked)
		pthread_mutex_unlock(&open_lock);
}

/* The child has this thread only: marks that other threads left go. */
static void after_fork_child(void)
{
	unsigned int i, j;

	op_after_fork();
	owner_pid = raw_getpid();
	fd_closing = 0;
	inside = inside_own;
	for (i = 0; i < pending.depth; i++)
		fd_closing += pending.stack[i].mark == PENDING_COUNT;
	for (i = 0; i < FD_LEAVES; i++) {
		for (j = 0; fd_leaves[i] && j < FD_LEAF_SIZE; j++)
			if (fd_leaves[i][j] & FD_TAG_STATE)
				fd_leaves[i][j] = state_word(UNKNOWN, 0, next_generation());
	}
	for (i = 0; i < pending.depth; i++) {
		struct pending *p = &pending.stack[i], none = {0};

		if (p->mark == PENDING_WORD)
			word_forget(word_make(p->fd), true, &none);
	}
	if (!open_locked)
		pthread_mutex_unlock(&open_lock);
}

static void init(void)
{
	owner_pid = raw_getpid();
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* As the program is loaded: a signal handler cannot come in the middle of it,
 * where it would wait for its own thread. */
static void __attribute__((constructor)) at_load(void)
{
	pthread_once(&once, init);
	objref_host_init();
}

int fd_access(int fd)
{
	int flags = raw_fcntl(fd, F_GETFL, 0);

	if (flags < 0 || flags & O_PATH)
		return -EBADF;
	switch (flags & O_ACCMODE) {
	case O_RDONLY:
		return FD_READ;
	case O_WRONLY:
		return FD_WRITE;
	default:
		return FD_READ | FD_WRITE;
	}
}

/* What cannot be opened, or is damaged, is no map. */
static int open_error(int err)
{
	switch (err) {
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -EBUSY:
		return err;
	default:
		return -EINVAL;
	}
}

/* Looks at an fd of ours and opens its map, or joins the users of the open one. */
static int ref_look(int fd, struct fd_ref **out)
{
	struct open_map *o;
	struct fd_ref *r;
	struct stat st;
	struct map *m;
	int access, err;

	access = fd_access(fd);
	if (access < 0)
		return access;
	if (raw_fstat(fd, &st))
		return -EBADF;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	err = open_join(st.st_dev, st.st_ino, access & FD_WRITE, NULL, &o);
	if (!err && !o) {
		err = map_open(fd, &m);
		if (!err) {
			err = open_join(m->obj.dev, m->obj.ino, m->writable, m, &o);
			if (err)
				map_put(m);
		}
	}
	if (err)
		return open_error(err);
	r = ref_new(o, access);
	if (!r) {
		if (open_leave(o))
			open_free(o);
		return -ENOMEM;
	}
	*out = r;
	return 0;
}

/*
 * The number may be given to another file at any moment; a number of our own
 * stays what it is during all of the look. It shares the description, and
 * with it the open mode and the lock that holds the object.
 */
static int ref_open(int fd, struct fd_ref **out)
{
	int own, err;

	own = raw_fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own < 0)
		return own;
	err = ref_look(own, out);
	raw_close(own);
	return err;
}

/* Gives up filling. before: what the word was; a noted object is noted again. */
static void fill_end(uint64_t *word, uint64_t *filling, uint64_t before)
{
	if (!(before & FD_TAG_OBJECT))
		before = state_word(UNKNOWN, 0, next_generation());
	if (*filling)
		cas_seq_cst(word, filling, before);
	*filling = 0;
}

int fd_begin_slow(int fd, struct fd_op *op)
{
	uint64_t w = 0, filling = 0, begun, *word;
	struct fd_ref *r = NULL;
	int err;

	*op = (struct fd_op){0};
	if (fd < 0)
		return -EBADF;
	pthread_once(&once, init);
	free_dead();
	err = op_register();
	if (err)
		return err;
	/* First of all: words that this thread reads are not freed beneath it. */
	op->entered = op_enter();
	word = word_make(fd);
	if (word) {
		w = load_acquire(word);
		if (w && !(w & FD_TAG_MASK)) {
			op->ref = (struct fd_ref *)(uintptr_t)w;
			return 0;
		}
		if (w & FD_TAG_OBJECT && WORD_KIND(w) != OBJECT_MAP) {
			err = -EINVAL;
			goto fail;
		}
		/* A vfork child must not fill its parent's table. */
		if ((!w || w & FD_TAG_OBJECT || STATE(w) == UNKNOWN) && raw_getpid() == owner_pid) {
			filling = state_word(FILLING, 0, next_generation());
			if (!cas_seq_cst(word, &w, filling))
				filling = 0;
		}
		/* Pairs with the fence in forget_range(). */
		fence_seq_cst();
		if (filling && load_relaxed(&fd_closing))
			fill_end(word, &filling, w);
	}
	begun = load_seq_cst(&inside_begun);
	if (load_seq_cst(&inside))
		fill_end(word, &filling, w);
	fd_inside_begin(); /* counts once in inside_begun */
	err = ref_open(fd, &r);
	fd_inside_end();
	if (err || load_seq_cst(&inside) || load_seq_cst(&inside_begun) != begun + 1)
		fill_end(word, &filling, w);
	if (err)
		goto fail;
	op->ref = r;
	op->own = !filling || !cas_seq_cst(word, &filling, (uint64_t)(uintptr_t)r);
	return 0;
fail:
	if (op->entered)
		op_leave();
	*op = (struct fd_op){0};
	return err;
}

void fd_end_slow(struct fd_op *op)
{
	if (!open_locked) {
		ref_drop(op->ref);
		return;
	}
	/* A signal handler on top of its own thread: whoever reclaims next frees it. */
	list_push(&retired_new, op->ref, op->ref);
}

/* Puts w in the place of whatever is known of fd. False: somebody is closing it. */
static bool word_install(int fd, uint64_t w)
{
	struct pending dropped = {0};
	uint64_t *word, old;

	pthread_once(&once, init);
	if (raw_getpid() != owner_pid)
		return false;
	word = word_make(fd);
	if (!word)
		return false;
	old = load_relaxed(word);
	do {
		if (old & FD_TAG_STATE && STATE(old) == CLOSING)
			return false;
	} while (!cas_seq_cst(word, &old, w));
	/* A range that is being closed may have passed this word by; the number
	 * is new, so the range's close had been done or will close it. */
	fence_seq_cst();
	if (load_relaxed(&fd_closing))
		word_forget(word, false, &dropped);
	word_dropped(old, &dropped);
	return true;
}

void fd_install_map(int fd, struct map *m, uint32_t access)
{
	struct open_map *o;
	struct fd_ref *r;

	free_dead();
	if (open_join(m->obj.dev, m->obj.ino, m->writable, m, &o)) {
		map_put(m);
		return;
	}
	r = ref_new(o, access);
	if (!r && open_leave(o))
		open_free(o);
	else if (r && !word_install(fd, (uint64_t)(uintptr_t)r))
		ref_drop(r);
}

void fd_install_object(int fd, enum object_kind kind, uint32_t id)
{
	word_install(fd, (uint64_t)id << 8 | kind << 4 | FD_TAG_OBJECT);
}

uint32_t fd_known(int fd, enum object_kind kind)
{
	uint64_t *leaf = fd_in_table(fd) ? leaf_of(fd) : NULL;
	uint64_t w = leaf ? load_acquire(&leaf[(uint32_t)fd & (FD_LEAF_SIZE - 1)]) : 0;

	return (w & FD_TAG_MASK) == FD_TAG_OBJECT && WORD_KIND(w) == kind ? WORD_ID(w) : 0;
}

/* ---- closing ---- */

static struct pending *pending_push(void)
{
	/* Nobody nests that deep: an fd_forget() without its fd_collect() is in
	 * the way. The oldest call has long ended. */
	if (pending.depth == PENDING_MAX) {
		struct pending oldest = pending.stack[0];

		memmove(pending.stack, pending.stack + 1, sizeof(oldest) * (PENDING_MAX - 1));
		pending.depth--;
		if (oldest.mark == PENDING_WORD)
			word_closed(word_make(oldest.fd));
		else if (oldest.mark == PENDING_COUNT)
			fetch_add_seq_cst(&fd_closing, (uint32_t)-1);
		prog_cache_closed();
		storage_fds_closed();
	}
	pending.stack[pending.depth] = (struct pending){0};
	return &pending.stack[pending.depth++];
}

/* Forgets a range that may have no leaves: nothing is filled until fd_collect(). */
static void forget_range(unsigned int first, unsigned int last, struct pending *p)
{
	unsigned int i;

	p->mark = PENDING_COUNT;
	fetch_add_seq_cst(&fd_closing, 1);
	/* Pairs with the fence in fd_begin_slow(): a filler that does not see
	 * fd_closing has put FILLING where we find it. */
	fence_seq_cst();
	if (last >= FD_LEAVES << FD_LEAF_BITS)
		last = (FD_LEAVES << FD_LEAF_BITS) - 1;
	for (; first <= last; first += FD_LEAF_SIZE - first % FD_LEAF_SIZE) {
		uint64_t *leaf = leaf_of(first);

		for (i = first; leaf && i <= last && i / FD_LEAF_SIZE == first / FD_LEAF_SIZE; i++)
			word_forget(&leaf[i % FD_LEAF_SIZE], false, p);
	}
}

void fd_forget(int fd)
{
	struct pending *p = pending_push();
	uint64_t *leaf;

	prog_cache_closing(fd, fd);
	storage_fds_closing(fd, fd);
	if (!fd_in_table(fd))
		return; /* never cached */
	leaf = leaf_of(fd);
	p->fd = fd;
	if (leaf) {
		p->mark = PENDING_WORD;
		word_forget(&leaf[(uint32_t)fd & (FD_LEAF_SIZE - 1)], true, p);
		return;
	}
	forget_range(fd, fd, p);
}

void fd_forget_range(unsigned int first, unsigned int last)
{
	struct pending *p = pending_push();

	prog_cache_closing(first, last);
	storage_fds_closing(first, last);
	forget_range(first, last, p);
}

void fd_collect(void)
{
	struct pending p;
	int saved = errno;

	if (!pending.depth)
		return;
	p = pending.stack[--pending.depth];
	prog_cache_closed();
	storage_fds_closed();
	if (p.mark == PENDING_WORD)
		word_closed(word_make(p.fd));
	else if (p.mark == PENDING_COUNT)
		fetch_add_seq_cst(&fd_closing, (uint32_t)-1);
	fd_reclaim();
	if (p.all || p.id) {
		fd_inside_begin();
		if (p.all)
			object_collect_all();
		else
			object_collect(p.kind, p.id);
		fd_inside_end();
	}
	errno = saved;
}
