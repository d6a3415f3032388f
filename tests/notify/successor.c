/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A thread may get a dead one's record while a listener is telling of the dead one's last
 * change: its own change is known of all the same, to who locks the map, and to the listener
 * when it dies too.
 */
#include <linux/bpf.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "../shm/area.h"
#include "base/atomic.h"
#include "map/notice.h"
#include "sync/lease.h"
#include "sys/attr.h"
#include "sys/sys.h"

#define STEPS_MAX 1000000

static struct map *map;
static uint64_t next, leases;

/* A process in the middle of a change: it ends there, or stays. */
static pid_t changes(bool stays)
{
	struct map_changing c;
	int fds[2], status;
	pid_t pid;
	char byte = 0;

	REQUIRE(!pipe(fds));
	fflush(NULL);
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		REQUIRE(!writer_take() && !change_begin(map, &c));
		REQUIRE(write(fds[1], &byte, 1) == 1);
		while (stays)
			pause();
		_exit(0);
	}
	REQUIRE(read(fds[0], &byte, 1) == 1);
	close(fds[0]), close(fds[1]);
	if (!stays)
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return pid;
}

static bool marked(const struct writer *w)
{
	bool found = false;

	for (unsigned int k = 0; k < WRITER_MAPS; k++)
		found |= load_acquire(&w->map[k]) == map->obj.id;
	return found;
}

static bool heard(void)
{
	struct notice_event e;
	bool any = false;

	notice_deaths(map, &leases);
	while (notice_next(map, &next, &e))
		any = true;
	return any;
}

int main(void)
{
	union sys_attr attr = {
		.map_create = {.map_type = BPF_MAP_TYPE_HASH,
			       .key_size = 4,
			       .value_size = 8,
			       .max_entries = 16},
	};
	pid_t listener, successor;
	struct writer *w;
	int fd, status;
	uint64_t head;

	area_begin();
	fd = (int)sys_bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	REQUIRE(fd >= 0 && !map_open(fd, &map) && !writer_take());
	if (!writers_barrier()) {
		puts("no membarrier(2) here");
		return 77;
	}
	REQUIRE(!notice_listen(map, writer_name(thread_self.writer), &next));
	leases = lease_deaths();
	w = thread_self.writer + 1;
	changes(false);
	REQUIRE(writer_died(w) && marked(w));
	/* a listener has just told of it */
	head = load_seq_cst(&notice_of(map)->head);
	listener = fork();
	REQUIRE(listener >= 0);
	if (!listener) {
		REQUIRE(!ptrace(PTRACE_TRACEME, 0, NULL, NULL));
		raise(SIGSTOP);
		notice_deaths(map, &leases);
		_exit(0);
	}
	REQUIRE(waitpid(listener, &status, 0) == listener && WIFSTOPPED(status));
	for (int i = 0; load_seq_cst(&notice_of(map)->head) == head && i < STEPS_MAX; i++) {
		REQUIRE(!ptrace(PTRACE_SINGLESTEP, listener, NULL, NULL));
		REQUIRE(waitpid(listener, &status, 0) == listener && WIFSTOPPED(status));
	}
	successor = changes(true);
	REQUIRE(!writer_died(w) && marked(w));
	REQUIRE(!ptrace(PTRACE_CONT, listener, NULL, NULL));
	REQUIRE(waitpid(listener, &status, 0) == listener && WIFEXITED(status));
	CHECK(marked(w));
	heard();
	CHECK(!heard());
	REQUIRE(!kill(successor, SIGKILL) && waitpid(successor, &status, 0) == successor);
	CHECK(heard());
	CHECK(!heard());
	/* and who comes next finds nothing that is to be told */
	successor = changes(true);
	CHECK(!heard());
	REQUIRE(!kill(successor, SIGKILL) && waitpid(successor, &status, 0) == successor);
	notice_unlisten(map, writer_name(thread_self.writer));
	map_put(map);
	return check_done();
}
