package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
)

// TestE2EToken adds a node to a cluster whose bootstrap token is gone, as it is
// after 24 hours: the run that adds it makes the token anew, real
// kube-controller-manager signs with it, and real kubeadm joins by it.
func TestE2EToken(t *testing.T) {
	o := labOptions(t)
	l, p := bootLab(t, o)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	hosts, ha, err := recipe(ctx, l, p)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hosts.Close() }()
	all := ha.Cluster
	var changes []string
	run := func(c quorate.Cluster) plan.Summary {
		t.Helper()
		ha.Cluster, changes = c, nil
		steps, err := plan.HA(ha)
		if err != nil {
			t.Fatal(err)
		}
		sum, err := (&plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
			for _, change := range e.Diff {
				if e.Kind == plan.StepApplying {
					changes = append(changes, string(e.Step)+": "+change.String())
				}
			}
		}}).Run(ctx, steps)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	renewed := func() bool {
		return slices.ContainsFunc(changes, func(c string) bool { return strings.Contains(c, "renew bootstrap token") })
	}

	small := all
	small.Nodes = all.ControlPlanes()
	run(small)
	secret := kubeadm.TokenSecretName(kubeadm.TokenID(ha.Kubeadm.Token))
	if _, err := kubectl(ctx, l, "cp-1", "-n kube-system delete secret "+secret); err != nil {
		t.Fatal(err)
	}
	if sum := run(small); sum.Changed() {
		t.Errorf("nobody is to join, and still: %v", changes)
	}
	if renewed() {
		t.Errorf("a token that nobody needs: %v", changes)
	}

	run(all)
	t.Logf("a node was added: %s", strings.Join(changes, "; "))
	if !renewed() {
		t.Error("the token was not renewed")
	}
	if err := checkCluster(ctx, t, l); err != nil {
		t.Error(err)
	}
	if out, err := kubectl(ctx, l, "cp-2", "-n kube-system get secret "+secret+" -o jsonpath={.type}"); err != nil || out != "bootstrap.kubernetes.io/token" {
		t.Errorf("%q %v", out, err)
	}
	out, err := l.SSH(ctx, "cp-1", "kubeadm token list")
	if err != nil || !strings.Contains(out, "authentication,signing") || !strings.Contains(out, "system:bootstrappers:kubeadm:default-node-token") {
		t.Errorf("kubeadm does not take it for one of its own: %v\n", err)
	}
	if sum := run(all); sum.Changed() || renewed() {
		t.Errorf("the second run changed something: %v", changes)
	}
	installAgain(t, l, buildInstaller(t))
}
