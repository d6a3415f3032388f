#!/bin/sh
# check-model.sh MODEL [ERROR]: spin searches every state of tests/model/MODEL. Without ERROR there must be no
# violation; with one, which is seeded by -DERROR, it must be found.
model=$1 error=${2-}
command -v spin >/dev/null || {
	echo 'SKIP: spin is not installed'
	exit 77
}
cc=${CC:-cc}
command -v "${cc%% *}" >/dev/null || {
	echo "SKIP: $cc, which compiles what spin writes, is not installed"
	exit 77
}
dir=$(mktemp -d /tmp/shmap-test-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM
cp "$model" "$dir/model.pml" || exit 1
cd "$dir" || exit 1
spin -a ${error:+-D$error} model.pml > spin.log 2>&1 && $cc -O0 -w -DSAFETY -DNOCLAIM -DCOLLAPSE -DMEMLIM=1024 -o pan pan.c || {
	cat spin.log
	exit 1
}
./pan -m1000000 > pan.log 2>&1
if grep -q 'max search depth too small\|out of memory\|reached -DMEMLIM' pan.log; then
	echo 'the search was not complete'
	cat pan.log
	exit 1
fi
found=$(sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log)
states=$(sed -n 's/ *\([0-9.e+]*\) states, stored.*/\1/p' pan.log)
if [ -n "$error" ]; then
	[ "$found" = 1 ] && {
		echo "$error is found: $(grep -m1 '^pan:' pan.log)"
		exit 0
	}
	echo "$error is not found, in $states states"
	cat pan.log
	exit 1
fi
[ "$found" = 0 ] && {
	echo "$states states, no violation"
	exit 0
}
cat pan.log
spin -t -p -g model.pml | tail -40
exit 1
