# describe prints a line: -, or kind, mode, owner, group, size and, of a regular
# file, its hash.
describe() {
	path=$1
	if ! look "$path"; then
		if [ "$why" != missing ]; then
			printf '%s\n' "$said" >&2
			fail "$why"
		fi
		echo -
		return
	fi
	kind=o sum=
	if [ -d "$path" ]; then
		kind=d
	elif [ -f "$path" ]; then
		kind=f
		sum=$(sha256sum <"$path") || fail failed
		sum=" ${sum%% *}"
	fi
	about=$(stat -L -c '%a %U %u %G %g %s' "$path") || fail failed
	printf '%s %s%s\n' "$kind" "$about" "$sum"
}

# absent succeeds if nothing is at those of the paths that do not exist: a path
# that may not be looked at does not seem to exist either.
absent() (
	for path in "$@"; do
		shift
		[ -e "$path" ] || set -- "$@" "$path"
	done
	[ "$#" -gt 0 ] || exit 0
	stat -L "$@" 2>&1 >/dev/null | while read -r line; do
		case $line in
		*': No such file or directory' | *': Not a directory') ;;
		*) exit 1 ;;
		esac
	done
)

# together runs one stat and one sha256sum on all of them: a process for each
# file is most of what this costs a host. It prints the kind of each, then what
# stat says of those that are there, then the hashes of the regular files; or
# nothing, and fails, where files come and go meanwhile, a name has two lines or
# there are more than fit into a command.
together() {
	kinds='' about='' sums='' regular=0 newline='
'
	absent "$@" || return 1
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

# group describes some paths, and ends with a line that is no description.
group() {
	if ! together "$@"; then
		for path in "$@"; do
			describe "$path"
			file=$((file + 1))
		done
	fi
	echo .
}
