package etcd_test

import (
	"errors"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
	"pgregory.net/rapid"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/internal/tier"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// cluster has one control plane for each list of addresses, and a worker.
func cluster(addresses ...[]string) quorate.Cluster {
	v4 := strings.Contains(addresses[0][0], ".")
	c := quorate.Cluster{
		Name:                   "prod",
		Version:                quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint:               quorate.Endpoint{Host: "10.0.0.10", VIP: quorate.VIP{Interface: "eth0"}},
		AllowEvenControlPlanes: true,
	}
	c.Pods = prefixes("10.244.0.0/16", "fd00:10::/48")
	c.Services = prefixes("10.96.0.0/12", "fd00:20::/108")
	switch {
	case !v4:
		c.Endpoint.Host = "fd00::10"
		c.Pods, c.Services = c.Pods[1:], c.Services[1:]
	case len(addresses[0]) == 1:
		c.Pods, c.Services = c.Pods[:1], c.Services[:1]
	}
	for i, list := range append(addresses, addresses[0]) {
		n := quorate.Node{Name: "cp-" + string(rune('1'+i)), Role: quorate.ControlPlane}
		for _, a := range list {
			n.Addresses = append(n.Addresses, netip.MustParseAddr(a))
		}
		if i == len(addresses) {
			n.Name, n.Role = "worker-1", quorate.Worker
			for j, a := range n.Addresses {
				bytes := a.AsSlice()
				bytes[len(bytes)-1] = 200
				n.Addresses[j], _ = netip.AddrFromSlice(bytes)
			}
		}
		c.Nodes = append(c.Nodes, n)
	}
	return c
}

// withEtcd is a cluster of a minor of Kubernetes that runs a version of etcd.
func withEtcd(c quorate.Cluster, minor int, e quorate.Version) quorate.Cluster {
	c.Version = quorate.Version{Major: 1, Minor: minor}
	c.Etcd = quorate.Etcd{Version: e, CompactionRetention: quorate.Duration(90 * time.Minute)}
	return c
}

func prefixes(all ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range all {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func goldenCases() map[string]quorate.Cluster {
	tuned := cluster([]string{"10.0.0.1"}, []string{"10.0.0.2"}, []string{"10.0.0.3"})
	tuned.Etcd = quorate.Etcd{
		DataDir: "/data/etcd", Binary: "/opt/etcd/bin/etcd", ClientPort: 4001, PeerPort: 7001, MetricsPort: -1,
		Heartbeat: quorate.Duration(250 * time.Millisecond), Election: quorate.Duration(2500 * time.Millisecond),
		QuotaBytes: 8 << 30, CompactionRetention: quorate.Duration(time.Hour), SnapshotCount: 10000,
	}
	old := quorate.Version{Major: 1, Minor: 10, Patch: 4}
	plain := cluster([]string{"10.0.0.1"}, []string{"10.0.0.2"}, []string{"10.0.0.3"})
	plain.Version, plain.Etcd = old, quorate.Etcd{PlainHTTP: true, CompactionRetention: quorate.Duration(8 * time.Hour)}
	secure := cluster([]string{"10.0.0.1"})
	secure.Version = old
	return map[string]quorate.Cluster{
		"plain-http": plain,
		"etcd-3.2":   secure,
		"etcd-3.3":   withEtcd(cluster([]string{"10.0.0.1"}), 16, quorate.Version{Major: 3, Minor: 3, Patch: 15}),
		"etcd-3.4":   withEtcd(cluster([]string{"10.0.0.1"}), 20, quorate.Version{Major: 3, Minor: 4, Patch: 13}),
		"one-ipv4":   cluster([]string{"10.0.0.1"}),
		"three-ipv4": cluster([]string{"10.0.0.1"}, []string{"10.0.0.2"}, []string{"10.0.0.3"}),
		"three-ipv6": cluster([]string{"fd00::1"}, []string{"fd00::2"}, []string{"fd00::3"}),
		"three-dual": cluster([]string{"10.0.0.1", "fd00::1"}, []string{"10.0.0.2", "fd00::2"}, []string{"10.0.0.3", "fd00::3"}),
		"tuned":      tuned,
	}
}

func TestMembersGolden(t *testing.T) {
	for name, c := range goldenCases() {
		t.Run(name, func(t *testing.T) {
			members, err := etcd.Members(c)
			require.NoError(t, err)
			require.Len(t, members, len(c.ControlPlanes()))
			var archive txtar.Archive
			for _, m := range members {
				for _, f := range files(t, m) {
					archive.Files = append(archive.Files, txtar.File{Name: m.Name + f.Path, Data: f.Content.Bytes()})
				}
			}
			golden(t, filepath.Join("testdata", name+".txtar"), txtar.Format(&archive))
		})
	}
}

func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), string(got)))
}

