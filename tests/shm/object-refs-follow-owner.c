/* SPDX-License-Identifier: BSD-2-Clause */
/* A reference keeps its target until the owner goes, however the owner goes. */
#include "area.h"

int main(void)
{
	struct object prog, map, btf, link, many[200];
	int prog_fd, map_fd, btf_fd, fd, fds[200];
	char name[16];
	pid_t pid;

	area_begin();

	/* link -> prog -> map -> btf, each held by the one before alone */
	btf_fd = area_object(OBJECT_BTF, 1, &btf);
	map_fd = area_object(OBJECT_MAP, 1, &map);
	prog_fd = area_object(OBJECT_PROG, 1, &prog);
	fd = area_object(OBJECT_LINK, 1, &link);
	CHECK_EQ(object_ref(OBJECT_MAP, map.id, btf_fd), 0);
	CHECK_EQ(object_ref(OBJECT_PROG, prog.id, map_fd), 0);
	CHECK_EQ(object_ref(OBJECT_PROG, prog.id, map_fd), 0);
	CHECK_EQ(object_ref(OBJECT_LINK, link.id, prog_fd), 0);
	CHECK_EQ(object_ref(OBJECT_LINK, link.id, 0), -EINVAL);
	CHECK_EQ(object_ref(OBJECT_LINK, link.id, -1), -EBADF);
	CHECK_EQ(area_count("ref"), 3);
	object_unmap(&btf);
	object_unmap(&map);
	object_unmap(&prog);
	object_unmap(&link);
	close(btf_fd);
	close(map_fd);
	close(prog_fd);
	object_collect_all();
	CHECK_EQ(area_count_all(), 7);
	CHECK(area_alive(OBJECT_BTF, btf.id));
	close(fd);
	object_collect(OBJECT_LINK, link.id);
	CHECK_EQ(area_count_all(), 0);

	/* Dropped before the owner goes */
	map_fd = area_object(OBJECT_MAP, 1, &map);
	prog_fd = area_object(OBJECT_PROG, 1, &prog);
	CHECK_EQ(object_ref(OBJECT_PROG, prog.id, map_fd), 0);
	object_unmap(&map);
	close(map_fd);
	object_unref(OBJECT_PROG, prog.id, OBJECT_MAP, map.id);
	CHECK_EQ(area_count("map"), 0);
	object_unref(OBJECT_PROG, prog.id, OBJECT_MAP, map.id);

	/* More targets than one worklist holds */
	for (int i = 0; i < 200; i++) {
		fds[i] = area_object(OBJECT_MAP, 1, &many[i]);
		CHECK_EQ(object_ref(OBJECT_PROG, prog.id, fds[i]), 0);
	}
	for (int i = 0; i < 200; i++) {
		object_unmap(&many[i]);
		close(fds[i]);
	}
	object_collect_all();
	CHECK_EQ(area_count("map"), 200);
	object_unmap(&prog);
	close(prog_fd);
	object_collect(OBJECT_PROG, prog.id);
	CHECK_EQ(area_count_all(), 0);

	/* A maker killed before the object was ready */
	pid = area_fork();
	if (!pid) {
		map_fd = area_object(OBJECT_MAP, 1, &map);
		REQUIRE(!object_create(OBJECT_PROG, 1, 1, &prog, &prog_fd));
		REQUIRE(!object_publish_unready(&prog, prog_fd));
		REQUIRE(!object_ref(OBJECT_PROG, prog.id, map_fd));
		REQUIRE(object_open_id(OBJECT_PROG, prog.id, O_RDWR) == -ENOENT);
		REQUIRE(object_next_id(OBJECT_PROG, 0, &prog.id) == -ENOENT);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	CHECK_EQ(area_count_all(), 3);
	object_collect_all();
	CHECK_EQ(area_count_all(), 0);

	/* A collector killed after the anchor and before the references */
	map_fd = area_object(OBJECT_MAP, 1, &map);
	prog_fd = area_object(OBJECT_PROG, 1, &prog);
	CHECK_EQ(object_ref(OBJECT_PROG, prog.id, map_fd), 0);
	snprintf(name, sizeof(name), "%u", prog.id);
	REQUIRE(!unlinkat(rundir_kind_fd(OBJECT_PROG), name, 0));
	object_unmap(&prog);
	object_unmap(&map);
	close(prog_fd);
	close(map_fd);
	CHECK_EQ(area_count_all(), 2);
	object_collect_all();
	CHECK_EQ(area_count_all(), 0);
	return check_done();
}
