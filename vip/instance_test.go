package vip_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"mvdan.cc/sh/v3/syntax"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/vip"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// secret is planted as the auth and looked for in what may not show it.
const secret = "M4rk3rZZ"

var auth = quorate.Sensitive([]byte(secret))

// cluster has n control planes with addresses made from the formats, first
// family first, and a worker.
func cluster(n int, host string, formats ...string) quorate.Cluster {
	c := quorate.Cluster{
		Name:                   "prod",
		Version:                quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint:               quorate.Endpoint{Host: host, VIP: quorate.VIP{Interface: "eth0"}},
		AllowEvenControlPlanes: true,
	}
	for _, f := range formats {
		if strings.Contains(f, ":") {
			c.Pods = append(c.Pods, netip.MustParsePrefix("fd00:10::/48"))
			c.Services = append(c.Services, netip.MustParsePrefix("fd00:20::/108"))
		} else {
			c.Pods = append(c.Pods, netip.MustParsePrefix("10.244.0.0/16"))
			c.Services = append(c.Services, netip.MustParsePrefix("10.96.0.0/12"))
		}
	}
	for i := range n + 1 {
		node := quorate.Node{Name: fmt.Sprintf("cp-%d", i+1), Role: quorate.ControlPlane}
		if i == n {
			node.Name, node.Role = "worker-1", quorate.Worker
		}
		for _, f := range formats {
			node.Addresses = append(node.Addresses, netip.MustParseAddr(fmt.Sprintf(f, i+1)))
		}
		c.Nodes = append(c.Nodes, node)
	}
	return c
}

func goldenCases() map[string]quorate.Cluster {
	tuned := cluster(3, "10.0.0.100", "10.0.0.%d")
	tuned.Endpoint.Port = 8443
	tuned.Endpoint.VIP = quorate.VIP{
		Interface: "bond0", Subnet: netip.MustParsePrefix("10.0.0.0/24"), RouterID: 7, Multicast: true,
		AdvertInterval: quorate.Duration(2 * time.Second), CheckInterval: quorate.Duration(5 * time.Second),
		CheckTimeout: quorate.Duration(3 * time.Second), Fall: 4, Rise: 1,
	}
	tuned.Nodes[1].Interface = "enp1s0"
	subnet6 := cluster(3, "fd00::100", "fd00::%d")
	subnet6.Endpoint.VIP.Subnet = netip.MustParsePrefix("fd00::/64")
	multicast6 := cluster(3, "fd00::100", "fd00::%d")
	multicast6.Endpoint.VIP.Multicast = true
	weight := cluster(3, "10.0.0.100", "10.0.0.%d")
	weight.Endpoint.VIP.Weight = -2
	second := cluster(3, "10.0.0.100", "10.0.0.%d")
	second.Endpoint.VIP.AdvertInterval = quorate.Duration(time.Second)
	old := cluster(3, "10.0.0.100", "10.0.0.%d")
	old.Version = quorate.Version{Major: 1, Minor: 10, Patch: 4}
	return map[string]quorate.Cluster{
		"three-weight":         weight,
		"three-1.10":           old,
		"three-vrrp2":          second,
		"three-haproxy":        balanced(cluster(3, "10.0.0.100", "10.0.0.%d")),
		"one-ipv4":             cluster(1, "10.0.0.100", "10.0.0.%d"),
		"three-ipv4":           cluster(3, "10.0.0.100", "10.0.0.%d"),
		"five-ipv4":            cluster(5, "10.0.0.100", "10.0.0.%d"),
		"three-ipv6":           cluster(3, "fd00::100", "fd00::%d"),
		"three-ipv6-subnet":    subnet6,
		"three-ipv6-multicast": multicast6,
		"three-dual":           cluster(3, "10.0.0.100", "10.0.0.%d", "fd00::%d"),
		"three-dual-ipv6-vip":  cluster(3, "fd00::100", "10.0.0.%d", "fd00::%d"),
		"tuned":                tuned,
	}
}

func instances(t *testing.T, c quorate.Cluster) []vip.Instance {
	t.Helper()
	out, err := vip.Instances(c, auth)
	require.NoError(t, err)
	require.Len(t, out, len(c.ControlPlanes()))
	return out
}

