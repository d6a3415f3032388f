/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shmap_find() gives values in place, which stay in a section what they were, whoever deletes
 * them; shmap_modify() changes them; sections nest, and what read-only fds forbid is forbidden.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"
#include "locked.h"
#include "shmap.h"

static int add(void *value, void *arg)
{
	uint64_t v;

	memcpy(&v, value, 8);
	v += *(uint64_t *)arg;
	memcpy(value, &v, 8);
	return 0;
}

static int refuse(void *value, void *arg)
{
	memset(value, 0xff, 8);
	return 1;
}

static int make(enum bpf_map_type type, unsigned int value_size, unsigned int max)
{
	int fd = bpf_map_create(type, "m", 4, value_size, max, NULL);

	REQUIRE(fd >= 0);
	return fd;
}

static void check_array(void)
{
	int fd = make(BPF_MAP_TYPE_ARRAY, 8, 4);
	struct shmap_handle *h = shmap_handle_open(fd);
	uint64_t v, *p, five = 5;
	uint32_t k = 2, beyond = 4;

	REQUIRE(h);
	CHECK_EQ(h->key_size, 4);
	CHECK_EQ(h->value_size, 8);
	CHECK_EQ(shmap_section_begin(), 0);
	p = shmap_edit(h, &k);
	CHECK(p && !*p);
	CHECK(!shmap_find(h, &beyond) && !shmap_edit(h, &beyond));
	/* a store is seen by bpf(2), and the other way round */
	__atomic_store_n(p, 7, __ATOMIC_RELAXED);
	CHECK_EQ(bpf_map_lookup_elem(fd, &k, &v), 0);
	CHECK_EQ(v, 7);
	v = 8;
	CHECK_EQ(bpf_map_update_elem(fd, &k, &v, 0), 0);
	CHECK_EQ(*p, 8);
	CHECK_EQ(shmap_modify(h, &k, add, &five), 0);
	CHECK_EQ(*p, 13);
	CHECK_EQ(shmap_modify(h, &k, refuse, NULL), -ECANCELED);
	CHECK_EQ(*p, 13);
	CHECK_EQ(shmap_modify(h, &beyond, add, &five), -ENOENT);
	shmap_section_end();
	/* the handle keeps the map */
	close(fd);
	CHECK_EQ(shmap_section_begin(), 0);
	p = shmap_edit(h, &k);
	CHECK(p && *p == 13);
	shmap_section_end();
	shmap_handle_close(h);
}

static void check_hash(void)
{
	int fd = make(BPF_MAP_TYPE_HASH, 16, 64), i;
	struct shmap_handle *h = shmap_handle_open(fd);
	uint64_t v[2] = {1, 2};
	const uint64_t *p;
	uint32_t k = 1, other;
	pid_t pid;

	REQUIRE(h);
	CHECK_EQ(bpf_map_update_elem(fd, &k, v, 0), 0);
	CHECK_EQ(shmap_section_begin(), 0);
	p = shmap_find(h, &k);
	REQUIRE(p);
	CHECK(p[0] == 1 && p[1] == 2);
	other = 9;
	CHECK(!shmap_find(h, &other));
	/* another process deletes it and puts others in */
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		v[0] = v[1] = 99;
		if (bpf_map_delete_elem(fd, &k))
			_exit(1);
		for (i = 0; i < 40; i++) {
			other = 100 + (uint32_t)i;
			if (bpf_map_update_elem(fd, &other, v, 0))
				_exit(2);
		}
		_exit(0);
	}
	i = -1;
	CHECK_EQ(waitpid(pid, &i, 0), pid);
	CHECK_EQ(i, 0);
	CHECK(p[0] == 1 && p[1] == 2);
	shmap_section_end();
	CHECK_EQ(bpf_map_lookup_elem(fd, &k, v), -ENOENT);
	/* 16 bytes without a lock */
	CHECK_EQ(bpf_map_update_elem(fd, &k, v, 0), 0);
	CHECK_EQ(shmap_modify(h, &k, add, v), -EINVAL);
	shmap_handle_close(h);
	close(fd);
}

/* Small values stay as they are found, also by who may not write. */
static void check_small(void)
{
	LIBBPF_OPTS(bpf_obj_get_opts, opts, .file_flags = BPF_F_RDONLY);
	int fd = make(BPF_MAP_TYPE_HASH, 8, 64), ro;
	struct shmap_handle *h;
	uint64_t v = 1;
	const uint64_t *p;
	uint32_t k = 1;

	CHECK_EQ(bpf_map_update_elem(fd, &k, &v, 0), 0);
	REQUIRE(!bpf_obj_pin(fd, "/sys/fs/bpf/small"));
	ro = bpf_obj_get_opts("/sys/fs/bpf/small", &opts);
	REQUIRE(ro >= 0);
	h = shmap_handle_open(ro);
	REQUIRE(h);
	CHECK_EQ(shmap_section_begin(), 0);
	p = shmap_find(h, &k);
	REQUIRE(p);
	CHECK_EQ(*(volatile uint64_t *)p, 1);
	v = 2;
	CHECK_EQ(bpf_map_update_elem(fd, &k, &v, 0), 0);
	CHECK_EQ(*(volatile uint64_t *)p, 1);
	p = shmap_find(h, &k);
	REQUIRE(p);
	CHECK_EQ(*p, 2);
	shmap_section_end();
	shmap_handle_close(h);
	CHECK_EQ(unlink("/sys/fs/bpf/small"), 0);
	close(ro), close(fd);
}

