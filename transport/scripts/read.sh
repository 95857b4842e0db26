# main prints at most limit bytes of the file at path.
main() {
	path=$1 limit=$2
	readable "$path"
	head -c "$limit" <"$path"
}
