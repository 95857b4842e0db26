package quorate_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/quorate-dev/quorate"
)

// Values that suit one host, or contradict the rest of the description, in
// settings that hold for every host: each class of setting, with what is refused
// and what passes.
func TestSettingsOfEveryHost(t *testing.T) {
	type cluster = quorate.Cluster
	api := func(name, value string) func(*cluster) {
		return func(c *cluster) { c.Kubeadm.APIServerArgs = map[string]string{name: value} }
	}
	manager := func(name, value string) func(*cluster) {
		return func(c *cluster) { c.Kubeadm.ControllerManagerArgs = map[string]string{name: value} }
	}
	scheduler := func(name, value string) func(*cluster) {
		return func(c *cluster) { c.Kubeadm.SchedulerArgs = map[string]string{name: value} }
	}
	kubelet := func(name string, value any) func(*cluster) {
		return func(c *cluster) { c.Kubeadm.Kubelet = map[string]any{name: value} }
	}
	proxy := func(name string, value any) func(*cluster) {
		return func(c *cluster) { c.Kubeadm.KubeProxy = map[string]any{name: value} }
	}
	const args, fields = "kubeadm.apiServerArgs", "kubeadm.kubelet"
	for _, tt := range []struct {
		path, refused string // refused is part of the message, "" for none, "warning: ..." for a warning
		with          func(*cluster)
	}{
		{args + `["bind-address"]`, "192.0.2.11 is at most one host's address, nodes[0].addresses[0], and kube-apiserver", api("bind-address", "192.0.2.11")},
		{args + `["bind-address"]`, "at most one host's", api("bind-address", "203.0.113.7")},
		{args + `["bind-address"]`, "no other host would reach", api("bind-address", "127.0.0.1")},
		{args + `["bind-address"]`, "no other host would reach", api("bind-address", "::1")},
		{args + `["bind-address"]`, "is no address", api("bind-address", "eth0")},
		{"", "", api("bind-address", "0.0.0.0")},
		{"", "", api("bind-address", "::")},
		{args + `["bind-address"]`, "IPv4 alone", func(c *cluster) { *c = dual(); api("bind-address", "0.0.0.0")(c) }},
		{args + `["insecure-bind-address"]`, "at most one host's", api("insecure-bind-address", "192.0.2.12")},
		{"", "", api("insecure-bind-address", "127.0.0.1")},
		{args + `["peer-advertise-ip"]`, "belongs to one host", api("peer-advertise-ip", "192.0.2.12")},
		{args + `["apiserver-count"]`, "there are 3 control planes", api("apiserver-count", "1")},
		{"", "", api("apiserver-count", "3")},
		{args + `["allow-privileged"]`, "no cluster", api("allow-privileged", "false")},
		{"", "", api("allow-privileged", "true")},
		{args + `["external-hostname"]`, "warning: 192.0.2.21 is one node's address, nodes[3].addresses[0]", api("external-hostname", "192.0.2.21")},
		{args + `["oidc-issuer-url"]`, "warning: 192.0.2.13 is one node's", api("oidc-issuer-url", "https://192.0.2.13:8443/dex")},
		{"", "", api("oidc-issuer-url", "https://dex.example.com")},

		{args + `["oidc-issuer-url"]`, "warning: cp-1.example.com is one node's name, nodes[0].name", api("oidc-issuer-url", "https://cp-1.example.com/dex")},
		{args + `["etcd-servers-overrides"]`, "warning: 192.0.2.12 is one node's", api("etcd-servers-overrides", "/events#https://198.51.100.1:2379;https://192.0.2.12:2379")},
		{args + `["external-hostname"]`, "warning: cp-2 is one node's name, nodes[1].name", api("external-hostname", "cp-2")},
		{args + `["external-hostname"]`, "every host itself", api("external-hostname", "localhost")},
		{args + `["external-hostname"]`, "every host itself", api("external-hostname", "127.0.0.1")},
		{args + `["external-hostname"]`, "warning: \"api.example.com\" is neither endpoint.host nor in kubeadm.certSANs", api("external-hostname", "api.example.com")},
		{"", "", api("external-hostname", "192.0.2.10")},
		{"", "", func(c *cluster) {
			api("external-hostname", "api.example.com")(c)
			c.Kubeadm.CertSANs = []string{"*.example.com"}
		}},
		{args + `["client-ca-file"]`, "goes by /etc/kubernetes/pki/ca.crt", api("client-ca-file", "/etc/ssl/certs/users.pem")},
		{args + `["tls-cert-file"]`, "set tls-sni-cert-key", api("tls-cert-file", "/etc/kubernetes/pki/public.crt")},
		{args + `["service-account-key-file"]`, "/etc/kubernetes/pki/sa.pub", api("service-account-key-file", "/etc/kubernetes/pki/other.pub")},
		{args + `["kubelet-client-certificate"]`, "apiserver-kubelet-client.crt", api("kubelet-client-certificate", "/etc/kubernetes/pki/kubelet.crt")},
		{args + `["requestheader-client-ca-file"]`, "front-proxy-ca.crt", api("requestheader-client-ca-file", "/etc/kubernetes/pki/ca.crt")},
		{"", "", api("client-ca-file", "/etc/kubernetes/pki/ca.crt")},
		{args + `["authentication-config"]`, "pod of kube-apiserver does not have the host's /etc/kubernetes/authn.yaml, and would not start: mount it by kubeadm.apiServerVolumes", api("authentication-config", "/etc/kubernetes/authn.yaml")},
		{args + `["authorization-config"]`, "does not have the host's /etc/authz/config.yaml", api("authorization-config", "/etc/authz/config.yaml")},
		{args + `["encryption-provider-config"]`, "no absolute path", api("encryption-provider-config", "enc.yaml")},
		{args + `["oidc-ca-file"]`, "does not have the host's /opt/ca.pem", api("oidc-ca-file", "/opt/ca.pem")},
		{args + `["tls-sni-cert-key"]`, "does not have the host's /opt/tls.key", api("tls-sni-cert-key", "/etc/kubernetes/pki/tls.crt,/opt/tls.key:api.example.com")},
		{"", "", api("oidc-ca-file", "/etc/ssl/certs/ca.pem")},
		{"", "", api("authorization-config", "/etc/kubernetes/pki/authz.yaml")},
		{"", "", func(c *cluster) {
			api("authentication-config", "/etc/authn/config.yaml")(c)
			c.Kubeadm.APIServerVolumes = []quorate.Volume{{Name: "authn", HostPath: "/srv/authn", MountPath: "/etc/authn"}}
		}},
		{"", "", func(c *cluster) { // a patch may mount it
			api("authentication-config", "/etc/authn/config.yaml")(c)
			c.Kubeadm.PatchesDir = "/etc/kubernetes/patches"
		}},
		{args + `["kubelet-port"]`, "kubelets serve at 10250", api("kubelet-port", "10255")},
		{"", "", api("kubelet-port", "10250")},
		{args + `["kubelet-https"]`, "no cluster", api("kubelet-https", "false")},

		{`kubeadm.controllerManagerArgs["root-ca-file"]`, "/etc/kubernetes/pki/ca.crt", manager("root-ca-file", "/etc/kubernetes/pki/root.crt")},
		{`kubeadm.controllerManagerArgs["kubeconfig"]`, "controller-manager.conf", manager("kubeconfig", "/etc/kubernetes/admin.conf")},
		{`kubeadm.controllerManagerArgs["cluster-signing-cert-file"]`, "ca.crt", manager("cluster-signing-cert-file", "/etc/kubernetes/pki/signing.crt")},
		{`kubeadm.controllerManagerArgs["tls-cert-file"]`, "pod of kube-controller-manager does not", manager("tls-cert-file", "/opt/tls.crt")},
		{`kubeadm.controllerManagerArgs["controllers"]`, "leaves out bootstrapsigner", manager("controllers", "*")},
		{`kubeadm.controllerManagerArgs["controllers"]`, "leaves out csrsigning", manager("controllers", "*,bootstrapsigner,tokencleaner,-csrsigning")},
		{`kubeadm.controllerManagerArgs["controllers"]`, "leaves out csrapproving", manager("controllers", "bootstrap-signer-controller,csrsigning,nodeipam")},
		{"", "", manager("controllers", "*,bootstrapsigner,tokencleaner,-ttl")},
		{`kubeadm.controllerManagerArgs["port"]`, "ask kube-controller-manager at 10252", func(c *cluster) { c.Version = version("1.16.15"); manager("port", "0")(c) }},
		{"", "", manager("port", "0")},
		{`kubeadm.schedulerArgs["config"]`, "pod of kube-scheduler does not have the host's /etc/kubernetes/pki/scheduler.yaml, and would not start: mount it by kubeadm.schedulerVolumes", scheduler("config", "/etc/kubernetes/pki/scheduler.yaml")},
		{`kubeadm.schedulerArgs["write-config-to"]`, "exits", scheduler("write-config-to", "/tmp/config")},
		{`kubeadm.schedulerArgs["kubeconfig"]`, "scheduler.conf", scheduler("kubeconfig", "/etc/kubernetes/admin.conf")},
		{"", "", func(c *cluster) {
			scheduler("config", "/etc/scheduler/config.yaml")(c)
			c.Kubeadm.SchedulerVolumes = []quorate.Volume{{Name: "config", HostPath: "/etc/scheduler/config.yaml", MountPath: "/etc/scheduler/config.yaml"}}
		}},
		{fields + `["authentication"]["x509"]["clientCAFile"]`, "/etc/kubernetes/pki/ca.crt", kubelet("authentication", map[string]any{"x509": map[string]any{"clientCAFile": "/etc/ssl/ca.pem"}})},
		{"", "", kubelet("authentication", map[string]any{"x509": map[string]any{"clientCAFile": "/etc/kubernetes/pki/ca.crt"}})},

		{`kubeadm.controllerManagerArgs["bind-address"]`, "at most one host's", manager("bind-address", "192.0.2.11")},
		{"", "", manager("bind-address", "127.0.0.1")},
		{"", "", manager("bind-address", "0.0.0.0")},
		{`kubeadm.controllerManagerArgs["secure-port"]`, "probes", manager("secure-port", "0")},
		{`kubeadm.controllerManagerArgs["secure-port"]`, "probes", manager("secure-port", "10259")},
		{"", "", manager("secure-port", "10257")},
		{"", "", func(c *cluster) { c.Version = version("1.16.15"); manager("secure-port", "0")(c) }},
		{`kubeadm.controllerManagerArgs["node-cidr-mask-size"]`, "masks of their own", func(c *cluster) { *c = dual(); manager("node-cidr-mask-size", "64")(c) }},
		{`kubeadm.schedulerArgs["bind-address"]`, "at most one host's", scheduler("bind-address", "192.0.2.13")},
		{`kubeadm.schedulerArgs["address"]`, "at most one host's", scheduler("address", "192.0.2.13")},
		{"", "", scheduler("bind-address", "::1")},
		{`kubeadm.schedulerArgs["secure-port"]`, "probes", scheduler("secure-port", "10260")},

		{fields + `["address"]`, "at most one host's address, nodes[0].addresses[0]", kubelet("address", "192.0.2.11")},
		{fields + `["address"]`, "no other host would reach kubelet", kubelet("address", "127.0.0.1")},
		{"", "", kubelet("address", "0.0.0.0")},
		{fields + `["healthzBindAddress"]`, "at most one host's", kubelet("healthzBindAddress", "192.0.2.12")},
		{"", "", kubelet("healthzBindAddress", "127.0.0.1")},
		{fields + `["healthzPort"]`, "kubeadm waits for", kubelet("healthzPort", int64(0))},
		{fields + `["healthzPort"]`, "no port", kubelet("healthzPort", -1)},
		{fields + `["healthzPort"]`, "port of kube-proxy", kubelet("healthzPort", 10256)},
		{fields + `["healthzPort"]`, "the API server's port", kubelet("healthzPort", 6443)},
		{"", "", kubelet("healthzPort", 10248)},
		{fields + `["port"]`, "turns it off", kubelet("port", 0)},
		{fields + `["port"]`, "etcd.clientPort", kubelet("port", int64(2379))},
		{fields + `["readOnlyPort"]`, "etcd.metricsPort", kubelet("readOnlyPort", 2381)},
		{"", "", kubelet("readOnlyPort", 0)},
		{fields + `["clusterDNS"][0]`, "lies outside services 10.96.0.0/12", kubelet("clusterDNS", []any{"10.244.0.10"})},
		{fields + `["clusterDNS"][1]`, "lies outside services", kubelet("clusterDNS", []any{"10.96.0.10", "192.0.2.53"})},
		{fields + `["clusterDNS"][0]`, "lies outside services", kubelet("clusterDNS", []string{"fd00::a"})},
		{fields + `["clusterDNS"][0]`, "the second the API's", kubelet("clusterDNS", []any{"10.96.0.1"})},
		{fields + `["clusterDNS"][0]`, "is no address", kubelet("clusterDNS", []any{"kube-dns"})},
		{fields + `["clusterDNS"][0]`, "warning: 10.96.0.53 is not where", kubelet("clusterDNS", []any{"10.96.0.53"})},
		{"", "", kubelet("clusterDNS", []any{"10.96.0.10"})},
		{"", "", kubelet("clusterDNS", []any{"169.254.20.10"})}, // a cache on every host
		{fields + `["podCIDR"]`, "belongs to one host", kubelet("podCIDR", "10.244.3.0/24")},
		{fields + `["providerID"]`, "belongs to one host", kubelet("providerID", "cloud:///7")},
		{fields + `["enableServer"]`, "no cluster", kubelet("enableServer", false)},
		{fields + `["registerNode"]`, "no cluster", kubelet("registerNode", false)},
		{fields + `["runOnce"]`, "no cluster", kubelet("runOnce", true)},
		{fields + `["tracing"]["endpoint"]`, "warning: 192.0.2.21 is one node's", kubelet("tracing", map[string]any{"endpoint": "192.0.2.21:4317"})},
		{"", "", kubelet("maxPods", 200)},

		{`kubeadm.kubeProxy["bindAddress"]`, "at most one host's", proxy("bindAddress", "192.0.2.11")},
		{"", "", proxy("bindAddress", "0.0.0.0")},
		{`kubeadm.kubeProxy["healthzBindAddress"]`, "at most one host's", proxy("healthzBindAddress", "192.0.2.11:10256")},
		{`kubeadm.kubeProxy["healthzBindAddress"]`, "port of kubelet", proxy("healthzBindAddress", "0.0.0.0:10250")},
		{"", "", proxy("healthzBindAddress", "0.0.0.0:10256")},
		{`kubeadm.kubeProxy["metricsBindAddress"]`, "at most one host's", proxy("metricsBindAddress", "192.0.2.12")},
		{"", "", proxy("metricsBindAddress", "[::]:10249")},
		{`kubeadm.kubeProxy["nodePortAddresses"][0]`, "one host's address, nodes[1].addresses[0]", proxy("nodePortAddresses", []any{"192.0.2.12/32"})},
		{"", "", proxy("nodePortAddresses", []any{"192.0.2.0/24", "127.0.0.1/32"})},
		{"", "", proxy("nodePortAddresses", []any{"primary"})},
		{`kubeadm.kubeProxy["winkernel"]["sourceVip"]`, "belongs to one host", proxy("winkernel", map[string]any{"sourceVip": "10.244.1.2"})},
	} {
		c := three()
		tt.with(&c)
		name := fmt.Sprint(tt.path, " ", c.Kubeadm.APIServerArgs, c.Kubeadm.ControllerManagerArgs, c.Kubeadm.SchedulerArgs, c.Kubeadm.Kubelet, c.Kubeadm.KubeProxy)
		t.Run(name, func(t *testing.T) {
			got := c.Problems()
			want, warned := strings.CutPrefix(tt.refused, "warning: ")
			switch {
			case tt.refused == "" && len(got) != 0:
				t.Errorf("want none, got %v", got)
			case tt.refused == "":
			case len(got) != 1 || got[0].Path != tt.path || !strings.Contains(got[0].Message, want) || (got[0].Severity == quorate.Warned) != warned:
				t.Errorf("got %v\nwant one at %s: %s", got, tt.path, tt.refused)
			}
		})
	}
}

