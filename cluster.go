package quorate

import (
	"net"
	"net/netip"
	"slices"
	"strconv"
)

// Cluster describes one highly available Kubernetes cluster. It is a value:
// nothing in the SDK changes a Cluster that it is passed. The zero value of every
// field without a comment to the contrary means the default that WithDefaults
// fills in. Package plan/clusterfile reads it from YAML by the names in the
// json tags.
type Cluster struct {
	// Name of the cluster, an RFC 1123 label. Default "kubernetes".
	Name string `json:"name,omitempty"`
	// Version of Kubernetes to run. Required.
	Version Version `json:"version"`
	// Endpoint is where every client, node and component reaches the API.
	Endpoint Endpoint `json:"endpoint"`
	// Pods and Services hold one range for a single-stack cluster and one of
	// each family for a dual-stack one; the first names the primary family.
	// Default 10.244.0.0/16 and 10.96.0.0/12, which are kubeadm's own.
	Pods     []netip.Prefix `json:"pods,omitempty"`
	Services []netip.Prefix `json:"services,omitempty"`
	// DNSDomain of the cluster's services. Default "cluster.local".
	DNSDomain string `json:"dnsDomain,omitempty"`
	// Nodes, control planes and workers. The first control plane is where the
	// cluster is initialised.
	Nodes []Node `json:"nodes"`
	// AllowEvenControlPlanes accepts 2, 4 ... control planes. An even number
	// tolerates no more failures than the odd number below it.
	AllowEvenControlPlanes bool `json:"allowEvenControlPlanes,omitempty"`
	// Etcd on the control planes.
	Etcd Etcd `json:"etcd,omitzero"`
	// Kubeadm configures kubeadm and the components beyond what follows from
	// the rest of the description.
	Kubeadm Kubeadm `json:"kubeadm,omitzero"`
}

// Role of a node.
type Role string

const (
	// ControlPlane runs the API server, controller manager, scheduler, an etcd
	// member and, without an external load balancer, keepalived.
	ControlPlane Role = "control-plane"
	// Worker runs pods only.
	Worker Role = "worker"
)

// Node is one host of the cluster.
type Node struct {
	// Name of the node in Kubernetes and of its etcd member: an RFC 1123
	// subdomain. Required.
	Name string `json:"name"`
	// Role is required.
	Role Role `json:"role"`
	// Addresses of the node on the network that the nodes share: one, or one
	// of each family in a dual-stack cluster. The first is where its API
	// server, kubelet and etcd member are reached. Required.
	Addresses []netip.Addr `json:"addresses"`
	// SSH is where a transport reaches the host: [user@]host[:port].
	// Default: the first address.
	SSH string `json:"ssh,omitempty"`
	// Interface that carries the VIP on this node, when it differs from the
	// endpoint's.
	Interface string `json:"interface,omitempty"`
	// Labels are set on the node when it registers.
	Labels map[string]string `json:"labels,omitempty"`
	// Taints that the node registers with; an empty list that is not nil means
	// none. Default: kubeadm's own, which keep pods off control planes.
	Taints []Taint `json:"taints,omitzero"`
}

// Taint keeps pods without a toleration of it off a node.
type Taint struct {
	// Key is a name with an optional DNS subdomain and a slash before it. Required.
	Key string `json:"key"`
	// Value may be empty.
	Value string `json:"value,omitempty"`
	// Effect is NoSchedule, PreferNoSchedule or NoExecute. Required.
	Effect string `json:"effect"`
}

// Address is the node's first address, invalid if it has none.
func (n Node) Address() netip.Addr {
	if len(n.Addresses) == 0 {
		return netip.Addr{}
	}
	return n.Addresses[0]
}

