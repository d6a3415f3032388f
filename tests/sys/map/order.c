/* SPDX-License-Identifier: BSD-2-Clause */
/* In which order the element and batch commands check what they are given. */
#include "both.h"

#define LD(f, k, v, fl)                                                                            \
	CALL(BPF_MAP_LOOKUP_AND_DELETE_ELEM,                                                       \
	     .elem = {.map_fd = (f), .key = P(k), .value = P(v), .flags = (fl)})

static const uint32_t zero, far = 99;

static void fd_order(void)
{
	int map = array_new(), path = open("/", O_PATH), null = open("/dev/null", O_RDWR);
	uint64_t v;

	/* lookup's flags come before the fd, update's after everything */
	CHECK_EQ(lookup(9999, &zero, &v, 1), -EINVAL);
	CHECK_EQ(LD(9999, &zero, &v, 1), -EINVAL);
	CHECK_EQ(lookup(9999, &zero, &v, BPF_F_LOCK), -EBADF);
	CHECK_EQ(update(9999, &zero, &v, 99), -EBADF);
	CHECK_EQ(delete (9999, &zero), -EBADF);
	CHECK_EQ(next_key(9999, &zero, &v), -EBADF);
	CHECK_EQ(lookup(-1, &zero, &v, 0), -EBADF);
	CHECK_EQ(lookup(0x7fffffff, &zero, &v, 0), -EBADF);
	CHECK_EQ(lookup(path, &zero, &v, 0), -EBADF);
	CHECK_EQ(lookup(null, &zero, &v, 0), -EINVAL);
	CHECK_EQ(update(null, NULL, NULL, 99), -EINVAL);
	CHECK_EQ(delete (null, NULL), -EINVAL);
	CHECK_EQ(freeze(null), -EINVAL);
	CHECK_EQ(freeze(path), -EBADF);
	close(path);
	close(null);
	close_fd(map);
	CHECK_EQ(lookup(map, &zero, &v, 0), -EBADF);
}

static void fault_order(void)
{
	int map = array_new();
	uint64_t v = 1;

	CHECK_EQ(update(map, NULL, &v, 99), -EFAULT);
	CHECK_EQ(update(map, (void *)BAD, &v, 99), -EFAULT);
	CHECK_EQ(update(map, &zero, NULL, 99), -EFAULT);
	CHECK_EQ(update(map, &far, &v, 99), -EINVAL);
	CHECK_EQ(update(map, &far, &v, BPF_F_LOCK), -EINVAL);
	CHECK_EQ(update(map, NULL, &v, BPF_F_LOCK), -EINVAL);
	CHECK_EQ(update(map, &far, &v, 0), -E2BIG);
	CHECK_EQ(update(map, &far, (void *)BAD, 0), -EFAULT);
	CHECK_EQ(lookup(map, NULL, &v, 0), -EFAULT);
	CHECK_EQ(lookup(map, NULL, &v, BPF_F_LOCK), -EINVAL);
	/* a miss is seen before the value's place is touched */
	CHECK_EQ(lookup(map, &far, (void *)BAD, 0), -ENOENT);
	CHECK_EQ(lookup(map, &zero, (void *)BAD, 0), -EFAULT);
	CHECK_EQ(lookup(map, &zero, NULL, 0), -EFAULT);
	CHECK_EQ(delete (map, NULL), -EFAULT);
	CHECK_EQ(delete (map, &far), -EINVAL);
	CHECK_EQ(next_key(map, (void *)BAD, &v), -EFAULT);
	CHECK_EQ(next_key(map, NULL, (void *)BAD), -EFAULT);
	CHECK_EQ(next_key(map, NULL, NULL), -EFAULT);
	CHECK_EQ(LD(map, NULL, &v, 0), -EFAULT);
	CHECK_EQ(LD(map, &zero, &v, 0), -ENOTSUPP);
	CHECK_EQ(LD(map, &zero, NULL, 0), -ENOTSUPP);
	close_fd(map);
}