static void check_percpu(enum bpf_map_type type)
{
	int cpus = libbpf_num_possible_cpus(), fd = make(type, 8, 4);
	uint64_t v[4096], one = 1, sum = 0, *p;
	struct shmap_handle *h = shmap_handle_open(fd);
	uint32_t k = 3;

	REQUIRE(h && cpus <= 4096);
	memset(v, 0, sizeof(v));
	CHECK_EQ(bpf_map_update_elem(fd, &k, v, 0), 0);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(shmap_modify(h, &k, add, &one), 0);
	CHECK_EQ(shmap_section_begin(), 0);
	p = shmap_edit(h, &k);
	REQUIRE(p);
	++*p;
	shmap_section_end();
	CHECK_EQ(bpf_map_lookup_elem(fd, &k, v), 0);
	for (int i = 0; i < cpus; i++)
		sum += v[i];
	CHECK_EQ(sum, 101);
	shmap_handle_close(h);
	close(fd);
}

static void check_locked(enum bpf_map_type type)
{
	int fd = locked_map(type, 8);
	struct shmap_handle *h = shmap_handle_open(fd);
	struct locked v = {.w = {1, 2, 3}};
	uint32_t k = 2, absent = 77;
	uint64_t n = 10;

	REQUIRE(h);
	CHECK_EQ(bpf_map_update_elem(fd, &k, &v, 0), 0);
	CHECK_EQ(shmap_modify(h, &k, locked_add, &n), 0);
	CHECK_EQ(bpf_map_lookup_elem_flags(fd, &k, &v, BPF_F_LOCK), 0);
	CHECK(v.w[0] == 11 && v.w[1] == 12 && v.w[2] == 13);
	CHECK_EQ(shmap_modify(h, &k, refuse, NULL), -ECANCELED);
	CHECK_EQ(bpf_map_lookup_elem_flags(fd, &k, &v, BPF_F_LOCK), 0);
	CHECK(v.w[0] == 11 && v.w[1] == 12 && v.w[2] == 13);
	CHECK_EQ(shmap_modify(h, &absent, locked_add, &n), -ENOENT);
	shmap_handle_close(h);
	close(fd);
}

static volatile int nested;

static void on_signal(int sig)
{
	nested = shmap_section_begin();
	if (!nested)
		shmap_section_end();
}

static void check_sections(void)
{
	int fd = make(BPF_MAP_TYPE_HASH, 8, 4), status;
	struct shmap_handle *h = shmap_handle_open(fd);
	uint64_t v = 4;
	const uint64_t *p;
	uint32_t k = 1;
	pid_t pid;

	REQUIRE(h);
	CHECK_EQ(bpf_map_update_elem(fd, &k, &v, 0), 0);
	/* without a section an end is nothing */
	shmap_section_end();
	for (int i = 0; i < 3; i++)
		CHECK_EQ(shmap_section_begin(), 0);
	shmap_section_end();
	shmap_section_end();
	p = shmap_find(h, &k);
	CHECK(p && *p == 4);
	CHECK_EQ(bpf_map_delete_elem(fd, &k), 0);
	CHECK_EQ(*p, 4);
	signal(SIGUSR1, on_signal);
	nested = 1;
	raise(SIGUSR1);
	CHECK_EQ(nested, 0);
	/* a child is in no section of its parent's */
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		shmap_section_end();
		if (shmap_section_begin())
			_exit(1);
		shmap_section_end();
		/* and one that dies inside keeps nobody */
		if (shmap_section_begin() || shmap_section_begin())
			_exit(2);
		raise(SIGKILL);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	shmap_section_end();
	for (int i = 0; i < 1000; i++) {
		CHECK_EQ(shmap_section_begin(), 0);
		shmap_section_end();
	}
	shmap_handle_close(h);
	close(fd);
}

static void check_access(void)
{
	LIBBPF_OPTS(bpf_map_create_opts, rdonly, .map_flags = BPF_F_RDONLY);
	LIBBPF_OPTS(bpf_map_create_opts, wronly, .map_flags = BPF_F_WRONLY);
	int ro = bpf_map_create(BPF_MAP_TYPE_ARRAY, "r", 4, 8, 4, &rdonly);
	int wo = bpf_map_create(BPF_MAP_TYPE_ARRAY, "w", 4, 8, 4, &wronly);
	int queue = bpf_map_create(BPF_MAP_TYPE_QUEUE, "q", 0, 8, 8, NULL);
	struct shmap_handle *h = shmap_handle_open(ro);
	uint64_t one = 1;
	const uint64_t *p;
	uint32_t k = 0;
	int status;
	pid_t pid;

	REQUIRE(h);
	CHECK_EQ(shmap_modify(h, &k, add, &one), -EPERM);
	CHECK_EQ(errno, EPERM);
	CHECK_EQ(shmap_section_begin(), 0);
	p = shmap_find(h, &k);
	CHECK(p && !*p);
	shmap_section_end();
	/* its memory is read-only */
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		*(uint64_t *)shmap_edit(h, &k) = 1;
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	shmap_handle_close(h);
	CHECK(!shmap_handle_open(wo) && errno == EPERM);
	CHECK(!shmap_handle_open(queue) && errno == EOPNOTSUPP);
	CHECK(!shmap_handle_open(-1) && errno == EBADF);
	CHECK(!shmap_handle_open(0) && errno == EINVAL);
	close(ro), close(wo), close(queue);
}

int main(void)
{
	REQUIRE(shmap_handle_open);
	REQUIRE(freopen("/dev/null", "r", stdin));
	check_array();
	check_hash();
	check_small();
	check_percpu(BPF_MAP_TYPE_PERCPU_ARRAY);
	check_percpu(BPF_MAP_TYPE_PERCPU_HASH);
	check_percpu(BPF_MAP_TYPE_LRU_PERCPU_HASH);
	check_locked(BPF_MAP_TYPE_ARRAY);
	check_locked(BPF_MAP_TYPE_HASH);
	check_sections();
	check_access();
	return check_done();
}
