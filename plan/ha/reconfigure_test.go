package ha_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/ha/survey"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
)

func reconfigureFor(cfg ha.Config) (*plan.Plan, error) {
	c, err := ha.New(context.Background(), cfg)
	if err != nil {
		return nil, err
	}
	return c.PlanReconfigure(ha.ReconfigureConfig{})
}

// changedSettings changes something of every kind that PlanReconfigure brings about.
func changedSettings(c *quorate.Cluster) {
	c.Kubeadm.APIServerArgs = map[string]string{"audit-log-maxage": "4"}
	c.Kubeadm.SchedulerArgs = map[string]string{"v": "4"}
	c.Kubeadm.ControllerManagerEnv = map[string]string{"A": "b"}
	c.Kubeadm.CertSANs = []string{"api.example.org", "*.apis.example.org"}
	c.Kubeadm.Kubelet = map[string]any{"maxPods": 200}
	c.Kubeadm.KubeProxy = map[string]any{"mode": "nftables"}
	c.Nodes = slices.Clone(c.Nodes)
	c.Nodes[3].Labels = map[string]string{"zone": "b"}
	c.Nodes[3].Taints = []quorate.Taint{{Key: "dedicated", Value: "x", Effect: "NoSchedule"}}
}

// running is a cluster in memory that its description has made.
func running(t *testing.T, cfg ha.Config) *hatest.Cluster {
	t.Helper()
	hosts := fakeCluster(t, cfg.Cluster)
	p, err := planFor(cfg)
	require.NoError(t, err)
	mustRun(t.Context(), t, hosts, p)
	return hosts
}

// A run brings everything about, takes each program down once, the VIP's holder last, and a second
// one changes nothing; neither does the plan that creates the cluster.
func TestReconfigureTwice(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := sweepConfig(t)
		hosts := running(t, cfg)
		require.Equal(t, "cp-1", hosts.VIPHolder())
		changedSettings(&cfg.Cluster)
		cfg.Certs = reissued(t, cfg, cfg.Cluster)
		p, err := reconfigureFor(cfg)
		require.NoError(t, err)
		var order []plan.ID
		run := plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
			if e.Kind == plan.StepApplying {
				order = append(order, e.Step)
			}
		}}
		_, err = run.Run(t.Context(), p)
		require.NoError(t, err)
		require.Equal(t, []plan.ID{
			"node-objects", "serving-cert/cp-1", "serving-cert/cp-2", "serving-cert/cp-3", "control-plane/cp-2", "control-plane/cp-3", "control-plane-last/cp-1",
			"kubelet/cp-2", "kubelet/cp-3", "kubelet-last/cp-1", "kubelet/worker-1", "kube-proxy", "upload",
		}, order)
		for _, n := range cfg.Cluster.ControlPlanes() {
			for _, program := range []string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet"} {
				require.Equal(t, 2, hosts.Starts(n.Name, program), "%s on %s", program, n.Name)
			}
		}
		require.Equal(t, "cp-1", hosts.VIPHolder())
		seen := surveyOf(t, hosts, cfg)
		require.Empty(t, seen.Differences)
		for _, n := range seen.Hosts {
			require.Empty(t, n.Left)
		}
		sum, err := run.Run(t.Context(), p)
		require.NoError(t, err)
		require.False(t, sum.Changed())
		create, err := planFor(cfg)
		require.NoError(t, err)
		sum, err = run.Run(t.Context(), create)
		require.NoError(t, err)
		require.False(t, sum.Changed())
	})
}