/* Pointers that only a fault can find out, and ones of other address widths. */
static void strange_pointers(void)
{
	static const uint64_t bad[] = {
		1, 8, 4095, 0x800000000000, 0xdead000000000000, 0xffff800000000000, ~0ULL, ~7ULL,
	};
	int map = hash_new();
	uint64_t v = 1;

	CHECK_EQ(update(map, &zero, &v, 0), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		void *p = (void *)bad[i];

		CHECK_EQ(lookup(map, p, &v, 0), -EFAULT);
		CHECK_EQ(lookup(map, &zero, p, 0), -EFAULT);
		CHECK_EQ(update(map, p, &v, 0), -EFAULT);
		CHECK_EQ(update(map, &zero, p, 0), -EFAULT);
		CHECK_EQ(delete (map, p), -EFAULT);
		CHECK_EQ(next_key(map, p, &v), -EFAULT);
		CHECK_EQ(next_key(map, NULL, p), -EFAULT);
		CHECK_EQ(bpf(BPF_MAP_LOOKUP_ELEM, p, 32), -EFAULT);
		CHECK_EQ(CALL(BPF_OBJ_GET_INFO_BY_FD,
			      .info = {.bpf_fd = map, .info_len = 104, .info = bad[i]}),
			 -EFAULT);
		CHECK_EQ(CALL(BPF_OBJ_PIN, .obj = {.bpf_fd = map, .pathname = bad[i]}), -EFAULT);
		CHECK_EQ(CALL(BPF_OBJ_GET, .obj = {.pathname = bad[i]}), -EFAULT);
	}
	CHECK_EQ(lookup(map, &zero, &v, 0), 0);
	CHECK_EQ(v, 1);
	close_fd(map);
}

/* A value that ends where memory ends, and one byte further on. */
static void value_at_the_edge(void)
{
	uint8_t *page =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int map = map_new(BPF_MAP_TYPE_HASH, 600, 3000, 2, 0);
	uint8_t key[600] = {1}, value[3000];

	REQUIRE(page != MAP_FAILED && !mprotect(page + 4096, 4096, PROT_NONE));
	memset(value, 7, sizeof(value));
	CHECK_EQ(update(map, key, page + 4096 - 2999, 0), -EFAULT);
	memcpy(page + 4096 - 3000, value, sizeof(value));
	CHECK_EQ(update(map, key, page + 4096 - 3000, 0), 0);
	CHECK_EQ(lookup(map, page + 4096 - 599, value, 0), -EFAULT);
	memset(page, 0, 4096);
	CHECK_EQ(lookup(map, key, page + 4096 - 2999, 0), -EFAULT);
	memset(page, 0, 4096);
	CHECK_EQ(lookup(map, key, page + 4096 - 3000, 0), 0);
	CHECK(!memcmp(page + 4096 - 3000, value, sizeof(value)));
	CHECK_EQ(next_key(map, NULL, page + 4096 - 599), -EFAULT);
	CHECK_EQ(next_key(map, NULL, page + 4096 - 600), 0);
	CHECK(!memcmp(page + 4096 - 600, key, sizeof(key)));
	/* read-only memory takes no value */
	REQUIRE(!mprotect(page, 4096, PROT_READ));
	CHECK_EQ(lookup(map, key, page, 0), -EFAULT);
	munmap(page, 8192);
	close_fd(map);
}

static void lost_after_fault(void)
{
	int map = hash_new();
	uint64_t v = 1;

	CHECK_EQ(update(map, &zero, &v, 0), 0);
	CHECK_EQ(LD(map, &zero, (void *)BAD, 0), -EFAULT);
	/* the element has gone all the same */
	CHECK_EQ(lookup(map, &zero, &v, 0), -ENOENT);
	CHECK_EQ(LD(map, &zero, (void *)BAD, 0), -ENOENT);
	CHECK_EQ(LD(map, &zero, &v, BPF_F_LOCK), -EINVAL);
	close_fd(map);
}

static void read_only_fd(void)
{
	int map = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_RDONLY);
	uint64_t v = 1;

	CHECK_EQ(update(map, NULL, NULL, 99), -EPERM);
	CHECK_EQ(update(map, &zero, &v, BPF_F_LOCK), -EPERM);
	CHECK_EQ(delete (map, NULL), -EPERM);
	CHECK_EQ(LD(map, NULL, NULL, 0), -EPERM);
	CHECK_EQ(freeze(map), -EPERM);
	CHECK_EQ(lookup(map, &zero, &v, 0), -ENOENT);
	CHECK_EQ(next_key(map, NULL, &v), -ENOENT);
	close_fd(map);
}

static void write_only_fd(void)
{
	int map = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_WRONLY);
	uint64_t v = 1;

	CHECK_EQ(lookup(map, NULL, NULL, BPF_F_LOCK), -EPERM);
	CHECK_EQ(next_key(map, NULL, NULL), -EPERM);
	CHECK_EQ(LD(map, &zero, &v, 0), -EPERM);
	CHECK_EQ(update(map, &zero, &v, 0), 0);
	CHECK_EQ(update(map, &zero, &v, BPF_NOEXIST), -EEXIST);
	CHECK_EQ(delete (map, &zero), 0);
	CHECK_EQ(delete (map, &zero), -ENOENT);
	CHECK_EQ(freeze(map), 0);
	close_fd(map);
}

