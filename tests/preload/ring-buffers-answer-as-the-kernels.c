/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One process, libbpf's ring_buffer and user_ring_buffer: what is delivered, what
 * the kernel's protocol leaves in the pages, and what poll, epoll and select say.
 */
#include <poll.h>
#include <sys/select.h>

#include "ring.h"

static uint64_t next, got, wrong;

static int deliver(void *ctx, void *data, size_t size)
{
	const struct sample *s = data;

	wrong += size != sizeof(*s) || s->seq != next || s->check != s->seq * 3;
	next = s->seq + 1;
	got++;
	return 0;
}

static int poll_of(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n = poll(&p, 1, 0);

	return n < 0 ? n : n ? p.revents : 0;
}

static int select_of(int fd, int write)
{
	struct timeval now = {0, 0};
	fd_set set;

	FD_ZERO(&set);
	FD_SET(fd, &set);
	return select(fd + 1, write ? NULL : &set, write ? &set : NULL, NULL, &now);
}

static uint64_t *page(int fd, int number, int prot)
{
	uint64_t *p = mmap(NULL, 4096, prot, MAP_SHARED, fd, number * 4096L);

	REQUIRE(p != MAP_FAILED);
	return p;
}

static void pages_are_the_kernels(void)
{
	char *all = mmap(NULL, 4096 + 2 * 65536, PROT_READ, MAP_SHARED, ring_fd, 4096);
	uint64_t *cons = page(ring_fd, 0, PROT_READ | PROT_WRITE);
	uint32_t *header;

	REQUIRE(all != MAP_FAILED);
	CHECK_EQ(ring_run(SUBMIT, 0, 3, 0), 3);
	CHECK_EQ(*(uint64_t *)all, 3 * 24);
	header = (uint32_t *)(all + 4096);
	CHECK_EQ(header[0], 16);
	CHECK_EQ(header[1] & 0x3fffffff, 3);
	CHECK(!memcmp(all + 4096, all + 4096 + 65536, 65536));
	CHECK_FAILS((long)mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, ring_fd, 4096), EPERM);
	CHECK_FAILS((long)mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, ring_fd, 0), EPERM);
	CHECK_FAILS((long)mmap(NULL, 8192 + 2 * 65536, PROT_READ, MAP_SHARED, ring_fd, 4096),
		    EINVAL);
	CHECK_FAILS((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, ring_fd, 0), EINVAL);
	CHECK_FAILS((long)mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, user_ring_fd, 0), EPERM);
	CHECK_FAILS(mprotect(all, 4096, PROT_READ | PROT_WRITE), EACCES);
	/* records that wrap round the end lie in one piece */
	*cons = 3 * 24;
	for (int i = 0; i < 65536 / 24 + 5; i++) {
		struct sample *s;

		CHECK_EQ(ring_run(SUBMIT, 1000 + i, 1, 0), 1);
		s = (void *)(all + 4096 + (*cons & 65535) + 8);
		CHECK_EQ(s->seq, 1000 + i);
		CHECK_EQ(s->check, (1000 + i) * 3);
		*cons += 24;
	}
	munmap(all, 4096 + 2 * 65536);
	munmap(cons, 4096);
}

static void queries_and_limits(void)
{
	struct command c = {.op = QUERY};
	int room = 65535 / 24;

	CHECK_EQ(ring_command(&c), 0);
	CHECK_EQ(c.results[0], 0);
	CHECK_EQ(c.results[1], 65536);
	CHECK_EQ(c.results[2], c.results[3]);
	CHECK_EQ(ring_run(SUBMIT, 0, room + 10, 0), room);
	CHECK_EQ(ring_run(OUTPUT, 0, 1, 0), -EAGAIN);
	CHECK_EQ(ring_run(OUTPUT, 0, 1, 4), -EINVAL);
	CHECK_EQ(ring_command(&c), 0);
	CHECK_EQ(c.results[0], room * 24);
}

