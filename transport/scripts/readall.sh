# main prints at most limit bytes of each file in base64, and ends each with a
# line that base64 has not.
main() {
	limit=$1
	shift
	for path in "$@"; do
		readable "$path"
		head -c "$limit" <"$path" | base64 || fail failed
		echo .
		file=$((file + 1))
	done
}
