# The stream ends in the hash of what goes before it, 64 digits and a newline.
main() {
	parent=$1 name=$2 mode=$3 owner=$4
	vacant "$parent/$name"
	make_stage "$parent"
	cat >content || fail failed
	size=$(wc -c <content) || fail failed
	size=$((size - 65))
	[ "$size" -ge 0 ] || fail cut
	want=$(tail -c 65 content)
	truncate -s "$size" content || fail failed
	got=$(sha256sum <content) || fail failed
	[ "${got%% *}" = "$want" ] || fail cut
	own content "$mode" "$owner"
	sync_staged
	place content "$name"
	leave "$stage"
	stage=''
}
