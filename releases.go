package quorate

import (
	"fmt"
	"strings"
)

// Everything that the rules and renderers of all packages depend on in the
// releases of Kubernetes and etcd is in this file, once. What kubeadm and the
// components take by name (fields, arguments, gates, checks) is in package
// kubeadm's generated tables. CONTRIBUTING.md says how a minor is added.

// The Kubernetes minors that Quorate renders for.
const (
	MinMinor = 10
	MaxMinor = 37
)

// factsReadUntil is the newest minor whose changes have been read for the facts
// below. It is raised by hand, with MaxMinor, after reading.
const factsReadUntil = 37

// DefaultImageRepository has the images of every release.
const DefaultImageRepository = "registry.k8s.io"

// A Fact is something that some releases of Kubernetes, or of etcd, have and
// others do not. Version.Has answers for a release.
type Fact int

// Facts of Kubernetes.
const (
	// Dockershim: the kubelet drives Docker by itself.
	Dockershim Fact = iota
	// MasterLabel: control planes have the label node-role.kubernetes.io/master.
	MasterLabel
	// MasterTaint: control planes have the taint of that name.
	MasterTaint
	// RSAAuthoritiesOnly: kubeadm signs with RSA keys alone.
	RSAAuthoritiesOnly
	// ComponentValuesChecked: kubeadm refuses values in the kubelet's and kube-proxy's
	// documents that these would not start with.
	ComponentValuesChecked
	// RSAServiceAccountOnly: kubeadm reads no other key than RSA for service
	// accounts.
	RSAServiceAccountOnly
	// KubeletConfigFile: kubeadm writes the kubelet's settings into a file; before,
	// there are only arguments.
	KubeletConfigFile
	// LeasedEndpoints: API servers share the endpoints of the service "kubernetes"
	// by leases by default.
	LeasedEndpoints
	// KubectlWait: kubectl has the command wait.
	KubectlWait
	// ClusterStatusKept: kubeadm keeps the addresses of API servers in its ConfigMap, and joins
	// of stacked members ask there.
	ClusterStatusKept
	// DrainEmptyDirs: kubectl drain has --delete-emptydir-data, and before --delete-local-data.
	DrainEmptyDirs
	// LocalKubelets: the kubelets of control planes ask their own API servers.
	LocalKubelets
	// ResetAsks: kubeadm reset asks for confirmation, and has --force.
	ResetAsks
	// SocketsChecked: kubeadm refuses CRI sockets that are no absolute paths or URLs.
	SocketsChecked
	// SocketURLs: kubeadm takes CRI sockets as URLs too.
	SocketURLs
	// NamedPipes: kubeadm for Windows takes named pipes as CRI sockets, before it
	// took TCP.
	NamedPipes
	// EtcdEndpointsWanted: kubeadm refuses an external etcd without endpoints.
	EtcdEndpointsWanted
	// EtcdSchemesChecked: kubeadm wants https of external etcd with certificates.
	EtcdSchemesChecked
	// ControlPlaneJoin: kubeadm join makes control planes.
	ControlPlaneJoin
	// StackedMembers: kubeadm joins etcd members that it runs itself.
	StackedMembers
	// ResetPhases: the phases of kubeadm reset can be skipped by name.
	ResetPhases
	// WildcardSANs: kubeadm takes names with a wildcard for the API server's certificate.
	WildcardSANs
	// Readyz: the API server answers /readyz and /livez.
	Readyz
	// TwoRanges: kubeadm takes ranges of two families.
	TwoRanges
	// SecureProbes: kubeadm's probes of controller manager and scheduler ask their
	// secure ports.
	SecureProbes
	// ServingCertReload: the API server reads its certificate again by itself.
	ServingCertReload
	// SparseComponentConfig: kubeadm writes of the kubelet's and kube-proxy's documents
	// what its configuration and it itself set, and no defaults.
	SparseComponentConfig
	// KubectlDiff: kubectl diff says by its exit status whether there is a difference.
	KubectlDiff
	// DualStackServices: Services of two families as they are today.
	DualStackServices
	// ControlPlaneLabelled: control planes have the label
	// node-role.kubernetes.io/control-plane.
	ControlPlaneLabelled
	// CoreDNSOnly: kubeadm refuses kube-dns.
	CoreDNSOnly
	// DualStackUnasked: two families need no feature gate.
	DualStackUnasked
	// ServiceRangesChecked: kubeadm refuses service ranges that the API server does.
	ServiceRangesChecked
	// CRISocketURL: kubeadm and the kubelet name the runtime's socket by a URL.
	CRISocketURL
	// ControlPlaneTaint: control planes have the taint
	// node-role.kubernetes.io/control-plane.
	ControlPlaneTaint
	// RepositoriesChecked: kubeadm refuses image repositories that are none.
	RepositoriesChecked
	// BracketedRepositories: kubeadm takes image repositories whose host is an IPv6
	// address.
	BracketedRepositories
	// CertificateKeysChecked: kubeadm refuses certificate keys that are none.
	CertificateKeysChecked
	// ArgNamesChecked: kubeadm refuses arguments without a name.
	ArgNamesChecked
	// PullPoliciesChecked: kubeadm refuses policies of pulling images that are none.
	PullPoliciesChecked
	// LaterEtcd: the last patch releases of the minor want a later etcd than the
	// first.
	LaterEtcd
	// BridgeFilterChecked: kubeadm wants bridged packets to pass iptables, and
	// br_netfilter for it.
	BridgeFilterChecked
	// KeysP384: kubeadm makes keys on the curve P-384.
	KeysP384
	// CgroupDriverFromRuntime: the kubelet asks the runtime for its cgroup driver.
	CgroupDriverFromRuntime
	// CgroupV1Refused: the kubelet does not start on cgroup v1 unless configured to.
	CgroupV1Refused
	// IPVSDeprecated: kube-proxy's mode ipvs is on its way out.
	IPVSDeprecated

	// EtcdMetricsListener and the facts below it are of etcd: metrics have a
	// listener of their own.
	EtcdMetricsListener
	// EtcdCompactionPeriods: compaction has a mode, and any period.
	EtcdCompactionPeriods
	// EtcdctlV3: etcdctl speaks version 3 of the API by itself.
	EtcdctlV3
	// EtcdZap: the logger can be chosen, and zap is there.
	EtcdZap
	// EtcdLearners: members can be added that do not vote yet.
	EtcdLearners
)

