package survey

import (
	"strings"

	"github.com/quorate-dev/quorate/internal/termsafe"
)

// Class says what becomes of a change to a field in the description of a cluster that
// runs.
type Class string

// The classes.
const (
	// ByRun: a run of the plan that creates clusters brings it about.
	ByRun Class = "run"
	// ByOther: the run refuses; another verb, or another procedure, brings it about.
	ByOther Class = "other"
	// Fixed: the run refuses; it cannot be changed while the cluster runs.
	Fixed Class = "fixed"
	// Unstored: it says how the operator or kubeadm works, and nothing of it is kept in
	// a running cluster.
	Unstored Class = "unstored"
)

// Field is one field of a description, and whatever is below it.
type Field struct {
	// Path as a cluster file writes it, without indices: "nodes.labels".
	Path  string
	Class Class
	// Do says how to come to the other value; empty for ByRun and Unstored.
	Do string
	// By is the other verb that brings it about, Reconfigure or empty.
	By string
}

// Reconfigure is the verb of ha.Cluster.PlanReconfigure, in a Field and a Next.
const Reconfigure = "reconfigure"

// reconfigured is a field that ha.Cluster.PlanReconfigure brings about.
func reconfigured(path string) Field {
	return Field{Path: path, Class: ByOther, By: Reconfigure, Do: "reconfigure the cluster (PlanReconfigure), or describe what runs; then run again"}
}

const (
	byKubeadm = "change it as kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-reconfigure describes (the ConfigMap and each host), " +
		"or describe what runs; then run again"
	rebuild  = "describe what runs; another value needs another cluster"
	newHosts = "describe what runs; for another value reset the node by that description (PlanReset), then describe the new value and run again"
	leaves   = "describe it again as it was, reset it by that description (PlanReset), then remove it from the description; " +
		"if its host is gone for good, have it replaced or removed (PlanReplace)"
)

// Fields returns every field of a description (quorate.Cluster), in its order. A change to a
// field is refused, where it is, before anything is done to any host.
func Fields() []Field {
	return []Field{
		{"name", Fixed, rebuild, ""},
		{"version", ByOther, "upgrade with kubeadm upgrade, one minor at a time, control planes one after another, or describe the version that runs; then run again", ""},
		{"endpoint.host", Fixed, "certificates, kubelets and every kubeconfig name it: " + rebuild, ""},
		{"endpoint.port", Fixed, "kubelets and every kubeconfig name it: " + rebuild, ""},
		{"endpoint.external", Fixed, "keepalived and a load balancer of your own would both answer: describe what runs", ""},
		{"endpoint.loadBalancer", Fixed, "the API servers' port changes with it: describe what runs", ""},
		reconfigured("endpoint.vip.checkInterval"),
		reconfigured("endpoint.vip.checkTimeout"),
		reconfigured("endpoint.vip.fall"),
		{"endpoint.vip", ByRun, "", ""},
		{"pods", Fixed, "pods have addresses of it: " + rebuild, ""},
		{"services", Fixed, "Services have addresses of it: " + rebuild, ""},
		{"dnsDomain", Fixed, "every pod that runs resolves by it: " + rebuild, ""},
		{"nodes.name", ByOther, "a node under another name is another node: " + leaves, ""},
		{"nodes.role", ByOther, newHosts, ""},
		{"nodes.addresses", ByOther, newHosts, ""},
		{"nodes.ssh", Unstored, "", ""},
		{"nodes.interface", ByRun, "", ""},
		reconfigured("nodes.labels"),
		reconfigured("nodes.taints"),
		{"nodes", ByOther, leaves, ""},
		{"allowEvenControlPlanes", Unstored, "", ""},
		{"etcd.stacked", Fixed, "the data is where it is: " + rebuild, ""},
		{"etcd.plainHTTP", Fixed, "members and API servers reach each other by it: " + rebuild, ""},
		{"etcd.version", ByOther, "upgrade etcd on the hosts, one member after another, one minor at a time; then run again", ""},
		{"etcd.dataDir", Fixed, "every member would start empty: describe the directory that holds the data, or mount the other disk there", ""},
		{"etcd.clientPort", Fixed, "API servers ask there: " + rebuild, ""},
		{"etcd.peerPort", Fixed, "members know each other by it: " + rebuild, ""},
		{"etcd", ByRun, "", ""},
		{"kubeadm.apiVersion", Unstored, "", ""},
		{"kubeadm.ignorePreflightErrors", Unstored, "", ""},
		{"kubeadm.timeouts", Unstored, "", ""},
		{"kubeadm.criSocket", ByOther, "drain the node, " + newHosts, ""},
		reconfigured("kubeadm.certSANs"),
		reconfigured("kubeadm.apiServerArgs"),
		reconfigured("kubeadm.controllerManagerArgs"),
		reconfigured("kubeadm.schedulerArgs"),
		reconfigured("kubeadm.apiServerVolumes"),
		reconfigured("kubeadm.controllerManagerVolumes"),
		reconfigured("kubeadm.schedulerVolumes"),
		reconfigured("kubeadm.apiServerEnv"),
		reconfigured("kubeadm.controllerManagerEnv"),
		reconfigured("kubeadm.schedulerEnv"),
		reconfigured("kubeadm.kubelet"),
		reconfigured("kubeadm.kubeProxy"),
		{"kubeadm", ByOther, byKubeadm, ""},
	}
}

