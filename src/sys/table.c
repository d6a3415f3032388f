/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The command table: the command's number, the last field of its attr (every
 * byte after it must be zero) and its function.
 */
#include <linux/bpf.h>

#include "base/bits.h"
#include "base/uapi.h"
#include "sys/btf_obj.h"
#include "sys/command.h"
#include "sys/link.h"
#include "sys/prog.h"

#define FIELD_END(f) (offsetof(union sys_attr, f) + sizeof(((union sys_attr *)0)->f))
#define COMMAND(cmd, last, function) [cmd] = {.fn = (function), .end = FIELD_END(last)}

static const struct sys_command commands[] = {
	/* maps: map.c, batch.c */
	COMMAND(BPF_MAP_CREATE, map_create.excl_prog_hash_size, sys_cmd_map_create),
	COMMAND(BPF_MAP_LOOKUP_ELEM, elem.flags, sys_cmd_map_lookup),
	COMMAND(BPF_MAP_UPDATE_ELEM, elem.flags, sys_cmd_map_update),
	COMMAND(BPF_MAP_DELETE_ELEM, elem.key, sys_cmd_map_delete),
	COMMAND(BPF_MAP_GET_NEXT_KEY, elem.next_key, sys_cmd_map_next_key),
	COMMAND(BPF_MAP_LOOKUP_AND_DELETE_ELEM, elem.flags, sys_cmd_map_lookup_and_delete),
	COMMAND(BPF_MAP_FREEZE, elem.map_fd, sys_cmd_map_freeze),
	COMMAND(BPF_MAP_LOOKUP_BATCH, batch.flags, sys_cmd_map_lookup_batch),
	COMMAND(BPF_MAP_LOOKUP_AND_DELETE_BATCH, batch.flags, sys_cmd_map_lookup_and_delete_batch),
	COMMAND(BPF_MAP_UPDATE_BATCH, batch.flags, sys_cmd_map_update_batch),
	COMMAND(BPF_MAP_DELETE_BATCH, batch.flags, sys_cmd_map_delete_batch),

	/* objects: obj.c */
	COMMAND(BPF_OBJ_PIN, obj.path_fd, sys_cmd_obj_pin),
	COMMAND(BPF_OBJ_GET, obj.path_fd, sys_cmd_obj_get),
	COMMAND(BPF_OBJ_GET_INFO_BY_FD, info.info, sys_cmd_obj_info),
	COMMAND(BPF_MAP_GET_NEXT_ID, id.next_id, sys_cmd_map_next_id),
	COMMAND(BPF_PROG_GET_NEXT_ID, id.next_id, sys_cmd_prog_next_id),
	COMMAND(BPF_BTF_GET_NEXT_ID, id.next_id, sys_cmd_btf_next_id),
	COMMAND(BPF_LINK_GET_NEXT_ID, id.next_id, sys_cmd_link_next_id),
	COMMAND(BPF_MAP_GET_FD_BY_ID, id.open_flags, sys_cmd_map_fd_by_id),

	/* programs: prog_load.c, prog.c, testrun.c, stats.c */
	COMMAND(BPF_PROG_LOAD, prog_load.keyring_id, sys_cmd_prog_load),
	COMMAND(BPF_PROG_GET_FD_BY_ID, id.prog_id, sys_cmd_prog_fd_by_id),
	COMMAND(BPF_PROG_TEST_RUN, test.batch_size, sys_cmd_prog_test_run),
	COMMAND(BPF_PROG_BIND_MAP, prog_bind_map.flags, sys_cmd_prog_bind_map),
	COMMAND(BPF_ENABLE_STATS, enable_stats.type, sys_cmd_enable_stats),

	/* BTF: btf.c */
	COMMAND(BPF_BTF_LOAD, btf_load.btf_token_fd, sys_cmd_btf_load),
	COMMAND(BPF_BTF_GET_FD_BY_ID, id.fd_by_id_token_fd, sys_cmd_btf_fd_by_id),

	/* links: link.c */
	COMMAND(BPF_RAW_TRACEPOINT_OPEN, raw_tracepoint.cookie, sys_cmd_raw_tracepoint_open),
	COMMAND(BPF_LINK_CREATE, link_create.uprobe_multi.pid, sys_cmd_link_create),
	COMMAND(BPF_LINK_UPDATE, link_update.old_prog_fd, sys_cmd_link_update),
	COMMAND(BPF_LINK_DETACH, link_detach.link_fd, sys_cmd_link_detach),
	COMMAND(BPF_LINK_GET_FD_BY_ID, id.link_id, sys_cmd_link_fd_by_id),
};

const struct sys_command *sys_command_find(int cmd)
{
	if ((unsigned int)cmd >= ARRAY_SIZE(commands) || !commands[cmd].fn)
		return NULL;
	return &commands[cmd];
}