static void frozen(void)
{
	int map = hash_new();
	uint64_t v = 5;

	CHECK_EQ(update(map, &zero, &v, 0), 0);
	CHECK_EQ(CALL(BPF_MAP_FREEZE, .elem = {.map_fd = map, .key = 1}), -EINVAL);
	CHECK_EQ(freeze(map), 0);
	CHECK_EQ(freeze(map), -EPERM);
	CHECK_EQ(update(map, NULL, NULL, 99), -EPERM);
	CHECK_EQ(delete (map, NULL), -EPERM);
	CHECK_EQ(LD(map, NULL, NULL, 0), -EPERM);
	CHECK_EQ(lookup(map, &zero, &v, 0), 0);
	CHECK_EQ(v, 5);
	CHECK_EQ(next_key(map, NULL, &v), 0);
	close_fd(map);
}

/* Batches: the result, and the count that the attr holds afterwards. */
static uint32_t count_after;

#define BATCH(cmd, fd, n, ...)                                                                     \
	({                                                                                         \
		union sys_attr attr_ = {.batch = {.map_fd = (fd),                                  \
						  .count = (n),                                    \
						  .keys = P(keys),                                 \
						  .values = P(values),                             \
						  .out_batch = P(&token)}};                        \
		long ret_;                                                                         \
		__VA_ARGS__;                                                                       \
		ret_ = bpf(cmd, &attr_, sizeof(attr_));                                            \
		count_after = attr_.batch.count;                                                   \
		ret_;                                                                              \
	})

#define CHECK_BATCH(want, want_count, ...)                                                         \
	do {                                                                                       \
		CHECK_EQ(BATCH(__VA_ARGS__, (void)0), want);                                       \
		CHECK_EQ(count_after, want_count);                                                 \
	} while (0)

static void batch_array(void)
{
	uint32_t keys[8] = {0, 1}, token = 0;
	uint64_t values[8] = {10, 11};
	int map = array_new(), null = open("/dev/null", O_RDWR);

	CHECK_BATCH(0, 2, BPF_MAP_UPDATE_BATCH, map, 2);
	CHECK_BATCH(0, 2, BPF_MAP_LOOKUP_BATCH, map, 2);
	CHECK_BATCH(0, 2, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.flags = 1);
	CHECK_BATCH(0, 0, BPF_MAP_LOOKUP_BATCH, map, 0);
	CHECK_BATCH(-EINVAL, 2, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.elem_flags = 1);
	CHECK_BATCH(-EINVAL, 2, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.elem_flags = BPF_F_LOCK);
	CHECK_BATCH(-EBADF, 2, BPF_MAP_LOOKUP_BATCH, 9999, 2, attr_.batch.elem_flags = 1);
	CHECK_BATCH(-EINVAL, 2, BPF_MAP_LOOKUP_BATCH, null, 2);
	CHECK_BATCH(-EFAULT, 0, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.in_batch = BAD);
	CHECK_BATCH(-EFAULT, 0, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.keys = 0);
	CHECK_BATCH(-EFAULT, 0, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.values = 0);
	CHECK_BATCH(-EFAULT, 2, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.out_batch = 0);
	CHECK_BATCH(-EFAULT, 0, BPF_MAP_UPDATE_BATCH, map, 2, attr_.batch.keys = 0);
	CHECK_BATCH(-EFAULT, 0, BPF_MAP_UPDATE_BATCH, map, 2, attr_.batch.values = BAD);
	keys[0] = 0;
	keys[1] = 99;
	CHECK_BATCH(-E2BIG, 1, BPF_MAP_UPDATE_BATCH, map, 2);
	CHECK_BATCH(-ENOTSUPP, 2, BPF_MAP_DELETE_BATCH, map, 2);
	CHECK_BATCH(-ENOTSUPP, 2, BPF_MAP_LOOKUP_AND_DELETE_BATCH, map, 2);
	CHECK_BATCH(-ENOTSUPP, 2, BPF_MAP_DELETE_BATCH, map, 2, attr_.batch.elem_flags = 1);
	close(null);
	close_fd(map);
}

