// SPDX-License-Identifier: BSD-2-Clause
/*
 * bpf_prog_info of the same program: what does not depend on generated code is
 * the kernel's, and shorter, longer and damaged requests get the kernel's answer.
 */
#include "both.h"
#include "sys/info.h"

#define LD_IMM64(d, s, v) INSN(BPF_LD | BPF_IMM | BPF_DW, d, s, 0, v), INSN(0, 0, 0, 0, 0)

struct loaded {
	int prog, array, hash;
	uint32_t array_id, hash_id;
};

static uint32_t map_id(enum side side, int fd)
{
	uint32_t info[24] = {0}, len = 80;

	REQUIRE(side_info(side, fd, info, &len) == 0);
	return info[1];
}

static struct loaded load(enum side side)
{
	struct loaded l;
	union sys_attr a;

	l.array = side_map(side, BPF_MAP_TYPE_ARRAY, 4, 64, 1);
	l.hash = side_map(side, BPF_MAP_TYPE_HASH, 4, 8, 16);
	REQUIRE(l.array >= 0 && l.hash >= 0);
	l.array_id = map_id(side, l.array);
	l.hash_id = map_id(side, l.hash);
	struct bpf_insn insns[] = {
		LD_MAP(1, BPF_PSEUDO_MAP_FD, l.hash, 0),
		LD_MAP(2, BPF_PSEUDO_MAP_VALUE, l.array, 48),
		LD_MAP(3, BPF_PSEUDO_MAP_FD, l.hash, 0),
		MOV_IMM(0, 7),
		EXIT(),
	};
	prog_attr_init(&a, BPF_PROG_TYPE_SOCKET_FILTER, insns, 8);
	strcpy(a.prog_load.prog_name, "info_of");
	l.prog = side_bpf(side, BPF_PROG_LOAD, &a);
	REQUIRE(l.prog >= 0);
	return l;
}

static void unload(enum side side, struct loaded *l)
{
	side_close(side, l->prog);
	side_close(side, l->array);
	side_close(side, l->hash);
}

static void check_full(enum side side, const struct loaded *l, struct prog_info *out)
{
	struct bpf_insn xlated[16] = {0};
	uint32_t ids[4] = {0}, len = sizeof(*out);
	uint8_t tags[8] = {0};

	memset(out, 0, sizeof(*out));
	out->nr_map_ids = 4;
	out->map_ids = (uintptr_t)ids;
	out->xlated_prog_len = sizeof(xlated);
	out->xlated_prog_insns = (uintptr_t)xlated;
	out->nr_prog_tags = 1;
	out->prog_tags = (uintptr_t)tags;
	CHECK_EQ(side_info(side, l->prog, out, &len), 0);
	CHECK_EQ(len, sizeof(*out));
	CHECK_EQ(out->type, BPF_PROG_TYPE_SOCKET_FILTER);
	CHECK(!strcmp(out->name, "info_of"));
	CHECK_EQ(out->nr_map_ids, 2);
	CHECK_EQ(ids[0], l->hash_id);
	CHECK_EQ(ids[1], l->array_id);
	CHECK_EQ(out->gpl_compatible & 1, 1);
	CHECK_EQ(out->created_by_uid, geteuid());
	CHECK(out->load_time > 0);
	CHECK_EQ(out->xlated_prog_len, 8 * sizeof(xlated[0]));
	CHECK_EQ(xlated[0].src_reg, BPF_PSEUDO_MAP_FD);
	CHECK_EQ(xlated[0].imm, l->hash_id);
	CHECK_EQ(xlated[1].imm, 0);
	CHECK_EQ(xlated[2].src_reg, BPF_PSEUDO_MAP_VALUE);
	CHECK_EQ(xlated[2].imm, l->array_id);
	CHECK_EQ(xlated[3].imm, 48);
	CHECK_EQ(xlated[6].imm, 7);
	CHECK_EQ(out->nr_prog_tags, 1);
	CHECK(!memcmp(tags, out->tag, 8));
	CHECK_EQ(out->btf_id, 0);
	CHECK_EQ(out->func_info_rec_size, 8);
	CHECK_EQ(out->line_info_rec_size, 16);
	CHECK_EQ(out->jited_line_info_rec_size, 8);
	CHECK_EQ(out->nr_func_info, 0);
	CHECK_EQ(out->nr_line_info, 0);
	CHECK_EQ(out->run_cnt, 0);
	CHECK_EQ(out->attach_btf_id, 0);
	CHECK_EQ(out->attach_btf_obj_id, 0);
}

