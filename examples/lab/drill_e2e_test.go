package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan/drill"
)

// TestE2EDrill breaks a real cluster in the ways that matter most, while it is
// written to: no acknowledged write is lost, the VIP never has two owners that
// one client could reach, and etcd keeps its quorum. QUORATE_DRILL names other
// scenarios, with commas between.
func TestE2EDrill(t *testing.T) {
	spec := machines.Spec{ControlPlanes: 3}
	scenarios := drill.Scenarios(drill.APIServerStop, drill.NetworkPartition, drill.HostReboot,
		drill.VIPHolderPowerCut, drill.EtcdLeaderPowerCut, drill.ColdStart)
	if names := os.Getenv("QUORATE_DRILL"); names != "" {
		scenarios = drill.Scenarios(strings.Split(names, ",")...)
		spec.EtcdDisk = 512 // for disk-full
	}
	runDrill(t, spec, "", scenarios)
}

// TestE2EDrillHAProxy breaks what haproxy before the API servers is there for.
func TestE2EDrillHAProxy(t *testing.T) {
	runDrill(t, machines.Spec{ControlPlanes: 3}, quorate.HAProxy, drill.Scenarios(drill.APIServerStop, drill.VIPHolderPowerCut))
}

// TestE2EDrillFive kills two of five control planes at once, the VIP's holder and
// etcd's leader: writes go on.
func TestE2EDrillFive(t *testing.T) {
	runDrill(t, machines.Spec{ControlPlanes: 5}, "", drill.Scenarios(drill.MinorityPowerCut))
}

func runDrill(t *testing.T, spec machines.Spec, balancer quorate.LoadBalancer, scenarios []drill.Scenario) {
	t.Helper()
	o := labOptions(t)
	o.spec, o.balancer = spec, balancer
	l, p := bootLab(t, o)
	var log bytes.Buffer
	if _, err := bringUp(t.Context(), o, l, p, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	cfg, hosts, err := drillConfig(l)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hosts.Close() }()
	cfg.Scenarios = scenarios
	cfg.Patience = 2 * time.Minute // a cluster that was made just now
	cfg.Observe = showDrill(testWriter{t})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	began := time.Now()
	report, err := drill.Run(ctx, cfg)
	if err != nil {
		t.Error(err)
	}
	if report == nil {
		t.FailNow()
	}
	if dir := os.Getenv("QUORATE_DRILL_OUT"); dir != "" {
		if err := saveReport(t.Context(), dir, report); err != nil {
			t.Error(err)
		}
	}
	for _, r := range report.Results {
		// Figures are printed; what is asserted are the guarantees.
		for _, v := range r.Violations {
			t.Errorf("%s: %s", r.Scenario, v)
		}
		if r.Writes.Acknowledged == 0 || len(r.ServerReads) != spec.ControlPlanes {
			t.Errorf("%s: %d writes acknowledged, reads from %d API servers: nothing was proved", r.Scenario, r.Writes.Acknowledged, len(r.ServerReads))
		}
	}
	if len(report.NotRun) > 0 || len(report.Results) != len(scenarios) {
		t.Errorf("not run: %v", report.NotRun)
	}
	left, err := kubectl(t.Context(), l, l.Hosts()[0].Name, "get namespace quorate-drill --ignore-not-found -o name")
	if err != nil || strings.TrimSpace(left) != "" {
		t.Errorf("the drill's namespace is still there: %q, %v", left, err)
	}
	for _, h := range l.Hosts() {
		out, err := l.SSH(t.Context(), h.Name, "systemctl list-units --all --plain --no-legend 'quorate-drill*'; nft list tables | grep quorate || true; ls "+
			filepath.Join("/etc/kubernetes", "*.quorate-drill")+" 2>/dev/null || true")
		if err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("the drill left on %s: %s, %v", h.Name, out, err)
		}
	}
	t.Logf("%d scenarios in %.0fs: %s", len(report.Results), time.Since(began).Seconds(), report.Verdict)
}

// testWriter logs lines.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
