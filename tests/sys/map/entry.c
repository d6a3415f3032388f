/* SPDX-License-Identifier: BSD-2-Clause */
/* What bpf(2) checks before it looks at the command, and MAP_CREATE. */
#include "both.h"

static const union sys_attr plain = {
	.map_create = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4}};

static void attr_size(void)
{
	static uint8_t big[8192];
	union sys_attr attr = plain;

	memset(big, 0, sizeof(big));
	memcpy(big, &plain, sizeof(plain));
	CHECK_EQ(bpf(BPF_MAP_CREATE, big, 4097), -E2BIG);
	CHECK_EQ(bpf(99, NULL, 4097), -E2BIG);
	CHECK_EQ(only_err(bpf(BPF_MAP_CREATE, big, 4096)), 0);
	CHECK_EQ(only_err(bpf(BPF_MAP_CREATE, big, sizeof(attr))), 0);
	/* max_entries' last byte is zero anyway */
	CHECK_EQ(only_err(bpf(BPF_MAP_CREATE, big, 15)), 0);
	CHECK_EQ(bpf(BPF_MAP_CREATE, big, 0), -EINVAL);
	big[4095] = 1;
	CHECK_EQ(bpf(BPF_MAP_CREATE, big, 4096), -E2BIG);
	CHECK_EQ(bpf(99, big, 4096), -E2BIG);
	CHECK_EQ(only_err(bpf(BPF_MAP_CREATE, big, 4095)), 0);
	big[4095] = 0;
	big[sizeof(attr)] = 1;
	CHECK_EQ(bpf(BPF_MAP_CREATE, big, sizeof(attr) + 1), -E2BIG);
}

static void attr_pointer(void)
{
	uint8_t *page =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *end = page + 4096;
	size_t n = sizeof(plain);

	REQUIRE(page != MAP_FAILED && !mprotect(end, 4096, PROT_NONE));
	CHECK_EQ(bpf(BPF_MAP_CREATE, NULL, n), -EFAULT);
	CHECK_EQ(bpf(BPF_MAP_CREATE, (void *)BAD, n), -EFAULT);
	CHECK_EQ(bpf(BPF_MAP_CREATE, (void *)-4096L, n), -EFAULT);
	CHECK_EQ(bpf(BPF_MAP_CREATE, end, 1), -EFAULT);
	CHECK_EQ(bpf(BPF_MAP_CREATE, NULL, 0), -EINVAL);
	memcpy(end - n, &plain, n);
	CHECK_EQ(only_err(bpf(BPF_MAP_CREATE, end - n, n)), 0);
	CHECK_EQ(bpf(BPF_MAP_CREATE, end - n, n + 1), -EFAULT);
	CHECK_EQ(bpf(BPF_MAP_CREATE, end - 100, n), -EFAULT);
	/* the tail is looked at byte by byte: the first of them decides */
	end[-1] = 1;
	CHECK_EQ(bpf(BPF_MAP_CREATE, end - n - 1, n + 100), -E2BIG);
	munmap(page, 8192);
}

static void unknown_command(void)
{
	union sys_attr attr = plain;

	CHECK_EQ(bpf(38, &attr, sizeof(attr)), -EINVAL);
	CHECK_EQ(bpf(99, &attr, sizeof(attr)), -EINVAL);
	CHECK_EQ(bpf(-1, &attr, sizeof(attr)), -EINVAL);
	CHECK_EQ(bpf(0x7fffffff, &attr, sizeof(attr)), -EINVAL);
	CHECK_EQ(bpf(99, NULL, sizeof(attr)), -EFAULT);
	CHECK_EQ(bpf(99, NULL, 0), -EINVAL);
}

