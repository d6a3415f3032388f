#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What shmap(1) does, as its users see it.

usage: cli.py CLAIM BUILD [SANITIZER]
"""
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time

claim, build, sanitizer = (sys.argv[1:] + ["none"])[:3]
here = f"{build}/tests/cli"
shmap = f"{build}/src/cli/shmap"
work = tempfile.TemporaryDirectory()
tmp = work.name
os.chmod(tmp, 0o755)
os.environ.setdefault("SHMAP_DIR", f"/dev/shm/shmap-test-cli-{os.getpid()}")
rundir = os.environ["SHMAP_DIR"]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all",
          "--bounding-set=-all"]


def require(cond, what):
    if not cond:
        print(f"not true: {what}")
        sys.exit(1)


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(77)


if sanitizer != "none" and claim in ("run-pin-stays", "exec-serves-bpftool", "nothing-left-behind",
                                     "trace-serves-loaders", "trace-serves-later-loaders",
                                     "trace-gives-cookies"):
    skip("a library with a sanitizer cannot be preloaded into programs without")


def obj(name):
    path = f"{here}/{name}.bpf.o"
    if not os.path.exists(path):
        skip("no clang to compile BPF objects with")
    return path


def run(*args, prefix=(), **kw):
    kw.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([*prefix, shmap, *args], capture_output=True, text=True, **kw)


def report(*args, **kw):
    r = run("run", "--json", "-o", f"{tmp}/report", *args, **kw)
    require(r.returncode == 0, f"run succeeds: {r}")
    return json.load(open(f"{tmp}/report"))


def per_cpu_sum(element):
    return sum(v["value"] for v in element["values"])


def files_below(path):
    return sorted(os.path.join(d, f) for d, _, fs in os.walk(path) for f in fs)


def objects():
    """What lives in the runtime directory, once the dead are collected."""
    left = []
    for kind in ("map", "prog", "btf", "link", "ref", "fs"):
        left += files_below(f"{rundir}/{kind}")
    return left


def refused(r, status, *words):
    """One plain sentence that says what and which."""
    require(r.returncode == status, f"exit status {r.returncode}, not {status}: {r.stderr}")
    lines = r.stderr.splitlines()
    require(lines and lines[0].startswith("shmap: "), f"a sentence: {r.stderr}")
    for w in words:
        require(w in lines[0], f"'{w}' in: {r.stderr}")
    require(not r.stdout, f"nothing on standard output: {r.stdout}")


def strace_counts(*command):
    if not shutil.which("strace"):
        skip("no strace")
    subprocess.run(["strace", "-f", "-c", "-o", f"{tmp}/strace", *command], check=True,
                   stdout=subprocess.DEVNULL)
    return {f[-1]: int(f[3]) for f in (line.split() for line in open(f"{tmp}/strace"))
            if len(f) >= 5 and f[0][0].isdigit()}


if claim == "run-counts-as-strace":
    ls = ["ls", "-R", "/usr/include"]
    want = strace_counts(*ls)["mmap"]
    plain = subprocess.run(ls, capture_output=True, text=True).stdout
    r = run("run", obj("count"), "--", *ls)
    require(r.returncode == 0 and r.stdout == plain, "the command's output is untouched")
    require(re.search(rf"^percpu_counter: percpu_array\n  0: {want} \(cpu0 \d+", r.stderr, re.M),
            f"the sum is strace's {want}: {r.stderr}")
    require(per_cpu_sum(report(obj("count"), "--", *ls)["percpu_counter"][0]) == want, "in JSON too")

elif claim == "run-leaks-no-fds":
    fds = ["sh", "-c", "ls /proc/$$/fd"]
    plain = subprocess.run(fds, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout
    r = run("run", "-o", f"{tmp}/report", "--pin", "fds", obj("types"), "--", *fds)
    require(r.stdout == plain, f"the command's fds are {plain.split()}: {r}")
    require(run("trace", "--", *fds).stdout == plain, "under trace, too")

elif claim == "run-every-section":
    r = run("run", "--json", "-o", f"{tmp}/report", obj("forms"), "--", f"{here}/enoent", "7")
    require(r.returncode == 3, f"the command's status: {r}")
    seen = {e["key"]: e["value"] for e in json.load(open(f"{tmp}/report"))["seen"]}
    forms = ("fentry fexit kprobe kretprobe ksyscall kretsyscall tp_btf tp_btf_exit raw_tp "
             "raw_tp_exit tp tp_exit raw_syscalls raw_sys_exit").split()
    require(seen == {f: 7 for f in forms}, f"each form saw 7: {seen}")

elif claim == "run-unprivileged":
    if os.geteuid():
        skip("not root, so every test is unprivileged")
    os.chmod(tmp, 0o777)
    for f in (shmap, f"{here}/enoent", obj("forms"), obj("count")):
        shutil.copy(f, tmp)
    env = dict(os.environ, SHMAP_DIR=f"/dev/shm/shmap-test-cli-nobody-{os.getpid()}")
    try:
        r = subprocess.run([*NOBODY, f"{tmp}/shmap", "run", "--json", "-o", "-",
                            f"{tmp}/forms.bpf.o", "--", f"{tmp}/enoent", "5"],
                           capture_output=True, text=True, env=env)
        require(r.returncode == 3, f"it runs: {r}")
        seen = json.loads(r.stdout)["seen"]
        require(len(seen) == 14 and all(e["value"] == 5 for e in seen), f"all forms: {seen}")
        want = strace_counts("/bin/true")["mmap"]
        r = subprocess.run([*NOBODY, f"{tmp}/shmap", "run", "--json", "-o", "-",
                            f"{tmp}/count.bpf.o", "--", "/bin/true"],
                           capture_output=True, text=True, env=env)
        require(per_cpu_sum(json.loads(r.stdout)["percpu_counter"][0]) == want, f"{r}")
    finally:
        shutil.rmtree(env["SHMAP_DIR"], ignore_errors=True)

elif claim == "run-report-forms":
    args = ("run", obj("types"), "--", f"{here}/enoent", "1")
    many = ('  1: {u8=200, s16=-3, u32=4000000000, s64=-5, yes=true, color=GREEN, odd=3, '
            'text="a \\"b\\"", raw=[1, 2, 3], list=[1, 2, 65535], inner={a=-1, b=2}, '
            '{word=16909060, byte=4}, three=0x5, five=0x11, pointer=0x1234, self=0x0}')
    r = run(*args)
    lines = r.stderr.splitlines()
    require(many in lines, f"a struct by its BTF: {r.stderr}")
    require("  42: -7" in lines and "  (99 other elements are zero)" in lines, "a sparse array")
    require(any(l.startswith("  {calls=1, errors=2}: {calls=") for l in lines), "a per-CPU struct's sum")
    require("  01 02 03: 02 03 04 05 06 07" in lines, "bytes without BTF")
    require("  constant=9" in lines, "global data")
    r = run("run", "-o", "-", *args[1:])
    require(many in r.stdout and not r.stderr, "-o - is standard output")
    r = run("run", "-o", f"{tmp}/file", *args[1:])
    require(many in open(f"{tmp}/file").read() and not r.stderr + r.stdout, "-o FILE")
    d = report(obj("types"), "--", "/bin/true")
    require(d["many"][0]["value"]["inner"] == {"a": -1, "b": 2}, "JSON is JSON")
    require(d["plain"] == [{"key": ["0x01", "0x02", "0x03"],
                            "value": ["0x02", "0x03", "0x04", "0x05", "0x06", "0x07"]}], "bytes")
    require(d["types.rodata"] == [{"value": {".rodata": [{"constant": 9}]}}], "global data")
    require(len(d["sparse"]) == 100, "every element of an array")

elif claim == "run-prints-every-map-type":
    ones = {"hash", "array", "percpu_hash", "percpu_array", "lru_hash", "lru_percpu_hash", "lpm_trie"}
    nothing = {"prog_array", "perf_event_array", "stack_trace", "cgroup_array", "queue", "stack",
               "bloom_filter", "ringbuf", "user_ringbuf", "task_storage"}
    getppid = ["python3", "-c", "import os; os.getppid()"]
    r = run("run", obj("every_map"), "--", *getppid)
    require(r.returncode == 0, f"the command's status: {r}")
    d = report(obj("every_map"), "--", *getppid)
    require(ones | nothing | {"array_of_maps", "hash_of_maps"} <= set(d), f"each map: {sorted(d)}")
    for name in ones:
        require("1" in re.findall(rf"^{name}: .*\n((?:  .*\n)+)", r.stderr, re.M)[0], f"{name}: {r.stderr}")
        require(d[name], f"{name} in JSON: {d}")
    for name in nothing:
        require(re.search(rf"^{name}: .*\n  \((empty|no elements to list)\)$", r.stderr, re.M),
                f"{name}: {r.stderr}")
        require(d[name] == [], f"{name} in JSON: {d[name]}")
    require(len(d["array_of_maps"]) == 1 and len(d["hash_of_maps"]) == 1, "slots that hold maps")

elif claim == "run-json-as-bpftool":
    bpftool = shutil.which("bpftool") or shutil.which("/usr/sbin/bpftool")
    if not bpftool:
        skip("no bpftool")
    p = subprocess.Popen([f"{here}/dump-beside-bpftool", obj("types")], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)

    def plain_to_json(text):
        """bpftool's plain form is not JSON where it prints numbers in hex or pointers."""
        text = re.sub(r': "?(0x[0-9a-f]+)"?', r': "\1"', text)
        return json.loads(text.replace(": (nil)", ': "0x0"'))

    def same(a, b):
        """b is bpftool's, where a pointer is "0x..." """
        if isinstance(a, dict):
            return isinstance(b, dict) and list(a) == list(b) and all(same(a[k], b[k]) for k in a)
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        if isinstance(b, str) and b.startswith("0x") and isinstance(a, int):
            return a == int(b, 16)
        return a == b and type(a) is type(b)

    compared = 0
    while True:
        block = ""
        for line in p.stdout:
            if line == ".\n":
                break
            block += line
        if not block:
            break
        if block.startswith("SKIP"):
            skip(block[6:].strip())
        name, ours, map_id = block.split("\t")
        if name in ("plain", ".rodata.cst16"):
            # no BTF: bpftool prints JSON only with -j
            theirs = json.loads(subprocess.check_output([bpftool, "-j", "map", "dump", "id", map_id.strip()]))
        else:
            text = subprocess.check_output([bpftool, "map", "dump", "id", map_id.strip()], text=True)
            theirs = plain_to_json(text)
        ours = json.loads(ours)
        require(same(ours, theirs), f"{name}:\n{ours}\n{theirs}")
        compared += len(ours)
        if name == "types.bss":
            break
    p.stdin.close()
    require(compared > 100, f"{compared} elements were compared")

