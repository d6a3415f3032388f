/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records from programs to a reader through libbpf's perf_buffer: one child runs the
 * program on packets, the parent prints what arrives.
 *
 *	perf_buffer [OBJECT]
 */
#include <stdint.h>
#include <sys/wait.h>
#include "example.h"

#define PACKETS 5

struct record {
	uint32_t length;
	uint8_t first, pad[3];
	uint8_t packet[4];
};

static int received;
/* By packet: each CPU has a ring of its own, so records may come in another order. */
static struct record records[PACKETS];

static void on_record(void *ctx, int cpu, void *data, __u32 size)
{
	const struct record *r = data;

	if (size < sizeof(*r) || r->length < 60 || r->length >= 60 + PACKETS)
		return;
	records[r->length - 60] = *r;
	received++;
}

static void on_lost(void *ctx, int cpu, __u64 count)
{
	printf("%llu records lost\n", (unsigned long long)count);
}

int main(int argc, char **argv)
{
	const char *path = example_object(argc, argv, "perf_buffer");
	struct bpf_program *prog;
	struct bpf_object *obj = example_load(path, &prog);
	struct perf_buffer *pb;
	int status;
	pid_t pid;

	if (!prog)
		die("report");
	pb = perf_buffer__new(bpf_object__find_map_fd_by_name(obj, "records"), 4, on_record,
			      on_lost, NULL, NULL);
	if (!pb)
		die("perf_buffer__new");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		for (int i = 0; i < PACKETS; i++)
			if (example_run(bpf_program__fd(prog), 10 + i, 60 + i) != 2)
				_exit(1);
		_exit(0);
	}
	/* each record wakes us */
	while (received < PACKETS)
		if (perf_buffer__poll(pb, -1) < 0)
			die("perf_buffer__poll");
	if (waitpid(pid, &status, 0) != pid || status)
		die("the child");
	for (int i = 0; i < PACKETS; i++)
		printf("a packet of %u bytes that begins with %u %u\n", records[i].length,
		       records[i].first, records[i].packet[0]);
	perf_buffer__free(pb);
	bpf_object__close(obj);
	return 0;
}
