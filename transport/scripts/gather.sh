# frame prints what its words print, after the mark, and then a line with the
# mark and their exit status.
frame() {
	printf '[%s]' "$mark"
	"$@" 2>/dev/null
	printf '\n%s %s\n' "$mark" "$?"
}

# none means that the command is not run.
none() { printf '[%s]\n%s none\n' "$mark" "$mark"; }

# run keeps this shell's functions and builtins from replacing a program.
run() { (exec "$@"); }
