package software

import (
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
)

// Source brings to hosts what etcd, keepalived and kubeadm need. Present, Packages and
// Pushed are Sources; a program may implement another.
type Source interface {
	// Prepare returns the work for one node, in order, and contacts no host. It fails with
	// an *quorate.InvalidError, which holds every problem of the Source, also those that do not
	// concern this node.
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
// the right versions, and installs nothing. It is the default. The versions that it
// found are kept on the host, in /var/lib/quorate/versions-binaries, and a program is
// started again only when its file has changed.
type Present struct{}

// Prepare returns the check of the programs, and sees to it that the runtime
// runs, with the kubelet's cgroup driver.
func (Present) Prepare(c quorate.Cluster, n quorate.Node) ([]Preparation, error) {
	return append([]Preparation{checkPrograms(c, n)}, runtime(c)...), nil
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
	if r := hostsetup.RuntimeOf(c); r.Unit != "" {
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

// checkPrograms checks versions, after whatever installs them.
func checkPrograms(c quorate.Cluster, n quorate.Node) Preparation {
	needed := []program{
		kubernetesProgram("kubeadm", "version -o short", c.Version),
		kubernetesProgram("kubelet", "--version", c.Version),
		kubernetesProgram("kubectl", "version --client", c.Version),
		{name: "curl", command: "curl", args: "--version", install: "install it: it reads the API server's health"},
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
	return Preparation{Name: "binaries", Title: "check installed versions", Action: programs{hostpath.ProgramVersions, needed}}
}
