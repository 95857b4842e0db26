# try what is around the host
#
#   VIP             empty if it need not be tried
#   VIP_PORT        the API's
#   VIP_INTERFACE   the VIP's
#   VRID            to listen for
#   LISTEN_SECONDS  0 for not at all
#   SPEAK_SECONDS   for how long to send and hear VRRP, 0 for not at all
#   SPEAK_PYTHON    a program that does it
#   SPEAK_PERL      the same for hosts without Python
#   SPEAK_FROM      the host's own address
#   SPEAK_TO        the other control planes' addresses, or VRRP's group
#   RUNTIME         docker, containerd or crio to ask for its settings, empty for none
#   ENDPOINT        an external one's name or address, empty for none
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
speak() {
	for python in python3 /usr/libexec/platform-python python; do
		have "$python" || continue
		# shellcheck disable=SC2086 # addresses are words
		"$python" -c "$SPEAK_PYTHON" "$SPEAK_FROM" "$SPEAK_SECONDS" "$VIP_INTERFACE" "$VRID" $SPEAK_TO 2>/dev/null
		return
	done
	have perl || return
	# shellcheck disable=SC2086 # addresses are words
	perl -e "$SPEAK_PERL" "$SPEAK_FROM" "$SPEAK_SECONDS" "$VIP_INTERFACE" "$VRID" $SPEAK_TO 2>/dev/null
}
# lists KEY FACT: the values of a list of TOML, which may go on for many lines
lists() {
	open=
	while IFS= read -r line || [ -n "$line" ]; do
		line=${line%%#*}
		case "$open,$line" in
		,*"$1"*=*) open="${line#*=} " ;;
		,*) continue ;;
		*) open="$open$line " ;;
		esac
		case "$open" in *]*)
			printf '%s=%s\n' "$2" "$open"
			open=
			;;
		esac
	done
}
# containerd_config sets config: of the file that systemd starts containerd with, and of
# those that it imports. A containerd that cannot dump it has its files read.
containerd_config() {
	file=/etc/containerd/config.toml
	unit=$(systemctl show --property=ExecStart --property=Environment containerd.service 2>/dev/null)
	before=
	for word in $(echo "$unit" | grep '^ExecStart='); do
		case "$before,$word" in
		*,--config=* | *,-config=*) file=${word#*=} ;;
		--config,* | -config,* | -c,*) file=$word ;;
		esac
		before=$word
	done
	case "$file" in "\$"*) # a variable of the unit's own
		name=${file#"\$"}
		name=${name#"{"}
		name=${name%"}"}
		for word in $(echo "$unit" | grep '^Environment='); do
			word=${word#Environment=}
			case "$word" in "$name"=*) file=${word#*=} ;; esac
		done
		;;
	esac
	if config=$(containerd --config "$file" config dump 2>/dev/null) && [ -n "$config" ]; then return 0; fi
	config=
	[ -r "$file" ] || return 0
	config=$(cat "$file")
	imports=$(echo "$config" | lists imports "")
	old=$IFS
	IFS=" =,[]\"'
"
	for word in $imports; do
		case "$word" in "") continue ;; /*) ;; *) word=${file%/*}/$word ;; esac
		IFS=$old
		for more in $word; do
			[ ! -r "$more" ] || config="$config
$(cat "$more")"
		done
	done
	IFS=$old
}
runtime() {
	driver=unknown
	case "$RUNTIME" in
	docker) driver=$(docker info --format '{{.CgroupDriver}}' 2>/dev/null) || driver=unknown ;;
	containerd)
		containerd_config
		if [ -n "$config" ]; then
			driver=cgroupfs
			if echo "$config" | grep -q '^ *SystemdCgroup *= *true'; then driver=systemd; fi
			echo "$config" | lists disabled_plugins disabled
			echo "$config" | grep -E '^ *(sandbox_image|sandbox) *=' | while IFS='=' read -r _ value; do printf 'sandbox=%s\n' "$value"; done
		fi
		;;
	crio)
		# What is as by default is shown as a comment.
		if config=$(crio config 2>/dev/null); then
			driver=systemd
			if echo "$config" | grep -q '^ *cgroup_manager *= *"cgroupfs"'; then driver=cgroupfs; fi
			{
				echo "$config" | grep -E '^ *pause_image *='
				echo "$config" | grep -E '^ *# *pause_image *='
			} | while IFS='=' read -r _ value; do printf 'sandbox=%s\n' "$value"; done
		fi
		;;
	esac
	printf 'driver=%s\n' "${driver:-unknown}"
}
endpoint() {
	have getent || return 0
	if addresses=$(getent ahosts "$ENDPOINT" 2>/dev/null) && [ -n "$addresses" ]; then
		echo "$addresses" | while read -r address kind _; do
			[ "$kind" = STREAM ] || continue
			if ip route get "$address" >/dev/null 2>&1; then
				printf 'endpoint=%s routed\n' "$address"
			else
				printf 'endpoint=%s unrouted\n' "$address"
			fi
		done
	else
		printf 'endpoint=unresolved none\n'
	fi
}
[ "$SPEAK_SECONDS" -eq 0 ] || speak &
if [ "$LISTEN_SECONDS" -gt 0 ] && have tcpdump && have timeout; then
	listen &
fi
[ -z "$ENDPOINT" ] || endpoint &
i=0
while [ "$#" -ge 2 ]; do
	probe "$1" "$2" path 2 &
	shift 2
	i=$((i + 1)) # each is two or three processes
	[ "$((i % 64))" -ne 0 ] || wait
done
[ -z "$RUNTIME" ] || runtime
if [ -n "$VIP" ]; then
	ip neigh flush to "$VIP" dev "$VIP_INTERFACE" >/dev/null 2>&1
	probe "$VIP" "$VIP_PORT" vip 1
	printf 'neighbour=%s\n' "$(ip neigh show to "$VIP" 2>/dev/null)"
fi
wait
