package plan_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/plantest"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// saved is a preview that was written down and read again.
func saved(t *testing.T, hosts transport.Transport, p *plan.Plan) *plan.Preview {
	t.Helper()
	pv, err := plan.ParsePreview(preview(t, hosts, p).JSON())
	require.NoError(t, err)
	return pv
}

// writes counts what was done to any host.
func writes(hosts *plantest.Cluster) int {
	n := 0
	for _, c := range hosts.Calls() {
		if c.Op.Kind == faketransport.Write || c.Op.Kind == faketransport.Upload || c.Op.Kind == faketransport.Remove {
			n++
		}
	}
	return n
}

func TestASavedPreviewIsApplied(t *testing.T) {
	_, hosts, p := previewed(t)
	var kinds trace
	runner := plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
		if e.Step == "" {
			kinds.observe(e)
		}
	}}
	sum, err := runner.Apply(t.Context(), p, saved(t, hosts, p))
	require.NoError(t, err)
	require.True(t, sum.Changed())
	require.Equal(t, trace{"run-started", "run-ended"}, kinds)
	require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())

	sum, err = runner.Apply(t.Context(), p, saved(t, hosts, p))
	require.NoError(t, err)
	require.False(t, sum.Changed())
}

// A saved plan applied after a fact changed: refused, with the difference, and
// nothing is touched.
func TestASavedPreviewOfOtherFactsIsRefused(t *testing.T) {
	cfg, hosts, p := previewed(t)
	all := secretsOf(t, cfg)
	all.addBytes("the key by hand", "aHandMadeKey")
	runner := plan.Runner{Transport: hosts}
	_, err := runner.Run(t.Context(), p)
	require.NoError(t, err)
	put := func(host, path, text string) {
		t.Helper()
		f, err := hosts.Host(host).File(path)
		require.NoError(t, err)
		f.Data = transport.Bytes([]byte(text))
		require.NoError(t, hosts.Host(host).Put(f))
	}
	const sysctl, key = "/etc/sysctl.d/99-quorate.conf", "/etc/etcd/pki/server.key"
	for _, tt := range []struct {
		name   string
		change func()
		want   []string
	}{
		{"a file that was as described", func() { put("cp-2", sysctl, "other = 1\n") }, []string{
			"step prerequisites/cp-2/kernel on cp-2: it was unchanged and is would-change",
			"new: update " + sysctl + " (content)", "-other = 1\n",
		}},
		{"a file that differed, and differs otherwise", func() { put("cp-2", sysctl, "another = 1\n") }, []string{
			"step prerequisites/cp-2/kernel on cp-2: gone: update " + sysctl, "-other = 1\n", "new: update " + sysctl, "-another = 1\n",
		}},
		{"a secret", func() { put("cp-1", key, "aHandMadeKey") }, []string{
			"step etcd/cp-1 on cp-1: it was unchanged and is would-change", "new: update " + key + " (content) [not shown: secret]",
		}},
		{"a secret that differed, and differs otherwise", func() { put("cp-1", key, "aHandMadeKey, another") }, []string{
			"step etcd/cp-1 on cp-1: something else stands at " + key,
		}},
		{"what is as described again", func() { put("cp-2", sysctl, fileOf(t, cfg, "cp-2", sysctl)) }, []string{
			"step prerequisites/cp-2/kernel on cp-2: it was would-change and is unchanged",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pv := saved(t, hosts, p)
			tt.change()
			before := writes(hosts)
			_, err := runner.Apply(t.Context(), p, pv)
			var stale *plan.StaleError
			require.ErrorAs(t, err, &stale)
			require.False(t, stale.OtherPlan)
			require.Len(t, stale.Steps, 1)
			for _, want := range tt.want {
				require.Contains(t, strings.ReplaceAll(err.Error(), "\n    ", "\n"), want)
			}
			require.Equal(t, before, writes(hosts))
			all.assertErrors(t, tt.name, err)
			all.assertText(t, tt.name, string(pv.JSON()))
		})
	}
}

func fileOf(t *testing.T, cfg plan.HAConfig, host, path string) string {
	t.Helper()
	files, err := plan.Files(cfg)
	require.NoError(t, err)
	for _, f := range files[host] {
		if f.Path == path {
			return string(f.Content.Bytes())
		}
	}
	require.Fail(t, "no "+path)
	return ""
}

