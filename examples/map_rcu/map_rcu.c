/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * map_rcu [OBJECT]: four processes change a value by copy, modify, update. It is always whole; but
 * who read before another's update and writes after it undoes it: there are fewer changes than
 * updates.
 */
#include "../workers.h"
#include "map_rcu.h"

static int change_fd, careless_fd, configs_fd;

static struct config get(unsigned int key)
{
	struct config c;

	if (bpf_map_lookup_elem(configs_fd, &key, &c))
		die("lookup");
	return c;
}

static void put_zero(unsigned int key)
{
	struct config c = {0};

	if (bpf_map_update_elem(configs_fd, &key, &c, BPF_ANY))
		die("update");
}

static int whole(const struct config *c)
{
	int ok = c->twice == 2 * c->changes && c->squared == c->changes * c->changes;

	for (int i = 0; i < 5; i++)
		ok &= c->copies[i] == c->changes;
	return ok;
}

static void change_many(int n)
{
	for (int i = 0; i < RUNS / 100; i++)
		run_packets(change_fd, 0, 0, 100);
}

static void change_one(int n)
{
	run_packets(change_fd, 0, 1, 1);
}

static void change_others(void)
{
	struct config c;

	run_packets(change_fd, 0, 0, 10);
	c = get(1);
	printf("ten updates, while an eleventh has its copy: changes %llu, %s\n", c.changes,
	       whole(&c) ? "whole" : "torn");
}

static void careless_one(int n)
{
	run_packets(careless_fd, 0, 1, 1);
}

static void look(void)
{
	struct config c = get(2);

	printf("stored in place, in the middle: changes %llu, twice %llu: %s\n", c.changes, c.twice,
	       whole(&c) ? "whole" : "torn");
}

int main(int argc, char **argv)
{
	struct bpf_object *obj;
	struct config c;

	obj = load_packet_programs(example_object(argc, argv, "map_rcu"));
	change_fd = program_fd(obj, "change");
	careless_fd = program_fd(obj, "careless");
	configs_fd = map_fd(obj, "configs");
	put_zero(1);
	put_zero(2);

	work_together(change_many);
	c = get(1);
	printf("%d processes, %d updates each: %s, not more changes than updates: %s\n", WORKERS,
	       RUNS, whole(&c) ? "whole" : "torn",
	       c.changes >= RUNS / 100 && c.changes <= WORKERS * RUNS ? "yes" : "no");

	put_zero(1);
	run_interrupted(obj, change_one, change_others);
	c = get(1);
	printf("after the eleventh: changes %llu, %s: the ten are lost\n", c.changes,
	       whole(&c) ? "whole" : "torn");
	run_interrupted(obj, careless_one, look);
	bpf_object__close(obj);
	return 0;
}
