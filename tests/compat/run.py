#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""shmap run with old objects, good and bad: run.py SHMAP FORMS FORMS-NODEBUG NUMBERED BAD..."""
import json
import os
import struct
import subprocess
import sys
import tempfile

shmap, forms, nodebug, numbered, *bad = sys.argv[1:]
os.environ.setdefault("SHMAP_DIR", f"/dev/shm/shmap-test-compat-{os.getpid()}")
work = tempfile.TemporaryDirectory()
path = f"{work.name}/in.pcap"
with open(path, "wb") as f:
    f.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65536, 1))
    for n in (60, 60, 70):
        f.write(struct.pack("<IIII", 1, 1, n, n) + b"\0" * n)


def run(*args):
    return subprocess.run([shmap, "run", *args], capture_output=True, text=True, stdin=subprocess.DEVNULL)


def require(cond, what):
    if not cond:
        print(f"not true: {what}")
        sys.exit(1)


for o in (forms, nodebug):
    r = run("-j", "-o", "-", "--program", "entry", "--pcap", path, o)
    require(r.returncode == 0 and not r.stderr, f"{r}")
    d = json.loads(r.stdout)
    require(len(d["hidden"]) == 2 and len(d["a_hash"]) == 1 and len(d["an_array"]) == 3, f"{d}")
    require(d["return codes"]["entry"]["codes"][0]["code"] == 5, f"{d}")
    if o == forms:
        require(d["a_hash"] == [{"key": {"a": 1, "b": 2}, "value": 1}], f"by its BTF: {d}")
r = run("--pcap", path, numbered)
require(r.returncode == 0 and "XDP_TX (3): 3 packets" in r.stderr, f"{r}")

says = ["the definition of the map m has 12 bytes; a struct bpf_map_def has at least 16",
        "the definition of the map m has a field at byte 32 that is not known here",
        "BPF_ANNOTATE_KV_PAIR says that a value of the map m has 4 bytes, its definition 8",
        "the map m names map 3 as its inner map (inner_map_idx); there are 1, counted from 0",
        "it has maps in the section 'maps', as until libbpf 0.8, and others in '.maps'",
        "the definition of the map m has 3 in its sixth field (inner_map_idx), which only maps of maps have",
        "is a map of maps itself",
        "cannot be loaded"]
for o, words in zip(bad, says):
    r = run("--pcap", path, o)
    first = r.stderr.splitlines()[0]
    require(r.returncode == 125 and first.startswith(f"shmap: {o}") and words in first, f"'{words}': {r}")
