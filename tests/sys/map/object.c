/* SPDX-License-Identifier: BSD-2-Clause */
/* Pins, ids, info, fdinfo, freeze and mmap. */
#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "both.h"

static long pin(int fd, const char *path)
{
	return CALL(BPF_OBJ_PIN, .obj = {.bpf_fd = fd, .pathname = P(path)});
}

static long get(const char *path, uint32_t flags)
{
	return CALL(BPF_OBJ_GET, .obj = {.pathname = P(path), .file_flags = flags});
}

/* Where a pin really is. */
static const char *fs_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s%s", on_kernel ? "/sys/fs" : getenv("SHMAP_DIR"),
		 on_kernel ? "bpf/" : "fs/", name);
	return path;
}

#define FS "/sys/fs/bpf/"

static void pin_errors(void)
{
	char longest[PATH_MAX + 10];
	int map = array_new(), null = open("/dev/null", O_RDWR);

	CHECK_EQ(pin(map, FS "a"), 0);
	CHECK_EQ(pin(map, FS "a"), -EEXIST);
	CHECK_EQ(pin(map, FS "a/"), -EEXIST);
	CHECK_EQ(pin(map, FS "a.b"), -EPERM);
	CHECK_EQ(pin(map, FS ".a"), -EPERM);
	CHECK_EQ(pin(map, FS "a.b/c"), -EPERM);
	CHECK_EQ(pin(map, FS "none/a.b"), -ENOENT);
	CHECK_EQ(pin(map, FS "none/a"), -ENOENT);
	CHECK_EQ(pin(map, FS "a/b"), -ENOTDIR);
	CHECK_EQ(pin(map, FS), -EEXIST);
	CHECK_EQ(pin(map, "/sys/fs/bpf"), -EEXIST);
	CHECK_EQ(pin(map, FS "new/"), -ENOENT);
	CHECK_EQ(pin(map, "/tmp/shmap-none"), -EPERM);
	CHECK_EQ(pin(map, "/tmp/shmap.none"), -EPERM);
	CHECK_EQ(pin(map, "/etc/passwd"), -EEXIST);
	CHECK_EQ(pin(map, "/tmp/shmap-none/a"), -ENOENT);
	CHECK_EQ(pin(map, ""), -ENOENT);
	CHECK_EQ(pin(map, NULL), -EFAULT);
	CHECK_EQ(pin(map, (void *)BAD), -EFAULT);
	CHECK_EQ(pin(9999, FS "b"), -EINVAL);
	CHECK_EQ(pin(9999, (void *)BAD), -EINVAL);
	CHECK_EQ(pin(null, FS "b"), -EINVAL);
	CHECK_EQ(CALL(BPF_OBJ_PIN,
		      .obj = {.bpf_fd = map, .pathname = P(FS "b"), .file_flags = BPF_F_RDONLY}),
		 -EINVAL);
	CHECK_EQ(CALL(BPF_OBJ_PIN, .obj = {.bpf_fd = map, .pathname = P(FS "b"), .path_fd = 3}),
		 -EINVAL);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	CHECK_EQ(pin(map, longest), -ENAMETOOLONG);
	memcpy(longest, FS, strlen(FS));
	longest[strlen(FS) + 256] = '\0';
	CHECK_EQ(pin(map, longest), -ENAMETOOLONG);
	longest[strlen(FS) + 255] = '\0';
	CHECK_EQ(pin(map, longest), 0);
	close(null);
	close_fd(map);
}

