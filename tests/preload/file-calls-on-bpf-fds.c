/* SPDX-License-Identifier: BSD-2-Clause */
/* read(2), lseek(2), poll(2), readlink(2) and the like on BPF fds answer as the kernel does. */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "bpf.h"

static void check_file_calls(int fd)
{
	char buf[8] = "damaged";
	struct iovec v = {buf, sizeof(buf)};
	int other = memfd_create("other", 0);
	int ends[2];

	REQUIRE(other >= 0 && !pipe(ends));
	CHECK_EQ(write(ends[1], buf, sizeof(buf)), sizeof(buf));
	CHECK_EQ(pwrite(other, buf, sizeof(buf), 0), sizeof(buf));
	CHECK_FAILS(read(fd, buf, sizeof(buf)), EINVAL);
	CHECK_FAILS(write(fd, buf, sizeof(buf)), EINVAL);
	CHECK_FAILS(write(fd, buf, 0), EINVAL);
	CHECK_FAILS(readv(fd, &v, 1), EINVAL);
	CHECK_FAILS(writev(fd, &v, 1), EINVAL);
	CHECK_FAILS(pread(fd, buf, sizeof(buf), 0), ESPIPE);
	CHECK_FAILS(pwrite(fd, buf, sizeof(buf), 0), ESPIPE);
	CHECK_FAILS(pwritev(fd, &v, 1, 0), ESPIPE);
	CHECK_FAILS(lseek(fd, 0, SEEK_SET), ESPIPE);
	CHECK_FAILS(lseek(fd, 0, 99), EINVAL);
	CHECK_FAILS(ftruncate(fd, 0), EINVAL);
	CHECK_FAILS(fallocate(fd, 0, 0, 4096), ENODEV);
	CHECK_FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), ENODEV);
	CHECK_EQ(posix_fallocate(fd, 0, 10), ENODEV);
	CHECK_FAILS(fchmod(fd, 0600), EOPNOTSUPP);
	CHECK_FAILS(sendfile(fd, other, NULL, 4), EINVAL);
	CHECK_FAILS(copy_file_range(other, NULL, fd, NULL, 4, 0), EINVAL);
	CHECK_FAILS(splice(ends[0], NULL, fd, NULL, 4, 0), EINVAL);
	CHECK_FAILS(syscall(SYS_write, fd, buf, sizeof(buf)), EINVAL);
	CHECK_FAILS(syscall(SYS_pwrite64, fd, buf, sizeof(buf), 0L), ESPIPE);
	CHECK(dprintf(fd, "damaged") < 0);
	CHECK_EQ(flock(fd, LOCK_SH | LOCK_NB), 0);
	CHECK_EQ(flock(fd, LOCK_UN), 0);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(other);
	close(ends[0]);
	close(ends[1]);
}

static void check_link(int fd, const char *want)
{
	char path[64], text[64] = "";
	int n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, text, sizeof(text) - 1);
	CHECK(n > 0 && !strcmp(text, want));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	memset(text, 0, sizeof(text));
	CHECK_EQ(readlinkat(AT_FDCWD, path, text, 7), 7);
	CHECK(!strncmp(text, want, 7) && !text[7]);
	CHECK_FAILS(open(path, O_RDONLY), ENXIO);
	CHECK_FAILS(open(path, O_RDWR | O_TRUNC), ENXIO);
}

static void check_poll(int map, int plain)
{
	struct pollfd p[3] = {{map, POLLIN, 0}, {plain, POLLIN, 0}, {map, POLLIN | POLLOUT, 0}};
	struct epoll_event ev = {EPOLLIN, {.u64 = 77}};
	int ep = epoll_create1(EPOLL_CLOEXEC);

	/* plain has nothing to read: only the maps are ready, at once */
	CHECK_EQ(poll(p, 3, -1), 2);
	CHECK_EQ(p[0].revents, POLLERR);
	CHECK_EQ(p[1].revents, 0);
	CHECK_EQ(p[2].revents, POLLERR);
	CHECK_EQ(ppoll(p, 1, NULL, NULL), 1);

	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, map, &ev), 0);
	CHECK_FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, map, &ev), EEXIST);
	for (int i = 0; i < 3; i++) {
		memset(&ev, 0, sizeof(ev));
		CHECK_EQ(epoll_wait(ep, &ev, 1, -1), 1);
		CHECK_EQ(ev.events, EPOLLERR);
		CHECK_EQ(ev.data.u64, 77);
	}
	ev = (struct epoll_event){EPOLLIN | EPOLLOUT, {.u64 = 78}};
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_MOD, map, &ev), 0);
	CHECK_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	CHECK_EQ(ev.events, EPOLLERR);
	CHECK_EQ(ev.data.u64, 78);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_DEL, map, NULL), 0);
	CHECK_FAILS(epoll_ctl(ep, EPOLL_CTL_DEL, map, NULL), ENOENT);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	close(ep);
}

