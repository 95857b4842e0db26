package kubeadm_test

import (
	stdcmp "cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
)

// A configuration for 1.10 as people wrote it by hand, with fields of the time
// that a Config has no place for.
const byHand = `apiVersion: kubeadm.k8s.io/v1alpha1
kind: MasterConfiguration
api:
  advertiseAddress: 10.0.1.11
  controlPlaneEndpoint: 10.0.1.234
  bindPort: 6443
kubernetesVersion: v1.10.4
nodeName: master-0
noTaintMaster: true
etcd:
  endpoints: [https://10.0.1.11:2379, https://10.0.1.12:2379, https://10.0.1.13:2379]
  caFile: /etc/kubernetes/pki/etcd/ca.pem
  certFile: /etc/kubernetes/pki/etcd/client.pem
  keyFile: /etc/kubernetes/pki/etcd/client-key.pem
networking:
  podSubnet: 10.32.0.0/12
apiServerCertSANs:
- 10.0.1.234
apiServerExtraArgs:
  endpoint-reconciler-type: lease
apiServerExtraVolumes:
- name: audit
  hostPath: /etc/audit
  mountPath: /etc/audit
criSocket: /var/run/dockershim.sock
token: secret.markermarker0123
authorizationModes: [Node, RBAC]
cloudProvider: ""
auditPolicy:
  path: /etc/kubernetes/audit.yaml
`

// What one version says, another says in its own way; what is left is reported.
func TestMigrate(t *testing.T) {
	text, left, err := kubeadm.Migrate([]byte(byHand), version(t, "v1.37.2"))
	if err != nil {
		t.Fatal(err)
	}
	checkGolden(t, "testdata/migrate/v1alpha1-to-v1beta4.yaml", text.Bytes())
	var paths []string
	for _, p := range left {
		if p.Severity != quorate.Warned {
			t.Errorf("%s is no warning", p)
		}
		paths = append(paths, p.Path)
	}
	want := []string{"MasterConfiguration.criSocket", "MasterConfiguration.auditPolicy.path"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}

	back, left, err := kubeadm.Migrate(text.Bytes(), version(t, "v1.10.4"))
	if err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	checkGolden(t, "testdata/migrate/v1beta4-to-v1alpha1.yaml", back.Bytes())
	first, _, err := kubeadm.Parse([]byte(byHand), quorate.Version{})
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := kubeadm.Parse(back.Bytes(), quorate.Version{})
	if err != nil {
		t.Fatal(err)
	}
	first.Init.AuditPolicy = kubeadm.AuditPolicy{} // left out, and reported
	equal := []cmp.Option{
		cmp.Comparer(quorate.Content.Equal), cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
	if diff := cmp.Diff(first, again, equal...); diff != "" {
		t.Errorf("forth and back is not the same (-before +after):\n%s", diff)
	}
}

// Every golden file of every era reads back, with nothing left, and renders for
// every later version that has the procedure, and back, without a difference.
func TestMigrateGoldens(t *testing.T) {
	files, err := filepath.Glob("testdata/eras/*/*.yaml")
	if err != nil || len(files) < 40 {
		t.Fatal(len(files), err)
	}
	pairs := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var own quorate.Version
		for _, era := range eras {
			if strings.Contains(string(data), "kubeadm.k8s.io/"+era.api+"\n") {
				own = version(t, era.release)
			}
		}
		cfg, left, err := kubeadm.Parse(data, own)
		if err != nil || len(left) > 0 || cfg.Version != own {
			t.Fatalf("%s: %v, %v, version %s", file, left, err, cfg.Version)
		}
		for _, era := range eras {
			to := version(t, era.release)
			if to.Compare(own) < 0 {
				continue
			}
			there, _, err := kubeadm.Migrate(data, to)
			if err != nil {
				t.Errorf("%s to %s: %v", file, era.release, err)
				continue
			}
			back, _, err := kubeadm.Migrate(there.Bytes(), own)
			if err != nil {
				t.Errorf("%s to %s and back: %v", file, era.release, err)
				continue
			}
			if diff := cmp.Diff(string(data), string(back.Bytes())); diff != "" {
				t.Errorf("%s to %s and back:\n%s", file, era.release, diff)
			}
			pairs++
		}
	}
	t.Logf("%d files to later versions and back", pairs)
}

