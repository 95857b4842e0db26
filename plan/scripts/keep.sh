# keep what is here before it is changed
#
#   DIR  gets the files, as 1, 2 ..., and how the units are
#   "$@" is pairs of a kind, unit or file, and a name
set -e
n=0
while [ $# -gt 0 ]; do
	n=$((n + 1))
	case "$1" in
	unit)
		active=$(systemctl is-active "$2" 2>/dev/null) || :
		enabled=$(systemctl is-enabled "$2" 2>/dev/null) || :
		printf 'active=%s\nenabled=%s\n' "$active" "$enabled" >"$DIR/$n"
		;;
	*) if [ -e "$2" ]; then cp -a "$2" "$DIR/$n"; fi ;;
	esac
	shift 2
done
