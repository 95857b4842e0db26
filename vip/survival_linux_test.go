package vip_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/unit"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/vip"
)

// doubleHolder bounds how long two hosts may have the VIP after a keepalived was killed.
const doubleHolder = 5 * time.Second

// Whatever happens to keepalived, or to the interface under it, it works again by
// itself, and the VIP has one holder again.
func TestRealKeepalivedSurvives(t *testing.T) {
	tier.Host(t, "ip")
	tier.Root(t)
	t.Parallel()
	l := newSupervisedLab(t, tier.Program(t, "keepalived"))
	l.servers[0].set(ready)
	l.settles(t, "boot", 0, 10*time.Second)
	l.servers[1].set(ready)
	l.servers[2].set(ready)

	t.Log("both processes of the holder's keepalived are killed, which leaves the address there")
	before := l.units[0].now()
	l.units[0].kill(t)
	l.units[0].runsSince(t, before)
	holder := l.oneHolder(t, "killed")

	t.Log("only the process that speaks VRRP is killed")
	child := l.units[holder].child(t)
	require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
	require.Eventually(t, func() bool { again := l.units[holder].children(t); return len(again) == 1 && again[0] != child }, 10*time.Second, 20*time.Millisecond)
	holder = l.oneHolder(t, "child killed")

	t.Log("the holder's interface is removed and made again")
	before = l.units[holder].now()
	inside(t, l.hosts[holder], "link", "del", "eth0")
	l.link(t, holder)
	l.address(t, holder)
	l.leaves(t, holder, hostLoss)
	l.units[holder].runsSince(t, before)
	l.canHold(t, holder)

	t.Log("the holder's address is removed and added again")
	inside(t, l.hosts[holder], "addr", "del", l.units[holder].source, "dev", "eth0")
	l.leaves(t, holder, hostLoss)
	inside(t, l.hosts[holder], "addr", "add", l.units[holder].source, "dev", "eth0")
	l.canHold(t, holder)

	t.Log("the interface comes after keepalived, piece by piece")
	inside(t, l.hosts[holder], "link", "del", "eth0")
	before = l.units[holder].now()
	l.units[holder].kill(t)
	l.leaves(t, holder, hostLoss)
	for _, piece := range []func(*testing.T, int){l.link, l.address} {
		over := time.NewTimer(2 * time.Second)
		<-over.C
		piece(t, holder)
	}
	l.units[holder].runsSince(t, before)
	l.canHold(t, holder)
}

// supervisedLab is a lab in which each keepalived is run as systemd would, by the
// drop-in that is rendered.
type supervisedLab struct {
	*lab
	units []*supervised
}

func newSupervisedLab(t *testing.T, keepalived string) *supervisedLab {
	t.Helper()
	s := &supervisedLab{}
	s.lab = newLabWith(t, cluster(3, "10.81.0.100", "10.81.0.%d"), func(l *lab, host *namespace, i vip.Instance) {
		s.units = append(s.units, supervise(t, keepalived, host, i))
	})
	s.overlap = doubleHolder
	return s
}

// oneHolder waits until exactly one host has the VIP, and returns it.
func (l *supervisedLab) oneHolder(t *testing.T, why string) int {
	t.Helper()
	holder := nobody
	require.Eventually(t, func() bool {
		var holders []int
		for i, h := range l.hosts {
			if has, err := h.has(l.vip); err == nil && has {
				holders = append(holders, i)
			}
		}
		if len(holders) == 1 {
			holder = holders[0]
		}
		return len(holders) == 1 && l.answers(t) == string(rune('0'+holder))
	}, 2*doubleHolder, 20*time.Millisecond, why)
	return holder
}

// leaves waits until another host has the VIP.
func (l *supervisedLab) leaves(t *testing.T, host int, limit time.Duration) {
	t.Helper()
	require.Eventually(t, func() bool {
		holder, _ := l.now()
		return holder != host && holder != nobody
	}, limit, 10*time.Millisecond, "host %d still holds the VIP, or nobody does", host)
}

// canHold sees that a host takes the VIP once all others fail, and leaves it there.
func (l *supervisedLab) canHold(t *testing.T, host int) {
	t.Helper()
	for i, s := range l.servers {
		if i != host {
			s.set(failing)
		}
	}
	l.settles(t, "all others fail", host, apiServerLoss+10*time.Second)
	for _, s := range l.servers {
		s.set(ready)
	}
	// Two checks of each must have succeeded before it can take over again.
	l.stays(t, host, 5*time.Second)
}

// link adds an interface that is up to a host, address its address.
func (l *supervisedLab) link(t *testing.T, host int) {
	t.Helper()
	inside(t, l.middle, "link", "add", l.segment.port(host), "type", "veth", "peer", "name", "eth0", "netns", l.hosts[host].name)
	inside(t, l.middle, "link", "set", l.segment.port(host), "master", "br0", "up")
	inside(t, l.hosts[host], "link", "set", "eth0", "up")
}

