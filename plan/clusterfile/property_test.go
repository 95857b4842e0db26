package clusterfile_test

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/clusterfile"
	"pgregory.net/rapid"
)

// drawCluster returns valid clusters of 1, 3, 5 or 7 control planes and any
// family.
func drawCluster(t *rapid.T) quorate.Cluster {
	v6 := rapid.Bool().Draw(t, "IPv6")
	dual := rapid.Bool().Draw(t, "dual-stack")
	c := quorate.Cluster{
		Name:    rapid.StringMatching(`[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?`).Draw(t, "name"),
		Version: quorate.Version{Major: 1, Minor: rapid.IntRange(quorate.MinMinor, quorate.MaxMinor).Draw(t, "minor"), Patch: rapid.IntRange(0, 20).Draw(t, "patch")},
	}
	if dual {
		c.Version.Minor = max(c.Version.Minor, 20) // before, there was none
	}
	families := []bool{v6}
	if dual {
		families = append(families, !v6)
	}
	for _, six := range families {
		c.Pods = append(c.Pods, choose(six, "fd00:10::/48", "10.244.0.0/16"))
		c.Services = append(c.Services, choose(six, "fd00:20::/112", "10.96.0.0/12"))
	}
	planes := rapid.SampledFrom([]int{1, 3, 5, 7}).Draw(t, "control planes")
	workers := rapid.IntRange(0, 3).Draw(t, "workers")
	for i := range planes + workers {
		n := quorate.Node{Name: fmt.Sprintf("%s-%d", rapid.SampledFrom([]string{"a", "no", "yes", "1e3", "0x1", "null"}).Draw(t, "stem"), i), Role: quorate.ControlPlane}
		if i >= planes {
			n.Role = quorate.Worker
		}
		for _, six := range families {
			n.Addresses = append(n.Addresses, host(six, 20+i))
		}
		if rapid.Bool().Draw(t, "labels") {
			n.Labels = rapid.MapOfN(rapid.StringMatching(`[a-z]{1,5}`), rapid.SampledFrom([]string{"on", "1", "null", "true", "~x"[1:], "0x1f", "1e3", "x"}), 1, 3).Draw(t, "label")
		}
		c.Nodes = append(c.Nodes, n)
	}
	c.Endpoint = drawEndpoint(t, v6)
	if rapid.Bool().Draw(t, "etcd") {
		c.Etcd = quorate.Etcd{MetricsPort: -1, Heartbeat: quorate.Duration(rapid.IntRange(1, 200).Draw(t, "ms")) * quorate.Duration(time.Millisecond)}
	}
	if c.Version.Minor >= 13 && rapid.Bool().Draw(t, "stacked") {
		c.Etcd.Stacked, c.Etcd.MetricsPort = true, 0
	}
	if rapid.Bool().Draw(t, "extras") {
		c.Nodes[0].Taints = rapid.SampledFrom([][]quorate.Taint{{}, {{Key: "a.b/c", Value: "on", Effect: "NoExecute"}}}).Draw(t, "taints")
		c.Kubeadm.SchedulerVolumes = []quorate.Volume{{Name: "no", HostPath: "/on", MountPath: "/1e3", ReadOnly: rapid.Bool().Draw(t, "read only")}}
		c.Kubeadm.APIServerEnv = map[string]string{"Y": rapid.StringMatching(`[ -~]{1,30}`).Draw(t, "env")}
		c.Kubeadm.Timeouts.Discovery = quorate.Duration(rapid.Int64Range(1, 1<<40).Draw(t, "ns"))
	}
	if rapid.Bool().Draw(t, "kubelet") {
		c.Kubeadm.Kubelet = map[string]any{"text": rapid.StringMatching(`[ -~äß\n\t]{1,30}`).Draw(t, "text"), "n": rapid.Int64().Draw(t, "n"), "f": 0.5, "list": []any{true, nil, map[string]any{"x": "y"}}}
		c.Kubeadm.APIServerArgs = map[string]string{"v": rapid.StringMatching(`[ -~]{1,30}`).Draw(t, "arg")}
	}
	return c
}

func drawEndpoint(t *rapid.T, v6 bool) quorate.Endpoint {
	if rapid.Bool().Draw(t, "external") {
		return quorate.Endpoint{Host: "api.example.com", External: true, Port: rapid.IntRange(1, 65535).Draw(t, "port")}
	}
	e := quorate.Endpoint{Host: host(v6, 10).String(), VIP: quorate.VIP{Interface: "eth0", RouterID: rapid.IntRange(1, 255).Draw(t, "VRID")}}
	if rapid.Bool().Draw(t, "subnet") {
		e.VIP.Subnet = choose(v6, "2001:db8::/64", "192.0.2.0/24")
	}
	return e
}

