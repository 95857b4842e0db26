# report what runs on the host, and by which settings
#
#   ETCD_UNIT  path of etcd's unit
#   "$@" is public files of which the text is wanted
LC_ALL=C
export LC_ALL
echo "mark=$(cat /var/lib/quorate/kubeadm.state 2>/dev/null)"
for f in /etc/kubernetes/admin.conf /etc/keepalived/keepalived.conf /etc/haproxy/haproxy.cfg /var/lib/quorate/keepalived.sha256 /var/lib/quorate/haproxy.sha256 /etc/kubernetes/quorate-aside/*; do
	[ ! -e "$f" ] || echo "there=$f"
done
dir=
if [ -r "$ETCD_UNIT" ]; then
	while read -r word _; do # an argument a line
		case "$word" in --data-dir=*) dir=${word#--data-dir=} ;; esac
	done <"$ETCD_UNIT"
fi
if [ -n "$dir" ]; then
	for f in "$dir"/member/wal/*; do
		[ ! -e "$f" ] || { echo "data=$dir"; break; }
	done
fi
# One program for all files: a line is the path, a colon, and the file's line.
grep '' /etc/kubernetes/manifests/etcd.yaml /etc/kubernetes/manifests/kube-*.yaml "$ETCD_UNIT" "$@" /dev/null 2>/dev/null
# Of files that hold secrets too, a line that is none.
grep -E '^ *server: ' /etc/kubernetes/kubelet.conf /dev/null 2>/dev/null
grep -E '^ *(directory|criSocket): ' /etc/kubernetes/kubeadm-init.yaml /etc/kubernetes/kubeadm-join.yaml /dev/null 2>/dev/null
grep -xE 'etcd|kubelet|kube-apiserver|kube-controller|kube-scheduler|kube-proxy|keepalived|haproxy' /proc/[0-9]*/comm /dev/null 2>/dev/null | while IFS=: read -r comm name; do
	echo "process=$name"
	# NULs stay between the arguments: a shell would drop them.
	printf 'cmdline='
	cat "${comm%comm}cmdline" 2>/dev/null
	echo
done
exit 0
