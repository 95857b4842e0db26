# frame gives the first $2 of the words after it to $1, a function, and prints
# what that prints, and then a line with the mark and its exit status.
frame() {
	how=$1 count=$2 taken=0
	shift 2
	for word in "$@"; do
		[ "$taken" -gt 0 ] || set --
		[ "$taken" -lt "$count" ] || break
		taken=$((taken + 1))
		set -- "$@" "$word"
	done
	"$how" "$@" 2>/dev/null
	printf '\n%s %s\n' "$mark" "$?"
}

# run keeps this shell's functions and builtins from standing in for a program.
run() { (exec "$@"); }
