#!/bin/sh
set -eu
cd /etc/kubernetes/pki/etcd
cfssl gencert -initca ca-csr.json | cfssljson -bare ca -
cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=client client.json | cfssljson -bare client
scp ca.pem ca-key.pem client.pem client-key.pem 10.0.1.11:/etc/kubernetes/pki/etcd/
scp ca.pem ca-key.pem client.pem client-key.pem 10.0.1.12:/etc/kubernetes/pki/etcd/
cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=server config.json | cfssljson -bare server
cfssl gencert -ca=ca.pem -ca-key=ca-key.pem -config=ca-config.json -profile=peer config.json | cfssljson -bare peer
systemctl daemon-reload
systemctl enable etcd
systemctl start etcd
etcdctl cluster-health
systemctl restart keepalived
cd /root
kubeadm init --config=config.yaml
# Then a pod network, and if pods are to run on the masters too:
# kubectl taint nodes --all node-role.kubernetes.io/master-
