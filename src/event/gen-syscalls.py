#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Prints this machine's system calls as C designators: [9] = "mmap",

usage: gen-syscalls.py COMPILER [ARG...]

The numbers come from the compiler's <asm/unistd_64.h> (x86-64) or
<asm/unistd.h> (one table for both widths elsewhere). Calls that are newer than
those headers have the same number on every architecture since 424; they are
added here. The names become those of the kernel's functions, which differ from
the user's for a few old calls.
"""
import re
import subprocess
import sys

NEWER = {
    "cachestat": 451, "fchmodat2": 452, "map_shadow_stack": 453, "futex_wake": 454,
    "futex_wait": 455, "futex_requeue": 456, "statmount": 457, "listmount": 458,
    "lsm_get_self_attr": 459, "lsm_set_self_attr": 460, "lsm_list_modules": 461,
    "mseal": 462, "setxattrat": 463, "getxattrat": 464, "listxattrat": 465,
    "removexattrat": 466, "open_tree_attr": 467, "file_getattr": 468,
    "file_setattr": 469,
}
KERNEL_NAME = {
    "stat": "newstat", "fstat": "newfstat", "lstat": "newlstat", "uname": "newuname",
    "umount2": "umount", "sendfile": "sendfile64",
}


def defines(compiler, header):
    out = subprocess.run(compiler + ["-E", "-dM", "-x", "c", "-"], input=f"#include <{header}>\n",
                         capture_output=True, text=True)
    if out.returncode:
        return {}
    return {m[1]: int(m[2]) for m in re.finditer(r"^#define __NR_(\w+) (\d+)$", out.stdout, re.M)}


table = defines(sys.argv[1:], "asm/unistd_64.h") or defines(sys.argv[1:], "asm/unistd.h")
if not table:
    sys.exit("no <asm/unistd.h>")
used = set(table.values())
table.update({name: nr for name, nr in NEWER.items() if nr not in used})
for nr, name in sorted((nr, name) for name, nr in table.items()):
    user = f" /* {name} */" if name in KERNEL_NAME else ""
    print(f'[{nr}] = "{KERNEL_NAME.get(name, name)}",{user}')