/* Lengths, tails and bad pointers. */
static void check_requests(enum side side, const struct loaded *l)
{
	static uint8_t page[8192];
	struct prog_info *info = (struct prog_info *)page;
	uint32_t len, ids[2] = {0, 77};

	for (len = 0; len <= sizeof(*info); len += 4) {
		uint32_t got = len;

		memset(page, 0, sizeof(page));
		CHECK_EQ(side_info(side, l->prog, page, &got), 0);
		CHECK_EQ(got, len);
		CHECK(!page[len]);
	}
	memset(page, 0, sizeof(page));
	len = 4096;
	CHECK_EQ(side_info(side, l->prog, page, &len), 0);
	CHECK_EQ(len, sizeof(*info));
	len = 4097;
	CHECK_EQ(side_info(side, l->prog, page, &len), -E2BIG);
	memset(page, 0, sizeof(page));
	page[sizeof(*info)] = 1;
	len = sizeof(*info) + 8;
	CHECK_EQ(side_info(side, l->prog, page, &len), -E2BIG);
	len = sizeof(*info);
	CHECK_EQ(side_info(side, l->prog, (void *)8, &len), -EFAULT);

	memset(page, 0, sizeof(page));
	info->nr_map_ids = 1;
	info->map_ids = (uintptr_t)ids;
	CHECK_EQ(side_info(side, l->prog, page, &len), 0);
	CHECK_EQ(info->nr_map_ids, 2);
	CHECK_EQ(ids[0], l->hash_id);
	CHECK_EQ(ids[1], 77);
	memset(page, 0, sizeof(page));
	info->nr_map_ids = 1;
	info->map_ids = 8;
	CHECK_EQ(side_info(side, l->prog, page, &len), -EFAULT);
	memset(page, 0, sizeof(page));
	info->xlated_prog_len = 8;
	info->xlated_prog_insns = 8;
	CHECK_EQ(side_info(side, l->prog, page, &len), -EFAULT);
	memset(page, 0, sizeof(page));
	info->func_info_rec_size = 12;
	CHECK_EQ(side_info(side, l->prog, page, &len), -EINVAL);
	memset(page, 0, sizeof(page));
	info->nr_line_info = 1;
	CHECK_EQ(side_info(side, l->prog, page, &len), -EINVAL);
	memset(page, 0, sizeof(page));
	info->nr_func_info = 1;
	info->func_info_rec_size = 8;
	CHECK_EQ(side_info(side, l->prog, page, &len), 0);
}

/* Local calls: the distance is in off, the function's number in imm. */
static void check_calls(enum side side)
{
	struct bpf_insn insns[] = {
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 4),
		INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1),
		EXIT(),
		MOV_IMM(0, 1),
		EXIT(),
		MOV_IMM(0, 2),
		EXIT(),
	};
	struct bpf_insn xlated[7];
	struct prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd = side_load(side, BPF_PROG_TYPE_SOCKET_FILTER, insns, 7);

	REQUIRE(fd >= 0);
	info.xlated_prog_len = sizeof(xlated);
	info.xlated_prog_insns = (uintptr_t)xlated;
	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK_EQ(info.xlated_prog_len, sizeof(xlated));
	CHECK_EQ(xlated[0].off, 4);
	CHECK_EQ(xlated[0].imm, 2);
	CHECK_EQ(xlated[1].off, 1);
	CHECK_EQ(xlated[1].imm, 1);
	CHECK(!memcmp(&xlated[2], &insns[2], 5 * sizeof(insns[0])));
	side_close(side, fd);
}

static void check_by_id(enum side side, const struct loaded *l, uint32_t id)
{
	union sys_attr a = {0};
	struct prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd;

	a.id.prog_id = id;
	fd = side_bpf(side, BPF_PROG_GET_FD_BY_ID, &a);
	CHECK(fd >= 0);
	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK_EQ(info.id, id);
	side_close(side, fd);
	a.id.open_flags = 8;
	CHECK_EQ(side_bpf(side, BPF_PROG_GET_FD_BY_ID, &a), -EINVAL);
	a.id.open_flags = 0;
	a.id.prog_id = 0x7ffffff0;
	CHECK_EQ(side_bpf(side, BPF_PROG_GET_FD_BY_ID, &a), -ENOENT);
}

static void check_bind(enum side side, const struct loaded *l)
{
	int map = side_map(side, BPF_MAP_TYPE_ARRAY, 4, 4, 3);
	struct prog_info info = {0};
	uint32_t len = sizeof(info), ids[4] = {0};
	union sys_attr a = {0};

	REQUIRE(map >= 0);
	a.prog_bind_map.prog_fd = l->prog;
	a.prog_bind_map.map_fd = l->prog;
	CHECK_EQ(side_bpf(side, BPF_PROG_BIND_MAP, &a), -EINVAL);
	a.prog_bind_map.map_fd = 999;
	CHECK_EQ(side_bpf(side, BPF_PROG_BIND_MAP, &a), -EBADF);
	a.prog_bind_map.map_fd = map;
	a.prog_bind_map.prog_fd = map;
	CHECK_EQ(side_bpf(side, BPF_PROG_BIND_MAP, &a), -EINVAL);
	a.prog_bind_map.prog_fd = l->prog;
	a.prog_bind_map.flags = 1;
	CHECK_EQ(side_bpf(side, BPF_PROG_BIND_MAP, &a), -EINVAL);
	a.prog_bind_map.flags = 0;
	CHECK_EQ(side_bpf(side, BPF_PROG_BIND_MAP, &a), 0);
	CHECK_EQ(side_bpf(side, BPF_PROG_BIND_MAP, &a), 0); /* twice is once */
	a.prog_bind_map.map_fd = l->hash;
	CHECK_EQ(side_bpf(side, BPF_PROG_BIND_MAP, &a), 0);
	info.nr_map_ids = 4;
	info.map_ids = (uintptr_t)ids;
	CHECK_EQ(side_info(side, l->prog, &info, &len), 0);
	CHECK_EQ(info.nr_map_ids, 3);
	CHECK_EQ(ids[2], map_id(side, map));
	side_close(side, map);
}

int main(void)
{
	struct prog_info info[SIDES];
	int side;

	both_init();
	for (side = 0; side < (have_kernel ? SIDES : 1); side++) {
		struct loaded l = load(side);

		check_full(side, &l, &info[side]);
		check_requests(side, &l);
		check_by_id(side, &l, info[side].id);
		check_bind(side, &l);
		check_calls(side);
		unload(side, &l);
	}
	if (have_kernel)
		CHECK(!memcmp(info[OURS].tag, info[KERNEL].tag, 8));
	return check_done();
}
