# remove what kubeadm was given
#
#   "$@" is files that kubeadm was given
set -e
rm -rf /etc/kubernetes/pki /var/lib/kubelet/config.yaml /etc/kubernetes/tmp
rm -f "$@"
systemctl daemon-reload
rm -f /var/lib/quorate/kubeadm.state