static void get_errors(void)
{
	int map = array_new(), fd;

	CHECK_EQ(pin(map, FS "a"), 0);
	CHECK_EQ(mkdir(fs_path("d"), 0700), 0);
	CHECK_EQ(get(FS "none", 0), -ENOENT);
	CHECK_EQ(get(FS "no.ne", 0), -EPERM);
	CHECK_EQ(get(FS "none/no.ne", 0), -ENOENT);
	CHECK_EQ(get(FS "d", 0), -EACCES);
	CHECK_EQ(get(FS, 0), -EACCES);
	CHECK_EQ(get("/sys/fs/bpf", 0), -EACCES);
	CHECK_EQ(get("/etc/passwd", 0), -EACCES);
	CHECK_EQ(get("/etc/shmap-none", 0), -ENOENT);
	CHECK_EQ(get(FS "a/", 0), -ENOTDIR);
	CHECK_EQ(get(FS "a/b", 0), -ENOTDIR);
	CHECK_EQ(get(NULL, 0), -EFAULT);
	CHECK_EQ(get("", 0), -ENOENT);
	CHECK_EQ(get(NULL, BPF_F_RDONLY | BPF_F_WRONLY), -EINVAL);
	CHECK_EQ(get(FS "none", BPF_F_RDONLY | BPF_F_WRONLY), -EINVAL);
	CHECK_EQ(get(FS "a", 1), -EINVAL);
	CHECK_EQ(CALL(BPF_OBJ_GET, .obj = {.pathname = P(FS "a"), .bpf_fd = 1}), -EINVAL);
	fd = get(FS "a", BPF_F_RDONLY);
	REQUIRE(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close_fd(fd);
	fd = get(FS "a", BPF_F_WRONLY);
	REQUIRE(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
	close_fd(fd);
	close_fd(map);
}

static void pin_places(void)
{
	char fs[256], path[300];
	int map = array_new(), dir;

	CHECK_EQ(pin(map, FS "first"), 0);
	CHECK_EQ(mkdir(fs_path("d"), 0700), 0);
	CHECK_EQ(pin(map, FS "d/x"), 0);
	CHECK_EQ(pin(map, "/sys//fs/./bpf/d/../y"), 0);
	CHECK_EQ(only_err(get(FS "y", 0)), 0);
	snprintf(fs, sizeof(fs), "%s/fs", getenv("SHMAP_DIR"));
	snprintf(path, sizeof(path), "%s/d/z", fs);
	CHECK_EQ(pin(map, path), 0);
	CHECK_EQ(only_err(get(FS "d/z", 0)), 0);
	CHECK_EQ(only_err(get(path, 0)), 0);
	REQUIRE(!chdir(fs));
	CHECK_EQ(pin(map, "here"), 0);
	CHECK_EQ(pin(map, "./d/there"), 0);
	CHECK_EQ(only_err(get("d/../here", 0)), 0);
	CHECK_EQ(only_err(get(FS "d/there", 0)), 0);
	dir = open("d", O_PATH | O_DIRECTORY);
	CHECK_EQ(CALL(BPF_OBJ_PIN, .obj = {.bpf_fd = map,
					   .pathname = P("by-fd"),
					   .file_flags = 1 << 14,
					   .path_fd = dir}),
		 0);
	CHECK_EQ(only_err(get(FS "d/by-fd", 0)), 0);
	CHECK_EQ(CALL(BPF_OBJ_PIN, .obj = {.bpf_fd = map,
					   .pathname = P("by-fd"),
					   .file_flags = 1 << 14,
					   .path_fd = 9999}),
		 -EBADF);
	CHECK_EQ(CALL(BPF_OBJ_PIN, .obj = {.bpf_fd = map,
					   .pathname = P("by-fd"),
					   .file_flags = 1 << 14,
					   .path_fd = map}),
		 -ENOTDIR);
	close(dir);
	close_fd(map);
}

static void pin_keeps(void)
{
	uint32_t key = 1, id;
	uint64_t v = 77;
	int map = array_new();

	id = map_id(map);
	CHECK_EQ(update(map, &key, &v, 0), 0);
	CHECK_EQ(pin(map, FS "kept"), 0);
	close_fd(map);
	map = get(FS "kept", 0);
	REQUIRE(map >= 0);
	v = 0;
	CHECK_EQ(lookup(map, &key, &v, 0), 0);
	CHECK_EQ(v, 77);
	CHECK_EQ(map_id(map), id);
	CHECK_EQ(unlink(fs_path("kept")), 0);
	CHECK_EQ(only_err(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id})), 0);
	close_fd(map);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id}), -ENOENT);
}

