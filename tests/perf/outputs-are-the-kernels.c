/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bpf_perf_event_output(), on the kernel and on shmap: the same random sequence of
 * program runs (XDP, TC, socket filters; indexes, flags, sizes, bytes of the packet), reads,
 * pauses, updates and deletes, mappings. What the helper returns, the rings' positions
 * and records, and what poll(2) says are compared.
 *
 *   SHMAP_TEST_OPS   how many (20000)
 *   SHMAP_TEST_SEED  where the sequence starts
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../check.h"
#include "map/perf_event.h"
#include "sys/sys.h"

enum { KERNEL, SHMAP, SIDES };

#define SLOTS 5u
#define EVENTS 3
#define PKT 2048u
#define SIZE_MAX_ 256

struct event {
	int fd;
	struct perf_event_mmap_page *ring;
	uint32_t pages;
	uint64_t id;
};

static struct {
	int map, prog[3];
	struct event event[EVENTS];
} side[SIDES];

static uint64_t rng, op_no, seed;
static int this_cpu, cpus;
static bool failed;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng * 0x2545f4914f6cdd1dull) >> 32) % n;
}

#define DIFFER(...)                                                                                \
	do {                                                                                       \
		fprintf(stderr, "seed %llu, operation %llu: ", (unsigned long long)seed,           \
			(unsigned long long)op_no);                                                \
		fprintf(stderr, __VA_ARGS__);                                                      \
		fputc('\n', stderr);                                                               \
		failed = true;                                                                     \
	} while (0)

static long bpf(int s, int cmd, union bpf_attr *attr)
{
	long ret;

	if (s == SHMAP)
		return sys_bpf(cmd, attr, sizeof(*attr));
	ret = syscall(SYS_bpf, cmd, attr, sizeof(*attr));
	return ret < 0 ? -errno : ret;
}

static void side_close(int s, int fd)
{
	if (s == SHMAP)
		fd_forget(fd);
	close(fd);
	if (s == SHMAP)
		fd_collect();
}

