
# give prints a file in base64 and ends it with a line that base64 has not.
give() {
	explain "$2" || { printf 'at %s\n' "$2" >&2; exit 44; }
	[ -f "$2" ] || { printf '%s: not a regular file\n' "$2" >&2; exit 1; }
	[ -r "$2" ] || { printf '%s: not readable\n' "$2" >&2; exit 45; }
	head -c "$1" <"$2" | base64 || fail "$2"
	echo .
}

main() {
	limit=$1
	shift
	for path in "$@"; do give "$limit" "$path"; done
}
main "$@"
