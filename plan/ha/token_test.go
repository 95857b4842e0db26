package ha_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/internal/tier"
	"github.com/quorate-dev/quorate/kubeadm"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/bubble"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// without is a description that lacks the named nodes, which are added later.
func without(c quorate.Cluster, names ...string) quorate.Cluster {
	var nodes []quorate.Node
	for _, n := range c.Nodes {
		if !strings.Contains(strings.Join(names, " "), n.Name) {
			nodes = append(nodes, n)
		}
	}
	c.Nodes = nodes
	return c
}

// run runs the recipe for a description with the rest of a configuration.
func run(t *testing.T, hosts *hatest.Cluster, cfg ha.Config, c quorate.Cluster) (plan.Summary, []plan.Event, error) {
	t.Helper()
	cfg.Cluster = c
	p, err := planFor(cfg)
	require.NoError(t, err)
	var events []plan.Event
	sum, err := (&plan.Runner{Transport: hosts, Observe: func(e plan.Event) { events = append(events, e) }}).Run(t.Context(), p)
	return sum, events, err
}

// renewals are the changes of a run by which a token came to be made.
func renewals(events []plan.Event) []string {
	var out []string
	for _, e := range events {
		for _, c := range e.Diff {
			if e.Kind == plan.StepApplying && c.Verb == "renew" {
				out = append(out, string(e.Step)+": "+c.String())
			}
		}
	}
	return out
}

// inEveryEra runs a test with the cluster of three in versions from 1.since on, at the
// beginning of a clock of its own: in each in "make sweep", and in some elsewhere.
func inEveryEra(t *testing.T, since int, test func(t *testing.T, c quorate.Cluster, hosts *hatest.Cluster, cfg ha.Config)) {
	t.Helper()
	step := 4
	switch {
	case tier.Sweep():
		step = 1
	case tier.Race: // to which one era is like another
		step = 9
	}
	for minor := since; minor <= 37; minor += step {
		t.Run(fmt.Sprintf("1.%d", minor), func(t *testing.T) {
			t.Parallel()
			bubble.Test(t, func(t *testing.T) {
				c := hafixture.Three()
				c.Name, c.Version = "", quorate.Version{Major: 1, Minor: minor, Patch: 2}
				test(t, c, fakeCluster(t, c), config(t, c))
			})
		})
	}
}

// A node that is added after the token's life finds it renewed, in every era in
// which nodes join, and a run that finds all nodes there makes no token.
func TestJoinOfANodeAfterTheTokenExpired(t *testing.T) {
	inEveryEra(t, 10, func(t *testing.T, c quorate.Cluster, hosts *hatest.Cluster, cfg ha.Config) {
		_, events, err := run(t, hosts, cfg, without(c, "worker-1"))
		require.NoError(t, err)
		require.Empty(t, renewals(events), "kubeadm init makes the first one")
		id := kubeadm.TokenID(cfg.Kubeadm.Token)
		require.Equal(t, []string{id}, hosts.Tokens())

		time.Sleep(25 * time.Hour)
		require.Empty(t, hosts.Tokens())
		_, events, err = run(t, hosts, cfg, without(c, "worker-1"))
		require.NoError(t, err)
		require.Empty(t, renewals(events))
		require.Empty(t, hosts.Tokens(), "nobody is to join")

		_, events, err = run(t, hosts, cfg, c)
		require.NoError(t, err)
		require.Equal(t, []string{"init/cp-1: renew bootstrap token (there is none, for worker-1 to join with)"}, renewals(events))
		require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())

		time.Sleep(23 * time.Hour)
		require.Equal(t, []string{id}, hosts.Tokens(), "a life of 24 hours again")
		before := len(hosts.Calls())
		sum, _, err := run(t, hosts, cfg, c)
		require.NoError(t, err)
		require.False(t, sum.Changed())
		for _, call := range hosts.Calls()[before:] {
			require.NotContains(t, call.Op.String(), "bootstrap-token-", "every node is there")
		}
		time.Sleep(2 * time.Hour)
		require.Empty(t, hosts.Tokens())
	})
}

