# stop units and remove files
#
#   "$@" is triples: unit NAME "", wait URL "", keep PATH TO, path PATH "", dir PATH "" (if it is empty)
set -e
reload= # of no use where neither units nor their files are concerned
while [ $# -gt 0 ]; do
	case "$1 $2" in unit\ * | *\ */systemd/*) reload=yes ;; esac
	case "$1" in
	unit)
		if systemctl show --property=LoadState "$2" | grep -q '^LoadState=loaded'; then
			systemctl stop "$2"
			systemctl --quiet disable "$2"
		fi
		;;
	wait)
		tries=100
		until curl --silent --insecure --connect-timeout 1 --max-time 2 "$2" 2>/dev/null | grep -q '^ok'; do
			tries=$((tries - 1))
			if [ "$tries" -eq 0 ]; then
				echo "no other host answers at $2" >&2
				exit 1
			fi
			sleep 0.2
		done
		;;
	keep)
		if [ -e "$2" ]; then
			(umask 077 && mkdir -p "${3%/*}")
			rm -rf "$3"
			mv "$2" "$3"
		fi
		;;
	path) rm -rf "$2" ;;
	dir) rmdir "$2" 2>/dev/null || : ;;
	esac
	shift 3
done
if [ -n "$reload" ]; then systemctl daemon-reload; fi
