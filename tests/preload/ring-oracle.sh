#!/bin/sh
# ring-oracle.sh AS-USER LIBSHMAP OBJECT PROGRAM: the same operations on the kernel and on
# shmap, by pieces of 20,000; the first line that differs, if any. SHMAP_TEST_OPS, SHMAP_TEST_SEED.
as_user=$1 lib=$2 object=$3 program=$4
ops=${SHMAP_TEST_OPS:-20000} seed=${SHMAP_TEST_SEED:-1}
dir=$(mktemp -d /tmp/shmap-test-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
left=$ops from=$seed
while [ "$left" -gt 0 ]; do
	piece=$left
	[ "$piece" -le 20000 ] || piece=20000
	"$as_user" -k -f "$object" "$program" "$seed" "$piece" >"$dir/kernel" || {
		status=$?
		tail -n 3 "$dir/kernel"
		exit $status
	}
	"$as_user" -p -l "$lib" -f "$object" "$program" "$seed" "$piece" >"$dir/shmap" || exit 1
	cmp "$dir/kernel" "$dir/shmap" || {
		echo "seed $seed:"
		diff "$dir/kernel" "$dir/shmap" | head -8
		exit 1
	}
	left=$((left - piece)) seed=$((seed + 1))
done
echo "$ops operations, from seed $from on: the same results"