// The same goes for control planes that have not joined within the token's life.
func TestJoinOfAControlPlaneAfterTheTokenExpired(t *testing.T) {
	inEveryEra(t, 12, func(t *testing.T, c quorate.Cluster, hosts *hatest.Cluster, cfg ha.Config) {
		hosts.Host("cp-3").Inject(faketransport.Fault{
			On: faketransport.OnRun(faketransport.Prefix("kubeadm", "join")), Before: faketransport.Fails(faketransport.Exit(1)),
		})
		_, _, err := run(t, hosts, cfg, c)
		require.Error(t, err)
		hosts.Host("cp-3").Heal()
		time.Sleep(25 * time.Hour)
		_, events, err := run(t, hosts, cfg, c)
		require.NoError(t, err)
		require.Equal(t, []string{"init/cp-1: renew bootstrap token (there is none, for cp-3, worker-1 to join with)"}, renewals(events))
		require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())
	})
}

// The first control plane, which makes the token for all others, finds it renewed by
// one of them when it has to join itself.
func TestRejoinOfTheFirstControlPlaneAfterTheTokenExpired(t *testing.T) {
	inEveryEra(t, 12, func(t *testing.T, c quorate.Cluster, hosts *hatest.Cluster, cfg ha.Config) {
		_, reset := planOf(t, cfg, ha.ResetConfig{Nodes: []string{"cp-1"}})
		_, _, err := run(t, hosts, cfg, c)
		require.NoError(t, err)
		mustRun(t.Context(), t, hosts, reset)
		time.Sleep(25 * time.Hour)
		_, events, err := run(t, hosts, cfg, c)
		require.NoError(t, err)
		require.Equal(t, []string{"token/cp-2: renew bootstrap token (there is none, for cp-1 to join with)"}, renewals(events))
		require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())
		sum, _, err := run(t, hosts, cfg, c)
		require.NoError(t, err)
		require.False(t, sum.Changed())
	})
}

// A run that renewed a token is rolled back without kubeadm's being undone where
// it did so.
func TestRerunWithARenewedToken(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := hafixture.Three()
		hosts := fakeCluster(t, c)
		cfg := config(t, c)
		_, _, err := run(t, hosts, cfg, without(c, "worker-1"))
		require.NoError(t, err)
		time.Sleep(25 * time.Hour)
		cfg.Cluster = c
		added, err := planFor(cfg)
		require.NoError(t, err)
		keeping(t, hosts, added, "added")
		require.Contains(t, hosts.Nodes(), "worker-1")
		mustRun(t.Context(), t, hosts, rollback(t, added, "added"))
		require.NotContains(t, hosts.Host("worker-1").Files(), "/etc/kubernetes/kubelet.conf")
		sum, _, err := run(t, hosts, cfg, without(c, "worker-1"))
		require.NoError(t, err)
		require.False(t, sum.Changed())
	})
}

// A token that is valid is left alone as long as it is valid for long enough.
func TestTokenRenewal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		ttl, wait time.Duration
		want      string
	}{
		{"fresh", 0, 0, ""},
		{"three hours left", 0, 21 * time.Hour, ""},
		{"one hour left", 0, 23 * time.Hour, "it expires at 2000-01-02T00:00:00Z"},
		{"a short life, more than half of it left", time.Hour, 20 * time.Minute, ""},
		{"a short life, less than half of it left", time.Hour, 40 * time.Minute, "it expires at 2000-01-01T01:00:00Z"},
		{"for ever", -1, 1000 * time.Hour, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { // starts at 2000-01-01T00:00:00Z
				c := hafixture.Three()
				hosts := fakeCluster(t, c)
				cfg := config(t, c)
				cfg.Kubeadm.TokenTTL = quorate.Duration(tt.ttl)
				_, _, err := run(t, hosts, cfg, without(c, "worker-1"))
				require.NoError(t, err)
				time.Sleep(tt.wait)
				_, events, err := run(t, hosts, cfg, c)
				require.NoError(t, err)
				if tt.want == "" {
					require.Empty(t, renewals(events))
					return
				}
				require.Equal(t, []string{"init/cp-1: renew bootstrap token (" + tt.want + ", for worker-1 to join with)"}, renewals(events))
			})
		})
	}
}

