package plan

import (
	"context"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
)

// Prerequisites is where hosts get what etcd, keepalived and kubeadm need:
// Present, Packages, Pushed, or a type of one's own.
type Prerequisites interface {
	// Prepare gives the work for one node, in the order in which it is done.
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
	// Timeout of the step; 0 means DefaultTimeout.
	Timeout time.Duration
	Action  Action
}

// Present takes the hosts as they are: it checks that everything is there, in
// the right versions, and installs nothing. What versions the programs told is kept in
// /var/lib/quorate/versions-binaries, and asked for again when one of their files is
// another. It is the default.
type Present struct{}

// Prepare gives the check of the programs, and sees to it that the runtime
// runs, with the kubelet's cgroup driver.
func (Present) Prepare(c quorate.Cluster, n quorate.Node) ([]Preparation, error) {
	return append([]Preparation{checkPrograms(c, n)}, runtime(c)...), nil
}

// criRuntime is a container runtime as distributions package it.
type criRuntime struct{ unit, pkg string }

// runtimeOf follows from the CRI socket. One that Quorate does not know is left
// to whoever set it up: then the criRuntime is zero.
func runtimeOf(c quorate.Cluster) criRuntime {
	switch socket := c.Kubeadm.CRISocket; {
	case strings.Contains(socket, "containerd"):
		return criRuntime{unit: "containerd.service", pkg: "containerd"}
	case strings.Contains(socket, "crio"):
		return criRuntime{unit: "crio.service", pkg: "cri-o"}
	case strings.HasSuffix(socket, "/dockershim.sock"):
		return criRuntime{unit: "docker.service"} // packaged under many names
	}
	return criRuntime{}
}

// runtime gives the runtime's preparations: that it runs, and how.
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
	var units []Unit
	if r := runtimeOf(c); r.unit != "" {
		units = append(units, Unit{Name: r.unit})
	}
	return Preparation{
		Name: "services", Title: "run the container runtime",
		Action: Deploy{
			Name: "services", Files: files,
			Units: append(units, Unit{Name: "kubelet.service", EnableOnly: true}),
		},
	}
}

// The preparations that check programs.
const (
	binaries       = "binaries"
	binariesOfEtcd = "etcd"
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
	return Preparation{Name: binaries, Title: "check installed versions", Action: programs{binaries, needed}}
}

// kernel sets what kubelet and pod networks need of the kernel, now and at
// every boot.
type kernel struct{ settings []setting }

type setting struct{ key, value string }

func newKernel(c quorate.Cluster) kernel {
	var k kernel
	for _, p := range c.Pods {
		if p.Addr().Is4() {
			k.settings = append(k.settings, setting{"net.ipv4.ip_forward", "1"})
		} else {
			k.settings = append(k.settings, setting{"net.ipv6.conf.all.forwarding", "1"})
		}
	}
	return k
}

const sysctlFile = "/etc/sysctl.d/99-quorate.conf"

func (k kernel) file() quorate.File {
	var b strings.Builder
	b.WriteString("# What Kubernetes nodes need to route pods' traffic.\n")
	for _, s := range k.settings {
		b.WriteString(s.key + " = " + s.value + "\n")
	}
	return quorate.File{Path: sysctlFile, Mode: 0o644, Content: quorate.Public([]byte(b.String()))}
}

func (k kernel) query() []string {
	argv := []string{"sysctl"}
	for _, s := range k.settings {
		argv = append(argv, s.key)
	}
	return argv
}

// Check compares the running kernel and the file.
func (k kernel) Check(ctx context.Context, h *Host) (Diff, error) {
	diff, err := fileDiff(ctx, h, []quorate.File{k.file()})
	if err != nil {
		return nil, err
	}
	out, err := h.Run(ctx, k.query()...)
	if err != nil {
		return nil, err
	}
	running := fields([]byte(strings.ReplaceAll(string(out), " = ", "=")))
	for _, s := range k.settings {
		if running[s.key] != s.value {
			diff = append(diff, Change{Verb: "set", Subject: s.key, Detail: running[s.key] + ", want " + s.value})
		}
	}
	return diff, nil
}

// Apply writes the file and loads it.
func (k kernel) Apply(ctx context.Context, h *Host, _ Diff) error {
	if err := h.Write(ctx, asTransport([]quorate.File{k.file()})...); err != nil {
		return err
	}
	_, err := h.Run(ctx, "sysctl", "--load="+sysctlFile)
	return err
}
