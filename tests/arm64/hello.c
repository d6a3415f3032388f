/* SPDX-License-Identifier: BSD-2-Clause */
/* Can programs for arm64 be made here? */
#include <linux/membarrier.h>
#include <stdio.h>

int main(void)
{
	puts("hello");
	return 0;
}