// Each port of a host has one program: whoever else has it by a field, or by default, is
// named with both paths, once, at the later of the fields that are set.
func TestPortsOfAHost(t *testing.T) {
	type cluster = quorate.Cluster
	const (
		kubelet, proxy = "kubeadm.kubelet", "kubeadm.kubeProxy"
		api, manager   = "kubeadm.apiServerArgs", "kubeadm.controllerManagerArgs"
		nodePorts      = api + `["service-node-port-range"]`
	)
	fields := func(name string, values map[string]any) func(*cluster) {
		return func(c *cluster) {
			if name == kubelet {
				c.Kubeadm.Kubelet = values
			} else {
				c.Kubeadm.KubeProxy = values
			}
		}
	}
	node := func(value string) func(*cluster) {
		return func(c *cluster) { c.Kubeadm.APIServerArgs = map[string]string{"service-node-port-range": value} }
	}
	for _, tt := range []struct {
		path  string
		other []string
		with  []func(*cluster)
	}{
		// The kubelet's own three.
		{kubelet + `["healthzPort"]`, []string{"10250", kubelet + `["port"]`}, []func(*cluster){fields(kubelet, map[string]any{"healthzPort": 10250})}},
		{kubelet + `["readOnlyPort"]`, []string{"10250", kubelet + `["port"]`}, []func(*cluster){fields(kubelet, map[string]any{"readOnlyPort": 10250})}},
		{kubelet + `["readOnlyPort"]`, []string{"10248", kubelet + `["healthzPort"]`}, []func(*cluster){fields(kubelet, map[string]any{"readOnlyPort": int64(10248)})}},
		{kubelet + `["port"]`, []string{"10248", kubelet + `["healthzPort"]`}, []func(*cluster){fields(kubelet, map[string]any{"port": 10248.0})}},
		{kubelet + `["readOnlyPort"]`, []string{"9000", kubelet + `["healthzPort"]`}, []func(*cluster){fields(kubelet, map[string]any{"readOnlyPort": 9000, "healthzPort": 9000})}},
		// kube-proxy's two.
		{proxy + `["healthzBindAddress"]`, []string{"10249", proxy + `["metricsBindAddress"]`}, []func(*cluster){fields(proxy, map[string]any{"healthzBindAddress": "0.0.0.0:10249"})}},
		{proxy + `["metricsBindAddress"]`, []string{"10256", proxy + `["healthzBindAddress"]`}, []func(*cluster){fields(proxy, map[string]any{"metricsBindAddress": "127.0.0.1:10256"})}},
		{proxy + `["metricsBindAddress"]`, []string{"9000", proxy + `["healthzBindAddress"]`, "[::]:9000"}, []func(*cluster){fields(proxy, map[string]any{"metricsBindAddress": "127.0.0.1:9000", "healthzBindAddress": "[::]:9000"})}},
		// Of components against each other.
		{proxy + `["metricsBindAddress"]`, []string{"10248", kubelet + `["healthzPort"]`, "loopback"}, []func(*cluster){fields(proxy, map[string]any{"metricsBindAddress": "127.0.0.1:10248"})}},
		{proxy + `["metricsBindAddress"]`, []string{"10257", manager + `["secure-port"]`}, []func(*cluster){fields(proxy, map[string]any{"metricsBindAddress": "127.0.0.1:10257"})}},
		{kubelet + `["readOnlyPort"]`, []string{"10259", `kubeadm.schedulerArgs["secure-port"]`}, []func(*cluster){fields(kubelet, map[string]any{"readOnlyPort": 10259})}},
		{proxy + `["metricsBindAddress"]`, []string{"9000", kubelet + `["readOnlyPort"]`}, []func(*cluster){fields(kubelet, map[string]any{"readOnlyPort": 9000}), fields(proxy, map[string]any{"metricsBindAddress": "0.0.0.0:9000"})}},
		{kubelet + `["healthzPort"]`, []string{"10252", manager + `["port"]`}, []func(*cluster){fields(kubelet, map[string]any{"healthzPort": 10252}), func(c *cluster) { c.Version = version("1.16.15") }}},
		{manager + `["secure-port"]`, []string{"10259", `kubeadm.schedulerArgs["secure-port"]`}, []func(*cluster){func(c *cluster) {
			c.Version, c.Kubeadm.ControllerManagerArgs = version("1.16.15"), map[string]string{"secure-port": "10259"}
		}}},
		{manager + `["secure-port"]`, []string{"8081", api + `["insecure-port"]`}, []func(*cluster){func(c *cluster) {
			c.Version, c.Kubeadm.APIServerArgs = version("1.16.15"), map[string]string{"insecure-port": "8081"}
			c.Kubeadm.ControllerManagerArgs = map[string]string{"secure-port": "8081"}
		}}},
		// Of components against the API's and etcd's.
		{kubelet + `["healthzPort"]`, []string{"8443", "endpoint.port", "haproxy"}, []func(*cluster){fields(kubelet, map[string]any{"healthzPort": 8443}), func(c *cluster) { c.Endpoint.LoadBalancer = quorate.HAProxy }}},
		{kubelet + `["healthzPort"]`, []string{"6443", "the API server's port"}, []func(*cluster){fields(kubelet, map[string]any{"healthzPort": 6443}), func(c *cluster) { c.Endpoint.LoadBalancer = quorate.HAProxy }}},
		{kubelet + `["readOnlyPort"]`, []string{"6443", "the API server's port"}, []func(*cluster){fields(kubelet, map[string]any{"readOnlyPort": 6443}), func(c *cluster) { c.Endpoint = external("lb.example.com") }}},
		{api + `["insecure-port"]`, []string{"2379", "etcd.clientPort"}, []func(*cluster){func(c *cluster) {
			c.Version, c.Kubeadm.APIServerArgs = version("1.16.15"), map[string]string{"insecure-port": "2379"}
		}}},
		{proxy + `["healthzBindAddress"]`, []string{"2380", "etcd.peerPort", "the node's addresses"}, []func(*cluster){fields(proxy, map[string]any{"healthzBindAddress": "0.0.0.0:2380"})}},
		{proxy + `["metricsBindAddress"]`, []string{"2381", "etcd.metricsPort"}, []func(*cluster){fields(proxy, map[string]any{"metricsBindAddress": "127.0.0.1:2381"})}},
		{"endpoint.port", []string{"10257", manager + `["secure-port"]`}, []func(*cluster){func(c *cluster) { c.Endpoint.Port = 10257 }}},
		{"endpoint.port", []string{"10256", proxy + `["healthzBindAddress"]`}, []func(*cluster){func(c *cluster) { c.Endpoint.LoadBalancer, c.Endpoint.Port = quorate.HAProxy, 10256 }}},
		{"endpoint.port", []string{"22", "sshd"}, []func(*cluster){func(c *cluster) { c.Endpoint.Port = 22 }}},
		{"etcd.metricsPort", []string{"10249", proxy + `["metricsBindAddress"]`}, []func(*cluster){func(c *cluster) { c.Etcd.MetricsPort = 10249 }}},
		{"etcd.peerPort", []string{"8443", "endpoint.port"}, []func(*cluster){func(c *cluster) { c.Endpoint.LoadBalancer, c.Etcd.PeerPort = quorate.HAProxy, 8443 }}},
		// Services' ports on hosts.
		{nodePorts, []string{"6443", "endpoint.port"}, []func(*cluster){node("6000-7000")}},
		{nodePorts, []string{"8443", "endpoint.port"}, []func(*cluster){node("8000-9000"), func(c *cluster) { c.Endpoint.LoadBalancer = quorate.HAProxy }}},
		{nodePorts, []string{"2379", "etcd.clientPort", "2380", "etcd.peerPort", "2381", "etcd.metricsPort"}, []func(*cluster){node("2000+1000")}},
		{nodePorts, []string{"10250", kubelet + `["port"]`, "10257", manager + `["secure-port"]`}, []func(*cluster){node("10000-20000")}},
		{nodePorts, []string{"22", "sshd"}, []func(*cluster){node("1-100")}},
		{nodePorts, []string{"no range", "30000-32767"}, []func(*cluster){node("30000-")}},
		{"endpoint.port", []string{"30443", nodePorts, "30000-32767"}, []func(*cluster){func(c *cluster) { c.Endpoint.Port = 30443 }}},
		{"etcd.clientPort", []string{"32379", nodePorts}, []func(*cluster){func(c *cluster) { c.Etcd.ClientPort = 32379 }}},
		{kubelet + `["readOnlyPort"]`, []string{"31000", nodePorts}, []func(*cluster){fields(kubelet, map[string]any{"readOnlyPort": 31000})}},
		// None.
		{"", nil, []func(*cluster){fields(proxy, map[string]any{"healthzBindAddress": "0.0.0.0:10249", "metricsBindAddress": "127.0.0.1:10256"})}},
		{"", nil, []func(*cluster){fields(kubelet, map[string]any{"healthzPort": 10252})}}, // nobody's from 1.17 on
		{"", nil, []func(*cluster){fields(kubelet, map[string]any{"port": 10350}), func(c *cluster) { c.Endpoint.Port = 10250 }}},
		{"", nil, []func(*cluster){node("30000-32000")}},
		{"", nil, []func(*cluster){node("20000-21000"), func(c *cluster) { c.Endpoint.Port = 30443 }}},
		{"", nil, []func(*cluster){fields(proxy, map[string]any{"metricsBindAddress": "0.0.0.0", "healthzBindAddress": ""})}},
	} {
		c := three()
		for _, with := range tt.with {
			with(&c)
		}
		t.Run(fmt.Sprint(tt.path, tt.other, c.Kubeadm.Kubelet, c.Kubeadm.KubeProxy), func(t *testing.T) {
			got := c.Problems()
			if tt.path == "" && len(got) == 0 {
				return
			}
			if len(got) != 1 || got[0].Path != tt.path || got[0].Severity != quorate.Refused {
				t.Fatalf("got %v\nwant one at %s", got, tt.path)
			}
			for _, want := range tt.other {
				if !strings.Contains(got[0].Message, want) {
					t.Errorf("%s: lacks %q", got[0], want)
				}
			}
		})
	}
}

