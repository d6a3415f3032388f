/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * skeleton: the object is inside the executable, its globals are members of a
 * struct; skeleton.skel.h comes from `bpftool gen skeleton skeleton.bpf.o`.
 */
#include "example.h"
#include "skeleton.skel.h"

int main(void)
{
	struct skeleton_bpf *skel;
	int fd, passed = 0;

	libbpf_set_print(example_quiet);
	skel = skeleton_bpf__open();
	if (!skel)
		die("open");
	skel->rodata->longest = 100;
	if (skeleton_bpf__load(skel))
		die("load");
	fd = bpf_program__fd(skel->progs.measure);
	for (int len = 60; len < 160; len += 10)
		passed += example_run(fd, 0, len) == 2; /* XDP_PASS */
	printf("longest allowed %u: %d of 10 passed\n", skel->rodata->longest, passed);
	printf("packets %llu, bytes %llu, over the limit %llu\n", skel->bss->seen.packets,
	       skel->bss->seen.bytes, skel->data->limit_hits - 100);
	skel->bss->seen.packets = 0;
	example_run(fd, 0, 64);
	printf("packets after a reset: %llu\n", skel->bss->seen.packets);
	skeleton_bpf__destroy(skel);
	return 0;
}
