package software

import (
	"cmp"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
	"github.com/quorate-dev/quorate/plan/ha/internal/hostsetup"
	"github.com/quorate-dev/quorate/transport"
)

// Packages installs with the distribution's package manager: apt-get, dnf or
// yum, whichever the host has, in this order. The repositories that hold the
// packages must be configured on the host, or be among Repositories.
//
// A package is written "name" or "name=version", with the version as the
// package manager writes it and * for anything: "containerd.io=1.7.27-*". A
// host with a later kubeadm, kubelet or kubectl is refused: they are never
// downgraded.
type Packages struct {
	// Repositories are files to put on every host first: a sources list, its
	// key, preferences. A mode of 0 means 0644 unless the content is sensitive,
	// because apt reads keys as a user of its own.
	Repositories []quorate.File
	// Extra are further packages for every node.
	Extra []string
	// Runtime is the container runtime's package. Default: that of the
	// cluster's CRI socket, "containerd" or "cri-o", and none for another.
	Runtime string
	// RuntimeFiles configure the container runtime, which is restarted when
	// they change: /etc/containerd/config.toml. Some packages bring a
	// configuration in which the CRI is off.
	RuntimeFiles []quorate.File
	// Etcd is the package with etcd's server. Default: none, since few
	// distributions carry an etcd that current Kubernetes accepts; then it must
	// be at the cluster's etcd.binary already, which is checked before anything
	// is installed.
	Etcd string
	// Unheld leaves the packages unheld. By default kubeadm, kubelet, kubectl
	// and every package with a version are held, because an unattended
	// upgrade of them breaks the order in which a cluster is upgraded. With
	// apt-get that is apt-mark hold. With dnf and yum it is the exclude= line
	// of the repository's file, which Kubernetes' own instructions have too: a
	// host without one is refused.
	Unheld bool
}

// Prepare returns the installation and the check of what it installed.
func (p Packages) Prepare(c quorate.Cluster, n quorate.Node) ([]Preparation, error) {
	if err := p.problems().Err("packages"); err != nil {
		return nil, err
	}
	var out []Preparation
	if n.Role == quorate.ControlPlane && p.Etcd == "" && !c.Etcd.Stacked {
		out = append(out, Preparation{Name: "etcd", Title: "look for etcd", Action: programs{hostpath.EtcdVersion, []program{etcdProgram(c.Etcd)}}})
	}
	out = append(out,
		Preparation{Name: "packages", Title: "install packages", Timeout: 15 * time.Minute, Action: packages{
			repositories: readable(p.Repositories),
			version:      c.Version,
			wanted:       p.wanted(c, n),
			hold:         !p.Unheld,
		}},
		checkPrograms(c, n),
	)
	return append(out, runtime(c, readable(p.RuntimeFiles)...)...), nil
}

// packageName admits what both families call a package and its version, so
// that neither can be taken for an option.
var packageName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9.+_-]*(=[a-zA-Z0-9*][a-zA-Z0-9.:~+*_-]*)?$`)

func (p Packages) problems() quorate.Problems {
	var problems quorate.Problems
	files := func(field string, files []quorate.File) {
		for i, f := range files {
			if err := transport.ValidatePath(f.Path); err != nil {
				problems.Refuse(fmt.Sprintf("%s[%d].path", field, i), "%v", err)
			}
		}
	}
	name := func(at, name string) {
		switch base := newPackage(name).name; {
		case !packageName.MatchString(name):
			problems.Refuse(at, "%q is no package: write name or name=version", name)
		case slices.Contains(kubernetesPackages(), base):
			problems.Refuse(at, "%s is installed anyhow, at the cluster's version: remove it here", base)
		}
	}
	files("repositories", p.Repositories)
	for i, extra := range p.Extra {
		name(fmt.Sprintf("extra[%d]", i), extra)
	}
	if p.Runtime != "" {
		name("runtime", p.Runtime)
	}
	files("runtimeFiles", p.RuntimeFiles)
	if p.Etcd != "" {
		name("etcd", p.Etcd)
	}
	return problems
}

// wanted are the node's packages, each once: what the user names comes before
// what is needed anyhow.
func (p Packages) wanted(c quorate.Cluster, n quorate.Node) []pkg {
	names := append(slices.Clone(p.Extra), cmp.Or(p.Runtime, hostsetup.RuntimeOf(c).Package))
	if n.Role == quorate.ControlPlane {
		names = append(names, p.Etcd)
		if !c.Endpoint.External {
			names = append(names, "keepalived")
		}
		if c.Endpoint.LoadBalancer == quorate.HAProxy {
			names = append(names, "haproxy")
		}
	}
	var wanted []pkg
	for _, name := range append(names, "curl") {
		w := newPackage(name)
		if w.name != "" && !slices.ContainsFunc(wanted, func(o pkg) bool { return o.name == w.name }) {
			wanted = append(wanted, w)
		}
	}
	// Both families write a pre-release with ~, which sorts before the release,
	// and number their builds of one version after a hyphen.
	version := strings.ReplaceAll(c.Version.Number(), "-", "~") + "-*"
	for _, name := range kubernetesPackages() {
		wanted = append(wanted, pkg{name, version})
	}
	return wanted
}

// kubernetesPackages are installed at exactly the cluster's version.
func kubernetesPackages() []string { return []string{"kubeadm", "kubelet", "kubectl"} }

// readable returns public files without a mode 0644.
func readable(files []quorate.File) []quorate.File {
	files = slices.Clone(files)
	for i := range files {
		if files[i].Mode == 0 && !files[i].Content.IsSensitive() {
			files[i].Mode = 0o644
		}
	}
	return files
}

// pkg is a package and, if it is pinned, the pattern of its version.
type pkg struct{ name, version string }

func newPackage(s string) pkg {
	name, version, _ := strings.Cut(s, "=")
	return pkg{name, version}
}

// String returns it as apt-get takes it.
func (w pkg) String() string { return w.joined("=") }

func (w pkg) joined(by string) string {
	if w.version == "" {
		return w.name
	}
	return w.name + by + w.version
}

// fits reports whether an installed version is the wanted one. The
// distribution's revision may be left open.
func (w pkg) fits(installed string) bool {
	if w.version == "" {
		return true
	}
	whole, _ := path.Match(w.version, installed) // packageName admits no bad pattern
	open, _ := path.Match(w.version+"-*", installed)
	return whole || open
}
