# have the program that runs parse the arguments that it is to run with
#
#   NAME     its name in /proc/PID/comm
#   "$@" is the arguments
LC_ALL=C
export LC_ALL
for exe in $(grep -x "$NAME" /proc/[0-9]*/comm /dev/null 2>/dev/null | while IFS=: read -r comm _; do echo "${comm%comm}exe"; done); do
	said=$("$exe" "$@" --version 2>&1 </dev/null)
	case $? in
	0) echo parsed=yes && exit 0 ;;
	126 | 127) break ;;
	esac
	echo parsed=no
	printf '%s\n' "$said" | tail -n 20
	exit 0
done
echo parsed=unknown
exit 0
