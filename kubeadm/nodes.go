package kubeadm

import (
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostpath"
)

// Where Nodes puts the files on the hosts.
const (
	InitPath = hostpath.Kubernetes + "/kubeadm-init.yaml"
	JoinPath = hostpath.Kubernetes + "/kubeadm-join.yaml"
)

// Node is one host's share of kubeadm's work: an Artifact with the file that
// kubeadm reads, and with the kubelet's DropIn for Kubernetes 1.10, and the
// command that reads it.
type Node struct {
	// Name of the node in the description.
	Name   string
	Config Config
}

var _ quorate.Artifact = Node{}

// Nodes returns what kubeadm reads on every node of c, in the order of its
// Nodes: kubeadm init on the first control plane, kubeadm join on all others.
// Before Kubernetes 1.12, which brought kubeadm join for control planes, each
// of them initialises, all alike but for its own name and address.
// Defaults are applied first. The error is a *quorate.InvalidError that names
// every problem of c and s at once, among them those that kubeadm itself
// accepts and that fail later, on a host.
func Nodes(c quorate.Cluster, s Secrets) ([]Node, error) {
	c = c.WithDefaults()
	problems := c.Problems()
	problems = append(problems, unreported(problems, slices.Concat(Problems(c), checkSecrets(c, s)))...)
	if err := problems.Err("kubeadm configuration"); err != nil {
		return nil, err
	}
	nodes := make([]Node, len(c.Nodes))
	for i, n := range c.Nodes {
		nodes[i] = Node{Name: n.Name, Config: wholeConfig(c, n, s)}
		nodes[i].Config.Timeouts = nodes[i].Config.expressibleTimeouts()
	}
	return nodes, nil
}

// wholeConfig is a node's, whether or not its version can express it.
func wholeConfig(c quorate.Cluster, n quorate.Node, s Secrets) Config {
	cfg := nodeConfig(c, n, s)
	if n.Name == c.ControlPlanes()[0].Name || n.Role == quorate.ControlPlane && ControlPlanesInit(c.Version) {
		cfg.Init = clusterInit(c, s)
	} else {
		cfg.Join = &Join{Endpoint: c.Endpoint.HostPort(), CAHashes: slices.Clone(s.CAHashes)}
	}
	return cfg
}

// unreported drops what is said of a field that was refused before: one reason
// is enough.
func unreported(before, more quorate.Problems) quorate.Problems {
	refused := map[string]bool{}
	for _, p := range before.Only(quorate.Refused) {
		refused[p.Path] = true
	}
	return slices.DeleteFunc(more, func(p quorate.Problem) bool { return refused[p.Path] })
}

// Files returns the file that kubeadm reads, readable by root only since the token
// is in it, and for Kubernetes 1.10 KubeletDropInPath. The error is a
// *quorate.InvalidError that names every field of Config that is wrong or that
// this version of kubeadm cannot express.
func (n Node) Files() ([]quorate.File, error) {
	problems := n.Config.Problems()
	var wrong quorate.Problems
	n.Config.encode(&wrong, false)
	problems = append(problems, unreported(problems, wrong)...)
	if err := problems.Err(n.Config.what()); err != nil {
		return nil, err
	}
	content, err := n.Config.YAML()
	if err != nil {
		return nil, err
	}
	files := []quorate.File{{Path: n.path(), Mode: 0o600, Content: content}}
	dropIn, err := n.Config.DropIn()
	if err != nil {
		return nil, err
	}
	if dropIn.Len() > 0 {
		files = append(files, quorate.File{Path: KubeletDropInPath, Mode: 0o644, Content: dropIn})
	}
	return files, nil
}

// Command is the argument vector to run on the host once its Files and its
// certificates are in place. It holds no secret, and keeps kubeadm from
// printing any. Of a Node whose Files are an error it means nothing.
func (n Node) Command() []string {
	flags, _ := n.Config.Flags() // Files returns the same error
	if n.Config.Init == nil {
		return append([]string{"kubeadm", "join", "--config", JoinPath}, flags...)
	}
	argv := append([]string{"kubeadm", "init", "--config", InitPath, "--skip-token-print"}, flags...)
	if n.Config.CertificateKey.Len() > 0 {
		argv = append(argv, "--upload-certs", "--skip-certificate-key-print")
	}
	return argv
}

func (n Node) path() string {
	if n.Config.Init != nil {
		return InitPath
	}
	return JoinPath
}

// taintsOf keeps none and the default apart.
func taintsOf(described []quorate.Taint) []Taint {
	if described == nil {
		return nil
	}
	taints := make([]Taint, len(described))
	for i, t := range described {
		taints[i] = Taint{Key: t.Key, Value: t.Value, Effect: t.Effect}
	}
	return taints
}

