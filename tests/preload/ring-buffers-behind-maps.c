/* SPDX-License-Identifier: BSD-2-Clause */
/* A program finds ring buffers in an array of maps; libbpf's ring_buffer reads them all. */
#include <stdarg.h>
#include <stdint.h>
#include <bpf/libbpf.h>

#include "bpf.h"

static unsigned int got[2], sum;

static int deliver(void *ctx, void *data, size_t size)
{
	got[(uintptr_t)ctx]++;
	sum += *(uint32_t *)data;
	return 0;
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return level == LIBBPF_WARN ? vfprintf(stderr, fmt, ap) : 0;
}

int main(void)
{
	const char *dir = getenv("TEST_FILES");
	uint8_t packet[64] = {0};
	LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = packet, .data_size_in = sizeof(packet));
	struct bpf_object *obj;
	struct ring_buffer *rb;
	char path[256];
	int prog;

	snprintf(path, sizeof(path), "%s/ring-inner.bpf.o", dir ? dir : ".");
	libbpf_set_print(quiet);
	obj = bpf_object__open(path);
	REQUIRE(obj);
	REQUIRE(!bpf_object__load(obj));
	prog = bpf_program__fd(bpf_object__find_program_by_name(obj, "run"));
	rb = ring_buffer__new(bpf_object__find_map_fd_by_name(obj, "ring0"), deliver, (void *)0,
			      NULL);
	REQUIRE(rb);
	REQUIRE(!ring_buffer__add(rb, bpf_object__find_map_fd_by_name(obj, "ring1"), deliver,
				  (void *)1));
	for (int i = 1; i <= 100; i++) {
		REQUIRE(!bpf_prog_test_run_opts(prog, &o));
		CHECK_EQ(o.retval, 16 * i);
		CHECK_EQ(ring_buffer__poll(rb, -1), 3);
	}
	CHECK_EQ(got[0], 200);
	CHECK_EQ(got[1], 100);
	CHECK_EQ(sum, 3000);
	return check_done();
}
