package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate/examples/lab/internal/machines"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
)

// joinWithoutToken takes the worker out of a cluster whose bootstrap token is gone,
// as it is after 24 hours, and has it join again: the run renews the token,
// the real kube-controller-manager signs with it, and the real kubeadm joins by
// it. As long as nobody is to join there is no token.
func joinWithoutToken(t *testing.T, l *machines.Lab, p prepared) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	hosts, config, err := recipe(ctx, l, p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hosts.Close() }()
	cluster, err := ha.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	steps, err := cluster.Plan()
	if err != nil {
		t.Fatal(err)
	}
	run := func() (changes []string) {
		t.Helper()
		_, err := (&plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
			for _, change := range e.Diff {
				if e.Kind == plan.StepApplying {
					changes = append(changes, string(e.Step)+": "+change.String())
				}
			}
		}}).Run(ctx, steps)
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	must := func(out string, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}

	secret := kubeadm.TokenSecretName(kubeadm.TokenID(config.Kubeadm.Token))
	must(kubectl(ctx, l, "cp-1", "-n kube-system delete secret "+secret))
	if changes := run(); len(changes) > 0 {
		t.Errorf("nobody is to join, and still: %v", changes)
	}

	must(l.SSH(ctx, "worker-1", "kubeadm reset -f 2>&1"))
	must(kubectl(ctx, l, "cp-1", "delete node worker-1"))
	start := time.Now()
	changes := run()
	t.Logf("%.1fs to join without a token: %s", time.Since(start).Seconds(), strings.Join(changes, "; "))
	if !slices.ContainsFunc(changes, func(c string) bool { return strings.Contains(c, "renew bootstrap token") }) {
		t.Error("the token was not renewed")
	}
	if err := checkCluster(ctx, t, l); err != nil {
		t.Error(err)
	}
	if typ := must(kubectl(ctx, l, "cp-2", "-n kube-system get secret "+secret+" -o jsonpath={.type}")); typ != "bootstrap.kubernetes.io/token" {
		t.Errorf("the token's Secret is of type %q", typ)
	}
	tokens := must(l.SSH(ctx, "cp-1", "kubeadm token list"))
	if !strings.Contains(tokens, "authentication,signing") || !strings.Contains(tokens, "system:bootstrappers:kubeadm:default-node-token") {
		t.Error("kubeadm does not take it for one of its own")
	}
	if changes := run(); len(changes) > 0 {
		t.Errorf("run again: %v", changes)
	}
}