func nodeConfig(c quorate.Cluster, n quorate.Node, s Secrets) Config {
	cfg := Config{
		Version:    c.Version,
		APIVersion: c.Kubeadm.APIVersion,
		Registration: Registration{
			Name:                  n.Name,
			CRISocket:             c.Kubeadm.CRISocket,
			NodeIPs:               n.Addresses,
			Labels:                n.Labels,
			Taints:                taintsOf(n.Taints),
			IgnorePreflightErrors: c.Kubeadm.IgnorePreflightErrors,
		},
		Token:    s.Token,
		Timeouts: timeouts(c.Kubeadm.Timeouts),
	}
	if c.Kubeadm.PatchesDir != "" {
		cfg.Patches = &Patches{Directory: c.Kubeadm.PatchesDir}
	}
	if kubeletByFlags(c) {
		cfg.Registration.KubeletArgs = ArgsOf(asKubeletFlags(overlay(kubeletDefaults(), c.Kubeadm.Kubelet)))
	}
	if n.Role == quorate.ControlPlane {
		cfg.APIServer = &APIServer{Address: n.Address(), Port: c.Endpoint.APIServerPort()}
		cfg.CertificateKey = s.CertificateKey
	}
	return cfg
}

func clusterInit(c quorate.Cluster, s Secrets) *Init {
	k := c.Kubeadm
	i := &Init{
		TokenTTL:          s.TokenTTL,
		TokenDescription:  tokenDescription,
		ClusterName:       c.Name,
		Endpoint:          c.Endpoint.HostPort(),
		Pods:              c.Pods,
		Services:          c.Services,
		DNSDomain:         c.DNSDomain,
		CertSANs:          certSANs(c),
		ImageRepository:   k.ImageRepository,
		FeatureGates:      eraGates(c),
		APIServer:         Component{ArgsOf(defaultAPIServerArgs(c)), k.APIServerVolumes, envOf(k.APIServerEnv)},
		ControllerManager: Component{ArgsOf(k.ControllerManagerArgs), k.ControllerManagerVolumes, envOf(k.ControllerManagerEnv)},
		Scheduler:         Component{ArgsOf(k.SchedulerArgs), k.SchedulerVolumes, envOf(k.SchedulerEnv)},
		KubeProxy:         overlay(nil, k.KubeProxy),
	}
	if c.Etcd.Stacked {
		i.LocalEtcd = localEtcd(c)
	} else {
		i.Etcd = externalEtcd(c)
	}
	if !kubeletByFlags(c) {
		i.Kubelet = overlay(kubeletDefaults(), k.Kubelet)
	}
	return i
}

// eraGates adds the gate without which kubeadm 1.20 takes no two ranges; later
// ones have it on.
func eraGates(c quorate.Cluster) map[string]bool {
	if len(c.Pods) < 2 || c.Version.Has(quorate.DualStackUnasked) {
		return c.Kubeadm.FeatureGates
	}
	gates := map[string]bool{dualStackGate: true}
	maps.Copy(gates, c.Kubeadm.FeatureGates)
	return gates
}

const dualStackGate = "IPv6DualStack"

// defaultAPIServerArgs are those that a highly available API wants and that
// Kubernetes does not have by itself; the description's own prevail.
//
//   - endpoint-reconciler-type: before 1.11 the API servers share the endpoints of
//     the service "kubernetes" by leases only if set so, and want to know how
//     many they are otherwise.
//   - shutdown-delay-duration, from 1.16: an API server that stops says
//     at /readyz that it is going and serves on, until the VIP or haproxy has
//     noticed. A planned restart then costs its clients nothing.
//   - goaway-chance, from 1.18, behind haproxy only: one request in a thousand has
//     its client connect again, or all would stay where a power cut has sent them.
//     Without a load balancer they would only come back to where they were.
//
// Two that suggest themselves stay as they are: etcd-readycheck-timeout, 2s, since
// a shorter one reports an election of etcd's leader, which lasts as long, as a
// failure of every API server at once; and etcd-healthcheck-timeout, since
// kubelets restart API servers by it.
func defaultAPIServerArgs(c quorate.Cluster) map[string]string {
	args := map[string]string{}
	if !c.Version.Has(quorate.LeasedEndpoints) {
		args["endpoint-reconciler-type"] = "lease"
	}
	if !c.Endpoint.External && apiServerFlags.has("shutdown-delay-duration", c.Version) {
		args["shutdown-delay-duration"] = shutdownDelay(c.Endpoint.VIP).String()
	}
	if c.Endpoint.LoadBalancer != "" && apiServerFlags.has("goaway-chance", c.Version) {
		args["goaway-chance"] = "0.001"
	}
	maps.Copy(args, c.Kubeadm.APIServerArgs)
	return args
}

// shutdownDelay outlasts the checks that give up the VIP and, by two seconds, the
// the others' election and what their neighbours need to hear of it. haproxy
// is faster.
func shutdownDelay(v quorate.VIP) time.Duration {
	return time.Duration(v.Fall)*v.CheckInterval.Std() + v.CheckTimeout.Std() + 2*time.Second
}

// kubeletByFlags reports whether the kubelets of a version take kubeadm's
// settings as arguments alone: kubeadm 1.10 has a field for the kubelet's
// configuration, and heeds it only with the gate DynamicKubeletConfig.
func kubeletByFlags(c quorate.Cluster) bool { return !c.Version.Has(quorate.KubeletConfigFile) }

