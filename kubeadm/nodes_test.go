package kubeadm_test

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Markers that must appear in no output: both have the form of a real secret.
const (
	markerToken = "secret.markermarker0123"
	markerKey   = "5ec2e70000000000000000000000000000000000000000000000000000005ec2"
	caHash      = "sha256:1ad2a436ce0c277d0c5bd3826091e72badbd8417ffdbbd4f6584a2de588bf522"
)

func secrets(t testing.TB) kubeadm.Secrets {
	token, err := kubeadm.ParseToken(markerToken)
	if err != nil {
		t.Fatal(err)
	}
	return kubeadm.Secrets{Token: token, CAHashes: []string{caHash}}
}

func version(t testing.TB, s string) quorate.Version {
	v, err := quorate.ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// cluster has control planes cp-1.. and workers worker-1.., with addresses made
// from each of the formats ("10.0.0.%d").
func cluster(t testing.TB, controlPlanes, workers int, formats ...string) quorate.Cluster {
	c := quorate.Cluster{
		Version:  version(t, "v1.37.2"),
		Endpoint: quorate.Endpoint{Host: fmt.Sprintf(formats[0], 100), VIP: quorate.VIP{Interface: "eth0"}},
	}
	add := func(role quorate.Role, name string, host int) {
		n := quorate.Node{Name: name, Role: role}
		for _, f := range formats {
			n.Addresses = append(n.Addresses, netip.MustParseAddr(fmt.Sprintf(f, host)))
		}
		c.Nodes = append(c.Nodes, n)
	}
	for i := range controlPlanes {
		add(quorate.ControlPlane, fmt.Sprintf("cp-%d", i+1), 11+i)
	}
	for i := range workers {
		add(quorate.Worker, fmt.Sprintf("worker-%d", i+1), 21+i)
	}
	return c
}

func prefixes(s ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range s {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

const (
	v4 = "10.0.0.%d"
	v6 = "fd00::%d"
)

func goldenCases(t testing.TB) map[string]quorate.Cluster {
	old := cluster(t, 3, 1, v4)
	old.Version = version(t, "v1.31.14")

	six := cluster(t, 3, 1, v6)
	six.Pods, six.Services = prefixes("fd01::/48"), prefixes("fd02::/112")

	dual := cluster(t, 3, 1, v4, v6)
	dual.Pods = prefixes("10.244.0.0/16", "fd01::/48")
	dual.Services = prefixes("10.96.0.0/12", "fd02::/112")

	external := cluster(t, 3, 0, v4)
	external.Endpoint = quorate.Endpoint{Host: "api.example.org", Port: 443, External: true}

	tuned := cluster(t, 5, 1, v4)
	tuned.Name, tuned.DNSDomain = "prod", "prod.example.org"
	tuned.Endpoint.Port = 8443
	tuned.Etcd.ClientPort = 12379
	tuned.Nodes[5].Labels = map[string]string{"example.org/rack": "r7", "node.kubernetes.io/pool": "gpu"}
	tuned.Kubeadm = quorate.Kubeadm{
		CRISocket:             "unix:///run/crio/crio.sock",
		ImageRepository:       "registry.example.org:5000/k8s",
		CertSANs:              []string{"api.example.org", "*.api.example.org", "10.0.0.11", "192.0.2.1"},
		IgnorePreflightErrors: []string{"NumCPU", "SystemVerification"},
		FeatureGates:          map[string]bool{"RootlessControlPlane": false},
		APIServerArgs:         map[string]string{"v": "2", "audit-log-maxage": "30", "feature-gates": "A=true,B=false"},
		ControllerManagerArgs: map[string]string{"bind-address": "0.0.0.0"},
		SchedulerArgs:         map[string]string{"bind-address": "0.0.0.0"},
		Kubelet: map[string]any{
			"cgroupDriver":  "cgroupfs",
			"failCgroupV1":  false,
			"evictionHard":  map[string]any{"memory.available": "200Mi"},
			"maxPods":       250,
			"tlsMinVersion": "VersionTLS13",
		},
		KubeProxy: map[string]any{
			"mode":      "nftables",
			"conntrack": map[string]any{"maxPerCore": 0, "min": 0},
		},
	}
	return map[string]quorate.Cluster{
		"ha":          cluster(t, 3, 1, v4),
		"ha-1.31":     old,
		"ipv6":        six,
		"dual-stack":  dual,
		"external-lb": external,
		"single":      cluster(t, 1, 0, v4),
		"tuned":       tuned,
	}
}

// What is rendered for each kind of cluster is what testdata has, byte
// for byte; kubeadm/upstream checks the same files with kubeadm's own code.
func TestGolden(t *testing.T) {
	for name, c := range goldenCases(t) {
		t.Run(name, func(t *testing.T) {
			s := secrets(t)
			if name == "tuned" {
				s.CertificateKey = quorate.Sensitive([]byte(markerKey))
				s.TokenTTL = -1
			}
			nodes, err := kubeadm.Nodes(c, s)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range nodes {
				checkGolden(t, filepath.Join("testdata", name, n.Name+".yaml"), yamlOf(t, n))
			}
		})
	}
}

func checkGolden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got, rewrite with -update):\n%s", path, diff)
	}
}

