/* SPDX-License-Identifier: BSD-2-Clause */
/* A mapping, a dup, a forked child or a message in flight keeps an object. */
#include <sys/socket.h>

#include "area.h"

static void send_fd(int sock, int fd)
{
	char byte = 'x', buf[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct iovec io = {&byte, 1};
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = buf, .msg_controllen = sizeof(buf)};
	struct cmsghdr *h = CMSG_FIRSTHDR(&m);

	h->cmsg_level = SOL_SOCKET;
	h->cmsg_type = SCM_RIGHTS;
	h->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(h), &fd, sizeof(int));
	REQUIRE(sendmsg(sock, &m, 0) == 1);
}

int main(void)
{
	int fd, copy, sv[2], pipe_fd[2];
	struct object obj;
	pid_t pid;
	char c;

	area_begin();

	fd = area_object(OBJECT_MAP, 4096, &obj);
	close(fd);
	CHECK(area_alive(OBJECT_MAP, obj.id)); /* the mapping */
	object_unmap(&obj);
	CHECK(!area_alive(OBJECT_MAP, obj.id));

	fd = area_object(OBJECT_MAP, 4096, &obj);
	object_unmap(&obj);
	copy = dup(fd);
	close(fd);
	CHECK(area_alive(OBJECT_MAP, obj.id));
	close(copy);
	CHECK(!area_alive(OBJECT_MAP, obj.id));

	fd = area_object(OBJECT_MAP, 4096, &obj);
	object_unmap(&obj);
	REQUIRE(!pipe(pipe_fd));
	pid = area_fork();
	if (!pid) {
		close(pipe_fd[1]);
		_exit(read(pipe_fd[0], &c, 1) != 0);
	}
	close(fd);
	CHECK(area_alive(OBJECT_MAP, obj.id));
	close(pipe_fd[1]);
	area_join(pid);
	CHECK(!area_alive(OBJECT_MAP, obj.id));

	fd = area_object(OBJECT_MAP, 4096, &obj);
	object_unmap(&obj);
	REQUIRE(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv));
	send_fd(sv[0], fd);
	close(fd);
	CHECK(area_alive(OBJECT_MAP, obj.id));
	close(sv[0]);
	close(sv[1]);
	CHECK(!area_alive(OBJECT_MAP, obj.id));

	/* A mapping made by object_map() of an O_WRONLY fd outlives the fd too. */
	fd = area_object(OBJECT_MAP, 4096, &obj);
	copy = object_open_id(OBJECT_MAP, obj.id, O_WRONLY);
	object_unmap(&obj);
	close(fd);
	REQUIRE(!object_map(copy, &obj));
	close(copy);
	CHECK(area_alive(OBJECT_MAP, obj.id));
	object_unmap(&obj);
	CHECK(!area_alive(OBJECT_MAP, obj.id));
	CHECK_EQ(area_count_all(), 0);
	return check_done();
}
