package kubeadm

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/quorate-dev/quorate"
)

// Config is what kubeadm reads on one node, in words that belong to no
// version of its configuration API. Nodes makes one per node from a description
// it has checked. A program that needs more than a description says (a volume
// for the API server, taints, patches, timeouts) sets that here before it calls
// the Node for its Files, which check it; what a description does say is better
// changed there. A Config shares maps and slices with the description.
type Config struct {
	// Version of Kubernetes and of the kubeadm on the node. It decides which
	// version of the configuration API is written, see APIVersionFor.
	Version quorate.Version
	// APIVersion to write instead, "v1beta3", where kubeadm of that version
	// reads more than one.
	APIVersion   string
	Registration Registration
	// APIServer is the node's own API server; nil on a worker.
	APIServer *APIServer
	// Token admits nodes to the cluster; see NewToken.
	Token quorate.Content
	// CertificateKey, when not empty, makes kubeadm share the control plane's
	// certificates through a Secret of the cluster instead of expecting them in
	// place; see NewCertificateKey.
	CertificateKey quorate.Content
	// Exactly one is set: Init on the node that makes the cluster, Join on
	// every other.
	Init *Init
	Join *Join
	// SkipPhases of init or join, as kubeadm of that version names them.
	SkipPhases []string
	// Patches for static pods and the kubelet's configuration; nil for none.
	// Kubernetes 1.22 and later.
	Patches  *Patches
	Timeouts Timeouts
	// DryRun has kubeadm change nothing. Kubernetes 1.31 and later.
	DryRun bool
	// Others are documents that a Config has no fields for: a ResetConfiguration,
	// an UpgradeConfiguration. Kubernetes 1.31 and later.
	Others []Document
}

// Patches are files that kubeadm lays over what it writes.
type Patches struct {
	// Directory on the host that holds them. Absolute; empty for none.
	Directory string
}

// Document is a document of a file, kept as it is.
type Document struct {
	// APIVersion with its group, and Kind.
	APIVersion, Kind string
	// Fields by their names, without apiVersion and kind.
	Fields map[string]any
}

// Registration is how a node's kubelet registers it.
type Registration struct {
	// Name of the node: a lower-case RFC 1123 subdomain.
	Name string
	// CRISocket of the container runtime as a unix:// URL.
	CRISocket string
	// NodeIPs the kubelet announces, one or one of each family, the cluster's
	// primary family first.
	NodeIPs []netip.Addr
	// Labels the kubelet sets on its own node.
	Labels map[string]string
	// Taints of the node: nil means kubeadm's default (control planes are
	// tainted, workers are not), an empty slice means none.
	Taints []Taint
	// KubeletArgs are added to the kubelet's command line.
	KubeletArgs Args
	// IgnorePreflightErrors names preflight checks whose failure does not stop
	// kubeadm.
	IgnorePreflightErrors []string
	// ImagePullPolicy of kubeadm's own pulling: Always, IfNotPresent or Never.
	// Kubernetes 1.10, and 1.22 and later.
	ImagePullPolicy string
	// ImagePullSerial pulls one image at a time, kubeadm's default. 1.31 and later.
	ImagePullSerial *bool
}

// Taint keeps pods without a toleration of it off a node. It is a type of its own
// beside quorate.Taint since a file of kubeadm's can have a moment too.
type Taint struct {
	// Key is a name with an optional DNS subdomain and a slash before it.
	Key string `json:"key"`
	// Value may be empty.
	Value string `json:"value,omitempty"`
	// Effect is NoSchedule, PreferNoSchedule or NoExecute.
	Effect string `json:"effect"`
	// TimeAdded is since when the taint evicts pods; zero if it does not say. To
	// the second.
	TimeAdded time.Time `json:"timeAdded,omitzero"`
}

// Arg is one argument of a command line.
type Arg struct {
	// Name without leading dashes.
	Name string `json:"name"`
	// Value, empty for none.
	Value string `json:"value"`
}

// Args of a command line, in their order. Before Kubernetes 1.31 each name once.
type Args []Arg

// ArgsOf returns the arguments of a map, in the order of their names; nil if there
// are none.
func ArgsOf(values map[string]string) Args {
	var args Args
	for _, name := range slices.Sorted(maps.Keys(values)) {
		args = append(args, Arg{Name: name, Value: values[name]})
	}
	return args
}

// Value returns the value of the last argument of a name, which is the one that
// counts where a component takes one, and whether there is any.
func (a Args) Value(name string) (value string, found bool) {
	for _, arg := range a {
		if arg.Name == name {
			value, found = arg.Value, true
		}
	}
	return value, found
}

