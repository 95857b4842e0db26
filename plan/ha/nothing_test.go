package ha_test

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan/drill"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/preflight"
	"github.com/quorate-dev/quorate/plan/ha/survey"
)

// Of a cluster that New did not make, every method returns an error or nothing.
func TestNilAndZeroClusters(t *testing.T) {
	hosts, cfg := surveyed(t)
	for name, c := range map[string]*ha.Cluster{"nil": nil, "zero": {}} {
		t.Run(name, func(t *testing.T) {
			refused := func(err error) {
				t.Helper()
				var invalid *quorate.InvalidError
				require.ErrorAs(t, err, &invalid)
				require.ErrorContains(t, err, "ha.New")
			}
			_, err := c.Plan()
			refused(err)
			_, err = c.PlanReset(ha.ResetConfig{WholeCluster: true})
			refused(err)
			_, err = c.Survey(t.Context(), survey.Config{Transport: hosts})
			refused(err)
			_, err = c.Preflight(t.Context(), preflight.Config{Transport: hosts})
			refused(err)
			require.Nil(t, c.Files())
			require.Empty(t, c.StepBootstrap("cp-1"))
		})
	}
	for name, missing := range map[string]ha.KubeconfigConfig{"no transport": {Cluster: cfg.Cluster}, "no cluster": {Transport: hosts}, "nothing": {}} {
		content, err := ha.Kubeconfig(t.Context(), missing)
		var invalid *quorate.InvalidError
		require.ErrorAs(t, err, &invalid, name)
		require.Zero(t, content.Len())
	}
}

// An empty kubeconfig on a host is none.
func TestEmptyKubeconfig(t *testing.T) {
	hosts, cfg := surveyed(t)
	for _, n := range cfg.Cluster.ControlPlanes() {
		seed(t, hosts.Host(n.Name), "/etc/kubernetes/admin.conf", "")
	}
	_, err := ha.Kubeconfig(t.Context(), ha.KubeconfigConfig{Transport: hosts, Cluster: cfg.Cluster})
	var none *ha.KubeconfigError
	require.ErrorAs(t, err, &none)
	require.ErrorContains(t, err, "is empty")
}

// What was not made says so, and is never sound.
func TestNilReports(t *testing.T) {
	var s *survey.Survey
	require.Equal(t, "no survey was made\n", s.Text())
	require.Equal(t, "no survey was made", s.Headline())
	require.False(t, s.Sound())
	require.JSONEq(t, `{"schema": "quorate.dev/survey/v1"}`, string(s.JSON()))
	var invalid *quorate.InvalidError
	require.ErrorAs(t, s.HTML(io.Discard), &invalid)
	require.ErrorAs(t, (&survey.Survey{}).HTML(nil), &invalid)
	var r *preflight.Report
	require.Equal(t, "no host was looked at\n", r.Text())
	require.ErrorAs(t, r.Err(), &invalid)
	require.NotEmpty(t, r.JSON())
	require.Empty(t, r.Of(quorate.Refused))
	var d *drill.Report
	require.Equal(t, "no drill was run\n", d.Text())
	_, err := d.JSON()
	require.ErrorAs(t, err, &invalid)
	require.ErrorAs(t, d.HTML(io.Discard), &invalid)
}
