package kubeadm

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/quorate-dev/quorate"
)

// v1beta4 writes kubeadm.k8s.io/v1beta4, which kubeadm 1.31 to 1.37 read. The
// fields are those of cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go that
// Quorate sets; package kubeadm/upstream checks them against that code.
const v1beta4 = "kubeadm.k8s.io/v1beta4"

type v1beta4Init struct {
	typeMeta         `json:",inline"`
	BootstrapTokens  []v1beta4BootstrapToken `json:"bootstrapTokens"`
	NodeRegistration v1beta4Registration     `json:"nodeRegistration"`
	LocalAPIEndpoint v1beta4APIEndpoint      `json:"localAPIEndpoint"`
	CertificateKey   string                  `json:"certificateKey,omitempty"`
	SkipPhases       []string                `json:"skipPhases,omitempty"`
	Patches          *v1beta4Patches         `json:"patches,omitempty"`
	Timeouts         *v1beta4Timeouts        `json:"timeouts,omitempty"`
}

type v1beta4BootstrapToken struct {
	Token       string           `json:"token"`
	Description string           `json:"description"`
	TTL         quorate.Duration `json:"ttl"`
}

type v1beta4Registration struct {
	Name      string `json:"name"`
	CRISocket string `json:"criSocket"`
	// A nil pointer leaves kubeadm's default, a pointer to nothing is "none".
	Taints                *[]Taint     `json:"taints,omitempty"`
	KubeletExtraArgs      []v1beta4Arg `json:"kubeletExtraArgs,omitempty"`
	IgnorePreflightErrors []string     `json:"ignorePreflightErrors,omitempty"`
}

type v1beta4Arg struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type v1beta4APIEndpoint struct {
	AdvertiseAddress string `json:"advertiseAddress"`
	BindPort         int    `json:"bindPort"`
}

type v1beta4Patches struct {
	Directory string `json:"directory"`
}

type v1beta4Timeouts struct {
	ControlPlaneComponentHealthCheck quorate.Duration `json:"controlPlaneComponentHealthCheck,omitempty"`
	KubeletHealthCheck               quorate.Duration `json:"kubeletHealthCheck,omitempty"`
	KubernetesAPICall                quorate.Duration `json:"kubernetesAPICall,omitempty"`
	EtcdAPICall                      quorate.Duration `json:"etcdAPICall,omitempty"`
	TLSBootstrap                     quorate.Duration `json:"tlsBootstrap,omitempty"`
	Discovery                        quorate.Duration `json:"discovery,omitempty"`
}

type v1beta4Cluster struct {
	typeMeta             `json:",inline"`
	ClusterName          string            `json:"clusterName"`
	KubernetesVersion    string            `json:"kubernetesVersion"`
	ControlPlaneEndpoint string            `json:"controlPlaneEndpoint"`
	Networking           v1beta4Networking `json:"networking"`
	Etcd                 v1beta4Etcd       `json:"etcd"`
	APIServer            v1beta4APIServer  `json:"apiServer"`
	ControllerManager    v1beta4Component  `json:"controllerManager,omitzero"`
	Scheduler            v1beta4Component  `json:"scheduler,omitzero"`
	ImageRepository      string            `json:"imageRepository"`
	FeatureGates         map[string]bool   `json:"featureGates,omitempty"`
}

type v1beta4Networking struct {
	ServiceSubnet string `json:"serviceSubnet"`
	PodSubnet     string `json:"podSubnet"`
	DNSDomain     string `json:"dnsDomain"`
}

type v1beta4Etcd struct {
	External v1beta4ExternalEtcd `json:"external"`
}

type v1beta4ExternalEtcd struct {
	Endpoints []string `json:"endpoints"`
	CAFile    string   `json:"caFile"`
	CertFile  string   `json:"certFile"`
	KeyFile   string   `json:"keyFile"`
}

type v1beta4Component struct {
	ExtraArgs    []v1beta4Arg `json:"extraArgs,omitempty"`
	ExtraVolumes []Volume     `json:"extraVolumes,omitempty"`
}

func (c v1beta4Component) IsZero() bool { return len(c.ExtraArgs)+len(c.ExtraVolumes) == 0 }

type v1beta4APIServer struct {
	v1beta4Component `json:",inline"`
	CertSANs         []string `json:"certSANs,omitempty"`
}

type v1beta4Join struct {
	typeMeta         `json:",inline"`
	NodeRegistration v1beta4Registration      `json:"nodeRegistration"`
	Discovery        v1beta4Discovery         `json:"discovery"`
	ControlPlane     *v1beta4JoinControlPlane `json:"controlPlane,omitempty"`
	SkipPhases       []string                 `json:"skipPhases,omitempty"`
	Patches          *v1beta4Patches          `json:"patches,omitempty"`
	Timeouts         *v1beta4Timeouts         `json:"timeouts,omitempty"`
}

type v1beta4Discovery struct {
	BootstrapToken v1beta4TokenDiscovery `json:"bootstrapToken"`
}

type v1beta4TokenDiscovery struct {
	Token             string   `json:"token"`
	APIServerEndpoint string   `json:"apiServerEndpoint"`
	CACertHashes      []string `json:"caCertHashes"`
}

type v1beta4JoinControlPlane struct {
	LocalAPIEndpoint v1beta4APIEndpoint `json:"localAPIEndpoint"`
	CertificateKey   string             `json:"certificateKey,omitempty"`
}

