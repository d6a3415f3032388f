// SPDX-License-Identifier: BSD-2-Clause
/*
 * References from instructions to maps: each form, each refusal, and the line
 * in the log that says why.
 */
#include "both.h"

static char log_buf[65536];

struct fds {
	int array1, array2, hash;
	int32_t list[2];
};

static long load(enum side side, const struct bpf_insn *ref, const int32_t *fd_array, uint32_t cnt)
{
	struct bpf_insn insns[] = {ref[0], ref[1], MOV_IMM(0, 0), EXIT()};
	union sys_attr a;
	long ret;

	prog_attr_init(&a, BPF_PROG_TYPE_SOCKET_FILTER, insns, 4);
	a.prog_load.log_buf = (uintptr_t)log_buf;
	a.prog_load.log_size = sizeof(log_buf);
	a.prog_load.log_level = 1;
	a.prog_load.fd_array = (uintptr_t)fd_array;
	a.prog_load.fd_array_cnt = cnt;
	memset(log_buf, 0, 64);
	ret = side_bpf(side, BPF_PROG_LOAD, &a);
	if (ret < 0)
		return ret;
	side_close(side, ret);
	return 0;
}

static void refused(enum side side, struct bpf_insn a, struct bpf_insn b, const int32_t *fds,
		    int err, const char *line)
{
	struct bpf_insn ref[2] = {a, b};
	long ret = load(side, ref, fds, 0);

	if (ret != err || !strstr(log_buf, line)) {
		fprintf(stderr, "%s: src %d gives %ld, not %d, \"%.60s\" not \"%s\"\n",
			side_name[side], a.src_reg, ret, err, log_buf, line);
		check_failures++;
	}
}

static void accepted(enum side side, struct bpf_insn a, struct bpf_insn b, const int32_t *fds,
		     uint32_t cnt)
{
	struct bpf_insn ref[2] = {a, b};
	long ret = load(side, ref, fds, cnt);

	if (ret) {
		fprintf(stderr, "%s: src %d gives %ld: %.60s\n", side_name[side], a.src_reg, ret,
			log_buf);
		check_failures++;
	}
}

#define LOAD(src, fd) INSN(BPF_LD | BPF_IMM | BPF_DW, 1, src, 0, fd)
#define SECOND(off) INSN(0, 0, 0, 0, off)
#define INVALID_ACCESS "invalid access to map value pointer"

