package kubeadm_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/kubeadm/internal/oracle"
)

// oracles calls f with the binary of every release that there is one of in the
// directory of QUORATE_ORACLES. It must have those of CI.
func oracles(t *testing.T, f func(t *testing.T, r oracle.Release, binary string)) {
	t.Helper()
	cache := os.Getenv("QUORATE_ORACLES")
	if cache == "" {
		t.Skip("runs code of kubeadm's releases: set QUORATE_ORACLES to the directory that \"make oracle\" builds them in")
	}
	for _, r := range oracle.Releases {
		binary, err := oracle.Path(cache, r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(binary); err != nil {
			if r.CI {
				t.Errorf("%s is not built: %v", r, err)
			}
			continue
		}
		t.Run(r.Version, func(t *testing.T) { f(t, r, binary) })
	}
}

// TestOracles has the releases' own code judge what is rendered for them: the
// matrix of etcd, endpoint and families, and clusters and configurations drawn
// at random. Every file is accepted, and every value in it arrives in the
// object that kubeadm acts on.
func TestOracles(t *testing.T) {
	oracles(t, func(t *testing.T, r oracle.Release, binary string) {
		files, refused := matrix(t, r)
		matrixFiles := len(files)
		files = append(files, drawn(t, r)...)
		verdicts, err := oracle.Run(t.Context(), binary, files)
		if err != nil {
			t.Fatal(err)
		}
		values := 0
		for i, v := range verdicts {
			if !v.Accepted() {
				t.Errorf("%s: refused: %v\n%s", v.Name, v.Errors, files[i].Data)
				continue
			}
			n, lost := arrival(t, files[i].Data, v.Objects)
			values += n
			for _, l := range lost {
				t.Errorf("%s: %s\n%s", v.Name, l, files[i].Data)
			}
		}
		t.Logf("%s, %s: %d files of the matrix, %d combinations refused beforehand, %d files drawn, %d values arrived",
			r, r.API, matrixFiles, refused, len(files)-matrixFiles, values)
	})
}

// combination is one of the matrix.
type combination struct {
	name    string
	cluster quorate.Cluster
	// refused says that the version does not have it.
	refused bool
}

// combinations are all of etcd, endpoint and families.
func combinations(t *testing.T, v quorate.Version) (all []combination) {
	t.Helper()
	for _, stacked := range []bool{false, true} {
		for _, external := range []bool{false, true} {
			for _, families := range [][]string{{v4}, {v6}, {v4, v6}} {
				c := cluster(t, 3, 1, families...)
				c.Version, c.Etcd.Stacked = v, stacked
				c.Pods, c.Services = nil, nil
				for _, f := range families {
					if f == v4 {
						c.Pods, c.Services = append(c.Pods, prefixes("10.244.0.0/16")...), append(c.Services, prefixes("10.96.0.0/12")...)
					} else {
						c.Pods, c.Services = append(c.Pods, prefixes("fd01::/48")...), append(c.Services, prefixes("fd02::/112")...)
					}
				}
				if external {
					c.Endpoint = quorate.Endpoint{Host: "api.example.org", External: true}
				}
				sixBefore11 := !external && families[0] == v6 && v.Minor < 11
				all = append(all, combination{
					name:    fmt.Sprintf("stacked=%t external=%t %v", stacked, external, families),
					cluster: c,
					refused: stacked && v.Minor < 13 || len(families) > 1 && v.Minor < 20 || sixBefore11,
				})
			}
		}
	}
	return all
}

// matrix renders every combination, and wants a refusal of those that the
// version has not.
func matrix(t *testing.T, r oracle.Release) (files []oracle.File, refused int) {
	t.Helper()
	for _, of := range combinations(t, version(t, r.Version)) {
		nodes, err := kubeadm.Nodes(of.cluster, secrets(t))
		switch {
		case of.refused && err == nil:
			t.Errorf("%s is not refused", of.name)
		case of.refused:
			refused++
		case err != nil:
			t.Errorf("%s: %v", of.name, err)
		default:
			files = append(files, filesOf(t, of.name, nodes)...)
		}
	}
	return files, refused
}

func filesOf(t *testing.T, name string, nodes []kubeadm.Node) []oracle.File {
	t.Helper()
	var files []oracle.File
	for _, n := range nodes {
		text, err := n.Config.YAML()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		files = append(files, oracle.File{Name: name + " " + n.Name, Data: string(text.Bytes())})
	}
	return files
}

// drawnClusters is how many clusters are drawn for each release.
const drawnClusters = 40

// drawn renders clusters that rapid draws, always the same ones, with what a
// description and a Config can say beyond the matrix.
func drawn(t *testing.T, r oracle.Release) (files []oracle.File) {
	t.Helper()
	for seed := range drawnClusters {
		nodes, err := kubeadm.Nodes(drawnCluster(t, version(t, r.Version), seed))
		if err != nil {
			t.Errorf("drawn %d: %v", seed, err)
			continue
		}
		drawnMore(nodes, seed)
		files = append(files, filesOf(t, fmt.Sprintf("drawn %d", seed), nodes)...)
	}
	return files
}

func drawnCluster(t *testing.T, v quorate.Version, seed int) (quorate.Cluster, kubeadm.Secrets) {
	t.Helper()
	c := rapid.Custom(func(t *rapid.T) quorate.Cluster { return drawCluster(t, v) }).Example(seed)
	s := secrets(t)
	if v.AtLeast(1, 15) && seed%3 == 0 {
		s.CertificateKey = quorate.Sensitive([]byte(markerKey))
	}
	s.TokenTTL = []quorate.Duration{0, -1, quorate.Duration(90 * time.Minute)}[seed%3]
	return c, s
}

func drawnMore(nodes []kubeadm.Node, seed int) {
	for i := range nodes {
		nodes[i].Config = rapid.Custom(func(t *rapid.T) kubeadm.Config { return drawMore(t, nodes[i].Config) }).Example(seed*31 + i)
	}
}

// drawCluster draws a valid description of a version.
func drawCluster(t *rapid.T, v quorate.Version) quorate.Cluster {
	formats := rapid.SampledFrom([][]string{{v4}, {v6}, {v4, v6}, {v6, v4}}).Draw(t, "families")
	if v.Minor < 11 {
		formats = []string{v4}
	}
	if v.Minor < 20 {
		formats = formats[:1]
	}
	c := quorate.Cluster{Version: v, AllowEvenControlPlanes: true}
	for _, f := range formats {
		if f == v4 {
			c.Pods, c.Services = append(c.Pods, prefixes("10.200.0.0/16")...), append(c.Services, prefixes("10.100.0.0/16")...)
		} else {
			c.Pods, c.Services = append(c.Pods, prefixes("fd01::/48")...), append(c.Services, prefixes("fd02::/112")...)
		}
	}
	for i := range rapid.IntRange(1, 5).Draw(t, "control planes") + 1 {
		n := quorate.Node{Name: fmt.Sprintf("n-%d", i), Role: quorate.ControlPlane}
		if i == 0 {
			n.Role = quorate.Worker
		}
		for _, f := range formats {
			n.Addresses = append(n.Addresses, netip.MustParseAddr(fmt.Sprintf(f, 20+i)))
		}
		n.Labels = rapid.SampledFrom([]map[string]string{nil, {"example.org/rack": "r7", "disk": ""}}).Draw(t, "labels")
		c.Nodes = append(c.Nodes, n)
	}
	c.Endpoint = quorate.Endpoint{Host: fmt.Sprintf(formats[0], 99), VIP: quorate.VIP{Interface: "eth0"}, Port: rapid.SampledFrom([]int{0, 8443}).Draw(t, "port")}
	if rapid.Bool().Draw(t, "external") {
		c.Endpoint = quorate.Endpoint{Host: "api.example.org", External: true}
	}
	c.DNSDomain = rapid.SampledFrom([]string{"", "prod.example.org"}).Draw(t, "domain")
	if v.Minor > 10 {
		c.Name = rapid.SampledFrom([]string{"", "prod"}).Draw(t, "name")
	}
	if c.Etcd.Stacked = v.Minor >= 13 && rapid.Bool().Draw(t, "stacked"); c.Etcd.Stacked {
		c.Etcd.DataDir = rapid.SampledFrom([]string{"", "/data/etcd"}).Draw(t, "data")
		c.Etcd.QuotaBytes = rapid.SampledFrom([]int64{0, 4 << 30}).Draw(t, "quota")
	}
	k := &c.Kubeadm
	k.CertSANs = rapid.SampledFrom([][]string{nil, {"api.example.org", "192.0.2.1"}}).Draw(t, "SANs")
	k.ImageRepository = rapid.SampledFrom([]string{"", "registry.example.org:5000/k8s"}).Draw(t, "repository")
	k.IgnorePreflightErrors = rapid.SampledFrom([][]string{nil, {"NumCPU", "Swap"}}).Draw(t, "ignored")
	k.CRISocket = rapid.SampledFrom([]string{"", "unix:///run/crio/crio.sock"}).Draw(t, "socket")
	k.APIServerArgs = rapid.SampledFrom([]map[string]string{nil, {"audit-log-maxage": "30", "event-ttl": "2h"}}).Draw(t, "args")
	k.SchedulerArgs = rapid.SampledFrom([]map[string]string{nil, {"v": "4"}}).Draw(t, "scheduler args")
	k.Kubelet = rapid.SampledFrom([]map[string]any{nil, {"failSwapOn": false, "maxPods": 80}, {"cgroupDriver": "cgroupfs"}}).Draw(t, "kubelet")
	k.KubeProxy = rapid.SampledFrom([]map[string]any{nil, {"mode": "iptables", "conntrack": map[string]any{"min": 1024}}}).Draw(t, "kube-proxy")
	return c
}

// drawMore adds to a Config what only a Config can say, where its version can
// express it: what it refuses is reset.
func drawMore(t *rapid.T, c kubeadm.Config) kubeadm.Config {
	no := false
	changes := map[string]func(*kubeadm.Config){
		"taints": func(c *kubeadm.Config) {
			c.Registration.Taints = []kubeadm.Taint{{Key: "example.org/pool", Value: "a", Effect: "NoSchedule"}}
		},
		"no taints": func(c *kubeadm.Config) { c.Registration.Taints = []kubeadm.Taint{} },
		"kubelet args": func(c *kubeadm.Config) {
			c.Registration.KubeletArgs = c.Registration.KubeletArgs.With("v", "3")
		},
		"pull policy":           func(c *kubeadm.Config) { c.Registration.ImagePullPolicy = "IfNotPresent" },
		"pull serial":           func(c *kubeadm.Config) { c.Registration.ImagePullSerial = &no },
		"phases":                func(c *kubeadm.Config) { c.SkipPhases = []string{"preflight"} },
		"patches":               func(c *kubeadm.Config) { c.Patches = &kubeadm.Patches{Directory: "/etc/kubernetes/patches"} },
		"timeouts":              func(c *kubeadm.Config) { c.Timeouts.Discovery = new(quorate.Duration(7 * time.Minute)) },
		"control plane timeout": func(c *kubeadm.Config) { c.Timeouts.ControlPlane = new(quorate.Duration(6 * time.Minute)) },
		"more timeouts": func(c *kubeadm.Config) {
			c.Timeouts.ControlPlane, c.Timeouts.EtcdCall = new(quorate.Duration(7*time.Minute)), new(quorate.Duration(time.Minute))
		},
		"volumes": func(c *kubeadm.Config) {
			c.Init.APIServer.Volumes = []quorate.Volume{{Name: "audit", HostPath: "/etc/audit", MountPath: "/etc/audit", ReadOnly: true, PathType: "Directory"},
				{Name: "log", HostPath: "/var/log/audit", MountPath: "/var/log/audit"}}
		},
		"read-only volumes": func(c *kubeadm.Config) {
			c.Init.Scheduler.Volumes = []quorate.Volume{{Name: "x", HostPath: "/x", MountPath: "/x", ReadOnly: true}}
		},
		"environment": func(c *kubeadm.Config) {
			c.Init.ControllerManager.Env = []kubeadm.EnvVar{{Name: "HTTPS_PROXY", Value: "http://proxy:3128"}}
		},
		"feature gate": func(c *kubeadm.Config) {
			c.Init.FeatureGates = with(c.Init.FeatureGates, "RootlessControlPlane", false)
		},
		"feature gate2": func(c *kubeadm.Config) { c.Init.FeatureGates = with(c.Init.FeatureGates, "PublicKeysECDSA", true) },
		"certificates":  func(c *kubeadm.Config) { c.Init.CertificatesDir = "/etc/kubernetes/certs" },
		"DNS": func(c *kubeadm.Config) {
			c.Init.DNS.ImageRepository, c.Init.DNS.ImageTag = "registry.example.org/coredns", "v1.9.9"
		},
		"no add-ons": func(c *kubeadm.Config) { c.Init.DNS.Disabled, c.Init.ProxyDisabled = true, true },
		"keys": func(c *kubeadm.Config) {
			c.Init.EncryptionAlgorithm, c.Init.CertificateValidity, c.Init.CACertificateValidity = "ECDSA-P256", new(quorate.Duration(100*time.Hour)), new(quorate.Duration(1000*time.Hour))
		},
		"token": func(c *kubeadm.Config) {
			c.Init.TokenUsages, c.Init.TokenGroups = []string{"signing", "authentication"}, []string{"system:bootstrappers:quorate"}
		},
		"etcd image": func(c *kubeadm.Config) {
			c.Init.LocalEtcd.ImageRepository, c.Init.LocalEtcd.ImageTag = "registry.example.org/etcd", "3.5.24-0"
		},
		"etcd SANs": func(c *kubeadm.Config) {
			c.Init.LocalEtcd.ServerCertSANs, c.Init.LocalEtcd.PeerCertSANs = []string{"etcd.example.org"}, []string{"192.0.2.7"}
		},
	}
	for _, name := range slices.Sorted(maps.Keys(changes)) {
		ofInit := slices.Contains([]string{"volumes", "read-only volumes", "environment", "feature gate", "feature gate2", "certificates", "DNS", "no add-ons", "keys", "token", "etcd image", "etcd SANs"}, name)
		local := strings.HasPrefix(name, "etcd ")
		if ofInit && c.Init == nil || local && c.Init.Etcd != nil || !rapid.Bool().Draw(t, name) {
			continue
		}
		next := c
		if c.Init != nil {
			init := *c.Init
			next.Init = &init
		}
		if changes[name](&next); expressible(next) {
			c = next
		}
	}
	return c
}

func with(gates map[string]bool, name string, on bool) map[string]bool {
	gates = maps.Clone(gates)
	if gates == nil {
		gates = map[string]bool{}
	}
	gates[name] = on
	return gates
}

func expressible(c kubeadm.Config) bool { _, err := c.YAML(); return err == nil }

// arrival counts the values of a file and returns those that are not in the
// objects that the release's code made of it.
func arrival(t *testing.T, text string, objects map[string]json.RawMessage) (values int, lost []string) {
	t.Helper()
	for doc := range strings.SplitSeq(text, "\n---\n") {
		var written map[string]any
		if err := yaml.Unmarshal([]byte(doc), &written); err != nil {
			t.Fatal(err)
		}
		kind, _ := written["kind"].(string)
		delete(written, "kind")
		delete(written, "apiVersion")
		var arrived any
		if err := json.Unmarshal(objects[kind], &arrived); err != nil {
			lost = append(lost, kind+": is not there")
			continue
		}
		n, l := compare(kind, written, arrived)
		values, lost = values+n, append(lost, l...)
	}
	return values, lost
}

func compare(at string, written, arrived any) (values int, lost []string) {
	switch w := written.(type) {
	case map[string]any:
		a, _ := arrived.(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(w)) {
			n, l := compare(at+"."+name, w[name], a[name])
			values, lost = values+n, append(lost, l...)
		}
	case []any:
		a, _ := arrived.([]any)
		if len(a) != len(w) {
			return 1, []string{fmt.Sprintf("%s: %d items were written, %d arrived", at, len(w), len(a))}
		}
		for i := range w {
			n, l := compare(fmt.Sprintf("%s[%d]", at, i), w[i], a[i])
			values, lost = values+n, append(lost, l...)
		}
	default:
		values = 1
		if !sameValue(written, arrived) {
			lost = append(lost, fmt.Sprintf("%s: was written as %v and arrived as %v", at, written, arrived))
		}
	}
	return values, lost
}

// sameValue takes false and an absent value for the same, which Go's encoding of
// the releases' types does, and a socket with its scheme for one without.
func sameValue(written, arrived any) bool {
	if reflect.DeepEqual(written, arrived) || written == false && arrived == nil {
		return true
	}
	w, text := written.(string)
	a, _ := arrived.(string)
	if text && strings.TrimPrefix(w, "unix://") == strings.TrimPrefix(a, "unix://") {
		return true
	}
	wd, err := time.ParseDuration(w)
	ad, otherErr := time.ParseDuration(a)
	return text && err == nil && otherErr == nil && wd == ad
}
