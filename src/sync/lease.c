/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CPU leases: proof.
 *
 * Exclusion. A lease is held from the compare-and-swap of its word from free
 * to {TID, epoch} until the store of 0. Only the owner stores 0; the kernel
 * replaces the TID by FUTEX_OWNER_DIED when the owner dies, because the word is
 * on the owner's robust list (or pending, while it is being put there or taken
 * off), and then one compare-and-swap takes it over.
 *
 * Grace. D unlinks memory under a lock and releases it (or dies; then the kernel
 * passes the lock on). S, a later holder of that lock, reads the epoch: the stamp s. So
 * everybody can see the unlink when s is read.
 * R, who knows of the unlink (through the lock), reuses the memory after
 * lease_elapsed(s), which (1) passes a full fence, (2) finds every word free,
 * dead, or with an epoch greater than s. Take a run P that can still see the memory:
 * its loads came before D's unlink in P's view.
 *  - P's word was free at (2): then P took its lease after R's load; P's
 *    compare-and-swap is a full barrier, so P's loads are after D's unlink,
 *    which R knew of before its fence. Contradiction.
 *  - P's epoch e > s: P read e from the shared epoch, which became greater than
 *    s after S read s, so after the unlink. P's loads follow that read (full
 *    barrier), so they see the unlink. Contradiction.
 * (1) may be the compare-and-swap by which R took the lock itself, where that is a full
 * fence: lease_elapsed_locked(). R knows of the unlink by what that read.
 * An old epoch in a word (the reader was slow between reading the epoch and
 * its compare-and-swap) only makes R wait longer.
 *
 * Stopping. A lease that has not moved for LEASE_STALL_MS is marked with its
 * own sequence number, which its owner changes before it gives the lease back, and
 * which who takes a dead owner's lease changes first of all: no later tenant is
 * taken for stalled. A marked lease is not waited for:
 * memory is type-stable, so its program can misread but never fault.
 *
 * Waiting for each other. A run whose update waits for a grace period says so in its line,
 * with the stamp. Runs that wait in a circle would wait forever: take the one with the
 * oldest epoch. All others wait for stamps of at least some epoch in the circle, so of at
 * least its own: each of them waits for it. It finds just that (wait_for_me()) and waits no
 * longer; the others then have only it to wait for. Nobody who runs on is passed over.
 */
#include "sync/lease.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/errors.h"
#include "base/rawsys.h"
#include "shm/rundir.h"
#include "sync/robust.h"
#include "sync/thread.h"

#define LEASE_STALL_MS 1000
#define LEASE_SPINS 200
#define LEASE_YIELDS 20
#define LEASE_SPINS_ONLINE (LEASE_SPINS + LEASE_YIELDS) /* before another CPU will do */
#define LEASE_NEXT_OFF 32

/* Line 0 of the file. */
struct lease_head {
	uint32_t epoch;
	uint8_t pad[CACHE_LINE - 4];
};

/* Lines 1..possible. */
struct lease_line {
	uint64_t word;	    /* {TID, epoch}: see lease.h */
	uint32_t seq;	    /* tenancies that ended; only the owner writes */
	uint32_t stalled;   /* seq + 1: found stalled; 0: not */
	uint64_t waits;	    /* {stamp, seq + 1}: the owner waits for that grace period */
	uint64_t list_prev; /* glibc may store here when a robust mutex follows */
	uint64_t list_next; /* offset 32 = -futex_offset: read by the kernel */
	uint32_t deaths;    /* owners that died and were succeeded */
	uint8_t rest[CACHE_LINE - 44];
};

_Static_assert(sizeof(struct lease_head) == CACHE_LINE, "one line");
_Static_assert(sizeof(struct lease_line) == CACHE_LINE, "one line");
_Static_assert(offsetof(struct lease_line, list_next) == LEASE_NEXT_OFF, "robust list link");

/* The mapping: published once, whole. The head stands before the lines. */
static struct lease_line *lines;
static unsigned int possible;

__thread struct lease_own lease_own;
#define mine lease_own

