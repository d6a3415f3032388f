/* SPDX-License-Identifier: BSD-2-Clause */
/* bpf_map_lock(): one claim per argument, by the public interface only. */
#include <bpf/bpf.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "../children.h"
#include "shmap.h"

#define NS_MS 1000000ULL

/* What the processes of a test share besides the map. */
static struct shared {
	volatile uint32_t step, stop;
	volatile uint64_t total, part[64], turns[64], worst;
	volatile uint64_t taken;
} * s;

static int map_new(enum bpf_map_type type, uint32_t key, uint32_t value, uint32_t entries)
{
	int fd = bpf_map_create(type, "locked", key, value, entries, NULL);

	REQUIRE(fd >= 0);
	return fd;
}

static void until(uint32_t step)
{
	while (s->step < step)
		sched_yield();
}

static void step(uint32_t n)
{
	__atomic_store_n(&s->step, n, __ATOMIC_SEQ_CST);
}

static uint32_t waiters(int fd)
{
	struct shmap_lock_info info;

	REQUIRE(!shmap_lock_info(fd, &info, sizeof(info)));
	return info.waiting;
}

/* ---- the interface ---- */

static void other_fails(int fd)
{
	CHECK_EQ(bpf_map_lock(fd, SHMAP_LOCK_TRY), -EBUSY);
	CHECK_EQ(bpf_map_lock_timed(fd, 0, 3 * NS_MS), -ETIMEDOUT);
	CHECK_EQ(bpf_map_lock_timed(fd, 0, 0), -ETIMEDOUT);
	CHECK_EQ(bpf_map_unlock(fd, 0), -EPERM);
	CHECK_EQ(bpf_map_lock_consistent(fd), -EPERM);
	errno = 0;
	CHECK(bpf_map_lock(fd, SHMAP_LOCK_TRY) < 0 && errno == EBUSY);
}

static void other_takes(int fd)
{
	CHECK_EQ(bpf_map_lock(fd, SHMAP_LOCK_TRY), 0);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
}

static void *other_thread(void *arg)
{
	other_fails(*(int *)arg);
	return NULL;
}

static void says(void)
{
	LIBBPF_OPTS(bpf_get_fd_by_id_opts, ro, .open_flags = BPF_F_RDONLY);
	int fd = map_new(BPF_MAP_TYPE_HASH, 4, 8, 10), other = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	pthread_t t;
	int rd, again;

	CHECK_EQ(bpf_map_unlock(fd, 0), -EPERM);
	CHECK_EQ(bpf_map_lock(fd, 2), -EINVAL);
	CHECK_EQ(bpf_map_lock(-1, 0), -EBADF);
	CHECK_EQ(bpf_map_lock(0x7ffffff, 0), -EBADF);
	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	CHECK_EQ(bpf_map_lock(fd, 0), -EDEADLK);
	CHECK_EQ(bpf_map_lock(fd, SHMAP_LOCK_TRY), -EDEADLK);
	CHECK_EQ(bpf_map_lock_timed(fd, 0, NS_MS), -EDEADLK);
	CHECK_EQ(bpf_map_unlock(fd, 1), -EINVAL);
	CHECK_EQ(bpf_map_lock_consistent(fd), -EINVAL);
	join(child_of(other_fails, fd));
	REQUIRE(!pthread_create(&t, NULL, other_thread, &fd));
	pthread_join(t, NULL);

	/* another map is another lock, in any order */
	CHECK_EQ(bpf_map_lock(other, 0), 0);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	join(child_of(other_takes, fd));
	join(child_of(other_fails, other));
	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	CHECK_EQ(bpf_map_unlock(other, 0), 0);

	/* by any fd that may write, also when the first one is closed */
	REQUIRE(!bpf_obj_get_info_by_fd(fd, &info, &len));
	rd = bpf_map_get_fd_by_id_opts(info.id, &ro);
	REQUIRE(rd >= 0);
	CHECK_EQ(bpf_map_unlock(rd, 0), -EPERM);
	CHECK_EQ(bpf_map_lock(rd, 0), -EPERM);
	again = bpf_map_get_fd_by_id(info.id);
	REQUIRE(again >= 0);
	close(fd);
	join(child_of(other_fails, again));
	CHECK_EQ(bpf_map_unlock(again, 0), 0);
	join(child_of(other_takes, again));
}

