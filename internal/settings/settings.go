// Package settings classes every setting of the components that a description
// makes for all hosts at once: whether one value can suit all of them, and what
// it must agree with. A test of package kubeadm holds the names against the
// generated tables: what is new there must be classed here.
package settings

import (
	"maps"
	"slices"
	"strings"
)

// Class of a setting.
type Class int

const (
	// Unknown is a name that no release has; package kubeadm refuses it.
	Unknown Class = iota
	// Plain values suit every host alike, or depend on hosts being alike.
	Plain
	// Elsewhere is what another part of the description decides; package kubeadm
	// refuses it, and names that part.
	Elsewhere
	// PerHost values belong to one host, whatever they are.
	PerHost
	// ListenPublic is an address to listen on for other hosts.
	ListenPublic
	// ListenAny is an address to listen on for this host at least.
	ListenAny
	// ListenAnyPort is ListenAny with a port.
	ListenAnyPort
	// Port must be one, and nobody else's.
	Port
	// PortOrOff may also be 0.
	PortOrOff
	// ProbePort is a port that kubeadm's probes use and that cannot be changed there.
	ProbePort
	// InsecurePort is one without TLS, which kubeadm's probes used until 1.16.
	InsecurePort
	// KubeletPort must be the kubelet's.
	KubeletPort
	// NodePorts is the range of Services' own ports on every host.
	NodePorts
	// OwnFile is a file of kubeadm's, at the path that Table.File returns: what it
	// writes into others trusts it, and Quorate renews it.
	OwnFile
	// InputFile is a file, or several, that the component reads when it starts and that
	// its pod must have.
	InputFile
	// OwnName is a name by which others find the API.
	OwnName
	// Controllers are those of the controller manager that run.
	Controllers
	// Ends has the component exit after another work than its own.
	Ends
	// On must not be turned off.
	On
	// Off must not be turned on.
	Off
	// ClusterDNS are addresses of services.
	ClusterDNS
	// NodeRanges are ranges of which every host needs an address.
	NodeRanges
	// ControlPlanes is how many there are.
	ControlPlanes
	// OneFamily is for clusters of one family of addresses.
	OneFamily
)

// Table has the class of each setting of one component. Fields are paths: .name
// for a field, [] for a list's items, {} for a map's values.
type Table struct {
	classes map[string]Class
	files   map[string]string
}

// File is the path of an OwnFile.
func (t Table) File(name string) string { return t.files[name] }

// Class of a setting.
func (t Table) Class(name string) Class { return t.classes[name] }

// Names of all settings, sorted.
func (t Table) Names() []string { return slices.Sorted(maps.Keys(t.classes)) }

// table adds the plain names to the others.
func table(classes map[string]Class, plain string) Table {
	for name := range strings.FieldsSeq(plain) {
		classes[name] = Plain
	}
	return Table{classes: classes}
}

// with adds the files of kubeadm's own.
func (t Table) with(files map[string]string) Table {
	for name := range files {
		t.classes[name] = OwnFile
	}
	t.files = files
	return t
}

// inputs adds the files that are read at the start.
func (t Table) inputs(names string) Table {
	for name := range strings.FieldsSeq(names) {
		t.classes[name] = InputFile
	}
	return t
}

// The tables, made once.
var (
	KubeletFields         = newKubeletFields()
	KubeProxyFields       = newKubeProxyFields()
	APIServerArgs         = newAPIServerArgs()
	ControllerManagerArgs = newControllerManagerArgs()
	SchedulerArgs         = newSchedulerArgs()
)
