#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""shmap run on captures and interfaces.

usage: capture.py CLAIM BUILD
"""
import collections
import json
import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

import packets as pk

claim, build = sys.argv[1:3]
shmap = f"{build}/src/cli/shmap"
work = tempfile.TemporaryDirectory()
tmp = work.name
os.chmod(tmp, 0o755)
os.environ.setdefault("SHMAP_DIR", f"/dev/shm/shmap-test-capture-{os.getpid()}")
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
          "--bounding-set=-all"]
COUNT = 3000


def require(cond, what):
    if not cond:
        print(f"not true: {what}")
        sys.exit(1)


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(77)


def obj(name):
    path = f"{build}/examples/{name}.bpf.o"
    if not os.path.exists(path):
        path = f"{build}/tests/cli/{name}.bpf.o"
    if not os.path.exists(path):
        skip("no clang to compile BPF objects with")
    return path


def run(*args, prefix=(), **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([*prefix, shmap, "run", *args], capture_output=True, **kw)


def report(*args, **kw):
    r = run("--json", "-o", f"{tmp}/report", *args, **kw)
    require(r.returncode == 0, f"run succeeds: {r}")
    return json.load(open(f"{tmp}/report"))


def write(name, chunks):
    with open(f"{tmp}/{name}", "wb") as f:
        f.writelines(chunks)
    return f"{tmp}/{name}"


def tcpdump(*args):
    """Runs it; None where there is none."""
    tool = shutil.which("tcpdump") or shutil.which("/usr/sbin/tcpdump") or shutil.which("/usr/bin/tcpdump")
    if not tool:
        return None
    # It gives up root for a user that cannot write here, unless told not to.
    root = ["-Z", "root"] if os.geteuid() == 0 else []
    r = subprocess.run([tool, *root, *args], capture_output=True)
    require(r.returncode == 0, f"tcpdump {args}: {r}")
    return r


def as_tcpdump_writes(path):
    """The capture written again by tcpdump, where there is one."""
    return f"{tmp}/tcpdump.pcap" if tcpdump("-r", path, "-w", f"{tmp}/tcpdump.pcap") else path


def nonzero(elements):
    return {e["key"]: e["value"] for e in elements if e["value"]}


def codes(d, prog):
    return {c["code"]: (c["packets"], c["bytes"]) for c in d["return codes"][prog]["codes"]}


def read_pcap(path):
    """(seconds, fraction, bytes, wire length) of each packet of a little-endian pcap file."""
    data = open(path, "rb").read()
    out, at = [], 24
    while at < len(data):
        s, f, n, wire = struct.unpack_from("<IIII", data, at)
        out.append((s, f, data[at + 16:at + 16 + n], wire))
        at += 16 + n
    return out


def refused(r, *words):
    require(r.returncode == 125, f"exit status 125: {r}")
    text = r.stderr.decode()
    require(text.startswith("shmap: ") and all(w in text for w in words), f"{words} in: {text}")


if claim == "pcap-counts-as-tshark":
    frames = list(pk.frames(COUNT))
    count, size = collections.Counter(), collections.Counter()
    for f in frames:
        if f[12:14] == b"\x08\0":
            count[f[23]] += 1
            size[f[23]] += len(f)
    plain = as_tcpdump_writes(write("plain.pcap", pk.pcap(frames)))
    # Linux sees the first 60 bytes of each, and the length that it had.
    cut = f"{tmp}/cut.pcap"
    if not tcpdump("-r", plain, "-s", "60", "-w", cut):
        cut = write("cut.pcap", pk.pcap(frames, snaplen=60))
    forms = {
        "as tcpdump writes": plain,
        "cut to 60 bytes": cut,
        "cut when captured": write("cut2.pcap", pk.pcap(frames, snaplen=60)),
        "nanoseconds": write("nano.pcap", pk.pcap(frames, nano=True)),
        "the other byte order": write("swapped.pcap", pk.pcap(frames, swapped=True)),
        "pcapng": write("ng.pcapng", pk.pcapng(frames)),
        "pcapng of two interfaces": write("ng2.pcapng", pk.pcapng(frames, (1, 1))),
    }
    for what, path in forms.items():
        d = report("--pcap", path, obj("count_protocols"))
        require(nonzero(d["packets_by_protocol"]) == count, f"{what}: packets {d} {count}")
        require(nonzero(d["bytes_by_protocol"]) == size, f"{what}: bytes {d} {size}")
        require(codes(d, "count_protocols") == {0: (COUNT, sum(map(len, frames)))}, f"{what}: {d}")
    d = report("--pcap", "-", obj("count_protocols"), stdin=open(plain, "rb"))
    require(nonzero(d["bytes_by_protocol"]) == size, "standard input, a file")
    cat = subprocess.Popen(["cat", forms["pcapng"]], stdout=subprocess.PIPE)
    d = report("--pcap", "-", obj("count_protocols"), stdin=cat.stdout)
    require(nonzero(d["bytes_by_protocol"]) == size, "standard input, a pipe")
    text = run("-o", "-", "--pcap", plain, obj("count_protocols")).stdout.decode()
    require(f"  6: {size[6]}\n" in text and f"  dropped (0): {COUNT} packets, " in text, text)
    if shutil.which("tshark"):
        r = subprocess.run(["tshark", "-n", "-r", plain, "-T", "fields", "-E", "occurrence=f",
                            "-e", "frame.len", "-e", "ip.proto"], capture_output=True, text=True, check=True)
        seen, bytes_seen = collections.Counter(), collections.Counter()
        for line in r.stdout.splitlines():
            n, proto = line.split("\t")
            if proto:
                seen[int(proto)] += 1
                bytes_seen[int(proto)] += int(n)
        require(seen == count and bytes_seen == size, f"tshark counts {seen} {bytes_seen}")
    else:
        print("no tshark: compared with this test's own count")
    if shutil.which("capinfos"):
        r = subprocess.run(["capinfos", "-c", "-d", "-M", "-T", "-r", "-m", plain], capture_output=True, text=True,
                           check=True)
        require(r.stdout.strip().split(",")[1:] == [str(COUNT), str(sum(map(len, frames)))], f"capinfos: {r.stdout}")

elif claim == "xdp-lpm-passes-what-tcpdump-selects":
    bpftool = shutil.which("bpftool") or shutil.which("/usr/sbin/bpftool")
    if not bpftool or not os.path.exists(f"{build}/src/preload/libshmap.so"):
        skip("no bpftool to fill the trie with")
    if sys.argv[3:] not in ([], ["none"]):
        skip("a library with a sanitizer cannot be preloaded into bpftool")
    networks = [((10, 0, 0, 0), 15), ((10, 2, 1, 0), 24), ((192, 1, 0, 0), 16), ((127, 0, 0, 0), 8),
                ((172, 2, 3, 128), 25), ((192, 2, 1, 77), 32)]
    on = [shmap, "exec", "--", bpftool]
    subprocess.run([*on, "map", "create", "/sys/fs/bpf/blocked", "type", "lpm_trie", "key", "8", "value", "8",
                    "entries", "1024", "name", "blocked", "flags", "1"], check=True)
    for address, length in networks:
        key = [str(b) for b in (*struct.pack("<I", length), *address)]
        subprocess.run([*on, "map", "update", "pinned", "/sys/fs/bpf/blocked", "key", *key, "value", *"00000000"],
                       check=True)
    frames = list(pk.frames(COUNT, seed=2))
    path = as_tcpdump_writes(write("in.pcap", pk.pcap(frames)))
    def blocked(f):
        n = struct.unpack("!I", f[26:30])[0] if f[12:14] == b"\x08\0" and len(f) >= 34 else None
        return n is not None and any((n ^ struct.unpack("!I", bytes(a))[0]) >> (32 - l) == 0 for a, l in networks)
    want = [f for f in frames if not blocked(f)]
    require(COUNT // 4 < len(want) < COUNT * 9 // 10, f"a fair part: {len(want)}")
    d = report("--reuse", "/sys/fs/bpf/.", "--pcap", path, "--write", f"{tmp}/out.pcap", obj("xdp_drop_lpm"))
    require([p[2] for p in read_pcap(f"{tmp}/out.pcap")] == want, "the packets that are not blocked, in order")
    c = codes(d, "drop_blocked")
    require(c[2] == (len(want), sum(map(len, want))) and c[1][0] == COUNT - len(want), f"return codes: {c}")
    # bpftool made the map, without BTF: bytes
    require(sum(int(e["value"][0], 0) | int(e["value"][1], 0) << 8 for e in d["blocked"]) == c[1][0] and len(d["blocked"]) == len(networks), f"{d}")
    expression = " or ".join(f"src net {'.'.join(map(str, a))}/{l}" for a, l in networks)
    if tcpdump("-r", path, "-w", f"{tmp}/want.pcap", f"not (ip and ({expression}))"):
        same = open(f"{tmp}/out.pcap", "rb").read() == open(f"{tmp}/want.pcap", "rb").read()
        require(same, "the file that tcpdump's filter writes, byte for byte")
    else:
        print("no tcpdump: compared with this test's own choice")

elif claim == "pcap-keeps-what-passed":
    kinds = [*range(0, 14, 2), *range(0x21, 0x2c), 0x40, 0x41, 0x42]
    frames = [pk.eth(0x800, bytes([k]) * 40, src=bytes([k]) + b"\0" * 5) for k in kinds for _ in range(k % 3 + 1)]
    n = collections.Counter(f[6] for f in frames)
    d = report("--pcap", write("in.pcap", pk.pcap(frames, nano=True)), "--write", f"{tmp}/out.pcap", obj("verdicts"))
    size = len(frames[0])
    want = {2: sum(n[k] for k in kinds if k > 0x20 or k == 4)}
    want.update({c: n[c * 2] for c in range(7) if c != 2})
    require(codes(d, "on_xdp") == {c: (k, k * size) for c, k in want.items()}, f"xdp: {d}")
    tc = {k - 0x22: n[k] for k in kinds if 0x20 < k < 0x40}
    tc[0] += n[4] + n[0x40] + n[0x41] + n[0x42]
    require(codes(d, "on_tc") == {c: (k, k * size) for c, k in tc.items()}, f"tc: {d}")
    stopped = {2, 4, 8, 7}
    came = sum(k for c, k in tc.items() if c not in stopped)
    want = {-1: came - n[0x40] - n[0x42], 0: n[0x40], 20: n[0x42]}
    require(codes(d, "filter") == {c: (k, k * size) for c, k in want.items()}, f"socket filter: {d}")
    names = {c["code"]: c.get("name") for c in d["return codes"]["on_xdp"]["codes"]}
    require(names == {0: "XDP_ABORTED", 1: "XDP_DROP", 2: "XDP_PASS", 3: "XDP_TX", 4: "XDP_REDIRECT", 5: None, 6: None},
            f"{names}")
    names = [c.get("name") for c in sorted(d["return codes"]["on_tc"]["codes"], key=lambda c: c["code"])]
    require(names == [f"TC_ACT_{w}" for w in "UNSPEC OK RECLASSIFY SHOT PIPE STOLEN QUEUED REPEAT REDIRECT TRAP".split()]
            + [None], f"{names}")
    # What is kept, as changed: byte 0 by xdp, byte 1 by tc.
    kept = []
    for i, f in enumerate(frames):
        k, new = f[6], bytearray(f)
        new[0] = 0x7a
        if k in (0, 2, 10, 12) or k - 0x22 in (2, 4, 8) or k == 0x40:
            continue
        if k not in (6, 8):
            new[1] = 0x7c
        kept.append((1700000000, i * 1000 + i % 7, bytes(new[:20] if k == 0x42 else new), size))
    require(read_pcap(f"{tmp}/out.pcap") == kept, f"{read_pcap(tmp + '/out.pcap')} {kept}")
    bss = d["verdicts.bss"][0]["value"][".bss"]
    flat = {k: v for e in bss for k, v in e.items()}
    require(flat["socket_saw"] == came and flat["outgoing"] == 0 and flat["last_stamp"] == 1, f"{flat}")
    d = report("--direction", "out", "--program", "filter", "--count", "5", "--pcap", f"{tmp}/in.pcap", obj("verdicts"))
    flat = {k: v for e in d["verdicts.bss"][0]["value"][".bss"] for k, v in e.items()}
    require(flat["outgoing"] == flat["socket_saw"] == 5 and list(d["return codes"]) == ["filter"], f"{d}")
    r = run("--pcap", f"{tmp}/in.pcap", "--write", "-", obj("verdicts"))
    require(r.stdout == open(f"{tmp}/out.pcap", "rb").read(), "--write - is standard output")
    require(b" packets were kept in -\n" in r.stderr and b"XDP_TX (3): " in r.stderr, f"{r.stderr}")

elif claim == "pcap-link-types":
    ips = [pk.ipv4(b"\x0a\1\2\3", b"\x0a\1\2\4", p, b"x" * p) for p in (6, 17, 17, 1)]
    six = pk.ipv6(b"\0" * 16, b"\0" * 16, 17, pk.udp(b""))
    mac = b"\2\0\0\0\0\7\0\0"
    heads = {
        113: lambda p, t: struct.pack("!HHH8sH", 4, 1, 6, mac, t),
        276: lambda p, t: struct.pack("!HHIHBB8s", t, 0, 3, 1, 4, 6, mac),
        101: lambda p, t: b"",
        12: lambda p, t: b"",
        0: lambda p, t: struct.pack("<I", 2 if t == 0x800 else 24),
        108: lambda p, t: struct.pack("!I", 2 if t == 0x800 else 24),
        228: lambda p, t: b"",
    }
    want = {1: 14 + 21, 6: 14 + 26, 17: 2 * (14 + 37)}
    for link, head in heads.items():
        path = write("l.pcap", pk.pcap([head(p, 0x800) + p for p in ips] + [head(six, 0x86dd) + six], link_type=link))
        d = report("--pcap", path, "--write", f"{tmp}/out.pcap", obj("count_protocols"))
        require(nonzero(d["bytes_by_protocol"]) == want, f"link type {link}: {d}")
        report("--pcap", path, "--write", f"{tmp}/out.pcap", obj("xdp_drop_lpm"))
        kept = [p[2] for p in read_pcap(f"{tmp}/out.pcap")]
        require([k[14:] for k in kept] == ips + [six] and [k[12:14] for k in kept] == [b"\x08\0"] * 4 + [b"\x86\xdd"],
                f"link type {link} is written as Ethernet")
        if link in (113, 276):
            require(kept[0][6:12] == mac[:6], "with the address that is known")
            d = report("--program", "filter", "--pcap", path, obj("verdicts"))
            flat = {k: v for e in d["verdicts.bss"][0]["value"][".bss"] for k, v in e.items()}
            require(flat["outgoing"] == 5, "and the direction")
    refused(run("--pcap", write("w.pcap", pk.pcap(ips, link_type=105)), obj("count_protocols")), "IEEE802_11", "link type")
    refused(run("--pcap", write("two.pcapng", pk.pcapng(list(pk.frames(4)), (1, 101))), obj("count_protocols")),
            "different from the type of the first interface")

elif claim == "pcap-damaged":
    good = b"".join(pk.pcap(pk.frames(40)))
    ng = b"".join(pk.pcapng(pk.frames(40)))
    o = obj("count_protocols")
    refused(run("--pcap", f"{tmp}/none", o), "none: No such file")
    refused(run("--pcap", tmp, o), "is a directory")
    refused(run("--pcap", write("empty", []), o), "is empty")
    refused(run("--pcap", write("text", [b"hello, this is no capture\n" * 9]), o), "cannot be read as a capture")
    refused(run("--pcap", write("short", [good[:17]]), o), "cannot be read as a capture")
    refused(run("--pcap", "-", o, stdin=subprocess.DEVNULL), "standard input cannot be read as a capture")
    r = run("--pcap", write("cut", [good[:-5]]), o)
    refused(r, "cut: truncated", "after 39 packets")
    require(b"packets_by_protocol: array" in r.stderr and b"dropped (0): 39 packets" in r.stderr, "what came is reported")
    path = write("same.pcap", [good])
    refused(run("--pcap", path, "--write", path, o), "is the capture that is read")
    require(open(path, "rb").read() == good, "and is left as it was")
    refused(run("--pcap", path, "--write", f"{tmp}/none/x", o), "No such file")
    r = run("--pcap", path, "--write", "/dev/full", obj("xdp_drop_lpm"))
    require(r.returncode == 125 and b"the packets cannot be written: No space left" in r.stderr, f"{r}")
    ops = int(os.environ.get("SHMAP_TEST_OPS", 60))
    rnd = random.Random(int(os.environ.get("SHMAP_TEST_SEED", 1)))
    for i in range(ops):
        data = bytearray(rnd.choice([good, ng]))
        for _ in range(rnd.choice([1, 2, 8, 30])):
            at = rnd.randrange(len(data)) if rnd.random() < .5 else rnd.randrange(200)
            data[at] = rnd.choice([0, 0xff, 0x7f, 0x80, data[at] ^ 1 << rnd.randrange(8), rnd.randrange(256)])
        if rnd.random() < .3:
            del data[rnd.randrange(len(data)):]
        path = write("fuzzed", [bytes(data)])
        r = run("--pcap", path, "--write", f"{tmp}/out", o)
        require(r.returncode in (0, 125), f"case {i}: {r}")
        if r.returncode:
            require(r.stderr.startswith(b"shmap: "), f"case {i} says why: {r}")

elif claim == "pcap-options":
    path = write("in.pcap", pk.pcap(pk.frames(2500)))
    o = obj("count_protocols")
    def usage(*args):
        r = run(*args)
        require(r.returncode == 2 and b"shmap run --help" in r.stderr, f"{args}: {r}")
    usage("--pcap", path, o, "--", "true")
    usage("--pcap", path, "-p", "1", o)
    usage("--pcap", path, "--iface", "lo", o)
    usage("--write", "x", o, "--", "true")
    usage("--count", "0", "--pcap", path, o)
    usage("--count", "-4", "--pcap", path, o)
    usage("--direction", "up", "--pcap", path, o)
    usage("-o", "-", "-w", "-", "--pcap", path, o)
    usage("--pcap", path)
    r = run("--progress", "--pcap", path, o)
    require(re.search(rb"^shmap: 2500 packets, \d+ bytes, 100 % of the file$", r.stderr, re.M), f"{r.stderr}")
    require(b"shmap:" not in run("--pcap", path, o).stderr, "not unasked, where there is no terminal")
    refused(run("--program", "other", "--pcap", path, o), "no program other")
    refused(run("--reuse", "nowhere", "--pcap", path, o), "no map of")
    refused(run("--pcap", path, obj("count")), "takes packets")
    r = run("--pin", "packets", "--pcap", path, o)
    require(r.returncode == 0, "pinned")
    refused(run("--reuse", "packets", "--pcap", path, obj("xdp_drop_lpm")), "no map of")
    first = report("--pcap", path, o)
    twice = report("--reuse", "packets", "--pcap", path, o)
    require({k: v * 2 for k, v in nonzero(first["bytes_by_protocol"]).items()} ==
            nonzero(twice["bytes_by_protocol"]), "counted on in the maps that were there")
    report("--count", "1", "--pcap", path, o)

elif claim == "pcap-on-an-interface":
    o = obj("count_protocols")
    refused(run("--iface", "nosuchif0", o), "there is no interface nosuchif0")
    if os.geteuid():
        refused(run("--iface", "lo", o), "CAP_NET_RAW")
        sys.exit(0)
    os.chmod(tmp, 0o777)
    for f in (shmap, o):
        shutil.copy(f, tmp)
    env = dict(os.environ, SHMAP_DIR=f"/dev/shm/shmap-test-capture-nobody-{os.getpid()}")
    try:
        refused(subprocess.run([*NOBODY, f"{tmp}/shmap", "run", "--iface", "lo", f"{tmp}/count_protocols.bpf.o"],
                               capture_output=True, env=env), "CAP_NET_RAW")
    finally:
        shutil.rmtree(env["SHMAP_DIR"], ignore_errors=True)
    # Datagrams of a length of their own are sent until some have been seen.
    p = subprocess.Popen([shmap, "run", "--iface", "lo", "--count", "5", "--write", f"{tmp}/live.pcap", o],
                         stderr=subprocess.PIPE, text=True)
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while p.poll() is None:
        s.sendto(b"x" * 333, ("127.0.0.1", 9))
        try:
            p.wait(.01)
        except subprocess.TimeoutExpired:
            pass
    text = p.stderr.read()
    if "Operation not permitted" in text or "CAP_NET_RAW" in text:
        skip("no raw sockets here")
    require(p.returncode == 0 and "dropped (0): 5 packets" in text, text)
    if "17: " not in text:
        skip("the loopback device has too much other traffic")

elif claim == "pcap-unprivileged":
    if os.geteuid():
        skip("not root, so every test is unprivileged")
    os.chmod(tmp, 0o777)
    for f in (shmap, obj("count_protocols")):
        shutil.copy(f, tmp)
    path = write("in.pcap", pk.pcap(pk.frames(100)))
    env = dict(os.environ, SHMAP_DIR=f"/dev/shm/shmap-test-capture-nobody-{os.getpid()}")
    try:
        r = subprocess.run([*NOBODY, f"{tmp}/shmap", "run", "--pcap", path, f"{tmp}/count_protocols.bpf.o"],
                           capture_output=True, text=True, env=env)
        require(r.returncode == 0 and "dropped (0): 100 packets" in r.stderr, f"{r}")
    finally:
        shutil.rmtree(env["SHMAP_DIR"], ignore_errors=True)

else:
    sys.exit(f"no claim {claim}")
