package vip_test

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/vip"
)

// balanced puts haproxy before the API servers.
func balanced(c quorate.Cluster) quorate.Cluster {
	c.Endpoint.LoadBalancer = quorate.HAProxy
	return c
}

func haproxyCases() map[string]quorate.Cluster {
	old := cluster(3, "10.0.0.100", "10.0.0.%d")
	old.Version = quorate.Version{Major: 1, Minor: 15, Patch: 12}
	port := cluster(3, "10.0.0.100", "10.0.0.%d")
	port.Endpoint.Port = 443
	cases := map[string]quorate.Cluster{
		"one-ipv4":            cluster(1, "10.0.0.100", "10.0.0.%d"),
		"three-ipv4":          cluster(3, "10.0.0.100", "10.0.0.%d"),
		"five-ipv4":           cluster(5, "10.0.0.100", "10.0.0.%d"),
		"three-ipv6":          cluster(3, "fd00::100", "fd00::%d"),
		"three-dual":          cluster(3, "10.0.0.100", "10.0.0.%d", "fd00::%d"),
		"three-dual-ipv6-vip": cluster(3, "fd00::100", "10.0.0.%d", "fd00::%d"),
		"three-1.15":          old,
		"port":                port,
	}
	for name, c := range cases {
		cases[name] = balanced(c)
	}
	return cases
}

func haproxies(t *testing.T, c quorate.Cluster) []vip.HAProxy {
	t.Helper()
	out, err := vip.HAProxies(c, newAuthority(t).content())
	require.NoError(t, err)
	require.Len(t, out, len(c.ControlPlanes()))
	return out
}

// haproxyFiles returns the configuration and the drop-in.
func haproxyFiles(t *testing.T, h vip.HAProxy) (config, dropIn quorate.File) {
	t.Helper()
	out, err := h.Files()
	require.NoError(t, err)
	require.Len(t, out, 3)
	require.Equal(t, quorate.File{Path: vip.HAProxyCAPath, Mode: 0o644, Content: h.CA}, out[0])
	require.Equal(t, vip.HAProxyConfigPath, out[1].Path)
	require.Equal(t, vip.HAProxyDropInPath, out[2].Path)
	for _, f := range out {
		require.EqualValues(t, 0o644, f.Mode)
		require.False(t, f.Content.IsSensitive())
	}
	return out[1], out[2]
}

func TestHAProxyGolden(t *testing.T) {
	for name, c := range haproxyCases() {
		t.Run(name, func(t *testing.T) {
			var archive txtar.Archive
			for _, h := range haproxies(t, c) {
				config, dropIn := haproxyFiles(t, h)
				archive.Files = append(archive.Files, txtar.File{Name: h.Node + config.Path, Data: config.Content.Bytes()})
				if name == "one-ipv4" { // it is the same everywhere
					archive.Files = append(archive.Files, txtar.File{Name: h.Node + dropIn.Path, Data: dropIn.Content.Bytes()})
				}
			}
			path, got := filepath.Join("testdata", "haproxy", name+".txtar"), txtar.Format(&archive)
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
				require.NoError(t, os.WriteFile(path, got, 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(string(want), string(got)))
		})
	}
}

func TestNoHAProxyWithoutLoadBalancer(t *testing.T) {
	external := cluster(3, "lb.example.org", "10.0.0.%d")
	external.Endpoint = quorate.Endpoint{Host: "lb.example.org", External: true}
	for _, c := range []quorate.Cluster{cluster(3, "10.0.0.100", "10.0.0.%d"), external} {
		got, err := vip.HAProxies(c, quorate.Content{})
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

// place writes a configuration where haproxy can read it beside its authority.
func place(t *testing.T, h vip.HAProxy) string {
	t.Helper()
	config, _ := haproxyFiles(t, h)
	dir := placeFor(t)
	ca, path := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "haproxy.cfg")
	require.NoError(t, os.WriteFile(ca, h.CA.Bytes(), 0o644))
	text := bytes.ReplaceAll(config.Content.Bytes(), []byte(vip.HAProxyCAPath), []byte(ca))
	require.NoError(t, os.WriteFile(path, text, 0o644))
	return path
}

// haproxy itself reads every configuration that the goldens hold, and has
// nothing to say about it.
func TestHAProxyAcceptsTheConfigurations(t *testing.T) {
	haproxy := tier.Program(t, "haproxy")
	for name, c := range haproxyCases() {
		for _, h := range haproxies(t, c) {
			out, err := exec.CommandContext(t.Context(), haproxy, "-c", "-f", place(t, h)).CombinedOutput()
			require.NoError(t, err, "%s %s: %s", name, h.Node, out)
			require.Equal(t, "Configuration file is valid", strings.TrimSpace(string(out)), "%s %s", name, h.Node)
		}
	}
	path := place(t, haproxies(t, haproxyCases()["three-ipv4"])[0])
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, bytes.Replace(text, []byte("leastconn"), []byte("leastcon"), 1), 0o644))
	require.Error(t, exec.CommandContext(t.Context(), haproxy, "-c", "-f", path).Run(), "haproxy -c cannot fail")
}

