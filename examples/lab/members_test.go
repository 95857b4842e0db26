package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
)

// TestMembersUnderWrites has three control planes, takes the power from the second for good, replaces it by
// the fourth at another address while writes go on, and then lets the old one boot again. QUORATE_PROOF names a
// file for the figures.
func TestMembersUnderWrites(t *testing.T) {
	o := labOptions(t)
	o.spec = machines.Spec{ControlPlanes: 4, Workers: 1}
	l, p := bootLab(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	hosts, config, err := recipe(ctx, l, p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hosts.Close() }() // every connection has been used up
	without := func(name string) ha.Config {
		c := config
		c.Cluster.Nodes = slices.DeleteFunc(slices.Clone(config.Cluster.Nodes), func(n quorate.Node) bool { return n.Name == name })
		return c
	}
	all := l.Hosts()
	old, next := all[1].Name, all[3].Name
	run := func(cfg ha.Config, verb func(*ha.Cluster) (*plan.Plan, error)) (plan.Summary, error) {
		cluster, err := ha.New(ctx, cfg)
		if err != nil {
			t.Fatal(err)
		}
		steps, err := verb(cluster)
		if err != nil {
			t.Fatal(err)
		}
		return runLogged(ctx, t, hosts, steps)
	}
	if _, err := run(without(next), (*ha.Cluster).Plan); err != nil {
		t.Fatal(err)
	}
	stay := []string{all[0].Name, all[2].Name}
	started := func() string {
		var out []string
		for _, h := range stay {
			s, err := l.SSH(ctx, h, "pidof etcd")
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, strings.TrimSpace(s))
		}
		return strings.Join(out, " ")
	}
	if err := l.PowerCut(ctx, old); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Second) // the VIP has moved, if it was there
	pids := started()
	replace := func(c *ha.Cluster) (*plan.Plan, error) {
		return c.PlanReplace(ha.ReplaceConfig{Nodes: []ha.Replacement{{Old: old, New: next, Fenced: true}}})
	}
	changed := without(old)
	proof := underWrites(ctx, t, l, stay[0], "a dead control plane replaced", func() error { _, err := run(changed, replace); return err })
	if proof.Error != "" {
		t.Fatal(proof.Error)
	}
	restarts := 0
	if now := started(); now != pids {
		t.Errorf("etcd was restarted: %s, and before %s", now, pids)
		restarts = 1
	}
	proof.EtcdRestarts = &restarts
	if summary, err := run(changed, replace); err != nil || summary.Changed() {
		t.Errorf("the second run: %v, %v", summary.Outcomes, err)
	}
	if err := l.Boot(ctx, old); err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Second)
	etcd, _ := l.SSH(ctx, old, "journalctl -u etcd --no-pager -n 200 | grep -c removed; curl -sk --max-time 3 https://127.0.0.1:6443/readyz")
	t.Logf("etcd and the API server of %s after its boot: %q", old, etcd)
	if etcd = strings.TrimSpace(etcd); strings.HasPrefix(etcd, "0") || strings.HasSuffix(etcd, "ok") {
		t.Errorf("%s takes part again: %q", old, etcd)
	}
	for _, h := range l.Hosts() {
		out, err := l.SSH(ctx, h.Name, "ip -brief -4 address show dev "+machines.Interface)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(out, l.Spec().VIP().String()+"/") {
			proof.Holders = append(proof.Holders, h.Name)
		}
	}
	if len(proof.Holders) != 1 || proof.Holders[0] == old {
		t.Errorf("the VIP is on %v", proof.Holders)
	}
	proof.Converged = !t.Failed() && wantNoDifference(ctx, t, hosts, changed)
	if proof.Lost > 0 || proof.LongestWriteGapMs > maxSettingsGap.Milliseconds() {
		t.Errorf("%d writes lost, %d ms without one", proof.Lost, proof.LongestWriteGapMs)
	}
	writeProof(t, "cp-2 of three control planes lost its power for good, was replaced by cp-4 at another address by PlanReplace, and booted again", l, proof)
}
