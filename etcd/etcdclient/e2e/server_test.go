package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"go.uber.org/goleak"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/etcd"
	"github.com/quorate-dev/quorate/pki"
)

// asServer in the environment makes this test's own binary be etcd.
const asServer = "QUORATE_TEST_RUN_ETCD"

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		etcdmain.Main(os.Args)
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// addresses of the members: three hosts on one machine.
var addresses = []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"}

// server is one member as its unit would run it, in a process of its own.
type server struct {
	member etcd.Member
	dir    string
	cmd    *exec.Cmd
	output strings.Builder
}

// start runs the rendered command line, but for the binary, and waits until it
// has notified its supervisor that it is ready, as Type=notify does.
func (s *server) start(t *testing.T) (ready <-chan struct{}) {
	t.Helper()
	argv, err := s.member.Argv()
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	socket := filepath.Join(s.dir, "notify")
	_ = os.Remove(socket) // of an earlier start
	supervisor, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	s.output.Reset()
	s.cmd = exec.CommandContext(t.Context(), self, argv[1:]...)
	s.cmd.Env = []string{asServer + "=1", "NOTIFY_SOCKET=" + socket}
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	require.NoError(t, s.cmd.Start())
	up := make(chan struct{})
	go func() {
		buffer := make([]byte, 256)
		if n, err := supervisor.Read(buffer); err == nil && strings.Contains(string(buffer[:n]), "READY=1") {
			close(up)
		}
	}()
	cmd := s.cmd
	t.Cleanup(func() {
		require.NoError(t, supervisor.Close())
		_ = cmd.Process.Kill() // stopped already by some tests
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("etcd %s:\n%s", s.member.Name, s.output.String())
		}
	})
	return up
}

// kill ends the member as a power cut would.
func (s *server) kill(t *testing.T) {
	t.Helper()
	require.NoError(t, s.cmd.Process.Kill())
	_ = s.cmd.Wait() // "signal: killed"
}

func newCluster(t *testing.T) quorate.Cluster {
	t.Helper()
	ports := freePorts(t, 3)
	c := quorate.Cluster{
		Name:     "e2e",
		Version:  quorate.Version{Major: 1, Minor: 37, Patch: 2},
		Endpoint: quorate.Endpoint{Host: "api.example.org", External: true},
		Etcd:     quorate.Etcd{ClientPort: ports[0], PeerPort: ports[1], MetricsPort: ports[2]},
	}
	for i, a := range addresses {
		node := quorate.Node{Name: fmt.Sprintf("cp-%d", i+1), Role: quorate.ControlPlane, Addresses: []netip.Addr{netip.MustParseAddr(a)}}
		c.Nodes = append(c.Nodes, node)
	}
	return c
}

// newServers renders three members, writes their certificates, and starts none.
func newServers(t *testing.T) ([]*server, *pki.Bundle) {
	t.Helper()
	c := newCluster(t)
	bundle, err := pki.New(c, pki.Config{})
	require.NoError(t, err)
	members, err := etcd.Members(c)
	require.NoError(t, err)
	servers := make([]*server, len(members))
	for i, m := range members {
		dir, err := os.MkdirTemp("", "quorate-etcd-")
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
		files, err := bundle.EtcdMember(context.Background(), m.Name)
		require.NoError(t, err)
		for _, f := range files {
			path := filepath.Join(dir, f.Path)
			require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
			require.NoError(t, os.WriteFile(path, f.Content.Bytes(), f.Mode))
		}
		m.PKIDir, m.Etcd.DataDir = dir+etcd.PKIDir, filepath.Join(dir, "data")
		servers[i] = &server{member: m, dir: dir}
	}
	return servers, bundle
}

func startAll(t *testing.T, servers []*server) {
	t.Helper()
	var ready []<-chan struct{}
	for _, s := range servers {
		ready = append(ready, s.start(t))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i, r := range ready {
		select {
		case <-r:
		case <-ctx.Done():
			require.FailNow(t, "never ready", servers[i].member.Name)
		}
	}
}

// freePorts are free on every member's address, and no two are the same.
func freePorts(t *testing.T, n int) []int {
	t.Helper()
	var ports []int
	for range 100 {
		first, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addresses[0]+":0")
		require.NoError(t, err)
		held := []net.Listener{first}
		port := first.Addr().(*net.TCPAddr).Port
		for _, a := range addresses[1:] {
			if l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(a, strconv.Itoa(port))); err == nil {
				held = append(held, l)
			}
		}
		// Until all are found: a port that was freed may be the next one assigned.
		defer func() {
			for _, l := range held {
				require.NoError(t, l.Close())
			}
		}()
		if len(held) == len(addresses) {
			ports = append(ports, port)
		}
		if len(ports) == n {
			return ports
		}
	}
	require.FailNow(t, "no port is free on every address")
	return nil
}

// flag is the value of one flag of the member's command line.
func (s *server) flag(t *testing.T, name string) string {
	t.Helper()
	argv, err := s.member.Argv()
	require.NoError(t, err)
	for _, arg := range argv {
		if value, ok := strings.CutPrefix(arg, "--"+name+"="); ok {
			return value
		}
	}
	t.Fatal("no flag ", name)
	return ""
}
