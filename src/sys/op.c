/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Running operations.
 *
 * Claim: when op_elapsed(S) is true, no thread uses a pointer that was made
 * unreachable before the op_barrier() that came before S = op_stamp().
 *
 * Let R be a thread that loaded the old pointer. R stored its epoch E before
 * that load (program order, kept by the compiler fence), and E is the value
 * that op_epoch had before that store. R's load came before the barrier took
 * effect on R's CPU, or it would have seen the pointer gone; so R's store of E
 * is visible to the freeing thread after the barrier. op_epoch only rises and S
 * is taken after the barrier, so E <= S. op_elapsed() is false while some
 * thread shows an epoch in 1..S. R shows E until it leaves; an epoch that R
 * shows later, with E' > S, was read after S was taken, so its operation
 * started after the pointer was gone.
 *
 * A signal handler between op_enter()'s load of op_epoch and its store may run
 * a whole operation; the store that follows it shows an older epoch than
 * needed, which only keeps memory longer. A handler that leaves an operation by
 * siglongjmp() leaves its epoch behind: nothing is freed any more then, and
 * nothing breaks.
 */
#include "sys/op.h"

#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/errors.h"
#include "base/rawsys.h"

#define OP_NAP_NS 50000
#define OP_NAPS 20000 /* a second */

__thread struct op_thread *op_self __attribute__((tls_model("initial-exec")));
uint64_t op_epoch = 1; /* 0 is "outside" */

static struct op_thread *op_threads; /* grows only */
static pthread_key_t exit_key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool has_key;

static long membarrier(int cmd)
{
	return raw_syscall3(SYS_membarrier, cmd, 0, 0);
}

/* The thread ends: its record waits for another one. */
static void thread_gone(void *arg)
{
	struct op_thread *t = arg;

	op_self = NULL;
	store_relaxed(&t->epoch, 0);
	store_release(&t->used, 0);
}

static void init(void)
{
	has_key = !pthread_key_create(&exit_key, thread_gone);
	membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
}

/* As the program is loaded: a signal handler cannot come in the middle of it,
 * and the key is one of the first, for which pthread_setspecific(3) allocates
 * nothing. */
static void __attribute__((constructor)) at_load(void)
{
	pthread_once(&once, init);
}

static struct op_thread *reuse_record(void)
{
	struct op_thread *t;

	for (t = load_acquire(&op_threads); t; t = t->next) {
		uint32_t unused = 0;

		if (!load_relaxed(&t->used) && cas_seq_cst(&t->used, &unused, 1))
			return t;
	}
	return NULL;
}

/* A page of new records, from mmap: a signal handler may come here. */
static struct op_thread *new_records(void)
{
	struct op_thread *t, *head;
	size_t count = SHMAP_PAGE / sizeof(*t), i;

	t = raw_mmap(NULL, SHMAP_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (raw_is_error(t))
		return NULL;
	t[0].used = 1;
	for (i = 0; i + 1 < count; i++)
		t[i].next = &t[i + 1];
	head = load_relaxed(&op_threads);
	do {
		t[count - 1].next = head;
	} while (!cas_seq_cst(&op_threads, &head, t));
	return t;
}

int op_register(void)
{
	struct op_thread *t;

	if (op_self)
		return 0;
	pthread_once(&once, init);
	t = reuse_record();
	if (!t)
		t = new_records();
	if (!t)
		return -ENOMEM;
	if (has_key)
		pthread_setspecific(exit_key, t);
	op_self = t;
	/* Pairs with the fence in op_barrier(): either that sees us, or we see
	 * the pointer gone. */
	fence_seq_cst();
	return 0;
}

bool op_barrier(void)
{
	struct op_thread *t;
	bool alone = true;

	/* Pairs with the fence in op_register(): a thread that we do not see here
	 * sees the pointer gone. */
	fence_seq_cst();
	for (t = load_acquire(&op_threads); t; t = t->next)
		if (load_acquire(&t->used) && t != op_self)
			alone = false;
	if (alone)
		return true;
	if (!membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED))
		return true;
	/* after fork, where the kernel did not hand the registration on */
	return !membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) &&
	       !membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

uint64_t op_stamp(void)
{
	return fetch_add_seq_cst(&op_epoch, 1);
}

bool op_elapsed(uint64_t stamp)
{
	struct op_thread *t;

	for (t = load_acquire(&op_threads); t; t = t->next) {
		uint64_t e = load_acquire(&t->epoch);

		if (e && e <= stamp)
			return false;
	}
	return true;
}

static bool others_elapsed(uint64_t stamp)
{
	struct op_thread *t;

	for (t = load_acquire(&op_threads); t; t = t->next) {
		uint64_t e = load_acquire(&t->epoch);

		if (t != op_self && e && e <= stamp && !load_acquire(&t->waits))
			return false;
	}
	return true;
}

bool op_wait_others(void)
{
	const struct timespec nap = {0, OP_NAP_NS};
	bool over;
	uint64_t stamp;

	if (!op_barrier())
		return false;
	stamp = op_stamp();
	over = others_elapsed(stamp);
	store_release(&op_self->waits, 1);
	for (int i = 0; !over && i < OP_NAPS; i++) {
		raw_nanosleep(&nap, NULL);
		over = others_elapsed(stamp);
	}
	store_release(&op_self->waits, 0);
	return over;
}

void op_after_fork(void)
{
	struct op_thread *t;

	for (t = op_threads; t; t = t->next) {
		if (t == op_self)
			continue;
		t->epoch = 0;
		t->used = 0;
	}
}
