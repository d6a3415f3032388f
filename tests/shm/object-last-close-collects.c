/* SPDX-License-Identifier: BSD-2-Clause */
/* The close of the last holder, or its death, leaves no name and no page. */
#include <sys/vfs.h>

#include "area.h"

int main(void)
{
	struct object obj;
	uint32_t id;
	int fd, fd2;
	pid_t pid;

	area_begin();
	fd = area_object(OBJECT_MAP, 1 << 20, &obj);
	id = obj.id;
	fd2 = object_open_id(OBJECT_MAP, id, O_RDONLY);
	CHECK(fd2 >= 0);
	object_unmap(&obj);
	close(fd);
	object_collect(OBJECT_MAP, id);
	CHECK_EQ(area_count("map"), 1); /* fd2 */
	close(fd2);
	object_collect(OBJECT_MAP, id);
	CHECK_EQ(area_count("map"), 0);
	CHECK_EQ(object_open_id(OBJECT_MAP, id, O_RDONLY), -ENOENT);

	/* Nobody collected; asking for the ids, or opening, does. */
	fd = area_object(OBJECT_MAP, 4096, &obj);
	object_unmap(&obj);
	close(fd);
	CHECK_EQ(area_count("map"), 1);
	CHECK_EQ(object_next_id(OBJECT_MAP, 0, &id), -ENOENT);
	CHECK_EQ(area_count("map"), 0);
	fd = area_object(OBJECT_LINK, 4096, &obj);
	object_unmap(&obj);
	close(fd);
	CHECK_EQ(object_open_id(OBJECT_LINK, obj.id, O_RDWR), -ENOENT);
	CHECK_EQ(area_count("link"), 0);

	/* A killed holder */
	pid = area_fork();
	if (!pid) {
		area_object(OBJECT_PROG, 4096, &obj);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	CHECK_EQ(area_count("prog"), 1);
	object_collect_all();
	CHECK_EQ(area_count_all(), 0);
	return check_done();
}
