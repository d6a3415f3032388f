/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * spin_lock [OBJECT]: four processes run a program that changes three fields of a value under its
 * bpf_spin_lock, and write and read it with BPF_F_LOCK themselves: the fields always belong
 * together. Then a program without the lock is interrupted between two fields.
 * `spin_lock --call`: processes with 1000 calls of getpgid(2) each, for `shmap run`.
 */
#include "../workers.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include "spin_lock.h"

static int count_fd, careless_fd, array_fd, hash_fd;

static void call(int n)
{
	for (int i = 0; i < 1000; i++)
		syscall(SYS_getpgid, 0);
}

static int whole(const struct account *a)
{
	return a->bytes == 64 * a->packets && a->squares == 64 * 64 * a->packets;
}

static struct account get(int map, unsigned int key, unsigned long long flags)
{
	struct account a;

	if (bpf_map_lookup_elem_flags(map, &key, &a, flags))
		die("lookup");
	return a;
}

/* Runs the program, and looks in between; a look that finds half an update ends it. */
static void count_and_look(int n)
{
	for (int i = 0; i < RUNS / 100; i++) {
		struct account in_array, in_hash;

		run_packets(count_fd, 0, 0, 100);
		in_array = get(array_fd, 0, BPF_F_LOCK);
		in_hash = get(hash_fd, 0, BPF_F_LOCK);
		if (!whole(&in_array) || !whole(&in_hash)) {
			errno = EPROTO;
			die("fields that do not belong together");
		}
	}
}

static void count_one(int n)
{
	run_packets(careless_fd, 0, 1, 1);
}

static void look(void)
{
	struct account a = get(array_fd, 1, 0);

	printf("without the lock, in the middle: packets %llu, bytes %llu: %s\n", a.packets,
	       a.bytes, whole(&a) ? "whole" : "torn");
}

static void show(const char *what, int map)
{
	struct account a = get(map, 0, BPF_F_LOCK);

	printf("%s: packets %llu, bytes %llu, squares %llu: %s\n", what, a.packets, a.bytes,
	       a.squares, whole(&a) ? "whole" : "torn");
}

int main(int argc, char **argv)
{
	struct account a = {.packets = 1000, .bytes = 64000, .squares = 4096000};
	struct bpf_object *obj;
	unsigned int key = 0;

	if (argc > 1 && !strcmp(argv[1], "--call")) {
		work_together(call);
		return 0;
	}
	obj = load_packet_programs(example_object(argc, argv, "spin_lock"));
	count_fd = program_fd(obj, "count");
	careless_fd = program_fd(obj, "careless");
	array_fd = map_fd(obj, "in_array");
	hash_fd = map_fd(obj, "in_hash");
	if (bpf_map_update_elem(array_fd, &key, &a, BPF_F_LOCK) ||
	    bpf_map_update_elem(hash_fd, &key, &a, BPF_ANY))
		die("update");

	work_together(count_and_look);
	printf("%d processes, %d packets each, after 1000\n", WORKERS, RUNS);
	show("array", array_fd);
	show("hash", hash_fd);
	run_interrupted(obj, count_one, look);
	bpf_object__close(obj);
	return 0;
}
