/* SPDX-License-Identifier: BSD-2-Clause */
/* The life of a struct vm_prog. */
#include <stdlib.h>

#include <bpf/btf.h>

#include "vm/interp.h"
#include "vm/timer.h"
#include "vm/vm.h"

void vm_prog_free(struct vm_prog *p)
{
	uint32_t i;

	if (!p)
		return;
	timer_forget(p);
	for (i = 0; p->maps && i < p->map_cnt; i++)
		if (p->maps[i])
			map_put(p->maps[i]);
	free(p->maps);
	free(p->map_ids);
	free(p->insns);
	free((void *)p->func_info);
	free((void *)p->line_info);
	free(p->aux);
	interp_code_free(p->code);
	btf__free(p->btf);
	free(p);
}
