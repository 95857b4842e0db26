# put back what was here
#
#   DIR  has what keep.sh put there
#   "$@" is pairs of a kind, unit, made or file, and a name, as keep.sh had them; a made path is moved away if the unit before it did not run
set -e
back() {
	phase=$1
	shift
	n=0
	stopped=
	while [ $# -gt 0 ]; do
		n=$((n + 1))
		case "$phase $1" in
		"stop unit")
			stopped=
			if ! grep -q '^active=act' "$DIR/$n"; then
				stopped=yes
				if systemctl show --property=LoadState "$2" | grep -q '^LoadState=loaded'; then systemctl stop "$2"; fi
			fi
			if ! grep -q '^enabled=enabled' "$DIR/$n" && systemctl is-enabled "$2" >/dev/null 2>&1; then systemctl --quiet disable "$2"; fi
			;;
		"stop made")
			if [ -n "$stopped" ] && [ -e "$2" ]; then
				rm -rf "$2.kept"
				mv "$2" "$2.kept"
			fi
			;;
		"file file")
			case $2 in */systemd/*) reload=yes ;; esac
			if [ -e "$DIR/$n" ]; then
				rm -rf "$2.undo"
				cp -a "$DIR/$n" "$2.undo"
				mv "$2.undo" "$2"
			else
				rm -f "$2"
			fi
			;;
		"start unit") if grep -q '^active=act' "$DIR/$n"; then systemctl restart "$2"; fi ;;
		esac
		shift 2
	done
}
reload= # of no use where neither units nor their files are concerned
for kind in "$@"; do
	if [ "$kind" = unit ]; then reload=yes; fi
done
back stop "$@"
back file "$@"
if [ -n "$reload" ]; then systemctl daemon-reload; fi
back start "$@"