// files returns the check script and the configuration.
func files(t *testing.T, i vip.Instance) (check, config quorate.File) {
	t.Helper()
	out, err := i.Files()
	require.NoError(t, err)
	require.Len(t, out, 3)
	require.Equal(t, vip.CheckPath, out[0].Path)
	require.EqualValues(t, 0o755, out[0].Mode)
	require.Equal(t, vip.ConfigPath, out[1].Path)
	require.EqualValues(t, 0o600, out[1].Mode)
	require.Equal(t, vip.DropInPath, out[2].Path)
	require.EqualValues(t, 0o644, out[2].Mode)
	return out[0], out[1]
}

func TestInstancesGolden(t *testing.T) {
	for name, c := range goldenCases() {
		t.Run(name, func(t *testing.T) {
			var archive txtar.Archive
			for _, i := range instances(t, c) {
				all, err := i.Files()
				require.NoError(t, err)
				for _, f := range all {
					archive.Files = append(archive.Files, txtar.File{Name: i.Node + f.Path, Data: f.Content.Bytes()})
				}
			}
			path, got := filepath.Join("testdata", name+".txtar"), txtar.Format(&archive)
			if *update {
				require.NoError(t, os.WriteFile(path, got, 0o644))
			}
			want, err := os.ReadFile(path)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(string(want), string(got)))
		})
	}
}

func TestExternalEndpointHasNoInstances(t *testing.T) {
	c := cluster(3, "lb.example.org", "10.0.0.%d")
	c.Endpoint = quorate.Endpoint{Host: "lb.example.org", External: true}
	got, err := vip.Instances(c, quorate.Content{})
	require.NoError(t, err)
	require.Empty(t, got)
}

// keepalived itself reads every configuration that the goldens hold.
func TestKeepalivedAcceptsTheConfigurations(t *testing.T) {
	keepalived := tier.Program(t, "keepalived")
	for name, c := range goldenCases() {
		for _, i := range instances(t, c) {
			check, config := files(t, i)
			out, err := testConfig(t, keepalived, check, config)
			require.NoError(t, err, "%s %s: %s", name, i.Node, out)
			require.Empty(t, out, "%s %s", name, i.Node)
		}
	}
	check, config := files(t, instances(t, goldenCases()["three-ipv4"])[0])
	config.Content = quorate.Public(bytes.Replace(config.Content.Bytes(), []byte("unicast_peer"), []byte("unicast_pear"), 1))
	_, err := testConfig(t, keepalived, check, config)
	require.Error(t, err, "keepalived -t cannot fail")
}

// testConfig runs keepalived -t on a configuration elsewhere, on
// an interface that this machine has: one that is absent is refused, and so is
// loopback.
func testConfig(t *testing.T, keepalived string, check, config quorate.File) (string, error) {
	t.Helper()
	dir := placeFor(t)
	script := filepath.Join(dir, "check_apiserver.sh")
	require.NoError(t, os.WriteFile(script, check.Content.Bytes(), 0o755))
	text := strings.ReplaceAll(string(config.Content.Bytes()), vip.CheckPath, script)
	here := networkInterface(t)
	for _, name := range []string{"eth0", "bond0", "enp1s0"} {
		text = strings.ReplaceAll(text, "interface "+name, "interface "+here)
		text = strings.ReplaceAll(text, "dev "+name, "dev "+here)
	}
	path := filepath.Join(dir, "keepalived.conf")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	out, err := exec.CommandContext(t.Context(), keepalived, "-t", "-f", path).CombinedOutput()
	return string(out), err
}

func networkInterface(t *testing.T) string {
	t.Helper()
	all, err := net.Interfaces()
	require.NoError(t, err)
	for _, i := range all {
		if i.Flags&net.FlagLoopback == 0 && i.Flags&net.FlagMulticast != 0 {
			return i.Name
		}
	}
	tier.Missing(t, "this machine has no network interface but loopback, which keepalived refuses")
	return ""
}

