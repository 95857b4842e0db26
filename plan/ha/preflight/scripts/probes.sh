# look around the host
#
#   VIP             empty if it need not be tried
#   VIP_INTERFACE   the VIP's
#   VRID            to listen for
#   LISTEN_SECONDS  0 for not at all
#   DISK_DIR        for the test of the disk, empty for none
#   "$@" is pairs of an address and a port
LC_ALL=C
export LC_ALL
have() { command -v "$1" >/dev/null 2>&1; }
probe() {
	said=unknown
	if have bash && have timeout; then
		# shellcheck disable=SC2016 # bash expands it
		out=$(timeout "$4" bash -c 'exec 3<>"/dev/tcp/$1/$2"' bash "$1" "$2" 2>&1)
		case "$?,$out" in
		0,*) said=connected ;;
		124,*|143,*) said=blocked ;;
		esac
	elif have curl; then
		case "$1" in *:*) at="[$1]" ;; *) at=$1 ;; esac
		out=$(curl --noproxy '*' --silent --verbose --output /dev/null --write-out 'connect=%{time_connect}' --connect-timeout "$4" --max-time 3 "http://$at:$2/" 2>&1 </dev/null)
		case "$?,$out" in
		28,*connect=0?000000|28,*connect=0) said=blocked ;;
		7,*|2,*|3,*|127,*|*connect=0?000000|*connect=0) ;;
		*connect=*) said=connected ;;
		esac
	else
		out=
	fi
	case "$said,$out" in
	connected,*|blocked,*) ;;
	*"onnection refused"*) said=refused ;;
	*"imed out"*|*"o route to host"*|*nreachable*|*"ermission denied"*|*"not permitted"*) said=blocked ;;
	esac
	printf '%s\n' "$3=$1 $2 $said" # one write: others print at the same moment
}
listen() {
	heard=$(timeout "$LISTEN_SECONDS" tcpdump -nn -l -c 16 -i "$VIP_INTERFACE" "(ip proto 112 and ip[((ip[0] & 15) << 2) + 1] = $VRID) or (ip6 proto 112 and ip6[41] = $VRID)" 2>/dev/null)
	# Ended by time or by count; anything else is a tcpdump that did not listen.
	case $? in 0|124|143) printf 'vrrp=yes\n' ;; esac
	echo "$heard" | while read -r line; do
		case "$line" in *"vrid $VRID,"*) printf 'router=%s\n' "$line" ;; esac
	done
}
disk=$DISK_DIR
if [ "$LISTEN_SECONDS" -gt 0 ] && have tcpdump && have timeout; then
	listen &
fi
while [ "$#" -ge 2 ]; do
	probe "$1" "$2" path 2 &
	shift 2
done
if [ -n "$VIP" ]; then
	ip neigh flush to "$VIP" dev "$VIP_INTERFACE" >/dev/null 2>&1
	probe "$VIP" 6443 vip 1
	printf 'neighbour=%s\n' "$(ip neigh show to "$VIP" 2>/dev/null)"
fi
wait
[ -n "$disk" ] || exit 0
while [ ! -d "$disk" ]; do
	disk=$(dirname "$disk")
done
umask 077
stage=$(mktemp -d "$disk/.quorate-XXXXXX" 2>/dev/null) || exit 0
trap 'cd /; rmdir "$stage"' EXIT
trap 'exit 1' HUP INT TERM
cd "$stage" || exit 0
# In a directory of another user's, what is there now may be somebody else's.
case $(stat -c '%u %a' .) in
"$(id -u) 700" | "$(id -u) 2700") ;;
*) exit 0 ;;
esac
trap 'rm -f ./test; cd /; rmdir "$stage"' EXIT
dd if=/dev/zero of=./test bs=2300 count=200 conv=fsync 2>/dev/null || exit 0
i=0
while [ "$i" -lt 200 ]; do
	dd if=/dev/zero of=./test bs=2300 count=1 seek="$i" conv=notrunc oflag=dsync 2>&1 | while read -r line; do
		case "$line" in *copied*) echo "dd=$line" ;; esac
	done
	i=$((i + 1))
done
exit 0
