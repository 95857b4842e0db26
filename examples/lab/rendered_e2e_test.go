package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/lab/internal/build"
	"github.com/quorate-dev/quorate/plan/clusterfile"
)

// TestE2ERendered proves that the programs which will read what examples/render
// writes accept every file of every host: keepalived, systemd, openssl, two
// shells, sysctl, and the real kubeadm and etcd, for 1, 3, 5 and 7 control
// planes by IPv4, IPv6 and both. A file that no program judges fails
// the test, and so does a program that accepts a damaged file.
func TestE2ERendered(t *testing.T) {
	r := newRendered(t)
	cases := renderedClusters()
	dirs := map[string]string{}
	for name, c := range cases {
		dirs[name] = r.render(t, c)
	}
	t.Run("accepted", func(t *testing.T) {
		for _, name := range slices.Sorted(maps.Keys(cases)) {
			c := cases[name]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r.count("clusters")
				for _, n := range c.Nodes {
					for _, err := range r.checkHost(t.Context(), newRenderedHost(dirs[name], c, n)) {
						t.Errorf("%s: %v", n.Name, err)
					}
				}
			})
		}
	})
	t.Run("damage is refused", func(t *testing.T) { r.refuseDamage(t, cases["3 IPv4"], dirs["3 IPv4"]) })

	var counted []string
	for _, kind := range append(renderedKinds(), "clusters", "hosts", "files") {
		if r.counts[kind] == 0 {
			t.Errorf("no %s were checked", kind)
		}
		counted = append(counted, fmt.Sprintf("%d %s", r.counts[kind], kind))
	}
	t.Logf("checked %s", strings.Join(counted, ", "))
}

// renderedClusters are the descriptions by what is special about them.
func renderedClusters() map[string]quorate.Cluster {
	cases := map[string]quorate.Cluster{}
	for _, n := range []int{1, 3, 5, 7} {
		for family, patterns := range map[string][]string{
			"IPv4":       {"192.0.2.%d"},
			"IPv6":       {"2001:db8:1::%d"},
			"dual-stack": {"192.0.2.%d", "2001:db8:1::%d"},
		} {
			cases[fmt.Sprintf("%d %s", n, family)] = renderedCluster(n, patterns...)
		}
	}
	cases["5 dual-stack, IPv6 first"] = renderedCluster(5, "2001:db8:1::%d", "192.0.2.%d")

	external := renderedCluster(3, "192.0.2.%d")
	external.Endpoint = quorate.Endpoint{Host: "api.example.com", Port: 443, External: true}
	cases["external load balancer"] = external

	older := renderedCluster(3, "192.0.2.%d")
	older.Version = quorate.Version{Major: 1, Minor: 31, Patch: 14}
	cases["Kubernetes 1.31"] = older

	for family, pattern := range map[string]string{"IPv4": "192.0.2.%d", "IPv6": "2001:db8:1::%d"} {
		cases["tuned "+family] = tuned(renderedCluster(3, pattern))
	}
	return cases
}

// renderedCluster has n control planes and two workers, each with an address
// of every pattern. The second node's interface has another name.
func renderedCluster(n int, patterns ...string) quorate.Cluster {
	address := func(pattern string, host int) netip.Addr { return netip.MustParseAddr(fmt.Sprintf(pattern, host)) }
	c := quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: address(patterns[0], 10).String(), VIP: quorate.VIP{Interface: "eth0"}},
	}
	for i := range n + 2 {
		node := quorate.Node{Name: fmt.Sprintf("cp-%d", i+1), Role: quorate.ControlPlane}
		if i >= n {
			node = quorate.Node{Name: fmt.Sprintf("worker-%d", i+1-n), Role: quorate.Worker}
		}
		if i == 1 && i < n {
			node.Interface = "ens3"
		}
		for _, p := range patterns {
			node.Addresses = append(node.Addresses, address(p, 11+i))
		}
		c.Nodes = append(c.Nodes, node)
	}
	for _, p := range patterns {
		pods, services := "10.244.0.0/16", "10.96.0.0/16"
		if address(p, 1).Is6() {
			pods, services = "fd00:10::/48", "fd00:20::/112"
		}
		c.Pods = append(c.Pods, netip.MustParsePrefix(pods))
		c.Services = append(c.Services, netip.MustParsePrefix(services))
	}
	return c
}

// tuned sets whatever a description can set that the rendered files show.
func tuned(c quorate.Cluster) quorate.Cluster {
	seconds := func(n int) quorate.Duration { return quorate.Duration(time.Duration(n) * time.Second) }
	c.Name, c.DNSDomain = "tuned", "k8s.example.com"
	c.Endpoint.Port = 8443
	vip := &c.Endpoint.VIP
	vip.RouterID, vip.Multicast = 200, true
	vip.AdvertInterval, vip.CheckInterval, vip.CheckTimeout = seconds(2), seconds(3), seconds(2)
	vip.Fall, vip.Rise = 2, 4
	c.Etcd = quorate.Etcd{
		DataDir: "/srv/etcd", ClientPort: 12379, PeerPort: 12380, MetricsPort: -1,
		Heartbeat: quorate.Duration(250 * time.Millisecond), Election: seconds(5),
		QuotaBytes: 8 << 30, CompactionRetention: seconds(3600), SnapshotCount: 5000,
	}
	c.Kubeadm = quorate.Kubeadm{
		CertSANs:      []string{"kubernetes.example.com"},
		APIServerArgs: map[string]string{"audit-log-maxage": "30"},
		Kubelet:       map[string]any{"maxPods": 200},
		KubeProxy:     map[string]any{"mode": "nftables"},
	}
	return c
}

