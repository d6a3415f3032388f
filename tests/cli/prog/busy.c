/* SPDX-License-Identifier: BSD-2-Clause */
/* Two processes that use maps of many kinds, for `shmap top` to show, until standard input ends:
 * an LRU map that evicts, a ring that is emptied too seldom, a map that both lock. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include "shmap.h"

static int requests, sessions, latency, jobs, config, events, program;
static uint64_t *counts;

static int make(enum bpf_map_type type, const char *name, uint32_t key, uint32_t value,
		uint32_t entries, uint32_t flags)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = flags);
	int fd = bpf_map_create(type, name, key, value, entries, &opts);

	if (fd < 0)
		exit(1);
	return fd;
}

/* Outputs a record of 8 bytes. */
static int load(void)
{
	const struct bpf_insn insns[] = {
		{BPF_ST | BPF_MEM | BPF_DW, 10, 0, -8, 7},
		{BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, events},
		{0},
		{BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0},
		{BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -8},
		{BPF_ALU64 | BPF_MOV | BPF_K, 3, 0, 0, 8},
		{BPF_ALU64 | BPF_MOV | BPF_K, 4, 0, 0, 0},
		{BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output},
		{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0},
		{BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "report", "GPL", insns,
			       sizeof(insns) / sizeof(insns[0]), NULL);

	if (fd < 0)
		exit(1);
	return fd;
}

/* Small numbers more often than large ones. */
static uint32_t some(uint32_t n)
{
	return (uint32_t)rand() % ((uint32_t)rand() % n + 1);
}

static void nap(void)
{
	struct timespec t = {.tv_nsec = 1000000};

	nanosleep(&t, NULL);
}

static void once(void)
{
	uint8_t packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet),
		    .repeat = 3);
	uint64_t v = 0, pair[2] = {0};
	uint32_t key;

	for (int i = 0; i < 20; i++) {
		key = some(40);
		bpf_map_lookup_elem(requests, &key, &v);
		v++;
		bpf_map_update_elem(requests, &key, &v, BPF_ANY);
		__atomic_fetch_add(&counts[some(64)], 1 + some(300), __ATOMIC_RELAXED);
	}
	for (int i = 0; i < 4; i++) {
		key = (uint32_t)rand();
		bpf_map_update_elem(sessions, &key, pair, BPF_ANY);
		bpf_map_update_elem(jobs, NULL, pair, BPF_ANY);
	}
	for (int i = 0; i < 3; i++)
		bpf_map_lookup_and_delete_elem(jobs, NULL, pair);
	bpf_prog_test_run_opts(program, &opts);
	if (!bpf_map_lock(config, 0)) {
		key = 0;
		bpf_map_update_elem(config, &key, &v, BPF_ANY);
		nap(); /* so that the other one waits */
		bpf_map_unlock(config, 0);
	}
	nap();
}

static int take(void *ctx, void *data, size_t size)
{
	return 0;
}

int main(void)
{
	struct ring_buffer *ring;
	struct pollfd in = {.fd = 0, .events = POLLIN};
	pid_t child;

	requests = make(BPF_MAP_TYPE_HASH, "requests", 4, 8, 1024, 0);
	sessions = make(BPF_MAP_TYPE_LRU_HASH, "sessions", 4, 16, 500, 0);
	latency = make(BPF_MAP_TYPE_ARRAY, "latency", 4, 8, 64, BPF_F_MMAPABLE);
	jobs = make(BPF_MAP_TYPE_QUEUE, "jobs", 0, 16, 1000, 0);
	config = make(BPF_MAP_TYPE_HASH, "config", 4, 8, 16, 0);
	events = make(BPF_MAP_TYPE_RINGBUF, "events", 0, 0, 4096, 0);
	program = load();
	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, latency, 0);
	ring = ring_buffer__new(events, take, NULL, NULL);
	if (counts == MAP_FAILED || !ring)
		return 1;
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (srand(2);;)
			once();
	}
	srand(1);
	for (int i = 0; !poll(&in, 1, 0); i++) {
		once();
		if (i % 64 == 0)
			ring_buffer__consume(ring);
	}
	kill(child, SIGKILL);
	return 0;
}