// Endpoint is the one address of the API for the whole life of the cluster:
// a VIP that keepalived moves between the control planes, or the user's own
// load balancer.
type Endpoint struct {
	// Host is the VIP's address or, with External, the load balancer's address
	// or DNS name. Required.
	Host string `json:"host"`
	// Port of the API. Default 6443, with a LoadBalancer 8443. See
	// APIServerPort for what the API servers themselves listen on.
	Port int `json:"port,omitempty"`
	// External says that the user's own load balancer answers at Host and
	// forwards to the API servers: no keepalived is rendered.
	External bool `json:"external,omitempty"`
	// LoadBalancer runs on every control plane and forwards what arrives at Port
	// to the API servers that are ready, so that the VIP need not move when one
	// is not. Default none: the VIP leads to its holder's own API server.
	LoadBalancer LoadBalancer `json:"loadBalancer,omitempty"`
	// VIP tunes keepalived; unused with External.
	VIP VIP `json:"vip,omitzero"`
}

// LoadBalancer names a program between the VIP and the API servers.
type LoadBalancer string

// HAProxy is the only one there is; package vip has its configuration.
const HAProxy LoadBalancer = "haproxy"

// APIServerPort is where every API server listens on its own host: the
// endpoint's Port or, behind a load balancer of whatever kind, 6443, since the
// one here shares its hosts with them.
func (e Endpoint) APIServerPort() int {
	if e.External || e.LoadBalancer != "" || e.Port == 0 {
		return backendPort
	}
	return e.Port
}

// Address is the endpoint's address, invalid if Host is a DNS name.
func (e Endpoint) Address() netip.Addr {
	a, _ := netip.ParseAddr(e.Host)
	return a
}

// HostPort is host:port with an IPv6 address in brackets, as
// controlPlaneEndpoint and URLs want it.
func (e Endpoint) HostPort() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// VIP is how keepalived moves the endpoint's address. Package vip has the
// reasons for the figures.
type VIP struct {
	// Interface that carries the VIP on every control plane that names none of
	// its own. Required unless every control plane does.
	Interface string `json:"interface,omitempty"`
	// Subnet of that interface. When it is set, the VIP and the control planes
	// must lie in it and the VIP takes its prefix length.
	Subnet netip.Prefix `json:"subnet,omitzero"`
	// RouterID is the VRID, 1 to 255, unique on the network segment. Default 51.
	RouterID int `json:"routerID,omitempty"`
	// Multicast sends VRRP advertisements to the multicast group instead of to
	// each peer.
	Multicast bool `json:"multicast,omitempty"`
	// AdvertInterval between two VRRP advertisements; a dead host is noticed
	// after three of them and the skew. 100ms to 40s in steps of 10ms. With
	// whole seconds an IPv4 VIP is held by VRRP version 2, which has a password
	// and counts in nothing finer, otherwise by version 3. Default 500ms.
	AdvertInterval Duration `json:"advertInterval,omitempty"`
	// CheckInterval between two checks of the API server, whole seconds.
	// Default 1s.
	CheckInterval Duration `json:"checkInterval,omitempty"`
	// CheckTimeout of one check, whole seconds, at most CheckInterval. Default 1s.
	CheckTimeout Duration `json:"checkTimeout,omitempty"`
	// Weight, when not zero, is added to a node's priority while its check
	// fails, instead of putting it in the fault state: -1 to -253, and of a size
	// larger than the difference of any two priorities, which then lie 1 apart.
	// With it a VIP always has a holder, if need be one of the dead: leave it
	// at zero unless that is what you want.
	Weight int `json:"weight,omitempty"`
	// Fall is how many failed checks in a row release the VIP. Default 3.
	Fall int `json:"fall,omitempty"`
	// Rise is how many good checks in a row make a node eligible. Default 2.
	Rise int `json:"rise,omitempty"`
}