const kubernetesMajor, etcdMajor = 1, 3

// factRow is the minors of one major that have a fact; a zero last means that it
// is still so.
type factRow struct {
	name               string
	major, first, last int
	// source is where it can be read, and read again for the next minor.
	source string
}

var facts = [...]factRow{
	Dockershim:             {"Dockershim", kubernetesMajor, 0, 23, "kubelet: pkg/kubelet/dockershim; KEP 2221"},
	MasterLabel:            {"MasterLabel", kubernetesMajor, 0, 23, "kubeadm: constants.LabelNodeRoleOldControlPlane; KEP 2067"},
	MasterTaint:            {"MasterTaint", kubernetesMajor, 0, 24, "kubeadm: constants.OldControlPlaneTaint; KEP 2067"},
	RSAAuthoritiesOnly:     {"RSAAuthoritiesOnly", kubernetesMajor, 0, 14, "kubeadm: util/pkiutil/pki_helpers.go, TryLoadKeyFromDisk"},
	ComponentValuesChecked: {"ComponentValuesChecked", kubernetesMajor, 0, 16, "kubeadm: componentconfigs/validation.go"},
	RSAServiceAccountOnly:  {"RSAServiceAccountOnly", kubernetesMajor, 0, 21, "kubeadm: util/pkiutil/pki_helpers.go, TryLoadPrivatePublicKeyFromDisk"},

	KubeletConfigFile:       {"KubeletConfigFile", kubernetesMajor, 11, 0, "kubeadm: phases/kubelet/config.go"},
	LeasedEndpoints:         {"LeasedEndpoints", kubernetesMajor, 11, 0, "kube-apiserver: --endpoint-reconciler-type"},
	KubectlWait:             {"KubectlWait", kubernetesMajor, 11, 0, "kubectl: pkg/cmd/wait"},
	ClusterStatusKept:       {"ClusterStatusKept", kubernetesMajor, 12, 21, "kubeadm: apis/kubeadm/v1beta2/types.go, ClusterStatus"},
	DrainEmptyDirs:          {"DrainEmptyDirs", kubernetesMajor, 20, 0, "kubectl: pkg/cmd/drain/drain.go"},
	LocalKubelets:           {"LocalKubelets", kubernetesMajor, 35, 0, "kubeadm: features.ControlPlaneKubeletLocalMode; 1.35 at the latest"},
	ResetAsks:               {"ResetAsks", kubernetesMajor, 11, 0, "kubeadm: cmd/reset.go, --force"},
	SocketsChecked:          {"SocketsChecked", kubernetesMajor, 11, 0, "kubeadm: apis/kubeadm/validation, ValidateNodeRegistrationOptions"},
	SocketURLs:              {"SocketURLs", kubernetesMajor, 12, 0, "kubeadm: apis/kubeadm/validation, ValidateSocketPath"},
	NamedPipes:              {"NamedPipes", kubernetesMajor, 15, 0, "kubeadm: apis/kubeadm/VERSION/defaults_windows.go, DefaultUrlScheme"},
	EtcdEndpointsWanted:     {"EtcdEndpointsWanted", kubernetesMajor, 35, 0, "kubeadm: apis/kubeadm/validation, ValidateEtcd"},
	EtcdSchemesChecked:      {"EtcdSchemesChecked", kubernetesMajor, 11, 0, "kubeadm: apis/kubeadm/validation, ValidateURLs"},
	ControlPlaneJoin:        {"ControlPlaneJoin", kubernetesMajor, 12, 0, "kubeadm: cmd/join.go, --control-plane"},
	StackedMembers:          {"StackedMembers", kubernetesMajor, 13, 0, "kubeadm: phases/etcd/local.go, CreateStackedEtcdStaticPodManifestFile"},
	ResetPhases:             {"ResetPhases", kubernetesMajor, 15, 0, "kubeadm: cmd/phases/reset"},
	WildcardSANs:            {"WildcardSANs", kubernetesMajor, 15, 0, "kubeadm: apis/kubeadm/validation, ValidateCertSANs"},
	Readyz:                  {"Readyz", kubernetesMajor, 16, 0, "apiserver: pkg/server/healthz; KEP 1693"},
	TwoRanges:               {"TwoRanges", kubernetesMajor, 16, 0, "kubeadm: apis/kubeadm/validation, ValidateIPNetFromString"},
	SecureProbes:            {"SecureProbes", kubernetesMajor, 17, 0, "kubeadm: phases/controlplane/manifests.go; kubernetes/kubernetes#85043"},
	ServingCertReload:       {"ServingCertReload", kubernetesMajor, 17, 0, "apiserver: pkg/server/dynamiccertificates; kubernetes/kubernetes#83580"},
	SparseComponentConfig:   {"SparseComponentConfig", kubernetesMajor, 21, 0, "kubeadm: componentconfigs/kubelet.go, kubeproxy.go; 1.21 at the latest"},
	KubectlDiff:             {"KubectlDiff", kubernetesMajor, 18, 0, "kubectl: pkg/cmd/diff"},
	DualStackServices:       {"DualStackServices", kubernetesMajor, 20, 0, "KEP 563, second form of the API"},
	ControlPlaneLabelled:    {"ControlPlaneLabelled", kubernetesMajor, 20, 0, "kubeadm: constants.LabelNodeRoleControlPlane; KEP 2067"},
	CoreDNSOnly:             {"CoreDNSOnly", kubernetesMajor, 21, 0, "kubeadm: apis/kubeadm/validation, ValidateDNS"},
	DualStackUnasked:        {"DualStackUnasked", kubernetesMajor, 21, 0, "kubeadm: features.IPv6DualStack on by default"},
	ServiceRangesChecked:    {"ServiceRangesChecked", kubernetesMajor, 22, 0, "kubeadm: apis/kubeadm/validation, ValidateServiceSubnetSize"},
	CRISocketURL:            {"CRISocketURL", kubernetesMajor, 24, 0, "kubeadm: constants_unix.go, DefaultDockerCRISocket and its followers"},
	ControlPlaneTaint:       {"ControlPlaneTaint", kubernetesMajor, 24, 0, "kubeadm: constants.ControlPlaneTaint; KEP 2067"},
	RepositoriesChecked:     {"RepositoriesChecked", kubernetesMajor, 26, 0, "kubeadm: apis/kubeadm/validation, ValidateImageRepository"},
	BracketedRepositories:   {"BracketedRepositories", kubernetesMajor, 29, 0, "github.com/distribution/reference, ReferenceRegexp; before, docker/distribution's"},
	CertificateKeysChecked:  {"CertificateKeysChecked", kubernetesMajor, 29, 0, "kubeadm: apis/kubeadm/validation, ValidateCertificateKey"},
	ArgNamesChecked:         {"ArgNamesChecked", kubernetesMajor, 29, 0, "kubeadm: apis/kubeadm/validation, ValidateExtraArgs"},
	PullPoliciesChecked:     {"PullPoliciesChecked", kubernetesMajor, 30, 0, "kubeadm: apis/kubeadm/validation, ValidateImagePullPolicy"},
	LaterEtcd:               {"LaterEtcd", kubernetesMajor, 31, 34, "kubeadm: constants.MinExternalEtcdVersion of the minor's last release"},
	BridgeFilterChecked:     {"BridgeFilterChecked", kubernetesMajor, 0, 29, "kubeadm: preflight/checks_linux.go, bridgenf; kubernetes/kubernetes#123464"},
	KeysP384:                {"KeysP384", kubernetesMajor, 34, 0, "kubeadm: apis/kubeadm/types.go, EncryptionAlgorithmECDSAP384"},
	CgroupDriverFromRuntime: {"CgroupDriverFromRuntime", kubernetesMajor, 34, 0, "kubelet: KubeletCgroupDriverFromCRI; KEP 4033"},
	CgroupV1Refused:         {"CgroupV1Refused", kubernetesMajor, 35, 0, "kubelet: failCgroupV1's default; KEP 5573"},
	IPVSDeprecated:          {"IPVSDeprecated", kubernetesMajor, 35, 0, "kube-proxy: KEP 5495"},

	EtcdMetricsListener:   {"EtcdMetricsListener", etcdMajor, 3, 0, "etcd: --listen-metrics-urls"},
	EtcdCompactionPeriods: {"EtcdCompactionPeriods", etcdMajor, 3, 0, "etcd: --auto-compaction-mode"},
	EtcdctlV3:             {"EtcdctlV3", etcdMajor, 4, 0, "etcdctl: ETCDCTL_API's default"},
	EtcdZap:               {"EtcdZap", etcdMajor, 4, 0, "etcd: --logger"},
	EtcdLearners:          {"EtcdLearners", etcdMajor, 4, 0, "etcd: MemberAdd with isLearner"},
}

