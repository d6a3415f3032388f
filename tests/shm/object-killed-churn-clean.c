/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Four processes make, open, pin, refer to and collect objects at random and
 * are killed at random moments. No held object ever loses its name, none
 * shows another's contents, and in the end a sweep leaves nothing.
 */
#include "area.h"

#define WORKERS 4
#define PINS 4

struct counts {
	long made, opened, gone, pinned, collected, violations, errors;
};

static struct counts *counts;

static void add(long *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

static void check_held(struct object *obj, int fd)
{
	struct stat st;

	for (int i = 0; i < 8; i++) {
		if (fstat(fd, &st) || !st.st_nlink || *(volatile uint32_t *)obj->base != obj->id ||
		    *(volatile uint32_t *)&obj->trailer->id != obj->id)
			add(&counts->violations);
		if (!(rand() % 4))
			sched_yield();
	}
}

static void use(int fd)
{
	struct object obj;

	if (object_map(fd, &obj)) {
		add(&counts->violations);
	} else {
		add(&counts->opened);
		check_held(&obj, fd);
		object_unmap(&obj);
	}
	close(fd);
}

static void end_worker(pid_t pid)
{
	int status = 0;

	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
		add(&counts->errors);
}

static void __attribute__((noreturn)) worker(unsigned int seed)
{
	char pin[16];

	srand(seed);
	if (rundir_open())
		_exit(1);
	for (;;) {
		enum object_kind kind = rand() % OBJECT_KINDS;
		struct object obj, owner;
		int fd, owner_fd;
		uint32_t id;

		snprintf(pin, sizeof(pin), "pin%d", rand() % PINS);
		switch (rand() % 6) {
		case 0:
		case 1:
			if (object_create(kind, 5000, 5000, &obj, &fd)) {
				add(&counts->errors);
				break;
			}
			if (object_publish_unready(&obj, fd)) {
				add(&counts->errors);
			} else {
				*(volatile uint32_t *)obj.base = obj.id;
				object_set_ready(&obj);
				add(&counts->made);
				check_held(&obj, fd);
				if (!(rand() % 2) && !object_pin(fd, pin))
					add(&counts->pinned);
				if (!(rand() % 2) &&
				    !object_create(OBJECT_PROG, 1, 1, &owner, &owner_fd)) {
					if (!object_publish_unready(&owner, owner_fd) &&
					    !object_ref(OBJECT_PROG, owner.id, fd)) {
						*(volatile uint32_t *)owner.base = owner.id;
						object_set_ready(&owner);
						object_pin(owner_fd, pin);
					}
					object_unmap(&owner);
					close(owner_fd);
					object_collect(OBJECT_PROG, owner.id);
				}
			}
			object_unmap(&obj);
			close(fd);
			if (rand() % 4)
				object_collect(kind, obj.id);
			break;
		case 2:
			if (object_next_id(kind, rand() % 2 ? 0 : *rundir_next_id(kind) - 4,
					   &id))
				break;
			fd = object_open_id(kind, id, rand() % 2 ? O_RDWR : O_RDONLY);
			if (fd == -ENOENT)
				add(&counts->gone);
			else if (fd < 0)
				add(&counts->errors);
			else
				use(fd);
			object_collect(kind, id);
			break;
		case 3:
			fd = object_open_pin(pin, O_RDWR);
			if (fd >= 0)
				use(fd);
			else if (fd != -ENOENT)
				add(&counts->errors);
			break;
		case 4:
			object_unpin(pin);
			break;
		case 5:
			object_collect_all();
			add(&counts->collected);
			break;
		}
	}
}

int main(void)
{
	double end = area_now() + area_seconds(4);
	pid_t pid[WORKERS] = {0};
	long kills = 0;
	char pin[16];
	struct stat st;

	counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	REQUIRE(counts != MAP_FAILED);
	area_begin();
	srand(1);
	while (area_now() < end || !(counts->made > 100 && counts->opened > 100 && kills > 100)) {
		int i = rand() % WORKERS;

		if (pid[i]) {
			struct timespec t = {.tv_nsec = 1000 * (rand() % 3000)};

			nanosleep(&t, NULL);
			end_worker(pid[i]);
			kills++;
		}
		pid[i] = area_fork();
		if (!pid[i])
			worker(kills * WORKERS + i);
	}
	for (int i = 0; i < WORKERS; i++) {
		if (pid[i])
			end_worker(pid[i]);
	}
	printf("made %ld opened %ld found gone %ld pinned %ld sweeps %ld, killed %ld times: "
	       "violations %ld, errors %ld\n",
	       counts->made, counts->opened, counts->gone, counts->pinned, counts->collected, kills,
	       counts->violations, counts->errors);
	CHECK_EQ(counts->violations, 0);
	CHECK_EQ(counts->errors, 0);

	REQUIRE(!rundir_open());
	for (int i = 0; i < PINS; i++) {
		snprintf(pin, sizeof(pin), "pin%d", i);
		object_unpin(pin);
	}
	object_collect_all();
	CHECK_EQ(area_count_all(), 0);
	CHECK_EQ(area_count("fs"), 0);
	REQUIRE(!fstat(rundir_fd(), &st));
	return check_done();
}
