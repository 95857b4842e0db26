package plan

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/vip"
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
// the right versions, and installs nothing. It is the default.
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

// checkPrograms checks versions, after whatever installs them.
func checkPrograms(c quorate.Cluster, n quorate.Node) Preparation {
	needed := programs{
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
	return Preparation{Name: "binaries", Title: "check installed versions", Action: needed}
}

// program is one that a host must have.
type program struct {
	name string
	// command is looked up in PATH unless it is a path; with args it prints its
	// version in its first line.
	command, args string
	// install says what to do when it is not there.
	install string
	// judge finds fault with the first line; nil takes any version.
	judge func(line string) (HostFault, bool)
}

func kubernetesProgram(name, args string, want quorate.Version) program {
	return program{
		name: name, command: name, args: args,
		install: "install " + want.String(),
		judge: func(line string) (HostFault, bool) {
			have, err := printedVersion(line)
			if err != nil {
				return HostFault{fmt.Sprintf("%s gives its version as %q", name, line), "install " + want.String()}, true
			}
			return HostFault{name + " is " + have.String(), "install " + want.String() + ", the version of the cluster"}, have != want
		},
	}
}

func etcdProgram(e quorate.Etcd) program {
	atLeast := "etcd " + e.Version.String() + " or later"
	return program{
		name: "etcd", command: e.Binary, args: "--version",
		install: "put " + atLeast + " there (from the archive of its release, by Pushed, or by the distribution's package in " +
			"Packages.Etcd), or set etcd.binary to where it is",
		judge: func(line string) (HostFault, bool) {
			have, err := printedVersion(line)
			if err != nil {
				return HostFault{fmt.Sprintf("%s gives its version as %q", e.Binary, line), "put " + atLeast + " there"}, true
			}
			return HostFault{e.Binary + " is etcd " + have.String(), "put " + atLeast + " there"}, have.Compare(e.Version) < 0
		},
	}
}

// haproxyVersion is in the first line of haproxy -v: "HAProxy version
// 2.6.12-1+deb12u2 2025/04/16 - https://haproxy.org/", with "HA-Proxy" before 2.4.
var haproxyVersion = regexp.MustCompile(`^HA-?Proxy version (\d+)\.(\d+)`)

func haproxyProgram() program {
	atLeast := fmt.Sprintf("haproxy %d.%d or later", vip.MinHAProxyMajor, vip.MinHAProxyMinor)
	return program{
		name: "haproxy", command: "haproxy", args: "-v",
		install: "install " + atLeast + ", or leave endpoint.loadBalancer out",
		judge: func(line string) (HostFault, bool) {
			m := haproxyVersion.FindStringSubmatch(line)
			if m == nil {
				return HostFault{fmt.Sprintf("haproxy gives its version as %q", line), "install " + atLeast}, true
			}
			major, _ := strconv.Atoi(m[1]) // digits; one out of range is a later version
			minor, _ := strconv.Atoi(m[2])
			old := cmp.Or(cmp.Compare(major, vip.MinHAProxyMajor), cmp.Compare(minor, vip.MinHAProxyMinor)) < 0
			return HostFault{"haproxy is " + m[1] + "." + m[2], "install " + atLeast + ", or leave endpoint.loadBalancer out"}, old
		},
	}
}

// gitVersion is where kubectl before 1.28 puts its version, in the middle of a
// line: Client Version: version.Info{Major:"1", ..., GitVersion:"v1.10.4", ...}.
var gitVersion = regexp.MustCompile(`GitVersion:"([^"]+)"`)

// printedVersion reads the last word, where kubeadm, kubelet, kubectl and etcd
// put it: "Kubernetes v1.37.2", "Client Version: v1.37.2", "etcd Version: 3.6.16".
func printedVersion(line string) (quorate.Version, error) {
	if m := gitVersion.FindStringSubmatch(line); m != nil {
		return quorate.ParseVersion(m[1])
	}
	return quorate.ParseVersion(line[strings.LastIndexByte(line, ' ')+1:])
}

// fault says what is wrong with a program on a host where it printed line.
func (p program) fault(line string, there bool) (HostFault, bool) {
	if !there {
		where := ""
		if strings.HasPrefix(p.command, "/") {
			where = " at " + p.command
		}
		return HostFault{p.name + " is not installed" + where, p.install}, true
	}
	if p.judge == nil {
		return HostFault{}, false
	}
	return p.judge(line)
}

// programs has only a Check: it refuses a host that lacks one of them.
type programs []program

// versionsScript prints what is installed in one round trip. The arguments are
// name, command and the command's arguments, three for each program.
const versionsScript = `# which versions are installed?
while [ "$#" -ge 3 ]; do
	if command -v "$2" >/dev/null 2>&1; then
		echo "$1=$("$2" $3 2>&1 | head -n 1)"
	fi
	shift 3
done
`

func (ps programs) query() []string {
	var args []string
	for _, p := range ps {
		args = append(args, p.name, p.command, p.args)
	}
	return script(versionsScript, args...)
}

// Check gives every missing or unsuitable program at once in a *HostError.
func (ps programs) Check(ctx context.Context, h *Host) (Diff, error) {
	out, err := h.Run(ctx, ps.query()...)
	if err != nil {
		return nil, err
	}
	found := fields(out)
	var faults []HostFault
	for _, p := range ps {
		line, there := found[p.name]
		if fault, wrong := p.fault(line, there); wrong {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		return nil, &HostError{Host: h.Name, Faults: faults}
	}
	return nil, nil
}

// Apply is never called: Check finds either nothing or an error.
func (programs) Apply(context.Context, *Host, Diff) error { return nil }

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