// placeFor is a directory that nobody but root can write on the way to: with
// script security keepalived looks at every part of the path.
func placeFor(t *testing.T) string {
	t.Helper()
	base := ""
	if os.Geteuid() == 0 {
		base = "/run"
	}
	dir, err := os.MkdirTemp(base, "quorate-vip-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func TestCheckScriptIsPOSIX(t *testing.T) {
	for name, c := range goldenCases() {
		for _, i := range instances(t, c) {
			check, _ := files(t, i)
			_, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(bytes.NewReader(check.Content.Bytes()), vip.CheckPath)
			require.NoError(t, err, name)
		}
	}
}

// What the guide gets wrong (5, 6, 7) must not come back.
func TestDeparturesFromTheGuide(t *testing.T) {
	for name, c := range goldenCases() {
		for _, i := range instances(t, c) {
			check, config := files(t, i)
			text := string(config.Content.Bytes())
			weight := c.Endpoint.VIP.Weight != 0 // set: see TestWeightExceedsPriorities
			require.Equal(t, weight, strings.Contains(text, "    weight "), "%s: a dead API server must outweigh every priority", name)
			require.Equal(t, weight, !strings.Contains(text, "nopreempt"), name)
			for _, want := range []string{"init_fail", "enable_script_security", "script_user root", "state BACKUP"} {
				require.Contains(t, text, want, name)
			}
			second := strings.Contains(text, "    version 2\n")
			require.Equal(t, second, c.Endpoint.Address().Is4() && c.Endpoint.VIP.AdvertInterval.Std()%time.Second == 0 && c.Endpoint.VIP.AdvertInterval > 0, name)
			require.Equal(t, second, strings.Contains(text, "auth_pass "+secret+"\n"), name)
			path := "/readyz"
			if !c.Version.AtLeast(1, 16) {
				path = "/healthz"
			}
			for _, want := range []string{"--fail", "--max-time", "--cacert", ":" + strconv.Itoa(c.WithDefaults().Endpoint.Port) + path + "\n"} {
				require.Contains(t, check.Content.String(), want, name)
			}
			require.NotContains(t, check.Content.String(), "insecure", name)
		}
	}
}

// read finds a number in a rendered configuration.
func read(t *testing.T, config quorate.File, keyword string) int {
	t.Helper()
	found := regexp.MustCompile(`(?m)^    `+keyword+` (-?\d+)$`).FindAllSubmatch(config.Content.Bytes(), -1)
	require.Len(t, found, 1, keyword)
	n, err := strconv.Atoi(string(found[0][1]))
	require.NoError(t, err)
	return n
}

// Whatever the number of control planes, a node whose check fails bids less
// than each whose check succeeds, or the weight is refused. keepalived keeps
// what remains of a priority at 1 or more.
func TestWeightExceedsPriorities(t *testing.T) {
	for _, n := range []int{1, 2, 3, 5, 99} {
		for _, weight := range []int{-1, -2, -3, -100, -253} {
			c := cluster(n, "10.0.0.150", "10.0.0.%d")
			c.Endpoint.VIP.Weight = weight
			if n > 1 && weight == -1 {
				_, err := vip.Instances(c, auth)
				var invalid *quorate.InvalidError
				require.ErrorAs(t, err, &invalid)
				require.Len(t, invalid.Problems, 1)
				require.Equal(t, "endpoint.vip.weight", invalid.Problems[0].Path)
				require.ErrorContains(t, err, "-2 or less")
				continue
			}
			highest, lowest := 0, 255
			for _, i := range instances(t, c) {
				_, config := files(t, i)
				require.Equal(t, weight, read(t, config, "weight"))
				highest, lowest = max(highest, read(t, config, "priority")), min(lowest, read(t, config, "priority"))
			}
			require.True(t, n == 1 || max(1, highest+weight) < lowest, "%d with %d against %d", weight, highest, lowest)
		}
	}
}

func TestDefaultBounds(t *testing.T) {
	for n := 1; n <= 99; n++ {
		for _, c := range []quorate.Cluster{cluster(n, "10.0.0.150", "10.0.0.%d"), cluster(n, "fd00::150", "fd00::%d")} {
			for _, i := range instances(t, c) {
				require.LessOrEqual(t, i.APIServerLossBound(), 4375*time.Millisecond)
				require.LessOrEqual(t, i.HostLossBound(), 1875*time.Millisecond)
			}
		}
	}
}

func TestBoundsByFormula(t *testing.T) {
	i := vip.Instance{Priority: 192, Endpoint: quorate.Endpoint{Host: "10.0.0.100", VIP: quorate.VIP{
		AdvertInterval: quorate.Duration(2 * time.Second), CheckInterval: quorate.Duration(5 * time.Second),
		CheckTimeout: quorate.Duration(3 * time.Second), Fall: 4,
	}}}
	require.Equal(t, 6*time.Second+250*time.Millisecond, i.HostLossBound(), "RFC 3768: the skew is part of a second")
	require.Equal(t, 23*time.Second+250*time.Millisecond, i.APIServerLossBound())
	i.Endpoint.VIP.Weight = -2
	require.Equal(t, 29*time.Second+250*time.Millisecond, i.APIServerLossBound(), "one that bids less is waited for like one that is dead")
	i.Endpoint.VIP.Weight = 0
	i.Endpoint.Host = "fd00::100"
	require.Equal(t, 6*time.Second+500*time.Millisecond, i.HostLossBound(), "RFC 5798: the skew is part of an interval")
}

func TestInstancesAgree(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 99).Draw(rt, "control planes")
		got, err := vip.Instances(cluster(n, "10.0.0.150", "10.0.0.%d"), auth)
		if err != nil {
			rt.Fatal(err)
		}
		seen := map[int]bool{}
		for at, i := range got {
			if i.Priority < 1 || i.Priority > 254 || seen[i.Priority] {
				rt.Fatalf("priority %d of %s", i.Priority, i.Node)
			}
			if at > 0 && i.Priority >= got[at-1].Priority {
				rt.Fatalf("priority of %s is not below %s's", i.Node, got[at-1].Node)
			}
			seen[i.Priority] = true
			if len(i.Peers) != n-1 {
				rt.Fatalf("%s has %d peers, want %d", i.Node, len(i.Peers), n-1)
			}
			for _, peer := range i.Peers {
				if peer == i.Source {
					rt.Fatalf("%s is its own peer", i.Node)
				}
			}
		}
	})
}

