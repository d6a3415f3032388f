/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ringbuf [OBJECT]: one process runs a program that makes a record of each packet,
 * another one, which sleeps until there is one, prints them: libbpf's ring_buffer.
 */
#include <sys/wait.h>

#include "example.h"

#define PACKETS 200

struct packet {
	unsigned int number, length;
	unsigned char first, pad[7];
};

static unsigned int got;

static int print_packet(void *ctx, void *data, size_t size)
{
	const struct packet *p = data;

	if (got++ % 40 == 0)
		printf("packet %u: %u bytes, begins with %u\n", p->number, p->length, p->first);
	return 0;
}

int main(int argc, char **argv)
{
	struct bpf_program *prog;
	struct bpf_object *obj;
	struct ring_buffer *rb;
	struct bpf_map *map;
	pid_t producer;

	obj = example_load(example_object(argc, argv, "ringbuf"), &prog);
	map = bpf_object__find_map_by_name(obj, "packets");
	if (!map || !prog)
		die("packets");
	rb = ring_buffer__new(bpf_map__fd(map), print_packet, NULL, NULL);
	if (!rb)
		die("ring_buffer__new");
	fflush(stdout);
	producer = fork();
	if (producer < 0)
		die("fork");
	if (!producer) {
		for (int i = 0; i < PACKETS; i++)
			example_run(bpf_program__fd(prog), i % 16 ? i : 0xff, 64 + i);
		_exit(0);
	}
	/* every 16th was discarded */
	while (got < PACKETS - PACKETS / 16 - 1)
		if (ring_buffer__poll(rb, -1) < 0 && errno != EINTR)
			die("ring_buffer__poll");
	waitpid(producer, NULL, 0);
	printf("%u records\n", got);
	ring_buffer__free(rb);
	bpf_object__close(obj);
	return 0;
}
