/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes that start at once make one directory, also when some die at it. */
#include "area.h"

#define AT_ONCE 8

int main(void)
{
	char top[64];
	int gate[2];
	char c;

	area_begin();
	strcpy(top, area_dir);
	for (int round = 0; round < 60; round++) {
		pid_t pid[AT_ONCE], victim[2];

		snprintf(area_dir, sizeof(area_dir), "%s/%d", top, round);
		setenv("SHMAP_DIR", area_dir, 1);
		REQUIRE(!pipe(gate));
		for (int i = 0; i < AT_ONCE + 2; i++) {
			pid_t p = area_fork();

			if (!p) {
				close(gate[1]);
				c = read(gate[0], &c, 1);
				if (rundir_open())
					fprintf(stderr, "%s\n", rundir_error());
				_exit(rundir_open() || strcmp(rundir_path(), area_dir) ||
				      !rundir_ids());
			}
			*(i < AT_ONCE ? &pid[i] : &victim[i - AT_ONCE]) = p;
		}
		close(gate[0]);
		close(gate[1]);
		for (volatile int spin = 0; spin < round * 5000; spin++)
			;
		for (int i = 0; i < 2; i++)
			kill(victim[i], SIGKILL);
		for (int i = 0; i < AT_ONCE; i++)
			area_join(pid[i]);
		for (int i = 0; i < 2; i++)
			waitpid(victim[i], NULL, 0);
		CHECK_EQ(area_count("map"), 0);
		area_remove(area_dir);
	}
	strcpy(area_dir, top);
	return check_done();
}