// Values returns the values of all arguments of a name.
func (a Args) Values(name string) (values []string) {
	for _, arg := range a {
		if arg.Name == name {
			values = append(values, arg.Value)
		}
	}
	return values
}

// Without returns the arguments that have another name.
func (a Args) Without(name string) (others Args) {
	for _, arg := range a {
		if arg.Name != name {
			others = append(others, arg)
		}
	}
	return others
}

// With returns the arguments with one of a name and a value in the place of the
// first that had the name, or at the end.
func (a Args) With(name, value string) Args {
	at := slices.IndexFunc(a, func(arg Arg) bool { return arg.Name == name })
	out := slices.Clone(a)
	if at < 0 {
		return append(out, Arg{Name: name, Value: value})
	}
	out[at].Value = value
	return append(out[:at+1:at+1], out[at+1:].Without(name)...)
}

// EnvVar is an environment variable of a container.
type EnvVar struct {
	Name  string `json:"name"`
	Value string `json:"value,omitempty"`
	// ValueFrom is where the value comes from instead, as core/v1 EnvVarSource has
	// it; nil for none.
	ValueFrom map[string]any `json:"valueFrom,omitzero"`
}

// APIServer is where one node's API server listens and how it is advertised. A
// zero field is left to kubeadm: the address of the default route, 6443.
type APIServer struct {
	// Address that the other members reach, of the cluster's primary family.
	Address netip.Addr
	Port    int
}

// Init makes the cluster.
type Init struct {
	// TokenTTL is how long the token admits nodes. Default 24h, kubeadm's own;
	// a negative value means for ever.
	TokenTTL quorate.Duration
	// TokenUsages and TokenGroups of the token. Default: kubeadm's.
	TokenUsages, TokenGroups []string
	// TokenDescription is what "kubeadm token list" shows of it. Nodes sets one that
	// names Quorate. Kubernetes 1.11 and later.
	TokenDescription string
	// OtherTokens admit nodes too. Kubernetes 1.11 and later.
	OtherTokens []BootstrapToken
	// ClusterName in the kubeconfigs. kubeadm 1.10 knows only "kubernetes".
	ClusterName string
	// Endpoint of the API for the whole cluster, host:port.
	Endpoint string
	// Etcd that runs outside kubeadm's care. If it is nil, kubeadm runs a member of
	// its own on each control plane, by LocalEtcd.
	Etcd      *ExternalEtcd
	LocalEtcd LocalEtcd
	// Pods and Services: one range, or one of each family with the primary first.
	Pods, Services []netip.Prefix
	DNSDomain      string
	// CertSANs of every API server beyond those kubeadm adds itself.
	CertSANs        []string
	ImageRepository string
	// CertificatesDir on the hosts. Default /etc/kubernetes/pki.
	CertificatesDir string
	DNS             DNS
	// ProxyDisabled leaves kube-proxy out. Kubernetes 1.31 and later.
	ProxyDisabled bool
	// EncryptionAlgorithm of the keys that kubeadm makes, and how long its
	// certificates last; nil means kubeadm's default. Kubernetes 1.31 and later.
	EncryptionAlgorithm                        string
	CertificateValidity, CACertificateValidity *quorate.Duration
	// FeatureGates of kubeadm itself.
	FeatureGates map[string]bool
	// The three components that run as static pods on each control plane.
	APIServer, ControllerManager, Scheduler Component
	// Kubelet and KubeProxy hold the fields of KubeletConfiguration and
	// KubeProxyConfiguration by their own names, without apiVersion and kind.
	// An empty document is not written.
	Kubelet, KubeProxy map[string]any
	// UnifiedControlPlaneImage is one image for all components. Kubernetes 1.10 to
	// 1.13.
	UnifiedControlPlaneImage string
	// UseHyperKubeImage has one image for all components. Kubernetes 1.13 to 1.26.
	UseHyperKubeImage bool
	// AuditPolicy of the API servers, with the feature gate Auditing. Kubernetes
	// 1.10 to 1.13.
	AuditPolicy AuditPolicy
}

// BootstrapToken is a token that admits nodes to the cluster.
type BootstrapToken struct {
	// Token, or empty to have kubeadm make one.
	Token quorate.Content
	// TTL is how long the token admits nodes. Default 24h, kubeadm's own; a
	// negative value means for ever.
	TTL            quorate.Duration
	Usages, Groups []string
	Description    string
}