static void ids(void)
{
	union sys_attr attr = {0};
	int a = array_new(), b = hash_new(), fd;
	uint32_t ia = map_id(a), ib = map_id(b);

	CHECK(ib > ia);
	attr.id.start_id = ia - 1;
	CHECK_EQ(bpf(BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)), 0);
	CHECK_EQ(attr.id.next_id, ia);
	attr.id.start_id = 0x7fffffff;
	CHECK_EQ(bpf(BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)), -EINVAL);
	attr.id.start_id = ~0U;
	CHECK_EQ(bpf(BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)), -EINVAL);
	attr.id.start_id = 0x7ffffffe;
	CHECK_EQ(bpf(BPF_MAP_GET_NEXT_ID, &attr, sizeof(attr)), -ENOENT);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = 0}), -ENOENT);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = ~0U}), -ENOENT);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = ~0U, .open_flags = 24}), -EINVAL);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = ib, .open_flags = 1}), -EINVAL);
	fd = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = ib, .open_flags = BPF_F_RDONLY});
	REQUIRE(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_EQ(map_id(fd), ib);
	close_fd(b);
	/* one fd is left */
	CHECK_EQ(only_err(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = ib})), 0);
	close_fd(fd);
	close_fd(a);
}

/* Ids of closed maps go when the last fd does, not some time later. */
static void id_gone(void)
{
	int a = array_new(), d = dup(a);
	uint32_t id = map_id(a);

	close_fd(a);
	CHECK_EQ(only_err(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id})), 0);
	CHECK_EQ(map_id(d), id);
	close_fd(d);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id}), -ENOENT);
}

static uint32_t len_after;

#define INFO(f, len, ptr)                                                                          \
	({                                                                                         \
		union sys_attr attr_ = {                                                           \
			.info = {.bpf_fd = (f), .info_len = (len), .info = P(ptr)}};               \
		long ret_ = bpf(BPF_OBJ_GET_INFO_BY_FD, &attr_, sizeof(attr_));                    \
		len_after = attr_.info.info_len;                                                   \
		ret_;                                                                              \
	})

static void info_lengths(void)
{
	uint8_t info[8192] = {0};
	int map = array_new(), null = open("/dev/null", O_RDWR), path = open("/", O_PATH);

	CHECK_EQ(INFO(map, 104, info), 0);
	CHECK_EQ(len_after, 104);
	memset(info, 0, sizeof(info));
	CHECK_EQ(INFO(map, 80, info), 0);
	CHECK_EQ(len_after, 80);
	CHECK_EQ(info[80], 0);
	memset(info, 0, sizeof(info));
	CHECK_EQ(INFO(map, 4096, info), 0);
	CHECK_EQ(len_after, 104);
	CHECK_EQ(INFO(map, 0, info), 0);
	CHECK_EQ(len_after, 0);
	CHECK_EQ(INFO(map, 4097, info), -E2BIG);
	memset(info, 0, sizeof(info));
	info[104] = 1;
	CHECK_EQ(INFO(map, 105, info), -E2BIG);
	CHECK_EQ(len_after, 105);
	info[104] = 0;
	info[103] = 1; /* what pads the struct is checked too */
	CHECK_EQ(INFO(map, 104, info), -E2BIG);
	memset(info, 0xff, 88);
	memset(info + 88, 0, 100);
	CHECK_EQ(INFO(map, 104, info), 0);
	CHECK_EQ(INFO(map, 104, BAD), -EFAULT);
	CHECK_EQ(INFO(map, 4096, BAD), -EFAULT);
	CHECK_EQ(INFO(9999, 104, BAD), -EBADFD);
	CHECK_EQ(INFO(path, 104, BAD), -EBADFD);
	CHECK_EQ(INFO(null, 104, BAD), -EINVAL);
	close(null);
	close(path);
	close_fd(map);
}

