/* SPDX-License-Identifier: BSD-2-Clause */
/* The map that an argument names. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>

#include "cli/cli.h"

static int map_by_name(const char *name)
{
	struct bpf_map_info info;
	uint32_t id = 0, len;
	int fd, found = -1;

	while (*name && !bpf_map_get_next_id(id, &id)) {
		fd = bpf_map_get_fd_by_id(id);
		if (fd < 0)
			continue;
		memset(&info, 0, sizeof(info));
		len = sizeof(info);
		if (bpf_obj_get_info_by_fd(fd, &info, &len) ||
		    strncmp(info.name, name, sizeof(info.name) - 1)) {
			close(fd);
			continue;
		}
		if (found >= 0) {
			close(fd);
			close(found);
			cli_error("there are several maps named '%s': name one by its id "
				  "('shmap top' lists them)",
				  name);
			return -1;
		}
		found = fd;
	}
	if (found < 0)
		cli_error("there is no map named '%s'", name);
	return found;
}

int cli_map_open(const char *arg)
{
	static const char mount[] = "/sys/fs/bpf";
	char path[4096], *end;
	unsigned long id = strtoul(arg, &end, 10);
	int fd;

	if (*arg && !*end) {
		fd = id <= UINT32_MAX ? bpf_map_get_fd_by_id((uint32_t)id) : -1;
		if (fd < 0)
			cli_error("there is no map with id %s", arg);
		return fd;
	}
	if (!strchr(arg, '/'))
		return map_by_name(arg);
	snprintf(path, sizeof(path), "%s%s%s", *arg == '/' ? "" : mount, *arg == '/' ? "" : "/",
		 arg);
	fd = bpf_obj_get(path);
	if (fd < 0)
		cli_error("%s: %s", arg,
			  errno == ENOENT ? "nothing is pinned there" : strerror(errno));
	return fd;
}
