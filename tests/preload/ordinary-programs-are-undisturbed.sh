#!/bin/sh
# ordinary-programs-are-undisturbed.sh LIBSHMAP
# Programs that have nothing to do with BPF print the same with and without the library.
lib=$(realpath "$1")
dir=$(mktemp -d /tmp/shmap-test-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
failed=0

same() {
	command -v "$1" > /dev/null || return
	"$@" > "$dir/out" 2> "$dir/err"
	want=$?
	LD_PRELOAD=$lib "$@" > "$dir/out2" 2> "$dir/err2"
	got=$?
	if [ $want != $got ] || ! cmp -s "$dir/out" "$dir/out2" || ! cmp -s "$dir/err" "$dir/err2"; then
		echo "differs ($want, $got): $*"
		diff "$dir/out" "$dir/out2" | head -5
		diff "$dir/err" "$dir/err2" | head -5
		failed=1
	fi
}

mkdir "$dir/tree" "$dir/tree/sub"
echo one > "$dir/tree/a"
ln -s a "$dir/tree/link"
ln "$dir/tree/a" "$dir/tree/sub/hard"
cd "$dir/tree" || exit 1
same ls -lRi .
same find . -type f -links 2
same tar cf - .
same cat a missing
same stat -c '%n %s %F %h' a link sub /proc/cpuinfo /sys/kernel
same sh -c 'echo two > b && mv b c && cp c d && chmod 600 d && rm c d && mkdir e && rmdir e; ls'
same sh -c 'exec 5< a; read line <&5; echo $line; exec 5<&-; (echo sub | cat) 2>&1 | tr a-z A-Z'
same sh -c 'readlink link /proc/self/fd/0 < a; readlink -f sub/../link; cat /proc/self/comm'
same sh -c 'kill -SEGV $$'
same sh -c 'ulimit -l; ulimit -c 0; ulimit -c'
same bash -c 'cat <(echo process substitution); coproc cat; echo x >&"${COPROC[1]}"; read -u "${COPROC[0]}" y; echo $y'
same python3 -c '
import os, select, signal, subprocess, tempfile, mmap
print(subprocess.run(["echo", "run"], capture_output=True).stdout)
r, w = os.pipe(); p = select.poll(); p.register(r); os.write(w, b"x")
print(p.poll(0), os.read(r, 1)); os.dup2(w, r); os.close(r); os.close(w)
e = select.epoll(); r, w = os.pipe(); e.register(r); print(e.poll(0))
f = tempfile.TemporaryFile(); f.write(b"hello"); f.flush(); m = mmap.mmap(f.fileno(), 5); print(m[:])
print(os.pread(f.fileno(), 3, 1), os.lseek(f.fileno(), 0, 2)); os.ftruncate(f.fileno(), 2)
signal.signal(signal.SIGBUS, lambda *a: print("bus")); os.kill(os.getpid(), signal.SIGBUS)
try: open("/sys/kernel/nothing")
except OSError as x: print(x)
print(sorted(os.listdir("/proc/self/fd"))[:3], os.path.realpath("link") == os.path.realpath("a"))
'
exit $failed
