
main() {
	for path in "$@"; do
		if [ -d "$path" ] && [ ! -L "$path" ]; then
			echo 'is a directory' >&2
			fail "$path"
		fi
		if [ -e "$path" ] || [ -L "$path" ]; then
			rm -f -- "$path" || fail "$path"
		fi
	done
}
main "$@"
