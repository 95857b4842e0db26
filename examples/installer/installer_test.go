package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/crypto/ssh"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/hostiletest"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/clusterfile"
	"github.com/quorate-dev/quorate/plan/events"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/statedir"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
)

// site is a fake cluster behind real SSH servers, and the files that a user of
// the installer has.
type site struct {
	hosts   *hatest.Cluster
	servers []*sshtest.Server
	dir     string
	args    []string
}

func newSite(t *testing.T) *site {
	t.Helper()
	return newLyingSite(t, nil)
}

// newLyingSite is newSite with hosts whose answers are lies, as liar has it.
func newLyingSite(t *testing.T, lies func(n int) string) *site {
	t.Helper()
	c := quorate.Cluster{
		Version:  quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "192.0.2.10", VIP: quorate.VIP{Interface: "eth0"}},
	}
	for i, name := range []string{"cp-1", "cp-2", "cp-3", "worker-1"} {
		role := quorate.ControlPlane
		if i == 3 {
			role = quorate.Worker
		}
		c.Nodes = append(c.Nodes, quorate.Node{Name: name, Role: role,
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)})}})
	}
	s := &site{dir: t.TempDir()}
	var err error
	s.hosts, err = hatest.New(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.hosts.Close()) })

	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	login, err := ssh.NewPublicKey(public)
	require.NoError(t, err)
	var known []byte
	for i, n := range c.Nodes {
		conn, err := s.hosts.Dial(t.Context(), n.Name)
		require.NoError(t, err)
		if lies != nil {
			conn = lyingConn{conn, n.Name, &liar{text: hostiletest.Text, lies: lies}}
		}
		server, err := sshtest.Start(sshtest.Config{Conn: conn, AuthorizedKeys: []ssh.PublicKey{login}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, server.Close()); require.NoError(t, conn.Close()) })
		s.servers = append(s.servers, server)
		known = append(known, server.KnownHosts()...)
		c.Nodes[i].SSH = "root@" + server.Addr()
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	require.NoError(t, err)
	description, err := clusterfile.Marshal(c)
	require.NoError(t, err)
	s.args = []string{
		"-cluster", s.write(t, "cluster.yaml", description),
		"-ssh-key", s.write(t, "id", pem.EncodeToMemory(block)),
		"-known-hosts", s.write(t, "known_hosts", known),
		"-state", filepath.Join(s.dir, "state"),
	}
	return s
}

func (s *site) write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	require.NoError(t, os.WriteFile(path, data, 0o600))
	return path
}

// run is the installer with what it printed.
func (s *site) run(t *testing.T, more ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, complaints bytes.Buffer
	code = run(t.Context(), append(s.args, more...), &out, &complaints)
	return code, out.String(), complaints.String()
}

func (s *site) contacted() int {
	n := 0
	for _, server := range s.servers {
		n += server.Accepted()
	}
	return n
}

func TestInstallTwice(t *testing.T) {
	s := newSite(t)
	code, stdout, stderr := s.run(t, "-dry-run")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "create /etc/etcd/pki/ca.crt")
	require.Empty(t, s.hosts.Nodes(), "a dry run has done something")

	kubeconfig := filepath.Join(s.dir, "kubeconfig")
	code, stdout, stderr = s.run(t, "-kubeconfig", kubeconfig)
	require.Zero(t, code, stderr)
	require.Empty(t, stderr)
	require.Contains(t, stdout, "initialise the cluster")
	require.Len(t, s.hosts.Nodes(), 4)
	info, err := os.Stat(kubeconfig)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode())

	code, stdout, stderr = s.run(t)
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "changed nothing: every host is as described")
	require.Contains(t, stdout, "unchanged")
	require.NotContains(t, stdout, "would ")
	require.NotContains(t, stdout, "done  ")
}

