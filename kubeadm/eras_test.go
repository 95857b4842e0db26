package kubeadm_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// eras has a release of every version of kubeadm's configuration API.
var eras = []struct{ release, api string }{
	{"1.10.4", "v1alpha1"},
	{"1.11.10", "v1alpha2"},
	{"1.12.10", "v1alpha3"},
	{"1.14.10", "v1beta1"},
	{"1.21.14", "v1beta2"},
	{"1.30.3", "v1beta3"},
	{"1.37.2", "v1beta4"},
}

// eraCluster has what every version has a field for, and what each has in its own
// way.
func eraCluster(t testing.TB, release string, stacked bool) quorate.Cluster {
	c := cluster(t, 3, 1, v4)
	c.Version = version(t, release)
	c.Etcd.Stacked = stacked
	c.Nodes[3].Labels = map[string]string{"example.org/rack": "r7"}
	c.Kubeadm.CertSANs = []string{"api.example.org"}
	c.Kubeadm.IgnorePreflightErrors = []string{"NumCPU", "Swap"}
	c.Kubeadm.APIServerArgs = map[string]string{"audit-log-maxage": "30"}
	c.Kubeadm.Kubelet = map[string]any{"cgroupDriver": "cgroupfs", "failSwapOn": false}
	c.Kubeadm.KubeProxy = map[string]any{"mode": "iptables"}
	if stacked {
		c.Etcd.QuotaBytes = 4 << 30
	}
	return c
}

// The files and commands of every era are those in testdata, byte for
// byte; the releases' own code checks the same files, see TestOracles.
func TestGoldenEras(t *testing.T) {
	for _, era := range eras {
		for _, stacked := range []bool{false, true} {
			c := eraCluster(t, era.release, stacked)
			name := era.api
			if stacked {
				name += "-stacked"
			}
			if stacked && !c.Version.AtLeast(1, 13) {
				continue // refused
			}
			t.Run(name, func(t *testing.T) {
				if got := kubeadm.APIVersionFor(c.Version); got != era.api {
					t.Fatalf("Kubernetes %s has %s, want %s", era.release, got, era.api)
				}
				nodes, err := kubeadm.Nodes(c, secrets(t))
				if err != nil {
					t.Fatal(err)
				}
				var commands strings.Builder
				for _, n := range nodes {
					files, err := n.Files()
					if err != nil {
						t.Fatal(err)
					}
					checkGolden(t, filepath.Join("testdata/eras", name, n.Name+".yaml"), files[0].Content.Bytes())
					for _, f := range files[1:] {
						checkGolden(t, filepath.Join("testdata/eras", name, n.Name+"-"+filepath.Base(f.Path)), f.Content.Bytes())
					}
					fmt.Fprintf(&commands, "%s: %s\n", n.Name, strings.Join(n.Command(), " "))
				}
				checkGolden(t, filepath.Join("testdata/eras", name, "commands.txt"), []byte(commands.String()))
			})
		}
	}
}

