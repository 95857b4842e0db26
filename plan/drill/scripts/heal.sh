# heal a host and disarm
# $1 script of the faults, $2 fault, then its settings
set -eu
faults=$1 fault=$2
shift
sh -c "$faults" sh heal "$@"
systemctl stop "quorate-drill-$fault.timer" 2>/dev/null || :
