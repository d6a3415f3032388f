/* SPDX-License-Identifier: BSD-2-Clause */
/* A program that closes or replaces every fd, changes SHMAP_DIR or forks goes on
 * with the same directory, and never touches a wrong one. */
#include "area.h"

int main(void)
{
	struct object obj, other;
	int fd, low, dir;
	pid_t pid;

	area_begin();
	low = dup(0);
	close(low);
	fd = area_object(OBJECT_MAP, 4096, &obj);
	CHECK_EQ(fd, low); /* our own fds do not take the low numbers */
	setenv("SHMAP_DIR", "/nonexistent", 1);
	CHECK_EQ(rundir_open(), 0);
	CHECK(!strcmp(rundir_path(), area_dir));

	CHECK_EQ(close_range(3, ~0U, 0), 0);
	CHECK(area_alive(OBJECT_MAP, obj.id)); /* the mapping holds it */
	fd = area_object(OBJECT_MAP, 4096, &other);
	CHECK_EQ(other.id, obj.id + 1);

	/* Every number that we may have had now shows another directory */
	dir = open("/dev/shm", O_PATH | O_DIRECTORY);
	REQUIRE(dir >= 0);
	for (int i = 32; i < 1 << 16; i++)
		if (fcntl(i, F_GETFD) >= 0)
			REQUIRE(dup2(dir, i) == i);
	CHECK_EQ(object_open_id(OBJECT_MAP, other.id + 1, O_RDWR), -ENOENT);
	fd = area_object(OBJECT_MAP, 4096, &other);
	CHECK_EQ(area_count("map"), 3);
	CHECK_EQ(object_pin(fd, "p"), 0);
	CHECK_EQ(area_count("fs"), 1);

	pid = area_fork();
	if (!pid) {
		fd = object_open_id(OBJECT_MAP, other.id, O_RDWR);
		_exit(fd < 0 || strcmp(rundir_path(), area_dir));
	}
	area_join(pid);

	/* The directory is gone: an error, not a new one */
	CHECK_EQ(close_range(3, ~0U, 0), 0);
	area_remove(area_dir);
	CHECK(object_open_id(OBJECT_MAP, obj.id, O_RDWR) < 0);
	CHECK(object_create(OBJECT_MAP, 1, 1, &other, &fd) < 0);
	return check_done();
}