// A setting that a program does not take stops at the canary: it runs with its old settings again,
// the error has its own log, and no other host was touched. With a corrected description the same
// verb goes on.
func TestReconfigureStopsAtTheCanary(t *testing.T) {
	for name, c := range map[string]struct {
		program, text string
		atParse       bool
		change        func(*quorate.Cluster)
		log           string
	}{
		"when it parses": {"kube-apiserver", "--audit-log-maxage=4", true, func(c *quorate.Cluster) {
			c.Kubeadm.APIServerArgs = map[string]string{"audit-log-maxage": "4"}
		}, "Error: invalid argument for --audit-log-maxage=4"},
		"when it starts": {"kube-apiserver", "--audit-log-maxage=4", false, func(c *quorate.Cluster) {
			c.Kubeadm.APIServerArgs = map[string]string{"audit-log-maxage": "4"}
		}, "--audit-log-maxage=4 is not taken"},
		"a scheduler": {"kube-scheduler", "--v=4", false, func(c *quorate.Cluster) { c.Kubeadm.SchedulerArgs = map[string]string{"v": "4"} }, "--v=4 is not taken"},
		"a kubelet":   {"kubelet", "maxPods: 200", false, func(c *quorate.Cluster) { c.Kubeadm.Kubelet = map[string]any{"maxPods": 200} }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble.Test(t, func(t *testing.T) {
				cfg := sweepConfig(t)
				hosts := running(t, cfg)
				before := hosts.Starts("cp-3", c.program)
				files := filesOf(t, hosts)
				c.change(&cfg.Cluster)
				p, err := reconfigureFor(cfg)
				require.NoError(t, err)
				hosts.RefuseSetting(c.program, c.text, c.atParse)
				_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
				var failed *ha.ComponentError
				require.ErrorAs(t, err, &failed)
				require.Equal(t, c.program, failed.Component)
				require.Equal(t, "cp-2", failed.Host) // cp-1 holds the VIP
				require.NoError(t, failed.Back)
				require.Contains(t, strings.Join(failed.Log, "\n"), c.log)
				require.Equal(t, before, hosts.Starts("cp-3", c.program))
				requireSame(t, withoutProcesses(files), withoutProcesses(filesOf(t, hosts)))
				require.Empty(t, commands(hosts, "cp-3", "kubeadm init phase"))

				hosts.RefuseSetting(c.program, "", false)
				mustRun(t.Context(), t, hosts, p)
				require.Empty(t, surveyOf(t, hosts, cfg).Differences)
			})
		})
	}
}

// withoutProcesses leaves out what a restart changes by itself.
func withoutProcesses(files string) string {
	var out []string
	for line := range strings.Lines(files) {
		if !strings.Contains(line, "/proc/") && !strings.Contains(line, "/var/log/pods/") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// requireSame shows the first line that differs, and not a megabyte.
func requireSame(t *testing.T, want, got string) {
	t.Helper()
	was, is := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range was {
		require.Less(t, i, len(is), was[i])
		require.Equal(t, was[i], is[i])
	}
	require.Len(t, is, len(was))
}

// No control plane is taken down while another is not ready.
func TestReconfigureWaitsForTheOthers(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := sweepConfig(t)
		hosts := running(t, cfg)
		apply(t, hosts, "cp-3", "systemctl", "stop", "kubelet.service")
		cfg.Cluster.Kubeadm.APIServerArgs = map[string]string{"audit-log-maxage": "4"}
		p, err := reconfigureFor(cfg)
		require.NoError(t, err)
		files := filesOf(t, hosts)
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), p)
		var host *plan.HostError
		require.ErrorAs(t, err, &host)
		require.ErrorContains(t, err, "the API server at https://192.0.2.13:6443/readyz is not ready")
		requireSame(t, files, filesOf(t, hosts))
	})
}

// What a run has done to files and programs is undone.
func TestReconfigureIsUndone(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		cfg := sweepConfig(t)
		hosts := running(t, cfg)
		before := filesOf(t, hosts)
		cfg.Cluster.Kubeadm.APIServerArgs = map[string]string{"audit-log-maxage": "4"}
		cfg.Cluster.Kubeadm.CertSANs = []string{"api.example.org"}
		cfg.Cluster.Kubeadm.Kubelet = map[string]any{"maxPods": 200}
		cfg.Cluster.Kubeadm.KubeProxy = map[string]any{"mode": "nftables"}
		cfg.Cluster.Nodes[3].Labels = map[string]string{"zone": "b"}
		cfg.Cluster.Nodes[3].Taints = []quorate.Taint{{Key: "dedicated", Effect: "NoSchedule"}}
		old := sweepConfig(t)
		old.Certs = cfg.Certs
		p, err := reconfigureFor(cfg)
		require.NoError(t, err)
		_, err = (&plan.Runner{Transport: hosts, BackupAs: "monday"}).Run(t.Context(), p)
		require.NoError(t, err)
		back, err := plan.Rollback(p, "monday")
		require.NoError(t, err)
		_, err = (&plan.Runner{Transport: hosts}).Run(t.Context(), back)
		require.NoError(t, err)
		requireSame(t, withoutProcesses(before), withoutProcesses(filesOf(t, hosts)))
		require.Equal(t, 3, hosts.Starts("cp-1", "kube-apiserver"))
		require.Empty(t, surveyOf(t, hosts, old).Differences)
	})
}

