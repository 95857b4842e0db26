package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/transport"
)

// TestSettingsUnderWrites changes settings of a cluster on real hosts while writes go on, one kind after
// another, and one that an API server does not start with. QUORATE_PROOF names a file for the
// figures.
func TestSettingsUnderWrites(t *testing.T) {
	o := labOptions(t)
	l, p := bootLab(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	if _, err := bringUp(ctx, o, l, p, t.Output()); err != nil {
		t.Fatal(err)
	}
	if err := checkCluster(ctx, t, l); err != nil {
		t.Fatal(err)
	}
	hosts, config, err := recipe(ctx, l, p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hosts.Close() }() // every connection has been used up
	reconfigure := func(cfg ha.Config, by time.Duration) (plan.Summary, error) {
		cluster, err := ha.New(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := cluster.PlanReconfigure(ha.ReconfigureConfig{ReadyTimeout: by})
		if err != nil {
			t.Fatal(err)
		}
		return runLogged(ctx, t, hosts, steps)
	}
	var proofs []changeProof
	for _, one := range []struct {
		what   string
		change func(*quorate.Cluster)
	}{
		{"an API server's argument", func(c *quorate.Cluster) {
			c.Kubeadm.APIServerArgs = map[string]string{"max-requests-inflight": "500"}
		}},
		{"a name in the API servers' certificates", func(c *quorate.Cluster) { c.Kubeadm.CertSANs = []string{"api.example.org"} }},
		{"a kubelet's field", func(c *quorate.Cluster) {
			c.Kubeadm.Kubelet = maps.Clone(c.Kubeadm.Kubelet)
			c.Kubeadm.Kubelet["maxPods"] = 200
		}},
		{"kube-proxy's mode", func(c *quorate.Cluster) { c.Kubeadm.KubeProxy = map[string]any{"mode": "nftables"} }},
		{"a label and a taint", func(c *quorate.Cluster) {
			i := len(c.Nodes) - 1
			c.Nodes = slices.Clone(c.Nodes)
			c.Nodes[i].Labels = map[string]string{"example.org/zone": "b"}
			c.Nodes[i].Taints = []quorate.Taint{{Key: "example.org/dedicated", Value: "x", Effect: "PreferNoSchedule"}}
		}},
		{"a scheduler's argument and the controller managers' environment", func(c *quorate.Cluster) {
			c.Kubeadm.SchedulerArgs = map[string]string{"v": "3"}
			c.Kubeadm.ControllerManagerEnv = map[string]string{"GODEBUG": "madvdontneed=1"}
		}},
	} {
		one.change(&config.Cluster)
		proof := underWrites(ctx, t, l, l.Hosts()[0].Name, one.what, func() error { _, err := reconfigure(config, 0); return err })
		if proof.Error != "" {
			t.Fatal(proof.Error)
		}
		if summary, err := reconfigure(config, 0); err != nil || summary.Changed() {
			t.Fatalf("the second run: %v, %v", summary.Outcomes, err)
		}
		proof.Converged = wantNoDifference(ctx, t, hosts, config)
		proofs = append(proofs, proof)
	}

	bad := config
	bad.Cluster.Kubeadm.APIServerArgs = map[string]string{"max-requests-inflight": "500", "audit-policy-file": "/etc/kubernetes/pki/nobody.yaml"}
	before := manifests(ctx, t, l)
	var failed *ha.ComponentError
	proof := underWrites(ctx, t, l, l.Hosts()[0].Name, "an argument that no API server starts with", func() error {
		_, err := reconfigure(bad, 90*time.Second)
		if !errors.As(err, &failed) {
			t.Errorf("the run ended with %v", err)
		}
		return err
	})
	if failed != nil && (failed.Back != nil || !strings.Contains(strings.Join(failed.Log, "\n"), "nobody.yaml")) {
		t.Errorf("not put back, or without its log: %v", failed)
	}
	// Its kubelet asks this API server alone, and was without it for longer than nodes may be silent.
	if _, err := kubectl(ctx, l, l.Hosts()[1].Name, "wait --for=condition=Ready nodes --all --timeout=180s"); err != nil {
		t.Error(err)
	}
	if after := manifests(ctx, t, l); !slices.Equal(before, after) {
		t.Errorf("manifests after an argument that failed: %q, want %q", after, before)
	}
	proof.Converged = wantNoDifference(ctx, t, hosts, config)
	proofs = append(proofs, proof)
	for _, p := range proofs {
		if p.Lost > 0 || p.LongestWriteGapMs > maxSettingsGap.Milliseconds() {
			t.Errorf("%s: %d writes lost, %d ms without one", p.Change, p.Lost, p.LongestWriteGapMs)
		}
	}
	writeProof(t, "settings of a cluster of three control planes changed by PlanReconfigure, and one that an API server does not start with put back", l, proofs...)
}

// maxSettingsGap is one move of the VIP without haproxy.
const maxSettingsGap = 2 * time.Second

func manifests(ctx context.Context, t *testing.T, l *machines.Lab) []string {
	t.Helper()
	var all []string
	for _, h := range l.Hosts() {
		out, err := l.SSH(ctx, h.Name, "cat /etc/kubernetes/manifests/* 2>/dev/null | sha256sum; ls -A /etc/kubernetes/quorate-aside 2>/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, out)
	}
	return all
}

// wantNoDifference surveys the cluster: it is as described, and nothing is left of a run.
func wantNoDifference(ctx context.Context, t *testing.T, hosts transport.Transport, config ha.Config) bool {
	t.Helper()
	cluster, err := ha.New(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	found, err := cluster.Survey(ctx, survey.Config{Transport: hosts})
	if err != nil {
		t.Fatal(err)
	}
	if !found.Sound() || len(found.Differences) > 0 {
		t.Errorf("%v\n%s", found.Differences, found.Text())
		return false
	}
	return true
}
