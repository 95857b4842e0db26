package quorate_test

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }
func ranges(s ...string) (out []netip.Prefix) {
	for _, r := range s {
		out = append(out, netip.MustParsePrefix(r))
	}
	return out
}

func node(name string, role quorate.Role, addresses ...string) quorate.Node {
	n := quorate.Node{Name: name, Role: role}
	for _, a := range addresses {
		n.Addresses = append(n.Addresses, addr(a))
	}
	return n
}

// three is a valid cluster without a single problem or warning.
func three() quorate.Cluster {
	return quorate.Cluster{
		Version: quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{
			Interface: "eth0", Subnet: netip.MustParsePrefix("192.0.2.0/24")}},
		Nodes: []quorate.Node{
			node("cp-1", quorate.ControlPlane, "192.0.2.11"),
			node("cp-2", quorate.ControlPlane, "192.0.2.12"),
			node("cp-3", quorate.ControlPlane, "192.0.2.13"),
			node("worker-1", quorate.Worker, "192.0.2.21"),
		},
	}
}

// dual is a valid dual-stack cluster, IPv6 first.
func dual() quorate.Cluster {
	c := three()
	c.Endpoint.Host = "2001:db8::10"
	c.Endpoint.VIP.Subnet = netip.MustParsePrefix("2001:db8::/64")
	c.Pods = ranges("fd00:10::/48", "10.244.0.0/16")
	c.Services = ranges("fd00:20::/112", "10.96.0.0/16")
	for i := range c.Nodes {
		v4 := c.Nodes[i].Address()
		v6 := addr("2001:db8::1" + v4.String()[len("192.0.2."):])
		c.Nodes[i].Addresses = []netip.Addr{v6, v4}
	}
	return c
}