static int event_open(int s, const struct perf_event_attr *attr, int cpu)
{
	long ret;

	if (s == SHMAP)
		return sys_perf_event_open(attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	ret = syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	return ret < 0 ? -errno : ret;
}

static int event_ioctl(int s, int fd, unsigned long request, unsigned long arg)
{
	long ret;
	int err;

	if (s == KERNEL)
		return ioctl(fd, request, arg) ? -errno : 0;
	err = sys_perf_ioctl(fd, request, arg, &ret);
	return err ? err : ret;
}

static void *event_mmap(int s, int fd, size_t len, int prot, int flags, off_t off, int *err)
{
	long at;
	void *p;

	if (s == SHMAP) {
		*err = sys_perf_mmap(fd, NULL, len, prot, flags, off, &at);
		return *err ? NULL : (void *)at;
	}
	p = mmap(NULL, len, prot, flags, fd, off);
	*err = p == MAP_FAILED ? -errno : 0;
	return *err ? NULL : p;
}

static int event_poll(int s, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	struct perf_event ev;
	int mask;

	if (s == KERNEL)
		return poll(&p, 1, 0) ? p.revents : 0;
	REQUIRE(!perf_event_open_fd(fd, &ev));
	mask = perf_event_poll(&ev);
	object_unmap(&ev.obj);
	return mask;
}

/* The packet says flags (u64), then size; the data are the packet's next bytes. */
static int prog_load(int s, uint32_t type, bool l2)
{
	static char log[65536];
	const int data = type == BPF_PROG_TYPE_XDP ? offsetof(struct xdp_md, data)
						   : offsetof(struct __sk_buff, data);
	struct bpf_insn code[128], *p = code;
	union bpf_attr attr = {.prog_type = type,
			       .insns = (uintptr_t)code,
			       .license = (uintptr_t) "GPL",
			       .log_buf = (uintptr_t)log,
			       .log_size = sizeof(log),
			       .log_level = 1};
	long fd;

#define I(c, d, s_, o, i) (*p++ = (struct bpf_insn){c, d, s_, o, i})
	I(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0);
	if (type == BPF_PROG_TYPE_SOCKET_FILTER) {
		/* no direct access: LD_ABS, in network order; r6 is the context */
		I(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 0);
		I(BPF_ALU64 | BPF_MOV | BPF_X, 7, 0, 0, 0);
		I(BPF_ALU64 | BPF_LSH | BPF_K, 7, 0, 0, 32);
		I(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 4);
		I(BPF_ALU64 | BPF_OR | BPF_X, 7, 0, 0, 0);
		I(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 8);
		I(BPF_ALU64 | BPF_MOV | BPF_X, 8, 0, 0, 0);
	} else {
		I(BPF_LDX | BPF_MEM | BPF_W, 2, 1, data, 0);
		I(BPF_LDX | BPF_MEM | BPF_W, 3, 1, data + 4, 0);
		I(BPF_ALU64 | BPF_MOV | BPF_X, 4, 2, 0, 0);
		I(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, 12);
		I(BPF_JMP | BPF_JLE | BPF_X, 4, 3, 2, 0);
		I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
		I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
		I(BPF_LDX | BPF_MEM | BPF_DW, 7, 2, 0, 0);
		I(BPF_LDX | BPF_MEM | BPF_W, 8, 2, 8, 0);
	}
	for (int i = 8; i <= SIZE_MAX_; i += 8) {
		I(BPF_ALU64 | BPF_MOV | BPF_X, 1, 7, 0, 0);
		I(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, i);
		I(BPF_STX | BPF_MEM | BPF_DW, 10, 1, -i, 0);
	}
	I(BPF_ALU64 | BPF_MOV | BPF_X, 1, 6, 0, 0);
	I(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_FD, 0, side[s].map);
	I(0, 0, 0, 0, 0);
	I(BPF_ALU64 | BPF_MOV | BPF_X, 3, 7, 0, 0);
	I(BPF_ALU64 | BPF_MOV | BPF_X, 4, 10, 0, 0);
	I(BPF_ALU64 | BPF_ADD | BPF_K, 4, 0, 0, -SIZE_MAX_);
	I(BPF_ALU64 | BPF_MOV | BPF_X, 5, 8, 0, 0);
	I(BPF_ALU64 | BPF_AND | BPF_K, 5, 0, 0, SIZE_MAX_ - 1);
	I(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_perf_event_output);
	I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
#undef I
	attr.insn_cnt = p - code;
	fd = bpf(s, BPF_PROG_LOAD, &attr);
	if (fd < 0)
		fprintf(stderr, "side %d, program type %u: %ld\n%s\n", s, type, fd, log);
	REQUIRE(fd >= 0);
	return fd;
}

static void op_output(void)
{
	static uint8_t pkt[PKT + 32];
	uint32_t which = rnd(3), size = rnd(4) ? rnd(64) : rnd(SIZE_MAX_);
	uint32_t len = 64 + rnd(rnd(8) ? 200 : PKT - 64 - 500);
	uint64_t index = rnd(4) ? 0xffffffffu : rnd(SLOTS + 2), flags = index;
	uint32_t ret[SIDES];

	if (!rnd(3))
		flags |= (uint64_t)rnd(rnd(2) ? 64 : len + 20) << 32;
	if (!rnd(50))
		flags |= 1ull << (52 + rnd(12));
	for (uint32_t i = 0; i < len; i++)
		pkt[i] = rnd(256);
	/* socket filters begin behind the link header, and read in network order */
	if (which == 2) {
		uint32_t words[3] = {htobe32(flags >> 32), htobe32((uint32_t)flags), htobe32(size)};

		memcpy(pkt + 14, words, sizeof(words));
	} else {
		memcpy(pkt, &flags, 8);
		memcpy(pkt + 8, &size, 4);
	}
	for (int s = 0; s < SIDES; s++) {
		union bpf_attr attr = {
			.test = {.prog_fd = side[s].prog[which],
				 .data_in = (uintptr_t)pkt,
				 .data_size_in = len},
		};
		long err = bpf(s, BPF_PROG_TEST_RUN, &attr);

		if (err)
			DIFFER("test run on side %d: %ld", s, err);
		ret[s] = attr.test.retval;
	}
	if (ret[KERNEL] != ret[SHMAP])
		DIFFER("output by program %u, flags %#llx, size %u, packet %u: %d on the kernel, "
		       "%d on shmap",
		       which, (unsigned long long)flags, size, len, (int)ret[KERNEL],
		       (int)ret[SHMAP]);
}

/* The records from tail on, up to n bytes of them, must be the same but for the ids. */
static void compare_rings(void)
{
	for (int e = 0; e < EVENTS; e++) {
		struct perf_event_mmap_page *k = side[KERNEL].event[e].ring;
		struct perf_event_mmap_page *u = side[SHMAP].event[e].ring;
		uint64_t at, mask;

		if (!k)
			continue;
		if (k->data_head != u->data_head || k->data_offset != u->data_offset ||
		    k->data_size != u->data_size || k->size != u->size ||
		    k->capabilities != u->capabilities) {
			DIFFER("event %d: head %llu on the kernel, %llu on shmap", e,
			       (unsigned long long)k->data_head, (unsigned long long)u->data_head);
			return;
		}
		mask = k->data_size - 1;
		for (at = k->data_tail; at < k->data_head && !failed;) {
			uint8_t *a = (uint8_t *)k + k->data_offset,
				*b = (uint8_t *)u + k->data_offset;
			struct perf_event_header h;
			uint64_t raw = 0;

			memcpy(&h, a + (at & mask), sizeof(h)); /* 8-byte pieces are whole */
			if (memcmp(&h, b + (at & mask), sizeof(h))) {
				DIFFER("event %d: other record at %llu", e, (unsigned long long)at);
				return;
			}
			if (!h.size) {
				DIFFER("event %d: an empty record", e);
				return;
			}
			if (h.type == PERF_RECORD_SAMPLE) /* the padding is nobody's */
				memcpy(&raw, a + ((at + 8) & mask), 4);
			for (uint32_t i = 8; i < h.size; i++) {
				if (h.type == PERF_RECORD_LOST && i < 16)
					continue; /* the id */
				/* up to 7 bytes of padding may hold anything */
				if (h.type == PERF_RECORD_SAMPLE && i >= h.size - 7u)
					break;
				if (a[(at + i) & mask] != b[(at + i) & mask]) {
					DIFFER("event %d: byte %u of a record of type %u", e, i,
					       h.type);
					return;
				}
			}
			at += h.size;
		}
		if (!rnd(3)) { /* read some records, as libbpf does, or none */
			uint64_t to = k->data_tail;

			while (to < k->data_head && rnd(20)) {
				struct perf_event_header h;

				memcpy(&h, (uint8_t *)k + k->data_offset + (to & mask), sizeof(h));
				to += h.size;
			}
			k->data_tail = u->data_tail = to;
		}
	}
}

static void op_poll(void)
{
	int e = rnd(EVENTS), mask[SIDES];

	for (int s = 0; s < SIDES; s++)
		mask[s] = event_poll(s, side[s].event[e].fd);
	if (mask[KERNEL] != mask[SHMAP])
		DIFFER("poll of event %d: %#x on the kernel, %#x on shmap", e, mask[KERNEL],
		       mask[SHMAP]);
}

static void op_update(void)
{
	uint32_t index = rnd(8) ? rnd(SLOTS) : rnd(SLOTS + 3), how = rnd(12), e = rnd(EVENTS);
	uint64_t flags = rnd(10) ? 0 : rnd(9);
	int cmd = rnd(3) ? BPF_MAP_UPDATE_ELEM : BPF_MAP_DELETE_ELEM;
	long ret[SIDES];

	if (rnd(4))
		index = this_cpu;
	for (int s = 0; s < SIDES; s++) {
		int fd = how == 0   ? -1
			 : how == 1 ? 1000000
			 : how == 2 ? STDIN_FILENO
			 : how == 3 ? side[s].map
				    : side[s].event[e].fd;
		union bpf_attr attr = {.map_fd = side[s].map, .key = (uintptr_t)&index};

		if (cmd == BPF_MAP_UPDATE_ELEM) {
			attr.value = (uintptr_t)&fd;
			attr.flags = flags;
		}
		ret[s] = bpf(s, cmd, &attr);
	}
	if (ret[KERNEL] != ret[SHMAP])
		DIFFER("command %d, index %u, fd kind %u, flags %llu: %ld on the kernel, %ld on "
		       "shmap",
		       cmd, index, how, (unsigned long long)flags, ret[KERNEL], ret[SHMAP]);
}

static void op_ioctl(void)
{
	static const struct {
		unsigned long request, arg;
	} requests[] = {
		{PERF_EVENT_IOC_ENABLE, 0},
		{PERF_EVENT_IOC_ENABLE, 0},
		{PERF_EVENT_IOC_DISABLE, 0},
		{PERF_EVENT_IOC_PAUSE_OUTPUT, 1},
		{PERF_EVENT_IOC_PAUSE_OUTPUT, 0},
		{PERF_EVENT_IOC_PAUSE_OUTPUT, 0},
		{PERF_EVENT_IOC_RESET, 0},
		{PERF_EVENT_IOC_SET_BPF, 0},
		{PERF_EVENT_IOC_ID, 8},
		{PERF_EVENT_IOC_SET_OUTPUT, -1ul},
		{_IO('$', 77), 0},
	};
	uint32_t i = rnd(sizeof(requests) / sizeof(requests[0])), e = rnd(EVENTS);
	int ret[SIDES];

	for (int s = 0; s < SIDES; s++)
		ret[s] = event_ioctl(s, side[s].event[e].fd, requests[i].request, requests[i].arg);
	if (ret[KERNEL] != ret[SHMAP])
		DIFFER("ioctl %u of event %d: %d on the kernel, %d on shmap", i, e, ret[KERNEL],
		       ret[SHMAP]);
}

static void op_mmap(void)
{
	static const int prots[] = {PROT_READ | PROT_WRITE, PROT_READ | PROT_WRITE,
				    PROT_READ | PROT_WRITE | PROT_EXEC};
	uint32_t e = rnd(EVENTS), pages = 1u << rnd(4), extra = rnd(5) ? 1 : rnd(5);
	size_t len = rnd(8) ? (pages + extra) * 4096ul : 1 + rnd(20000);
	int prot = prots[rnd(3)], flags = rnd(6) ? MAP_SHARED : MAP_PRIVATE, err[SIDES];
	off_t off = rnd(8) ? 0 : rnd(3) * 4096;
	void *p[SIDES];

	if (side[KERNEL].event[e].ring && !rnd(3)) {
		for (int s = 0; s < SIDES; s++)
			munmap(side[s].event[e].ring, (side[s].event[e].pages + 1) * 4096ul);
		/* what is written to a ring that nobody has mapped any more differs: take
		 * the event out, as the kernel's ring is gone */
		for (uint32_t i = 0; i < SLOTS; i++)
			for (int s = 0; s < SIDES; s++) {
				union bpf_attr attr = {.map_fd = side[s].map, .key = (uintptr_t)&i};

				bpf(s, BPF_MAP_DELETE_ELEM, &attr);
			}
		for (int s = 0; s < SIDES; s++)
			side[s].event[e].ring = NULL;
		/* from here on both begin anew: mapped again at once */
		len = 3 * 4096, prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED, off = 0;
	}
	for (int s = 0; s < SIDES; s++)
		p[s] = event_mmap(s, side[s].event[e].fd, len, prot, flags, off, &err[s]);
	if (err[KERNEL] != err[SHMAP])
		DIFFER("mmap of event %u, %zu bytes, prot %d, flags %d, offset %ld: %d on the "
		       "kernel, %d on shmap",
		       e, len, prot, flags, (long)off, err[KERNEL], err[SHMAP]);
	if (err[KERNEL] || err[SHMAP])
		return;
	if (side[KERNEL].event[e].ring || len <= 4096) {
		for (int s = 0; s < SIDES; s++)
			munmap(p[s], len);
		return;
	}
	for (int s = 0; s < SIDES; s++) {
		side[s].event[e].ring = p[s];
		side[s].event[e].pages = (len + 4095) / 4096 - 1;
	}
}

static void one_op(void)
{
	switch (rnd(40)) {
	case 0 ... 1:
		op_update();
		break;
	case 2:
		op_ioctl();
		break;
	case 3:
		op_mmap();
		break;
	case 4 ... 9:
		op_poll();
		break;
	default:
		op_output();
	}
	compare_rings();
}

/* A map and its events; the events of this CPU, this one too, and another. */
static void begin(void)
{
	struct perf_event_attr like = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(like),
		.config = PERF_COUNT_SW_BPF_OUTPUT,
		.sample_type = PERF_SAMPLE_RAW,
	};
	uint32_t wakeup[EVENTS], disabled = rnd(4);

	for (int e = 0; e < EVENTS; e++)
		wakeup[e] = rnd(3) ? 1 : rnd(5);
	for (int s = 0; s < SIDES; s++) {
		union bpf_attr attr = {.map_type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
				       .key_size = 4,
				       .value_size = 4,
				       .max_entries = SLOTS};

		side[s].map = bpf(s, BPF_MAP_CREATE, &attr);
		if (s == KERNEL && side[s].map < 0)
			SKIP("the kernel does not let us use bpf(2): nothing to compare with");
		REQUIRE(side[s].map >= 0);
		side[s].prog[0] = prog_load(s, BPF_PROG_TYPE_XDP, true);
		side[s].prog[1] = prog_load(s, BPF_PROG_TYPE_SCHED_CLS, true);
		side[s].prog[2] = prog_load(s, BPF_PROG_TYPE_SOCKET_FILTER, false);
		for (int e = 0; e < EVENTS; e++) {
			int cpu = e == 2 && cpus > 1 ? (this_cpu + 1) % cpus : this_cpu;
			int fd, index = e == 0 ? this_cpu : e + 2, err;
			struct perf_event_attr own = like;

			own.disabled = !disabled;
			own.wakeup_events = wakeup[e];
			if (e == 1 && wakeup[e] > 2) {
				own.watermark = 1;
				own.wakeup_watermark = wakeup[e] * 100;
			}
			fd = event_open(s, &own, cpu);
			if (s == KERNEL && fd < 0)
				SKIP("the kernel does not let us open perf events");
			REQUIRE(fd >= 0);
			side[s].event[e] = (struct event){.fd = fd};
			attr = (union bpf_attr){.map_fd = side[s].map,
						.key = (uintptr_t)&index,
						.value = (uintptr_t)&fd};
			REQUIRE(!bpf(s, BPF_MAP_UPDATE_ELEM, &attr));
			side[s].event[e].pages = 2;
			side[s].event[e].ring = event_mmap(s, fd, 3 * 4096, PROT_READ | PROT_WRITE,
							   MAP_SHARED, 0, &err);
			REQUIRE(!err);
		}
	}
}

