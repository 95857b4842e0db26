package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/internal/operator"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
)

// TestAvailabilityHAProxy brings up a cluster with haproxy before the API servers, and
// TestAvailabilityWithoutHAProxy the same one without, and does to both what hosts and
// API servers suffer, while something writes through the VIP all the time. What
// the writes missed is logged; asserted is who holds the VIP, that a control plane
// which is cut off releases it by itself and takes no writes, and that writes go
// on. QUORATE_ROUNDS says how often, once by default, QUORATE_FAULTS, a regular
// expression, which faults.
func TestAvailabilityHAProxy(t *testing.T)        { sufferEverything(t, quorate.HAProxy) }
func TestAvailabilityWithoutHAProxy(t *testing.T) { sufferEverything(t, "") }

// outageBound is far above every figure measured: more is a defect, less may be
// a busy machine.
const outageBound = 15 * time.Second

// logAfter is the outage from which the hosts' logs are kept.
const logAfter = 5 * time.Second

// fault is something that happens to the VIP's holder.
type fault struct {
	name string
	// strike lets it happen, heal ends it.
	strike, heal func(ctx context.Context, t *testing.T, s *trial, holder string)
	// stays says that the VIP stays where it is, with haproxy.
	stays bool
}

// trial is a cluster, and what is written to it.
type trial struct {
	*machines.Lab
	*writer
	balanced bool
}

func sufferEverything(t *testing.T, balancer quorate.LoadBalancer) {
	o := labOptions(t)
	o.balancer = balancer
	l, p := bootLab(t, o)
	var log bytes.Buffer
	if _, err := bringUp(t.Context(), o, l, p, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if err := checkCluster(t.Context(), t, l); err != nil {
		t.Fatal(err)
	}
	summary, err := bringUp(t.Context(), o, l, p, &log)
	if err != nil {
		t.Fatal(err)
	}
	if summary.Changed() {
		t.Errorf("the second run changed something:\n%s", log.String())
	}
	described, err := operator.ReadCluster(filepath.Join(l.Dir(), clusterFile))
	if err != nil {
		t.Fatal(err)
	}
	rounds, err := strconv.Atoi(os.Getenv("QUORATE_ROUNDS"))
	if err != nil {
		rounds = 1
	}
	s := &trial{
		Lab: l, balanced: balancer != "",
		writer: startWriter(t.Context(), t, l, described.WithDefaults().Endpoint.HostPort()),
	}
	defer s.stop()
	chosen := regexp.MustCompile(os.Getenv("QUORATE_FAULTS"))
	for range rounds {
		for _, f := range faults() {
			if chosen.MatchString(f.name) {
				s.try(t, f)
			}
		}
	}
}

// suffer lets one fault happen to the VIP's holder, and takes it back once writes
// go on.
func (s *trial) try(t *testing.T, f fault) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	holder := s.settle(ctx, t)
	s.reset()
	start := time.Now()
	neighbour := watchNeighbour(ctx, s.Lab)
	f.strike(ctx, t, s, holder)
	// Long enough for everything that the fault leads to, a VIP that moves late
	// among it.
	pause(ctx, t, 10*time.Second)
	during := s.outage()
	what := s.String()
	seen := neighbour()
	now := s.holders(ctx, t)
	t.Logf("figure: haproxy=%t fault=%q outage=%.2fs holder=%s then=%v (%s, struck in %.2fs)", s.balanced, f.name, during.Seconds(), holder, now, what, time.Since(start).Seconds()-10)
	t.Logf("  this machine sent what is for the VIP to: %s", seen)
	if during > logAfter {
		t.Log(evidence(ctx, s.Lab))
	}
	if during > outageBound {
		t.Errorf("%s: no write succeeded for %s\n%s", f.name, during, evidence(ctx, s.Lab))
	}
	if len(now) != 1 {
		t.Errorf("%s: %v hold the VIP", f.name, now)
	} else if s.balanced && f.stays && now[0] != holder {
		t.Errorf("%s moved the VIP from %s to %s", f.name, holder, now[0])
	}
	s.reset()
	f.heal(ctx, t, s, holder)
	s.settle(ctx, t)
	t.Logf("  taking it back: %.2fs without a write (%s)", s.outage().Seconds(), s)
}

func faults() []fault {
	onHolder := func(command string) func(context.Context, *testing.T, *trial, string) {
		return func(ctx context.Context, t *testing.T, s *trial, holder string) {
			t.Helper()
			if out, err := s.SSH(ctx, holder, command); err != nil {
				t.Fatal(err, out)
			}
		}
	}
	nothing := func(context.Context, *testing.T, *trial, string) {}
	const manifest = "/etc/kubernetes/manifests/kube-apiserver.yaml"
	return []fault{
		{"API server killed", onHolder("pkill -KILL -x kube-apiserver"), nothing, true},
		{"API server stopped", onHolder("mv " + manifest + " /root/"), onHolder("mv /root/kube-apiserver.yaml " + manifest), true},
		{"etcd member stopped", onHolder("systemctl stop etcd"), onHolder("systemctl start etcd"), true},
		{"cut off from the other control planes", cutOff, onHolder("nft delete table inet cut"), false},
		{
			"power cut",
			func(ctx context.Context, t *testing.T, s *trial, holder string) {
				t.Helper()
				if err := s.PowerCut(ctx, holder); err != nil {
					t.Fatal(err)
				}
			},
			func(ctx context.Context, t *testing.T, s *trial, holder string) {
				t.Helper()
				if err := s.Boot(ctx, holder); err != nil {
					t.Fatal(err)
				}
			},
			false,
		},
	}
}