// encodeV1beta4 gives the documents of one node. Every field of Config has its
// place in this version, so that it finds no problems of its own.
func encodeV1beta4(c Config) []any {
	if c.Join != nil {
		return []any{v1beta4JoinOf(c)}
	}
	return append([]any{v1beta4InitOf(c), v1beta4ClusterOf(c)}, componentDocuments(*c.Init)...)
}

func v1beta4InitOf(c Config) v1beta4Init {
	return v1beta4Init{
		typeMeta: typeMeta{v1beta4, "InitConfiguration"},
		BootstrapTokens: []v1beta4BootstrapToken{{
			Token:       string(c.Token.Bytes()),
			Description: tokenDescription,
			TTL:         c.Init.tokenTTL(),
		}},
		NodeRegistration: v1beta4RegistrationOf(c.Registration),
		LocalAPIEndpoint: v1beta4EndpointOf(*c.APIServer),
		CertificateKey:   string(c.CertificateKey.Bytes()),
		SkipPhases:       c.SkipPhases,
		Patches:          v1beta4PatchesOf(c.PatchesDir),
		Timeouts:         v1beta4TimeoutsOf(c.Timeouts),
	}
}

func v1beta4ClusterOf(c Config) v1beta4Cluster {
	i := c.Init
	return v1beta4Cluster{
		typeMeta:             typeMeta{v1beta4, "ClusterConfiguration"},
		ClusterName:          i.ClusterName,
		KubernetesVersion:    c.Version.String(),
		ControlPlaneEndpoint: i.Endpoint,
		Networking: v1beta4Networking{
			ServiceSubnet: joinPrefixes(i.Services),
			PodSubnet:     joinPrefixes(i.Pods),
			DNSDomain:     i.DNSDomain,
		},
		Etcd: v1beta4Etcd{External: v1beta4ExternalEtcd(i.Etcd)},
		APIServer: v1beta4APIServer{
			v1beta4Component: v1beta4ComponentOf(i.APIServer),
			CertSANs:         i.CertSANs,
		},
		ControllerManager: v1beta4ComponentOf(i.ControllerManager),
		Scheduler:         v1beta4ComponentOf(i.Scheduler),
		ImageRepository:   i.ImageRepository,
		FeatureGates:      i.FeatureGates,
	}
}

func v1beta4JoinOf(c Config) v1beta4Join {
	j := v1beta4Join{
		typeMeta:         typeMeta{v1beta4, "JoinConfiguration"},
		NodeRegistration: v1beta4RegistrationOf(c.Registration),
		Discovery: v1beta4Discovery{BootstrapToken: v1beta4TokenDiscovery{
			Token:             string(c.Token.Bytes()),
			APIServerEndpoint: c.Join.Endpoint,
			CACertHashes:      c.Join.CAHashes,
		}},
		SkipPhases: c.SkipPhases,
		Patches:    v1beta4PatchesOf(c.PatchesDir),
		Timeouts:   v1beta4TimeoutsOf(c.Timeouts),
	}
	if c.APIServer != nil {
		j.ControlPlane = &v1beta4JoinControlPlane{
			LocalAPIEndpoint: v1beta4EndpointOf(*c.APIServer),
			CertificateKey:   string(c.CertificateKey.Bytes()),
		}
	}
	return j
}

func v1beta4RegistrationOf(r Registration) v1beta4Registration {
	out := v1beta4Registration{
		Name:                  r.Name,
		CRISocket:             r.CRISocket,
		KubeletExtraArgs:      v1beta4Args(r.kubeletArgs()),
		IgnorePreflightErrors: r.IgnorePreflightErrors,
	}
	if r.Taints != nil {
		out.Taints = &r.Taints
	}
	return out
}

func v1beta4EndpointOf(a APIServer) v1beta4APIEndpoint {
	return v1beta4APIEndpoint{AdvertiseAddress: a.Address.String(), BindPort: a.Port}
}

func v1beta4PatchesOf(dir string) *v1beta4Patches {
	if dir == "" {
		return nil
	}
	return &v1beta4Patches{Directory: dir}
}

func v1beta4TimeoutsOf(t Timeouts) *v1beta4Timeouts {
	if t == (Timeouts{}) {
		return nil
	}
	return &v1beta4Timeouts{
		ControlPlaneComponentHealthCheck: t.ControlPlane,
		KubeletHealthCheck:               t.Kubelet,
		KubernetesAPICall:                t.APICall,
		EtcdAPICall:                      t.EtcdCall,
		TLSBootstrap:                     t.TLSBootstrap,
		Discovery:                        t.Discovery,
	}
}

func v1beta4ComponentOf(c Component) v1beta4Component {
	return v1beta4Component{ExtraArgs: v1beta4Args(c.Args), ExtraVolumes: c.Volumes}
}

// v1beta4Args orders a map's arguments by name.
func v1beta4Args(args map[string]string) []v1beta4Arg {
	var out []v1beta4Arg
	for _, name := range slices.Sorted(maps.Keys(args)) {
		out = append(out, v1beta4Arg{Name: name, Value: args[name]})
	}
	return out
}

func joinPrefixes(prefixes []netip.Prefix) string {
	parts := make([]string, len(prefixes))
	for i, p := range prefixes {
		parts[i] = p.Masked().String()
	}
	return strings.Join(parts, ",")
}
