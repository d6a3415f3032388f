/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * prog-info: all of bpf_prog_info of prog-info.bpf.o's programs that does not depend on which code
 * was generated, line by line; on the kernel and on shmap alike.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(errno == EPERM ? 77 : 1);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

static struct bpf_prog_info short_info(int fd)
{
	struct bpf_prog_info info = {0};
	__u32 len = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &len))
		die("info");
	return info;
}

static void show_maps(const __u32 *ids, __u32 cnt)
{
	for (__u32 i = 0; i < cnt; i++) {
		struct bpf_map_info info = {0};
		__u32 len = sizeof(info);
		int fd = bpf_map_get_fd_by_id(ids[i]);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
			die("map");
		printf("  map %u: %s\n", i, info.name);
		close(fd);
	}
}

static void show_types(const struct bpf_prog_info *info, const struct bpf_func_info *funcs,
		       const struct bpf_line_info *lines)
{
	struct btf *btf = btf__load_from_kernel_by_id(info->btf_id);

	if (!btf)
		die("btf");
	for (__u32 i = 0; i < info->nr_func_info; i++) {
		const struct btf_type *t = btf__type_by_id(btf, funcs[i].type_id);

		printf("  function %u: %s%s\n", i, btf__name_by_offset(btf, t->name_off),
		       i || funcs[i].insn_off == 0 ? "" : " (not at 0)");
	}
	for (__u32 i = 0; i < info->nr_line_info; i++)
		printf("  line %u:%u: %s\n", BPF_LINE_INFO_LINE_NUM(lines[i].line_col),
		       BPF_LINE_INFO_LINE_COL(lines[i].line_col),
		       btf__name_by_offset(btf, lines[i].line_off));
	btf__free(btf);
}

static void show(struct bpf_program *p)
{
	struct bpf_func_info funcs[32];
	struct bpf_line_info lines[256];
	struct bpf_insn insns[1024];
	struct bpf_prog_info info = {0};
	__u32 maps[16], len = sizeof(info);
	unsigned char tags[8][8];
	struct timespec now;

	info.nr_map_ids = 16;
	info.map_ids = (uintptr_t)maps;
	info.nr_func_info = 32;
	info.func_info_rec_size = sizeof(funcs[0]);
	info.func_info = (uintptr_t)funcs;
	info.nr_line_info = 256;
	info.line_info_rec_size = sizeof(lines[0]);
	info.line_info = (uintptr_t)lines;
	info.nr_prog_tags = 8;
	info.prog_tags = (uintptr_t)tags;
	info.xlated_prog_len = sizeof(insns);
	info.xlated_prog_insns = (uintptr_t)insns;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len))
		die("info");
	clock_gettime(CLOCK_BOOTTIME, &now);
	printf("%s: type %u, length %u, tag ", info.name, info.type, len);
	for (int i = 0; i < 8; i++)
		printf("%02x", info.tag[i]);
	printf("\n  uid %s, gpl %u, ifindex %u, netns %llu %llu, attach_btf %u %u\n",
	       info.created_by_uid == getuid() ? "mine" : "not mine", info.gpl_compatible,
	       info.ifindex, info.netns_dev, info.netns_ino, info.attach_btf_obj_id,
	       info.attach_btf_id);
	printf("  loaded %s, id %s, insns %s, verified %s\n",
	       info.load_time && info.load_time < now.tv_sec * 1000000000ULL + now.tv_nsec
		       ? "before now"
		       : "never",
	       info.id ? "given" : "none", info.xlated_prog_len % 8 ? "odd" : "whole",
	       info.verified_insns ? "some" : "none");
	/* with branches, it depends on which states are found to be equal */
	if (!strcmp(info.name, "straight"))
		printf("  verified %u\n", info.verified_insns);
	printf("  tags %u, functions %u of %u bytes, lines %u of %u bytes, jited lines of %u\n",
	       info.nr_prog_tags, info.nr_func_info, info.func_info_rec_size, info.nr_line_info,
	       info.line_info_rec_size, info.jited_line_info_rec_size);
	if (info.nr_prog_tags == 1 && memcmp(tags[0], info.tag, 8))
		printf("  the one tag is another\n");
	for (__u32 i = 1; i < info.nr_func_info; i++)
		if (funcs[i].insn_off <= funcs[i - 1].insn_off ||
		    funcs[i].insn_off >= info.xlated_prog_len / 8)
			printf("  function %u is not where it should be\n", i);
	show_maps(maps, info.nr_map_ids);
	show_types(&info, funcs, lines);
}

static void run(int fd, int repeat)
{
	unsigned char packet[64] = {0};
	DECLARE_LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet,
			    .data_size_in = sizeof(packet), .repeat = repeat);

	if (bpf_prog_test_run_opts(fd, &opts))
		die("run");
}

/* Runs are counted while some process has the fd, whichever process runs the program. */
static void show_statistics(struct bpf_program *p)
{
	int fd = bpf_program__fd(p), stats, status;
	struct bpf_prog_info info;
	__u64 spent;

	run(fd, 3);
	info = short_info(fd);
	printf("%s: %llu runs, %s, missed %llu\n", info.name, info.run_cnt,
	       info.run_time_ns ? "some time" : "no time", info.recursion_misses);
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	if (stats < 0)
		die("BPF_ENABLE_STATS");
	run(fd, 1);
	run(fd, 300);
	info = short_info(fd);
	printf("%s: %llu runs, %s\n", info.name, info.run_cnt,
	       info.run_time_ns ? "some time" : "no time");
	spent = info.run_time_ns;
	fflush(stdout);
	if (!fork()) {
		close(stats); /* the parent has it still */
		run(fd, 7);
		_exit(0);
	}
	wait(&status);
	info = short_info(fd);
	printf("%s: %llu runs, %s\n", info.name, info.run_cnt,
	       info.run_time_ns > spent ? "more time" : "no more time");
	close(stats);
	spent = info.run_time_ns;
	run(fd, 5);
	info = short_info(fd);
	printf("%s: %llu runs, %s\n", info.name, info.run_cnt,
	       info.run_time_ns > spent ? "more time" : "no more time");
	if (bpf_enable_stats(7) >= 0 || errno != EINVAL)
		printf("a kind of statistics that there is not\n");
}

int main(int argc, char **argv)
{
	struct bpf_object *obj;
	struct bpf_program *p;

	char path[4096];

	snprintf(path, sizeof(path), "%s/prog-info.bpf.o", getenv("TEST_FILES") ?: ".");
	libbpf_set_print(quiet);
	obj = bpf_object__open(path);
	if (!obj || bpf_object__load(obj))
		die("load");
	bpf_object__for_each_program(p, obj)
	{
		show(p);
		show_statistics(p);
	}
	bpf_object__close(obj);
	return 0;
}
