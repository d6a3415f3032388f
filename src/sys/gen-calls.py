#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Prints the system calls of the target machine as C initialisers, by number.

usage: gen-calls.py COMPILER [ARG...]

The compiler's <asm/unistd.h> says which there are; calls that are younger than
it have the same number everywhere. The kernel's own names (of __x64_sys_NAME
and of the tracepoints) differ from the user's for a few old calls.
"""
import re
import subprocess
import sys

YOUNG = """cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount
listmount lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat
listxattrat removexattrat open_tree_attr file_getattr file_setattr""".split()
YOUNG_FIRST = 451
RENAMED = {"stat": "newstat", "fstat": "newfstat", "lstat": "newlstat", "uname": "newuname",
           "umount2": "umount", "sendfile": "sendfile64"}

text = subprocess.run(sys.argv[1:] + ["-E", "-dM", "-include", "asm/unistd.h", "-x", "c", "/dev/null"],
                      capture_output=True, text=True, check=True).stdout
calls = {YOUNG_FIRST + i: name for i, name in enumerate(YOUNG)}
for name, number in re.findall(r"#define __NR_(\w+) (\d+)\n", text):
    calls[int(number)] = name
for number in sorted(calls):
    print(f'[{number}] = "{RENAMED.get(calls[number], calls[number])}",')
