/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The program side: one XDP program per map does what the packet says, by
 * BPF_PROG_TEST_RUN on the kernel and on shmap; its result, the packet that it
 * leaves behind and the map are compared.
 *
 *   packet   0  operation           1  CPU (lookup_percpu_elem)
 *            8  flags (u64)        16  key, 8-byte steps
 *           48  value             112  what was found
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <bpf/btf.h>

#include "../check.h"
#include "oracle.h"

#define PKT_FLAGS 8
#define PKT_KEY 16
#define PKT_VALUE 48
#define PKT_OUT 112
#define PKT_SIZE 176
#define KEY_ROOM 32 /* on the stack */
#define VALUE_ROOM 64
#define MISS 0x7e57

enum prog_op {
	PROG_LOOKUP,
	PROG_UPDATE,
	PROG_DELETE,
	PROG_ATOMIC_ADD,
	PROG_FETCH_ADD,
	PROG_XCHG,
	PROG_CMPXCHG,
	PROG_STORE,
	PROG_LOOKUP_PERCPU,
	PROG_LOCKED,
	PROG_OPS,
};

static struct bpf_insn code[1024];
static unsigned int code_len;

static unsigned int emit(uint8_t op, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	REQUIRE(code_len < ARRAY_SIZE(code));
	code[code_len] = (struct bpf_insn){
		.code = op, .dst_reg = dst, .src_reg = src, .off = off, .imm = imm};
	return code_len++;
}

static void land(unsigned int jump)
{
	code[jump].off = code_len - jump - 1;
}

#define LDX(size, dst, src, off) emit(BPF_LDX | BPF_MEM | (size), dst, src, off, 0)
#define STX(size, dst, src, off) emit(BPF_STX | BPF_MEM | (size), dst, src, off, 0)
#define ATOMIC(op, dst, src, off) emit(BPF_STX | BPF_ATOMIC | BPF_DW, dst, src, off, op)
#define MOV(dst, src) emit(BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0)
#define MOV_K(dst, imm) emit(BPF_ALU64 | BPF_MOV | BPF_K, dst, 0, 0, imm)
#define ADD_K(dst, imm) emit(BPF_ALU64 | BPF_ADD | BPF_K, dst, 0, 0, imm)
#define JNE_K(dst, imm) emit(BPF_JMP | BPF_JNE | BPF_K, dst, 0, 0, imm)
#define CALL(helper) emit(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT() emit(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

/* r1 = the map (its fd is filled in per side), r2 = the key on the stack. */
static void map_and_key(void)
{
	emit(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0);
	emit(0, 0, 0, 0, 0);
	MOV(2, 10);
	ADD_K(2, -KEY_ROOM);
}

/* Offsets in the kernel's structures, by its BTF. */
static uint32_t kernel_offset(const char *type, const char *member)
{
	static struct btf *btf;
	const struct btf_type *t;

	if (!btf)
		btf = btf__load_vmlinux_btf();
	REQUIRE(btf);
	t = btf__type_by_id(btf, btf__find_by_name_kind(btf, type, BTF_KIND_STRUCT));
	for (int i = 0; i < btf_vlen(t); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(t)[i].name_off), member))
			return btf_member_bit_offset(t, i) / 8;
	REQUIRE(!"a member that the kernel has not");
	return 0;
}

/* r2 = the owner: what the kernel lets such a program have. Keeps r9. */
static void owner(void)
{
	unsigned int there;

	if (twin.type == BPF_MAP_TYPE_SK_STORAGE) {
		LDX(BPF_DW, 2, 10, -KEY_ROOM - VALUE_ROOM - 8); /* the context */
		LDX(BPF_DW, 2, 2, offsetof(struct __sk_buff, sk));
		there = JNE_K(2, 0);
		MOV_K(0, MISS + 1);
		EXIT();
		land(there);
		if (!one_in(2))
			return;
		MOV(1, 2);
		CALL(BPF_FUNC_sk_fullsock);
		there = JNE_K(0, 0);
		MOV_K(0, MISS + 2);
		EXIT();
		land(there);
		MOV(2, 0);
		return;
	}
	CALL(BPF_FUNC_get_current_task_btf);
	MOV(2, 0);
	if (twin.type == BPF_MAP_TYPE_TASK_STORAGE) {
		if (one_in(3))
			LDX(BPF_DW, 2, 2, kernel_offset("task_struct", "group_leader"));
		return;
	}
	LDX(BPF_DW, 2, 2, kernel_offset("task_struct", "cgroups"));
	LDX(BPF_DW, 2, 2, kernel_offset("css_set", "dfl_cgrp"));
}