static void batch_hash(void)
{
	uint32_t keys[8] = {0, 1}, token = 0, in = 100000;
	uint64_t values[8] = {10, 11};
	int map = hash_new();

	CHECK_BATCH(-ENOENT, 0, BPF_MAP_LOOKUP_BATCH, map, 2);
	CHECK_BATCH(-EINVAL, 2, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.flags = 1);
	CHECK_BATCH(-EINVAL, 0, BPF_MAP_LOOKUP_BATCH, map, 0, attr_.batch.flags = 1);
	CHECK_BATCH(-ENOENT, 0, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.in_batch = P(&in));
	CHECK_BATCH(-EFAULT, 0, BPF_MAP_LOOKUP_BATCH, map, 2, attr_.batch.in_batch = BAD);
	CHECK_BATCH(0, 2, BPF_MAP_UPDATE_BATCH, map, 2);
	CHECK_BATCH(-EINVAL, 2, BPF_MAP_UPDATE_BATCH, map, 2, attr_.batch.elem_flags = BPF_NOEXIST);
	CHECK_BATCH(0, 2, BPF_MAP_UPDATE_BATCH, map, 2, attr_.batch.flags = 1);
	CHECK_BATCH(0, 2, BPF_MAP_DELETE_BATCH, map, 2, attr_.batch.flags = 1);
	CHECK_BATCH(-ENOENT, 0, BPF_MAP_DELETE_BATCH, map, 2);
	close_fd(map);
}

static void batch_permission(void)
{
	uint32_t keys[8] = {0, 1}, token = 0;
	uint64_t values[8] = {10, 11};
	int rd = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_RDONLY);
	int wr = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_WRONLY);
	int map = array_new();

	CHECK_BATCH(-EPERM, 2, BPF_MAP_LOOKUP_BATCH, wr, 2, attr_.batch.elem_flags = 1);
	CHECK_BATCH(-EPERM, 2, BPF_MAP_LOOKUP_AND_DELETE_BATCH, wr, 2);
	CHECK_BATCH(-EPERM, 2, BPF_MAP_LOOKUP_AND_DELETE_BATCH, rd, 2);
	CHECK_BATCH(-EPERM, 2, BPF_MAP_UPDATE_BATCH, rd, 2, attr_.batch.elem_flags = 1);
	CHECK_BATCH(-EPERM, 2, BPF_MAP_DELETE_BATCH, rd, 2);
	CHECK_EQ(freeze(map), 0);
	CHECK_BATCH(-EPERM, 2, BPF_MAP_UPDATE_BATCH, map, 2);
	CHECK_BATCH(-EPERM, 2, BPF_MAP_DELETE_BATCH, map, 2);
	CHECK_BATCH(0, 2, BPF_MAP_LOOKUP_BATCH, map, 2);
	close_fd(rd);
	close_fd(wr);
	close_fd(map);
}

/* An attr in read-only memory cannot take the count or the id. */
static void attr_read_only(void)
{
	union sys_attr *attr =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t keys[2] = {0, 1};
	uint64_t values[2] = {1, 2};
	int map = array_new();

	REQUIRE(attr != MAP_FAILED);
	attr->batch.map_fd = map;
	attr->batch.keys = P(keys);
	attr->batch.values = P(values);
	attr->batch.count = 2;
	REQUIRE(!mprotect(attr, 4096, PROT_READ));
	CHECK_EQ(bpf(BPF_MAP_UPDATE_BATCH, attr, sizeof(*attr)), -EFAULT);
	CHECK_EQ(bpf(BPF_MAP_LOOKUP_BATCH, attr, sizeof(*attr)), -EFAULT);
	REQUIRE(!mprotect(attr, 4096, PROT_READ | PROT_WRITE));
	memset(attr, 0, sizeof(*attr));
	REQUIRE(!mprotect(attr, 4096, PROT_READ));
	CHECK_EQ(bpf(BPF_MAP_GET_NEXT_ID, attr, sizeof(*attr)), -EFAULT);
	munmap(attr, 4096);
	close_fd(map);
}

static const struct claim claims[] = {
	{"element-commands-check-flags-then-fd", fd_order},
	{"element-commands-efault-in-the-kernels-order", fault_order},
	{"bad-pointers-efault-in-every-field", strange_pointers},
	{"keys-and-values-at-the-end-of-memory", value_at_the_edge},
	{"lookup-and-delete-to-a-bad-pointer-deletes", lost_after_fault},
	{"read-only-fd-cannot-write", read_only_fd},
	{"write-only-fd-cannot-read", write_only_fd},
	{"frozen-map-refuses-writes-before-looking-at-them", frozen},
	{"array-batches-results-and-counts", batch_array},
	{"hash-batches-results-and-counts", batch_hash},
	{"batches-check-open-mode-and-frozen", batch_permission},
	{"read-only-attr-efault", attr_read_only},
};

BOTH_MAIN(claims)
