#!/bin/sh
# example-counts-calls.sh SHMAP OBJECT PROGRAM PATTERN
# An example's tp_btf/sys_enter on the 4000 calls of four processes: the report has PATTERN.
shmap=$1 object=$2 program=$3 pattern=$4
dir=$(mktemp -d /dev/shm/shmap-test-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
export SHMAP_DIR="$dir/run"
"$shmap" run -o "$dir/report" "$object" -- "$program" --call 2> "$dir/err" || {
	if grep -q 'ptrace is not permitted' "$dir/err"; then
		echo 'SKIP: ptrace(2) is not permitted here'
		exit 77
	fi
	cat "$dir/err"
	exit 1
}
grep -q "$pattern" "$dir/report" || {
	echo "no line with: $pattern"
	cat "$dir/report" "$dir/err"
	exit 1
}
