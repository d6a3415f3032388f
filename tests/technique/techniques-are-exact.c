/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * techniques-are-exact NAME: four processes use one technique of docs/concurrency.md, two programs
 * on different CPUs where programs are involved: totals are exact and no value is torn. Then they
 * are killed at random and replaced, and what they had counted is there: but for the one operation
 * in which each was killed, which has happened or not.
 *
 *   SHMAP_TEST_OPS    operations in all
 *
 * The modes no-TECHNIQUE do without it, and end when something has been lost or torn: it could have
 * been in the others. (So do the examples, where the other process comes between the load and the
 * store every time.)
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../check.h"
#include "technique.h"

#define KILLS 40 /* at least */
#define BATCH 100
#define SWAP_EACH 50 /* operations: so often a map is swapped */

struct mode {
	const char *name;
	const char *program; /* NAME_a and NAME_b; NULL: processes alone */
	__u32 key;
	unsigned long ops;	   /* in all, unless SHMAP_TEST_OPS says otherwise */
	unsigned long each;	   /* operations of a call of run() */
	void (*prepare)(void);	   /* once */
	void (*run)(int w);	   /* instead of programs: one operation */
	void (*between)(int w);	   /* after each batch, in the worker */
	void (*meanwhile)(void);   /* in the parent, again and again */
	void (*finish)(void);	   /* when all workers have ended */
	void (*settle)(int w);	   /* after a death */
	void (*check)(bool kills); /* totals */
	bool (*lost)(void);	   /* without the technique: has anything been lost or torn? */
};

static const struct mode *mode;
static bool killing; /* the second part has begun */
static struct bpf_object *obj;
static struct globals *g;
static int prog[2];

/* In memory that all share. */
static struct control {
	__u32 stop;
	__u64 swaps, swaps_wanted; /* workers go on until then */
	__u64 in_flight[WORKERS];  /* operations in which a worker was killed */
} * control;

static __u64 done_in_all(void)
{
	__u64 n = 0;

	for (int w = 0; w < WORKERS; w++)
		n += g->ledger[w].done;
	return n;
}

static __u64 in_flight_in_all(void)
{
	__u64 n = 0;

	for (int w = 0; w < WORKERS; w++)
		n += control->in_flight[w];
	return n;
}

/* What counts `each` per operation counts all that are done, and at most those in flight. */
static void check_total(const char *what, __u64 is, __u64 mask)
{
	__u64 more = (is - done_in_all()) & mask;

	if (more > in_flight_in_all()) {
		fprintf(stderr, "%s: %llu, of %llu done and %llu in flight\n", what, is,
			done_in_all(), in_flight_in_all());
		check_failures++;
	}
}

static int map_of(const char *name)
{
	int fd = bpf_object__find_map_fd_by_name(obj, name);

	REQUIRE(fd >= 0);
	return fd;
}

static void put(const char *map, __u32 key, const void *value)
{
	REQUIRE(!bpf_map_update_elem(map_of(map), &key, value, BPF_ANY));
}

static void get(const char *map, __u32 key, void *value, __u64 flags)
{
	REQUIRE(!bpf_map_lookup_elem_flags(map_of(map), &key, value, flags));
}

