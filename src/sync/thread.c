/* SPDX-License-Identifier: BSD-2-Clause */
#include "sync/thread.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"

uint32_t *thread_no_mark;
__thread struct thread thread_self
	__attribute__((tls_model("initial-exec"))) = {.mark = &thread_no_mark};

/* For threads whose libc registered no robust list; the kernel is given its
 * address, and thread-local storage outlives every use. */
static __thread struct robust_list_head own_head __attribute__((tls_model("initial-exec")));

/* glibc's value on 64-bit machines; lease lines are laid out for it. */
#define OWN_FUTEX_OFFSET (-32)

static pthread_once_t fork_once = PTHREAD_ONCE_INIT;

static void fork_child(void)
{
	/* A new thread with a new TID, and libc has registered its robust list
	 * anew. The parent's locks and leases are not ours. */
	thread_self.tid = 0;
	thread_self.in_lock = 0;
	thread_self.writer = NULL;
	thread_self.mark = &thread_no_mark;
}

static uint32_t no_mark;
uint32_t *thread_mark = &no_mark;

/* Also in a child: the page is there, but zero. */
static void mark_set(void)
{
	uint32_t *mark = load_acquire(&thread_mark);
	void *page;

	if (mark == &no_mark) {
		page = raw_mmap(NULL, SHMAP_PAGE, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (raw_is_error(page))
			return; /* asked again the next time */
		raw_madvise(page, SHMAP_PAGE, MADV_WIPEONFORK);
		if (!cas_seq_cst(&thread_mark, &mark, (uint32_t *)page))
			raw_munmap(page, SHMAP_PAGE); /* another thread was first */
		mark = load_acquire(&thread_mark);
	}
	store_relaxed(mark, 1);
}

static void fork_register(void)
{
	pthread_atfork(NULL, NULL, fork_child);
}

/* As the program is loaded: a signal handler cannot come in the middle of it. */
static void __attribute__((constructor)) at_load(void)
{
	pthread_once(&fork_once, fork_register);
}

int thread_init(void)
{
	struct thread *t = &thread_self;
	struct robust_list_head *head = NULL;
	size_t len = 0;
	/* Pairs with the publication in mark_set(): the page is there. */
	uint32_t *mark = load_acquire(&thread_mark);

	if (unlikely(!load_relaxed(mark))) {
		if (mark != &no_mark)
			fork_child();
		fence_compiler();
		mark_set();
	}
	if (t->tid)
		return 0;
	pthread_once(&fork_once, fork_register);
	if (syscall(SYS_get_robust_list, 0L, &head, &len) < 0)
		return -errno;
	if (!head) {
		own_head.list.next = &own_head.list;
		own_head.futex_offset = OWN_FUTEX_OFFSET;
		own_head.list_op_pending = NULL;
		if (syscall(SYS_set_robust_list, &own_head, sizeof(own_head)) < 0)
			return -errno;
		head = &own_head;
	}
	t->robust = head;
	t->futex_offset = head->futex_offset;
	t->pid = (uint32_t)syscall(SYS_getpid);
	fence_compiler();
	t->tid = (uint32_t)syscall(SYS_gettid);
	return 0;
}