/* These only after lease_open(). */
static struct lease_line *lease_line(unsigned int cpu)
{
	return load_acquire(&lines) + cpu;
}

static struct lease_head *lease_head(void)
{
	return (struct lease_head *)(load_acquire(&lines) - 1);
}

/* "0-1", "0", "0,2-3": one more than the last number; the bits of all, if there is a place
 * for them. 0: cannot be read. */
static unsigned int cpu_list(const char *path, uint64_t *bits)
{
	unsigned int n = 0, from = 0;
	bool range = false;
	char buf[512];
	long len;
	int fd = raw_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);

	if (fd < 0)
		return 0;
	len = raw_read(fd, buf, sizeof(buf) - 1);
	raw_close(fd);
	if (len <= 0)
		return 0;
	buf[len] = '\0';
	for (const char *p = buf; *p;) {
		if (*p < '0' || *p > '9') {
			range = *p++ == '-';
			continue;
		}
		for (n = 0; *p >= '0' && *p <= '9' && n < LEASE_CPUS_MAX; p++)
			n = n * 10 + (unsigned int)(*p - '0');
		n = n < LEASE_CPUS_MAX ? n : LEASE_CPUS_MAX - 1;
		for (from = range ? from : n; bits && from <= n; from++)
			bits[from / 64] |= 1ULL << from % 64;
		from = n++;
		range = false;
	}
	return n;
}

unsigned int lease_possible_cpus(void)
{
	unsigned int n = load_relaxed(&possible);

	if (n)
		return n;
	n = cpu_list("/sys/devices/system/cpu/possible", NULL);
	if (!n) {
		long conf = sysconf(_SC_NPROCESSORS_CONF);

		n = conf > 0 ? (unsigned int)conf : 1;
	}
	if (n > LEASE_CPUS_MAX)
		n = LEASE_CPUS_MAX;
	store_relaxed(&possible, n);
	return n;
}

/*
 * CPUs that were online when this process opened the lease file. What clients have per
 * online CPU, a perf buffer's rings first of all, an offline one does not have: its lease is
 * for when the others are held for a while. None known: all are alike.
 */
static uint64_t online[LEASE_CPUS_MAX / 64];
static bool online_known;

static bool cpu_online(unsigned int cpu)
{
	return !load_relaxed(&online_known) || load_relaxed(&online[cpu / 64]) >> cpu % 64 & 1;
}

static void online_read(void)
{
	uint64_t bits[LEASE_CPUS_MAX / 64] = {0};

	if (!cpu_list("/sys/devices/system/cpu/online", bits))
		return;
	for (unsigned int i = 0; i < LEASE_CPUS_MAX / 64; i++)
		store_relaxed(&online[i], bits[i]);
	store_relaxed(&online_known, true);
}

int lease_open(void)
{
	uint64_t size =
		round_up_u64((1 + (uint64_t)lease_possible_cpus()) * CACHE_LINE, SHMAP_PAGE);

	if (likely(load_acquire(&lines)))
		return 0;
	online_read();
	return rundir_share("cpus", size, size, CACHE_LINE, (void **)&lines);
}

static unsigned int cpu_now(void)
{
	int cpu;

	if (__rseq_size) {
		const struct rseq *rs =
			(const void *)((char *)__builtin_thread_pointer() + __rseq_offset);

		cpu = (int)load_relaxed(&rs->cpu_id);
	} else {
		cpu = sched_getcpu();
	}
	return cpu < 0 ? 0 : (unsigned int)cpu;
}

static bool line_stalled(const struct lease_line *line)
{
	uint32_t stalled = load_relaxed(&line->stalled);

	/* One more, as the first tenancy's number is 0. */
	return stalled && stalled == load_relaxed(&line->seq) + 1;
}

static struct robust_list *line_entry(struct lease_line *line)
{
	return (struct robust_list *)&line->list_next;
}

/* The end of a tenancy. Never the number before 0: its mark would be 0. */
static void line_count(struct lease_line *line)
{
	uint32_t seq = load_relaxed(&line->seq) + 1;

	store_relaxed(&line->seq, seq == UINT32_MAX ? 0 : seq);
}

