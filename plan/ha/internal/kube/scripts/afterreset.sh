# remove the input of kubeadm
#
#   "$@" is the files of kubeadm's input
set -e
rm -rf /etc/kubernetes/pki /var/lib/kubelet/config.yaml /etc/kubernetes/tmp
rm -f "$@"
systemctl daemon-reload
rm -f /var/lib/quorate/kubeadm.state
