/* SPDX-License-Identifier: BSD-2-Clause */
/* From the name of an event to the calls that it means. */
#include "event/targets.h"
#include "vm/verifier.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int __attribute__((format(printf, 3, 4)))
refuse(char *why, size_t size, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, size, fmt, args);
	va_end(args);
	return -ENOENT;
}

static int parse_call(const char *name, struct target *t, char *why, size_t size)
{
	const char *kernel;

	t->nr = call_number(name);
	if (t->nr >= 0)
		return 0;
	kernel = syscall_kernel_name(name);
	if (kernel)
		return refuse(why, size, "the kernel calls the system call %s %s", name, kernel);
	return refuse(why, size, "this machine has no system call %s", name);
}

static int parse_function(const char *name, struct target *t, char *why, size_t size)
{
	size_t len = strlen(CALL_PREFIX);

	if (!strncmp(name, CALL_PREFIX, len))
		return parse_call(name + len, t, why, size);
	return refuse(why, size,
		      "%s is a function inside the kernel; of those, only system calls "
		      "(" CALL_PREFIX "NAME) can be seen from user space",
		      name);
}

/* The name after prefix, or NULL. */
static const char *after(const char *name, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(name, prefix, len) ? NULL : name + len;
}

static int parse_tracepoint(const char *name, struct target *t, char *why, size_t size)
{
	const char *call;

	t->form = TARGET_TP_ENTER;
	t->all = !strcmp(name, "raw_syscalls/sys_enter");
	if (t->all)
		return 0;
	call = after(name, "syscalls/sys_enter_");
	if (call)
		return parse_call(call, t, why, size);
	t->form = TARGET_TP_EXIT;
	t->exit = true;
	t->all = !strcmp(name, "raw_syscalls/sys_exit");
	if (t->all)
		return 0;
	call = after(name, "syscalls/sys_exit_");
	if (call)
		return parse_call(call, t, why, size);
	return refuse(why, size,
		      "the tracepoint %s is inside the kernel; those of syscalls/ and "
		      "raw_syscalls/ can be seen from user space",
		      name);
}

int target_parse(enum link_event event, const char *name, struct target *t, char *why, size_t size)
{
	memset(t, 0, sizeof(*t));
	switch (event) {
	case LINK_RAW_TRACEPOINT:
		t->all = true;
		t->exit = !strcmp(name, "sys_exit");
		t->form = t->exit ? TARGET_RAW_EXIT : TARGET_RAW_ENTER;
		if (t->exit || !strcmp(name, "sys_enter"))
			return 0;
		return refuse(why, size,
			      "the tracepoint %s is inside the kernel; sys_enter and sys_exit can "
			      "be seen from user space",
			      name);
	case LINK_TRACEPOINT:
		return parse_tracepoint(name, t, why, size);
	case LINK_KPROBE:
		t->form = TARGET_KPROBE;
		return parse_function(name, t, why, size);
	case LINK_KRETPROBE:
		t->form = TARGET_KRETPROBE;
		t->exit = true;
		return parse_function(name, t, why, size);
	case LINK_FENTRY:
		t->form = TARGET_FENTRY;
		return parse_function(name, t, why, size);
	case LINK_FEXIT:
		t->form = TARGET_FEXIT;
		t->exit = true;
		return parse_function(name, t, why, size);
	case LINK_FMOD_RET:
		return refuse(why, size, "a program that changes the result of %s needs the kernel",
			      name);
	case LINK_OTHER:
		break;
	}
	return refuse(why, size, "%s is not an event of a system call", name);
}

int event_target_check(enum link_event event, const char *name, char *why, size_t size)
{
	struct target t;

	return target_parse(event, name, &t, why, size);
}

uint32_t target_ctx_size(const struct target *t)
{
	switch (t->form) {
	case TARGET_TP_ENTER:
		return 8 * sizeof(uint64_t);
	case TARGET_TP_EXIT:
		return 3 * sizeof(uint64_t);
	case TARGET_KPROBE:
	case TARGET_KRETPROBE:
		return sizeof(struct arch_regs);
	default:
		return 2 * sizeof(uint64_t);
	}
}

/*
 * The context is built for the event, and the verifier knew only the program's
 * type: tracepoint programs may be written for a longer record. A link's file
 * could name any program.
 */
static bool prog_fits(const struct target *t, const struct vm_prog *prog)
{
	const bool tracing = prog->type == BPF_PROG_TYPE_TRACING;

	if ((prog->aux ? prog->aux[0].max_ctx_off : 0) > target_ctx_size(t))
		return false;
	switch (t->form) {
	case TARGET_RAW_ENTER:
	case TARGET_RAW_EXIT:
		return prog->type == BPF_PROG_TYPE_RAW_TRACEPOINT ||
		       (tracing && prog->expected_attach_type == BPF_TRACE_RAW_TP);
	case TARGET_TP_ENTER:
	case TARGET_TP_EXIT:
		return prog->type == BPF_PROG_TYPE_TRACEPOINT;
	case TARGET_KPROBE:
	case TARGET_KRETPROBE:
		return prog->type == BPF_PROG_TYPE_KPROBE;
	case TARGET_FENTRY:
	case TARGET_FEXIT:
		return tracing &&
		       prog->expected_attach_type ==
			       (t->form == TARGET_FENTRY ? BPF_TRACE_FENTRY : BPF_TRACE_FEXIT);
	}
	return false;
}

int target_set_prog(struct target *t, struct vm_prog *prog)
{
	if (prog && !prog_fits(t, prog))
		return -EINVAL;
	t->prog = prog;
	t->needs_uid = t->needs_comm = false;
	for (uint32_t i = 0; prog && i < prog->insn_cnt; i++) {
		const struct bpf_insn *insn = &prog->insns[i];

		if (insn->code == (BPF_LD | BPF_DW | BPF_IMM)) {
			i++;
			continue;
		}
		if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg)
			continue;
		if (insn->imm == BPF_FUNC_get_current_uid_gid)
			t->needs_uid = true;
		else if (insn->imm == BPF_FUNC_get_current_comm)
			t->needs_comm = true;
		else if (insn->imm == BPF_FUNC_tail_call) /* whatever the target needs */
			t->needs_uid = t->needs_comm = true;
	}
	return 0;
}

void targets_sort(struct target *targets, unsigned int count)
{
	for (unsigned int i = 1; i < count; i++) {
		struct target t = targets[i];
		unsigned int j = i;

		for (; j && targets[j - 1].form > t.form; j--)
			targets[j] = targets[j - 1];
		targets[j] = t;
	}
}

void targets_want(const struct target *targets, unsigned int count, struct tracer_want *want)
{
	bool all = false, abi = false;

	for (unsigned int i = 0; i < count; i++) {
		const struct target *t = &targets[i];
		struct syscall_set *set = t->exit ? &want->exit : &want->enter;

		if (t->all) {
			set->all = true;
			all = true;
		} else {
			syscall_set_add(set, t->nr);
		}
		/* Native calls only; or the arguments, whose registers differ. */
		if (!t->all || t->form == TARGET_TP_ENTER)
			abi = true;
	}
	want->abi = all && abi;
}
