
# The traps remove what was staged, however the script ends.
cleanup() { discard "$tmp"; }
trap 'cleanup' EXIT
trap 'exit 143' HUP INT PIPE TERM 2>/dev/null || :

discard() { for t in "$@"; do [ -z "$t" ] || rm -f -- "$t"; done; }

# make_temp sets tmp to a new file, 0600, beside the path.
make_temp() {
	dir=${1%/*}
	if [ -d "$1" ]; then
		echo 'is a directory' >&2
		fail "$1"
	fi
	[ -d "$dir/" ] || (umask 022 && mkdir -p -- "$dir") || fail "$1"
	# A signal after the file is made and before its name is known would leave
	# the file behind: mktemp gets none, and this shell minds it afterwards.
	stopped=
	trap 'stopped=1' HUP INT PIPE TERM 2>/dev/null || :
	tmp=$(trap '' HUP INT PIPE TERM 2>/dev/null || :; mktemp "$dir/.quorate-XXXXXX") || fail "$1"
	trap 'exit 143' HUP INT PIPE TERM 2>/dev/null || :
	[ -z "$stopped" ] || exit 143
}

# whole checks the size: not every base64 notices a full disk.
whole() {
	size=$(wc -c <"$tmp") || fail "$1"
	if [ "$((size))" -ne "$2" ]; then
		echo "$((size)) of $2 bytes written" >&2
		fail "$1"
	fi
}

# own gives the staged file its owner, then its mode: chown may clear bits.
own() {
	[ -z "$3" ] || chown "$3" "$tmp" || fail "$1"
	chmod "$2" "$tmp" || fail "$1"
}

# Where sync takes no files (before coreutils 8.24), it syncs everything.
sync_files() {
	if sync -d / 2>/dev/null; then
		sync -d "$@" || exit 1
	else
		sync
	fi
}

sync_dirs() { sync "$@" 2>/dev/null || :; }

place() { mv -f -- "$1" "$2" || fail "$2"; }