// No secret that the installer made or keeps shows in what it prints, nor does
// its state let anyone else read it.
func TestSecretsAreHidden(t *testing.T) {
	s := newSite(t)
	saved := filepath.Join(s.dir, "saved.json")
	_, dry, dryErr := s.run(t, "-dry-run", "-save", saved)
	events := filepath.Join(s.dir, "events.jsonl")
	_, out, outErr := s.run(t, "-events", events)
	kept, err := os.ReadFile(saved)
	require.NoError(t, err)
	shown := dry + dryErr + out + outErr + string(kept)
	for _, path := range []string{events, statedir.Journal(filepath.Join(s.dir, "state")).Path} {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NotEmpty(t, b)
		shown += string(b)
	}
	secrets := 0
	require.NoError(t, filepath.WalkDir(filepath.Join(s.dir, "state"), func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := d.Info()
		require.NoError(t, err)
		if d.IsDir() {
			require.Zero(t, info.Mode()&0o077, path)
			return nil
		}
		if !strings.HasSuffix(path, ".key") && filepath.Ext(path) != "" {
			return nil // a certificate, or a public key
		}
		require.Zero(t, info.Mode()&0o077, path)
		secret, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range strings.Lines(string(secret)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-----") {
				secrets++
				require.NotContains(t, shown, line, path)
			}
		}
		return nil
	}))
	require.Greater(t, secrets, 20)
}

func TestBadInputContactsNobody(t *testing.T) {
	s := newSite(t)
	bad := s.write(t, "bad.yaml", []byte(`
version: v1.9.11
endpoint: {host: 192.0.2.11, vip: {routerID: 256}}
nodes:
- {name: Cp_1, role: control-plane, addresses: [192.0.2.11]}
- {name: b, role: control-plane, addresses: [192.0.2.11]}
colour: blue
`))
	code, stdout, stderr := s.run(t, "-cluster", bad)
	require.Equal(t, exitInvalid, code)
	require.Empty(t, stdout)
	for _, path := range []string{"version", "endpoint.host", "endpoint.vip.routerID", "nodes[0].name", "nodes[1].addresses[0]", "colour"} {
		require.Contains(t, stderr, path+": ")
	}
	require.Zero(t, s.contacted())

	for _, args := range [][]string{
		{"-install", "magic"}, {"-ssh-key", "/nowhere"}, {"extra"},
		{"-preflight", "-dry-run"}, {"-status", "-dry-run"}, {"-status", "-save", "x.dot"}, {"-save", "x.json"}, {"-dry-run", "-save", "x.png"}, {"-dry-run", "-apply", "x.json"}, {"-apply", "/nowhere"},
	} {
		code, _, stderr := s.run(t, args...)
		require.Equal(t, exitInvalid, code, stderr)
	}
	require.Zero(t, s.contacted())
	require.Equal(t, exitInvalid, run(t.Context(), nil, &bytes.Buffer{}, &bytes.Buffer{}), "no -cluster")
}

// A host that shows another key than the known one gets no command.
func TestUnknownHostKeyIsRefused(t *testing.T) {
	s := newSite(t)
	other := newSite(t)
	known := filepath.Join(other.dir, "known_hosts")
	for i, a := range s.args {
		if a == "-known-hosts" {
			s.args[i+1] = known
		}
	}
	code, _, stderr := s.run(t)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "host key")
	require.Empty(t, s.hosts.Nodes())
}

func TestFailureText(t *testing.T) {
	s := newSite(t)
	s.hosts.Host("cp-2").SetDown(true)
	code, _, stderr := s.run(t)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "step facts/cp-2 on cp-2")
}

// A preflight says what is wrong, and touches nothing.
func TestPreflight(t *testing.T) {
	s := newSite(t)
	code, stdout, stderr := s.run(t, "-preflight")
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "looked at cp-1, cp-2, cp-3, worker-1\n")
	s.hosts.Host("cp-2").SetDown(true)
	code, stdout, stderr = s.run(t, "-preflight")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stdout, "error   cp-2 (reachable)\n")
	require.Contains(t, stderr, "preflight: errors: 1")
	require.Empty(t, s.hosts.Nodes())
}

