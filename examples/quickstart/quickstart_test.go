package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/etcd/etcdclient"
	"github.com/quorate-dev/quorate/pki"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

func TestMain(m *testing.M) {
	if os.Getenv(beEtcd) != "" {
		runEtcd()
	}
	if os.Getenv(beParent) != "" {
		waitToBeKilled()
	}
	goleak.VerifyTestMain(m)
}

// beParent in the environment makes the test's binary bring up a demo, tell its
// processes, and wait.
const beParent = "QUORATE_QUICKSTART_TEST_PARENT"

func waitToBeKilled() {
	ctx := context.Background()
	d, err := newDemo(ctx, func(error) {})
	if err == nil {
		err = d.bringUp(ctx, io.Discard)
	}
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	for _, m := range d.etcd.running() {
		fmt.Println("process", m.cmd.Process.Pid)
	}
	fmt.Println("dir", d.etcd.dir)
	select {}
}

// newTestDemo fails the test when a member ends by itself.
func newTestDemo(ctx context.Context, t *testing.T) *demo {
	t.Helper()
	d, err := newDemo(ctx, func(err error) { t.Error(err) })
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, d.Close()) })
	return d
}

// gone proves that nothing of a closed demo is left.
func gone(t *testing.T, d *demo) {
	t.Helper()
	require.NoDirExists(t, d.etcd.dir)
	require.NotEmpty(t, d.etcd.started)
	for _, m := range d.etcd.started {
		require.False(t, m.Running(), m.host)
		require.ErrorIs(t, syscall.Kill(m.cmd.Process.Pid, 0), syscall.ESRCH, m.host)
	}
}

// The whole story, with its claims checked against what happened.
func TestQuickstart(t *testing.T) {
	d := newTestDemo(t.Context(), t)
	out := new(bytes.Buffer)
	require.NoError(t, d.show(t.Context(), out))
	require.NoError(t, d.Close())
	gone(t, d)

	require.True(t, d.seen.first.Changed())
	require.Equal(t, map[plan.Outcome]int{plan.Unchanged: d.plan.Len()}, d.seen.again.Outcomes)

	require.Equal(t, []int{3, 3}, []int{d.seen.before.Healthy(), d.seen.before.Voters()})
	require.Equal(t, []int{2, 3}, []int{d.seen.without.Healthy(), d.seen.without.Voters()})
	require.Equal(t, []int{3, 3}, []int{d.seen.after.Healthy(), d.seen.after.Voters()})
	require.True(t, d.seen.without.Quorum())
	was, _ := d.seen.before.Leader()
	is, ok := d.seen.without.Leader()
	require.True(t, ok)
	require.Equal(t, d.seen.stopped, was.Name, "the leader is the one that is stopped")
	require.NotEqual(t, was.ID, is.ID)
	for i, n := range d.config.Cluster.Nodes {
		require.Equal(t, n.Name != d.seen.stopped, d.seen.without.Endpoints[i].Healthy, n.Name)
		require.Equal(t, d.seen.revision, d.seen.after.Endpoints[i].Revision, "%s has the write", n.Name)
		require.Positive(t, d.sshd[i].Accepted(), "%s was reached over SSH", n.Name)
	}
	for _, claim := range []string{
		"simulated: kubeadm init", "simulated: kubeadm join", "simulated: systemctl start keepalived",
		"changed nothing", "Quorum holds", "3 of 3 members healthy", "2 of 3 members healthy",
	} {
		require.Contains(t, out.String(), claim)
	}
	noSecrets(t, d, out.String())
}

// noSecrets looks for every secret that the demo held: the lines of private
// keys, the token's parts, keepalived's password.
func noSecrets(t *testing.T, d *demo, text string) {
	t.Helper()
	id, secret, _ := strings.Cut(string(d.config.Kubeadm.Token.Bytes()), ".")
	secrets := []string{id, secret, string(d.config.VIPAuth.Bytes())}
	cluster, err := ha.New(t.Context(), d.config)
	require.NoError(t, err)
	files := cluster.Files()
	for _, of := range files {
		for _, f := range of {
			if f.Content.IsSensitive() && strings.HasSuffix(f.Path, ".key") {
				secrets = append(secrets, keyLines(t, f)...)
			}
		}
	}
	require.Greater(t, len(secrets), 30)
	for _, s := range secrets {
		require.GreaterOrEqual(t, len(s), 6)
		if strings.Contains(text, s) {
			t.Error("a secret is in the output") // not which: this is output, too
		}
	}
}