// What a version cannot express is refused with its name and what to do, and
// never left out without a word.
func TestSettingsUnknownToAVersion(t *testing.T) {
	no := false
	for _, tt := range []struct {
		release, api string
		change       func(*kubeadm.Config)
		want         []string
	}{
		{"1.37.2", "v1beta3", nil, []string{"apiVersion: kubeadm of Kubernetes v1.37.2 does not read v1beta3"}},
		{"1.30.0", "v1beta4", nil, []string{"apiVersion: kubeadm of Kubernetes v1.30.0 does not read v1beta4"}},
		{"1.30.0", "v1", nil, []string{`apiVersion: "v1" is no version of kubeadm's configuration API`}},
		{"1.36.0", "v1beta3", nil, nil},
		{"1.15.12", "v1beta1", nil, nil},
		{"1.34.4", "", func(c *kubeadm.Config) { c.Init.Etcd.HTTPEndpoints = []string{"http://10.0.0.1:2381"} },
			[]string{"init.etcd.httpEndpoints: kubeadm of Kubernetes v1.34.4 (v1beta4) cannot express it: leave it out, or target Kubernetes v1.35 or later"}},
		{"1.30.3", "", func(c *kubeadm.Config) {
			c.Init.APIServer.Env = []kubeadm.EnvVar{{Name: "A", Value: "b"}}
			c.Registration.ImagePullSerial = &no
			c.Timeouts.Kubelet = new(quorate.Duration(1e9))
		}, []string{
			"registration.imagePullSerial: kubeadm of Kubernetes v1.30.3 (v1beta3) cannot express it: leave it out, or target Kubernetes v1.31 or later",
			"init.apiServer.env: kubeadm of Kubernetes v1.30.3 (v1beta3)",
			"timeouts.kubelet: kubeadm of Kubernetes v1.30.3 (v1beta3)",
		}},
		{"1.21.14", "", func(c *kubeadm.Config) {
			c.Patches, c.Registration.ImagePullPolicy = &kubeadm.Patches{Directory: "/etc/kubernetes/patches"}, "Never"
		},
			[]string{"registration.imagePullPolicy: ", "patches.directory: kubeadm of Kubernetes v1.21.14 (v1beta2) cannot express it: leave it out, or target Kubernetes v1.22 or later"}},
		{"1.14.10", "", func(c *kubeadm.Config) { c.CertificateKey = quorate.Sensitive([]byte(markerKey)) },
			[]string{"certificateKey: kubeadm of Kubernetes v1.14.10 (v1beta1) cannot express it: leave it out, or target Kubernetes v1.15 or later"}},
		{"1.12.10", "", func(c *kubeadm.Config) {
			c.Init.Etcd, c.Init.DNS.ImageTag, c.Init.LocalEtcd.ImageTag = nil, "v1", "v2"
		},
			[]string{"init.localEtcd.imageTag: ", "init.dns.imageTag: "}},
		{"1.10.4", "", func(c *kubeadm.Config) {
			c.Init.Endpoint = "10.0.0.100:443"
			c.Init.ClusterName, c.Init.TokenDescription = "prod", "x"
			c.Init.Kubelet = map[string]any{"failSwapOn": false}
			c.Registration.Taints = []kubeadm.Taint{{Key: "a", Effect: "NoExecute"}}
			c.Registration.KubeletArgs = c.Registration.KubeletArgs.With("root-dir", "/a b")
			c.Init.Scheduler.Volumes = []quorate.Volume{{Name: "a", HostPath: "/a", MountPath: "/a"}}
		}, []string{
			"init.endpoint: kubeadm of Kubernetes v1.10.4 (v1alpha1) cannot express it: its port is that of every API server, 6443",
			"registration.taints: ", "init.tokenDescription: ", `init.clusterName: kubeadm of Kubernetes v1.10.4 (v1alpha1) cannot express it: its own is always "kubernetes"`,
			"init.scheduler.volumes: ", "init.kubelet: ", `registration.kubeletArgs["root-dir"]: it is in the kubelet's unit`,
		}},
	} {
		t.Run(tt.release+tt.api, func(t *testing.T) {
			c := eraCluster(t, tt.release, false)
			nodes, err := kubeadm.Nodes(c, secrets(t))
			if err != nil {
				t.Fatal(err)
			}
			cfg := nodes[0].Config
			cfg.APIVersion = tt.api
			if tt.change != nil {
				tt.change(&cfg)
			}
			_, err = cfg.YAML()
			var invalid *quorate.InvalidError
			if tt.want == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.As(err, &invalid) || len(invalid.Problems) != len(tt.want) {
				t.Fatalf("got %v, want %d problems", err, len(tt.want))
			}
			for i, p := range invalid.Problems {
				if !strings.HasPrefix(p.String(), tt.want[i]) {
					t.Errorf("got %s\nwant %s...", p, tt.want[i])
				}
			}
		})
	}
}

// The description is refused for what kubeadm of its version has no field for.
func TestCheckEras(t *testing.T) {
	for name, tt := range map[string]struct {
		release string
		change  func(*quorate.Cluster, *kubeadm.Secrets)
		want    []string
	}{
		"name in 1.10": {"1.10.4", func(c *quorate.Cluster, _ *kubeadm.Secrets) { c.Name = "prod" }, []string{"name"}},
		"name in 1.11": {"1.11.0", func(c *quorate.Cluster, _ *kubeadm.Secrets) { c.Name = "prod" }, nil},
		"load balancer's port": {"1.10.4", func(c *quorate.Cluster, _ *kubeadm.Secrets) {
			c.Endpoint = quorate.Endpoint{Host: "10.0.0.9", Port: 443, External: true}
		}, []string{"endpoint.port"}},
		"IPv6 VIP in 1.10": {"1.10.4", func(c *quorate.Cluster, _ *kubeadm.Secrets) {
			*c = cluster(t, 3, 1, v6)
			c.Version, c.Pods, c.Services = version(t, "1.10.4"), prefixes("fd01::/48"), prefixes("fd02::/112")
		}, []string{"endpoint.host"}},
		"kubelet in 1.10":   {"1.10.4", func(c *quorate.Cluster, _ *kubeadm.Secrets) { c.Kubeadm.Kubelet["evictionHard"] = map[string]any{} }, []string{`kubeadm.kubelet["evictionHard"]`}},
		"certificate key":   {"1.14.0", func(_ *quorate.Cluster, s *kubeadm.Secrets) { s.CertificateKey = quorate.Sensitive([]byte(markerKey)) }, []string{"secrets.certificateKey"}},
		"API version":       {"1.37.0", func(c *quorate.Cluster, _ *kubeadm.Secrets) { c.Kubeadm.APIVersion = "v1beta3" }, []string{"kubeadm.apiVersion"}},
		"older API version": {"1.26.0", func(c *quorate.Cluster, _ *kubeadm.Secrets) { c.Kubeadm.APIVersion = "v1beta2" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := eraCluster(t, tt.release, false), secrets(t)
			tt.change(&c, &s)
			_, err := kubeadm.Nodes(c, s)
			var got []string
			var invalid *quorate.InvalidError
			if errors.As(err, &invalid) {
				for _, p := range invalid.Problems {
					got = append(got, p.Path)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%v: %s", err, diff)
			}
		})
	}
}

// What is rendered is tried with the newest minor.
func TestErasUpToTheNewestMinor(t *testing.T) {
	last := version(t, eras[len(eras)-1].release)
	if last.Minor != quorate.MaxMinor {
		t.Errorf("quorate.MaxMinor is 1.%d, and this ends at 1.%d: eras_test.go, eras", quorate.MaxMinor, last.Minor)
	}
}