func TestEveryProblemAtOnce(t *testing.T) {
	addr := netip.MustParseAddr
	i := vip.Instance{
		Node: "cp-1\n}", Interface: "eth0 }", Priority: 255, CAFile: "/ca crt", ScriptUser: "root; rm",
		Endpoint: quorate.Endpoint{Host: "10.0.0.100", Port: 70000, VIP: quorate.VIP{
			RouterID: 256, AdvertInterval: quorate.Duration(41 * time.Second), CheckTimeout: quorate.Duration(2 * time.Second),
			Fall: -1, Rise: -1,
		}},
		Source: addr("10.0.0.100"), APIServer: addr("fe80::1%eth0"),
		Peers: []netip.Addr{addr("10.0.0.100"), addr("fd00::2"), addr("10.0.0.2"), addr("10.0.0.2"), {}},
		Auth:  quorate.Sensitive([]byte(secret + "longer")),
	}
	err := i.Validate()
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
		require.NotContains(t, p.String(), "\n")
	}
	require.Equal(t, []string{
		"node", "endpoint.port", "endpoint.vip.routerID", "endpoint.vip.advertInterval", "endpoint.vip.checkTimeout", "endpoint.vip.fall", "endpoint.vip.rise",
		"interface", "source", "apiServer",
		"peers[0]", "peers[0]", "peers[1]", "peers[3]", "peers[4]", "priority", "caFile", "scriptUser", "auth",
	}, paths)
	require.NotContains(t, err.Error(), secret)
	_, filesErr := i.Files()
	require.Equal(t, err, filesErr)
}

// The VIP of an instance may lie where another cluster has its pods.
func TestInstanceWithoutRanges(t *testing.T) {
	for _, host := range []string{"10.244.0.100", "10.96.0.100"} {
		c := cluster(3, host, strings.TrimSuffix(host, "100")+"%d")
		c.Pods, c.Services = []netip.Prefix{netip.MustParsePrefix("172.16.0.0/16")}, []netip.Prefix{netip.MustParsePrefix("172.17.0.0/16")}
		instances(t, c)
	}
}