// FieldOf returns the field that a path is of: the longest that it is at or below. Indices
// and keys are left out: "nodes[2].labels" is of "nodes.labels".
func FieldOf(path string) (Field, bool) {
	plain := withoutIndices(path)
	var found Field
	for _, f := range Fields() {
		if (plain == f.Path || strings.HasPrefix(plain, f.Path+".")) && len(f.Path) > len(found.Path) {
			found = f
		}
	}
	return found, found.Path != ""
}

func withoutIndices(path string) string {
	var b strings.Builder
	depth := 0
	for _, r := range path {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case depth == 0:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Store is where a setting was read.
type Store string

// The stores: what kubeadm keeps in the API, what is on hosts, and what processes were
// started with.
const (
	InAPI     Store = "api"
	InFile    Store = "file"
	InProcess Store = "process"
)

// Difference is a field of which a running cluster has another value.
type Difference struct {
	// Path of the field: "kubeadm.apiServerArgs[audit-log-maxage]", "nodes[2].labels[zone]".
	Path  string `json:"path"`
	Class Class  `json:"class"`
	// Store is where the other value was read, and Hosts on which hosts; none for the API.
	Store Store    `json:"store"`
	Hosts []string `json:"hosts,omitempty"`
	// Described and Running are the values; empty for none, and for what may be a secret.
	Described string `json:"described,omitempty"`
	Running   string `json:"running,omitempty"`
	// Do says how to come to the described value, or why one cannot.
	Do string `json:"do,omitempty"`
}

// String returns `kubeadm.apiServerArgs[v] (file on cp-1): "4" is described, "2" runs: change ...`.
func (d Difference) String() string { return message(d.Path, d.place(), d.Described, d.Running, d.Do) }

func (d Difference) place() string {
	if len(d.Hosts) == 0 {
		return string(d.Store)
	}
	return string(d.Store) + " on " + strings.Join(d.Hosts, ", ")
}

func message(path, place, described, running, do string) string {
	s := path + " (" + place + "): " + quoted(described) + " is described, "
	if running == "" {
		s += "the cluster has none"
	} else {
		s += quoted(running) + " runs"
	}
	if do != "" {
		s += ": " + do
	}
	return termsafe.Line(s)
}

// shownValue bounds a value in a message.
const shownValue = 120

func quoted(s string) string {
	switch s {
	case "":
		return "nothing"
	case someValue:
		return "a value that is not shown"
	}
	return `"` + termsafe.Cut(termsafe.Line(s), shownValue, "...") + `"`
}
