package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/transport"
)

// proof is what a test has seen on real hosts, for docs/proof: only its own run writes it.
type proof struct {
	// Done says what was done, and Versions of which programs it was done to.
	Done     string            `json:"done"`
	Versions map[string]string `json:"versions"`
	When     time.Time         `json:"when"`
	writeFigures
	Changes []changeProof `json:"changes"`
}

// writeFigures are of one change, or of all: the longest gap of any, and the sums of the others.
type writeFigures struct {
	// Acknowledged writes, and those of them that are not there afterwards.
	Acknowledged int `json:"acknowledged"`
	Lost         int `json:"lost"`
	// LongestWriteGapMs is the longest time without a write that succeeded, while one was
	// begun every 50 ms at the VIP.
	LongestWriteGapMs int64 `json:"longestWriteGapMs"`
	// VIPMoves counts how often a keepalived became master, Elections etcd's terms.
	VIPMoves  int `json:"vipMoves"`
	Elections int `json:"elections"`
	// OperatorKills is how often the program that makes the change was killed meanwhile.
	OperatorKills int `json:"operatorKills"`
	// Converged says that a further run changed nothing, and that the survey found no difference.
	Converged bool `json:"converged"`
}

// changeProof is one change.
type changeProof struct {
	Change  string  `json:"change"`
	Seconds float64 `json:"seconds"`
	writeFigures
	// Error is what the run ended with, empty if it did what it was to do.
	Error string `json:"error,omitempty"`
	// EtcdRestarts of members that stay, and hosts that hold the VIP afterwards, where a test looks at them.
	EtcdRestarts *int     `json:"etcdRestarts,omitempty"`
	Holders      []string `json:"vipHolders,omitempty"`
}

// writeProof writes the changes where QUORATE_PROOF says, unless the test has failed.
func writeProof(t *testing.T, done string, l *machines.Lab, changes ...changeProof) {
	t.Helper()
	p := proof{Done: done, Versions: map[string]string{}, When: time.Now().UTC().Truncate(time.Second), Changes: changes}
	p.Converged = true
	for _, c := range changes {
		t.Logf("%+v", c)
		p.Acknowledged += c.Acknowledged
		p.Lost += c.Lost
		p.LongestWriteGapMs = max(p.LongestWriteGapMs, c.LongestWriteGapMs)
		p.VIPMoves += c.VIPMoves
		p.Elections += c.Elections
		p.OperatorKills += c.OperatorKills
		p.Converged = p.Converged && c.Converged
	}
	for name, command := range map[string]string{
		"kubernetes": "kubelet --version", "etcd": "etcd --version | head -n 1", "containerd": "containerd --version", "keepalived": "keepalived --version 2>&1 | head -n 1",
	} {
		out, err := l.SSH(t.Context(), l.Hosts()[0].Name, command)
		if err != nil {
			t.Error(err)
		}
		p.Versions[name] = strings.TrimSpace(out)
	}
	path := os.Getenv("QUORATE_PROOF")
	if path == "" || t.Failed() {
		return
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Clean(path), append(text, '\n'), 0o644); err != nil { //nolint:gosec // for everybody to read
		t.Fatal(err)
	}
}

// runLogged runs a plan and logs what its steps report and change.
func runLogged(ctx context.Context, t *testing.T, hosts transport.Transport, steps *plan.Plan) (plan.Summary, error) {
	t.Helper()
	begin := time.Now()
	return (&plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
		if e.Kind == plan.StepProgress || e.Kind == plan.StepEnded && e.Outcome != plan.Unchanged {
			t.Logf("%6.1fs %s %s %s %v", time.Since(begin).Seconds(), e.Step, e.Outcome, e.Message, e.Err)
		}
	}}).Run(ctx, steps)
}

// underWrites does something while writes go on, and counts on one host what is there of them afterwards.
func underWrites(ctx context.Context, t *testing.T, l *machines.Lab, first, what string, do func() error) changeProof {
	t.Helper()
	before, masters, term := storedWrites(ctx, t, l, first), vipMasters(ctx, l), etcdTerm(ctx, t, l, first)
	w := startWriter(ctx, t, l, l.Spec().VIP().String()+":6443")
	begin := time.Now()
	err := do()
	c := changeProof{Change: what, Seconds: time.Since(begin).Round(100 * time.Millisecond).Seconds()}
	c.LongestWriteGapMs = w.outage().Milliseconds()
	w.stop()
	t.Log(what, w)
	c.Acknowledged = w.acknowledged()
	c.Lost = max(0, before+c.Acknowledged-storedWrites(ctx, t, l, first))
	c.VIPMoves = vipMasters(ctx, l) - masters
	c.Elections = etcdTerm(ctx, t, l, first) - term
	if err != nil {
		c.Error = err.Error()
	}
	return c
}

func storedWrites(ctx context.Context, t *testing.T, l *machines.Lab, host string) int {
	t.Helper()
	out, err := kubectl(ctx, l, host, "get configmaps -n default -o name | grep -c /write-")
	n, bad := strconv.Atoi(strings.TrimSpace(out))
	if bad != nil { // grep exits with 1 where it counts 0
		t.Errorf("counting writes: %v, %v", err, bad)
	}
	return n
}

// vipMasters counts how often a keepalived has become master, on the hosts that answer.
func vipMasters(ctx context.Context, l *machines.Lab) int {
	n := 0
	for _, h := range l.Hosts() {
		out, _ := l.SSH(ctx, h.Name, "journalctl -u keepalived --no-pager | grep -c 'Entering MASTER STATE'") // a host without power has none
		one, _ := strconv.Atoi(strings.TrimSpace(out))
		n += one
	}
	return n
}

// etcdTerm returns the member's term: each election begins one.
func etcdTerm(ctx context.Context, t *testing.T, l *machines.Lab, host string) int {
	t.Helper()
	out, err := etcdctl(ctx, l, host, "endpoint status -w json")
	var members []struct {
		Status struct {
			Term int `json:"raftTerm"`
		}
	}
	if err == nil {
		err = json.Unmarshal([]byte(out), &members)
	}
	if err != nil || len(members) != 1 {
		t.Fatalf("etcd's term: %v: %s", err, out)
	}
	return members[0].Status.Term
}