// Etcd tunes the members that run on the control planes.
type Etcd struct {
	// Stacked leaves etcd to kubeadm, which runs the members as static pods:
	// Kubernetes 1.13 and later. Only DataDir, Heartbeat, Election, QuotaBytes
	// and SnapshotCount can then be set.
	Stacked bool `json:"stacked,omitempty"`
	// PlainHTTP turns TLS off for clients and peers, as walk-throughs for
	// Kubernetes 1.10 do: whoever reaches the ports owns the cluster. Refused
	// for every other version.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
	// Version of etcd the hosts are to run, the least that is accepted when
	// they are checked. Default: the least that kubeadm accepts for the
	// Kubernetes version (3.5.24 from 1.31 on), and 3.2.18 before 1.12.
	Version Version `json:"version,omitzero"`
	// DataDir on a disk of its own if possible. Default /var/lib/quorate/etcd:
	// `kubeadm reset` empties /var/lib/etcd, whoever the data there belongs to.
	// Stacked members have kubeadm's own /var/lib/etcd.
	DataDir string `json:"dataDir,omitempty"`
	// Binary is the path of etcd on the hosts. Default /usr/local/bin/etcd.
	Binary string `json:"binary,omitempty"`
	// ClientPort and PeerPort default to 2379 and 2380.
	ClientPort int `json:"clientPort,omitempty"`
	PeerPort   int `json:"peerPort,omitempty"`
	// MetricsPort serves /metrics and /health by plain HTTP on loopback.
	// Default 2381, and off before etcd 3.3, which cannot; -1 turns it off.
	MetricsPort int `json:"metricsPort,omitempty"`
	// Heartbeat between leader and followers. Default 100ms.
	Heartbeat Duration `json:"heartbeat,omitempty"`
	// Election timeout, at least five times the heartbeat and at most 50s
	// (etcd refuses otherwise). Default 1s.
	Election Duration `json:"election,omitempty"`
	// QuotaBytes of the backend. Default 2 GiB; etcd suggests at most 8 GiB.
	QuotaBytes int64 `json:"quotaBytes,omitempty"`
	// CompactionRetention, when not zero, compacts the revisions older than
	// this. The API server compacts every five minutes by itself, so the
	// default is off.
	CompactionRetention Duration `json:"compactionRetention,omitempty"`
	// SnapshotCount is the number of transactions between two raft snapshots
	// on disk. Default: etcd's own.
	SnapshotCount int64 `json:"snapshotCount,omitempty"`
}

// Kubeadm configures kubeadm beyond what follows from the description.
type Kubeadm struct {
	// APIVersion of kubeadm's configuration to write, "v1beta3", where the
	// target takes more than one. Default: the newest that kubeadm of the
	// target's minor takes and that its first release had.
	APIVersion string `json:"apiVersion,omitempty"`
	// CRISocket of the container runtime. Default
	// unix:///var/run/containerd/containerd.sock, and before Kubernetes 1.24
	// unix:///var/run/dockershim.sock, the kubelet's own for Docker.
	CRISocket string `json:"criSocket,omitempty"`
	// ImageRepository of the control plane's images. Default registry.k8s.io.
	ImageRepository string `json:"imageRepository,omitempty"`
	// CertSANs are names or addresses of the API server beyond the endpoint
	// and the nodes' own.
	CertSANs []string `json:"certSANs,omitempty"`
	// IgnorePreflightErrors names kubeadm's own preflight checks whose failure
	// does not stop it.
	IgnorePreflightErrors []string `json:"ignorePreflightErrors,omitempty"`
	// FeatureGates of kubeadm itself.
	FeatureGates map[string]bool `json:"featureGates,omitempty"`
	// APIServerArgs, ControllerManagerArgs and SchedulerArgs are added to the
	// components' command lines, names without leading dashes. Unless set here
	// the API server gets shutdown-delay-duration, as long as it takes to notice
	// that it stops, from Kubernetes 1.16 on without an External endpoint; and
	// goaway-chance 0.001 from 1.18 on with a LoadBalancer.
	APIServerArgs         map[string]string `json:"apiServerArgs,omitempty"`
	ControllerManagerArgs map[string]string `json:"controllerManagerArgs,omitempty"`
	SchedulerArgs         map[string]string `json:"schedulerArgs,omitempty"`
	// APIServerVolumes, ControllerManagerVolumes and SchedulerVolumes are files or
	// directories of every control plane that the component's pod sees, such as an
	// audit policy, or an encryption configuration, that an argument names. They
	// must be on the hosts before kubeadm runs: a description holds no file, and no
	// secret.
	APIServerVolumes         []Volume `json:"apiServerVolumes,omitempty"`
	ControllerManagerVolumes []Volume `json:"controllerManagerVolumes,omitempty"`
	SchedulerVolumes         []Volume `json:"schedulerVolumes,omitempty"`
	// APIServerEnv, ControllerManagerEnv and SchedulerEnv are environment variables
	// of the components. Kubernetes 1.31 and later.
	APIServerEnv         map[string]string `json:"apiServerEnv,omitempty"`
	ControllerManagerEnv map[string]string `json:"controllerManagerEnv,omitempty"`
	SchedulerEnv         map[string]string `json:"schedulerEnv,omitempty"`
	// PatchesDir on the hosts has patches for static pods and the kubelet's
	// configuration, as kubeadm takes them. Kubernetes 1.22 and later.
	PatchesDir string `json:"patchesDir,omitempty"`
	// Timeouts of kubeadm's own waiting.
	Timeouts KubeadmTimeouts `json:"timeouts,omitzero"`
	// Kubelet and KubeProxy are fields of KubeletConfiguration and
	// KubeProxyConfiguration by their own names, laid over what Quorate sets.
	Kubelet   map[string]any `json:"kubelet,omitempty"`
	KubeProxy map[string]any `json:"kubeProxy,omitempty"`
}

