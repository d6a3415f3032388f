#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""What tracing must not change, and what must be so when it ends.

usage: behave.py CLAIM COUNTER [PROGRAM]
"""
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time

claim, counter, *progs = sys.argv[1:]
tmp = tempfile.TemporaryDirectory()
out = f"{tmp.name}/out"


def require(cond, what):
    if not cond:
        print(f"not true: {what}")
        sys.exit(1)


def skip(why):
    print(f"SKIP: {why}")
    sys.exit(77)


def counts():
    return {n: (int(e), int(x)) for n, e, x in (line.split() for line in open(out))}


def ticker(*prefix):
    return subprocess.Popen([*prefix, progs[0]], stdout=subprocess.PIPE)


def ticks(p):
    """One more tick: the process runs."""
    require(os.read(p.stdout.fileno(), 1) == b".", "the process runs")
    # what is in the pipe already was written earlier
    os.set_blocking(p.stdout.fileno(), False)
    try:
        while os.read(p.stdout.fileno(), 4096):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(p.stdout.fileno(), True)
    require(os.read(p.stdout.fileno(), 1) == b".", "the process goes on running")


def state(pid):
    return open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]


def tracer_of(pid):
    for line in open(f"/proc/{pid}/status"):
        if line.startswith("TracerPid:"):
            return int(line.split()[1])


def until(cond):
    while not cond():
        time.sleep(0.01)


def attach(p, *args):
    t = subprocess.Popen([counter, *args, "-o", out, "-p", str(p.pid)])
    until(lambda: t.poll() is not None or tracer_of(p.pid) == t.pid)
    require(t.poll() is None, "the tracer attaches")
    return t


def check_attach(detach):
    p = ticker()
    ticks(p)
    t = attach(p)
    ticks(p)
    detach(t)
    t.wait()
    require(tracer_of(p.pid) == 0, "nobody traces the process any more")
    ticks(p)
    require(state(p.pid) in "SR", "the process is not stopped")
    p.kill()
    return t


def in_terminal(command, keys):
    """Runs command in a terminal of its own; sends each key when the text before it has come."""
    pid, fd = pty.fork()
    if not pid:
        # Also where the tests run under nohup: the terminal's end ends what is left in it.
        for sig in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP):
            signal.signal(sig, signal.SIG_DFL)
        os.execvp(command[0], command)
    text = b""
    for expect, key in keys:
        while expect not in text:
            try:
                more = os.read(fd, 4096)
            except OSError:
                more = b""
            require(more, f"the terminal shows {expect} (it shows {text})")
            text += more
        text = text.split(expect, 1)[1]
        os.write(fd, key)
    try:
        while True:
            more = os.read(fd, 4096)
            if not more:
                break
            text += more
    except OSError:
        pass
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


if claim == "attached-process-goes-on":
    t = check_attach(lambda t: t.send_signal(signal.SIGINT))
    require(t.returncode == 0, "the tracer exits with 0")
    require(counts()["getppid"][0] >= 50, "calls were counted")

elif claim == "attached-process-survives-tracer-kill":
    check_attach(lambda t: t.kill())

elif claim == "attached-counts-all-threads":
    p = ticker()
    ticks(p)
    t = attach(p, "-e", "getppid", "-x")
    for _ in range(3):
        ticks(p)
    tids = os.listdir(f"/proc/{p.pid}/task")
    for tid in tids:
        require(tracer_of(tid) == t.pid, "each thread is traced")
    p.terminate()
    require(p.wait() == 5, "the process ends as it would")
    require(t.wait() == 0, "the tracer ends with it")
    c = counts()
    require(c["getppid"][0] > 150, f"each thread's calls were counted: {c}")
    require(0 <= c["getppid"][0] - c["getppid"][1] <= len(tids), f"and their exits: {c}")

elif claim == "attached-stopped-process-stays-stopped":
    p = ticker()
    ticks(p)
    t = attach(p)
    p.send_signal(signal.SIGSTOP)
    until(lambda: state(p.pid) in "Tt")
    t.send_signal(signal.SIGINT)
    t.wait()
    require(tracer_of(p.pid) == 0, "nobody traces the process any more")
    until(lambda: state(p.pid) == "T")
    p.send_signal(signal.SIGCONT)
    ticks(p)
    p.kill()

elif claim == "command-dies-with-killed-tracer":
    t = ticker(counter, "-o", out)
    ticks(t)
    children = open(f"/proc/{t.pid}/task/{t.pid}/children").read().split()
    require(len(children) == 1, "the tracer has one child")
    t.kill()
    t.wait()
    # its end closes the pipe
    while os.read(t.stdout.fileno(), 4096):
        pass

elif claim == "interrupt-key-reaches-command":
    script = "trap 'echo got it; exit 9' INT; echo ready; while :; do sleep 0.05; done"
    status, text = in_terminal([counter, "-o", out, "sh", "-c", script], [(b"ready", b"\x03")])
    require(b"got it" in text, f"the command's handler ran: {text}")
    require(status == 9, f"the tracer waited for it: {status}")
    require(counts()["execve"][0] > 0, "and wrote its counts")
    status, text = in_terminal([counter, "-o", out, "sh", "-c", "echo ready; exec sleep 100"],
                               [(b"ready", b"\x03")])
    require(status == 130, f"a command that ^C kills gives 128 + SIGINT: {status}")

elif claim == "stop-key-stops-both":
    # A shell with job control in a terminal: ^Z must give it the terminal back.
    # The quotes keep the shell's echo of the command from looking like its output.
    script = "trap \"echo re''sumed\" CONT; echo re''ady; while :; do sleep 0.05; done"
    keys = [(b"$ ", f"{counter} -o {out} sh -c '{script}'\n".encode()),
            (b"ready", b"\x1a"),
            (b"$ ", b"fg\n"),
            (b"resumed", b"\x03"),
            (b"$ ", b"exit 4\n")]
    os.environ["PS1"] = "$ "
    os.environ.pop("ENV", None)
    status, text = in_terminal(["bash", "--norc", "--noprofile", "-i"], keys)
    require(status == 4, f"the shell got its terminal back, twice: {status} {text}")

elif claim == "sigterm-is-passed-on":
    t = ticker(counter, "-o", out)
    ticks(t)
    t.terminate()
    require(t.wait() == 5, "the command's handler decided")
    require(counts()["getppid"][0] >= 100, "the counts were written")

elif claim == "exit-status-is-the-command-s":
    def status(*command):
        return subprocess.run([counter, "-o", out, *command], stderr=subprocess.DEVNULL).returncode
    for n in (0, 1, 77, 255):
        require(status("sh", "-c", f"exit {n}") == n, f"exit {n}")
    for sig in ("TERM", "KILL", "SEGV", "INT"):
        want = 128 + getattr(signal, "SIG" + sig)
        require(status("sh", "-c", f"kill -{sig} $$") == want, f"killed by SIG{sig}")
    require(status("/no/such/command") == 127, "no such command")
    # a thread's exit before the group's, and children that outlive the command
    require(status("sh", "-c", "sleep 0.2 & exit 3") == 3, "a child outlives the command")

elif claim == "ignored-signals-stay-ignored":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    show = ["grep", "-E", "^Sig(Blk|Ign|Cgt):", "/proc/self/status"]
    def sets(prefix):
        return subprocess.run(prefix + show, stdout=subprocess.PIPE, restore_signals=False).stdout
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    plain, traced = sets([]), sets([counter, "-o", out])
    require(plain == traced, f"{plain} is not {traced}")

elif claim == "tables-of-calls-are-told-apart":
    # A native 20 is writev, a native 39 getpid.
    r = subprocess.run([counter, "-o", out, progs[0]])
    if r.returncode == 77:
        skip("the kernel has no i386 calls")
    c = counts()
    require(r.returncode == 0, "the program succeeds")
    require("writev" not in c, f"int $0x80 is no native call: {c}")
    # one to compare with, and four
    require(c["getpid"][0] == 5, f"native calls only: {c}")
    require(c["+foreign"][0] == 10 + 7, f"10 of i386, 7 of x32: {c}")
    subprocess.run([counter, "-o", out, "-e", "getpid,writev", progs[0]])
    c = counts()
    require(c["getpid"][0] == 5 and "writev" not in c and "+foreign" not in c, f"by filter: {c}")

elif claim == "fork-children-leave-fork":
    # The kernel's sys_exit sees a fork twice: in the parent and in the child.
    r = subprocess.run([counter, "-x", "-o", out, progs[0]])
    c = counts()
    require(r.returncode == 0 and c["+orphans"][1] == 50, f"50 children: {c}")
    require(c["clone"] == (40, 40) and c["vfork"] == (10, 10), f"their parents: {c}")

elif claim == "command-s-output-is-untouched":
    script = "cat; echo err >&2; ls -l /proc/self/fd | wc -l"
    data = os.urandom(300000)
    def run(prefix):
        r = subprocess.run(prefix + ["sh", "-c", script], input=data, capture_output=True)
        return r.stdout, r.stderr
    require(run([]) == run([counter, "-o", out]), "standard output and error are the same")

elif claim == "threads-without-rest-starve-nobody":
    for args in ([], ["-x"], ["-S"]):
        r = subprocess.run([counter, *args, "-o", out, progs[0]])
        require(r.returncode == 0, f"the processes end: {r}")
        require(counts()["getuid"][0] == 4 * 8 * 100, f"each call was seen: {counts()}")

elif claim == "no-ptrace-runs-nothing":
    r = subprocess.run([counter, "-T", "-o", out, "touch", f"{tmp.name}/ran"], capture_output=True)
    require(r.returncode == 125 and b"not permitted" in r.stderr, f"it says so: {r}")
    require(not os.path.exists(f"{tmp.name}/ran"), "the command did not run")

else:
    sys.exit(f"no claim {claim}")
