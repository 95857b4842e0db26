package preflight

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
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
	// CRIPlugin and SandboxImage are about containerd's configuration.
	CRIPlugin    plan.Check = "cri-plugin"
	SandboxImage plan.Check = "sandbox-image"
	// CNI is about leftover pod networks.
	CNI       plan.Check = "cni"
	Leftovers plan.Check = "leftovers"
	Port      plan.Check = "port"
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
		{
			Name: CRIPlugin, Severities: []quorate.Severity{quorate.Refused}, needs: []fact{factDisabled},
			Finds: "containerd's CRI plugin is disabled, as in the configuration of Docker's packages, by whichever of its names, in the file that systemd starts containerd with or in one that it imports",
			Notes: "Asked of `containerd config dump`, or read from the files where containerd cannot dump them.",
			judge: each(func(v view, h hostFacts) []plan.Finding {
				for _, plugin := range v.probes[h.node.Name].disabled {
					if slices.Contains(criPlugins, plugin) {
						return one(quorate.Refused, "containerd's configuration disables its plugin "+plugin+", without which the kubelet has no runtime",
							"take it out of disabled_plugins in /etc/containerd/config.toml, and restart containerd")
					}
				}
				return nil
			}),
		},
		{
			Name: SandboxImage, Severities: []quorate.Severity{quorate.Warned}, needs: []fact{factSandbox},
			Finds: "The runtime takes the pods' sandbox image from elsewhere than `kubeadm.imageRepository`",
			Notes: "Asked of containerd and CRI-O, if they are on the host. Names that the public registry has had count as one.",
			judge: each(func(v view, h hostFacts) []plan.Finding {
				image, want := v.probes[h.node.Name].sandbox, v.Cluster.Kubeadm.ImageRepository
				if image == "" || repositoryOf(image) == want || slices.Contains(publicRepositories, repositoryOf(image)) && slices.Contains(publicRepositories, want) {
					return nil
				}
				return one(quorate.Warned, "the runtime takes the sandbox image "+image+", not from "+want+" as all others",
					"set it to pause of "+want+" in the runtime's configuration (containerd: sandbox_image, from 2.0 on pinned_images.sandbox; CRI-O: pause_image)")
			}),
		},
	}
}

// criPlugins are the names of containerd's plugin in its configurations' versions 1 to 3.
var criPlugins = []string{"cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"}

// publicRepositories are the names that the registry of all releases has had.
var publicRepositories = []string{quorate.DefaultImageRepository, "k8s.gcr.io", "gcr.io/google_containers", "gcr.io/google-containers"}

// repositoryOf is where an image is from, without its own name and tag.
func repositoryOf(image string) string {
	if at := strings.LastIndexByte(image, '/'); at >= 0 {
		return image[:at]
	}
	return image
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
			Finds: "kubeconfigs, static pods, an authority or data of etcd that another cluster has left",
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
				if _, there := h.facts.texts[KubernetesCA]; there && !kubernetes && len(v.Authorities[h.node.Name][KubernetesCA]) > 0 {
					left = append(left, KubernetesCA)
				}
				if len(left) == 0 {
					return nil
				}
				return one(quorate.Refused, "another cluster has left "+strings.Join(left, " "),
					"if nothing of it is needed, kubeadm reset --force and remove them; if it is this cluster, give its own keys and certificates")
			}),
		},
		{
			Name: CNI, Severities: []quorate.Severity{quorate.Warned}, needs: append([]fact{factCNI}, ownership...),
			Finds: "Configuration of a pod network in /etc/cni/net.d on a host that is not the cluster's yet: the kubelet would use it until the network's own is there",
			judge: each(func(v view, h hostFacts) []plan.Finding {
				kubernetes, _ := v.ours(h.node, h.facts)
				left := slices.DeleteFunc(slices.Clone(h.facts.cni), func(p string) bool { return strings.Contains(path.Base(p), "loopback") })
				if kubernetes || len(left) == 0 {
					return nil
				}
				return one(quorate.Warned, "there is configuration of a pod network: "+strings.Join(left, " "), "remove it unless it is this cluster's: the first file by name is used")
			}),
		},
		{
			Name: Port, Severities: []quorate.Severity{quorate.Refused}, needs: append([]fact{factListen}, ownership...),
			Finds: "Something else listens on a port that the cluster needs: 10250, 10248, 10249, 10256; on control planes the API's, haproxy's (8443), 2379, 2380, 2381, 10257, 10259 (10252 and 10251 before 1.17), where the description has no others",
			judge: each(ports),
		},
	}
}

