# is anything of kubeadm left here?
#
#   "$@" is further paths to look at
echo "mark=$(cat /var/lib/quorate/kubeadm.state 2>/dev/null)"
if grep -qx kubeadm /proc/[0-9]*/comm 2>/dev/null; then echo running=yes; fi
for f in /etc/kubernetes/*.conf /etc/kubernetes/manifests/*.yaml /etc/kubernetes/pki /var/lib/kubelet/config.yaml "$@"; do
	if [ -e "$f" ]; then
		echo "left=$f"
		exit 0
	fi
done
