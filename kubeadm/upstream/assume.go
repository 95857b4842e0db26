package upstream

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm"
	"k8s.io/kubernetes/cmd/kubeadm/app/apis/kubeadm/v1beta4"
)

// Placeholders, all reserved for documentation (RFC 5737, RFC 3849, RFC 2606).
const (
	placeholderName      = "assumed.invalid"
	placeholderIPv4      = "192.0.2.1"
	placeholderIPv6      = "2001:db8::1"
	placeholderDiscovery = "https://assumed.invalid/cluster-info"
)

// assumeName: kubeadm would take the host's name.
func (c *checker) assumeName(kind string, node *kubeadm.NodeRegistrationOptions) {
	if node.Name == "" {
		node.Name = placeholderName
		c.assume(kind, "nodeRegistration.name")
	}
}

// assumeAddress: kubeadm would look at the host's interfaces for an address left
// out, and take an unspecified or loopback one as the order to do so.
func (c *checker) assumeAddress(kind, path string, endpoint *kubeadm.APIEndpoint) {
	addr, err := netip.ParseAddr(endpoint.AdvertiseAddress)
	switch {
	case endpoint.AdvertiseAddress == "", err == nil && hostChooses(addr) && !addr.Is6():
		endpoint.AdvertiseAddress = placeholderIPv4
	case err == nil && hostChooses(addr):
		endpoint.AdvertiseAddress = placeholderIPv6
	case err != nil:
		c.refuse(kind, path+".advertiseAddress", errors.New("not an IP address"))
		endpoint.AdvertiseAddress = placeholderIPv4 // lest kubeadm look for one
		return
	default:
		return
	}
	c.assume(kind, path+".advertiseAddress")
}

func hostChooses(addr netip.Addr) bool {
	return addr.Unmap().IsUnspecified() || addr.Unmap().IsLoopback()
}

// assumeVersion: kubeadm would ask the network which release a label such as
// stable-1 means. An absent version is assumed; a label is refused, since a file
// that means something else every month cannot be judged.
func (c *checker) assumeVersion(cluster *kubeadm.ClusterConfiguration) {
	input := cluster.KubernetesVersion
	if input == v1beta4.DefaultKubernetesVersion && !c.versionGiven() {
		c.assume("ClusterConfiguration", "kubernetesVersion")
		cluster.KubernetesVersion = Release
		return
	}
	if _, err := version.ParseSemantic(input); err != nil || strings.TrimSpace(input) != input {
		c.refuse("ClusterConfiguration", "kubernetesVersion",
			errors.New("not a release such as "+Release+": kubeadm would ask the network what it means"))
		cluster.KubernetesVersion = Release
	}
}

func (c *checker) versionGiven() bool {
	cluster := c.result.Input.Cluster
	return cluster != nil && cluster.KubernetesVersion != ""
}

// assumeDiscoveryFile: validation looks for the file on this host, and it is
// meant for another.
func (c *checker) assumeDiscoveryFile(discovery *kubeadm.Discovery) {
	if discovery.File == nil {
		return
	}
	u, err := url.Parse(discovery.File.KubeConfigPath)
	if err == nil && u.Scheme == "" && strings.HasPrefix(u.Path, "/") {
		discovery.File.KubeConfigPath = placeholderDiscovery
		c.assume("JoinConfiguration", "discovery.file.kubeConfigPath")
	}
}
