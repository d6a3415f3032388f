/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAP_RCU_H
#define MAP_RCU_H

#include <linux/types.h>

/* Too large for one store; all fields are made from `changes`. */
struct config {
	__u64 changes, twice, squared;
	__u64 copies[5];
};

#endif