// Volume is a file or directory of the host inside a component's pod.
type Volume struct {
	// Name of the volume in the pod, an RFC 1123 label, none that kubeadm uses
	// itself. Required.
	Name string `json:"name"`
	// HostPath on every control plane, and MountPath in the pod. Required.
	HostPath  string `json:"hostPath"`
	MountPath string `json:"mountPath"`
	// ReadOnly keeps the component from writing there.
	ReadOnly bool `json:"readOnly,omitempty"`
	// PathType is one of DirectoryOrCreate, Directory, FileOrCreate, File,
	// Socket, CharDevice and BlockDevice; empty means unchecked.
	PathType string `json:"pathType,omitempty"`
}

// KubeadmTimeouts are how long kubeadm waits. Zero means kubeadm's default,
// which is in brackets.
type KubeadmTimeouts struct {
	// ControlPlane to become healthy [4m]. Kubernetes 1.13 and later.
	ControlPlane Duration `json:"controlPlane,omitempty"`
	// Kubelet to become healthy [4m]. Kubernetes 1.31 and later.
	Kubelet Duration `json:"kubelet,omitempty"`
	// APICall to the API server, retries included [1m]. Kubernetes 1.31 and later.
	APICall Duration `json:"apiCall,omitempty"`
	// EtcdCall to etcd, retries included [2m]. Kubernetes 1.31 and later.
	EtcdCall Duration `json:"etcdCall,omitempty"`
	// TLSBootstrap of a joining node's kubelet [5m]. Kubernetes 1.31 and later.
	TLSBootstrap Duration `json:"tlsBootstrap,omitempty"`
	// Discovery of the cluster by a joining node [5m]. Kubernetes 1.11 and later.
	Discovery Duration `json:"discovery,omitempty"`
}

// ControlPlanes returns the control planes in the order of Nodes.
func (c Cluster) ControlPlanes() []Node { return c.withRole(ControlPlane) }

// Workers returns the workers in the order of Nodes.
func (c Cluster) Workers() []Node { return c.withRole(Worker) }

func (c Cluster) withRole(r Role) []Node {
	var out []Node
	for _, n := range c.Nodes {
		if n.Role == r {
			out = append(out, n)
		}
	}
	return out
}

// Node finds a node by name.
func (c Cluster) Node(name string) (Node, bool) {
	i := slices.IndexFunc(c.Nodes, func(n Node) bool { return n.Name == name })
	if i < 0 {
		return Node{}, false
	}
	return c.Nodes[i], true
}