func TestAuthProblems(t *testing.T) {
	c := cluster(3, "10.0.0.100", "10.0.0.%d")
	c.Endpoint.VIP.AdvertInterval = quorate.Duration(time.Second)
	for name, bad := range map[string]quorate.Content{
		"none": {}, "public": quorate.Public([]byte(secret)), "nine": quorate.Sensitive([]byte(secret + "9")),
		"seven": quorate.Sensitive([]byte(secret[:7])), "comment": quorate.Sensitive([]byte("M4rk3r#!")), "newline": quorate.Sensitive([]byte("M4rk3rZ\n")),
	} {
		_, err := vip.Instances(c, bad)
		var invalid *quorate.InvalidError
		require.ErrorAs(t, err, &invalid, name)
		require.Equal(t, "auth", invalid.Problems[0].Path, name)
		require.NotContains(t, err.Error(), "M4rk3r", name)
	}
	for _, c := range []quorate.Cluster{cluster(3, "fd00::100", "fd00::%d"), cluster(3, "10.0.0.100", "10.0.0.%d")} {
		_, err := vip.Instances(c, quorate.Content{})
		require.NoError(t, err, "VRRP version 3 has no password")
	}
}

func TestAuthIsHidden(t *testing.T) {
	for name, c := range goldenCases() {
		all := instances(t, c)
		check, config := files(t, all[0])
		asJSON, err := json.Marshal(all)
		require.NoError(t, err)
		shown := string(asJSON) + check.Content.String() + config.Content.String()
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			shown += fmt.Sprintf(verb+verb+verb, all, check, config)
		}
		require.NotContains(t, shown, secret, name)
		require.NotContains(t, shown, fmt.Sprintf("%x", secret), name)
	}
}

func TestNewAuth(t *testing.T) {
	seen := map[string]bool{}
	rapid.Check(t, func(rt *rapid.T) {
		random := append(rapid.SliceOfN(rapid.Byte(), 8, 64).Draw(rt, "random"), bytes.Repeat([]byte{7}, 8)...)
		got, err := vip.NewAuth(bytes.NewReader(random))
		if err != nil {
			rt.Fatal(err)
		}
		if !got.IsSensitive() || got.Len() != 8 {
			rt.Fatalf("%d bytes, sensitive %t", got.Len(), got.IsSensitive())
		}
		for _, b := range got.Bytes() {
			if !strings.ContainsRune("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", rune(b)) {
				rt.Fatalf("%q means something to keepalived", b)
			}
		}
		seen[string(got.Bytes())] = true
	})
	require.Greater(t, len(seen), 10)
	broken := errors.New("no randomness")
	_, err := vip.NewAuth(iotest.ErrReader(broken))
	require.ErrorIs(t, err, broken)
}

// No value that passes validation makes a line of its own.
func FuzzInstance(f *testing.F) {
	f.Add("cp-1", "eth0", "/etc/kubernetes/pki/ca.crt", "nobody")
	f.Add("cp-1\n}", "eth0 }\nscript", "/ca.crt $(id)", "root root")
	c := cluster(3, "10.0.0.100", "10.0.0.%d")
	base, err := vip.Instances(c, auth)
	if err != nil {
		f.Fatal(err)
	}
	lines := func(i vip.Instance) (n int, err error) {
		out, err := i.Files()
		for _, file := range out {
			n += bytes.Count(file.Content.Bytes(), []byte("\n"))
		}
		return n, err
	}
	want, err := lines(base[0])
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, node, iface, ca, user string) {
		i := base[0]
		i.Node, i.Interface, i.CAFile, i.ScriptUser = node, iface, ca, user
		got, err := lines(i)
		if err != nil {
			return
		}
		if got != want {
			t.Fatalf("%d lines, want %d", got, want)
		}
		if strings.ContainsAny(node+iface+ca+user, " \t\"'#!${}`;&|<>\\()") {
			t.Fatalf("accepted %q %q %q %q", node, iface, ca, user)
		}
	})
}

// Without a source of randomness the operating system's is used.
func TestAuthOfNoReader(t *testing.T) {
	a, err := vip.NewAuth(nil)
	require.NoError(t, err)
	b, err := vip.NewAuth(nil)
	require.NoError(t, err)
	require.NotEqual(t, a.Bytes(), b.Bytes())
}
