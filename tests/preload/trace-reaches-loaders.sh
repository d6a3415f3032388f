#!/bin/sh
# trace-reaches-loaders.sh SHMAP LIBSHMAP COUNTER COUNT_MMAP.O COUNT_ALL COUNT_ALL.O
# Two loaders that attach by themselves, under `shmap exec`, count the system calls of a
# command that `shmap trace` starts elsewhere: as many as strace(1) counts.
command -v strace > /dev/null || {
	echo "SKIP: no strace to compare with"
	exit 77
}
if [ -z "$TRACE_DIR" ]; then
	dir=$(mktemp -d /tmp/shmap-test-XXXXXX) || exit 1
	run=$(mktemp -d /dev/shm/shmap-test-XXXXXX) || exit 1
	trap 'rm -rf "$dir" "$run"' EXIT
	trap 'exit 1' INT TERM
	mkdir "$dir/bin" "$dir/lib" "$dir/out"
	cp "$1" "$dir/bin/shmap" && cp "$2" "$dir/lib/libshmap.so.0" && cp "$0" "$dir/" || exit 1
	shift 2
	cp "$@" "$dir/bin" || exit 1
	chmod -R a+rX "$dir"
	TRACE_DIR=$dir SHMAP_DIR=$run LD_LIBRARY_PATH=
	export TRACE_DIR SHMAP_DIR LD_LIBRARY_PATH
	set -- "$dir/${0##*/}"
	if [ "$(id -u)" = 0 ]; then
		chown 65534:65534 "$run" "$dir/out"
		set -- setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all \
			--bounding-set=-all "$@"
	fi
	"$@"
	exit
fi

PATH=$PATH:/usr/sbin
bin=$TRACE_DIR/bin out=$TRACE_DIR/out
mkfifo "$out/stop1" "$out/stop2" || exit 1
"$bin/shmap" exec -- "$bin/counter" "$bin/count_mmap.bpf.o" - < "$out/stop1" > "$out/mmaps" 2>&1 &
"$bin/shmap" exec -- "$bin/count_all" "$bin/count_all.bpf.o" - < "$out/stop2" > "$out/calls" 2>&1 &
exec 7> "$out/stop1" 8> "$out/stop2"

# Both links are there, or a loader has ended.
links=0 tries=0
while [ "$links" -lt 2 ] && [ $tries -lt 300 ]; do
	links=$("$bin/shmap" exec -- bpftool link show 7>&- 8>&- | grep -c '^[0-9]*: ')
	tries=$((tries + 1))
	sleep 0.05
done
"$bin/shmap" trace -- /bin/true 7>&- 8>&- || echo "shmap trace: status $?"
exec 7>&- 8>&-
wait
strace -f -c -o "$out/strace" /bin/true
mmaps=$(awk '$NF == "mmap" { print $4 }' "$out/strace")
# exit_group does not return, so that strace does not count it
calls=$(($(awk '$NF == "total" { print $4 }' "$out/strace") + 1))
grep -qx "mmap calls: $mmaps" "$out/mmaps" && grep -qx "calls $calls, of this process: 0" "$out/calls" || {
	cat "$out/mmaps" "$out/calls" "$out/strace"
	echo "not $mmaps mmap calls, $calls calls"
	exit 1
}
