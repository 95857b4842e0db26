# report in what state the host is
#
#   API_URL   of this host's API server, empty on a worker
#   VIP_URL   of the cluster's endpoint
#   READY     the path where an API server says that it is ready
#   ETCD      the path of etcd's program
LC_ALL=C
export LC_ALL
addresses
for u in containerd etcd haproxy keepalived kubelet; do echo "unit=$u $(systemctl is-active "$u.service" 2>/dev/null)"; done
echo "version=kubelet $(kubelet --version 2>/dev/null)"
echo "version=kubeadm $(kubeadm version -o short 2>/dev/null)"
if [ -n "$API_URL" ]; then
	echo "version=etcd $("$ETCD" --version 2>/dev/null | head -n 1)"
	echo "ready=$(curl --silent --insecure --connect-timeout 2 --max-time 5 "$API_URL$READY" 2>/dev/null | head -c 40)"
fi
echo "endpoint=$(curl --silent --insecure --connect-timeout 2 --max-time 5 "$VIP_URL$READY" 2>/dev/null | head -c 40)"
for f in /etc/kubernetes/tmp/* /etc/kubernetes/quorate-aside/* /etc/kubernetes/bootstrap-kubelet.conf /etc/systemd/system/etcd.service.d/50-quorate-join.conf; do
	[ ! -e "$f" ] || echo "left=$f"
done
if [ -n "$API_URL" ] && [ -e /etc/kubernetes/admin.conf ]; then
	for c in kube-apiserver kube-controller-manager kube-scheduler; do
		[ -e "/etc/kubernetes/manifests/$c.yaml" ] || echo "aside=$c"
	done
fi
grep '' /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt /etc/etcd/pki/*.crt /dev/null 2>/dev/null
# The certificates in kubeconfigs, and none of their keys.
grep -E '^ *client-certificate-data: ' /etc/kubernetes/admin.conf /etc/kubernetes/controller-manager.conf /etc/kubernetes/scheduler.conf /etc/kubernetes/super-admin.conf /dev/null 2>/dev/null
# How keepalived is set, without its password.
[ -z "$API_URL" ] || grep -E '^ *(interface|virtual_router_id|advert_int|unicast_src_ip|weight|rise|[0-9a-fA-F.:]+/[0-9]+ dev) ?' /etc/keepalived/keepalived.conf /dev/null 2>/dev/null
exit 0