static void libbpf_delivers(void)
{
	struct ring_buffer *rb = ring_buffer__new(ring_fd, deliver, NULL, NULL);

	REQUIRE(rb);
	next = got = wrong = 0;
	CHECK_EQ(ring_buffer__poll(rb, 0), 65535 / 24);
	CHECK_EQ(ring_buffer__poll(rb, 0), 0);
	CHECK_EQ(ring_run(SUBMIT, next, 100, 0), 100);
	CHECK_EQ(ring_buffer__poll(rb, -1), 100);
	CHECK_EQ(ring_run(DISCARD, 0, 100, 0), 100);
	CHECK_EQ(ring_buffer__consume(rb), 0);
	CHECK_EQ(ring_run(OUTPUT, next, 50, 0), 50);
	CHECK_EQ(ring_run(DYNPTR, next + 50, 50, 0), 50);
	CHECK_EQ(ring_buffer__poll(rb, 0), 100);
	CHECK_EQ(wrong, 0);
	/* nobody is told */
	CHECK_EQ(ring_buffer__poll(rb, 0), 0);
	CHECK_EQ(ring_run(SUBMIT, next, 3, BPF_RB_NO_WAKEUP), 3);
	CHECK_EQ(ring_buffer__poll(rb, 20), 0);
	CHECK_EQ(poll_of(ring_fd, POLLIN), POLLIN);
	/* nor now, as the consumer is behind */
	CHECK_EQ(ring_run(SUBMIT, next + 3, 1, 0), 1);
	CHECK_EQ(ring_buffer__poll(rb, 20), 0);
	CHECK_EQ(ring_run(SUBMIT, next + 4, 1, BPF_RB_FORCE_WAKEUP), 1);
	CHECK_EQ(ring_buffer__poll(rb, -1), 5);
	CHECK_EQ(ring_run(SUBMIT, next, 2, BPF_RB_NO_WAKEUP), 2);
	CHECK_EQ(ring_buffer__consume(rb), 2);
	CHECK_EQ(wrong, 0);
	ring_buffer__free(rb);
}

static int wait_for(int ep, struct epoll_event *e)
{
	memset(e, 0, sizeof(*e));
	return epoll_wait(ep, e, 1, 0);
}

static void levels(void)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = 0x123456789abcdefull};
	uint64_t *cons = page(ring_fd, 0, PROT_READ | PROT_WRITE);
	uint64_t *prod = page(ring_fd, 1, PROT_READ);
	int ep = epoll_create1(EPOLL_CLOEXEC);

	REQUIRE(ep >= 0);
	CHECK_EQ(*cons, *prod);
	CHECK_EQ(poll_of(ring_fd, POLLIN | POLLOUT), 0);
	CHECK_EQ(select_of(ring_fd, 0), 0);
	CHECK_EQ(poll_of(user_ring_fd, POLLIN | POLLOUT), POLLOUT);
	CHECK_EQ(select_of(user_ring_fd, 1), 1);
	CHECK_EQ(select_of(user_ring_fd, 0), 0);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, ring_fd, &e), 0);
	CHECK_FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, ring_fd, &e), EEXIST);
	CHECK_FAILS(epoll_ctl(ep, EPOLL_CTL_MOD, user_ring_fd, &e), ENOENT);
	CHECK_EQ(wait_for(ep, &e), 0);
	CHECK_EQ(ring_run(SUBMIT, 0, 1, 0), 1);
	for (int i = 0; i < 3; i++) { /* as long as it lies there */
		CHECK_EQ(epoll_wait(ep, &e, 1, -1), 1);
		CHECK_EQ(e.events, EPOLLIN);
		CHECK_EQ(e.data.u64, 0x123456789abcdefull);
	}
	CHECK_EQ(poll_of(ring_fd, POLLIN | POLLRDNORM), POLLIN | POLLRDNORM);
	CHECK_EQ(select_of(ring_fd, 0), 1);
	CHECK_EQ(select_of(ring_fd, 1), 0);
	*cons = *prod;
	CHECK_EQ(wait_for(ep, &e), 0);
	/* edge-triggered: once for each */
	e.events = EPOLLIN | EPOLLET;
	e.data.u64 = 5;
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, ring_fd, &e), 0);
	CHECK_EQ(wait_for(ep, &e), 0);
	CHECK_EQ(ring_run(SUBMIT, 0, 1, 0), 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, -1), 1);
	CHECK_EQ(e.data.u64, 5);
	CHECK_EQ(wait_for(ep, &e), 0);
	*cons = *prod;
	CHECK_EQ(wait_for(ep, &e), 0);
	CHECK_EQ(ring_run(SUBMIT, 0, 1, 0), 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, -1), 1);
	/* once, until it is asked for again */
	e.events = EPOLLIN | EPOLLONESHOT;
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, ring_fd, &e), 0);
	CHECK_EQ(epoll_wait(ep, &e, 1, -1), 1);
	CHECK_EQ(wait_for(ep, &e), 0);
	e.events = EPOLLIN | EPOLLONESHOT;
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, ring_fd, &e), 0);
	*cons = *prod;
	CHECK_EQ(wait_for(ep, &e), 0);
	CHECK_EQ(ring_run(SUBMIT, 0, 1, 0), 1);
	CHECK_EQ(epoll_wait(ep, &e, 1, -1), 1);
	CHECK_EQ(wait_for(ep, &e), 0);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_DEL, ring_fd, NULL), 0);
	CHECK_FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, ring_fd, NULL), ENOENT);
	e.events = EPOLLOUT;
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, ring_fd, &e), 0);
	CHECK_EQ(wait_for(ep, &e), 0);
	*cons = *prod;
	close(ep);
	munmap(cons, 4096);
	munmap(prod, 4096);
}

