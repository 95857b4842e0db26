package kubeadm

import (
	"net/netip"

	"github.com/quorate-dev/quorate"
)

// Config is what kubeadm is told on one node, in words that belong to no
// version of its configuration API. Nodes makes one per node from a description
// it has checked. A program that needs more than a description says (a volume
// for the API server, taints, patches, timeouts) sets that here before it asks
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
	// PatchesDir on the host holds patches for static pods and the kubelet's
	// configuration. Absolute.
	PatchesDir string
	Timeouts   Timeouts
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
	// KubeletArgs are added to the kubelet's command line, names without
	// leading dashes.
	KubeletArgs map[string]string
	// IgnorePreflightErrors names preflight checks whose failure does not stop
	// kubeadm.
	IgnorePreflightErrors []string
	// ImagePullPolicy of kubeadm's own pulling: Always, IfNotPresent or Never.
	// Kubernetes 1.10, and 1.22 and later.
	ImagePullPolicy string
	// ImagePullSerial pulls one image at a time, kubeadm's default. 1.31 and later.
	ImagePullSerial *bool
}

// Taint of a node.
type Taint struct {
	Key   string `json:"key"`
	Value string `json:"value,omitempty"`
	// Effect is NoSchedule, PreferNoSchedule or NoExecute.
	Effect string `json:"effect"`
}

// APIServer is where one node's API server listens and how it is advertised.
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
	// ClusterName in the kubeconfigs. kubeadm 1.10 knows only "kubernetes".
	ClusterName string
	// Endpoint of the API for the whole cluster, host:port.
	Endpoint string
	// Etcd that runs outside kubeadm's care. Without endpoints kubeadm runs a
	// member of its own on each control plane, by LocalEtcd.
	Etcd      ExternalEtcd
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
	// certificates last. Kubernetes 1.31 and later.
	EncryptionAlgorithm                        string
	CertificateValidity, CACertificateValidity quorate.Duration
	// FeatureGates of kubeadm itself.
	FeatureGates map[string]bool
	// The three components that run as static pods on each control plane.
	APIServer, ControllerManager, Scheduler Component
	// Kubelet and KubeProxy hold the fields of KubeletConfiguration and
	// KubeProxyConfiguration by their own names, without apiVersion and kind.
	// An empty document is not written.
	Kubelet, KubeProxy map[string]any
}

// ExternalEtcd is how the API servers reach etcd.
type ExternalEtcd struct {
	// Endpoints are https URLs.
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
	// Args are added to the command line, names without leading dashes.
	Args map[string]string
	// ServerCertSANs and PeerCertSANs are added to the member's certificates.
	ServerCertSANs, PeerCertSANs []string
}

// DNS of the cluster.
type DNS struct {
	// ImageRepository and ImageTag of its image. Kubernetes 1.13 and later.
	ImageRepository, ImageTag string
	// Disabled leaves it out. Kubernetes 1.31 and later.
	Disabled bool
}

// Component is a static pod of the control plane.
type Component struct {
	// Args are added to the command line, names without leading dashes; one
	// that kubeadm sets too replaces kubeadm's.
	Args map[string]string
	// Volumes of the host that the pod mounts.
	Volumes []Volume
	// Env are environment variables of the pod. Kubernetes 1.31 and later.
	Env map[string]string
}

// Volume is a file or directory of the host inside a component's pod.
type Volume struct {
	Name string `json:"name"`
	// HostPath and MountPath are absolute.
	HostPath  string `json:"hostPath"`
	MountPath string `json:"mountPath"`
	ReadOnly  bool   `json:"readOnly,omitempty"`
	// PathType is one of DirectoryOrCreate, Directory, FileOrCreate, File,
	// Socket, CharDevice and BlockDevice; empty means unchecked.
	PathType string `json:"pathType,omitempty"`
}

// Join adds a node to the cluster.
type Join struct {
	// Endpoint of the API, host:port.
	Endpoint string
	// CAHashes pin the cluster's CA: "sha256:" and the hex SHA-256 of the public
	// key of any certificate it may present.
	CAHashes []string
}

// Timeouts of kubeadm's own waiting. Zero means kubeadm's default, given in
// brackets.
type Timeouts struct {
	// ControlPlane to become healthy [4m].
	ControlPlane quorate.Duration
	// Kubelet to become healthy [4m].
	Kubelet quorate.Duration
	// APICall to the API server, retries included [1m].
	APICall quorate.Duration
	// EtcdCall to etcd, retries included [2m].
	EtcdCall quorate.Duration
	// TLSBootstrap of a joining node's kubelet [5m].
	TLSBootstrap quorate.Duration
	// Discovery of the cluster by a joining node [5m].
	Discovery quorate.Duration
}