func TestValidClustersHaveNoProblems(t *testing.T) {
	for name, c := range map[string]quorate.Cluster{"three": three(), "dual-stack": dual()} {
		if p := c.Problems(); len(p) != 0 {
			t.Errorf("%s: %v", name, p)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var supportedRange = fmt.Sprintf("v1.%d to v1.%d", quorate.MinMinor, quorate.MaxMinor)

// TestEachRule breaks a valid cluster in one way and wants exactly that
// problem, at its path, with a message that names what is wrong.
func TestEachRule(t *testing.T) {
	type cluster = quorate.Cluster
	long := strings.Repeat("a", 64)
	for _, tt := range []struct {
		path, message string
		from          func() cluster
		with          func(c *cluster)
	}{
		{"name", "label", three, func(c *cluster) { c.Name = "Prod" }},
		{"name", "label", three, func(c *cluster) { c.Name = "a.b" }},
		{"name", "label", three, func(c *cluster) { c.Name = long }},
		{"name", "label", three, func(c *cluster) { c.Name = "a\n" }},
		{"version", "required", three, func(c *cluster) { c.Version = quorate.Version{} }},
		{"version", supportedRange, three, func(c *cluster) { c.Version = version("1.9.11") }},
		{"version", supportedRange, three, func(c *cluster) { c.Version = quorate.Version{Major: 1, Minor: quorate.MaxMinor + 1} }},
		{"version", "not supported", three, func(c *cluster) { c.Version.Minor = quorate.MaxMinor + 1 }},
		{"version", "not supported", three, func(c *cluster) { c.Version.Major = 2 }},
		{"version", "no version", three, func(c *cluster) { c.Version.Patch = -1 }},
		{"version", "no version", three, func(c *cluster) { c.Version.Pre = "rc 1" }},

		{"endpoint.host", "required", three, func(c *cluster) { c.Endpoint.Host = "" }},
		{"endpoint.host", "no IP address", three, func(c *cluster) { c.Endpoint.Host = "api.example.com" }},
		{"endpoint.host", "DNS name", three, func(c *cluster) { c.Endpoint = external("API_example") }},
		{"endpoint.host", "DNS name", three, func(c *cluster) { c.Endpoint = external("a\x00b") }},
		{"endpoint.host", "192.0.2.12 is nodes[1].addresses[0]", three, func(c *cluster) { c.Endpoint.Host = "192.0.2.12" }},
		{"endpoint.host", "pods[0] 10.244.0.0/16", noSubnet, func(c *cluster) { c.Endpoint.Host = "10.244.1.1" }},
		{"endpoint.host", "services[0] 10.96.0.0/12", noSubnet, func(c *cluster) { c.Endpoint.Host = "10.100.1.1" }},
		{"endpoint.host", "no IPv6 address", noSubnet, func(c *cluster) { c.Endpoint.Host = "2001:db8::10" }},
		{"endpoint.host", "unspecified", noSubnet, func(c *cluster) { c.Endpoint.Host = "0.0.0.0" }},
		{"endpoint.host", "multicast", noSubnet, func(c *cluster) { c.Endpoint.Host = "224.0.0.18" }},
		{"endpoint.host", "link-local", noSubnet, func(c *cluster) { c.Endpoint.Host = "fe80::1" }},
		{"endpoint.host", "zone", noSubnet, func(c *cluster) { c.Endpoint.Host = "2001:db8::1%eth0" }},
		{"endpoint.host", "write it as 192.0.2.10", noSubnet, func(c *cluster) { c.Endpoint.Host = "::ffff:192.0.2.10" }},
		{"endpoint.host", "without brackets", three, func(c *cluster) { c.Endpoint.Host = "[2001:db8::10]" }},
		{"endpoint.host", "shortest form, 2001:db8::10", dual, func(c *cluster) { c.Endpoint.Host = "2001:DB8:0::10" }},
		{"endpoint.port", "65535", three, func(c *cluster) { c.Endpoint.Port = 65536 }},
		{"endpoint.port", "65535", three, func(c *cluster) { c.Endpoint.Port = -1 }},
		{"endpoint.port", "port of kubelet", three, func(c *cluster) { c.Endpoint.Port = 10250 }},
		{"endpoint.port", "port of the API servers", three, func(c *cluster) {
			c.Endpoint.LoadBalancer, c.Endpoint.Port = quorate.HAProxy, 6443
		}},
		{"endpoint.loadBalancer", `"nginx": want haproxy`, three, func(c *cluster) { c.Endpoint.LoadBalancer = "nginx" }},
		{"endpoint.loadBalancer", "endpoint.external has", three, func(c *cluster) {
			c.Endpoint = external("api.example.com")
			c.Endpoint.LoadBalancer = quorate.HAProxy
		}},
		{"etcd.clientPort", "8443 is also endpoint.port", three, func(c *cluster) {
			c.Endpoint.LoadBalancer, c.Etcd.ClientPort = quorate.HAProxy, 8443
		}},
		{"etcd.clientPort", "6443 is also the API server's port", three, func(c *cluster) {
			c.Endpoint.LoadBalancer, c.Etcd.ClientPort = quorate.HAProxy, 6443
		}},
		{"endpoint.vip.interface", "cp-1, cp-2, cp-3", three, func(c *cluster) { c.Endpoint.VIP.Interface = "" }},
		{"endpoint.vip.interface", "cp-2, cp-3", three, func(c *cluster) {
			c.Endpoint.VIP.Interface, c.Nodes[0].Interface = "", "ens3"
		}},
		{"endpoint.vip.interface", "no interface name", three, func(c *cluster) { c.Endpoint.VIP.Interface = "an-interface-too-long" }},
		{"endpoint.vip.interface", "no interface name", three, func(c *cluster) { c.Endpoint.VIP.Interface = "eth0\n}" }},
		{"endpoint.vip.subnet", "does not hold the VIP", three, func(c *cluster) { c.Endpoint.Host = "198.51.100.1" }},
		{"endpoint.vip.subnet", "network or broadcast", three, func(c *cluster) { c.Endpoint.Host = "192.0.2.255" }},
		{"endpoint.vip.subnet", "did you mean 192.0.2.0/24", three, func(c *cluster) {
			c.Endpoint.VIP.Subnet = netip.MustParsePrefix("192.0.2.9/24")
		}},
		{"endpoint.vip.subnet", "overlaps pods[0]", three, func(c *cluster) {
			c.Pods = ranges("192.0.2.128/25")
			c.Kubeadm.ControllerManagerArgs = map[string]string{"node-cidr-mask-size": "28"}
		}},
		{"endpoint.vip.routerID", "VRID", three, func(c *cluster) { c.Endpoint.VIP.RouterID = 256 }},
		{"endpoint.vip.routerID", "VRID", three, func(c *cluster) { c.Endpoint.VIP.RouterID = -1 }},
		{"endpoint.vip.advertInterval", "100ms to 40s", three, func(c *cluster) { c.Endpoint.VIP.AdvertInterval = ms(90) }},
		{"endpoint.vip.advertInterval", "steps of 10ms", three, func(c *cluster) { c.Endpoint.VIP.AdvertInterval = ms(505) }},
		{"endpoint.vip.advertInterval", "40s", three, func(c *cluster) { c.Endpoint.VIP.AdvertInterval = ms(41000) }},
		{"endpoint.vip.checkInterval", "whole seconds", three, func(c *cluster) { c.Endpoint.VIP.CheckInterval = ms(1500) }},
		{"endpoint.vip.checkTimeout", "whole seconds", three, func(c *cluster) { c.Endpoint.VIP.CheckTimeout = ms(-1000) }},
		{"endpoint.vip.checkTimeout", "longer than endpoint.vip.checkInterval", three, func(c *cluster) { c.Endpoint.VIP.CheckTimeout = ms(2000) }},
		{"endpoint.vip.fall", "1 or more", three, func(c *cluster) { c.Endpoint.VIP.Fall = -1 }},
		{"endpoint.vip.rise", "1 or more", three, func(c *cluster) { c.Endpoint.VIP.Rise = -3 }},

		{"pods[0]", "did you mean 10.244.0.0/16", three, func(c *cluster) { c.Pods = ranges("10.244.3.0/16") }},
		{"pods[0]", "no range", three, func(c *cluster) { c.Pods = []netip.Prefix{{}} }},
		{"pods[0]", "too small", three, func(c *cluster) { c.Pods = ranges("10.244.0.0/23") }},
		{"pods[0]", "too small", three, func(c *cluster) { c.Pods = ranges("10.244.0.0/25") }},
		{"pods[0]", "too large", dual, func(c *cluster) { c.Pods[0] = netip.MustParsePrefix("fd00:10::/47") }},
		{"pods[0]", "unicast", three, func(c *cluster) { c.Pods = ranges("224.0.0.0/16") }},
		{"pods[1]", "one range of each family", dual, func(c *cluster) { c.Pods[1] = netip.MustParsePrefix("fd00:11::/48") }},
		{"pods[2]", "too many", dual, func(c *cluster) { c.Pods = append(c.Pods, ranges("10.32.0.0/16")...) }},
		{"services[0]", "overlaps pods[0]", three, func(c *cluster) { c.Services = ranges("10.244.128.0/20") }},
		{"services[0]", "too large", three, func(c *cluster) { c.Services = ranges("10.0.0.0/11") }},
		{"services[0]", "too large", dual, func(c *cluster) { c.Services[0] = netip.MustParsePrefix("fd00:20::/107") }},
		{"services[0]", "too small", three, func(c *cluster) { c.Services = ranges("10.96.0.0/29") }},
		{"services[0]", "primary family", dual, func(c *cluster) { slices.Reverse(c.Services) }},
		{"services[0]", "primary family", three, func(c *cluster) { c.Services = ranges("fd00::/112") }},
		{"services[1]", "one range of each family", dual, func(c *cluster) { c.Services[1] = netip.MustParsePrefix("fd00:21::/112") }},
		{"services[1]", "overlaps pods[1]", dual, func(c *cluster) { c.Services[1] = netip.MustParsePrefix("10.244.0.0/20") }},
		{"services", "both be dual-stack", dual, func(c *cluster) { c.Services = c.Services[:1] }},
		{"dnsDomain", "subdomain", three, func(c *cluster) { c.DNSDomain = "cluster.local." }},

		{"nodes", "no control plane", three, func(c *cluster) { c.Nodes = nil }},
		{"nodes", "no control plane", three, func(c *cluster) { c.Nodes = c.Nodes[3:] }},
		{"nodes", "2 control planes survive no more failures than 1", three, func(c *cluster) { c.Nodes = c.Nodes[1:] }},
		{"nodes[1].name", "required", three, func(c *cluster) { c.Nodes[1].Name = "" }},
		{"nodes[1].name", "also nodes[0].name", three, func(c *cluster) { c.Nodes[1].Name = "cp-1" }},
		{"nodes[1].name", "RFC 1123", three, func(c *cluster) { c.Nodes[1].Name = "CP-2" }},
		{"nodes[1].name", "RFC 1123", three, func(c *cluster) { c.Nodes[1].Name = "cp_2" }},
		{"nodes[1].name", "RFC 1123", three, func(c *cluster) { c.Nodes[1].Name = "cp-2." }},
		{"nodes[1].name", "RFC 1123", three, func(c *cluster) { c.Nodes[1].Name = "cp\x1b[2J" }},
		{"nodes[1].name", "RFC 1123", three, func(c *cluster) { c.Nodes[1].Name = long }},
		{"nodes[1].name", "RFC 1123", three, func(c *cluster) { c.Nodes[1].Name = strings.Repeat("a.", 127) + "a" }},
		{"nodes[1].name", "65 characters", three, func(c *cluster) { c.Nodes[1].Name = strings.Repeat("a.", 32) + "a" }},
		{"nodes[1].name", "is an address", three, func(c *cluster) { c.Nodes[1].Name = "192.0.2.12" }},
		{"nodes[1].role", "required", three, func(c *cluster) { c.Nodes[1].Role = "" }},
		{"nodes[1].role", "no role", three, func(c *cluster) { c.Nodes[1].Role = "etcd" }},
		{"nodes[1].addresses", "required", three, func(c *cluster) { c.Nodes[1].Addresses = nil }},
		{"nodes[1].addresses", "one of each family", dual, func(c *cluster) { c.Nodes[1].Addresses = c.Nodes[1].Addresses[:1] }},
		{"nodes[1].addresses[0]", "also nodes[0].addresses[0]", three, func(c *cluster) { c.Nodes[1].Addresses = c.Nodes[0].Addresses }},
		{"nodes[1].addresses[0]", "no address", three, func(c *cluster) { c.Nodes[1].Addresses[0] = netip.Addr{} }},
		{"nodes[1].addresses[0]", "outside endpoint.vip.subnet", three, func(c *cluster) { c.Nodes[1].Addresses[0] = addr("198.51.100.2") }},
		{"nodes[1].addresses[0]", "broadcast", three, func(c *cluster) { c.Nodes[1].Addresses[0] = addr("192.0.2.255") }},
		{"nodes[1].addresses[0]", "primary family", dual, func(c *cluster) { slices.Reverse(c.Nodes[1].Addresses) }},
		{"nodes[3].addresses[0]", "lies in pods[0]", three, func(c *cluster) { c.Nodes[3].Addresses[0] = addr("10.244.0.7") }},
		{"nodes[3].addresses[0]", "lies in services[0]", three, func(c *cluster) { c.Nodes[3].Addresses[0] = addr("10.97.0.7") }},
		{"nodes[3].addresses[1]", "lies in pods[1]", dual, func(c *cluster) { c.Nodes[3].Addresses[1] = addr("10.244.0.7") }},
		{"nodes[3].addresses[0]", "pods[0] is IPv4", three, func(c *cluster) { c.Nodes[3].Addresses[0] = addr("2001:db8::7") }},
		{"nodes[3].addresses[0]", "unspecified", three, func(c *cluster) { c.Nodes[3].Addresses[0] = addr("0.0.0.0") }},
		{"nodes[3].addresses[0]", "multicast", three, func(c *cluster) { c.Nodes[3].Addresses[0] = addr("239.1.1.1") }},
		{"nodes[3].addresses[0]", "link-local", three, func(c *cluster) { c.Nodes[3].Addresses[0] = addr("169.254.1.1") }},
		{"nodes[3].addresses[0]", "broadcast", three, func(c *cluster) { c.Nodes[3].Addresses[0] = addr("255.255.255.255") }},
		{"nodes[3].addresses[0]", "zone", dual, func(c *cluster) { c.Nodes[3].Addresses[0] = addr("2001:db8::7%eth0") }},
		{"nodes[3].addresses[1]", "one address", three, func(c *cluster) { c.Nodes[3].Addresses = append(c.Nodes[3].Addresses, addr("2001:db8::7")) }},
		{"nodes[3].addresses[1]", "each family", dual, func(c *cluster) { c.Nodes[3].Addresses[1] = addr("2001:db8::7") }},
		{"nodes[3].addresses[2]", "too many", dual, func(c *cluster) { c.Nodes[3].Addresses = append(c.Nodes[3].Addresses, addr("2001:db8::7")) }},
		{"nodes[1].ssh", "same host as nodes[0].ssh", three, func(c *cluster) { c.Nodes[0].SSH, c.Nodes[1].SSH = "root@bastion:22", "bastion" }},
		{"nodes[0].interface", "no interface name", three, func(c *cluster) { c.Nodes[0].Interface = "eth0:1" }},
		{`nodes[0].labels["a b"]`, "no label", three, func(c *cluster) { c.Nodes[0].Labels = map[string]string{"a b": ""} }},
		{`nodes[0].labels["A_/b"]`, "no label", three, func(c *cluster) { c.Nodes[0].Labels = map[string]string{"A_/b": ""} }},
		{`nodes[0].labels["disk"]`, "no label value", three, func(c *cluster) { c.Nodes[0].Labels = map[string]string{"disk": "s\nsd"} }},
		{`nodes[0].labels["node-role.kubernetes.io/worker"]`, "kubelet may not", three, func(c *cluster) {
			c.Nodes[0].Labels = map[string]string{"node-role.kubernetes.io/worker": "", "topology.kubernetes.io/zone": "a", "x.node.kubernetes.io/y": "z"}
		}},

		{"etcd.version", "v3.5.24 or later", three, func(c *cluster) { c.Etcd.Version = quorate.Version{Major: 3, Minor: 5, Patch: 23} }},
		{"etcd.version", "v3.5.21 or later", three, func(c *cluster) { c.Version, c.Etcd.Version = version("1.34.3"), version("3.5.20") }},
		{"etcd.version", "v3.5.24 or later", three, func(c *cluster) { c.Version, c.Etcd.Version = version("1.34.4"), version("3.5.23") }},
		{"etcd.version", "v3.5.11 or later", three, func(c *cluster) { c.Version, c.Etcd.Version = version("1.31.0"), version("3.5.10") }},
		{"etcd.version", "want v3", three, func(c *cluster) { c.Etcd.Version.Major = 4 }},
		{"etcd.version", "no version", three, func(c *cluster) { c.Etcd.Version = quorate.Version{Major: 3, Minor: -1} }},
		{"etcd.dataDir", "absolute", three, func(c *cluster) { c.Etcd.DataDir = "var/lib/etcd" }},
		{"etcd.dataDir", "absolute", three, func(c *cluster) { c.Etcd.DataDir = "/var/lib/etcd/" }},
		{"etcd.dataDir", "absolute", three, func(c *cluster) { c.Etcd.DataDir = "/" }},
		{"etcd.dataDir", "absolute", three, func(c *cluster) { c.Etcd.DataDir = "/var/../etcd" }},
		{"etcd.dataDir", "absolute", three, func(c *cluster) { c.Etcd.DataDir = "/var/lib/%i" }},
		{"etcd.binary", "absolute", three, func(c *cluster) { c.Etcd.Binary = "/bin/etcd\nExecStartPre=/bin/sh" }},
		{"etcd.clientPort", "65535", three, func(c *cluster) { c.Etcd.ClientPort = 70000 }},
		{"etcd.clientPort", "also endpoint.port", three, func(c *cluster) { c.Endpoint.Port = 2379 }},
		{"etcd.clientPort", "API server's port", three, func(c *cluster) { c.Endpoint = external("lb.example.com"); c.Etcd.ClientPort = 6443 }},
		{"etcd.peerPort", "also etcd.clientPort", three, func(c *cluster) { c.Etcd.PeerPort = 2379 }},
		{"etcd.peerPort", "kube-scheduler", three, func(c *cluster) { c.Etcd.PeerPort = 10259 }},
		{"etcd.metricsPort", "also etcd.peerPort", three, func(c *cluster) { c.Etcd.MetricsPort = 2380 }},
		{"etcd.metricsPort", "-1 for none", three, func(c *cluster) { c.Etcd.MetricsPort = -2 }},
		{"etcd.heartbeat", "milliseconds", three, func(c *cluster) { c.Etcd.Heartbeat = quorate.Duration(time.Microsecond) }},
		{"etcd.election", "5 times", three, func(c *cluster) { c.Etcd.Heartbeat = ms(201) }},
		{"etcd.election", "50s", three, func(c *cluster) { c.Etcd.Election = ms(50001) }},
		{"etcd.election", "milliseconds", three, func(c *cluster) { c.Etcd.Election = ms(-1) }},
		{"etcd.quotaBytes", "64 MiB", three, func(c *cluster) { c.Etcd.QuotaBytes = 8 }},
		{"etcd.quotaBytes", "64 MiB", three, func(c *cluster) { c.Etcd.QuotaBytes = -1 }},
		{"etcd.compactionRetention", "0 (off)", three, func(c *cluster) { c.Etcd.CompactionRetention = ms(-1) }},
		{"etcd.compactionRetention", "whole hours", three, func(c *cluster) {
			c.Version, c.Etcd.CompactionRetention = version("1.10.4"), quorate.Duration(90*time.Minute)
		}},
		{"etcd.snapshotCount", "or more", three, func(c *cluster) { c.Etcd.SnapshotCount = -1 }},

		{"etcd.version", "v3.5.24 or later", three, func(c *cluster) { c.Etcd.Version = version("3.4.13") }},
		{"etcd.version", "v3.1.12 or later", three, func(c *cluster) { c.Version, c.Etcd.Version = version("1.10.4"), version("3.1.11") }},
		{"etcd.version", "v3.2.18 or later", three, func(c *cluster) { c.Version, c.Etcd.Version = version("1.27.0"), version("3.2.17") }},
		{"etcd.version", "v3.4.13 or later", three, func(c *cluster) { c.Version, c.Etcd.Version = version("1.28.0"), version("3.4.12") }},
		{"etcd.metricsPort", "came with 3.3", three, func(c *cluster) { c.Version, c.Etcd.MetricsPort = version("1.10.4"), 2381 }},
		{"etcd.plainHTTP", "v1.10 alone", three, func(c *cluster) { c.Etcd.PlainHTTP = true }},
		{"etcd.stacked", "from v1.13 on", three, func(c *cluster) { c.Version, c.Etcd.Stacked = version("1.12.10"), true }},
		{"etcd.clientPort", "kubeadm decides", three, func(c *cluster) { c.Etcd.Stacked, c.Etcd.ClientPort = true, 12379 }},
		{"etcd.binary", "kubeadm decides", three, func(c *cluster) { c.Etcd.Stacked, c.Etcd.Binary = true, "/bin/etcd" }},
		{"endpoint.vip.weight", "fault state", three, func(c *cluster) { c.Endpoint.VIP.Weight = 2 }},

		{"kubeadm.criSocket", "until v1.23", three, func(c *cluster) { c.Kubeadm.CRISocket = "unix:///var/run/dockershim.sock" }},
		{"kubeadm.criSocket", "unix://", three, func(c *cluster) { c.Kubeadm.CRISocket = "/run/containerd/containerd.sock" }},
		{"kubeadm.imageRepository", "without scheme", three, func(c *cluster) { c.Kubeadm.ImageRepository = "https://registry.example.com" }},
		{"kubeadm.imageRepository", "slash", three, func(c *cluster) { c.Kubeadm.ImageRepository = "registry.example.com/" }},
		{"kubeadm.certSANs[1]", "DNS name", three, func(c *cluster) { c.Kubeadm.CertSANs = []string{"*.example.com", "a b", "192.0.2.99"} }},
		{"kubeadm.ignorePreflightErrors[0]", "preflight", three, func(c *cluster) { c.Kubeadm.IgnorePreflightErrors = []string{"-x"} }},
		{"kubeadm.ignorePreflightErrors[1]", "alone", three, func(c *cluster) { c.Kubeadm.IgnorePreflightErrors = []string{"Swap", "all"} }},
		{`kubeadm.featureGates["a=b"]`, "feature gate", three, func(c *cluster) { c.Kubeadm.FeatureGates = map[string]bool{"a=b": true} }},
		{`kubeadm.apiServerArgs["--v"]`, "dashes", three, func(c *cluster) { c.Kubeadm.APIServerArgs = map[string]string{"--v": "2"} }},
		{`kubeadm.controllerManagerArgs["v"]`, "control character", three, func(c *cluster) { c.Kubeadm.ControllerManagerArgs = map[string]string{"v": "2\n"} }},
		{`kubeadm.schedulerArgs["V"]`, "lower case", three, func(c *cluster) { c.Kubeadm.SchedulerArgs = map[string]string{"V": "2"} }},
		{`kubeadm.kubelet["kind"]`, "set by Quorate", three, func(c *cluster) { c.Kubeadm.Kubelet = map[string]any{"kind": "X"} }},
		{`kubeadm.kubelet["a"]["b"][1]`, "control character", three, func(c *cluster) {
			c.Kubeadm.Kubelet = map[string]any{"a": map[string]any{"b": []any{true, "\x00"}}}
		}},
		{`kubeadm.kubeProxy["f"]`, "chan int", three, func(c *cluster) { c.Kubeadm.KubeProxy = map[string]any{"f": make(chan int)} }},
		{`kubeadm.kubeProxy["f"]`, "no number", three, func(c *cluster) { c.Kubeadm.KubeProxy = map[string]any{"f": math.NaN()} }},
		{`kubeadm.kubeProxy[""]`, "no field name", three, func(c *cluster) { c.Kubeadm.KubeProxy = map[string]any{"": 1} }},
	} {
		t.Run(tt.path+" "+tt.message, func(t *testing.T) {
			c := tt.from()
			tt.with(&c)
			got := c.Problems().Only(quorate.Refused)
			if len(got) != 1 {
				t.Fatalf("want one problem, got %d: %v", len(got), got)
			}
			if got[0].Path != tt.path || !strings.Contains(got[0].Message, tt.message) {
				t.Errorf("got %s\nwant %s: ...%s...", got[0], tt.path, tt.message)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	type cluster = quorate.Cluster
	for _, tt := range []struct {
		path, message string
		from          func() cluster
		with          func(c *cluster)
	}{
		{"nodes", "one control plane", three, func(c *cluster) { c.Nodes = c.Nodes[2:] }},
		{"nodes", "2 control planes", three, func(c *cluster) { c.Nodes = c.Nodes[1:]; c.AllowEvenControlPlanes = true }},
		{"nodes", "sensible maximum", three, func(c *cluster) {
			for i := range 6 {
				c.Nodes = append(c.Nodes, node("more-"+string(rune('a'+i)), quorate.ControlPlane, addr("192.0.2.31").Next().String()))
				c.Nodes[len(c.Nodes)-1].Addresses[0] = netip.AddrFrom4([4]byte{192, 0, 2, byte(40 + i)})
			}
		}},
		{"endpoint.host", "loopback", noSubnet, func(c *cluster) { c.Endpoint.Host = "127.0.0.10" }},
		{"endpoint.host", "nodes[0].addresses[0]", three, func(c *cluster) { c.Endpoint = external("192.0.2.11") }},
		{"endpoint.vip", "not used", three, func(c *cluster) { c.Endpoint.External = true }},
		{"nodes[3].addresses[0]", "loopback", three, func(c *cluster) { c.Nodes[3].Addresses[0] = addr("127.0.0.21") }},
		{"nodes[3].interface", "not used", three, func(c *cluster) { c.Nodes[3].Interface = "eth1" }},
		{"etcd.version", "v3.5.24 or later", three, func(c *cluster) { c.Version, c.Etcd.Version = version("1.31.0"), version("3.5.11") }},
		{"etcd.quotaBytes", "8 GiB", three, func(c *cluster) { c.Etcd.QuotaBytes = 9 << 30 }},
	} {
		t.Run(tt.path+" "+tt.message, func(t *testing.T) {
			c := tt.from()
			tt.with(&c)
			got := c.Problems()
			if len(got) != 1 || got[0].Severity != quorate.Warned || got[0].Path != tt.path || !strings.Contains(got[0].Message, tt.message) {
				t.Errorf("got %v\nwant one warning at %s: ...%s...", got, tt.path, tt.message)
			}
			if err := c.Validate(); err != nil {
				t.Errorf("a warning refuses: %v", err)
			}
		})
	}
}

func TestAccepted(t *testing.T) {
	type cluster = quorate.Cluster
	for name, with := range map[string]func(c *cluster){
		"pre-release":   func(c *cluster) { c.Version = version("v1.37.0-rc.1") },
		"oldest":        func(c *cluster) { c.Version = version("v1.10.0") },
		"etcd 3.7":      func(c *cluster) { c.Etcd.Version = version("3.7.0") },
		"no metrics":    func(c *cluster) { c.Etcd.MetricsPort = -1 },
		"external name": func(c *cluster) { c.Endpoint = external("api.example.com"); c.Endpoint.Port = 443 },
		"interface per node": func(c *cluster) {
			c.Endpoint.VIP.Interface = ""
			c.Nodes[0].Interface, c.Nodes[1].Interface, c.Nodes[2].Interface = "a", "b.100", "c_1"
		},
		"ssh targets": func(c *cluster) {
			c.Nodes[0].SSH, c.Nodes[1].SSH, c.Nodes[2].SSH = "root@[2001:db8::1]:2222", "2001:db8::2", "DOM\\user@h.example.com:22"
		},
		"ssh ports of one host": func(c *cluster) { c.Nodes[0].SSH, c.Nodes[1].SSH = "127.0.0.1:2201", "127.0.0.1:2202" },
		"dotted name":           func(c *cluster) { c.Nodes[0].Name = "cp-1.example.com" },
		"no pod ranges cut": func(c *cluster) {
			c.Pods = ranges("10.244.0.0/26")
			c.Kubeadm.ControllerManagerArgs = map[string]string{"allocate-node-cidrs": "false"}
		},
		"repository":            func(c *cluster) { c.Kubeadm.ImageRepository = "registry.example.com:5000/mirror/k8s" },
		"election at its limit": func(c *cluster) { c.Etcd.Heartbeat, c.Etcd.Election = ms(10000), ms(50000) },
	} {
		t.Run(name, func(t *testing.T) {
			c := three()
			with(&c)
			if p := c.Problems(); len(p) != 0 {
				t.Error(p)
			}
		})
	}
}

func TestSSHTargets(t *testing.T) {
	for _, target := range []string{
		"root@", "@host", "host:", "host:0", "host:022", "host:65536", "host:ssh", "-oProxyCommand=x", "-l@host",
		"a b", "host\n", "root@host:22:22", "[host]:22", "[2001:db8::1", "2001:db8::1]:22", "ho/st", "u:p@host",
	} {
		c := three()
		c.Nodes[0].SSH = target
		if p := c.Problems(); len(p) != 1 || p[0].Path != "nodes[0].ssh" {
			t.Errorf("%q: %v", target, p)
		}
	}
}

// Dual-stack Services as they are today came with 1.20.
func TestDualStackByVersion(t *testing.T) {
	for minor, want := range map[int][]string{15: {"pods", "services"}, 19: {"pods", "services"}, 20: nil, 37: nil} {
		c := dual()
		c.Version.Minor = minor
		var got []string
		for _, p := range c.Problems().Only(quorate.Refused) {
			got = append(got, p.Path)
		}
		if !slices.Equal(got, want) {
			t.Errorf("1.%d: refused at %v, want %v", minor, got, want)
		}
	}
}

// What is not set follows the Kubernetes version.
func TestDefaultsByVersion(t *testing.T) {
	for k, want := range map[string]string{
		"1.10.4": "v3.2.18 -1 unix:///var/run/dockershim.sock",
		"1.15.0": "v3.2.18 -1 unix:///var/run/dockershim.sock",
		"1.23.0": "v3.2.18 -1 unix:///var/run/dockershim.sock",
		"1.24.0": "v3.2.18 -1 unix:///var/run/containerd/containerd.sock",
		"1.30.0": "v3.4.13 2381 unix:///var/run/containerd/containerd.sock",
		"1.31.0": "v3.5.24 2381 unix:///var/run/containerd/containerd.sock",
		"1.37.2": "v3.5.24 2381 unix:///var/run/containerd/containerd.sock",
	} {
		c := quorate.Cluster{Version: version(k)}.WithDefaults()
		if got := fmt.Sprint(c.Etcd.Version, c.Etcd.MetricsPort, " ", c.Kubeadm.CRISocket); got != want {
			t.Errorf("%s: %s, want %s", k, got, want)
		}
	}
}

// TestEveryProblemAtOnce proves that no rule hides another, and that problems
// come in the order of the fields.
func TestEveryProblemAtOnce(t *testing.T) {
	c := three()
	c.Name = "Prod"
	c.Version = version("1.9.4")
	c.Endpoint.Host = "192.0.2.11"
	c.Endpoint.VIP.RouterID = 300
	c.Services = ranges("10.244.0.0/20")
	c.Nodes = c.Nodes[:2]
	c.Nodes[1].Name = "cp-1"
	c.Nodes[1].Addresses = c.Nodes[0].Addresses
	c.Etcd.PeerPort = 2379
	c.Kubeadm.CRISocket = "x"
	want := []string{
		"name", "version", "endpoint.host", "endpoint.host", "endpoint.vip.routerID", "services[0]",
		"nodes", "nodes[1].name", "nodes[1].addresses[0]", "etcd.peerPort", "kubeadm.criSocket",
	}
	err := c.Validate()
	var invalid *quorate.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("%T: %v", err, err)
	}
	var got []string
	for _, p := range invalid.Problems {
		got = append(got, p.Path)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if !strings.HasPrefix(err.Error(), "cluster: 11 problems\n  name: ") {
		t.Error(err)
	}
	if again := c.Validate(); again.Error() != err.Error() {
		t.Error("the same cluster is refused in other words the second time")
	}
}

func TestWithDefaults(t *testing.T) {
	c := three()
	before := c
	once := c.WithDefaults()
	if c.Name != before.Name || c.Pods != nil || c.Etcd != before.Etcd {
		t.Error("WithDefaults changed its receiver")
	}
	twice := once.WithDefaults()
	if once.Etcd != twice.Etcd || once.Endpoint != twice.Endpoint || once.Name != twice.Name ||
		!slices.Equal(once.Pods, twice.Pods) || !maps.Equal(once.Kubeadm.FeatureGates, twice.Kubeadm.FeatureGates) {
		t.Error("WithDefaults is not idempotent")
	}
}

func TestRecursiveValue(t *testing.T) {
	c := three()
	loop := map[string]any{}
	loop["again"] = loop
	c.Kubeadm.Kubelet = loop
	if p := c.Problems(); len(p) != 1 || !strings.Contains(p[0].Message, "nested deeper") {
		t.Error(p)
	}
}

func external(host string) quorate.Endpoint { return quorate.Endpoint{Host: host, External: true} }

func noSubnet() quorate.Cluster {
	c := three()
	c.Endpoint.VIP.Subnet = netip.Prefix{}
	return c
}

func ms(n int) quorate.Duration { return quorate.Duration(time.Duration(n) * time.Millisecond) }

func version(s string) quorate.Version {
	v, err := quorate.ParseVersion(s)
	if err != nil {
		panic(err)
	}
	return v
}
