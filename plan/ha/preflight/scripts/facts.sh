# read what the host says of itself
#
#   VIP_INTERFACE  empty on a host that carries no VIP
#   DATA_DIR       of etcd
#   RUNTIME        the container runtime's command, empty if it need not be there yet
#   PATH           the command's own, which may be sudo's
#   SUDO_USER      who called sudo
#   "$@" is public files of which the text is wanted
LC_ALL=C
export LC_ALL
echo "time=$(date +%s.%N 2>/dev/null)"
echo "uid=$(id -u)"
echo "init=$(cat /proc/1/comm 2>/dev/null)"
echo "hostname=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname 2>/dev/null)"
echo "machine-id=$(cat /etc/machine-id 2>/dev/null)"
echo "product-uuid=$(cat /sys/class/dmi/id/product_uuid 2>/dev/null)"
echo "mark=$(cat /var/lib/quorate/kubeadm.state 2>/dev/null)"
addresses
for c in ip systemctl; do command -v "$c" >/dev/null 2>&1 || echo "missing=$c"; done
if [ -n "$VIP_INTERFACE" ]; then
	if ! link=$(ip link show dev "$VIP_INTERFACE" 2>/dev/null); then
		echo "interface=no"
	else
		# "2: eth0@if7: <...", also if it was asked for by an alternative name
		name=${link#*: }
		name=${name%%:*}
		case "${name%%@*},$link" in
		"$VIP_INTERFACE,"*NO-CARRIER* | "$VIP_INTERFACE,"*"state DOWN"* | "$VIP_INTERFACE,"*"state LOWERLAYERDOWN"*) echo "interface=down" ;;
		"$VIP_INTERFACE,"* | ,*) echo "interface=yes" ;;
		*) echo "interface=${name%%@*}" ;;
		esac
	fi
fi
echo "search-path=$PATH"
for c in kubeadm kubelet kubectl keepalived haproxy containerd ctr crio docker curl ip systemctl sysctl; do
	command -v "$c" >/dev/null 2>&1 && continue
	for d in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin /opt/bin; do
		if [ -x "$d/$c" ]; then
			echo "hidden=$d/$c"
			break
		fi
	done
done
# sudo leaves who it was that logged in.
user=${SUDO_USER:-$(id -un)}
if [ -r /etc/passwd ]; then
	while IFS=: read -r name _ _ _ _ _ shell; do
		[ "$name" != "$user" ] || echo "shell=$shell"
	done </etc/passwd
fi
if [ -n "$RUNTIME" ]; then
	command -v "$RUNTIME" >/dev/null 2>&1 && echo "runtime=yes" || echo "runtime=no"
fi
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	echo "cgroup=v2"
elif [ -d /sys/fs/cgroup ]; then
	echo "cgroup=v1"
fi
for f in /proc/net/tcp /proc/net/tcp6; do
	[ -r "$f" ] || continue
	# A shell reads byte by byte: only the listeners of what may be thousands of lines.
	grep ' 0A' "$f" | while read -r _ local _ state _; do
		[ "$state" != 0A ] || echo "listen=$local"
	done
done
if [ -r /proc/meminfo ]; then
	while read -r key value _; do
		case "$key" in MemTotal:) echo "memory=$value"; break ;; esac
	done </proc/meminfo
