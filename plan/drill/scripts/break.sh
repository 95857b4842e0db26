# break a host, armed to heal by itself
# $1 script of the faults, $2 seconds until it heals, $3 fault, then its settings
set -eu
faults=$1 limit=$2 fault=$3
shift 2
unit=quorate-drill-$fault
mkdir -p -m 0700 /run/quorate-drill
# By a file, since systemd expands what looks like a variable in an argument.
printf '%s\n' "$faults" >"/run/quorate-drill/$fault"
# What an earlier drill left armed would heal this one's break.
systemctl stop "$unit.timer" "$unit.service" 2>/dev/null || :
systemd-run --quiet --collect --unit="$unit" --on-active="${limit}s" --timer-property=AccuracySec=1s \
	/bin/sh "/run/quorate-drill/$fault" heal "$@"
exec sh -c "$faults" sh break "$@"