/* Every byte after the last field of each command is refused, and none before it. */
static void zero_tails(void)
{
	static const struct {
		int cmd;
		unsigned int end;
	} last[] = {
		{BPF_MAP_CREATE, 92},
		{BPF_MAP_LOOKUP_ELEM, 32},
		{BPF_MAP_UPDATE_ELEM, 32},
		{BPF_MAP_DELETE_ELEM, 16},
		{BPF_MAP_GET_NEXT_KEY, 24},
		{BPF_MAP_LOOKUP_AND_DELETE_ELEM, 32},
		{BPF_MAP_FREEZE, 4},
		{BPF_MAP_LOOKUP_BATCH, 56},
		{BPF_MAP_LOOKUP_AND_DELETE_BATCH, 56},
		{BPF_MAP_UPDATE_BATCH, 56},
		{BPF_MAP_DELETE_BATCH, 56},
		{BPF_OBJ_PIN, 20},
		{BPF_OBJ_GET, 20},
		{BPF_OBJ_GET_INFO_BY_FD, 16},
		{BPF_MAP_GET_NEXT_ID, 8},
		{BPF_PROG_GET_NEXT_ID, 8},
		{BPF_BTF_GET_NEXT_ID, 8},
		{BPF_LINK_GET_NEXT_ID, 8},
		{BPF_MAP_GET_FD_BY_ID, 12},
	};
	uint8_t attr[sizeof(union sys_attr)];

	for (size_t i = 0; i < sizeof(last) / sizeof(*last); i++) {
		for (size_t at = last[i].end; at < sizeof(attr); at++) {
			memset(attr, 0, sizeof(attr));
			attr[at] = 1;
			CHECK_EQ(bpf(last[i].cmd, attr, sizeof(attr)), -EINVAL);
		}
	}
	/* the ends are no further out: with a closed fd these get past the check */
	memset(attr, 0, sizeof(attr));
	*(uint32_t *)attr = 0x7ffffff0;
	attr[31] = 1;
	CHECK_EQ(bpf(BPF_MAP_UPDATE_ELEM, attr, sizeof(attr)), -EBADF);
	attr[31] = 0;
	attr[23] = 1;
	CHECK_EQ(bpf(BPF_MAP_GET_NEXT_KEY, attr, sizeof(attr)), -EBADF);
	attr[23] = 0;
	attr[15] = 1;
	CHECK_EQ(bpf(BPF_MAP_DELETE_ELEM, attr, sizeof(attr)), -EBADF);
	attr[15] = 0;
	CHECK_EQ(bpf(BPF_MAP_FREEZE, attr, sizeof(attr)), -EBADF);
	memset(attr, 0, sizeof(attr));
	attr[7] = 1; /* next_id is no input */
	*(uint32_t *)attr = 0x7ffffffe;
	CHECK_EQ(bpf(BPF_MAP_GET_NEXT_ID, attr, sizeof(attr)), -ENOENT);
	CHECK_EQ(bpf(BPF_MAP_GET_FD_BY_ID, attr, sizeof(attr)), -ENOENT);
}

#define CREATE(...)                                                                                \
	({                                                                                         \
		union sys_attr attr = plain;                                                       \
		__VA_ARGS__;                                                                       \
		only_err(bpf(BPF_MAP_CREATE, &attr, sizeof(attr)));                                \
	})

static void create_names(void)
{
	char all[] = "azAZ09_.";

	CHECK_EQ(CREATE(memcpy(attr.map_create.map_name, all, sizeof(all))), 0);
	CHECK_EQ(CREATE(memset(attr.map_create.map_name, 'n', 15)), 0);
	CHECK_EQ(CREATE(memset(attr.map_create.map_name, 'n', 16)), -EINVAL);
	CHECK_EQ(CREATE(memcpy(attr.map_create.map_name, "a\0b-", 4)), 0);
	CHECK_EQ(CREATE(attr.map_create.map_name[0] = '-'), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.map_name[0] = ' '), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.map_name[0] = '/'), -EINVAL);
	/* the memory is asked for before the name is looked at */
	CHECK_EQ(CREATE(attr.map_create.map_name[0] = '-', attr.map_create.value_size = 1 << 30,
			attr.map_create.max_entries = 1 << 30),
		 -ENOMEM);
	CHECK_EQ(CREATE(attr.map_create.map_name[0] = '-', attr.map_create.btf_value_type_id = 1,
			attr.map_create.btf_fd = 9999),
		 -EINVAL);
}

static void create_attributes(void)
{
	CHECK_EQ(CREATE(attr.map_create.map_type = 0), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.map_type = 34), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.map_type = ~0U), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.map_flags = BPF_F_RDONLY | BPF_F_WRONLY), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.map_extra = 1), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.btf_vmlinux_value_type_id = 1), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.inner_map_fd = 9999), 0);
	CHECK_EQ(CREATE(attr.map_create.value_type_btf_obj_fd = -1), 0);
	CHECK_EQ(CREATE(attr.map_create.map_flags = SHMAP_F_VTYPE_BTF_OBJ_FD), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.map_flags = 1U << 31), -EINVAL);
}

static void create_numa(void)
{
	CHECK_EQ(CREATE(attr.map_create.numa_node = 9999), 0);
	CHECK_EQ(CREATE(attr.map_create.map_flags = BPF_F_NUMA_NODE), 0);
	CHECK_EQ(
		CREATE(attr.map_create.map_flags = BPF_F_NUMA_NODE, attr.map_create.numa_node = -1),
		0);
	CHECK_EQ(CREATE(attr.map_create.map_flags = BPF_F_NUMA_NODE,
			attr.map_create.numa_node = 9999),
		 -EINVAL);
}

