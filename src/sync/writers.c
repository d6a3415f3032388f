/* SPDX-License-Identifier: BSD-2-Clause */
#include "sync/writers.h"

#include <linux/membarrier.h>
#include <string.h>
#include <sys/mman.h>

#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/rundir.h"
#include "sync/robust.h"

#define WRITERS_SIZE ((1 + (uint64_t)WRITERS_MAX) * CACHE_LINE)
#define LINK_PREV 8 /* glibc's back link, in front of the entry */

struct writers_head *writers_mapped;

/* Pages come as records are used: a hole in a full tmpfs would be a SIGBUS. */
static int populate(uint64_t offset)
{
	int fd = rundir_open_shared("writers"), err;

	if (fd < 0)
		return fd;
	err = raw_fallocate(fd, 0, (off_t)(offset & ~(SHMAP_PAGE - 1)), SHMAP_PAGE);
	raw_close(fd);
	return err == -ENOSPC ? -ENOMEM : err;
}

int writers_open(void)
{
	if (likely(load_acquire(&writers_mapped)))
		return 0;
	return rundir_share("writers", round_up_u64(WRITERS_SIZE, SHMAP_PAGE), SHMAP_PAGE, 0,
			    (void **)&writers_mapped);
}

static int membarrier(int cmd)
{
	return (int)raw_syscall3(SYS_membarrier, cmd, 0, 0);
}

/* 1: this process's threads run the barriers of others; 2: the kernel does not offer it. */
static uint32_t registered;

static bool barrier_register(void)
{
	uint32_t state = load_relaxed(&registered);

	if (!state) {
		state = membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED) ? 2 : 1;
		store_relaxed(&registered, state);
	}
	return state == 1;
}

/* As the program is loaded, before there are threads: the kernel then waits for nothing. */
static void __attribute__((constructor)) at_load(void)
{
	barrier_register();
}

bool writers_barrier(void)
{
	fence_seq_cst();
	return !membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED);
}

uint32_t writers_high(void)
{
	struct writers_head *h = load_acquire(&writers_mapped);
	uint32_t high = h ? load_seq_cst(&h->high) : 0;

	return high < WRITERS_MAX ? high : WRITERS_MAX;
}

static struct robust_list *writer_entry(struct writer *w)
{
	return (struct robust_list *)&w->list_next;
}

/* What the last owner was about, when it was in the middle of something. */
static void writer_clear(struct writer *w)
{
	struct writers_head *h = load_acquire(&writers_mapped);
	bool busy = false;

	for (unsigned int i = 0; i < WRITER_MAPS; i++)
		busy = busy ||
		       (load_relaxed(&w->map[i]) && !writer_noted(w, load_relaxed(&w->gen), i));
	/* Before the marks go: dying here, they are still there. */
	if (busy)
		fetch_add_seq_cst(&h->deaths, 1);
	/* The new name first: with it the dead one's locks are known to be a dead one's. */
	store_release(&w->gen, (load_relaxed(&w->gen) + 1) & WRITER_GEN_MASK);
	store_relaxed(&w->wait_map, 0);
	for (unsigned int i = 0; i < WRITER_MAPS; i++)
		store_relaxed(&w->map[i], 0);
}

/* For each record its map[0]; private memory that is empty in a child, however it is made: its
 * thread must not pass for its parent's. */
static uint32_t **marks;

static uint32_t **mark_of(struct writer *w)
{
	const size_t size = round_up_u64(WRITERS_MAX * sizeof(*marks), SHMAP_PAGE);
	uint32_t **none = NULL, **page, **mark;

	if (!barrier_register())
		return &thread_no_mark;
	if (unlikely(!load_acquire(&marks))) {
		page = raw_mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
				0);
		if (raw_is_error(page))
			return &thread_no_mark;
		raw_madvise(page, size, MADV_WIPEONFORK);
		if (!cas_seq_cst(&marks, &none, page))
			raw_munmap(page, size); /* another thread was first */
	}
	mark = load_acquire(&marks) + (w - writer_at(0));
	store_relaxed(mark, &w->map[0]);
	return mark;
}

static bool writer_try(struct thread *t, struct writer *w, uint32_t old)
{
	struct robust_list *next;

	t->in_lock = 1;
	fence_compiler();
	robust_pending(t, writer_entry(w));
	if (!cas_acquire(&w->word, &old, t->tid)) {
		robust_pending(t, NULL);
		t->in_lock = 0;
		return false;
	}
	writer_clear(w);
	/*
	 * It stays on the list while robust mutexes of the program's come and go around it:
	 * both links, as glibc keeps them. Nothing of the list is read out of the record.
	 */
	store_relaxed(&w->list_prev, (uint64_t)(uintptr_t)&t->robust->list);
	next = (struct robust_list *)((uintptr_t)robust_push(t, writer_entry(w)) & ~(uintptr_t)1);
	if (next != &t->robust->list)
		*(struct robust_list **)((char *)next - LINK_PREV) = writer_entry(w);
	robust_pending(t, NULL);
	t->writer = w;
	t->mark = mark_of(w);
	fence_compiler();
	t->in_lock = 0;
	return true;
}

int writer_take(void)
{
	struct thread *t = &thread_self;
	struct writers_head *h;
	uint32_t i, high;
	int err;

	if (unlikely(!thread_known())) {
		err = thread_init();
		if (err)
			return err;
	}
	if (t->writer)
		return 0;
	if (t->in_lock)
		return -EBUSY;
	err = writers_open();
	if (err)
		return err;
	h = load_acquire(&writers_mapped);
	for (i = 0; i < WRITERS_MAX; i++) {
		struct writer *w = writer_at(i);
		uint32_t word;

		high = load_relaxed(&h->high);
		if (i >= high) {
			err = populate((1 + (uint64_t)i) * CACHE_LINE);
			if (err)
				return err;
		}
		word = load_relaxed(&w->word);
		if (word && !(word & FUTEX_OWNER_DIED))
			continue;
		/* Before the first mark: who looks for marks looks as far as this. */
		while (high <= i && !cas_seq_cst(&h->high, &high, i + 1))
			;
		if (writer_try(t, w, word))
			return 0;
	}
	return -ENOMEM;
}

uint64_t writer_name(const struct writer *w)
{
	uint64_t index = (uint64_t)(w - writer_at(0));

	return (index + 1) | (uint64_t)(load_relaxed(&w->gen) & WRITER_GEN_MASK) << 32;
}

struct writer *writer_named(uint64_t name)
{
	uint32_t index = (uint32_t)name - 1;

	if (writers_open())
		return NULL;
	return index < writers_high() ? writer_at(index) : NULL;
}

bool writer_gone(uint64_t name)
{
	const struct writer *w = writer_named(name);
	uint32_t word;

	if (!w)
		return true;
	word = load_acquire(&w->word);
	return !word || word & FUTEX_OWNER_DIED ||
	       (load_acquire(&w->gen) & WRITER_GEN_MASK) !=
		       (uint32_t)(name >> 32 & WRITER_GEN_MASK);
}
