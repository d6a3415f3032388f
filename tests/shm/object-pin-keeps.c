/* SPDX-License-Identifier: BSD-2-Clause */
/* A pin keeps an object without a holder; its removal lets it go. Names as in bpffs. */
#include "area.h"

int main(void)
{
	char path[PATH_MAX], longname[300];
	struct object obj, other;
	int fd, fd2;
	uint32_t id;

	area_begin();
	fd = area_object(OBJECT_MAP, 4096, &obj);
	strcpy((char *)obj.base, "kept");
	CHECK_EQ(object_pin(fd, "a"), 0);
	CHECK_EQ(object_pin(fd, "a"), -EEXIST);
	CHECK_EQ(object_pin(fd, "dir/a"), -ENOENT);
	snprintf(path, sizeof(path), "%s/fs/dir", area_dir);
	REQUIRE(!mkdir(path, 0700));
	CHECK_EQ(object_pin(fd, "dir/a"), 0);
	CHECK_EQ(object_pin(fd, "/dir//b"), 0);
	CHECK_EQ(object_pin(fd, "a/b"), -ENOTDIR);
	CHECK_EQ(object_pin(fd, "../map/x"), -EPERM);
	CHECK_EQ(object_pin(fd, "x.y"), -EPERM);
	CHECK_EQ(object_pin(fd, ""), -EEXIST);
	memset(longname, 'n', sizeof(longname));
	longname[sizeof(longname) - 1] = '\0';
	CHECK_EQ(object_pin(fd, longname), -ENAMETOOLONG);
	CHECK_EQ(object_pin(-1, "z"), -EBADF);
	CHECK_EQ(object_pin(0, "z"), -EINVAL);

	object_unmap(&obj);
	close(fd);
	object_collect_all();
	fd2 = object_open_pin("dir/b", O_RDONLY);
	REQUIRE(fd2 >= 0);
	REQUIRE(!object_map(fd2, &other));
	CHECK(!strcmp((char *)other.base, "kept"));
	CHECK(!other.writable);
	CHECK_EQ(other.id, obj.id);
	object_unmap(&other);
	close(fd2);

	CHECK_EQ(object_open_pin("none", O_RDWR), -ENOENT);
	CHECK_EQ(object_open_pin("dir", O_RDWR), -EACCES);
	CHECK_EQ(object_open_pin("", O_RDWR), -EACCES);
	CHECK_EQ(object_open_pin("a", O_RDWR | O_CREAT), -EINVAL);
	CHECK_EQ(object_unpin("dir"), -EISDIR);
	CHECK_EQ(object_unpin("none"), -ENOENT);

	/* A file that is no object, and a link that leads out */
	snprintf(path, sizeof(path), "%s/fs/plain", area_dir);
	close(open(path, O_CREAT | O_RDWR, 0600));
	CHECK_EQ(object_open_pin("plain", O_RDWR), -EACCES);
	snprintf(path, sizeof(path), "%s/fs/out", area_dir);
	REQUIRE(!symlink("/tmp", path));
	CHECK(object_pin(0, "out/x") < 0);
	CHECK_EQ(object_open_pin("out", O_RDWR), -EACCES);

	CHECK_EQ(object_unpin("a"), 0);
	CHECK_EQ(object_unpin("dir/a"), 0);
	CHECK_EQ(area_count("map"), 1);
	CHECK_EQ(object_unpin("dir/b"), 0);
	CHECK_EQ(area_count("map"), 0);
	CHECK_EQ(object_next_id(OBJECT_MAP, 0, &id), -ENOENT);

	/* Pinned, unpinned, pinned again, as long as an fd is open */
	fd = area_object(OBJECT_PROG, 4096, &obj);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(object_pin(fd, "again"), 0);
		CHECK_EQ(object_unpin("again"), 0);
	}
	return check_done();
}