static void check_side(enum side side)
{
	struct fds f = {
		.array1 = side_map(side, BPF_MAP_TYPE_ARRAY, 4, 24, 1),
		.array2 = side_map(side, BPF_MAP_TYPE_ARRAY, 4, 24, 2),
		.hash = side_map(side, BPF_MAP_TYPE_HASH, 4, 24, 2),
	};
	int prog = side_load(side, BPF_PROG_TYPE_SOCKET_FILTER, return_0, 2);

	REQUIRE(f.array1 >= 0 && f.array2 >= 0 && f.hash >= 0 && prog >= 0);
	f.list[0] = f.hash;
	f.list[1] = f.array1;
	accepted(side, LOAD(BPF_PSEUDO_MAP_FD, f.hash), SECOND(0), NULL, 0);
	accepted(side, LOAD(BPF_PSEUDO_MAP_VALUE, f.array1), SECOND(0), NULL, 0);
	accepted(side, LOAD(BPF_PSEUDO_MAP_VALUE, f.array1), SECOND(23), NULL, 0);
	accepted(side, LOAD(BPF_PSEUDO_MAP_IDX, 0), SECOND(0), f.list, 0);
	accepted(side, LOAD(BPF_PSEUDO_MAP_IDX_VALUE, 1), SECOND(8), f.list, 0);
	accepted(side, LOAD(BPF_PSEUDO_MAP_IDX_VALUE, 1), SECOND(8), f.list, 2);
	accepted(side, LOAD(0, 77), SECOND(78), NULL, 0);

	refused(side, LOAD(BPF_PSEUDO_MAP_FD, 999), SECOND(0), NULL, -EBADF,
		"fd 999 is not pointing to valid bpf_map");
	refused(side, LOAD(BPF_PSEUDO_MAP_FD, prog), SECOND(0), NULL, -EINVAL,
		"is not pointing to valid bpf_map");
	refused(side, LOAD(BPF_PSEUDO_MAP_FD, f.hash), SECOND(1), NULL, -EINVAL,
		"unrecognized bpf_ld_imm64 insn");
	refused(side, LOAD(BPF_PSEUDO_MAP_IDX, 0), SECOND(1), f.list, -EINVAL,
		"unrecognized bpf_ld_imm64 insn");
	refused(side, LOAD(7, 0), SECOND(0), NULL, -EINVAL, "unrecognized bpf_ld_imm64 insn");
	refused(side, LOAD(BPF_PSEUDO_MAP_IDX, 0), SECOND(0), NULL, -EPROTO,
		"fd_idx without fd_array is invalid");
	refused(side, LOAD(BPF_PSEUDO_MAP_IDX, 1 << 28), SECOND(0), f.list, -EFAULT, "");
	refused(side, LOAD(BPF_PSEUDO_MAP_VALUE, f.array1), SECOND(24), NULL, -EINVAL,
		INVALID_ACCESS);
	refused(side, LOAD(BPF_PSEUDO_MAP_VALUE, f.array1), SECOND(-1), NULL, -EINVAL,
		"direct value offset of 4294967295 is not allowed");
	refused(side, LOAD(BPF_PSEUDO_MAP_VALUE, f.array2), SECOND(0), NULL, -ENOTSUPP,
		INVALID_ACCESS);
	refused(side, LOAD(BPF_PSEUDO_MAP_VALUE, f.hash), SECOND(0), NULL, -EINVAL,
		"no direct value access support for this map type");
	refused(side, INSN(BPF_LD | BPF_IMM | BPF_DW, 1, 1, 5, f.hash), SECOND(0), NULL, -EINVAL,
		"uses reserved fields");
	refused(side, LOAD(BPF_PSEUDO_MAP_FD, f.hash), INSN(0, 0, 1, 0, 0), NULL, -EINVAL,
		"invalid bpf_ld_imm64 insn");
	side_close(side, prog);
	side_close(side, f.array1);
	side_close(side, f.array2);
	side_close(side, f.hash);
}

/* 64 maps are allowed, 65 are not. */
static void check_limit(enum side side)
{
	struct bpf_insn insns[2 * 65 + 2];
	union sys_attr a;
	int fds[65], i, fd;

	for (i = 0; i < 65; i++) {
		fds[i] = side_map(side, BPF_MAP_TYPE_ARRAY, 4, 4, 1);
		REQUIRE(fds[i] >= 0);
		insns[2 * i] = LOAD(BPF_PSEUDO_MAP_FD, fds[i]);
		insns[2 * i + 1] = SECOND(0);
	}
	insns[130] = MOV_IMM(0, 0);
	insns[131] = EXIT();
	prog_attr_init(&a, BPF_PROG_TYPE_SOCKET_FILTER, insns, 132);
	CHECK_EQ(side_bpf(side, BPF_PROG_LOAD, &a), -E2BIG);
	prog_attr_init(&a, BPF_PROG_TYPE_SOCKET_FILTER, insns + 2, 130);
	fd = side_bpf(side, BPF_PROG_LOAD, &a);
	CHECK(fd >= 0);
	side_close(side, fd);
	for (i = 0; i < 65; i++)
		side_close(side, fds[i]);
}

int main(void)
{
	int side;

	both_init();
	for (side = 0; side < (have_kernel ? SIDES : 1); side++) {
		check_side(side);
		check_limit(side);
	}
	return check_done();
}
