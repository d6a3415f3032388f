/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on a map as a whole: info, ids, freezing, mapping, fdinfo. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "oracle.h"

#define INFO_SIZE 104u

static void op_info(bool quiet)
{
	static const uint32_t lens[] = {0, 1, 4, 8, 40, 80, 88, 104, 105, 112, 200, 4096, 4097};
	uint32_t len = quiet || one_in(2) ? INFO_SIZE : pick(lens);
	uint32_t dirty = !quiet && one_in(6) ? rnd(300) : ~0u;
	enum pointer p = quiet ? PTR_GOOD : random_pointer(true);
	unsigned int size;
	long ret[SIDES];

	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		memset(sides[s].mem + AT_VALUE, 0, 8192);
		if (dirty != ~0u)
			sides[s].mem[AT_VALUE + dirty] = 1;
		attr_of(s)->info.bpf_fd = twin.fd[s][FD_RW];
		attr_of(s)->info.info_len = len;
		attr_of(s)->info.info = pointer_to(s, p, AT_VALUE, len);
	}
	size = quiet ? sizeof(attr_of(0)->info) : random_size(sizeof(attr_of(0)->info));
	if (size < sizeof(attr_of(0)->info))
		size &= ~7u;
	note("info len %u at %s, dirty byte %d, size %u", len, pointer_name(p), (int)dirty, size);
	if (!call_both(BPF_OBJ_GET_INFO_BY_FD, size, ret, true) || p != PTR_GOOD)
		return;
	if (!ret[KERNEL] && len >= 8)
		for (int s = 0; s < SIDES; s++)
			memcpy(&twin.id[s], sides[s].mem + AT_VALUE + 4, 4);
	difference_used(DIFF_IDS);
	for (int s = 0; s < SIDES; s++) {
		if (ret[s])
			continue;
		memset(sides[s].mem + AT_VALUE + 4, 0, 4);
		memset(sides[s].mem + AT_VALUE + 64, 0, 4);
	}
	same_bytes(AT_VALUE, 4200, "map info");
}

/* More fds of the map, for reading or writing only. */
static void op_by_id(void)
{
	static const uint32_t all_flags[] = {
		0, BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_RDONLY | BPF_F_WRONLY, 1,
		4, 0x400,	 0xffffffff};
	uint32_t flags = one_in(8) ? pick(all_flags) : all_flags[1 + rnd(2)];
	uint32_t wrong = one_in(10) ? (one_in(2) ? 0x7fffffff : 0xfffffff0u) : 0;
	unsigned int size = offsetof(union sys_attr, id.fd_by_id_token_fd);
	long ret[SIDES];

	op_info(true);
	if (oracle_failed)
		return;
	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		attr_of(s)->id.map_id = wrong ? wrong : twin.id[s];
		attr_of(s)->id.open_flags = flags;
	}
	size = random_size(size);
	if (size > 4 && size < 12)
		size = 12;
	if (size < 4)
		size = 0;
	/* an attr that ends before the flags has none: the fd then reads and writes */
	if (size < 12)
		flags = 0;
	note("fd by id, %s id, flags %#x, size %u", wrong ? "wrong" : "right", flags, size);
	if (!call_both(BPF_MAP_GET_FD_BY_ID, size, ret, true)) {
		for (int s = 0; s < SIDES; s++)
			if (ret[s] >= 0)
				sides[s].close(ret[s]);
		return;
	}
	for (int s = 0; s < SIDES; s++) {
		enum fd_mode mode = flags == BPF_F_RDONLY ? FD_RO : FD_WO;

		if (ret[s] < 0)
			continue;
		if ((flags == BPF_F_RDONLY || flags == BPF_F_WRONLY) && twin.fd[s][mode] < 0)
			twin.fd[s][mode] = ret[s];
		else
			sides[s].close(ret[s]);
	}
}

static void op_next_id(void)
{
	static const uint32_t starts[] = {0x7ffffffe, 0x7fffffff, 0x80000000, 0xffffffff};
	uint32_t start = pick(starts), extra = one_in(4) ? 1 : 0;
	long ret[SIDES];

	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		attr_of(s)->id.start_id = start;
		attr_of(s)->id.open_flags = extra;
	}
	note("next id after %#x, open_flags %u", start, extra);
	call_both(BPF_MAP_GET_NEXT_ID, 12, ret, true);
}

static void op_freeze(void)
{
	unsigned int size;
	uint32_t junk = one_in(3) ? 8 + rnd(24) : 0;
	enum fd_mode mode = one_in(3) && twin.fd[KERNEL][FD_RO] >= 0 ? FD_RO : FD_RW;
	long ret[SIDES];

	if (!junk && !twin.held_len && !one_in(6))
		return;
	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		attr_of(s)->elem.map_fd = twin.fd[s][mode];
		if (junk)
			sides[s].mem[AT_ATTR + junk] = 1;
	}
	size = random_size(4);
	if (size < 4)
		size = 0;
	note("freeze, fd mode %d, junk at %u, size %u", mode, junk, size);
	if (!call_both(BPF_MAP_FREEZE, size, ret, true))
		return;
	if (!ret[KERNEL]) {
		twin.frozen = true;
		if (twin.ops > 60)
			twin.ops = 60;
	}
}

void unmap_held(void)
{
	if (!twin.held_len)
		return;
	note("munmap");
	for (int s = 0; s < SIDES; s++)
		munmap(twin.held[s], twin.held_len);
	twin.held_len = 0;
}

