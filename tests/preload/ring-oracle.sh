#!/bin/sh
# ring-oracle.sh AS-USER LIBSHMAP OBJECT PROGRAM: the same operations on the kernel and on
# shmap; the first line that differs, if any. SHMAP_TEST_OPS, SHMAP_TEST_SEED.
as_user=$1 lib=$2 object=$3 program=$4
ops=${SHMAP_TEST_OPS:-20000} seed=${SHMAP_TEST_SEED:-1}
dir=$(mktemp -d /tmp/shmap-test-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
"$as_user" -k -f "$object" "$program" "$seed" "$ops" >"$dir/kernel" || {
	status=$?
	cat "$dir/kernel" | tail -3
	exit $status
}
"$as_user" -p -l "$lib" -f "$object" "$program" "$seed" "$ops" >"$dir/shmap" || exit 1
cmp "$dir/kernel" "$dir/shmap" && {
	echo "$ops operations, seed $seed: the same results"
	exit 0
}
diff "$dir/kernel" "$dir/shmap" | head -8
exit 1
