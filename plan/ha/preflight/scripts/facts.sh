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
ip -o addr show 2>/dev/null | while read -r _ device _ address _; do echo "address=${device%%@*} $address"; done
for c in ip systemctl; do command -v "$c" >/dev/null 2>&1 || echo "missing=$c"; done
if [ -n "$VIP_INTERFACE" ]; then
	ip link show dev "$VIP_INTERFACE" >/dev/null 2>&1 && echo "interface=yes" || echo "interface=no"
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
for f in /etc/kubernetes/admin.conf /etc/kubernetes/kubelet.conf /etc/kubernetes/manifests/*.yaml; do
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
for f in /etc/environment /etc/systemd/system.conf /etc/systemd/system.conf.d/*.conf \
	/etc/systemd/system/containerd.service.d/*.conf /etc/systemd/system/crio.service.d/*.conf \
	/etc/systemd/system/docker.service.d/*.conf /etc/systemd/system/kubelet.service.d/*.conf; do
	[ -r "$f" ] || continue
	grep -i '_proxy *=' "$f" | while IFS= read -r line; do echo "proxy=$f $line"; done
done
for f in "$DATA_DIR"/member/*; do # an empty directory is no data
	[ ! -e "$f" ] || { echo "left=$DATA_DIR/member"; break; }
done
for f in /etc/sysctl.d/*.conf /etc/sysctl.conf; do
	[ -r "$f" ] || continue
	while read -r line || [ -n "$line" ]; do
		case "$line" in net*forward*) echo "sysctl=$f $line" ;; esac
	done <"$f"
done
for f in "$@"; do
	[ -r "$f" ] || continue
	echo "file=$f"
	while IFS= read -r line || [ -n "$line" ]; do
		echo "text=$line"
	done <"$f"
done
exit 0
