#!/bin/sh
set -eu
systemctl daemon-reload
systemctl enable etcd.service
systemctl start --no-block etcd.service
# once it runs on the other masters too
(set -a && . /etc/etcd.env && etcdctl endpoint health)
systemctl enable keepalived.service
systemctl restart keepalived.service
kubeadm init --config /etc/kubernetes/kubeadm-init.yaml --skip-token-print