static void info_fields(void)
{
	struct {
		uint32_t type, id, key_size, value_size, max_entries, map_flags;
		char name[16];
		uint32_t rest[16];
	} info = {0};
	union sys_attr attr = {
		.map_create = {.map_type = BPF_MAP_TYPE_HASH,
			       .key_size = 3,
			       .value_size = 5,
			       .max_entries = 7,
			       .map_flags = BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG | BPF_F_RDONLY,
			       .map_name = "a_name.x"}};
	uint32_t i;
	int map = bpf(BPF_MAP_CREATE, &attr, sizeof(attr));

	REQUIRE(map >= 0);
	_Static_assert(sizeof(info) == 104, "bpf_map_info");
	CHECK_EQ(INFO(map, sizeof(info), &info), 0);
	CHECK_EQ(info.type, BPF_MAP_TYPE_HASH);
	CHECK(info.id > 0);
	CHECK_EQ(info.key_size, 3);
	CHECK_EQ(info.value_size, 5);
	CHECK_EQ(info.max_entries, 7);
	CHECK_EQ(info.map_flags, BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	CHECK(!memcmp(info.name, "a_name.x\0\0\0\0\0\0\0", 16));
	for (i = 0; i < 16; i++)
		CHECK_EQ(info.rest[i], 0);
	close_fd(map);
}

static void info_hash(void)
{
	/* of 32 zero bytes */
	static const uint8_t zeros[32] = {0x66, 0x68, 0x7a, 0xad, 0xf8, 0x62, 0xbd, 0x77,
					  0x6c, 0x8f, 0xc1, 0x8b, 0x8e, 0x9f, 0x8e, 0x20,
					  0x08, 0x97, 0x14, 0x85, 0x6e, 0xe2, 0x33, 0xb3,
					  0x90, 0x2a, 0x59, 0x1d, 0x0d, 0x5f, 0x29, 0x25};
	uint8_t hash[32] = {0};
	struct {
		uint8_t head[88];
		uint64_t hash;
		uint32_t hash_size, pad;
	} info = {.hash = P(hash), .hash_size = 32};
	int map = array_new(), other = hash_new();

	CHECK_EQ(INFO(map, sizeof(info), &info), -EPERM); /* not frozen */
	CHECK_EQ(INFO(other, sizeof(info), &info), -EINVAL);
	info.hash_size = 31;
	CHECK_EQ(INFO(map, sizeof(info), &info), -EINVAL);
	info.hash = 0;
	CHECK_EQ(INFO(map, sizeof(info), &info), -EINVAL);
	CHECK_EQ(freeze(map), 0);
	info.hash = P(hash);
	info.hash_size = 32;
	CHECK_EQ(INFO(map, sizeof(info), &info), 0);
	CHECK(!memcmp(hash, zeros, sizeof(zeros)));
	info.hash = BAD;
	CHECK_EQ(INFO(map, sizeof(info), &info), -EFAULT);
	close_fd(map);
	close_fd(other);
}

/* The lines of fdinfo that the kernel's have, with the same values. */
static void fdinfo(void)
{
	char text[1024], want[1024], proc[64];
	int map = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE), null, n;

	CHECK_EQ(freeze(map), 0);
	if (on_kernel) {
		snprintf(proc, sizeof(proc), "/proc/self/fdinfo/%d", map);
		null = open(proc, O_RDONLY);
		n = read(null, text, sizeof(text) - 1);
		close(null);
	} else {
		n = fd_fdinfo(map, text, sizeof(text));
		CHECK_EQ(fd_fdinfo(map, text, n), -ENOSPC);
		CHECK_EQ(fd_fdinfo(9999, text, sizeof(text)), -EBADF);
		null = open("/dev/null", O_RDWR);
		CHECK_EQ(fd_fdinfo(null, text, sizeof(text)), -EINVAL);
		close(null);
		fd_fdinfo(map, text, sizeof(text));
	}
	REQUIRE(n > 0);
	text[n] = '\0';
	snprintf(want, sizeof(want),
		 "map_type:\t2\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t4\nmap_flags:\t0x400\n"
		 "map_extra:\t0x0\nmemlock:\t8192\nmap_id:\t%u\nfrozen:\t1\n",
		 map_id(map));
	CHECK(!strncmp(text, "pos:\t0\nflags:\t02000002\nmnt_id:\t", 30));
	REQUIRE(strstr(text, "map_type:"));
	/* after the kernel's lines shmap has its counts */
	if (!on_kernel)
		strcat(want, "entries:\t4\nevictions:\t0\nfailed:\t0\nlost:\t0\nchanges:\t0\n");
	CHECK(!strcmp(strstr(text, "map_type:"), want));
	close_fd(map);
}

