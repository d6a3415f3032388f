/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls on paths below /sys/fs/bpf answer as the kernel's bpffs does. */
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "bpf.h"

#define TREE "/sys/fs/bpf/"

static unsigned int id_of(int fd)
{
	struct bpf_map_info info = {0};
	unsigned int len = sizeof(info);

	CHECK_EQ(bpf_obj_get_info_by_fd(fd, &info, &len), 0);
	return info.id;
}

static int pins_seen, dirs_seen;

static int on_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (!strcmp(path, TREE "d/m"))
		pins_seen +=
			type == FTW_F && S_ISREG(st->st_mode) && !strcmp(path + ftw->base, "m");
	if (!strcmp(path, TREE "d"))
		dirs_seen += type == FTW_D;
	return 0;
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	int n = 0;

	REQUIRE(dir);
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}

int main(void)
{
	int fd = make_map(BPF_MAP_TYPE_HASH, 8, 4, 0), again, before, dir;
	char resolved[PATH_MAX];
	struct statfs fs;
	struct stat st;
	unsigned int id = id_of(fd);

	CHECK_EQ(statfs("/sys/fs/bpf", &fs), 0);
	CHECK_EQ((unsigned int)fs.f_type, 0xcafe4a11);
	before = count_entries("/sys/fs/bpf");
	CHECK_EQ(bpf_obj_pin(fd, TREE "m"), 0);
	CHECK_EQ(bpf_obj_pin(fd, TREE "m"), -EEXIST);
	CHECK_EQ(bpf_obj_pin(fd, TREE "a.b"), -EPERM);
	CHECK_EQ(bpf_obj_pin(fd, TREE "none/x"), -ENOENT);
	CHECK_EQ(bpf_obj_get(TREE "zz"), -ENOENT);
	CHECK_EQ(count_entries("/sys/fs/bpf"), before + 1);

	CHECK_EQ(stat(TREE "m", &st), 0);
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(st.st_nlink, 1);
	CHECK_EQ(access(TREE "m", R_OK), 0);
	CHECK_FAILS(open(TREE "m", O_RDONLY), EIO);
	CHECK_FAILS(open(TREE "m", O_WRONLY | O_TRUNC), EIO);
	CHECK_FAILS(open(TREE "new", O_CREAT | O_RDWR, 0600), EACCES);
	CHECK_FAILS(open(TREE "m", O_CREAT | O_EXCL | O_RDWR, 0600), EEXIST);
	CHECK_FAILS(stat(TREE "a.b", &st), EPERM);
	CHECK_FAILS(mkdir(TREE "d.x", 0700), EPERM);
	CHECK_EQ(truncate(TREE "m", 0), 0);
	CHECK(!fopen(TREE "m", "r"));

	CHECK_EQ(mkdir(TREE "d", 0700), 0);
	CHECK_FAILS(mkdir(TREE "d", 0700), EEXIST);
	CHECK_EQ(rename(TREE "m", TREE "d/m"), 0);
	CHECK_FAILS(rmdir(TREE "d"), ENOTEMPTY);
	CHECK_FAILS(stat(TREE "m", &st), ENOENT);
	CHECK_FAILS(rename(TREE "d/m", "/tmp/shmap-test-no"), EXDEV);
	CHECK_EQ(nftw("/sys/fs/bpf", on_entry, 8, FTW_PHYS), 0);
	CHECK_EQ(pins_seen, 1);
	CHECK_EQ(dirs_seen, 1);
	CHECK(realpath("/sys/fs//bpf/./d/../d/m", resolved) && !strcmp(resolved, TREE "d/m"));

	/* The pin alone keeps the map. */
	close(fd);
	again = bpf_obj_get(TREE "d/m");
	CHECK(again >= 0);
	CHECK_EQ(id_of(again), id);
	CHECK_EQ(unlink(TREE "d/m"), 0);
	CHECK_FAILS(unlink(TREE "d/m"), ENOENT);
	CHECK_EQ(rmdir(TREE "d"), 0);
	CHECK_EQ(id_of(again), id);
	close(again);
	CHECK_EQ(bpf_map_get_fd_by_id(id), -ENOENT);

	/* The same by relative paths. */
	fd = make_map(BPF_MAP_TYPE_ARRAY, 8, 4, 0);
	CHECK_EQ(bpf_obj_pin(fd, TREE "rel"), 0);
	CHECK_EQ(chdir("/sys/fs/bpf"), 0);
	CHECK_FAILS(open("rel", O_RDWR), EIO);
	CHECK_FAILS(open("rel", O_WRONLY | O_TRUNC), EIO);
	CHECK_FAILS(open("./rel", O_RDONLY), EIO);
	CHECK_FAILS(open("new", O_CREAT | O_WRONLY, 0600), EACCES);
	CHECK(!fopen("rel", "w"));
	CHECK_EQ(truncate("rel", 0), 0);
	CHECK_EQ(chdir("/"), 0);
	dir = open("/sys/fs/bpf", O_RDONLY | O_DIRECTORY);
	CHECK(dir >= 0);
	CHECK_FAILS(openat(dir, "rel", O_RDWR), EIO);
	CHECK_EQ(access(TREE "rel", F_OK), 0);
	CHECK_EQ(unlinkat(dir, "rel", 0), 0);
	close(dir);
	CHECK_EQ(bpf_map_update_elem(fd, &(unsigned int){3}, &(unsigned long long){1}, BPF_ANY), 0);
	close(fd);

	/* A pin that another replaces. */
	fd = make_map(BPF_MAP_TYPE_HASH, 8, 4, 0);
	again = make_map(BPF_MAP_TYPE_HASH, 8, 4, 0);
	id = id_of(fd);
	CHECK_EQ(bpf_obj_pin(fd, TREE "one"), 0);
	CHECK_EQ(bpf_obj_pin(again, TREE "two"), 0);
	close(fd);
	CHECK_EQ(rename(TREE "two", TREE "one"), 0);
	CHECK_EQ(bpf_map_get_fd_by_id(id), -ENOENT);
	fd = bpf_obj_get(TREE "one");
	CHECK_EQ(id_of(fd), id_of(again));
	CHECK_EQ(unlink(TREE "one"), 0);
	CHECK_EQ(count_entries("/sys/fs/bpf"), before);
	return check_done();
}
