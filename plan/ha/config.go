package ha

import (
	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/software"
)

// Config is everything that goes into a highly available cluster. Nothing in
// it comes from a host: authorities, tokens and hashes are made beforehand, so
// no step hands a value to a later one.
type Config struct {
	Cluster quorate.Cluster
	// Certs is where the certificates come from. Required.
	Certs Certs
	// Secrets of kubeadm: the bootstrap token, and how long it is valid. While a
	// node has yet to join, a token that has expired, or would within two hours
	// (half of a shorter life), is made again; use the same one in every run. The
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
	// Name is unique among the manifests: "flannel". Required.
	Name    string
	Content quorate.Content
}