/* mmap(2), as the preload layer does it on shmap. */
static void *map_mmap(int fd, size_t len, int prot, int flags, off_t offset, long *err)
{
	int own = -1;
	void *p;

	*err = 0;
	if (!on_kernel) {
		*err = fd_mmap_check(fd, offset, len, prot, flags);
		if (!*err)
			own = fd_mmap_open(fd, prot);
		if (!*err && own < 0)
			*err = own;
		if (*err)
			return MAP_FAILED;
	}
	p = mmap(NULL, len, prot, flags, own >= 0 ? own : fd, offset);
	if (p == MAP_FAILED)
		*err = -errno;
	if (own >= 0)
		close(own);
	return p;
}

static long try_mmap(int fd, size_t len, int prot, int flags, off_t offset)
{
	long err;
	void *p = map_mmap(fd, len, prot, flags, offset, &err);

	if (p != MAP_FAILED)
		munmap(p, len);
	return err;
}

static void mmap_errors(void)
{
	int hash = hash_new(), plain = array_new();
	int map = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE);
	int rd = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE | BPF_F_RDONLY);
	int wr = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE | BPF_F_WRONLY);
	int prog = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE | BPF_F_RDONLY_PROG);
	int rdhash = map_new(BPF_MAP_TYPE_HASH, 4, 8, 4, BPF_F_RDONLY);
	const int rw = PROT_READ | PROT_WRITE;

	CHECK_EQ(try_mmap(hash, 4096, PROT_READ, MAP_SHARED, 0), -ENOTSUPP);
	CHECK_EQ(try_mmap(hash, 4096, PROT_READ, MAP_PRIVATE, 0), -ENOTSUPP);
	CHECK_EQ(try_mmap(hash, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, 0), -EPERM);
	CHECK_EQ(try_mmap(rdhash, 4096, PROT_READ, MAP_SHARED, 0), -ENOTSUPP);
	CHECK_EQ(try_mmap(rdhash, 4096, rw, MAP_SHARED, 0), -EACCES);
	CHECK_EQ(try_mmap(plain, 4096, PROT_READ, MAP_SHARED, 0), -EINVAL);
	CHECK_EQ(try_mmap(map, 4096, PROT_READ, MAP_SHARED, 0), 0);
	CHECK_EQ(try_mmap(map, 4096, rw, MAP_SHARED, 0), 0);
	CHECK_EQ(try_mmap(map, 4096, PROT_WRITE, MAP_SHARED, 0), 0);
	CHECK_EQ(try_mmap(map, 4096, PROT_NONE, MAP_SHARED, 0), 0);
	CHECK_EQ(try_mmap(map, 100, rw, MAP_SHARED, 0), 0);
	CHECK_EQ(try_mmap(map, 4096, rw, MAP_SHARED_VALIDATE, 0), 0);
	CHECK_EQ(try_mmap(map, 4096, PROT_READ, MAP_PRIVATE, 0), -EINVAL);
	CHECK_EQ(try_mmap(map, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, 0), -EPERM);
	CHECK_EQ(try_mmap(map, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, 0), -EPERM);
	CHECK_EQ(try_mmap(map, 8192, PROT_READ, MAP_SHARED, 0), -EINVAL);
	CHECK_EQ(try_mmap(map, 4096, PROT_READ, MAP_SHARED, 4096), -EINVAL);
	CHECK_EQ(try_mmap(map, 4096, PROT_READ, MAP_SHARED, 1), -EINVAL);
	CHECK_EQ(try_mmap(map, 0, PROT_READ, MAP_SHARED, 0), -EINVAL);
	/* to mmap(2), a shared mapping of a read-only file is not a shared one */
	CHECK_EQ(try_mmap(rd, 4096, PROT_READ, MAP_SHARED, 0), -EINVAL);
	CHECK_EQ(try_mmap(rd, 4096, rw, MAP_SHARED, 0), -EACCES);
	CHECK_EQ(try_mmap(wr, 4096, PROT_READ, MAP_SHARED, 0), -EACCES);
	CHECK_EQ(try_mmap(wr, 4096, PROT_WRITE, MAP_SHARED, 0), -EACCES);
	CHECK_EQ(try_mmap(prog, 4096, rw, MAP_SHARED, 0), -EACCES);
	CHECK_EQ(try_mmap(prog, 4096, PROT_READ, MAP_SHARED, 0), 0);
	CHECK_EQ(freeze(map), 0);
	CHECK_EQ(try_mmap(map, 4096, rw, MAP_SHARED, 0), -EPERM);
	CHECK_EQ(try_mmap(map, 4096, PROT_READ, MAP_SHARED, 0), 0);
	CHECK_EQ(try_mmap(map, 4096, rw, MAP_PRIVATE, 0), -EINVAL);
	close_fd(hash);
	close_fd(plain);
	close_fd(map);
	close_fd(rd);
	close_fd(wr);
	close_fd(prog);
	close_fd(rdhash);
}