// A preview of another plan is refused before any host is asked: one of another
// description, or with other secrets.
func TestASavedPreviewOfAnotherPlanIsRefused(t *testing.T) {
	cfg, hosts, p := previewed(t)
	pv := saved(t, hosts, p)
	again, err := plan.HA(cfg)
	require.NoError(t, err)
	for name, spoil := range map[string]func(*plan.HAConfig){
		"description": func(c *plan.HAConfig) { c.Cluster.Etcd.QuotaBytes = 4 << 30 },
		"password":    func(c *plan.HAConfig) { c.VIPAuth = config(t, three()).VIPAuth },
		"token":       func(c *plan.HAConfig) { c.Kubeadm = config(t, three()).Kubeadm },
		"keys":        func(c *plan.HAConfig) { c.Certs = config(t, three()).Certs },
		"manifest": func(c *plan.HAConfig) {
			c.Manifests = []plan.Manifest{{Name: "secret", Content: quorate.Sensitive([]byte("kind: Secret # another"))}}
		},
		"untaint": func(c *plan.HAConfig) { c.Untaint = false },
	} {
		other := cfg
		spoil(&other)
		p, err := plan.HA(other)
		require.NoError(t, err)
		calls := len(hosts.Calls())
		_, err = (&plan.Runner{Transport: hosts}).Apply(t.Context(), p, pv)
		var stale *plan.StaleError
		require.ErrorAs(t, err, &stale, name)
		require.True(t, stale.OtherPlan, name)
		require.Len(t, hosts.Calls(), calls, name)
	}
	_, err = (&plan.Runner{Transport: hosts}).Apply(t.Context(), again, pv)
	require.NoError(t, err, "the same plan, made once more")
}

// Without a private key in the plan nothing in a preview depends on a secret,
// which could be short: whoever has the preview cannot tell two apart.
func TestAPreviewOfShortSecretsHoldsNoTraceOfThem(t *testing.T) {
	tr, h := fakeHost(t)
	of := func(secret, stands string) string {
		require.NoError(t, h.Put(transport.File{Path: "/etc/password", Mode: 0o600, Data: transport.Bytes([]byte(stands))}))
		return string(preview(t, tr, mustPlan(t, plan.Step{ID: "s", Host: "cp-1", Action: plan.Deploy{Files: []quorate.File{
			{Path: "/etc/password", Content: quorate.Sensitive([]byte(secret))},
		}}})).JSON())
	}
	require.Equal(t, of("12345678", "x"), of("87654321", "y"))
}

// What is waited for is a fact, how it fails to come is not.
func TestWaitingForAnotherReasonIsTheSame(t *testing.T) {
	why := "connection refused"
	wait := action{
		check: func(context.Context, *plan.Host) (plan.Diff, error) {
			if why == "" {
				return nil, nil
			}
			return plan.Diff{{Verb: "wait", Subject: "it", Detail: why}}, nil
		},
		apply: func(context.Context, *plan.Host) error { why = ""; return nil },
	}
	p := mustPlan(t, plan.Step{ID: "s", Host: "h", Action: wait})
	pv := saved(t, &idle{}, p)
	why = "no route to host"
	_, err := (&plan.Runner{Transport: &idle{}}).Apply(t.Context(), p, pv)
	require.NoError(t, err)
}

// A preview in which a step failed promises nothing.
func TestAPreviewThatFailedIsNotApplied(t *testing.T) {
	boom := errors.New("boom")
	flaky := action{check: func(context.Context, *plan.Host) (plan.Diff, error) { return nil, boom }}
	p := mustPlan(t, plan.Step{ID: "s", Host: "h", Action: &flaky})
	runner := plan.Runner{Transport: &idle{}}
	pv, err := runner.Preview(t.Context(), p)
	require.ErrorIs(t, err, boom)
	_, err = runner.Apply(t.Context(), p, pv)
	require.ErrorIs(t, err, boom, "it still fails")
	flaky.check = nil
	_, err = runner.Apply(t.Context(), p, pv)
	require.ErrorContains(t, err, "step s on h: it was failed and is unchanged")
}