// ports finds those that something else has. What is this cluster's own is in its place.
func ports(v view, h hostFacts) []plan.Finding {
	kubernetes, member := v.ours(h.node, h.facts)
	var found []plan.Finding
	for _, u := range v.uses(h.node) {
		own := kubernetes
		if u.etcd {
			own = member
		}
		if at, taken := h.facts.listener(u.port, u.at...); u.port > 0 && taken && !own {
			found = append(found, finding(quorate.Refused, fmt.Sprintf("%s is in use, which %s", at, u.by),
				fmt.Sprintf("stop what listens there (ss -ltnp 'sport = :%d')", u.port)))
		}
	}
	return found
}

// use is a port that a node needs, at some of its addresses or at all of them.
type use struct {
	port uint16
	by   string
	etcd bool
	at   []netip.Addr
}

func (v view) uses(n quorate.Node) []use {
	c := v.Cluster
	local := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	uses := []use{
		{port: number(c.Kubeadm.Kubelet["port"], 10250), by: "the kubelet needs"},
		{port: number(c.Kubeadm.Kubelet["healthzPort"], 10248), by: "the kubelet's health needs", at: local},
		{port: number(c.Kubeadm.Kubelet["readOnlyPort"], 0), by: "the kubelet's port for reading needs"},
		{port: portOf(c.Kubeadm.KubeProxy["healthzBindAddress"], 10256), by: "kube-proxy's health needs"},
		{port: portOf(c.Kubeadm.KubeProxy["metricsBindAddress"], 10249), by: "kube-proxy's metrics need", at: local},
	}
	if n.Role != quorate.ControlPlane {
		return uses
	}
	manager, scheduler := 10257, 10259
	if !c.Version.Has(quorate.SecureProbes) {
		manager, scheduler = 10252, 10251
	}
	uses = append(uses,
		use{port: v.APIPorts[n.Name], by: "the API server needs"},
		use{port: number(c.Kubeadm.ControllerManagerArgs["secure-port"], manager), by: "the controller manager needs", at: local},
		use{port: number(c.Kubeadm.SchedulerArgs["secure-port"], scheduler), by: "the scheduler needs", at: local},
		use{port: uint16(c.Etcd.ClientPort), by: "etcd's clients need", etcd: true, at: n.Addresses},
		use{port: uint16(c.Etcd.PeerPort), by: "etcd's peers need", etcd: true, at: n.Addresses},
	)
	if c.Etcd.MetricsPort > 0 {
		uses = append(uses, use{port: uint16(c.Etcd.MetricsPort), by: "etcd's metrics need", etcd: true, at: local})
	}
	if c.Endpoint.LoadBalancer == quorate.HAProxy {
		uses = append(uses, use{port: uint16(c.Endpoint.Port), by: "haproxy needs"})
	}
	return uses
}

// number is a setting's port, whatever its reader made of it; else the default.
func number(setting any, otherwise int) uint16 {
	n, err := strconv.ParseUint(fmt.Sprint(setting), 10, 16)
	if err != nil {
		return uint16(otherwise)
	}
	return uint16(n)
}

// portOf is the port of an address that a setting has, else the default; 0 if the
// address is set to nothing.
func portOf(setting any, otherwise int) uint16 {
	text, ok := setting.(string)
	if !ok {
		return uint16(otherwise)
	}
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return 0
	}
	return number(port, otherwise)
}
