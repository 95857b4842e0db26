# wait for the kubelet to register the node
#
#   NODE  the name of this host
tries=300
while [ "$tries" -gt 0 ]; do
	why=$(kubectl --kubeconfig /etc/kubernetes/kubelet.conf --request-timeout=10s get node "$NODE" -o name 2>&1) && exit 0
	tries=$((tries - 1))
	sleep 0.2
done
echo "the kubelet has not registered the node: $why" >&2
exit 1