fi
if [ -r /proc/swaps ]; then
	while read -r file _; do
		case "$file" in /*) echo "swap=$file" ;; esac
	done </proc/swaps
fi
if [ -r /etc/fstab ]; then
	while read -r what _ kind options _; do
		case "$what,$kind,$options" in
		'#'* | *noauto*) ;;
		*,swap,*) echo "swap-at-boot=$what" ;;
		esac
	done </etc/fstab
fi
for f in /etc/kubernetes/admin.conf /etc/kubernetes/super-admin.conf /etc/kubernetes/controller-manager.conf /etc/kubernetes/scheduler.conf \
	/etc/kubernetes/kubelet.conf /etc/kubernetes/bootstrap-kubelet.conf /etc/kubernetes/manifests/*; do
	[ ! -e "$f" ] || echo "left=$f"
done
for f in /etc/cni/net.d/*.conf /etc/cni/net.d/*.conflist /etc/cni/net.d/*.json; do
	[ ! -e "$f" ] || echo "cni=$f"
done
for f in iptables ip6tables; do
	if [ -r "/proc/sys/net/bridge/bridge-nf-call-$f" ]; then
		echo "bridge-nf=$f $(cat "/proc/sys/net/bridge/bridge-nf-call-$f")"
	else
		echo "bridge-nf=$f missing"
	fi
done
if [ -r /sys/fs/selinux/enforce ]; then
	echo "selinux=$(cat /sys/fs/selinux/enforce)"
	for f in haproxy_connect_any keepalived_connect_any; do
		[ ! -r "/sys/fs/selinux/booleans/$f" ] || echo "sebool=$f $(cat "/sys/fs/selinux/booleans/$f")"
	done
fi
# What this command, and so kubeadm, has in its own environment, wherever that is from.
for v in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
	eval "value=\${$v:-}"
	[ -z "$value" ] || printf 'proxy=environment %s=%s\n' "$v" "$value"
done
# topmost DIRS FILE NAME: a file takes the place of those of its name in later directories
topmost() {
	for d in $1; do
		[ "$d/$3" != "$2" ] || return 0
		if [ -e "$d/$3" ] || [ -L "$d/$3" ]; then return 1; fi
	done
}
# proxies UNIT FILE: lines about proxies, and those of the files that it names
proxies() {
	grep -i -E '_proxy *=|^ *Environment(File)? *=' "$2" | while IFS= read -r line; do
		case "$line" in
		*EnvironmentFile*=*)
			for word in ${line#*=}; do
				word=${word#[\"\']}
				word=${word#-}
				for e in ${word%[\"\']}; do environment "$1" "$e"; done
			done
			;;
		*) echo "proxy=$2 $line" ;;
		esac
	done
}
environment() {
	[ -f "$2" ] && [ -r "$2" ] || return 0
	grep -i '_proxy *=' "$2" | while IFS= read -r line; do echo "env-file=$1 $2 $line"; done
}
[ ! -r /etc/environment ] || grep -i '_proxy *=' /etc/environment | while IFS= read -r line; do echo "proxy=/etc/environment $line"; done
dirs="/etc/systemd /run/systemd /usr/local/lib/systemd /usr/lib/systemd /lib/systemd"
for dir in $dirs; do
	for f in "$dir"/system.conf "$dir"/system.conf.d/*.conf; do
		[ -r "$f" ] && topmost "$dirs" "$f" "${f#"$dir"/}" && proxies system.conf "$f"
	done
done
dirs="/etc/systemd/system /run/systemd/system /usr/local/lib/systemd/system /usr/lib/systemd/system /lib/systemd/system"
for dir in $dirs; do
	for f in "$dir"/service.d/*.conf; do
		[ -r "$f" ] && topmost "$dirs" "$f" "${f#"$dir"/}" && proxies service "$f"
	done
	for unit in kubelet containerd crio docker cri-docker; do
		for f in "$dir/$unit.service" "$dir/$unit.service.d"/*.conf; do
			[ -r "$f" ] && topmost "$dirs" "$f" "${f#"$dir"/}" && proxies "$unit.service" "$f"
		done
	done
done
# Where packages have the kubelet's unit, which the recipe may yet bring, look for more.
for f in /etc/default/kubelet /etc/sysconfig/kubelet; do environment kubelet.service "$f"; done
for f in "$DATA_DIR"/member/*; do # an empty directory is no data
	[ ! -e "$f" ] || { echo "left=$DATA_DIR/member"; break; }
done
dirs="/etc/sysctl.d /run/sysctl.d /usr/local/lib/sysctl.d /usr/lib/sysctl.d /lib/sysctl.d"
for dir in $dirs; do
	for f in "$dir"/*.conf; do
		if [ ! -r "$f" ] || ! topmost "$dirs" "$f" "${f##*/}"; then continue; fi
		# A shell reads byte by byte.
		grep 'net.*forward' "$f" | while read -r line; do
			case "$line" in net* | -net*) echo "sysctl=$f $line" ;; esac
		done
	done
done
[ ! -r /etc/sysctl.conf ] || grep 'net.*forward' /etc/sysctl.conf | while read -r line; do
	case "$line" in net* | -net*) echo "sysctl=/etc/sysctl.conf $line" ;; esac
done
for f in "$@"; do
	[ -r "$f" ] || continue
	echo "file=$f"
	while IFS= read -r line || [ -n "$line" ]; do
		echo "text=$line"
	done <"$f"
done
exit 0
