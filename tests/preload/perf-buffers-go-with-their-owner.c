/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A perf buffer whose process has died: its events leave the map with the open file
 * description that they were put in through, programs get ENOENT, and another process
 * can take its place. With BPF_F_PRESERVE_ELEMS they stay. And a consumer that
 * sleeps is woken by each record, by poll and by epoll. On shmap and on the kernel.
 */
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>

#include "perf.h"

static int samples;

static void on_sample(void *ctx, int cpu, void *data, uint32_t size)
{
	CHECK(size >= sizeof(struct sample) && perf_whole(data));
	samples++;
}

/* The map by another open file description, as another process would open it. */
static int map_again(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);

	REQUIRE(!bpf_obj_get_info_by_fd(fd, &info, &len));
	return bpf_map_get_fd_by_id(info.id);
}

/* Until the death is noticed: at once by the kernel, within a bound by shmap. */
static int64_t write_after_death(void)
{
	double until = perf_now() + 5;
	int64_t error;

	do {
		if (!perf_write(0, 1, 1, &error))
			return error;
	} while (perf_now() < until);
	return 0;
}

static void consumer_dies(void)
{
	struct perf_buffer *pb;
	int ready[2], status;
	int64_t error = 0;
	pid_t pid;
	char c;

	CHECK_EQ(perf_write(0, 0, 1, &error), 0);
	CHECK_EQ(error, -ENOENT);
	REQUIRE(!pipe(ready));
	pid = fork();
	if (!pid) {
		int fd = map_again(perf_map);

		REQUIRE(fd >= 0);
		pb = perf_buffer__new(fd, 8, on_sample, NULL, NULL, NULL);
		if (write(ready[1], pb ? "1" : "0", 1) != 1 || !pb)
			_exit(1);
		for (;;)
			pause();
	}
	REQUIRE(read(ready[0], &c, 1) == 1);
	if (c == '0' && !on_shmap())
		SKIP("the kernel does not let us open perf events");
	REQUIRE(c == '1');
	CHECK_EQ(perf_write(0, 0, 10, NULL), 10);
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(write_after_death(), -ENOENT);
	/* and another one */
	pb = perf_buffer__new(perf_map, 8, on_sample, NULL, NULL, NULL);
	REQUIRE(pb);
	CHECK_EQ(perf_write(0, 0, 10, NULL), 10);
	while (samples < 10)
		REQUIRE(perf_buffer__poll(pb, 1000) >= 0);
	CHECK_EQ(samples, 10);
	perf_buffer__free(pb);
	CHECK_EQ(perf_write(0, 0, 1, &error), 0);
	CHECK_EQ(error, -ENOENT);
}

/* A child writes when the parent has gone to sleep; -1 waits for ever. */
static void sleeper_is_woken(void)
{
	struct perf_buffer *pb = perf_buffer__new(perf_map, 1, on_sample, NULL, NULL, NULL);
	int go[2], status;
	char c = 0;
	pid_t pid;

	REQUIRE(pb && !pipe(go));
	samples = 0;
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 300; i++) {
			if (read(go[0], &c, 1) != 1)
				_exit(1);
			if (i % 3 == 0)
				usleep(500); /* so that it sleeps; right without it too */
			if (perf_write(1, i, 1, NULL) != 1)
				_exit(2);
		}
		_exit(check_failures);
	}
	for (int i = 0; i < 300; i++) {
		int before = samples;

		REQUIRE(write(go[1], &c, 1) == 1);
		if (i % 2) {
			while (samples == before)
				REQUIRE(perf_buffer__poll(pb, -1) >= 0);
		} else {
			struct pollfd fds[64];
			int n = perf_buffer__buffer_cnt(pb);

			REQUIRE(n <= 64);
			while (samples == before) {
				for (int b = 0; b < n; b++)
					fds[b] =
						(struct pollfd){.fd = perf_buffer__buffer_fd(pb, b),
								.events = POLLIN};
				REQUIRE(poll(fds, n, -1) > 0);
				for (int b = 0; b < n; b++)
					if (fds[b].revents & POLLIN)
						perf_buffer__consume_buffer(pb, b);
			}
		}
	}
	CHECK_EQ(samples, 300);
	REQUIRE(waitpid(pid, &status, 0) == pid);
	CHECK_EQ(status, 0);
	perf_buffer__free(pb);
}

static void preserved(void)
{
	struct perf_buffer *pb;
	int map = make_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 64, BPF_F_PRESERVE_ELEMS);
	int again = map_again(map), plain = make_map(BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 64, 0);
	int plain_again = map_again(plain), fd, dup_fd;
	uint32_t key = 3;

	pb = perf_buffer__new(perf_map, 1, on_sample, NULL, NULL, NULL);
	REQUIRE(pb && again >= 0 && plain_again >= 0);
	fd = perf_buffer__buffer_fd(pb, 0);
	CHECK(!bpf_map_update_elem(map, &key, &fd, 0));
	CHECK(!bpf_map_update_elem(plain, &key, &fd, 0));
	dup_fd = dup(plain);
	close(map);
	close(plain);
	CHECK(!bpf_map_delete_elem(again, &key));
	/* the description lives in its copy */
	CHECK(!bpf_map_delete_elem(plain_again, &key));
	CHECK(!bpf_map_update_elem(dup_fd, &key, &fd, 0));
	close(dup_fd);
	CHECK_EQ(bpf_map_delete_elem(plain_again, &key), -ENOENT);
	close(again);
	close(plain_again);
	perf_buffer__free(pb);
}

int main(void)
{
	perf_load();
	consumer_dies();
	sleeper_is_woken();
	preserved();
	return check_done();
}