static void user_ring(void)
{
	struct user_ring_buffer *rb = user_ring_buffer__new(user_ring_fd, NULL);
	struct sample *s;
	uint64_t seq = 0;
	int n;

	REQUIRE(rb);
	CHECK_EQ(ring_run(DRAIN, 0, 0, 0), 0);
	CHECK_EQ(ring_run(DRAIN, 0, 0, 4), -EINVAL);
	for (int round = 0; round < 5; round++) {
		n = 0;
		for (int i = 0; (s = user_ring_buffer__reserve(rb, sizeof(*s))); i++) {
			s->seq = seq;
			s->check = seq * 3;
			if (i % 7 == 3) {
				user_ring_buffer__discard(rb, s);
			} else {
				user_ring_buffer__submit(rb, s);
				seq++;
				n++;
			}
		}
		CHECK_EQ(errno, ENOSPC);
		CHECK(!user_ring_buffer__reserve_blocking(rb, sizeof(*s), 5));
		CHECK_EQ(ring_run(DRAIN, 0, 0, round == 3 ? BPF_RB_NO_WAKEUP : 0), n);
		CHECK_EQ(poll_of(user_ring_fd, POLLOUT), POLLOUT);
		CHECK_EQ(ring_vars->drain_wrong, 0);
		CHECK_EQ(ring_vars->drained, seq);
		/* what came before the first byte is still busy */
		s = user_ring_buffer__reserve(rb, sizeof(*s));
		REQUIRE(s);
		CHECK_EQ(ring_run(DRAIN, 0, 0, 0), 0);
		user_ring_buffer__discard(rb, s);
		CHECK_EQ(ring_run(DRAIN, 0, 0, 0), 0);
	}
	/* a callback that has enough */
	for (int i = 0; i < 10; i++) {
		s = user_ring_buffer__reserve(rb, sizeof(*s));
		REQUIRE(s);
		s->seq = seq;
		s->check = seq++ * 3;
		user_ring_buffer__submit(rb, s);
	}
	ring_vars->drain_stop = ring_vars->drained + 4;
	CHECK_EQ(ring_run(DRAIN, 0, 0, 0), 4);
	ring_vars->drain_stop = 0;
	CHECK_EQ(ring_run(DRAIN, 0, 0, 0), 6);
	CHECK_EQ(ring_vars->drain_wrong, 0);
	user_ring_buffer__free(rb);
}

/* What a client may have written into its pages. */
static void damaged_user_rings(void)
{
	uint64_t *prod = page(user_ring_fd, 1, PROT_READ | PROT_WRITE), was = *prod;
	uint32_t *header =
		(void *)page(user_ring_fd, 2 + (was & 65535) / 4096, PROT_READ | PROT_WRITE);

	header += (was & 4095) / 4;
	*prod = was + 12;
	CHECK_EQ(ring_run(DRAIN, 0, 0, 0), -EINVAL);
	*prod = was + 16;
	*header = 1000;
	CHECK_EQ(ring_run(DRAIN, 0, 0, 0), -EINVAL);
	*prod = was + (1 << 30);
	*header = 100000;
	CHECK_EQ(ring_run(DRAIN, 0, 0, 0), -E2BIG);
	*header = 3u << 30;
	*prod = was + 8;
	CHECK_EQ(ring_run(DRAIN, 0, 0, 0), 0);
	*prod = was;
	CHECK_EQ(ring_run(DRAIN, 0, 0, 0), 0);
	CHECK_EQ(poll_of(user_ring_fd, POLLOUT), 0);
	*prod = was + 8;
	CHECK_EQ(poll_of(user_ring_fd, POLLOUT), POLLOUT);
}

int main(void)
{
	ring_load();
	pages_are_the_kernels();
	queries_and_limits();
	libbpf_delivers();
	levels();
	user_ring();
	damaged_user_rings();
	return check_done();
}