/* The storages' calls: get as it is (lookup), get with the packet's flags, delete. */
static void call_storage(bool get, bool with_value)
{
	static const int calls[][2] = {
		[BPF_MAP_TYPE_SK_STORAGE] = {BPF_FUNC_sk_storage_get, BPF_FUNC_sk_storage_delete},
		[BPF_MAP_TYPE_TASK_STORAGE] = {BPF_FUNC_task_storage_get,
					       BPF_FUNC_task_storage_delete},
		[SHMAP_MAP_TYPE_CGRP_STORAGE] = {SHMAP_FUNC_CGRP_STORAGE_GET,
						 SHMAP_FUNC_CGRP_STORAGE_DELETE},
	};

	owner();
	emit(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0);
	emit(0, 0, 0, 0, 0);
	MOV_K(3, 0);
	MOV_K(4, 0);
	if (with_value) {
		MOV(3, 10);
		ADD_K(3, -KEY_ROOM - VALUE_ROOM);
		LDX(BPF_DW, 4, 7, PKT_FLAGS);
	}
	CALL(calls[twin.type][!get]);
}

static void call_lookup(void)
{
	if (is_storage(twin.type)) {
		call_storage(true, false);
		return;
	}
	map_and_key();
	CALL(BPF_FUNC_map_lookup_elem);
}

/* After a lookup: goes on when r0 is a value; else returns MISS. */
static void miss(void)
{
	unsigned int there = JNE_K(0, 0);

	MOV_K(0, MISS);
	EXIT();
	land(there);
}

/*
 * Copies [from, to) of a value by registers, in pieces that their place allows.
 * out: from the value at `value` into the packet; else from the stack into it.
 */
static void copy_range(int value, uint32_t from, uint32_t to, bool out)
{
	static const uint8_t sizes[] = {[1] = BPF_B, [2] = BPF_H, [4] = BPF_W, [8] = BPF_DW};

	while (from < to) {
		uint32_t n = 8;

		while (n > to - from || from % n)
			n /= 2;
		if (out) {
			LDX(sizes[n], 1, value, from);
			STX(sizes[n], 7, 1, PKT_OUT + from);
		} else {
			LDX(sizes[n], 1, 10, -KEY_ROOM - VALUE_ROOM + (int)from);
			STX(sizes[n], value, 1, from);
		}
		from += n;
	}
}

/* All of the value but its lock, which programs must not touch. */
static void copy_value(int value, bool out)
{
	if (twin.lock_off < 0) {
		copy_range(value, 0, twin.value_size, out);
		return;
	}
	copy_range(value, 0, twin.lock_off, out);
	copy_range(value, twin.lock_off + 4, twin.value_size, out);
}

/* Calls bpf_spin_lock or bpf_spin_unlock for the value at r9. */
static void call_lock(int helper)
{
	MOV(1, 9);
	ADD_K(1, twin.lock_off);
	CALL(helper);
}

/* r2 = the value on the stack, for maps without keys. */
static void map_and_value(void)
{
	emit(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, 0);
	emit(0, 0, 0, 0, 0);
	MOV(2, 10);
	ADD_K(2, -KEY_ROOM - VALUE_ROOM);
}

/* What is in the buffer afterwards counts too, also of a call that fails. */
static void keyless_one(enum prog_op op)
{
	map_and_value();
	if (op == PROG_UPDATE) {
		LDX(BPF_DW, 3, 7, PKT_FLAGS);
		CALL(BPF_FUNC_map_push_elem);
	} else if (op == PROG_DELETE && !twin.bloom) {
		CALL(BPF_FUNC_map_pop_elem);
	} else {
		CALL(BPF_FUNC_map_peek_elem);
	}
	MOV(9, 0);
	for (int i = 0; i < VALUE_ROOM; i += 8) {
		LDX(BPF_DW, 1, 10, -KEY_ROOM - VALUE_ROOM + i);
		STX(BPF_DW, 7, 1, PKT_OUT + i);
	}
	MOV(0, 9);
	EXIT();
}

#define INNER_KEY (-KEY_ROOM - VALUE_ROOM - 8)