static void mmap_values(void)
{
	int map = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE);
	uint64_t *p, *q, v = 42;
	uint32_t key = 2;
	long err;

	p = map_mmap(map, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &err);
	q = map_mmap(map, 4096, PROT_READ, MAP_SHARED, 0, &err);
	REQUIRE(p != MAP_FAILED && q != MAP_FAILED);
	CHECK_EQ(update(map, &key, &v, 0), 0);
	CHECK_EQ(p[2], 42);
	p[3] = 43;
	CHECK_EQ(q[3], 43);
	key = 3;
	CHECK_EQ(lookup(map, &key, &v, 0), 0);
	CHECK_EQ(v, 43);
	CHECK_EQ(mprotect(q, 4096, PROT_READ | PROT_WRITE), -1);
	CHECK_EQ(errno, EACCES);
	munmap(p, 4096);
	munmap(q, 4096);
	close_fd(map);
}

/* BPF_MAP_FREEZE fails while a writable mapping is there, however it came about. */
static void freeze_busy(void)
{
	int map = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE);
	char *p, *q;
	long err;

	p = map_mmap(map, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &err);
	q = map_mmap(map, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &err);
	REQUIRE(p != MAP_FAILED && q != MAP_FAILED);
	CHECK_EQ(freeze(map), -EBUSY);
	munmap(p, 4096);
	CHECK_EQ(freeze(map), -EBUSY);
	munmap(q, 4096);
	p = map_mmap(map, 4096, PROT_READ, MAP_SHARED, 0, &err);
	REQUIRE(p != MAP_FAILED);
	CHECK_EQ(freeze(map), 0);
	CHECK_EQ(freeze(map), -EPERM);
	munmap(p, 4096);
	close_fd(map);
}

