/* SPDX-License-Identifier: BSD-2-Clause */
/* Paths of pins: what OBJ_PIN and OBJ_GET name. */
#ifndef SHMAP_SYS_PATH_H
#define SHMAP_SYS_PATH_H

#include <limits.h>
#include <stdbool.h>

struct pin_path {
	char abs[PATH_MAX]; /* as the caller means it: absolute, not normalized */
	char rel[PATH_MAX]; /* below fs/; "" is fs/ itself. Unset when !inside */
	bool inside;	    /* below /sys/fs/bpf, or fs/ of the runtime directory */
	bool slash;	    /* ended in one: a directory is meant */
};

/*
 * Reads and resolves a user's path; dirfd as for openat(2). 0 or -errno:
 * -EFAULT, -ENAMETOOLONG, -ENOENT (empty), -EBADF and -ENOTDIR (dirfd).
 */
int pin_path_read(struct pin_path *p, const char *user, int dirfd);

/* Does it exist? 0 or -errno, no symlink followed at its end. */
int pin_path_exists(const struct pin_path *p);

/* The kernel's look at the directory that a new name goes to: 0, -ENOENT, -ENOTDIR,
 * -EPERM for a name with a dot on the way. */
int pin_path_check_new(const struct pin_path *p);

#endif