/* ---- what it keeps out ---- */

static int array = -1;

static void updates(int fd)
{
	uint32_t key = 1;
	uint64_t value = 5;

	step(1);
	CHECK_EQ(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	step(2);
	CHECK_EQ(bpf_map_delete_elem(fd, &key), fd == array ? -EINVAL : 0);
	step(3);
}

static void excludes_type(enum bpf_map_type type)
{
	int fd = map_new(type, 4, 8, 10);
	uint32_t key = 1, next;
	uint64_t value = 1;
	pid_t pid;

	if (type == BPF_MAP_TYPE_ARRAY)
		array = fd;

	CHECK_EQ(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	step(0);
	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	pid = child_of(updates, fd);
	until(1);
	while (!waiters(fd))
		sched_yield();
	/* reads go on, of the owner and of others; the owner changes */
	for (int i = 0; i < 100; i++) {
		uint64_t got = 0;

		value = (uint64_t)i;
		CHECK_EQ(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
		CHECK_EQ(bpf_map_lookup_elem(fd, &key, &got), 0);
		CHECK_EQ(got, i);
		CHECK_EQ(bpf_map_get_next_key(fd, NULL, &next), 0);
		sched_yield();
	}
	CHECK_EQ(s->step, 1);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	if (type == BPF_MAP_TYPE_HASH) {
		join(pid);
		CHECK_EQ(s->step, 3);
		CHECK_EQ(bpf_map_lookup_elem(fd, &key, &value), -ENOENT);
	} else {
		until(2);
		CHECK_EQ(bpf_map_lookup_elem(fd, &key, &value), 0);
		CHECK_EQ(value, 5);
		join(pid);
	}
	close(fd);
}

static void excludes(void)
{
	excludes_type(BPF_MAP_TYPE_HASH);
	excludes_type(BPF_MAP_TYPE_ARRAY);
}

static void batch_updates(int fd)
{
	uint32_t keys[3] = {1, 2, 3}, n = 3;
	uint64_t values[3] = {1, 1, 1};

	step(1);
	CHECK_EQ(bpf_map_update_batch(fd, keys, values, &n, NULL), 0);
	step(2);
	n = 3;
	CHECK_EQ(bpf_map_lookup_and_delete_elem(fd, keys, values), 0);
}

static void batches_wait(void)
{
	int fd = map_new(BPF_MAP_TYPE_HASH, 4, 8, 10);
	uint32_t key = 1;
	uint64_t value;
	pid_t pid;

	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	pid = child_of(batch_updates, fd);
	while (!waiters(fd))
		sched_yield();
	CHECK_EQ(s->step, 1);
	CHECK_EQ(bpf_map_lookup_elem(fd, &key, &value), -ENOENT);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	until(2);
	join(pid);
	CHECK_EQ(bpf_map_lookup_elem(fd, &key, &value), -ENOENT);
	key = 2;
	CHECK_EQ(bpf_map_lookup_elem(fd, &key, &value), 0);
}

/* A program that updates, and deletes, key 1 of map; the update's answer, or the delete's. */
static int prog_new(int map, bool delete)
{
	struct bpf_insn insns[] = {
		{.code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = 10, .off = -4, .imm = 1},
		{.code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 10, .off = -16, .imm = 9},
		{.code = BPF_LD | BPF_IMM | BPF_DW,
		 .dst_reg = 1,
		 .src_reg = BPF_PSEUDO_MAP_FD,
		 .imm = map},
		{0},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -4},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 3, .src_reg = 10},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 3, .imm = -16},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = 0},
		{.code = BPF_JMP | BPF_CALL,
		 .imm = delete ? BPF_FUNC_map_delete_elem : BPF_FUNC_map_update_elem},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "changes", "GPL", insns,
			       sizeof(insns) / sizeof(insns[0]), NULL);

	REQUIRE(fd >= 0);
	return fd;
}

