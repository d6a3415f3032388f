#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""shmap top and watch, in a terminal of its own (tmux) and without one. Nothing waits for a time: each step goes on when the
screen shows what it should, however long that takes.

usage: top.py CLAIM BUILD [SANITIZER]
"""
import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import time

claim, build, sanitizer = (sys.argv[1:] + ["none"])[:3]
shmap = f"{build}/src/cli/shmap"
bpftool = shutil.which("bpftool", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
os.environ.setdefault("SHMAP_DIR", f"/dev/shm/shmap-test-top-{os.getpid()}")
rundir = os.environ["SHMAP_DIR"]
# tests/run removes it: tmux leaves it where it is
socket = f"{os.environ.get('TMPDIR', '/tmp')}/shmap-tmux-{os.getpid()}"


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(77)


def require(cond, what):
    if not cond:
        print(f"not true: {what}")
        sys.exit(1)


if sanitizer != "none":
    skip("a library with a sanitizer cannot be preloaded into bpftool")
if not bpftool:
    skip("there is no bpftool to make maps with")


def on_shmap(*args):
    r = subprocess.run([shmap, "exec", "--", bpftool, *args], capture_output=True, text=True)
    require(r.returncode == 0, f"bpftool {' '.join(args)}: {r.stdout}{r.stderr}")


def make(name, kind, entries, *more):
    on_shmap("map", "create", f"/sys/fs/bpf/{name}", "type", kind, "key", "4", "value", "8", "entries", str(entries),
             "name", name, *more)


def put(name, key, value):
    on_shmap("map", "update", "pinned", f"/sys/fs/bpf/{name}", "key", *map(str, key.to_bytes(4, "little")),
             "value", *map(str, value.to_bytes(8, "little")))


def top(*args, **kw):
    return subprocess.run([shmap, "top", *args], capture_output=True, text=True, stdin=subprocess.DEVNULL, **kw)


def row(text, name):
    for line in text.splitlines():
        fields = line.split()
        if len(fields) > 6 and fields[1] == name:
            return fields
    return None


# ---- a terminal ----

def tmux(*args):
    return subprocess.run(["tmux", "-S", socket, "-f", "/dev/null", *args], capture_output=True, text=True)


def begin(*args, term="screen-256color", columns=130, rows=24):
    if not shutil.which("tmux"):
        skip("there is no tmux")
    atexit.register(lambda: tmux("kill-server"))
    # tmux is in no group that is ended with us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    env = dict(os.environ, TERM="xterm")
    # curses would take these for the size of any window
    env.pop("COLUMNS", None), env.pop("LINES", None)
    r = subprocess.run(["tmux", "-S", socket, "-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y",
                        str(rows), "env", f"SHMAP_DIR={rundir}", f"TERM={term}", "sh", "-c",
                        f"{shmap} {' '.join(args)}; echo ended with $?; exec cat"],
                       capture_output=True, text=True, env=env)
    require(r.returncode == 0, f"tmux starts: {r.stderr}")


def screen(*args):
    return tmux("capture-pane", "-p", *args).stdout


def until(what, *patterns, again=None):
    """The screen, when it shows all patterns (regular expressions: it may be half drawn before that); meanwhile
    again() is done."""
    while True:
        shown = screen()
        if all(re.search(p, shown, re.M) for p in patterns):
            return shown
        # tests have no time limits, but one that cannot succeed says why
        alive = tmux("list-sessions").returncode == 0
        if not alive or (re.search(r"^ended with", shown, re.M) and "ended" not in patterns[-1]):
            print(f"waiting for {what}:\n{shown}")
            sys.exit(1)
        if again:
            again()
        else:
            time.sleep(0.02)


def keys(*names):
    tmux("send-keys", *names)


def maps():
    make("alpha", "hash", 100)
    make("beta", "lru_hash", 50)
    make("gamma", "percpu_array", 3)
    for i in range(5):
        put("alpha", i, 1 << i)


def in_a_terminal():
    maps()
    holder = subprocess.Popen(["sleep", "infinity"], stdin=open(f"{rundir}/fs/alpha"))
    atexit.register(holder.kill)
    begin("top", "-d", "0.1", "--sort", "name")
    until("the list", r"\balpha\b[\s\S]*\bbeta\b[\s\S]*\bgamma\b", "sorted by name")
    until("who has it open", r"alpha +hash +5/100 +0 +1 +0 +0 +0 +0 +0 +0 sleep *$", r"beta +lru_hash +0/50 ")
    keys("r")
    until("the reverse order", r"gamma[\s\S]*beta[\s\S]*alpha")
    keys("e")
    until("the order by entries", "sorted by entries, reversed")
    keys("r", "n")
    until("the order by name", "sorted by name$")
    # what is changed shows as changes
    count = [0]

    def change():
        count[0] += 1000
        put("alpha", 2, count[0])

    until("operations and changes", r"alpha +hash +5/100 +[1-9]\S* +1 +0 +0 +0 +[1-9]", again=change)
    keys("p")
    until("the order by operations", "sorted by ops$")
    keys("w")
    until("the order by waits", "sorted by waits$")
    keys("n")
    put("alpha", 7, 1)
    until("a new element", r"alpha +hash +6/100")
    # the map alone: up from wherever it is to the first row
    keys("Up", "Up", "Up", "Enter")
    until("the map, and who has it open", r"map \d+ alpha: hash, key 4, value 8 bytes, 6 of 100 entries",
          f"open in 1 process: {holder.pid} sleep")
    until("the hottest key on top, and the histogram", r"HOTTEST KEYS.*\n2 +\d+ +[1-9]\d*",
          r"VALUES FROM\.\.TO +ELEMENTS[\s\S]*^8\.\.15 +1 +#+", again=change)
    keys("Escape")
    until("the list again", "sorted by name")
    # another size
    tmux("resize-window", "-x", "60", "-y", "6")
    shown = until("a small window", r"^q quit  Enter map  up/down choose")
    require(all(len(line) <= 60 for line in shown.splitlines()), f"60 columns: {shown}")
    tmux("resize-window", "-x", "130", "-y", "30")
    until("a large window", r"OPEN IN\n[\s\S]*\n{15}")
    keys("q")
    until("the end", r"^ended with 0")


def what_happens():
    """busy has two processes, an LRU map that evicts, a ring that is emptied too seldom, and a map that both lock."""
    busy = subprocess.Popen([f"{build}/tests/cli/busy"], stdin=subprocess.PIPE)
    atexit.register(busy.kill)

    def rows_of(r):
        return [row(r.stdout, name) for name in ("requests", "sessions", "latency", "jobs", "config", "events")]

    def all_is_there(r):
        rows = rows_of(r)
        return all(rows) and all(f[4] not in ("0", "-") for f in rows if f[1] != "latency") and not \
            {"0", "-"} & {rows[1][6], rows[5][7], rows[4][8], rows[2][9], rows[2][10]}

    # nobody says how fast busy gets on, or whether it does between two looks
    def when(shows, *args):
        while True:
            r = top("-d", "0.2", *args)
            require(r.returncode == 0 and busy.poll() is None, f"{r}")
            if shows(r):
                return r

    r = when(all_is_there)
    rows = rows_of(r)
    require(rows[2][4] == "-", f"stores to an array are not counted as operations: {r.stdout}")
    require(all(f[5] == "2" and f[12:] == ["busy", "busy"] for f in rows), f"who has them open: {r.stdout}")
    for column, name in (("evicted", "sessions"), ("lost", "events"), ("waits", "config")):
        r = top("-d", "0.2", "--sort", column)
        require(r.stdout.splitlines()[2].split()[1] == name, f"sorted by {column}: {r.stdout}")
    when(lambda r: r.stdout.splitlines()[2].split()[1] == "latency", "--sort", "count")
    when(lambda r: re.search(r"^[1-9]\S* operations/s, [1-9]\d* since", r.stdout, re.M), "requests")
    r = top("-d", "0.2", "config")
    require(re.search(r"lock.* waited for [1-9]\d* times", r.stdout), r.stdout)
    busy.stdin.close()
    require(busy.wait() == 0, "busy ends")


def watch_in_a_terminal():
    changer = subprocess.Popen([f"{build}/tests/cli/changer"], text=True, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE)
    changer.stdout.readline()

    def change(what):
        changer.stdin.write(what + "\n")
        changer.stdin.flush()

    begin("watch", "--count", "2", "changing", columns=60, rows=8)
    until("the beginning", r"^shmap: watching changing \(hash, 0 elements\)$")
    time = r"^\d\d:\d\d:\d\d\.\d\d\d "
    change("u 1 5")
    until("an update, as it happens", time + r"update 1: 5 *$")
    tmux("resize-window", "-x", "100", "-y", "6")
    change("d 1")
    until("a deletion, in another size", time + r"delete 1 *$")
    until("the end", r"^ended with 0")
    changer.stdin.close()
    require(changer.wait() == 0, "all changes were made")


def on_a_dumb_terminal():
    maps()
    begin("top", "-d", "0.1", term="dumb")
    shown = until("the end", r"^ended with 0")
    require(row(shown, "alpha") and "\x1b" not in screen("-e").split("ended")[0], f"plain lines: {shown}")


def without_a_terminal():
    r = top("-d", "0.05")
    require(r.returncode == 0 and "there are no maps" in r.stdout, f"no maps: {r}")
    maps()
    for i in range(60):
        put("beta", i, i)
    r = top("-d", "0.05", "--sort", "entries")
    require(r.returncode == 0 and not r.stderr, f"once: {r}")
    require(re.search(r"beta[\s\S]*alpha", r.stdout), f"sorted: {r.stdout}")
    require(row(r.stdout, "beta")[3] == "50/50" and row(r.stdout, "beta")[6] == "10", f"evictions: {r.stdout}")
    require(row(r.stdout, "alpha")[2:4] == ["hash", "5/100"], f"type and entries: {r.stdout}")
    r = top("-d", "0.05", "alpha")
    require(re.search(r"^4 +16 +0$", r.stdout, re.M), f"a map by its name: {r.stdout}")
    require(re.search(r"^16\.\.31 +1  #{40}$", r.stdout, re.M), f"histogram: {r.stdout}")
    number = re.search(r"map (\d+) alpha", r.stdout).group(1)
    require(top("-d", "0.05", number).stdout == r.stdout, "a map by its id")
    require(top("-d", "0.05", "/sys/fs/bpf/alpha").stdout == r.stdout, "a map by its pin")
    require(top("-d", "0.05", "-n", "3", "alpha").stdout.count("HOTTEST") == 3, "--rounds")
    for args, status, words in ((["nobody"], 125, "no map named 'nobody'"), (["/sys/fs/bpf/none"], 125, "pinned"), (["--sort", "size"], 2, "sorted by"),
                                (["--delay", "0"], 2, "--delay takes"), (["-n", "0"], 2, "--rounds takes"),
                                (["a", "b"], 2, "one map at most")):
        r = top(*args)
        require(r.returncode == status and words in r.stderr, f"{args}: {r}")
    r = top("--help")
    require(r.returncode == 0 and "Examples:" in r.stdout, "--help")


{"top-in-a-terminal": in_a_terminal, "top-on-a-dumb-terminal": on_a_dumb_terminal,
 "top-without-a-terminal": without_a_terminal, "top-shows-what-happens": what_happens,
 "watch-in-a-terminal": watch_in_a_terminal}[claim]()
