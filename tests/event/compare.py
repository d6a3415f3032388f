#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Compares the tracer's counts with those of `strace -f -c`, call by call.

usage: compare.py [--except CALL,...] [--only CALL,...] [--status N] COUNTER COMMAND...

strace counts a call when it returns: exit and exit_group are in no summary of
its. --except names calls that the scheduler decides about (futex of threads).
--only has the tracer trace nothing else. Each must exit with --status.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile

p = argparse.ArgumentParser()
p.add_argument("--except", dest="skip", default="")
p.add_argument("--only", default="")
p.add_argument("--status", type=int, default=0)
p.add_argument("--exits", action="store_true", help="compare the exits, not the entries")
p.add_argument("--no-seccomp", action="store_true", help="where no filter can be installed")
p.add_argument("--unprivileged", action="store_true", help="as uid 65534 when started by root")
p.add_argument("counter")
p.add_argument("command", nargs=argparse.REMAINDER)
a = p.parse_args()

strace = shutil.which("strace")
if not strace:
    print("SKIP: no strace")
    sys.exit(77)
KERNEL_NAME = {"stat": "newstat", "fstat": "newfstat", "lstat": "newlstat", "uname": "newuname",
               "umount2": "umount", "sendfile": "sendfile64"}
env = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", "LC_ALL": "C", "HOME": "/"}
failed = 0
setpriv = []


def drop_privileges(d):
    """Copies both programs to where the other user can read them."""
    global setpriv
    if os.geteuid():
        return
    os.chmod(d, 0o777)
    for i, path in ((0, a.counter), (1, a.command[0])):
        copy = f"{d}/{os.path.basename(path)}"
        shutil.copy(path, copy)
        if i:
            a.command[0] = copy
        else:
            a.counter = copy
    setpriv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
               "--bounding-set=-all"]


def run(argv, name):
    global failed
    with tempfile.TemporaryFile() as out:
        r = subprocess.run(setpriv + argv, env=env, stdout=out, stderr=subprocess.PIPE, text=True)
        out.seek(0)
        text = out.read()
    if r.returncode != a.status:
        print(f"{name}: exit status {r.returncode}, not {a.status}: {r.stderr}")
        failed += 1
    return text


with tempfile.TemporaryDirectory() as d:
    if a.unprivileged:
        drop_privileges(d)
    plain = run(a.command, "alone")
    run([strace, "-f", "-c", "-o", f"{d}/strace"] + a.command, "strace")
    extra = ["-e", a.only] if a.only else []
    extra += ["-x"] if a.exits else []
    extra += ["-S"] if a.no_seccomp else []
    traced = run([a.counter, "-o", f"{d}/ours"] + extra + a.command, "traced")
    theirs = {}
    for line in open(f"{d}/strace"):
        f = line.split()
        # strace may leave a PID in front of the heading
        if len(f) >= 5 and f[0][0].isdigit() and f[3].isdigit() and f[-1] != "total":
            theirs[KERNEL_NAME.get(f[-1], f[-1])] = int(f[3])
    ours = {}
    for line in open(f"{d}/ours"):
        name, entries, exits = line.split()
        if name[0] != "+":
            ours[name] = int(exits if a.exits else entries)
    if traced != plain:
        print("the traced command wrote something else")
        failed += 1
    for name in ("exit", "exit_group"):
        if a.exits and ours.get(name):
            print(f"{name} returned")
            failed += 1
        ours.pop(name, None)
        theirs.pop(name, None)

skip = set(filter(None, a.skip.split(",")))
only = set(filter(None, a.only.split(",")))
if only:
    theirs = {k: v for k, v in theirs.items() if k in only}
for name in sorted((set(ours) | set(theirs)) - skip):
    if ours.get(name, 0) != theirs.get(name, 0):
        print(f"{name}: {ours.get(name, 0)}, strace {theirs.get(name, 0)}")
        failed += 1
print(f"{sum(ours.values())} calls, {len(ours)} kinds: {'differ' if failed else 'equal'}")
sys.exit(1 if failed else 0)
