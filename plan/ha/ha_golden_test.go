package ha_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/quorate-dev/quorate"
	"github.com/quorate-dev/quorate/plan"
	"github.com/quorate-dev/quorate/plan/ha"
	"github.com/quorate-dev/quorate/plan/ha/internal/hafixture"
	"github.com/quorate-dev/quorate/plan/internal/fixture"
)

// The recipe's steps, what each waits for and what it locks, are reviewed by
// eye when they change.
func TestStepsOfCreate(t *testing.T) {
	for name, c := range map[string]quorate.Cluster{"ha-three.txt": hafixture.Three(), "ha-haproxy.txt": hafixture.Balanced()} {
		t.Run(name, func(t *testing.T) { goldenSteps(t, name, c) })
	}
}

func goldenSteps(t *testing.T, name string, c quorate.Cluster) {
	t.Helper()
	cfg := config(t, c)
	cfg.Manifests = []ha.Manifest{{Name: "network", Content: quorate.Public([]byte("kind: DaemonSet\n"))}}
	cfg.Untaint = true
	p, err := planFor(cfg)
	require.NoError(t, err)
	goldenText(t, name, stepsText(p))
}

func stepsText(p *plan.Plan) string {
	var b strings.Builder
	for _, s := range p.Steps() {
		fmt.Fprintf(&b, "%s\n  on %s, %s\n", s.ID, s.Host, s.Title)
		for _, id := range s.After {
			fmt.Fprintf(&b, "  after %s\n", id)
		}
		for _, l := range s.Locks {
			fmt.Fprintf(&b, "  holds %s\n", l)
		}
	}
	return b.String()
}

func goldenText(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *fixture.Update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(string(want), got))
}

// A run against hosts that are as described reads each of them only so often,
// whatever the number of files and units.
func TestRoundTripBounds(t *testing.T) {
	c := hafixture.Three()
	hosts := fakeCluster(t, c)
	p, err := planFor(config(t, c))
	require.NoError(t, err)
	runner := plan.Runner{Transport: hosts}
	_, err = runner.Run(t.Context(), p)
	require.NoError(t, err)
	sum, err := runner.Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, map[string]int{"cp-1": 1 + 3, "cp-2": 1, "cp-3": 1, "worker-1": 1}, sum.RoundTrips)
}