static void *memory(int fd, size_t size)
{
	void *p = mmap(NULL, (size + 4095) & ~4095UL, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static __u64 torn_in_all(void)
{
	__u64 n = 0;

	for (int w = 0; w < WORKERS; w++)
		n += g->ledger[w].torn;
	return n;
}

/* ---- per-CPU counters ---- */

static void percpu_prepare(void)
{
	__u64 zeros[4096] = {0};

	REQUIRE(libbpf_num_possible_cpus() <= 4096);
	put("percpu_hash", 1, zeros);
}

static void percpu_check(bool kills)
{
	struct request r[2] = {{0}};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = r, .data_size_in = sizeof(r), .repeat = 1);
	const char *maps[] = {"percpu_array", "percpu_hash"};
	int fd = bpf_program__fd(bpf_object__find_program_by_name(obj, "percpu_sum"));

	for (__u32 i = 0; i < 2; i++) {
		__u64 values[4096] = {0}, sum = 0;

		get(maps[i], 1, values, 0);
		for (int cpu = 0; cpu < libbpf_num_possible_cpus(); cpu++)
			sum += values[cpu];
		check_total(maps[i], sum, ~0ULL);
		r[0].worker = i;
		REQUIRE(!bpf_prog_test_run_opts(fd, &opts) && opts.retval == 1);
		CHECK_EQ(g->add64, sum);
	}
}

/* ---- atomics ---- */

static void atomics_prepare(void)
{
	struct sizes none = {0};

	put("in_hash", 1, &none);
}

static void atomics_settle(int w)
{
	__u64 bit = 1ULL << w;

	__atomic_fetch_and(&g->bits_or, ~bit, __ATOMIC_SEQ_CST);
	g->ledger[w].toggled = !!(__atomic_load_n(&g->bits_xor, __ATOMIC_SEQ_CST) & bit);
}

static void atomics_check(bool kills)
{
	const char *maps[] = {"in_array", "in_hash"};
	__u64 given = 0, taken = 0;

	check_total("add of 8 bytes", g->add64, ~0ULL);
	check_total("add of 4 bytes", g->add32, ~0U);
	check_total("sub", -g->sub64, ~0ULL);
	check_total("compare and exchange", g->cmpxchg, ~0ULL);
	CHECK_EQ(g->bits_or, 0);
	for (int i = 0; i < 2; i++) {
		struct sizes s;

		get(maps[i], 1, &s, 0);
		check_total("1 byte", s.one, 0xff);
		/* 3 at a time: 171 is the inverse of 3 in bytes */
		check_total("1 byte, sub", (__u8)(-s.other * 171), 0xff);
		check_total("2 bytes", s.two, 0xffff);
		check_total("4 bytes", s.four, ~0U);
		check_total("8 bytes", s.eight, ~0ULL);
	}
	for (int w = 0; w < WORKERS; w++) {
		given += g->ledger[w].given;
		taken += g->ledger[w].taken;
		CHECK_EQ(!!(g->bits_xor & 1 << w), g->ledger[w].toggled & 1);
	}
	/* Who dies with what it has taken has taken it. */
	if (!kills)
		CHECK_EQ(given - taken, g->xchg);
}

/* ---- bpf_spin_lock, BPF_F_LOCK ---- */

static bool account_whole(const struct account *a)
{
	__u64 sum = 0;

	for (int i = 0; i < WORKERS; i++)
		sum += a->by_worker[i];
	return a->twice == 2 * a->count && a->inverted == ~a->count && a->low == (__u32)a->count &&
	       sum == a->count;
}

static struct account account_of(__u64 count)
{
	return (struct account){.low = (__u32)count,
				.count = count,
				.twice = 2 * count,
				.inverted = ~count,
				.by_worker = {count}};
}

static int account_map, cgroup = -1;

static void account_io(__u64 *write, struct account *read)
{
	__u32 key = mode->key;
	void *k = cgroup < 0 ? (void *)&key : (void *)&cgroup;

	if (write) {
		struct account a = account_of(*write);

		REQUIRE(!bpf_map_update_elem(account_map, k, &a, BPF_F_LOCK));
	}
	if (read)
		REQUIRE(!bpf_map_lookup_elem_flags(account_map, k, read, BPF_F_LOCK));
}

/* The cgroup that bpf_get_current_task_btf() says we are in. */
static int cgroup_open(void)
{
	static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char line[4096], path[8192];
	FILE *f = fopen("/proc/self/cgroup", "re");
	int fd = -1;

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "0::", 3)) {
			line[strcspn(line, "\n")] = '\0';
			for (int i = 0; i < 2 && fd < 0; i++) {
				snprintf(path, sizeof(path), "%s%s", roots[i], line + 3);
				if (!faccessat(AT_FDCWD, roots[i], R_OK, 0))
					fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
				if (fd >= 0 && faccessat(fd, "cgroup.procs", F_OK, 0)) {
					close(fd);
					fd = -1;
				}
			}
		}
	if (f)
		fclose(f);
	return fd;
}

