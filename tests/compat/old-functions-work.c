// SPDX-License-Identifier: BSD-2-Clause
/* The functions that libbpf 1.0 dropped, by shmap_compat.h: on shmap and on the kernel. */
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include "../check.h"
#include "libbpf.h"

static const struct bpf_insn return_3[] = {
	{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 3},
	{.code = BPF_JMP | BPF_EXIT},
};

static const struct bpf_insn return_r0[] = {
	{.code = BPF_JMP | BPF_EXIT},
};

static struct bpf_map_info info_of(int fd)
{
	struct bpf_map_info info = {0};
	__u32 len = sizeof(info);

	REQUIRE(fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len));
	return info;
}

static void check_maps(void)
{
	struct bpf_create_map_attr attr = {
		.name = "by_attr",
		.map_type = BPF_MAP_TYPE_LRU_HASH,
		.key_size = 8,
		.value_size = 24,
		.max_entries = 33,
	};
	__u32 key = 1, value = 7, next;
	struct bpf_map_info info;
	int fd, inner;

	inner = fd = bpf_create_map(BPF_MAP_TYPE_ARRAY, 4, 4, 2, 0);
	info = info_of(fd);
	CHECK(info.type == BPF_MAP_TYPE_ARRAY && info.max_entries == 2 && !info.name[0]);
	CHECK(!bpf_update_elem(fd, &key, &value, BPF_ANY));
	value = 0;
	CHECK(!bpf_lookup_elem(fd, &key, &value) && value == 7);
	CHECK(!bpf_get_next_key(fd, NULL, &next) && next == 0);
	CHECK(bpf_delete_elem(fd, &key) < 0 && errno == EINVAL);
	fd = bpf_create_map_name(BPF_MAP_TYPE_HASH, "named", 4, 8, 5, BPF_F_NO_PREALLOC);
	info = info_of(fd);
	CHECK(!strcmp(info.name, "named") && info.map_flags == BPF_F_NO_PREALLOC);
	fd = bpf_create_map_node(BPF_MAP_TYPE_HASH, "on_node", 4, 8, 5, 0, 0);
	CHECK_EQ(info_of(fd).map_flags, BPF_F_NUMA_NODE);
	fd = bpf_create_map_in_map(BPF_MAP_TYPE_HASH_OF_MAPS, "outer", 4, inner, 6, 0);
	info = info_of(fd);
	CHECK(info.type == BPF_MAP_TYPE_HASH_OF_MAPS && info.value_size == 4);
	fd = bpf_create_map_in_map_node(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", 4, inner, 6, 0, 0);
	CHECK_EQ(info_of(fd).map_flags, BPF_F_NUMA_NODE);
	info = info_of(bpf_create_map_xattr(&attr));
	CHECK(info.type == BPF_MAP_TYPE_LRU_HASH && info.key_size == 8 && info.value_size == 24 &&
	      info.max_entries == 33 && !strcmp(info.name, "by_attr"));
	CHECK(bpf_create_map(BPF_MAP_TYPE_ARRAY, 8, 4, 2, 0) < 0 && errno == EINVAL);
}

static void check_run(int fd)
{
	unsigned char packet[64] = {0}, out[64];
	__u32 size = sizeof(out), retval = 0, duration;

	REQUIRE(fd >= 0);
	CHECK(!bpf_prog_test_run(fd, 2, packet, sizeof(packet), out, &size, &retval, &duration));
	CHECK(retval == 3 && size == sizeof(packet));
}

static void check_programs(void)
{
	struct bpf_load_program_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.name = "by_attr",
		.insns = return_3,
		.insns_cnt = 2,
		.license = "GPL",
	};
	static char log[65536];

	check_run(bpf_load_program(BPF_PROG_TYPE_SOCKET_FILTER, return_3, 2, "GPL", 0, log,
				   sizeof(log)));
	CHECK(!log[0]);
	check_run(bpf_load_program_xattr(&attr, NULL, 0));
	/* the first years' five arguments, today's six */
	check_run(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, return_3, (int)sizeof(return_3), "GPL",
				0));
	check_run(bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "six", "GPL", return_3, 2, NULL));
	/* a refused one says why */
	CHECK(bpf_load_program(BPF_PROG_TYPE_SOCKET_FILTER, return_r0, 1, "GPL", 0, log,
			       sizeof(log)) < 0);
	CHECK(strstr(log, "R0 !read_ok"));
	check_run(bpf_verify_program(BPF_PROG_TYPE_SOCKET_FILTER, return_3, 2, 0, "GPL", 0, log,
				     sizeof(log), 1));
	CHECK(strstr(log, "processed 2 insns"));
	CHECK(bpf_load_btf("nonsense", 8, log, sizeof(log), true) < 0);
}

int main(void)
{
	check_maps();
	check_programs();
	return check_done();
}