func TestParseRefuses(t *testing.T) {
	const init = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n"
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":              {"", "no document of kubeadm's configuration"},
		"something else":       {"apiVersion: v1\nkind: Pod\n", "no document of kubeadm's configuration"},
		"no kind":              {"apiVersion: kubeadm.k8s.io/v1beta4\n", "line 1: document 1: has no kind"},
		"a list":               {"- a\n", "document 1: want fields with values"},
		"no YAML":              {"a: [\n", "line 1: document 1: cannot be read as YAML: did not find expected node content"},
		"a key twice":          {init + "certificateKey: secretsecret\ncertificateKey: b\n", `line 4: document 1: key "certificateKey" is there twice, first in line 3`},
		"two kinds alike":      {init + "---\n" + init, "line 4: InitConfiguration: is in the file twice, first in line 1"},
		"another form":         {init + "nodeRegistration: {name: [a]}\n", "InitConfiguration.nodeRegistration.name: want text"},
		"args as map":          {init + "nodeRegistration: {kubeletExtraArgs: {v: \"2\"}}\n", "want a list of names and values"},
		"address":              {init + "localAPIEndpoint: {advertiseAddress: x}\n", "want an IPv4 or IPv6 address"},
		"port":                 {init + "localAPIEndpoint: {bindPort: 1.5}\n", "want a whole number"},
		"token in a TTL":       {init + "bootstrapTokens: [{ttl: abcdef.secretsecret0123}]\n", "line 3: InitConfiguration.bootstrapTokens[0].ttl: want a duration with its unit"},
		"token in a key":       {init + "bootstrapTokens: [{abcdef.secretsecret0123: a}]\n", "want a token's own fields"},
		"token in a key twice": {init + "abcdef.secretsecret0123: 1\nabcdef.secretsecret0123: 2\n", "line 4: document 1: a key is there twice, first in line 3"},
		"two argument lists":   {init + "nodeRegistration:\n  kubeletExtraArgs:\n  - {value: x}\n", "line 5: InitConfiguration.nodeRegistration.kubeletExtraArgs[0]: want an argument with a name"},
		"unknown field inside": {init + "nodeRegistration: {taints: [{key: a, effekt: b}]}\n", "unknown field"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := kubeadm.Parse([]byte(tt.text), quorate.Version{})
			var invalid *quorate.InvalidError
			if !errors.As(err, &invalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant ...%s...", err, tt.want)
			}
			if strings.Contains(err.Error(), "secretsecret") {
				t.Error("a secret is shown")
			}
		})
	}
}