static void spin_prepare(void)
{
	struct account a = account_of(0);

	if (strstr(mode->name, "cgroup")) {
		account_map = map_of("locked_cgroup");
		cgroup = cgroup_open();
		if (cgroup < 0)
			SKIP("no cgroup2 hierarchy is to be seen here");
		if (bpf_map_update_elem(account_map, &cgroup, &a, BPF_NOEXIST))
			SKIP("this cgroup takes no storage here: %s", strerror(errno));
		return;
	}
	account_map = map_of(strstr(mode->name, "hash") ? "locked_hash" : "locked_array");
	for (__u32 key = 0; key < 2; key++)
		REQUIRE(!bpf_map_update_elem(account_map, &key, &a, BPF_ANY));
}

static void spin_look(int w)
{
	struct account a;

	account_io(NULL, &a);
	if (!account_whole(&a))
		g->ledger[w].torn++;
}

static void spin_write(int w)
{
	__u64 count = (__u64)rand() << 20 | rand();
	struct account a;

	account_io(&count, &a);
	if (!account_whole(&a))
		g->ledger[w].torn++;
}

static void spin_check(bool kills)
{
	struct account a;

	account_io(NULL, &a);
	CHECK(account_whole(&a));
	if (mode->between == spin_write || mode->run == spin_write)
		return;
	check_total("count", a.count, ~0ULL);
	for (int w = 0; w < WORKERS; w++) {
		CHECK(a.by_worker[w] >= g->ledger[w].done);
		CHECK(a.by_worker[w] <= g->ledger[w].done + control->in_flight[w]);
	}
}

/* ---- map RCU ---- */

static bool version_whole(const struct version *v)
{
	bool ok = v->inverted == ~v->count;

	for (int i = 0; i < 6; i++)
		ok &= v->copies[i] == v->count;
	return ok;
}

static void rcu_prepare(void)
{
	struct version v = {.inverted = ~0ULL};

	for (__u32 key = 0; key <= SHARED; key++)
		put("versions", key, &v);
}

static void rcu_look(int w)
{
	struct version v;

	get("versions", rand() % (SHARED + 1), &v, 0);
	if (!version_whole(&v))
		g->ledger[w].torn++;
}

static void rcu_check(bool kills)
{
	struct version v;

	/* one writer each: nothing is lost */
	for (int w = 0; w < WORKERS; w++) {
		get("versions", w, &v, 0);
		CHECK(version_whole(&v));
		CHECK(v.count >= g->ledger[w].done);
		CHECK(v.count <= g->ledger[w].done + control->in_flight[w]);
	}
	/* several writers: whole, but updates of others are lost */
	get("versions", SHARED, &v, 0);
	CHECK(version_whole(&v));
	CHECK(v.count > 0 && v.count <= done_in_all() + in_flight_in_all());
	printf("of %llu updates by four writers without a lock %llu are left\n", done_in_all(),
	       v.count);
}

/* ---- map-in-map swap ---- */

/* Each slot has two inner maps, of which one is in it; each of those two counters. */
static int outer;
static struct slot {
	int inner[2], in_place;
	__u64 taken_out[2][2];
} slots[SLOTS];
static __u64 swapped[2];

static void counters_get(int fd, __u64 value[2])
{
	for (__u32 k = 0; k < 2; k++)
		REQUIRE(!bpf_map_lookup_elem(fd, &k, &value[k]));
}

static void counters_clear(int fd)
{
	__u64 zero = 0;

	for (__u32 k = 0; k < 2; k++)
		REQUIRE(!bpf_map_update_elem(fd, &k, &zero, BPF_ANY));
}

static void swap_prepare(void)
{
	outer = map_of(strstr(mode->name, "hash") ? "outer_hash" : "outer_array");
	for (__u32 key = 0; key < SLOTS; key++) {
		for (int i = 0; i < 2; i++) {
			slots[key].inner[i] =
				bpf_map_create(BPF_MAP_TYPE_ARRAY, "counts", 4, 8, 2, NULL);
			REQUIRE(slots[key].inner[i] >= 0);
		}
		REQUIRE(!bpf_map_update_elem(outer, &key, &slots[key].inner[0], BPF_ANY));
	}
}

