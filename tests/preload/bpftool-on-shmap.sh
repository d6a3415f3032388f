#!/bin/sh
# bpftool-on-shmap.sh AS_USER LIBSHMAP BPFTOOL OBJECT [TRACING_OBJECT]
# Debian's unmodified bpftool: the same commands on shmap, as uid 65534, and on the kernel,
# as root; the outputs are the same but for ids, sizes of memory and times.
as_user=$1 lib=$2 bpftool=$3 object=$4
dir=$(mktemp -d /tmp/shmap-test-XXXXXX) || exit 1
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' INT TERM

cat > "$dir/session" <<'END'
#!/bin/sh
# Every command's output and status; what differs by nature is replaced.
B=$TEST_FILES/bpftool
P=/sys/fs/bpf
t() {
	echo "\$ bpftool $*" | sed -E "s|$TEST_FILES|DIR|; s/ id [0-9]+/ id X/"
	out=$("$B" "$@" 2>&1)
	status=$?
	printf '%s\n' "$out" | sed -E -e 's/^[0-9]+: /ID: /' -e 's/"(id|btf_id|bytes_memlock|loaded_at|map_ids|bytes_jited|jited|uid|pid|bytes_xlated)":(\[[^]]*\]|[^,}]*)/"\1":X/g' \
		-e 's/memlock [0-9]+B/memlock XB/' -e 's/btf_id [0-9]+/btf_id X/' \
		-e 's/(not )?jited( [0-9]+B)?/jited X/; s/"jited":(true|false)/"jited":X/' \
		-e 's/"?loaded_at"? [^ ]+/loaded_at X/' -e 's/map_ids [0-9,]+/map_ids X/; s/prog_ids [0-9,]+/prog_ids X/' \
		-e 's/map\[id:[0-9]+\]/map[id:X]/' -e 's/  uid [0-9]+/  uid X/' \
		-e 's/"bytes_jited":X,//' -e 's/xlated [0-9]+B/xlated XB/' \
		-e "s|$TEST_FILES|DIR|" -e 's/pids .*//'
	echo "= $status"
}
# Values that are ids.
o() {
	t "$@" | sed -E -e 's/value: ([0-9a-f]{2} ?){4}/value: ID/' -e 's/"value":\[[^]]*\]/"value":ID/'
}
# A program's instructions: the kernel rewrites them; their source lines and first words stay.
x() {
	echo "\$ bpftool $*"
	"$B" "$@" 2>&1 | sed -nE -e '/^;/p' -e 's/.*\((18|85|95|db)\).*/insn \1/p' | sort -u
}
t version
for type in hash array percpu_hash percpu_array; do
	k='key 1 0 0 0'
	t map create $P/m_$type type $type key 4 value 8 entries 4 name m_$type
	t map show pinned $P/m_$type
	t map show name m_$type
	t map update pinned $P/m_$type $k value 1 2 3 4 5 6 7 8
	t map update name m_$type key hex 02 00 00 00 value 8 7 6 5 4 3 2 1
	t map update pinned $P/m_$type $k value 1 1 1 1 1 1 1 1 noexist
	t map update pinned $P/m_$type key 3 0 0 0 value 1 1 1 1 1 1 1 1 exist
	t map update pinned $P/m_$type key 9 0 0 0 value 1 1 1 1 1 1 1 1
	t map lookup pinned $P/m_$type $k
	t -j map lookup pinned $P/m_$type $k
	t map lookup pinned $P/m_$type key 99 0 0 0
	t map delete pinned $P/m_$type key 2 0 0 0
	t map delete pinned $P/m_$type key 99 0 0 0
	t map delete pinned $P/m_$type key 9 0 0 0
	t map getnext pinned $P/m_$type $k
	t map getnext pinned $P/m_$type key 3 0 0 0
	t map dump pinned $P/m_$type
	t -j map dump name m_$type
	t map create $P/m_$type type $type key 4 value 8 entries 4 name m_$type
