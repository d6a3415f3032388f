/* SPDX-License-Identifier: BSD-2-Clause */
/* Two unrelated processes see one object by its id, and each other's stores. */
#include "area.h"

static int observer(uint32_t id)
{
	struct object obj;
	int fd = object_open_id(OBJECT_MAP, id, O_RDWR);

	REQUIRE(fd >= 0);
	REQUIRE(!object_map(fd, &obj));
	CHECK_EQ(obj.kind, OBJECT_MAP);
	CHECK_EQ(obj.id, id);
	CHECK(!strcmp((char *)obj.base, "from the maker"));
	CHECK_EQ(obj.trailer->body[7], 77);
	strcpy((char *)obj.base, "from the observer");
	CHECK_EQ(object_open_id(OBJECT_PROG, id, O_RDWR), -ENOENT);
	CHECK_EQ(object_open_id(OBJECT_MAP, id + 1, O_RDWR), -ENOENT);
	return check_done();
}

int main(int argc, char **argv)
{
	struct object obj;
	char id[16];
	uint32_t next;
	pid_t pid;
	int fd;

	if (argc == 2)
		return observer(atoi(argv[1]));
	area_begin();
	REQUIRE(!object_create(OBJECT_MAP, 100, 100, &obj, &fd));
	strcpy((char *)obj.base, "from the maker");
	obj.trailer->body[7] = 77;
	CHECK_EQ(object_next_id(OBJECT_MAP, 0, &next), -ENOENT);
	REQUIRE(!object_publish(&obj, fd));
	CHECK_EQ(object_next_id(OBJECT_MAP, 0, &next), 0);
	CHECK_EQ(next, obj.id);
	CHECK_EQ(object_next_id(OBJECT_MAP, next, &next), -ENOENT);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);

	snprintf(id, sizeof(id), "%u", obj.id);
	pid = area_fork();
	if (!pid) {
		execl("/proc/self/exe", argv[0], id, (char *)NULL);
		_exit(127);
	}
	area_join(pid);
	CHECK(!strcmp((char *)obj.base, "from the observer"));
	return check_done();
}
