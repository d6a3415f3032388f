#!/bin/sh
# example.sh AS_USER LIBSHMAP PROGRAM EXPECTED: the output of an example for shmap alone.
out=$(mktemp /tmp/shmap-test-XXXXXX) || exit 1
trap 'rm -f "$out"' EXIT
trap 'exit 1' INT TERM
"$1" -l "$2" "$3" > "$out" || {
	cat "$out"
	exit 1
}
diff "$4" "$out"