// rendered is one run of the test: its programs and what it has counted.
type rendered struct {
	// enter are the arguments that put a host's programs in place; see enterScript.
	enter  []string
	binary string // examples/render, built

	mu     sync.Mutex
	counts map[string]int
}

func (r *rendered) count(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[kind]++
}

// newRendered finds or builds the programs. Where they cannot run the test is
// skipped, which in CI is a failure.
func newRendered(t *testing.T) *rendered {
	t.Helper()
	if os.Getenv("QUORATE_E2E") == "" {
		t.Skip("makes namespaces as root, and builds for many minutes at first: set QUORATE_E2E=1 to run it")
	}
	missing := t.Skipf
	if os.Getenv("QUORATE_CI") == "1" {
		missing = t.Fatalf
	}
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		missing("needs root on Linux, for namespaces in which files are at their own paths")
	}
	for _, name := range []string{"unshare", "chroot", "timeout", "ip", "keepalived", "systemd-analyze", "openssl", "sh", "dash", "sysctl"} {
		if _, err := exec.LookPath(name); err != nil {
			missing("%v", err)
		}
	}
	r := &rendered{counts: map[string]int{}, binary: filepath.Join(t.TempDir(), "render")}
	command := exec.CommandContext(t.Context(), "go", "build", "-o", r.binary, "./examples/render")
	command.Dir = filepath.Join("..", "..")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build examples/render: %v\n%s", err, out)
	}
	cache, err := defaultCache()
	if err != nil {
		t.Fatal(err)
	}
	programs, err := build.Builder{Cache: filepath.Join(cache, "bin")}.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "etcdctl", "kubeadm"} {
		r.enter = append(r.enter, "program="+programs[name])
	}
	return r
}

// render runs examples/render on a description and returns its output directory.
func (r *rendered) render(t *testing.T, c quorate.Cluster) string {
	t.Helper()
	text, err := clusterfile.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file, out := filepath.Join(dir, "cluster.yaml"), filepath.Join(dir, "out")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.CommandContext(t.Context(), r.binary, "-cluster", file, "-out", out, "-state", filepath.Join(dir, "state")).CombinedOutput(); err != nil {
		t.Fatalf("render: %v\n%s\n%s", err, said, text)
	}
	return out
}

// renderedHost is one host's rendered files, and the network it would have.
type renderedHost struct {
	quorate.Node
	cluster quorate.Cluster
	dir     string // holds etc
	network string // the interface that carries the addresses
}

func newRenderedHost(out string, c quorate.Cluster, n quorate.Node) renderedHost {
	c = c.WithDefaults()
	return renderedHost{
		Node: n, cluster: c, dir: filepath.Join(out, n.Name),
		network: cmp.Or(n.Interface, c.Endpoint.VIP.Interface, "eth0"),
	}
}

// checkHost returns everything that is wrong with a host's files.
func (r *rendered) checkHost(ctx context.Context, h renderedHost) (faults []error) {
	r.count("hosts")
	files, err := h.files()
	if err != nil {
		return []error{err}
	}
	for _, path := range files {
		r.count("files")
		faults = append(faults, r.checkFile(ctx, h, path)...)
	}
	if err := h.checkKeys(ctx, files); err != nil {
		faults = append(faults, err)
	}
	return faults
}

func (r *rendered) checkFile(ctx context.Context, h renderedHost, path string) (faults []error) {
	if err := h.checkMode(path); err != nil {
		faults = append(faults, err)
	}
	known := false
	for _, c := range renderedChecks {
		if !c.of(path) {
			continue
		}
		known = true
		r.count(c.kind)
		if err := c.run(ctx, r, h, path); err != nil {
			faults = append(faults, err)
		}
	}
	if !known {
		faults = append(faults, fmt.Errorf("/%s: no check knows this file: add one", path))
	}
	return faults
}