// What cannot be done is refused before any host is touched.
func TestReconfigureRefuses(t *testing.T) {
	cfg := config(t, hafixture.Three())
	made, err := ha.New(t.Context(), cfg)
	require.NoError(t, err)
	_, err = made.PlanReconfigure(ha.ReconfigureConfig{ReadyTimeout: time.Second})
	require.ErrorContains(t, err, "readyTimeout: 1s")

	cfg.Cluster.Kubeadm.PatchesDir = "/etc/kubernetes/patches"
	_, err = reconfigureFor(cfg)
	require.ErrorContains(t, err, "kubeadm.patchesDir")

	old := hafixture.Three()
	old.Version = quorate.Version{Major: 1, Minor: 16}
	_, err = reconfigureFor(config(t, old))
	require.ErrorContains(t, err, "version: v1.16.0")

	cfg = config(t, hafixture.Three())
	p, err := reconfigureFor(cfg)
	require.NoError(t, err)
	_, err = (&plan.Runner{Transport: fakeCluster(t, cfg.Cluster)}).Run(t.Context(), p)
	require.ErrorContains(t, err, "no API server of this cluster answers")
}

// TestCrashSweepOfAReconfiguration fails each call in turn, in every way.
func TestCrashSweepOfAReconfiguration(t *testing.T) {
	cfg := sweepConfig(t)
	before, err := planFor(cfg)
	require.NoError(t, err)
	changedSettings(&cfg.Cluster)
	after, err := reconfigureFor(cfg)
	require.NoError(t, err)
	s := sweep{cluster: hafixture.Three(), before: before, plan: after, quorate: true, sparse: 8}.measure(t)
	s.everyCall(t, 0)
}

// Every field that says that PlanReconfigure brings it about is brought about by it, from a
// cluster on which the plan that creates clusters refuses it; then neither has anything to do.
// All of them take minutes, and are for "make sweep".
func TestEveryFieldIsReconfigured(t *testing.T) {
	step := 6
	switch {
	case tier.Sweep():
		step = 1
	case tier.Race:
		step = 15
	}
	tried, made := 0, sweepConfig(t)
	made.Cluster = described()
	for _, path := range leaves(reflect.TypeFor[quorate.Cluster](), "") {
		field, _ := survey.FieldOf(path)
		if field.By != survey.Reconfigure {
			continue
		}
		for i, change := range changes[path] {
			if tried++; tried%step != 0 {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", path, i), func(t *testing.T) {
				t.Parallel()
				bubble.Test(t, func(t *testing.T) {
					cfg := made
					hosts := running(t, cfg)
					cfg.Cluster = described()
					change(&cfg.Cluster)
					p, err := reconfigureFor(cfg)
					require.NoError(t, err)
					run := plan.Runner{Transport: hosts}
					sum, err := run.Run(t.Context(), p)
					require.NoError(t, err)
					require.True(t, sum.Changed())
					require.Empty(t, surveyOf(t, hosts, cfg).Differences)
					sum, err = run.Run(t.Context(), p)
					require.NoError(t, err)
					require.False(t, sum.Changed())
					create, err := planFor(cfg)
					require.NoError(t, err)
					_, err = run.Run(t.Context(), create)
					require.NoError(t, err)
				})
			})
		}
	}
	require.Greater(t, tried, 30)
}
