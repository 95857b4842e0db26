package build

import (
	"embed"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Versions of what is built from Go modules.
type Versions struct {
	Kubernetes, Etcd, Containerd, CoreDNS string
}

// Default is what the lab runs. CoreDNS is the version that kubeadm of this
// Kubernetes requires; etcd is the newest 3.6.
var Default = Versions{
	Kubernetes: "v1.37.2",
	Etcd:       "v3.6.16",
	Containerd: "v2.4.2",
	CoreDNS:    "v1.14.6",
}

// unit is one set of binaries that comes from one module graph.
type unit struct {
	name string
	// require maps module paths to versions.
	require map[string]string
	// staging names the module whose "replace X => ./staging/..." lines become
	// requirements of X at stagingVersion: the published module has them as
	// modules of their own.
	staging, stagingVersion string
	// binaries maps the name of each binary to its main package.
	binaries map[string]string
	ldflags  []string
	// source is a program of this package instead of a module.
	source string
}

func units(v Versions) ([]unit, error) {
	major, minor, ok := majorMinor(v.Kubernetes)
	if !ok {
		return nil, fmt.Errorf("Kubernetes version %q: want v1.MINOR.PATCH", v.Kubernetes) //nolint:staticcheck // a name
	}
	kubernetes := unit{
		name:           "kubernetes-" + v.Kubernetes,
		require:        map[string]string{"k8s.io/kubernetes": v.Kubernetes},
		staging:        "k8s.io/kubernetes",
		stagingVersion: "v0" + strings.TrimPrefix(v.Kubernetes, "v"+major),
		binaries:       map[string]string{},
	}
	for _, name := range []string{
		"kubeadm", "kubectl", "kubelet",
		"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy",
	} {
		kubernetes.binaries[name] = "k8s.io/kubernetes/cmd/" + name
	}
	// The variables that Kubernetes' own build sets, see its hack/lib/version.sh.
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		kubernetes.ldflags = append(kubernetes.ldflags,
			"-X "+pkg+".gitVersion="+v.Kubernetes, "-X "+pkg+".gitMajor="+major,
			"-X "+pkg+".gitMinor="+minor, "-X "+pkg+".gitTreeState=archive")
	}
	etcd := unit{
		name:     "etcd-" + v.Etcd,
		require:  map[string]string{},
		binaries: map[string]string{"etcd": "go.etcd.io/etcd/server/v3"},
	}
	for _, tool := range []string{"etcdctl", "etcdutl"} {
		etcd.binaries[tool] = "go.etcd.io/etcd/" + tool + "/v3"
	}
	for _, pkg := range etcd.binaries {
		etcd.require[pkg] = v.Etcd
	}
	const containerdModule = "github.com/containerd/containerd/v2"
	containerd := unit{
		name:     "containerd-" + v.Containerd,
		require:  map[string]string{containerdModule: v.Containerd},
		binaries: map[string]string{},
		ldflags:  []string{"-X " + containerdModule + "/version.Version=" + v.Containerd},
	}
	for _, name := range []string{"containerd", "containerd-shim-runc-v2", "ctr"} {
		containerd.binaries[name] = containerdModule + "/cmd/" + name
	}
	coredns := unit{
		name:     "coredns-" + v.CoreDNS,
		require:  map[string]string{"github.com/coredns/coredns": v.CoreDNS},
		binaries: map[string]string{"coredns": "github.com/coredns/coredns"},
	}
	all := []unit{kubernetes, etcd, containerd, coredns}
	for _, program := range []string{"pause", "web"} {
		all = append(all, unit{
			name:     program,
			source:   path.Join("programs", program, "main.go"),
			binaries: map[string]string{program: "."},
		})
	}
	return all, nil
}

// programs are the lab's own, embedded so that the lab need not know where its
// source lies.
//
//go:embed programs/*/main.go
var programs embed.FS

func majorMinor(v string) (major, minor string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(v, "v"), ".")
	if len(parts) != 3 || !strings.HasPrefix(v, "v") {
		return "", "", false
	}
	return parts[0], parts[1], true
}

// goMod is the go.mod of the module that a unit is built in.
func (u unit) goMod(staging []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "module lab.test/%s\n\ngo 1.26.0\n", strings.SplitN(u.name, "-", 2)[0])
	for _, m := range slices.Sorted(maps.Keys(u.require)) {
		fmt.Fprintf(&b, "\nrequire %s %s\n", m, u.require[m])
	}
	for _, m := range staging {
		fmt.Fprintf(&b, "\nreplace %s => %s %s\n", m, m, u.stagingVersion)
	}
	return b.String()
}