static void create_token(void)
{
	CHECK_EQ(CREATE(attr.map_create.map_token_fd = -1), 0);
	CHECK_EQ(CREATE(attr.map_create.map_flags = SHMAP_F_TOKEN_FD,
			attr.map_create.map_token_fd = -1),
		 -EBADF);
	CHECK_EQ(CREATE(attr.map_create.map_flags = SHMAP_F_TOKEN_FD,
			attr.map_create.map_token_fd = 0),
		 -EINVAL);
	/* the type's check comes before it, the name's after it */
	CHECK_EQ(CREATE(attr.map_create.map_flags = SHMAP_F_TOKEN_FD,
			attr.map_create.map_token_fd = -1, attr.map_create.key_size = 5),
		 -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.map_flags = SHMAP_F_TOKEN_FD,
			attr.map_create.map_token_fd = -1, attr.map_create.map_name[0] = '-'),
		 -EBADF);
}

static void create_btf_fd(void)
{
	int map = array_new();

	CHECK_EQ(CREATE(attr.map_create.btf_fd = 9999), 0);
	CHECK_EQ(CREATE(attr.map_create.btf_key_type_id = 1), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.btf_value_type_id = 1, attr.map_create.btf_fd = 9999),
		 -EBADF);
	CHECK_EQ(CREATE(attr.map_create.btf_value_type_id = 1, attr.map_create.btf_fd = map),
		 -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.btf_value_type_id = 1, attr.map_create.btf_fd = 0),
		 -EINVAL);
	close_fd(map);
}

static void create_device(void)
{
	CHECK_EQ(CREATE(attr.map_create.map_ifindex = 99999), -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.map_ifindex = 1), -EOPNOTSUPP);
	CHECK_EQ(CREATE(attr.map_create.map_ifindex = 1,
			attr.map_create.map_type = BPF_MAP_TYPE_PERCPU_ARRAY),
		 -EINVAL);
}

static void create_exclusive(void)
{
	char hash[32] = "x";

	CHECK_EQ(CREATE(attr.map_create.excl_prog_hash = P(hash),
			attr.map_create.excl_prog_hash_size = 31),
		 -EINVAL);
	CHECK_EQ(CREATE(attr.map_create.excl_prog_hash = BAD,
			attr.map_create.excl_prog_hash_size = 32),
		 -EFAULT);
	CHECK_EQ(CREATE(attr.map_create.excl_prog_hash_size = 32), -EINVAL);
}

static void create_open_mode(void)
{
	int rd = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_RDONLY);
	int wr = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_WRONLY);
	int rw = hash_new();

	CHECK_EQ(fcntl(rd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_EQ(fcntl(wr, F_GETFL) & O_ACCMODE, O_WRONLY);
	CHECK_EQ(fcntl(rw, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ(fcntl(rd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(wr, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(rw, F_GETFD), FD_CLOEXEC);
	close_fd(rd);
	close_fd(wr);
	close_fd(rw);
}

/* Neither the attr nor what it points to need be aligned. */
static void unaligned(void)
{
	uint8_t mem[sizeof(union sys_attr) + 1], key[2 * 4 + 1] = {0}, value[2 * 8 + 1] = {0};
	union sys_attr attr = {.id = {.start_id = 0}};
	uint32_t next = 0;
	int fd = hash_new();

	memcpy(mem + 1, &attr, sizeof(attr));
	CHECK_EQ(bpf(BPF_MAP_GET_NEXT_ID, mem + 1, sizeof(attr)), 0);
	memcpy(&next, mem + 1 + offsetof(union sys_attr, id.next_id), sizeof(next));
	CHECK(next > 0);
	key[5] = 1;
	value[1] = 10;
	value[9] = 11;
	attr = (union sys_attr){
		.batch = {.map_fd = fd, .keys = P(key + 1), .values = P(value + 1), .count = 2}};
	memcpy(mem + 1, &attr, sizeof(attr));
	CHECK_EQ(bpf(BPF_MAP_UPDATE_BATCH, mem + 1, sizeof(attr)), 0);
	value[1] = value[9] = 0;
	CHECK_EQ(lookup(fd, key + 5, value + 9, 0), 0);
	CHECK_EQ(value[9], 11);
	close_fd(fd);
}

static const struct claim claims[] = {
	{"attr-size-beyond-a-page-e2big-tail-must-be-zero", attr_size},
	{"attr-pointer-efault-never-a-crash", attr_pointer},
	{"attr-keys-and-values-need-no-alignment", unaligned},
	{"unknown-command-einval", unknown_command},
	{"bytes-after-the-last-field-einval", zero_tails},
	{"map-create-names", create_names},
	{"map-create-attributes", create_attributes},
	{"map-create-numa-node", create_numa},
	{"map-create-token-fd", create_token},
	{"map-create-btf-fd", create_btf_fd},
	{"map-create-device", create_device},
	{"map-create-exclusive-hash", create_exclusive},
	{"map-create-fd-is-cloexec-with-the-open-mode-of-the-flags", create_open_mode},
};

BOTH_MAIN(claims)
