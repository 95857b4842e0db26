main() {
	for path in "$@"; do
		if [ -d "$path" ] && ! [ -L "$path" ]; then
			fail directory
		fi
		if [ -e "$path" ] || [ -L "$path" ]; then
			rm -f -- "$path" || fail failed
		fi
		file=$((file + 1))
	done
}
