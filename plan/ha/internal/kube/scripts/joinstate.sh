# has this host joined?
#
#   NODE   the name of this host
#   ROLE   control-plane or worker
#   LABEL  of a control plane's node, which is the last thing that kubeadm sets
echo "mark=$(cat /var/lib/quorate/kubeadm.state 2>/dev/null)"
if grep -qx kubeadm /proc/[0-9]*/comm 2>/dev/null; then echo running=yes; fi
if ! [ -e /etc/kubernetes/kubelet.conf ] && ! [ -e /etc/kubernetes/bootstrap-kubelet.conf ]; then
	echo state=absent
	exit 0
fi
labels=$(kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout=10s get node "$NODE" --show-labels --no-headers 2>&1)
code=$?
case "$code $ROLE $labels" in
"0 worker "*) echo state=done ;;
"0 control-plane "*"$LABEL"*) echo state=done ;;
*)
	echo state=partial
	echo "why=$(printf '%s' "$labels" | tail -n 1)"
	case "$ROLE $labels" in
	"control-plane $NODE "* | "control-plane "*"Error from server (NotFound)"*) echo final=yes ;;
	*) systemctl is-active kubelet.service >/dev/null 2>&1 || echo final=yes ;;
	esac
	;;
esac
