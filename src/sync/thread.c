/* SPDX-License-Identifier: BSD-2-Clause */
#include "sync/thread.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/errors.h"

__thread struct thread thread_self __attribute__((tls_model("initial-exec")));

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
	fence_compiler();
	t->tid = (uint32_t)syscall(SYS_gettid);
	return 0;
}