// Has reports whether a release of the program that a fact is of, Kubernetes or
// etcd, has it. A pre-release counts as its minor, and the zero Version as the
// newest.
func (v Version) Has(f Fact) bool {
	row := facts[f]
	if v.IsZero() {
		return row.last == 0
	}
	return v.AtLeast(row.major, row.first) && (row.last == 0 || !v.AtLeast(row.major, row.last+1))
}

// String names the fact.
func (f Fact) String() string { return facts[f].name }

// When says which minors have the fact: "from v1.16 on", "until v1.23", "from
// v1.31 to v1.34".
func (f Fact) When() string {
	switch row := facts[f]; {
	case row.last == 0:
		return fmt.Sprintf("from v%d.%d on", row.major, row.first)
	case row.first == 0:
		return fmt.Sprintf("until v%d.%d", row.major, row.last)
	default:
		return fmt.Sprintf("from v%d.%d to v%d.%d", row.major, row.first, row.major, row.last)
	}
}

// ReadyPath is the path where the API servers of a version answer whether they
// serve: /readyz, and before there was one /healthz. The zero Version means the
// newest.
func ReadyPath(kubernetes Version) string {
	if kubernetes.Has(Readyz) {
		return "/readyz"
	}
	return "/healthz"
}

const (
	socketScheme     = "unix://"
	dockershimSocket = socketScheme + "/var/run/dockershim.sock"
	containerdSocket = socketScheme + "/var/run/containerd/containerd.sock"
)