static int run(int prog)
{
	char data[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = data, .data_size_in = sizeof(data),
		    .repeat = 1);

	REQUIRE(!bpf_prog_test_run_opts(prog, &opts));
	return (int)opts.retval;
}

static int update_prog, delete_prog;

static void programs_busy(int fd)
{
	CHECK_EQ(run(update_prog), -EBUSY);
	CHECK_EQ(run(delete_prog), -EBUSY);
}

static void programs_fine(int fd)
{
	CHECK_EQ(run(update_prog), 0);
	CHECK_EQ(run(delete_prog), 0);
}

static void dies_with_it(int fd)
{
	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	kill(getpid(), SIGKILL);
}

static void programs(void)
{
	int fd = map_new(BPF_MAP_TYPE_HASH, 4, 8, 10);

	update_prog = prog_new(fd, false);
	delete_prog = prog_new(fd, true);
	programs_fine(fd);
	join(child_of(programs_fine, fd));
	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	join(child_of(programs_busy, fd));
	programs_fine(fd); /* the owner's */
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	join(child_of(programs_fine, fd));
	programs_fine(fd);
	/* nobody keeps them out who is dead */
	waitpid(child_of(dies_with_it, fd), NULL, 0);
	programs_fine(fd);
	CHECK_EQ(bpf_map_lock(fd, 0), -EOWNERDEAD);
	join(child_of(programs_busy, fd));
}

/* ---- death ---- */

static void *thread_dies(void *arg)
{
	CHECK_EQ(bpf_map_lock(*(int *)arg, 0), 0);
	return NULL;
}

static void waits_for_dead(int fd)
{
	step(1);
	CHECK_EQ(bpf_map_lock(fd, 0), -EOWNERDEAD);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
}

static void sleeps_with_it(int fd)
{
	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	step(2);
	for (;;)
		pause();
}

static void death(void)
{
	int fd = map_new(BPF_MAP_TYPE_HASH, 4, 8, 10);
	uint32_t key = 1;
	uint64_t value = 1;
	pthread_t t;
	pid_t pid, waiter;

	waitpid(child_of(dies_with_it, fd), NULL, 0);
	CHECK_EQ(bpf_map_lock(fd, SHMAP_LOCK_TRY), -EOWNERDEAD);
	CHECK_EQ(bpf_map_lock(fd, 0), -EDEADLK);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	/* until somebody says that all is well */
	CHECK_EQ(bpf_map_lock_timed(fd, 0, NS_MS), -EOWNERDEAD);
	CHECK_EQ(bpf_map_lock_consistent(fd), 0);
	CHECK_EQ(bpf_map_lock_consistent(fd), -EINVAL);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	/* an update is whole, and says nothing about it */
	waitpid(child_of(dies_with_it, fd), NULL, 0);
	CHECK_EQ(bpf_map_update_elem(fd, &key, &value, BPF_ANY), 0);
	CHECK_EQ(bpf_map_lock(fd, 0), -EOWNERDEAD);
	CHECK_EQ(bpf_map_lock_consistent(fd), 0);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	/* threads, too */
	REQUIRE(!pthread_create(&t, NULL, thread_dies, &fd));
	pthread_join(t, NULL);
	CHECK_EQ(bpf_map_lock(fd, 0), -EOWNERDEAD);
	CHECK_EQ(bpf_map_lock_consistent(fd), 0);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	/* who sleeps is told */
	step(0);
	pid = child_of(sleeps_with_it, fd);
	until(2);
	waiter = child_of(waits_for_dead, fd);
	while (!waiters(fd))
		sched_yield();
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	join(waiter);
}

/* ---- fairness ---- */

#define TAKERS 6

/*
 * How many others got the lock between a process's place in the queue and its turn: those who
 * stood there, and one more for each time that it was woken and did not run for a while. Where
 * whoever comes first gets it, that is thousands.
 */