/* A map that is closed leaves the epoll set; its number may be another map's. */
static void check_epoll_close(void)
{
	struct epoll_event ev = {EPOLLIN, {.u64 = 1}};
	int ep = epoll_create1(EPOLL_CLOEXEC), map = make_map(BPF_MAP_TYPE_ARRAY, 8, 1, 0);

	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, map, &ev), 0);
	CHECK_EQ(close(map), 0);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	CHECK_EQ(make_map(BPF_MAP_TYPE_ARRAY, 8, 1, 0), map);
	CHECK_EQ(epoll_ctl(ep, EPOLL_CTL_ADD, map, &ev), 0);
	CHECK_EQ(epoll_wait(ep, &ev, 1, -1), 1);
	close(map);
	close(ep);
}

static void check_fdinfo(int fd)
{
	unsigned int type = 0, key = 0, value = 0, entries = 0, frozen = 9;
	char path[64], line[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "r");
	REQUIRE(f);
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "map_type:\t%u", &type);
		sscanf(line, "key_size:\t%u", &key);
		sscanf(line, "value_size:\t%u", &value);
		sscanf(line, "max_entries:\t%u", &entries);
		sscanf(line, "frozen:\t%u", &frozen);
	}
	fclose(f);
	CHECK_EQ(type, BPF_MAP_TYPE_ARRAY);
	CHECK_EQ(key, 4);
	CHECK_EQ(value, 8);
	CHECK_EQ(entries, 4);
	CHECK_EQ(frozen, 0);
}

static void check_mmap(int fd)
{
	unsigned long long *rw, *ro, value = 0;
	unsigned int key = 3;

	rw = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	REQUIRE(rw != MAP_FAILED);
	rw[3] = 12345;
	CHECK_EQ(bpf_map_lookup_elem(fd, &key, &value), 0);
	CHECK_EQ(value, 12345);
	ro = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	REQUIRE(ro != MAP_FAILED);
	CHECK_EQ(ro[3], 12345);
	CHECK_FAILS(mprotect(ro, 4096, PROT_READ | PROT_WRITE), EACCES);
	CHECK_FAILS((long)mremap(rw, 4096, 8192, MREMAP_MAYMOVE), EFAULT);
	CHECK_FAILS((long)mmap(NULL, 8192, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	CHECK_FAILS((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 4096), EINVAL);
	CHECK_FAILS((long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0), EINVAL);
	CHECK_EQ(bpf_map_freeze(fd), -EBUSY);
	CHECK_EQ(munmap(rw, 4096), 0);
	CHECK_EQ(bpf_map_freeze(fd), 0);
	CHECK_FAILS((long)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
	/* A mapping keeps the map. */
	close(fd);
	CHECK_EQ(ro[3], 12345);
	munmap(ro, 4096);
}

int main(void)
{
	int map = make_map(BPF_MAP_TYPE_ARRAY, 8, 4, BPF_F_MMAPABLE);
	int hash = make_map(BPF_MAP_TYPE_HASH, 8, 4, 0);
	unsigned long long value = 5;
	unsigned int key = 1;
	int prog = make_prog(), ends[2];
	struct epoll_event ev = {EPOLLIN, {0}};
	int ep = epoll_create1(0);

	CHECK_EQ(bpf_map_update_elem(hash, &key, &value, BPF_ANY), 0);
	check_file_calls(map);
	check_file_calls(hash);
	check_file_calls(prog);
	value = 0;
	CHECK_EQ(bpf_map_lookup_elem(hash, &key, &value), 0);
	CHECK_EQ(value, 5);

	check_link(map, "anon_inode:bpf-map");
	check_link(prog, "anon_inode:bpf-prog");

	REQUIRE(!pipe(ends));
	check_poll(hash, ends[0]);
	check_epoll_close();
	CHECK_FAILS(epoll_ctl(ep, EPOLL_CTL_ADD, prog, &ev), EPERM);
	check_fdinfo(map);
	CHECK_FAILS((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, hash, 0), 524);
	CHECK_FAILS((long)mmap(NULL, 4096, PROT_READ, MAP_SHARED, prog, 0), ENODEV);
	check_mmap(map);
	return check_done();
}