elif claim == "run-pin-stays":
    for calls in (3, 5):
        r = run("run", "--pin", "demo/deep", obj("getppid"), "--", f"{here}/calls", str(calls))
        require(r.returncode == 0, f"it runs: {r}")
        require(files_below(f"{rundir}/fs") == [f"{rundir}/fs/demo/deep/calls"], "the pin stays")
        r = run("exec", "--", "bpftool", "-j", "map", "dump", "pinned", "/sys/fs/bpf/demo/deep/calls")
        require(r.returncode == 0, f"bpftool reads it: {r}")
        d = json.loads(r.stdout)
        require(per_cpu_sum(d[0]["formatted"]) == 2 * calls, f"this run's map: {d}")
    require(len(files_below(f"{rundir}/map")) == 1, "the map of the first run is gone")
    for bad in ("/abs", "..", "a/../../b", ""):
        refused(run("run", "--pin", bad, obj("getppid"), "--", "true"), 125, "--pin")
    refused(run("run", "--pin", "other", obj("getppid"), "--", "/bin/no-such-command"), 127)
    require(not os.path.exists(f"{rundir}/fs/other"), "a run that fails pins nothing")

elif claim == "run-helpers-say-who":
    d = report(obj("whoami"), "--", f"{here}/calls", "4")["callers"]
    require(len(d) == 2 and all(e["value"] == 4 for e in d), f"two threads, 4 calls each: {d}")
    first, second = sorted((e["key"] for e in d), key=lambda k: k["comm"])
    require((first["comm"], second["comm"]) == ("calls", "second"), f"their names: {d}")
    require(first["tgid"] == first["pid"] == second["tgid"] != second["pid"], f"their ids: {d}")
    require(first["uid"] == os.getuid() and first["gid"] == os.getgid(), f"their user: {d}")

