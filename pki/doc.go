// Package pki makes and keeps the certificates of one cluster: the authorities
// of etcd, of Kubernetes and of its aggregation layer, the service accounts'
// key pair, and the leaves that etcd's members and clients present.
//
// New makes a Bundle from a cluster description. Bundle.Store returns it as files
// to keep somewhere safe, and Load makes it again from them, issuing only what
// is missing, no longer fits its node or is about to expire. Bundle.EtcdMember
// and Bundle.ControlPlane return what belongs on each host, and Bundle.EtcdClient
// what a program needs to talk to etcd itself.
//
//	store                                   on the hosts
//	etcd/ca.crt, ca.key                     /etc/etcd/pki/ca.crt, /etc/kubernetes/pki/etcd/ca.crt
//	kubernetes/ca.crt, ca.key               /etc/kubernetes/pki/ca.crt, ca.key
//	front-proxy/ca.crt, ca.key              /etc/kubernetes/pki/front-proxy-ca.crt, .key
//	service-account/sa.pub, sa.key          /etc/kubernetes/pki/sa.pub, sa.key
//	operator/etcd-client.crt, .key          nowhere
//	nodes/NODE/etcd-server.crt, .key        /etc/etcd/pki/server.crt, .key
//	nodes/NODE/etcd-peer.crt, .key          /etc/etcd/pki/peer.crt, .key
//	nodes/NODE/apiserver-etcd-client.*      /etc/kubernetes/pki/apiserver-etcd-client.crt, .key
//
// The key of etcd's authority is on no host: leaves are issued here and only
// they travel. Stacked members (quorate.Etcd.Stacked) are the exception: kubeadm
// issues their leaves on the hosts, so etcd/ca.key is beside etcd/ca.crt in
// /etc/kubernetes/pki/etcd there, and the store has no nodes. The keys of the two Kubernetes authorities are on every control
// plane, since kubeadm issues its own leaves there with them.
//
// Everything is pure: no file is read or written, nothing is printed, and with
// the same store, clock and randomness the same bytes come out. A chain, its
// names, usages, lifetimes and keys are verified before New or Load returns.
//
// Certificates are made by cfssl's requests and policy, none of whose types
// appear here; CFSSL exports the same as cfssl's own JSON. Importing this package
// changes nothing in the program: no logger, no flag, no handler.
package pki
