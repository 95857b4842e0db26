package ha

import (
	"context"
	"crypto/tls"

	"github.com/quorate-dev/quorate"
)

// Certs is where a plan takes certificates from. *pki.Bundle is one; a program with
// its own authority (Vault, an HSM) writes another, tests it with
// plan/ha/certstest, and does not link cfssl.
//
// New calls it for everything, twice, and refuses what would fail on the hosts or
// later, every problem at once:
//
//   - a file that is missing, outside its directory, or there twice; modes by which
//     others could write it or read a key, and keys that are not Sensitive
//   - a key that does not fit its certificate, or sa.pub that does not fit sa.key
//   - authorities, or the service accounts' key, that are not the same on every
//     control plane
//   - a leaf that does not hold for who has etcd's trust file, lacks a usage, or does
//     not answer to its node's address
//   - authorities that are one, or of which one has issued another
//   - the key of etcd's authority, except where stacked members need it
//   - hashes that are not those of the Kubernetes authority
//   - a second answer that is not the first
//
// Until when certificates are valid is not among it: preflight and renewal look.
//
// The files are ordered and do not change until certificates are renewed: issue
// once and keep them. A node that is no control plane is an error. All methods may
// be called concurrently and stop when ctx ends; its error may be wrapped. What
// they return is the caller's.
type Certs interface {
	// EtcdMember returns what a node's etcd member needs in /etc/etcd/pki: ca.crt,
	// server.crt and .key, peer.crt and .key; no files with stacked members. The key
	// of etcd's authority is never among it: it travels only where kubeadm runs
	// stacked members and signs for them itself, see ControlPlane.
	EtcdMember(ctx context.Context, node string) ([]quorate.File, error)
	// ControlPlane returns what a control plane needs in /etc/kubernetes/pki before
	// kubeadm runs: ca.crt and .key, front-proxy-ca.crt and .key, sa.key and .pub,
	// etcd/ca.crt, apiserver-etcd-client.crt and .key; with stacked members
	// etcd/ca.key in the place of the last two.
	ControlPlane(ctx context.Context, node string) ([]quorate.File, error)
	// CAHashes are the discovery hashes of the Kubernetes authority's
	// certificates: kubeadm.CAHashes of ca.crt.
	CAHashes(ctx context.Context) ([]string, error)
	// EtcdClient is the operator's own client certificate for etcd, with RootCAs and
	// without ServerName.
	EtcdClient(ctx context.Context) (*tls.Config, error)
}