// A dry run says that the token would be renewed, by which commands, and shows
// nothing of it; a run that is cut off on the way leaves it to the next one.
func TestPreviewOfATokenRenewal(t *testing.T) {
	t.Parallel()
	bubble.Test(t, func(t *testing.T) {
		c := hafixture.Three()
		hosts := fakeCluster(t, c)
		cfg := config(t, c)
		_, _, err := run(t, hosts, cfg, without(c, "worker-1"))
		require.NoError(t, err)
		time.Sleep(25 * time.Hour)
		p, err := planFor(cfg)
		require.NoError(t, err)
		secrets := secretsOf(t, cfg)
		pv, err := (&plan.Runner{Transport: hosts}).Preview(t.Context(), p)
		require.NoError(t, err)
		require.Contains(t, pv.Text(), "renew bootstrap token (there is none, for worker-1 to join with)")
		require.Contains(t, pv.Text(), "kubectl --kubeconfig /etc/kubernetes/admin.conf create -f -")
		secrets.assertHidden(t, "the preview", pv)
		require.Empty(t, hosts.Tokens())

		for _, fault := range []faketransport.Fault{
			{On: faketransport.OnRun(renewing()), Before: faketransport.Fails(faketransport.Exit(1))},
			{On: faketransport.OnRun(renewing()), After: faketransport.ResetAfter},
		} {
			hosts.Host("cp-1").Inject(fault)
			_, _ = secrets.assertQuietRun(t.Context(), t, "a renewal that fails", hosts, cfg, p, false)
			hosts.Host("cp-1").Heal()
		}
		_, _, err = run(t, hosts, cfg, c)
		require.NoError(t, err)
		require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())
		for _, call := range hosts.Calls() {
			secrets.assertText(t, "the hosts' commands", call.Op.String())
		}
	})
}

func renewing() faketransport.Match {
	return faketransport.MatchFunc("renewing", func(argv []string) bool {
		return strings.Contains(strings.Join(argv, " "), "# renew the bootstrap token")
	})
}

// An init whose end an earlier run could not note, long ago, is noted, and the
// token renewed in the same step.
func TestTokenRenewalWithALateRecord(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := hafixture.Three()
		hosts := fakeCluster(t, c)
		cfg := config(t, c)
		_, _, err := run(t, hosts, cfg, without(c, "worker-1"))
		require.NoError(t, err)
		mark := fixture.File("/var/lib/quorate/kubeadm.state", "begun\n")
		require.NoError(t, hosts.Host("cp-1").Put(mark))
		time.Sleep(25 * time.Hour)
		_, _, err = run(t, hosts, cfg, c)
		require.NoError(t, err)
		require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())
	})
}

// A node that the cluster still lists, of a host that was reset, is one that is
// to join.
func TestTokenRenewalForAResetHost(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := hafixture.Three()
		hosts := fakeCluster(t, c)
		cfg := config(t, c)
		_, _, err := run(t, hosts, cfg, c)
		require.NoError(t, err)
		time.Sleep(25 * time.Hour)
		conn, err := hosts.Dial(t.Context(), "worker-1")
		require.NoError(t, err)
		_, err = plan.NewHost("worker-1", conn).Run(t.Context(), "kubeadm", "reset", "--force")
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		_, events, err := run(t, hosts, cfg, c)
		require.NoError(t, err)
		require.Len(t, renewals(events), 1)
	})
}

// The recipe places certificates itself. What kubeadm uploads would replace a
// control plane's own client certificate for etcd by the first one's.
func TestCreateUploadsNoCertificates(t *testing.T) {
	cfg := config(t, hafixture.Three())
	cfg.Kubeadm.CertificateKey = quorate.Sensitive([]byte(strings.Repeat("0a", 32)))
	_, err := planFor(cfg)
	var invalid *quorate.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Len(t, invalid.Problems, 1)
	require.Equal(t, "kubeadm.certificateKey", invalid.Problems[0].Path)
}