/* r1 = the inner map that was found (r9), r2 = its key: the packet's byte 1. */
static void inner_and_key(void)
{
	LDX(BPF_B, 1, 7, 1);
	STX(BPF_W, 10, 1, INNER_KEY);
	MOV(1, 9);
	MOV(2, 10);
	ADD_K(2, INNER_KEY);
}

/* What can be done with a map in a map, or a program in an array. */
static void program_on_object(enum prog_op op)
{
	if (twin.type == BPF_MAP_TYPE_PROG_ARRAY) {
		emit(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_FD, 0, 0);
		emit(0, 0, 0, 0, 0);
		LDX(BPF_W, 3, 10, -KEY_ROOM);
		LDX(BPF_DW, 1, 10, INNER_KEY); /* the context */
		CALL(BPF_FUNC_tail_call);
		MOV_K(0, MISS);
		EXIT();
		return;
	}
	if (twin.type == BPF_MAP_TYPE_CGROUP_ARRAY) {
		map_and_key();
		LDX(BPF_W, 2, 10, -KEY_ROOM);
		CALL(BPF_FUNC_current_task_under_cgroup);
		EXIT();
		return;
	}
	map_and_key();
	CALL(BPF_FUNC_map_lookup_elem);
	miss();
	MOV(9, 0);
	inner_and_key();
	switch (op) {
	case PROG_UPDATE:
		MOV(3, 10);
		ADD_K(3, -KEY_ROOM - VALUE_ROOM);
		LDX(BPF_DW, 4, 7, PKT_FLAGS);
		CALL(BPF_FUNC_map_update_elem);
		break;
	case PROG_DELETE:
		CALL(BPF_FUNC_map_delete_elem);
		break;
	default:
		CALL(BPF_FUNC_map_lookup_elem);
		miss();
		MOV(9, 0);
		LDX(BPF_DW, 1, 10, -KEY_ROOM - VALUE_ROOM);
		if (op == PROG_FETCH_ADD)
			ATOMIC(BPF_ADD | BPF_FETCH, 9, 1, 0);
		else if (op == PROG_STORE)
			STX(BPF_DW, 9, 1, 0);
		LDX(BPF_DW, 1, 9, 0);
		STX(BPF_DW, 7, 1, PKT_OUT);
		MOV_K(0, 1);
	}
	EXIT();
}

static void program_one(enum prog_op op)
{
	if (twin.keyless) {
		keyless_one(op);
		return;
	}
	if (twin.objects) {
		program_on_object(op);
		return;
	}
	switch (op) {
	case PROG_LOOKUP:
		call_lookup();
		miss();
		copy_value(0, true);
		MOV_K(0, 1);
		break;
	case PROG_UPDATE:
		if (is_storage(twin.type)) {
			call_storage(true, true);
			miss();
			copy_value(0, true);
			MOV_K(0, 1);
			break;
		}
		map_and_key();
		MOV(3, 10);
		ADD_K(3, -KEY_ROOM - VALUE_ROOM);
		LDX(BPF_DW, 4, 7, PKT_FLAGS);
		CALL(BPF_FUNC_map_update_elem);
		break;
	case PROG_DELETE:
		if (is_storage(twin.type)) {
			call_storage(false, false);
			break;
		}
		map_and_key();
		CALL(BPF_FUNC_map_delete_elem);
		break;
	case PROG_STORE:
		call_lookup();
		miss();
		copy_value(0, false);
		MOV_K(0, 2);
		break;
	case PROG_LOOKUP_PERCPU:
		if (!twin.per_cpu) {
			MOV_K(0, 3);
			break;
		}
		map_and_key();
		LDX(BPF_B, 3, 7, 1);
		CALL(BPF_FUNC_map_lookup_percpu_elem);
		miss();
		copy_value(0, true);
		MOV_K(0, 1);
		break;
	case PROG_LOCKED:
		if (twin.lock_off < 0) {
			MOV_K(0, 3);
			break;
		}
		call_lookup();
		miss();
		MOV(9, 0);
		call_lock(BPF_FUNC_spin_lock);
		copy_value(9, false);
		copy_value(9, true);
		call_lock(BPF_FUNC_spin_unlock);
		MOV_K(0, 2);
		break;
	default: /* atomics on the value's first 8 bytes */
		if (twin.value_size < 8 || (twin.lock_off >= 0 && twin.lock_off < 8)) {
			MOV_K(0, 3);
			break;
		}
		call_lookup();
		miss();
		MOV(9, 0);
		LDX(BPF_DW, 1, 10, -KEY_ROOM - VALUE_ROOM);
		if (op == PROG_ATOMIC_ADD) {
			ATOMIC(BPF_ADD, 9, 1, 0);
		} else if (op == PROG_FETCH_ADD) {
			ATOMIC(BPF_ADD | BPF_FETCH, 9, 1, 0);
			STX(BPF_DW, 7, 1, PKT_OUT);
		} else if (op == PROG_XCHG) {
			ATOMIC(BPF_XCHG, 9, 1, 0);
			STX(BPF_DW, 7, 1, PKT_OUT);
		} else { /* succeeds when the packet's flags are what is there */
			LDX(BPF_DW, 0, 7, PKT_FLAGS);
			ATOMIC(BPF_CMPXCHG, 9, 1, 0);
			STX(BPF_DW, 7, 0, PKT_OUT);
		}
		MOV_K(0, 2);
	}
	EXIT();
}