func keyLines(t *testing.T, f quorate.File) []string {
	t.Helper()
	block, _ := pem.Decode(f.Content.Bytes())
	require.NotNil(t, block, f.Path)
	var lines []string
	for line := range strings.Lines(string(pem.EncodeToMemory(block))) {
		if line = strings.TrimSpace(line); len(line) >= 16 && !strings.HasPrefix(line, "-----") {
			lines = append(lines, line)
		}
	}
	return lines
}

// What main adds to the story.
func TestRunPrintsNextSteps(t *testing.T) {
	out := new(bytes.Buffer)
	require.NoError(t, run(t.Context(), out))
	require.Contains(t, out.String(), "Every process is stopped and every file removed.")
	require.Contains(t, out.String(), "go run ./examples/lab up")
	require.NotContains(t, out.String(), "\x1b", "no colours where there is no terminal")
}

// Ctrl-C at the worst moment, when a member is being stopped.
func TestInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := newTestDemo(ctx, t)
	err := d.show(ctx, &trigger{on: "systemctl stop", do: cancel})
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, d.Close())
	gone(t, d)
}

// trigger does something when a text is written.
type trigger struct {
	on string
	do func()
}

func (w *trigger) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.on)) {
		w.do()
	}
	return len(p), nil
}

// A member that ends by itself ends the run at once, with its last words.
func TestCrash(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	defer end(nil)
	d, err := newDemo(ctx, end)
	require.NoError(t, err)
	defer func() { require.NoError(t, d.Close()) }()
	out := new(bytes.Buffer)
	require.NoError(t, d.bringUp(ctx, out))
	victim := d.etcd.running()[0]
	require.NoError(t, victim.cmd.Process.Kill())
	<-victim.done
	var crash *crashError
	require.ErrorAs(t, context.Cause(ctx), &crash)
	require.ErrorContains(t, crash, "etcd of cp-1 ended by itself")
	require.Contains(t, crash.lastWords, "info: ")
	require.NotContains(t, crash.lastWords, "{")
	require.Error(t, d.health(ctx, out))
	require.False(t, d.hosts.Active("cp-1", "etcd.service"))
}

// The members take clients with a certificate of etcd's authority and nobody
// else: the pair that the API servers got is one, and the only one there.
func TestMembersRefuseClientsWithoutACertificate(t *testing.T) {
	d := newTestDemo(t.Context(), t)
	require.NoError(t, d.bringUp(t.Context(), new(bytes.Buffer)))
	trusted, err := d.config.Certs.EtcdClient(t.Context())
	require.NoError(t, err)
	bundle, err := pki.New(d.config.Cluster, pki.Config{})
	require.NoError(t, err)
	stranger, err := bundle.EtcdClient(t.Context())
	require.NoError(t, err)
	stranger.RootCAs = trusted.RootCAs

	for name, c := range map[string]struct {
		config *tls.Config
		want   int
	}{
		"operator":                       {trusted, members},
		"API server of cp-3":             {apiServerPair(t, d.hosts.Host("cp-3")), members},
		"no certificate":                 {&tls.Config{RootCAs: trusted.RootCAs, MinVersion: tls.VersionTLS12}, 0},
		"certificate of another cluster": {stranger, 0},
	} {
		s := statusWith(t, d, c.config)
		require.Equal(t, c.want, s.Healthy(), "%s: %v", name, s.Err())
		if c.want == 0 {
			require.Empty(t, s.Members, name)
		}
	}
	plain := &http.Transport{}
	defer plain.CloseIdleConnections()
	for _, n := range d.config.Cluster.Nodes {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+n.Address().String()+":2379/version", nil)
		require.NoError(t, err)
		response, err := plain.RoundTrip(request)
		if err == nil {
			require.NoError(t, response.Body.Close())
			require.Equal(t, http.StatusBadRequest, response.StatusCode)
		}
	}
}

