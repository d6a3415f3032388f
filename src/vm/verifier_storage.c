/* SPDX-License-Identifier: BSD-2-Clause */
/* Helper arguments that are kernel objects: tasks, cgroups, sockets. */
#include "vm/verifier_int.h"

#include <string.h>

#define BTF_KINDS "ptr_, trusted_ptr_, rcu_ptr_"
#define SOCK_KINDS "sock_common, sock, tcp_sock, xdp_sock"

static int wrong_type(struct verifier *v, int regno, const char *expected)
{
	verbose(v, "R%d type=%s expected=%s\n", regno, reg_kind_name(&cur_regs(v)[regno]),
		expected);
	return -EACCES;
}

static int wrong_struct(struct verifier *v, int regno, const char *expected)
{
	verbose(v, "R%d is of type %s but %s is expected\n", regno,
		btf_struct_name(cur_regs(v)[regno].btf_id), expected);
	return -EACCES;
}

static bool unmoved(const struct reg *r)
{
	return !r->off && tnum_is_const(r->var_off) && !r->var_off.value;
}

int check_object_arg(struct verifier *v, int regno, const char *type)
{
	const struct reg *r = &cur_regs(v)[regno];

	if (reg_is_zero(r)) {
		flow_need_reg(v, v->cur->cur, regno);
		return 0;
	}
	if (r->kind != REG_BTF_ID || r->or_null || r->walked)
		return wrong_type(v, regno, BTF_KINDS);
	if (strcmp(btf_struct_name(r->btf_id), type) || !unmoved(r))
		return wrong_struct(v, regno, type);
	return 0;
}

int check_sock_arg(struct verifier *v, int regno, bool btf)
{
	const struct reg *r = &cur_regs(v)[regno];
	const char *name;

	if ((r->kind == REG_SOCK_COMMON || r->kind == REG_SOCKET || r->kind == REG_TCP_SOCK) &&
	    !r->or_null)
		return 0;
	if (r->kind != REG_BTF_ID || r->or_null || r->walked || !btf)
		return wrong_type(v, regno, btf ? SOCK_KINDS ", ptr_, trusted_ptr_" : SOCK_KINDS);
	name = btf_struct_name(r->btf_id);
	if ((strcmp(name, "sock") && strcmp(name, "sock_common")) || !unmoved(r))
		return wrong_struct(v, regno, "sock_common");
	return 0;
}

/*
 * A pointer loaded through one that is trusted (or such itself), from a member that the
 * kernel keeps valid while a program that cannot sleep runs.
 */
bool walk_is_rcu(const struct verifier *v, const struct reg *from, const char *type,
		 const char *member)
{
	static const struct {
		const char *type, *member;
	} safe[] = {
		{"task_struct", "cgroups"},
		{"task_struct", "real_parent"},
		{"task_struct", "group_leader"},
		{"css_set", "dfl_cgrp"},
	};

	if ((!from->trusted && !from->rcu) || v->prog->sleepable)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(safe); i++)
		if (!strcmp(type, safe[i].type) && !strcmp(member, safe[i].member))
			return true;
	return false;
}
