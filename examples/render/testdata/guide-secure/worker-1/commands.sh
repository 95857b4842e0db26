#!/bin/sh
set -eu
kubeadm join --config /etc/kubernetes/kubeadm-join.yaml