// A status says how the cluster runs and what to do next, in every form, and changes nothing.
func TestStatus(t *testing.T) {
	s := newSite(t)
	code, stdout, stderr := s.run(t, "-status")
	require.Equal(t, exitFailed, code, stderr)
	require.Contains(t, stdout, "kubeadm has not run here")
	require.Contains(t, stdout, "create: cp-1: run the plan that creates the cluster")
	require.Empty(t, s.hosts.Nodes())
	code, _, stderr = s.run(t)
	require.Zero(t, code, stderr)
	at := func(name string) string { return filepath.Join(s.dir, name) }
	code, stdout, stderr = s.run(t, "-status", "-save", at("s.json"), "-save", at("s.txt"), "-save", at("s.html"))
	require.Zero(t, code, "%s%s", stdout, stderr)
	require.Contains(t, stdout, "nothing: the cluster is as described")
	for name, want := range map[string]string{"s.json": survey.Schema, "s.txt": stdout, "s.html": "<!doctype html>"} {
		b, err := os.ReadFile(at(name))
		require.NoError(t, err)
		require.Contains(t, string(b), want)
	}
	s.hosts.Host("worker-1").SetDown(true)
	code, stdout, stderr = s.run(t, "-status")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stdout, "worker-1 (reachable): it does not answer")
	require.Contains(t, stderr, "status: the cluster is not as it should be")
}

// A dry run is saved in every form; its JSON is applied, and refused once it no
// longer holds.
func TestSaveAndApply(t *testing.T) {
	s := newSite(t)
	at := func(name string) string { return filepath.Join(s.dir, name) }
	code, stdout, stderr := s.run(t, "-dry-run", "-save", at("p.json"), "-save", at("p.txt"), "-save", at("p.dot"), "-save", at("p.mmd"))
	require.Zero(t, code, stderr)
	for name, want := range map[string]string{"p.json": plan.PreviewSchema, "p.dot": "digraph plan {", "p.mmd": "flowchart TD", "p.txt": stdout} {
		b, err := os.ReadFile(at(name))
		require.NoError(t, err)
		require.Contains(t, string(b), want)
	}
	code, stdout, stderr = s.run(t, "-apply", at("p.json"))
	require.Zero(t, code, stderr)
	require.Contains(t, stdout, "initialise the cluster")
	require.Len(t, s.hosts.Nodes(), 4)

	code, stdout, stderr = s.run(t, "-apply", at("p.json"))
	require.Equal(t, exitStale, code)
	require.Empty(t, stdout)
	require.Contains(t, stderr, "step init/cp-1 on cp-1: it was would-change and is unchanged")

	code, _, stderr = s.run(t, "-untaint", "-apply", at("p.json"))
	require.Equal(t, exitStale, code)
	require.Contains(t, stderr, "the preview was made from another plan")
	code, _, stderr = s.run(t, "-apply", at("p.dot"))
	require.Equal(t, exitInvalid, code)
	require.Contains(t, stderr, "no preview")
}

