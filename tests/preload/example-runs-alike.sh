#!/bin/sh
# example-runs-alike.sh AS_USER LIBSHMAP NAME PLAIN LINKED OBJECT [EXPECTED]
# One example's output on shmap, preloaded and linked, as uid 65534, and on the kernel as root; and
# what is expected.
as_user=$1 lib=$2 name=$3 plain=$4 linked=$5 object=$6 expected=${7-}
dir=$(mktemp -d /tmp/shmap-test-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

run() { # OUTPUT ARG...
	out=$1
	shift
	"$as_user" "$@" > "$dir/$out" 2> "$dir/$out.err"
	status=$?
	[ $status = 0 ] || [ $status = 77 ] || {
		echo "$name, $out: status $status"
		cat "$dir/$out" "$dir/$out.err"
		exit 1
	}
	return $status
}

run preloaded -p -l "$lib" -f "$object" "$plain"
run linked -l "$lib" -f "$object" "$linked"
[ -s "$dir/preloaded" ] || exit 1
[ -z "$expected" ] || diff "$expected" "$dir/preloaded" || exit 1
diff "$dir/preloaded" "$dir/linked" || exit 1
# On shmap everything loads and attaches.
for out in preloaded linked; do
	[ ! -s "$dir/$out.err" ] || {
		cat "$dir/$out.err"
		exit 1
	}
done
run kernel -k -f "$object" "$plain" || {
	cat "$dir/kernel"
	echo "only shmap's side was run"
	exit 0
}
cat "$dir/kernel.err"
diff "$dir/kernel" "$dir/preloaded" || exit 1