func files(t *testing.T, m etcd.Member) []quorate.File {
	t.Helper()
	out, err := m.Files()
	require.NoError(t, err)
	require.Len(t, out, 2)
	for _, f := range out {
		require.EqualValues(t, 0o644, f.Mode)
		require.False(t, f.Content.IsSensitive())
	}
	require.Equal(t, etcd.EnvPath, out[0].Path)
	require.Equal(t, etcd.UnitPath, out[1].Path)
	return out
}

func options(t *testing.T, m etcd.Member) map[string]string {
	t.Helper()
	parsed, err := unit.DeserializeOptions(strings.NewReader(files(t, m)[1].Content.String()))
	require.NoError(t, err)
	out := map[string]string{}
	for _, o := range parsed {
		key := o.Section + "." + o.Name
		require.NotContains(t, out, key, "set twice")
		out[key] = o.Value
	}
	return out
}

func three(t *testing.T) etcd.Member {
	t.Helper()
	members, err := etcd.Members(goldenCases()["three-ipv4"])
	require.NoError(t, err)
	return members[0]
}

// The guide's unit has certificates and no TLS (3), conflicts with itself (4),
// and keeps its PKI where kubeadm reset empties it (8).
func TestDeparturesFromTheGuide(t *testing.T) {
	for name, c := range goldenCases() {
		if c.Etcd.PlainHTTP {
			continue // asked for, and for the guide's own version alone
		}
		members, err := etcd.Members(c)
		require.NoError(t, err)
		for _, m := range members {
			argv, err := m.Argv()
			require.NoError(t, err)
			require.Contains(t, argv, "--client-cert-auth=true", name)
			require.Contains(t, argv, "--peer-client-cert-auth=true", name)
			require.Contains(t, argv, "--trusted-ca-file=/etc/etcd/pki/ca.crt", name)
			for _, arg := range argv {
				if strings.Contains(arg, "http://") {
					require.Regexp(t, `^--listen-metrics-urls=http://(127\.0\.0\.1|\[::1\]):2381(,http://\[::1\]:2381)?$`, arg)
				}
				require.NotContains(t, arg, "/etc/kubernetes")
			}
			require.NotContains(t, options(t, m), "Unit.Conflicts")
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	c := goldenCases()["plain-http"]
	members, err := etcd.Members(c)
	require.NoError(t, err)
	require.Equal(t, []string{"http://10.0.0.1:2379", "http://10.0.0.2:2379", "http://10.0.0.3:2379"}, etcd.ClientEndpoints(members))
	for _, f := range files(t, members[0]) {
		for _, no := range []string{"https:", "/pki", "cert-file", "key-file", "ca-file", "=true"} {
			require.NotContains(t, strings.ReplaceAll(f.Content.String(), "https://etcd.io/docs/", ""), no, f.Path)
		}
	}
	for minor := 11; minor <= quorate.MaxMinor; minor++ {
		m := members[0]
		m.Kubernetes.Minor, m.Etcd.Version = minor, quorate.Version{}
		requireProblem(t, m.Validate(), "etcd.plainHTTP")
		c.Version, c.Etcd.Version = m.Kubernetes, quorate.Version{}
		_, err := etcd.Members(c)
		requireProblem(t, err, "etcd.plainHTTP")
	}
	byHand := members[0]
	byHand.Kubernetes, byHand.Etcd.Version = quorate.Version{}, quorate.Version{}
	requireProblem(t, byHand.Validate(), "etcd.plainHTTP")
}

func requireProblem(t *testing.T, err error, path string) {
	t.Helper()
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Len(t, invalid.Problems, 1)
	require.Equal(t, path, invalid.Problems[0].Path)
}

func TestNoStackedMembers(t *testing.T) {
	c := goldenCases()["three-ipv4"]
	c.Etcd.Stacked = true
	members, err := etcd.Members(c)
	require.NoError(t, err)
	require.Empty(t, members)
	m := three(t)
	m.Etcd = c.Etcd
	requireProblem(t, m.Validate(), "etcd.stacked")
}

// No member gets a flag that its etcd does not know, which would not start,
// and none goes without one that it has.
func TestFlagsByVersion(t *testing.T) {
	since := map[string]quorate.Version{
		"auto-compaction-retention": {Major: 3, Minor: 1},
		"auto-compaction-mode":      {Major: 3, Minor: 3},
		"listen-metrics-urls":       {Major: 3, Minor: 3},
		"logger":                    {Major: 3, Minor: 4},
		"log-outputs":               {Major: 3, Minor: 4},
	}
	for minor := 1; minor <= 7; minor++ {
		m := three(t)
		m.Kubernetes = quorate.Version{Major: 1, Minor: 10}
		m.Etcd = quorate.Etcd{Version: quorate.Version{Major: 3, Minor: minor, Patch: 30}, CompactionRetention: quorate.Duration(2 * time.Hour)}
		argv, err := m.Argv()
		require.NoError(t, err)
		flags := map[string]string{}
		for _, arg := range argv[1:] {
			name, value, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
			flags[name] = value
		}
		for name, first := range since {
			_, has := flags[name]
			require.Equal(t, m.Etcd.Version.AtLeast(first.Major, first.Minor), has, "%s in etcd %s", name, m.Etcd.Version)
		}
		want := "2h0m0s"
		if minor < 3 {
			want = "2"
		}
		require.Equal(t, want, flags["auto-compaction-retention"])
		require.Equal(t, minor < 4, strings.Contains(files(t, m)[0].Content.String(), "ETCDCTL_API=\"3\"\n"))

		m.Etcd.CompactionRetention = quorate.Duration(90 * time.Minute)
		if minor < 3 {
			requireProblem(t, m.Validate(), "etcd.compactionRetention")
		} else {
			require.NoError(t, m.Validate())
		}
	}
}

func TestUnit(t *testing.T) {
	o := options(t, three(t))
	require.Equal(t, "notify", o["Service.Type"])
	require.Equal(t, "infinity", o["Service.TimeoutStartSec"])
	require.Equal(t, "always", o["Service.Restart"])
	require.Equal(t, "0", o["Unit.StartLimitIntervalSec"])
	require.Equal(t, "multi-user.target", o["Install.WantedBy"])
}

func TestInitialCluster(t *testing.T) {
	const want = "--initial-cluster=cp-1=https://10.0.0.1:2380,cp-2=https://10.0.0.2:2380,cp-3=https://10.0.0.3:2380"
	c := goldenCases()["three-ipv4"]
	c.Nodes[0], c.Nodes[2] = c.Nodes[2], c.Nodes[0]
	members, err := etcd.Members(c)
	require.NoError(t, err)
	for _, m := range members {
		argv, err := m.Argv()
		require.NoError(t, err)
		require.Contains(t, argv, want)
	}
	require.Equal(t, []string{"https://10.0.0.3:2379", "https://10.0.0.2:2379", "https://10.0.0.1:2379"}, etcd.ClientEndpoints(members))
}

// Members on one machine's loopback addresses must not fight over 127.0.0.1.
func TestLoopbackMembersShareOneMachine(t *testing.T) {
	members, err := etcd.Members(cluster([]string{"127.0.0.2"}, []string{"127.0.0.3"}, []string{"127.0.0.4"}))
	require.NoError(t, err)
	argv, err := members[1].Argv()
	require.NoError(t, err)
	require.Contains(t, argv, "--listen-client-urls=https://127.0.0.3:2379")
	require.Contains(t, argv, "--listen-metrics-urls=http://127.0.0.3:2381")
}

func TestJoiningARunningCluster(t *testing.T) {
	m := three(t)
	m.State = etcd.Existing
	argv, err := m.Argv()
	require.NoError(t, err)
	require.Contains(t, argv, "--initial-cluster-state=existing")
}

func TestMemberDefaults(t *testing.T) {
	byHand := etcd.Member{
		Name: "cp-1", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Token: "prod-etcd",
		Peers: []etcd.Peer{
			{"cp-3", netip.MustParseAddr("10.0.0.3")}, {"cp-1", netip.MustParseAddr("10.0.0.1")}, {"cp-2", netip.MustParseAddr("10.0.0.2")},
		},
	}
	for i, f := range files(t, byHand) {
		require.Equal(t, files(t, three(t))[i].Content.String(), f.Content.String())
	}
	require.Equal(t, "https://10.0.0.1:2379", byHand.ClientURL())
	require.Empty(t, etcd.Member{}.ClientURL())
}

func TestMembersProblems(t *testing.T) {
	_, err := etcd.Members(quorate.Cluster{})
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "cluster", invalid.What)
}

func TestEveryProblemAtOnce(t *testing.T) {
	addr := netip.MustParseAddr
	m := etcd.Member{
		Name:      "CP 1",
		Addresses: []netip.Addr{addr("fe80::1%eth0"), addr("10.0.0.1"), addr("10.0.0.1"), addr("0.0.0.0"), {}},
		Peers:     []etcd.Peer{{"a", addr("10.0.0.2")}, {"a", addr("10.0.0.2")}, {"b\nExecStartPre=/bin/evil", netip.Addr{}}},
		Token:     "a token",
		State:     "sideways",
		PKIDir:    "/etc/etcd/../pki",
		Etcd:      quorate.Etcd{Heartbeat: quorate.Duration(time.Second), Election: quorate.Duration(time.Second), DataDir: "/etc/etcd/data"},
		ExtraFlags: map[string]string{
			"name": "other", "--dashes": "", "newline": "a\nExecStartPre=/bin/evil", "config-file": "/etc/etcd.yaml", "broken": "\xff",
		},
	}
	err := m.Validate()
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	var paths []string
	for _, p := range invalid.Problems {
		paths = append(paths, p.Path)
		require.NotContains(t, p.String(), "\n")
	}
	require.Equal(t, []string{
		"name", "addresses[0]", "addresses[2]", "addresses[3]", "addresses[4]",
		"peers[1].name", "peers[1].address", "peers[2].name", "peers[2].address", "peers",
		"token", "state", "pkiDir", "etcd.election", "etcd.dataDir",
		`extraFlags["--dashes"]`, `extraFlags["broken"]`, `extraFlags["config-file"]`, `extraFlags["name"]`, `extraFlags["newline"]`,
	}, paths)
	_, filesErr := m.Files()
	_, argvErr := m.Argv()
	require.Equal(t, err, filesErr)
	require.Equal(t, err, argvErr)
}

func TestAddressAndPeers(t *testing.T) {
	m := three(t)
	m.Addresses = []netip.Addr{netip.MustParseAddr("10.0.0.9")}
	require.ErrorContains(t, m.Validate(), "peers[0].address")
}

// Whatever an extra flag's value holds, systemd's reading of the unit is the
// argument, and no directive appears that was not written.
func TestExtraFlagQuoting(t *testing.T) {
	base := len(options(t, three(t)))
	rapid.Check(t, func(rt *rapid.T) {
		value := rapid.String().Draw(rt, "value")
		m := three(t)
		m.ExtraFlags = map[string]string{"extra": value}
		argv, err := m.Argv()
		if err != nil {
			var invalid *quorate.InvalidError
			if !errors.As(err, &invalid) || invalid.Problems[0].Path != `extraFlags["extra"]` {
				rt.Fatalf("%q: %v", value, err)
			}
			return
		}
		o := options(t, m)
		if len(o) != base {
			rt.Fatalf("%d options, want %d", len(o), base)
		}
		if diff := cmp.Diff(argv, splitLikeSystemd(rt, o["Service.ExecStart"])); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// splitLikeSystemd follows systemd.service(5), "Command lines", and
// systemd.unit(5), "Specifiers".
func splitLikeSystemd(t *rapid.T, line string) []string {
	var words []string
	line = strings.ReplaceAll(line, "\\\n", " ")
	for line = strings.TrimLeft(line, " "); line != ""; line = strings.TrimLeft(line, " ") {
		var word strings.Builder
		quoted := line[0] == '"'
		if quoted {
			line = line[1:]
		}
		for {
			if line == "" || !quoted && line[0] == ' ' {
				break
			}
			c := line[0]
			line = line[1:]
			if quoted && c == '"' {
				break
			}
			switch c {
			case '\\', '%', '$':
				next := line[0]
				if c != '\\' && next != c || c == '\\' && next != '\\' && next != '"' {
					t.Fatalf("%c%c has a meaning of its own", c, next)
				}
				c, line = next, line[1:]
			case '"', '\'':
				if !quoted {
					t.Fatalf("a quote inside a bare word: %q", line)
				}
			}
			word.WriteByte(c)
		}
		words = append(words, word.String())
	}
	return words
}

func FuzzExtraFlag(f *testing.F) {
	for _, s := range []string{"", "5s", "a b", "%n", "$HOME", `\`, `"`, "x\nExecStartPre=/bin/evil", "é"} {
		f.Add("extra", s)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		m := etcd.Member{
			Name: "a", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}, Token: "t",
			Peers: []etcd.Peer{{"a", netip.MustParseAddr("10.0.0.1")}}, ExtraFlags: map[string]string{name: value},
		}
		got, err := m.Files()
		if err != nil {
			return
		}
		if n := strings.Count(got[1].Content.String(), "\nExec"); n != 1 {
			t.Fatalf("%d Exec directives:\n%s", n, got[1].Content)
		}
	})
}

func TestSystemdAcceptsTheUnits(t *testing.T) {
	verify := tier.Program(t, "systemd-analyze")
	cases := goldenCases()
	odd := cases["three-ipv4"]
	for name, c := range cases {
		c.Etcd.Binary = executable(t)
		cases[name] = c
	}
	for name, c := range cases {
		members, err := etcd.Members(c)
		require.NoError(t, err)
		verifyUnit(t, verify, name, members[0])
	}
	odd.Etcd.Binary = executable(t)
	members, err := etcd.Members(odd)
	require.NoError(t, err)
	members[0].ExtraFlags = map[string]string{"extra": `a b %n $HOME ${X} "q" 'r' \ é ;`}
	verifyUnit(t, verify, "odd", members[0])
}

func executable(t *testing.T) string {
	t.Helper()
	path := "/usr/bin/true"
	_, err := os.Stat(path)
	require.NoError(t, err)
	return path
}

func verifyUnit(t *testing.T, verify, name string, m etcd.Member) {
	t.Helper()
	path := filepath.Join(t.TempDir(), etcd.UnitName)
	require.NoError(t, os.WriteFile(path, files(t, m)[1].Content.Bytes(), 0o644))
	out, err := exec.CommandContext(t.Context(), verify, "verify", "--man=no", "--recursive-errors=one", path).CombinedOutput()
	require.NoError(t, err, "%s: %s", name, out)
	require.NotContains(t, string(out), etcd.UnitName, name)
}

// A member that joins runs with the cluster's members of that moment, by a
// drop-in that replaces the unit's command and changes nothing else.
func TestJoinFile(t *testing.T) {
	m := etcd.Member{
		Name: "cp-2", Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, Token: "t",
		Peers: []etcd.Peer{{Name: "cp-2", Address: netip.MustParseAddr("10.0.0.2")}, {Name: "cp-1", Address: netip.MustParseAddr("10.0.0.1")}},
	}
	if got, want := m.PeerURL(), "https://10.0.0.2:2380"; got != want {
		t.Errorf("peer URL %s, want %s", got, want)
	}
	f, err := m.JoinFile()
	if err != nil {
		t.Fatal(err)
	}
	if want := "/etc/systemd/system/etcd.service.d/50-quorate-join.conf"; f.Path != want || f.Mode != 0o644 || f.Content.IsSensitive() {
		t.Errorf("%s %o", f.Path, f.Mode)
	}
	text := string(f.Content.Bytes())
	for _, want := range []string{
		"[Service]\nExecStart=\nExecStart=/usr/local/bin/etcd \\\n", "--initial-cluster-state=existing",
		"--initial-cluster=cp-1=https://10.0.0.1:2380,cp-2=https://10.0.0.2:2380",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in:\n%s", want, text)
		}
	}
	m.Name = "cp-3"
	if _, err := m.JoinFile(); err == nil {
		t.Error("a member that is not among its peers")
	}
}
