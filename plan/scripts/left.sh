# what is left here?
#
#   "$@" is pairs of a kind, unit or path, and a name
while [ $# -gt 0 ]; do
	case "$1" in
	unit)
		case "$(systemctl is-active "$2" 2>/dev/null)" in
		active | activating | reloading | deactivating) echo "unit $2" ;;
		*) case "$(systemctl is-enabled "$2" 2>/dev/null)" in enabled*) echo "unit $2" ;; esac ;;
		esac
		;;
	*) if [ -e "$2" ] || [ -L "$2" ]; then echo "path $2"; fi ;;
	esac
	shift 2
done
