
# The stream ends in the hash of what goes before it, 64 digits and a newline.
main() {
	make_temp "$1"
	cat >"$tmp" || fail "$1"
	size=$(wc -c <"$tmp") || fail "$1"
	size=$((size - 65))
	[ "$size" -ge 0 ] || cut_short "$1"
	want=$(tail -c 65 "$tmp")
	truncate -s "$size" "$tmp" || fail "$1"
	got=$(sha256sum <"$tmp") || fail "$1"
	[ "${got%% *}" = "$want" ] || cut_short "$1"
	own "$@"
	sync_files "$tmp"
	place "$tmp" "$1"
	tmp=
	sync_dirs "${1%/*}/"
}

cut_short() {
	echo 'the stream was cut short' >&2
	fail "$1"
}

tmp=
main "$@"
