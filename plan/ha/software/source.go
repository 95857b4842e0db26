package software

import (
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
)

// Source is where hosts get what etcd, keepalived and kubeadm need:
// Present, Packages, Pushed, or a type of one's own.
type Source interface {
	// Prepare returns the work for one node, in the order in which it is done.
	// It reads nothing from the host. An *quorate.InvalidError holds everything
	// that is wrong with the prerequisites, whichever node is asked for.
	Prepare(c quorate.Cluster, n quorate.Node) ([]Preparation, error)
}

// Preparation is one piece of making a host ready; it becomes a step.
type Preparation struct {
	// Name is unique among the node's preparations: "packages".
	Name string
	// Title says in a few words what it is for.
	Title string
	// Timeout of the step; 0 means that of plan.Step.
	Timeout time.Duration
	Action  plan.Action
}

// Present takes the hosts as they are: it checks that everything is there, in
// the right versions, and installs nothing. What versions the programs told is kept in
// /var/lib/quorate/versions-binaries, and asked for again when one of their files is
// another. It is the default.
type Present struct{}

// Prepare returns the check of the programs, and sees to it that the runtime
// runs, with the kubelet's cgroup driver.
func (Present) Prepare(c quorate.Cluster, n quorate.Node) ([]Preparation, error) {
	return append([]Preparation{checkPrograms(c, n)}, runtime(c)...), nil
}

// criRuntime is a container runtime as distributions package it.
type criRuntime struct{ Unit, pkg string }

// RuntimeOf follows from the CRI socket. One that Quorate does not know is left
// to whoever set it up: then the criRuntime is zero.
func RuntimeOf(c quorate.Cluster) criRuntime {
	switch socket := c.Kubeadm.CRISocket; {
	case strings.Contains(socket, "containerd"):
		return criRuntime{Unit: "containerd.service", pkg: "containerd"}
	case strings.Contains(socket, "crio"):
		return criRuntime{Unit: "crio.service", pkg: "cri-o"}
	case quorate.IsDockershim(socket):
		return criRuntime{Unit: "docker.service"} // packaged under many names
	}
	return criRuntime{}
}

// runtime returns the runtime's preparations: that it runs, and how.
func runtime(c quorate.Cluster, files ...quorate.File) []Preparation {
	out := []Preparation{services(c, files...)}
	if check, needed := checkCgroupDriver(c); needed {
		out = append(out, check)
	}
	return out
}

// services starts the container runtime, with these files of its
// configuration, and enables the kubelet, which kubeadm starts.
func services(c quorate.Cluster, files ...quorate.File) Preparation {
	var units []plan.Unit
	if r := RuntimeOf(c); r.Unit != "" {
		units = append(units, plan.Unit{Name: r.Unit})
	}
	return Preparation{
		Name: "services", Title: "run the container runtime",
		Action: plan.Deploy{
			Name: "services", Files: files,
			Units: append(units, plan.Unit{Name: "kubelet.service", EnableOnly: true}),
		},
	}
}

// The preparations that check programs.
const (
	Binaries       = "binaries"
	BinariesOfEtcd = "etcd"
)

// checkPrograms checks versions, after whatever installs them.
func checkPrograms(c quorate.Cluster, n quorate.Node) Preparation {
	needed := []program{
		kubernetesProgram("kubeadm", "version -o short", c.Version),
		kubernetesProgram("kubelet", "--version", c.Version),
		kubernetesProgram("kubectl", "version --client", c.Version),
		{name: "curl", command: "curl", args: "--version", install: "install it: the API server's health is asked with it"},
	}
	if n.Role == quorate.ControlPlane {
		if !c.Etcd.Stacked {
			needed = append(needed, etcdProgram(c.Etcd))
		}
		if !c.Endpoint.External {
			needed = append(needed, program{name: "keepalived", command: "keepalived", args: "--version",
				install: "install it, or use an external endpoint"})
		}
		if c.Endpoint.LoadBalancer == quorate.HAProxy {
			needed = append(needed, haproxyProgram())
		}
	}
	return Preparation{Name: Binaries, Title: "check installed versions", Action: programs{Binaries, needed}}
}