static void takes_turns(int fd)
{
	long n = ops(2000);

	__atomic_fetch_add(&s->step, 1, __ATOMIC_SEQ_CST);
	until(TAKERS);
	/* and until somebody has waited while others had it */
	for (long i = 0; i < n || !s->worst; i++) {
		struct shmap_lock_info info;

		CHECK_EQ(bpf_map_lock(fd, 0), 0);
		REQUIRE(!shmap_lock_info(fd, &info, sizeof(info)));
		/* from the ticket, not from the call: a process may not have run in between */
		if (info.passed > s->worst)
			s->worst = info.passed;
		s->total = s->total + 1;
		__atomic_fetch_add(&s->taken, 1, __ATOMIC_RELAXED);
		if (i % 8 == 0)
			sched_yield(); /* so that others wait even on one CPU */
		CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	}
}

static void fair(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	pid_t pid[TAKERS];

	for (int i = 0; i < TAKERS; i++)
		pid[i] = child_of(takes_turns, fd);
	for (int i = 0; i < TAKERS; i++)
		join(pid[i]);
	CHECK_EQ(s->total, s->taken);
	CHECK(s->worst <= 100);
	printf("%llu turns; at most %llu came first\n", (unsigned long long)s->total,
	       (unsigned long long)s->worst);
}

/* ---- exact under deaths ---- */

static int my_part;

static void repair(int fd)
{
	uint64_t sum = 0;
	uint32_t key = 0;

	for (int i = 0; i < 64; i++)
		sum += s->part[i];
	CHECK_EQ(bpf_map_update_elem(fd, &key, &sum, BPF_ANY), 0);
	CHECK_EQ(bpf_map_lock_consistent(fd), 0);
}

static void lock_or_repair(int fd)
{
	int err = bpf_map_lock(fd, 0);

	if (err == -EOWNERDEAD)
		repair(fd);
	else
		CHECK_EQ(err, 0);
}

static void adds(int fd)
{
	uint32_t key = 0;
	uint64_t v = 0;

	while (!s->stop) {
		lock_or_repair(fd);
		CHECK_EQ(bpf_map_lookup_elem(fd, &key, &v), 0);
		v++;
		s->part[my_part]++;
		CHECK_EQ(bpf_map_update_elem(fd, &key, &v, BPF_ANY), 0);
		CHECK_EQ(bpf_map_unlock(fd, 0), 0);
		s->turns[my_part]++;
	}
}

#define ADDERS 4

static void exact(void)
{
	long deaths = ops(60);
	uint64_t total = 0, sum = 0, dead = 0;
	uint32_t key = 0;
	pid_t pid[ADDERS];
	int fd = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4);

	CHECK_EQ(bpf_map_update_elem(fd, &key, &total, BPF_ANY), 0);
	for (my_part = 0; my_part < ADDERS; my_part++)
		pid[my_part] = child_of(adds, fd);
	srandom(1);
	for (long i = 0; i < deaths; i++) {
		int who = (int)(random() % ADDERS), all = 0;
		uint64_t goal = (uint64_t)random() % 300;

		/* somewhere, after some more turns of all */
		for (uint64_t from = s->turns[0] + s->turns[1] + s->turns[2] + s->turns[3];
		     s->turns[0] + s->turns[1] + s->turns[2] + s->turns[3] < from + goal;)
			all += sched_yield();
		kill(pid[who], SIGKILL);
		waitpid(pid[who], NULL, 0);
		my_part = who;
		pid[who] = child_of(adds, fd);
	}
	s->stop = 1;
	for (int i = 0; i < ADDERS; i++)
		join(pid[i]);
	if (bpf_map_lock(fd, 0) == -EOWNERDEAD) {
		dead++;
		repair(fd);
	}
	for (int i = 0; i < ADDERS; i++)
		sum += s->part[i];
	CHECK_EQ(bpf_map_lookup_elem(fd, &key, &total), 0);
	CHECK_EQ(total, sum);
	printf("%llu additions, %ld deaths\n", (unsigned long long)sum, deaths);
}

/* Without the lock it does lose: the test above can fail. */
static void adds_unlocked(int fd)
{
	uint32_t key = 0;
	uint64_t v = 0;

	step(1);
	while (!s->stop) {
		CHECK_EQ(bpf_map_lookup_elem(fd, &key, &v), 0);
		sched_yield();
		v++;
		CHECK_EQ(bpf_map_update_elem(fd, &key, &v, BPF_ANY), 0);
		__atomic_fetch_add(&s->total, 1, __ATOMIC_SEQ_CST);
	}
}