// kubeletFlagOf names the argument that a field of KubeletConfiguration was
// before there were files of them, from cmd/kubelet/app/options/options.go of 1.10.
var kubeletFlagOf = map[string]string{
	"cgroupDriver":                "cgroup-driver",
	"clusterDNS":                  "cluster-dns",
	"eventRecordQPS":              "event-qps",
	"failSwapOn":                  "fail-swap-on",
	"imageGCHighThresholdPercent": "image-gc-high-threshold",
	"imageGCLowThresholdPercent":  "image-gc-low-threshold",
	"maxOpenFiles":                "max-open-files",
	"maxPods":                     "max-pods",
	"podsPerCore":                 "pods-per-core",
	"protectKernelDefaults":       "protect-kernel-defaults",
	"readOnlyPort":                "read-only-port",
	"registryBurst":               "registry-burst",
	"registryPullQPS":             "registry-qps",
	"resolvConf":                  "resolv-conf",
	"rotateCertificates":          "rotate-certificates",
	"serializeImagePulls":         "serialize-image-pulls",
}

func asKubeletFlags(fields map[string]any) map[string]string {
	args := map[string]string{}
	for name, value := range fields {
		if flag := kubeletFlagOf[name]; flag != "" {
			args[flag] = strings.Trim(fmt.Sprint(value), "[]")
		}
	}
	return args
}

// externalEtcd sends each API server to the member on its own host, by loopback,
// as kubeadm does with members of its own. With every member's address an API
// server keeps a connection to each, takes turns, and holds every third request
// for the ten seconds until the connection to a member whose host lost power is
// found dead (TCP_USER_TIMEOUT of its etcd client). With its own alone, it is
// either well or not ready, and then the VIP goes elsewhere. Members without TLS
// are reached at every address, as walk-throughs of their time have it.
func externalEtcd(c quorate.Cluster) *ExternalEtcd {
	e := &ExternalEtcd{CAFile: hostpath.EtcdCAOfAPIServer, CertFile: hostpath.APIServerEtcdClientCert, KeyFile: hostpath.APIServerEtcdClientKey}
	port := strconv.Itoa(c.Etcd.ClientPort)
	if c.Etcd.PlainHTTP {
		for _, n := range c.ControlPlanes() {
			e.Endpoints = append(e.Endpoints, "http://"+net.JoinHostPort(n.Address().String(), port))
		}
		return e
	}
	own := netip.IPv6Loopback()
	if c.ControlPlanes()[0].Address().Is4() {
		own = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	e.Endpoints = []string{"https://" + net.JoinHostPort(own.String(), port)}
	return e
}

// localEtcd is what of kubeadm's own members the description tunes.
func localEtcd(c quorate.Cluster) LocalEtcd {
	e, own := c.Etcd, quorate.Etcd{Stacked: true}.WithDefaults(c.Version)
	var l LocalEtcd
	args := map[string]string{}
	if e.DataDir != own.DataDir {
		l.DataDir = e.DataDir
	}
	if e.Heartbeat != own.Heartbeat {
		args["heartbeat-interval"] = strconv.FormatInt(e.Heartbeat.Std().Milliseconds(), 10)
	}
	if e.Election != own.Election {
		args["election-timeout"] = strconv.FormatInt(e.Election.Std().Milliseconds(), 10)
	}
	if e.QuotaBytes != own.QuotaBytes {
		args["quota-backend-bytes"] = strconv.FormatInt(e.QuotaBytes, 10)
	}
	if e.SnapshotCount != own.SnapshotCount {
		args["snapshot-count"] = strconv.FormatInt(e.SnapshotCount, 10)
	}
	l.Args = ArgsOf(args)
	return l
}

// certSANs makes every API server's certificate good under the endpoint, under
// every control plane's name and addresses (kubeadm adds only the node's own
// first one) and through a tunnel that ends on loopback.
func certSANs(c quorate.Cluster) []string {
	sans := []string{c.Endpoint.Host}
	for _, n := range c.ControlPlanes() {
		sans = append(sans, n.Name)
		for _, a := range n.Addresses {
			sans = append(sans, a.String())
		}
	}
	sans = append(sans, "localhost", "127.0.0.1", "::1")
	sans = append(sans, c.Kubeadm.CertSANs...)
	return unique(sans)
}

func unique(in []string) []string {
	seen := make(map[string]bool, len(in))
	return slices.DeleteFunc(in, func(s string) bool {
		key := canonicalSAN(s)
		dup := seen[key]
		seen[key] = true
		return dup
	})
}

// canonicalSAN is equal for two ways of writing one address.
func canonicalSAN(s string) string {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.String()
	}
	return s
}

// kubeletDefaults are the only fields Quorate sets in every kubelet: systemd
// must manage cgroups on hosts where it is init, whatever the kubelet detects.
// Everything else stays as kubeadm has it.
func kubeletDefaults() map[string]any {
	return map[string]any{"cgroupDriver": cgroupDriverSystemd}
}

// kubeadmTTL is a token's life in kubeadm's words, where zero means for ever.
func kubeadmTTL(ttl quorate.Duration) quorate.Duration {
	if ttl < 0 {
		return 0
	}
	return cmp.Or(ttl, defaultTokenTTL)
}