func yamlOf(t testing.TB, n kubeadm.Node) []byte {
	t.Helper()
	files, err := n.Files()
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 {
		t.Fatalf("%d files, want 1", len(files))
	}
	return files[0].Content.Bytes()
}

// The first control plane initialises and every other host joins, from a file
// that only root reads, by a command without secrets.
func TestFilesAndCommands(t *testing.T) {
	c := cluster(t, 3, 2, v4)
	// A worker before the first control plane changes nothing about who initialises.
	c.Nodes = append([]quorate.Node{c.Nodes[4]}, c.Nodes[:4]...)
	nodes, err := kubeadm.Nodes(c, secrets(t))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range nodes {
		files, err := n.Files()
		if err != nil {
			t.Fatal(err)
		}
		f := files[0]
		if f.Mode != 0o600 || !f.Content.IsSensitive() {
			t.Errorf("%s: mode %o, sensitive %t", n.Name, f.Mode, f.Content.IsSensitive())
		}
		got = append(got, n.Name+" "+f.Path+": "+strings.Join(n.Command(), " "))
	}
	join := " /etc/kubernetes/kubeadm-join.yaml: kubeadm join --config /etc/kubernetes/kubeadm-join.yaml"
	want := []string{
		"worker-2" + join,
		"cp-1 /etc/kubernetes/kubeadm-init.yaml: kubeadm init --config /etc/kubernetes/kubeadm-init.yaml --skip-token-print",
		"cp-2" + join, "cp-3" + join, "worker-1" + join,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestUploadsCertificatesOnlyWithKey(t *testing.T) {
	s := secrets(t)
	s.CertificateKey = quorate.Sensitive([]byte(markerKey))
	nodes, err := kubeadm.Nodes(cluster(t, 3, 0, v4), s)
	if err != nil {
		t.Fatal(err)
	}
	if argv := nodes[0].Command(); !slices.Contains(argv, "--upload-certs") || !slices.Contains(argv, "--skip-certificate-key-print") {
		t.Errorf("%q", argv)
	}
}

// Seven control planes: each joins by itself, all are etcd endpoints.
func TestSeven(t *testing.T) {
	nodes, err := kubeadm.Nodes(cluster(t, 7, 0, v4), secrets(t))
	if err != nil {
		t.Fatal(err)
	}
	text := string(yamlOf(t, nodes[0]))
	for i := range 7 {
		if !strings.Contains(text, fmt.Sprintf("- cp-%d\n", i+1)) {
			t.Errorf("the API server's certificate is not good for cp-%d", i+1)
		}
	}
	// An API server that knew the other members would hold requests to one whose
	// host lost power until it finds the connection dead.
	if !strings.Contains(text, "    endpoints:\n    - https://127.0.0.1:2379\n    keyFile") {
		t.Errorf("the API server uses other members than its own:\n%s", text)
	}
}

// Neither the nodes nor anything they return shows a secret in any formatted or
// marshalled form; only the file's bytes hold it.
func TestSecretsAreHidden(t *testing.T) {
	s := secrets(t)
	s.CertificateKey = quorate.Sensitive([]byte(markerKey))
	nodes, err := kubeadm.Nodes(cluster(t, 3, 1, v4), s)
	if err != nil {
		t.Fatal(err)
	}
	values := []any{s, &s, nodes, nodes[0], &nodes[0], nodes[1].Config, nodes[0].Command()}
	for _, n := range nodes {
		if !strings.Contains(string(yamlOf(t, n)), markerToken) {
			t.Fatalf("%s: the marker is not where it belongs, so that this test proves nothing", n.Name)
		}
		files, _ := n.Files()
		values = append(values, files)
	}
	bad := s
	bad.Token = quorate.Sensitive([]byte(markerToken + "!"))
	bad.CertificateKey = quorate.Sensitive([]byte(markerKey + "!"))
	_, err = kubeadm.Nodes(cluster(t, 3, 1, v4), bad)
	if err == nil {
		t.Fatal("accepted")
	}
	values = append(values, err)
	for _, v := range values {
		assertHidden(t, v)
	}
}

// A broken description reports the forms, what only kubeadm would trip over and
// the secrets in one error.
func TestEveryProblemAtOnce(t *testing.T) {
	c := cluster(t, 3, 0, v4)
	c.Nodes[1].Name = "CP-2"
	c.Kubeadm.Kubelet = map[string]any{"cgroupDriver": "cgroup"}
	_, err := kubeadm.Nodes(c, kubeadm.Secrets{CAHashes: []string{"sha256:12"}})
	var invalid *quorate.InvalidError
	if !errors.As(err, &invalid) {
		t.Fatalf("%T %v", err, err)
	}
	var got []string
	for _, p := range invalid.Problems {
		got = append(got, p.Path)
	}
	want := []string{"nodes[1].name", `kubeadm.kubelet["cgroupDriver"]`, "secrets.token", "secrets.caHashes[0]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What the API server is started with beyond Kubernetes' own defaults, by version and by
// what is before it; the description's own arguments prevail.
func TestDefaultAPIServerArguments(t *testing.T) {
	slow := quorate.VIP{Interface: "eth0", CheckInterval: quorate.Duration(5 * time.Second), CheckTimeout: quorate.Duration(3 * time.Second), Fall: 4}
	for name, tt := range map[string]struct {
		minor    int
		endpoint quorate.Endpoint
		own      map[string]string
		want     map[string]string
	}{
		"1.10":    {minor: 10, want: map[string]string{"endpoint-reconciler-type": "lease"}},
		"1.15":    {minor: 15, want: map[string]string{}},
		"1.16":    {minor: 16, want: map[string]string{"shutdown-delay-duration": "6s"}},
		"slow":    {minor: 37, endpoint: quorate.Endpoint{VIP: slow}, want: map[string]string{"shutdown-delay-duration": "25s"}},
		"haproxy": {minor: 37, endpoint: quorate.Endpoint{LoadBalancer: quorate.HAProxy}, want: map[string]string{"shutdown-delay-duration": "6s", "goaway-chance": "0.001"}},
		"haproxy before 1.18": {
			minor: 17, endpoint: quorate.Endpoint{LoadBalancer: quorate.HAProxy},
			want: map[string]string{"shutdown-delay-duration": "6s"},
		},
		"external": {minor: 37, endpoint: quorate.Endpoint{External: true}, want: map[string]string{}},
		"own": {
			minor: 37, own: map[string]string{"shutdown-delay-duration": "0s", "v": "2"},
			want: map[string]string{"shutdown-delay-duration": "0s", "v": "2"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint := tt.endpoint
			endpoint.Host = "192.0.2.10"
			if endpoint.VIP.Interface == "" && !endpoint.External {
				endpoint.VIP.Interface = "eth0"
			}
			c := quorate.Cluster{
				Version:  quorate.Version{Major: 1, Minor: tt.minor},
				Endpoint: endpoint,
				Nodes: []quorate.Node{{
					Name: "cp-1", Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.11")},
				}},
				Kubeadm: quorate.Kubeadm{APIServerArgs: tt.own},
			}
			nodes, err := kubeadm.Nodes(c, kubeadm.Secrets{Token: quorate.Sensitive([]byte("abcdef.0123456789abcdef"))})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(kubeadm.ArgsOf(tt.want), nodes[0].Config.Init.APIServer.Args); diff != "" {
				t.Error(diff)
			}
		})
	}
}