/* Sockets are in the contexts of packets that have gone up. */
static enum bpf_prog_type program_type(void)
{
	return twin.type == BPF_MAP_TYPE_SK_STORAGE ? BPF_PROG_TYPE_SCHED_CLS : BPF_PROG_TYPE_XDP;
}

static void program_make(void)
{
	unsigned int long_enough, next;

	code_len = 0;
	if (twin.objects)
		STX(BPF_DW, 10, 1, INNER_KEY);
	if (program_type() == BPF_PROG_TYPE_XDP) {
		LDX(BPF_W, 7, 1, offsetof(struct xdp_md, data));
		LDX(BPF_W, 8, 1, offsetof(struct xdp_md, data_end));
	} else {
		STX(BPF_DW, 10, 1, -KEY_ROOM - VALUE_ROOM - 8);
		LDX(BPF_W, 7, 1, offsetof(struct __sk_buff, data));
		LDX(BPF_W, 8, 1, offsetof(struct __sk_buff, data_end));
	}
	MOV(2, 7);
	ADD_K(2, PKT_SIZE);
	long_enough = emit(BPF_JMP | BPF_JLE | BPF_X, 2, 8, 0, 0);
	MOV_K(0, -1);
	EXIT();
	land(long_enough);
	for (int i = 0; i < KEY_ROOM; i += 8) {
		LDX(BPF_DW, 1, 7, PKT_KEY + i);
		STX(BPF_DW, 10, 1, -KEY_ROOM + i);
	}
	for (int i = 0; i < VALUE_ROOM; i += 8) {
		LDX(BPF_DW, 1, 7, PKT_VALUE + i);
		STX(BPF_DW, 10, 1, -KEY_ROOM - VALUE_ROOM + i);
	}
	LDX(BPF_B, 6, 7, 0);
	for (int op = 0; op < PROG_OPS; op++) {
		next = JNE_K(6, op);
		program_one(op);
		land(next);
	}
	MOV_K(0, -2);
	EXIT();
}

static int prog_fd[SIDES] = {-1, -1};

static bool program_load(void)
{
	static char log[SIDES][65536];
	long ret[SIDES];

	program_make();
	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		static struct bpf_insn mine[SIDES][ARRAY_SIZE(code)];
		union sys_attr *a = attr_of(s);

		memcpy(mine[s], code, sizeof(code[0]) * code_len);
		for (unsigned int i = 0; i < code_len; i++)
			if (mine[s][i].code == (BPF_LD | BPF_IMM | BPF_DW))
				mine[s][i].imm = twin.fd[s][FD_RW];
		a->prog_load.prog_type = program_type();
		a->prog_load.insn_cnt = code_len;
		a->prog_load.insns = (uintptr_t)mine[s];
		a->prog_load.license = (uintptr_t) "GPL";
		ret[s] = sides[s].bpf(BPF_PROG_LOAD, a, 120);
		if (ret[s] >= 0)
			continue;
		log[s][0] = '\0';
		a->prog_load.log_level = 1;
		a->prog_load.log_size = sizeof(log[s]);
		a->prog_load.log_buf = (uintptr_t)log[s];
		sides[s].bpf(BPF_PROG_LOAD, a, 120);
	}
	for (int s = 0; s < SIDES; s++) {
		prog_fd[s] = ret[s];
		if (ret[s] >= 0)
			continue;
		size_t n = strlen(log[s]);

		differ("%s does not load the program: %ld\n%s", sides[s].name, ret[s],
		       log[s] + (n > 1500 ? n - 1500 : 0));
	}
	return !oracle_failed;
}

