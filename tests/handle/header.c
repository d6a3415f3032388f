/* SPDX-License-Identifier: BSD-2-Clause */
/* shmap.h alone, in a program that asks for every warning. */
#include "shmap.h"

int main(void)
{
	struct shmap_handle *h = shmap_handle_open ? shmap_handle_open(-1) : NULL;
	int key = 0;

	return h && shmap_find(h, &key);
}