func defaultCRISocket(kubernetes Version) string {
	if supported(kubernetes) && kubernetes.Has(Dockershim) {
		return dockershimSocket
	}
	return containerdSocket
}

// IsDockershim reports whether a CRI socket, as a URL or a path, is the one by
// which a kubelet drives Docker itself.
func IsDockershim(criSocket string) bool { return strings.HasSuffix(criSocket, "/dockershim.sock") }

// CRISocketName is a CRI socket's URL as kubeadm and kubelets of a version name
// it: before 1.24 by its path.
func CRISocketName(criSocket string, kubernetes Version) string {
	if kubernetes.Has(CRISocketURL) {
		return criSocket
	}
	return strings.TrimPrefix(criSocket, socketScheme)
}

// minEtcdOf is the oldest external etcd that kubeadm accepts from a minor of
// Kubernetes on: constants.MinExternalEtcdVersion of each minor's first release,
// in cmd/kubeadm/app/constants/constants.go.
var minEtcdOf = []struct {
	minor int
	min   Version
}{
	{10, Version{Major: 3, Minor: 1, Patch: 12}},
	{11, Version{Major: 3, Minor: 2, Patch: 17}},
	{12, Version{Major: 3, Minor: 2, Patch: 18}},
	{28, Version{Major: 3, Minor: 4, Patch: 13}},
	{31, Version{Major: 3, Minor: 5, Patch: 11}},
	{34, Version{Major: 3, Minor: 5, Patch: 21}},
	{35, Version{Major: 3, Minor: 5, Patch: 24}},
}

