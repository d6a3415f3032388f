#!/bin/sh
# bpftool-dumps-a-snapshot.sh SHMAP BPFTOOL PINNED: Debian's bpftool, under shmap exec, shows what
# was in the map, and cannot change it.
shmap=$1 bpftool=$2
fail() {
	echo "$1"
	exit 1
}
"$3" || fail "cannot pin"
got=$("$shmap" exec -- "$bpftool" map dump pinned /sys/fs/bpf/snapshot | sort)
want='Found 3 elements
key: 01 00 00 00  value: 10 00 00 00 00 00 00 00
key: 02 00 00 00  value: 20 00 00 00 00 00 00 00
key: 03 00 00 00  value: 30 00 00 00 00 00 00 00'
[ "$got" = "$want" ] || fail "dump: $got"
"$shmap" exec -- "$bpftool" map dump pinned /sys/fs/bpf/accounts | grep -q 'Found 2 elements' ||
	fail "the map itself"
"$shmap" exec -- "$bpftool" map show pinned /sys/fs/bpf/snapshot | grep -q 'hash  name accounts' ||
	fail "show"
"$shmap" exec -- "$bpftool" map update pinned /sys/fs/bpf/snapshot key 1 0 0 0 value 1 0 0 0 0 0 0 0 2> /dev/null &&
	fail "an update succeeded"
exit 0
