/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A signal handler at each instruction of taking and giving back a lease and a lock:
 * it gets -EBUSY or what it asks for, and leaves nothing behind. The handler is
 * that of single-stepping.
 */
#include <ucontext.h>

#include "util.h"

#if !defined(__x86_64__)
int main(void)
{
	SKIP("single-steps by the x86 trap flag");
}
#elif defined(__SANITIZE_THREAD__)
int main(void)
{
	SKIP("the handler would run inside TSan's own runtime, whose locks are not to be taken "
	     "twice");
}
#else

static uint32_t *lock, *other;
static unsigned long at, step;
static int got_lease, got_lock;

static void on_trap(int sig, siginfo_t *info, void *context)
{
	if (step++ != at)
		return;
	got_lease = lease_acquire();
	if (got_lease >= 0) {
		if (lease_cpu() != got_lease)
			got_lease = -1000;
		lease_release();
	}
	got_lock = lock_acquire(other);
	if (!got_lock)
		lock_release(other);
}

static inline __attribute__((always_inline)) void trap(bool on)
{
	if (on)
		__asm__ volatile(
			"sub $128, %%rsp; pushfq; orq $0x100, (%%rsp); popfq; add $128, %%rsp" ::
				: "memory", "cc");
	else
		__asm__ volatile(
			"sub $128, %%rsp; pushfq; andq $~0x100, (%%rsp); popfq; add $128, %%rsp" ::
				: "memory", "cc");
}

int main(void)
{
	struct sigaction act = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
	struct robust_list *list;
	unsigned int leases = 0, locks = 0;

	check_private_rundir();
	lock = shared_memory(4096);
	other = lock + 1;
	REQUIRE(!lease_open() && !thread_init());
	list = &thread_self.robust->list;
	sigaction(SIGTRAP, &act, NULL);
	do {
		struct robust_list *was = list->next;
		int cpu, ret;

		step = 0;
		got_lease = got_lock = 1000;
		trap(true);
		cpu = lease_acquire();
		ret = lock_acquire(lock);
		if (!ret)
			lock_release(lock);
		lease_release();
		trap(false);
		if (cpu < 0 || ret || (got_lease < 0 && got_lease != -EBUSY) ||
		    (got_lock < 0 && got_lock != -EBUSY) || list->next != was ||
		    thread_self.robust->list_op_pending || thread_self.in_lock || *lock || *other ||
		    lease_cpu() != -1 || !lease_elapsed(lease_stamp(), -1)) {
			fprintf(stderr,
				"at instruction %lu: lease %d lock %d, in the handler %d %d; list "
				"%s\n",
				at, cpu, ret, got_lease, got_lock,
				list->next == was ? "right" : "wrong");
			return 1;
		}
		leases += got_lease == -EBUSY;
		locks += got_lock == -EBUSY;
		at++;
	} while (at < step);
	CHECK(at > 50 && leases && locks && leases < at && locks < at);
	return check_done();
}
#endif