static void loses(void)
{
	int fd = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4);
	uint32_t key = 0;
	uint64_t v = 0;
	pid_t pid[2];

	CHECK_EQ(bpf_map_update_elem(fd, &key, &v, BPF_ANY), 0);
	for (int i = 0; i < 2; i++)
		pid[i] = child_of(adds_unlocked, fd);
	do {
		uint64_t done = s->total;

		CHECK_EQ(bpf_map_lookup_elem(fd, &key, &v), 0);
		if (v + 10 < done)
			break;
		sched_yield();
	} while (1);
	s->stop = 1;
	for (int i = 0; i < 2; i++)
		join(pid[i]);
}

/* Writers that know nothing of the lock, and one that has it and sees the map stand still. */
static void writes(int fd)
{
	for (uint64_t v = 0; !s->stop; v++) {
		uint32_t key = (uint32_t)(v % 16);

		if (v % 5)
			CHECK_EQ(bpf_map_update_elem(fd, &key, &v, BPF_ANY), 0);
		else
			bpf_map_delete_elem(fd, &key);
		__atomic_fetch_add(&s->part[my_part], 1, __ATOMIC_RELAXED);
	}
}

static void still(void)
{
	int fd = map_new(BPF_MAP_TYPE_HASH, 4, 8, 64);
	uint64_t first[16], again[16];
	pid_t pid[2];

	for (my_part = 0; my_part < 2; my_part++)
		pid[my_part] = child_of(writes, fd);
	for (long i = 0; i < ops(150); i++) {
		uint64_t begun = s->part[0] + s->part[1];

		CHECK_EQ(bpf_map_lock(fd, 0), 0);
		for (uint32_t k = 0; k < 16; k++)
			if (bpf_map_lookup_elem(fd, &k, &first[k]))
				first[k] = UINT64_MAX;
		sched_yield();
		for (uint32_t k = 0; k < 16; k++)
			if (bpf_map_lookup_elem(fd, &k, &again[k]))
				again[k] = UINT64_MAX;
		CHECK(!memcmp(first, again, sizeof(first)));
		CHECK_EQ(bpf_map_unlock(fd, 0), 0);
		/* they go on in between */
		while (s->part[0] + s->part[1] == begun)
			sched_yield();
	}
	s->stop = 1;
	for (int i = 0; i < 2; i++)
		join(pid[i]);
}

/* A waiter that is stopped does not keep the lock from those behind it. */
static void waits(int fd)
{
	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	s->taken = s->taken + 1;
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
}

static void stopped(void)
{
	int fd = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	pid_t first, second;

	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	first = child_of(waits, fd);
	while (waiters(fd) < 1)
		sched_yield();
	kill(first, SIGSTOP);
	waitpid(first, NULL, WUNTRACED);
	second = child_of(waits, fd);
	while (waiters(fd) < 2)
		sched_yield();
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	join(second);
	CHECK_EQ(s->taken, 1);
	/* nor when it is alone */
	CHECK_EQ(bpf_map_lock(fd, 0), 0);
	CHECK_EQ(bpf_map_unlock(fd, 0), 0);
	kill(first, SIGCONT);
	join(first);
	CHECK_EQ(s->taken, 2);
	CHECK_EQ(bpf_map_lock(fd, SHMAP_LOCK_TRY), 0);
}

static const struct {
	const char *name;
	void (*fn)(void);
} claims[] = {
	{"says", says},	  {"excludes", excludes}, {"batches", batches_wait}, {"programs", programs},
	{"death", death}, {"fair", fair},	  {"exact", exact},	     {"loses", loses},
	{"still", still}, {"stopped", stopped},
};

int main(int argc, char **argv)
{
	check_private_rundir();
	REQUIRE(shmap_version && bpf_map_lock);
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(s != MAP_FAILED);
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
		if (argc < 2 || !strcmp(argv[1], claims[i].name)) {
			memset((void *)s, 0, sizeof(*s));
			claims[i].fn();
		}
	return check_done();
}
