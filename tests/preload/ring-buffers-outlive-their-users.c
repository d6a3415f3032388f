/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libbpf's ring_buffer and user_ring_buffer between processes, some of which are killed:
 * each record arrives once, whole and in order, and nobody waits for the dead.
 */
#include <signal.h>

#include "ring.h"

#define PRODUCERS 2
#define RECORDS 200000ull

static uint32_t rng = 1;

static uint32_t rnd(uint32_t n)
{
	rng = rng * 1103515245 + 12345;
	return (rng >> 16) % n;
}

static volatile struct {
	uint64_t returned[PRODUCERS]; /* the program returned: so many are there */
	uint64_t seen[PRODUCERS];     /* by the consumer: the next one */
	uint64_t got, wrong, again;
	uint64_t user_sent;
} * shared;

/* seq: producer << 40 | number */
static int deliver(void *ctx, void *data, size_t size)
{
	const struct sample *s = data;
	uint64_t p = s->seq >> 40, number = s->seq & ((1ull << 40) - 1);

	if (size != sizeof(*s) || p >= PRODUCERS || s->check != s->seq * 3 ||
	    number > shared->seen[p])
		shared->wrong++;
	else if (number < shared->seen[p])
		shared->again++;
	else
		shared->seen[p] = number + 1;
	shared->got++;
	return 0;
}

static void produce(unsigned int me, uint64_t end)
{
	uint64_t n = shared->returned[me];
	int done;

	rng = me + 7;
	while (n < end) {
		uint32_t want = 1 + rnd(rnd(4) ? 4 : 300);

		if (want > end - n)
			want = end - n;
		done = ring_run(rnd(2) ? SUBMIT : OUTPUT, (uint64_t)me << 40 | n, want, 0);
		n += done > 0 ? done : 0;
		shared->returned[me] = n;
		if (!rnd(50))
			usleep(rnd(300));
	}
}

static pid_t start_producer(unsigned int me, uint64_t end)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	produce(me, end);
	_exit(0);
}

/* Two producers, one consumer that waits without end: every record. */
static void all_arrive(void)
{
	struct ring_buffer *rb = ring_buffer__new(ring_fd, deliver, NULL, NULL);
	pid_t pids[PRODUCERS];

	REQUIRE(rb);
	for (unsigned int i = 0; i < PRODUCERS; i++)
		pids[i] = start_producer(i, RECORDS);
	while (shared->got < PRODUCERS * RECORDS && !shared->wrong) {
		CHECK(ring_buffer__poll(rb, -1) >= 0);
		if (!rnd(20))
			usleep(rnd(500));
	}
	for (unsigned int i = 0; i < PRODUCERS; i++)
		waitpid(pids[i], NULL, 0);
	CHECK_EQ(shared->wrong, 0);
	CHECK_EQ(shared->again, 0);
	CHECK_EQ(ring_buffer__poll(rb, 0), 0);
	ring_buffer__free(rb);
}

/* A consumer process, killed as it likes: what it had taken is taken. */
static pid_t start_consumer(void)
{
	struct ring_buffer *rb;
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	rb = ring_buffer__new(ring_fd, deliver, NULL, NULL);
	REQUIRE(rb);
	for (;;)
		ring_buffer__poll(rb, rnd(3) ? -1 : (int)rnd(3));
}

/*
 * Records of a run that was killed arrive or not, and are sent again when they had not
 * been seen; a consumer that was killed may have counted one that the next one gets
 * again. None is missing.
 */
static void deaths(void)
{
	pid_t producers[PRODUCERS], consumer = start_consumer();
	unsigned int killed = 0;
	uint64_t before;

	for (unsigned int i = 0; i < PRODUCERS; i++)
		producers[i] = start_producer(i, UINT64_MAX);
	for (int round = 0; round < 150; round++) {
		unsigned int i = rnd(PRODUCERS);

		usleep(rnd(15000));
		if (rnd(2)) {
			kill(producers[i], SIGKILL);
			waitpid(producers[i], NULL, 0);
			usleep(1000);
			/* what came from the run that was killed is not sent again */
			if (shared->seen[i] > shared->returned[i])
				shared->returned[i] = shared->seen[i];
			producers[i] = start_producer(i, UINT64_MAX);
		} else {
			kill(consumer, SIGKILL);
			waitpid(consumer, NULL, 0);
			consumer = start_consumer();
		}
		killed++;
		/* and it goes on */
		before = shared->got;
		while (shared->got == before)
			usleep(100);
	}
	for (unsigned int i = 0; i < PRODUCERS; i++) {
		kill(producers[i], SIGKILL);
		waitpid(producers[i], NULL, 0);
	}
	kill(consumer, SIGKILL);
	waitpid(consumer, NULL, 0);
	CHECK_EQ(shared->wrong, 0);
	printf("%llu records, %u killed, %llu seen twice\n", (unsigned long long)shared->got,
	       killed, (unsigned long long)shared->again);
}

/* A user ring buffer: a producer that blocks when it is full, drainers that are killed. */
static pid_t start_drainer(void)
{
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	for (;;) {
		ring_run(DRAIN, 0, 0, 0);
		if (!rnd(100))
			usleep(rnd(2000));
	}
}

static void user_side(bool deaths)
{
	struct user_ring_buffer *rb = user_ring_buffer__new(user_ring_fd, NULL);
	uint64_t start = ring_vars->drain_next, wrong = ring_vars->drain_wrong, killed = 0;
	pid_t drainer = start_drainer();
	struct sample *s;

	REQUIRE(rb);
	for (uint64_t n = start; n < start + RECORDS; n++) {
		s = user_ring_buffer__reserve_blocking(rb, sizeof(*s), 60000);
		REQUIRE(s);
		s->seq = n;
		s->check = n * 3;
		user_ring_buffer__submit(rb, s);
		if (deaths && !rnd(3000)) {
			kill(drainer, SIGKILL);
			waitpid(drainer, NULL, 0);
			drainer = start_drainer();
			killed++;
		}
	}
	while (ring_vars->drain_next < start + RECORDS)
		usleep(100);
	kill(drainer, SIGKILL);
	waitpid(drainer, NULL, 0);
	/* a sample whose callback was killed is drained once more */
	CHECK(ring_vars->drain_wrong - wrong <= 3 * killed);
	printf("%llu samples, %llu drainers killed, %llu drained twice\n",
	       (unsigned long long)RECORDS, (unsigned long long)killed,
	       (unsigned long long)(ring_vars->drain_wrong - wrong));
	user_ring_buffer__free(rb);
}

int main(void)
{
	ring_load();
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(shared != MAP_FAILED);
	all_arrive();
	user_side(false);
	if (on_shmap()) {
		deaths();
		user_side(true);
	}
	return check_done();
}
