/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The first timers of a process may be those of several threads at once: each thread's
 * program is served, and by one thread for all of them.
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/wait.h>

#include "base/atomic.h"
#include "check.h"
#include "vm/timer.h"

#define ROUNDS 400
#define THREADS 2

static struct vm_prog progs[THREADS];
static uint32_t ready;

static void *serve(void *p)
{
	fetch_add_relaxed(&ready, 1);
	while (load_relaxed(&ready) < THREADS)
		;
	return (void *)(intptr_t)timer_serve(p);
}

/* Threads that serve timers; a sanitizer's own do not count. */
static int servers(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	REQUIRE(d);
	while ((e = readdir(d))) {
		char path[300], name[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fgets(name, sizeof(name), f))
			n += !strcmp(name, "shmap-timer\n");
		fclose(f);
	}
	closedir(d);
	return n;
}

static bool any(const struct vm_prog *p, uint32_t pc, const struct map *m)
{
	return true;
}

static void first_timers(void)
{
	pthread_t thread[THREADS];
	void *err;

	for (uint32_t i = 0; i < THREADS; i++)
		REQUIRE(!pthread_create(&thread[i], NULL, serve, &progs[i]));
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(thread[i], &err);
		CHECK_EQ((intptr_t)err, 0);
	}
	for (uint32_t i = 0; i < THREADS; i++)
		CHECK(timer_served(i + 1, 0, NULL, any));
	/* one that has ended may be seen for a while */
	for (int i = 0; i < 60000 && servers() != 1; i++)
		usleep(1000);
	CHECK_EQ(servers(), 1);
}

int main(void)
{
	for (uint32_t i = 0; i < THREADS; i++)
		progs[i].tag[0] = (uint8_t)(i + 1);
	/* a child of fork begins anew */
	for (int i = 0; i < ROUNDS && !check_failures; i++) {
		int status = -1;
		pid_t pid = fork();

		REQUIRE(pid >= 0);
		if (!pid) {
			first_timers();
			_exit(check_failures != 0);
		}
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK_EQ(status, 0);
	}
	return check_done();
}