/* Some slots, by one update of each or by a batch, after which none of their old maps is used. */
static void swap_some(__u32 first, __u32 n, bool batch)
{
	__u32 keys[SLOTS], fds[SLOTS], done = n;
	__u64 now[2];

	for (__u32 i = 0; i < n; i++) {
		struct slot *s = &slots[first + i];
		int next = !s->in_place;

		/* Nobody has counted in it since it was taken out. */
		counters_get(s->inner[next], now);
		CHECK_EQ(now[0], s->taken_out[next][0]);
		CHECK_EQ(now[1], s->taken_out[next][1]);
		counters_clear(s->inner[next]);
		keys[i] = first + i;
		fds[i] = s->inner[next];
	}
	if (batch)
		REQUIRE(!bpf_map_update_batch(outer, keys, fds, &done, NULL) && done == n);
	for (__u32 i = 0; i < n && !batch; i++)
		REQUIRE(!bpf_map_update_elem(outer, &keys[i], &fds[i], BPF_ANY));
	for (__u32 i = 0; i < n; i++) {
		struct slot *s = &slots[first + i];
		__u64 *out = s->taken_out[s->in_place];

		counters_get(s->inner[s->in_place], out);
		swapped[0] += out[0];
		swapped[1] += out[1];
		/* Both counters or neither, but for who was killed between them. */
		CHECK(out[0] - out[1] <= in_flight_in_all() + WORKERS);
		if (!in_flight_in_all() && !killing)
			CHECK_EQ(out[0], out[1]);
		s->in_place = !s->in_place;
	}
	control->swaps += n;
}

static void swap_once(void)
{
	__u32 first = rand() % SLOTS;
	bool alone = rand() % 8 == 0;

	/* each lets all workers open a map anew: not all the time */
	if (control->swaps * SWAP_EACH > done_in_all()) {
		sched_yield();
		return;
	}
	swap_some(first, alone ? 1 : 1 + rand() % (SLOTS - first), !alone);
}

/* Who gives its time up before it is taken from it is seldom kept from running inside a run, which
 * would keep the swaps waiting for it. */
static void swap_yield(int w)
{
	sched_yield();
}

static void swap_check(bool kills)
{
	swap_some(0, SLOTS, true);
	check_total("first counter", swapped[0], ~0ULL);
	check_total("second counter", swapped[1], ~0ULL);
	if (!kills)
		CHECK_EQ(swapped[0], swapped[1]);
	printf("%llu swaps\n", control->swaps);
}

/* ---- mmapable arrays ---- */

#define PLACES 1024
#define RESULTS 64

static struct shared {
	__u64 counter, pad[7];
	struct {
		__u64 tail, pad_tail[7], head, pad_head[7], place[PLACES];
	} queue[WORKERS / 2];
	struct {
		__u64 phase, pad[7], result[RESULTS];
	} side[WORKERS];
} * shared;

static __u64 load(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void store(__u64 *p, __u64 v)
{
	__atomic_store_n(p, v, __ATOMIC_RELEASE);
}

static void mmap_prepare(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_MMAPABLE);
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "shared", 4, 8, sizeof(*shared) / 8, &opts);

	REQUIRE(fd >= 0);
	shared = memory(fd, sizeof(*shared));
}

static void mmap_add(int w)
{
	__atomic_fetch_add(&shared->counter, 1, __ATOMIC_RELAXED);
}

static void mmap_add_check(bool kills)
{
	check_total("counter", shared->counter, ~0ULL);
}

/* Even workers put, odd ones take; a worker that begins goes on where the last one was. */
static void mmap_queue(int w)
{
	__typeof__(&shared->queue[0]) q = &shared->queue[w / 2];
	__u64 i;

	if (w % 2 == 0) {
		i = q->tail;
		while (i - load(&q->head) == PLACES) {
			if (__atomic_load_n(&control->stop, __ATOMIC_RELAXED))
				return;
			sched_yield();
		}
		q->place[i % PLACES] = 3 * i + 1;
		store(&q->tail, i + 1);
		return;
	}
	i = q->head;
	while (load(&q->tail) == i) {
		if (__atomic_load_n(&control->stop, __ATOMIC_RELAXED))
			return;
		sched_yield();
	}
	if (q->place[i % PLACES] != 3 * i + 1)
		g->ledger[w].torn++;
	store(&q->head, i + 1);
}