// files are the paths of the host's files, below its directory.
func (h renderedHost) files() ([]string, error) {
	var files []string
	err := fs.WalkDir(os.DirFS(h.dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	return files, err
}

// refuseDamage proves that each check can fail: it damages one file at a time
// and wants the check of that file, or the one named, to notice.
func (r *rendered) refuseDamage(t *testing.T, c quorate.Cluster, out string) {
	counts := maps.Clone(r.counts)
	defer func() { r.counts = counts }()
	host := newRenderedHost(out, c, c.Nodes[0])
	for name, d := range map[string]struct{ path, old, new string }{
		"keyword of keepalived":     {"etc/keepalived/keepalived.conf", "advert_int ", "advert_itn "},
		"interface of keepalived":   {"etc/keepalived/keepalived.conf", "interface eth0", "interface eth9"},
		"script of keepalived":      {"etc/keepalived/keepalived.conf", "check_apiserver.sh", "check_apisrever.sh"},
		"key of systemd":            {"etc/systemd/system/etcd.service", "UMask=", "UMaks="},
		"key of a drop-in":          {"etc/systemd/system/keepalived.service.d/quorate.conf", "RestartSec=", "RestratSec="},
		"program of systemd":        {"etc/systemd/system/etcd.service", "/usr/local/bin/etcd ", "/usr/local/bin/etdc "},
		"flag of etcd":              {"etc/systemd/system/etcd.service", "--data-dir=", "--data-idr="},
		"address of etcd":           {"etc/systemd/system/etcd.service", "--listen-peer-urls=https://192.0.2.11", "--listen-peer-urls=https://192.0.2.99"},
		"syntax of the script":      {"etc/keepalived/check_apiserver.sh", "}", ""},
		"syntax of the environment": {"etc/etcd.env", "ETCDCTL_CACERT=\"", "ETCDCTL_CACERT=("},
		"field of kubeadm":          {"etc/kubernetes/kubeadm-init.yaml", "clusterName:", "clusterNmae:"},
		"kernel setting":            {"etc/sysctl.d/99-quorate.conf", "net.ipv4.ip_forward =", "net.ipv4.ip_froward ="},
		"bytes of a certificate":    {"etc/etcd/pki/server.crt", "A", "B"},
		"no certificate":            {"etc/kubernetes/pki/ca.crt", "-----BEGIN", "-----BEGUN"},
	} {
		t.Run(name, func(t *testing.T) {
			h := host.copy(t)
			h.edit(t, d.path, func(b string) string { return strings.Replace(b, d.old, d.new, 1) })
			r.wantFault(t, h, d.path)
		})
	}
	for name, s := range map[string]struct{ path, with, noticed string }{
		"another authority":              {etcdPKI + "ca.crt", kubernetesPKI + "ca.crt", etcdPKI + "server.crt"},
		"a client's certificate":         {etcdPKI + "server.crt", kubernetesPKI + "apiserver-etcd-client.crt", ""},
		"another node's certificate":     {etcdPKI + "server.crt", "../cp-2/" + etcdPKI + "server.crt", ""},
		"a server as client":             {kubernetesPKI + "apiserver-etcd-client.crt", etcdPKI + "server.crt", ""},
		"another key":                    {etcdPKI + "server.key", etcdPKI + "peer.key", ""},
		"another public key":             {kubernetesPKI + "sa.pub", "../cp-1/" + kubernetesPKI + "front-proxy-ca.crt", ""},
		"the key of etcd's authority":    {kubernetesPKI + "apiserver-etcd-client.key", "../../state/cluster/pki/etcd/ca.key", keysTogether},
		"a key more than the role needs": {etcdPKI + "more.key", etcdPKI + "peer.key", keysTogether},
	} {
		t.Run(name, func(t *testing.T) {
			h := host.copy(t)
			with, err := os.ReadFile(filepath.Join(host.dir, s.with))
			if err == nil {
				err = os.WriteFile(filepath.Join(h.dir, s.path), with, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			r.wantFault(t, h, cmp.Or(s.noticed, s.path))
		})
	}
	t.Run("mode", func(t *testing.T) {
		h := host.copy(t)
		if err := os.Chmod(filepath.Join(h.dir, etcdPKI+"server.key"), 0o640); err != nil { //nolint:gosec // on purpose
			t.Fatal(err)
		}
		r.wantFault(t, h, etcdPKI+"server.key")
	})
}

// keysTogether names the check of a host's keys as a whole.
const keysTogether = "keys"

// wantFault wants the checks of a file to find a fault.
func (r *rendered) wantFault(t *testing.T, h renderedHost, path string) {
	t.Helper()
	if path != keysTogether {
		if faults := r.checkFile(t.Context(), h, path); len(faults) == 0 {
			t.Errorf("the damaged %s is accepted", path)
		}
		return
	}
	files, err := h.files()
	if err != nil {
		t.Fatal(err)
	}
	if h.checkKeys(t.Context(), files) == nil {
		t.Error("the keys are accepted")
	}
}

func (h renderedHost) copy(t *testing.T) renderedHost {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(h.dir)); err != nil {
		t.Fatal(err)
	}
	files, err := h.files()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		info, err := os.Stat(filepath.Join(h.dir, path))
		if err == nil {
			err = os.Chmod(filepath.Join(dir, path), info.Mode())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	h.dir = dir
	return h
}

// edit changes a file and wants that it did.
func (h renderedHost) edit(t *testing.T, path string, change func(string) string) {
	t.Helper()
	file := filepath.Join(h.dir, path)
	before, err := os.ReadFile(file) //nolint:gosec // the test's own
	if err != nil {
		t.Fatal(err)
	}
	after := []byte(change(string(before)))
	if bytes.Equal(before, after) {
		t.Fatalf("%s is as it was", path)
	}
	if err := os.WriteFile(file, after, 0o600); err != nil { // keeps the mode it has
		t.Fatal(err)
	}
}