// An endpoint that is not one for all nodes, a socket without CRI, a VIP out of
// reach, a name that is no interface's.
func TestContradictions(t *testing.T) {
	type cluster = quorate.Cluster
	for _, tt := range []struct {
		path, message string
		with          func(*cluster)
	}{
		{"endpoint.host", `"cp-1" leads to the node cp-1 alone`, func(c *cluster) { c.Endpoint = external("cp-1") }},
		{"endpoint.host", "cp-2 alone", func(c *cluster) { c.Endpoint = external("cp-2.example.com") }},
		{"endpoint.host", "worker-1 alone", func(c *cluster) { c.Endpoint = external("worker-1") }},
		{"endpoint.host", "every node itself", func(c *cluster) { c.Endpoint = external("localhost") }},
		{"endpoint.host", "every node itself", func(c *cluster) { c.Endpoint = external("localhost.localdomain") }},
		{"endpoint.host", "every node itself", func(c *cluster) { c.Endpoint = external("api.localhost") }},
		{"endpoint.host", "every node would connect to itself", func(c *cluster) { c.Endpoint = external("127.0.0.1") }},
		{"endpoint.host", "every node would connect to itself", func(c *cluster) { c.Endpoint = external("::1") }},
		{"kubeadm.criSocket", "Docker's own API", func(c *cluster) { c.Kubeadm.CRISocket = "unix:///var/run/docker.sock" }},
		{"kubeadm.criSocket", "Docker's own API", func(c *cluster) { c.Version, c.Kubeadm.CRISocket = version("1.18.20"), "unix:///run/docker.sock" }},
		{"kubeadm.criSocket", "Podman's", func(c *cluster) { c.Kubeadm.CRISocket = "unix:///run/podman/podman.sock" }},
		{"kubeadm.criSocket", "shims", func(c *cluster) { c.Kubeadm.CRISocket = "unix:///run/containerd/containerd.sock.ttrpc" }},
		{"endpoint.vip.subnet", "does not share a /24 with cp-1, cp-2, cp-3", func(c *cluster) { *c = noSubnet(); c.Endpoint.Host = "198.51.100.10" }},
		{"endpoint.vip.subnet", "does not share a /24 with cp-3,", func(c *cluster) { *c = noSubnet(); c.Nodes[2].Addresses = []netip.Addr{addr("203.0.113.13")} }},
		{"endpoint.vip.subnet", "does not share a /64 with", func(c *cluster) {
			*c = dual()
			c.Endpoint.Host, c.Endpoint.VIP.Subnet = "2001:db8:0:1::10", noSubnet().Endpoint.VIP.Subnet
		}},
		{"endpoint.vip.interface", `"lo" is the host's loopback interface`, func(c *cluster) { c.Endpoint.VIP.Interface = "lo" }},
		{"endpoint.vip.interface", `"cni0" is the pod network's`, func(c *cluster) { c.Endpoint.VIP.Interface = "cni0" }},
		{"endpoint.vip.interface", "the pod network's", func(c *cluster) { c.Endpoint.VIP.Interface = "cali1234abcd" }},
		{"nodes[1].interface", `"lo" is the host's loopback interface`, func(c *cluster) { c.Nodes[1].Interface = "lo" }},
		{"nodes[2].interface", "the pod network's", func(c *cluster) { c.Nodes[2].Interface = "docker0" }},
		{"endpoint.vip.interface", "altname", func(c *cluster) { c.Endpoint.VIP.Interface = "enxaabbccddeeff0011" }},
		{"nodes[2].interface", "altname", func(c *cluster) { c.Nodes[2].Interface = "enp0s31f6u1u2c2i1" }},
		{"nodes[0].interface", "altname", func(c *cluster) { c.Nodes[0].Interface = "ens-of-the-first-slot" }},
	} {
		c := three()
		tt.with(&c)
		t.Run(tt.path+" "+tt.message, func(t *testing.T) {
			got := c.Problems().Only(quorate.Refused)
			if len(got) != 1 || got[0].Path != tt.path || !strings.Contains(got[0].Message, tt.message) {
				t.Errorf("got %v\nwant one at %s: %s", got, tt.path, tt.message)
			}
		})
	}
	for name, with := range map[string]func(*cluster){
		"subnet set": func(c *cluster) {
			c.Endpoint.VIP.Subnet, c.Nodes[0].Addresses[0] = ranges("192.0.0.0/16")[0], addr("192.0.7.1")
		},
		"same /24":               func(c *cluster) { *c = noSubnet() },
		"external name of none":  func(c *cluster) { c.Endpoint = external("cp-10.example.com") },
		"cri-dockerd":            func(c *cluster) { c.Kubeadm.CRISocket = "unix:///var/run/cri-dockerd.sock" },
		"containerd under other": func(c *cluster) { c.Kubeadm.CRISocket = "unix:///run/k3s/containerd/containerd.sock" },
	} {
		c := three()
		with(&c)
		if p := c.Problems(); len(p) != 0 {
			t.Errorf("%s: %v", name, p)
		}
	}
}

