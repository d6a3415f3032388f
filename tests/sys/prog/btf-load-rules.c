// SPDX-License-Identifier: BSD-2-Clause
/*
 * BTF_LOAD and bpf_btf_info: each row changes a good attr; information, ids and the
 * log are asked of the kernel too.
 */
#include <bpf/btf.h>

#include "both.h"
#include "sys/info.h"

static struct btf *btf;
static const void *blob;
static uint32_t blob_size;
static char log_buf[65536];

static void make_blob(void)
{
	int i32;

	btf = btf__new_empty();
	i32 = btf__add_int(btf, "int", 4, BTF_INT_SIGNED);
	REQUIRE(i32 > 0);
	REQUIRE(btf__add_struct(btf, "pair", 8) > 0);
	REQUIRE(!btf__add_field(btf, "a", i32, 0, 0));
	REQUIRE(!btf__add_field(btf, "b", i32, 32, 0));
	blob = btf__raw_data(btf, &blob_size);
	REQUIRE(blob);
}

static void attr_init(union sys_attr *a)
{
	memset(a, 0, sizeof(*a));
	a->btf_load.btf = (uintptr_t)blob;
	a->btf_load.btf_size = blob_size;
}

static long load(enum side side, union sys_attr *a)
{
	long ret = side_bpf(side, BPF_BTF_LOAD, a);

	if (ret < 0)
		return ret;
	side_close(side, ret);
	return 0;
}

#define EXPECT(want) CHECK_EQ(load(side, &a), want)

static void rules(enum side side)
{
	static uint8_t bad[4096];
	union sys_attr a;

	attr_init(&a);
	EXPECT(0);
	a.btf_load.btf = 8;
	EXPECT(-EFAULT);
	attr_init(&a);
	a.btf_load.btf_size = 0;
	EXPECT(-EINVAL);
	attr_init(&a);
	a.btf_load.btf_size = 8;
	EXPECT(-EINVAL);
	attr_init(&a);
	a.btf_load.btf_size = blob_size - 1;
	EXPECT(-EINVAL);
	attr_init(&a);
	a.btf_load.btf_size = (16 << 20) + 1;
	EXPECT(-E2BIG);
	attr_init(&a);
	a.btf_load.btf_flags = 1;
	EXPECT(-EINVAL);
	attr_init(&a);
	a.btf_load.btf_flags = 1 << 16;
	a.btf_load.btf_token_fd = -1;
	EXPECT(-EBADF);
	attr_init(&a);
	a.btf_load.btf_token_fd = 5;
	EXPECT(0);
	memcpy(bad, blob, blob_size);
	bad[0] ^= 1;
	attr_init(&a);
	a.btf_load.btf = (uintptr_t)bad;
	EXPECT(-EINVAL);
}

static void logs(enum side side)
{
	static uint8_t bad[4096];
	union sys_attr a;

	attr_init(&a);
	a.btf_load.btf_log_buf = (uintptr_t)log_buf;
	EXPECT(-EINVAL);
	a.btf_load.btf_log_size = sizeof(log_buf);
	EXPECT(-EINVAL);
	a.btf_load.btf_log_level = 1;
	EXPECT(0);
	a.btf_load.btf_log_level = 64;
	EXPECT(-EINVAL);
	a.btf_load.btf_log_level = 1;
	a.btf_load.btf_log_size = 0;
	EXPECT(-EINVAL);
	/* what is wrong stands in the log, and a log that is too short says so */
	memcpy(bad, blob, blob_size);
	((struct btf_header *)bad)->type_off = 1 << 20;
	attr_init(&a);
	a.btf_load.btf = (uintptr_t)bad;
	a.btf_load.btf_log_buf = (uintptr_t)log_buf;
	a.btf_load.btf_log_size = sizeof(log_buf);
	a.btf_load.btf_log_level = 1;
	memset(log_buf, 0, sizeof(log_buf));
	EXPECT(-EINVAL);
	CHECK(log_buf[0]);
	CHECK_EQ(a.btf_load.btf_log_true_size, strlen(log_buf) + 1);
	a.btf_load.btf_log_size = 3;
	EXPECT(-ENOSPC);
	CHECK_EQ(strlen(log_buf), 2);
	a.btf_load.btf_log_buf = 8;
	EXPECT(-EFAULT);
}

static void information(enum side side)
{
	static uint8_t copy[4096];
	struct btf_info info = {0};
	uint32_t len = sizeof(info), id;
	union sys_attr a;
	char name[8];
	int fd, again;

	attr_init(&a);
	fd = side_bpf(side, BPF_BTF_LOAD, &a);
	REQUIRE(fd >= 0);
	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK_EQ(len, sizeof(info));
	CHECK_EQ(info.btf_size, blob_size);
	CHECK_EQ(info.kernel_btf, 0);
	CHECK_EQ(info.name_len, 0);
	CHECK(info.id > 0);
	id = info.id;
	memset(&info, 0, sizeof(info));
	info.btf = (uintptr_t)copy;
	info.btf_size = sizeof(copy);
	info.name = (uintptr_t)name;
	info.name_len = sizeof(name);
	name[0] = 'x';
	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK(!memcmp(copy, blob, blob_size));
	CHECK_EQ(name[0], 0);
	memset(copy, 0xee, sizeof(copy));
	info.btf_size = 10;
	info.name_len = 1;
	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK(!memcmp(copy, blob, 10) && copy[10] == 0xee);
	CHECK_EQ(info.btf_size, blob_size);
	info.btf_size = 10;
	info.name_len = 0;
	CHECK_EQ(side_info(side, fd, &info, &len), -EINVAL);
	info.name = 0;
	info.btf = 8;
	CHECK_EQ(side_info(side, fd, &info, &len), -EFAULT);
	len = 16;
	info.btf_size = 0;
	CHECK_EQ(side_info(side, fd, &info, &len), 0);
	CHECK_EQ(len, 16);

	memset(&a, 0, sizeof(a));
	a.id.btf_id = id;
	again = side_bpf(side, BPF_BTF_GET_FD_BY_ID, &a);
	CHECK(again >= 0);
	side_close(side, again);
	a.id.open_flags = 1;
	CHECK_EQ(side_bpf(side, BPF_BTF_GET_FD_BY_ID, &a), -EINVAL);
	a.id.open_flags = 0;
	a.id.btf_id = 0x7ffffff0;
	CHECK_EQ(side_bpf(side, BPF_BTF_GET_FD_BY_ID, &a), -ENOENT);
	side_close(side, fd);
}

int main(void)
{
	int side;

	both_init();
	make_blob();
	for (side = 0; side < (have_kernel ? SIDES : 1); side++) {
		rules(side);
		logs(side);
		information(side);
	}
	btf__free(btf);
	return check_done();
}
