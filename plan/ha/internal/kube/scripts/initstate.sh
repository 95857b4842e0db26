# was this host initialised?
#
#   API_URL          of this host's API server
#   ENDPOINT_HEALTH  URL; empty on a host where the endpoint may answer already, since another was initialised before
#   NODE             the name of this host
#   LABEL            of a control plane's node, which is the last thing that kubeadm sets
#   ANYWAY           if set, the API server is asked although an earlier run has seen kubeadm complete
mark=$(cat /var/lib/quorate/kubeadm.state 2>/dev/null)
echo "mark=$mark"
if grep -qx kubeadm /proc/[0-9]*/comm 2>/dev/null; then echo running=yes; fi
if ! [ -e /etc/kubernetes/admin.conf ] && ! [ -e /etc/kubernetes/kubelet.conf ] && ! [ -e /etc/kubernetes/manifests/kube-apiserver.yaml ]; then
	if [ -n "$ENDPOINT_HEALTH" ] && curl --silent --insecure --connect-timeout 1 --max-time 2 "$ENDPOINT_HEALTH" 2>/dev/null | grep -q '^ok'; then
		echo state=taken
		if curl --silent --cacert /etc/kubernetes/pki/ca.crt --connect-timeout 1 --max-time 2 "$ENDPOINT_HEALTH" 2>/dev/null | grep -q '^ok'; then echo ours=yes; fi
	else
		echo state=absent
	fi
	exit 0
fi
if [ "$mark" = "done" ] && [ -z "$ANYWAY" ]; then
	echo state=marked
	exit 0
fi
ask() { kubectl --kubeconfig /etc/kubernetes/admin.conf --server "$API_URL" --request-timeout=10s "$@" 2>&1; }
if why=$(ask -n kube-public get configmap/cluster-info clusterrolebinding/kubeadm:node-proxier -o name); then
	state="done"
	if [ -z "$ENDPOINT_HEALTH" ] || [ "$mark" = begun ]; then
		why=$(ask get node "$NODE" --show-labels --no-headers)
		case "$why" in
		*"$LABEL"*) ;;
		*) state=partial ;;
		esac
	fi
else
	state=partial
fi
echo "state=$state"
if [ "$state" = partial ]; then
	echo "why=$(printf '%s' "$why" | tail -n 1)"
	case "$why" in
	*"Error from server (NotFound)"* | "$NODE "*) echo final=yes ;;
	*) systemctl is-active kubelet.service >/dev/null 2>&1 || echo final=yes ;;
	esac
fi