done
t map lookup pinned $P/m_hash key 1 0 0
t map pin name m_hash $P/again
t map show pinned $P/again
t -f map show pinned $P/again
t map pin name m_hash $P/again
t map pin name m_hash $P/a.b
t map freeze pinned $P/again
t map update pinned $P/again key 1 0 0 0 value 1 2 3 4 5 6 7 8
t map show pinned $P/m_hash
t map show name nobody
t map dump name nobody
t map create $P/bad type hash key 0 value 8 entries 4 name bad
t map create $P/bad type lpm_trie key 8 value 8 entries 4 name bad
t map create $P/bad type array key 4 value 8 entries 0 name bad
t prog load $TEST_FILES/share_hash.bpf.o $P/prog
t prog show pinned $P/prog
t -j prog show name count_packet
x prog dump xlated pinned $P/prog
x prog dump xlated name count_packet opcodes
t prog pin name count_packet $P/prog2
t map update name shared key 7 0 0 0 value 9 0 0 0 0 0 0 0
t map dump name shared
t -j map dump name shared
t -p map lookup name shared key 7 0 0 0
t map dump name nobody
for type in array_of_maps hash_of_maps; do
	t map create $P/m_$type type $type key 4 value 4 entries 4 name m_$type inner_map pinned $P/m_array
	t map create $P/m_$type type $type key 4 value 4 entries 4 name m_$type
	t map update pinned $P/m_$type key 1 0 0 0 value pinned $P/m_array
	t map update pinned $P/m_$type key 2 0 0 0 value pinned $P/m_hash
	t map update pinned $P/m_$type key 2 0 0 0 value name m_array
	t map show pinned $P/m_$type
	o map lookup pinned $P/m_$type key 1 0 0 0
	o map lookup pinned $P/m_$type key 3 0 0 0
	t map delete pinned $P/m_$type key 2 0 0 0
	t map delete pinned $P/m_$type key 2 0 0 0
	o map dump pinned $P/m_$type
	o -j map dump pinned $P/m_$type
done
t map create $P/m_progs type prog_array key 4 value 4 entries 4 name m_progs
t map update pinned $P/m_progs key 1 0 0 0 value pinned $P/prog
t map update pinned $P/m_progs key 9 0 0 0 value pinned $P/prog
t map show pinned $P/m_progs
o map lookup pinned $P/m_progs key 1 0 0 0
o map dump pinned $P/m_progs
t map delete pinned $P/m_progs key 1 0 0 0
o map dump pinned $P/m_progs
rm $P/m_progs $P/m_array_of_maps $P/m_hash_of_maps
id=$("$B" -j prog show pinned $P/prog | sed -E 's/.*"btf_id":([0-9]+).*/\1/')
t btf dump id $id
t btf dump id $id format c
t btf show id $id
t link show
rm $P/m_hash $P/again $P/m_array
t map show name m_hash
t map show name m_array
rm $P/prog $P/prog2
# The kernel frees programs, and then their maps, a while after the last reference.
i=0
while "$B" map show name shared > /dev/null && [ $i -lt 100 ]; do
	sleep 0.1
	i=$((i + 1))
done
t prog show name count_packet
t map show name shared
END
chmod +x "$dir/session"

"$as_user" -p -l "$lib" -f "$bpftool" -f "$object" "$dir/session" > "$dir/shmap" 2>&1
grep -q 'ID: hash  name m_hash' "$dir/shmap" && grep -q 'xdp  name count_packet' "$dir/shmap" || {
	head -50 "$dir/shmap"
	echo "bpftool did not work on shmap"
	exit 1
}
"$as_user" -k -f "$bpftool" -f "$object" "$dir/session" > "$dir/kernel" 2>&1
case $? in
77)
	tail -1 "$dir/kernel"
	echo "only shmap's side was run: $(grep -c '^\$' "$dir/shmap") commands"
	exit 0
	;;
esac
if diff "$dir/kernel" "$dir/shmap"; then
	echo "$(grep -c '^\$' "$dir/shmap") commands gave the same on both"
else
	echo "(kernel <, shmap >)"
	exit 1
fi
