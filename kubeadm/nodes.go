package kubeadm

import (
	"cmp"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/quorate-dev/quorate"
)

// Where Nodes puts the files on the hosts, and where it expects those that
// package pki makes.
const (
	InitPath = "/etc/kubernetes/kubeadm-init.yaml"
	JoinPath = "/etc/kubernetes/kubeadm-join.yaml"

	etcdCAFile   = "/etc/kubernetes/pki/etcd/ca.crt"
	etcdCertFile = "/etc/kubernetes/pki/apiserver-etcd-client.crt"
	etcdKeyFile  = "/etc/kubernetes/pki/apiserver-etcd-client.key"
)

// backendPort is where API servers listen behind a load balancer of the user,
// whose own port may be another one.
const backendPort = 6443

// Node is one host's share of kubeadm's work: an Artifact with the one file
// that kubeadm reads, and the command that reads it.
type Node struct {
	// Name of the node in the description.
	Name   string
	Config Config
}

var _ quorate.Artifact = Node{}

// Nodes gives what kubeadm is told on every node of c, in the order of its
// Nodes: to initialise on the first control plane, to join on all others.
// Defaults are applied first. The error is a *quorate.InvalidError that names
// every problem of c and s at once, among them those that kubeadm itself
// accepts and that fail later, on a host.
func Nodes(c quorate.Cluster, s Secrets) ([]Node, error) {
	c = c.WithDefaults()
	problems := c.Problems()
	problems = append(problems, unreported(problems, slices.Concat(Check(c), checkSecrets(c, s)))...)
	if err := problems.Err("kubeadm configuration"); err != nil {
		return nil, err
	}
	first := c.ControlPlanes()[0].Name
	nodes := make([]Node, len(c.Nodes))
	for i, n := range c.Nodes {
		nodes[i] = Node{Name: n.Name, Config: nodeConfig(c, n, s)}
		if n.Name == first {
			nodes[i].Config.Init = clusterInit(c, s)
			continue
		}
		nodes[i].Config.Join = &Join{Endpoint: c.Endpoint.HostPort(), CAHashes: slices.Clone(s.CAHashes)}
	}
	return nodes, nil
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

// Files gives the one file, readable by root only since the token is in it. The
// error is a *quorate.InvalidError that names every field of Config that is
// wrong or that this version of kubeadm cannot express.
func (n Node) Files() ([]quorate.File, error) {
	content, err := n.Config.YAML()
	if err != nil {
		return nil, err
	}
	return []quorate.File{{Path: n.path(), Mode: 0o600, Content: content}}, nil
}

// Command is the argument vector to run on the host once its Files and its
// certificates are in place. It holds no secret, and keeps kubeadm from
// printing any.
func (n Node) Command() []string {
	if n.Config.Init == nil {
		return []string{"kubeadm", "join", "--config", JoinPath}
	}
	argv := []string{"kubeadm", "init", "--config", InitPath, "--skip-token-print"}
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

func nodeConfig(c quorate.Cluster, n quorate.Node, s Secrets) Config {
	cfg := Config{
		Version: c.Version,
		Registration: Registration{
			Name:                  n.Name,
			CRISocket:             c.Kubeadm.CRISocket,
			NodeIPs:               n.Addresses,
			Labels:                n.Labels,
			IgnorePreflightErrors: c.Kubeadm.IgnorePreflightErrors,
		},
		Token: s.Token,
	}
	if n.Role == quorate.ControlPlane {
		cfg.APIServer = &APIServer{Address: n.Address(), Port: apiServerPort(c.Endpoint)}
		cfg.CertificateKey = s.CertificateKey
	}
	return cfg
}

func apiServerPort(e quorate.Endpoint) int {
	if e.External {
		return backendPort
	}
	return e.Port
}

func clusterInit(c quorate.Cluster, s Secrets) *Init {
	k := c.Kubeadm
	return &Init{
		TokenTTL:          s.TokenTTL,
		ClusterName:       c.Name,
		Endpoint:          c.Endpoint.HostPort(),
		Etcd:              externalEtcd(c),
		Pods:              c.Pods,
		Services:          c.Services,
		DNSDomain:         c.DNSDomain,
		CertSANs:          certSANs(c),
		ImageRepository:   k.ImageRepository,
		FeatureGates:      k.FeatureGates,
		APIServer:         Component{Args: k.APIServerArgs},
		ControllerManager: Component{Args: k.ControllerManagerArgs},
		Scheduler:         Component{Args: k.SchedulerArgs},
		Kubelet:           overlay(kubeletDefaults(), k.Kubelet),
		KubeProxy:         overlay(nil, k.KubeProxy),
	}
}

// externalEtcd sends each API server to the member on its own host, by loopback,
// as kubeadm does with members of its own. With every member's address an API
// server keeps a connection to each, takes turns, and holds every third request
// for the ten seconds until the connection to a member whose host lost power is
// found dead (TCP_USER_TIMEOUT of its etcd client). With its own alone, it is
// either well or not ready, and then the VIP goes elsewhere.
func externalEtcd(c quorate.Cluster) ExternalEtcd {
	e := ExternalEtcd{CAFile: etcdCAFile, CertFile: etcdCertFile, KeyFile: etcdKeyFile}
	own := netip.IPv6Loopback()
	if c.ControlPlanes()[0].Address().Is4() {
		own = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	e.Endpoints = []string{"https://" + net.JoinHostPort(own.String(), strconv.Itoa(c.Etcd.ClientPort))}
	return e
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

// tokenTTL in kubeadm's words, where zero means for ever.
func (i Init) tokenTTL() quorate.Duration {
	if i.TokenTTL < 0 {
		return 0
	}
	return cmp.Or(i.TokenTTL, defaultTokenTTL)
}
