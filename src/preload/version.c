/* SPDX-License-Identifier: BSD-2-Clause */
#include "preload/preload.h"
#include "shmap.h"

EXPORT const char *shmap_version(void)
{
	return SHMAP_VERSION;
}
