# which versions are installed?
#
#   MEMORY  file of what is remembered
#   "$@" is triples of a name, a command and its arguments, one for each program
files() {
	left=$(($# / 3))
	while [ "$left" -gt 0 ]; do
		at=$(command -v "$2" 2>/dev/null) || return 1
		shift 3
		set -- "$@" "$at"
		left=$((left - 1))
	done
	stat -L -c '%i:%s:%Y:%Z %n' "$@" 2>/dev/null
}
found=$(files "$@") || found=
asked="$*
$found
"
if [ -n "$found" ]; then
	known=$(cat "$MEMORY" 2>/dev/null)
	case "$known" in
	"$asked"*)
		printf '%s\n' "${known#"$asked"}"
		exit 0
		;;
	esac
fi
while [ "$#" -ge 3 ]; do
	if at=$(command -v "$2" 2>/dev/null); then
		# shellcheck disable=SC2086 # the arguments are words
		echo "$1=$("$2" $3 2>&1 | head -n 1)"
		case "$(readlink -f "$at" 2>/dev/null)" in
		*/"${2##*/}"*) head -c 4 "$at" 2>/dev/null | grep -q ELF || found= ;;
		*) found= ;;
		esac
	fi
	shift 3
done
[ -z "$found" ] || printf 'remember:\n%s' "$asked"
