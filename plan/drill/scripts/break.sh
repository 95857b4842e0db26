# break a host, armed to heal by itself
# $1 script of the faults, $2 fault, $3-$9 its settings, ${10} seconds until it heals
set -eu
faults=$1 fault=$2 limit=${10}
shift
unit=quorate-drill-$fault
mkdir -p -m 0700 /run/quorate-drill
# By a file, since systemd expands what looks like a variable in an argument.
printf '%s\n' "$faults" >"/run/quorate-drill/$fault"
# What an earlier drill left armed would heal this one's break.
systemctl stop "$unit.timer" "$unit.service" 2>/dev/null || :
systemd-run --quiet --collect --unit="$unit" --on-active="${limit}s" --timer-property=AccuracySec=1s \
	/bin/sh "/run/quorate-drill/$fault" heal "$@"
exec sh "/run/quorate-drill/$fault" break "$@"