// AuditPolicy is what kubeadm up to Kubernetes 1.13 knows of auditing.
type AuditPolicy struct {
	// Path of the policy's file on the host, and the directory of the logs.
	Path, LogDir string
	// LogMaxAge in days; nil means 2.
	LogMaxAge *int
}

// ExternalEtcd is how the API servers reach etcd.
type ExternalEtcd struct {
	// Endpoints are https URLs, or http URLs without any of the files.
	Endpoints []string
	// Paths on every control plane: the CA certificate that etcd's server
	// certificates chain to, and the API server's client certificate and key.
	CAFile, CertFile, KeyFile string
	// HTTPEndpoints are where etcd answers plain HTTP requests if it serves them
	// apart from gRPC. Kubernetes 1.35 and later.
	HTTPEndpoints []string
}

// LocalEtcd is the member that kubeadm runs as a static pod.
type LocalEtcd struct {
	// DataDir on the host. Default /var/lib/etcd.
	DataDir string
	// ImageRepository and ImageTag of etcd's image. Kubernetes 1.13 and later.
	ImageRepository, ImageTag string
	// Image is the whole image. Kubernetes 1.10 to 1.13.
	Image string
	// Args are added to the command line.
	Args Args
	// Env are environment variables of the pod. Kubernetes 1.31 and later.
	Env []EnvVar
	// ServerCertSANs and PeerCertSANs are added to the member's certificates.
	ServerCertSANs, PeerCertSANs []string
}

// DNS of the cluster.
type DNS struct {
	// ImageRepository and ImageTag of its image. Kubernetes 1.13 and later.
	ImageRepository, ImageTag string
	// Disabled leaves it out. Kubernetes 1.31 and later.
	Disabled bool
	// Type is CoreDNS or kube-dns. Default CoreDNS. Kubernetes 1.13 to 1.26, which
	// from 1.21 on know CoreDNS alone.
	Type string
}

// Component is a static pod of the control plane.
type Component struct {
	// Args are added to the command line; one that kubeadm sets too replaces
	// kubeadm's.
	Args Args
	// Volumes of the host that the pod mounts.
	Volumes []quorate.Volume
	// Env are environment variables of the pod. Kubernetes 1.31 and later.
	Env []EnvVar
}

// Join adds a node to the cluster.
type Join struct {
	// Endpoint of the API, host:port.
	Endpoint string
	// OtherEndpoints are asked if that one does not answer. Kubernetes 1.10 to 1.12.
	OtherEndpoints []string
	// CAHashes pin the cluster's CA: "sha256:" and the hex SHA-256 of the public
	// key of any certificate it may present.
	CAHashes []string
	// UnsafeSkipCAVerification joins whatever answers at Endpoint, without CAHashes.
	UnsafeSkipCAVerification bool
	// File is where the cluster is described instead of Endpoint and the Config's
	// Token: a path on the host of a kubeconfig, or its https URL.
	File string
	// TLSBootstrapToken is the kubelet's, if it is not the Config's Token.
	TLSBootstrapToken quorate.Content
	// CACertPath on the host. Default /etc/kubernetes/pki/ca.crt.
	CACertPath string
	// FeatureGates of kubeadm join. Kubernetes 1.10 to 1.12.
	FeatureGates map[string]bool
	// WorkerAddress and WorkerPort are what a worker's file has in the place of an
	// API server's address and port. kubeadm looks for an address of the host if
	// there is none, and makes no use of either. Kubernetes 1.12 and 1.13.
	WorkerAddress netip.Addr
	WorkerPort    int
}

// Timeouts of kubeadm's own waiting. They are a type of their own beside
// quorate.KubeadmTimeouts since a file of kubeadm's can say zero, which a
// description has no use for. Nil means kubeadm's default, which is in
// brackets; zero does not wait at all.
type Timeouts struct {
	// ControlPlane to become healthy [4m].
	ControlPlane *quorate.Duration
	// Kubelet to become healthy [4m].
	Kubelet *quorate.Duration
	// APICall to the API server, retries included [1m].
	APICall *quorate.Duration
	// EtcdCall to etcd, retries included [2m].
	EtcdCall *quorate.Duration
	// TLSBootstrap of a joining node's kubelet [5m].
	TLSBootstrap *quorate.Duration
	// Discovery of the cluster by a joining node [5m].
	Discovery *quorate.Duration
	// UpgradeManifests to be picked up by the kubelet [5m]. 1.31 and later.
	UpgradeManifests *quorate.Duration
}
