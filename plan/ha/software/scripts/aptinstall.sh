# install packages
#
#   "$@" is packages, NAME or NAME=VERSION
export DEBIAN_FRONTEND=noninteractive
tries=150
while ! said=$(apt-get update -q 2>&1 >/dev/null); do
	tries=$((tries - 1))
	case $said in *lists/lock*) [ "$tries" -gt 0 ] && sleep 2 && continue ;; esac
	printf '%s\n' "$said" >&2
	exit 100
done
[ -z "$said" ] || printf '%s\n' "$said" >&2
exec apt-get install -q -y --no-install-recommends --allow-change-held-packages \
	-o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
