
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

# together asks one stat and one sha256sum about all of them: a process for each
# file is most of what this costs a host. It prints the kind of each, then what
# stat says of those that are there, then the hashes of the regular files; or
# nothing, and fails, where files come and go meanwhile or a name has two lines.
together() {
	kinds= about= sums= regular=0 newline='
'
	for path in "$@"; do
		shift
		case $path in *"$newline"*) return 1 ;; esac
		kind=o
		if [ -d "$path" ]; then
			kind=d
		elif [ -f "$path" ]; then
			kind=f
			regular=$((regular + 1))
		elif ! [ -e "$path" ]; then
			explain "$path" && return 1
			kind=-
		fi
		kinds=$kinds$kind$newline
		[ "$kind" = - ] || set -- "$@" "$path"
	done
	[ "$#" -eq 0 ] || about=$(stat -L -c '%a %U %u %G %g %s' "$@" 2>/dev/null)$newline || return 1
	for path in "$@"; do
		shift
		[ -d "$path" ] || ! [ -f "$path" ] || set -- "$@" "$path"
	done
	[ "$#" -eq "$regular" ] || return 1
	[ "$#" -eq 0 ] || sums=$(sha256sum "$@" 2>/dev/null)$newline || return 1
	printf '%s' "$kinds$about$sums"
}

main() { together "$@" || for path in "$@"; do describe "$path"; done; }
main "$@"
