/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libbpf attaches each kind of program by itself, with what it reads from
 * tracefs and sysfs and perf_event_open(2); the links live as long as their fds.
 */
#include <unistd.h>
#include <bpf/libbpf.h>

#include "bpf.h"

static int count_links(void)
{
	unsigned int id = 0, n = 0;

	while (!bpf_link_get_next_id(id, &id))
		n++;
	return n;
}

static void check_perf_files(void)
{
	char text[64] = "";
	int id = -1;
	FILE *f;

	f = fopen("/sys/kernel/tracing/events/syscalls/sys_enter_openat/id", "re");
	REQUIRE(f);
	CHECK_EQ(fscanf(f, "%d", &id), 1);
	CHECK(id > 0);
	fclose(f);
	CHECK_EQ(access("/sys/bus/event_source/devices/kprobe/type", R_OK), 0);
	CHECK_FAILS(access("/sys/bus/event_source/devices/kprobe/type", W_OK), EACCES);
	CHECK(!fopen("/sys/bus/event_source/devices/kprobe/type", "w"));
	f = fopen("/sys/bus/event_source/devices/kprobe/format/retprobe", "r");
	REQUIRE(f);
	CHECK(fgets(text, sizeof(text), f) && !strcmp(text, "config:0\n"));
	fclose(f);
	CHECK(!fopen("/sys/kernel/tracing/events/syscalls/sys_enter_nosuch/id", "r"));
}

int main(int argc, char **argv)
{
	struct bpf_link *links[16] = {0};
	struct bpf_program *prog;
	struct bpf_object *obj;
	char path[4096];
	int n = 0;

	if (!on_shmap())
		SKIP("for shmap only: kernels seldom permit tracing programs");
	check_perf_files();
	snprintf(path, sizeof(path), "%s/attach.bpf.o", getenv("TEST_FILES"));
	obj = bpf_object__open(path);
	REQUIRE(obj);
	REQUIRE(!bpf_object__load(obj));
	bpf_object__for_each_program(prog, obj)
	{
		links[n] = bpf_program__attach(prog);
		if (!links[n])
			fprintf(stderr, "%s\n", bpf_program__section_name(prog));
		CHECK(links[n]);
		if (links[n])
			CHECK(bpf_link__fd(links[n]) >= 0);
		n++;
	}
	CHECK_EQ(n, 10);
	CHECK_EQ(count_links(), n);
	for (int i = 0; i < n; i++)
		CHECK_EQ(bpf_link__destroy(links[i]), 0);
	CHECK_EQ(count_links(), 0);
	bpf_object__close(obj);
	return check_done();
}