// cutOff drops all that passes between the holder and the other control planes:
// its link stays up and clients reach it. It gives up the VIP, since it is of no
// use, and takes no write.
func cutOff(ctx context.Context, t *testing.T, s *trial, holder string) {
	t.Helper()
	var others []string
	own := ""
	for _, h := range s.Hosts() {
		switch {
		case h.Name == holder:
			own = h.Address.String()
		case h.Role == machines.ControlPlane:
			others = append(others, h.Address.String())
		}
	}
	peers := "{ " + strings.Join(others, ", ") + " }"
	rules := fmt.Sprintf("table inet cut {\n"+
		"chain in { type filter hook input priority -300; ip saddr %s drop; }\n"+
		"chain out { type filter hook output priority -300; ip daddr %s drop; }\n}\n", peers, peers)
	start := time.Now()
	if out, err := s.SSH(ctx, holder, "nft -f - <<'END'\n"+rules+"END"); err != nil {
		t.Fatal(err, out)
	}
	for s.holds(ctx, t, holder) {
		if ctx.Err() != nil {
			t.Fatalf("%s is cut off and keeps the VIP", holder)
		}
		pause(ctx, t, 50*time.Millisecond)
	}
	t.Logf("  %s released the VIP by itself %.2fs after it was cut off", holder, time.Since(start).Seconds())
	if out, err := kubectl(ctx, s.Lab, holder, "--server=https://"+own+":6443 --request-timeout=5s create configmap refused"); err == nil {
		t.Errorf("%s took a write without a quorum: %s", holder, out)
	}
}

// watchNeighbour looks where this machine sends what is for the VIP until the
// returned function is called, which returns them.
func watchNeighbour(ctx context.Context, l *machines.Lab) func() string {
	ctx, cancel := context.WithCancel(ctx)
	lladdr := regexp.MustCompile(`^(\S+) .*lladdr (\S+)`)
	neighbours := func() map[string]string {
		out, _ := exec.CommandContext(ctx, "ip", "-4", "neighbour", "show", "dev", l.Spec().Bridge).Output() // none is what it prints then
		found := map[string]string{}
		for line := range strings.Lines(string(out)) {
			if m := lladdr.FindStringSubmatch(line); m != nil {
				found[m[1]] = m[2]
			}
		}
		return found
	}
	start, last := time.Now(), ""
	var moves strings.Builder
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			found, now := neighbours(), "nobody"
			for _, h := range l.Hosts() {
				if mac := found[l.Spec().VIP().String()]; mac != "" && found[h.Address.String()] == mac {
					now = h.Name
				}
			}
			if now != last && ctx.Err() == nil {
				fmt.Fprintf(&moves, " %s after %.1fs", now, time.Since(start).Seconds())
				last = now
			}
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}()
	return func() string { cancel(); <-done; return moves.String() }
}

// settle waits until every API server is ready and one host holds the VIP, and
// returns that.
func (s *trial) settle(ctx context.Context, t *testing.T) string {
	t.Helper()
	const ready = "curl -sfk --max-time 2 -o /dev/null https://localhost:6443/readyz"
	for {
		all := true
		for _, h := range s.Hosts() {
			if h.Role == machines.ControlPlane {
				_, err := s.SSH(ctx, h.Name, ready)
				all = all && err == nil
			}
		}
		if all {
			// Eligible takes rise checks, and haproxy as many.
			pause(ctx, t, 5*time.Second)
			if now := s.holders(ctx, t); len(now) == 1 {
				return now[0]
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("the cluster is not well again\n%s", evidence(ctx, s.Lab))
		}
		pause(ctx, t, 500*time.Millisecond)
	}
}

// holders are the running hosts that have the VIP.
func (s *trial) holders(ctx context.Context, t *testing.T) []string {
	t.Helper()
	var found []string
	for _, h := range s.Hosts() {
		if s.Running(h.Name) && s.holds(ctx, t, h.Name) {
			found = append(found, h.Name)
		}
	}
	return found
}

func (s *trial) holds(ctx context.Context, t *testing.T, host string) bool {
	t.Helper()
	out, err := s.SSH(ctx, host, "ip -brief -4 address show dev "+machines.Interface)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(out, s.Spec().VIP().String()+"/")
}

// pause lets time pass: what is waited for here happens outside.
func pause(ctx context.Context, t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