static void end(void)
{
	for (int s = 0; s < SIDES; s++) {
		for (int e = 0; e < EVENTS; e++) {
			if (side[s].event[e].ring)
				munmap(side[s].event[e].ring,
				       (side[s].event[e].pages + 1) * 4096ul);
			side_close(s, side[s].event[e].fd);
		}
		for (int i = 0; i < 3; i++)
			side_close(s, side[s].prog[i]);
		side_close(s, side[s].map);
	}
}

int main(void)
{
	const char *ops_text = getenv("SHMAP_TEST_OPS"), *seed_text = getenv("SHMAP_TEST_SEED");
	uint64_t ops = ops_text ? strtoull(ops_text, NULL, 0) : 20000;
	cpu_set_t one;

	check_private_rundir();
	seed = seed_text ? strtoull(seed_text, NULL, 0) : 20261122;
	rng = seed * 0x9e3779b97f4a7c15ull + 1;
	cpus = sysconf(_SC_NPROCESSORS_ONLN);
	this_cpu = sched_getcpu() % (int)SLOTS;
	CPU_ZERO(&one);
	CPU_SET(this_cpu, &one);
	REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
	while (op_no < ops && !failed) {
		begin();
		for (int i = 50 + rnd(2000); i && op_no < ops && !failed; i--, op_no++)
			one_op();
		end();
	}
	if (!failed)
		printf("%llu operations: the same results\n", (unsigned long long)op_no);
	return failed;
}
