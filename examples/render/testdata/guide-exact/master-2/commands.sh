#!/bin/sh
set -eu
cd /etc/kubernetes/pki/etcd
cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=server config.json | cfssljson -bare server
cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=peer config.json | cfssljson -bare peer
systemctl daemon-reload
systemctl enable etcd
systemctl start etcd
etcdctl cluster-health
systemctl restart keepalived
cd /root
kubeadm init --config=config.yaml
