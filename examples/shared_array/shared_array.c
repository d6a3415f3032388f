/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shared_array [OBJECT]: the values of a mmapable array as memory of several processes: atomics, a
 * queue and a barrier made of them, plain stores that all see; then an addition without atomics.
 */
#include "../workers.h"
#include "shared_array.h"

static struct shared *shared;
static int count_fd;

/* Acquire: who sees what another process stored there sees what that had stored before. */
static __u64 get(const __u64 *p)
{
	return __atomic_load_n(p, __ATOMIC_ACQUIRE);
}

static void set(__u64 *p, __u64 value)
{
	__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static void add(int n)
{
	for (int i = 0; i < RUNS; i++)
		__atomic_fetch_add(&shared->counter, 1, __ATOMIC_RELAXED);
	run_packets(count_fd, 0, 0, RUNS);
}

/* The place first, then the tail: who sees the tail sees what is in the place. */
static void produce(int n)
{
	for (__u64 i = get(&shared->tail); i < RUNS; i++) {
		while (i - get(&shared->head) == PLACES)
			sched_yield();
		shared->place[i % PLACES] = 3 * i + 1;
		set(&shared->tail, i + 1);
	}
}

/* In order, each once. */
static void consume(int n)
{
	for (__u64 i = get(&shared->head); i < RUNS; i++) {
		while (get(&shared->tail) == i)
			sched_yield();
		if (shared->place[i % PLACES] != 3 * i + 1) {
			errno = EPROTO;
			die("the queue");
		}
		set(&shared->head, i + 1);
	}
}

/* Until all sides have come to this phase. */
static void barrier(int me, __u64 phase)
{
	set(&shared->side[me].phase, phase);
	for (int i = 0; i < SIDES; i++)
		while (get(&shared->side[i].phase) < phase)
			sched_yield();
}

/* Each phase: a plain store, the barrier, everybody reads what all have stored. */
static void phases(int me)
{
	for (__u64 phase = 1; phase <= 100; phase++) {
		shared->side[me].result = phase * (me + 1);
		barrier(me, 2 * phase - 1);
		for (int i = 0; i < SIDES; i++)
			if (shared->side[i].result != phase * (i + 1)) {
				errno = EPROTO;
				die("a store before the barrier");
			}
		barrier(me, 2 * phase); /* nobody stores the next before all have read */
	}
}

int main(int argc, char **argv)
{
	struct bpf_object *obj;
	volatile __u64 *careless;
	unsigned int key = 8; /* careless */
	__u64 old, value = 0;
	pid_t pid[2];
	int fd;

	obj = load_packet_programs(example_object(argc, argv, "shared_array"));
	fd = map_fd(obj, "shared");
	count_fd = program_fd(obj, "count");
	shared = map_memory(fd, sizeof(*shared));

	work_together(add);
	printf("%d processes, %d additions each: %llu, by a program %llu\n", WORKERS, RUNS,
	       shared->counter, shared->from_program);
	fflush(stdout);
	pid[0] = start_worker(0, consume);
	pid[1] = start_worker(1, produce);
	wait_for_worker(pid[0]);
	wait_for_worker(pid[1]);
	printf("queue: put %llu, taken %llu, in order\n", shared->tail, shared->head);
	work_together(phases);
	printf("barrier: %d sides in phase %llu, all stores seen\n", SIDES,
	       (shared->side[0].phase + 1) / 2);

	/* How it goes wrong: a load here, an addition there, a store here. */
	careless = &shared->careless;
	old = *careless;
	if (bpf_map_lookup_elem(fd, &key, &value))
		die("lookup");
	value++;
	if (bpf_map_update_elem(fd, &key, &value, BPF_ANY))
		die("update");
	*careless = old + 1;
	printf("2 additions by load and store: %llu\n", *careless);
	bpf_object__close(obj);
	return 0;
}