/* Takes the line from `old`, which is free or of a dead owner. */
static bool line_take(struct thread *t, struct lease_line *line, uint64_t old, int cpu)
{
	uint64_t new = t->tid | (uint64_t)load_relaxed(&lease_head()->epoch) << 32;
	bool was_dead = (uint32_t)old;

	/* From here to the release a death is seen by the kernel: first by
	 * list_op_pending, then by the list, with an overlap. */
	t->in_lock = 1;
	fence_compiler();
	robust_pending(t, line_entry(line));
	/* seq_cst, with the fence: partner of the fence in lease_elapsed(). */
	if (!cas_seq_cst(&line->word, &old, new)) {
		robust_pending(t, NULL);
		t->in_lock = 0;
		return false;
	}
	/* A dead owner that had been found stopped left its mark, or somebody is
	 * about to set it: it must not be ours. */
	if (unlikely(was_dead)) {
		line_count(line);
		store_relaxed(&line->deaths, load_relaxed(&line->deaths) + 1);
	}
	fence_after_rmw();
	mine.next = robust_push(t, line_entry(line));
	robust_pending(t, NULL);
	/* A signal handler is kept out by in_lock until it can see the lease. */
	mine.seq = &line->seq;
	mine.line = line;
	mine.tid = t->tid;
	mine.cpu = cpu;
	fence_compiler();
	t->in_lock = 0;
	return true;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/*
 * Waits a little for the others; after LEASE_STALL_MS without any motion of
 * the lines seen at first, marks those that stood still and returns true. It
 * looks at as many lines at a time as are held and not marked, from `first` on.
 */
#define LEASE_WATCHED 64

struct lease_watch {
	uint32_t seq[LEASE_WATCHED];
	uint16_t cpu[LEASE_WATCHED];
	unsigned int n, first;
	uint64_t since;
	unsigned int spins;
};

static bool word_held(uint64_t word)
{
	return (uint32_t)word && !((uint32_t)word & FUTEX_OWNER_DIED);
}

static void watch_begin(struct lease_watch *w)
{
	unsigned int cpus = lease_possible_cpus(), i;

	w->since = now_ms();
	w->n = 0;
	for (i = 0; i < cpus && w->n < LEASE_WATCHED; i++) {
		unsigned int cpu = (w->first + i) % cpus;
		uint32_t seq = load_acquire(&lease_line(cpu)->seq);

		if (!word_held(load_relaxed(&lease_line(cpu)->word)) ||
		    line_stalled(lease_line(cpu)))
			continue;
		w->cpu[w->n] = (uint16_t)cpu;
		w->seq[w->n++] = seq;
	}
	w->first = (w->first + i) % cpus;
}

static bool watch_wait(struct lease_watch *w)
{
	struct timespec nap = {0, 50000};
	unsigned int i;

	if (++w->spins < LEASE_SPINS) {
		cpu_relax();
		return false;
	}
	if (w->spins < LEASE_SPINS + LEASE_YIELDS) {
		raw_sched_yield();
		return false;
	}
	if (!w->since)
		watch_begin(w);
	raw_nanosleep(&nap, NULL);
	if (now_ms() - w->since < LEASE_STALL_MS)
		return false;
	for (i = 0; i < w->n; i++) {
		struct lease_line *line = lease_line(w->cpu[i]);

		if (word_held(load_relaxed(&line->word)) && load_relaxed(&line->seq) == w->seq[i])
			store_relaxed(&line->stalled, w->seq[i] + 1);
	}
	w->since = 0;
	return true;
}

/* The owner of a stalled lease may be gone without a mark (a damaged file). */
static bool owner_gone(uint64_t word)
{
	uint32_t tid = (uint32_t)word & FUTEX_TID_MASK;

	return !tid || raw_syscall2(SYS_kill, tid, 0) == -ESRCH;
}

int lease_acquire(void)
{
	struct thread *t = &thread_self;
	unsigned int cpus = lease_possible_cpus();
	struct lease_watch watch = {.spins = 0};
	unsigned int cpu, i;
	bool all_stalled;

	if (unlikely(!thread_known()) && thread_init())
		return -EBUSY;
	if (unlikely(t->in_lock || (mine.line && mine.tid == t->tid)))
		return -EBUSY;
	if (unlikely(!load_acquire(&lines)) && lease_open())
		return -EBUSY;
	for (;;) {
		cpu = cpu_now() % cpus;
		all_stalled = true;
		for (i = 0; i < cpus; i++) {
			struct lease_line *line = lease_line(cpu);
			bool stalled = line_stalled(line);
			/* Read once: who is found dead is who it is taken from. */
			uint64_t word = load_relaxed(&line->word);

			/* i = 0: we run on it, so it is online by now */
			if ((!i || cpu_online(cpu) || watch.spins >= LEASE_SPINS_ONLINE) &&
			    (!word_held(word) || (stalled && owner_gone(word))) &&
			    line_take(t, line, word, (int)cpu))
				return (int)cpu;
			all_stalled &= stalled;
			if (++cpu == cpus)
				cpu = 0;
		}
		if (all_stalled)
			return -EBUSY;
		watch_wait(&watch);
	}
}

void lease_release(void)
{
	struct thread *t = &thread_self;
	struct lease_line *line = mine.line;

	if (!line)
		return;
	if (mine.tid != t->tid || !thread_known()) {
		mine.line = NULL;
		return; /* inherited by fork: the parent's */
	}
	/* In this order for a signal handler: it must not take a lease of its own
	 * before this one is off the list. */
	t->in_lock = 1;
	fence_compiler();
	mine.line = NULL;
	robust_pending(t, line_entry(line));
	robust_remove(t, line_entry(line), mine.next);
	line_count(line);
	if (unlikely(load_relaxed(&line->stalled)))
		store_relaxed(&line->stalled, 0);
	fence_compiler();
	/* Pairs with the acquire load in lease_elapsed(): what the run read is
	 * read before the memory is reused. */
	store_release(&line->word, 0);
	fence_compiler();
	robust_pending(t, NULL);
	t->in_lock = 0;
}

_Static_assert(LEASE_CPUS_MAX <= 1 << LEASE_CPU_BITS, "a CPU fits a tenancy");

bool lease_tenancy_over(uint32_t tenancy)
{
	uint32_t cpu = tenancy & ((1U << LEASE_CPU_BITS) - 1);
	uint64_t word;

	if (unlikely(!load_acquire(&lines)) && lease_open())
		return false;
	if (cpu >= lease_possible_cpus())
		return true;
	/* The number changes before the word does, and after a dead owner's word was
	 * taken over: a word seen held, and then the number, are of one tenancy, or
	 * of a later one that is just beginning. */
	word = load_acquire(&lease_line(cpu)->word);
	if (!word_held(word) || (line_stalled(lease_line(cpu)) && owner_gone(word)))
		return true;
	return load_acquire(&lease_line(cpu)->seq) << LEASE_CPU_BITS >> LEASE_CPU_BITS !=
	       tenancy >> LEASE_CPU_BITS;
}

uint32_t lease_stamp(void)
{
	if (unlikely(!load_acquire(&lines)) && lease_open())
		return 0;
	/* Between the compare-and-swap that took the lock and the stamp. */
	fence_after_rmw();
	return load_relaxed(&lease_head()->epoch);
}

/* Is the owner of the word a thread of this process? */
static bool owner_ours(uint64_t word)
{
	return !raw_tgkill(raw_getpid(), (pid_t)((uint32_t)word & FUTEX_TID_MASK), 0);
}

static bool elapsed(uint32_t stamp, int self_cpu, bool here, bool locked)
{
	unsigned int cpus = lease_possible_cpus();
	uint32_t epoch;
	unsigned int i;

	/* Without the file nobody can tell: wait until it can be opened. */
	if (unlikely(!load_acquire(&lines)) && lease_open())
		return false;
	/* Partner: the compare-and-swap in line_take(). */
	if (locked)
		fence_after_rmw();
	else
		fence_seq_cst();
	for (i = 0; i < cpus; i++) {
		uint64_t word = load_acquire(&lease_line(i)->word);

		if ((int)i == self_cpu || !(uint32_t)word || ((uint32_t)word & FUTEX_OWNER_DIED))
			continue;
		if ((int32_t)((uint32_t)(word >> 32) - stamp) > 0)
			continue;
		if (unlikely(line_stalled(lease_line(i))) && !(here && owner_ours(word)))
			continue;
		/* Leases taken from now on are not in the way. */
		epoch = load_relaxed(&lease_head()->epoch);
		if ((int32_t)(epoch - stamp) <= 0)
			cas_seq_cst(&lease_head()->epoch, &epoch, stamp + 1);
		return false;
	}
	return true;
}

bool lease_elapsed(uint32_t stamp, int self_cpu)
{
	return elapsed(stamp, self_cpu, false, false);
}

bool lease_elapsed_locked(uint32_t stamp, int self_cpu)
{
	return elapsed(stamp, self_cpu, false, true);
}

bool lease_elapsed_here(uint32_t stamp)
{
	return elapsed(stamp, -1, true, false);
}

/* Does every run that this one waits for wait itself, and for this one? */
static bool wait_for_me(uint32_t stamp, int self_cpu)
{
	uint32_t own = (uint32_t)(load_relaxed(&lease_line(self_cpu)->word) >> 32);
	unsigned int cpus = lease_possible_cpus(), i;
	uint32_t upto = stamp;

	/* Whom they wait for besides: until nobody comes to it. */
	do {
		stamp = upto;
		for (i = 0; i < cpus; i++) {
			struct lease_line *line = lease_line(i);
			uint64_t word = load_acquire(&line->word), waits;

			if ((int)i == self_cpu || !word_held(word) || line_stalled(line) ||
			    (int32_t)((uint32_t)(word >> 32) - stamp) > 0)
				continue;
			waits = load_acquire(&line->waits);
			/* a note of this very run, not of one before */
			if (!waits || (uint32_t)(waits >> 32) != load_relaxed(&line->seq) + 1 ||
			    (int32_t)(own - (uint32_t)waits) > 0)
				return false;
			if ((int32_t)((uint32_t)waits - upto) > 0)
				upto = (uint32_t)waits;
		}
	} while (upto != stamp);
	return true;
}

void lease_wait(uint32_t stamp, int self_cpu)
{
	struct lease_watch watch = {.spins = 0};
	uint64_t *waits;

	if (unlikely(!load_acquire(&lines)) && lease_open())
		return;
	if (self_cpu < 0) {
		while (!lease_elapsed(stamp, -1) && !watch_wait(&watch))
			;
		return;
	}
	waits = &lease_line((unsigned int)self_cpu)->waits;
	/* Release: pairs with wait_for_me(). Who dies with it holds the lease no longer. */
	store_release(waits, stamp | (load_relaxed(&lease_line((unsigned int)self_cpu)->seq) + 1ULL)
					     << 32);
	while (!lease_elapsed(stamp, self_cpu)) {
		if (watch_wait(&watch))
			break;
		if (watch.spins > LEASE_SPINS && wait_for_me(stamp, self_cpu))
			break;
	}
	store_relaxed(waits, 0);
}

/* The dead that hold their leases still, and those that were succeeded: each new death is one
 * more. (Between a successor's taking and its count one is missing, and then is back.) */
uint64_t lease_deaths(void)
{
	unsigned int cpus = lease_possible_cpus(), i;
	uint64_t n = 0;

	if (unlikely(!load_acquire(&lines)) && lease_open())
		return 0;
	for (i = 0; i < cpus; i++) {
		struct lease_line *line = lease_line(i);

		if ((uint32_t)load_acquire(&line->word) & FUTEX_OWNER_DIED)
			n++;
		n += load_relaxed(&line->deaths);
	}
	return n;
}