static void mmap_queue_check(bool kills)
{
	for (int w = 0; w < WORKERS; w++) {
		__u64 n = w % 2 ? shared->queue[w / 2].head : shared->queue[w / 2].tail;

		/* what ended because of the stop has put or taken nothing */
		CHECK(n + 1 >= g->ledger[w].done);
		CHECK(n <= g->ledger[w].done + control->in_flight[w]);
	}
	for (int i = 0; i < WORKERS / 2; i++)
		CHECK(shared->queue[i].tail - shared->queue[i].head <= PLACES);
}

/* Until the side has come there: futex(2) works on a word of the map. False: all stop. */
static bool comes_to(__u64 *phase, __u64 k)
{
	struct timespec t = {.tv_nsec = 10000000}; /* who is killed after its store wakes nobody */
	__u64 now;

	for (int spins = 0; (now = load(phase)) < k; spins++) {
		if (__atomic_load_n(&control->stop, __ATOMIC_RELAXED))
			return false;
		if (spins > 100)
			syscall(SYS_futex, phase, FUTEX_WAIT, (__u32)now, &t, NULL, 0);
	}
	return true;
}

/* Stores and loads between two barriers, on the average. */
#define BARRIER_OPS (RESULTS * (1 + WORKERS) / 2)

static __u64 result(__u64 round, int w, int i)
{
	return round * (w + 1) + i;
}

/*
 * Step k: when all have come to k - 1. In odd ones each stores its results, in even ones it reads
 * all others', by plain stores and loads; who begins goes on after the last step that it came to.
 */
static void mmap_barrier(int w)
{
	__u64 last = shared->side[w].phase, k = last + 1;

	for (int i = 0; i < WORKERS; i++)
		if (!comes_to(&shared->side[i].phase, last))
			return;
	for (int j = 0; j < RESULTS && k % 2; j++)
		shared->side[w].result[j] = result((k + 1) / 2, w, j);
	for (int i = 0; i < WORKERS && k % 2 == 0; i++)
		for (int j = 0; j < RESULTS; j++)
			if (shared->side[i].result[j] != result(k / 2, i, j))
				g->ledger[w].torn++;
	store(&shared->side[w].phase, k);
	syscall(SYS_futex, &shared->side[w].phase, FUTEX_WAKE, WORKERS, NULL, NULL, 0);
}

static void mmap_barrier_check(bool kills)
{
	for (int w = 0; w < WORKERS; w++)
		for (int i = 0; i < WORKERS; i++)
			CHECK(shared->side[w].phase <= shared->side[i].phase + 1);
	printf("%llu phases\n", shared->side[0].phase);
}

/* ---- without the techniques ---- */

static bool no_atomics_lost(void)
{
	struct sizes s;

	get("in_array", 1, &s, 0);
	return s.eight < done_in_all();
}

static bool torn_lost(void)
{
	return torn_in_all();
}

/* Reads, then clears, what programs count in. */
static void read_and_clear(void)
{
	__u64 now[2];

	counters_get(slots[0].inner[0], now);
	counters_clear(slots[0].inner[0]);
	swapped[0] += now[0];
	swapped[1] += now[1];
}

static bool no_swap_lost(void)
{
	read_and_clear();
	return swapped[0] < done_in_all() || swapped[1] < done_in_all();
}

/* Nobody waits for the others. */
static void no_barrier(int w)
{
	__u64 k = ++shared->side[w].phase;

	for (int j = 0; j < RESULTS; j++)
		shared->side[w].result[j] = result(k, w, j);
	for (int i = 0; i < WORKERS; i++)
		for (int j = 0; j < RESULTS; j++)
			if (shared->side[i].result[j] != result(k, i, j))
				g->ledger[w].torn++;
}