/* Maps both, compares what is seen, stores at the same places, changes the
 * protection; some mappings are kept while other things are done. */
static void op_mmap(void)
{
	static const int prots[] = {PROT_READ, PROT_READ | PROT_WRITE, PROT_WRITE, PROT_NONE,
				    PROT_READ | PROT_EXEC};
	size_t values = ((twin.value_size + 7) / 8 * 8 * (size_t)twin.max_entries + 4095) & ~4095ul;
	int prot = pick(prots), flags = one_in(5) ? MAP_PRIVATE : MAP_SHARED, err[SIDES];
	enum fd_mode mode = rnd(FD_MODES);
	size_t len = one_in(2) ? values : 1 + rnd(values ? 2 * values : 8192);
	uint64_t offset = one_in(4) ? rnd(3) * 4096ull : 0;
	int later = pick(prots);
	uint8_t *p[SIDES];

	if (twin.ring) { /* the two positions' pages, and the data twice */
		uint32_t pages = 2 + 2 * twin.max_entries / 4096;

		offset = (one_in(2) ? rnd(3) : rnd(pages + 2)) * 4096ull;
		len = one_in(2) ? 4096 : 1 + rnd((pages + 1) * 4096);
	}
	/* where an arena is mapped is decided once: tests/perf/arenas-map-as-the-kernels */
	if (twin.type == BPF_MAP_TYPE_ARENA)
		return;
	if (twin.held_len && one_in(2)) {
		unmap_held();
		return;
	}
	if (twin.fd[KERNEL][mode] < 0)
		mode = FD_RW;
	note("mmap fd mode %d len %zu prot %d flags %d offset %llu", mode, len, prot, flags,
	     (unsigned long long)offset);
	for (int s = 0; s < SIDES; s++)
		p[s] = sides[s].mmap(twin.fd[s][mode], len, prot, flags, offset, &err[s]);
	if (err[KERNEL] != err[SHMAP])
		differ("mmap: %d on the kernel, %d on shmap", err[KERNEL], err[SHMAP]);
	if (!err[KERNEL] && !err[SHMAP] && prot & PROT_READ) {
		if (prot & PROT_WRITE) {
			for (int i = 0; i < 8; i++) {
				uint32_t at = rnd(len);

				p[KERNEL][at] = p[SHMAP][at] = rnd(256);
			}
		}
		if (memcmp(p[KERNEL], p[SHMAP], len))
			differ("mmap: other bytes");
	}
	if (!err[KERNEL] && !err[SHMAP] && !twin.held_len && one_in(3)) {
		note("kept");
		for (int s = 0; s < SIDES; s++)
			twin.held[s] = p[s];
		twin.held_len = len;
		return;
	}
	if (!err[KERNEL] && !err[SHMAP] && !(later & PROT_EXEC)) {
		note("mprotect to %d", later);
		for (int s = 0; s < SIDES; s++)
			err[s] = mprotect(p[s], len, later) ? -errno : 0;
		if (err[KERNEL] != err[SHMAP])
			differ("mprotect: %d on the kernel, %d on shmap", err[KERNEL], err[SHMAP]);
	}
	for (int s = 0; s < SIDES; s++)
		if (p[s] != MAP_FAILED)
			munmap(p[s], len);
}

static void op_poll(void)
{
	static const short all_events[] = {POLLIN, POLLOUT, POLLIN | POLLOUT, -1, 0};
	short events = pick(all_events);
	enum fd_mode mode = rnd(FD_MODES);
	int revents[SIDES];

	if (twin.fd[KERNEL][mode] < 0)
		mode = FD_RW;
	note("poll fd mode %d for %#hx", mode, events);
	for (int s = 0; s < SIDES; s++)
		revents[s] = sides[s].poll(twin.fd[s][mode], events);
	if (revents[KERNEL] != revents[SHMAP])
		differ("poll: %#x on the kernel, %#x on shmap", revents[KERNEL], revents[SHMAP]);
}

/* The lines that libbpf and bpftool read, the id left out. */
static void op_fdinfo(void)
{
	static const char *const lines[] = {
		"map_type:",  "key_size:",  "value_size:", "max_entries:",
		"map_flags:", "map_extra:", "memlock:",	   "frozen:"};
	char text[SIDES][4096];

	note("fdinfo");
	for (int s = 0; s < SIDES; s++) {
		long n = sides[s].fdinfo(twin.fd[s][FD_RW], text[s], sizeof(text[s]) - 1);

		text[s][n > 0 ? n : 0] = '\0';
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *k = strstr(text[KERNEL], lines[i]), *u = strstr(text[SHMAP], lines[i]);
		size_t n = k ? strcspn(k, "\n") : 0;

		if (!k != !u || (k && strncmp(k, u, n + 1)))
			differ("fdinfo: \"%.*s\" on the kernel, \"%.*s\" on shmap", (int)n,
			       k ? k : "", u ? (int)strcspn(u, "\n") : 0, u ? u : "");
	}
}

void op_other(void)
{
	switch (rnd(twin.ring ? 9 : 7)) {
	case 0:
		op_info(false);
		break;
	case 1:
		op_by_id();
		break;
	case 2:
		op_next_id();
		break;
	case 3:
		op_freeze();
		break;
	case 5:
		op_fdinfo();
		break;
	case 6:
		op_poll();
		break;
	default:
		op_mmap();
		break;
	}
}