// What is described for components, nodes and kubeadm beyond arguments, each
// broken in one way.
func TestDescribedExtras(t *testing.T) {
	type cluster = quorate.Cluster
	volume := func(change func(*quorate.Volume)) func(*cluster) {
		return func(c *cluster) {
			v := quorate.Volume{Name: "audit", HostPath: "/etc/audit", MountPath: "/audit", PathType: "File"}
			change(&v)
			c.Kubeadm.APIServerVolumes = []quorate.Volume{{Name: "first", HostPath: "/a", MountPath: "/a"}, v}
		}
	}
	taint := func(taints ...quorate.Taint) func(*cluster) { return func(c *cluster) { c.Nodes[0].Taints = taints } }
	good := quorate.Taint{Key: "example.com/a", Effect: "NoSchedule"}
	const at = "kubeadm.apiServerVolumes[1]"
	for _, tt := range []struct {
		path, message string // empty if it passes
		with          func(*cluster)
	}{
		{"", "", volume(func(*quorate.Volume) {})},
		{at + ".name", "RFC 1123 label", volume(func(v *quorate.Volume) { v.Name = "Audit" })},
		{at + ".name", "RFC 1123 label", volume(func(v *quorate.Volume) { v.Name = "" })},
		{at + ".name", "also kubeadm.apiServerVolumes[0].name", volume(func(v *quorate.Volume) { v.Name = "first" })},
		{at + ".name", "kubeadm's own", volume(func(v *quorate.Volume) { v.Name = "k8s-certs" })},
		{at + ".hostPath", "absolute", volume(func(v *quorate.Volume) { v.HostPath = "etc" })},
		{at + ".mountPath", "absolute", volume(func(v *quorate.Volume) { v.MountPath = "/audit/" })},
		{at + ".mountPath", "also kubeadm.apiServerVolumes[0].mountPath", volume(func(v *quorate.Volume) { v.MountPath = "/a" })},
		{at + ".mountPath", "kubeadm's own", volume(func(v *quorate.Volume) { v.MountPath = "/etc/kubernetes/pki" })},
		{at + ".pathType", "FileOrCreate", volume(func(v *quorate.Volume) { v.PathType = "file" })},
		{"kubeadm.schedulerVolumes[0].name", "label", func(c *cluster) {
			c.Kubeadm.SchedulerVolumes = []quorate.Volume{{HostPath: "/a", MountPath: "/a"}}
		}},
		{`kubeadm.apiServerEnv["A=B"]`, "environment variable", func(c *cluster) { c.Kubeadm.APIServerEnv = map[string]string{"A=B": ""} }},
		{`kubeadm.controllerManagerEnv["A"]`, "control character", func(c *cluster) { c.Kubeadm.ControllerManagerEnv = map[string]string{"A": "\n"} }},
		{"kubeadm.patchesDir", "absolute", func(c *cluster) { c.Kubeadm.PatchesDir = "patches" }},
		{"kubeadm.timeouts.etcdCall", "negative", func(c *cluster) { c.Kubeadm.Timeouts.EtcdCall = -1 }},
		{"", "", taint(good, quorate.Taint{Key: "example.com/a", Effect: "NoExecute"})},
		{"", "", taint()},
		{"nodes[0].taints[0].key", "no taint", taint(quorate.Taint{Key: "A_/b", Effect: "NoSchedule"})},
		{"nodes[0].taints[0].value", "no value", taint(quorate.Taint{Key: "a", Value: "-", Effect: "NoSchedule"})},
		{"nodes[0].taints[0].effect", "NoExecute", taint(quorate.Taint{Key: "a"})},
		{"nodes[0].taints[1]", "each once", taint(good, quorate.Taint{Key: "example.com/a", Value: "x", Effect: "NoSchedule"})},
	} {
		c := three()
		tt.with(&c)
		got := c.Problems()
		switch {
		case tt.path == "" && len(got) == 0:
		case len(got) != 1 || got[0].Path != tt.path || !strings.Contains(got[0].Message, tt.message):
			t.Errorf("got %v\nwant %q: %s", got, tt.path, tt.message)
		}
	}
}