// What kubeadm fills in by itself is no loss and no hindrance where a file says
// just that, and only there. A token that nobody described stays so.
func TestParseOfWhatKubeadmFillsIn(t *testing.T) {
	init := `apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
bootstrapTokens: [{token: secret.markermarker0123}]
nodeRegistration: {name: a, criSocket: /run/x.sock}
localAPIEndpoint: {advertiseAddress: 10.0.0.1, bindPort: 6443}
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: v1.21.14
dns: {type: DNS}
networking: {podSubnet: 10.244.0.0/16, dnsDomain: prod.example.org}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
staticPodPath: /etc/kubernetes/manifests
clusterDomain: DOMAIN
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clusterCIDR: 10.RANGE.0.0/16
hostnameOverride: ""
mode: ""
clientConnection: {kubeconfig: /var/lib/kube-proxy/kubeconfig.conf}
`
	join := `apiVersion: kubeadm.k8s.io/v1beta2
kind: JoinConfiguration
caCertPath: /etc/kubernetes/pki/ca.crt
nodeRegistration: {name: a, criSocket: /run/x.sock}
discovery:
  tlsBootstrapToken: TOKEN
  bootstrapToken: {token: secret.markermarker0123, apiServerEndpoint: "a:1", caCertHashes: ["` + caHash + `"]}
`
	worker := `apiVersion: kubeadm.k8s.io/v1alpha3
kind: JoinConfiguration
clusterName: kubernetes
nodeRegistration: {name: a, criSocket: /run/x.sock}
token: secret.markermarker0123
discoveryToken: secret.markermarker0123
tlsBootstrapToken: TOKEN
discoveryTokenAPIServers: ["a:1"]
discoveryTokenCACertHashes: ["` + caHash + `"]
apiEndpoint: {advertiseAddress: 10.0.0.9, bindPort: 6443}
`
	for name, test := range map[string]struct {
		text, dns, domain, cidr, token string
		warned, kept                   string
	}{
		"init as filled in":   {text: init},
		"another DNS":         {text: init, dns: "kube-dns", warned: "ClusterConfiguration.dns.type"},
		"another domain":      {text: init, domain: "cluster.local", warned: "KubeletConfiguration.clusterDomain", kept: "clusterDomain: cluster.local"},
		"another range":       {text: init, cidr: "245", warned: "KubeProxyConfiguration.clusterCIDR", kept: "clusterCIDR: 10.245.0.0/16"},
		"join as filled in":   {text: join},
		"worker of v1alpha3":  {text: worker},
		"another of v1alpha3": {text: worker, token: "secret.markermarker9999", kept: "tlsBootstrapToken: secret.markermarker9999"},
		"another token":       {text: join, token: "secret.markermarker9999", kept: "tlsBootstrapToken: secret.markermarker9999"},
	} {
		t.Run(name, func(t *testing.T) {
			data := strings.NewReplacer("DNS}", stdcmp.Or(test.dns, "CoreDNS")+"}", "DOMAIN", stdcmp.Or(test.domain, "prod.example.org"),
				"RANGE", stdcmp.Or(test.cidr, "244"), "TOKEN", stdcmp.Or(test.token, "secret.markermarker0123")).Replace(test.text)
			text, warned, err := kubeadm.Migrate([]byte(data), version(t, "v1.22.17"))
			if err != nil {
				t.Fatal(err)
			}
			var paths []string
			for _, p := range warned {
				paths = append(paths, p.Path)
			}
			if got := strings.Join(paths, " "); got != test.warned {
				t.Errorf("want a warning of %q: %v", test.warned, warned)
			}
			for _, implied := range []string{"description", "clusterCIDR", "clusterDomain", "tlsBootstrapToken", "caCertPath"} {
				if strings.Contains(string(text.Bytes()), implied) && !strings.HasPrefix(test.kept, implied) {
					t.Errorf("nobody said %s:\n%s", implied, text.Bytes())
				}
			}
			if !strings.Contains(string(text.Bytes()), test.kept) {
				t.Errorf("no %q in\n%s", test.kept, text.Bytes())
			}
		})
	}
}

// What a Config has no field for is reported by its path and line, without its
// value.
func TestParseReportsUnreadFields(t *testing.T) {
	_, left, err := kubeadm.Parse([]byte(`apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
clusterName: marker
metadata: {name: marker, creationTimestamp: null}
discovery:
  discoveryToken: secret.markermarker9999
  bootstrapToken: {token: abcdef.0123456789abcdef, apiServerEndpoint: "a:1", unknown: {}}
nodeRegistration: {name: a, criSocket: /run/x.sock, empty: "", abcdef.0123456789abcdef: 1}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: marker
---
apiVersion: example.org/v1
kind: Marker
marker: true
`), version(t, "v1.37.2"))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, p := range left {
		paths = append(paths, fmt.Sprintf("%d %s", p.Line, p.Path))
		if strings.Contains(p.String(), "marker") {
			t.Errorf("a value is shown: %s", p)
		}
	}
	want := []string{
		"14 Marker", "3 JoinConfiguration.clusterName", "6 JoinConfiguration.discovery.discoveryToken",
		"4 JoinConfiguration.metadata.name", "8 JoinConfiguration.nodeRegistration.abcdef.(hidden)", "10 KubeletConfiguration",
	}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
}

// A file of a megabyte of one key has no error of megabytes.
func TestParseBoundsItsProblems(t *testing.T) {
	version, err := quorate.ParseVersion("1.30.0")
	require.NoError(t, err)
	for _, key := range []string{"nodes: []\n", "? a\n"} {
		_, _, err := kubeadm.Parse([]byte("apiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\n"+strings.Repeat(key, 90_000)), version)
		require.ErrorContains(t, err, "more keys are there twice")
		require.Less(t, len(err.Error()), 16<<10)
	}
}