// laterEtcd is what the last patch releases of the minors with LaterEtcd want;
// 1.34 from this one on. Those of the others that do are not distinguished, and
// validation warns of them.
var (
	laterEtcd     = Version{Major: 3, Minor: 5, Patch: 24}
	laterEtcdFrom = Version{Major: 1, Minor: 34, Patch: 4}
)

// minEtcd is the oldest external etcd that kubeadm accepts for a Kubernetes
// version.
func minEtcd(kubernetes Version) Version {
	if kubernetes.Has(LaterEtcd) && kubernetes.Compare(laterEtcdFrom) >= 0 {
		return laterEtcd
	}
	oldest := minEtcdOf[0].min
	for _, e := range minEtcdOf {
		if kubernetes.Minor >= e.minor {
			oldest = e.min
		}
	}
	return oldest
}

// defaultEtcd is enough for every patch release of a Kubernetes minor, and new
// enough to have every flag that is rendered by default.
func defaultEtcd(kubernetes Version) Version {
	switch {
	case !supported(kubernetes):
		return minEtcd(Version{Major: kubernetesMajor, Minor: MaxMinor})
	case kubernetes.Has(LaterEtcd):
		return laterEtcd
	}
	oldest := minEtcd(kubernetes)
	if least := minEtcdOf[2].min; oldest.Compare(least) < 0 {
		return least
	}
	return oldest
}

// ControlPlaneRole and MasterRole are the two names that the label and the taint
// of control planes have had.
const (
	ControlPlaneRole = "node-role.kubernetes.io/control-plane"
	MasterRole       = "node-role.kubernetes.io/master"
)

// ControlPlaneLabel is the label by which the control planes of a version are
// known, node-role.kubernetes.io/master until 1.23, whose nodes have both labels
// from 1.20 on.
func ControlPlaneLabel(kubernetes Version) string {
	if kubernetes.Has(MasterLabel) {
		return MasterRole
	}
	return ControlPlaneRole
}

// ControlPlaneTaints are the keys of the taints that kubeadm of a version puts
// on control planes; 1.24 has both.
func ControlPlaneTaints(kubernetes Version) []string {
	var keys []string
	if kubernetes.Has(ControlPlaneTaint) {
		keys = append(keys, ControlPlaneRole)
	}
	if kubernetes.Has(MasterTaint) {
		keys = append(keys, MasterRole)
	}
	return keys
}

// The ports that Kubernetes' components listen on by default
// (https://kubernetes.io/docs/reference/networking/ports-and-protocols/ and the
// components' --healthz-port and --metrics-port); those without TLS until SecureProbes.
const (
	kubeletPort           = 10250
	kubeletHealthPort     = 10248
	kubeProxyHealthPort   = 10256
	kubeProxyMetricsPort  = 10249
	managerPort           = 10257
	schedulerPort         = 10259
	managerInsecurePort   = 10252
	schedulerInsecurePort = 10251
	usualNodePorts        = "30000-32767"
	backendPort           = 6443 // where API servers listen behind a load balancer
)