// A backend is taken out no sooner than an election of etcd's leader ends, while
// no API server is ready, and the VIP, whose check goes through haproxy, moves
// later than haproxy needs for one that is dead.
func TestHAProxyTimings(t *testing.T) {
	c := haproxyCases()["three-ipv4"].WithDefaults()
	election := 2 * c.Etcd.Election.Std()
	for i, h := range haproxies(t, c) {
		require.Greater(t, h.BackendLossBound(), election)
		require.Less(t, h.BackendLossBound(), instances(t, c)[i].APIServerLossBound())
	}
}

func TestEveryProblemOfAHAProxyAtOnce(t *testing.T) {
	addr := netip.MustParseAddr
	h := vip.HAProxy{
		Node:     "cp-1\nbind *:1",
		Endpoint: quorate.Endpoint{Host: "10.0.0.100", Port: 6443, LoadBalancer: quorate.HAProxy},
		Backends: []vip.Backend{
			{Name: "cp 1", Address: addr("10.0.0.100")}, {Name: "cp-2", Address: addr("fe80::1%eth0")},
			{Name: "cp-2", Address: addr("10.0.0.3")}, {Name: "cp-4", Address: addr("10.0.0.3")}, {},
		},
		Addresses: []netip.Addr{addr("0.0.0.0")},
		CA:        quorate.Public([]byte("no PEM")),
		MaxConn:   -1,
	}
	err := h.Validate()
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
		require.NotContains(t, p.String(), "\n")
	}
	require.Equal(t, []string{
		"node", "endpoint.port", "addresses[0]",
		"backends[0].name", "backends[0].address", "backends[1].address", "backends[2].name", "backends[3].address",
		"backends[4].name", "backends[4].address", "backends", "ca", "maxConn",
	}, paths)
	_, filesErr := h.Files()
	require.Equal(t, err, filesErr)

	require.ErrorContains(t, vip.HAProxy{}.Validate(), "endpoint.loadBalancer")
	require.ErrorContains(t, vip.HAProxy{}.Validate(), "addresses")
}

// The authority's certificates, nothing else: a key beside them would be on
// every control plane in a file that all may read.
func TestHAProxyRefusesKeys(t *testing.T) {
	c := haproxyCases()["three-ipv4"]
	good := newAuthority(t).content().Bytes()
	for name, bad := range map[string]quorate.Content{
		"none":      {},
		"sensitive": quorate.Sensitive(good),
		"key":       quorate.Public(append(bytes.Clone(good), []byte("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n")...)),
		"garbage":   quorate.Public(append(bytes.Clone(good), []byte("more")...)),
		"no DER":    quorate.Public([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
	} {
		_, err := vip.HAProxies(c, bad)
		var invalid *quorate.InvalidError
		require.ErrorAs(t, err, &invalid, name)
		require.Equal(t, "ca", invalid.Problems[0].Path, name)
	}
	_, err := vip.HAProxies(c, quorate.Public(append(bytes.Clone(good), newAuthority(t).content().Bytes()...)))
	require.NoError(t, err, "two authorities, as while one replaces the other")
}

func TestBackendLossBound(t *testing.T) {
	require.Equal(t, 4*time.Second, vip.HAProxy{}.BackendLossBound())
}