/* The mapping of another process counts, by fork too, until that ends. */
static void freeze_busy_elsewhere(void)
{
	int map = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE), go[2], done[2];
	char *p, byte;
	pid_t pid;
	long err;

	REQUIRE(!pipe(go) && !pipe(done));
	p = map_mmap(map, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &err);
	REQUIRE(p != MAP_FAILED);
	pid = fork();
	if (!pid) {
		close(go[1]);
		REQUIRE(write(done[1], "x", 1) == 1);
		if (read(go[0], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	munmap(p, 4096);
	REQUIRE(read(done[0], &byte, 1) == 1);
	CHECK_EQ(freeze(map), -EBUSY);
	kill(pid, SIGKILL);
	REQUIRE(waitpid(pid, NULL, 0) == pid);
	CHECK_EQ(freeze(map), 0);
	for (int i = 0; i < 2; i++) {
		close(go[i]);
		close(done[i]);
	}
	close_fd(map);
}

/* Freezers and mappers at once: who maps writably after a freeze is refused. */
static void freeze_race(void)
{
	for (int i = 0; i < 200; i++) {
		int map = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE), status;
		long err, frozen;
		pid_t pid;
		char *p;

		pid = fork();
		if (!pid)
			_exit(-freeze(map) & 0x7f);
		p = map_mmap(map, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0, &err);
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
		frozen = -WEXITSTATUS(status);
		if (p == MAP_FAILED) {
			CHECK_EQ(err, -EPERM);
			CHECK_EQ(frozen, 0);
		} else {
			CHECK_EQ(frozen, -EBUSY);
			CHECK_EQ(freeze(map), -EBUSY);
			munmap(p, 4096);
			CHECK_EQ(freeze(map), 0);
		}
		close_fd(map);
	}
}

static void mapping_keeps(void)
{
	int map = map_new(BPF_MAP_TYPE_ARRAY, 4, 8, 4, BPF_F_MMAPABLE), again;
	uint32_t id = map_id(map), key = 0;
	uint64_t v = 9, *p;
	long err;

	p = map_mmap(map, 4096, PROT_READ, MAP_SHARED, 0, &err);
	REQUIRE(p != MAP_FAILED);
	CHECK_EQ(update(map, &key, &v, 0), 0);
	close_fd(map);
	CHECK_EQ(*p, 9);
	again = CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id});
	REQUIRE(again >= 0);
	v = 10;
	CHECK_EQ(update(again, &key, &v, 0), 0);
	CHECK_EQ(*p, 10);
	close_fd(again);
	munmap(p, 4096);
	CHECK_EQ(CALL(BPF_MAP_GET_FD_BY_ID, .id = {.map_id = id}), -ENOENT);
}

static const struct claim claims[] = {
	{"pin-errors", pin_errors, PINS},
	{"obj-get-errors-and-open-modes", get_errors, PINS},
	{"pin-paths-lead-to-the-runtime-directory", pin_places, OURS},
	{"pin-keeps-the-map", pin_keeps, PINS},
	{"map-ids-rise-and-open", ids},
	{"map-id-goes-with-the-last-fd", id_gone},
	{"map-info-lengths", info_lengths},
	{"map-info-fields", info_fields},
	{"map-info-hash-of-a-frozen-array", info_hash},
	{"fdinfo-text", fdinfo},
	{"mmap-errors", mmap_errors},
	{"mmap-shows-the-values-read-only-stays-so", mmap_values},
	{"freeze-busy-while-writably-mapped", freeze_busy},
	{"freeze-busy-until-the-last-process-unmaps-or-dies", freeze_busy_elsewhere},
	{"freeze-and-writable-mmap-exclude-each-other", freeze_race},
	{"mapping-keeps-the-map", mapping_keeps},
};

BOTH_MAIN(claims)