func (l *supervisedLab) address(t *testing.T, host int) {
	t.Helper()
	inside(t, l.hosts[host], "addr", "add", l.units[host].source, "dev", "eth0")
}

// supervised is a keepalived that is started again whatever ends it.
type supervised struct {
	source  string
	mu      sync.Mutex
	process *os.Process
	starts  int
	output  lockedBuffer
	vrrpPID string
}

// supervise does what systemd does by the drop-in: Restart, RestartSec, ExecStartPre and
// ExecStopPost.
func supervise(t *testing.T, keepalived string, host *namespace, i vip.Instance) *supervised {
	t.Helper()
	rendered, err := i.Files()
	require.NoError(t, err)
	dir := placeFor(t)
	in := func(name string) string { return filepath.Join(dir, name) }
	s := &supervised{source: i.Source.String() + "/16", vrrpPID: in("vrrp.pid")}
	here := strings.NewReplacer(
		vip.CheckPath, in("check.sh"), "/run/keepalived-interface", in("interface"),
		"systemctl --no-block restart keepalived.service", "kill $(cat "+in("pid")+")",
	).Replace
	require.NoError(t, os.WriteFile(in("check.sh"), []byte(here(string(rendered[0].Content.Bytes()))), 0o755))
	require.NoError(t, os.WriteFile(in("keepalived.conf"), []byte(here(string(rendered[1].Content.Bytes()))), 0o600))
	options, err := unit.DeserializeOptions(bytes.NewReader(rendered[2].Content.Bytes()))
	require.NoError(t, err)
	set := map[string]string{}
	var before []string
	for _, o := range options {
		if set[o.Name] = here(o.Value); o.Name == "ExecStartPre" {
			before = append(before, set[o.Name])
		}
	}
	require.Equal(t, "always", set["Restart"])
	require.Equal(t, "0", set["StartLimitIntervalSec"])
	pause, err := time.ParseDuration(set["RestartSec"])
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(t.Context())
	command := func(ctx context.Context, line string) {
		_ = exec.CommandContext(ctx, "ip", "netns", "exec", host.name, "sh", "-c", strings.TrimPrefix(line, "-")).Run()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, line := range before {
				command(ctx, line)
			}
			cmd := exec.CommandContext(ctx, "ip", "netns", "exec", host.name, keepalived, "--dont-fork", "--log-console", "--log-detail", "--vrrp",
				"--use-file", in("keepalived.conf"), "--pid", in("pid"), "--vrrp_pid", s.vrrpPID)
			cmd.Stdout, cmd.Stderr = &s.output, &s.output
			cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
			cmd.WaitDelay = 10 * time.Second
			s.mu.Lock()
			err := cmd.Start()
			s.process, s.starts = cmd.Process, s.starts+1
			s.mu.Unlock()
			if err == nil {
				_ = cmd.Wait() // however it ended
			}
			_ = os.Remove(s.vrrpPID) // systemd ends what is left of the unit and reaps it
			command(context.WithoutCancel(ctx), set["ExecStopPost"])
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if t.Failed() {
			t.Logf("keepalived on %s:\n%s", i.Node, s.output.String())
		}
	})
	return s
}

// kill ends both processes at once: the parent first, which cannot end the other then.
func (s *supervised) kill(t *testing.T) {
	t.Helper()
	child := s.child(t)
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(t, s.process.Signal(syscall.SIGKILL))
	require.NoError(t, syscall.Kill(child, syscall.SIGKILL))
}

// children are what keepalived runs, but for its checks.
func (s *supervised) children(t *testing.T) (pids []int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", s.process.Pid))
	require.NoError(t, err)
	for word := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(word)
		require.NoError(t, err)
		pids = append(pids, pid)
	}
	return pids
}

// child is the process that speaks VRRP.
func (s *supervised) child(t *testing.T) int {
	t.Helper()
	children := s.children(t)
	require.Len(t, children, 1, "the children of keepalived")
	return children[0]
}

func (s *supervised) started() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// moment is how often keepalived had been started, and what it had logged.
type moment struct{ starts, logged int }

func (s *supervised) now() moment { return moment{s.started(), len(s.output.String())} }

// runsSince waits until keepalived has been started once more and bids for the VIP.
func (s *supervised) runsSince(t *testing.T, m moment) {
	t.Helper()
	require.Eventually(t, func() bool {
		_, since, _ := strings.Cut(s.output.String()[m.logged:], "Starting VRRP child process")
		return s.started() > m.starts && strings.Contains(since, "Entering BACKUP STATE")
	}, 20*time.Second, 20*time.Millisecond, "keepalived does not run again")
}
