# The start of every script. It is passed mark, a word that nothing on the
# host can know beforehand; file is the number of the file that is worked on,
# counted from 0.
LC_ALL=C
export LC_ALL
umask 077
file=0

# answer prints what a function prints within the frame, whose end says that the
# function came to its own.
answer() {
	printf '[%s]' "$mark"
	"$@" || exit
	printf '[/%s]' "$mark"
}

# fail ends the script, and says why in a word, and at which file.
fail() {
	printf '[%s %s %s]\n' "$mark" "$1" "$file" >&2
	exit 1
}

# look succeeds if there is something at a path, and sets why if not.
look() {
	said=$(stat -L "$1" 2>&1) && return 0
	case $said in
	*': No such file or directory' | *': Not a directory') why=missing ;;
	*': Permission denied') why=denied ;;
	*) why=failed ;;
	esac
	return 1
}

# look_or_fail is look for what has to be there.
look_or_fail() {
	look "$1" && return 0
	printf '%s\n' "$said" >&2
	fail "$why"
}

# readable fails for everything but a regular file that can be read.
readable() {
	look_or_fail "$1"
	[ -f "$1" ] || fail irregular
	[ -r "$1" ] || fail denied
}