static const struct mode modes[] = {
	{"percpu", "percpu", 1, 200000, 1, percpu_prepare, .check = percpu_check},
	{"atomics", "atomics", 1, 100000, 1, atomics_prepare, .settle = atomics_settle,
	 .check = atomics_check},
	{"spin-array", "spin_array", 1, 200000, 1, spin_prepare, .between = spin_look,
	 .check = spin_check},
	{"spin-hash", "spin_hash", 1, 200000, 1, spin_prepare, .between = spin_look,
	 .check = spin_check},
	/* by processes alone; a program's sections in it: examples/spin_lock */
	{"flag-cgroup", NULL, 0, 100000, 1, spin_prepare, spin_write, .check = spin_check},
	{"spin-and-write-array", "spin_array", 0, 100000, 1, spin_prepare, .between = spin_write,
	 .check = spin_check},
	{"spin-and-write-hash", "spin_hash", 0, 100000, 1, spin_prepare, .between = spin_write,
	 .check = spin_check},
	{"rcu", "rcu", 0, 100000, 1, rcu_prepare, .between = rcu_look, .check = rcu_check},
	{"swap-array", "swap_array", 0, 200000, 1, swap_prepare, .between = swap_yield,
	 .meanwhile = swap_once, .check = swap_check},
	{"swap-hash", "swap_hash", 0, 200000, 1, swap_prepare, .between = swap_yield,
	 .meanwhile = swap_once, .check = swap_check},
	{"mmap-add", NULL, 0, 1000000, 1, mmap_prepare, mmap_add, .check = mmap_add_check},
	{"mmap-queue", NULL, 0, 200000, 1, mmap_prepare, mmap_queue, .check = mmap_queue_check},
	{"mmap-barrier", NULL, 0, 640000, BARRIER_OPS, mmap_prepare, mmap_barrier,
	 .check = mmap_barrier_check},
	{"no-atomics", "no_atomics", 0, 100000, 1, .lost = no_atomics_lost},
	{"no-lock", "no_lock", 0, 100000, 1, spin_prepare, .lost = torn_lost},
	{"no-copy", "no_copy", SHARED, 100000, 1, rcu_prepare, .lost = torn_lost},
	{"no-swap", "no_swap", 0, 100000, 1, swap_prepare, .meanwhile = read_and_clear,
	 .lost = no_swap_lost},
	{"no-barrier", NULL, 0, 1000, 1, mmap_prepare, no_barrier, .lost = torn_lost},
};

/* ---- the workers ---- */

static void run_programs(int w)
{
	struct request r[2] = {{w, mode->key}};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = r, .data_size_in = sizeof(r),
		    .repeat = BATCH);

	/* EBUSY: on a very busy machine nobody gave a CPU up for a second; nothing was run */
	while (bpf_prog_test_run_opts(prog[w % 2], &opts))
		REQUIRE(errno == EBUSY);
	REQUIRE(opts.retval == 1);
}

static void worker(int w, __u64 quota)
{
	struct ledger *l = &g->ledger[w];
	cpu_set_t may, one;
	int n;

	sched_getaffinity(0, sizeof(may), &may);
	n = w % CPU_COUNT(&may);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &may) && !n--) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
		}
	srand(getpid());
	while ((l->done < quota ||
		__atomic_load_n(&control->swaps, __ATOMIC_RELAXED) < control->swaps_wanted) &&
	       !__atomic_load_n(&control->stop, __ATOMIC_RELAXED)) {
		if (mode->run) {
			*(volatile __u64 *)&l->begun += 1;
			mode->run(w);
			*(volatile __u64 *)&l->done += 1;
			continue;
		}
		run_programs(w);
		if (mode->between)
			mode->between(w);
	}
	_exit(check_failures != 0);
}

static pid_t start(int w, __u64 quota)
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid)
		worker(w, quota);
	return pid;
}

static void nap(void)
{
	struct timespec t = {.tv_nsec = 200000 + rand() % 3000000};

	nanosleep(&t, NULL);
}

static void ended(pid_t pid, int status)
{
	REQUIRE(pid > 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "a worker ended with %#x\n", status);
		check_failures++;
	}
}

/* Everybody does its share. */
static void undisturbed(__u64 quota)
{
	int left = WORKERS, status;

	for (int w = 0; w < WORKERS; w++)
		start(w, quota);
	while (left) {
		pid_t pid = waitpid(-1, &status, mode->meanwhile ? WNOHANG : 0);

		if (pid) {
			ended(pid, status);
			left--;
			/* who waits for one that has done its share */
			if (mode->run == mmap_queue || mode->run == mmap_barrier)
				if (left == 0 || check_failures)
					__atomic_store_n(&control->stop, 1, __ATOMIC_RELAXED);
			continue;
		}
		mode->meanwhile();
	}
	control->stop = 0;
}