elif claim == "run-walks-stacks":
    r = run("run", "--json", "-o", f"{tmp}/report", obj("stacks"), "--", f"{here}/stacks")
    require(r.returncode == 0, f"the command runs: {r}")
    returns = [int(x) for x in r.stdout.split()]
    d = json.load(open(f"{tmp}/report"))
    last = d["last"][0].get("formatted", d["last"][0])["value"]
    require(last["size"] >= 4 * 8, f"the size: {last}")
    require(last["ips"][1:4] == returns, f"the callers of {returns}: {last}")
    require(last["id"] >= 0, f"the id: {last}")
    require(len(d["traces"]) == 1, f"one stack: {d['traces']}")

elif claim == "run-attaches-to-pid":
    p = subprocess.Popen([f"{here}/calls", "10", "wait"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
    t = subprocess.Popen([shmap, "run", "--json", "-o", f"{tmp}/report", "-p", str(p.pid),
                          obj("getppid")])
    while f"TracerPid:\t{t.pid}\n" not in open(f"/proc/{p.pid}/status"):
        require(t.poll() is None, "the tracer attaches")
        time.sleep(0.01)
    for _ in range(3):
        p.stdin.write("\n")
        p.stdin.flush()
        require(p.stdout.readline() == "done\n", "the process goes on")
    t.send_signal(2)
    require(t.wait() == 0, "^C ends it well")
    p.stdin.write("\n")
    p.stdin.flush()
    require(p.stdout.readline() == "done\n", "the process goes on alone")
    p.stdin.close()
    require(p.wait() == 0, "and ends well")
    d = json.load(open(f"{tmp}/report"))
    require(per_cpu_sum(d["calls"][0]) == 60, f"60 calls while attached: {d}")
    refused(run("run", "-p", str(p.pid), obj("getppid")), 125, "no process")
    require(run("run", "-p", "x", obj("getppid")).returncode == 2, "-p wants a number")

elif claim == "run-names-what-it-leaves-out":
    r = run("run", "-o", "/dev/null", obj("mixed"), "--", "true")
    require(r.returncode == 0, f"the rest runs: {r}")
    for name, section in (("inside", "kprobe/tcp_v4_connect"), ("packets", "xdp"),
                          ("scheduler", "tracepoint/sched/sched_switch")):
        require(f"program {name} (section '{section}') is not attached: " in r.stderr, r.stderr)
    require(len(r.stderr.splitlines()) == 3, r.stderr)

elif claim == "run-exit-statuses":
    def status(*command):
        return run("run", "-o", "/dev/null", obj("count"), "--", *command).returncode
    for n in (0, 1, 125, 255):
        require(status("sh", "-c", f"exit {n}") == n, f"exit {n}")
    require(status("sh", "-c", "kill -SEGV $$") == 139, "killed by SIGSEGV")
    require(status("sh", "-c", "kill -KILL $$") == 137, "killed by SIGKILL")

elif claim == "bad-commands":
    def bad(*command):
        return run("run", obj("count"), "--", *command)
    refused(bad("no-such-command"), 127, "no-such-command", "not found")
    refused(bad("/no/such/command"), 127, "/no/such/command", "not found")
    refused(bad("/"), 126, "directory")
    with open(f"{tmp}/not-executable", "w") as f:
        f.write("text\n")
    refused(bad(f"{tmp}/not-executable"), 126, "permission")
    os.chmod(f"{tmp}/not-executable", 0o755)
    refused(bad(f"{tmp}/not-executable"), 126, "not-executable", "not a program")
    with open(f"{tmp}/bad-interpreter", "w") as f:
        f.write("#!/no/such/interpreter\n")
    os.chmod(f"{tmp}/bad-interpreter", 0o755)
    refused(bad(f"{tmp}/bad-interpreter"), 127, "bad-interpreter")
    for args in ((), ("--",), ("--nonsense", "x"), (obj("count"),), ("-p", "1", obj("count"), "--", "ls")):
        require(run("run", *args).returncode == 2, f"usage: {args}")
    require(run("nonsense").returncode == 2 and run().returncode == 2, "unknown verbs")

elif claim == "bad-objects":
    def bad(path, *words):
        refused(run("run", path, "--", "true"), 125, path, *words)
    good = open(obj("count"), "rb").read()

    def damaged(name, data):
        with open(f"{tmp}/{name}", "wb") as f:
            f.write(data)
        return f"{tmp}/{name}"
    bad(f"{tmp}/missing.o", "No such file")
    bad(tmp, "not a file")
    bad("/dev/null", "not a file")
    bad(damaged("empty", b""), "not an ELF object")
    bad(damaged("text", b"int main;\n" * 100), "not an ELF object")
    bad(damaged("short", good[:40]), "truncated")
    bad(damaged("half", good[:len(good) // 2]), "truncated")
    bad(damaged("last", good[:-1]), "truncated")
    bad(damaged("endian", good[:5] + b"\x02" + good[6:]), "big-endian")
    bad("/bin/true", "not for BPF")
    bad(obj("unknown"), "unknown", "frobnicate/this")
    r = run("run", obj("refused"), "--", "true")
    refused(r, 125, "cannot be loaded", "verifier refused")
    require("R0 invalid mem access 'map_value_or_null'" in r.stderr, "with the verifier's log")
    # Whatever byte is wrong: a status, no crash, nothing run.
    step = max(1, len(good) // 50)
    for at in range(16, len(good), step):
        r = run("run", "-o", "/dev/null",
                damaged("flip", good[:at] + bytes([good[at] ^ 0xff]) + good[at + 1:]), "--", "true")
        require(r.returncode in (0, 2, 125), f"byte {at}: {r}")
    require(objects() == [], f"nothing left behind: {objects()}")

elif claim == "bad-runtime-directories":
    def bad(path, *words, prefix=()):
        env = dict(os.environ, SHMAP_DIR=path)
        refused(run("run", obj("count"), "--", "true", env=env, prefix=prefix), 125, *words)
    # On tmpfs, as runtime directories are; the runner removes it.
    base = tempfile.mkdtemp(dir="/dev/shm")
    try:
        with open(f"{base}/file", "w"):
            pass
        bad(f"{base}/file", f"{base}/file")
        bad(f"{base}/no/such/parent", f"{base}/no/such/parent")
        os.mkdir(f"{base}/other", 0o700)
        with open(f"{base}/other/layout", "w") as f:
            f.write("999\n")
        bad(f"{base}/other", f"{base}/other", "999")
        if not os.geteuid():
            os.mkdir(f"{base}/foreign", 0o777)
            os.chown(f"{base}/foreign", 65534, 65534)
            bad(f"{base}/foreign", f"{base}/foreign")
    finally:
        shutil.rmtree(base)

elif claim == "run-output-that-was-there-stays":
    with open(f"{tmp}/there", "w"):
        pass
    r = run("run", "-o", f"{tmp}/there", obj("count"), "--", "/no/such")
    require(r.returncode == 127 and os.path.exists(f"{tmp}/there"), f"the file stays: {r}")
    r = run("run", "-o", f"{tmp}/new", obj("count"), "--", "/no/such")
    require(r.returncode == 127 and not os.path.exists(f"{tmp}/new"), f"no file is left: {r}")
    # as root a device would go, too
    run("run", "-o", "/dev/null", obj("count"), "--", "/no/such")
    require(stat.S_ISCHR(os.stat("/dev/null").st_mode), "/dev/null stays what it is")

elif claim == "nothing-left-behind":
    for args, status in (((obj("count"), "--", "true"), 0), ((obj("count"), "--", "false"), 1),
                         ((obj("refused"), "--", "true"), 125),
                         ((obj("types"), "--", "sh", "-c", "kill -9 $$"), 137),
                         ((obj("count"), "--", "/no/such"), 127)):
        r = run("run", "-o", "/dev/null", *args)
        require(r.returncode == status, f"{args}: {r}")
        require(objects() == [], f"{args}: {objects()}")
    # killed outright: the next run collects
    p = subprocess.Popen([shmap, "run", obj("count"), "--", "sh", "-c", "echo; exec sleep 100"],
                         stdout=subprocess.PIPE)
    p.stdout.readline()
    p.kill()
    p.wait()
    require(p.stdout.read() == b"", "the command died with it")
    run("run", "-o", "/dev/null", obj("count"), "--", "true")
    run("exec", "--", "bpftool", "map", "show")
    require(objects() == [], f"collected: {objects()}")

elif claim == "exec-serves-bpftool":
    r = run("exec", "--", "bpftool", "map", "create", "/sys/fs/bpf/m", "type", "hash", "key", "4",
            "value", "4", "entries", "8", "name", "m")
    require(r.returncode == 0, f"create: {r}")
    r = run("exec", "--", "sh", "-c", "bpftool -j map show | cat")
    require([m["name"] for m in json.loads(r.stdout)] == ["m"], f"show, by a script's child: {r}")
    require(run("exec", "--", "sh", "-c", "exit 9").returncode == 9, "exit status")
    require(run("exec", "sh", "-c", "kill -9 $$").returncode == -9, "it is the program itself")

elif claim == "exec-refusals":
    refused(run("exec", "--", f"{here}/enoent", "1"), 125, "enoent", "statically")
    refused(run("exec", "--", "no-such-command"), 127, "no-such-command")
    require(run("exec").returncode == 2, "usage")
    if not os.geteuid():
        # Root runs set-user-ID-root files as itself; another owner's is refused.
        shutil.copy("/bin/true", f"{tmp}/suid")
        os.chown(f"{tmp}/suid", 65534, 65534)
        os.chmod(f"{tmp}/suid", 0o4755)
        refused(run("exec", "--", f"{tmp}/suid"), 125, "set-user-ID")

elif claim.startswith("trace-"):
    def loader(*args):
        p = subprocess.Popen([shmap, "exec", "--", f"{here}/loader", *(args or [obj("getppid")])], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        require(p.stdout.readline() == "attached\n", f"the loader attaches: {p.poll()}")
        return p

    def total(p):
        p.stdin.close()
        n = int(p.stdout.read())
        require(p.wait() == 0, "the loader ends well")
        return n
    if claim == "trace-gives-cookies":
        a, b = loader(obj("cookie"), "0x100000000"), loader(obj("cookie"), "3")
        require(run("trace", "--", f"{here}/calls", "25").returncode == 0, "it runs")
        require((total(a), total(b)) == (50 << 32, 150), "each attachment has its own")
    elif claim == "trace-serves-loaders":
        a, b = loader(), loader()
        r = run("trace", "--", f"{here}/calls", "25")
        require(r.returncode == 0 and not r.stderr, f"it runs: {r}")
        require((total(a), total(b)) == (50, 50), "both loaders saw 50 calls")
        r = run("trace", "-s", "--", f"{here}/calls", "25")
        require("0 system calls delivered" in r.stderr, f"nobody asks any more: {r}")
        # A loader that is killed: its link goes without a word.
        p = loader()
        p.kill()
        p.wait()
        r = run("trace", "-s", "--", f"{here}/calls", "25")
        require("0 system calls delivered" in r.stderr, f"nobody asks any more: {r}")
    else:
        t = subprocess.Popen([shmap, "trace", "--", f"{here}/calls", "5", "wait"], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def tick():
            t.stdin.write("\n")
            t.stdin.flush()
            require(t.stdout.readline() == "done\n", "the command runs")
        tick()
        p = loader()
        # The tracer hears of the link a moment after the loader has made it:
        # from some call on, it counts all.
        q = loader()
        for _ in range(200):
            tick()
        first = total(p)
        require(0 < first <= 2000, f"the first loader saw {first}")
        tick()
        second = total(q)
        require(second > 0 and second >= first - 2000, f"the second saw {second}")
        t.stdin.close()
        require(t.wait() == 0, "the command ends well")
    # Loaders that end leave their objects to whoever comes next.
    run("trace", "--", "true")
    require(objects() == [], f"nothing left behind: {objects()}")

elif claim == "every-verb-has-help":
    r = run("--help")
    require(r.returncode == 0, "shmap --help")
    verbs = re.findall(r"^  (\w+)  +\w", r.stdout.split("\n\n")[2], re.M)
    require(verbs == ["run", "exec", "trace", "top", "watch", "doctor", "help", "version"], verbs)
    for verb in verbs:
        h = run(verb, "--help")
        require(h.returncode == 0 and "Example" in h.stdout, f"{verb} --help: {h}")
        require(run("help", verb).stdout == h.stdout, f"help {verb}")
        require(f"{verb}" in r.stdout, "and is listed")
    require(run("--version").stdout == run("version").stdout != "", "version")

elif claim == "completion-knows-every-verb-and-option":
    bash = shutil.which("bash")
    if not bash:
        skip("there is no bash")

    def complete(*words):
        script = ('source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _shmap; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        source = f"{os.path.dirname(os.path.abspath(__file__))}/../../man/shmap.bash"
        r = subprocess.run([bash, "-c", script, source, shmap, *words], capture_output=True, text=True, cwd=tmp)
        require(r.returncode == 0 and not r.stderr, f"{words}: {r}")
        return set(r.stdout.split())

    verbs = set(re.findall(r"^  (\w+)  +\w", run("--help").stdout.split("\n\n")[2], re.M))
    require(complete("") == verbs | {"--help", "--version"}, f"the verbs: {complete('')}")
    require(complete("help", "") == verbs, "help VERB")
    for verb in verbs:
        options = set(re.findall(r"(?<![\w-])(--\w[\w-]*|-\w)(?=[, ]|$)", " ".join(
            re.findall(r"^  (-.*?)(?:  |$)", run(verb, "--help").stdout, re.M))))
        require(options <= complete(verb, "-"), f"{verb}: {options - complete(verb, '-')}")
    sorts = run("top", "--help").stdout.split("--sort COLUMN")[1].split("\n")[0]
    require(complete("top", "--sort", "") == set(re.findall(r"\w+", sorts)), "the columns")
    changer = subprocess.Popen([f"{here}/changer"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    ids = set(changer.stdout.readline().split())
    require(complete("top", "") == complete("watch", "") == ids | {"changing", "stored", "prefixes"},
            f"maps: {complete('top', '')} {complete('watch', '')}")
    changer.stdin.close()
    require(changer.wait() == 0, "the maps were made")

elif claim == "watch-prints-changes":
    changer = subprocess.Popen([f"{here}/changer"], text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    hash_id, array_id, trie_id = changer.stdout.readline().split()

    def change(what):
        changer.stdin.write(what + "\n")
        changer.stdin.flush()

    def watch(*args):
        p = subprocess.Popen([shmap, "watch", *args], text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        said = p.stderr.readline()
        require("watching" in said, said)
        return p

    change("u 1 5")
    w = watch("--json", hash_id)
    # (the first may have been there already)
    for what in ("u 2 6", "u 2 7", "d 2", "u 3 8"):
        change(what)
        seen = json.loads(w.stdout.readline())
        while seen["key"] == ["0x01", "0x00", "0x00", "0x00"]:
            seen = json.loads(w.stdout.readline())
        require(seen["change"] == ("delete" if what[0] == "d" else "update"), f"{what}: {seen}")
        require(seen["key"][0] == f"0x0{what[2]}", f"{what}: {seen}")
        require(what[0] == "d" or seen["value"][0] == f"0x0{what[4]}", f"{what}: {seen}")
    w.kill()
    w = watch("--count", "2", "stored")
    change("s 7 99")
    line = w.stdout.readline()
    require(re.match(r"\d\d:\d\d:\d\d\.\d\d\d update 7: 99$", line), line)
    change("s 8 100")
    require(w.stdout.readline().endswith(" update 8: 100\n"), "the second change")
    require(w.wait() == 0, "two changes were asked for")
    # of prefixes, by whatever bits behind them they are named
    w = watch("--json", trie_id)
    for what, kind, key in (("p 8 10.0.0.0 1", "update", (8, 10, 0)), ("p 16 10.1.0.0 2", "update", (16, 10, 1)),
                            ("p 16 10.1.2.3 3", "update", (16, 10, 1)), ("q 16 10.1.9.9", "delete", (16, 10, 1)),
                            ("p 8 10.9.9.9 4", "update", (8, 10, None))):
        change(what)
        seen = json.loads(w.stdout.readline())
        got = [int(b, 16) for b in seen["key"]]
        require(seen["change"] == kind and got[0] == key[0] and got[4] == key[1] and key[2] in (got[5], None), f"{what}: {seen}")
    w.kill()
    refused(run("watch", str((1 << 32) + int(hash_id))), 125, "no map with id")
    refused(run("watch"), 2, "one map")
    refused(run("watch", "-n", "x", array_id), 2, "number of changes")
    refused(run("watch", "99999"), 125, "no map with id 99999")
    refused(run("watch", "nothing"), 125, "no map named 'nothing'")
    refused(run("watch", "/sys/fs/bpf/nothing"), 125, "pinned")
    changer.stdin.close()
    require(changer.wait() == 0, "all changes were made")

elif claim == "doctor":
    r = run("doctor")
    require(r.returncode == 0, f"all that is essential works: {r.stdout}{r.stderr}")
    require(re.search(rf"^ok +runtime directory +{rundir}$", r.stdout, re.M), r.stdout)
    r = run("doctor", env=dict(os.environ, SHMAP_DIR="/proc/none"))
    require(r.returncode == 1 and "FAIL  runtime directory" in r.stdout, f"{r}")

else:
    sys.exit(f"no claim {claim}")