func choose(six bool, a, b string) netip.Prefix {
	if six {
		return netip.MustParsePrefix(a)
	}
	return netip.MustParsePrefix(b)
}

func host(six bool, i int) netip.Addr {
	if six {
		return netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i))
	}
	return netip.MustParseAddr(fmt.Sprintf("192.0.2.%d", i))
}

// TestValidClustersRoundTrip proves that what is valid stays itself through
// Marshal and Load, byte for byte the second time.
func TestValidClustersRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCluster(t)
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		text, err := clusterfile.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		back, err := clusterfile.Load(text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if !reflect.DeepEqual(c, back) {
			t.Fatalf("came back otherwise:\n%s\n%#v\n%#v", text, c, back)
		}
		if again, err := clusterfile.Marshal(back); err != nil || string(again) != string(text) {
			t.Fatalf("%v\n%s\n%s", err, text, again)
		}
	})
}

// TestVerifyFindsMutations breaks a valid cluster of any shape in one way and
// wants a problem at the path that was broken.
func TestVerifyFindsMutations(t *testing.T) {
	mutations := []struct {
		path   string
		mutate func(c *quorate.Cluster, i int)
	}{
		{"name", func(c *quorate.Cluster, _ int) { c.Name += "-" }},
		{"version", func(c *quorate.Cluster, _ int) { c.Version.Minor = quorate.MaxMinor + 1 }},
		{"endpoint.host", func(c *quorate.Cluster, _ int) { c.Endpoint.Host += "." }},
		{"endpoint.port", func(c *quorate.Cluster, i int) { c.Endpoint.Port = 65536 + i }},
		{"pods[0]", func(c *quorate.Cluster, _ int) {
			c.Pods[0] = netip.PrefixFrom(c.Pods[0].Addr().Next(), c.Pods[0].Bits())
		}},
		{"services[0]", func(c *quorate.Cluster, _ int) { c.Services[0] = c.Pods[0] }},
		{"nodes", func(c *quorate.Cluster, _ int) { c.Nodes = c.Nodes[1:] }},
		{"nodes[%d].name", func(c *quorate.Cluster, i int) { c.Nodes[i].Name = strings.ToUpper("x" + c.Nodes[i].Name) }},
		{"nodes[%d].role", func(c *quorate.Cluster, i int) { c.Nodes[i].Role = "" }},
		{"nodes[%d].addresses", func(c *quorate.Cluster, i int) { c.Nodes[i].Addresses = nil }},
		{"nodes[%d].addresses[0]", func(c *quorate.Cluster, i int) { c.Nodes[i].Addresses[0] = c.Services[0].Addr().Next() }},
		{"nodes[%d].ssh", func(c *quorate.Cluster, i int) { c.Nodes[i].SSH = "-oProxyCommand=x" }},
		{"etcd.election", func(c *quorate.Cluster, _ int) {
			c.Etcd.Heartbeat = quorate.Duration(time.Second)
			c.Etcd.Election = quorate.Duration(5*time.Second - time.Millisecond)
		}},
		{"kubeadm.criSocket", func(c *quorate.Cluster, _ int) { c.Kubeadm.CRISocket = "containerd" }},
	}
	rapid.Check(t, func(t *rapid.T) {
		c := drawCluster(t)
		m := rapid.SampledFrom(mutations).Draw(t, "mutation")
		i := rapid.IntRange(0, len(c.Nodes)-1).Draw(t, "node")
		m.mutate(&c, i)
		path := m.path
		if strings.Contains(path, "%d") {
			path = fmt.Sprintf(path, i)
		}
		for _, p := range c.Problems().Only(quorate.Refused) {
			if p.Path == path {
				return
			}
		}
		t.Fatalf("nothing at %s: %v", path, c.Problems())
	})
}

// FuzzLoad proves that no input panics, that what Load returns is valid, and that
// every problem of a refused one has a message.
func FuzzLoad(f *testing.F) {
	for _, name := range []string{"three.yaml", "five-dual-stack.yaml", "external-lb.yaml"} {
		f.Add(example(f, name))
	}
	f.Add([]byte(manyMistakes))
	f.Add([]byte("a: &a [*a, *a]\n? {b: c}\n: !!float x\n"))
	f.Add([]byte("kubeadm: {kubelet: {a: [1, .5, 2020-01-01, ~, !!set {x}]}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := clusterfile.Load(data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "cluster file: ") {
				t.Error(err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Errorf("Load returned an invalid cluster: %v", err)
		}
		text, err := clusterfile.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := clusterfile.Load(text); err != nil || !same(t, back, c) {
			t.Errorf("does not read back: %v\n%s", err, text)
		}
	})
}

// same compares canonical forms: an empty list and none at all are the same.
func same(t *testing.T, a, b quorate.Cluster) bool {
	t.Helper()
	x, err := clusterfile.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := clusterfile.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(x) == string(y)
}
