package ha_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/hatest"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
	"github.com/quorate-dev/quorate/transport"
	"github.com/quorate-dev/quorate/transport/faketransport"
)

// writes counts what was done to any host.
func writes(hosts *hatest.Cluster) int {
	n := 0
	for _, c := range hosts.Calls() {
		if c.Op.Kind == faketransport.Write || c.Op.Kind == faketransport.Upload || c.Op.Kind == faketransport.Remove {
			n++
		}
	}
	return n
}

func TestApplyOfASavedPreview(t *testing.T) {
	_, hosts, p := previewed(t)
	var kinds fixture.Trace
	runner := plan.Runner{Transport: hosts, Observe: func(e plan.Event) {
		if e.Step == "" {
			kinds.Observe(e)
		}
	}}
	sum, err := runner.Apply(t.Context(), p, fixture.Saved(t, hosts, p))
	require.NoError(t, err)
	require.True(t, sum.Changed())
	require.Equal(t, fixture.Trace{"run-started", "run-ended"}, kinds)
	require.Equal(t, []string{"cp-1", "cp-2", "cp-3", "worker-1"}, hosts.Nodes())

	sum, err = runner.Apply(t.Context(), p, fixture.Saved(t, hosts, p))
	require.NoError(t, err)
	require.False(t, sum.Changed())
}

// A saved plan applied after a fact changed: refused, with the difference, and
// nothing is touched.
func TestApplyOfAStalePreview(t *testing.T) {
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
			"step etcd/cp-1 on cp-1: something else is at " + key,
		}},
		{"what is as described again", func() { put("cp-2", sysctl, fileOf(t, cfg, "cp-2", sysctl)) }, []string{
			"step prerequisites/cp-2/kernel on cp-2: it was would-change and is unchanged",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pv := fixture.Saved(t, hosts, p)
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

func fileOf(t *testing.T, cfg ha.Config, host, path string) string {
	t.Helper()
	files, err := filesFor(cfg)
	require.NoError(t, err)
	for _, f := range files[host] {
		if f.Path == path {
			return string(f.Content.Bytes())
		}
	}
	require.Fail(t, "no "+path)
	return ""
}

// A preview of another plan is refused before any host is reached: one of another
// description, or with other secrets.
func TestApplyOfAnotherPlansPreview(t *testing.T) {
	cfg, hosts, p := previewed(t)
	pv := fixture.Saved(t, hosts, p)
	again, err := planFor(cfg)
	require.NoError(t, err)
	for name, spoil := range map[string]func(*ha.Config){
		"description": func(c *ha.Config) { c.Cluster.Etcd.QuotaBytes = 4 << 30 },
		"password":    func(c *ha.Config) { c.VIPAuth = config(t, hafixture.Three()).VIPAuth },
		"token":       func(c *ha.Config) { c.Kubeadm = config(t, hafixture.Three()).Kubeadm },
		"keys":        func(c *ha.Config) { c.Certs = config(t, hafixture.Three()).Certs },
		"manifest": func(c *ha.Config) {
			c.Manifests = []ha.Manifest{{Name: "secret", Content: quorate.Sensitive([]byte("kind: Secret # another"))}}
		},
		"untaint": func(c *ha.Config) { c.Untaint = false },
	} {
		other := cfg
		spoil(&other)
		p, err := planFor(other)
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