// What a run has left unfinished the next ones report, dry or not, until it is done.
func TestUnfinishedRun(t *testing.T) {
	s := newSite(t)
	broken := true
	s.hosts.Host("cp-2").Inject(faketransport.Fault{
		On: func(op faketransport.Op) bool {
			command := strings.Join(op.Argv, " ")
			return op.Kind == faketransport.Run && strings.Contains(command, "sysctl") && !strings.Contains(command, "# look at the host")
		},
		Before: func(context.Context, faketransport.Op) error {
			if broken {
				return &transport.ExitError{Code: 1}
			}
			return nil
		},
	})
	code, _, stderr := s.run(t)
	require.Equal(t, exitFailed, code, stderr)
	const left = "prerequisites/cp-2/kernel"
	journal := statedir.Journal(filepath.Join(s.dir, "state"))
	dead, err := journal.Begin(t.Context(), plan.Holder{})
	require.NoError(t, err)
	require.NoError(t, dead.Append(t.Context(), plan.Record{Schema: 1, Run: "DEAD", Kind: plan.RecordOutcome, Step: "old", Outcome: plan.Failed, Error: "\x1b[2J"}))
	require.NoError(t, dead.End(t.Context()))

	_, stdout, _ := s.run(t, "-dry-run")
	require.Regexp(t, "(?m)^left unfinished: "+left+" on cp-2: run [A-Z2-7]+ of .*process [0-9]+ on .* failed at ", stdout)
	require.Regexp(t, `(?m)^left unfinished: old on : run DEAD .* failed at .*: \\x1b\[2J$`, stdout)
	require.NotContains(t, stdout, "\x1b")
	_, stdout, _ = s.run(t, "-dry-run", "-journal", "none")
	require.NotContains(t, stdout, "left unfinished")

	broken = false
	code, stdout, stderr = s.run(t)
	require.Zero(t, code, stderr)
	require.Regexp(t, "(?m) cp-2 +left .* failed at ", stdout)
	code, stdout, stderr = s.run(t)
	require.Zero(t, code, stderr)
	require.NotRegexp(t, "(?m) cp-2 +left ", stdout)
}

// While somebody else on this machine runs, nothing is done, and it is said who
// that is; a dry run goes on, unless the cluster's keys are being made just then.
func TestConcurrentInstallers(t *testing.T) {
	s := newSite(t)
	state := filepath.Join(s.dir, "state")
	code, _, stderr := s.run(t, "-dry-run")
	require.Zero(t, code, stderr)
	before, contacted := tree(t, filepath.Join(state, "cluster")), s.contacted()
	require.NotEmpty(t, before)
	description := filepath.Join(s.dir, "cluster.yaml")
	text, err := os.ReadFile(description)
	require.NoError(t, err)
	moved := strings.ReplaceAll(string(text), "192.0.2.13", "192.0.2.23") // a certificate to reissue
	require.NotEqual(t, moved, string(text))
	require.NoError(t, os.WriteFile(description, []byte(moved), 0o600))

	journal := statedir.Journal(state)
	held, err := journal.Begin(t.Context(), plan.Holder{Operator: plan.Operator{Name: "bob"}, Run: "R", Since: time.Now()})
	require.NoError(t, err)
	code, stdout, stderr := s.run(t)
	require.Equal(t, exitLocked, code)
	require.Contains(t, stderr, "the journal is held by bob")
	require.Empty(t, stdout)
	require.Equal(t, contacted, s.contacted())
	require.Equal(t, before, tree(t, filepath.Join(state, "cluster")), "somebody else's state was changed")
	require.NoError(t, os.WriteFile(description, text, 0o600))
	code, _, stderr = s.run(t, "-dry-run")
	require.Zero(t, code, stderr)
	code, _, stderr = s.run(t, "-journal", "none")
	require.Zero(t, code, stderr)
	require.NoError(t, held.End(t.Context()))

	held, err = journal.Begin(t.Context(), plan.Holder{Run: preparing})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() { ended <- run(ctx, append(s.args, "-dry-run"), io.Discard, io.Discard) }()
	cancel()
	require.Equal(t, exitInterrupted, <-ended)
	go func() { ended <- run(t.Context(), append(s.args, "-dry-run"), io.Discard, io.Discard) }()
	require.NoError(t, held.End(t.Context()))
	require.Zero(t, <-ended)
}

// tree is every file below a directory.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		if d.Type().IsRegular() {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			files[path] = string(b)
		}
		return nil
	}))
	return files
}

