package preflight

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
)

// Names of the checks of what is on a host: its container runtime, and what others
// have left.
const (
	Runtime      plan.Check = "runtime"
	Cgroup       plan.Check = "cgroup"
	CgroupDriver plan.Check = "cgroup-driver"
	Leftovers    plan.Check = "leftovers"
	Port         plan.Check = "port"
)

func runtimeChecks() []Check {
	return []Check{
		{
			Name: Runtime, Severities: []quorate.Severity{quorate.Refused}, needs: []fact{factRuntime},
			Finds: "The container runtime of the CRI socket is not installed, and the recipe does not bring it (`Present`)",
			judge: each(func(v view, h hostFacts) []plan.Finding {
				if h.facts.runtime != "no" {
					return nil
				}
				return one(quorate.Refused, v.Runtime+" is not installed, the container runtime of "+v.Cluster.Kubeadm.CRISocket,
					"install it, have it installed (Prerequisites: Packages), or set kubeadm.criSocket to the runtime's that is there")
			}),
		},
		{
			Name: Cgroup, Severities: []quorate.Severity{quorate.Refused}, Lenient: true, needs: append([]fact{factCgroup}, ownership...),
			Finds: "cgroup v1 with Kubernetes 1.35 or later, unless `kubelet.failCgroupV1` is false",
			judge: each(func(v view, h hostFacts) []plan.Finding {
				fail, set := v.Cluster.Kubeadm.Kubelet["failCgroupV1"].(bool)
				if h.facts.cgroup != "v1" || !v.Cluster.Version.Has(quorate.CgroupV1Refused) || set && !fail {
					return nil
				}
				return one(v.start(h), "the host has cgroup v1, with which the kubelet does not start from Kubernetes 1.35 on",
					"boot it with systemd.unified_cgroup_hierarchy=1, or set kubeadm.kubelet.failCgroupV1 to false")
			}),
		},
		{
			Name: CgroupDriver, Severities: []quorate.Severity{quorate.Refused, quorate.Warned, quorate.Unchecked}, needs: []fact{factDriver},
			Finds: "Runtime and kubelet manage cgroups by different drivers; a warning from 1.34 on, where the kubelet asks a runtime that can answer",
			judge: each(cgroupDriver),
		},
	}
}

// cgroupDriver judges the container runtime's cgroup driver, where a host was asked
// for it. From 1.34 on the kubelet follows a runtime that answers.
func cgroupDriver(v view, h hostFacts) []plan.Finding {
	want := hostsetup.CgroupDriver(v.Cluster)
	have := v.probes[h.node.Name].driver
	switch have {
	case "", want:
		return nil
	case driverUnknown:
		return one(quorate.Unchecked, "not checked: "+v.Driver+" does not say its cgroup driver", "make sure that it is "+want)
	}
	found := fmt.Sprintf("%s manages cgroups by %s, the kubelet will by %s", v.Driver, have, want)
	do := fmt.Sprintf("set the runtime's configuration to %s, or kubeadm.kubelet.cgroupDriver to %s", want, have)
	if v.Cluster.Version.Has(quorate.CgroupDriverFromRuntime) {
		return one(quorate.Warned, found+" unless the runtime reports it (containerd 2.0, CRI-O 1.28 and later)", do)
	}
	return one(quorate.Refused, found, do)
}

func leftoverChecks() []Check {
	return []Check{
		{
			Name: Leftovers, Severities: []quorate.Severity{quorate.Refused}, needs: append([]fact{factLeft}, ownership...),
			Finds: "kubeconfigs, static pods or data of etcd that another cluster has left",
			judge: each(func(v view, h hostFacts) []plan.Finding {
				kubernetes, member := v.ours(h.node, h.facts)
				var left []string
				for _, path := range h.facts.left {
					of := kubernetes
					if strings.HasPrefix(path, v.dataDir(h.node)+"/") {
						of = member
					}
					if !of {
						left = append(left, path)
					}
				}
				if len(left) == 0 {
					return nil
				}
				return one(quorate.Refused, "another cluster has left "+strings.Join(left, " "),
					"if nothing of it is needed, kubeadm reset --force and remove them; if it is this cluster, give its own keys and certificates")
			}),
		},
		{
			Name: Port, Severities: []quorate.Severity{quorate.Refused}, needs: append([]fact{factListen}, ownership...),
			Finds: "Something else listens on 6443, 2379, 2380 (control planes) or 10250",
			judge: each(ports),
		},
	}
}

// ports finds those that something else has. What is this cluster's own is in its place.
func ports(v view, h hostFacts) []plan.Finding {
	kubernetes, member := v.ours(h.node, h.facts)
	type use struct {
		port uint16
		by   string
		own  bool
		at   []netip.Addr
	}
	uses := []use{{10250, "the kubelet", kubernetes, nil}}
	if h.node.Role == quorate.ControlPlane {
		uses = append(uses,
			use{v.APIPorts[h.node.Name], "the API server", kubernetes, nil},
			use{uint16(v.Cluster.Etcd.ClientPort), "etcd's clients", member, h.node.Addresses},
			use{uint16(v.Cluster.Etcd.PeerPort), "etcd's peers", member, h.node.Addresses})
	}
	var found []plan.Finding
	for _, u := range uses {
		if at, taken := h.facts.listener(u.port, u.at...); taken && !u.own {
			found = append(found, finding(quorate.Refused, fmt.Sprintf("%s is in use, which %s need", at, u.by),
				fmt.Sprintf("stop what listens there (ss -ltnp 'sport = :%d')", u.port)))
		}
	}
	return found
}
