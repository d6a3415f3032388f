/* SPDX-License-Identifier: BSD-2-Clause */
/* The runtime directory, killed after any instruction of its making: the next
 * process completes it. */
#include "../shm/area.h"
#include "harness.h"
#include "sync/lease.h"

static char top[64];

static void begin(void)
{
	area_begin();
	strcpy(top, area_dir);
}

/* A new name each time; the survivor itself has not opened any. */
static void setup(void *arg)
{
	static unsigned int n;

	snprintf(area_dir, sizeof(area_dir), "%s/%u", top, n++);
	setenv("SHMAP_DIR", area_dir, 1);
}

static void op(void *arg)
{
	if (rundir_open() || lease_open())
		_exit(1);
}

static enum kill_outcome check(void *arg)
{
	char path[PATH_MAX];
	struct stat st;
	int status;
	bool done;
	pid_t pid;

	/* The last thing that it makes */
	snprintf(path, sizeof(path), "%s/cpus", area_dir);
	done = !stat(path, &st) && st.st_size > 0;
	pid = area_fork();
	if (!pid) {
		struct object obj;
		uint32_t id;
		int fd;

		if (rundir_open() || lease_open()) {
			kill_why("%s", rundir_error());
			_exit(1);
		}
		if (object_create(OBJECT_MAP, 1, 1, &obj, &fd) || object_publish(&obj, fd) ||
		    object_pin(fd, "p") || object_next_id(OBJECT_MAP, 0, &id) || id != obj.id) {
			kill_why("the next process cannot use the directory");
			_exit(1);
		}
		_exit(0);
	}
	waitpid(pid, &status, 0);
	area_remove(area_dir);
	return status ? KILL_INVALID : done ? KILL_NEW : KILL_OLD;
}

static const struct kill_case cases[] = {
	{"rundir-open", NULL, setup, NULL, op, NULL, check},
};

int main(int argc, char **argv)
{
	kill_begin = begin;
	return kill_main(argc, argv, cases, 1);
}