static unsigned long disturbed(__u64 quota)
{
	pid_t pid[WORKERS];
	unsigned long kills = 0;
	struct timespec now, next;
	int status;

	for (int w = 0; w < WORKERS; w++)
		pid[w] = start(w, ~0ULL);
	killing = true;
	clock_gettime(CLOCK_MONOTONIC, &next);
	while ((done_in_all() < quota || kills < KILLS || control->swaps < control->swaps_wanted) &&
	       !check_failures) {
		int w = rand() % WORKERS;

		if (mode->meanwhile) {
			mode->meanwhile();
			clock_gettime(CLOCK_MONOTONIC, &now);
			if (now.tv_sec == next.tv_sec && now.tv_nsec < next.tv_nsec)
				continue;
			next = now;
			next.tv_nsec += 200000 + rand() % 3000000;
		} else {
			nap();
		}
		kill(pid[w], SIGKILL);
		REQUIRE(waitpid(pid[w], &status, 0) == pid[w]);
		if (!WIFSIGNALED(status))
			ended(pid[w], status);
		control->in_flight[w] += g->ledger[w].begun - g->ledger[w].done;
		g->ledger[w].begun = g->ledger[w].done;
		if (mode->settle)
			mode->settle(w);
		kills++;
		pid[w] = start(w, ~0ULL);
	}
	__atomic_store_n(&control->stop, 1, __ATOMIC_RELAXED);
	for (int w = 0; w < WORKERS; w++) {
		REQUIRE(waitpid(pid[w], &status, 0) == pid[w]);
		ended(pid[w], status);
	}
	return kills;
}

static void check(bool kills)
{
	mode->check(kills);
	for (int w = 0; w < WORKERS; w++) {
		CHECK_EQ(g->ledger[w].torn, 0);
		CHECK_EQ(g->ledger[w].lost, 0);
	}
}

static void load_programs(void)
{
	const char *dir = getenv("TEST_FILES");
	struct bpf_program *p;
	char path[4096];

	snprintf(path, sizeof(path), "%s/technique.bpf.o", dir ? dir : ".");
	obj = bpf_object__open(path);
	REQUIRE(obj);
	bpf_object__for_each_program(p, obj)
	{
		const char *name = bpf_program__name(p);
		size_t n = mode->program ? strlen(mode->program) : 0;
		bool mine = n && !strncmp(name, mode->program, n) && name[n] == '_';

		bpf_program__set_autoload(p, mine);
	}
	REQUIRE(!bpf_object__load(obj));
	for (int i = 0; mode->program && i < 2; i++) {
		snprintf(path, sizeof(path), "%s_%c", mode->program, 'a' + i);
		prog[i] = bpf_program__fd(bpf_object__find_program_by_name(obj, path));
		REQUIRE(prog[i] >= 0);
	}
	g = memory(map_of(".bss"), sizeof(*g));
}

int main(int argc, char **argv)
{
	const char *env = getenv("SHMAP_TEST_OPS");
	unsigned long kills;
	__u64 ops;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		if (argc > 1 && !strcmp(argv[1], modes[i].name))
			mode = &modes[i];
	REQUIRE(mode);
	ops = (env ? strtoull(env, NULL, 0) : mode->ops) / mode->each;
	control = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(control != MAP_FAILED);
	load_programs();
	if (mode->prepare)
		mode->prepare();
	srand(1);

	if (mode->lost) {
		/* in the end two are at it at once, or one stops in the middle */
		for (__u64 upto = ops; !mode->lost(); upto += ops)
			undisturbed(upto / WORKERS);
		printf("%s: values were lost or torn\n", mode->name);
		bpf_object__close(obj);
		return check_done();
	}
	control->swaps_wanted = mode->meanwhile ? ops / 2 / SWAP_EACH : 0;
	undisturbed(ops / 2 / WORKERS);
	check(false);
	control->swaps_wanted *= 2;
	kills = disturbed(ops);
	check(true);
	printf("%s: %llu operations, %lu kills, %llu of them inside an operation\n", mode->name,
	       done_in_all() * mode->each, kills, in_flight_in_all());
	bpf_object__close(obj);
	return check_done();
}