static void programs_close(void)
{
	for (int s = 0; s < SIDES; s++) {
		if (prog_fd[s] >= 0)
			sides[s].close(prog_fd[s]);
		prog_fd[s] = -1;
	}
	destroy_both();
}

static void program_run(void)
{
	uint8_t *pkt = sides[KERNEL].mem + AT_VALUES;
	uint32_t op = rnd(PROG_OPS + 1);
	uint64_t flags = one_in(8) ? rnd(9) : rnd(3);
	long ret[SIDES];

	fill_both(AT_VALUES, PKT_SIZE);
	mark_both(AT_VALUES + 512, PKT_SIZE);
	memset(pkt + PKT_KEY, 0, KEY_ROOM);
	if (!is_storage(twin.type))
		random_key(AT_VALUES + PKT_KEY);
	pkt[0] = op;
	if (twin.bloom)
		random_value(AT_VALUES + PKT_VALUE);
	pkt[1] = rnd(4);
	memcpy(pkt + PKT_FLAGS, &flags, 8);
	memcpy(sides[SHMAP].mem + AT_VALUES, pkt, PKT_SIZE);
	attr_clear();
	for (int s = 0; s < SIDES; s++) {
		union sys_attr *a = attr_of(s);

		a->test.prog_fd = prog_fd[s];
		a->test.data_in = (uintptr_t)sides[s].mem + AT_VALUES;
		a->test.data_size_in = PKT_SIZE;
		a->test.data_out = (uintptr_t)sides[s].mem + AT_VALUES + 512;
		a->test.data_size_out = PKT_SIZE;
	}
	note("program: operation %u key %#x flags %llu cpu %u", op, *(uint32_t *)(pkt + PKT_KEY),
	     (unsigned long long)flags, pkt[1]);
	for (int s = 0; s < SIDES; s++)
		ret[s] = sides[s].bpf(BPF_PROG_TEST_RUN, attr_of(s), sizeof(attr_of(s)->test));
	if (ret[KERNEL] || ret[SHMAP]) {
		differ("test run: %ld on the kernel, %ld on shmap", ret[KERNEL], ret[SHMAP]);
		return;
	}
	if (twin.bloom && op == PROG_UPDATE && !attr_of(KERNEL)->test.retval)
		twin.pushed |= 1ull << value_number(AT_VALUES + PKT_VALUE);
	if (attr_of(KERNEL)->test.retval != attr_of(SHMAP)->test.retval) {
		if (op < PROG_OPS &&
		    false_positive(AT_VALUES + PKT_VALUE, (int)attr_of(KERNEL)->test.retval,
				   (int)attr_of(SHMAP)->test.retval))
			return;
		differ("the program returns %d on the kernel, %d on shmap",
		       (int)attr_of(KERNEL)->test.retval, (int)attr_of(SHMAP)->test.retval);
		return;
	}
	if (attr_of(KERNEL)->test.data_size_out != attr_of(SHMAP)->test.data_size_out)
		differ("packet sizes: %u and %u", attr_of(KERNEL)->test.data_size_out,
		       attr_of(SHMAP)->test.data_size_out);
	same_bytes(AT_VALUES + 512, PKT_SIZE, "packet");
}

/* A map that the program can be made for. */
static void programs_map(uint32_t type)
{
	do {
		destroy_both();
		create_both(type);
		/* per-CPU padding that a program's insert leaves is nobody's */
	} while (!oracle_failed &&
		 (!twin.live || twin.key_size > KEY_ROOM || twin.value_size > VALUE_ROOM ||
		  (twin.per_cpu && twin.value_size % 8) ||
		  twin.flags &
			  (BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)));
}

int programs_oracle(uint32_t type, unsigned long ops)
{
	cpu_set_t one;
	unsigned long i;

	/* Both run programs on the CPU that they are on: always the same. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
	for (i = 0; i < ops && !oracle_failed; i++) {
		if (!twin.live || twin.ops-- == 0) {
			programs_close();
			programs_map(type);
			if (oracle_failed || !program_load())
				break;
		}
		if (one_in(4))
			op_elem();
		else if (one_in(50))
			op_walk();
		else
			program_run();
	}
	programs_close();
	owners_close();
	if (!oracle_failed)
		printf("%lu program runs and operations on type %u: the same results\n", i, type);
	return oracle_failed;
}
