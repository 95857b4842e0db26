# check, break or heal one fault
# $1 check, break or heal; $2 fault; then manifests, etcd's unit, data and ports,
# KiB that may be filled, SSH's port, VIP
set -eu
do=$1 fault=$2 manifests=$3 etcd=$4 data=$5 ports=$6 max=$7 sshport=$8 vip=$9

fail() { echo "$*" >&2; exit 1; }
need() { command -v "$1" >/dev/null || fail "$1 is not installed"; }

# A static pod stops when its manifest is moved away, out of the directory but in
# the same file system.
aside() { echo "$(dirname "$manifests")/$1.yaml.quorate-drill"; }
stop_pod() {
	[ ! -e "$manifests/$1.yaml" ] || mv -f "$manifests/$1.yaml" "$(aside "$1")"
	left=240
	while pgrep -x "$1" >/dev/null; do
		left=$((left - 1))
		[ "$left" -gt 0 ] || fail "the kubelet did not stop $1 within two minutes"
		sleep 0.5
	done
}
start_pod() { [ ! -e "$(aside "$1")" ] || mv -f "$(aside "$1")" "$manifests/$1.yaml"; }
stacked() { [ -e "$manifests/etcd.yaml" ] || [ -e "$(aside etcd)" ]; }

drop_table() { nft delete table "$1" "$2" 2>/dev/null || :; }

case $fault:$do in
*:check) need systemd-run ;;
esac
case $fault:$do in
stop-apiserver:check) need pgrep; [ -e "$manifests/kube-apiserver.yaml" ] || fail "no $manifests/kube-apiserver.yaml" ;;
stop-apiserver:break) stop_pod kube-apiserver ;;
stop-apiserver:heal) start_pod kube-apiserver ;;

stop-keepalived:check) systemctl is-active --quiet keepalived.service || fail "keepalived.service does not run" ;;
stop-keepalived:break) systemctl stop keepalived.service ;;
stop-keepalived:heal) systemctl start keepalived.service ;;

stop-etcd:check) need pgrep; stacked || systemctl is-active --quiet "$etcd" || fail "$etcd does not run, and there is no $manifests/etcd.yaml" ;;
stop-etcd:break) if stacked; then stop_pod etcd; else systemctl stop "$etcd"; fi ;;
stop-etcd:heal) if stacked; then start_pod etcd; else systemctl start "$etcd"; fi ;;

partition:check | partition-etcd:check) need nft ;;
partition:break)
	# The port that this very connection came in by.
	from=${SSH_CONNECTION:-}
	open=${from##* }
	nft -f - <<END
table inet quorate_drill
delete table inet quorate_drill
table inet quorate_drill {
	set ssh { type inet_service; elements = { $sshport${open:+, $open} }; }
	set nd { type icmpv6_type; elements = { nd-neighbor-solicit, nd-neighbor-advert }; }
	chain in {
		type filter hook input priority -300; policy drop;
		iif lo accept
		tcp dport @ssh accept
		icmpv6 type @nd accept
	}
	chain out {
		type filter hook output priority -300; policy drop;
		oif lo accept
		tcp sport @ssh accept
		icmpv6 type @nd accept
	}
	chain through {
		type filter hook forward priority -300; policy drop;
	}
}
END
	# A host that is cut off does not answer for the VIP on its link either.
	[ -z "$vip" ] || nft -f - <<END
table arp quorate_drill
delete table arp quorate_drill
table arp quorate_drill {
	chain in { type filter hook input priority 0; arp daddr ip $vip drop; }
	chain out { type filter hook output priority 0; arp saddr ip $vip drop; }
}
END
	;;
partition:heal) drop_table arp quorate_drill; drop_table inet quorate_drill ;;

partition-etcd:break)
	nft -f - <<END
table inet quorate_drill_etcd
delete table inet quorate_drill_etcd
table inet quorate_drill_etcd {
	set etcd { type inet_service; elements = { $ports }; }
	chain in {
		type filter hook input priority -300;
		iif lo accept
		tcp dport @etcd drop
		tcp sport @etcd drop
	}
	chain out {
		type filter hook output priority -300;
		oif lo accept
		tcp dport @etcd drop
		tcp sport @etcd drop
	}
}
END
	;;
partition-etcd:heal) drop_table inet quorate_drill_etcd ;;

fill-disk:check | fill-disk:break)
	[ -d "$data" ] || fail "no directory $data"
	need fallocate
	[ "$(stat -c %d "$data")" != "$(stat -c %d /)" ] || fail "$data has no file system of its own: filling it would fill the whole host's"
	free=$(($(stat -f -c '%f * %S' "$data") / 1024))
	[ "$free" -le "$max" ] || fail "$free KiB are free for $data, more than the $max KiB that may be filled"
	if [ "$do" = break ]; then
		# The space belongs to a process: it is free when that ends, for any reason.
		systemctl stop quorate-drill-filler.service 2>/dev/null || :
		rm -f /run/quorate-drill/full
		cat >/run/quorate-drill/filler <<'END'
set -eu
exec 3>>"$1/.quorate-drill"
rm "$1/.quorate-drill"
fallocate -l "$2KiB" /proc/self/fd/3 || :
dd if=/dev/zero bs=64k >&3 2>/dev/null || dd if=/dev/zero bs=512 >&3 2>/dev/null || :
touch /run/quorate-drill/full
exec sleep infinity
END
		systemd-run --quiet --collect --unit=quorate-drill-filler /bin/sh /run/quorate-drill/filler "$data" "$((free - free / 64))"
		left=240
		until [ -e /run/quorate-drill/full ]; do
			left=$((left - 1))
			[ "$left" -gt 0 ] || fail "$data was not full within two minutes"
			sleep 0.5
		done
	fi
	;;
fill-disk:heal)
	systemctl stop quorate-drill-filler.service 2>/dev/null || :
	if ! stacked; then
		# It may have ended so often that systemd starts it no more.
		systemctl reset-failed "$etcd" 2>/dev/null || :
		systemctl start "$etcd"
	fi
	;;

reboot:check) ;;
# After this command has been answered.
reboot:break) systemd-run --quiet --collect --on-active=1s --timer-property=AccuracySec=100ms systemctl reboot ;;
*) fail "no fault $fault" ;;
esac
