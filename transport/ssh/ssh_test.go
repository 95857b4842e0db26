package ssh_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/local"
	"github.com/quorate-dev/quorate/transport/ssh"
	"github.com/quorate-dev/quorate/transport/ssh/sshtest"
	"github.com/quorate-dev/quorate/transport/transporttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patient is how long a stopped command may take to clean up after itself on a
// machine that does much else at the same time.
const patient = 20 * time.Second

// SSH passes the suite through an in-process server that runs the commands on
// this machine.
func TestConformanceInProcess(t *testing.T) {
	conn, err := (&local.Transport{Grace: patient}).Dial(t.Context(), "served")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	server := start(t, sshtest.Config{Conn: conn})
	tr := connect(t, server, func(c *ssh.Config) { c.Grace = patient })
	transporttest.Run(t, transporttest.Harness{Transport: tr, Host: "host", Dir: t.TempDir()})
	if n := server.Accepted(); n != 1 {
		t.Errorf("%d TCP connections for one host", n)
	}
}

// start serves this machine by default.
func start(t *testing.T, cfg sshtest.Config) *sshtest.Server {
	t.Helper()
	if cfg.Conn == nil {
		conn, err := (&local.Transport{}).Dial(t.Context(), "served")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		cfg.Conn = conn
	}
	s, err := sshtest.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// connect makes a Transport that knows the server as "host".
func connect(t *testing.T, s *sshtest.Server, change func(*ssh.Config)) *ssh.Transport {
	t.Helper()
	cfg := ssh.Config{
		Targets:  map[string]ssh.Target{"host": s.Target()},
		HostKeys: ssh.HostKeys{KnownHosts: s.KnownHosts()},
	}
	cfg.Auth.Signers = append(cfg.Auth.Signers, ssh.NewSigner(s.ClientKey()))
	if change != nil {
		change(&cfg)
	}
	tr, err := ssh.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

var _ transport.Transport = (*ssh.Transport)(nil)