func statusWith(t *testing.T, d *demo, config *tls.Config) (s etcdclient.Status) {
	t.Helper()
	require.NoError(t, d.throughTunnel(t.Context(), func(dial dialer) error {
		endpoints, err := d.endpoints()
		require.NoError(t, err)
		c, err := etcdclient.New(etcdclient.Config{Endpoints: endpoints, TLS: config, Dial: dial})
		require.NoError(t, err)
		s, err = c.Status(t.Context())
		return errors.Join(err, c.Close())
	}))
	return s
}

// apiServerPair is what kubeadm's API server would show etcd, from its host.
func apiServerPair(t *testing.T, h *faketransport.Host) *tls.Config {
	t.Helper()
	read := func(name string) []byte {
		f, err := h.File("/etc/kubernetes/pki/" + name)
		require.NoError(t, err)
		return f.Data.Bytes()
	}
	pair, err := tls.X509KeyPair(read("apiserver-etcd-client.crt"), read("apiserver-etcd-client.key"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(read("etcd/ca.crt")))
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots, MinVersion: tls.VersionTLS12}
}

// The process is what the unit says, but for the directory of its files.
func TestServersRunTheUnitsCommandLine(t *testing.T) {
	d := newTestDemo(t.Context(), t)
	require.NoError(t, d.bringUp(t.Context(), new(bytes.Buffer)))
	rendered, err := etcd.Members(d.config.Cluster)
	require.NoError(t, err)
	running := d.etcd.running()
	require.Len(t, running, members)
	for i, m := range running {
		want, err := rendered[i].Argv()
		require.NoError(t, err)
		root := filepath.Join(d.etcd.dir, m.host)
		got := strings.ReplaceAll(strings.Join(m.cmd.Args, "\n"), "="+root+"/", "=/")
		require.Equal(t, strings.Join(want, "\n"), got)
		require.Contains(t, got, "--client-cert-auth=true")
	}
	require.NoError(t, filepath.WalkDir(d.etcd.dir, func(path string, e os.DirEntry, err error) error {
		require.NoError(t, err)
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil // etcd's own temporary file
		}
		require.NoError(t, err)
		if strings.HasSuffix(path, ".key") || path == d.etcd.dir {
			require.Zero(t, info.Mode().Perm()&0o077, path)
		}
		return nil
	}))
}

func TestReadUnit(t *testing.T) {
	for name, c := range map[string]struct{ unit, want, problem string }{
		"one line":      {"[Service]\nExecStart=/bin/etcd --name=a\n", "/bin/etcd --name=a", ""},
		"several lines": {"[Unit]\nDescription=x\n[Service]\nExecStart=/bin/etcd \\\n  --name=a \\\n  --b=c\n", "/bin/etcd --name=a --b=c", ""},
		"quotes":        {"[Service]\nExecStart=/bin/etcd \"--name=a b\"\n", "", "quotes"},
		"specifier":     {"[Service]\nExecStart=/bin/etcd --name=%H\n", "", "specifiers"},
		"nothing":       {"[Service]\nType=notify\n", "", "no ExecStart"},
		"empty":         {"[Service]\nExecStart=\n", "", "empty"},
	} {
		h := faketransport.New().Host("cp-1")
		require.NoError(t, h.Put(transport.File{Path: etcd.UnitPath, Mode: 0o644, Data: transport.Bytes([]byte(c.unit))}))
		argv, err := execStart(h)
		if c.problem != "" {
			require.ErrorContains(t, err, c.problem, name)
			continue
		}
		require.NoError(t, err, name)
		require.Equal(t, c.want, strings.Join(argv, " "), name)
	}
	_, err := execStart(faketransport.New().Host("cp-1"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A second quickstart, or an etcd that is there already, is stepped around.
func TestTakenAddresses(t *testing.T) {
	first, flag, err := claim(t.Context())
	require.NoError(t, err)
	second, another, err := claim(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	require.NoError(t, another.Close())
	require.NoError(t, flag.Close())

	peer := describe(first).Nodes[1].Address()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", netip.AddrPortFrom(peer, 2380).String())
	require.NoError(t, err)
	third, flag, err := claim(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first, third)
	require.NoError(t, flag.Close())
	require.NoError(t, l.Close())
}

func TestTunnelsOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:2379", "example.org:443", "[2001:db8::1]:1", "nonsense"} {
		_, err := dialLoopback(t.Context(), "tcp", addr)
		require.ErrorContains(t, err, "no loopback address", addr)
	}
}
