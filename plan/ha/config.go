package ha

import (
	"crypto/tls"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/software"
)

// Certs is where a recipe takes certificates from. *pki.Bundle is one; a
// program with its own authority (Vault, an HSM) writes another and does not
// link cfssl. The files must be the same at every call.
type Certs interface {
	// EtcdMember gives what a node's etcd member needs, as etcd.Paths names it.
	// The etcd CA's key is never among it: it travels only where kubeadm runs
	// stacked members and signs for them itself, see ControlPlane.
	EtcdMember(node string) ([]quorate.File, error)
	// ControlPlane gives what a control plane needs in /etc/kubernetes/pki
	// before kubeadm runs; with stacked members etcd's authority, key and all.
	ControlPlane(node string) ([]quorate.File, error)
	// CAHashes are the discovery hashes of the Kubernetes CA's certificates.
	CAHashes() []string
	// EtcdClient is the operator's own client certificate for etcd.
	EtcdClient() (*tls.Config, error)
}

// Config is everything that goes into a highly available cluster. Nothing in
// it comes from a host: authorities, tokens and hashes are made beforehand, so
// no step hands a value to a later one.
type Config struct {
	Cluster quorate.Cluster
	Certs   Certs
	// Secrets of kubeadm: the bootstrap token, and how long it is valid. While a
	// node has yet to join, a token that has expired, or would within two hours
	// (half of a shorter life), is made anew; give every run the same one. The
	// CertificateKey must be empty: the recipe uploads no certificates.
	Kubeadm kubeadm.Secrets
	// VIPAuth is keepalived's password, of 8 characters (vip.NewAuth). Required
	// for a VIP held by VRRP version 2, not used otherwise: see
	// vip.Instance.Auth.
	VIPAuth quorate.Content
	// Prerequisites default to Present.
	Prerequisites software.Source
	// Manifests are applied in order once the API answers: a pod network,
	// first of all. None leaves the network to files on the hosts.
	Manifests []Manifest
	// Untaint lets ordinary pods run on the control planes.
	Untaint bool
	// IgnorePreflight names checks whose findings stop nothing and are not
	// reported, for hosts that are known to be as they are (docs/preflight.md).
	IgnorePreflight []plan.Check
}

// Manifest is YAML for kubectl apply.
type Manifest struct {
	// Name tells manifests apart: "flannel". Required, unique.
	Name    string
	Content quorate.Content
}