// Other programs follow a run, and are not a reason to stop it.
func TestEventsOfARun(t *testing.T) {
	s := newSite(t)
	path := filepath.Join(s.dir, "events.jsonl")
	read := func() (kinds []plan.EventKind) {
		f, err := os.Open(path)
		require.NoError(t, err)
		defer func() { require.NoError(t, f.Close()) }()
		for e, err := range events.Decode(f) {
			require.NoError(t, err)
			kinds = append(kinds, e.Kind)
		}
		return kinds
	}
	for _, args := range [][]string{{"-dry-run"}, {}} {
		code, _, stderr := s.run(t, append(args, "-events", path)...)
		require.Zero(t, code, stderr)
		kinds := read()
		require.Equal(t, plan.RunStarted, kinds[0])
		require.Equal(t, plan.RunEnded, kinds[len(kinds)-1])
	}
	if _, err := os.Stat("/dev/full"); err == nil {
		code, stdout, stderr := s.run(t, "-events", "/dev/full")
		require.Equal(t, exitFailed, code)
		require.Contains(t, stdout, "changed nothing: every host is as described")
		require.Contains(t, stderr, "/dev/full: write event 1: ")
	}
	code, _, _ := s.run(t, "-events", s.dir)
	require.Equal(t, exitInvalid, code)
}

// Nodes leave and come back, and all of it goes, by the same command; each run a
// second time changes nothing.
func TestReset(t *testing.T) {
	const nothing = "changed nothing: every host is as described"
	s := newSite(t)
	do := func(args ...string) string {
		code, stdout, stderr := s.run(t, args...)
		require.Zero(t, code, "%v: %s%s", args, stdout, stderr)
		return stdout
	}
	do()
	require.Contains(t, do("-reset", "cp-2", "-reset", "worker-1", "-dry-run"), "run kubeadm reset")
	require.Len(t, s.hosts.Nodes(), 4, "a dry run has done something")
	do("-reset", "cp-2", "-reset", "worker-1")
	require.Equal(t, []string{"cp-1", "cp-3"}, s.hosts.Nodes())
	require.Contains(t, do("-reset", "cp-2", "-reset", "worker-1"), nothing)
	do()
	require.Len(t, s.hosts.Nodes(), 4)
	do("-reset-cluster", "-remove-data")
	require.False(t, s.hosts.Active("cp-1", "etcd.service"))
	require.Contains(t, do("-reset-cluster", "-remove-data"), nothing)

	for _, args := range [][]string{
		{"-remove-data"}, {"-replace", "cp-2"}, {"-replace", "cp-2=cp-9", "-fenced", "cp-2"}, {"-remove", "worker-9"}, {"-fenced", "cp-2"}, {"-remove", "cp-9", "-fenced", "cp-9", "-reset", "cp-1"},
		{"-reset-cluster", "-kubeconfig", "x"}, {"-reset", "cp-9"},
		{"-reset", "cp-1", "-reset-cluster"}, {"-reset", "cp-1", "-reset", "cp-2", "-reset", "cp-3"},
	} {
		contacted := s.contacted()
		code, _, stderr := s.run(t, args...)
		require.Equal(t, exitInvalid, code, "%v: %s", args, stderr)
		require.Equal(t, contacted, s.contacted(), "a host was touched: %v", args)
	}
}

// A run that has a name is undone by it.
func TestRollback(t *testing.T) {
	s := newSite(t)
	for _, args := range [][]string{{"-keep", "first"}, {"-rollback", "first"}} {
		code, stdout, stderr := s.run(t, args...)
		require.Zero(t, code, "%v: %s%s", args, stdout, stderr)
	}
	for _, unit := range []string{"etcd.service", "keepalived.service", "kubelet.service"} {
		require.False(t, s.hosts.Active("cp-1", unit), unit)
	}
	code, _, stderr := s.run(t, "-rollback", "first", "-keep", "x")
	require.Equal(t, exitInvalid, code, stderr)
	code, _, stderr = s.run(t, "-rollback", "a/b")
	require.Equal(t, exitInvalid, code, stderr)
}
