# follow who holds the VIP
# $1 VIP, $2 boot that is known, $3 lines that are known of it, $4 seconds the
# watch may run, $5 its script
set -eu
dir=/run/quorate-drill
boot=$(cat /proc/sys/kernel/random/boot_id)
known=$3
[ "$boot" = "$2" ] || known=0
mkdir -p -m 0700 "$dir"
if ! systemctl is-active --quiet quorate-drill-watch.service; then
	printf '%s\n' "$5" >"$dir/watch"
	# keepalived, which it is to outlive at a shutdown, comes after it.
	systemd-run --quiet --collect --unit=quorate-drill-watch --property=RuntimeMaxSec="$4" \
		--property=Before=keepalived.service /bin/sh "$dir/watch" "$1"
fi
: >>"$dir/vip"
echo "boot $boot $known"
exec tail -n "+$((known + 1))" -f "$dir/vip"
