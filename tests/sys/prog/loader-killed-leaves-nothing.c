// SPDX-License-Identifier: BSD-2-Clause
/*
 * A loader that makes BTF, maps, programs, links and perf events is killed
 * again and again at a random moment: afterwards nothing is left, and another
 * loader works beside the dead.
 */
#include <dirent.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <bpf/btf.h>

#include "both.h"
#include "shm/object.h"
#include "sys/calls.h"

static struct btf *btf;
static const void *blob;
static uint32_t blob_size;

static int load_counter(int map, int btf_fd)
{
	struct bpf_insn insns[] = {
		LD_MAP(1, BPF_PSEUDO_MAP_VALUE, map, 0),
		MOV_IMM(2, 1),
		INSN(BPF_STX | BPF_ATOMIC | BPF_DW, 1, 2, 0, BPF_ADD),
		MOV_IMM(0, 0),
		EXIT(),
	};
	static const uint32_t func[2] = {0, 3};
	union sys_attr a;

	prog_attr_init(&a, BPF_PROG_TYPE_KPROBE, insns, 6);
	a.prog_load.prog_btf_fd = btf_fd;
	a.prog_load.func_info = (uintptr_t)func;
	a.prog_load.func_info_cnt = 1;
	a.prog_load.func_info_rec_size = 8;
	return side_bpf(OURS, BPF_PROG_LOAD, &a);
}

static int attach(int prog)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_KPROBE,
		.config1 = (uintptr_t)CALL_PREFIX "mmap",
	};
	union sys_attr a = {0};
	int event = sys_perf_event_open(&attr, -1, 0, -1, 0), link;

	a.link_create.prog_fd = prog;
	a.link_create.target_fd = event;
	a.link_create.attach_type = BPF_PERF_EVENT;
	link = side_bpf(OURS, BPF_LINK_CREATE, &a);
	side_close(OURS, event);
	return link;
}

/* The other way to attach: the event itself becomes the link. */
static int attach_by_ioctl(int prog)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_KPROBE,
		.config1 = (uintptr_t)CALL_PREFIX "openat",
	};
	int event = sys_perf_event_open(&attr, -1, 0, -1, 0);
	long ret;

	if (event >= 0 && sys_perf_ioctl(event, PERF_EVENT_IOC_SET_BPF, prog, &ret))
		return -1;
	return event;
}

static int bind_another(int prog)
{
	int map = side_map(OURS, BPF_MAP_TYPE_HASH, 4, 8, 4), err;
	union sys_attr a = {0};

	a.prog_bind_map.prog_fd = prog;
	a.prog_bind_map.map_fd = map;
	err = side_bpf(OURS, BPF_PROG_BIND_MAP, &a);
	side_close(OURS, map);
	return err;
}

/* One round; 0, or the step that failed. */
static int work(void)
{
	union sys_attr a = {0};
	int map, fd, prog, link, event;

	map = side_map(OURS, BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	if (map < 0)
		return 1;
	a.btf_load.btf = (uintptr_t)blob;
	a.btf_load.btf_size = blob_size;
	fd = side_bpf(OURS, BPF_BTF_LOAD, &a);
	if (fd < 0)
		return 2;
	prog = load_counter(map, fd);
	side_close(OURS, map);
	side_close(OURS, fd);
	if (prog < 0)
		return 3;
	if (bind_another(prog))
		return 4;
	link = attach(prog);
	if (link < 0)
		return 5;
	event = attach_by_ioctl(prog);
	side_close(OURS, prog);
	if (event < 0)
		return 6;
	side_close(OURS, link);
	side_close(OURS, event);
	return 0;
}

static void loader(void)
{
	int failed;

	do
		failed = work();
	while (!failed);
	_exit(failed);
}

static int count_entries(const char *sub)
{
	char path[512];
	struct dirent *e;
	DIR *dir;
	int n = 0;

	snprintf(path, sizeof(path), "%s/%s", rundir_path(), sub);
	dir = opendir(path);
	REQUIRE(dir);
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

static void make_btf(void)
{
	int proto;

	btf = btf__new_empty();
	proto = btf__add_func_proto(btf, btf__add_int(btf, "int", 4, BTF_INT_SIGNED));
	REQUIRE(btf__add_func(btf, "counter", BTF_FUNC_STATIC, proto) == 3);
	blob = btf__raw_data(btf, &blob_size);
}

int main(void)
{
	const char *seconds = getenv("SHMAP_TEST_SECONDS");
	time_t end = time(NULL) + (seconds ? atoi(seconds) : 4);
	unsigned int seed = getpid(), kills = 0;
	int status;
	pid_t pid;

	check_private_rundir();
	make_btf();
	CHECK_EQ(work(), 0);
	while (time(NULL) < end) {
		pid = fork();
		REQUIRE(pid >= 0);
		if (!pid)
			loader();
		usleep(rand_r(&seed) % 3000);
		CHECK_EQ(work(), 0);
		kill(pid, SIGKILL);
		REQUIRE(waitpid(pid, &status, 0) == pid);
		if (WIFEXITED(status)) {
			fprintf(stderr, "the loader failed at step %d\n", WEXITSTATUS(status));
			check_failures++;
			break;
		}
		kills++;
	}
	printf("%u loaders killed\n", kills);
	object_collect_all();
	CHECK_EQ(count_entries("map"), 0);
	CHECK_EQ(count_entries("prog"), 0);
	CHECK_EQ(count_entries("btf"), 0);
	CHECK_EQ(count_entries("link"), 0);
	CHECK_EQ(count_entries("ref"), 0);
	btf__free(btf);
	return check_done();
}
