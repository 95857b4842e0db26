
main() {
	explain "$1" || exit 44
	[ -f "$1" ] || { echo 'not a regular file' >&2; exit 1; }
	[ -r "$1" ] || { echo 'not readable' >&2; exit 45; }
	head -c "$2" <"$1"
}
main "$@"
