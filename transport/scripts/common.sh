export LC_ALL=C
umask 077

fail() { printf 'at %s\n' "$1" >&2; exit 1; }

# explain ends with the code that says why nothing can be seen at a path.
explain() {
	why=$(stat -L "$1" 2>&1) && return 0
	case $why in
	*'No such file'* | *'Not a directory'*) return 44 ;;
	*'ermission denied'*) printf '%s\n' "$why" >&2; exit 45 ;;
	esac
	printf '%s\n' "$why" >&2
	exit 1
}
