# bring up units
#
#   "$@" is pairs of what to do and a unit: enable, daemon-reload (of no unit), start, start-no-block, restart, reload
#
# With one reload: systemctl enable would reload for each unit, which takes half a
# second on a busy host.
set -e
while [ $# -gt 0 ]; do
	case "$1" in
	enable) systemctl --no-reload enable "$2" ;;
	daemon-reload) systemctl daemon-reload ;;
	start-no-block) systemctl start --no-block "$2" ;;
	*) systemctl "$1" "$2" ;;
	esac
	shift 2
done
