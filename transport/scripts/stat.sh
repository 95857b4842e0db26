
describe() {
	explain "$1" || { echo -; return; }
	kind=o sum=
	if [ -d "$1" ]; then
		kind=d
	elif [ -f "$1" ]; then
		kind=f
		sum=$(sha256sum <"$1") || fail "$1"
		sum=" ${sum%% *}"
	fi
	about=$(stat -L -c '%a %U %u %G %g %s' "$1") || fail "$1"
	printf '%s %s%s\n' "$kind" "$about" "$sum"
}

main() { for path in "$@"; do describe "$path"; done; }
main "$@"
